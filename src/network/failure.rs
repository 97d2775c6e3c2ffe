//! Everything that can go wrong with networks, their processes and their state.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use super::host::process_id::Holder;
use crate::control::client;
use crate::protocol::NodeId;
use crate::topology;

/// What went wrong with a network, its processes or its state.
///
/// `Display` says what happened; the fields are what a caller needs to say why.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The name cannot be a network's: it becomes a directory.
    #[error("cannot use {0} as the name of a network")]
    Name(String),
    /// Neither `XDG_STATE_HOME` nor `HOME` names an absolute directory.
    #[error("there is no place to remember networks in")]
    NoHome,
    /// No network of this name runs.
    #[error("no network {0} is running")]
    NotRunning(String),
    /// A network of this name runs already, with this number of nodes up.
    #[error("network {0} is running already")]
    AlreadyRunning(String, u32),
    /// The network has no node of this number, but only those between two others, if any.
    #[error("there is no node {0}")]
    UnknownNode(NodeId, Option<(NodeId, NodeId)>),
    /// The node's process, which had this number, is gone.
    #[error("node {0} is down")]
    NodeDown(NodeId, u32),
    /// The node was removed.
    #[error("node {0} is not part of the network any more")]
    NodeRemoved(NodeId),
    /// The node's process is stopped, and answers nothing until it goes on.
    #[error("node {0} is paused")]
    NodePaused(NodeId),
    /// The node is up, as this process, where it must not be.
    #[error("cannot start node {0}")]
    NodeUp(NodeId, u32),
    /// The network has another key.
    #[error("cannot join network {0}")]
    OtherKey(String),
    /// The state file is not what this program writes, for this reason: cut short, say.
    #[error("cannot read {0}")]
    StateBroken(PathBuf, String),
    /// A part of the state may be changed by other users, for this reason.
    #[error("cannot trust {0}")]
    StateOpen(PathBuf, String),
    /// The state file has this version, which belongs to another version of this program.
    #[error("cannot read {0}")]
    StateVersion(PathBuf, u32),
    /// The system refused a file or directory of the state.
    #[error("cannot {doing} {path}")]
    State {
        /// The file or directory.
        path: PathBuf,
        /// What was to be done with it.
        doing: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// A network was stopped, and its state could not be removed.
    #[error("network {name} is stopped, but what is remembered of it stays")]
    StateStays {
        /// Its name.
        name: String,
        /// How many nodes were ended.
        ended: u64,
        /// The file or directory that stays.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another command, which can be seen or not, works on the same network for too long.
    #[error("network {0} is busy")]
    Locked(String, Option<Holder>),
    /// There is no such topology.
    #[error(transparent)]
    Topology(#[from] topology::Error),
    /// The ports from this origin on, for nodes up to this number, would go beyond 65535.
    #[error("cannot give {} ports of their own", nodes_text(*.1))]
    Ports(u16, u32),
    /// A port is taken.
    #[error("cannot use port {}", addr.port())]
    PortTaken {
        /// Its address.
        addr: SocketAddr,
        /// The kind of port.
        transport: Transport,
        /// The process that has it, where it can be seen.
        holder: Option<Holder>,
    },
    /// The system does not let us have a port.
    #[error("cannot use port {}", .0.port())]
    PortRefused(SocketAddr, #[source] io::Error),
    /// The system does not allow the processes of this number of nodes, because of this limit
    /// where it can be seen.
    #[error("cannot start {}", nodes_text(*.0))]
    TooManyProcesses(u32, Option<ProcessLimit>),
    /// Too few files may be open at once.
    #[error("cannot start any node")]
    TooFewFiles(#[from] TooFewFiles),
    /// This program could not be started as a node.
    #[error("cannot run {0}")]
    Spawn(PathBuf, #[source] io::Error),
    /// A node ended while it was being started, with this status where the system told; its log
    /// ends so.
    #[error("node {0} could not start")]
    NodeDied(NodeId, Option<ExitStatus>, String),
    /// A node could not start, and said why.
    #[error("node {0} could not start")]
    NodeFailed(NodeId, String),
    /// A node did not say within this time that it runs; its log ends so.
    #[error("node {0} could not start")]
    NotReady(NodeId, Duration, String),
    /// A node's control port gave no proper answer.
    #[error("node {0} did not answer")]
    Control(NodeId, #[source] client::Error),
    /// Something answers on the node's control port that is not that node.
    #[error("node {0} did not answer")]
    Impostor(NodeId, SocketAddr),
    /// The start was interrupted; nothing is left of it.
    #[error("the start was interrupted")]
    Interrupted,
    /// The node's process could not be ended, or not be proven to be the node's.
    #[error("node {0} could not be ended")]
    NotEnded(NodeId, u32),
    /// The node's process could not be signalled, or not be proven to be the node's.
    #[error("node {0} got no signal")]
    NotSignalled(NodeId, u32),
    /// No other node of this network runs that one could be linked to.
    #[error("there is nobody to link to in network {0}")]
    NoPeers(String),
    /// The network has as many faults as it may.
    #[error("cannot put one more fault on network {0}")]
    TooManyFaults(String),
    /// The network's nodes were started by hand, at addresses that follow no rule.
    #[error("cannot start a node of network {0}")]
    ByHand(String),
    /// The system gave no randomness for a key, or no thread, or no account of this process.
    #[error("cannot {0}")]
    System(&'static str, #[source] io::Error),
}

impl Error {
    /// What to make of an error of the system about a file or directory of the state.
    pub(super) fn state(doing: &'static str, path: &Path) -> impl Fn(io::Error) -> Self {
        move |source| Self::State { path: path.to_owned(), doing, source }
    }
}

/// The two kinds of port that a node has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// For gossip.
    Udp,
    /// For control.
    Tcp,
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Udp => "UDP",
            Self::Tcp => "TCP",
        })
    }
}

/// A limit of the system on processes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name} allows {max} processes and threads; {used} are there, {needed} more are needed")]
pub struct ProcessLimit {
    /// What the system calls it, or where it is written.
    pub name: String,
    /// How many processes and threads it allows.
    pub max: u64,
    /// How many there are already.
    pub used: u64,
    /// How many the nodes need.
    pub needed: u64,
}

/// More files would have to be open at once than may be (`ulimit -n`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{needed} files must be open at once, and the system allows {limit}")]
pub struct TooFewFiles {
    /// How many would have to be.
    pub needed: u64,
    /// How many may be.
    pub limit: u64,
}

fn nodes_text(nodes: u32) -> String {
    format!("{nodes} node{}", if nodes == 1 { "" } else { "s" })
}
