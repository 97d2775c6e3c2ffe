//! The commands: what each may be given, and the function that carries it out.

pub(crate) mod fault_lab;
pub(crate) mod get_messages;
pub(crate) mod list_peers;
pub(crate) mod networks;
pub(crate) mod nodes;
pub(crate) mod plot_network;
pub(crate) mod run_node;
pub(crate) mod send_message;
pub(crate) mod simulate;
pub(crate) mod start_network;
pub(crate) mod trace_message;
pub(crate) mod watch_network;
