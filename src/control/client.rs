//! The asking side.

use std::net::SocketAddr;
use std::time::Duration;

use super::{Request, Response, Token};

/// A connection to one node.
#[derive(Debug)]
pub struct Client;

/// Why a node gave no answer.
#[derive(Debug)]
pub enum Error {
    /// Nothing listens there.
    Refused(SocketAddr),
    /// No answer in time.
    TimedOut(SocketAddr, Duration),
    /// It answered something that is not ours.
    Rubbish(SocketAddr),
    /// The node does not take our token: it belongs to another network.
    NotAllowed(SocketAddr),
    /// The node speaks another version.
    OtherVersion(SocketAddr, u32),
    /// The node has too many connections.
    Busy(SocketAddr),
    /// The request is longer than a frame.
    TooLong,
    /// Anything else the system said.
    Io(SocketAddr, std::io::Error),
}

#[expect(unused_variables, clippy::missing_errors_doc, reason = "signatures first")]
impl Client {
    /// Connects and says hello. `timeout` bounds this and every later wait.
    pub fn connect(addr: SocketAddr, token: &Token, timeout: Duration) -> Result<Self, Error> {
        unimplemented!()
    }

    /// Asks one question and waits for its answer.
    pub fn ask(&mut self, request: &Request) -> Result<Response, Error> {
        unimplemented!()
    }

    /// After [`Request::Subscribe`]: the next response, waited for up to `timeout`; `None` if
    /// none came.
    pub fn next(&mut self, timeout: Duration) -> Result<Option<Response>, Error> {
        unimplemented!()
    }
}
