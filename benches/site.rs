//! The place to measure in: both programs, free ports, a state directory, and an end on Ctrl-C.

use std::env;
use std::fs::{self, File};
use std::net::{TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use gossip::runtime::clock;

use crate::figure::{Outcome, failure};
use crate::options::Options;

/// Where ranges of free ports are looked for: below those that systems give to clients.
const ORIGINS: [u16; 7] = [20_000, 22_500, 25_000, 27_500, 30_000, 17_000, 14_000];
/// The ports of two networks of 1,000 nodes side by side.
const PORTS: u16 = 2_000;
/// Where the bench keeps the state of its networks, and its lock.
const STATE_HOME: &str = "target/bench/state";
/// Links are confirmed and the first heartbeats gone after this time.
pub(crate) const REST: Duration = Duration::from_millis(1500);
/// How soon a sleep notices Ctrl-C.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

pub(crate) struct Site {
    pub(crate) options: Options,
    pub(crate) program: PathBuf,
    pub(crate) bare: PathBuf,
    /// The networks' `XDG_STATE_HOME`.
    pub(crate) state_home: PathBuf,
    pub(crate) ports_origin: u16,
    /// Locked as long as this bench runs: two at a time would measure each other.
    _alone: File,
}

impl Site {
    pub(crate) fn new(options: Options) -> Outcome<Self> {
        let own = env::current_exe()?;
        let program = options.program.clone().unwrap_or_else(|| own.with_file_name("gossip"));
        let bare = own.with_file_name("bare");
        if let Some(path) = [&program, &bare].into_iter().find(|path| !path.is_file()) {
            let why = format!("there is no {}", path.display());
            return Err(failure("nothing to measure", &why, "`scripts/bench` builds it"));
        }
        ctrlc::set_handler(|| INTERRUPTED.store(true, Ordering::Release))?;
        fs::create_dir_all(STATE_HOME)?;
        let state_home = Path::new(STATE_HOME).canonicalize()?;
        let alone = File::create(state_home.join("lock"))?;
        // The bench inside a namespace is a part of the one that has locked it.
        if !options.inside && alone.try_lock().is_err() {
            let why = format!("it has locked {STATE_HOME}");
            return Err(failure("another bench runs", &why, "wait for its end"));
        }
        let is_free = |port: u16| {
            let addr = ("127.0.0.1", port);
            UdpSocket::bind(addr).is_ok() && TcpListener::bind(addr).is_ok()
        };
        let are_free = |origin: &u16| (1..=PORTS).all(|port| is_free(origin + port));
        let ports_origin = ORIGINS.into_iter().find(are_free).ok_or_else(|| {
            let why = format!("none of {ORIGINS:?} is followed by {PORTS} free ports");
            failure("no ports to measure on", &why, "end the programs that listen there")
        })?;
        Ok(Self { options, program, bare, state_home, ports_origin, _alone: alone })
    }

    /// Lets time pass, while nothing of the bench runs beside the nodes.
    #[expect(clippy::disallowed_methods, reason = "a bench sleeps while the nodes work")]
    pub(crate) fn sleep(&self, time: Duration) -> Outcome<()> {
        let until = clock::now().monotonic + time;
        loop {
            if INTERRUPTED.load(Ordering::Acquire) {
                return Err("interrupted; what was measured until then is in the document".into());
            }
            let left = until.since(clock::now().monotonic);
            if left.is_zero() {
                return Ok(());
            }
            std::thread::sleep(left.min(LOOK_INTERVAL));
        }
    }
}
