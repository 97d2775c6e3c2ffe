//! Datagrams: what travels between nodes, to bytes and back. No behaviour.

pub mod codec;
pub(crate) mod outbox;
pub(crate) mod path;
pub(crate) mod wire;
