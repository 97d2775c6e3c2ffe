//! Repair brings every node the messages that the flood did not, and costs little.

use std::time::Duration;

use gossip::protocol::Counters;
use gossip::sim::{Checks, Simulation};

use super::harness::{
    RANDOM_3, RING, all_have, arrive, is_a_ring, links, loss, millis, partition, secs, send_paced,
    started, started_with,
};

/// Sends 50 messages from different nodes of 32 while `share` of all datagrams is lost.
fn fifty_messages(kind: gossip::topology::Kind, share: f64, within: Duration) {
    for seed in 1..=3 {
        let mut simulation = started(kind, 32, seed);
        simulation.set_faults(loss(share));
        let ids = send_paced(&mut simulation, 50, millis(20));
        let took = arrive(&mut simulation, &ids, within);
        println!("{kind}, {share} lost, seed {seed}: all have all after {took:?}");
    }
}

#[test]
fn messages_arrive_though_a_fifth_or_two_of_all_datagrams_are_lost() {
    fifty_messages(RANDOM_3, 0.2, secs(5));
    fifty_messages(RANDOM_3, 0.4, secs(5));
    fifty_messages(RING, 0.2, secs(5));
    fifty_messages(RING, 0.4, secs(10));
}

#[test]
fn messages_sent_during_a_partition_are_everywhere_five_seconds_after_it() {
    for (kind, seed) in [(RING, 1), (RING, 2), (RANDOM_3, 1), (RANDOM_3, 2)] {
        let mut simulation = started(kind, 32, seed);
        let before = links(&simulation);
        simulation.set_faults(partition(&[(1, 16)], &[(17, 32)]));
        let mut ids = send_paced(&mut simulation, 40, millis(500));
        simulation.set_faults(vec![]);
        ids.push(simulation.send(1, "healed", 1).unwrap());
        arrive(&mut simulation, &ids, secs(5));
        simulation.run_for(secs(30)).unwrap();
        assert_eq!(simulation.unrest(), None);
        if kind == RING {
            assert!(is_a_ring(&simulation));
            assert_eq!(links(&simulation), before, "it is the same ring");
        }
    }
}

#[test]
fn repair_is_idle_under_a_steady_load_without_loss() {
    for rate in [10, 100, 1_000] {
        let mut simulation = started(RANDOM_3, 32, 5);
        let began = simulation.counters();
        simulation.run_for(secs(5)).unwrap();
        let idle = sent_between(&began, &simulation.counters());
        let before = simulation.counters();
        let seconds = if rate == 1_000 { 2 } else { 5 };
        let ids = send_paced(&mut simulation, rate * seconds, secs(1) / rate);
        let after = simulation.counters();
        simulation.run_for(secs(2)).unwrap();
        assert!(all_have(&simulation, &ids));
        let busy = sent_between(&before, &after);
        // Heartbeats may ride along with rumors, so this can only be too little.
        let repair = busy.1.saturating_sub(idle.1 * u64::from(seconds) / 5);
        println!("{rate}/s: {busy:?} rumor and control datagrams, idle {idle:?}");
        assert!(repair * 20 < busy.0, "{rate}/s: repair adds {repair} to {} datagrams", busy.0);
        assert_eq!(simulation.counters().repairs_sent, 0, "{rate}/s");
    }
}

/// Datagrams with rumors, and those without.
fn sent_between(before: &Counters, after: &Counters) -> (u64, u64) {
    (
        after.rumor_datagrams_sent - before.rumor_datagrams_sent,
        after.control_datagrams_sent - before.control_datagrams_sent,
    )
}

#[test]
fn an_idle_network_is_quiet_however_much_it_holds() {
    let mut simulation = started_with(RANDOM_3, 64, 9, |options| {
        options.checks = Checks::Deliveries;
    });
    let ids = send_paced(&mut simulation, 3_000, Duration::from_micros(500));
    arrive(&mut simulation, &ids, secs(5));
    simulation.run_for(secs(5)).unwrap();
    let before = simulation.traffic();
    simulation.run_for(secs(20)).unwrap();
    let after = simulation.traffic();
    let datagrams = (after.datagrams - before.datagrams) as f64;
    let bytes = (after.bytes - before.bytes) as f64 / datagrams;
    let each = datagrams / (96.0 * 20.0);
    println!("idle: {each:.2} datagrams per link and second of {bytes:.0} bytes");
    assert!(each <= 2.0, "{each:.2} datagrams per link and second");
    assert!(bytes < 100.0, "{bytes:.0} bytes each");
}

#[test]
fn a_newcomer_fetches_each_message_from_one_neighbour_and_floods_none() {
    let messages = 10_000;
    let mut simulation = Simulation::waiting(newcomers_options());
    for node in 1..=7 {
        simulation.start(node);
    }
    simulation.run_for(secs(3)).unwrap();
    let ids = send_many(&mut simulation, messages);
    simulation.run_for(secs(3)).unwrap();
    let before = simulation.counters();
    simulation.start(8);
    arrive(&mut simulation, &ids, secs(30));
    simulation.run_for(secs(3)).unwrap();
    let after = simulation.counters();
    let repairs = after.repairs_sent - before.repairs_sent;
    assert!((messages..messages + messages / 50).contains(&repairs), "{repairs} sent");
    let flooded = after.rumors_sent - before.rumors_sent;
    assert!(flooded < messages / 50, "{flooded} passed on");
}

fn newcomers_options() -> gossip::sim::Options {
    let graph = super::harness::graph(RANDOM_3, 8, 1);
    let mut options = gossip::sim::Options::new(&graph, 1);
    options.checks = Checks::Deliveries;
    options
}

/// From nodes 1 to 7 in turn, a hundred at a time.
fn send_many(simulation: &mut Simulation, messages: u64) -> Vec<gossip::protocol::MessageId> {
    let mut ids = Vec::new();
    for number in 0..messages {
        let node = u32::try_from(number % 7).unwrap() + 1;
        ids.push(simulation.send(node, "one of many", 1).unwrap());
        if number % 100 == 99 {
            simulation.run_for(millis(10)).unwrap();
        }
    }
    ids
}

#[test]
fn catching_up_costs_by_the_messages_missed_and_not_by_those_held() {
    let cost = |held: u64| {
        let mut simulation = Simulation::new(newcomers_options());
        simulation.run_for(secs(3)).unwrap();
        let ids = send_many(&mut simulation, held);
        arrive(&mut simulation, &ids, secs(5));
        simulation.run_for(secs(5)).unwrap();
        let idle = simulation.traffic().bytes;
        simulation.run_for(secs(5)).unwrap();
        let idle = simulation.traffic().bytes - idle;
        simulation.set_faults(partition(&[(1, 7)], &[(8, 8)]));
        let missed = send_many(&mut simulation, 20);
        simulation.run_for(millis(500)).unwrap();
        let before = simulation.traffic().bytes;
        simulation.set_faults(vec![]);
        arrive(&mut simulation, &missed, secs(5));
        simulation.run_for(secs(5)).unwrap();
        (simulation.traffic().bytes - before).saturating_sub(idle)
    };
    let (small, large) = (cost(100), cost(5_000));
    println!("to fetch 20 of 120: {small} bytes; of 5,020: {large} bytes");
    assert!(large < small * 2 + 2_000, "{small} bytes, then {large}");
}

#[test]
fn messages_evicted_everywhere_cause_no_traffic() {
    let mut simulation = started_with(RANDOM_3, 16, 2, |options| {
        std::sync::Arc::make_mut(&mut options.limits).messages_max = 100;
    });
    send_paced(&mut simulation, 500, millis(5));
    // A newcomer knows nothing of the messages that are gone.
    simulation.crash(3);
    simulation.start(3);
    simulation.run_for(secs(20)).unwrap();
    let before = simulation.traffic().datagrams;
    simulation.run_for(secs(20)).unwrap();
    let each = (simulation.traffic().datagrams - before) as f64 / (24.0 * 20.0);
    assert!(each <= 2.0, "{each:.2} datagrams per link and second");
}
