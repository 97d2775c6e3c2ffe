//! Random graphs in which the number of a node's links lies between two bounds.
//!
//! The lower bound gives a connected graph to begin with: a regular one, or a tree where one
//! link is enough. Then each node draws how many links it would like, and free ends are joined
//! in pairs at random. A pair that would be a loop, or a second link, is left out: so a node may
//! end up with fewer links than it drew, but never with fewer than the lower bound.

use std::collections::HashSet;

use rand::RngExt;
use rand::seq::SliceRandom;

use super::{Generator, Link, ordered, random};

/// The links of a simple connected graph in which each node has from `min` to `max` links.
///
/// `min` must be from 1 to one less than `nodes`, and `max` no less. Two links must be allowed
/// where there are more than two nodes, and an even sum of degrees be possible.
pub(super) fn links(nodes: u32, min: u32, max: u32, rng: &mut Generator) -> Vec<Link> {
    let max = max.min(nodes - 1);
    let mut links = if min == 1 {
        tree(nodes, max, rng)
    } else {
        let odd = nodes % 2 == 1 && min % 2 == 1;
        let one_more = odd.then(|| rng.random_range(0..nodes));
        random::links(nodes, min, one_more, rng)
    };
    fill(nodes, min, max, &mut links, rng);
    links
}

/// A random tree in which no node has more than `max` links: one node after the other is linked
/// to one of those before it that has room. The last one always has.
fn tree(nodes: u32, max: u32, rng: &mut Generator) -> Vec<Link> {
    let mut order: Vec<u32> = (0..nodes).collect();
    order.shuffle(rng);
    let mut room = vec![max; nodes as usize];
    let mut open: Vec<u32> = Vec::new();
    let mut links = Vec::new();
    for node in order {
        if !open.is_empty() {
            let place = rng.random_range(0..open.len());
            let other = open[place];
            links.push((other, node));
            room[node as usize] -= 1;
            room[other as usize] -= 1;
            if room[other as usize] == 0 {
                open.swap_remove(place);
            }
        }
        if room[node as usize] > 0 {
            open.push(node);
        }
    }
    links
}

/// Adds links at random, until the nodes have as many as each of them drew, or nearly.
fn fill(nodes: u32, min: u32, max: u32, links: &mut Vec<Link>, rng: &mut Generator) {
    let mut free: Vec<u32> = (0..nodes).map(|_| rng.random_range(min..=max)).collect();
    for &(a, b) in &*links {
        free[a as usize] = free[a as usize].saturating_sub(1);
        free[b as usize] = free[b as usize].saturating_sub(1);
    }
    let mut ends: Vec<u32> = Vec::new();
    for (node, &free) in (0u32..).zip(&free) {
        ends.extend((0..free).map(|_| node));
    }
    ends.shuffle(rng);
    // Only ever asked whether a link is there: no order of a hash table can show.
    let mut present: HashSet<Link> = links.iter().copied().map(ordered).collect();
    for pair in ends.chunks_exact(2) {
        let link = ordered((pair[0], pair[1]));
        if link.0 != link.1 && present.insert(link) {
            links.push(link);
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::super::{Bounds, Error, Graph, NoBounds, build_within, measure, neighbours};
    use super::*;

    fn built(nodes: u32, min: u32, max: u32, seed: u64) -> Result<Graph, Error> {
        build_within(nodes, Bounds { min, max }, seed)
    }

    #[test]
    fn degrees_keep_to_the_bounds_and_the_graph_is_simple_and_connected() {
        for nodes in 2..20 {
            for min in 1..nodes {
                for max in min..=nodes {
                    for seed in 0..5 {
                        let Ok(graph) = built(nodes, min, max, seed) else { continue };
                        let case = format!("{nodes} nodes, {min} to {max}, seed {seed}");
                        for node in 1..=nodes {
                            let mut peers = neighbours(&graph, node);
                            let degree = peers.len();
                            assert!((min as usize..=max as usize).contains(&degree), "{case}");
                            peers.dedup();
                            assert_eq!(peers.len(), degree, "{case}: linked twice");
                            assert!(!peers.contains(&node), "{case}: linked to itself");
                        }
                        let hops = measure::distances(&graph, 1);
                        assert!(hops.iter().all(Option::is_some), "{case}: in parts");
                    }
                }
            }
        }
    }

    #[test]
    fn impossible_bounds_are_refused_with_the_reason() {
        let refused = |nodes, min, max| match built(nodes, min, max, 1) {
            Err(Error::Bounds { why, .. }) => Some(why),
            _ => None,
        };
        assert_eq!(refused(8, 0, 3), Some(NoBounds::NoLinks));
        assert_eq!(refused(8, 4, 3), Some(NoBounds::Crossed));
        assert_eq!(refused(8, 8, 9), Some(NoBounds::TooHigh));
        assert_eq!(refused(1, 1, 1), Some(NoBounds::TooHigh));
        assert_eq!(refused(8, 1, 1), Some(NoBounds::OnlyPairs));
        assert_eq!(refused(9, 3, 3), Some(NoBounds::OddEnds));
        assert_eq!(refused(2, 1, 1), None);
        assert_eq!(refused(9, 3, 4), None);
        assert!(matches!(built(0, 1, 1, 1), Err(Error::NoNodes)));
        assert!(matches!(built(60_000, 1_000, 1_000, 1), Err(Error::TooManyLinks { .. })));
    }

    #[test]
    fn nodes_draw_from_the_whole_range() {
        let graph = built(1_000, 2, 6, 7).unwrap();
        let with = |degree| (1..=1_000).filter(|&n| neighbours(&graph, n).len() == degree).count();
        // About 200 each; the seed is fixed, so this cannot fail by chance.
        for degree in 2..=6 {
            assert!((100..300).contains(&with(degree)), "{degree}: {}", with(degree));
        }
    }

    #[test]
    fn the_seed_decides() {
        let links = |seed| built(50, 2, 4, seed).unwrap().edge_indices().count();
        let edges = |seed| {
            let graph = built(50, 2, 4, seed).unwrap();
            (1..=50).map(|node| neighbours(&graph, node)).collect::<Vec<_>>()
        };
        assert_eq!((edges(3), links(3)), (edges(3), links(3)));
        assert_ne!(edges(3), edges(4));
    }

    #[test]
    fn a_tree_leaves_no_node_alone_and_none_crowded() {
        for seed in 0..50 {
            let links = tree(40, 2, &mut Generator::seed_from_u64(seed));
            assert_eq!(links.len(), 39);
            for node in 0..40 {
                let degree = links.iter().filter(|(a, b)| *a == node || *b == node).count();
                assert!((1..=2).contains(&degree), "seed {seed}: {degree}");
            }
        }
    }
}
