//! The one place that reads a clock.

use std::sync::OnceLock;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::protocol::{Monotonic, Now, Wall};

/// Both clocks, read one after the other.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "the one place that may read a clock")]
pub fn now() -> Now {
    let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    Now { monotonic: monotonic(), wall: Wall(u64::try_from(wall).unwrap_or(u64::MAX)) }
}

/// The clock that never steps, alone.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "the one place that may read a clock")]
pub fn monotonic() -> Monotonic {
    static START: OnceLock<Instant> = OnceLock::new();
    let start = *START.get_or_init(Instant::now);
    Monotonic(u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX))
}
