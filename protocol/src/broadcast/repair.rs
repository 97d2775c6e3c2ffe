//! Repair of what a flood lost, message by message and link by link.
//!
//! The copy that comes back over a link settles its message there. What stays in_flight for too
//! long is asked about by id ([`Frame::Have`]), answered by [`Frame::Got`] or [`Frame::Want`],
//! and asked about again while the neighbour lives. Who lacks a message asks one peer at a time
//! for it, and gets it as a rumor that is marked as repaired. What this does not catch, the
//! comparison of summaries does: see `reconcile`.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use smallvec::SmallVec;

use crate::Node;
use crate::broadcast::store::{Record, Slot};
use crate::broadcast::strategy::flood::{LinkCopies, LinkId};
use crate::datagram::wire::{Frame, Rumor};
use crate::ids::set::{self, IdRange};
use crate::ids::{MessageId, NodeId, PeerAddr};
use crate::membership::peers::{Peer, Standing};
use crate::rare::Nothing;
use crate::time::timers::{Due, back_off};
use crate::time::{Monotonic, Now};

/// The most ids asked about, or looked at for one frame, in one go.
const IDS_PER_FRAME_MAX: usize = 1_024;
/// A message is asked for so many times before the next summary has to bring it up again.
const WANT_ATTEMPTS_MAX: u8 = 10;
/// Timers of single messages are kept this coarse, so that a busy node ticks seldom.
const GRAIN: Duration = Duration::from_millis(5);
/// When a neighbour is asked about messages again, then about all that are due within this time:
/// a few questions about many messages instead of one each.
const ASK_AHEAD: Duration = Duration::from_millis(20);
/// With more messages missing than this, a node is catching up, and does not pass on what it gets.
const BULK: usize = 64;

/// What a node does about missing messages.
#[derive(Debug, Default)]
pub(crate) struct Repair {
    /// Messages asked for.
    wanted: BTreeMap<MessageId, Wanted>,
    /// Messages to be sent because they were asked for, in order; each once per peer.
    replies: VecDeque<(NodeId, MessageId)>,
    queued: BTreeSet<(NodeId, MessageId)>,
    /// No further reply before this time.
    replies_from: Monotonic,
    /// So much was missing that nothing of it is passed on until all of it is here.
    catching_up: bool,
}

/// A message asked for.
#[derive(Debug)]
struct Wanted {
    asked: NodeId,
    /// When it was asked for at first, and at last, and when to ask again.
    since: Monotonic,
    at: Monotonic,
    until: Monotonic,
    attempts: u8,
    /// Others that have it.
    others: SmallVec<[NodeId; 2]>,
}

/// What the relay path has to know of the peer and message it handles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arrived {
    /// Nobody asked for it.
    Pushed,
    /// It was asked for, alone or among few.
    Asked,
    /// It was asked for among many.
    CatchingUp,
}

impl Nothing for Repair {
    const NOTHING: &'static Self = &Self {
        wanted: BTreeMap::new(),
        replies: VecDeque::new(),
        queued: BTreeSet::new(),
        replies_from: Monotonic(0),
        catching_up: false,
    };
}

impl Repair {
    /// How many messages are asked for, wait to be sent, and are noted as waiting.
    pub(crate) fn sizes(&self) -> (usize, usize, usize) {
        (self.wanted.len(), self.replies.len(), self.queued.len())
    }
}

impl Node {
    /// How many messages are known to exist and not here yet.
    pub(crate) fn missing(&self) -> u64 {
        // Whoever makes up offers may well make up more than there are numbers.
        let sum = |sum: u64, range: IdRange| sum.saturating_add(range.more).saturating_add(1);
        let offered = |peer: &Peer| peer.exchange.offers.ids().iter().fold(0, sum);
        let offered = self.peers.iter().map(offered).max().unwrap_or(0);
        offered.saturating_add(self.repair.wanted.len() as u64)
    }

    /// Notes that first copies of a message that is held went out over some links.
    pub(crate) fn expect_back(
        &mut self,
        now: Now,
        slot: Slot,
        went_out: impl Fn(&LinkCopies) -> bool,
    ) {
        let Self { store, peers, config, ack_due, .. } = self;
        let Some(record) = store.at(slot) else { return };
        let bytes = record.in_flight_bytes();
        for copies in record.copies.iter().filter(|copies| went_out(copies)) {
            let Some(peer) = peers.by_link(copies.link) else { continue };
            ack_due.at(peer.in_flight.expect(now, slot, bytes, &config.timing) + GRAIN);
        }
    }

    /// Notes that the peer at the other end of `link` turned out to have a message of so many
    /// bytes that was sent to it. A copy that came back by the flood alone tells how long that takes on this link.
    pub(crate) fn acknowledge(
        &mut self,
        link: LinkId,
        bytes: u64,
        came_back_after: Option<Duration>,
    ) {
        let Some(peer) = self.peers.by_link(link) else { return };
        peer.in_flight.acknowledged(bytes);
        if let Some(sample) = came_back_after {
            let smoothed = peer.in_flight.smoothed.unwrap_or(sample);
            // As TCP does with round trips (RFC 6298): one eighth of what is new.
            peer.in_flight.smoothed = Some((smoothed * 7 + sample) / 8);
        }
        if peer.in_flight.messages == 0 && !self.peers.any_in_flight() {
            self.ack_due = Due::never();
        }
    }

    /// Forgets the copies of an evicted message that were not acknowledged.
    pub(crate) fn forget_evicted(&mut self, now: Now, record: &Record) {
        let mut too_early = false;
        for copies in record.copies.iter().filter(|copies| copies.is_in_flight()) {
            if let Some(peer) = self.peers.by_link(copies.link) {
                peer.in_flight.acknowledged(record.in_flight_bytes());
                too_early |= peer.is_awaited();
            }
        }
        if too_early {
            self.evicted_too_early(now);
        }
    }

    /// Asks neighbours about messages that did not come back in time. Not those that are silent
    /// themselves: they are waited for, or probed, and asked when they are heard of.
    pub(crate) fn ask_about_in_flight(&mut self, now: Now) {
        let alive = self.peers.iter().filter(|peer| peer.standing == Standing::Alive);
        let alive: SmallVec<[NodeId; 8]> = alive.map(|peer| peer.addr.node).collect();
        for node in alive {
            let ids = self.overdue(now.monotonic, node);
            let Some(peer) = self.peers.get(node).filter(|_| !ids.is_empty()) else { continue };
            self.counters.haves_sent += 1;
            self.outbox.send(peer.addr, &Frame::Have(set::to_ranges(ids)));
        }
        self.hold_back(now);
    }

    /// Takes out the messages that a neighbour is to be asked about now.
    fn overdue(&mut self, now: Monotonic, node: NodeId) -> Vec<MessageId> {
        let Self { peers, store, config, ack_due, .. } = self;
        let Some(peer) = peers.get_mut(node) else { return Vec::new() };
        let answer_time = peer.exchange.answer_time;
        let (link, sent) = (peer.link, &mut peer.in_flight);
        let in_flight = |record: Option<&Record>| {
            let record = record?;
            record.copies.get(link).is_some_and(LinkCopies::is_in_flight).then_some(record.id)
        };
        let mut ids = Vec::new();
        let (mut again_until, mut retries) = (now, Vec::new());
        while ids.len() < IDS_PER_FRAME_MAX {
            let again = sent.losses.retries.first_key_value();
            let again = again.filter(|((at, _), _)| *at <= again_until);
            let (overdue, attempts) = if let Some((&(at, id), &attempts)) = again {
                sent.losses.retries.remove(&(at, id));
                (in_flight(store.get(id)), attempts)
            } else if sent.pending.front().is_some_and(|(at, _)| *at <= now) {
                let Some((_, slot)) = sent.pending.pop_front() else { break };
                (in_flight(store.at(slot)), 0)
            } else {
                break;
            };
            if let Some(id) = overdue {
                ids.push(id);
                again_until = now + ASK_AHEAD;
                let first = config.timing.ack_retry_min.max(answer_time * 3 / 2);
                let wait = back_off(first, attempts).min(config.timing.ack_retry_max);
                retries.push(((now + wait, id), attempts.saturating_add(1)));
            }
        }
        // Not before: what was just asked about may be due again within that time.
        if !retries.is_empty() {
            sent.losses.retries.extend(retries);
        }
        // What acknowledged meanwhile need not wake anybody.
        while sent.pending.front().is_some_and(|(_, slot)| in_flight(store.at(*slot)).is_none()) {
            sent.pending.pop_front();
        }
        let first = sent.pending.front().map(|(at, _)| *at);
        let again = sent.losses.retries.first_key_value().map(|((at, _), _)| *at);
        for at in first.into_iter().chain(again) {
            ack_due.at(at.max(now) + GRAIN);
        }
        ids
    }

    /// A peer has these, and wonders whether this node does.
    pub(crate) fn on_have(&mut self, now: Now, from: NodeId, ranges: &[IdRange]) {
        self.acknowledge_all(from, ranges);
        let known = self.store.known();
        let got = ranges.iter().flat_map(|range| known.common_with(*range));
        let got: Vec<IdRange> = got.take(IDS_PER_FRAME_MAX).collect();
        self.take_offer(from, ranges);
        if let Some(peer) = self.peers.get(from).filter(|_| !got.is_empty()) {
            self.outbox.send(peer.addr, &Frame::Got(got));
        }
        self.pump(now, from);
    }

    /// A peer has these.
    pub(crate) fn on_got(&mut self, from: NodeId, ranges: &[IdRange]) {
        self.acknowledge_all(from, ranges);
    }

    /// Settles all messages in these ranges on the link to a peer.
    fn acknowledge_all(&mut self, from: NodeId, ranges: &[IdRange]) {
        let Some(link) = self.peers.get(from).map(|peer| peer.link) else { return };
        let held = self.store.held();
        let ids: Vec<MessageId> =
            ranges.iter().flat_map(|range| held.known_in(*range)).take(IDS_PER_FRAME_MAX).collect();
        for id in ids {
            let acknowledged = self.store.update(id, |record| {
                let copies = record.copies.on(link);
                let settles = copies.is_in_flight();
                copies.acknowledged = true;
                settles.then(|| record.in_flight_bytes())
            });
            if let Some(Some(bytes)) = acknowledged {
                self.acknowledge(link, bytes, None);
            }
        }
    }

    /// Notes what a peer has and this node lacks; says whether there was anything. However wide
    /// the ranges and however ragged what is known, this takes a bounded number of steps.
    pub(crate) fn take_offer(&mut self, from: NodeId, ranges: &[IdRange]) -> bool {
        let Some(peer) = self.peers.get_mut(from) else { return false };
        let ranges_max = self.config.limits.id_ranges_max;
        let known = self.store.known();
        let mut any = false;
        let missing = ranges.iter().flat_map(|range| known.missing_in(*range));
        for part in missing.take(ranges_max) {
            any = true;
            if peer.exchange.offers.ranges() >= ranges_max {
                self.counters.limit_ranges_refused += 1;
                break;
            }
            let last = part.first.saturating_add(part.more);
            peer.exchange.offers.insert_range(part.origin, part.first, last);
        }
        any
    }

    /// Asks a peer for as many of the messages it has to offer as may be under way at a time.
    pub(crate) fn pump(&mut self, now: Now, from: NodeId) {
        let wanted_max = self.config.limits.wanted_per_peer_max;
        let want_timeout = self.config.timing.want_timeout;
        let Some(peer) = self.peers.get_mut(from) else { return };
        // Ask in batches: not one request for each message that comes in.
        if peer.exchange.offers.is_empty() || peer.exchange.asked > wanted_max / 2 {
            return;
        }
        let wait = want_timeout.max(peer.exchange.answer_time * 2);
        let (at, until) = (now.monotonic, now.monotonic + wait);
        let mut ask = Vec::new();
        // Peers may be forgotten faster than what they were asked for is given up.
        let all_max = wanted_max * self.config.limits.neighbours_max;
        while peer.exchange.asked < wanted_max && self.repair.wanted.len() < all_max {
            let Some(id) = peer.exchange.offers.pop_first() else { break };
            if self.store.knows(id) {
                continue;
            }
            if let Some(wanted) = self.repair.wanted.get_mut(&id) {
                // One at a time. That the one asked offers it again tells that the request or
                // its answer got lost, unless it crossed the offer.
                if wanted.asked == from && at.since(wanted.at) * 3 >= want_timeout {
                    (wanted.at, wanted.until) = (at, until);
                    ask.push(id);
                } else if wanted.asked != from && !wanted.others.contains(&from) {
                    wanted.others.push(from);
                }
                continue;
            }
            let others = SmallVec::new();
            let wanted = Wanted { asked: from, since: at, at, until, attempts: 0, others };
            self.repair.wanted.insert(id, wanted);
            peer.exchange.asked += 1;
            ask.push(id);
        }
        let to = peer.addr;
        self.repair.catching_up |= self.repair.wanted.len() >= BULK;
        self.want(to, ask);
        self.due.at(until);
    }

    fn want(&mut self, to: PeerAddr, ids: Vec<MessageId>) {
        if !ids.is_empty() {
            self.counters.wants_sent += 1;
            self.outbox.send(to, &Frame::Want(set::to_ranges(ids)));
        }
    }

    /// A message came in: nobody needs to ask for it any more. Says how it was asked for, and of
    /// whom; once the message is recorded, [`Node::pump`] is due for that peer.
    pub(crate) fn arrived(&mut self, now: Now, id: MessageId) -> (Arrived, Option<NodeId>) {
        let is_wanted = self.repair.wanted.contains_key(&id);
        let wanted = is_wanted.then(|| self.repair.wanted.remove(&id)).flatten();
        let Some(wanted) = wanted else { return (Arrived::Pushed, None) };
        self.counters.repairs_received += 1;
        if let Some(peer) = self.peers.get_mut(wanted.asked) {
            peer.exchange.asked = peer.exchange.asked.saturating_sub(1);
            // Counted from the first request: what was lost makes it longer, so the best of
            // late is what counts.
            let (sample, time) = (now.monotonic.since(wanted.since), peer.exchange.answer_time);
            peer.exchange.answer_time =
                if sample < time { sample } else { time + (sample - time) / 8 };
        }
        let bulk = self.repair.catching_up;
        self.repair.catching_up &= !self.repair.wanted.is_empty();
        (if bulk { Arrived::CatchingUp } else { Arrived::Asked }, Some(wanted.asked))
    }

    /// Asks again, or elsewhere, for what did not come in time.
    pub(crate) fn ask_again(&mut self, now: Now) {
        if self.repair.wanted.is_empty() {
            return;
        }
        let mut ask: BTreeMap<NodeId, Vec<MessageId>> = BTreeMap::new();
        let mut given_up = Vec::new();
        let wanted_max = self.config.limits.wanted_per_peer_max;
        for (id, wanted) in &mut self.repair.wanted {
            if wanted.until <= now.monotonic {
                wanted.attempts += 1;
                if let Some(peer) = self.peers.get_mut(wanted.asked) {
                    peer.exchange.asked = peer.exchange.asked.saturating_sub(1);
                }
                let lives = |node: &NodeId| {
                    let peer = self.peers.get(*node);
                    peer.is_some_and(|peer| !matches!(peer.standing, Standing::Dead { .. }))
                };
                wanted.others.push(wanted.asked);
                wanted.others.retain(|node| lives(node));
                let has_room = |node: &NodeId| {
                    self.peers.get(*node).is_some_and(|peer| peer.exchange.asked < wanted_max)
                };
                let next = wanted.others.iter().position(has_room);
                let Some(next) = next.filter(|_| wanted.attempts <= WANT_ATTEMPTS_MAX) else {
                    given_up.push(*id);
                    continue;
                };
                wanted.asked = wanted.others.remove(next);
                let mut wait = self.config.timing.want_timeout;
                if let Some(peer) = self.peers.get_mut(wanted.asked) {
                    peer.exchange.asked += 1;
                    wait = wait.max(peer.exchange.answer_time * 2);
                }
                wanted.at = now.monotonic;
                wanted.until = now.monotonic + back_off(wait, wanted.attempts);
                ask.entry(wanted.asked).or_default().push(*id);
            }
            self.due.at(wanted.until.max(now.monotonic + GRAIN));
        }
        self.repair.catching_up &= self.repair.wanted.len() > given_up.len();
        for id in given_up {
            let Some(wanted) = self.repair.wanted.remove(&id) else { continue };
            if wanted.attempts > WANT_ATTEMPTS_MAX {
                continue;
            }
            // It is still on offer, and asked for when there is room again.
            for node in wanted.others {
                if let Some(peer) = self.peers.get_mut(node) {
                    peer.exchange.offers.insert(id);
                }
            }
        }
        for (node, ids) in ask {
            if let Some(peer) = self.peers.get(node) {
                self.want(peer.addr, ids);
            }
        }
    }

    /// A peer is gone: what it was asked for is asked of others at the next tick.
    pub(crate) fn stop_asking(&mut self, now: Now, node: NodeId) {
        if self.repair.sizes() != (0, 0, 0) {
            for wanted in self.repair.wanted.values_mut().filter(|wanted| wanted.asked == node) {
                wanted.until = now.monotonic;
            }
            self.repair.replies.retain(|(to, _)| *to != node);
            self.repair.queued.retain(|(to, _)| *to != node);
        }
        self.due.at(now.monotonic);
    }

    /// A peer asks for these.
    pub(crate) fn on_want(&mut self, now: Now, from: NodeId, ranges: &[IdRange]) {
        self.learn_from_loss(from, ranges);
        let ids = ranges.iter().flat_map(|range| self.store.held().known_in(*range));
        for id in ids.take(IDS_PER_FRAME_MAX) {
            if self.repair.replies.len() >= self.config.limits.repair_replies_max {
                self.counters.limit_repair_replies_cut += 1;
                break;
            }
            if self.repair.queued.insert((from, id)) {
                self.repair.replies.push_back((from, id));
            }
        }
        self.send_replies(now);
    }

    /// A neighbour lacks what was sent to it. Where loss leaves nothing to measure a link's settle
    /// time by, waiting that long was in vain: assume less.
    fn learn_from_loss(&mut self, from: NodeId, ranges: &[IdRange]) {
        let initial = self.config.timing.ack_time_initial;
        let Some(peer) = self.peers.get_mut(from) else { return };
        let id =
            ranges.first().map(|range| MessageId { origin: range.origin, sequence: range.first });
        let copies = id.and_then(|id| self.store.get(id)?.copies.get(peer.link));
        if peer.in_flight.smoothed.is_none() && copies.is_some_and(|copies| copies.sent > 0) {
            let assumed = peer.in_flight.losses.assumed.unwrap_or(initial);
            peer.in_flight.losses.assumed = Some(assumed * 3 / 4);
        }
    }

    /// Sends what was asked for, a fixed number of bytes at a time.
    pub(crate) fn send_replies(&mut self, now: Now) {
        if self.repair.replies.is_empty() {
            return;
        }
        if self.repair.replies_from > now.monotonic {
            self.due.at(self.repair.replies_from);
            return;
        }
        let mut bytes = 0;
        while let Some((to, id)) = self.repair.replies.pop_front() {
            self.repair.queued.remove(&(to, id));
            bytes += self.reply(to, id);
            if bytes >= self.config.limits.repair_reply_bytes_max {
                break;
            }
        }
        self.repair.replies_from = now.monotonic + self.config.timing.repair_reply_interval;
        if !self.repair.replies.is_empty() {
            self.due.at(self.repair.replies_from);
        }
    }

    /// Sends one message that was asked for; says how many bytes that took.
    fn reply(&mut self, to: NodeId, id: MessageId) -> usize {
        let Self { store, peers, outbox, config, .. } = self;
        let (Some(record), Some(peer)) = (store.get(id), peers.get(to)) else { return 0 };
        let (hops, path) = record.first_path();
        let rumor = Rumor {
            id,
            sent_at: record.sent_at,
            relays: record.relays,
            repaired: true,
            hops,
            path,
            text: record.text(),
        };
        let (frame, cut) = outbox.encode_onward(&rumor, config.node, config.limits.path_nodes_max);
        outbox.put(peer.addr, frame);
        store.update(id, |record| {
            record.repairs_sent = record.repairs_sent.saturating_add(1);
            record.bytes_sent += frame.len() as u64;
        });
        self.counters.repairs_sent += 1;
        if cut {
            self.counters.limit_paths_cut += 1;
        }
        frame.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Event;
    use crate::testing::table::Table;

    const SECOND: Duration = Duration::from_secs(1);

    fn is_rumor(frames: &[Frame<'_>]) -> bool {
        frames.iter().any(|frame| matches!(frame, Frame::Rumor(_)))
    }

    #[test]
    fn a_lost_copy_is_asked_about_and_comes_by_repair() {
        let mut table = Table::with_links(2, &[(1, 2)]);
        table.run(SECOND);
        let mut lost = 0;
        table.passes = Box::new(move |_, _, frames| {
            lost += u32::from(is_rumor(frames));
            !is_rumor(frames) || lost > 1
        });
        let id = table.send(1, "banana");
        table.run(SECOND);
        assert_eq!(table.held(2), 1);
        let info = table.node(2).message(id).unwrap();
        assert!(info.repaired);
        assert_eq!(info.paths[0].path, vec![Some(NodeId(1)), Some(NodeId(2))]);
        assert_eq!(table.count(|c| c.rumors_sent), 1);
        assert_eq!(table.count(|c| c.repairs_sent), 1);
        assert_eq!(table.node(1).in_flight(), 0);
    }

    #[test]
    fn on_a_ring_every_link_settles_by_itself() {
        let mut table = Table::ring(8);
        table.run(SECOND);
        for _ in 0..20 {
            table.send(1, "banana");
            table.run(SECOND / 10);
        }
        table.run(SECOND);
        assert_eq!(table.count(|c| c.haves_sent + c.wants_sent + c.repairs_sent), 0);
        let acknowledged = table.node(1).peers()[0].ack_time_us.unwrap();
        assert!((7_000..9_000).contains(&acknowledged), "once round the ring: {acknowledged} µs");
    }

    #[test]
    fn a_message_is_asked_of_one_neighbour_at_a_time() {
        let mut table = Table::with_links(3, &[(1, 2), (1, 3)]);
        table.run(SECOND);
        let range = IdRange::one(MessageId::new(9, 1, 1));
        table.feed(1, 2, &[Frame::Have(vec![range])]);
        table.feed(1, 3, &[Frame::Have(vec![range])]);
        table.run(Duration::from_millis(50));
        assert_eq!(table.node(1).status().counters.wants_sent, 1);
        // Neither answers: it goes round, and gives up in the end.
        table.run(SECOND * 20);
        let wants = table.node(1).status().counters.wants_sent;
        assert_eq!(wants, 1 + u64::from(WANT_ATTEMPTS_MAX));
        assert_eq!(table.node(1).status().missing, 0);
    }

    #[test]
    fn no_request_makes_a_node_send_more_than_its_budget_at_once() {
        let mut table = Table::with_links(2, &[(1, 2)]);
        table.run(SECOND);
        for _ in 0..200 {
            table.send(1, &"x".repeat(1_000));
        }
        table.run(SECOND);
        table.sent.clear();
        let origin = MessageId::new(1, 1, 1).origin;
        let all = IdRange { origin, first: 1, more: u64::MAX - 1 };
        table.feed(1, 2, &[Frame::Want(vec![all; 50])]);
        table.run(Duration::ZERO);
        let bytes: usize = table.sent.iter().map(|(_, _, bytes)| bytes).sum();
        assert!((64_000..70_000).contains(&bytes), "{bytes}");
        table.run(SECOND);
        assert_eq!(table.node(1).status().counters.repairs_sent, 200, "each once, paced");
    }

    #[test]
    fn settling_is_measured_by_what_the_flood_brings_back_alone() {
        let mut table = Table::ring(3);
        table.run(SECOND);
        // What 1 sends gets lost; it goes round the other way, and is repaired at last.
        table.passes = Box::new(|from, to, frames| !(from == 1 && to == 2 && is_rumor(frames)));
        table.send(1, "banana");
        table.run(SECOND);
        table.passes = Box::new(|_, _, _| true);
        table.send(1, "apple");
        table.run(SECOND);
        let acknowledged = table.node(1).peers()[0].ack_time_us.unwrap();
        assert!(acknowledged < 10_000, "{acknowledged} µs");
        assert_eq!(table.held(2), 2);
    }

    #[test]
    fn delivery_is_exactly_once_however_copies_come() {
        let mut table = Table::ring(4);
        table.run(SECOND);
        let mut count = 0;
        table.passes = Box::new(move |_, _, _| {
            count += 1;
            count % 3 != 0
        });
        for _ in 0..30 {
            table.send(2, "banana");
        }
        table.run(SECOND * 10);
        assert_eq!((1..=4).map(|node| table.held(node)).collect::<Vec<_>>(), vec![30; 4]);
        assert_eq!(table.told(|_, event| matches!(event, Event::Delivered { .. })), 90);
    }
}
