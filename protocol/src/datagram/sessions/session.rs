//! One session with one peer: its key, its counters, and where its datagrams come from.

use std::net::SocketAddr;

use super::handshake::{Secret, same_place};
use super::replay_window::ReplayWindow;
use crate::config::Config;
use crate::datagram::header::{Dropped, Header, Nonces, Sealed, SessionId};
use crate::ids::{Incarnation, Origin};
use crate::time::Monotonic;

/// A session. Both ends have the same key: a datagram names its sender, and a node drops its own.
#[derive(Debug)]
pub(super) struct Session {
    key: [u8; 32],
    id: SessionId,
    /// The peer's.
    pub(super) incarnation: Incarnation,
    /// Where the peer showed that it is. Its datagrams come from nowhere else, and ours go nowhere else.
    pub(super) addr: SocketAddr,
    /// Sent along until the peer is known to have the session: only where this end said hello.
    nonces: Option<Box<Nonces>>,
    /// The next counter.
    sent: u64,
    window: ReplayWindow,
    /// When the peer last sent a datagram that none had overtaken; at first, when the session was made.
    pub(super) heard: Monotonic,
    pub(super) made: Monotonic,
}

impl Session {
    pub(super) fn new(
        Secret { key, id }: Secret,
        incarnation: Incarnation,
        addr: SocketAddr,
        nonces: Option<Nonces>,
        now: Monotonic,
    ) -> Self {
        let (window, nonces) = (ReplayWindow::new(now), nonces.map(Box::new));
        Self { key, id, incarnation, addr, nonces, sent: 0, window, heard: now, made: now }
    }

    pub(super) fn id(&self) -> SessionId {
        self.id
    }

    /// Whether no datagram of this session came in yet.
    pub(super) fn is_unused(&self) -> bool {
        self.window.is_unused()
    }

    /// Whether the peer is not known to have it.
    pub(super) fn is_unconfirmed(&self) -> bool {
        self.nonces.is_some()
    }

    /// Takes a datagram, if it counts: once, from where the peer is. Says whether none had overtaken it.
    pub(super) fn take(
        &mut self,
        now: Monotonic,
        from: SocketAddr,
        counter: u64,
        datagram: &Sealed<'_>,
    ) -> Result<bool, Dropped> {
        if !self.window.admits(counter, now) {
            return Err(Dropped::Replayed);
        }
        if !datagram.is_tagged(&self.key) {
            return Err(Dropped::Tag);
        }
        // Not noted: should this be a copy from elsewhere, the original still counts.
        if !same_place(from, self.addr) {
            return Err(Dropped::Elsewhere);
        }
        let is_newest = self.window.note(counter, now);
        // One that was overtaken may have been held back, so it is no sign of life.
        if is_newest {
            self.heard = now;
        }
        self.nonces = None;
        Ok(is_newest)
    }

    /// Begins a datagram.
    pub(super) fn begin(&mut self, config: &Config, to: &mut Vec<u8>) {
        let (node, counter) = (config.node, self.sent);
        self.sent += 1;
        let header = match self.nonces.as_deref() {
            None => Header::Session { sender: node, session: self.id, counter },
            Some(&nonces) => {
                let sender = Origin { node, incarnation: config.start.incarnation };
                Header::Opening { sender, nonces, counter }
            }
        };
        crate::datagram::header::write(&header, to);
    }

    /// Ends the datagram that began at `start`.
    pub(super) fn seal(&self, to: &mut Vec<u8>, start: usize) {
        crate::datagram::header::seal(to, start, &self.key);
    }
}
