//! Everything that can go wrong with networks, their processes and their state.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

use super::host::allowance::ProcessLimit;
use super::host::ports::{Holder, Transport};
use crate::control::client;
use crate::protocol::NodeId;
use crate::topology;

/// What went wrong with a network, its processes or its state.
///
/// `Display` says what happened in one line; the fields are what a caller needs to say more.
#[derive(Debug)]
pub enum Error {
    /// The name cannot be a network's: it becomes a directory.
    Name(String),
    /// Neither `XDG_STATE_HOME` nor `HOME` names an absolute directory.
    NoHome,
    /// No network of this name runs.
    NotRunning(String),
    /// A network of this name runs already.
    AlreadyRunning {
        /// Its name.
        name: String,
        /// How many of its nodes are up.
        up: u32,
    },
    /// The network has no node of this number.
    UnknownNode {
        /// The number.
        node: NodeId,
        /// The lowest and the highest number it has.
        known: Option<(NodeId, NodeId)>,
    },
    /// The node's process is gone.
    NodeDown {
        /// Which node.
        node: NodeId,
        /// The process it had.
        pid: u32,
    },
    /// The node was removed.
    NodeRemoved(NodeId),
    /// The node's process is stopped, and answers nothing until it goes on.
    NodePaused(NodeId),
    /// The node is up, where it must not be.
    NodeUp {
        /// Which node.
        node: NodeId,
        /// Its process.
        pid: u32,
    },
    /// The network has another key.
    OtherKey(String),
    /// The state file is not what this program writes: cut short, or changed.
    StateBroken {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, and where.
        reason: String,
    },
    /// The state file is from another version of this program.
    StateVersion {
        /// The file.
        path: PathBuf,
        /// The version it says it has.
        version: u32,
    },
    /// The system refused a file or directory of the state.
    State {
        /// Which.
        path: PathBuf,
        /// What was to be done with it.
        doing: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// A network was stopped, and its state could not be removed.
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
    /// Another command works on the same network, and went on for too long.
    Locked {
        /// The network's name.
        name: String,
        /// Who, where it can be seen.
        holder: Option<Holder>,
    },
    /// There is no such topology.
    Topology(topology::Error),
    /// The ports would go beyond 65535.
    Ports {
        /// The origin asked for.
        origin: u16,
        /// The highest node number.
        nodes: u32,
    },
    /// A port is taken.
    PortTaken {
        /// Which.
        addr: SocketAddr,
        /// Whose kind of port it is.
        transport: Transport,
        /// Who has it, where it can be seen.
        holder: Option<Holder>,
    },
    /// The system does not let us have a port.
    PortRefused {
        /// Which.
        addr: SocketAddr,
        /// What it said.
        source: io::Error,
    },
    /// The system allows no such number of processes.
    TooManyProcesses {
        /// How many nodes were to be started.
        nodes: u32,
        /// Which limit, where it can be seen.
        limit: Option<ProcessLimit>,
    },
    /// Too few files may be open at once (`ulimit -n`).
    TooFewFiles {
        /// How many it takes.
        needed: u64,
        /// How many there may be.
        limit: u64,
    },
    /// A node's process could not be started.
    Spawn {
        /// The program.
        program: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A node ended while it was being started.
    NodeDied {
        /// Which.
        node: NodeId,
        /// How, where the system said.
        status: Option<ExitStatus>,
        /// The end of its log.
        said: String,
    },
    /// A node could not start, and said why.
    NodeFailed {
        /// Which.
        node: NodeId,
        /// Its words.
        reason: String,
    },
    /// A node did not say that it runs.
    NotReady {
        /// Which.
        node: NodeId,
        /// How long it had.
        within: Duration,
        /// The end of its log.
        said: String,
    },
    /// A node's control port gave no proper answer.
    Control {
        /// Which node.
        node: NodeId,
        /// What happened.
        source: client::Error,
    },
    /// Something answers on the node's control port that is not that node.
    Impostor {
        /// The node asked for.
        node: NodeId,
        /// Its control port.
        addr: SocketAddr,
    },
    /// The start was interrupted; nothing is left of it.
    Interrupted,
    /// The node's process could not be ended, or not be proven to be the node's.
    NotEnded {
        /// Which node.
        node: NodeId,
        /// Its process.
        pid: u32,
    },
    /// The node's process could not be signalled, or not be proven to be the node's.
    NotSignalled {
        /// Which node.
        node: NodeId,
        /// Its process.
        pid: u32,
    },
    /// No other node runs that one could be linked to.
    NoPeers(String),
    /// The network has as many faults as it may.
    TooManyFaults(String),
    /// The network's nodes were started by hand, at addresses that follow no rule.
    ByHand(String),
    /// The system gave no randomness for a key, or no thread, or no account of this process.
    System {
        /// What was to be done.
        doing: &'static str,
        /// What it said.
        source: io::Error,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => write!(f, "{name:?} is no name for a network"),
            Self::NoHome => f.write_str("there is no directory to keep state in"),
            Self::NotRunning(name) => write!(f, "no network {name} is running"),
            Self::AlreadyRunning { name, .. } => write!(f, "network {name} is running already"),
            Self::UnknownNode { node, .. } => write!(f, "there is no node {node}"),
            Self::NodeDown { node, .. } => write!(f, "node {node} is down"),
            Self::NodeRemoved(node) => write!(f, "node {node} was removed"),
            Self::NodePaused(node) => write!(f, "node {node} is paused"),
            Self::NodeUp { node, .. } => write!(f, "node {node} is up"),
            Self::OtherKey(name) => write!(f, "network {name} has another key"),
            Self::StateBroken { path, .. } => write!(f, "cannot understand {}", path.display()),
            Self::StateVersion { path, version } => {
                write!(f, "{} is of version {version}", path.display())
            }
            Self::State { path, doing, source } => {
                write!(f, "cannot {doing} {}: {source}", path.display())
            }
            Self::StateStays { name, path, source, .. } => {
                write!(
                    f,
                    "network {name} is stopped, but cannot remove {}: {source}",
                    path.display()
                )
            }
            Self::Locked { name, .. } => write!(f, "another command works on network {name}"),
            Self::Topology(error) => error.fmt(f),
            Self::Ports { origin, nodes } => {
                write!(f, "ports {origin} + {nodes} go beyond 65535")
            }
            Self::PortTaken { addr, transport, .. } => {
                write!(f, "{transport} port {addr} is taken")
            }
            Self::PortRefused { addr, source } => write!(f, "cannot use port {addr}: {source}"),
            Self::TooManyProcesses { nodes, .. } => {
                write!(f, "the system does not allow {nodes} more nodes")
            }
            Self::TooFewFiles { needed, limit } => {
                write!(f, "{needed} files must be open at once, and {limit} may")
            }
            Self::Spawn { program, source } => {
                write!(f, "cannot start {}: {source}", program.display())
            }
            Self::NodeDied { node, status: Some(status), .. } => {
                write!(f, "node {node} ended as it started: {status}")
            }
            Self::NodeDied { node, .. } => write!(f, "node {node} ended as it started"),
            Self::NodeFailed { node, reason } => write!(f, "node {node} cannot start: {reason}"),
            Self::NotReady { node, within, .. } => {
                write!(f, "node {node} was not ready within {within:?}")
            }
            Self::Control { node, source } => write!(f, "node {node} did not answer: {source}"),
            Self::Impostor { node, addr } => {
                write!(f, "what answers at {addr} is not node {node}")
            }
            Self::Interrupted => f.write_str("interrupted"),
            Self::NotEnded { node, pid } => {
                write!(f, "node {node}, process {pid}, could not be ended")
            }
            Self::NotSignalled { node, pid } => {
                write!(f, "node {node}, process {pid}, could not be signalled")
            }
            Self::NoPeers(name) => write!(f, "no other node of network {name} runs"),
            Self::TooManyFaults(name) => write!(f, "network {name} has too many faults"),
            Self::ByHand(name) => write!(f, "the nodes of network {name} were started by hand"),
            Self::System { doing, source } => write!(f, "cannot {doing}: {source}"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::State { source, .. }
            | Self::StateStays { source, .. }
            | Self::PortRefused { source, .. }
            | Self::Spawn { source, .. }
            | Self::System { source, .. } => Some(source),
            Self::Topology(error) => Some(error),
            Self::Control { source, .. } => Some(source),
            _ => None,
        }
    }
}

impl From<topology::Error> for Error {
    fn from(error: topology::Error) -> Self {
        Self::Topology(error)
    }
}
