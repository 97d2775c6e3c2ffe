//! `rewire-network`.

use serde_json::json;

use super::start_network;
use crate::cli::render::{count, network_text as render};
use crate::cli::{Error, Global, output};
use crate::network::{Rewired, StateDir};

pub(crate) const EXAMPLES: &str = "\
Examples:
  gossip rewire-network
  gossip rewire-network --min-peers 3 --max-peers 5 --seed 7

Links the nodes anew, at random, so that all of them are connected. Each keeps its old links
until the new ones stand: no message is lost. A ring is a ring no more after this. Nodes that are
paused or down are left out, and find their way back when they go on.";

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The fewest peers of a node [default: 2]
    #[arg(long, value_name = "A")]
    min_peers: Option<u32>,
    /// The most peers of a node [default: 2 more than the fewest]
    #[arg(long, value_name = "B")]
    max_peers: Option<u32>,
    /// Reproduce a choice; drawn and shown when not given
    #[arg(long, value_name = "S")]
    seed: Option<u64>,
}

/// Has every node take new neighbours.
pub(crate) fn run(global: &Global, args: &Args) -> Result<(), Error> {
    let seed = args.seed.map_or_else(start_network::random_seed, Ok)?;
    let bounds = (args.min_peers, args.max_peers);
    let rewired = StateDir::from_env()?.rewire(&global.network, bounds, seed)?;
    output::result(&if global.json {
        as_json(global, &rewired)
    } else {
        as_text(global, &rewired)
    })?;
    Error::unless_all_heard(&rewired.deaf)
}

fn as_text(global: &Global, rewired: &Rewired) -> String {
    let nodes = count(rewired.nodes, "node");
    let links = count(rewired.links, "link");
    let how = render::rewiring_text(&rewired.rewiring);
    format!("network {} rewired: {nodes}, {links}, {how}\n", global.network)
}

fn as_json(global: &Global, rewired: &Rewired) -> String {
    crate::cli::render::escape::json(&json!({
        "network": global.network,
        "nodes": rewired.nodes,
        "links": rewired.links,
        "min_peers": rewired.rewiring.min_peers,
        "max_peers": rewired.rewiring.max_peers,
        "seed": rewired.rewiring.seed,
        "unreached": rewired.deaf,
    }))
}
