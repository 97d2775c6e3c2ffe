//! `remove-node`.

use serde_json::json;

use crate::cli::{Error, Global, args, output};
use crate::network::{Removed, StateDir};
use crate::protocol::NodeId;

pub(crate) const EXAMPLES: &str = "\
Examples:
  gossip remove-node 9

The node says goodbye to its neighbours, which close ranks, and ends. One that does not answer
(paused, for instance) is killed, and its neighbours find out by themselves.";

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The number of the node that leaves
    #[arg(value_name = "N", value_parser = args::node)]
    node: NodeId,
}

/// Has the node leave, and returns when it is gone.
pub(crate) fn run(global: &Global, args: &Args) -> Result<(), Error> {
    let (network, node) = (&global.network, args.node);
    let removed = StateDir::from_env()?.remove_node(network, node)?;
    let killed = removed == Removed::Killed;
    if global.json {
        let document =
            json!({ "network": network, "node": node, "removed": true, "killed": killed });
        output::json(&document)
    } else if killed {
        output::result(&format!(
            "node {node} did not leave network {network} by itself, and was killed\n"
        ))
    } else {
        output::result(&format!("node {node} left network {network}\n"))
    }
}
