//! What this machine allows and shows: limits, ports, processes, and the logs of nodes.

pub(super) mod allowance;
pub(super) mod node_log;
pub(super) mod ports;
pub(super) mod process_id;
