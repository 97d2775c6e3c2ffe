//! The relay path: from a copy that comes in, or a text handed in, to the copies that go out.
//!
//! No timer and no round stands in between; what `repair` needs to know is noted on the way.

use std::cell::Cell;

use super::flood::{self, LinkId};
use super::message::{MessageId, NodeId, Origin};
use super::outbox::{self, Encoded};
use super::repair::Arrived;
use super::report::{Event, Refused};
use super::store::{self, Arrival, EvictedBy, Found, Kept, Slot};
use super::time::Now;
use super::wire::{Frame, Rumor};
use super::{Node, RELAYS_MAX};

impl Node {
    /// Accepts a message for all nodes, to be passed on in up to `relays` copies a link. From
    /// now on it is delivered to whoever can be reached.
    ///
    /// # Errors
    ///
    /// [`Refused`] says why not; nothing changed then but a counter.
    pub fn send(&mut self, now: Now, text: &str, relays: u8) -> Result<MessageId, Refused> {
        if let Err(refused) = self.check(text, relays) {
            self.counters.limit_text_refused +=
                u64::from(matches!(refused, Refused::TooLong { .. }));
            return Err(refused);
        }
        let id = self.next_id();
        let slot = self.store.insert(
            id,
            &Arrival {
                text,
                sent_at: now.wall,
                received_at: now.wall,
                arrived: now.monotonic,
                relays,
                repaired: false,
                newest_link: self.peers.newest_link(),
                hops: 0,
                path: &[],
            },
        );
        self.counters.accepted += 1;
        self.counters.delivered += 1;
        self.room.note(store::settling_bytes(text.len()));
        if self.tells_messages {
            self.events.push(Event::Accepted { id, text: text.into() });
        }
        let rumor =
            Rumor { id, sent_at: now.wall, relays, repaired: false, hops: 0, path: &[], text };
        self.note_recent(now, id);
        self.pass_on(now, &rumor, slot, None, Arrived::Pushed);
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
    pub(super) fn on_rumor(&mut self, now: Now, from: NodeId, rumor: &Rumor<'_>) {
        self.counters.rumors_received += 1;
        let Some(link) = self.peers.get(from).map(|peer| peer.link) else { return };
        match self.store.find(rumor.id) {
            Found::Held(slot) => {
                self.counters.rumors_duplicate += 1;
                self.pass_on(now, rumor, slot, Some(link), Arrived::Pushed);
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
            let slot = self.deliver(now, from, rumor);
            if arrived != Arrived::InBulk {
                self.note_recent(now, rumor.id);
            }
            self.pass_on(now, rumor, slot, Some(link), arrived);
            self.evict(now);
        }
        if let Some(asked) = asked {
            self.pump(now, asked);
        }
    }

    /// Records the first copy of a message and hands it up.
    fn deliver(&mut self, now: Now, from: NodeId, rumor: &Rumor<'_>) -> Slot {
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
        );
        self.counters.delivered += 1;
        if !self.tells_messages {
            return slot;
        }
        let latency = now.wall.since(rumor.sent_at).as_micros();
        self.events.push(Event::Delivered {
            id: rumor.id,
            text: rumor.text.into(),
            from,
            hops: rumor.hops,
            latency_us: u64::try_from(latency).unwrap_or(u64::MAX),
        });
        slot
    }

    /// Sends copies of a message held to whoever may get one, now that a copy came in over
    /// `from`, or that it starts here.
    fn pass_on(
        &mut self,
        now: Now,
        rumor: &Rumor<'_>,
        slot: Slot,
        from: Option<LinkId>,
        arrived: Arrived,
    ) {
        let Self { store, peers, outbox, path, fresh, config, counters, .. } = self;
        let mut frame: Option<Encoded> = None;
        let (sent, bytes) = (Cell::new(0), Cell::new(0));
        fresh.clear();
        let mut send = |link: LinkId, is_first: bool| {
            let frame = *frame.get_or_insert_with(|| {
                let limits = &config.limits;
                let text_bytes = rumor.text.len();
                let nodes_max = limits.path_nodes_max;
                let cut = outbox::extend_path(rumor.path, config.node, text_bytes, nodes_max, path);
                if cut {
                    counters.limit_paths_cut += 1;
                }
                let hops = rumor.hops.saturating_add(1);
                outbox.encode(&Frame::Rumor(Rumor { hops, path, ..*rumor }))
            });
            sent.set(sent.get() + 1);
            bytes.set(bytes.get() + frame.len() as u64);
            if is_first {
                fresh.push(link);
            }
            match peers.addr_of(link) {
                Some(to) if is_first => outbox.put_first(to, frame),
                Some(to) => outbox.put(to, frame),
                None => {}
            }
        };
        // Who is catching up passes nothing on: summaries tell the neighbours.
        let links = if arrived == Arrived::InBulk { &[][..] } else { peers.links() };
        let paths_max = config.limits.paths_max;
        let outcome = store.update_at(slot, |record| {
            record.copies.reserve(peers.links().len());
            let Some(from) = from else {
                flood::start(&mut record.copies, links, &mut send);
                record.copies_sent += sent.get();
                record.bytes_sent += bytes.get();
                return (Kept::Yes, None);
            };
            let settled = record.settles(from, rumor.repaired);
            let spare = arrived != Arrived::Pushed;
            let older = links.iter().copied().filter(|link| *link <= record.newest_link);
            let counts =
                flood::receive(&mut record.copies, from, record.relays, older, spare, &mut send);
            record.copies_sent += sent.get();
            record.bytes_sent += bytes.get();
            (record.note_copy(counts, rumor.hops, rumor.path, paths_max), settled)
        });
        counters.rumors_sent += u64::from(sent.get());
        counters.rumor_bytes_sent += bytes.get();
        let (kept, settled) = outcome.unwrap_or((Kept::Yes, None));
        if kept == Kept::No {
            counters.limit_paths_dropped += 1;
        }
        let bytes = store::settling_bytes(rumor.text.len());
        if let (Some(from), Some(since)) = (from, settled) {
            self.settle(from, bytes, since.map(|since| now.monotonic.since(since)));
        }
        self.expect_back(now, (slot, bytes));
    }

    /// Makes room for what came in.
    fn evict(&mut self, now: Now) {
        while let Some((by, record)) = self.store.evict(&self.config.limits) {
            self.unsettle_evicted(now, &record);
            let counter = match by {
                EvictedBy::Messages => &mut self.counters.limit_messages_evicted,
                EvictedBy::Bytes => &mut self.counters.limit_bytes_evicted,
            };
            *counter += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::Table;
    use super::super::{Event, MessageQuery, Which};
    use super::*;
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
        super::super::path::push(&mut path, NodeId(3));
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
}
