//! The links between nodes as they are now, from what both ends say.

use std::collections::{BTreeMap, VecDeque};

use serde::Serialize;

use super::Said;
use crate::protocol::{FaultRule, NodeId, NodeRanges, PeerState};

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
    /// The one word for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Silent => "silent",
            Self::Paused => "paused",
            Self::Down => "down",
            Self::Removed => "removed",
        }
    }

    /// Whether it belongs to the network still, though it may not answer.
    #[must_use]
    pub fn lives(self) -> bool {
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
    /// A partition in force lies between its ends, or faults lose all that crosses it.
    Cut,
}

impl LinkState {
    /// Whether messages pass.
    #[must_use]
    pub fn is_in_use(self) -> bool {
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
}

/// All nodes, and the links between them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Overlay {
    /// The nodes, by number.
    pub nodes: Vec<(NodeId, NodeState)>,
    /// The links, in ascending order.
    pub links: Vec<Link>,
    /// For each node, where its neighbours over links in use stand in `nodes`.
    pub(super) adjacent: Vec<Vec<usize>>,
}

impl Overlay {
    /// What the nodes, sorted by number, say of their links. A link that only one end tells of
    /// counts: the other end may have had no answer to give.
    #[must_use]
    pub fn of(said: &[Said], faults: Faults) -> Self {
        let nodes: Vec<_> = said.iter().map(|said| (said.node, said.state)).collect();
        let mut seen: BTreeMap<(NodeId, NodeId), Vec<PeerState>> = BTreeMap::new();
        for one in said {
            for peer in &one.peers {
                let ends = (one.node.min(peer.node), one.node.max(peer.node));
                seen.entry(ends).or_default().push(peer.state);
            }
        }
        let at = |node: NodeId| nodes.binary_search_by_key(&node, |(node, _)| *node).ok();
        let lives = |node| at(node).is_some_and(|at| nodes[at].1.lives());
        let mut links = Vec::new();
        for ((u, v), states) in seen {
            if at(u).is_none() || at(v).is_none() {
                continue;
            }
            let cut = faults.cut(u.0, v.0);
            if let Some(state) = link_state(&states, lives(u) && lives(v), cut) {
                links.push(Link { u, v, state });
            }
        }
        let mut adjacent = vec![Vec::new(); nodes.len()];
        for link in links.iter().filter(|link| link.state.is_in_use()) {
            if let (Some(u), Some(v)) = (at(link.u), at(link.v)) {
                adjacent[u].push(v);
                adjacent[v].push(u);
            }
        }
        Self { nodes, links, adjacent }
    }

    /// Where a node stands in `nodes`.
    #[must_use]
    pub fn place(&self, node: NodeId) -> Option<usize> {
        self.nodes.binary_search_by_key(&node, |(node, _)| *node).ok()
    }

    /// The fewest links in use from one of these nodes to each node, in the order of `nodes`;
    /// `None` where there is no way. Found by breadth-first search.
    #[must_use]
    pub fn distances(&self, from: &[NodeId]) -> Vec<Option<u32>> {
        let mut distances = vec![None; self.nodes.len()];
        let mut queue: VecDeque<usize> = from.iter().filter_map(|node| self.place(*node)).collect();
        for start in &queue {
            distances[*start] = Some(0);
        }
        while let Some(at) = queue.pop_front() {
            let hops = distances[at].map(|hops: u32| hops + 1);
            for &next in &self.adjacent[at] {
                if distances[next].is_none() {
                    distances[next] = hops;
                    queue.push_back(next);
                }
            }
        }
        distances
    }
}

/// What two ends say of their link, put together; `None` where it is none (any more).
fn link_state(states: &[PeerState], both_live: bool, cut: bool) -> Option<LinkState> {
    let any = |wanted| states.contains(&wanted);
    if states.iter().all(|state| *state == PeerState::Removed) {
        return None;
    }
    Some(match () {
        () if !both_live => LinkState::Lost,
        () if cut => LinkState::Cut,
        // One end may have noticed before the other that all is well again.
        () if any(PeerState::Alive) && !any(PeerState::Suspected) => LinkState::Alive,
        () if any(PeerState::Alive) || any(PeerState::Suspected) => LinkState::Suspected,
        // Planned links carry messages before they are confirmed.
        () if any(PeerState::Joining) => LinkState::Suspected,
        () => LinkState::Lost,
    })
}

/// The faults in force.
#[derive(Clone, Copy, Debug, Default)]
pub struct Faults<'a> {
    /// The partitions, each a list of groups.
    pub partitions: &'a [Vec<NodeRanges>],
    /// What else is done to what nodes send.
    pub rules: &'a [FaultRule],
}

impl Faults<'_> {
    /// Whether nothing passes between two nodes, either way.
    #[must_use]
    pub fn cut(&self, a: u32, b: u32) -> bool {
        let between = |groups: &Vec<NodeRanges>| {
            let group = |node| groups.iter().position(|group| holds(group, node));
            // Who is in no group is cut off from nobody.
            matches!((group(a), group(b)), (Some(a), Some(b)) if a != b)
        };
        // What a partition does can be asked for rule by rule as well.
        let lost = |from, to| {
            let lost = |rule: &FaultRule| rule.effect.loss >= 1.0 && applies(rule, from, to);
            self.rules.iter().any(lost)
        };
        self.partitions.iter().any(between) || (lost(a, b) && lost(b, a))
    }
}

/// Whether a rule is about what one node sends to another.
#[must_use]
pub fn applies(rule: &FaultRule, from: u32, to: u32) -> bool {
    let covers = |ranges: &NodeRanges, node| ranges.is_empty() || holds(ranges, node);
    covers(&rule.from, from) && covers(&rule.to, to)
}

fn holds(ranges: &NodeRanges, node: u32) -> bool {
    ranges.iter().any(|(first, last)| (*first..=*last).contains(&node))
}

#[cfg(test)]
mod tests {
    use super::super::testing_answers::{ring, said, state};
    use super::*;
    use crate::protocol::Effect;

    #[test]
    fn a_link_is_told_of_once_whoever_tells() {
        let overlay =
            Overlay::of(&[said(1, None, &[2]), said(2, None, &[1, 3])], Faults::default());
        // Node 3 is none of the network's.
        let link = Link { u: NodeId(1), v: NodeId(2), state: LinkState::Alive };
        assert_eq!(overlay.links, [link]);
    }

    #[test]
    fn partitions_and_dead_ends_show() {
        let mut nodes = ring(6, 1);
        nodes[2] = state(said(3, None, &[]), NodeState::Down);
        let cut: Vec<NodeRanges> = vec![vec![(1, 4)], vec![(5, 5)]];
        let overlay = Overlay::of(&nodes, Faults { partitions: &[cut], rules: &[] });
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
    fn what_loses_everything_both_ways_cuts() {
        let lose = |from: u32, loss| FaultRule {
            from: vec![(from, from)],
            to: Vec::new(),
            effect: Effect { loss, ..Effect::default() },
        };
        let state = |rules: &[FaultRule]| {
            let said = [said(1, None, &[2]), said(2, None, &[1])];
            Overlay::of(&said, Faults { partitions: &[], rules }).links[0].state
        };
        assert_eq!(state(&[lose(1, 1.0), lose(2, 1.0)]), LinkState::Cut);
        assert_eq!(state(&[lose(1, 1.0)]), LinkState::Alive, "the other way is open");
        assert_eq!(state(&[lose(1, 0.9), lose(2, 1.0)]), LinkState::Alive);
    }

    #[test]
    fn a_link_that_is_not_confirmed_yet_is_in_use() {
        let mut nodes = [said(1, None, &[2]), said(2, None, &[1])];
        for node in &mut nodes {
            node.peers[0].state = PeerState::Joining;
        }
        let overlay = Overlay::of(&nodes, Faults::default());
        assert_eq!(overlay.links[0].state, LinkState::Suspected);
    }
}
