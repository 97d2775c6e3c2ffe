//! Made-up answers of nodes, for the tests of what is said, drawn and written of a spread.

use super::{Faults, NodeState, Said, Trace};
use crate::protocol::{
    Holding, MessageId, MessageInfo, NodeId, PathInfo, PeerInfo, PeerState, Wall,
};

/// When the message was sent.
const SENT: u64 = 1_785_499_402_000_000_000;
/// Half a microsecond more than a hop's hundred.
const HOP: u64 = 100_000;

/// A node that is up, with links to these.
pub(crate) fn said(node: u32, holding: Option<Holding>, peers: &[u32]) -> Said {
    let peer = |peer: &u32| PeerInfo {
        node: NodeId(*peer),
        addr: ([127, 0, 0, 1], 7000).into(),
        state: PeerState::Alive,
        neighbours: vec![],
        in_flight: 0,
        ack_time_us: None,
    };
    let peers = peers.iter().map(peer).collect();
    Said { node: NodeId(node), state: NodeState::Up, holding, peers }
}

pub(crate) fn state(said: Said, state: NodeState) -> Said {
    Said { state, ..said }
}

/// A node that has message 1.1 by this path, and sent so many copies of 40 bytes.
pub(crate) fn held(node: u32, path: &[u32], copies: u32, peers: &[u32]) -> Said {
    let hops = u32::try_from(path.len() - 1).unwrap();
    let after = if hops == 0 { 0 } else { u64::from(hops) * HOP + 500 };
    let info = MessageInfo {
        id: MessageId::new(path[0], 1, 1),
        payload: b"banana".into(),
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
        copies_received: 1,
    };
    said(node, Some(Holding::Held(Box::new(info))), peers)
}

/// A ring that message 1.1 went round both ways, the way up winning where they meet.
pub(crate) fn ring(nodes: u32, relays: u8) -> Vec<Said> {
    let next = |node: u32| node % nodes + 1;
    let before = |node: u32| (node + nodes - 2) % nodes + 1;
    let path = |node: u32| -> Vec<u32> {
        let up = node - 1;
        if up * 2 <= nodes {
            (1..=node).collect()
        } else {
            [1].into_iter().chain((node..=nodes).rev()).collect()
        }
    };
    let one = |node| {
        let mut said = held(node, &path(node), 2 * u32::from(relays), &[before(node), next(node)]);
        if let Some(Holding::Held(info)) = &mut said.holding {
            info.relays = relays;
        }
        said
    };
    (1..=nodes).map(one).collect()
}

/// What such answers say of message 1.1, with no faults in force.
pub(crate) fn trace(said: Vec<Said>) -> Trace {
    Trace::of("default", MessageId::new(1, 1, 1), said, &Faults::default()).unwrap()
}
