//! Questions to a running node, over TCP on loopback: the node's UDP port number, its own socket.
//!
//! A frame is a length (`u32`, little endian, at most [`FRAME_BYTES_MAX`]) and that many bytes of
//! bincode. The first frame of a connection is a [`Hello`] with the network's token. The node
//! answers [`Response::Done`], or why it refuses; then requests and responses alternate. After [`Request::Subscribe`] the node only talks: [`Response::Event`]
//! upon event, until either side hangs up.
//!
//! `control::client` asks, `control::server` listens and hands each question to the socket loop.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::protocol::{
    Event, FaultRule, Holding, Key, MessageId, MessagePage, MessageQuery, NodeId, PeerAddr,
    PeerInfo, Refused, Status,
};

pub mod client;
pub mod frame;
#[doc(hidden)]
pub mod fuzzing_frames;
pub mod server;

/// The longest frame either side accepts.
pub const FRAME_BYTES_MAX: u32 = 1 << 20;

/// The version of the control format; client and node must agree.
pub const VERSION: u32 = 5;

/// Proves that a client belongs to the network. Derived from its key, and useless for tagging.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token(pub [u8; 32]);

impl fmt::Debug for Token {
    /// Shows nothing: tokens must not end up in logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

impl Token {
    /// The token of the network that has this key.
    #[must_use]
    pub fn of(key: &Key) -> Self {
        Self(blake3::derive_key("gossip-network 2026 control token v1", &key.0))
    }
}

/// The first frame of a connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// [`VERSION`].
    pub version: u32,
    /// The network's.
    pub token: Token,
}

/// A question or an order to a node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Request {
    /// Are you there? Answered by [`Response::Ready`]. A node that `start-network` spawned ends
    /// by itself unless it is asked this within its start deadline.
    Confirm,
    /// Pass these texts on, in this order: as many as the send window lets in.
    Send {
        /// The texts.
        texts: Vec<String>,
        /// The copies a node may send of each on each link.
        relays: u8,
    },
    /// Which messages do you hold?
    Messages(MessageQuery),
    /// These were shown to a person.
    MarkShown(Vec<MessageId>),
    /// What do you have of this one?
    Message(MessageId),
    /// Which neighbours do you have?
    Peers,
    /// How are you?
    Status,
    /// Say goodbye to your neighbours and exit.
    Leave,
    /// Exit at once.
    Stop,
    /// Push events from now on.
    Subscribe,
    /// Link up with these peers, in addition to those you have.
    Link(Vec<PeerAddr>),
    /// Have these neighbours and no others, once the new links stand.
    Rewire(Vec<PeerAddr>),
    /// Mistreat what you send by these rules, and no others.
    SetFaults(Vec<FaultRule>),
    /// By what rules do you mistreat what you send?
    Faults,
}

/// The answer of a node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Response {
    /// To [`Request::Confirm`].
    Ready {
        /// The node that answers.
        node: NodeId,
        /// Its process.
        pid: u32,
    },
    /// To [`Request::Send`].
    Sent {
        /// The names of those that were accepted: the first texts of the request. Fewer than
        /// all where the send window let in no more, or one was refused.
        ids: Vec<MessageId>,
        /// Why the text after these was refused.
        refused: Option<Refused>,
    },
    /// To [`Request::Messages`].
    Messages(MessagePage),
    /// To [`Request::Message`].
    Message(Holding),
    /// To [`Request::Peers`].
    Peers(Vec<PeerInfo>),
    /// To [`Request::Faults`].
    Faults(Vec<FaultRule>),
    /// To [`Request::Status`].
    Status(Box<Status>),
    /// Done; nothing to tell. After [`Request::Subscribe`] now and then, to show that the node
    /// is there.
    Done,
    /// To [`Request::Subscribe`], again and again.
    Event {
        /// When, by the node's wall clock, in nanoseconds since the Unix epoch.
        at: u64,
        /// What.
        event: Event,
        /// The number of events lost since the last one, because this subscriber was slow.
        lost: u64,
    },
    /// To [`Request::Subscribe`]: this number of events was lost since the last one told,
    /// because this subscriber was slow. Said where no event follows that could say so.
    Lost(u64),
    /// The token is wrong; the connection ends.
    NotAllowed,
    /// The versions differ; the connection ends.
    OtherVersion(u32),
    /// The node is too busy, or has too many connections; try again.
    Busy,
}
