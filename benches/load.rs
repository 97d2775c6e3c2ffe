//! The interface of a network under measurement, ours or bare, and a constant load for it.

use std::time::Duration;

use gossip::runtime::clock;
use gossip::topology::Kind;
use rustix::process::{getpriority_process, setpriority_process};

use crate::figure::Outcome;
use crate::site::Site;

/// The seed of all topologies, so that two runs are about the same graphs.
pub(crate) const SEED: u64 = 5;
/// The text of each message, of ours and of bare alike.
pub(crate) const TEXT: &str = "banana";
/// The random topology: each node has three neighbours.
pub(crate) const RANDOM: Kind = Kind::Random { degree: Some(3) };
/// How often the messages that are due are handed in.
const TICK: Duration = Duration::from_millis(1);
/// About this number may wait to be accepted, in all nodes together; and at most so many are handed
/// in at a time as `send-message N -` hands over.
const WAITING_MAX: u64 = 1_024;
const AT_ONCE_MAX: u64 = 256;
/// The priority of the bench while it feeds, where the system allows it: it would get its share of
/// the processors only, among hundreds of busy nodes, and its rate would not be constant.
const PRIORITY: i32 = -10;

/// A running network of either kind. Dropping it ends it.
pub(crate) trait Network {
    /// The process numbers of the nodes.
    fn pids(&self) -> Vec<u32>;
    /// Hands messages to a node without waiting. `false` if too many wait there to be accepted.
    fn hand_in(&mut self, node: u32, messages: u64) -> Outcome<bool>;
    /// The messages accepted until now, and those that wait for it.
    fn taken(&mut self) -> Outcome<(u64, u64)>;
    /// Asks all nodes what they have.
    fn tally(&mut self) -> Outcome<Tally>;
    /// Asks all nodes for the stamps of each message, in the order of sending: when the origin had
    /// it, and when each node had it, in nanoseconds since the Unix epoch.
    fn stamps(&mut self) -> Outcome<Vec<(u64, Vec<u64>)>>;

    fn nodes(&self) -> u32 {
        u32::try_from(self.pids().len()).unwrap_or(u32::MAX)
    }

    /// The times until all nodes had a message, in milliseconds, for each but the first ones.
    /// Messages that some node does not have are left out.
    fn times_to_all(&mut self, skip: u32) -> Outcome<Vec<f64>> {
        let (nodes, mut times) = (self.nodes() as usize, Vec::new());
        for (sent_at, stamps) in self.stamps()?.into_iter().skip(skip as usize) {
            let last = stamps.iter().max().filter(|_| stamps.len() == nodes);
            times.extend(last.map(|last| last.saturating_sub(sent_at) as f64 / 1e6));
        }
        Ok(times)
    }
}

/// The messages that the nodes have, and the datagrams that they sent for them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    /// The messages that each node has.
    pub(crate) delivered: Vec<u64>,
    /// When any node got its last one, in nanoseconds since the Unix epoch.
    pub(crate) last_at: u64,
    /// Copies sent by the flood, and the datagrams that carried them.
    pub(crate) rumors: u64,
    pub(crate) rumor_datagrams: u64,
    /// Copies sent because they were asked for.
    pub(crate) repairs: u64,
}

impl Tally {
    /// Whether every node has this number of messages.
    pub(crate) fn has_all(&self, messages: u64) -> bool {
        self.delivered.iter().all(|has| *has == messages)
    }
}

/// Offers messages at a constant rate to the first nodes of a network in turn. Messages that are due
/// are handed in at each tick; those that nodes do not take are offered again at the next tick, and
/// left out in the end. Returns the number accepted, the seconds until the last one was, and when that
/// was, in nanoseconds since the Unix epoch.
pub(crate) fn offer(
    site: &Site,
    network: &mut dyn Network,
    fed: u32,
    rate: f64,
    time: Duration,
) -> Outcome<(u64, f64, u64)> {
    // The connections take no time later.
    for node in 1..=fed {
        network.hand_in(node, 1)?;
    }
    let usual = getpriority_process(None)?;
    let is_raised = setpriority_process(None, PRIORITY).is_ok();
    let at_once = (WAITING_MAX / u64::from(fed)).clamp(8, AT_ONCE_MAX);
    let start = clock::now().monotonic;
    let (mut tick, mut turn) = (start, 0);
    let (now, accepted) = loop {
        let (accepted, waiting) = network.taken()?;
        let now = clock::now();
        let passed = now.monotonic.since(start);
        if passed < time {
            let due = (passed.as_secs_f64() * rate) as u64;
            let mut left = due.saturating_sub(accepted + waiting);
            let mut full = 0;
            while left > 0 && full < fed {
                let messages = left.min(at_once);
                let is_taken = network.hand_in(turn % fed + 1, messages)?;
                (left, full) = if is_taken { (left - messages, 0) } else { (left, full + 1) };
                turn = turn.wrapping_add(1);
            }
        } else if waiting == 0 {
            break (now, accepted);
        } else if passed > time * 10 {
            return Err("a node did not say whether it accepted a message".into());
        }
        // A tick that was missed is made up for by the next one.
        let now = clock::now().monotonic;
        tick = (tick + TICK).max(now);
        site.sleep(tick.since(now))?;
    };
    let seconds = now.monotonic.since(start).as_secs_f64();
    // Nodes that are started later would inherit it.
    if is_raised {
        setpriority_process(None, usual)?;
    }
    Ok((accepted, seconds, now.wall.0))
}
