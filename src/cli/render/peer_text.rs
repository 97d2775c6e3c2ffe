//! Neighbours and what lies behind them, as `list-peers` shows them.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::columns::{Align, table};
use crate::protocol::{NodeId, PeerInfo, PeerState};

/// A table of a node's neighbours.
pub(crate) fn peers_text(peers: &[PeerInfo]) -> String {
    let columns = [("node", Align::Right), ("address", Align::Left), ("state", Align::Left)];
    let row = |peer: &PeerInfo| {
        vec![peer.node.to_string(), peer.addr.to_string(), state_name(peer.state).into()]
    };
    table(&columns, &peers.iter().map(row).collect::<Vec<_>>())
}

fn state_name(state: PeerState) -> &'static str {
    match state {
        PeerState::Joining => "joining",
        PeerState::Alive => "alive",
        PeerState::Suspected => "suspected",
        PeerState::Dead => "dead",
        PeerState::Removed => "removed",
    }
}

/// A node found by following links, and how.
#[derive(Debug)]
pub(crate) struct Reached {
    pub(crate) peer: PeerInfo,
    /// The fewest links to it.
    pub(crate) hops: u32,
    /// The node that told of it, one link nearer.
    pub(crate) via: NodeId,
}

/// A tree: each node under the one that told of it.
pub(crate) fn reached_text(from: NodeId, reached: &[Reached]) -> String {
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
        text.push_str(&format!("{indent}{tie}{node}  {addr}  {}\n", state_name(*state)));
        branch(*node, &format!("{indent}{bar}"), told, text);
    }
}

/// The same for programs: nearest nodes first.
pub(crate) fn reached_json(
    from: NodeId,
    depth: u32,
    reached: &[Reached],
    silent: &[NodeId],
) -> Value {
    let one = |Reached { peer, hops, via }: &Reached| {
        json!({
            "node": peer.node,
            "addr": peer.addr,
            "state": peer.state,
            "hops": hops,
            "via": via,
        })
    };
    let peers: Vec<Value> = reached.iter().map(one).collect();
    json!({ "node": from, "depth": depth, "peers": peers, "unreached": silent })
}

/// The document that programs rely on.
pub(crate) fn peers_json(node: NodeId, peers: &[PeerInfo]) -> Value {
    let peer =
        |peer: &PeerInfo| json!({ "node": peer.node, "addr": peer.addr, "state": peer.state });
    json!({ "node": node, "peers": peers.iter().map(peer).collect::<Vec<_>>() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_shows_each_node_under_the_one_that_told_of_it() {
        let peer = |node, state| PeerInfo {
            node: NodeId(node),
            addr: ([127, 0, 0, 1], 7000).into(),
            state,
            neighbours: Vec::new(),
            in_flight: 0,
            ack_time_us: None,
        };
        let reached = |node, hops, via, state| Reached { peer: peer(node, state), hops, via };
        let reached = [
            reached(2, 1, NodeId(1), PeerState::Alive),
            reached(3, 1, NodeId(1), PeerState::Alive),
            reached(4, 2, NodeId(2), PeerState::Alive),
            reached(5, 2, NodeId(2), PeerState::Removed),
            reached(6, 3, NodeId(4), PeerState::Alive),
        ];
        assert_eq!(
            reached_text(NodeId(1), &reached),
            "1\n\
             ├─ 2  127.0.0.1:7000  alive\n\
             │  ├─ 4  127.0.0.1:7000  alive\n\
             │  │  └─ 6  127.0.0.1:7000  alive\n\
             │  └─ 5  127.0.0.1:7000  removed\n\
             └─ 3  127.0.0.1:7000  alive\n"
        );
        let document = reached_json(NodeId(1), 3, &reached, &[NodeId(3)]);
        assert_eq!(document["peers"][2]["via"], 2);
        assert_eq!(document["unreached"][0], 3);
    }
}
