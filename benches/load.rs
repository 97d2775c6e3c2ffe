//! A constant load: how many messages are handed in when, and where. Both sides get it this way.

use std::time::Duration;

use gossip::runtime::clock;
use rustix::process::{getpriority_process, setpriority_process};

use crate::site::{Carried, Feed, Lab, Outcome};
use crate::readings;

/// How often what is due is paid out.
const TICK: Duration = Duration::from_millis(1);
/// The most messages handed in at a time: as many as `send-message N -` hands over, and fewer
/// where many nodes are fed, so that no node has much more than its share.
const AT_ONCE_MAX: u64 = 256;
const AT_ONCE_MIN: u64 = 8;
/// About so many may be waiting to be accepted, in all nodes together.
const WAITING_MAX: u64 = 1_024;
/// The priority of who feeds, where the system allows it: among hundreds of busy nodes it would
/// get its share of the processors, and its rate would not be constant.
const PRIORITY: i32 = -10;
/// How long the last answers may take.
const ANSWERS_WITHIN: Duration = Duration::from_secs(30);

/// Whoever takes messages in.
pub(crate) trait Taker {
    /// Hands so many messages to a node, and waits for nothing. Says whether they were handed in:
    /// not while too many wait there to be accepted.
    fn hand_in(&mut self, node: u32, messages: u64) -> Outcome<bool>;
    /// Messages accepted so far, and those that wait for it.
    fn look(&mut self) -> Outcome<Taken>;
}

/// What became of the messages that were handed in.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Taken {
    pub(crate) accepted: u64,
    pub(crate) waiting: u64,
}

/// Offers messages at a constant rate to one node, or to all in turn. What is due is handed in at
/// each tick, to the node whose turn it is; what the nodes do not take is offered again at the next
/// tick, and left out in the end.
pub(crate) fn offer(
    lab: &Lab,
    taker: &mut impl Taker,
    nodes: u32,
    feed: Feed,
    rate: f64,
    time: Duration,
) -> Outcome<Carried> {
    let _first = First::in_line();
    let fed = feed.nodes(nodes);
    let at_once = (WAITING_MAX / u64::from(fed)).clamp(AT_ONCE_MIN, AT_ONCE_MAX);
    let used = readings::own_time()?;
    let start = clock::now().monotonic;
    let (mut tick, mut turn) = (start, 0);
    loop {
        let passed = clock::now().monotonic.since(start).min(time);
        let taken = taker.look()?;
        let due = (passed.as_secs_f64() * rate) as u64;
        let mut left = due.saturating_sub(taken.accepted + taken.waiting);
        let mut full = 0;
        while left > 0 && full < fed {
            let messages = left.min(at_once);
            if taker.hand_in(turn % fed + 1, messages)? {
                left -= messages;
                full = 0;
            } else {
                full += 1;
            }
            turn = turn.wrapping_add(1);
        }
        if passed == time {
            break;
        }
        // A tick that was missed is made up for by the next one.
        tick = (tick + TICK).max(clock::now().monotonic);
        lab.sleep_until(tick)?;
    }
    loop {
        let taken = taker.look()?;
        let now = clock::now();
        let passed = now.monotonic.since(start);
        if taken.waiting == 0 {
            let (accepted, seconds) = (taken.accepted, passed.as_secs_f64());
            let own = (readings::own_time()? - used) / seconds;
            return Ok(Carried { accepted, seconds, ended_at: now.wall.0, own });
        }
        if passed > time + ANSWERS_WITHIN {
            return Err("a node does not answer what it was sent".into());
        }
        lab.sleep(TICK)?;
    }
}

/// This thread comes first, until this is dropped: nodes started later would inherit it.
struct First(i32);

impl First {
    fn in_line() -> Option<Self> {
        let usual = getpriority_process(None).ok()?;
        setpriority_process(None, PRIORITY).ok()?;
        Some(Self(usual))
    }
}

impl Drop for First {
    fn drop(&mut self) {
        let _ = setpriority_process(None, self.0);
    }
}
