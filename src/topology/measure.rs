//! What can be said about a finished graph: how far nodes are apart, how tightly they cluster.

use std::collections::VecDeque;

use super::{Graph, neighbours};

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

/// The hops from `node` to the node farthest from it; `None` if some cannot be reached.
///
/// # Panics
///
/// If there is no such node.
#[must_use]
pub fn eccentricity(graph: &Graph, node: u32) -> Option<u32> {
    distances(graph, node).into_iter().try_fold(0, |most, hops| hops.map(|hops| most.max(hops)))
}

/// How many of the pairs of a node's neighbours are linked to each other: 0.0 none, 1.0 all.
/// With fewer than two neighbours there is no pair, and it is 0.0.
#[must_use]
pub fn clustering_of(graph: &Graph, node: u32) -> f64 {
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
#[must_use]
pub fn clustering(graph: &Graph) -> f64 {
    let sum: f64 = graph.node_weights().map(|&node| clustering_of(graph, node)).sum();
    let nodes = u32::try_from(graph.node_count()).expect("nodes are numbered with u32");
    if nodes == 0 { 0.0 } else { sum / f64::from(nodes) }
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
        assert_eq!(eccentricity(&ring, 2), Some(3));
    }

    #[test]
    fn a_node_out_of_reach_has_no_distance() {
        let mut graph = built(Kind::Circular, 3);
        graph.add_node(4);
        assert_eq!(distances(&graph, 1)[3], None);
        assert_eq!(eccentricity(&graph, 1), None);
        assert_eq!(eccentricity(&built(Kind::Circular, 1), 1), Some(0));
    }

    #[test]
    fn clustering_has_known_answers() {
        let near = |a: f64, b: f64| (a - b).abs() < 1e-12;
        assert!(near(clustering(&built(Kind::Circular, 3)), 1.0));
        assert!(near(clustering(&built(Kind::Circular, 9)), 0.0));
        assert!(near(clustering(&built(Kind::Random { degree: Some(8) }, 9)), 1.0));
        // A square with one diagonal: 1 where two of the three neighbours lie, 2/3 elsewhere.
        let mut square = built(Kind::Circular, 4);
        square.add_edge(0.into(), 2.into(), ());
        assert!(near(clustering(&square), (1.0 + 1.0 + 2.0 / 3.0 + 2.0 / 3.0) / 4.0));
    }
}
