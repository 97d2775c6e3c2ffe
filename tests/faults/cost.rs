//! The cost of a network without faults: at rest, and under a steady stream of messages.

use std::time::Duration;

use gossip::protocol::Counters;
use gossip::runtime::clock;

use crate::harness::{pause, pause_until, wait_until};
use crate::lab::Lab;

#[test]
fn an_idle_network_is_quiet() {
    const NODES: u16 = 64;
    const LINKS: f64 = NODES as f64 * 3.0 / 2.0;
    const WINDOW: Duration = Duration::from_secs(8);
    let mut lab = Lab::start("random 3", NODES);
    lab.until_linked();
    for n in 0..10_000 {
        lab.send(1 + n % u32::from(NODES), &format!("message {n}"));
    }
    lab.until_all_hold(10_000, Duration::from_secs(20));
    // Trickle's timers take a while to slow down, and longer on a busy machine.
    let rate = |lab: &mut Lab, window: Duration| {
        let before = lab.counters().datagrams_sent;
        pause(window);
        (lab.counters().datagrams_sent - before) as f64 / LINKS / window.as_secs_f64()
    };
    wait_until("the network to slow down", Duration::from_secs(30), || {
        let rate = rate(&mut lab, Duration::from_secs(2));
        if rate <= 2.0 { Ok(()) } else { Err(format!("{rate} datagrams per link and second")) }
    });
    let before = lab.counters();
    let times: Vec<Duration> = lab.nodes().iter().map(|node| lab.processor_time(*node)).collect();
    pause(WINDOW);
    let used: Vec<f64> = lab
        .nodes()
        .iter()
        .zip(&times)
        .map(|(node, before)| (lab.processor_time(*node) - *before).as_secs_f64())
        .collect();
    let after = lab.counters();
    let datagrams = (after.datagrams_sent - before.datagrams_sent) as f64;
    let bytes = (after.bytes_sent - before.bytes_sent) as f64;
    let per_link = datagrams / LINKS / WINDOW.as_secs_f64();
    let share = used.iter().sum::<f64>() / f64::from(NODES) / WINDOW.as_secs_f64() * 100.0;
    let most = used.iter().copied().fold(0.0, f64::max) / WINDOW.as_secs_f64() * 100.0;
    eprintln!(
        "idle: {per_link:.2} datagrams per link and second of {:.1} bytes; {share:.3} % of a core \
         per node, {most:.3} % at most",
        bytes / datagrams
    );
    assert!(per_link <= 2.0, "{per_link} datagrams per link and second");
    assert!(bytes / datagrams < 100.0, "{} bytes per datagram", bytes / datagrams);
    assert!(share < 0.5, "{share} % of a core per node");
}

#[test]
fn ten_messages_a_second_need_no_repair() {
    steady(10, 4);
}

#[test]
fn a_hundred_messages_a_second_need_no_repair() {
    steady(100, 4);
}

#[test]
fn a_thousand_messages_a_second_need_no_repair() {
    steady(1_000, 4);
}

/// A steady stream of messages from all nodes in turn: each crosses each link once each way, and
/// the other datagrams are hardly more than those of the idle network.
fn steady(per_second: u32, seconds: u32) {
    const NODES: u32 = 32;
    const LINKS: u64 = 48;
    let mut lab = Lab::start("random 3", 32);
    lab.until_linked();
    // One message over each link, so that all have measured how long that takes.
    for node in 1..=NODES {
        lab.send(node, "first");
    }
    lab.until_all_hold(NODES.into(), Duration::from_secs(5));
    pause(Duration::from_secs(3));
    let (start, idle) = control_traffic(&mut lab, seconds);
    let begin = clock::now().monotonic;
    let messages = per_second * seconds;
    for n in 0..messages {
        pause_until(begin + Duration::from_secs(1) * n / per_second);
        lab.send(1 + n % NODES, &format!("message {n}"));
    }
    pause_until(begin + Duration::from_secs(seconds.into()));
    let end = lab.counters();
    lab.until_all_hold(u64::from(NODES + messages), Duration::from_secs(10));
    let rumors = lab.counters().rumors_sent;
    assert_eq!(rumors, u64::from(NODES + messages) * 2 * LINKS, "copies without loss");
    let sent = |counter: fn(&Counters) -> u64| counter(&end) - counter(&start);
    let rumor_datagrams = sent(|c| c.rumor_datagrams_sent);
    let control = sent(|c| c.control_datagrams_sent);
    let repair = sent(|c| c.haves_sent + c.wants_sent + c.ranges_sent + c.repairs_sent);
    let more = control.saturating_sub(idle);
    let percent = more as f64 / rumor_datagrams as f64 * 100.0;
    eprintln!(
        "{per_second}/s: {rumor_datagrams} rumor datagrams; control {control}, idle {idle}: \
         {percent:.2} % more; {repair} have/want/ranges/repairs"
    );
    assert!(percent < 5.0, "repair adds {percent:.2} % to the rumor datagrams");
}

/// The counters after `seconds` without messages, and the number of datagrams without rumors that
/// the idle network sent in them.
fn control_traffic(lab: &mut Lab, seconds: u32) -> (Counters, u64) {
    let before = lab.counters();
    pause(Duration::from_secs(seconds.into()));
    let after = lab.counters();
    let idle = after.control_datagrams_sent - before.control_datagrams_sent;
    (after, idle)
}

#[test]
fn a_message_costs_as_many_copies_as_its_relays_limit_says() {
    let mut lab = Lab::start("random 3", 32);
    lab.until_linked();
    let mut expected = 0;
    for relays in [1, 2, 3, 16] {
        lab.send_with(1, "message", relays);
        expected += 2 * 48 * u64::from(relays);
        wait_until("all copies", Duration::from_secs(5), || {
            let sent = lab.counters().rumors_sent;
            if sent == expected { Ok(()) } else { Err(format!("{sent} of {expected}")) }
        });
    }
    pause(Duration::from_secs(1));
    assert_eq!(lab.counters().rumors_sent, expected, "and no more");
}
