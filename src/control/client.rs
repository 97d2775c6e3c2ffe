//! The asking side: a connection to one node's control port.

use std::io::{self, BufReader, ErrorKind};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use super::frame::{self, ReadError};
use super::{FRAME_BYTES_MAX, Hello, Request, Response, Token, VERSION};

/// A connection to one node. Every wait on it has a deadline.
#[derive(Debug)]
pub struct Client {
    stream: TcpStream,
    addr: SocketAddr,
    timeout: Duration,
}

/// What a node pushes.
#[derive(Debug)]
pub struct Subscription {
    stream: BufReader<TcpStream>,
    addr: SocketAddr,
}

impl Subscription {
    /// The next response, waited for as long as the node is there: [`Response::Event`],
    /// [`Response::Lost`], or [`Response::Done`], which tells nothing.
    ///
    /// # Errors
    ///
    /// [`Error`]; the connection is of no further use then.
    pub fn wait(&mut self) -> Result<Response, Error> {
        frame::read(&mut self.stream).map_err(|error| match error {
            ReadError::Closed => Error::Closed(self.addr),
            ReadError::Rubbish => Error::Rubbish(self.addr),
            ReadError::Io(error) => worded(error, self.addr, Duration::ZERO),
        })
    }
}

/// Why a node gave no answer. `Display` speaks of the node as "it".
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nothing listens there.
    #[error("nothing listens on its control port {0}")]
    Refused(SocketAddr),
    /// No answer in time.
    #[error("its control port {0} gave no answer within {1:?}")]
    TimedOut(SocketAddr, Duration),
    /// It answered something that is not ours.
    #[error("what listens on {0} does not speak gossip's control protocol")]
    Rubbish(SocketAddr),
    /// The node does not take our token: it belongs to another network.
    #[error("the node on {0} belongs to a network with another key")]
    NotAllowed(SocketAddr),
    /// The node speaks another version of the control format.
    #[error(
        "the node on {0} speaks version {1} of the control protocol, and this program version {VERSION}"
    )]
    OtherVersion(SocketAddr, u32),
    /// The node has as many connections as it takes.
    #[error("too many others are connected to {0}")]
    Busy(SocketAddr),
    /// It hung up before it answered.
    #[error("it hung up on {0} before its answer; it may be ending")]
    Closed(SocketAddr),
    /// The request is longer than a frame.
    #[error("it is longer than {FRAME_BYTES_MAX} bytes")]
    TooLong,
    /// Anything else the system said.
    #[error("the connection to {0} failed: {1}")]
    Io(SocketAddr, #[source] io::Error),
}

impl Client {
    /// Connects and says hello. `timeout` bounds this and every later wait.
    ///
    /// # Errors
    ///
    /// [`Error`]. A wrong token shows at the first answer, not here.
    pub fn connect(addr: SocketAddr, token: &Token, timeout: Duration) -> Result<Self, Error> {
        let stream = TcpStream::connect_timeout(&addr, timeout)
            .map_err(|error| worded(error, addr, timeout))?;
        let mut client = Self { stream, addr, timeout };
        let io = |error| worded(error, addr, timeout);
        client.stream.set_nodelay(true).map_err(io)?;
        client.stream.set_read_timeout(Some(timeout)).map_err(io)?;
        client.stream.set_write_timeout(Some(timeout)).map_err(io)?;
        client.write(&Hello { version: VERSION, token: *token })?;
        Ok(client)
    }

    /// Asks one question and waits for its answer.
    ///
    /// # Errors
    ///
    /// [`Error`]; the connection is of no further use then.
    pub fn ask(&mut self, request: &Request) -> Result<Response, Error> {
        self.write(request)?;
        self.read()
    }

    /// Has the node push what happens from now on.
    ///
    /// # Errors
    ///
    /// [`Error`].
    pub fn subscribe(mut self) -> Result<Subscription, Error> {
        match self.ask(&Request::Subscribe)? {
            Response::Done => {}
            _ => return Err(Error::Rubbish(self.addr)),
        }
        // A node that is paused says nothing for long, and is not gone for that.
        self.stream.set_read_timeout(None).map_err(|error| Error::Io(self.addr, error))?;
        Ok(Subscription { stream: BufReader::new(self.stream), addr: self.addr })
    }

    fn write<T: serde::Serialize>(&mut self, value: &T) -> Result<(), Error> {
        frame::write(&mut self.stream, value).map_err(|error| match error.kind() {
            ErrorKind::InvalidInput => Error::TooLong,
            _ => worded(error, self.addr, self.timeout),
        })
    }

    fn read(&mut self) -> Result<Response, Error> {
        match frame::read(&mut frame::timed(&mut self.stream, self.timeout)) {
            Ok(Response::NotAllowed) => Err(Error::NotAllowed(self.addr)),
            Ok(Response::OtherVersion(version)) => Err(Error::OtherVersion(self.addr, version)),
            Ok(Response::Busy) => Err(Error::Busy(self.addr)),
            Ok(response) => Ok(response),
            Err(ReadError::Closed) => Err(Error::Closed(self.addr)),
            Err(ReadError::Rubbish) => Err(Error::Rubbish(self.addr)),
            Err(ReadError::Io(error)) => Err(worded(error, self.addr, self.timeout)),
        }
    }
}

/// Reads may report a timeout either way.
fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

/// The error that a person can do something about.
fn worded(error: io::Error, addr: SocketAddr, timeout: Duration) -> Error {
    match error.kind() {
        ErrorKind::ConnectionRefused => Error::Refused(addr),
        ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => Error::Closed(addr),
        _ if is_timeout(&error) => Error::TimedOut(addr, timeout),
        _ => Error::Io(addr, error),
    }
}
