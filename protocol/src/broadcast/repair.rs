//! Repair: asking for messages that are missing, and sending those that others ask for.
//!
//! A node that lacks a message asks one peer at a time for it, and gets it as a rumor that is
//! marked as repaired. Questions about messages in flight (see `acks`) and the comparison of
//! summaries (see `reconcile`) tell it which messages it lacks.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use smallvec::SmallVec;

use super::Broadcast;
use super::exchange::Exchange;
use crate::datagram::wire::{Frame, Rumor};
use crate::effects::Effects;
use crate::ids::link::Sender;
use crate::ids::set::{self, IdRange};
use crate::ids::{MessageId, NodeId};
use crate::time::Monotonic;
use crate::time::timers::back_off;

/// The most ids asked about, or looked at for one frame, in one go.
pub(super) const IDS_PER_FRAME_MAX: usize = 1_024;
/// How many times a message is asked for before the next summary has to bring it up again.
const WANT_ATTEMPTS_MAX: u8 = 10;
/// The longest that a request waits for its answer before the message is asked for again, and the
/// longest time that a peer is assumed to take. Both grow while requests and answers get lost, and
/// must not outlast that by much.
const WANT_WAIT_MAX: Duration = Duration::from_secs(2);
const ANSWER_TIME_MAX: Duration = Duration::from_secs(1);
/// The most messages wanted that are looked at for one frame of those that a peer lacks.
const LOOKS_PER_LACKS_MAX: usize = 65_536;
/// Stands where no node is asked for a message: none has this number.
const NOBODY: NodeId = NodeId(0);
/// Timers of single messages are kept this coarse, so that a busy node ticks seldom.
pub(super) const GRAIN: Duration = Duration::from_millis(5);
/// With more messages missing than this, a node is catching up, and does not pass on what it gets.
const CATCHING_UP_FROM: usize = 64;

/// What a node does about missing messages.
#[derive(Debug, Default)]
pub(crate) struct Repair {
    /// Messages asked for.
    pub(crate) wanted: BTreeMap<MessageId, Wanted>,
    /// Messages to be sent because they were asked for, in order; each once per peer.
    pub(crate) replies: VecDeque<(NodeId, MessageId)>,
    pub(crate) queued: BTreeSet<(NodeId, MessageId)>,
    /// No further reply before this time.
    replies_from: Monotonic,
    /// So much was missing that nothing of it is passed on until all of it is here.
    catching_up: bool,
}

/// A message asked for.
#[derive(Debug)]
pub(crate) struct Wanted {
    asked: NodeId,
    /// When it was asked for at first, and at last, and when to ask again.
    since: Monotonic,
    at: Monotonic,
    until: Monotonic,
    attempts: u8,
    /// Others that have it.
    others: SmallVec<[NodeId; 2]>,
}

impl Repair {
    /// Whether a peer waits for messages that it asked for.
    pub(super) fn owes(&self, node: NodeId) -> bool {
        self.queued.iter().any(|(to, _)| *to == node)
    }
}

impl Broadcast {
    /// Notes what a peer has and this node lacks; says whether there was anything. However wide
    /// the ranges and however ragged what is known, this takes a bounded number of steps.
    pub(super) fn take_offer(
        &mut self,
        fx: &mut Effects,
        from: NodeId,
        ranges: &[IdRange],
    ) -> bool {
        let ranges_max = fx.config.limits.id_ranges_max;
        let known = self.store.known();
        let mut any = false;
        let missing = ranges.iter().flat_map(|range| known.missing_in(*range));
        // Counted in ranges, not ids: a single forged range may name 2⁶⁴ − 1 ids.
        for part in missing.take(ranges_max) {
            // It would be refused as it comes, and brought up by each summary.
            if self.store.is_beyond_ranges(part.first_id(), &fx.config.limits) {
                fx.counters.limit_ranges_refused += 1;
                continue;
            }
            any = true;
            let offers = &mut self.exchanges.entry(from).or_default().offers;
            if offers.ranges() >= ranges_max {
                fx.counters.limit_ranges_refused += 1;
                break;
            }
            offers.insert_range(part.origin, part.first, part.first.saturating_add(part.more));
        }
        any
    }

    /// Asks a peer for as many of the messages it has to offer as may be under way at a time.
    pub(super) fn pump(&mut self, fx: &mut Effects, from: NodeId) {
        let Self { exchanges, repair, store, due, .. } = self;
        let wanted_max = fx.config.limits.wanted_per_peer_max;
        let want_timeout = fx.config.timing.want_timeout;
        let Some(peer) = exchanges.get_mut(&from) else { return };
        // Ask in batches: not one request for each message that comes in.
        if peer.offers.is_empty() || peer.asked > wanted_max / 2 {
            return;
        }
        let (at, until) = (fx.now, fx.now + peer.want_wait(want_timeout));
        let mut ask = Vec::new();
        // Peers may be forgotten faster than what they were asked for is given up.
        let all_max = wanted_max.saturating_mul(fx.config.limits.neighbours_max);
        while peer.asked < wanted_max && repair.wanted.len() < all_max {
            let Some(id) = peer.offers.pop_first() else { break };
            // The flood may have brought it since it was offered.
            if store.knows(id) {
                continue;
            }
            if let Some(wanted) = repair.wanted.get_mut(&id) {
                // A message is asked of one peer at a time. If that peer offers it again, the
                // request or its answer was lost, unless request and offer crossed on the way:
                // so a request younger than a third of its time-out still stands.
                if wanted.asked == from && at.since(wanted.at) * 3 >= want_timeout {
                    (wanted.at, wanted.until) = (at, until);
                    ask.push(id);
                } else if wanted.asked != from && !wanted.others.contains(&from) {
                    wanted.others.push(from);
                }
                continue;
            }
            // Nobody was asked for it yet.
            let others = SmallVec::new();
            let wanted = Wanted { asked: from, since: at, at, until, attempts: 0, others };
            repair.wanted.insert(id, wanted);
            peer.asked += 1;
            ask.push(id);
        }
        // It holds until nothing is missing, so that the tail of what a newcomer fetches is not
        // flooded on either.
        repair.catching_up |= repair.wanted.len() >= CATCHING_UP_FROM;
        due.at(until);
        want(fx, from, ask);
    }

    /// A message came in: nobody needs to ask for it any more. Says whether it was asked for among
    /// many, and of which node, if of any; once the message is recorded, [`Broadcast::pump`] is due
    /// for that node.
    pub(super) fn arrived(&mut self, fx: &mut Effects, id: MessageId) -> (bool, Option<NodeId>) {
        let Some(wanted) = self.repair.wanted.remove(&id) else { return (false, None) };
        fx.counters.repairs_received += 1;
        if let Some(peer) = self.exchanges.get_mut(&wanted.asked) {
            // Saturating: the peer may have gone and come back since, with nothing asked of it.
            peer.asked = peer.asked.saturating_sub(1);
            // The time runs from the first request, so a lost request or answer makes it longer.
            // Hence a shorter time counts at once, and a longer one by an eighth.
            let (sample, time) = (fx.now.since(wanted.since), peer.answer_time);
            let time = if sample < time { sample } else { time + (sample - time) / 8 };
            peer.answer_time = time.min(ANSWER_TIME_MAX);
        }
        // The message that ends catching up still belongs to it.
        let catching_up = self.repair.catching_up;
        self.repair.catching_up &= !self.repair.wanted.is_empty();
        (catching_up, Some(wanted.asked))
    }

    /// Asks again, or elsewhere, for what did not come in time.
    pub(super) fn ask_again(&mut self, fx: &mut Effects) {
        let mut ask: BTreeMap<NodeId, Vec<MessageId>> = BTreeMap::new();
        let mut given_up = Vec::new();
        let Self { repair, exchanges, due, .. } = self;
        for (id, wanted) in &mut repair.wanted {
            if wanted.until <= fx.now {
                wanted.attempts += 1;
                // In turns: the peer asked last goes to the end of the queue.
                let next = next_to_ask(wanted, exchanges, fx.config.limits.wanted_per_peer_max);
                // Given up if this was the last attempt, or if no peer that has it may be asked
                // now.
                let Some(next) = next.filter(|_| wanted.attempts <= WANT_ATTEMPTS_MAX) else {
                    given_up.push(*id);
                    continue;
                };
                wanted.asked = wanted.others.remove(next);
                let peer = exchanges.entry(wanted.asked).or_default();
                peer.asked += 1;
                // Each peer is given the time that it needs; several attempts make it longer.
                let wait = peer.want_wait(fx.config.timing.want_timeout);
                wanted.at = fx.now;
                wanted.until =
                    fx.now + back_off(wait, wanted.attempts).min(wait.max(WANT_WAIT_MAX));
                ask.entry(wanted.asked).or_default().push(*id);
            }
            // Requests whose time is over within one grain share a tick.
            due.at(wanted.until.max(fx.now + GRAIN));
        }
        // Messages given up must not keep the node catching up for ever.
        repair.catching_up &= repair.wanted.len() > given_up.len();
        for id in given_up {
            let Some(wanted) = repair.wanted.remove(&id) else { continue };
            // All peers were asked often enough: only a later summary brings it up again.
            if wanted.attempts > WANT_ATTEMPTS_MAX {
                continue;
            }
            // Its peers have enough to send. It goes back on offer, and is asked for once they have
            // sent some of that.
            for node in wanted.others {
                exchanges.entry(node).or_default().offers.insert(id);
            }
        }
        for (node, ids) in ask {
            want(fx, node, ids);
        }
    }

    /// A peer is gone: messages asked of it are asked of others at the next tick.
    pub(super) fn stop_asking(&mut self, now: Monotonic, node: NodeId) {
        // The next tick finds that the node asked has no exchange any more, and passes it over.
        for wanted in self.repair.wanted.values_mut().filter(|wanted| wanted.asked == node) {
            wanted.until = now;
        }
        self.repair.replies.retain(|(to, _)| *to != node);
        self.repair.queued.retain(|(to, _)| *to != node);
        self.due.at(now);
    }

    /// A peer does not hold these, which it was asked for: others are asked at once, if they have
    /// them. A message on offer may be evicted there before it is asked for.
    pub(crate) fn on_lacks(&mut self, fx: &mut Effects, from: Sender, ranges: &[IdRange]) {
        let Self { repair, exchanges, .. } = self;
        let Some(peer) = exchanges.get_mut(&from.node) else { return };
        let before = peer.asked;
        let mut looks = LOOKS_PER_LACKS_MAX;
        for range in ranges {
            let Some(sequence) = range.last() else { continue };
            let last = MessageId { origin: range.origin, sequence };
            for (_, wanted) in repair.wanted.range_mut(range.first_id()..=last).take(looks) {
                looks -= 1;
                if wanted.asked == from.node {
                    (wanted.asked, wanted.until) = (NOBODY, fx.now);
                    peer.asked = peer.asked.saturating_sub(1);
                }
            }
        }
        if peer.asked < before {
            self.ask_again(fx);
            self.pump(fx, from.node);
        }
    }

    /// A peer asks for these.
    pub(crate) fn on_want(&mut self, fx: &mut Effects, from: Sender, ranges: &[IdRange]) {
        self.learn_from_loss(&fx.config.timing, from, ranges);
        // Evicted messages cannot be sent, so only ids held count.
        let held = self.store.held();
        let lacks = ranges.iter().flat_map(|range| held.missing_in(*range));
        // Nobody asks for more at a time.
        let lacks: Vec<IdRange> = lacks.take(fx.config.limits.wanted_per_peer_max).collect();
        if !lacks.is_empty() {
            fx.send(from.node, &Frame::Lacks(lacks));
        }
        let ids = ranges.iter().flat_map(|range| held.known_in(*range));
        for id in ids.take(IDS_PER_FRAME_MAX) {
            if self.repair.replies.len() >= fx.config.limits.repair_replies_max {
                fx.counters.limit_repair_replies_cut += 1;
                break;
            }
            // A request that is repeated while its answer waits changes nothing.
            if self.repair.queued.insert((from.node, id)) {
                self.repair.replies.push_back((from.node, id));
            }
        }
        self.send_replies(fx);
    }

    /// Sends what was asked for, a fixed number of bytes at a time.
    pub(super) fn send_replies(&mut self, fx: &mut Effects) {
        if self.repair.replies.is_empty() {
            return;
        }
        // The bytes of this interval are spent.
        if self.repair.replies_from > fx.now {
            self.due.at(self.repair.replies_from);
            return;
        }
        let mut bytes = 0;
        while let Some((to, id)) = self.repair.replies.pop_front() {
            self.repair.queued.remove(&(to, id));
            // Counted afterwards, so that a message larger than the budget is sent, too.
            bytes += self.reply(fx, to, id);
            if bytes >= fx.config.limits.repair_reply_bytes_max {
                break;
            }
        }
        self.repair.replies_from = fx.now + fx.config.timing.repair_reply_interval;
        if !self.repair.replies.is_empty() {
            self.due.at(self.repair.replies_from);
        }
    }

    /// Sends one message that was asked for; says how many bytes that took.
    fn reply(&mut self, fx: &mut Effects, to: NodeId, id: MessageId) -> usize {
        // Evicted since it was asked for.
        let Some(record) = self.store.get(id) else { return 0 };
        let (hops, path) = record.first_path();
        let rumor = Rumor {
            id,
            sent_at: record.sent_at,
            relays: record.relays,
            repaired: true,
            hops,
            path,
            payload: record.payload(),
        };
        let frame = fx.encode_onward(&rumor);
        // Not `Effects::send`, which bounds control frames: replies have a budget of their own.
        fx.outbox.put(to, frame);
        self.store.update(id, |record| {
            record.repairs_sent = record.repairs_sent.saturating_add(1);
            record.bytes_sent += frame.len() as u64;
        });
        fx.counters.repairs_sent += 1;
        frame.len()
    }
}

/// The place among `wanted.others` of the node to ask next. The node asked last is one of them.
fn next_to_ask(
    wanted: &mut Wanted,
    exchanges: &mut BTreeMap<NodeId, Exchange>,
    asked_max: usize,
) -> Option<usize> {
    // The request that went unanswered makes way for another one.
    if let Some(peer) = exchanges.get_mut(&wanted.asked) {
        peer.asked = peer.asked.saturating_sub(1);
    }
    wanted.others.push(wanted.asked);
    // A node that is gone has no exchange any more.
    wanted.others.retain(|node| exchanges.contains_key(node));
    let may_be_asked =
        |node: &NodeId| exchanges.get(node).is_some_and(|peer| peer.asked < asked_max);
    wanted.others.iter().position(may_be_asked)
}

/// Asks a peer for messages.
fn want(fx: &mut Effects, to: NodeId, ids: Vec<MessageId>) {
    if !ids.is_empty() {
        fx.counters.wants_sent += 1;
        fx.send(to, &Frame::Want(set::to_ranges(ids)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Event;
    use crate::broadcast::store::Arrival;
    use crate::ids::link::LinkId;
    use crate::testing::table::Table;
    use crate::time::Wall;
    use rand::rngs::Xoshiro256PlusPlus;
    use rand::{RngExt, SeedableRng};

    const SECOND: Duration = Duration::from_secs(1);

    fn is_rumor(frames: &[Frame<'_>]) -> bool {
        frames.iter().any(|frame| matches!(frame, Frame::Rumor(_)))
    }

    fn is_lacks(frame: &Frame<'_>) -> bool {
        matches!(frame, Frame::Lacks(_))
    }

    /// The time that a peer takes was learned from requests and answers that got lost again and
    /// again, and all that was asked for later waited as long.
    #[test]
    fn a_node_catches_up_soon_after_a_minute_of_heavy_loss() {
        for (seed, lost) in [(1, 0.8), (2, 0.9), (3, 0.95)] {
            let mut table = Table::ring(3);
            table.run(SECOND);
            let mut dice = Xoshiro256PlusPlus::seed_from_u64(seed);
            table.passes = Box::new(move |_, to, _| to != 2 || !dice.random_bool(lost));
            for _ in 0..3_000 {
                table.send(1, "banana");
                table.run(SECOND / 50);
            }
            table.passes = Box::new(|_, _, _| true);
            let ended = table.now;
            while table.held(2) < 3_000 {
                table.run(SECOND / 10);
                let took = table.now.since(ended);
                assert!(took <= SECOND * 5, "{lost} lost: {} after {took:?}", table.held(2));
            }
            println!("{lost} lost: all after {:?}", table.now.since(ended));
        }
    }

    #[test]
    fn offers_that_a_peer_no_longer_holds_are_dropped_at_once() {
        for offered in [2_000, 8_000] {
            let mut table = Table::with_links(3, &[(1, 2), (1, 3)]);
            table.run(SECOND);
            let ids = IdRange { more: offered - 1, ..IdRange::one(MessageId::new(9, 1, 1)) };
            let held = IdRange { first: offered - 99, more: 99, ..ids };
            table.passes = Box::new(|_, _, _| false);
            hold(&mut table, 3, held);
            table.passes = Box::new(|_, _, _| true);
            table.feed(1, 2, &[Frame::Have(vec![ids])]);
            table.feed(1, 3, &[Frame::Have(vec![held])]);
            table.run(SECOND);
            assert_eq!((table.held(1), table.node(1).status().missing), (100, 0));
        }
    }

    /// Has a node hold messages of node 9, as if they had come over a link that is gone.
    fn hold(table: &mut Table, node: u32, ids: IdRange) {
        let (id, sent_at, payload) = (MessageId::new(9, 1, 1), Wall(1), &b"banana"[..]);
        let rumor = Rumor { id, sent_at, relays: 1, repaired: true, hops: 1, path: &[9], payload };
        for sequence in ids.first..=ids.first + ids.more {
            let rumor = Rumor { id: MessageId { sequence, ..id }, ..rumor };
            let (received_at, arrived, newest_link) = (Wall(1), Monotonic(1), LinkId::NONE);
            let arrival = Arrival { rumor, received_at, arrived, newest_link };
            table.node(node).broadcast.store.insert(&arrival, Default::default());
        }
    }

    #[test]
    fn a_message_beyond_the_limit_of_ranges_is_neither_asked_for_nor_asked_about_for_good() {
        let star = [(2, 1), (2, 3), (2, 4), (2, 5)];
        let mut table = Table::with(5, &star, |config| {
            if config.node == NodeId(2) {
                config.limits_mut().id_ranges_max = 3;
            }
        });
        table.run(SECOND);
        for node in 1..=5 {
            table.send(node, "banana");
        }
        table.run(SECOND * 5);
        assert_eq!(table.held(2), 3);
        assert!(table.node(2).status().counters.limit_ranges_refused > 0);
        let asked = |table: &Table| table.count(|c| c.haves_sent + c.wants_sent + c.ranges_sent);
        let before = asked(&table);
        table.run(SECOND * 60);
        assert_eq!(asked(&table), before);
        let in_flight: Vec<u64> = (1..=5).map(|node| table.node(node).in_flight()).collect();
        assert_eq!(in_flight, [0; 5]);
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
    fn on_a_ring_every_link_is_acknowledged_without_a_question() {
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
        table.passes = Box::new(|_, _, frames| !frames.iter().any(is_lacks));
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
    fn messages_asked_of_a_node_that_is_gone_are_asked_of_another_at_once() {
        let mut table = Table::with_links(3, &[(1, 2), (1, 3)]);
        table.run(SECOND);
        let ids = IdRange { more: 9, ..IdRange::one(MessageId::new(9, 1, 1)) };
        hold(&mut table, 3, ids);
        table.passes = Box::new(|from, to, _| from != 2 && to != 2);
        table.feed(1, 2, &[Frame::Have(vec![ids])]);
        table.feed(1, 3, &[Frame::Have(vec![ids])]);
        table.run(Duration::from_millis(5));
        assert_eq!(table.held(1), 0, "node 2 was asked");
        table.feed(1, 2, &[Frame::Leave]);
        table.run(Duration::from_millis(5));
        assert_eq!(table.held(1), 10);
    }

    #[test]
    fn a_node_that_is_gone_is_sent_no_more_of_what_it_asked_for() {
        let mut table = Table::with_links(3, &[(1, 2), (1, 3)]);
        table.run(SECOND);
        let ids = IdRange { more: 199, ..IdRange::one(MessageId::new(9, 1, 1)) };
        hold(&mut table, 1, ids);
        table.node(1).fx.config.limits_mut().repair_reply_bytes_max = 1_000;
        for node in [2, 3] {
            table.feed(1, node, &[Frame::Want(vec![ids])]);
        }
        assert!(table.node(1).broadcast.repair.owes(NodeId(2)));
        table.feed(1, 2, &[Frame::Leave]);
        let repair = &table.node(1).broadcast.repair;
        assert_eq!((repair.owes(NodeId(2)), repair.owes(NodeId(3))), (false, true));
        assert!(repair.replies.iter().all(|(to, _)| *to == NodeId(3)));
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
    fn only_copies_that_the_flood_brings_back_measure_the_time_to_acknowledge() {
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
