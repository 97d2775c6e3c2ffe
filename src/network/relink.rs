//! New links for a network that runs: at random, and on a ring, which stays a ring.
//!
//! The nodes of a circular network lie in the order of their numbers, and closing ranks keeps
//! them so. So the place of a node that comes (back) is known, and the two nodes there give up the
//! link between them.

use petgraph::graph::NodeIndex;

use super::{CONTROL_TIMEOUT, Error, NodeRecord, Record, Rewiring, StateDir};
use crate::control::{Request, Response};
use crate::protocol::{NodeId, PeerAddr, PeerState};
use crate::topology::{self, Bounds, Kind};

/// The outcome of a rewiring.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rewired {
    /// What was chosen.
    pub rewiring: Rewiring,
    /// How many nodes it is about: those that run.
    pub nodes: u32,
    /// How many links they have.
    pub links: u64,
    /// The nodes that should have heard of it and did not.
    pub deaf: Vec<NodeId>,
}

impl StateDir {
    /// Gives the nodes that run new neighbours, chosen at random. Each node keeps its old links
    /// until the new ones stand, so that no message is lost. Nodes that are paused or down keep
    /// theirs, and look for others when they find these gone.
    ///
    /// # Errors
    ///
    /// If the network does not run, or there is no connected graph within the bounds.
    pub fn rewire(
        &self,
        name: &str,
        (min, max): (Option<u32>, Option<u32>),
        seed: u64,
    ) -> Result<Rewired, Error> {
        let (dir, _lock, mut record) = self.lock_running(name)?;
        let running = record.nodes.iter().filter(|node| record.is_running(node));
        let running: Vec<PeerAddr> = running.map(NodeRecord::peer_addr).collect();
        if running.len() < 2 {
            return Err(Error::NoPeers(record.name));
        }
        let nodes = u32::try_from(running.len()).unwrap_or(u32::MAX);
        let bounds = Bounds::given(min, max, nodes);
        let graph = topology::build_within(nodes, bounds, seed)?;

        let rewiring = Rewiring { min_peers: bounds.min, max_peers: bounds.max, seed };
        record.rewired = Some(rewiring);
        let mut questions = Vec::with_capacity(running.len());
        for (at, node) in running.iter().enumerate() {
            let neighbours = graph.neighbors(NodeIndex::new(at));
            let mut peers: Vec<PeerAddr> = neighbours.map(|at| running[at.index()]).collect();
            peers.sort_unstable();
            record.set_peers(node.node, &peers);
            questions.push((node.node, node.addr, Request::Rewire(peers)));
        }
        // First, so that nodes started from here on know of it.
        dir.write(&record)?;
        let deaf = record.tell_each(questions);
        Ok(Rewired { rewiring, nodes, links: graph.edge_count() as u64, deaf })
    }
}

impl Record {
    /// Remembers a node's neighbours.
    pub(super) fn set_peers(&mut self, node: NodeId, peers: &[PeerAddr]) {
        for record in self.nodes.iter_mut().filter(|record| record.node == node) {
            record.peers = peers.iter().map(|peer| peer.node).collect();
        }
    }
}

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
            if self.ask(end.addr, &Request::Rewire(peers.clone()), CONTROL_TIMEOUT).is_ok() {
                self.set_peers(end.node, &peers);
            }
        }
    }

    /// The links that a node has, or is making.
    fn links_of(&self, node: PeerAddr) -> Option<Vec<PeerAddr>> {
        let answer = self.ask(node.addr, &Request::Peers, CONTROL_TIMEOUT);
        let Ok(Response::Peers(peers)) = answer else { return None };
        let linked = peers.into_iter().filter(|peer| {
            matches!(peer.state, PeerState::Joining | PeerState::Alive | PeerState::Suspected)
        });
        Some(linked.map(|peer| PeerAddr { node: peer.node, addr: peer.addr }).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::super::ProcessId;
    use super::super::testing_state::{Helper, TempDir, record, remember};
    use super::*;

    #[test]
    fn one_node_alone_has_nobody_to_link_to() {
        let temp = TempDir::new();
        let state = temp.state();
        let (one, two) = (Helper::cat(), Helper::cat());
        remember(&state, &record("default", &[one.process(), two.process()]));
        state.pause_node("default", NodeId(2)).unwrap();
        let rewired = state.rewire("default", (None, None), 1);
        assert!(matches!(rewired, Err(Error::NoPeers(_))), "{rewired:?}");
        assert_eq!(state.load("default").unwrap().rewired, None);
    }

    #[test]
    fn a_choice_is_remembered_and_nodes_that_did_not_hear_of_it_are_named() {
        let temp = TempDir::new();
        let state = temp.state();
        let (one, two) = (Helper::cat(), Helper::cat());
        remember(&state, &record("default", &[one.process(), two.process()]));
        let rewired = state.rewire("default", (None, Some(1)), 7).unwrap();
        assert_eq!(rewired.rewiring, Rewiring { min_peers: 1, max_peers: 1, seed: 7 });
        assert_eq!((rewired.nodes, rewired.links), (2, 1));
        assert_eq!(rewired.deaf, [NodeId(1), NodeId(2)]);
        let record = state.load("default").unwrap();
        assert_eq!(record.rewired, Some(rewired.rewiring));
        assert_eq!(record.nodes[0].peers, [NodeId(2)]);
    }

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
    fn only_a_ring_has_gaps() {
        let up = ProcessId::current().unwrap();
        let mut other = record("other", &[up; 5]);
        other.rewired = Some(Rewiring { min_peers: 2, max_peers: 4, seed: 1 });
        assert_eq!(gap(&other, 6), None);
        other.rewired = None;
        other.kind = Some(Kind::Powerlaw);
        assert_eq!(gap(&other, 6), None);
    }
}
