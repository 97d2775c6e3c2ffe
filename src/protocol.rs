//! The protocol: one node as a value, with no socket, clock, thread or hidden dice.

use std::net::SocketAddr;
use std::ops::Range;

mod config;
mod message;
mod report;
mod time;

pub use config::{Config, Key, Limits, RELAYS_MAX, Timing, UDP_PAYLOAD_BYTES_MAX};
pub use message::{Incarnation, MessageId, NodeId, Origin, ParseIdError, Path, PeerAddr};
pub use report::{
    Counters, Event, MessageInfo, MessagePage, MessageQuery, PathInfo, PeerInfo, PeerState,
    Refused, Status, Which,
};
pub use time::{Monotonic, Now, Wall};

/// What a node wants done: datagrams to send, in order, and events to tell of.
///
/// The caller owns it and uses it again and again, so that a steady node allocates nothing.
#[derive(Debug, Default)]
pub struct Outputs {
    bytes: Vec<u8>,
    datagrams: Vec<(SocketAddr, Range<usize>)>,
    /// What happened since the last flush.
    pub events: Vec<Event>,
}

impl Outputs {
    /// The datagrams to send, in order.
    pub fn datagrams(&self) -> impl Iterator<Item = (SocketAddr, &[u8])> {
        self.datagrams.iter().map(|(to, range)| (*to, &self.bytes[range.clone()]))
    }

    /// Forgets everything, keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.datagrams.clear();
        self.events.clear();
    }
}

/// One node of the network.
#[derive(Debug)]
pub struct Node {
    config: Config,
}

#[expect(unused_variables, clippy::unused_self, reason = "signatures first")]
impl Node {
    /// A node that starts now.
    #[must_use]
    pub fn new(config: Config, now: Now) -> Self {
        Self { config }
    }

    /// Takes in a datagram, whatever it is.
    pub fn receive(&mut self, now: Now, from: SocketAddr, bytes: &[u8]) {}

    /// Does what is due.
    pub fn tick(&mut self, now: Now) {}

    /// Accepts a message for all nodes.
    ///
    /// # Errors
    ///
    /// [`Refused`] says why not; nothing changed then.
    pub fn send(&mut self, now: Now, text: &str, relays: u8) -> Result<MessageId, Refused> {
        Err(Refused::Empty)
    }

    /// Appends what is to be sent and told to `out`.
    pub fn flush(&mut self, now: Now, out: &mut Outputs) {}

    /// When the driver owes the next [`Node::tick`]; `None`: never.
    #[must_use]
    pub fn deadline(&self) -> Option<Monotonic> {
        None
    }

    /// Says goodbye to the neighbours: the last thing to do before the end.
    pub fn leave(&mut self, now: Now) {}

    /// Links up with these peers, in addition to those it has.
    pub fn link(&mut self, now: Now, peers: &[PeerAddr]) {}

    /// Has these neighbours and no others, once the new links stand.
    pub fn rewire(&mut self, now: Now, peers: &[PeerAddr]) {}

    /// A page of messages.
    pub fn messages(&mut self, query: &MessageQuery) -> MessagePage {
        MessagePage { messages: Vec::new(), next: None }
    }

    /// The neighbours, past ones included.
    #[must_use]
    pub fn peers(&self) -> Vec<PeerInfo> {
        Vec::new()
    }

    /// The node's account of itself.
    #[must_use]
    pub fn status(&self) -> Status {
        unimplemented!()
    }
}
