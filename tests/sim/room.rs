//! More is handed in than the network carries: all nodes send whenever there is room for more.

use std::sync::Arc;

use gossip::protocol::{Limits, MessageId};
use gossip::sim::Simulation;
use gossip::topology::Kind;

use super::harness::{RANDOM_3, RING, arrive, loss, millis, secs, settled_with};

/// A network in which so little is retained, with so much of all datagrams lost.
fn retaining(kind: Kind, nodes: u32, seed: u64, messages: usize, share: f64) -> Simulation {
    let mut simulation = settled_with(kind, nodes, seed, |options| {
        options.limits = Arc::new(Limits { messages_max: messages, ..Limits::default() });
    });
    simulation.set_faults(loss(share));
    simulation
}

/// So many messages from each node that is up, each as soon as there is room for it.
fn send_all_at_once(simulation: &mut Simulation, each: usize) -> Vec<MessageId> {
    let mut left = vec![each; simulation.nodes() as usize];
    let mut ids = Vec::new();
    for _ in 0..300_000 {
        for node in simulation.living() {
            let left = &mut left[node as usize - 1];
            while *left > 0 && simulation.room(node) > 0 {
                ids.push(simulation.send(node, "one of very many", 1).unwrap());
                *left -= 1;
            }
        }
        if simulation.living().iter().all(|node| left[*node as usize - 1] == 0) {
            return ids;
        }
        simulation.run_for(millis(1)).unwrap();
    }
    panic!("there is no room for {left:?} within 300 s");
}

#[test]
fn what_all_nodes_accept_at_once_arrives() {
    for (kind, nodes, seed, messages, share) in [
        (RANDOM_3, 16, 1, 400, 0.2),
        (RANDOM_3, 16, 2, 400, 0.3),
        (RANDOM_3, 32, 3, 1_000, 0.2),
        (RING, 16, 4, 400, 0.2),
    ] {
        let mut simulation = retaining(kind, nodes, seed, messages, share);
        let began = simulation.elapsed();
        let ids = send_all_at_once(&mut simulation, 100);
        let took = simulation.elapsed() - began;
        let early = simulation.counters().limit_unsettled_evicted;
        println!("{kind}, {nodes} nodes, {share} lost, seed {seed}: {took:?}, {early} too early");
        assert!(ids.len() > 2 * messages, "more than is retained");
        arrive(&mut simulation, &ids, secs(10));
    }
}

#[test]
fn nodes_that_stop_hold_the_others_up_for_a_moment_only() {
    let mut simulation = retaining(RANDOM_3, 16, 5, 400, 0.1);
    let mut ids = send_all_at_once(&mut simulation, 20);
    simulation.crash(3);
    simulation.pause(9);
    let began = simulation.elapsed();
    ids.extend(send_all_at_once(&mut simulation, 1));
    simulation.run_for(millis(100)).unwrap();
    assert!(simulation.elapsed() - began < secs(10));
}
