//! Traces of simulated messages: figures with known answers.

use gossip::protocol::{MessageId, NodeId};
use gossip::sim::{Life, Simulation};
use gossip::spread::{Faults, Lacks, NodeState, Said, Trace};
use gossip::topology::{Kind, measure};

use super::harness::{RANDOM_3, RING, graph, secs, started};

/// The trace of a message, from the answers of all nodes of a simulation.
fn trace(simulation: &Simulation, id: MessageId) -> Trace {
    let said = |node: u32| {
        let status = simulation.node(node).map(|node| node.status());
        let state = match simulation.life(node) {
            Life::Up => NodeState::Up,
            Life::Paused => NodeState::Paused,
            Life::Left => NodeState::Removed,
            Life::Waiting | Life::Crashed => NodeState::Down,
        };
        Said {
            node: NodeId(node),
            state,
            holding: simulation
                .node(node)
                .map(|node| node.holding(id))
                .filter(|_| state == NodeState::Up),
            peers: status.map(|status| status.peers).unwrap_or_default(),
        }
    };
    let said = (1..=simulation.nodes()).map(said).collect();
    Trace::of("simulated", id, said, &Faults::default()).unwrap()
}

#[test]
fn a_ring_of_32_with_equal_delays_is_as_theory_says() {
    let mut simulation = started(RING, 32, 1);
    for relays in [1, 2, 3] {
        let id = simulation.send(8, "banana", relays).unwrap();
        simulation.run_for(secs(2)).unwrap();
        let trace = trace(&simulation, id);
        let figures = &trace.figures;
        let copies = f64::from(64 * u32::from(relays));
        assert_eq!((figures.copies.value, figures.copies.theory), (copies, Some(copies)));
        assert_eq!((figures.repairs, figures.links, figures.complete), (0, 32, true));
        let last = figures.last_delivery_hop;
        assert_eq!((last.value, last.floor), (16.0, Some(16.0)));
        let redundancy = figures.relative_message_redundancy.unwrap();
        assert_eq!(redundancy.value, copies / 31.0 - 1.0);
        // All hops take as long, so the time is exactly the distance.
        let hop = figures.hop_latency_us.unwrap().value;
        assert_eq!(figures.time_to_us.p100.unwrap().value, 16.0 * hop);
        assert_eq!(figures.time_to_us.p50.unwrap().to_theory, Some(1.0));
        for node in &trace.nodes {
            assert_eq!(node.receipt.as_ref().map(|receipt| receipt.hops), node.distance);
        }
        assert_eq!(trace.tree().branches.len(), 32);
    }
}

#[test]
fn copies_are_as_many_as_expected_on_any_topology() {
    for kind in [RANDOM_3, Kind::Powerlaw] {
        let mut simulation = started(kind, 64, 5);
        let graph = graph(kind, 64, 5);
        for (node, relays) in [(1, 1), (40, 2)] {
            let before = simulation.counters();
            let id = simulation.send(node, "banana", relays).unwrap();
            simulation.run_for(secs(1)).unwrap();
            let counters = simulation.counters();
            let figures = trace(&simulation, id).figures;
            let copies = figures.copies;
            assert_eq!(copies.to_theory, Some(1.0), "{kind}");
            assert_eq!(copies.value, (counters.rumors_sent - before.rumors_sent) as f64);
            let bytes = counters.rumor_bytes_sent - before.rumor_bytes_sent;
            assert_eq!(figures.bytes.value, bytes as f64);
            let distances: Option<Vec<u32>> =
                measure::distances(&graph, node).into_iter().collect();
            let floor = distances.and_then(|all| all.into_iter().max()).map(f64::from);
            let last = figures.last_delivery_hop;
            assert_eq!(
                (Some(last.value), last.floor),
                (floor, floor),
                "equal delays: the shortest"
            );
        }
    }
}

#[test]
fn a_trace_tells_dead_nodes_from_paused_ones_and_counts_repairs() {
    let mut simulation = started(RING, 8, 3);
    simulation.crash(3);
    simulation.pause(5);
    let id = simulation.send(1, "banana", 1).unwrap();
    simulation.run_for(secs(1)).unwrap();
    let before = trace(&simulation, id);
    assert_eq!(before.lacking()[&Lacks::Down], [NodeId(3)]);
    assert_eq!(before.lacking()[&Lacks::Paused], [NodeId(5)]);
    simulation.resume(5);
    simulation.run_for(secs(2)).unwrap();
    simulation.start(3);
    simulation.run_for(secs(20)).unwrap();
    let after = trace(&simulation, id);
    assert!(after.lacking().is_empty());
    // All deliveries form one tree, whichever node was asked for them.
    assert!(after.tree().branches.len() >= 8);
    let tree = after.tree();
    let children: usize = tree.branches.iter().map(|branch| branch.children.len()).sum();
    assert_eq!(children + 1, tree.branches.len());
    assert_eq!(after.figures.coverage.value, 1.0);
    assert!(after.figures.repairs > 0);
}
