//! The flood when all is well, and when datagrams are late.

use gossip::metrics::Spread;
use gossip::protocol::Effect;
use gossip::sim::experiment::Experiment;
use gossip::topology::Kind;

use super::harness::{
    RANDOM_3, RING, all_have, everywhere, graph, millis, secs, send_paced, started,
};

#[test]
fn a_ring_of_32_takes_192_copies_for_three_relays() {
    let mut simulation = started(RING, 32, 1);
    let banana = simulation.send(8, "banana", 3).unwrap();
    simulation.run_for(secs(2)).unwrap();
    assert_eq!(simulation.reached(banana), 32);
    let counters = simulation.counters();
    assert_eq!((counters.rumors_sent, counters.repairs_sent), (192, 0));
    let spread = simulation.spread();
    assert_eq!(spread.coverage(), 1.0);
    assert_eq!(spread.last_delivery_hop(), 16);
    assert_eq!(spread.relative_message_redundancy(), Some(192.0 / 31.0 - 1.0));
    simulation.check_paths().unwrap();
}

#[test]
fn every_link_carries_each_message_r_times_each_way() {
    for kind in [RING, RANDOM_3, Kind::Powerlaw, Kind::Random { degree: Some(5) }] {
        let mut simulation = started(kind, 32, 7);
        let links = graph(kind, 32, 7).edge_count() as u64;
        for (node, relays) in [(1, 1), (17, 2), (32, 3)] {
            let before = simulation.counters().rumors_sent;
            simulation.send(node, "banana", relays).unwrap();
            simulation.run_for(secs(1)).unwrap();
            let copies = simulation.counters().rumors_sent - before;
            assert_eq!(copies, 2 * links * u64::from(relays), "{kind}, {relays} relays");
        }
        assert_eq!(simulation.spread().coverage(), 1.0);
        assert_eq!(simulation.counters().repairs_sent, 0, "{kind}");
    }
}

#[test]
fn ten_thousand_nodes_get_a_message_in_as_many_hops_as_they_are_apart() {
    let outcome = Experiment::default().run(&graph(RANDOM_3, 10_000, 1)).unwrap();
    assert!(outcome.complete);
    let spread: Spread = outcome.spread;
    // Moore's bound for degree 3: 3 · 2¹² nodes within 12 hops; a random graph takes a few more.
    assert!((12..=20).contains(&spread.last_delivery_hop()), "{}", spread.last_delivery_hop());
    // Each of 15,000 links carries a copy each way, but for those still under way at the end.
    let redundancy = spread.relative_message_redundancy().unwrap();
    assert!((1.9..=2.01).contains(&redundancy), "{redundancy}");
}

#[test]
fn a_delay_does_not_turn_messages_into_repairs() {
    let mut repairs = 0;
    for seed in 1..=5 {
        let mut simulation = started(RANDOM_3, 32, seed);
        simulation.set_faults(everywhere(Effect { delay: millis(50), ..Effect::default() }));
        // The first few find the links slower than they were, and measure that.
        send_paced(&mut simulation, 10, millis(300));
        simulation.run_for(secs(2)).unwrap();
        let before = simulation.counters();
        let ids = send_paced(&mut simulation, 100, millis(100));
        simulation.run_for(secs(2)).unwrap();
        assert!(all_have(&simulation, &ids));
        let after = simulation.counters();
        repairs += after.repairs_sent;
        let asked = after.haves_sent - before.haves_sent;
        // 100 messages on 96 directed links.
        assert!(asked < 96 * 100 / 50, "{asked} questions about messages that were on their way");
    }
    // A node may hear of a message from another that it happens to ask, before its copy is there.
    assert!(repairs < 5 * 32 * 110 / 1_000, "{repairs} of 17,600 deliveries");
}

#[test]
fn a_long_ring_does_not_turn_messages_into_repairs() {
    let mut simulation = started(RING, 1_000, 3);
    let ids = send_paced(&mut simulation, 8, millis(500));
    simulation.run_for(secs(2)).unwrap();
    assert!(all_have(&simulation, &ids));
    let counters = simulation.counters();
    assert_eq!(counters.rumors_sent, 8 * 2_000);
    assert_eq!((counters.repairs_sent, counters.ranges_sent), (0, 0));
    // 8 messages on 2,000 directed links.
    assert!(counters.haves_sent < 8 * 2_000 / 20, "{}", counters.haves_sent);
}
