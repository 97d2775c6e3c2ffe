//! `remove-node`.

use serde_json::json;

use super::{Error, Global, args, output};
use crate::network::StateDir;
use crate::protocol::NodeId;

pub(super) const EXAMPLES: &str = "\
Examples:
  gossip remove-node 9

The node says goodbye to its neighbours, which close ranks, and ends.";

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The number of the node that leaves
    #[arg(value_name = "N", value_parser = args::node)]
    node: NodeId,
}

/// Has the node leave, and returns when it is gone.
pub(super) fn run(global: &Global, args: &Args) -> Result<(), Error> {
    let (network, node) = (&global.network, args.node);
    StateDir::from_env()?.remove_node(network, node)?;
    if global.json {
        output::json(&json!({ "network": network, "node": node, "removed": true }))
    } else {
        output::result(&format!("node {node} left network {network}\n"))
    }
}
