//! A message that never was sent.

use crate::protocol::{
    Holding, MessageId, MessageInfo, NodeId, PathInfo, PeerInfo, PeerState, Wall,
};
use crate::spread::{Faults, NodeState, Said, Trace};

/// A ring of so many nodes that message 1.1 went round both ways, 100 µs a hop.
pub(super) fn ring(nodes: u32) -> Trace {
    let said = (1..=nodes).map(|node| said(node, nodes)).collect();
    Trace::of("default", MessageId::new(1, 1, 1), said, Faults::default()).unwrap()
}

fn said(node: u32, nodes: u32) -> Said {
    let hops = (node - 1).min(nodes - node + 1);
    let upwards = node - 1 == hops;
    let on_path = |hop: u32| if upwards { 1 + hop } else { (nodes - hop) % nodes + 1 };
    let path = (0..=hops).map(|hop| Some(NodeId(on_path(hop)))).collect();
    let peer = |peer: u32| PeerInfo {
        node: NodeId(peer),
        addr: ([127, 0, 0, 1], 7000).into(),
        state: PeerState::Alive,
        neighbours: vec![],
        in_flight: 0,
        ack_time_us: None,
    };
    let info = MessageInfo {
        id: MessageId::new(1, 1, 1),
        text: "banana".into(),
        sent_at: Wall(1_785_499_402_000_000_000),
        received_at: Wall(1_785_499_402_000_000_000 + u64::from(hops) * 100_000),
        unread: true,
        relays: 1,
        hops,
        repaired: false,
        paths: vec![PathInfo { hops, path }],
        copies_sent: 2,
        repairs_sent: 0,
        bytes_sent: 80,
        copies_received: 2,
    };
    Said {
        node: NodeId(node),
        state: NodeState::Up,
        holding: Some(Holding::Held(Box::new(info))),
        peers: vec![peer(node % nodes + 1), peer((node + nodes - 2) % nodes + 1)],
    }
}
