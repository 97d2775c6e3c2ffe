//! Acknowledgement: what is in flight on each link, and asking about what did not come back.
//!
//! The copy that comes back over a link acknowledges its message there. A node that sends none back
//! acknowledges by id ([`Frame::Got`]) with its next flush: a leaf at once, any other node of a tree
//! once all behind it did. A neighbour is asked by id ([`Frame::Have`]) about a message that stays in
//! flight for too long. It answers with [`Frame::Got`] or [`Frame::Want`], and is asked again while
//! it lives.

use std::time::Duration;

use super::Broadcast;
use super::copies::LinkCopies;
use super::repair::{GRAIN, IDS_PER_FRAME_MAX};
use super::store::{Found, Record, Slot};
use crate::config::Timing;
use crate::datagram::wire::Frame;
use crate::effects::Effects;
use crate::ids::MessageId;
use crate::ids::link::{Link, LinkId, LinkState, Sender};
use crate::ids::set::{self, IdRange};
use crate::time::Monotonic;
use crate::time::timers::{Due, back_off};

/// A repeated question covers all messages that are due within this time: few frames about many
/// messages each, instead of one for each message.
const ASK_AHEAD: Duration = Duration::from_millis(20);

impl Broadcast {
    /// Notes that first copies of a message that is held went out over some links; says whether
    /// any of them went to a living neighbour.
    pub(super) fn expect_back(
        &mut self,
        fx: &Effects,
        slot: Slot,
        went_out: impl Fn(&LinkCopies) -> bool,
    ) -> bool {
        let Some(record) = self.store.at(slot) else { return false };
        let (message, timing) = ((slot, record.in_flight_bytes()), &fx.config.timing);
        let mut to_the_living = false;
        for copies in record.copies.iter().filter(|copies| went_out(copies)) {
            let expected = self.links.expect(copies.link, fx.now, message, timing);
            let Some((link, at)) = expected else { continue };
            // A grain later, so that messages sent in a row are asked about together.
            self.ack_due.at(at + GRAIN);
            to_the_living |= link.state == LinkState::Alive;
        }
        to_the_living
    }

    /// Notes that the node at the other end of `link` has a message of this many bytes that was
    /// sent to it. Only a copy that the flood alone brought back tells how long that takes.
    pub(super) fn acknowledge(&mut self, link: LinkId, bytes: u64, after: Option<Duration>) {
        let Some(record) = self.links.acknowledged(link, bytes) else { return };
        if let Some(sample) = after {
            record.in_flight.measure(sample);
        }
        // With nothing in flight on any link no timer needs to run.
        if self.links.in_flight == 0 {
            self.ack_due = Due::default();
        }
    }

    /// Owes an acknowledgement of a message to the neighbour that it came from, if no copy went back
    /// there and none will: while a living neighbour has yet to acknowledge the message, a copy may
    /// come from there and lead to one. So on a tree acknowledgements run from the leaves to the
    /// origin. Where every node has two ways to every other, none is owed.
    pub(super) fn owe(&mut self, slot: Slot) {
        let Self { store, links, owed, .. } = self;
        let alive = |link| {
            let link = links.get(link)?.link;
            (link.state == LinkState::Alive).then_some(link.node)
        };
        let waits = store.update_at(slot, |record| record.waits(|link| alive(link).is_some()));
        let Some(record) = store.at(slot).filter(|_| waits == Some(false)) else { return };
        let upstream =
            record.copies.iter().filter(|copies| copies.received > 0 && copies.sent == 0);
        owed.extend(upstream.filter_map(|copies| Some((alive(copies.link)?, record.id))));
    }

    /// Sends the acknowledgements that are owed. Due before each flush.
    pub(crate) fn send_owed(&mut self, fx: &mut Effects) {
        // Sorted, so that those to one neighbour stand together.
        self.owed.sort_unstable();
        for owed in self.owed.chunk_by(|a, b| a.0 == b.0) {
            for part in owed.chunks(IDS_PER_FRAME_MAX) {
                let ids = part.iter().map(|(_, id)| *id).collect();
                fx.send(owed[0].0, &Frame::Got(set::to_ranges(ids)));
            }
        }
        self.owed.clear();
    }

    /// Forgets the copies of an evicted message that are in flight.
    pub(super) fn forget_evicted(&mut self, fx: &mut Effects, record: &Record) {
        let mut too_early = false;
        for copies in record.copies.iter().filter(|copies| copies.is_in_flight()) {
            // An evicted message can be neither asked about nor sent again, so nothing waits for
            // it.
            let link = self.links.acknowledged(copies.link, record.in_flight_bytes());
            too_early |= link.is_some_and(|link| link.is_awaited());
        }
        // A neighbour may lack it for good now: more was taken in than it could follow.
        if too_early {
            fx.counters.limit_in_flight_evicted += 1;
            self.hold_back_for_a_moment(fx.now);
        }
    }

    /// Asks neighbours about messages that did not come back in time. A suspected neighbour is not
    /// asked: it is probed, and asked once it is heard of.
    pub(super) fn ask_about_in_flight(&mut self, fx: &mut Effects) {
        self.links.forget_evicted(|slot| self.store.at(slot).is_none());
        let alive: Vec<Link> = self.links.alive().collect();
        for link in alive {
            let ids = self.overdue(&fx.config.timing, fx.now, link);
            if !ids.is_empty() {
                fx.counters.haves_sent += 1;
                fx.send(link.node, &Frame::Have(set::to_ranges(ids)));
            }
        }
        // The same tick sees how far the slowest neighbour lags behind.
        self.hold_back(fx);
    }

    /// Takes out the messages that the neighbour at the other end of a link is to be asked about now.
    fn overdue(&mut self, timing: &Timing, now: Monotonic, link: Link) -> Vec<MessageId> {
        let Self { links, store, exchanges, ack_due, .. } = self;
        let peer = exchanges.get(&link.node);
        let answer_time = peer.map_or(Duration::ZERO, |peer| peer.answer_time);
        let Some(record) = links.get_mut(link.id) else { return Vec::new() };
        let (link, sent) = (link.id, &mut record.in_flight);
        // Queues are not searched when a message is acknowledged or evicted: its entry is found
        // stale here.
        let in_flight = |record: Option<&Record>| {
            let record = record?;
            record.copies.get(link).is_some_and(LinkCopies::is_in_flight).then_some(record.id)
        };
        let (mut ids, mut retries, mut again_until) = (Vec::new(), Vec::new(), now);
        while ids.len() < IDS_PER_FRAME_MAX {
            // First repeated questions: their messages have waited for longest. Then first
            // questions, in the order in which the messages were sent.
            let again = sent.retries.first_key_value().filter(|((at, _), _)| *at <= again_until);
            let (overdue, attempts) = if let Some((&(at, id), &attempts)) = again {
                sent.retries.remove(&(at, id));
                (in_flight(store.get(id)), attempts)
            } else if sent.pending.front().is_some_and(|(at, _)| *at <= now) {
                let Some((_, slot)) = sent.pending.pop_front() else { break };
                (in_flight(store.at(slot)), 0)
            } else {
                break;
            };
            if let Some(id) = overdue {
                ids.push(id);
                // A question goes out in any case, so repeated ones that are due soon join it.
                again_until = now + ASK_AHEAD;
                // Longer than the neighbour takes to send what it is asked for.
                let first = timing.ack_retry_min.max(answer_time * 3 / 2);
                let wait = back_off(first, attempts).min(timing.ack_retry_max);
                retries.push(((now + wait, id), attempts.saturating_add(1)));
            }
        }
        // Not within the loop: a short wait may end within `ASK_AHEAD`, and the loop would ask
        // twice.
        sent.retries.extend(retries);
        // Messages acknowledged meanwhile leave the front of the queue: they need not wake the
        // node.
        while sent.pending.front().is_some_and(|(_, slot)| in_flight(store.at(*slot)).is_none()) {
            sent.pending.pop_front();
        }
        let first = sent.pending.front().map(|(at, _)| *at);
        let again = sent.retries.first_key_value().map(|((at, _), _)| *at);
        for at in first.into_iter().chain(again) {
            ack_due.at(at.max(now) + GRAIN);
        }
        ids
    }

    /// A peer has these, and asks whether this node has them.
    pub(crate) fn on_have(&mut self, fx: &mut Effects, from: Sender, ranges: &[IdRange]) {
        // The node that asks has these messages, so the question acknowledges them as well.
        self.on_got(fx, from, ranges);
        let (known, limits) = (self.store.known(), &fx.config.limits);
        // Known is enough: a message that is gone will not be taken in again, and needs no more
        // questions. Nor does one that is refused whenever it comes.
        let refused = |part: &IdRange| self.store.is_beyond_ranges(part.first_id(), limits);
        let got = ranges.iter().flat_map(|range| {
            let missing = known.missing_in(*range).take(IDS_PER_FRAME_MAX);
            known.common_with(*range).chain(missing.filter(refused))
        });
        let got: Vec<IdRange> = got.take(IDS_PER_FRAME_MAX).collect();
        self.take_offer(fx, from.node, ranges);
        if !got.is_empty() {
            fx.send(from.node, &Frame::Got(got));
        }
        self.pump(fx, from.node);
    }

    /// A peer has these: acknowledges all of them on the link to it.
    pub(crate) fn on_got(&mut self, fx: &mut Effects, from: Sender, ranges: &[IdRange]) {
        let held = self.store.held();
        // Bounded by messages held: a forged range may name 2⁶⁴ − 1 ids.
        let ids: Vec<MessageId> =
            ranges.iter().flat_map(|range| held.known_in(*range)).take(IDS_PER_FRAME_MAX).collect();
        let is_up = self.links.get(from.link).is_some();
        for id in ids {
            let Found::Held(slot) = self.store.find(id) else { continue };
            let acknowledged = self.store.update_at(slot, |record| {
                // Noted only where a copy went or may go: anybody may be made up to say this.
                if record.copies.get(from.link).is_none()
                    && !(is_up && from.link <= record.newest_link)
                {
                    return None;
                }
                let copies = record.copies.on(from.link);
                let was_in_flight = copies.is_in_flight();
                copies.acknowledged = true;
                was_in_flight.then(|| record.in_flight_bytes())
            });
            if let Some(Some(bytes)) = acknowledged {
                // No sample: an answer says nothing about how fast the flood comes back.
                self.acknowledge(from.link, bytes, None);
                self.owe(slot);
            }
        }
        // The notes take memory.
        self.evict(fx);
    }

    /// A neighbour lacks what was sent to it. Where loss leaves nothing to measure the link by,
    /// waiting that long was in vain: assume less.
    pub(super) fn learn_from_loss(&mut self, timing: &Timing, from: Sender, ranges: &[IdRange]) {
        // One id is enough: a request lowers the assumed time once, however many messages it
        // names.
        let id = ranges.first().map(IdRange::first_id);
        let copies = id.and_then(|id| self.store.get(id)?.copies.get(from.link));
        let was_sent = copies.is_some_and(|copies| copies.sent > 0);
        let Some(record) = self.links.get_mut(from.link).filter(|_| was_sent) else { return };
        // A measured time beats a guess.
        if record.in_flight.smoothed.is_none() {
            let assumed = record.in_flight.assumed.unwrap_or(timing.ack_time_initial);
            record.in_flight.assumed = Some(assumed * 3 / 4);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broadcast::store::Arrival;
    use crate::datagram::wire::Rumor;
    use crate::ids::NodeId;
    use crate::node::Node;
    use crate::report::Event;
    use crate::testing::table::Table;
    use crate::time::Wall;
    use std::sync::Arc;

    const SECOND: Duration = Duration::from_secs(1);
    /// Shorter than any time after which a node asks about a message.
    const MOMENT: Duration = Duration::from_millis(20);
    const LINE: [(u32, u32); 4] = [(1, 2), (2, 3), (3, 4), (4, 5)];
    const STAR: [(u32, u32); 4] = [(1, 2), (1, 3), (1, 4), (1, 5)];

    fn in_flight(table: &mut Table) -> u64 {
        let nodes = 1..=u32::try_from(table.nodes.len()).unwrap();
        nodes.map(|node| table.nodes[node as usize - 1].as_ref().map_or(0, Node::in_flight)).sum()
    }

    #[test]
    fn a_tree_acknowledges_from_its_leaves_to_the_origin_and_nobody_asks() {
        let ways = [(2, &LINE[..1], 1), (5, &STAR, 1), (5, &STAR, 3), (5, &LINE, 1), (5, &LINE, 3)];
        for (nodes, links, origin) in ways {
            let mut table = Table::with_links(nodes, links);
            table.run(SECOND);
            // More than one frame acknowledges.
            for _ in 0..2_000 {
                table.send(origin, "banana");
            }
            table.run(MOMENT);
            let asked = table.count(|c| c.haves_sent);
            assert_eq!((in_flight(&mut table), asked), (0, 0), "{origin} of {links:?}");
        }
    }

    #[test]
    fn where_each_node_has_two_ways_copies_alone_acknowledge() {
        let mut table = Table::ring(5);
        table.run(SECOND);
        table.passes = Box::new(|_, _, frames| {
            assert!(!frames.iter().any(|frame| matches!(frame, Frame::Got(_))));
            true
        });
        for node in 1..=5 {
            table.send(node, "banana");
        }
        table.run(SECOND);
        assert_eq!(in_flight(&mut table), 0);
    }

    #[test]
    fn a_suspected_leaf_holds_up_no_acknowledgement_of_the_nodes_before_it() {
        let mut table = Table::with_links(3, &LINE[..2]);
        table.run(SECOND);
        table.kill(3);
        let suspected = Event::PeerSuspected { node: NodeId(3) };
        while table.told(|_, event| *event == suspected) == 0 {
            table.run(MOMENT);
        }
        table.send(1, "banana");
        table.run(MOMENT);
        assert_eq!(table.node(1).in_flight(), 0);
    }

    #[test]
    fn an_acknowledgement_that_is_lost_is_asked_for() {
        let mut table = Table::with_links(2, &LINE[..1]);
        table.run(SECOND);
        let mut lost = 0;
        table.passes = Box::new(move |_, _, frames| {
            let acknowledges = frames.iter().any(|frame| matches!(frame, Frame::Got(_)));
            lost += u32::from(acknowledges);
            !acknowledges || lost > 1
        });
        table.send(1, "banana");
        table.run(MOMENT);
        assert_eq!(table.node(1).in_flight(), 1);
        table.run(SECOND);
        assert_eq!((table.node(1).in_flight(), table.count(|c| c.haves_sent)), (0, 1));
    }

    #[test]
    fn acknowledgements_from_made_up_senders_take_no_memory() {
        let mut table = Table::ring(3);
        table.run(SECOND);
        let id = table.send(1, "banana");
        table.run(SECOND);
        let bytes = table.node(1).status().retained_bytes;
        for sender in 10..4_010 {
            table.feed(1, sender, &[Frame::Got(vec![IdRange::one(id)])]);
        }
        assert_eq!(table.node(1).status().retained_bytes, bytes);
    }

    /// Messages that a node fetched went over none of its links.
    #[test]
    fn acknowledgements_of_messages_that_were_fetched_stay_within_the_limit_of_bytes() {
        let mut table = Table::with_links(5, &STAR);
        table.run(SECOND);
        let (id, sent_at, payload) = (MessageId::new(9, 1, 1), Wall(1), &b"banana"[..]);
        let rumor = Rumor { id, sent_at, relays: 1, repaired: true, hops: 1, path: &[9], payload };
        for sequence in 1..=100 {
            let rumor = Rumor { id: MessageId { sequence, ..id }, ..rumor };
            let (received_at, arrived, newest_link) = (Wall(1), Monotonic(1), LinkId(4));
            let arrival = Arrival { rumor, received_at, arrived, newest_link };
            table.node(1).broadcast.store.insert(&arrival, Default::default());
        }
        let all = IdRange { more: 99, ..IdRange::one(id) };
        let bytes = table.node(1).broadcast.store.bytes;
        Arc::make_mut(&mut table.node(1).fx.config.limits).retained_bytes_max = bytes;
        for neighbour in 2..=5 {
            table.feed(1, neighbour, &[Frame::Got(vec![all])]);
        }
        assert!(table.node(1).broadcast.store.bytes <= bytes);
    }
}
