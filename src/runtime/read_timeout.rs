//! The socket's read timeout, which wakes the loop when something is due.
//!
//! Setting it is a system call, and so is waking up for nothing. A message that starts or passes
//! through is due to be recorded or asked about some 20 to 30 ms later; mostly it is recorded and
//! acknowledged long before, and nothing is due for a second. Where the next message comes within that
//! time, its wait begins anew, and one timeout does for all of them. Where it does not, the timeout is
//! better taken back in time.

use std::time::Duration;

use super::WAIT_MAX;
use crate::protocol::Monotonic;

/// So much later than due a wait may end, or half of itself where that is less; the system adds what
/// it rounds up, up to 4 ms on Linux.
const LATE_MAX: Duration = Duration::from_millis(10);
/// A timeout is only taken back for a wait that is so many times as long.
const EARLY_MAX: u32 = 4;
/// The least that is set: what is due sooner is not worth an exact timer.
const LEAST: Duration = Duration::from_millis(1);

/// The timeout that the socket has.
#[derive(Debug)]
pub(super) struct ReadTimeout {
    timeout: Duration,
    /// When it was last made shorter.
    shortened: Monotonic,
    /// The last wait ended with it, and brought nothing else.
    pub(super) rang: bool,
    /// Whether to take it back before it rings in vain. So it did last time, and what shortens it
    /// does not come in quick succession.
    take_back: bool,
}

impl Default for ReadTimeout {
    fn default() -> Self {
        Self { timeout: WAIT_MAX, shortened: Monotonic(0), rang: false, take_back: true }
    }
}

impl ReadTimeout {
    /// The timeout to set now for a wait like this; `None` if the one that is set does.
    ///
    /// What is set lies midway between on time and too late: a wait that is as long as the one
    /// before, or a little shorter, needs no other.
    pub(super) fn set(&mut self, now: Monotonic, wait: Duration) -> Option<Duration> {
        let late_max = LATE_MAX.min(wait / 2);
        let too_late = self.timeout > (wait + late_max).max(LEAST);
        let too_early = self.timeout * EARLY_MAX < wait;
        self.take_back |= too_early && self.rang;
        if !(too_late || too_early && self.take_back) {
            return None;
        }
        let timeout = (wait + late_max / 2).max(LEAST);
        if too_late {
            self.take_back &= now.since(self.shortened) > timeout;
            self.shortened = now;
        }
        self.timeout = timeout;
        Some(timeout)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORT: Duration = Duration::from_millis(30);
    const LONG: Duration = Duration::from_secs(1);

    /// Messages at this distance, each of which is acknowledged at once: how often the timeout was set,
    /// and how often it rang.
    fn messages(count: u64, apart: Duration) -> (u64, u64) {
        let (mut read_timeout, mut now) = (ReadTimeout::default(), Monotonic(1));
        let (mut set, mut rung) = (0, 0);
        for _ in 0..count {
            read_timeout.rang = false;
            set += u64::from(read_timeout.set(now, SHORT).is_some());
            set += u64::from(read_timeout.set(now, LONG).is_some());
            if read_timeout.timeout < apart {
                rung += 1;
                read_timeout.rang = true;
                set += u64::from(read_timeout.set(now + read_timeout.timeout, LONG).is_some());
            }
            now = now + apart;
        }
        (set, rung)
    }

    #[test]
    fn messages_in_quick_succession_need_one_timeout() {
        let (set, rung) = messages(100, Duration::from_millis(20));
        assert!(set <= 4 && rung == 0, "set {set} times, rung {rung} times");
    }

    #[test]
    fn among_messages_far_apart_it_hardly_ever_rings_in_vain() {
        let (set, rung) = messages(100, Duration::from_millis(200));
        assert!(set <= 202 && rung <= 1, "set {set} times, rung {rung} times");
    }

    #[test]
    fn no_wait_ends_much_too_late() {
        let mut read_timeout = ReadTimeout::default();
        let now = Monotonic(1);
        for wait in [1, 2, 1_000, 30, 29, 26, 24, 20, 3, 60, 500, 5, 1].map(Duration::from_millis) {
            read_timeout.set(now, wait);
            let late = read_timeout.timeout.saturating_sub(wait);
            assert!(
                late <= LATE_MAX.min(wait / 2).max(LEAST),
                "{wait:?}: {:?}",
                read_timeout.timeout
            );
        }
    }

    #[test]
    fn very_short_waits_need_one_timeout() {
        let mut read_timeout = ReadTimeout::default();
        let set = (1..=9).filter(|tenth| {
            read_timeout.set(Monotonic(1), Duration::from_micros(tenth * 100)).is_some()
        });
        assert_eq!(set.count(), 1);
    }

    #[test]
    fn after_an_idle_wait_it_waits_for_what_is_due_next() {
        let mut read_timeout = ReadTimeout::default();
        let now = Monotonic(1);
        assert!(read_timeout.set(now, SHORT).is_some());
        read_timeout.rang = true;
        let timeout = read_timeout.set(now + SHORT, LONG).unwrap();
        assert!(timeout >= LONG && timeout <= LONG + LATE_MAX);
        assert_eq!(read_timeout.set(now + SHORT, LONG), None);
    }
}
