//! The relay path: from a copy that comes in, or a text handed in, to the copies that go out.
//!
//! No timer and no round stands in between; what `repair` needs to know is noted on the way.

use smallvec::SmallVec;

use crate::broadcast::repair::Arrived;
use crate::broadcast::store::{self, Arrival, EvictedBy, Flooded, Found, Kept, Slot};
use crate::broadcast::strategy::flood::{self, Copies, LinkCopies, LinkId};
use crate::config::Settings;
use crate::datagram::outbox::{Encoded, Outbox};
use crate::datagram::wire::Rumor;
use crate::ids::{MessageId, NodeId, Origin};
use crate::membership::peers::Peers;
use crate::node::AtOnce;
use crate::report::{Event, Refused, Tally};
use crate::time::Now;
use crate::{Node, RELAYS_MAX};

impl Node {
    /// Accepts a message for all nodes, to be passed on in up to `relays` copies a link. From
    /// now on it is delivered to whoever can be reached.
    ///
    /// # Errors
    ///
    /// [`Refused`] says why not; nothing changed then but a counter.
    pub fn send(&mut self, now: Now, text: &str, relays: u8) -> Result<MessageId, Refused> {
        if let Err(refused) = self.check(text, relays) {
            if matches!(refused, Refused::TooLong { .. }) {
                self.counters.limit_text_refused += 1;
            }
            return Err(refused);
        }
        let id = self.next_id();
        let rumor =
            Rumor { id, sent_at: now.wall, relays, repaired: false, hops: 0, path: &[], text };
        let flooded = self.flood(&rumor, None, Arrived::Pushed);
        self.counters.accepted += 1;
        self.window.note(store::in_flight_bytes(text.len()));
        if self.tells_messages {
            self.events.push(Event::Accepted { id, text: text.into() });
        }
        self.record(now, &rumor, flooded);
        self.note_recent(now, id);
        self.evict(now);
        Ok(id)
    }

    /// The name of the next message that starts here. Names that are taken are passed over: a
    /// node that was wrongly started again as the same incarnation may meet its former messages.
    fn next_id(&mut self) -> MessageId {
        let origin = Origin { node: self.config.node, incarnation: self.config.incarnation };
        loop {
            self.sequence += 1;
            let id = MessageId { origin, sequence: self.sequence };
            if !self.store.knows(id) {
                return id;
            }
        }
    }

    /// Whether a text may be sent.
    fn check(&self, text: &str, relays: u8) -> Result<(), Refused> {
        let bytes_max = self.config.limits.text_bytes_max;
        match () {
            () if self.leaving.is_some() => Err(Refused::Leaving),
            () if text.is_empty() => Err(Refused::Empty),
            () if text.len() > bytes_max => Err(Refused::TooLong { bytes: text.len(), bytes_max }),
            () if !(1..=RELAYS_MAX).contains(&relays) => Err(Refused::Relays { relays }),
            () => Ok(()),
        }
    }

    /// Takes in one copy of a message from a peer and passes it on.
    ///
    /// Only the first copy is a delivery. A later one still counts while its sender is within
    /// the message's relays limit: its path is kept, and neighbours that may get another copy
    /// get one. So a node learns several paths, and the limit bounds what a message costs on a
    /// link. Told apart by id, never by bytes: one number has several encodings.
    pub(crate) fn on_rumor(
        &mut self,
        now: Now,
        from: NodeId,
        rumor: &Rumor<'_>,
        at_once: AtOnce<'_>,
    ) {
        self.counters.rumors_received += 1;
        let Some(link) = self.peers.get(from).map(|peer| peer.link) else { return };
        match self.store.find(rumor.id) {
            Found::Held(slot) => {
                self.counters.rumors_duplicate += 1;
                self.flood_again(now, rumor, slot, link);
                self.evict(now);
                return;
            }
            // It neither returns nor goes on.
            Found::Gone => {
                self.counters.rumors_duplicate += 1;
                return;
            }
            Found::Unknown => {}
        }
        let (arrived, asked) = self.arrived(now, rumor.id);
        let limits = &self.config.limits;
        if self.store.known().ranges() >= limits.id_ranges_max
            && self.store.known().needs_range_for(rumor.id)
        {
            self.counters.limit_ranges_refused += 1;
        } else if rumor.text.len() > limits.text_bytes_max {
            // Known from now on, or every summary would bring it up again.
            self.counters.dropped_oversize += 1;
            self.store.refuse(rumor.id);
        } else {
            let flooded = self.flood(rumor, Some(link), arrived);
            if let Some((out, send)) = at_once {
                self.flush(now, out);
                if !out.datagrams.is_empty() {
                    send(out);
                }
            }
            self.deliver(now, from, rumor, flooded, arrived);
        }
        if let Some(asked) = asked {
            self.pump(now, asked);
        }
    }

    /// Records the first copy of a message, delivers it, and makes room for it.
    pub(crate) fn deliver(
        &mut self,
        now: Now,
        from: NodeId,
        rumor: &Rumor<'_>,
        flooded: Flooded,
        arrived: Arrived,
    ) {
        self.record(now, rumor, flooded);
        if self.tells_messages {
            let latency = now.wall.since(rumor.sent_at).as_micros();
            self.events.push(Event::Delivered {
                id: rumor.id,
                text: rumor.text.into(),
                from,
                hops: rumor.hops,
                latency_us: u64::try_from(latency).unwrap_or(u64::MAX),
            });
        }
        if arrived != Arrived::CatchingUp {
            self.note_recent(now, rumor.id);
        }
        self.evict(now);
    }

    /// Records a message, and to whom copies of it went.
    fn record(&mut self, now: Now, rumor: &Rumor<'_>, flooded: Flooded) {
        let slot = self.store.insert(
            rumor.id,
            &Arrival {
                text: rumor.text,
                sent_at: rumor.sent_at,
                received_at: now.wall,
                arrived: now.monotonic,
                relays: rumor.relays,
                repaired: rumor.repaired,
                newest_link: self.peers.newest_link(),
                hops: rumor.hops,
                path: rumor.path,
            },
            flooded,
        );
        self.counters.delivered += 1;
        self.expect_back(now, slot, LinkCopies::is_in_flight);
    }

    /// Passes a message on that is yet to be recorded.
    fn flood(&mut self, rumor: &Rumor<'_>, from: Option<LinkId>, arrived: Arrived) -> Flooded {
        let Self { peers, outbox, config, counters, .. } = self;
        // Who is catching up passes nothing on: summaries tell the neighbours.
        let links = if arrived == Arrived::CatchingUp { &[][..] } else { peers.links() };
        let mut copies = Copies::default();
        copies.reserve(peers.links().len());
        let mut sender = Sender::new(rumor, config, peers, outbox, counters);
        let send = |link, is_first| sender.send(link, is_first);
        match from {
            None => flood::start(&mut copies, links, send),
            Some(from) => {
                flood::receive(&mut copies, from, rumor.relays, links.iter().copied(), send);
            }
        }
        Flooded { copies, sent: sender.sent, bytes: sender.bytes }
    }

    /// Passes on a later copy of a message, if that counts.
    fn flood_again(&mut self, now: Now, rumor: &Rumor<'_>, slot: Slot, from: LinkId) {
        let Self { store, peers, outbox, config, counters, .. } = self;
        let mut sender = Sender::new(rumor, config, peers, outbox, counters);
        let mut first: SmallVec<[LinkId; 4]> = SmallVec::new();
        let paths_max = config.limits.paths_max;
        let outcome = store.update_at(slot, |record| {
            let acknowledged = record.acknowledges(from, rumor.repaired);
            // Whoever became a neighbour later hears of it by repair, if at all.
            let older = peers.links().iter().copied().filter(|link| *link <= record.newest_link);
            let send = |link, is_first| {
                sender.send(link, is_first);
                // Seldom: whoever has just caught up passed nothing on before.
                first.extend(is_first.then_some(link));
            };
            let counts = flood::receive(&mut record.copies, from, record.relays, older, send);
            record.copies_sent += sender.sent;
            record.bytes_sent += sender.bytes;
            let kept = record.note_copy(counts, rumor.hops, rumor.path, paths_max);
            (kept, acknowledged, record.in_flight_bytes())
        });
        let Some((kept, acknowledged, bytes)) = outcome else { return };
        if kept == Kept::No {
            counters.limit_paths_dropped += 1;
        }
        if let Some(since) = acknowledged {
            self.acknowledge(from, bytes, since.map(|since| now.monotonic.since(since)));
        }
        if !first.is_empty() {
            self.expect_back(now, slot, |copies| first.contains(&copies.link));
        }
    }

    /// Makes room for what came in.
    fn evict(&mut self, now: Now) {
        while let Some((by, record)) = self.store.evict(&self.config.limits) {
            self.forget_evicted(now, &record);
            let counter = match by {
                EvictedBy::Messages => &mut self.counters.limit_messages_evicted,
                EvictedBy::Bytes => &mut self.counters.limit_bytes_evicted,
            };
            *counter += 1;
        }
    }
}

/// Sends copies of one message, which are encoded once.
struct Sender<'a> {
    rumor: &'a Rumor<'a>,
    config: &'a Settings,
    peers: &'a Peers,
    outbox: &'a mut Outbox,
    counters: &'a mut Tally,
    frame: Option<Encoded>,
    /// Copies sent, and their bytes.
    sent: u32,
    bytes: u64,
}

impl<'a> Sender<'a> {
    fn new(
        rumor: &'a Rumor<'a>,
        config: &'a Settings,
        peers: &'a Peers,
        outbox: &'a mut Outbox,
        counters: &'a mut Tally,
    ) -> Self {
        let (frame, sent, bytes) = (None, 0, 0);
        Self { rumor, config, peers, outbox, counters, frame, sent, bytes }
    }

    /// Sends one copy over a link: the first to a neighbour not known to have the message, or not.
    fn send(&mut self, link: LinkId, is_first: bool) {
        let frame = self.frame();
        let bytes = frame.len() as u64;
        self.sent += 1;
        self.bytes += bytes;
        self.counters.rumors_sent += 1;
        self.counters.rumor_bytes_sent += bytes;
        match self.peers.addr_of(link) {
            Some(to) if is_first => self.outbox.put_first(to, frame),
            Some(to) => self.outbox.put(to, frame),
            None => {}
        }
    }

    fn frame(&mut self) -> Encoded {
        if let Some(frame) = self.frame {
            return frame;
        }
        let (node, nodes_max) = (self.config.node, self.config.limits.path_nodes_max);
        let (frame, cut) = self.outbox.encode_onward(self.rumor, node, nodes_max);
        if cut {
            self.counters.limit_paths_cut += 1;
        }
        *self.frame.insert(frame)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::datagram::wire;
    use crate::datagram::wire::Frame;
    use crate::testing::table::{KEY, Table, addr, number_of, sealed};
    use crate::{Effect, Event, FaultRule, MessageQuery, Outputs, Wall, Which};
    use proptest::prelude::*;
    use std::collections::BTreeMap;
    use std::time::Duration;

    const MOMENT: Duration = Duration::from_millis(100);

    #[test]
    fn alice_tells_bob_and_eve_repeats_it() {
        let (alice, bob, eve) = (1, 2, 3);
        let mut table = Table::ring(3);
        let id = table.send(alice, "banana");
        table.run(MOMENT);
        let delivered = |node| {
            table.told(|at, event| {
                at == node && matches!(event, Event::Delivered { id: told, .. } if *told == id)
            })
        };
        assert_eq!((delivered(alice), delivered(bob), delivered(eve)), (0, 1, 1));
        assert_eq!(table.count(|c| c.rumors_sent), 6, "each of three links, both ways");
        assert_eq!(table.count(|c| c.rumors_duplicate), 4);
    }

    #[test]
    fn paths_lead_from_the_origin_to_here() {
        let mut table = Table::ring(4);
        let now = table.now();
        table.node(1).send(now, "banana", 2).unwrap();
        table.run(MOMENT);
        let query = MessageQuery { which: Which::All, last: None, after: None };
        let page = table.node(3).messages(&query);
        let paths: Vec<Vec<u32>> = page.messages[0]
            .paths
            .iter()
            .map(|path| path.path.iter().map(|node| node.unwrap().0).collect())
            .collect();
        assert!(paths.contains(&vec![1, 2, 3]) && paths.contains(&vec![1, 4, 3]), "{paths:?}");
        assert!(paths.contains(&vec![1, 2, 3, 4, 1, 2, 3]), "{paths:?}");
        assert_eq!(table.count(|c| c.rumors_sent), 2 * 4 * 2);
    }

    #[test]
    fn a_message_that_came_alone_goes_on_before_it_is_handed_up() {
        let mut table = Table::ring(3);
        table.run(MOMENT);
        let now = table.now();
        // To whom node 2 sends at once, and to whom later, when it gets this.
        let mut relayed = |from: u32, sequence| {
            let (id, path) = (MessageId::new(from, 1, sequence), [from as u8]);
            let (sent_at, text) = (now.wall, "banana");
            let rumor =
                Rumor { id, sent_at, relays: 2, repaired: false, hops: 1, path: &path, text };
            let bytes = sealed(from, &[Frame::Rumor(rumor)]);
            let (mut out, mut at_once) = (Outputs::default(), vec![]);
            table.node(2).receive_alone(now, addr(from).addr, &bytes, &mut out, &mut |out| {
                at_once.extend(out.datagrams().map(|(to, _)| number_of(to)));
                assert!(out.events.is_empty(), "it is not delivered before");
                out.clear_datagrams();
            });
            assert!(out.events.is_empty() && out.datagrams().next().is_none());
            table.node(2).flush(now, &mut out);
            let later: Vec<u32> = out.datagrams().map(|(to, _)| number_of(to)).collect();
            (at_once, later, out.events.len())
        };
        assert_eq!(relayed(1, 1), (vec![3], vec![], 1));
        assert_eq!(relayed(1, 1), (vec![], vec![3], 0), "nobody waits for a second copy");
        assert_eq!(relayed(3, 1), (vec![1], vec![], 1));
        assert_eq!((table.held(1), table.held(2)), (0, 2));
    }

    #[test]
    fn what_faults_hold_back_does_not_go_at_once() {
        let mut table = Table::ring(3);
        table.run(MOMENT);
        let effect = Effect { delay: MOMENT, ..Effect::default() };
        table.node(2).set_faults(&[FaultRule { from: vec![], to: vec![], effect }]);
        let now = table.now();
        let (id, path) = (MessageId::new(1, 1, 1), &[1]);
        let rumor =
            Rumor { id, sent_at: now.wall, relays: 1, repaired: false, hops: 1, path, text: "x" };
        let bytes = sealed(1, &[Frame::Rumor(rumor)]);
        let (mut out, from) = (Outputs::default(), addr(1).addr);
        table.node(2).receive_alone(now, from, &bytes, &mut out, &mut |_| panic!("at once"));
        assert_eq!(table.held(2), 1);
        table.run(MOMENT * 2);
        assert_eq!(table.held(3), 1);
    }

    #[test]
    fn what_cannot_be_sent_is_refused_and_changes_nothing() {
        let mut table = Table::ring(3);
        let now = table.now();
        let long = "x".repeat(60_001);
        let node = table.node(1);
        assert_eq!(node.send(now, "", 1), Err(Refused::Empty));
        assert_eq!(node.send(now, "x", 0), Err(Refused::Relays { relays: 0 }));
        assert_eq!(node.send(now, "x", 17), Err(Refused::Relays { relays: 17 }));
        let refused = Refused::TooLong { bytes: 60_001, bytes_max: 60_000 };
        assert_eq!(node.send(now, &long, 1), Err(refused));
        assert_eq!(node.status().counters.limit_text_refused, 1);
        assert_eq!(table.send(1, "x").sequence, 1);
    }

    #[test]
    fn the_longest_text_travels_with_the_longest_path() {
        let mut table = Table::ring(3);
        table.send(1, &"x".repeat(60_000));
        table.run(MOMENT);
        assert_eq!((table.held(2), table.held(3)), (1, 1));
        let path: Vec<u8> = std::iter::repeat_n([252, 0, 0, 1, 0], 1_024).flatten().collect();
        let text = "x".repeat(60_000);
        let rumor = Rumor {
            id: MessageId::new(65_536, 1, 1),
            sent_at: now_of(&table).wall,
            relays: 1,
            repaired: false,
            hops: 1_024,
            path: &path,
            text: &text,
        };
        table.feed(2, 65_536 % 3 + 2, &[]);
        let mut path = path.clone();
        crate::datagram::path::push(&mut path, NodeId(3));
        table.feed(2, 3, &[Frame::Rumor(Rumor { hops: 1_025, path: &path, ..rumor })]);
        table.run(MOMENT);
        assert_eq!(table.held(1), 2);
        assert_eq!(table.node(1).status().counters.send_errors, 0);
        assert!(table.count(|c| c.limit_paths_cut) > 0);
    }

    fn now_of(table: &Table) -> Now {
        table.now()
    }

    #[test]
    fn an_evicted_message_does_not_return() {
        let mut table = Table::with(2, &[(1, 2)], |config| config.limits_mut().messages_max = 2);
        for text in ["a", "b", "c"] {
            table.send(1, text);
        }
        table.run(Duration::from_secs(5));
        assert_eq!((table.held(1), table.held(2)), (2, 2));
        assert_eq!(table.told(|_, event| matches!(event, Event::Delivered { .. })), 3);
    }

    /// What a flush says: frames by receiver, and events.
    fn said(out: &mut Outputs) -> (BTreeMap<u32, String>, Vec<Event>) {
        let mut frames: BTreeMap<u32, String> = BTreeMap::new();
        for (to, bytes) in out.datagrams() {
            let opened = wire::open(bytes, &KEY).unwrap();
            let text = frames.entry(number_of(to)).or_default();
            opened.frames.iter().for_each(|frame| *text += &format!("{frame:?} "));
        }
        let events = std::mem::take(&mut out.events);
        out.clear();
        (frames, events)
    }

    proptest! {
        /// But for the datagrams that frames travel in.
        #[test]
        fn what_comes_alone_leads_to_what_it_would_lead_to_among_others(
            tells in any::<bool>(),
            steps in prop::collection::vec(
                (any::<bool>(), 1u64..5, 1u8..4, any::<bool>(), 0u64..40, any::<bool>()), 1..40),
        ) {
            let mut tables = [Table::ring(3), Table::ring(3)];
            for table in &mut tables {
                table.run(MOMENT);
                table.node(2).tell_messages(tells);
            }
            for (from_first, sequence, relays, is_alone, wait, ticks) in steps {
                let from = if from_first { 1 } else { 3 };
                let path = [from as u8];
                let rumor = Frame::Rumor(Rumor {
                    id: MessageId::new(from, 1, sequence),
                    sent_at: Wall(1),
                    relays,
                    repaired: false,
                    hops: 1,
                    path: &path,
                    text: "banana",
                });
                let more = Frame::Have(vec![]);
                let frames = if is_alone { vec![rumor] } else { vec![rumor, more] };
                let bytes = sealed(from, &frames);
                let [one, other] = &mut tables;
                one.now = one.now + Duration::from_millis(wait);
                let now = one.now();
                let (mut out, from) = (Outputs::default(), addr(from).addr);
                one.node(2).receive(now, from, &bytes);
                if ticks {
                    one.node(2).tick(now);
                }
                one.node(2).flush(now, &mut out);
                let expected = said(&mut out);
                other.node(2).receive_alone(now, from, &bytes, &mut out, &mut |_| ());
                if ticks {
                    other.node(2).tick(now);
                }
                other.node(2).flush(now, &mut out);
                prop_assert_eq!(said(&mut out), expected);
            }
            let [one, other] = tables.map(|mut table| table.node(2).status());
            prop_assert_eq!(one.messages, other.messages);
            prop_assert_eq!(one.unread, other.unread);
            prop_assert_eq!(one.retained_bytes, other.retained_bytes);
            prop_assert_eq!(one.peers, other.peers);
            prop_assert_eq!(one.counters.rumors_sent, other.counters.rumors_sent);
            prop_assert_eq!(one.counters.rumors_duplicate, other.counters.rumors_duplicate);
        }
    }
}
