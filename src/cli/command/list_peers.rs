//! `list-peers`.

use std::collections::BTreeMap;

use crate::cli::render::peer_text::{self as render, Reached};
use crate::cli::render::{count, listing};
use crate::cli::{Error, Global, args, output, survey};
use crate::network::{Record, StateDir};
use crate::protocol::{NodeId, PeerInfo, PeerState};

pub(crate) const EXAMPLES: &str = "\
Examples:
  gossip list-peers 5
  gossip list-peers 5 --json
  gossip list-peers 5 --depth 3

With a depth of 2 or more it asks the neighbours, too, and their neighbours, and shows a tree:
each node under the one that told of it, at its fewest hops from here. Nodes that died or left
are shown where they were last seen, and not followed. With --json each comes with its hops and
with whom it was found by: {\"node\": 5, \"depth\": 2, \"peers\": [{\"node\": 3, \"addr\":
\"127.0.0.1:7003\", \"state\": \"alive\", \"hops\": 2, \"via\": 4}], \"unreached\": []}.";

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The number of the node that is asked
    #[arg(value_name = "N", value_parser = args::node)]
    node: NodeId,
    /// How many links to follow
    #[arg(long, value_name = "D", default_value_t = 1)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..))]
    depth: u32,
}

/// Shows the node's neighbours, past ones included, and what lies behind them.
pub(crate) fn run(global: &Global, args: &Args) -> Result<(), Error> {
    let record = StateDir::from_env()?.load(&global.network)?;
    let peers = survey::one(&record, args.node, survey::peers)?;
    if !global.json && peers.is_empty() {
        output::note(&format!("node {} has no neighbours", args.node));
        return Ok(());
    }
    if args.depth == 1 {
        let document = render::peers_json(args.node, &peers);
        return output::answer(global, &document, &render::peers_text(&peers));
    }
    let mut search = Search::new(args.node);
    search.follow(&record, peers, args.depth);
    search.show(global, args.depth)
}

/// A breadth-first search along the links that nodes tell of.
struct Search {
    from: NodeId,
    /// Found over links in use, which can be followed.
    found: BTreeMap<NodeId, Reached>,
    /// Told of as dead or gone, or not yet heard from.
    lost: BTreeMap<NodeId, Reached>,
    /// Could not be asked.
    silent: Vec<NodeId>,
}

impl Search {
    fn new(from: NodeId) -> Self {
        Self { from, found: BTreeMap::new(), lost: BTreeMap::new(), silent: Vec::new() }
    }

    fn follow(&mut self, record: &Record, peers: Vec<PeerInfo>, depth: u32) {
        let mut told = vec![(self.from, peers)];
        for hops in 1..=depth {
            let mut next = Vec::new();
            for (via, peers) in told {
                for peer in peers {
                    next.extend(self.note(Reached { peer, hops, via }));
                }
            }
            if hops == depth || next.is_empty() {
                break;
            }
            told = self.ask(record, &next);
        }
        self.lost.retain(|node, _| !self.found.contains_key(node));
    }

    /// Takes down a node; returns it if it is to be asked in turn.
    fn note(&mut self, reached: Reached) -> Option<NodeId> {
        let node = reached.peer.node;
        if node == self.from || self.found.contains_key(&node) {
            return None;
        }
        // A link in the making may never stand: behind a partition, say.
        if matches!(reached.peer.state, PeerState::Alive | PeerState::Suspected) {
            self.found.insert(node, reached);
            return Some(node);
        }
        self.lost.entry(node).or_insert(reached);
        None
    }

    fn ask(&mut self, record: &Record, nodes: &[NodeId]) -> Vec<(NodeId, Vec<PeerInfo>)> {
        let running =
            |node: &NodeId| record.find(*node).ok().filter(|node| record.is_running(node));
        let mut told = record.ask_each(nodes.iter().filter_map(running), survey::peers);
        self.silent.extend(nodes.iter().filter(|node| !told.contains_key(node)));
        nodes.iter().filter_map(|node| told.remove_entry(node)).collect()
    }

    fn show(self, global: &Global, depth: u32) -> Result<(), Error> {
        let Self { from, found, lost, silent } = self;
        let mut reached: Vec<Reached> = found.into_values().chain(lost.into_values()).collect();
        reached.sort_by_key(|one| (one.hops, one.peer.node));
        if !silent.is_empty() && !global.json {
            let nodes = count(silent.len() as u64, "node");
            let which = listing(&silent);
            output::note(&format!(
                "{nodes} did not answer, and what lies behind is not shown: {which}"
            ));
        }
        let document = render::reached_json(from, depth, &reached, &silent);
        output::answer(global, &document, &render::reached_text(from, &reached))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(node: u32, state: PeerState) -> PeerInfo {
        PeerInfo {
            node: NodeId(node),
            addr: ([127, 0, 0, 1], 7000).into(),
            state,
            neighbours: Vec::new(),
            in_flight: 0,
            ack_time_us: None,
        }
    }

    fn told(search: &mut Search, via: u32, hops: u32, node: u32, state: PeerState) -> bool {
        search.note(Reached { peer: peer(node, state), hops, via: NodeId(via) }).is_some()
    }

    #[test]
    fn each_node_is_followed_once_and_over_links_in_use() {
        let mut search = Search::new(NodeId(1));
        assert!(told(&mut search, 1, 1, 2, PeerState::Alive));
        assert!(told(&mut search, 1, 1, 3, PeerState::Suspected));
        assert!(!told(&mut search, 1, 1, 4, PeerState::Dead));
        assert!(!told(&mut search, 2, 2, 1, PeerState::Alive), "back to the start");
        assert!(!told(&mut search, 2, 2, 3, PeerState::Alive), "found before");
        // Dead to one and alive to another: it can be followed.
        assert!(told(&mut search, 3, 2, 4, PeerState::Alive));
    }
}
