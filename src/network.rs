//! Networks of processes on this machine: launch, find, stop; the state directory.
//!
//! No protocol in here, and no terminal text: errors are typed, and `cli` words them.

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::control;
use crate::protocol::{Config, Incarnation, Key, NodeId};
use crate::topology::Kind;

/// What a spawned `gossip run-node --launched` reads from its standard input (bincode, whole).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct NodeSpec {
    /// The network's name, for logs.
    pub network: String,
    /// What the protocol is built from.
    pub config: Config,
    /// The UDP address; the control port has the same number on loopback.
    pub listen: SocketAddr,
    /// The node ends by itself unless its control port is asked to confirm within this time.
    pub confirm_within: Duration,
}

/// What it answers on its standard output (bincode, whole), before it closes it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Started {
    /// Both sockets are bound and the loop runs.
    Ready {
        /// The receive buffer the system granted, in bytes.
        receive_buffer_bytes: u64,
    },
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
    /// Its nodes, by number.
    pub nodes: Vec<NodeRecord>,
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
    /// The neighbours it was started with.
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

/// What went wrong with a network, its processes or its state.
#[derive(Debug)]
pub enum Error {
    /// To be refined.
    Other(String),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Other(what) => f.write_str(what),
        }
    }
}

impl std::error::Error for Error {}

/// How far a start or a stop has come.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// Nodes that answer, or that are gone.
    pub done: u32,
    /// Nodes in all.
    pub total: u32,
}

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

#[expect(unused_variables, clippy::missing_errors_doc, reason = "signatures first")]
impl StateDir {
    /// The directory that the environment names. Creates nothing.
    pub fn from_env() -> Result<Self, Error> {
        unimplemented!()
    }

    /// A directory of one's own choice.
    #[must_use]
    pub fn at(path: &Path) -> Self {
        unimplemented!()
    }

    /// Starts a network; returns when every node answers. On failure, or when `interrupted`
    /// becomes true, nothing is left running.
    pub fn start(
        &self,
        spec: &StartSpec,
        progress: &mut dyn FnMut(Progress),
        interrupted: &AtomicBool,
    ) -> Result<Record, Error> {
        unimplemented!()
    }

    /// Stops a network: asks each node, then signals those that are provably ours.
    pub fn stop(
        &self,
        name: &str,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<StopReport, Error> {
        unimplemented!()
    }

    /// The record of a network that runs. State whose processes are all gone is cleaned up and
    /// reported as not running.
    pub fn load(&self, name: &str) -> Result<Record, Error> {
        unimplemented!()
    }

    /// All networks remembered, broken ones included.
    pub fn list(&self) -> Result<Vec<(String, Result<Record, Error>)>, Error> {
        unimplemented!()
    }

    /// Tells a node to leave, waits until its process is gone, and marks it as removed.
    pub fn remove_node(&self, name: &str, node: NodeId) -> Result<(), Error> {
        unimplemented!()
    }

    /// Adds a node that was started by hand, in this very process, to a network's record, which
    /// it creates where there is none. Fails if the network has another key or such a node.
    pub fn register(&self, name: &str, key: &Key, node: NodeRecord) -> Result<(), Error> {
        unimplemented!()
    }

    /// Takes it out again.
    pub fn unregister(&self, name: &str, node: NodeId) -> Result<(), Error> {
        unimplemented!()
    }
}

#[expect(unused_variables, clippy::missing_errors_doc, reason = "signatures first")]
impl Record {
    /// A connection to a node's control port; checks that the node exists and runs.
    pub fn connect(&self, node: NodeId) -> Result<control::client::Client, Error> {
        unimplemented!()
    }

    /// Whether the node's process is there.
    #[must_use]
    pub fn is_up(&self, node: &NodeRecord) -> bool {
        unimplemented!()
    }
}
