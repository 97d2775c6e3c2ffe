//! Networks of processes on this machine: launch, find, stop; the state directory.
//!
//! No protocol in here, and no terminal text: errors are typed, and `cli` words them.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rand::TryRng;
use rand::rngs::SysRng;
use serde::{Deserialize, Serialize};

use crate::control::Token;
use crate::control::client::Client;
use crate::protocol::{Incarnation, Key, Limits, NodeId, PeerAddr, Timing};
use crate::runtime::clock;
use crate::topology::{self, Kind};

mod asking;
mod changes;
mod ending;
mod failure;
mod fault_record;
mod host;
mod launcher;
mod members;
mod node_config;
mod relink;
mod state;
#[cfg(test)]
mod testing_state;

pub use changes::Changes;
pub use failure::{Error, ProcessLimit, TooFewFiles, Transport};
pub use fault_record::{FAULTS_MAX, Fault};
pub use host::allowance::allow_files;
pub use host::node_log::{CappedLog, LOG_BYTES_MAX};
pub use host::process_id::Holder;
pub use relink::Rewired;
pub use state::{NAME_CHARS_MAX, RECORD_VERSION};

use host::{allowance, node_log, ports, process_id};

/// How long a command waits for a node's answer.
pub const CONTROL_TIMEOUT: Duration = Duration::from_secs(5);

/// The answer of a spawned `gossip run-node --launched` on its standard output (bincode, whole),
/// before it closes it. On its standard input it reads `runtime::Options`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Started {
    /// Both sockets are bound and the loop runs.
    Ready,
    /// A port is taken.
    PortTaken(SocketAddr),
    /// Anything else, in words.
    Failed(String),
}

/// What `start-network` was asked for.
#[derive(Clone, Debug)]
pub struct StartSpec {
    /// The network's name.
    pub name: String,
    /// The kind of topology.
    pub kind: Kind,
    /// The number of nodes.
    pub nodes: u32,
    /// Node N owns port origin + N.
    pub ports_origin: u16,
    /// Where all randomness comes from.
    pub seed: u64,
    /// The binary to execute; it must understand `run-node --launched`.
    pub program: PathBuf,
    /// What its nodes may use, and when they act.
    pub settings: Settings,
}

/// What all nodes of a network may use, and when they act.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// Their limits. The launcher raises the one on neighbours for a node that begins with more.
    pub limits: Limits,
    /// Their intervals.
    pub timing: Timing,
}

/// A network as the state directory remembers it: `<state>/<name>/network.json`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Record {
    /// The version of this file's format.
    pub version: u32,
    /// The network's name.
    pub name: String,
    /// How its topology was made; `None` where nodes were started by hand.
    pub kind: Option<Kind>,
    /// The seed of its topology and of its nodes.
    pub seed: u64,
    /// Its secret.
    pub key: Key,
    /// Node N owns port origin + N.
    pub ports_origin: u16,
    /// When it was started: nanoseconds since the Unix epoch.
    pub started_at: u64,
    /// The boot it runs in: process start times mean nothing beyond it.
    pub boot_id: String,
    /// What its nodes may use, also those that are started later.
    pub settings: Settings,
    /// Its links were chosen anew since it was started, this way.
    #[serde(default)]
    pub rewired: Option<Rewiring>,
    /// The faults in force, also for nodes that are started later.
    #[serde(default)]
    pub faults: Vec<Fault>,
    /// Its nodes, by number.
    pub nodes: Vec<NodeRecord>,
}

/// How the links of a network were chosen anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rewiring {
    /// The fewest neighbours of a node.
    pub min_peers: u32,
    /// The most.
    pub max_peers: u32,
    /// The seed of the choice.
    pub seed: u64,
}

/// One node of a [`Record`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct NodeRecord {
    /// Its number.
    pub node: NodeId,
    /// Its UDP address.
    pub addr: SocketAddr,
    /// Which start of it this is.
    pub incarnation: Incarnation,
    /// Its process.
    pub process: ProcessId,
    /// It was removed, and not started again since.
    pub removed: bool,
    /// The neighbours it was started with, or told to have since.
    pub peers: Vec<NodeId>,
}

/// A process, told apart from any later one with the same number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessId {
    /// Its number.
    pub pid: u32,
    /// When it started, in clock ticks since the boot.
    pub started: u64,
}

/// Where networks are remembered: `$XDG_STATE_HOME/gossip`, or `~/.local/state/gossip`.
#[derive(Clone, Debug)]
pub struct StateDir(PathBuf);

/// How far a start or a stop has come.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// Nodes that answer, or that are gone.
    pub done: u32,
    /// Nodes in all.
    pub total: u32,
}

/// A network's name, and its record if that can be understood.
pub type Listed = (String, Result<Record, Error>);

/// What became of the nodes of a stopped network.
#[derive(Clone, Debug, Default)]
pub struct StopReport {
    /// Ended when asked.
    pub asked: Vec<NodeId>,
    /// Had to be signalled.
    pub signalled: Vec<NodeId>,
    /// Were gone already.
    pub gone: Vec<NodeId>,
    /// Could not be ended.
    pub left: Vec<NodeId>,
}

impl StateDir {
    /// The directory that the environment names. Creates nothing.
    ///
    /// # Errors
    ///
    /// If neither `XDG_STATE_HOME` nor `HOME` names an absolute directory.
    pub fn from_env() -> Result<Self, Error> {
        let variable = |name| std::env::var_os(name).map(PathBuf::from);
        Self::from_variables(variable("XDG_STATE_HOME"), variable("HOME"))
    }

    /// A directory of one's own choice.
    #[must_use]
    pub fn at(path: &Path) -> Self {
        Self(path.to_owned())
    }

    /// Starts a network; returns when every node answers. On failure, or when `interrupted`
    /// becomes true, nothing is left running, and nothing of the state.
    ///
    /// # Errors
    ///
    /// All that can be known beforehand (topology, ports, limits of the system, a network of the
    /// same name) is found before anything is started.
    pub fn start(
        &self,
        spec: &StartSpec,
        progress: &mut dyn FnMut(Progress),
        interrupted: &AtomicBool,
    ) -> Result<Record, Error> {
        let dir = self.network(&spec.name)?;
        let addrs = allowance::addresses(spec.ports_origin, spec.nodes)?;
        let (graph, _) = topology::build(spec.kind, spec.nodes, spec.seed)?;
        allowance::window()?;
        allowance::check_processes(spec.nodes)?;

        let lock = dir.create_and_lock(&|| interrupted.load(Ordering::Relaxed))?;
        refuse_running(&dir)?;
        dir.clear()?;
        let (key, launch) = (Key(random_bytes()?), random_bytes()?);
        let nodes = node_config::configs(&graph, &addrs, (key, launch), spec.seed, &spec.settings);
        let program = &spec.program;
        let mut launcher =
            launcher::Launcher { dir: &dir, program, faults: &[], interrupted, progress };
        let free = addrs.iter().try_for_each(|addr| ports::check_free(*addr));
        let started = free.and_then(|()| {
            let (nodes, children) = launcher.launch(&nodes)?;
            let record = Record {
                kind: Some(spec.kind),
                seed: spec.seed,
                ports_origin: spec.ports_origin,
                settings: spec.settings.clone(),
                nodes,
                ..Record::new(&spec.name, key)
            };
            // Before any node confirms, so that `stop` finds them all if something fails from here on.
            dir.write(&record)?;
            launcher.confirm(&record.nodes, &key)?;
            children.let_go();
            Ok(record)
        });
        if started.is_err() {
            // A person needs to know why the start failed, not what came after.
            let _ = dir.remove(&lock);
        }
        started
    }

    /// The record of a network that runs. State whose processes are all gone is cleaned up and
    /// reported as not running.
    ///
    /// # Errors
    ///
    /// If it does not run, or its state cannot be read.
    pub fn load(&self, name: &str) -> Result<Record, Error> {
        let dir = self.network(name)?;
        match dir.read()? {
            Some(record) if record.any_up() => return Ok(record),
            Some(_) => {}
            None => return Err(dir.not_running()),
        }
        // With the lock held, to be sure; where another command has it, cleaning up can wait.
        if let Ok(lock) = dir.lock(Duration::ZERO, &|| false) {
            match dir.read()? {
                Some(record) if record.any_up() => return Ok(record),
                // Where it cannot be cleaned up, it is gone all the same.
                _ => drop(dir.remove(&lock)),
            }
        }
        Err(dir.not_running())
    }

    /// All networks that run, by name, and those whose state cannot be understood.
    ///
    /// # Errors
    ///
    /// If the directory cannot be read.
    pub fn list(&self) -> Result<Vec<Listed>, Error> {
        let mut networks = Vec::new();
        for name in self.names()? {
            match self.load(&name) {
                Err(Error::NotRunning(_)) => {}
                loaded => networks.push((name, loaded)),
            }
        }
        Ok(networks)
    }
}

impl Record {
    /// A node in any state.
    ///
    /// # Errors
    ///
    /// If there is none of this number.
    pub fn find(&self, node: NodeId) -> Result<&NodeRecord, Error> {
        let found = self.nodes.iter().find(|record| record.node == node);
        let known = || Some((self.nodes.first()?.node, self.nodes.last()?.node));
        found.ok_or_else(|| Error::UnknownNode(node, known()))
    }

    /// A node that is up.
    ///
    /// # Errors
    ///
    /// If there is none of this number, or it was removed, or is down.
    pub fn find_up(&self, node: NodeId) -> Result<&NodeRecord, Error> {
        let found = self.find(node)?;
        match (found.removed, self.is_up(found)) {
            (true, _) => Err(Error::NodeRemoved(node)),
            (false, false) => Err(Error::NodeDown(node, found.process.pid)),
            (false, true) => Ok(found),
        }
    }

    /// A connection to a node's control port; checks that the node exists and runs.
    ///
    /// # Errors
    ///
    /// As [`Record::find_up`], and if it is paused or does not answer as it should.
    pub fn connect(&self, node: NodeId) -> Result<Client, Error> {
        let found = self.find_up(node)?;
        // The system would accept the connection for it, and nobody answer.
        if found.process.is_stopped() {
            return Err(Error::NodePaused(node));
        }
        let addr = ports::control_addr(found.addr);
        Client::connect(addr, &Token::of(&self.key), CONTROL_TIMEOUT)
            .map_err(|source| Error::Control(node, source))
    }

    /// Whether the node's process is there.
    #[must_use]
    pub fn is_up(&self, node: &NodeRecord) -> bool {
        self.boot_id == process_id::boot_id() && node.process.is_alive()
    }

    /// Whether the node's process is there and stopped, so that it answers nothing.
    #[must_use]
    pub fn is_paused(&self, node: &NodeRecord) -> bool {
        self.is_up(node) && node.process.is_stopped()
    }

    /// Whether the node can be expected to answer.
    #[must_use]
    pub fn is_running(&self, node: &NodeRecord) -> bool {
        self.is_up(node) && !node.removed && !node.process.is_stopped()
    }

    /// Whether any node's process is there.
    fn any_up(&self) -> bool {
        self.nodes.iter().any(|node| self.is_up(node))
    }

    /// What is remembered of a network that begins now, and whose nodes are started by hand.
    fn new(name: &str, key: Key) -> Self {
        Self {
            version: RECORD_VERSION,
            name: name.to_owned(),
            kind: None,
            seed: 0,
            key,
            ports_origin: 0,
            started_at: clock::now().wall.0,
            boot_id: process_id::boot_id().to_owned(),
            settings: Settings::default(),
            rewired: None,
            faults: Vec::new(),
            nodes: Vec::new(),
        }
    }
}

impl NodeRecord {
    fn peer_addr(&self) -> PeerAddr {
        PeerAddr { node: self.node, addr: self.addr }
    }
}

impl Progress {
    fn new(done: usize, total: usize) -> Self {
        let count = |number| u32::try_from(number).unwrap_or(u32::MAX);
        Self { done: count(done), total: count(total) }
    }
}

/// Two networks of one name cannot be. A record that cannot be understood may be of one that
/// runs, so it is in the way too.
fn refuse_running(dir: &state::NetworkDir) -> Result<(), Error> {
    let Some(record) = dir.read()? else { return Ok(()) };
    let up = record.nodes.iter().filter(|node| record.is_up(node)).count();
    match u32::try_from(up).unwrap_or(u32::MAX) {
        0 => Ok(()),
        up => Err(Error::AlreadyRunning(record.name, up)),
    }
}

fn random_bytes<const N: usize>() -> Result<[u8; N], Error> {
    let mut bytes = [0; N];
    let failed = |error| Error::System("get random bytes", std::io::Error::other(error));
    SysRng.try_fill_bytes(&mut bytes).map_err(failed)?;
    Ok(bytes)
}
