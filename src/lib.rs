//! Gossip on raw UDP sockets: a message handed to any one node reaches all of them.
//!
//! This crate is the program `gossip`. The protocol in it is a package of its own for programs of
//! yours, `gossip-network-protocol`, with a handful of dependencies; it is [`protocol`] here.
//!
//! ```text
//!   cli ──► network ──► control ──► protocol ──► codec
//!                          ▲           ▲ ▲
//!                       runtime ───────┘ └─── sim ──► topology, metrics
//! ```
//!
//! | Module | What it is | What it never does |
//! |---|---|---|
//! | [`protocol`] | one node as a value: datagrams, commands and time in; datagrams and events out | sockets, clocks, threads, hidden dice |
//! | [`codec`] | the one place that knows bincode | know types of ours |
//! | [`topology`] | graphs, and what can be said of them | write files |
//! | [`sim`], [`metrics`] | thousands of nodes on a virtual clock, and what the literature measures | take real time |
//! | [`spread`] | how one message spread, from what nodes say of it, beside what theory says | ask anybody |
//! | [`picture`] | drawings of networks and of how messages spread, and the page that replays that | write files |
//! | [`runtime`] | the socket loop that owns the only node of a process | decide anything of the protocol |
//! | [`control`] | questions to a running node, over TCP on loopback | print |
//! | [`network`] | processes and the state directory | know the protocol |
//! | [`cli`] | the command line: parse, call, print | open sockets |
//!
//! Arrows point one way: no module knows those above it (`tests/tidy.rs` holds them to it;
//! [`network`] and [`cli`] use [`topology`] too, and [`cli`] starts [`runtime`]). To follow one
//! datagram from socket to socket, begin at [`runtime::Runtime::run`], go on at
//! [`protocol::Node::receive`] and [`protocol::Node::receive_alone`], and end at
//! [`protocol::Node::flush`].
//!
//! Two nodes, with nothing but memory between them:
//!
//! ```
//! use gossip::protocol::{Config, Event, Key, Node, NodeId, Now, Outputs, PeerAddr};
//! use std::net::SocketAddr;
//!
//! let addr = |node: u16| SocketAddr::from(([127, 0, 0, 1], 7000 + node));
//! let mut config = Config::new(NodeId(1), Key([7; 32]), 42);
//! config.neighbours = vec![PeerAddr { node: NodeId(2), addr: addr(2) }];
//! let now = Now::default();
//! let mut alice = Node::new(config, now);
//! let mut bob = Node::new(Config::new(NodeId(2), Key([7; 32]), 43), now);
//!
//! alice.send(now, "banana", 1)?;
//! let (mut sent, mut heard) = (Outputs::default(), Outputs::default());
//! alice.flush(now, &mut sent);
//! for (to, bytes) in sent.datagrams() {
//!     assert_eq!(to, addr(2));
//!     bob.receive(now, addr(1), bytes);
//! }
//! bob.flush(now, &mut heard);
//! let banana = |event: &Event| matches!(event, Event::Delivered { text, .. } if text == "banana");
//! assert!(heard.events.iter().any(banana));
//! # Ok::<(), gossip::protocol::Refused>(())
//! ```

pub use gossip_protocol as protocol;
pub use gossip_protocol::codec;

pub mod cli;
pub mod control;
pub mod metrics;
pub mod network;
pub mod picture;
pub mod runtime;
pub mod sim;
pub mod spread;
pub mod topology;
