//! Time as the protocol sees it: two readings that never mix.
//!
//! [`Monotonic`] never steps and drives every timer. [`Wall`] is what people read; it may step,
//! so nothing is ever scheduled by it. Neither can be read here: the driver of a node hands
//! it a [`Now`] with each input. In processes that is `runtime::clock`, in the simulator the queue.

use std::ops::{Add, Sub};
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub(crate) mod timers;

/// An instant on a clock that never steps: nanoseconds since an arbitrary start.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Monotonic(pub u64);

/// Wall-clock time: nanoseconds since the Unix epoch. For display only.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Wall(pub u64);

/// Both readings, taken together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// Drives deadlines.
    pub monotonic: Monotonic,
    /// Appears in `sent_at` and `received_at`.
    pub wall: Wall,
}

impl Monotonic {
    /// The time from `earlier` to here; zero if `earlier` is later.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Monotonic {
    type Output = Self;

    /// Saturates: a deadline beyond the end of time never comes.
    fn add(self, duration: Duration) -> Self {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(nanos))
    }
}

impl Sub<Duration> for Monotonic {
    type Output = Self;

    /// Saturates at the start of the clock.
    fn sub(self, duration: Duration) -> Self {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        Self(self.0.saturating_sub(nanos))
    }
}

impl Wall {
    /// The time from `earlier` to here; zero where a clock stepped back in between.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_back_of_the_wall_clock_gives_zero_latency() {
        assert_eq!(Wall(5).since(Wall(9)), Duration::ZERO);
        assert_eq!(Wall(9).since(Wall(5)), Duration::from_nanos(4));
    }

    #[test]
    fn deadlines_saturate_instead_of_wrapping() {
        assert_eq!(Monotonic(1) + Duration::MAX, Monotonic(u64::MAX));
        assert_eq!(Monotonic(1) - Duration::from_secs(1), Monotonic(0));
    }
}
