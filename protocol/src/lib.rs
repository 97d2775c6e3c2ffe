//! One node of a gossip network, as a value you can hold in your hand.
//!
//! A message handed to one [`Node`] reaches every node of its network that can be reached, exactly
//! once each, although the network loses, repeats and reorders datagrams meanwhile, as long as the
//! message is retained. The node owns no socket, no clock, no thread and no hidden randomness: bytes
//! and the time go in, bytes and events come out. So the same code runs over UDP sockets, in a
//! simulator, under a fuzzer and inside a unit test.
//!
//! # Driving a node
//!
//! 1. **Create** it from a [`Config`]: its number, the network's [`Key`], a seed, the addresses of its
//!    first neighbours. [`Config::validate`] says what contradicts itself.
//! 2. **Wait** for a datagram, at most until [`Node::deadline`].
//! 3. **Feed** what came to [`Node::receive`], whatever it is: datagrams that are not of this network
//!    are counted and dropped. Feed many, if many have come.
//! 4. **Tick**: if the deadline is over, call [`Node::tick`].
//! 5. **Flush** once: [`Node::flush`] appends datagrams to send and events to tell to [`Outputs`],
//!    a buffer that you own and clear.
//!
//! A datagram that you had to wait for may go to [`Node::receive_alone`] instead: it sends the
//! copies of a new message before it records it, which is faster where every node waits for the one
//! before.
//!
//! After any other call ([`Node::send`], [`Node::link`], [`Node::leave`] …) flush as well, and ask
//! for the deadline again. Between two calls a node does nothing; the order of calls is all there
//! is.
//!
//! ```
//! use gossip_protocol::{Config, Event, Key, Monotonic, Node, NodeId, Now, Outputs, PeerAddr, Start, Wall};
//!
//! let addr = |node: u16| ([127, 0, 0, 1], 7000 + node).into();
//! let key = Key([7; 32]);
//! // In earnest: `incarnation_at` the start, and 16 bytes from the system's source of randomness.
//! let start = Start { incarnation: 1, nonce: [1; 16] };
//! let mut now = Now { monotonic: Monotonic(0), wall: Wall(0) };
//! let mut nodes: Vec<Node> = [(1u32, 2u16), (2, 1)]
//!     .map(|(number, other)| {
//!         let mut config = Config::new(NodeId(number), start, key, number.into());
//!         config.neighbours = vec![PeerAddr { node: NodeId(other.into()), addr: addr(other) }];
//!         Node::new(&config, now)
//!     })
//!     .into();
//!
//! nodes[0].send(now, b"banana", 1)?;
//! let (mut out, mut delivered) = (Outputs::default(), None);
//! while delivered.is_none() {
//!     // A network in a loop: what one node sends, the other receives a millisecond later.
//!     now.monotonic.0 += 1_000_000;
//!     for at in 0..2 {
//!         if nodes[at].deadline().is_some_and(|due| due <= now.monotonic) {
//!             nodes[at].tick(now);
//!         }
//!         nodes[at].flush(&mut out);
//!         for (_, bytes) in out.datagrams() {
//!             nodes[1 - at].receive(now, addr(at as u16 + 1), bytes);
//!         }
//!         let payload = |event: &Event| match event {
//!             Event::Delivered { payload, .. } => Some(payload.clone()),
//!             _ => None,
//!         };
//!         delivered = out.events.iter().find_map(payload).or(delivered);
//!         out.clear();
//!     }
//! }
//! assert_eq!(delivered.unwrap(), b"banana");
//! # Ok::<(), gossip_protocol::Refused>(())
//! ```
//!
//! `examples/udp.rs` drives nodes over `std::net::UdpSocket` in under a hundred lines.
//!
//! # What a driver may rely on
//!
//! - **Nothing blocks, and nothing panics**, whatever bytes come in. Memory is bounded by [`Limits`],
//!   and each limit has a counter in [`Counters`].
//! - **The deadline may be early, never late.** A tick that finds nothing due changes nothing.
//! - **Time may jump.** [`Monotonic`] must not go back. A driver that was stopped for seconds may go on
//!   with the true time: the node notices that it was absent, and does not take others for dead.
//! - **Datagrams may be lost.** Count what a socket refuses ([`Node::count_socket_errors`]) and go on.
//!
//! # Back-pressure
//!
//! A node keeps each message until its neighbours have it, so it cannot accept more than the
//! network carries. It has a *send window*, as TCP does: few messages at first, more as
//! acknowledgements come in, none while a node somewhere lags far behind. While the window is
//! closed, [`Node::send`] says [`Refused::Full`]. Nothing is wrong then: keep the message, and
//! offer it again after every datagram and every tick. [`Node::send_window`] says how many messages
//! it would take now.
//!
//! ```
//! # use std::collections::VecDeque;
//! # use gossip_protocol::{Node, Now, Refused};
//! /// Between the tick and the flush: sends what waits, as far as the window is open.
//! fn send_waiting(node: &mut Node, now: Now, waiting: &mut VecDeque<Vec<u8>>) -> Result<(), Refused> {
//!     while let Some(message) = waiting.front() {
//!         match node.send(now, message, 1) {
//!             Ok(_) => drop(waiting.pop_front()),
//!             Err(Refused::Full) => break,
//!             Err(other) => return Err(other),
//!         }
//!     }
//!     Ok(())
//! }
//! ```
//!
//! # Events
//!
//! [`Outputs::events`] tells of deliveries, of links, of neighbours that are suspected, die or
//! return, and of limits that were hit. [`Event::Delivered`] is told once for each message and
//! node. [`Node::messages`] and [`Node::status`] answer questions at any time.
//!
//! # Shutting down
//!
//! A node that just stops is found dead by its neighbours within seconds, and they close ranks.
//! [`Node::leave`] does better: the neighbours close ranks at once. Drive the node on until
//! [`Node::has_left`] is true: its neighbours have all messages then, or a second is over.
//!
//! # Where to read on
//!
//! A datagram is checked by `datagram::sessions` and handed on by `node`, frame by frame. `membership`
//! decides about links and knows no message. `broadcast` decides what goes over the links and knows
//! no address; one file in `broadcast/strategy` decides which links get a copy. Frames wait in
//! `datagram::outbox` until the flush packs and seals them. [`Faults`] is a stage that a driver may
//! put behind the flush to lose, delay or change datagrams on purpose.
//!
//! Deliberately absent: any account of the whole network. A node knows its neighbours, theirs,
//! and a small random sample.

mod broadcast;
mod config;
mod datagram;
mod effects;
mod faults;
mod ids;
mod membership;
mod node;
mod report;
#[cfg(any(test, feature = "testing"))]
#[doc(hidden)]
pub mod testing;
mod time;

pub use config::{Config, ConfigError, Key, Limits, RELAYS_MAX, Timing, UDP_PAYLOAD_BYTES_MAX};
// One encoding for datagrams and for what programs keep beside them.
#[doc(hidden)]
pub use datagram::codec;
pub use datagram::header::{MAGIC, TAG_BYTES, VERSION};
pub use datagram::outbox::Outputs;
pub use faults::{
    Decision, Effect, FaultCounts, FaultRule, Faults, NodeRanges, REORDER_HOLD, decide,
};
pub use ids::{
    Incarnation, MessageId, NodeId, Origin, ParseIdError, Path, PeerAddr, Start, incarnation_at,
};
pub use node::Node;
pub use report::{
    Counters, Event, Holding, MessageInfo, MessagePage, MessageQuery, PathInfo, PeerInfo,
    PeerState, Refused, Status, Which,
};
#[cfg(any(test, feature = "testing"))]
#[doc(hidden)]
pub use testing::{fuzzing, inspect};
pub use time::{Monotonic, Now, Wall};
