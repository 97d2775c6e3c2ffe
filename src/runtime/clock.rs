//! The one place that reads the clocks.

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
