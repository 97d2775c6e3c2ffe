//! Nodes that die, stop, or come back.

use std::collections::BTreeSet;
use std::time::Duration;

use gossip::protocol::{MessageId, PeerState};
use rustix::process::Signal;

use crate::harness::{pause, wait_until};
use crate::lab::Lab;

/// Within this time survivors have found one another, and their messages get everywhere.
const RECOVERED_WITHIN: Duration = Duration::from_secs(10);
/// Within this time the dead are known to be dead: five seconds, and some for the machine.
const DEAD_WITHIN: Duration = Duration::from_secs(8);

#[test]
fn a_ring_survives_the_death_of_a_quarter() {
    // Two, three and four in a row among them.
    kill("circular", &[1, 2, 8, 9, 10, 20, 21, 22]);
}

#[test]
fn a_ring_survives_the_death_of_half() {
    // Every other one here, runs of up to five there.
    kill("circular", &[1, 3, 5, 7, 9, 10, 11, 12, 13, 16, 17, 18, 22, 23, 24, 25]);
}

#[test]
fn a_random_network_survives_the_death_of_a_quarter() {
    kill("random 3", &[4, 8, 12, 16, 20, 24, 28, 32]);
}

#[test]
fn a_random_network_survives_the_death_of_half() {
    kill("random 3", &(17..=32).collect::<Vec<u32>>());
}

/// Kills nodes all at once. Each survivor sends a message right then, and again when the dead are
/// known to be dead. All of these get to every survivor, and the survivors link up again.
fn kill(topology: &str, victims: &[u32]) {
    let mut lab = Lab::start(topology, 32);
    lab.until_linked();
    let first = mean_degree(&mut lab);
    lab.kill(victims);
    let survivors = lab.nodes();
    let mut ids: Vec<MessageId> = survivors.iter().map(|node| lab.send(*node, "now")).collect();
    let took = lab.until_all_hold(ids.len() as u64, RECOVERED_WITHIN);
    let within = DEAD_WITHIN.saturating_sub(took);
    let declared = wait_until("the dead to be declared dead", within, || {
        let wrong = survivors.iter().copied().filter(|node| hopes(&mut lab, *node, victims));
        let wrong: Vec<u32> = wrong.collect();
        if wrong.is_empty() { Ok(()) } else { Err(format!("{wrong:?} hold them for alive")) }
    });
    ids.extend(survivors.iter().map(|node| lab.send(*node, "later")));
    ids.sort_unstable();
    let later = lab.until_all_hold(ids.len() as u64, Duration::from_secs(5));
    lab.assert_all_hold_once(&ids);
    let closed = wait_until("the survivors to link up again", RECOVERED_WITHIN, || {
        let parts = parts(&mut lab);
        let degree = mean_degree(&mut lab);
        if parts.len() == 1 && (degree - first).abs() <= 1.0 {
            return Ok(());
        }
        Err(format!("mean degree {degree}, first {first}; parts {parts:?}"))
    });
    eprintln!(
        "{topology}, {} killed: messages sent at once took {took:?}, the dead were declared dead \
         {declared:?} later, messages sent then took {later:?}, all were linked again {closed:?} \
         later; mean degree {:.2}",
        victims.len(),
        mean_degree(&mut lab),
    );
}

/// The survivors by groups that are linked.
fn parts(lab: &mut Lab) -> Vec<BTreeSet<u32>> {
    let mut parts: Vec<BTreeSet<u32>> = Vec::new();
    for node in lab.nodes() {
        let mut part = BTreeSet::from([node]);
        part.extend(lab.neighbours(node));
        let (joined, apart) = parts.into_iter().partition(|other| !other.is_disjoint(&part));
        parts = apart;
        let joined: Vec<BTreeSet<u32>> = joined;
        part.extend(joined.into_iter().flatten());
        parts.push(part);
    }
    parts
}

/// Whether a node regards one of these as alive.
fn hopes(lab: &mut Lab, node: u32, victims: &[u32]) -> bool {
    lab.status(node).peers.iter().any(|peer| {
        victims.contains(&peer.node.0)
            && matches!(peer.state, PeerState::Alive | PeerState::Suspected)
    })
}

fn mean_degree(lab: &mut Lab) -> f64 {
    let nodes = lab.nodes();
    let links: usize = nodes.iter().map(|node| lab.neighbours(*node).len()).sum();
    links as f64 / nodes.len() as f64
}

#[test]
fn a_stopped_node_comes_back_and_catches_up() {
    let mut lab = Lab::start_beside("circular", 32);
    lab.until_linked();
    lab.signal(5, Signal::STOP);
    pause(Duration::from_secs(2));
    let others: Vec<u32> = lab.nodes().into_iter().filter(|node| *node != 5).collect();
    let mut ids: Vec<MessageId> = others.iter().map(|node| lab.send(*node, "meanwhile")).collect();
    pause(Duration::from_secs(28));
    for node in &others {
        assert_eq!(lab.status(*node).messages, ids.len() as u64, "node {node}");
    }
    lab.signal(5, Signal::CONT);
    let caught_up = lab.until_all_hold(ids.len() as u64, Duration::from_secs(5));
    ids.push(lab.send(5, "back"));
    ids.sort_unstable();
    lab.until_all_hold(ids.len() as u64, Duration::from_secs(5));
    lab.assert_all_hold_once(&ids);
    // It noticed that it had slept, and declared no other node dead.
    let status = lab.status(5);
    assert_eq!(status.counters.peers_dead, 0, "{:?}", status.counters);
    let whole = lab.until_linked();
    eprintln!("caught up within {caught_up:?}, the same ring {whole:?} later");
}

#[test]
fn a_node_that_is_started_again_gets_everything_once() {
    let mut lab = Lab::start("random 3", 32);
    lab.until_linked();
    let mut ids: Vec<MessageId> =
        (0..500).map(|n| lab.send(1 + n % 32, &format!("before {n}"))).collect();
    lab.until_all_hold(ids.len() as u64, Duration::from_secs(10));
    lab.kill(&[7]);
    ids.push(lab.send(8, "without it"));
    lab.start_again(7);
    let caught_up = lab.until_all_hold(ids.len() as u64, Duration::from_secs(10));
    ids.push(lab.send(7, "again"));
    lab.until_all_hold(ids.len() as u64, Duration::from_secs(5));
    ids.sort_unstable();
    assert_eq!(ids.iter().filter(|id| id.origin.incarnation == 2).count(), 1);
    lab.assert_all_hold_once(&ids);
    eprintln!("started again and caught up within {caught_up:?}");
}
