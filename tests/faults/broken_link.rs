//! A single link that carries nothing, one way or both, while all other links work.

use std::time::Duration;

use gossip::protocol::PeerState;
use gossip::runtime::clock;

use crate::harness::namespace::{drop_between, inside};
use crate::harness::{pause, wait_until};
use crate::lab::Lab;

const NODES: u16 = 8;
/// The links of a random network of that many nodes and of degree 3.
const LINKS: u64 = NODES as u64 * 3 / 2;
const MEASURED_FOR: Duration = Duration::from_secs(5);
/// No node is given more texts: all of them fit what a node retains.
const TEXTS_MAX: u64 = 20_000;

#[test]
fn a_link_broken_both_ways_holds_up_neither_its_ends_nor_others() {
    inside("broken_link::a_link_broken_both_ways_holds_up_neither_its_ends_nor_others", || {
        break_a_link(true);
    });
}

#[test]
fn a_link_broken_one_way_holds_up_neither_its_ends_nor_others() {
    inside("broken_link::a_link_broken_one_way_holds_up_neither_its_ends_nor_others", || {
        break_a_link(false);
    });
}

fn break_a_link(both_ways: bool) {
    let mut lab = Lab::start("random 3", NODES);
    lab.until_linked();
    let (end, other) = (1, lab.first_peers(1)[0]);
    let elsewhere = lab
        .nodes()
        .into_iter()
        .find(|node| ![end, other].contains(node) && !lab.first_peers(end).contains(node));
    let (from, to) = (lab.addr(end).port(), lab.addr(other).port());
    drop_between(from, to);
    if both_ways {
        drop_between(to, from);
    }
    let mut all = 0;
    for node in [end, other, elsewhere.unwrap()] {
        let accepted = accepts(&mut lab, node);
        eprintln!("both ways {both_ways}: node {node} accepted {accepted} texts in 5 s");
        assert!(accepted > 500, "node {node} accepted {accepted} texts in 5 s");
        all += accepted;
    }
    lab.until_all_hold(all, Duration::from_secs(10));
    wait_until("both ends to give the link up", Duration::from_secs(15), || {
        let state = |lab: &mut Lab, a, b| {
            lab.status(a).peers.iter().find(|peer| peer.node.0 == b).map(|peer| peer.state)
        };
        let states = [(end, other), (other, end)].map(|(a, b)| state(&mut lab, a, b));
        if states == [Some(PeerState::Cut); 2] { Ok(()) } else { Err(format!("{states:?}")) }
    });
    // Trickle's timers take a while to slow down, and so do the probes of the lost link.
    pause(MEASURED_FOR * 4);
    let before = lab.counters().datagrams_sent;
    pause(MEASURED_FOR);
    let sent = lab.counters().datagrams_sent - before;
    eprintln!("both ways {both_ways}: {sent} datagrams in 5 s of rest");
    assert!(sent <= 2 * LINKS * MEASURED_FOR.as_secs(), "{sent} datagrams in 5 s of rest");
    assert_eq!(lab.counters().peers_dead, 0);
}

/// How many texts a node accepts in five seconds, one after the other, up to a number.
fn accepts(lab: &mut Lab, node: u32) -> u64 {
    let began = clock::now().monotonic;
    let mut accepted = 0;
    while accepted < TEXTS_MAX && clock::now().monotonic.since(began) < MEASURED_FOR {
        lab.send(node, "banana");
        accepted += 1;
    }
    accepted
}
