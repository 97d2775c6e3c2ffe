//! Graphs with a few hubs and many triangles, as social networks have them.
//!
//! Holme and Kim, "Growing scale-free networks with tunable clustering", Physical Review E 65,
//! 026107 (2002): nodes come one by one, and each links to m others. The first is drawn with a
//! chance that is proportional to the links it has (preferential attachment, which makes the
//! hubs). Each further one is, with the triangle probability, a neighbour of the one drawn last
//! that way, which closes a triangle, and otherwise drawn like the first.
//!
//! The paper begins with m nodes and no links, which leaves some of these three with a single
//! link. Here they begin linked to one another, so that every node has three neighbours at
//! least, and the death of one cuts no other off.

use rand::RngExt;

use super::{Generator, Link};

/// The links a newcomer makes (the paper's m).
pub(super) const LINKS_PER_NEWCOMER: u32 = 3;

/// How often a further link of a newcomer closes a triangle (the paper's P_t).
pub(super) const TRIANGLE_PROBABILITY: f64 = 0.5;

/// The links of such a graph of at least [`LINKS_PER_NEWCOMER`] + 1 nodes.
pub(super) fn links(nodes: u32, triangle_probability: f64, rng: &mut Generator) -> Vec<Link> {
    let mut growing = Growing::with_first_nodes(nodes);
    for newcomer in LINKS_PER_NEWCOMER..nodes {
        growing.add(newcomer, triangle_probability, rng);
    }
    growing.links
}

struct Growing {
    links: Vec<Link>,
    /// Every end of every link: a uniform draw from these is preferential attachment.
    ends: Vec<u32>,
    /// By node, in the order in which they came.
    neighbours: Vec<Vec<u32>>,
}

impl Growing {
    fn with_first_nodes(nodes: u32) -> Self {
        let links = nodes as usize * LINKS_PER_NEWCOMER as usize;
        let mut growing = Self {
            links: Vec::with_capacity(links),
            ends: Vec::with_capacity(2 * links),
            neighbours: vec![Vec::new(); nodes as usize],
        };
        for a in 0..LINKS_PER_NEWCOMER {
            for b in a + 1..LINKS_PER_NEWCOMER {
                growing.link(a, b);
            }
        }
        growing
    }

    fn add(&mut self, newcomer: u32, triangle_probability: f64, rng: &mut Generator) {
        let mut attached = self.attach(newcomer, rng);
        for _ in 1..LINKS_PER_NEWCOMER {
            let closes = rng.random_bool(triangle_probability);
            match closes.then(|| self.triangle(newcomer, attached, rng)).flatten() {
                Some(third) => self.link(newcomer, third),
                // Also where all neighbours of the one drawn last are linked already.
                None => attached = self.attach(newcomer, rng),
            }
        }
    }

    /// Links the newcomer to a node drawn by its number of links, and returns that node.
    fn attach(&mut self, newcomer: u32, rng: &mut Generator) -> u32 {
        loop {
            // This comes to an end: a newcomer makes no more links than there are nodes
            // before it, and each of those has ends in the list.
            let node = self.ends[rng.random_range(0..self.ends.len())];
            if node != newcomer && !self.neighbours[newcomer as usize].contains(&node) {
                self.link(newcomer, node);
                return node;
            }
        }
    }

    /// A neighbour of `attached` that the newcomer is not linked to, if there is one.
    fn triangle(&self, newcomer: u32, attached: u32, rng: &mut Generator) -> Option<u32> {
        let known = &self.neighbours[newcomer as usize];
        let open: Vec<u32> = self.neighbours[attached as usize]
            .iter()
            .copied()
            .filter(|node| *node != newcomer && !known.contains(node))
            .collect();
        (!open.is_empty()).then(|| open[rng.random_range(0..open.len())])
    }

    fn link(&mut self, a: u32, b: u32) {
        self.links.push((a, b));
        self.ends.extend([a, b]);
        self.neighbours[a as usize].push(b);
        self.neighbours[b as usize].push(a);
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::super::{Graph, Kind, build, graph, neighbours};
    use super::*;

    /// How many of the pairs of a node's neighbours are linked to each other: 0.0 none, 1.0 all.
    /// With fewer than two neighbours there is no pair, and it is 0.0.
    fn clustering_of(graph: &Graph, node: u32) -> f64 {
        let neighbours = neighbours(graph, node);
        let mut pairs = 0u32;
        let mut linked = 0u32;
        for (place, &a) in neighbours.iter().enumerate() {
            for &b in &neighbours[place + 1..] {
                pairs += 1;
                linked += u32::from(graph.contains_edge((a - 1).into(), (b - 1).into()));
            }
        }
        if pairs == 0 { 0.0 } else { f64::from(linked) / f64::from(pairs) }
    }

    /// The mean of [`clustering_of`] over all nodes (Watts and Strogatz, "Collective dynamics of
    /// 'small-world' networks", 1998); 0.0 for no nodes.
    fn clustering(graph: &Graph) -> f64 {
        let sum: f64 = graph.node_weights().map(|&node| clustering_of(graph, node)).sum();
        let nodes = u32::try_from(graph.node_count()).expect("nodes are numbered with u32");
        if nodes == 0 { 0.0 } else { sum / f64::from(nodes) }
    }

    fn built(kind: Kind, nodes: u32, seed: u64) -> Graph {
        build(kind, nodes, seed).unwrap().0
    }

    #[test]
    fn triangles_raise_the_clustering_above_that_of_plain_preferential_attachment() {
        // 20 seeds each. Seen: 0.04 to 0.07 without triangles, 0.28 to 0.32 with them.
        for seed in 0..20 {
            let clustered = |triangle_probability| {
                let mut rng = Generator::seed_from_u64(seed);
                let links = links(500, triangle_probability, &mut rng);
                clustering(&graph(500, links))
            };
            let (plain, holme_kim) = (clustered(0.0), clustered(TRIANGLE_PROBABILITY));
            assert!(holme_kim > 2.5 * plain, "seed {seed}: {holme_kim} is close to {plain}");
        }
    }

    #[test]
    fn a_triangle_is_closed_whenever_there_is_one_to_close() {
        // Then every newcomer has two neighbours that know each other.
        for seed in 0..20 {
            let mut rng = Generator::seed_from_u64(seed);
            let graph = graph(100, links(100, 1.0, &mut rng));
            let least = (1..=100).map(|node| clustering_of(&graph, node));
            assert!(least.fold(1.0, f64::min) > 0.0, "seed {seed}");
        }
    }

    #[test]
    fn powerlaw_topologies_cluster_and_random_ones_do_not() {
        // 20 seeds. Seen with 500 nodes: 0.28 to 0.32, where the same without triangles has
        // 0.04 to 0.07.
        for seed in 0..20 {
            let powerlaw = clustering(&built(Kind::Powerlaw, 500, seed));
            let random = clustering(&built(Kind::Random { degree: Some(6) }, 500, seed));
            assert!(powerlaw > 0.2, "seed {seed}: {powerlaw}");
            assert!(random < 0.05, "seed {seed}: {random}");
        }
    }

    #[test]
    fn clustering_has_known_answers() {
        let near = |a: f64, b: f64| (a - b).abs() < 1e-12;
        assert!(near(clustering(&built(Kind::Circular, 3, 1)), 1.0));
        assert!(near(clustering(&built(Kind::Circular, 9, 1)), 0.0));
        assert!(near(clustering(&built(Kind::Random { degree: Some(8) }, 9, 1)), 1.0));
        // A square with one diagonal: 1 where two of the three neighbours lie, 2/3 elsewhere.
        let mut square = built(Kind::Circular, 4, 1);
        square.add_edge(0.into(), 2.into(), ());
        assert!(near(clustering(&square), (1.0 + 1.0 + 2.0 / 3.0 + 2.0 / 3.0) / 4.0));
    }
}
