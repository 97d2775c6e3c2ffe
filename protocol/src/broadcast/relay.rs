//! The relay path: from a copy that comes in, or a payload handed in, to the copies that go out.
//!
//! No timer and no round stands in between. What `acks` needs to know is noted on the way.

use smallvec::SmallVec;

use super::Broadcast;
use super::copies::{Copies, LinkCopies};
use super::links::Links;
use super::store::{self, Arrival, Flooded, Found, Slot};
use super::strategy::flood;
use crate::datagram::outbox::Encoded;
use crate::datagram::wire::Rumor;
use crate::effects::Effects;
use crate::ids::link::{LinkId, Sender};
use crate::ids::{MessageId, NodeId};
use crate::report::Event;

/// Sends the copies that wait in the outbox, before anything else is done.
pub(crate) type SendNow<'a> = &'a mut dyn FnMut(&mut Effects);

impl Broadcast {
    /// Accepts a message for all nodes; see [`Node::send`](crate::Node::send).
    pub(crate) fn send(&mut self, fx: &mut Effects, payload: &[u8], relays: u8) -> MessageId {
        let id = self.next_id(fx);
        let (sent_at, repaired, hops) = (fx.wall, false, 0);
        let rumor = Rumor { id, sent_at, relays, repaired, hops, path: &[], payload };
        // Copies go into the outbox first; the record then notes the links that they took.
        let flooded = self.flood(fx, &rumor, None, false);
        fx.counters.accepted += 1;
        // Own messages alone use up the window: see `send_window`.
        self.window.note(store::in_flight_bytes(payload.len()));
        if self.tells_messages {
            fx.events.push(Event::Accepted { id, payload: payload.into() });
        }
        self.record(fx, &rumor, flooded);
        self.note_recent(fx, id);
        self.evict(fx);
        id
    }

    /// The name of the next message that starts here. Names that are taken are passed over: a
    /// node that was wrongly started again as the same incarnation may meet its former messages.
    fn next_id(&mut self, fx: &Effects) -> MessageId {
        loop {
            self.sequence += 1;
            let id = MessageId { origin: fx.me(), sequence: self.sequence };
            if !self.store.knows(id) {
                return id;
            }
        }
    }

    /// Takes in one copy of a message from a peer and passes it on.
    ///
    /// Only the first copy is a delivery. A later one still counts while its sender is within
    /// the message's relays limit: its path is kept, and neighbours that may get another copy
    /// get one. So a node learns several paths, and the limit bounds what a message costs on a
    /// link. Told apart by id, never by bytes: one number has several encodings.
    ///
    /// With `send_now`, the copies of a new message are sent before it is recorded.
    pub(crate) fn on_rumor(
        &mut self,
        fx: &mut Effects,
        from: Sender,
        rumor: &Rumor<'_>,
        send_now: Option<SendNow<'_>>,
    ) {
        fx.counters.rumors_received += 1;
        self.links.meet(from.link);
        match self.store.find(rumor.id) {
            Found::Held(slot) => {
                fx.counters.rumors_duplicate += 1;
                self.flood_again(fx, rumor, slot, from.link);
                self.evict(fx);
                return;
            }
            // An evicted or refused message neither returns nor is passed on.
            Found::Gone => {
                fx.counters.rumors_duplicate += 1;
                return;
            }
            Found::Unknown => {}
        }
        // A new message, whether it was asked for or not.
        let (catching_up, asked) = self.arrived(fx, rumor.id);
        if self.may_keep(fx, rumor) {
            let flooded = self.flood(fx, rumor, Some(from.link), catching_up);
            if let Some(send_now) = send_now {
                send_now(fx);
            }
            self.deliver(fx, from.node, rumor, flooded, catching_up);
        }
        // Last: the message has to be known before more is asked for, or it might be asked for
        // again.
        if let Some(asked) = asked {
            self.pump(fx, asked);
        }
    }

    /// Whether a new message is within the limits. If not, that is counted.
    fn may_keep(&mut self, fx: &mut Effects, rumor: &Rumor<'_>) -> bool {
        let limits = &fx.config.limits;
        if self.store.is_beyond_ranges(rumor.id, limits) {
            fx.counters.limit_ranges_refused += 1;
            return false;
        }
        if rumor.payload.len() > limits.text_bytes_max {
            // Known from now on, or every summary would bring it up again.
            fx.counters.dropped_oversize += 1;
            self.store.refuse(rumor.id);
            return false;
        }
        true
    }

    /// Records the first copy of a message, delivers it, and evicts others for it.
    fn deliver(
        &mut self,
        fx: &mut Effects,
        from: NodeId,
        rumor: &Rumor<'_>,
        flooded: Flooded,
        catching_up: bool,
    ) {
        self.record(fx, rumor, flooded);
        if self.tells_messages {
            let latency = fx.wall.since(rumor.sent_at).as_micros();
            fx.events.push(Event::Delivered {
                id: rumor.id,
                payload: rumor.payload.into(),
                from,
                hops: rumor.hops,
                latency_us: u64::try_from(latency).unwrap_or(u64::MAX),
            });
        }
        // A message that is not passed on is not on its way to the neighbours.
        if !catching_up {
            self.note_recent(fx, rumor.id);
        }
        self.evict(fx);
    }

    /// Records a message, and to which nodes copies of it went.
    fn record(&mut self, fx: &mut Effects, rumor: &Rumor<'_>, flooded: Flooded) {
        let (received_at, arrived, newest_link) = (fx.wall, fx.now, self.links.newest);
        let arrival = Arrival { rumor: *rumor, received_at, arrived, newest_link };
        let slot = self.store.insert(&arrival, flooded);
        fx.counters.delivered += 1;
        if !self.expect_back(fx, slot, LinkCopies::is_in_flight) {
            self.owe(slot);
        }
    }

    /// Passes a message on that is yet to be recorded.
    fn flood(
        &mut self,
        fx: &mut Effects,
        rumor: &Rumor<'_>,
        from: Option<LinkId>,
        catching_up: bool,
    ) -> Flooded {
        // A node that is catching up passes nothing on: summaries tell the neighbours.
        let newest = if catching_up { LinkId::NONE } else { self.links.newest };
        let links = self.links.ids_up_to(newest);
        let mut copies = Copies::default();
        // One allocation at most, however many links there are.
        copies.reserve(self.links.len());
        let mut copier = Copier::new(rumor, &self.links);
        let send = |link, is_first| copier.send(fx, link, is_first);
        match from {
            None => flood::start(&mut copies, links, send),
            Some(from) => {
                flood::receive(&mut copies, from, rumor.relays, links, send);
            }
        }
        Flooded { copies, sent: copier.sent, bytes: copier.bytes }
    }

    /// Passes on a later copy of a message, if that counts.
    fn flood_again(&mut self, fx: &mut Effects, rumor: &Rumor<'_>, slot: Slot, from: LinkId) {
        let Self { store, links, .. } = self;
        let mut copier = Copier::new(rumor, links);
        let mut first: SmallVec<[LinkId; 4]> = SmallVec::new();
        let outcome = store.update_at(slot, |record| {
            let acknowledged = record.acknowledges(from, rumor.repaired);
            // A node that became a neighbour later hears of it by repair, if at all.
            let older = links.ids_up_to(record.newest_link);
            let send = |link, is_first: bool| {
                copier.send(fx, link, is_first);
                // Seldom: a node that has just caught up passed nothing on before.
                first.extend(is_first.then_some(link));
            };
            // The limit of the first copy holds: a later copy may claim another.
            let counts = flood::receive(&mut record.copies, from, record.relays, older, send);
            // All others had as many copies as they may get. With that link they are all: the
            // duplicates to come need not look at any. A hub gets one from each neighbour.
            let is_full = |copies: &LinkCopies| copies.sent >= record.relays;
            if counts && copier.sent == 0 && record.copies.get(from).is_some_and(is_full) {
                record.newest_link = LinkId::NONE;
            }
            record.copies_sent += copier.sent;
            record.bytes_sent += copier.bytes;
            let paths_max = fx.config.limits.paths_max;
            let kept = record.note_copy(counts, rumor.hops, rumor.path, paths_max);
            (kept, acknowledged, record.in_flight_bytes())
        });
        let Some((kept, acknowledged, bytes)) = outcome else { return };
        fx.counters.limit_paths_dropped += u64::from(!kept);
        if let Some(since) = acknowledged {
            self.acknowledge(from, bytes, since.map(|since| fx.now.since(since)));
        }
        if !first.is_empty() {
            // In the order of ids, as the links are.
            self.expect_back(fx, slot, |copies| first.binary_search(&copies.link).is_ok());
        }
    }

    /// Evicts the oldest messages until all limits hold.
    pub(super) fn evict(&mut self, fx: &mut Effects) {
        while let Some(record) = self.store.evict(&fx.config.limits, &mut fx.counters) {
            self.forget_evicted(fx, &record);
        }
    }
}

/// Sends copies of one message, which are encoded once.
struct Copier<'a> {
    rumor: &'a Rumor<'a>,
    links: &'a Links,
    frame: Option<Encoded>,
    /// Copies sent, and their bytes.
    sent: u32,
    bytes: u64,
}

impl<'a> Copier<'a> {
    fn new(rumor: &'a Rumor<'a>, links: &'a Links) -> Self {
        Self { rumor, links, frame: None, sent: 0, bytes: 0 }
    }

    /// Sends one copy over a link: the first to a neighbour not known to have the message, or not.
    fn send(&mut self, fx: &mut Effects, link: LinkId, is_first: bool) {
        // Encoded with the first copy: a duplicate mostly goes nowhere.
        let frame = *self.frame.get_or_insert_with(|| fx.encode_onward(self.rumor));
        let bytes = frame.len() as u64;
        self.sent += 1;
        self.bytes += bytes;
        fx.counters.rumors_sent += 1;
        fx.counters.rumor_bytes_sent += bytes;
        match self.links.get(link).map(|record| record.link.node) {
            Some(to) if is_first => fx.outbox.put_first(to, frame),
            Some(to) => fx.outbox.put(to, frame),
            None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::datagram::wire::Frame;
    use crate::ids::link::LOOKED_AT;
    use crate::testing::inspect;
    use crate::testing::table::{Table, addr, number_of};
    use crate::time::Now;
    use crate::{MessageQuery, Outputs, Refused, Wall, Which};
    use proptest::prelude::*;
    use std::collections::BTreeMap;
    use std::time::Duration;

    const MOMENT: Duration = Duration::from_millis(100);

    /// The entries looked at in search of links for each copy of a message at a hub that has this
    /// many neighbours, each of which sends it one copy and gets one.
    fn looked_at_per_copy(degree: u32) -> u64 {
        let neighbours = 2..degree + 2;
        let links: Vec<(u32, u32)> = neighbours.clone().map(|neighbour| (1, neighbour)).collect();
        let mut table = Table::with_links(1, &links);
        LOOKED_AT.set(0);
        for neighbour in neighbours {
            let mut path = vec![];
            for node in [9_999, neighbour] {
                crate::datagram::path::push(&mut path, NodeId(node));
            }
            let (id, sent_at, payload) = (MessageId::new(9_999, 1, 1), Wall(1), &b"x"[..]);
            let rumor =
                Rumor { id, sent_at, relays: 1, repaired: false, hops: 2, path: &path, payload };
            table.feed(1, neighbour, &[Frame::Rumor(rumor)]);
        }
        let counters = table.node(1).status().counters;
        let copies = u64::from(degree);
        assert_eq!((counters.rumors_received, counters.rumors_sent), (copies, copies));
        assert_eq!(table.node(1).in_flight(), 0, "each copy acknowledges the one that went there");
        LOOKED_AT.take() / (2 * copies)
    }

    #[test]
    fn a_copy_costs_a_hub_hardly_more_the_more_neighbours_it_has() {
        let (few, many) = (looked_at_per_copy(64), looked_at_per_copy(1_024));
        println!("{few} and {many} entries looked at for each copy");
        assert!(few > 0 && many <= 2 * few, "{few} and {many}");
    }

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
        table.node(1).send(now, b"banana", 2).unwrap();
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
    fn a_message_that_came_alone_is_sent_on_before_it_is_delivered() {
        let mut table = Table::ring(3);
        table.run(MOMENT);
        let now = table.now();
        // The nodes that node 2 sends to at once, and later, when it gets this.
        let mut relayed = |from: u32, sequence| {
            let (id, path) = (MessageId::new(from, 1, sequence), [from as u8]);
            let (sent_at, payload) = (now.wall, &b"banana"[..]);
            let rumor =
                Rumor { id, sent_at, relays: 2, repaired: false, hops: 1, path: &path, payload };
            let bytes = table.sealed(2, from, &[Frame::Rumor(rumor)]);
            let (mut out, mut at_once) = (Outputs::default(), vec![]);
            table.node(2).receive_alone(now, addr(from).addr, &bytes, &mut out, &mut |out| {
                at_once.extend(out.datagrams().map(|(to, _)| number_of(to)));
                assert!(out.events.is_empty(), "it is not delivered before");
                out.clear_datagrams();
            });
            assert!(out.events.is_empty() && out.datagrams().next().is_none());
            table.node(2).flush(&mut out);
            let later: Vec<u32> = out.datagrams().map(|(to, _)| number_of(to)).collect();
            (at_once, later, out.events.len())
        };
        assert_eq!(relayed(1, 1), (vec![3], vec![], 1));
        assert_eq!(relayed(1, 1), (vec![], vec![3], 0), "nobody waits for a second copy");
        assert_eq!(relayed(3, 1), (vec![1], vec![], 1));
        assert_eq!((table.held(1), table.held(2)), (0, 2));
    }

    #[test]
    fn a_message_that_cannot_be_sent_is_refused_and_changes_nothing() {
        let mut table = Table::ring(3);
        let now = table.now();
        let long = "x".repeat(60_001);
        let node = table.node(1);
        assert_eq!(node.send(now, b"", 1), Err(Refused::Empty));
        assert_eq!(node.send(now, b"x", 0), Err(Refused::Relays { relays: 0 }));
        assert_eq!(node.send(now, b"x", 17), Err(Refused::Relays { relays: 17 }));
        let refused = Refused::TooLong { bytes: 60_001, bytes_max: 60_000 };
        assert_eq!(node.send(now, long.as_bytes(), 1), Err(refused));
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
            payload: text.as_bytes(),
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
            let (_, seen) = inspect::parse(bytes).unwrap();
            let text = frames.entry(number_of(to)).or_default();
            seen.iter().for_each(|frame| *text += &format!("{frame:?} "));
        }
        let events = std::mem::take(&mut out.events);
        out.clear();
        (frames, events)
    }

    proptest! {
        /// But for the datagrams that frames travel in.
        #[test]
        fn a_rumor_alone_in_its_datagram_has_the_same_effect_as_among_other_frames(
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
                    payload: b"banana",
                });
                let more = Frame::Have(vec![]);
                let frames = if is_alone { vec![rumor] } else { vec![rumor, more] };
                let [one, other] = &mut tables;
                let bytes = one.sealed(2, from, &frames);
                assert_eq!(other.sealed(2, from, &frames), bytes);
                one.now = one.now + Duration::from_millis(wait);
                let now = one.now();
                let (mut out, from) = (Outputs::default(), addr(from).addr);
                one.node(2).receive(now, from, &bytes);
                if ticks {
                    one.node(2).tick(now);
                }
                one.node(2).flush(&mut out);
                let expected = said(&mut out);
                other.node(2).receive_alone(now, from, &bytes, &mut out, &mut |_| ());
                if ticks {
                    other.node(2).tick(now);
                }
                other.node(2).flush(&mut out);
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
