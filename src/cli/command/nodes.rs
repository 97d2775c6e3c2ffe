//! `add-node` and `start-node`: one node more.

use serde_json::json;

use super::start_network;
use crate::cli::render::listing;
use crate::cli::{Error, Global, args, output};
use crate::network::{NodeRecord, StateDir};
use crate::protocol::NodeId;

pub(crate) const ADD_EXAMPLES: &str = "\
Examples:
  gossip add-node
  gossip add-node --peers 3,7

The node gets the next free number, and fetches the messages that its network holds. Told no
peers, it is linked to as many as is usual there; on a ring, it is put between the last node and
the first, whose own link goes.";

pub(crate) const START_EXAMPLES: &str = "\
Examples:
  gossip start-node 9

Brings back a node that was removed, killed or died: with the same number and address, as a new
incarnation with an empty store, which fetches what it missed. Its messages are numbered anew:
9.1@2 is the first message of node 9 after its second start.";

#[derive(Debug, clap::Args)]
pub(crate) struct AddArgs {
    /// The nodes to link it to, with commas between them; chosen by itself when not given
    #[arg(long, value_name = "N,N…", value_delimiter = ',', value_parser = args::node)]
    peers: Vec<NodeId>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct StartArgs {
    /// The number of the node to bring back
    #[arg(value_name = "N", value_parser = args::node)]
    node: NodeId,
}

/// Starts a new node, and returns when it answers.
pub(crate) fn add(global: &Global, args: &AddArgs) -> Result<(), Error> {
    let peers = (!args.peers.is_empty()).then_some(args.peers.as_slice());
    let program = start_network::this_program()?;
    let node = StateDir::from_env()?.add_node(&global.network, peers, &program)?;
    show(global, &node)
}

/// Starts a node again, and returns when it answers.
pub(crate) fn start_again(global: &Global, args: &StartArgs) -> Result<(), Error> {
    let program = start_network::this_program()?;
    let node = StateDir::from_env()?.start_node(&global.network, args.node, &program)?;
    show(global, &node)
}

fn show(global: &Global, node: &NodeRecord) -> Result<(), Error> {
    let NodeRecord { node: number, addr, incarnation, process, peers, .. } = node;
    if global.json {
        return output::json(&json!({
            "network": global.network,
            "node": number,
            "addr": addr,
            "pid": process.pid,
            "incarnation": incarnation,
            "peers": peers,
        }));
    }
    let again = if *incarnation > 1 { " again" } else { "" };
    let nodes = if peers.len() == 1 { "node" } else { "nodes" };
    let linked = format!("linked to {nodes} {}", listing(peers));
    output::result(&format!("node {number} runs{again} at {addr}, {linked}\n"))
}
