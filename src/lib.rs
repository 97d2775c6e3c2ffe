//! Gossip on raw UDP sockets: a message handed to any one node reaches all of them.

pub mod cli;
pub mod codec;
pub mod control;
pub mod metrics;
pub mod network;
pub mod protocol;
pub mod runtime;
pub mod sim;
pub mod topology;
