//! The socket loop that owns the only `Node`, and the threads around it.
//!
//! ```text
//!                    datagrams
//!                        │
//!   socket loop: receive ─► Node ─► flush ─► send         (the thread that calls `run`)
//!        ▲  │ events
//!        │  └──────────────────────► subscribers' channels
//!        └── commands, one crossbeam channel
//!             ▲
//!   control: accept ─► one thread per connection          (threads of `control::server`)
//! ```
//!
//! The loop blocks in `recv` with the node's next deadline as read timeout. A thread that puts a command
//! into the channel wakes it with an empty datagram to its own port, as the self-pipe trick does
//! for file descriptors. No lock is held around the node, and no protocol is decided here.

use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};
use rustix::net::{RecvFlags, SendFlags};
use serde::{Deserialize, Serialize};

use crate::control::{Request, Response, Token, server};
use crate::protocol::{
    Config, Event, FaultCounts, FaultRule, Faults, Monotonic, Node, Now, Outputs, Wall,
};

mod admission;
pub mod clock;
mod command_queue;
mod subscribers;

use admission::{Admission, Texts};
pub use command_queue::Stopper;
use command_queue::{Command, CommandQueue};
use subscribers::Subscribers;

/// What a node asks the system for: a burst of some 5,000 small datagrams. The default of most
/// systems holds 256, which a burst overflows without an error anywhere.
pub const RECEIVE_BUFFER_BYTES: usize = 4 << 20;
/// The most datagrams in a row that are taken to have come alone before there is a look for more.
const LONE_MAX: u8 = 8;
/// The most datagrams taken in before what they caused is sent.
const DRAIN_MAX: usize = 64;
/// The most commands served between two looks at the socket.
const COMMANDS_PER_TURN: usize = 16;
/// The most commands that wait.
const COMMANDS_MAX: usize = 256;
/// The longest wait, where nothing is due.
const WAIT_MAX: Duration = Duration::from_secs(60);
/// The least read timeout: what is due sooner is not worth an exact timer.
const LEAST_TIMEOUT: Duration = Duration::from_millis(1);
/// How long to let a socket rest that does nothing but fail.
const REST_AFTER_ERROR: Duration = Duration::from_millis(1);

/// What a running node is made from.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Options {
    /// The protocol's part.
    pub config: Config,
    /// How the node mistreats what it sends, from its first datagram on.
    pub faults: Vec<FaultRule>,
    /// The UDP address to bind. The control port has the same number on loopback.
    pub listen: SocketAddr,
    /// Whether `on_event` of [`Runtime::run`] is told of messages, too: accepted and delivered.
    /// Subscribers are in any case.
    pub tell_messages: bool,
    /// End unless the control port is asked to confirm within this time; `None`: run on.
    pub confirm_within: Option<Duration>,
}

/// Why a node cannot run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A port is taken, by UDP or TCP.
    #[error("port {} of {} is taken", .0.port(), .0.ip())]
    PortTaken(SocketAddr),
    /// Nobody confirmed the start in time.
    #[error("nobody confirmed the start in time")]
    NotConfirmed,
    /// The system refused a socket or a thread.
    #[error("cannot {0}: {1}")]
    Io(&'static str, #[source] io::Error),
}

/// A node with its sockets bound, ready to run.
#[derive(Debug)]
pub struct Runtime {
    socket: UdpSocket,
    local: SocketAddr,
    receive_buffer_bytes: u64,
    node: Node,
    /// The stage between the node and the socket.
    faults: Faults,
    number: crate::protocol::NodeId,
    queue: Arc<CommandQueue>,
    commands: Receiver<Command>,
    subscribers: Subscribers,
    tell_messages: bool,
    /// Texts that wait for the send window.
    admission: Admission,
    /// Answers that go out after what the questions led to.
    replies: Vec<(Sender<Response>, Response)>,
    confirm_by: Option<Monotonic>,
    /// The read timeout that the socket has, and whether the last wait ended with it.
    read_timeout: Duration,
    timed_out: bool,
    /// Datagrams that came alone since there was last a look for more.
    lone: u8,
    /// A message that came alone was passed on to several in this turn.
    fanned_out: bool,
    /// Whether to let other nodes go first then.
    yields: bool,
    state: State,
    _control: server::Accepting,
}

/// How far the loop has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Running,
    /// Told to leave; goes on until the node has left.
    Leaving,
    Ended,
}

impl Runtime {
    /// Binds both sockets and starts the control port.
    ///
    /// # Errors
    ///
    /// [`Error`]; nothing stays bound then.
    pub fn bind(options: Options) -> Result<Self, Error> {
        let token = Token::of(&options.config.key);
        let socket =
            UdpSocket::bind(options.listen).map_err(|error| taken(error, options.listen))?;
        let io = |what| move |error| Error::Io(what, error);
        let local = socket.local_addr().map_err(io("ask for the socket's address"))?;
        let control_addr = SocketAddr::from((Ipv4Addr::LOCALHOST, local.port()));
        let listener =
            TcpListener::bind(control_addr).map_err(|error| taken(error, control_addr))?;
        let receive_buffer_bytes = ask_for_receive_buffer(&socket);
        let (sender, commands) = bounded(COMMANDS_MAX);
        let wake = socket.try_clone().map_err(io("share the socket"))?;
        let queue = Arc::new(CommandQueue::new(sender, wake, reachable(local)));
        let control = server::spawn(listener, token, Arc::clone(&queue) as _)
            .map_err(io("start the control thread"))?;
        socket.set_read_timeout(Some(WAIT_MAX)).map_err(io("set a read timeout"))?;
        let now = clock::now();
        let mut faults = Faults::new(&options.config);
        faults.set(&options.faults);
        Ok(Self {
            socket,
            local,
            receive_buffer_bytes,
            number: options.config.node,
            node: Node::new(&options.config, now),
            faults,
            queue,
            commands,
            subscribers: Subscribers::default(),
            tell_messages: options.tell_messages,
            admission: Admission::default(),
            replies: Vec::new(),
            confirm_by: options.confirm_within.map(|within| now.monotonic + within),
            read_timeout: WAIT_MAX,
            timed_out: false,
            lone: 0,
            fanned_out: false,
            yields: options.confirm_within.is_some(),
            state: State::Running,
            _control: control,
        })
    }

    /// The receive buffer the system granted, in bytes.
    #[must_use]
    pub fn receive_buffer_bytes(&self) -> u64 {
        self.receive_buffer_bytes
    }

    /// The address bound, with the port filled in.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// A handle that stops [`Runtime::run`].
    #[must_use]
    pub fn stopper(&self) -> Stopper {
        Stopper(Arc::clone(&self.queue))
    }

    /// Runs the loop in this thread until the node is stopped, or told to leave. `on_event` is
    /// called for each event and must not block. [`Options::tell_messages`] says whether those
    /// of messages are among them; they may be in any case while there is a subscriber.
    ///
    /// # Errors
    ///
    /// [`Error::NotConfirmed`]. Errors of the socket count as loss and end nothing.
    pub fn run(mut self, on_event: &mut dyn FnMut(Wall, &Event)) -> Result<(), Error> {
        let mut buffer = vec![0; 1 << 16];
        let mut out = Outputs::default();
        let mut now = clock::now();
        while self.state != State::Ended {
            self.node.tell_messages(self.tell_messages || !self.subscribers.is_empty());
            now = self.receive(now, &mut buffer, &mut out);
            if self.serve() {
                now = clock::now();
            }
            self.admission.open(now, &mut self.node, &mut self.replies);
            if self.node.deadline().is_some_and(|deadline| deadline <= now.monotonic) {
                self.node.tick(now);
            }
            self.flush(now, &mut out);
            // A caller that is answered wakes up, and takes time that the copies would wait for.
            for (reply, response) in self.replies.drain(..) {
                // The client may have hung up.
                let _ = reply.try_send(response);
            }
            for event in &out.events {
                on_event(now.wall, event);
            }
            self.subscribers.tell(now.wall, &mut out.events);
            out.clear();
            if std::mem::take(&mut self.fanned_out) && self.yields {
                step_back();
            }
            if self.confirm_by.is_some_and(|by| by <= now.monotonic) {
                return Err(Error::NotConfirmed);
            }
            // Datagrams held back are sent first, but not beyond the time that leaving may take.
            let is_over = self.node.leaves_by().is_some_and(|by| by <= now.monotonic);
            let has_left = self.node.has_left(now) && (is_over || !self.faults.holds_any());
            if self.state == State::Leaving && has_left {
                self.state = State::Ended;
            }
        }
        self.subscribers.finish(clock::monotonic);
        Ok(())
    }

    /// Takes in what has come, or waits for a datagram until something is due; says when that was.
    /// It was `before` just now.
    ///
    /// Datagrams that were there already show that the node is behind: all of them are taken in, so
    /// that what they lead to shares datagrams. One that was waited for came alone. Its message is sent
    /// on at once. Where none waited, each look is a system call for nothing: the next few are left out.
    fn receive(&mut self, before: Now, buffer: &mut [u8], out: &mut Outputs) -> Now {
        if self.lone == 0 {
            let mut take_in = || self.take_in(RecvFlags::DONTWAIT, buffer, None);
            if let Some(now) = (0..DRAIN_MAX).map_while(|_| take_in()).last() {
                return now;
            }
        }
        let flags = self.arm(before.monotonic);
        // What need not be waited for shares datagrams with whatever else this turn has to send.
        let came = self.take_in(flags, buffer, flags.is_empty().then_some(out));
        self.timed_out = came.is_none() && flags.is_empty();
        self.lone = if came.is_none() { 0 } else { (self.lone + 1) % LONE_MAX };
        came.unwrap_or_else(clock::now)
    }

    /// Takes in one datagram, and says when; `None` if there was none. Where it comes alone, its
    /// message goes on over `alone`.
    fn take_in(
        &mut self,
        flags: RecvFlags,
        buffer: &mut [u8],
        alone: Option<&mut Outputs>,
    ) -> Option<Now> {
        match rustix::net::recvfrom(&self.socket, &mut *buffer, flags) {
            Ok((bytes, _, from)) => {
                let now = clock::now();
                let from = from.and_then(|from| SocketAddr::try_from(from).ok());
                if let Some(from) = from.filter(|from| bytes > 0 || !self.queue.is_self(*from)) {
                    let bytes = &buffer[..bytes];
                    match alone {
                        Some(out) => self.take_in_alone(now, from, bytes, out),
                        None => self.node.receive(now, from, bytes),
                    }
                }
                Some(now)
            }
            Err(error) => {
                let error = io::Error::from(error);
                match error.kind() {
                    ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted => {}
                    _ => {
                        self.node.count_socket_errors(0, 1);
                        thread::park_timeout(REST_AFTER_ERROR);
                    }
                }
                None
            }
        }
    }

    /// Takes in a datagram that came alone. A new message is sent on before it is recorded.
    fn take_in_alone(&mut self, now: Now, from: SocketAddr, bytes: &[u8], out: &mut Outputs) {
        let (mut faults_did, mut refused) = (FaultCounts::default(), 0);
        let Self { node, socket, faults, fanned_out, .. } = self;
        node.receive_alone(now, from, bytes, out, &mut |out| {
            faults_did = faults.treat(now.monotonic, out);
            *fanned_out = out.datagrams().count() > 1;
            refused = send(socket, out);
        });
        node.count_faults(faults_did);
        node.count_socket_errors(refused, 0);
    }

    /// Sends what the node has to send, after the stage of faults had its way with it.
    fn flush(&mut self, now: Now, out: &mut Outputs) {
        self.node.flush(out);
        let counts = self.faults.treat(now.monotonic, out);
        self.node.count_faults(counts);
        let refused = send(&self.socket, out);
        self.node.count_socket_errors(refused, 0);
    }

    /// Sets the read timeout, if the one that is set would end too late, or ended for nothing.
    ///
    /// Setting it is a system call, so a wait may end late by a tenth of itself.
    fn arm(&mut self, now: Monotonic) -> RecvFlags {
        if self.queue.has_waiting() {
            return RecvFlags::DONTWAIT;
        }
        let others = [self.faults.deadline(), self.confirm_by, self.admission.deadline()];
        let due = others.into_iter().chain([self.node.deadline()]).flatten().min();
        let wait = due.map_or(WAIT_MAX, |due| due.since(now)).min(WAIT_MAX);
        if wait.is_zero() {
            return RecvFlags::DONTWAIT;
        }
        let too_late = self.read_timeout > (wait + wait / 10).max(LEAST_TIMEOUT);
        if too_late || self.timed_out {
            let timeout = wait.max(LEAST_TIMEOUT);
            if self.socket.set_read_timeout(Some(timeout)).is_ok() {
                self.read_timeout = timeout;
            }
        }
        RecvFlags::empty()
    }

    /// Serves commands that wait, up to a number, so that the socket is not kept waiting; says
    /// whether there were any.
    fn serve(&mut self) -> bool {
        if !self.queue.take_waiting() {
            return false;
        }
        for _ in 0..COMMANDS_PER_TURN {
            match self.commands.try_recv() {
                Ok(Command::Ask(Request::Send { texts, relays }, reply)) => {
                    let texts = Texts::new(texts, relays, reply, clock::monotonic());
                    self.admission.put(texts, &self.node);
                }
                Ok(Command::Ask(request, reply)) => {
                    let response = self.answer(request);
                    self.replies.push((reply, response));
                }
                Ok(Command::Subscribe(subscriber, reply)) => {
                    self.subscribers.add(subscriber);
                    self.replies.push((reply, Response::Done));
                    // From now on: texts that are handed in next are accepted in this very turn.
                    self.node.tell_messages(true);
                }
                Err(_) => return true,
            }
        }
        // More may wait: look again after the socket had its turn.
        self.queue.note_waiting();
        true
    }

    /// Answers one question.
    fn answer(&mut self, request: Request) -> Response {
        let now = clock::now();
        match request {
            Request::Confirm => {
                self.confirm_by = None;
                return Response::Ready { node: self.number, pid: std::process::id() };
            }
            Request::Messages(query) => return Response::Messages(self.node.messages(&query)),
            Request::Message(id) => return Response::Message(self.node.holding(id)),
            Request::Peers => return Response::Peers(self.node.peers()),
            Request::Status => return Response::Status(Box::new(self.node.status())),
            Request::Faults => return Response::Faults(self.faults.rules().to_vec()),
            Request::MarkShown(ids) => self.node.mark_shown(&ids),
            Request::Leave => {
                self.node.leave(now);
                self.state = State::Leaving;
            }
            Request::Stop => self.state = State::Ended,
            Request::Link(peers) => self.node.link(now, &peers),
            Request::Rewire(peers) => self.node.rewire(now, &peers),
            Request::SetFaults(rules) => self.faults.set(&rules),
            // Handled by the connection's thread, and by the admission.
            Request::Subscribe | Request::Send { .. } => {}
        }
        Response::Done
    }
}

/// Hands datagrams to the socket and forgets them. Says how many it refused: these are lost, like any
/// other datagram.
fn send(socket: &UdpSocket, out: &mut Outputs) -> u64 {
    let refused = out
        .datagrams()
        .filter(|(to, bytes)| rustix::net::sendto(socket, bytes, SendFlags::empty(), to).is_err())
        .count();
    out.clear_datagrams();
    refused as u64
}

/// Lets others on this processor go first, once a message that came alone is passed on to several.
/// These have something to pass on, too; this node has only to note the copies that come back. It
/// would wake up for each of them, before others have their first, and finds all of them waiting if it
/// comes later. Where a message goes on to one node only, as on a ring, nobody waits; a node that
/// has much to do finds much waiting as it is.
///
/// Where Linux groups processes by session (`autogroup`, see sched(7)), it has a process go behind those
/// of its own session only.
fn step_back() {
    thread::yield_now();
}

/// The error of a bind.
fn taken(error: io::Error, addr: SocketAddr) -> Error {
    match error.kind() {
        ErrorKind::AddrInUse => Error::PortTaken(addr),
        _ => Error::Io("bind a socket", error),
    }
}

/// Asks for a larger receive buffer and says what was granted. Linux reports twice what it
/// grants, for its own bookkeeping.
fn ask_for_receive_buffer(socket: &UdpSocket) -> u64 {
    let socket = socket2::SockRef::from(socket);
    let _ = socket.set_recv_buffer_size(RECEIVE_BUFFER_BYTES);
    let granted = socket.recv_buffer_size().unwrap_or(0) as u64;
    if cfg!(target_os = "linux") { granted / 2 } else { granted }
}

/// Where a socket that is bound to any address reaches itself.
fn reachable(local: SocketAddr) -> SocketAddr {
    match local {
        SocketAddr::V4(v4) if v4.ip().is_unspecified() => (Ipv4Addr::LOCALHOST, v4.port()).into(),
        SocketAddr::V6(v6) if v6.ip().is_unspecified() => (Ipv6Addr::LOCALHOST, v6.port()).into(),
        addr => addr,
    }
}
