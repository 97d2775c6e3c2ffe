//! A place to measure in: free ports, a state directory of its own, both programs, and an end
//! that leaves nothing running, also on Ctrl-C.

use std::fs;
use std::net::{TcpListener, UdpSocket};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use gossip::protocol::Monotonic;
use gossip::runtime::clock;
use gossip::topology::Kind;
use rustix::io::Errno;
use rustix::process::{Pid, geteuid, test_kill_process};

use crate::yardstick::Bare;
use crate::options::Options;
use crate::ours::{self, Ours};

pub(crate) type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

/// Where ranges of free ports are looked for: below those that systems give to clients.
const ORIGINS: [u16; 8] = [20_000, 22_500, 25_000, 27_500, 30_000, 17_000, 14_000, 11_000];
/// What the sizes take that are measured unless others are asked for: 2,000 nodes, or two networks of
/// 1,000 side by side.
const PORTS: u16 = 2_100;
/// What its directory is called, before its process number.
const DIRECTORY: &str = "gossip-bench-";
/// The seed of all topologies, so that two runs are about the same graphs.
pub(crate) const SEED: u64 = 5;
/// Links are confirmed and the first heartbeats gone after this time.
const SETTLE: Duration = Duration::from_millis(1500);
const SETTLE_QUICK: Duration = Duration::from_millis(1000);
/// How soon a sleep notices Ctrl-C.
const LOOK_UP_INTERVAL: Duration = Duration::from_millis(50);

/// What networks are started from.
pub(crate) struct Lab {
    program: PathBuf,
    bare: PathBuf,
    pub(crate) directory: PathBuf,
    ports_origin: u16,
    settle: Duration,
    interrupted: Arc<AtomicBool>,
}

/// When nodes had each of some messages.
pub(crate) struct Receipt {
    /// When its origin accepted it, in nanoseconds since the Unix epoch.
    pub(crate) sent_at: u64,
    /// When each of the nodes had it; shorter than the network if some had not.
    pub(crate) received_at: Vec<u64>,
}

impl Receipt {
    /// The time until all of so many nodes had it, in milliseconds; `None` if some had not.
    pub(crate) fn time_to_all(&self, nodes: u32) -> Option<f64> {
        let last = self.received_at.iter().max()?;
        let complete = self.received_at.len() == nodes as usize;
        complete.then(|| last.saturating_sub(self.sent_at) as f64 / 1e6)
    }
}

/// What the network has taken in and delivered.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    /// The messages that each node has, however it got them.
    pub(crate) delivered: Vec<u64>,
    /// When any node got its last one, as stamped there, in nanoseconds since the Unix epoch.
    pub(crate) last_at: u64,
    /// Copies sent by the flood, and the datagrams that carried them.
    pub(crate) rumors: u64,
    pub(crate) rumor_datagrams: u64,
    /// Questions whether a neighbour has what has not settled in time.
    pub(crate) haves: u64,
    /// Copies sent because they were asked for.
    pub(crate) repairs: u64,
}

/// What became of a constant load.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Carried {
    pub(crate) accepted: u64,
    /// From the first message to the last one accepted.
    pub(crate) seconds: f64,
    /// When that was, in nanoseconds since the Unix epoch.
    pub(crate) ended_at: u64,
    /// The share of a processor that the bench itself took meanwhile.
    pub(crate) own: f64,
}

/// A running network, of either kind.
pub(crate) trait Network {
    /// Hands one message to a node, and waits for nothing.
    fn send(&mut self, node: u32) -> Outcome<()>;
    /// Asks all nodes when they got each message that was sent, in the order of sending.
    fn receipts(&mut self) -> Outcome<Vec<Receipt>>;
    /// Offers messages to nodes in turn, at a constant rate.
    fn load(&mut self, lab: &Lab, feed: Feed, rate: f64, time: Duration) -> Outcome<Carried>;
    /// Asks all nodes what they have.
    fn tally(&mut self) -> Outcome<Tally>;
}

/// Where a load goes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Feed {
    /// All of it at node 1.
    One,
    /// One after the other at each node.
    All,
}

impl Feed {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::One => "one",
            Self::All => "all",
        }
    }

    /// The nodes that get messages.
    pub(crate) fn nodes(self, nodes: u32) -> u32 {
        match self {
            Self::One => 1,
            Self::All => nodes,
        }
    }
}

/// Which of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Ours,
    Bare,
}

/// In turn: a round of ours, a round of bare.
pub(crate) const SIDES: [Side; 2] = [Side::Ours, Side::Bare];

impl Lab {
    pub(crate) fn new(options: &Options) -> Outcome<Self> {
        let (program, bare) = (found(&options.program)?, found(&options.bare)?);
        let interrupted = Arc::new(AtomicBool::new(false));
        ctrlc::set_handler({
            let interrupted = Arc::clone(&interrupted);
            move || interrupted.store(true, Ordering::Release)
        })?;
        let ports_origin = match options.ports_origin {
            Some(origin) => origin,
            None => free_origin(options)?,
        };
        clear_up(&program)?;
        let directory = std::env::temp_dir().join(format!("{DIRECTORY}{}", std::process::id()));
        fs::create_dir_all(&directory)?;
        Ok(Self {
            program,
            bare,
            directory,
            ports_origin,
            settle: if options.quick { SETTLE_QUICK } else { SETTLE },
            interrupted,
        })
    }

    /// Starts a network of either kind, and waits until all its nodes answer and are at rest.
    pub(crate) fn start(&self, side: Side, kind: Kind, nodes: u32) -> Outcome<Box<dyn Network>> {
        Ok(match side {
            Side::Ours => {
                let network = self.start_ours(kind, nodes)?;
                self.rest()?;
                Box::new(network)
            }
            Side::Bare => Box::new(self.start_bare(kind, nodes)?),
        })
    }

    /// Starts both beside each other, on the very same topology, and waits until they are at rest.
    pub(crate) fn start_both(&self, kind: Kind, nodes: u32) -> Outcome<(Ours, Bare)> {
        let ours = self.start_ours(kind, nodes)?;
        let behind = u16::try_from(u32::from(self.ports_origin) + nodes)?;
        let bare = Bare::start(&self.bare, behind, kind, nodes)?;
        self.rest()?;
        Ok((ours, bare))
    }

    pub(crate) fn start_ours(&self, kind: Kind, nodes: u32) -> Outcome<Ours> {
        Ours::start(&self.program, &self.directory, self.ports_origin, kind, nodes)
    }

    pub(crate) fn start_bare(&self, kind: Kind, nodes: u32) -> Outcome<Bare> {
        Bare::start(&self.bare, self.ports_origin, kind, nodes)
    }

    /// Waits until a network has come to rest: after its start, or after a load.
    pub(crate) fn rest(&self) -> Outcome<()> {
        self.sleep(self.settle)
    }

    pub(crate) fn program(&self) -> &Path {
        &self.program
    }

    pub(crate) fn bare_program(&self) -> &Path {
        &self.bare
    }

    /// Lets time pass, while nothing of the bench runs beside the nodes.
    #[expect(clippy::disallowed_methods, reason = "a bench sleeps while the nodes work")]
    pub(crate) fn sleep(&self, time: Duration) -> Outcome<()> {
        let until = clock::now().monotonic + time;
        loop {
            if self.interrupted.load(Ordering::Acquire) {
                return Err("interrupted; what was measured until then is in the document".into());
            }
            let left = until.since(clock::now().monotonic);
            if left.is_zero() {
                return Ok(());
            }
            std::thread::sleep(left.min(LOOK_UP_INTERVAL));
        }
    }

    pub(crate) fn sleep_until(&self, instant: Monotonic) -> Outcome<()> {
        self.sleep(instant.since(clock::now().monotonic))
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// Stops the networks of benches that were killed, and removes what they left behind. Bare
/// forwarders end by themselves.
fn clear_up(program: &Path) -> Outcome<()> {
    for entry in fs::read_dir(std::env::temp_dir())? {
        let entry = entry?;
        let name = entry.file_name();
        let pid = name.to_str().and_then(|name| name.strip_prefix(DIRECTORY));
        let Some(pid) = pid.and_then(|pid| Pid::from_raw(pid.parse().ok()?)) else { continue };
        let is_mine = entry.metadata()?.uid() == geteuid().as_raw();
        if is_mine && test_kill_process(pid) == Err(Errno::SRCH) {
            eprintln!("clearing up after a bench that was killed: {}", entry.path().display());
            ours::stop_left(program, &entry.path())?;
            fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}

/// The whole path of a program that must be there.
fn found(path: &Path) -> Outcome<PathBuf> {
    path.canonicalize().map_err(|error| {
        let shown = path.display();
        format!("cannot measure {shown}\n  why:  {error}\n  next: `scripts/bench` builds it").into()
    })
}

/// The first of some ranges of ports in which nobody has any.
fn free_origin(options: &Options) -> Outcome<u16> {
    let of_processes = ["latency", "throughput", "life", "watch"].iter().any(|p| options.wants(p));
    let largest = options.nodes.iter().copied().filter(|_| of_processes).max().unwrap_or(0);
    let ports = u16::try_from(largest.saturating_mul(2)).unwrap_or(u16::MAX).max(PORTS);
    let free = |port: u16| {
        let addr = ("127.0.0.1", port);
        UdpSocket::bind(addr).is_ok() && TcpListener::bind(addr).is_ok()
    };
    let origin = ORIGINS
        .into_iter()
        .find(|origin| (1..=ports).all(|port| origin.checked_add(port).is_some_and(free)));
    origin.ok_or_else(|| {
        format!(
            "no ports to measure on\n  why:  none of {ORIGINS:?} is followed by {ports} free ports\n  next: name a range with --ports-origin"
        )
        .into()
    })
}
