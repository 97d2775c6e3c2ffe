//! Pictures of networks: which nodes and links, how each looks, where each lies.
//!
//! Values only: nothing here writes a file, asks a node or reads a clock. [`topology`] draws a
//! graph as it was generated, [`overlay()`] the links in use now, [`tree()`] how a message spread, and
//! [`page()`] replays that in a browser. `layout` says where nodes lie, [`look`] what stands for
//! what, and [`dot`] writes it all for Graphviz.

use std::collections::BTreeMap;

use crate::topology::{Graph, Kind};

pub mod dot;
mod layout;
pub mod look;
mod overlay_picture;
mod page;
mod tree_picture;

pub use overlay_picture::overlay;
pub use page::page;
pub use tree_picture::tree;

use layout::Place;
use look::{LinkLook, NodeLook, Sample};

/// A hub is drawn larger, up to this many times the usual diameter.
const HUB_SCALE_MAX: f64 = 2.0;

/// Nodes that would be only a little larger are drawn like the others.
const HUB_SCALE_MIN: f64 = 1.2;

/// A picture, ready to be written down.
#[derive(Clone, Debug, Default)]
pub struct Picture {
    /// Whose picture it is.
    pub title: String,
    /// What else there is to say, a line each.
    pub remarks: Vec<String>,
    /// What the looks mean, in rows. Empty where nothing needs explaining.
    pub legend: Vec<Vec<Sample>>,
    /// Whether the nodes lie in a circle, in the order of their numbers.
    pub ring: bool,
    /// The nodes, by number.
    pub nodes: Vec<Node>,
    /// The links; those that come later lie above.
    pub links: Vec<Link>,
    /// The links that say where nodes lie; where there are none, those that are drawn. Nodes
    /// stay where they are while the overlay changes.
    pub frame: Vec<(u32, u32)>,
}

/// What a picture of a message, or of the links in use, needs to know of its network besides.
#[derive(Clone, Debug, Default)]
pub struct Scene {
    /// Its topology in words.
    pub kind: String,
    /// Whether it is a ring, and was not rewired since.
    pub ring: bool,
    /// The links that were planned: nodes lie where they lay when these were in use.
    pub planned: Vec<(u32, u32)>,
}

/// A node in a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Node {
    /// Its number.
    pub number: u32,
    /// How it looks.
    pub look: NodeLook,
}

/// A link in a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// One end; where the look has an arrow, the one that it starts at.
    pub from: u32,
    /// The other end.
    pub to: u32,
    /// How it looks.
    pub look: LinkLook,
}

/// How large nodes are, and where they lie, in diameters of a usual node.
#[derive(Clone, Debug, PartialEq)]
struct Arrangement {
    /// The diameter of each node.
    diameters: Vec<f64>,
    /// The middle of each node.
    places: Vec<Place>,
}

impl Arrangement {
    /// Arranges nodes, given by number: for the links of the frame, or else for those drawn.
    fn of(ring: bool, nodes: &[u32], frame: &[(u32, u32)], drawn: &[Link]) -> Self {
        let mut links = frame.to_vec();
        if links.is_empty() {
            links.extend(drawn.iter().map(|link| (link.from, link.to)));
        }
        let index: BTreeMap<u32, usize> = nodes.iter().copied().zip(0..).collect();
        let ends = |(a, b): &(u32, u32)| Some((*index.get(a)?, *index.get(b)?));
        let mut links: Vec<(usize, usize)> =
            links.iter().filter_map(ends).map(|(a, b)| (a.min(b), a.max(b))).collect();
        links.sort_unstable();
        links.dedup();
        let diameters = diameters(nodes.len(), &links);
        let places =
            if ring { layout::ring(nodes.len()) } else { layout::spread(&diameters, &links) };
        Self { diameters, places }
    }
}

/// Hubs are larger.
fn diameters(nodes: usize, links: &[(usize, usize)]) -> Vec<f64> {
    let usual = (2.0 * links.len() as f64 / nodes as f64).max(1.0);
    let mut degrees = vec![0u32; nodes];
    for (a, b) in links {
        degrees[*a] += 1;
        degrees[*b] += 1;
    }
    let scale = |degree: u32| (f64::from(degree) / usual).sqrt().min(HUB_SCALE_MAX);
    let diameter = |degree| if scale(degree) > HUB_SCALE_MIN { scale(degree) } else { 1.0 };
    degrees.into_iter().map(diameter).collect()
}

impl Picture {
    /// Where its nodes lie, and how large they are.
    fn arrangement(&self) -> Arrangement {
        let numbers: Vec<u32> = self.nodes.iter().map(|node| node.number).collect();
        let mut arrangement = Arrangement::of(self.ring, &numbers, &self.frame, &self.links);
        // On a ring hubs would touch their neighbours.
        if self.ring {
            arrangement.diameters.fill(1.0);
        }
        arrangement
    }
}

/// A topology as it was generated.
#[must_use]
pub fn topology(graph: &Graph, kind: Kind, title: &str) -> Picture {
    let node = |&number: &u32| Node { number, look: NodeLook::Plain };
    let ends = graph.edge_indices().filter_map(|link| graph.edge_endpoints(link));
    let link = |(a, b)| Link { from: graph[a], to: graph[b], look: LinkLook::Plain };
    let (count, links) = (graph.node_count(), graph.edge_count());
    Picture {
        title: format!("{title}: {kind}, {}, {}", counted(count, "node"), counted(links, "link")),
        ring: kind == Kind::Circular,
        nodes: graph.node_weights().map(node).collect(),
        links: ends.map(link).collect(),
        ..Picture::default()
    }
}

/// `1 node`, `2 nodes`.
fn counted(count: usize, unit: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {unit}{plural}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology::build;

    #[test]
    fn only_hubs_are_drawn_larger() {
        let larger = |kind| {
            let (graph, _) = build(kind, 50, 1).unwrap();
            let diameters = topology(&graph, kind, "").arrangement().diameters;
            diameters.into_iter().filter(|diameter| *diameter > 1.0).count()
        };
        assert_eq!(larger(Kind::Random { degree: Some(4) }), 0);
        assert!((3..25).contains(&larger(Kind::Powerlaw)));
    }

    #[test]
    fn links_to_nowhere_are_no_reason_to_fall_over() {
        let arrangement = Arrangement::of(false, &[3, 7], &[(3, 7), (3, 9)], &[]);
        assert_eq!(arrangement.places.len(), 2);
    }
}
