//! All nodes send more than the network carries, as fast as their send windows allow.

use std::sync::Arc;

use gossip::protocol::{Limits, MessageId};
use gossip::sim::{Life, Simulation};
use gossip::topology::Kind;

use super::harness::{RANDOM_3, RING, all_have, arrive, loss, millis, secs, started_with};

/// A network that retains `messages` at most and loses `share` of all datagrams.
fn retaining(kind: Kind, nodes: u32, seed: u64, messages: usize, share: f64) -> Simulation {
    let mut simulation = started_with(kind, nodes, seed, |options| {
        options.limits = Arc::new(Limits { messages_max: messages, ..Limits::default() });
    });
    simulation.set_faults(loss(share));
    simulation
}

/// Sends `each` messages from each node that is up, as soon as its send window is open.
fn send_all_at_once(simulation: &mut Simulation, each: usize) -> Vec<MessageId> {
    let mut left = vec![each; simulation.nodes() as usize];
    let up: Vec<u32> =
        (1..=simulation.nodes()).filter(|node| simulation.life(*node) == Life::Up).collect();
    let mut ids = Vec::new();
    for _ in 0..300_000 {
        for node in &up {
            let left = &mut left[*node as usize - 1];
            while *left > 0 && simulation.send_window(*node) > 0 {
                ids.push(simulation.send(*node, "one of very many", 1).unwrap());
                *left -= 1;
            }
        }
        if up.iter().all(|node| left[*node as usize - 1] == 0) {
            return ids;
        }
        simulation.run_for(millis(1)).unwrap();
    }
    panic!("the send windows did not admit {left:?} within 300 s");
}

/// Every node sends 100 messages as fast as it may, more together than a node retains. All arrive.
fn accept_at_once(kind: Kind, nodes: u32, seed: u64, messages: usize, share: f64) {
    let mut simulation = retaining(kind, nodes, seed, messages, share);
    let began = simulation.elapsed();
    let ids = send_all_at_once(&mut simulation, 100);
    let took = simulation.elapsed() - began;
    simulation.run_for(secs(10)).unwrap();
    let early = simulation.counters().limit_in_flight_evicted;
    let all = all_have(&simulation, &ids);
    println!(
        "{kind}, {nodes} nodes, {share} lost, seed {seed}: all have all {}: {all}, in {took:?}, {early} too early",
        ids.len()
    );
    assert!(ids.len() > 2 * messages, "more messages than a node retains");
    assert!(all && early == 0);
}

#[test]
fn messages_that_16_nodes_accept_at_once_arrive() {
    accept_at_once(RANDOM_3, 16, 1, 400, 0.2);
    accept_at_once(RANDOM_3, 16, 2, 400, 0.3);
}

#[test]
fn messages_that_32_nodes_accept_at_once_arrive() {
    accept_at_once(RANDOM_3, 32, 3, 1_000, 0.0);
    accept_at_once(RANDOM_3, 32, 4, 1_000, 0.2);
}

#[test]
fn messages_that_64_nodes_accept_at_once_arrive() {
    accept_at_once(RANDOM_3, 64, 5, 2_000, 0.1);
}

#[test]
fn messages_that_a_ring_accepts_at_once_arrive() {
    accept_at_once(RING, 16, 6, 400, 0.2);
}

#[test]
fn silent_nodes_hold_the_senders_up_only_until_they_are_suspected() {
    let mut simulation = retaining(RANDOM_3, 16, 7, 400, 0.1);
    let mut ids = send_all_at_once(&mut simulation, 50);
    arrive(&mut simulation, &ids, secs(10));
    simulation.crash(3);
    simulation.pause(9);
    let began = simulation.elapsed();
    let later = send_all_at_once(&mut simulation, 50);
    let took = simulation.elapsed() - began;
    println!("two of 16 nodes silent: {took:?}");
    assert!(took < secs(10), "{took:?}");
    ids.extend(later);
    let up = (simulation.nodes() - 2) as usize;
    let all = |s: &Simulation| ids.iter().all(|id| s.reached(*id) >= up);
    assert!(simulation.run_until(secs(10), millis(100), all).unwrap().is_some());
}
