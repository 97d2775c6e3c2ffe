//! The other end of a node's sessions, for tests and fuzzers: it shakes hands and seals, and decides nothing.

use std::net::SocketAddr;

use crate::config::Config;
use crate::datagram::outbox::{Outbox, Outputs};
use crate::datagram::sessions::{Sessions, say_hello};
use crate::ids::{NodeId, PeerAddr};
use crate::report::Counters;
use crate::time::Monotonic;

/// The sessions of a node that is none.
#[derive(Debug)]
pub(crate) struct OtherEnd {
    pub(crate) addr: SocketAddr,
    config: Config,
    sessions: Sessions,
}

impl OtherEnd {
    /// Starts at an address, with the sessions that its launch gives it.
    pub(crate) fn new(config: &Config, addr: SocketAddr, now: Monotonic) -> Self {
        let sessions = Sessions::new(config, now);
        Self { addr, config: config.clone(), sessions }
    }

    /// A datagram that asks a node for a session.
    pub(crate) fn hello(&self, now: Monotonic, to: PeerAddr) -> Vec<u8> {
        let mut out = Outputs::default();
        say_hello(&self.config, now, to, &mut out);
        out.bytes
    }

    /// Takes in what a node sent, and gives what is to be sent back.
    pub(crate) fn hear(&mut self, now: Monotonic, from: SocketAddr, bytes: &[u8]) -> Vec<Vec<u8>> {
        let (mut counters, mut out) = (Counters::default(), Outputs::default());
        // A datagram that is dropped is none of this end's concern.
        let _ = self.sessions.open(&self.config, now, from, bytes, &mut counters);
        self.sessions.release(now, &mut Outbox::default());
        self.sessions.flush(&mut out, &mut counters);
        out.datagrams().map(|(_, bytes)| bytes.to_vec()).collect()
    }

    /// A datagram of these frames; `None` without a session.
    pub(crate) fn say(&mut self, to: NodeId, frames: &[u8]) -> Option<Vec<u8>> {
        said(&mut self.sessions, &self.config, to, frames)
    }
}

/// A datagram of these frames in a session that is there.
pub(crate) fn said(
    sessions: &mut Sessions,
    config: &Config,
    to: NodeId,
    frames: &[u8],
) -> Option<Vec<u8>> {
    let at = sessions.with(to)?;
    let mut out = Outputs::default();
    sessions.seal(at, config, &mut out, |bytes| bytes.extend_from_slice(frames));
    Some(out.bytes)
}
