//! Numbers of one origin's messages, as sorted ranges that neither overlap nor touch.

use smallvec::SmallVec;

/// Some of the numbers of one origin's messages.
///
/// First and last numbers; mostly one range, which then needs no memory of its own.
#[derive(Clone, Debug, Default)]
pub(crate) struct Numbers(SmallVec<[(u64, u64); 1]>);

impl Numbers {
    /// The ranges, first and last number of each, in order.
    pub(crate) fn ranges(&self) -> &[(u64, u64)] {
        &self.0
    }

    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn contains(&self, number: u64) -> bool {
        // Mostly the number is in the last range, or the next one after it.
        match self.0.last() {
            Some((first, last)) if *first <= number => number <= *last,
            _ => {
                let at = self.0.partition_point(|range| range.1 < number);
                self.0.get(at).is_some_and(|range| range.0 <= number)
            }
        }
    }

    /// Whether adding this number would take one more range.
    pub(crate) fn needs_range_for(&self, number: u64) -> bool {
        // A number next to a range extends it, or joins two.
        ![number.saturating_sub(1), number, number.saturating_add(1)]
            .into_iter()
            .any(|near| self.contains(near))
    }

    /// Adds one number.
    pub(crate) fn insert(&mut self, number: u64) {
        match self.0.last_mut() {
            // Mostly it is the number after the last.
            Some((_, last)) if last.checked_add(1) == Some(number) => *last = number,
            _ => self.insert_range(number, number),
        }
    }

    /// Adds all numbers from `first` to `last`.
    pub(crate) fn insert_range(&mut self, first: u64, last: u64) {
        // From `start` to `end` are the ranges that overlap or touch the new one: all become one.
        let start = self.0.partition_point(|range| range.1.saturating_add(1) < first);
        let end = self.0.partition_point(|range| range.0 <= last.saturating_add(1));
        if start < end {
            let merged = (first.min(self.0[start].0), last.max(self.0[end - 1].1));
            self.0[start] = merged;
            self.0.drain(start + 1..end);
        } else {
            self.0.insert(start, (first, last));
        }
    }

    /// Takes one number out.
    pub(crate) fn remove(&mut self, number: u64) {
        let at = self.0.partition_point(|range| range.1 < number);
        let Some(range) = self.0.get(at).copied().filter(|range| range.0 <= number) else {
            return;
        };
        // The rest of its range on either side, if any.
        let left = (range.0 < number).then(|| (range.0, number - 1));
        let right = (number < range.1).then(|| (number + 1, range.1));
        self.0.remove(at);
        self.0.insert_many(at, left.into_iter().chain(right));
    }
}
