//! What travels between nodes: frames, their bytes, their way into datagrams. No behaviour.

pub mod codec;
pub(crate) mod outbox;
pub(crate) mod path;
pub(crate) mod wire;
