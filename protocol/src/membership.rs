//! Membership: who is linked to whom.

pub(crate) mod liveness;
pub(crate) mod overlay;
pub(crate) mod partition;
pub(crate) mod peer_list;
pub(crate) mod peers;
pub(crate) mod sample;
