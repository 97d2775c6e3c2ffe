//! A network cut in two.

use std::time::Duration;

use gossip::protocol::{Effect, FaultRule, MessageId};

use crate::harness::pause;
use crate::lab::Lab;

#[test]
fn a_ring_heals_after_a_partition() {
    cut_and_heal("circular");
}

#[test]
fn a_random_network_heals_after_a_partition() {
    cut_and_heal("random 3");
}

/// Cuts a network in halves for 20 seconds. Messages sent on both sides meanwhile are everywhere
/// within 5 seconds of the heal.
fn cut_and_heal(topology: &str) {
    let mut lab = Lab::start_beside(topology, 32);
    lab.until_linked();
    lab.set_faults(&[cut((1, 16), (17, 32)), cut((17, 32), (1, 16))]);
    pause(Duration::from_secs(2));
    let mut ids: Vec<MessageId> = (1..=32).map(|node| lab.send(node, "early")).collect();
    pause(Duration::from_secs(17));
    ids.extend((1..=32).map(|node| lab.send(node, "late")));
    pause(Duration::from_secs(1));
    for node in 1..=32 {
        let held = lab.status(node).messages;
        assert_eq!(held, 32, "node {node} has the messages of its own side, and no more");
    }
    lab.set_faults(&[]);
    let took = lab.until_all_hold(ids.len() as u64, Duration::from_secs(5));
    ids.sort_unstable();
    lab.assert_all_hold_once(&ids);
    eprintln!("{topology}: everything everywhere {took:?} after the heal");
    if topology == "circular" {
        let whole = lab.until_linked();
        eprintln!("the same ring after {whole:?}");
    }
}

/// Nothing gets from the nodes `from` to the nodes `to`.
fn cut(from: (u32, u32), to: (u32, u32)) -> FaultRule {
    let effect = Effect { loss: 1.0, ..Effect::default() };
    FaultRule { from: vec![from], to: vec![to], effect }
}
