//! The protocol: one node as a value, with no socket, clock, thread or hidden dice.
//!
//! A driver feeds a [`Node`] with datagrams, commands and the passing of time, then flushes: what
//! is to be sent and told ends up in [`Outputs`]. Processes drive it from a socket
//! (`crate::runtime`), the simulator from a queue; both run this very code.
//!
//! What a datagram meets on its way: [`wire`] takes it apart, [`Node::receive`] hands its frames
//! to one `on_…` method each, in the order of the table there; a rumor goes through `relay` to
//! [`store`] and [`flood`]; whatever answers, goes to [`outbox`], which packs and seals it.
//!
//! Deliberately absent: any account of the whole network. A node knows its neighbours, theirs,
//! and a small random sample.

use std::net::SocketAddr;
use std::ops::Range;

use rand::SeedableRng;
use rand::rngs::Xoshiro256PlusPlus;

mod config;
mod flood;
mod ids;
mod message;
mod outbox;
mod path;
mod peers;
mod relay;
mod report;
mod store;
mod time;
mod wire;

pub use config::{Config, Key, Limits, RELAYS_MAX, Timing, UDP_PAYLOAD_BYTES_MAX};
pub use message::{Incarnation, MessageId, NodeId, Origin, ParseIdError, Path, PeerAddr};
pub use report::{
    Counters, Event, MessageInfo, MessagePage, MessageQuery, PathInfo, PeerInfo, PeerState,
    Refused, Status, Which,
};
pub use time::{Monotonic, Now, Wall};
pub use wire::{MAGIC, TAG_BYTES, VERSION};

use outbox::{Outbox, Packed};
use peers::{Peer, Peers, Standing};
use store::Store;
use wire::{Dropped, Frame};

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
    rng: Xoshiro256PlusPlus,
    store: Store,
    peers: Peers,
    outbox: Outbox,
    counters: Counters,
    events: Vec<Event>,
    /// The sequence number of the last message that started here.
    sequence: u64,
    /// Reused: the path of the copy being relayed; the datagrams being packed.
    path: Vec<u8>,
    packed: Vec<Packed>,
}

impl Node {
    /// A node that starts now.
    #[must_use]
    pub fn new(config: Config, now: Now) -> Self {
        let mut node = Self {
            rng: Xoshiro256PlusPlus::seed_from_u64(config.seed),
            store: Store::default(),
            peers: Peers::default(),
            outbox: Outbox::default(),
            counters: Counters::default(),
            events: Vec::new(),
            sequence: 0,
            path: Vec::new(),
            packed: Vec::new(),
            config,
        };
        let until = now.monotonic + node.config.timing.first_contact_timeout;
        for peer in node.config.neighbours.clone() {
            node.peers.ensure(peer, Standing::Joining { until }, now.monotonic).original = true;
        }
        node.peers.relink();
        node
    }

    /// Takes in a datagram, whatever it is. One that is not sound, or not of this network,
    /// changes nothing but a counter.
    pub fn receive(&mut self, now: Now, from: SocketAddr, bytes: &[u8]) {
        self.counters.datagrams_received += 1;
        self.counters.bytes_received += bytes.len() as u64;
        if bytes.is_empty() {
            self.counters.dropped_empty += 1;
            return;
        }
        let datagram = match wire::open(bytes, &self.config.key) {
            Ok(datagram) => datagram,
            Err(reason) => return self.count_dropped(reason),
        };
        if datagram.sender == self.config.node {
            self.counters.dropped_own += 1;
            return;
        }
        let sender = PeerAddr { node: datagram.sender, addr: from };
        if !self.hear(now, sender, datagram.incarnation) {
            self.counters.dropped_stale += 1;
            return;
        }
        for frame in datagram.frames {
            self.on_frame(now, sender.node, frame);
        }
    }

    /// Notes that a peer was heard from. False for an incarnation that is over.
    fn hear(&mut self, now: Now, sender: PeerAddr, incarnation: Incarnation) -> bool {
        let peer = self.peers.ensure(sender, Standing::Contact, now.monotonic);
        if incarnation < peer.incarnation {
            return false;
        }
        peer.incarnation = incarnation;
        peer.heard = now.monotonic;
        true
    }

    /// Hands a frame to its handler.
    fn on_frame(&mut self, now: Now, from: NodeId, frame: Frame<'_>) {
        if let Frame::Rumor(rumor) = frame {
            self.on_rumor(now, from, &rumor);
        }
    }

    /// Does what is due.
    pub fn tick(&mut self, _now: Now) {}

    /// When the driver owes the next [`Node::tick`]; `None`: never. May be early, never late.
    #[must_use]
    pub fn deadline(&self) -> Option<Monotonic> {
        None
    }

    /// Appends what is to be sent and told to `out`.
    pub fn flush(&mut self, _now: Now, out: &mut Outputs) {
        out.events.append(&mut self.events);
        if self.outbox.is_empty() {
            return;
        }
        self.outbox.pack(&self.config, out, &mut self.packed, &mut self.counters);
        for packed in self.packed.drain(..) {
            out.push(packed.to.addr, packed.range);
        }
    }

    /// Says goodbye to the neighbours: the last thing to do before the end.
    pub fn leave(&mut self, _now: Now) {}

    /// Whether a node that was told to leave has done what it could, and may end.
    #[must_use]
    pub fn has_left(&self) -> bool {
        true
    }

    /// Links up with these peers, in addition to those it has.
    pub fn link(&mut self, _now: Now, _peers: &[PeerAddr]) {}

    /// Has these neighbours and no others, once the new links stand.
    pub fn rewire(&mut self, _now: Now, _peers: &[PeerAddr]) {}

    /// A page of messages; see [`MessageQuery`].
    pub fn messages(&mut self, query: &MessageQuery) -> MessagePage {
        self.store.page(query, self.config.node)
    }

    /// The neighbours, past ones included.
    #[must_use]
    pub fn peers(&self) -> Vec<PeerInfo> {
        let info = |peer: &Peer| {
            Some(PeerInfo {
                node: peer.addr.node,
                addr: peer.addr.addr,
                state: peer.state()?,
                neighbours: peer.neighbours.clone(),
                unsettled: peer.settling.unsettled,
                settle_time_us: peer
                    .settling
                    .smoothed
                    .map(|time| u64::try_from(time.as_micros()).unwrap_or(u64::MAX)),
            })
        };
        self.peers.iter().filter_map(info).collect()
    }

    /// The node's account of itself.
    #[must_use]
    pub fn status(&self) -> Status {
        Status {
            node: self.config.node,
            incarnation: self.config.incarnation,
            peers: self.peers(),
            sample: self.config.sample.clone(),
            known_nodes: 0,
            messages: self.store.len() as u64,
            unread: self.store.unread(),
            retained_bytes: self.store.bytes() as u64,
            known_messages: self.store.account().count,
            missing: 0,
            limits: self.config.limits.clone(),
            counters: self.counters.clone(),
        }
    }

    /// Counts what the driver's socket could not do: lost, like any other datagram.
    pub fn count_socket_errors(&mut self, sending: u64, receiving: u64) {
        self.counters.send_errors += sending;
        self.counters.receive_errors += receiving;
    }

    /// Counts a datagram that was dropped.
    fn count_dropped(&mut self, reason: Dropped) {
        let counter = match reason {
            Dropped::Magic => &mut self.counters.dropped_magic,
            Dropped::Version => &mut self.counters.dropped_version,
            Dropped::Tag => &mut self.counters.dropped_tag,
            Dropped::Malformed => &mut self.counters.dropped_malformed,
        };
        *counter += 1;
    }
}
