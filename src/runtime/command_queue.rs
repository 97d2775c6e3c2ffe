//! The command queue: where other threads hand in commands and wake the socket loop.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crossbeam_channel::{RecvTimeoutError, Sender, bounded};

use super::admission::TEXTS_MAX;
use super::subscribers::{Subscriber, Told};
use crate::control::{Request, Response, server};

/// How long a connection waits for the socket loop.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// How long to wait for an answer before the loop is woken once more, and how often that is done.
const RING_AGAIN_AFTER: Duration = Duration::from_millis(20);
const RINGS_MAX: u128 = ANSWER_TIMEOUT.as_millis() / RING_AGAIN_AFTER.as_millis();
/// How often a subscription without events looks whether its client is still there.
const KEEP_ALIVE: Duration = Duration::from_secs(5);
/// The most bytes of events that are written at once, about, and what one takes beside its text.
const BATCH_BYTES_MAX: usize = 64 << 10;
const EVENT_BYTES: usize = 64;
/// How long to let events gather where they come one upon another.
const PAUSE: Duration = Duration::from_millis(100);
/// The lowest there is.
#[cfg(target_os = "linux")]
const LOWEST_PRIORITY: i32 = 19;

/// What the socket loop may be told.
#[derive(Debug)]
pub(super) enum Command {
    /// Answer this.
    Ask(Request, Sender<Response>),
    /// Push events into this, from the answer on.
    Subscribe(Subscriber, Sender<Response>),
}

/// Takes commands in.
#[derive(Debug)]
pub(super) struct CommandQueue {
    commands: Sender<Command>,
    wake: UdpSocket,
    /// The socket loop's own address.
    addr: SocketAddr,
    /// A wake-up call is under way, so that another is not needed.
    waiting: AtomicBool,
}

impl CommandQueue {
    pub(super) fn new(commands: Sender<Command>, wake: UdpSocket, addr: SocketAddr) -> Self {
        Self { commands, wake, addr, waiting: AtomicBool::new(false) }
    }

    /// Whether this is the socket loop's own address.
    pub(super) fn is_self(&self, addr: SocketAddr) -> bool {
        self.addr == addr
    }

    /// Whether commands may wait.
    pub(super) fn has_waiting(&self) -> bool {
        self.waiting.load(Ordering::Acquire)
    }

    /// Whether commands may wait; the next command wakes the loop again.
    pub(super) fn take_waiting(&self) -> bool {
        self.has_waiting() && self.waiting.swap(false, Ordering::AcqRel)
    }

    /// Notes that commands may still wait. The loop sees it without a datagram.
    pub(super) fn note_waiting(&self) {
        self.waiting.store(true, Ordering::Release);
    }

    /// Hands in a command, if the queue takes it before the timeout, and wakes the loop.
    fn hand_in(&self, command: Command) -> bool {
        let taken = self.commands.send_timeout(command, ANSWER_TIMEOUT).is_ok();
        if !self.waiting.swap(true, Ordering::AcqRel) {
            self.ring();
        }
        taken
    }

    /// Hands in a command and waits for the loop's answer; `None` where the loop has ended.
    fn ask(&self, command: impl FnOnce(Sender<Response>) -> Command) -> Option<Response> {
        let (reply, answer) = bounded(1);
        if self.hand_in(command(reply)) {
            for _ in 0..RINGS_MAX {
                match answer.recv_timeout(RING_AGAIN_AFTER) {
                    // The wake-up call is a datagram, and may be lost like any other.
                    Err(RecvTimeoutError::Timeout) if self.has_waiting() => self.ring(),
                    Err(RecvTimeoutError::Timeout) => {}
                    told => return told.ok(),
                }
            }
        }
        Some(Response::Busy)
    }

    /// Wakes the loop. If the socket refuses even this, the loop wakes at its next deadline.
    fn ring(&self) {
        let _ = self.wake.send_to(&[], self.addr);
    }
}

impl server::Service for CommandQueue {
    fn answer(&self, mut request: Request) -> Option<Response> {
        // Before it waits in the queue: a frame holds very many very short ones.
        if let Request::Send { texts, .. } = &mut request {
            texts.truncate(TEXTS_MAX);
            texts.shrink_to_fit();
        }
        self.ask(|reply| Command::Ask(request, reply))
    }

    fn subscribe(&self, send: &mut dyn FnMut(&[Response]) -> io::Result<()>) {
        let (subscriber, events) = Subscriber::new();
        // The client hears that the loop took it in.
        let taken = self.ask(|reply| Command::Subscribe(subscriber, reply));
        if taken != Some(Response::Done) || send(&[Response::Done]).is_err() {
            return;
        }
        yield_to_others();
        loop {
            let mut batch = match events.wait(KEEP_ALIVE) {
                Ok(told) => vec![pushed(told)],
                Err(RecvTimeoutError::Timeout) => vec![Response::Done],
                Err(RecvTimeoutError::Disconnected) => return,
            };
            let mut bytes = 0;
            while bytes < BATCH_BYTES_MAX
                && let Some(told) = events.take()
            {
                bytes += told.text_bytes() + EVENT_BYTES;
                batch.push(pushed(told));
            }
            if send(&batch).is_err() {
                return;
            }
            // Where events come one upon another, a pause makes few large batches of them, and
            // spares the socket loop from waking this thread for each.
            if bytes < BATCH_BYTES_MAX {
                events.pause(PAUSE);
            }
        }
    }
}

/// What a subscriber is sent.
fn pushed(told: Told) -> Response {
    match told.event {
        Some(event) => Response::Event { at: told.at.0, event, lost: told.lost },
        None => Response::Lost(told.lost),
    }
}

/// Has this thread, which only tells of events, wait for those that do the work. Where the
/// machine is busy, subscribers lose events rather than slow the network.
fn yield_to_others() {
    // On Linux a priority is a thread's own; elsewhere this would be about the whole process.
    #[cfg(target_os = "linux")]
    let _ = rustix::process::setpriority_process(None, LOWEST_PRIORITY);
}

/// Stops a running node from another thread.
#[derive(Clone, Debug)]
pub struct Stopper(pub(super) Arc<CommandQueue>);

impl Stopper {
    /// Has the node say goodbye to its neighbours and end.
    pub fn stop(&self) {
        // Nobody waits for the answer.
        self.0.hand_in(Command::Ask(Request::Leave, bounded(1).0));
    }
}
