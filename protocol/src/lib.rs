//! The protocol: one node as a value, with no socket, clock, thread or hidden dice.
//!
//! A driver feeds a [`Node`] with datagrams, commands and the passing of time, then flushes: what
//! is to be sent and told ends up in [`Outputs`]. Processes drive it from a socket
//! (`gossip::runtime`), the simulator from a queue; both run this very code.
//!
//! What a datagram meets on its way: `wire` takes it apart, [`Node::receive`] hands its frames
//! to one `on_…` method each, in the order of the table there; a rumor goes through `relay` to
//! `flood` and `store`; whatever answers, goes to `outbox`, which packs and seals it. A message that
//! came alone takes a shortcut, [`Node::receive_alone`]: it is sent on before it is recorded.
//!
//! Deliberately absent: any account of the whole network. A node knows its neighbours, theirs,
//! and a small random sample.

#[doc(hidden)]
pub mod benching;
mod broadcast;
mod config;
mod datagram;
mod faults;
mod ids;
mod membership;
mod node;
mod rare;
mod report;
#[doc(hidden)]
pub mod testing;
mod time;

pub use config::{Config, Key, Limits, RELAYS_MAX, Timing, UDP_PAYLOAD_BYTES_MAX};
pub use datagram::codec;
pub use datagram::outbox::Outputs;
pub use datagram::wire::{MAGIC, TAG_BYTES, VERSION};
// For the simulator, which has faults of its own on links.
#[doc(hidden)]
pub use faults::{Decision, decide};
pub use faults::{Effect, FaultRule, NodeRanges, REORDER_HOLD};
pub use ids::{Incarnation, MessageId, NodeId, Origin, ParseIdError, Path, PeerAddr};
pub use node::Node;
pub use report::{
    Counters, Event, Holding, MessageInfo, MessagePage, MessageQuery, PathInfo, PeerInfo,
    PeerState, Refused, Status, Which,
};
#[doc(hidden)]
pub use testing::{fuzzing, inspect};
pub use time::{Monotonic, Now, Wall};
