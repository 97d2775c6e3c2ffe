//! Made-up messages: how they would spread if every hop took 100 µs.

use gossip::protocol::{
    Holding, MessageId, MessageInfo, NodeId, PathInfo, PeerInfo, PeerState, Wall,
};
use gossip::spread::{Faults, NodeState, Said, Trace};
use gossip::topology::{Graph, measure, neighbours};

const SENT: u64 = 1_785_499_402_000_000_000;

/// Message `sequence` from `origin`: each node gets it from its first neighbour that has it. The
/// nodes in `without` do not get it; they have to be leaves of the tree.
pub(crate) fn trace(
    graph: &Graph,
    origin: u32,
    sequence: u64,
    text: &str,
    without: &[u32],
) -> Trace {
    let id = MessageId::new(origin, 1, sequence);
    let distances = measure::distances(graph, origin);
    let path = |node: u32| {
        let mut path = vec![node];
        while *path.last().unwrap() != origin {
            let at = *path.last().unwrap();
            let hops = distances[at as usize - 1].unwrap();
            let closer = |next: &u32| distances[*next as usize - 1] == Some(hops - 1);
            path.push(neighbours(graph, at).into_iter().find(closer).unwrap());
        }
        path.reverse();
        path
    };
    let said = graph.node_weights().map(|&node| Said {
        node: NodeId(node),
        state: NodeState::Up,
        holding: Some(match without.contains(&node) {
            true => Holding::Unknown,
            false => {
                Holding::Held(Box::new(info(id, text, &path(node), neighbours(graph, node).len())))
            }
        }),
        peers: neighbours(graph, node).into_iter().map(peer).collect(),
    });
    Trace::of("made-up", id, said.collect(), &Faults::default()).unwrap()
}

fn info(id: MessageId, text: &str, path: &[u32], links: usize) -> MessageInfo {
    let hops = u32::try_from(path.len() - 1).unwrap();
    // So that no two nodes get it at the same time.
    let jitter = u64::from(path[path.len() - 1]) * 97;
    let after = if hops == 0 { 0 } else { u64::from(hops) * 100_000 + jitter };
    let copies = u32::try_from(links).unwrap();
    MessageInfo {
        id,
        payload: text.into(),
        sent_at: Wall(SENT),
        received_at: Wall(SENT + after),
        unread: true,
        relays: 1,
        hops,
        repaired: false,
        paths: vec![PathInfo { hops, path: path.iter().map(|n| Some(NodeId(*n))).collect() }],
        copies_sent: copies,
        repairs_sent: 0,
        bytes_sent: u64::from(copies) * 40,
        copies_received: copies,
    }
}

fn peer(node: u32) -> PeerInfo {
    PeerInfo {
        node: NodeId(node),
        addr: ([127, 0, 0, 1], 7000).into(),
        state: PeerState::Alive,
        neighbours: vec![],
        in_flight: 0,
        ack_time_us: None,
    }
}
