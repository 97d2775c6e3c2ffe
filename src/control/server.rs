//! The answering side: accepts connections, checks tokens, and hands each question to a
//! [`Service`]. One thread accepts; each connection has a thread as long as it lasts.

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::thread;
use std::time::Duration;

use super::{Hello, Request, Response, Token, VERSION, frame};

/// The most connections at a time that have shown the token; one more is told to try again.
pub const CONNECTIONS_MAX: usize = 256;
/// The most connections at a time that have not. For one more the oldest is closed: a program without the
/// token, which connects again and again, must not keep others out.
pub const STRANGERS_MAX: usize = 64;
/// The most threads of connections, those that are about to end included.
const THREADS_MAX: usize = CONNECTIONS_MAX + 2 * STRANGERS_MAX;
/// How long a connection may say nothing, or leave an answer unread.
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a subscriber may read nothing. Until then the events it misses are counted, so it
/// may be stopped for a while and go on.
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
    let (mut strangers, open, members) = (VecDeque::new(), Arc::new(()), Arc::new(()));
    loop {
        let accepted = listener.accept();
        if ended.load(Ordering::Acquire) {
            return;
        }
        match accepted {
            // A stranger's thread may end a moment after its place went to another. The client of a
            // connection that closes tries again.
            Ok((stream, _)) if Arc::strong_count(&open) > THREADS_MAX => drop(stream),
            Ok((stream, _)) => {
                make_room(&mut strangers);
                let members = Arc::downgrade(&members);
                strangers.extend(connection(stream, token, service, &open, &members));
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            // Nothing to do but to give others a chance to finish; a connection that waits is
            // accepted at the next turn.
            Err(_) => thread::park_timeout(RETRY_ACCEPT_AFTER),
        }
    }
}

/// A connection that has not shown the token yet, as the accepting thread sees it.
struct Stranger {
    /// It has shown the token, or was closed: whichever came first.
    is_decided: Arc<AtomicBool>,
    stream: TcpStream,
}

/// Closes the oldest stranger, if there are too many.
fn make_room(strangers: &mut VecDeque<Stranger>) {
    strangers.retain(|stranger| !stranger.is_decided.load(Ordering::Acquire));
    if strangers.len() >= STRANGERS_MAX
        && let Some(oldest) = strangers.pop_front()
        && !oldest.is_decided.swap(true, Ordering::AcqRel)
    {
        // Its thread finds that it has ended.
        let _ = oldest.stream.shutdown(Shutdown::Both);
    }
}

/// Gives a connection its thread, which has a copy of `open`. `members` counts the connections that have
/// shown the token.
fn connection(
    mut stream: TcpStream,
    token: Token,
    service: &Arc<dyn Service>,
    open: &Arc<()>,
    members: &Weak<()>,
) -> io::Result<Stranger> {
    stream.set_read_timeout(Some(IDLE_TIMEOUT))?;
    stream.set_write_timeout(Some(IDLE_TIMEOUT))?;
    stream.set_nodelay(true)?;
    let stranger = Stranger { is_decided: Arc::default(), stream: stream.try_clone()? };
    let is_decided = Arc::clone(&stranger.is_decided);
    let (service, open, members) = (Arc::clone(service), Arc::clone(open), Weak::clone(members));
    let named = thread::Builder::new().name("connection".into()).stack_size(STACK_BYTES);
    named.spawn(move || {
        let refusal = refusal(&mut stream, token);
        let was_closed = is_decided.swap(true, Ordering::AcqRel);
        // It ends the same way for any reason: the connection closes, and the client says so.
        let _ = refusal.and_then(|refusal| match refusal {
            _ if was_closed => Ok(()),
            Some(refusal) => frame::write(&mut stream, &refusal),
            None => serve_member(&mut stream, service.as_ref(), &members),
        });
        // The accepting thread may still have it, too.
        let _ = stream.shutdown(Shutdown::Both);
        drop(open);
    })?;
    Ok(stranger)
}

/// Serves a connection that has shown the token, unless there are too many such.
fn serve_member(
    stream: &mut TcpStream,
    service: &dyn Service,
    members: &Weak<()>,
) -> io::Result<()> {
    // Counted for as long as it is served; the accepting thread has one copy more.
    let _member = members.upgrade();
    if members.strong_count() > CONNECTIONS_MAX + 1 {
        return frame::write(stream, &Response::Busy);
    }
    serve(stream, service)
}

/// Waits for a connection to show the token, and says why it is refused, if it is.
fn refusal(stream: &mut TcpStream, token: Token) -> io::Result<Option<Response>> {
    stream.set_read_timeout(Some(HELLO_TIMEOUT))?;
    let mut timed = frame::timed(stream, HELLO_TIMEOUT);
    let hello: Hello = frame::read_up_to(&mut timed, HELLO_BYTES_MAX)?;
    // Compared in a time that does not depend on where they differ.
    if blake3::Hash::from(hello.token.0) != blake3::Hash::from(token.0) {
        return Ok(Some(Response::NotAllowed));
    }
    Ok((hello.version != VERSION).then_some(Response::OtherVersion(VERSION)))
}

/// Answers one connection's questions until it ends or breaks the format.
fn serve(stream: &mut TcpStream, service: &dyn Service) -> io::Result<()> {
    stream.set_read_timeout(Some(IDLE_TIMEOUT))?;
    // The client is let in, and may ask.
    frame::write(stream, &Response::Done)?;
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
        let refused = Client::connect(addr, &Token::of(&Key([2; 32])), TIMEOUT);
        assert!(matches!(refused, Err(Error::NotAllowed(_))), "{refused:?}");
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
    fn one_connection_too_many_tries_again_until_there_is_a_place() {
        let (_guard, addr, token) = start();
        let mut clients: Vec<Client> = (0..CONNECTIONS_MAX)
            .map(|_| {
                let mut client = Client::connect(addr, &token, TIMEOUT).unwrap();
                client.ask(&Request::Peers).unwrap();
                client
            })
            .collect();
        let extra = || Client::connect(addr, &token, Duration::from_millis(100));
        let since = crate::runtime::clock::monotonic();
        assert!(matches!(extra(), Err(Error::Busy(_))));
        let tried_for = crate::runtime::clock::monotonic().since(since);
        assert!(tried_for >= Duration::from_millis(100), "{tried_for:?}");
        assert_eq!(clients[0].ask(&Request::Peers).unwrap(), Response::Done);
        thread::scope(|scope| {
            let waiting = scope.spawn(|| Client::connect(addr, &token, TIMEOUT).map(drop));
            clients.pop();
            waiting.join().unwrap().unwrap();
        });
    }

    #[test]
    fn strangers_that_connect_again_and_again_keep_nobody_out() {
        let (_guard, addr, token) = start();
        let is_over = AtomicBool::new(false);
        let connect_again_and_again = || {
            let mut open = VecDeque::new();
            while !is_over.load(Ordering::Relaxed) {
                open.extend(TcpStream::connect(addr));
                if open.len() > 2 * STRANGERS_MAX {
                    open.pop_front();
                }
            }
        };
        thread::scope(|scope| {
            scope.spawn(connect_again_and_again);
            scope.spawn(connect_again_and_again);
            for _ in 0..20 {
                let asked = Client::connect(addr, &token, TIMEOUT)
                    .and_then(|mut client| client.ask(&Request::Peers));
                // Before anything that can fail, or the others would go on for ever.
                is_over.fetch_or(asked.is_err(), Ordering::Relaxed);
                assert_eq!(asked.unwrap(), Response::Done);
            }
            is_over.store(true, Ordering::Relaxed);
        });
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
