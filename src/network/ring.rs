//! A ring stays a ring: a node that comes (back) is put between two others.
//!
//! The nodes of a circular network lie in the order of their numbers, and closing ranks keeps
//! them so. So a node's place is known, and the two nodes there give up the link between them.

use super::{CONTROL_TIMEOUT, NodeRecord, Record, asking};
use crate::control::{Request, Response, Token};
use crate::protocol::{NodeId, PeerAddr, PeerState};
use crate::topology::Kind;

/// The two nodes of a ring between which there is a place, and whether their link is to go: in
/// a ring of three everybody is linked to everybody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Gap {
    pub(super) ends: [PeerAddr; 2],
    part: bool,
}

impl Record {
    /// Where on the ring a node of this number belongs; `None` where there is no ring, or not
    /// enough of it.
    pub(super) fn gap(&self, node: NodeId) -> Option<Gap> {
        if self.kind != Some(Kind::Circular) || self.rewired.is_some() {
            return None;
        }
        let others = self.nodes.iter().filter(|other| other.node != node && self.is_running(other));
        let others: Vec<&NodeRecord> = others.collect();
        let [first, .., last] = others.as_slice() else { return None };
        let before = others.iter().rev().find(|other| other.node < node).unwrap_or(last);
        let after = others.iter().find(|other| other.node > node).unwrap_or(first);
        Some(Gap { ends: [before.peer_addr(), after.peer_addr()], part: others.len() > 2 })
    }

    /// Has the two ends of a gap take a node in, and part.
    ///
    /// The node links up with both by itself. An end that cannot be told keeps its old links,
    /// too; then the overlay has to mend what is too much.
    pub(super) fn insert(&mut self, node: PeerAddr, gap: &Gap) {
        let [one, other] = gap.ends;
        for (end, other) in [(one, other), (other, one)] {
            let Some(peers) = self.links_of(end) else { continue };
            let stays = |peer: &PeerAddr| peer.node != node.node;
            let parts = |peer: &PeerAddr| gap.part && peer.node == other.node;
            let mut peers: Vec<PeerAddr> =
                peers.into_iter().filter(|peer| stays(peer) && !parts(peer)).collect();
            peers.push(node);
            peers.sort_unstable();
            if self.ask(end, &Request::Rewire(peers.clone())).is_some() {
                self.set_peers(end.node, &peers);
            }
        }
    }

    /// The links that a node has, or is making.
    fn links_of(&self, node: PeerAddr) -> Option<Vec<PeerAddr>> {
        let Response::Peers(peers) = self.ask(node, &Request::Peers)? else { return None };
        let linked = peers.into_iter().filter(|peer| {
            matches!(peer.state, PeerState::Joining | PeerState::Alive | PeerState::Suspected)
        });
        Some(linked.map(|peer| PeerAddr { node: peer.node, addr: peer.addr }).collect())
    }

    fn ask(&self, node: PeerAddr, request: &Request) -> Option<Response> {
        asking::one(node.addr, &Token::of(&self.key), request, CONTROL_TIMEOUT).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing_state::{Helper, record};
    use super::super::{ProcessId, Rewiring};
    use super::*;

    fn gap(record: &Record, node: u32) -> Option<(u32, u32, bool)> {
        let Gap { ends: [before, after], part } = record.gap(NodeId(node))?;
        Some((before.node.0, after.node.0, part))
    }

    #[test]
    fn a_node_belongs_between_those_with_the_next_numbers() {
        let up = ProcessId::current().unwrap();
        let mut ring = record("ring", &[up; 5]);
        assert_eq!(gap(&ring, 6), Some((5, 1, true)));
        assert_eq!(gap(&ring, 3), Some((2, 4, true)));
        assert_eq!(gap(&ring, 1), Some((5, 2, true)));
        ring.nodes[3].removed = true;
        assert_eq!(gap(&ring, 3), Some((2, 5, true)));
        let stopped = Helper::cat();
        ring.nodes[1].process = stopped.process();
        assert_eq!(gap(&ring, 3), Some((2, 5, true)));
        drop(stopped);
        assert_eq!(gap(&ring, 3), Some((1, 5, false)));
        ring.nodes.truncate(1);
        assert_eq!(gap(&ring, 3), None);
    }

    #[test]
    fn what_is_no_ring_has_no_gaps() {
        let up = ProcessId::current().unwrap();
        let mut other = record("other", &[up; 5]);
        other.rewired = Some(Rewiring { min_peers: 2, max_peers: 4, seed: 1 });
        assert_eq!(gap(&other, 6), None);
        other.rewired = None;
        other.kind = Some(Kind::Powerlaw);
        assert_eq!(gap(&other, 6), None);
    }
}
