//! Topologies: which node is linked to which at the start.
//!
//! Values only: nothing here writes a file, prints or reads a clock. All chance comes from the
//! seed, through a generator whose output is the same on every machine, and nothing iterates
//! over a hash table: the same arguments give the same graph everywhere.
//!
//! The generators are in `random`, `powerlaw` and `within`; [`measure`] looks at a finished
//! graph, and [`picture`](crate::picture) draws it.

use std::fmt;

use petgraph::graph::{NodeIndex, UnGraph};
use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng, seq};
use serde::{Deserialize, Serialize};

pub mod measure;
mod powerlaw;
mod random;
mod within;

/// A graph of nodes. Node index `i` is node number `i + 1`, which is also its weight.
pub type Graph = UnGraph<u32, ()>;

/// The degree of a random topology for which none was asked.
pub const DEGREE_DEFAULT: u32 = 3;

/// The fewest nodes of a powerlaw topology: a newcomer links to three others.
pub const POWERLAW_NODES_MIN: u32 = powerlaw::LINKS_PER_NEWCOMER + 1;

/// The most links a topology may have; a larger one is refused before memory is spent on it.
pub const LINKS_MAX: u64 = 20_000_000;

/// The generator behind every topology: fast, seeded with a number, the same on any machine.
type Generator = Xoshiro256PlusPlus;

/// Two linked nodes, counted from 0. Only graphs that leave this module count from 1.
type Link = (u32, u32);

/// The shapes a network can start with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A ring.
    Circular,
    /// Holme–Kim: preferential attachment with triangles.
    Powerlaw,
    /// Every node has the same number of neighbours, drawn at random.
    Random {
        /// How many. `None`: [`DEGREE_DEFAULT`], adapted to the number of nodes.
        degree: Option<u32>,
    },
}

impl fmt::Display for Kind {
    /// As one would type it: `circular`, `powerlaw`, `random`, `random 3`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Circular => f.write_str("circular"),
            Self::Powerlaw => f.write_str("powerlaw"),
            Self::Random { degree: None } => f.write_str("random"),
            Self::Random { degree: Some(degree) } => write!(f, "random {degree}"),
        }
    }
}

/// The fewest and the most links of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// The fewest.
    pub min: u32,
    /// The most.
    pub max: u32,
}

/// Where one of two bounds is not given: the fewest links are 2, the most 2 more than the fewest.
const LINKS_MIN_DEFAULT: u32 = 2;
const SPREAD_DEFAULT: u32 = 2;

impl Bounds {
    /// The bounds for this many nodes where only one of them, or none, is given.
    #[must_use]
    pub fn given(min: Option<u32>, max: Option<u32>, nodes: u32) -> Self {
        let most = max.unwrap_or(u32::MAX).min(nodes.saturating_sub(1)).max(1);
        let min = min.unwrap_or(LINKS_MIN_DEFAULT.min(most));
        Self { min, max: max.unwrap_or(min.saturating_add(SPREAD_DEFAULT)) }
    }
}

/// Why there is no graph with the degrees asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoBounds {
    /// With 0 links allowed, a node might have none.
    NoLinks,
    /// The fewest are more than the most.
    Crossed,
    /// A node cannot have more links than there are other nodes.
    TooHigh,
    /// At most one link each leaves more than two nodes apart in pairs.
    OnlyPairs,
    /// Each link has two ends: an odd number of nodes cannot all have the same odd degree.
    OddEnds,
}

/// Why a topology cannot be built.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// There must be at least one node.
    #[error("a network has at least one node")]
    NoNodes,
    /// Degree 0: nobody would hear of anything.
    #[error("no node would have a neighbour to pass messages on to")]
    NoLinks,
    /// Degree 1 links nodes in pairs, which stay apart from one another.
    #[error("nodes would be linked in pairs, which stay apart from one another")]
    OnlyPairs {
        /// The nodes asked for, more than 2.
        nodes: u32,
    },
    /// A node cannot have more neighbours than there are other nodes.
    #[error("a node has at most {} others to link to", nodes.saturating_sub(1))]
    DegreeTooHigh {
        /// The degree asked for.
        degree: u32,
        /// The nodes asked for.
        nodes: u32,
    },
    /// Each link has two ends, so the degrees of all nodes add up to an even number.
    #[error("each link has two ends, and {nodes} × {degree} ends is an odd number")]
    OddEnds {
        /// The degree asked for, odd.
        degree: u32,
        /// The nodes asked for, an odd number.
        nodes: u32,
    },
    /// A powerlaw topology begins with [`POWERLAW_NODES_MIN`] nodes.
    #[error("it begins with {POWERLAW_NODES_MIN} nodes")]
    TooFewForPowerlaw {
        /// The nodes asked for.
        nodes: u32,
    },
    /// There is no graph whose degrees lie within these bounds.
    #[error("{nodes} nodes cannot have from {} to {} neighbours each", bounds.min, bounds.max)]
    Bounds {
        /// The bounds.
        bounds: Bounds,
        /// The number of nodes.
        nodes: u32,
        /// Why not.
        why: NoBounds,
    },
    /// More than [`LINKS_MAX`].
    #[error("no more than {LINKS_MAX} are allowed")]
    TooManyLinks {
        /// The links that the topology would have.
        links: u64,
    },
}

/// What was adapted to make the default degree possible; for people to know.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Adapted {
    /// There are too few nodes for degree 3.
    #[error("too few nodes for degree {DEGREE_DEFAULT}: the degree is {degree}")]
    Degree {
        /// The degree instead.
        degree: u32,
    },
    /// nodes × degree is odd, so this node has one link more.
    #[error("the number of nodes times {DEGREE_DEFAULT} is odd: node {node} has one link more")]
    OneMore {
        /// Which.
        node: u32,
    },
}

/// Builds the graph; the same arguments give the same graph, on any machine.
///
/// It is simple (no node is linked to itself, no two nodes are linked twice) and connected. Its
/// links are in ascending order, each from its lower to its higher number.
///
/// # Errors
///
/// [`Error`], before anything is drawn, where there can be no such graph.
pub fn build(kind: Kind, nodes: u32, seed: u64) -> Result<(Graph, Vec<Adapted>), Error> {
    check(kind, nodes)?;
    let mut rng = Generator::seed_from_u64(seed);
    let mut adapted = Vec::new();
    let links = match kind {
        Kind::Circular => ring(nodes),
        Kind::Powerlaw => powerlaw::links(nodes, powerlaw::TRIANGLE_PROBABILITY, &mut rng),
        Kind::Random { degree: Some(degree) } => random::links(nodes, degree, None, &mut rng),
        Kind::Random { degree: None } => {
            let degree = DEGREE_DEFAULT.min(nodes - 1);
            if degree < DEGREE_DEFAULT {
                adapted.push(Adapted::Degree { degree });
            }
            let odd = nodes % 2 == 1 && degree % 2 == 1;
            let one_more = odd.then(|| rng.random_range(0..nodes));
            adapted.extend(one_more.map(|index| Adapted::OneMore { node: index + 1 }));
            random::links(nodes, degree, one_more, &mut rng)
        }
    };
    Ok((graph(nodes, links), adapted))
}

/// Builds a random graph in which the number of each node's neighbours lies within `bounds`; the
/// same arguments give the same graph, on any machine. It is simple and connected.
///
/// # Errors
///
/// [`Error`], before anything is drawn, where there can be no such graph.
pub fn build_within(nodes: u32, bounds: Bounds, seed: u64) -> Result<Graph, Error> {
    let Bounds { min, max } = bounds;
    let refuse = |why| Err(Error::Bounds { bounds, nodes, why });
    match () {
        () if nodes == 0 => return Err(Error::NoNodes),
        () if min == 0 => return refuse(NoBounds::NoLinks),
        () if min > max => return refuse(NoBounds::Crossed),
        () if min >= nodes => return refuse(NoBounds::TooHigh),
        () if max == 1 && nodes > 2 => return refuse(NoBounds::OnlyPairs),
        () if min == max && min % 2 == 1 && nodes % 2 == 1 => return refuse(NoBounds::OddEnds),
        () => {}
    }
    let links = u64::from(nodes) * u64::from(max.min(nodes - 1)) / 2;
    if links > LINKS_MAX {
        return Err(Error::TooManyLinks { links });
    }
    let mut rng = Generator::seed_from_u64(seed);
    Ok(graph(nodes, within::links(nodes, min, max, &mut rng)))
}

/// The neighbours of a node, by number, in ascending order; none if there is no such node.
#[must_use]
pub fn neighbours(graph: &Graph, node: u32) -> Vec<u32> {
    let Some(index) = node.checked_sub(1) else { return Vec::new() };
    let mut neighbours: Vec<u32> =
        graph.neighbors(NodeIndex::from(index)).map(|other| graph[other]).collect();
    neighbours.sort_unstable();
    neighbours
}

/// Draws `count` of the nodes 1 to `nodes` other than `node`, each set of them equally likely;
/// all others if there are no more than that.
///
/// The same arguments give the same sample, in the same order. Nodes draw independently of one
/// another, so the samples of two neighbours overlap only by chance. Hence uniform samples show a
/// way across a network of which half has died.
#[must_use]
pub fn sample(nodes: u32, node: u32, count: usize, seed: u64) -> Vec<u32> {
    // Seeds are scrambled before use, so neighbouring ones do for unrelated generators. The
    // high half leaves the seeds near `seed` to other draws.
    let mut rng = Generator::seed_from_u64(seed ^ (u64::from(node) << 32));
    let others = nodes.saturating_sub(1) as usize;
    seq::index::sample(&mut rng, others, count.min(others))
        .iter()
        .map(|index| {
            let number = u32::try_from(index).expect("an index below a u32 fits one") + 1;
            if number < node { number } else { number + 1 }
        })
        .collect()
}

fn check(kind: Kind, nodes: u32) -> Result<(), Error> {
    if nodes == 0 {
        return Err(Error::NoNodes);
    }
    match kind {
        Kind::Random { degree: Some(0) } => return Err(Error::NoLinks),
        Kind::Random { degree: Some(degree) } if degree >= nodes => {
            return Err(Error::DegreeTooHigh { degree, nodes });
        }
        Kind::Random { degree: Some(1) } if nodes > 2 => return Err(Error::OnlyPairs { nodes }),
        Kind::Random { degree: Some(degree) } if degree % 2 == 1 && nodes % 2 == 1 => {
            return Err(Error::OddEnds { degree, nodes });
        }
        Kind::Powerlaw if nodes < POWERLAW_NODES_MIN => {
            return Err(Error::TooFewForPowerlaw { nodes });
        }
        _ => {}
    }
    let ends_per_node = match kind {
        Kind::Circular => 2,
        Kind::Powerlaw => 2 * powerlaw::LINKS_PER_NEWCOMER,
        Kind::Random { degree } => degree.unwrap_or(DEGREE_DEFAULT),
    };
    let links = u64::from(nodes) * u64::from(ends_per_node) / 2;
    if links > LINKS_MAX { Err(Error::TooManyLinks { links }) } else { Ok(()) }
}

/// Each node with the next, the last with the first. Two nodes share one link, not two.
fn ring(nodes: u32) -> Vec<Link> {
    let mut links: Vec<Link> = (1..nodes).map(|node| (node - 1, node)).collect();
    if nodes > 2 {
        links.push((0, nodes - 1));
    }
    links
}

fn graph(nodes: u32, mut links: Vec<Link>) -> Graph {
    for link in &mut links {
        *link = ordered(*link);
    }
    links.sort_unstable();
    let mut graph = Graph::with_capacity(nodes as usize, links.len());
    for number in 1..=nodes {
        graph.add_node(number);
    }
    for (a, b) in links {
        graph.add_edge(NodeIndex::from(a), NodeIndex::from(b), ());
    }
    graph
}

/// The same link, its lower end first: links are told apart in this form.
fn ordered((a, b): Link) -> Link {
    if a < b { (a, b) } else { (b, a) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_reads_as_one_would_type_it() {
        assert_eq!(Kind::Circular.to_string(), "circular");
        assert_eq!(Kind::Powerlaw.to_string(), "powerlaw");
        assert_eq!(Kind::Random { degree: None }.to_string(), "random");
        assert_eq!(Kind::Random { degree: Some(5) }.to_string(), "random 5");
    }

    #[test]
    fn a_ring_of_two_is_one_link() {
        assert_eq!(ring(1), []);
        assert_eq!(ring(2), [(0, 1)]);
        assert_eq!(ring(3), [(0, 1), (1, 2), (0, 2)]);
    }

    #[test]
    fn bounds_that_are_not_given_are_sensible() {
        let given = |min, max, nodes| {
            let Bounds { min, max } = Bounds::given(min, max, nodes);
            (min, max)
        };
        assert_eq!(given(None, None, 16), (2, 4));
        assert_eq!(given(Some(5), None, 16), (5, 7));
        assert_eq!(given(None, Some(3), 16), (2, 3));
        assert_eq!(given(None, Some(1), 2), (1, 1));
        assert_eq!(given(None, None, 2), (1, 3));
        assert_eq!(given(Some(9), Some(3), 16), (9, 3));
    }

    #[test]
    fn a_topology_that_would_fill_the_memory_is_refused() {
        let complete = Kind::Random { degree: Some(65_533) };
        let refused = build(complete, 65_534, 1).map(|_| ());
        assert_eq!(refused, Err(Error::TooManyLinks { links: 2_147_319_811 }));
        assert!(matches!(build(Kind::Circular, u32::MAX, 1), Err(Error::TooManyLinks { .. })));
    }
}
