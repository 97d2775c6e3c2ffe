//! `kill-node`, `pause-node` and `resume-node`: what can happen to any process.

use serde_json::json;

use crate::cli::{Error, Global, args, output};
use crate::network::{self, StateDir};
use crate::protocol::NodeId;

pub(crate) const KILL_EXAMPLES: &str = "\
Examples:
  gossip kill-node 4

Ends the node's process at once (SIGKILL), as a crash would: its neighbours have to find out by
themselves. `gossip start-node 4` brings it back.";

pub(crate) const PAUSE_EXAMPLES: &str = "\
Examples:
  gossip pause-node 4

Stops the node's process where it is (SIGSTOP), as if the machine had frozen: after a while the
others take it for dead. `gossip resume-node 4` lets it go on, and catch up.";

pub(crate) const RESUME_EXAMPLES: &str = "\
Examples:
  gossip resume-node 4

Changes nothing for a node that is not paused.";

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The number of the node
    #[arg(value_name = "N", value_parser = args::node)]
    node: NodeId,
}

/// Ends the node, and returns when it is gone.
pub(crate) fn kill(global: &Global, args: &Args) -> Result<(), Error> {
    done(global, args, StateDir::kill_node, "killed")
}

/// Stops the node where it is.
pub(crate) fn pause(global: &Global, args: &Args) -> Result<(), Error> {
    done(global, args, StateDir::pause_node, "paused")
}

/// Lets the node go on.
pub(crate) fn resume(global: &Global, args: &Args) -> Result<(), Error> {
    done(global, args, StateDir::resume_node, "resumed")
}

type Act = fn(&StateDir, &str, NodeId) -> Result<(), network::Error>;

/// Does it, and says so.
fn done(global: &Global, args: &Args, act: Act, word: &str) -> Result<(), Error> {
    let (network, node) = (&global.network, args.node);
    act(&StateDir::from_env()?, network, node)?;
    if global.json {
        output::json(&json!({ "network": network, "node": node, word: true }))
    } else {
        output::result(&format!("node {node} {word}\n"))
    }
}
