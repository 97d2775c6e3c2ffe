//! All knowledge of each origin's messages, in one place: one look-up serves a copy that comes
//! in.
//!
//! Messages of one origin are numbered one by one, and mostly come in that order. So where each
//! lies stands in the order of these numbers: the latest, which their copies ask for, stand
//! together, and a number tells where. A hash table would scatter them, each to memory that is
//! cold.

use std::collections::VecDeque;

use crate::ids::MessageId;
use crate::ids::by_origin::ByOrigin;
use crate::ids::numbers::Numbers;
use crate::ids::set::Ids;

/// A list with a capacity up to this keeps its memory as long as it has any message.
const CAPACITY_KEPT: usize = 64;

/// Where a message lies among those held: its index in the order of arrival, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slot(pub(crate) u64);

/// What is known of one origin's messages.
#[derive(Debug, Default)]
pub(crate) struct OfOrigin {
    /// All numbers known, their messages held or gone.
    known: Numbers,
    /// Those whose messages are held.
    held: Numbers,
    /// Where these lie: number and slot, in the order of numbers.
    places: VecDeque<(u64, u64)>,
}

/// What is known of all messages.
#[derive(Debug, Default)]
pub(crate) struct Origins {
    origins: ByOrigin<OfOrigin>,
    known_ranges: usize,
    held_ranges: usize,
}

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// It lies there.
    Held(Slot),
    /// Known, and not held any more, or never.
    Gone,
    Unknown,
}

impl Origins {
    /// The bytes that a message takes here, with the memory that lists keep free.
    pub(crate) const ENTRY_BYTES: usize = 2 * size_of::<(u64, u64)>();

    /// All ids known.
    pub(crate) fn known(&self) -> Ids<'_, OfOrigin> {
        Ids::new(&self.origins, self.known_ranges, |of| &of.known)
    }

    /// The ids of all messages held.
    pub(crate) fn held(&self) -> Ids<'_, OfOrigin> {
        Ids::new(&self.origins, self.held_ranges, |of| &of.held)
    }

    /// What became of this message.
    pub(crate) fn find(&self, id: MessageId) -> Found {
        let Some(of) = self.origins.get(id.origin) else { return Found::Unknown };
        if !of.known.contains(id.sequence) {
            return Found::Unknown;
        }
        // Known, and without a place: evicted, or never taken in.
        of.place(id.sequence).map_or(Found::Gone, |at| Found::Held(Slot(of.places[at].1)))
    }

    /// Notes that a message is held, and where; there must be none of this id. At worst half a list
    /// is moved for it, as it is when the message goes. So an origin that picks odd numbers costs
    /// no more than the limit of messages held allows.
    pub(crate) fn hold(&mut self, id: MessageId, slot: Slot) {
        self.change(id, |of| {
            // The first message may stay the only one.
            of.places.reserve_exact(usize::from(of.places.capacity() == 0));
            // Mostly it is the latest, for which the list need not be read.
            let last = of.held.ranges().last().map_or(0, |(_, last)| *last);
            if last < id.sequence {
                of.places.push_back((id.sequence, slot.0));
            } else if let Err(at) = of.place(id.sequence) {
                of.places.insert(at, (id.sequence, slot.0));
            }
            of.known.insert(id.sequence);
            of.held.insert(id.sequence);
        });
    }

    /// Notes an id whose message is not held.
    pub(crate) fn know(&mut self, id: MessageId) {
        self.change(id, |of| of.known.insert(id.sequence));
    }

    /// Notes that a message that was held is not any more; it stays known.
    pub(crate) fn let_go(&mut self, id: MessageId) {
        self.change(id, |of| {
            let Ok(at) = of.place(id.sequence) else { return };
            of.places.remove(at);
            of.held.remove(id.sequence);
            of.give_memory_back();
        });
    }

    /// Changes what is known of an origin's messages, and keeps count of ranges.
    fn change(&mut self, id: MessageId, change: impl FnOnce(&mut OfOrigin)) {
        let of = self.origins.or_default(id.origin);
        let ranges = |of: &OfOrigin| (of.known.ranges().len(), of.held.ranges().len());
        let before = ranges(of);
        change(of);
        let after = ranges(of);
        self.known_ranges = self.known_ranges + after.0 - before.0;
        self.held_ranges = self.held_ranges + after.1 - before.1;
    }
}

impl OfOrigin {
    /// Gives back memory that is not used: origins take turns, and none keeps what it once filled.
    fn give_memory_back(&mut self) {
        // A list is halved when three quarters of it are free: one at the border would else shrink
        // and grow in turns.
        let (capacity, taken) = (self.places.capacity(), self.places.len());
        if taken == 0 {
            (self.held, self.places) = Default::default();
        } else if capacity > CAPACITY_KEPT && taken < capacity / 4 {
            self.places.shrink_to(capacity / 2);
        }
    }

    /// The index of a number among the places, or where it would be.
    fn place(&self, sequence: u64) -> Result<usize, usize> {
        let places = &self.places;
        let Some((last, _)) = places.back() else { return Err(0) };
        // With no number missing in between, its place is as far from the last place as it is from
        // the last number. Else the list is searched.
        let Some(back) = last.checked_sub(sequence) else { return Err(places.len()) };
        let at = usize::try_from(back).ok().and_then(|back| (places.len() - 1).checked_sub(back));
        match at.filter(|at| places[*at].0 == sequence) {
            Some(at) => Ok(at),
            None => places.binary_search_by_key(&sequence, |(sequence, _)| *sequence),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::set::IdRange;
    use proptest::prelude::*;
    use std::collections::{BTreeMap, BTreeSet};

    #[test]
    fn an_origin_whose_messages_are_gone_gives_its_memory_back() {
        let mut origins = Origins::default();
        let id = |sequence| MessageId::new(1, 1, sequence);
        for sequence in 1..=10_000 {
            origins.hold(id(sequence), Slot(sequence));
        }
        for sequence in 1..10_000 {
            origins.let_go(id(sequence));
        }
        let capacity =
            |origins: &Origins| origins.origins.get(id(1).origin).unwrap().places.capacity();
        assert!(capacity(&origins) <= 2 * CAPACITY_KEPT, "{}", capacity(&origins));
        assert_eq!(origins.find(id(10_000)), Found::Held(Slot(10_000)));
        origins.let_go(id(10_000));
        assert_eq!((capacity(&origins), origins.find(id(10_000))), (0, Found::Gone));
    }

    fn members(ids: Ids<'_, OfOrigin>) -> BTreeSet<MessageId> {
        let all = |range: IdRange| (0..=range.more).map(move |n| (range, range.first + n));
        ids.iter()
            .flat_map(all)
            .map(|(range, sequence)| MessageId { origin: range.origin, sequence })
            .collect()
    }

    proptest! {
        #[test]
        fn every_known_message_is_held_or_gone(steps in prop::collection::vec((0u8..4, 1u32..40, 0u64..12), 0..300)) {
            let (mut origins, mut model) = (Origins::default(), BTreeMap::new());
            for (number, (what, node, sequence)) in (0u64..).zip(steps) {
                let id = MessageId::new(node % 20, 1, sequence.wrapping_sub(3));
                match (what, model.get(&id)) {
                    (0 | 1, None) => {
                        origins.hold(id, Slot(number));
                        model.insert(id, Found::Held(Slot(number)));
                    }
                    (2, None) => {
                        origins.know(id);
                        model.insert(id, Found::Gone);
                    }
                    (3, Some(_)) => {
                        origins.let_go(id);
                        model.insert(id, Found::Gone);
                    }
                    _ => {}
                }
                prop_assert_eq!(origins.find(id), model.get(&id).copied().unwrap_or(Found::Unknown));
            }
            for (id, found) in &model {
                prop_assert_eq!(origins.find(*id), *found);
            }
            let held = model.iter().filter(|(_, found)| **found != Found::Gone).map(|(id, _)| *id);
            prop_assert_eq!(members(origins.held()), held.collect());
            prop_assert_eq!(members(origins.known()), model.keys().copied().collect());
            for ids in [origins.known(), origins.held()] {
                prop_assert_eq!(ids.ranges(), ids.iter().count());
            }
        }
    }
}
