//! Strategies: who gets a copy of a message, and when.

pub(crate) mod flood;
