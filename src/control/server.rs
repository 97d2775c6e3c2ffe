//! The answering side: accepts connections, checks tokens, and hands each question to a
//! [`Service`]. One thread accepts; each connection has a thread as long as it lasts.

use std::io::{self, ErrorKind};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use super::{Hello, Request, Response, Token, VERSION, frame};

/// The most connections at a time; one more is told to try again.
pub const CONNECTIONS_MAX: usize = 256;
/// How long a connection may say nothing, or leave an answer unread.
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a subscriber may read nothing. Until then what it misses is counted, so it may be
/// stopped for a while and go on.
pub const SUBSCRIBER_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a new connection may take to prove that it belongs here, and the length of the frame
/// that does. Strangers give their place up soon.
const HELLO_TIMEOUT: Duration = Duration::from_secs(1);
const HELLO_BYTES_MAX: u32 = 256;
/// How long to wait after the system refused a connection, for want of file descriptors say.
const RETRY_ACCEPT_AFTER: Duration = Duration::from_millis(20);
/// Enough for decoding a request and encoding a page of messages, both of which live on the heap.
const STACK_BYTES: usize = 128 << 10;

/// Answers questions. Shared by all connections' threads.
pub trait Service: Send + Sync + 'static {
    /// Answers one question; `None` where the node is ending.
    fn answer(&self, request: Request) -> Option<Response>;

    /// Pushes events through `send`, several at a time, until it fails or the node ends.
    fn subscribe(&self, send: &mut dyn FnMut(&[Response]) -> io::Result<()>);
}

/// Accepts connections in a thread of its own until the returned guard is dropped.
///
/// # Errors
///
/// If the system refuses the thread.
pub fn spawn(
    listener: TcpListener,
    token: Token,
    service: Arc<dyn Service>,
) -> io::Result<Accepting> {
    let ended = Arc::new(AtomicBool::new(false));
    let addr = listener.local_addr()?;
    let thread = thread::Builder::new().name("control".into()).stack_size(STACK_BYTES).spawn({
        let ended = Arc::clone(&ended);
        move || accept(&listener, token, &service, &ended)
    })?;
    Ok(Accepting { ended, addr, thread: Some(thread) })
}

/// The accepting thread; ends when dropped.
#[derive(Debug)]
pub struct Accepting {
    ended: Arc<AtomicBool>,
    addr: std::net::SocketAddr,
    thread: Option<thread::JoinHandle<()>>,
}

impl Drop for Accepting {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Release);
        // A connection of our own gets the thread out of `accept`.
        if TcpStream::connect_timeout(&self.addr, Duration::from_secs(1)).is_ok()
            && let Some(thread) = self.thread.take()
        {
            let _ = thread.join();
        }
    }
}

/// Accepts until told to end. Errors such as too many open files pass; they are not ours.
fn accept(listener: &TcpListener, token: Token, service: &Arc<dyn Service>, ended: &AtomicBool) {
    // Each connection holds a copy.
    let open = Arc::new(());
    loop {
        let accepted = listener.accept();
        if ended.load(Ordering::Acquire) {
            return;
        }
        match accepted {
            // Where it fails, the connection closes, and the client says so.
            Ok((stream, _)) => drop(connection(stream, token, service, Arc::clone(&open))),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            // Nothing to do but to give others a chance to finish; a connection that waits is
            // accepted at the next turn.
            Err(_) => thread::park_timeout(RETRY_ACCEPT_AFTER),
        }
    }
}

/// Gives a connection its thread, unless there are too many. `open` has a copy for each that is
/// open, this one included, and one more for the thread that accepts.
fn connection(
    mut stream: TcpStream,
    token: Token,
    service: &Arc<dyn Service>,
    open: Arc<()>,
) -> io::Result<()> {
    stream.set_read_timeout(Some(IDLE_TIMEOUT))?;
    stream.set_write_timeout(Some(IDLE_TIMEOUT))?;
    stream.set_nodelay(true)?;
    if Arc::strong_count(&open) > CONNECTIONS_MAX + 1 {
        return frame::write(&mut stream, &Response::Busy);
    }
    let service = Arc::clone(service);
    let named = thread::Builder::new().name("connection".into()).stack_size(STACK_BYTES);
    named.spawn(move || {
        // It ends the same way for any reason: the connection closes, and the client says so.
        let _ = serve(&mut stream, token, service.as_ref());
        drop(open);
    })?;
    Ok(())
}

/// Answers one connection's questions until it ends or breaks the format.
fn serve(stream: &mut TcpStream, token: Token, service: &dyn Service) -> io::Result<()> {
    stream.set_read_timeout(Some(HELLO_TIMEOUT))?;
    let mut timed = frame::timed(stream, HELLO_TIMEOUT);
    let hello: Hello = frame::read_up_to(&mut timed, HELLO_BYTES_MAX)?;
    drop(timed);
    // Compared in a time that does not depend on where they differ.
    if blake3::Hash::from(hello.token.0) != blake3::Hash::from(token.0) {
        return frame::write(stream, &Response::NotAllowed);
    }
    if hello.version != VERSION {
        return frame::write(stream, &Response::OtherVersion(VERSION));
    }
    stream.set_read_timeout(Some(IDLE_TIMEOUT))?;
    loop {
        let request = frame::read(stream)?;
        if request == Request::Subscribe {
            stream.set_write_timeout(Some(SUBSCRIBER_TIMEOUT))?;
            service.subscribe(&mut |responses| frame::write_all(stream, responses));
            return Ok(());
        }
        let Some(response) = service.answer(request) else { return Ok(()) };
        frame::write(stream, &response)?;
    }
}

#[cfg(test)]
mod tests {
    use super::super::client::{Client, Error};
    use super::*;
    use crate::protocol::Key;
    use std::io::{Read, Write};
    use std::net::SocketAddr;

    struct Echo;

    impl Service for Echo {
        fn answer(&self, request: Request) -> Option<Response> {
            match request {
                Request::Stop => None,
                _ => Some(Response::Done),
            }
        }

        fn subscribe(&self, send: &mut dyn FnMut(&[Response]) -> io::Result<()>) {
            while send(&[Response::Done, Response::Done]).is_ok() {}
        }
    }

    const TIMEOUT: Duration = Duration::from_secs(5);

    fn start() -> (Accepting, SocketAddr, Token) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let token = Token::of(&Key([1; 32]));
        (spawn(listener, token, Arc::new(Echo)).unwrap(), addr, token)
    }

    #[test]
    fn questions_are_answered_over_one_connection() {
        let (_guard, addr, token) = start();
        let mut client = Client::connect(addr, &token, TIMEOUT).unwrap();
        for _ in 0..3 {
            assert_eq!(client.ask(&Request::Peers).unwrap(), Response::Done);
        }
        assert!(matches!(client.ask(&Request::Stop), Err(Error::Closed(_))));
    }

    #[test]
    fn another_networks_token_is_refused() {
        let (_guard, addr, _) = start();
        let mut client = Client::connect(addr, &Token::of(&Key([2; 32])), TIMEOUT).unwrap();
        assert!(matches!(client.ask(&Request::Stop), Err(Error::NotAllowed(_))));
    }

    #[test]
    fn rubbish_ends_its_connection_and_no_other() {
        let (_guard, addr, token) = start();
        let mut stream = TcpStream::connect(addr).unwrap();
        stream.set_read_timeout(Some(TIMEOUT)).unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
        // Closed, perhaps with a reset, because bytes were left unread.
        assert!(matches!(stream.read(&mut [0; 16]), Ok(0) | Err(_)));
        let mut client = Client::connect(addr, &token, TIMEOUT).unwrap();
        assert_eq!(client.ask(&Request::Peers).unwrap(), Response::Done);
    }

    #[test]
    fn a_stranger_that_drips_bytes_is_cut_off() {
        let (_guard, addr, _) = start();
        let mut stream = TcpStream::connect(addr).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.write_all(&100u32.to_le_bytes()).unwrap();
        stream.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        // Each byte alone; the other end gives up before the hundredth.
        let cut_off = (0..100).any(|_| {
            let sent = stream.write_all(b"x");
            let answered = stream.read(&mut [0; 1]);
            sent.is_err() || !answered.is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
        });
        assert!(cut_off);
    }

    #[test]
    fn one_connection_too_many_is_told_to_try_again() {
        let (_guard, addr, token) = start();
        let mut clients: Vec<Client> = (0..CONNECTIONS_MAX)
            .map(|_| {
                let mut client = Client::connect(addr, &token, TIMEOUT).unwrap();
                client.ask(&Request::Peers).unwrap();
                client
            })
            .collect();
        let mut extra = Client::connect(addr, &token, TIMEOUT).unwrap();
        assert!(matches!(extra.ask(&Request::Peers), Err(Error::Busy(_) | Error::Closed(_))));
        assert_eq!(clients[0].ask(&Request::Peers).unwrap(), Response::Done);
    }

    #[test]
    fn subscribers_hear_until_they_hang_up() {
        let (_guard, addr, token) = start();
        let client = Client::connect(addr, &token, TIMEOUT).unwrap();
        let mut events = client.subscribe().unwrap();
        for _ in 0..3 {
            assert_eq!(events.wait().unwrap(), Response::Done);
        }
    }
}
