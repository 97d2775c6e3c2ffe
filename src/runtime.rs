//! The socket loop that owns the only `Node`, and the threads around it.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use crate::protocol::{Config, Event, Wall};

pub mod clock;

/// What a running node is made from.
#[derive(Clone, Debug)]
pub struct Options {
    /// The protocol's part.
    pub config: Config,
    /// The UDP address to bind. The control port has the same number on loopback.
    pub listen: SocketAddr,
    /// End unless the control port is asked to confirm within this time; `None`: run on.
    pub confirm_within: Option<Duration>,
}

/// Why a node cannot run.
#[derive(Debug)]
pub enum Error {
    /// A port is taken, by UDP or TCP.
    PortTaken(SocketAddr),
    /// The system refused a socket or a thread.
    Io(&'static str, std::io::Error),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PortTaken(addr) => write!(f, "the port of {addr} is taken"),
            Self::Io(what, error) => write!(f, "cannot {what}: {error}"),
        }
    }
}

impl std::error::Error for Error {}

/// A node with its sockets bound, ready to run.
#[derive(Debug)]
pub struct Runtime;

/// Stops a running node from another thread.
#[derive(Clone, Debug)]
pub struct Stopper;

#[expect(unused_variables, clippy::missing_errors_doc, reason = "signatures first")]
impl Runtime {
    /// Binds the sockets and starts the control port.
    pub fn bind(options: Options) -> Result<Self, Error> {
        unimplemented!()
    }

    /// The receive buffer the system granted, in bytes.
    #[must_use]
    pub fn receive_buffer_bytes(&self) -> u64 {
        unimplemented!()
    }

    /// The address bound, with the port filled in.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        unimplemented!()
    }

    /// A handle that stops [`Runtime::run`].
    #[must_use]
    pub fn stopper(&self) -> Stopper {
        unimplemented!()
    }

    /// Runs the loop in this thread until the node is stopped, told to leave, or not confirmed
    /// in time. `on_event` is called for each event and must not block.
    pub fn run(self, on_event: &mut dyn FnMut(Wall, &Event)) -> Result<(), Error> {
        unimplemented!()
    }
}

impl Stopper {
    /// Has the node say goodbye to its neighbours and end.
    pub fn stop(&self) {
        unimplemented!()
    }
}
