//! Broadcast: what goes over the links.

pub(crate) mod reconcile;
pub(crate) mod relay;
pub(crate) mod repair;
pub(crate) mod send_window;
pub(crate) mod store;
pub(crate) mod strategy;
