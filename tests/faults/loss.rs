//! All messages arrive though the kernel drops datagrams.

use std::time::Duration;

use gossip::runtime::clock;

use crate::harness::namespace::with_loss;
use crate::lab::Lab;

const MESSAGES: u32 = 50;

#[test]
fn a_ring_delivers_everything_at_20_percent_loss() {
    with_loss("loss::a_ring_delivers_everything_at_20_percent_loss", 20, || {
        deliver("circular", Duration::from_secs(5));
    });
}

#[test]
fn a_ring_delivers_everything_at_40_percent_loss() {
    with_loss("loss::a_ring_delivers_everything_at_40_percent_loss", 40, || {
        deliver("circular", Duration::from_secs(10));
    });
}

#[test]
fn a_random_network_delivers_everything_at_20_percent_loss() {
    with_loss("loss::a_random_network_delivers_everything_at_20_percent_loss", 20, || {
        deliver("random 3", Duration::from_secs(5));
    });
}

#[test]
fn a_random_network_delivers_everything_at_40_percent_loss() {
    with_loss("loss::a_random_network_delivers_everything_at_40_percent_loss", 40, || {
        deliver("random 3", Duration::from_secs(5));
    });
}

/// Each message, handed to one node after the other, arrives at every node exactly once, and in
/// time.
fn deliver(topology: &str, within: Duration) {
    let mut lab = Lab::start(topology, 32);
    let nodes = lab.nodes();
    let mut ids = Vec::new();
    for (node, n) in nodes.iter().cycle().zip(0..MESSAGES) {
        let asked = clock::now().monotonic;
        ids.push(lab.send(*node, &format!("message {n}")));
        // The wake-up call of a command is a datagram that may be lost as well.
        let took = clock::now().monotonic.since(asked);
        assert!(took < Duration::from_secs(1), "node {node} took {took:?} to accept a message");
    }
    ids.sort_unstable();
    lab.until_all_hold(ids.len() as u64, within * 2);
    let slowest = lab.assert_all_hold_once(&ids);
    let dead = lab.counters().peers_dead;
    eprintln!("{topology}: the slowest arrival took {slowest:?}; {dead} wrongly declared dead");
    assert!(slowest < within, "the slowest arrival took {slowest:?}");
}
