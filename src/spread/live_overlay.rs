//! The links between nodes as they are now, from what both ends say.

use std::collections::{BTreeMap, BTreeSet};

use petgraph::unionfind::UnionFind;
use serde::Serialize;

use super::Said;
use crate::protocol::{FaultRule, NodeId, NodeRanges, PeerState};
use crate::topology::measure::hops;

/// How a node is seen from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum NodeState {
    /// It answers.
    Up,
    /// Its process is there and does not answer.
    Silent,
    /// Its process is stopped where it is.
    Paused,
    /// Its process is gone.
    Down,
    /// It was told to leave.
    Removed,
}

impl NodeState {
    /// Whether it belongs to the network still, though it may not answer.
    pub(crate) fn lives(self) -> bool {
        matches!(self, Self::Up | Self::Silent | Self::Paused)
    }
}

/// How a link is seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LinkState {
    /// In use.
    Alive,
    /// In use, and one end waits for the other to answer.
    Suspected,
    /// One end is down, or is taken for dead by the other.
    Lost,
    /// A partition in force lies between its ends, faults lose all that crosses it, or its ends found
    /// that it carries nothing.
    Cut,
}

impl LinkState {
    /// Whether messages pass.
    fn is_in_use(self) -> bool {
        matches!(self, Self::Alive | Self::Suspected)
    }
}

/// A link between two nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Link {
    /// The end with the lower number.
    pub u: NodeId,
    /// The end with the higher number.
    pub v: NodeId,
    /// How it is seen.
    pub state: LinkState,
    /// Whether the network's record has it. Nodes make other links themselves.
    #[serde(skip)]
    pub planned: bool,
    /// Whether both ends live and one of them at least uses it; it may be cut all the same.
    #[serde(skip)]
    pub used: bool,
    /// Whether it is in use, and one end suspects the other, or takes it for dead.
    #[serde(skip)]
    pub suspected: bool,
    /// Whether a fault mistreats what crosses it, in one direction at least.
    #[serde(skip)]
    pub faulty: bool,
}

/// All nodes, and the links between them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Overlay {
    /// The nodes, by number.
    pub nodes: Vec<(NodeId, NodeState)>,
    /// The links that nodes tell of or that were planned, in ascending order. An end may be a
    /// node that is not among `nodes`: one that was started by hand on another machine.
    pub links: Vec<Link>,
    /// For each node, where its neighbours over links in use stand in `nodes`.
    pub(super) adjacent: Vec<Vec<usize>>,
}

impl Overlay {
    /// What the nodes, sorted by number, say of their links, and the links that were planned. A
    /// link that only one end tells of counts: the other end may have had no answer to give.
    #[must_use]
    pub fn of(said: &[Said], planned: &[(u32, u32)], faults: &Faults) -> Self {
        let nodes: Vec<_> = said.iter().map(|said| (said.node, said.state)).collect();
        let ordered = |a: NodeId, b: NodeId| (a.min(b), a.max(b));
        let planned = planned.iter().map(|(a, b)| ordered(NodeId(*a), NodeId(*b)));
        let planned: BTreeSet<(NodeId, NodeId)> = planned.collect();
        let mut told: BTreeMap<(NodeId, NodeId), Vec<PeerState>> =
            planned.iter().map(|ends| (*ends, Vec::new())).collect();
        for one in said {
            for peer in &one.peers {
                told.entry(ordered(one.node, peer.node)).or_default().push(peer.state);
            }
        }
        let mut overlay = Self { adjacent: vec![Vec::new(); nodes.len()], nodes, links: vec![] };
        for (ends, states) in told {
            let planned = planned.contains(&ends);
            if planned || states.iter().any(|state| *state != PeerState::Removed) {
                overlay.add(ends, &states, planned, faults);
            }
        }
        overlay
    }

    fn add(&mut self, ends: (NodeId, NodeId), told: &[PeerState], planned: bool, faults: &Faults) {
        use PeerState::{Alive, Cut, Dead, Joining, Suspected};
        let any = |wanted: &[PeerState]| wanted.iter().any(|wanted| told.contains(wanted));
        let (u, v) = ends;
        let places = (self.place(u), self.place(v));
        let lives = |at: Option<usize>| at.is_none_or(|at| self.nodes[at].1.lives());
        let both_live = lives(places.0) && lives(places.1);
        let used = both_live && any(&[Joining, Alive, Suspected]);
        let state = match () {
            () if !both_live => LinkState::Lost,
            () if faults.cut(u.0, v.0) => LinkState::Cut,
            // One end may have noticed before the other that all is well again.
            () if any(&[Alive]) && !any(&[Suspected]) => LinkState::Alive,
            // Planned links carry messages before they are confirmed.
            () if used => LinkState::Suspected,
            () if any(&[Cut]) => LinkState::Cut,
            () => LinkState::Lost,
        };
        let suspected = used && any(&[Suspected, Dead, Cut]);
        let faulty = faults.mistreat(u.0, v.0);
        self.links.push(Link { u, v, state, planned, used, suspected, faulty });
        if let (true, (Some(u), Some(v))) = (state.is_in_use(), places) {
            self.adjacent[u].push(v);
            self.adjacent[v].push(u);
        }
    }

    /// Where a node stands in `nodes`.
    pub(crate) fn place(&self, node: NodeId) -> Option<usize> {
        self.nodes.binary_search_by_key(&node, |(node, _)| *node).ok()
    }

    /// The fewest links in use from one of these nodes to each node, in the order of `nodes`;
    /// `None` where there is no way.
    pub(crate) fn distances(&self, from: &[NodeId]) -> Vec<Option<u32>> {
        hops(&self.adjacent, from.iter().filter_map(|node| self.place(*node)))
    }

    /// How many components the nodes that answer are in, over links in use.
    pub(crate) fn components(&self) -> usize {
        let is_up = |at: &usize| self.nodes[*at].1 == NodeState::Up;
        let mut joined = UnionFind::<usize>::new(self.nodes.len());
        let mut components = (0..self.nodes.len()).filter(is_up).count();
        for link in self.links.iter().filter(|link| link.state.is_in_use()) {
            let ends = (self.place(link.u).filter(is_up), self.place(link.v).filter(is_up));
            if let (Some(u), Some(v)) = ends {
                components -= usize::from(joined.union(u, v));
            }
        }
        components
    }
}

/// The faults in force.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    /// The partitions, each a list of groups.
    pub partitions: Vec<Vec<NodeRanges>>,
    /// What else is done to what nodes send.
    pub rules: Vec<FaultRule>,
}

impl Faults {
    /// Whether nothing passes between two nodes, either way.
    pub(crate) fn cut(&self, a: u32, b: u32) -> bool {
        let between = |groups: &Vec<NodeRanges>| {
            // A node in no group is cut off from nobody.
            matches!((group(groups, a), group(groups, b)), (Some(a), Some(b)) if a != b)
        };
        // Rules can do the same as a partition.
        let lost = |from, to| {
            let lost = |rule: &FaultRule| rule.effect.loss >= 1.0 && applies(rule, from, to);
            self.rules.iter().any(lost)
        };
        self.partitions.iter().any(between) || (lost(a, b) && lost(b, a))
    }

    /// Whether a rule is about what one of two nodes sends to the other.
    fn mistreat(&self, a: u32, b: u32) -> bool {
        self.rules.iter().any(|rule| applies(rule, a, b) || applies(rule, b, a))
    }

    /// The group of a node in the partition that was made last.
    pub(crate) fn group(&self, node: u32) -> Option<usize> {
        self.partitions.last().and_then(|groups| group(groups, node))
    }
}

fn group(groups: &[NodeRanges], node: u32) -> Option<usize> {
    let holds = |(first, last): &(u32, u32)| (*first..=*last).contains(&node);
    groups.iter().position(|ranges| ranges.iter().any(holds))
}

/// Whether a rule is about what one node sends to another.
fn applies(rule: &FaultRule, from: u32, to: u32) -> bool {
    rule.concerns_sender(NodeId(from)) && rule.concerns_receiver(NodeId(to))
}

#[cfg(test)]
mod tests {
    use super::super::testing_answers::{ring, said, state};
    use super::*;
    use crate::protocol::Effect;

    #[test]
    fn a_link_that_both_ends_tell_of_is_listed_once() {
        let overlay =
            Overlay::of(&[said(1, None, &[2]), said(2, None, &[1])], &[], &Faults::default());
        let links: Vec<_> = overlay.links.iter().map(|link| (link.u.0, link.v.0)).collect();
        assert_eq!(links, [(1, 2)]);
        assert_eq!(overlay.links[0].state, LinkState::Alive);
    }

    #[test]
    fn links_to_dead_nodes_are_lost_and_links_across_a_partition_cut() {
        let mut nodes = ring(6, 1);
        nodes[2] = state(said(3, None, &[]), NodeState::Down);
        let cut: Vec<NodeRanges> = vec![vec![(1, 4)], vec![(5, 5)]];
        let overlay = Overlay::of(&nodes, &[], &Faults { partitions: vec![cut], rules: vec![] });
        let states: Vec<_> =
            overlay.links.iter().map(|link| (link.u.0, link.v.0, link.state)).collect();
        assert_eq!(
            states,
            [
                (1, 2, LinkState::Alive),
                (1, 6, LinkState::Alive),
                (2, 3, LinkState::Lost),
                (3, 4, LinkState::Lost),
                (4, 5, LinkState::Cut),
                (5, 6, LinkState::Alive),
            ]
        );
        let distances = overlay.distances(&[NodeId(1)]);
        assert_eq!(distances, [Some(0), Some(1), None, None, Some(2), Some(1)]);
    }

    #[test]
    fn rules_that_lose_everything_both_ways_cut_a_link() {
        let lose = |from: u32, loss| FaultRule {
            from: vec![(from, from)],
            to: Vec::new(),
            effect: Effect { loss, ..Effect::default() },
        };
        let state = |rules: &[FaultRule]| {
            let said = [said(1, None, &[2]), said(2, None, &[1])];
            let faults = Faults { partitions: vec![], rules: rules.to_vec() };
            Overlay::of(&said, &[], &faults).links[0].state
        };
        assert_eq!(state(&[lose(1, 1.0), lose(2, 1.0)]), LinkState::Cut);
        assert_eq!(state(&[lose(1, 1.0)]), LinkState::Alive, "the other way is open");
        assert_eq!(state(&[lose(1, 0.9), lose(2, 1.0)]), LinkState::Alive);
    }

    #[test]
    fn a_link_that_carries_nothing_by_the_word_of_its_ends_is_cut() {
        let state = |states: [PeerState; 2]| {
            let mut nodes = [said(1, None, &[2]), said(2, None, &[1])];
            for (node, state) in nodes.iter_mut().zip(states) {
                node.peers[0].state = state;
            }
            let link = Overlay::of(&nodes, &[], &Faults::default()).links[0];
            (link.state, link.suspected)
        };
        assert_eq!(state([PeerState::Cut, PeerState::Cut]), (LinkState::Cut, false));
        // One end gives it up before the other.
        assert_eq!(state([PeerState::Cut, PeerState::Alive]), (LinkState::Alive, true));
    }

    #[test]
    fn a_link_that_is_not_confirmed_yet_is_in_use() {
        let mut nodes = [said(1, None, &[2]), said(2, None, &[1])];
        for node in &mut nodes {
            node.peers[0].state = PeerState::Joining;
        }
        let overlay = Overlay::of(&nodes, &[], &Faults::default());
        assert_eq!(overlay.links[0].state, LinkState::Suspected);
    }
}
