//! The one place that reads the clocks.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use crate::protocol::{Monotonic, Now, Wall};

/// Both clocks, read one after the other.
#[must_use]
pub fn now() -> Now {
    Now { monotonic: monotonic(), wall: Wall(nanos(ClockId::Realtime)) }
}

/// The clock that never steps, alone.
#[must_use]
pub fn monotonic() -> Monotonic {
    Monotonic(nanos(ClockId::Monotonic))
}

/// What a clock shows, in nanoseconds. Asked directly: std's way leads over the C library, whose
/// code and data are cold when a node wakes up.
#[expect(clippy::disallowed_methods, reason = "the one place that may read a clock")]
fn nanos(clock: ClockId) -> u64 {
    let time = clock_gettime(clock);
    let positive = |part: i64| u64::try_from(part).unwrap_or(0);
    positive(time.tv_sec).saturating_mul(1_000_000_000).saturating_add(positive(time.tv_nsec))
}

/// For this long the wall clock is taken to run as the other does.
const IN_STEP_FOR: Duration = Duration::from_millis(100);

/// Both clocks, for who asks again and again: the wall clock is only read once in a while. What
/// the system does to slow it down or speed it up, it does to both; if it steps, that is seen a
/// little later.
#[derive(Debug, Default)]
pub struct Clock {
    last: Option<Now>,
}

impl Clock {
    /// Both clocks.
    #[must_use]
    pub fn now(&mut self) -> Now {
        let monotonic = monotonic();
        match self.last.and_then(|last| in_step(last, monotonic)) {
            Some(wall) => Now { monotonic, wall },
            None => *self.last.insert(now()),
        }
    }
}

/// What the wall clock shows if it ran as the other did since `last`, unless that is too long ago.
fn in_step(last: Now, monotonic: Monotonic) -> Option<Wall> {
    let since = monotonic.since(last.monotonic);
    let nanos = u64::try_from(since.as_nanos()).ok()?;
    (since < IN_STEP_FOR).then(|| Wall(last.wall.0.saturating_add(nanos)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wall_clock_follows_the_other_for_a_moment_only() {
        let last = Now { monotonic: Monotonic(7_000), wall: Wall(1_700_000_000_000_000_000) };
        let after = |nanos: u64| in_step(last, Monotonic(7_000 + nanos));
        assert_eq!(after(0), Some(last.wall));
        assert_eq!(after(99_999_999), Some(Wall(last.wall.0 + 99_999_999)));
        assert_eq!(after(100_000_000), None);
    }
}
