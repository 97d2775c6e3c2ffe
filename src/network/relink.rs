//! New links for a network that runs.

use petgraph::graph::NodeIndex;

use super::{Error, NodeRecord, Record, Rewiring, StateDir};
use crate::control::Request;
use crate::protocol::{NodeId, PeerAddr};
use crate::topology::{self, Bounds};

/// What became of a rewiring.
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
        let deaf = record.tell_each(questions)?;
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

#[cfg(test)]
mod tests {
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
    fn what_was_chosen_is_remembered_and_who_did_not_hear_is_named() {
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
}
