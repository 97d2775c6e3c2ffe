//! Dead nodes are noticed soon, and living ones are not declared dead.

use gossip::protocol::PeerState;
use gossip::sim::Simulation;

use super::harness::{
    RANDOM_3, RING, arrive, cut, graph, is_a_ring, loss, millis, partition, secs, started,
};

#[test]
fn a_killed_node_is_dead_to_its_neighbours_within_five_seconds() {
    for seed in 1..=5 {
        let mut simulation = started(RANDOM_3, 32, seed);
        let neighbours = simulation.neighbours(7);
        simulation.crash(7);
        let noticed = |s: &Simulation| neighbours.iter().all(|n| sees(s, *n, 7) == PeerState::Dead);
        let took = simulation.run_until(secs(5), millis(50), noticed).unwrap();
        assert!(took.is_some(), "seed {seed}: not noticed within 5 s");
    }
}

/// How a node sees a neighbour.
fn sees(simulation: &Simulation, node: u32, peer: u32) -> PeerState {
    let peers = simulation.node(node).unwrap().status().peers;
    peers.iter().find(|info| info.node.0 == peer).map_or(PeerState::Removed, |info| info.state)
}

#[test]
fn no_node_is_declared_dead_in_an_hour_that_loses_a_fifth_of_all_datagrams() {
    let mut simulation = started(RANDOM_3, 32, 4);
    simulation.set_faults(loss(0.2));
    simulation.run_for(secs(3_600)).unwrap();
    let counters = simulation.counters();
    assert_eq!(counters.peers_dead, 0, "{} were suspected", counters.peers_suspected);
}

#[test]
fn no_node_is_declared_dead_while_many_nodes_start_one_by_one() {
    let options = gossip::sim::Options::new(&graph(RANDOM_3, 300, 1), 1);
    let mut simulation = Simulation::waiting(options);
    for node in 1..=300 {
        simulation.start(node);
        simulation.run_for(millis(30)).unwrap();
    }
    simulation.run_for(secs(5)).unwrap();
    assert_eq!(simulation.unrest(), None);
    assert_eq!(simulation.counters().peers_dead, 0);
}

#[test]
fn a_node_that_was_stopped_comes_back_by_itself_and_catches_up() {
    for (kind, seed) in [(RING, 1), (RANDOM_3, 1)] {
        let mut simulation = started(kind, 16, seed);
        simulation.pause(5);
        simulation.run_for(secs(10)).unwrap();
        let missed = simulation.send(9, "while it slept", 1).unwrap();
        simulation.run_for(secs(20)).unwrap();
        let dead_before = simulation.node(5).unwrap().status().counters.peers_dead;
        simulation.resume(5);
        arrive(&mut simulation, &[missed], secs(5));
        simulation.run_for(secs(20)).unwrap();
        assert_eq!(simulation.unrest(), None);
        let dead = simulation.node(5).unwrap().status().counters.peers_dead;
        assert_eq!(dead, dead_before, "it declared no node dead that only seemed silent");
        assert!(kind != RING || is_a_ring(&simulation));
    }
}

/// Has nodes send a text every ten milliseconds for ten seconds, where their windows are open; says how
/// many each accepted.
fn accept(simulation: &mut Simulation, nodes: &[u32]) -> Vec<usize> {
    let mut accepted = vec![0; nodes.len()];
    for _ in 0..1_000 {
        for (node, accepted) in nodes.iter().zip(&mut accepted) {
            if simulation.send_window(*node) > 0 {
                simulation.send(*node, "banana", 1).unwrap();
                *accepted += 1;
            }
        }
        simulation.run_for(millis(10)).unwrap();
    }
    accepted
}

#[test]
fn a_link_that_is_broken_for_good_holds_nobody_up_and_comes_back() {
    for (seed, one_way) in [(1, false), (2, true)] {
        let mut simulation = started(RANDOM_3, 32, seed);
        let (end, other) = (1, simulation.neighbours(1)[0]);
        let elsewhere = (2..=32).find(|node| *node != other && !simulation.linked(*node, end));
        let (from, to) = ([(end, end)], [(other, other)]);
        let faults = if one_way { vec![cut(&from, &to)] } else { partition(&from, &to) };
        simulation.set_faults(faults);
        let accepted = accept(&mut simulation, &[end, other, elsewhere.unwrap()]);
        println!("seed {seed}, one way {one_way}: {accepted:?} accepted in ten seconds");
        assert!(accepted.iter().all(|accepted| *accepted > 650), "{accepted:?}");
        simulation.run_for(secs(20)).unwrap();
        assert_eq!(simulation.apart(), None);
        assert_eq!(
            [(end, other), (other, end)].map(|(a, b)| sees(&simulation, a, b)),
            [PeerState::Cut; 2]
        );
        assert_eq!(simulation.counters().peers_dead, 0);
        simulation.set_faults(vec![]);
        let rest = simulation.run_until(secs(10), millis(100), |s| s.unrest().is_none()).unwrap();
        assert!(rest.is_some(), "seed {seed}: {:?}", simulation.unrest());
        assert!(simulation.linked(end, other) && simulation.linked(other, end));
    }
}
