//! The data between nodes: frames and their bytes, their way into datagrams, and the sessions that
//! datagrams travel in. Nothing here decides what is sent.

pub mod codec;
pub(crate) mod header;
pub(crate) mod outbox;
pub(crate) mod path;
pub(crate) mod sessions;
pub(crate) mod wire;
