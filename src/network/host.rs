//! What this machine allows and shows: limits, ports, processes, and the logs of nodes.

use std::thread;
use std::time::Duration;

use crate::protocol::Monotonic;
use crate::runtime::clock;

pub(super) mod allowance;
pub(super) mod node_log;
pub(super) mod ports;
pub(super) mod process_id;

/// How often to look at what the system tells nobody of.
pub(super) const LOOK_INTERVAL: Duration = Duration::from_millis(10);

/// Looks again and again until it is so; false if it is not at the deadline.
fn wait_until(deadline: Monotonic, is_so: impl Fn() -> bool) -> bool {
    while !is_so() {
        if clock::now().monotonic >= deadline {
            return false;
        }
        thread::park_timeout(LOOK_INTERVAL);
    }
    true
}
