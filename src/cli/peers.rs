//! `list-peers`.

use super::render::network as render;
use super::{Error, Global, args, ask, output};
use crate::control::{Request, Response};
use crate::network::StateDir;
use crate::protocol::NodeId;

pub(super) const EXAMPLES: &str = "\
Examples:
  gossip list-peers 5
  gossip list-peers 5 --json";

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The number of the node that is asked
    #[arg(value_name = "N", value_parser = args::node)]
    node: NodeId,
}

/// Shows the node's neighbours, past ones included.
pub(super) fn run(global: &Global, args: &Args) -> Result<(), Error> {
    let record = StateDir::from_env()?.load(&global.network)?;
    let Response::Peers(mut peers) = ask::one(&record, args.node, &Request::Peers)? else {
        return Err(Error::other_answer(args.node));
    };
    peers.sort_by_key(|peer| peer.node);
    if global.json {
        return output::json(&render::peers_json(args.node, &peers));
    }
    if peers.is_empty() {
        output::note(&format!("node {} has no neighbours", args.node));
        return Ok(());
    }
    output::result(&render::peers_text(&peers))
}
