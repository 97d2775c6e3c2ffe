//! `list-peers`.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::cli::render::columns::table;
use crate::cli::render::{nodes_text, word};
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
        let peer =
            |peer: &PeerInfo| [peer.node.to_string(), peer.addr.to_string(), word(&peer.state)];
        let text = table([">node", "address", "state"], peers.iter().map(peer).collect());
        let peers: Vec<Value> = peers.iter().map(peer_json).collect();
        return output::answer(global, &json!({ "node": args.node, "peers": peers }), &text);
    }
    let mut search = Search::new(args.node);
    search.follow(&record, peers, args.depth);
    search.show(global, args.depth)
}

/// A peer as JSON, however it was found.
fn peer_json(peer: &PeerInfo) -> Value {
    json!({ "node": peer.node, "addr": peer.addr, "state": peer.state })
}

/// A node found by following links, and how.
#[derive(Debug)]
struct Reached {
    peer: PeerInfo,
    /// The fewest links to it.
    hops: u32,
    /// The node that told of it, one link nearer.
    via: NodeId,
}

impl Reached {
    fn json(&self) -> Value {
        let mut document = peer_json(&self.peer);
        document["hops"] = self.hops.into();
        document["via"] = self.via.0.into();
        document
    }
}

/// A breadth-first search along the links that nodes tell of.
struct Search {
    from: NodeId,
    /// Found over links in use, which can be followed.
    found: BTreeMap<NodeId, Reached>,
    /// Told of as dead or gone, or not yet heard from.
    lost: BTreeMap<NodeId, Reached>,
    /// Could not be asked.
    unreached: Vec<NodeId>,
}

impl Search {
    fn new(from: NodeId) -> Self {
        Self { from, found: BTreeMap::new(), lost: BTreeMap::new(), unreached: Vec::new() }
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
        self.unreached.extend(nodes.iter().filter(|node| !told.contains_key(node)));
        nodes.iter().filter_map(|node| told.remove_entry(node)).collect()
    }

    fn show(self, global: &Global, depth: u32) -> Result<(), Error> {
        let Self { from, found, lost, unreached } = self;
        let mut reached: Vec<Reached> = found.into_values().chain(lost.into_values()).collect();
        reached.sort_by_key(|one| (one.hops, one.peer.node));
        if !unreached.is_empty() && !global.json {
            let nodes = nodes_text(&unreached);
            output::note(&format!("{nodes} did not answer, and the nodes behind are not shown"));
        }
        let peers: Vec<Value> = reached.iter().map(Reached::json).collect();
        let document =
            json!({ "node": from, "depth": depth, "peers": peers, "unreached": unreached });
        output::answer(global, &document, &tree_text(from, &reached))
    }
}

/// A tree: each node under the one that told of it.
fn tree_text(from: NodeId, reached: &[Reached]) -> String {
    let mut told: BTreeMap<NodeId, Vec<&Reached>> = BTreeMap::new();
    for one in reached {
        told.entry(one.via).or_default().push(one);
    }
    let mut text = format!("{from}\n");
    branch(from, "", &told, &mut text);
    text
}

fn branch(from: NodeId, indent: &str, told: &BTreeMap<NodeId, Vec<&Reached>>, text: &mut String) {
    let below = told.get(&from).map_or(&[][..], Vec::as_slice);
    for (index, Reached { peer, .. }) in below.iter().enumerate() {
        let last = index + 1 == below.len();
        let (tie, bar) = if last { ("└─ ", "   ") } else { ("├─ ", "│  ") };
        let PeerInfo { node, addr, state, .. } = peer;
        text.push_str(&format!("{indent}{tie}{node}  {addr}  {}\n", word(state)));
        branch(*node, &format!("{indent}{bar}"), told, text);
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

    #[test]
    fn a_tree_shows_each_node_under_the_one_that_told_of_it() {
        let reached = |node, hops, via, state| Reached { peer: peer(node, state), hops, via };
        let reached = [
            reached(2, 1, NodeId(1), PeerState::Alive),
            reached(3, 1, NodeId(1), PeerState::Alive),
            reached(4, 2, NodeId(2), PeerState::Alive),
            reached(5, 2, NodeId(2), PeerState::Removed),
            reached(6, 3, NodeId(4), PeerState::Alive),
        ];
        assert_eq!(
            tree_text(NodeId(1), &reached),
            "1\n\
             ├─ 2  127.0.0.1:7000  alive\n\
             │  ├─ 4  127.0.0.1:7000  alive\n\
             │  │  └─ 6  127.0.0.1:7000  alive\n\
             │  └─ 5  127.0.0.1:7000  removed\n\
             └─ 3  127.0.0.1:7000  alive\n"
        );
        let document = reached[2].json();
        assert_eq!((&document["node"], &document["via"]), (&json!(4), &json!(2)));
    }
}
