//! Sets of message ids as ranges, and the account of such a set: a count and a fingerprint.
//!
//! Sequence numbers leave no gaps, so a node that has everything knows one range per origin. Two
//! nodes compare sets by [`Account`]: a sum over ids, so it does not depend on order, and the
//! difference of two accounts is the account of what one side has and the other has not.

use serde::{Deserialize, Serialize};

use crate::ids::by_origin::ByOrigin;
use crate::ids::numbers::Numbers;
use crate::ids::{MessageId, NodeId, Origin};

/// The ids `first` to `first + more` of one origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct IdRange {
    pub(crate) origin: Origin,
    pub(crate) first: u64,
    /// How many follow the first.
    pub(crate) more: u64,
}

impl IdRange {
    /// The range of one id.
    pub(crate) fn one(id: MessageId) -> Self {
        Self { origin: id.origin, first: id.sequence, more: 0 }
    }

    /// Its first id.
    pub(crate) fn first_id(&self) -> MessageId {
        MessageId { origin: self.origin, sequence: self.first }
    }

    /// The last sequence number; `None` where the range runs over the end of numbers, or starts
    /// at 0, which no message has.
    pub(crate) fn last(&self) -> Option<u64> {
        if self.first == 0 || self.origin.node == NodeId(0) {
            return None;
        }
        self.first.checked_add(self.more)
    }
}

/// A count and an order-independent fingerprint of a set of ids.
///
/// Both add up modulo 2⁶⁴, so a set's account can be kept while it grows, and the account of a
/// difference is the difference of accounts. Two different sets agree by chance once in 2⁶⁴.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Account {
    pub(crate) count: u64,
    pub(crate) fingerprint: u64,
}

impl Account {
    /// The account of one id.
    pub(crate) fn of(id: MessageId) -> Self {
        // One part is mixed after the other: ids with the same sum must differ, too.
        let node = mix(id.origin.node.0.into());
        let origin = mix(node.wrapping_add(id.origin.incarnation));
        Self { count: 1, fingerprint: mix(origin.wrapping_add(id.sequence)) }
    }

    /// The account of both sets together, which must not overlap.
    pub(crate) fn plus(self, other: Self) -> Self {
        Self {
            count: self.count.wrapping_add(other.count),
            fingerprint: self.fingerprint.wrapping_add(other.fingerprint),
        }
    }

    /// The account of this set without the other, which must lie within.
    pub(crate) fn minus(self, other: Self) -> Self {
        Self {
            count: self.count.wrapping_sub(other.count),
            fingerprint: self.fingerprint.wrapping_sub(other.fingerprint),
        }
    }
}

/// The finaliser of SplitMix64 (Steele, Lea, Flood 2014): every bit in moves every bit out.
pub(crate) fn mix(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A set of ids, kept as ranges.
#[derive(Clone, Debug, Default)]
pub(crate) struct IdSet {
    origins: ByOrigin<Numbers>,
    ranges: usize,
}

impl IdSet {
    /// The number of ranges.
    pub(crate) fn ranges(&self) -> usize {
        self.ranges
    }

    /// Whether nothing is in it.
    pub(crate) fn is_empty(&self) -> bool {
        self.ranges == 0
    }

    /// The set, to be read.
    pub(crate) fn ids(&self) -> Ids<'_, Numbers> {
        Ids::new(&self.origins, self.ranges, |numbers| numbers)
    }

    /// Adds one id.
    pub(crate) fn insert(&mut self, id: MessageId) {
        self.change(id.origin, |numbers| numbers.insert(id.sequence));
    }

    /// Adds all ids from `first` to `last`.
    pub(crate) fn insert_range(&mut self, origin: Origin, first: u64, last: u64) {
        self.change(origin, |numbers| numbers.insert_range(first, last));
    }

    /// Takes one id out.
    pub(crate) fn remove(&mut self, id: MessageId) {
        if self.ids().contains(id) && self.change(id.origin, |numbers| numbers.remove(id.sequence))
        {
            self.origins.remove(id.origin);
        }
    }

    /// Changes the numbers of an origin, and keeps count of ranges; says whether none is left.
    fn change(&mut self, origin: Origin, change: impl FnOnce(&mut Numbers)) -> bool {
        let numbers = self.origins.or_default(origin);
        let before = numbers.ranges().len();
        change(numbers);
        self.ranges = self.ranges + numbers.ranges().len() - before;
        numbers.is_empty()
    }

    /// Takes the first id out.
    pub(crate) fn pop_first(&mut self) -> Option<MessageId> {
        let IdRange { origin, first, .. } = self.ids().iter().next()?;
        let id = MessageId { origin, sequence: first };
        self.remove(id);
        Some(id)
    }
}

/// A set of ids to be read, wherever the numbers of each origin stand.
pub(crate) struct Ids<'a, T> {
    origins: &'a ByOrigin<T>,
    ranges: usize,
    numbers: fn(&T) -> &Numbers,
}

impl<T> Clone for Ids<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Ids<'_, T> {}

impl<'a, T> Ids<'a, T> {
    /// The ids whose numbers this function finds, `ranges` of them in all.
    pub(crate) fn new(
        origins: &'a ByOrigin<T>,
        ranges: usize,
        numbers: fn(&T) -> &Numbers,
    ) -> Self {
        Self { origins, ranges, numbers }
    }

    /// The number of ranges.
    pub(crate) fn ranges(self) -> usize {
        self.ranges
    }

    /// The numbers of one origin.
    fn of(self, origin: Origin) -> Option<&'a Numbers> {
        self.origins.get(origin).map(self.numbers)
    }

    /// Whether this id is among them.
    pub(crate) fn contains(self, id: MessageId) -> bool {
        self.of(id.origin).is_some_and(|numbers| numbers.contains(id.sequence))
    }

    /// Whether adding this id would take one more range.
    pub(crate) fn needs_range_for(self, id: MessageId) -> bool {
        self.of(id.origin).is_none_or(|numbers| numbers.needs_range_for(id.sequence))
    }

    /// The parts of `range` that are in this set, in order.
    pub(crate) fn common_with(self, range: IdRange) -> impl Iterator<Item = IdRange> + use<'a, T> {
        let last = range.last().unwrap_or(0);
        let origin = range.origin;
        let known = self.of(origin).map_or(&[][..], Numbers::ranges);
        // Only the ranges that overlap: skip those that end before, stop at the first behind.
        known[known.partition_point(|known| known.1 < range.first)..]
            .iter()
            .take_while(move |known| known.0 <= last)
            .map(move |known| (known.0.max(range.first), known.1.min(last)))
            .map(move |(first, last)| IdRange { origin, first, more: last - first })
    }

    /// The parts of this set from `first` on, up to and without `end`, in order.
    pub(crate) fn between(
        self,
        first: MessageId,
        end: Option<MessageId>,
    ) -> impl Iterator<Item = IdRange> + use<'a, T> {
        // Clip the ranges of both end origins; a range that is clipped to nothing falls out.
        let last_origin = end.map(|end| end.origin);
        self.of_origins(first.origin, last_origin).filter_map(move |mut range| {
            let mut last = range.last()?;
            if range.origin == first.origin && range.first < first.sequence {
                range.first = first.sequence;
            }
            match end {
                Some(end) if range.origin == end.origin => {
                    last = last.min(end.sequence.checked_sub(1)?);
                }
                _ => {}
            }
            range.more = last.checked_sub(range.first)?;
            Some(range)
        })
    }

    /// All ranges of the origins from `first` to `last`, or to the end, in order. Origins behind
    /// are not looked at: there may be very many of which nothing is in the set.
    fn of_origins(
        self,
        first: Origin,
        last: Option<Origin>,
    ) -> impl Iterator<Item = IdRange> + use<'a, T> {
        let within = move |origin: Origin| last.is_none_or(|last| origin <= last);
        let origins = self.origins.iter_from(first).take_while(move |(origin, _)| within(*origin));
        origins.flat_map(move |(origin, of)| {
            let ranges = (self.numbers)(of).ranges().iter();
            ranges.map(move |(first, last)| IdRange { origin, first: *first, more: last - first })
        })
    }

    /// All ranges in order.
    pub(crate) fn iter(self) -> impl Iterator<Item = IdRange> + use<'a, T> {
        self.of_origins(Origin { node: NodeId(0), incarnation: 0 }, None)
    }

    /// The parts of `range` that are not in this set, in order.
    pub(crate) fn missing_in(self, range: IdRange) -> impl Iterator<Item = IdRange> + use<'a, T> {
        let (origin, last) = (range.origin, range.last());
        // Where the rest begins that was not looked at; `None` once nothing is left.
        let mut next = last.map(|_| range.first);
        let mut known = self.common_with(range);
        std::iter::from_fn(move || {
            loop {
                let (first, last) = (next?, last?);
                let Some(part) = known.next() else {
                    next = None;
                    return Some(IdRange { origin, first, more: last - first });
                };
                // Pass over the known part, and tell the gap before it if there is one.
                next = part.first.saturating_add(part.more).checked_add(1).filter(|n| *n <= last);
                if first < part.first {
                    return Some(IdRange { origin, first, more: part.first - 1 - first });
                }
            }
        })
    }

    /// The ids of `range` that are in this set, in order: as many steps as there are such ids.
    pub(crate) fn known_in(self, range: IdRange) -> impl Iterator<Item = MessageId> + use<'a, T> {
        self.common_with(range).flat_map(|part| {
            let last = part.first.saturating_add(part.more);
            (part.first..=last).map(move |sequence| MessageId { origin: part.origin, sequence })
        })
    }
}

/// Lists ids as ranges: neighbours in number share one. `ids` need not be sorted.
pub(crate) fn to_ranges(mut ids: Vec<MessageId>) -> Vec<IdRange> {
    // Sorted, so that each id extends the last range or begins the next.
    ids.sort_unstable();
    ids.dedup();
    let mut ranges: Vec<IdRange> = Vec::new();
    for id in ids {
        match ranges.last_mut() {
            Some(range)
                if range.origin == id.origin && range.first + range.more + 1 == id.sequence =>
            {
                range.more += 1;
            }
            _ => ranges.push(IdRange::one(id)),
        }
    }
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn id(sequence: u64) -> MessageId {
        MessageId::new(1, 1, sequence)
    }

    fn range(first: u64, last: u64) -> IdRange {
        IdRange { origin: id(1).origin, first, more: last - first }
    }

    fn members(set: &IdSet) -> BTreeSet<u64> {
        set.ids().iter().flat_map(|r| r.first..=r.first + r.more).collect()
    }

    proptest! {
        #[test]
        fn a_set_of_ranges_is_a_set(steps in prop::collection::vec((any::<bool>(), 1u64..40), 0..80)) {
            let (mut set, mut model) = (IdSet::default(), BTreeSet::new());
            for (add, sequence) in steps {
                let grows = set.ids().needs_range_for(id(sequence));
                let before = set.ranges();
                if add {
                    set.insert(id(sequence));
                    model.insert(sequence);
                    prop_assert_eq!(grows, set.ranges() == before + 1);
                } else {
                    set.remove(id(sequence));
                    model.remove(&sequence);
                }
                prop_assert_eq!(set.ranges(), set.ids().iter().count());
            }
            prop_assert_eq!(&members(&set), &model);
            let touching = set.ids().iter().zip(set.ids().iter().skip(1)).any(|(a, b)| a.first + a.more + 1 >= b.first);
            prop_assert!(!touching);
            let missing: BTreeSet<u64> =
                set.ids().missing_in(range(5, 30)).flat_map(|r| r.first..=r.first + r.more).collect();
            let expected: BTreeSet<u64> = (5..=30).filter(|s| !model.contains(s)).collect();
            prop_assert_eq!(missing, expected);
            let known: BTreeSet<u64> = set.ids().known_in(range(5, 30)).map(|id| id.sequence).collect();
            let expected: BTreeSet<u64> = (5..=30).filter(|s| model.contains(s)).collect();
            prop_assert_eq!(known, expected);
            let between: BTreeSet<u64> =
                set.ids().between(id(5), Some(id(30))).flat_map(|r| r.first..=r.first + r.more).collect();
            let expected: BTreeSet<u64> = model.range(5..30).copied().collect();
            prop_assert_eq!(between, expected);
        }

        #[test]
        fn accounts_add_up_in_any_order(ids in prop::collection::btree_set((1u32..5, 1u64..50), 0..40)) {
            let all: Vec<Account> =
                ids.iter().map(|(node, sequence)| Account::of(MessageId::new(*node, 1, *sequence))).collect();
            let forth = all.iter().fold(Account::default(), |sum, one| sum.plus(*one));
            let back = all.iter().rev().fold(Account::default(), |sum, one| sum.plus(*one));
            prop_assert_eq!(forth, back);
            let none = all.iter().fold(forth, |sum, one| sum.minus(*one));
            prop_assert_eq!(none, Account::default());
        }
    }

    #[test]
    fn a_page_does_not_look_at_origins_behind_its_end() {
        thread_local!(static LOOKED_AT: std::cell::Cell<u32> = const { std::cell::Cell::new(0) });
        let mut origins: ByOrigin<Numbers> = ByOrigin::new();
        for node in 1..=1_000 {
            origins.or_default(MessageId::new(node, 1, 1).origin);
        }
        origins.or_default(id(1).origin).insert_range(1, 9);
        let ids = Ids::new(&origins, 1, |numbers| {
            LOOKED_AT.set(LOOKED_AT.get() + 1);
            numbers
        });
        let page: Vec<IdRange> = ids.between(id(3), Some(MessageId::new(2, 1, 1))).collect();
        assert_eq!((page, LOOKED_AT.get()), (vec![range(3, 9)], 2));
    }

    #[test]
    fn ids_in_a_row_share_a_range() {
        let ranges = to_ranges(vec![id(3), id(1), id(2), id(2), id(7)]);
        assert_eq!(ranges, vec![range(1, 3), range(7, 7)]);
    }

    #[test]
    fn a_forged_range_costs_no_more_than_the_ids_known() {
        let mut set = IdSet::default();
        set.insert(id(5));
        let all = IdRange { origin: id(1).origin, first: 1, more: u64::MAX - 1 };
        assert_eq!(set.ids().known_in(all).count(), 1);
        assert_eq!(set.ids().missing_in(all).count(), 2);
        let over = IdRange { more: u64::MAX, ..all };
        assert_eq!(over.last(), None);
        assert_eq!(set.ids().known_in(over).count(), 0);
    }
}
