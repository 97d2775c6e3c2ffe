//! Gossip on raw UDP sockets: a message handed to any one node reaches all of them.
//!
//! This crate is the program `gossip`. The protocol in it is a package of its own for programs of
//! yours, `gossip-network-protocol`, with a handful of dependencies; it is [`protocol`] here.
//!
//! `docs/architecture.md` has the map: which module may use which, the threads, and the way of a
//! datagram with the function at each step. `tests/tidy.rs` holds the sources to it.
//!
//! | Module | What it is | What it never does |
//! |---|---|---|
//! | [`protocol`] | one node as a value: datagrams, commands and time in; datagrams and events out | sockets, clocks, threads, hidden randomness |
//! | [`codec`] | the one place that knows bincode | know types of ours |
//! | [`topology`] | graphs, and what can be said of them | write files |
//! | [`sim`], [`metrics`] | thousands of nodes on a virtual clock, and what the literature measures | take real time |
//! | [`spread`] | how one message spread, from what nodes say of it, beside what theory says | ask anybody |
//! | [`picture`] | drawings of networks and of how messages spread, and the page that replays that | write files |
//! | [`runtime`] | the socket loop that owns the only node of a process | decide anything of the protocol |
//! | [`control`] | questions to a running node, over TCP on loopback | print |
//! | [`network`] | processes and the state directory | drive a node |
//! | [`cli`] | the command line: parse, call, print | open sockets |
//!
//! To follow one datagram from socket to socket, begin at [`runtime::Runtime::run`]. To drive a node in
//! a program of your own, read the manual of [`protocol`], which has an example.

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
