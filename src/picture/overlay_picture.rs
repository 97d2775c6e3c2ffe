//! The overlay as it is now: which links are in use, which the nodes made themselves, which are
//! gone; who is down or paused; what faults do to links.

use std::collections::{BTreeMap, BTreeSet};

use super::look::{self, Colour, LinkLook, NodeLook, Sample};
use super::{Link, Node, Picture, counted};
use crate::protocol::{FaultRule, NodeRanges, PeerState};
use crate::spread::{Faults, NodeState, applies};

/// What is known of a network.
#[derive(Clone, Debug, Default)]
pub struct Overlay {
    /// The network's name.
    pub name: String,
    /// Its topology in words.
    pub kind: String,
    /// Whether it began as a ring and was not rewired since.
    pub ring: bool,
    /// Its nodes, by number.
    pub nodes: Vec<Member>,
    /// The partitions in force, each a list of groups.
    pub partitions: Vec<Vec<NodeRanges>>,
    /// The other faults in force.
    pub rules: Vec<FaultRule>,
    /// All faults in force, in words.
    pub faults: Vec<String>,
}

/// One node of it.
#[derive(Clone, Debug)]
pub struct Member {
    /// Its number.
    pub number: u32,
    /// How it is.
    pub state: NodeState,
    /// The neighbours that it was given.
    pub planned: Vec<u32>,
    /// Its neighbours as it sees them, where it answered.
    pub peers: Vec<(u32, PeerState)>,
}

/// How a link is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Use {
    /// Planned, and not in use now.
    Gone,
    /// In use, as planned.
    Planned,
    /// In use, and made by the nodes themselves.
    Made,
}

/// A link between two nodes, the lower number first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tie {
    /// Its ends.
    pub ends: (u32, u32),
    /// Whether it is in use, and who made it.
    pub used: Use,
    /// One end takes it for sound, and the other does not.
    pub doubted: bool,
    /// A partition lets nothing through.
    pub cut: bool,
    /// A fault mistreats what crosses it, in one direction at least.
    pub faulty: bool,
}

impl Overlay {
    /// Every link that was planned or is in use, in order.
    #[must_use]
    pub fn ties(&self) -> Vec<Tie> {
        let planned = self.planned();
        let seen = |wanted: &'static [PeerState]| {
            self.pairs(move |member| {
                let fits = member.peers.iter().filter(|(_, state)| wanted.contains(state));
                fits.map(|(peer, _)| *peer).collect()
            })
        };
        let mut used = seen(&[PeerState::Joining, PeerState::Alive, PeerState::Suspected]);
        // Whoever is gone may not have been missed yet.
        let gone = self.nodes.iter().filter(|member| member.is_gone());
        let gone: BTreeSet<u32> = gone.map(|member| member.number).collect();
        used.retain(|(a, b)| !gone.contains(a) && !gone.contains(b));
        let doubted = seen(&[PeerState::Suspected, PeerState::Dead]);
        let tie = |&ends: &(u32, u32)| Tie {
            ends,
            used: match (used.contains(&ends), planned.contains(&ends)) {
                (true, true) => Use::Planned,
                (true, false) => Use::Made,
                (false, _) => Use::Gone,
            },
            doubted: used.contains(&ends) && doubted.contains(&ends),
            cut: self.is_cut(ends) && !gone.contains(&ends.0) && !gone.contains(&ends.1),
            faulty: self.is_faulty(ends),
        };
        planned.union(&used).map(tie).collect()
    }

    /// The links that were planned.
    fn planned(&self) -> BTreeSet<(u32, u32)> {
        self.pairs(|member| member.planned.clone())
    }

    /// Pairs of a member and each of those that belong to it, lower number first.
    fn pairs(&self, of: impl Fn(&Member) -> Vec<u32>) -> BTreeSet<(u32, u32)> {
        let pair = |a: u32, b: u32| (a.min(b), a.max(b));
        let each = |member: &Member| {
            let number = member.number;
            of(member).into_iter().map(move |other| pair(number, other)).collect::<Vec<_>>()
        };
        self.nodes.iter().flat_map(each).filter(|(a, b)| a != b).collect()
    }

    /// The trace of a message says the same.
    fn is_cut(&self, (a, b): (u32, u32)) -> bool {
        Faults { partitions: &self.partitions, rules: &self.rules }.cut(a, b)
    }

    fn is_faulty(&self, (a, b): (u32, u32)) -> bool {
        self.rules.iter().any(|rule| applies(rule, a, b) || applies(rule, b, a))
    }

    /// How many pieces the nodes that answer are in, over links in use.
    #[must_use]
    pub fn pieces(&self, ties: &[Tie]) -> usize {
        let up = self.nodes.iter().filter(|member| member.state == NodeState::Up);
        let mut piece: BTreeMap<u32, u32> =
            up.map(|member| (member.number, member.number)).collect();
        fn root(piece: &BTreeMap<u32, u32>, mut at: u32) -> u32 {
            while piece[&at] != at {
                at = piece[&at];
            }
            at
        }
        for tie in ties.iter().filter(|tie| tie.used != Use::Gone && !tie.cut) {
            let (a, b) = tie.ends;
            if piece.contains_key(&a) && piece.contains_key(&b) {
                let (a, b) = (root(&piece, a), root(&piece, b));
                piece.insert(a.max(b), a.min(b));
            }
        }
        piece.iter().filter(|(node, root)| node == root).count()
    }

    /// The overlay as a picture.
    #[must_use]
    pub fn picture(&self) -> Picture {
        let ties = self.ties();
        let nodes: Vec<Node> = self
            .nodes
            .iter()
            .map(|member| Node { number: member.number, look: self.look(member) })
            .collect();
        let mut links: Vec<Link> = ties
            .iter()
            .map(|tie| Link { from: tie.ends.0, to: tie.ends.1, look: tie.look() })
            .collect();
        // What is worth seeing lies above.
        links.sort_by_key(|link| link.look.style().tenths);
        Picture {
            title: self.title(&ties),
            remarks: self.faults.iter().map(|fault| format!("in force: {fault}")).collect(),
            legend: legend(&nodes, &links),
            ring: self.ring,
            nodes,
            links,
            frame: self.planned().into_iter().collect(),
        }
    }

    fn look(&self, member: &Member) -> NodeLook {
        match member.state {
            NodeState::Up => self
                .partitions
                .last()
                .and_then(|groups| group_of(groups, member.number))
                .map_or(NodeLook::Plain, NodeLook::Group),
            NodeState::Silent => NodeLook::Silent,
            NodeState::Paused => NodeLook::Paused,
            NodeState::Down => NodeLook::Down,
            NodeState::Removed => NodeLook::Removed,
        }
    }

    fn title(&self, ties: &[Tie]) -> String {
        let up = self.nodes.iter().filter(|member| member.state == NodeState::Up).count();
        let used = ties.iter().filter(|tie| tie.used != Use::Gone).count();
        let nodes = match self.nodes.len() {
            all if all == up => counted(all, "node"),
            all => format!("{up} of {} up", counted(all, "node")),
        };
        let mut title = format!("{}: {}, {nodes}, {}", self.name, self.kind, counted(used, "link"));
        match self.pieces(ties) {
            0 | 1 => {}
            pieces => title.push_str(&format!(", in {pieces} pieces")),
        }
        title
    }
}

impl Member {
    fn is_gone(&self) -> bool {
        !self.state.lives()
    }
}

impl Tie {
    /// How it looks; what matters most comes first.
    fn look(&self) -> LinkLook {
        match self {
            Self { cut: true, .. } => LinkLook::Cut,
            Self { used: Use::Gone, .. } => LinkLook::Gone,
            Self { doubted: true, .. } => LinkLook::Doubted,
            Self { faulty: true, .. } => LinkLook::Faulty,
            Self { used: Use::Made, .. } => LinkLook::Made,
            Self { used: Use::Planned, .. } => LinkLook::Plain,
        }
    }
}

fn group_of(groups: &[NodeRanges], node: u32) -> Option<usize> {
    groups.iter().position(|group| look::covers(group, node))
}

/// Every look there is that is not plain, explained, in the order of this list.
fn legend(nodes: &[Node], links: &[Link]) -> Vec<Vec<Sample>> {
    let node_looks = [
        (NodeLook::Silent, "does not answer"),
        (NodeLook::Paused, "paused"),
        (NodeLook::Down, "down"),
        (NodeLook::Removed, "removed"),
    ];
    let link_looks = [
        (LinkLook::Plain, "link"),
        (LinkLook::Made, "made by the nodes themselves"),
        (LinkLook::Doubted, "in doubt"),
        (LinkLook::Faulty, "mistreated by a fault"),
        (LinkLook::Cut, "cut by a fault"),
        (LinkLook::Gone, "no longer in use"),
    ];
    let group = |node: &Node| match node.look {
        NodeLook::Group(group) => Some((group, node.look.style().fill)),
        _ => None,
    };
    let groups: BTreeMap<usize, Colour> = nodes.iter().filter_map(group).collect();
    let groups = groups.into_iter().map(|(group, fill)| (fill, format!("group {}", group + 1)));
    let groups: Vec<(Colour, String)> = groups.collect();
    let mut of_nodes: Vec<Sample> = Vec::new();
    for (look, words) in node_looks {
        if nodes.iter().any(|node| node.look == look) {
            of_nodes.push(Sample::Node(look, words.into()));
        }
    }
    let mut of_links: Vec<Sample> = Vec::new();
    for (look, words) in link_looks {
        if links.iter().any(|link| link.look == look) {
            of_links.push(Sample::Link(look, words.into()));
        }
    }
    // Plain links alone need no words.
    if of_links.len() == 1 && links.iter().all(|link| link.look == LinkLook::Plain) {
        of_links.clear();
    }
    let partition = (!groups.is_empty()).then(|| vec![Sample::Shades("partition".into(), groups)]);
    let rows = of_nodes.chunks(5).chain(of_links.chunks(4)).map(<[Sample]>::to_vec);
    partition.into_iter().chain(rows).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Effect;

    fn member(
        number: u32,
        state: NodeState,
        planned: &[u32],
        peers: &[(u32, PeerState)],
    ) -> Member {
        Member { number, state, planned: planned.to_vec(), peers: peers.to_vec() }
    }

    /// A ring of four, of which node 3 died and the others closed ranks.
    fn ring() -> Overlay {
        use PeerState::{Alive, Dead};
        Overlay {
            name: "default".into(),
            kind: "circular".into(),
            ring: true,
            nodes: vec![
                member(1, NodeState::Up, &[2, 4], &[(2, Alive), (4, Alive)]),
                member(2, NodeState::Up, &[1, 3], &[(1, Alive), (3, Dead), (4, Alive)]),
                member(3, NodeState::Down, &[2, 4], &[]),
                member(4, NodeState::Up, &[1, 3], &[(1, Alive), (3, Dead), (2, Alive)]),
            ],
            ..Overlay::default()
        }
    }

    fn look_of(picture: &Picture, ends: (u32, u32)) -> LinkLook {
        picture.links.iter().find(|link| (link.from, link.to) == ends).unwrap().look
    }

    #[test]
    fn repairs_and_losses_are_seen() {
        let picture = ring().picture();
        assert_eq!(picture.title, "default: circular, 3 of 4 nodes up, 3 links");
        assert_eq!(look_of(&picture, (1, 2)), LinkLook::Plain);
        assert_eq!(look_of(&picture, (2, 4)), LinkLook::Made);
        assert_eq!(look_of(&picture, (2, 3)), LinkLook::Gone);
        assert_eq!(picture.nodes[2].look, NodeLook::Down);
        assert_eq!(picture.legend.len(), 2, "a row for nodes, one for links");
    }

    #[test]
    fn a_link_that_one_end_has_given_up_is_in_doubt() {
        let mut overlay = ring();
        overlay.nodes[0].peers[0].1 = PeerState::Suspected;
        assert_eq!(look_of(&overlay.picture(), (1, 2)), LinkLook::Doubted);
        overlay.nodes[0].peers[0].1 = PeerState::Dead;
        assert_eq!(look_of(&overlay.picture(), (1, 2)), LinkLook::Doubted);
    }

    #[test]
    fn partitions_and_faults_are_seen() {
        let mut overlay = ring();
        overlay.partitions = vec![vec![vec![(1, 1)], vec![(2, 4)]]];
        let effect = Effect { loss: 0.2, ..Effect::default() };
        overlay.rules = vec![FaultRule { from: vec![(4, 4)], to: Vec::new(), effect }];
        let picture = overlay.picture();
        assert_eq!(look_of(&picture, (1, 2)), LinkLook::Cut);
        assert_eq!(look_of(&picture, (2, 4)), LinkLook::Faulty);
        assert_eq!(picture.nodes[0].look, NodeLook::Group(0));
        assert_eq!(picture.nodes[1].look, NodeLook::Group(1));
        assert!(picture.title.ends_with("3 links, in 2 pieces"), "{}", picture.title);
    }

    /// What is cut need not be cut by a partition.
    #[test]
    fn a_link_that_loses_all_is_cut_by_a_fault() {
        let mut overlay = ring();
        let effect = Effect { loss: 1.0, ..Effect::default() };
        let rule = |from, to| FaultRule { from: vec![(from, from)], to: vec![(to, to)], effect };
        overlay.rules = vec![rule(1, 2), rule(2, 1)];
        let picture = overlay.picture();
        assert_eq!(look_of(&picture, (1, 2)), LinkLook::Cut);
        let samples: Vec<&Sample> = picture.legend.iter().flatten().collect();
        let words = Sample::Link(LinkLook::Cut, "cut by a fault".into());
        assert!(samples.contains(&&words), "{samples:?}");
    }

    #[test]
    fn a_network_as_planned_needs_no_legend() {
        let mut overlay = ring();
        overlay.nodes.truncate(2);
        for member in &mut overlay.nodes {
            member.planned.retain(|peer| *peer < 3);
            member.peers.retain(|(peer, _)| *peer < 3);
        }
        assert!(overlay.picture().legend.is_empty());
    }
}
