//! What can be said about a finished graph: how far nodes are apart.

use std::collections::VecDeque;

use super::Graph;

/// The hops from the nearest of some nodes to each node, found by breadth-first search; `None`
/// where there is no way. Nodes are counted from 0, and `neighbours` are those of each.
#[must_use]
pub fn hops(neighbours: &[Vec<usize>], from: impl IntoIterator<Item = usize>) -> Vec<Option<u32>> {
    let mut queue: VecDeque<(usize, u32)> = from.into_iter().map(|start| (start, 0)).collect();
    let mut hops = vec![None; neighbours.len()];
    for (start, _) in &queue {
        hops[*start] = Some(0);
    }
    while let Some((at, far)) = queue.pop_front() {
        for &next in &neighbours[at] {
            if hops[next].is_none() {
                hops[next] = Some(far + 1);
                queue.push_back((next, far + 1));
            }
        }
    }
    hops
}

/// The hops from `node` to each node of a graph, in the order of their numbers.
///
/// # Panics
///
/// If there is no such node.
#[must_use]
pub fn distances(graph: &Graph, node: u32) -> Vec<Option<u32>> {
    let of = |index| graph.neighbors(index).map(|next| next.index()).collect();
    let neighbours: Vec<Vec<usize>> = graph.node_indices().map(of).collect();
    hops(&neighbours, [(node as usize).checked_sub(1).expect("nodes are numbered from 1")])
}

#[cfg(test)]
mod tests {
    use super::super::{Kind, build};
    use super::*;

    fn built(kind: Kind, nodes: u32) -> Graph {
        build(kind, nodes, 1).unwrap().0
    }

    #[test]
    fn hops_on_a_ring_count_the_shorter_way_round() {
        let ring = built(Kind::Circular, 6);
        assert_eq!(distances(&ring, 2), [1, 0, 1, 2, 3, 2].map(Some));
    }

    #[test]
    fn a_node_out_of_reach_has_no_distance() {
        let mut graph = built(Kind::Circular, 3);
        graph.add_node(4);
        assert_eq!(distances(&graph, 1)[3], None);
        assert_eq!(distances(&built(Kind::Circular, 1), 1), [Some(0)]);
    }
}
