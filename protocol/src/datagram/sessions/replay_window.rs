//! Which counters of a session were seen: each datagram counts once.
//!
//! A ring of bits, as in RFC 6479: the highest counter so far, and for the last thousand or so whether each was
//! seen. Late ones count, and a counter below the ring does not. Beside that a floor rises with
//! time, so that datagrams that were recorded and never arrived cannot be saved up for later.

use std::time::Duration;

use crate::time::Monotonic;

/// A datagram that was overtaken does not count any more after one to two times this.
const OVERTAKEN_MAX: Duration = Duration::from_secs(2);

const WORDS: u64 = 16;
/// One word of the ring is always being reused.
const COUNTERS: u64 = (WORDS - 1) * 64;

/// A bit for each of the latest counters.
type Ring = [u64; WORDS as usize];

/// The counters seen in one session.
#[derive(Debug)]
pub(super) struct ReplayWindow {
    /// One more than the highest counter seen; 0 before the first.
    top: u64,
    /// No counter below counts.
    floor: u64,
    /// The next floor, and the time at which it was the top.
    mark: u64,
    marked: Monotonic,
    /// `None` while no counter was left out: most sessions lose nothing for long.
    ring: Option<Box<Ring>>,
}

impl ReplayWindow {
    /// Nothing was seen.
    pub(super) fn new(now: Monotonic) -> Self {
        Self { top: 0, floor: 0, mark: 0, marked: now, ring: None }
    }

    /// Whether nothing was seen yet.
    pub(super) fn is_unused(&self) -> bool {
        self.top == 0
    }

    /// Whether a datagram with this counter would count now.
    pub(super) fn admits(&self, counter: u64, now: Monotonic) -> bool {
        if counter >= self.top {
            // The last number of all has no successor.
            return counter != u64::MAX;
        }
        let is_low = counter < self.floor_at(now) || self.top - counter > COUNTERS;
        let is_seen = |ring: &Ring| ring[Self::word(counter)] & Self::bit(counter) != 0;
        !is_low && !self.ring.as_deref().is_none_or(is_seen)
    }

    /// Counters below were overtaken two to four seconds ago, whether others came since or not.
    fn floor_at(&self, now: Monotonic) -> u64 {
        match now.since(self.marked) {
            since if since >= OVERTAKEN_MAX * 2 => self.top,
            since if since >= OVERTAKEN_MAX => self.mark,
            _ => self.floor,
        }
    }

    /// Notes a counter that is admitted. Says whether it is the highest so far.
    pub(super) fn note(&mut self, counter: u64, now: Monotonic) -> bool {
        let is_newest = counter >= self.top;
        if now.since(self.marked) >= OVERTAKEN_MAX {
            (self.floor, self.mark, self.marked) = (self.floor_at(now), self.top, now);
        }
        if self.ring.is_none() && counter == self.top {
            self.top += 1;
            return true;
        }
        let top = self.top;
        let bits = self.ring.get_or_insert_with(|| Self::all_below(top));
        if is_newest {
            // The words between the highest counter so far and this one are of counters long ago.
            let before = self.top.saturating_sub(1) / 64;
            let words = (counter / 64 - before).min(WORDS);
            for word in 1..=words {
                bits[((before + word) % WORDS) as usize] = 0;
            }
            self.top = counter + 1;
        }
        bits[Self::word(counter)] |= Self::bit(counter);
        is_newest
    }

    /// A ring in which all counters below this one were seen.
    fn all_below(top: u64) -> Box<Ring> {
        let mut ring = Box::new([0; WORDS as usize]);
        for counter in top.saturating_sub(COUNTERS)..top {
            ring[Self::word(counter)] |= Self::bit(counter);
        }
        ring
    }

    fn word(counter: u64) -> usize {
        (counter / 64 % WORDS) as usize
    }

    fn bit(counter: u64) -> u64 {
        1 << (counter % 64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    const START: Monotonic = Monotonic(5_000_000_000);

    fn arrives(window: &mut ReplayWindow, counter: u64, ms: u64) -> bool {
        let now = START + Duration::from_millis(ms);
        let admitted = window.admits(counter, now);
        if admitted {
            window.note(counter, now);
            assert!(!window.admits(counter, now), "{counter} counts again");
        }
        admitted
    }

    #[test]
    fn each_counter_counts_once_in_any_order() {
        let mut window = ReplayWindow::new(START);
        for counter in [0, 1, 5, 3, 2, 4, 900, 6, 899] {
            assert!(arrives(&mut window, counter, 0), "{counter}");
        }
        for counter in [0, 5, 900, 899] {
            assert!(!arrives(&mut window, counter, 0), "{counter}");
        }
    }

    #[test]
    fn counters_below_the_ring_do_not_count() {
        let mut window = ReplayWindow::new(START);
        assert!(arrives(&mut window, 10_000, 0));
        assert!(!arrives(&mut window, 10_000 - COUNTERS, 0));
        assert!(arrives(&mut window, 10_001 - COUNTERS, 0));
    }

    #[test]
    fn the_end_of_numbers_is_no_special_place() {
        let mut window = ReplayWindow::new(START);
        assert!(arrives(&mut window, 7, 0));
        assert!(arrives(&mut window, 1 << 63, 0));
        assert!(arrives(&mut window, u64::MAX - 1, 0));
        assert!(arrives(&mut window, u64::MAX - 3, 0));
        assert!(!arrives(&mut window, u64::MAX, 0) && !arrives(&mut window, 7, 0));
    }

    #[test]
    fn what_was_overtaken_two_to_four_seconds_ago_does_not_count() {
        let mut window = ReplayWindow::new(START);
        // Counters 10, 20, 30, … each 100 ms; those between are lost on the way, or kept back.
        for step in 1..=60 {
            assert!(arrives(&mut window, step * 10, step * 100));
        }
        let now = 60 * 100;
        assert!(arrives(&mut window, 60 * 10 - 19 * 10 - 5, now), "overtaken 2 s ago");
        assert!(!arrives(&mut window, 60 * 10 - 40 * 10 - 5, now), "overtaken 4 s ago");
    }

    #[test]
    fn a_silence_makes_no_counter_count_later() {
        for silent in [3_999, 3_600_000] {
            let mut window = ReplayWindow::new(START);
            for counter in (0..100).filter(|counter| *counter != 90) {
                assert!(arrives(&mut window, counter, counter * 10));
            }
            assert!(window.admits(90, START + Duration::from_millis(1_900)));
            assert!(!arrives(&mut window, 90, 1_000 + silent), "after {silent} ms");
            assert!(arrives(&mut window, 100, 1_000 + silent));
        }
    }

    proptest! {
        /// As a set of all counters seen would decide, within the ring.
        #[test]
        fn the_ring_agrees_with_a_set(steps in prop::collection::vec((0u64..3, 0u64..1_500), 1..300)) {
            let (mut window, mut seen) = (ReplayWindow::new(START), BTreeSet::new());
            for (way, by) in steps {
                let top = seen.last().map_or(0, |last| last + 1);
                let counter = if way == 0 { top + by } else { top.saturating_sub(1 + by) };
                let near = seen.last().is_none_or(|last| counter + COUNTERS > *last);
                prop_assert_eq!(arrives(&mut window, counter, 0), near && !seen.contains(&counter));
                if near {
                    seen.insert(counter);
                }
            }
        }
    }
}
