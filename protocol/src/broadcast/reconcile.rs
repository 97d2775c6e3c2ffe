//! Comparing notes: summaries, listings of ranges, offers.
//!
//! A heartbeat carries a [`Summary`]: the account of all ids known. Messages under way must not
//! look like a difference, so ids that flooded in lately are listed one by one instead, and the
//! receiver leaves its own latest arrivals out of the comparison as well. Accounts are sums, so
//! the difference of two accounts is the account of the difference: where an exchange finds
//! nothing to gain (one side knows ids whose messages are gone everywhere), that difference is
//! remembered as agreed, and stays agreed however many messages both sides gain together.
//!
//! A node that sees any other difference lists its ranges, a page at a time ([`Frame::Ranges`]).
//! The other node answers with the ids it holds beyond these ([`Frame::Offer`]), and notes the ids
//! it lacks itself. Messages on offer are then asked for one by one: see `repair`.

use std::collections::VecDeque;

use super::Broadcast;
use crate::datagram::wire::{Frame, Offer, Page, Ranges, Summary};
use crate::effects::Effects;
use crate::ids::link::Sender;
use crate::ids::set::{self, Account, IdRange, IdSet};
use crate::ids::{MessageId, NodeId};
use crate::time::Monotonic;

/// The most ranges in one listing, offer, or list of recent ids: some 5 KB. A listing holds two
/// such lists, and fits a datagram even if every number in it takes its full length (28 bytes).
const RANGES_PER_FRAME_MAX: usize = 1_000;
/// The most known ids that the recent ones of a summary may be compared with.
const RECENT_IDS_MAX: usize = 65_536;
/// Where the first page begins.
const START: MessageId =
    MessageId { origin: crate::ids::Origin { node: NodeId(0), incarnation: 0 }, sequence: 0 };

/// Ids that flooded in lately, oldest first.
pub(crate) type Recent = VecDeque<(Monotonic, MessageId)>;

impl Broadcast {
    /// Notes that a message is on its way to the neighbours by the flood.
    pub(super) fn note_recent(&mut self, fx: &Effects, id: MessageId) {
        self.forget_recent(fx);
        // Mostly one message is under way at a time, so memory is taken for one.
        self.recent.reserve_exact(usize::from(self.recent.capacity() == 0));
        self.recent.push_back((fx.now, id));
    }

    fn forget_recent(&mut self, fx: &Effects) {
        let start = fx.now - fx.config.timing.recent_window;
        // By age, and by number where messages come so fast that age alone bounds nothing.
        while self.recent.front().is_some_and(|(at, _)| *at < start)
            || self.recent.len() > RECENT_IDS_MAX / 2
        {
            self.recent.pop_front();
        }
    }

    /// Sends a summary to each of these nodes: in turn with heartbeats, or within the bound of what is
    /// sent at once.
    pub(crate) fn send_summaries(&mut self, fx: &mut Effects, to: &[NodeId], in_turn: bool) {
        let summary = Frame::Summary(self.summary(fx));
        fx.counters.summaries_sent += to.len() as u64;
        if !in_turn {
            return to.iter().for_each(|node| fx.send(*node, &summary));
        }
        let summary = fx.outbox.encode(&summary);
        to.iter().for_each(|node| fx.outbox.put(*node, summary));
    }

    /// What this node knows, in brief.
    fn summary(&mut self, fx: &Effects) -> Summary {
        self.forget_recent(fx);
        let mut recent = set::to_ranges(self.recent.iter().map(|(_, id)| *id).collect());
        // Ids that do not fit stay in the account. At worst they look like a difference there,
        // which costs a listing.
        recent.truncate(RANGES_PER_FRAME_MAX);
        // Each id is told once: those listed leave the account.
        let listed = recent.iter().flat_map(|range| self.store.known().known_in(*range));
        let account = listed.fold(self.store.account, |rest, id| rest.minus(Account::of(id)));
        Summary { account, recent }
    }

    /// The account of what a peer knows and this node doesn't, less that of the reverse, as far
    /// as a summary tells; nothing where both agree.
    fn difference(&self, fx: &Effects, theirs: &Summary) -> Account {
        let known = self.store.known();
        // First, leave out of this side what the peer left out of its own.
        let listed = theirs.recent.iter().flat_map(|range| known.known_in(*range));
        let mut mine = listed
            .take(RECENT_IDS_MAX)
            .fold(self.store.account, |rest, id| rest.minus(Account::of(id)));
        // Second, leave out what came in just now and may still be on its way to the peer. Half
        // the window is enough: an id that already left the peer's list for its account got there
        // a whole window ago, and hardly took half of that to come here.
        let start = fx.now - fx.config.timing.recent_window / 2;
        // Newest first: the walk ends at the first id that is too old.
        for (_, id) in self.recent.iter().rev().take_while(|(at, _)| *at >= start) {
            if !lists(&theirs.recent, *id) {
                mine = mine.minus(Account::of(*id));
            }
        }
        theirs.account.minus(mine)
    }

    /// A peer tells what it knows, in brief.
    pub(crate) fn on_summary(&mut self, fx: &mut Effects, from: Sender, summary: &Summary) {
        let difference = self.difference(fx, summary);
        let from = from.node;
        let agreed = self.exchanges.get(&from).map_or(Account::default(), |peer| peer.agreed);
        // Both sets are equal again, so an earlier agreement to differ is void.
        if difference == Account::default() && agreed != difference {
            self.exchanges.entry(from).or_default().agreed = difference;
        }
        if difference == agreed || difference == Account::default() {
            return;
        }
        fx.counters.summaries_differing += 1;
        // Messages on offer are fetched before anything is listed: they may be all the difference.
        let peer = self.exchanges.entry(from).or_default();
        let fetching = !peer.offers.is_empty() || peer.asked > 0;
        // One listing at a time, unless the last one may be taken for lost.
        let listing = peer.listing_until.is_some_and(|until| until > fx.now);
        if fetching {
            self.pump(fx, from);
        } else if !listing {
            // A comparison starts anew at its first page.
            peer.found = false;
            self.list_ranges(fx, from, START);
        }
    }

    /// Lists what is known from `first` on to a peer.
    fn list_ranges(&mut self, fx: &mut Effects, to: NodeId, first: MessageId) {
        let (page, held, gone) = self.page_of_ranges(first);
        let summary = self.summary(fx);
        let until = fx.now + fx.config.timing.listing_timeout;
        self.exchanges.entry(to).or_default().listing_until = Some(until);
        fx.counters.ranges_sent += 1;
        fx.send(to, &Frame::Ranges(Box::new(Ranges { summary, page, held, gone })));
    }

    /// As many ranges from `first` on as go into one frame.
    fn page_of_ranges(&self, first: MessageId) -> (Page, Vec<IdRange>, Vec<IdRange>) {
        let (mut held, mut gone) = (Vec::new(), Vec::new());
        for range in self.store.known().between(first, None) {
            // A range known falls into parts held and parts gone. They are merged in the order of
            // their numbers, so that a page may end between any two of them.
            let mut parts: Vec<(u64, bool, IdRange)> = Vec::new();
            let all = self.store.held();
            // One more than fits shows where the next page begins.
            let one_more = RANGES_PER_FRAME_MAX + 1;
            parts.extend(all.common_with(range).take(one_more).map(|r| (r.first, true, r)));
            parts.extend(all.missing_in(range).take(one_more).map(|r| (r.first, false, r)));
            parts.sort_unstable_by_key(|(first, ..)| *first);
            for (sequence, is_held, part) in parts {
                if held.len() + gone.len() >= RANGES_PER_FRAME_MAX {
                    // The page is full, and ends just before the first part that is left out.
                    let end = Some(MessageId { origin: range.origin, sequence });
                    return (Page { first, end }, held, gone);
                }
                if is_held { held.push(part) } else { gone.push(part) }
            }
        }
        (Page { first, end: None }, held, gone)
    }

    /// A peer lists what it knows.
    pub(crate) fn on_ranges(&mut self, fx: &mut Effects, from: Sender, theirs: &Ranges) {
        // First, note what the peer holds and this node lacks.
        let wanting = self.take_offer(fx, from.node, &theirs.held);
        let mut listed = IdSet::default();
        // An id whose message is gone counts as listed: the peer would not take it in again.
        for range in theirs.held.iter().chain(&theirs.gone) {
            if let Some(last) = range.last() {
                listed.insert_range(range.origin, range.first, last);
            }
        }
        // Second, find what this node holds within the page and the peer did not list. Ids that do
        // not fit the answer come up with a later listing.
        let held = self.store.held().between(theirs.page.first, theirs.page.end);
        let held: Vec<IdRange> = held
            .flat_map(|range| listed.ids().missing_in(range))
            .take(RANGES_PER_FRAME_MAX)
            .collect();
        // Only a listing in one page shows all that the peer knows. Where it takes several, the
        // peer alone sees whether any of them found something: see `on_offer`.
        let whole = theirs.page.first == START && theirs.page.end.is_none();
        if wanting || !held.is_empty() {
            // Heartbeats come sooner, so that the next summary checks the result soon.
            self.out_of_step = true;
        } else if whole {
            self.agree(fx, from.node, &theirs.summary);
        }
        let summary = self.summary(fx);
        let offer = Offer { summary, page: theirs.page, wanting, held };
        fx.send(from.node, &Frame::Offer(Box::new(offer)));
        self.pump(fx, from.node);
    }

    /// A peer answers a listing.
    pub(crate) fn on_offer(&mut self, fx: &mut Effects, from: Sender, offer: &Offer) {
        let from = from.node;
        let found = self.take_offer(fx, from, &offer.held) || offer.wanting;
        if found {
            self.out_of_step = true;
        }
        // An answer to no question changes nothing but what is on offer.
        let listing = self.exchanges.get_mut(&from).filter(|peer| peer.listing_until.is_some());
        if let Some(peer) = listing {
            peer.listing_until = None;
            peer.found |= found;
            // More pages follow; or this was the last, and none of them found anything; or
            // something was found, and the next summary compares again. An answer has to lead
            // on: a page that ends where it began would be listed again and again.
            match offer.page.end {
                Some(next) if next > offer.page.first => self.list_ranges(fx, from, next),
                _ if !peer.found => self.agree(fx, from, &offer.summary),
                _ => {}
            }
        }
        self.pump(fx, from);
    }

    /// Remembers a difference that holds nothing to gain.
    fn agree(&mut self, fx: &Effects, from: NodeId, summary: &Summary) {
        let difference = self.difference(fx, summary);
        self.exchanges.entry(from).or_default().agreed = difference;
    }
}

/// Whether sorted ranges cover this id. Where a forger did not sort them, the comparison differs,
/// and a listing follows: no harm.
fn lists(ranges: &[IdRange], id: MessageId) -> bool {
    // The last range that begins at the id or before it.
    let at =
        ranges.partition_point(|range| (range.origin, range.first) <= (id.origin, id.sequence));
    at.checked_sub(1).is_some_and(|at| {
        let range = ranges[at];
        range.origin == id.origin && range.last().is_some_and(|last| id.sequence <= last)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::table::Table;
    use std::time::Duration;

    const SECOND: Duration = Duration::from_secs(1);

    fn is_summary(frames: &[Frame<'_>]) -> bool {
        frames.iter().any(|frame| matches!(frame, Frame::Summary(_)))
    }

    #[test]
    fn a_newcomer_gets_everything_once_and_passes_nothing_on() {
        let mut table = Table::with_links(3, &[(1, 2)]);
        for _ in 0..3_000 {
            table.send(1, "banana");
        }
        table.run(SECOND * 3);
        let sent = table.count(|c| c.rumors_sent);
        table.start(3, 2, &[1, 2]);
        table.run(SECOND * 10);
        assert_eq!(table.held(3), 3_000);
        let counters = table.node(3).status().counters;
        assert_eq!(counters.rumors_received, 3_000, "each of one neighbour");
        assert_eq!(counters.rumors_sent, 0, "not flooded on");
        assert_eq!(table.count(|c| c.rumors_sent), sent);
        assert_eq!(table.node(3).status().missing, 0);
    }

    #[test]
    fn messages_under_way_do_not_look_like_a_difference() {
        let mut table = Table::ring(6);
        table.run(SECOND * 3);
        for turn in 0..2_000 {
            table.send(turn % 6 + 1, "banana");
            table.run(SECOND / 500);
        }
        table.run(SECOND * 3);
        assert_eq!(table.count(|c| c.summaries_differing), 0);
        assert!(table.count(|c| c.summaries_sent) > 30);
    }

    #[test]
    fn messages_that_are_gone_everywhere_keep_no_node_busy() {
        let mut table = Table::with(3, &[(1, 2)], |config| config.limits_mut().messages_max = 10);
        for _ in 0..100 {
            table.send(1, "banana");
        }
        table.run(SECOND * 5);
        table.start(3, 2, &[1, 2]);
        table.run(SECOND * 10);
        assert_eq!(table.held(3), 10);
        let before = table.count(|c| c.ranges_sent);
        table.run(SECOND * 60);
        assert_eq!(table.count(|c| c.ranges_sent), before);
        // New messages do not disturb that agreement.
        for _ in 0..5 {
            table.send(2, "apple");
            table.run(SECOND * 3);
        }
        assert_eq!(table.count(|c| c.ranges_sent), before);
    }

    #[test]
    fn a_small_difference_of_large_sets_costs_little() {
        let mut table = Table::with_links(2, &[(1, 2)]);
        table.run(SECOND);
        for _ in 0..5_000 {
            table.send(1, "banana");
            table.send(2, "banana");
        }
        table.run(SECOND * 5);
        table.passes = Box::new(|_, _, _| false);
        for _ in 0..10 {
            table.send(1, "apple");
        }
        table.run(SECOND);
        table.sent.clear();
        // From here on only summaries can bring it up.
        let links = table.node(1).broadcast.links.iter_mut();
        links.for_each(|record| record.in_flight = Default::default());
        table.passes = Box::new(|_, _, _| true);
        table.run(SECOND * 5);
        assert_eq!(table.held(2), 10_010);
        let bytes: usize = table.sent.iter().map(|(_, _, bytes)| bytes).sum();
        assert!(bytes < 5_000, "{bytes}");
    }

    #[test]
    fn many_ranges_are_compared_a_page_at_a_time() {
        let mut table = Table::with_links(2, &[(1, 2)]);
        table.run(SECOND);
        table.passes = Box::new(|_, _, frames| is_summary(frames));
        // Every other id: as many ranges as there are ids.
        for sequence in 1..=4_000 {
            let id = MessageId::new(9, 1, sequence * 2);
            table.node(1).broadcast.store.refuse(id);
            if sequence != 2_500 {
                table.node(2).broadcast.store.refuse(id);
            }
        }
        table.send(1, "banana");
        table.passes = Box::new(|_, _, _| true);
        table.run(SECOND * 20);
        assert_eq!(table.held(2), 1);
        let before = table.count(|c| c.ranges_sent);
        assert!(before >= 3, "{before}");
        table.run(SECOND * 20);
        assert_eq!(table.count(|c| c.ranges_sent), before, "agreed after the last page");
    }

    #[test]
    fn sorted_ranges_list_their_ids_and_no_others() {
        let ids = [1, 2, 3, 7, 9].map(|sequence| MessageId::new(1, 1, sequence)).to_vec();
        let ranges = set::to_ranges(ids);
        let listed = |sequence| lists(&ranges, MessageId::new(1, 1, sequence));
        assert_eq!((0..=10).filter(|s| listed(*s)).collect::<Vec<_>>(), vec![1, 2, 3, 7, 9]);
        assert!(!lists(&ranges, MessageId::new(1, 2, 1)));
    }
}
