//! The asking side: a connection to one node's control port.

use std::io::{self, BufReader, ErrorKind};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::Duration;

use crossbeam_channel::after;

use super::frame;
use super::{FRAME_BYTES_MAX, Hello, Request, Response, Token, VERSION};

/// How long to wait where a node has no place for a connection, before the next try.
const TRY_AGAIN_AFTER: Duration = Duration::from_millis(5);
/// How often a connection may be closed before the node let it in. A node closes one for another in a flood of
/// connections; a program that is no node closes all.
const CLOSED_MAX: u32 = 20;

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
        frame::read(&mut self.stream).map_err(failed(self.addr, Duration::ZERO))
    }
}

/// Why a node gave no answer. `Display` speaks of the node as "it".
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nothing listens there.
    #[error("nothing listens on its control port {0}")]
    Refused(SocketAddr),
    /// No answer in time.
    #[error("its control port {0} was silent for {1:?}; it may be stopped or overloaded")]
    TimedOut(SocketAddr, Duration),
    /// It answered something that is not ours.
    #[error("the program that listens on {0} does not speak gossip's control protocol")]
    Rubbish(SocketAddr),
    /// The node does not take our token: it belongs to another network.
    #[error("the node on {0} belongs to a network with another key")]
    NotAllowed(SocketAddr),
    /// The node speaks another version of the control format.
    #[error(
        "the node on {0} speaks version {1} of the control protocol, and this program version {VERSION}"
    )]
    OtherVersion(SocketAddr, u32),
    /// The node has as many connections as it takes, or no time to answer.
    #[error("the node on {0} has too many connections, or too much to do")]
    Busy(SocketAddr),
    /// It hung up before anything could be asked.
    #[error("it hung up on {0} again and again before it could be asked; it may be ending")]
    NotLetIn(SocketAddr),
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
    /// Connects, says hello, and waits to be let in. `timeout` bounds each of these and every later wait.
    ///
    /// A node that has no place for the connection, or gave it up for another one, is tried again for that
    /// time: nothing was asked yet, so nothing is done twice.
    ///
    /// # Errors
    ///
    /// [`Error`].
    pub fn connect(addr: SocketAddr, token: &Token, timeout: Duration) -> Result<Self, Error> {
        let (over, mut closed) = (after(timeout), 0);
        loop {
            let answered = Self::say_hello(addr, token, timeout);
            closed += u32::from(matches!(answered, Err(Error::Closed(_))));
            match answered {
                Err(Error::Closed(_)) if closed >= CLOSED_MAX => return Err(Error::NotLetIn(addr)),
                Err(Error::Busy(_) | Error::Closed(_)) if over.try_recv().is_err() => {
                    thread::park_timeout(TRY_AGAIN_AFTER);
                }
                Err(Error::Closed(_)) => return Err(Error::NotLetIn(addr)),
                answered => return answered,
            }
        }
    }

    fn say_hello(addr: SocketAddr, token: &Token, timeout: Duration) -> Result<Self, Error> {
        let connect = || {
            let stream = TcpStream::connect_timeout(&addr, timeout)?;
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(timeout))?;
            stream.set_write_timeout(Some(timeout))?;
            Ok(stream)
        };
        let stream = connect().map_err(failed(addr, timeout))?;
        let mut client = Self { stream, addr, timeout };
        client.write(&Hello { version: VERSION, token: *token })?;
        match client.read()? {
            Response::Done => Ok(client),
            _ => Err(Error::Rubbish(addr)),
        }
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
        self.stream.set_read_timeout(None).map_err(failed(self.addr, self.timeout))?;
        Ok(Subscription { stream: BufReader::new(self.stream), addr: self.addr })
    }

    fn write<T: serde::Serialize>(&mut self, value: &T) -> Result<(), Error> {
        frame::write(&mut self.stream, value).map_err(failed(self.addr, self.timeout))
    }

    fn read(&mut self) -> Result<Response, Error> {
        let response = frame::read(&mut frame::timed(&mut self.stream, self.timeout));
        match response.map_err(failed(self.addr, self.timeout))? {
            Response::NotAllowed => Err(Error::NotAllowed(self.addr)),
            Response::OtherVersion(version) => Err(Error::OtherVersion(self.addr, version)),
            Response::Busy => Err(Error::Busy(self.addr)),
            response => Ok(response),
        }
    }
}

/// What an error of the system, or of [`frame`], means for the node at this address.
fn failed(addr: SocketAddr, timeout: Duration) -> impl Fn(io::Error) -> Error {
    move |error| match error.kind() {
        ErrorKind::ConnectionRefused => Error::Refused(addr),
        ErrorKind::ConnectionReset | ErrorKind::BrokenPipe | ErrorKind::UnexpectedEof => {
            Error::Closed(addr)
        }
        ErrorKind::InvalidData => Error::Rubbish(addr),
        ErrorKind::InvalidInput => Error::TooLong,
        // Reads may report a timeout either way.
        ErrorKind::WouldBlock | ErrorKind::TimedOut => Error::TimedOut(addr, timeout),
        _ => Error::Io(addr, error),
    }
}
