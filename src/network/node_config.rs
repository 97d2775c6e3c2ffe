//! The configuration of each node of a network. Follows from a graph, random bytes of its launch and
//! a seed alone.

use std::net::SocketAddr;
use std::sync::Arc;

use petgraph::graph::NodeIndex;
use rand::SeedableRng;
use rand::rngs::Xoshiro256PlusPlus;
use rand::seq::index;

use super::Settings;
use crate::protocol::{Config, Incarnation, Key, NodeId, PeerAddr, Start};
use crate::topology::Graph;

/// The configuration of every node of a graph, by number, and its address.
pub(super) fn configs(
    graph: &Graph,
    addrs: &[SocketAddr],
    (key, launch): (Key, [u8; 16]),
    seed: u64,
    settings: &Settings,
) -> Vec<(Config, SocketAddr)> {
    let peer = |at: usize| PeerAddr { node: NodeId(graph[NodeIndex::new(at)]), addr: addrs[at] };
    let config = |at: usize| {
        let mut neighbours: Vec<PeerAddr> =
            graph.neighbors(NodeIndex::new(at)).map(|neighbour| peer(neighbour.index())).collect();
        neighbours.sort_unstable();
        let node = peer(at).node;
        let amount = settings.limits.sample_max;
        let others = draw(addrs.len() - 1, amount, sample_seed(seed, node, 1)).into_iter();
        // The node itself is left out.
        let sample = others.map(|other| peer(other + usize::from(other >= at))).collect();
        let start = Start { incarnation: 1, nonce: nonce(&launch, node) };
        let config = self::config(node, start, key, seed, neighbours, sample, settings);
        (Config { launch: Some(launch), ..config }, addrs[at])
    };
    (0..addrs.len()).map(config).collect()
}

/// The configuration of one node of a network without faults.
pub(super) fn config(
    node: NodeId,
    start: Start,
    key: Key,
    seed: u64,
    neighbours: Vec<PeerAddr>,
    sample: Vec<PeerAddr>,
    settings: &Settings,
) -> Config {
    let mut config = Config::new(node, start, key, node_seed(seed, node, start.incarnation));
    config.limits = Arc::new(settings.limits.clone());
    config.timing = Arc::new(settings.timing.clone());
    // A hub has as many links as the graph says, and as many again to close ranks with.
    let limit = &mut config.limits_mut().neighbours_max;
    *limit = (*limit).max(2 * neighbours.len());
    Config { neighbours, sample, ..config }
}

/// The nonce of a node's first start. No other launch has the same bytes, so no other start has this nonce.
fn nonce(launch: &[u8; 16], node: NodeId) -> [u8; 16] {
    let mut hasher = blake3::Hasher::new_derive_key("gossip-network 2026 start nonce v1");
    hasher.update(launch);
    hasher.update(&node.0.to_le_bytes());
    let mut bytes = [0; 16];
    hasher.finalize_xof().fill(&mut bytes);
    bytes
}

/// Where the randomness of one life of one node comes from.
fn node_seed(seed: u64, node: NodeId, incarnation: Incarnation) -> u64 {
    derive("gossip-network 2026 node seed v1", seed, node, incarnation)
}

/// Where the choice of the nodes it knows beside its neighbours comes from.
pub(super) fn sample_seed(seed: u64, node: NodeId, incarnation: Incarnation) -> u64 {
    derive("gossip-network 2026 sample seed v1", seed, node, incarnation)
}

/// Neighbouring numbers must not give related seeds, hence a hash.
fn derive(context: &str, seed: u64, node: NodeId, incarnation: Incarnation) -> u64 {
    let (node, incarnation) = (node.0.to_le_bytes(), incarnation.to_le_bytes());
    let material = [&seed.to_le_bytes()[..], &node, &incarnation].concat();
    let hash = blake3::derive_key(context, &material);
    u64::from_le_bytes(*hash.first_chunk().expect("a hash has 32 bytes"))
}

/// Up to `amount` of the numbers below `count`, drawn uniformly, each at most once.
pub(super) fn draw(count: usize, amount: usize, seed: u64) -> Vec<usize> {
    let mut dice = Xoshiro256PlusPlus::seed_from_u64(seed);
    index::sample(&mut dice, count, amount.min(count)).into_vec()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn star(nodes: u32) -> Vec<(Config, SocketAddr)> {
        let mut graph = Graph::default();
        let all: Vec<NodeIndex> = (1..=nodes).map(|node| graph.add_node(node)).collect();
        for other in &all[1..] {
            graph.add_edge(all[0], *other, ());
        }
        let addr = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let addrs: Vec<SocketAddr> = (1..=nodes).map(|node| addr(node as u16)).collect();
        configs(&graph, &addrs, (Key([7; 32]), [1; 16]), 42, &Settings::default())
    }

    #[test]
    fn both_ends_of_a_link_know_each_other() {
        let nodes = star(5);
        let hub: Vec<u32> = nodes[0].0.neighbours.iter().map(|peer| peer.node.0).collect();
        assert_eq!(hub, [2, 3, 4, 5]);
        for (config, addr) in &nodes[1..] {
            assert_eq!(config.neighbours, [PeerAddr { node: NodeId(1), addr: nodes[0].1 }]);
            assert_eq!(u32::from(addr.port()), config.node.0);
        }
    }

    #[test]
    fn a_hub_may_have_twice_the_neighbours_that_it_starts_with() {
        let nodes = star(300);
        assert_eq!(nodes[0].0.limits.neighbours_max, 598);
        assert_eq!(nodes[1].0.limits.neighbours_max, 256);
    }

    #[test]
    fn samples_hold_sixteen_different_others() {
        for (config, _) in star(40) {
            let sample: BTreeSet<u32> = config.sample.iter().map(|peer| peer.node.0).collect();
            assert_eq!(sample.len(), 16);
            assert!(!sample.contains(&config.node.0));
            assert!(sample.iter().all(|node| (1..=40).contains(node)));
        }
        assert!(star(1)[0].0.sample.is_empty());
        assert_eq!(star(2)[0].0.sample.len(), 1);
    }

    #[test]
    fn samples_favour_nobody() {
        let mut drawn = [0; 41];
        for (config, _) in star(40) {
            config.sample.iter().for_each(|peer| drawn[peer.node.0 as usize] += 1);
        }
        // 40 × 16 / 40 = 16 on average; the seed is fixed, so this cannot fail by chance.
        assert!(drawn[1..].iter().all(|count| (4..=28).contains(count)), "{drawn:?}");
    }

    #[test]
    fn the_seed_decides_and_no_two_nodes_share_their_randomness() {
        let seeds: BTreeSet<u64> = star(40).iter().map(|(config, _)| config.seed).collect();
        assert_eq!(seeds.len(), 40);
        assert_eq!(star(9)[3].0.sample, star(9)[3].0.sample);
        assert_ne!(node_seed(1, NodeId(2), 1), node_seed(1, NodeId(2), 2));
        assert_ne!(node_seed(1, NodeId(2), 1), node_seed(2, NodeId(1), 1));
    }
}
