//! Strategies: which links get a copy of a message, when it starts here and when a copy comes in.
//!
//! One file each. `relay` calls the flood by name: there is no other yet.

pub(crate) mod flood;
