//! The overlay as it is now: which links are in use, which the nodes made themselves, which are
//! gone; which nodes are down or paused; what faults do to links.

use std::collections::BTreeMap;

use super::look::{self, Colour, LinkLook, NodeLook, Sample};
use super::{Link, Node, Picture, Scene, counted};
use crate::protocol::NodeId;
use crate::spread::{self, Faults, NodeState, Overlay};

/// The overlay of a network as a picture.
///
/// `remarks` say in words which faults are in force.
#[must_use]
pub fn overlay(
    network: &str,
    scene: &Scene,
    overlay: &Overlay,
    faults: &Faults,
    remarks: Vec<String>,
) -> Picture {
    let node = |&(NodeId(number), state): &(NodeId, NodeState)| {
        let group = || faults.group(number).map_or(NodeLook::Plain, NodeLook::Group);
        let look = if state == NodeState::Up { group() } else { NodeLook::Out(state) };
        Node { number, look }
    };
    let nodes: Vec<Node> = overlay.nodes.iter().map(node).collect();
    let shown = overlay.links.iter().filter(|link| link.planned || link.used);
    let mut links: Vec<Link> =
        shown.map(|link| Link { from: link.u.0, to: link.v.0, look: look(link) }).collect();
    // Links worth seeing lie above the others.
    links.sort_by(|a, b| a.look.style().width.total_cmp(&b.look.style().width));
    Picture {
        title: title(network, scene, overlay),
        remarks,
        legend: legend(&nodes, &links),
        ring: scene.ring,
        nodes,
        links,
        frame: scene.planned.clone(),
    }
}

fn title(network: &str, scene: &Scene, overlay: &Overlay) -> String {
    let up = overlay.nodes.iter().filter(|(_, state)| *state == NodeState::Up).count();
    let nodes = match overlay.nodes.len() {
        all if all == up => counted(all, "node"),
        all => format!("{up} of {} up", counted(all, "node")),
    };
    let used = counted(overlay.links.iter().filter(|link| link.used).count(), "link");
    let components = match overlay.components() {
        0 | 1 => String::new(),
        components => format!(", in {components} components"),
    };
    format!("{network}: {}, {nodes}, {used}{components}", scene.kind)
}

/// How a link looks; the most important look comes first.
fn look(link: &spread::Link) -> LinkLook {
    match () {
        () if link.state == spread::LinkState::Cut => LinkLook::Cut,
        () if !link.used => LinkLook::Gone,
        () if link.suspected => LinkLook::Suspected,
        () if link.faulty => LinkLook::Faulty,
        () if !link.planned => LinkLook::Made,
        () => LinkLook::Plain,
    }
}

/// Every look there is that is not plain, explained.
fn legend(nodes: &[Node], links: &[Link]) -> Vec<Vec<Sample>> {
    let group = |node: &Node| match node.look {
        NodeLook::Group(group) => Some((group, node.look.style().fill)),
        _ => None,
    };
    let groups: BTreeMap<usize, Colour> = nodes.iter().filter_map(group).collect();
    let groups = groups.into_iter().map(|(group, fill)| (fill, format!("group {}", group + 1)));
    let groups: Vec<(Colour, String)> = groups.collect();
    let of_nodes = look::node_samples(nodes, &[]);
    let words = [
        (LinkLook::Plain, "link"),
        (LinkLook::Made, "made by the nodes themselves"),
        (LinkLook::Suspected, "suspected"),
        (LinkLook::Faulty, "mistreated by a fault"),
        (LinkLook::Cut, "cut by a fault"),
        (LinkLook::Gone, "no longer in use"),
    ];
    let mut of_links = look::link_samples(links, &words);
    // Plain links alone need no words.
    if links.iter().all(|link| link.look == LinkLook::Plain) {
        of_links.clear();
    }
    let partition = (!groups.is_empty()).then(|| vec![Sample::Shades("partition".into(), groups)]);
    let rows = of_nodes.chunks(5).chain(of_links.chunks(4)).map(<[Sample]>::to_vec);
    partition.into_iter().chain(rows).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{Effect, FaultRule, PeerInfo, PeerState};
    use crate::spread::Said;
    use crate::spread::testing_answers::said;

    /// A ring of four, of which node 3 died and the others closed ranks.
    struct Ring {
        said: Vec<Said>,
        planned: Vec<(u32, u32)>,
        faults: Faults,
    }

    impl Ring {
        fn new() -> Self {
            let mut ring = Self {
                said: vec![
                    said(1, None, &[2, 4]),
                    said(2, None, &[1, 3, 4]),
                    Said { state: NodeState::Down, ..said(3, None, &[]) },
                    said(4, None, &[1, 3, 2]),
                ],
                planned: vec![(1, 2), (1, 4), (2, 1), (2, 3), (3, 2), (3, 4), (4, 1), (4, 3)],
                faults: Faults::default(),
            };
            ring.peer(1, 1).state = PeerState::Dead;
            ring.peer(3, 1).state = PeerState::Dead;
            ring
        }

        fn peer(&mut self, node: usize, peer: usize) -> &mut PeerInfo {
            &mut self.said[node].peers[peer]
        }

        fn picture(&self) -> Picture {
            let scene =
                Scene { kind: "circular".into(), ring: true, planned: self.planned.clone() };
            let links = Overlay::of(&self.said, &self.planned, &self.faults);
            overlay("default", &scene, &links, &self.faults, vec![])
        }
    }

    fn look_of(picture: &Picture, ends: (u32, u32)) -> LinkLook {
        picture.links.iter().find(|link| (link.from, link.to) == ends).unwrap().look
    }

    #[test]
    fn repairs_and_losses_are_seen() {
        let picture = Ring::new().picture();
        assert_eq!(picture.title, "default: circular, 3 of 4 nodes up, 3 links");
        assert_eq!(look_of(&picture, (1, 2)), LinkLook::Plain);
        assert_eq!(look_of(&picture, (2, 4)), LinkLook::Made);
        assert_eq!(look_of(&picture, (2, 3)), LinkLook::Gone);
        assert_eq!(picture.nodes[2].look, NodeLook::Out(NodeState::Down));
        assert_eq!(picture.legend.len(), 2, "a row for nodes, one for links");
    }

    #[test]
    fn a_link_that_one_end_has_given_up_is_suspected() {
        for state in [PeerState::Suspected, PeerState::Dead] {
            let mut ring = Ring::new();
            ring.peer(0, 0).state = state;
            assert_eq!(look_of(&ring.picture(), (1, 2)), LinkLook::Suspected);
        }
    }

    #[test]
    fn partitions_and_faults_are_seen() {
        let mut ring = Ring::new();
        ring.faults.partitions = vec![vec![vec![(1, 1)], vec![(2, 4)]]];
        let effect = Effect { loss: 0.2, ..Effect::default() };
        ring.faults.rules = vec![FaultRule { from: vec![(4, 4)], to: Vec::new(), effect }];
        let picture = ring.picture();
        assert_eq!(look_of(&picture, (1, 2)), LinkLook::Cut);
        assert_eq!(look_of(&picture, (2, 4)), LinkLook::Faulty);
        assert_eq!(picture.nodes[0].look, NodeLook::Group(0));
        assert_eq!(picture.nodes[1].look, NodeLook::Group(1));
        assert!(picture.title.ends_with("3 links, in 2 components"), "{}", picture.title);
    }

    /// A link may be cut by other faults than a partition.
    #[test]
    fn a_link_that_loses_all_is_cut_by_a_fault() {
        let mut ring = Ring::new();
        let effect = Effect { loss: 1.0, ..Effect::default() };
        let rule = |from, to| FaultRule { from: vec![(from, from)], to: vec![(to, to)], effect };
        ring.faults.rules = vec![rule(1, 2), rule(2, 1)];
        let picture = ring.picture();
        assert_eq!(look_of(&picture, (1, 2)), LinkLook::Cut);
        let samples: Vec<&Sample> = picture.legend.iter().flatten().collect();
        let words = Sample::Link(LinkLook::Cut, "cut by a fault".into());
        assert!(samples.contains(&&words), "{samples:?}");
    }

    #[test]
    fn a_network_as_planned_needs_no_legend() {
        let mut ring = Ring::new();
        ring.said.truncate(2);
        ring.said.iter_mut().for_each(|said| said.peers.retain(|peer| peer.node.0 < 3));
        ring.planned.retain(|(a, b)| *a < 3 && *b < 3);
        assert!(ring.picture().legend.is_empty());
    }
}
