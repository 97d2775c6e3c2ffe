//! Datagrams that the kernel drops.

use std::time::Duration;

use super::lab::Lab;
use super::namespace::with_loss;

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

/// Each message, sent to one node or another, arrives at every node exactly once, and in time.
fn deliver(topology: &str, within: Duration) {
    let mut lab = Lab::start(topology, 32);
    let nodes = lab.nodes();
    let sent = nodes.iter().cycle().zip(0..MESSAGES);
    let mut ids: Vec<_> = sent.map(|(node, n)| lab.send(*node, &format!("message {n}"))).collect();
    ids.sort_unstable();
    lab.until_all_hold(ids.len() as u64, within * 2);
    let slowest = lab.assert_all_hold_once(&ids);
    println!("{topology}: the slowest arrival took {slowest:?}");
    println!("{:?}", lab.counters());
    assert!(slowest < within, "the slowest arrival took {slowest:?}");
}
