//! Acknowledgement: what is in flight on each link, and asking about what did not come back.
//!
//! The copy that comes back over a link acknowledges its message there. A neighbour is asked by id
//! ([`Frame::Have`]) about a message that stays in flight for too long. It answers with
//! [`Frame::Got`] or [`Frame::Want`], and is asked again while it lives.

use std::time::Duration;

use super::Broadcast;
use super::copies::LinkCopies;
use super::repair::{GRAIN, IDS_PER_FRAME_MAX};
use super::store::{Found, Record, Slot};
use crate::config::Timing;
use crate::datagram::wire::Frame;
use crate::effects::Effects;
use crate::ids::MessageId;
use crate::ids::link::{Link, LinkId, Sender};
use crate::ids::set::{self, IdRange};
use crate::time::Monotonic;
use crate::time::timers::{Due, back_off};

/// A repeated question covers all messages that are due within this time: few frames about many
/// messages each, instead of one for each message.
const ASK_AHEAD: Duration = Duration::from_millis(20);

impl Broadcast {
    /// Notes that first copies of a message that is held went out over some links.
    pub(super) fn expect_back(
        &mut self,
        fx: &Effects,
        slot: Slot,
        went_out: impl Fn(&LinkCopies) -> bool,
    ) {
        let Some(record) = self.store.at(slot) else { return };
        let (message, timing) = ((slot, record.in_flight_bytes()), &fx.config.timing);
        for copies in record.copies.iter().filter(|copies| went_out(copies)) {
            let Some(at) = self.links.expect(copies.link, fx.now, message, timing) else { continue };
            // A grain later, so that messages sent in a row are asked about together.
            self.ack_due.at(at + GRAIN);
        }
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
        let known = self.store.known();
        // Known is enough: a message that is gone will not be taken in again, and needs no more
        // questions.
        let got = ranges.iter().flat_map(|range| known.common_with(*range));
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
            }
        }
        // What was noted takes memory.
        self.evict(fx);
    }

    /// A neighbour lacks what was sent to it. Where loss leaves nothing to measure the link by,
    /// waiting that long was in vain: assume less.
    pub(super) fn learn_from_loss(&mut self, timing: &Timing, from: Sender, ranges: &[IdRange]) {
        // One id is enough: a request lowers the assumed time once, however many messages it
        // names.
        let id =
            ranges.first().map(|range| MessageId { origin: range.origin, sequence: range.first });
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
    use crate::testing::table::Table;
    use crate::time::Wall;
    use std::sync::Arc;

    const SECOND: Duration = Duration::from_secs(1);
    const STAR: [(u32, u32); 4] = [(1, 2), (1, 3), (1, 4), (1, 5)];

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
        let arrival = Arrival {
            payload: b"banana",
            sent_at: Wall(1),
            received_at: Wall(1),
            arrived: Monotonic(1),
            relays: 1,
            repaired: true,
            newest_link: LinkId(4),
            hops: 1,
            path: &[9],
        };
        let id = MessageId::new(9, 1, 1);
        for sequence in 1..=100 {
            let id = MessageId { sequence, ..id };
            table.node(1).broadcast.store.insert(id, &arrival, Default::default());
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
