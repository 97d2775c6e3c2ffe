//! Topologies: which node is linked to which at the start.
//!
//! Values only: nothing here writes a file.

use std::fmt;

use petgraph::graph::UnGraph;
use serde::{Deserialize, Serialize};

pub mod dot;

/// A graph of nodes. Node index `i` is node number `i + 1`, which is also its weight.
pub type Graph = UnGraph<u32, ()>;

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
        /// How many. `None`: 3, adapted to the number of nodes.
        degree: Option<u32>,
    },
}

/// Why a topology cannot be built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// There must be at least one node.
    NoNodes,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoNodes => f.write_str("a network has at least one node"),
        }
    }
}

impl std::error::Error for Error {}

/// What was adapted to make the default degree possible; for people to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Adapted {
    /// There are too few nodes for degree 3.
    Degree {
        /// The degree instead.
        degree: u32,
    },
    /// nodes × degree is odd, so this node has one link more.
    OneMore {
        /// Which.
        node: u32,
    },
}

/// Builds the graph; the same arguments give the same graph, on any machine.
///
/// # Errors
///
/// [`Error`], before anything is drawn, where there can be no such graph.
pub fn build(kind: Kind, nodes: u32, seed: u64) -> Result<(Graph, Vec<Adapted>), Error> {
    let _ = (kind, nodes, seed);
    unimplemented!()
}
