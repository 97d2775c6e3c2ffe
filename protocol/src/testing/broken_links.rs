//! Links that carry nothing, one way or both, between nodes that live: nobody is held up for long,
//! and the links come back.

use crate::testing::table::{Table, addr};
use crate::*;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);
const ALL_OF_FOUR: [(u32, u32); 6] = [(1, 2), (1, 3), (1, 4), (2, 3), (2, 4), (3, 4)];
/// Of ten thousand texts, one a millisecond, as many are accepted by a node that is held up for no
/// longer than it takes to suspect a neighbour.
const HELD_UP_ONCE: usize = 7_000;

/// Has a node send a text each millisecond for ten seconds, if its window is open; says how many it
/// accepted. `each_second` does something at the start of each second.
fn accepts(table: &mut Table, node: u32, mut each_second: impl FnMut(&mut Table)) -> usize {
    let mut accepted = 0;
    for millis in 0..10_000 {
        if millis % 1_000 == 0 {
            each_second(table);
        }
        let now = table.now();
        if table.node(node).send_window(now) > 0 {
            table.send(node, "banana");
            accepted += 1;
        }
        table.run(SECOND / 1_000);
    }
    accepted
}

fn state(table: &mut Table, node: u32, of: u32) -> PeerState {
    table.node(node).peers().iter().find(|peer| peer.node.0 == of).unwrap().state
}

fn dead(table: &Table) -> usize {
    table.told(|_, event| matches!(event, Event::PeerDead { .. }))
}

/// Breaks the link from 1 to 2, perhaps the other way as well, and looks at a sender.
fn broken(mut table: Table, both_ways: bool, sender: u32) {
    table.run(SECOND * 5);
    table.passes =
        Box::new(move |from, to, _| (from, to) != (1, 2) && !(both_ways && (from, to) == (2, 1)));
    let accepted = accepts(&mut table, sender, |_| ());
    assert!(accepted > HELD_UP_ONCE, "node {sender} accepted {accepted} texts in ten seconds");
    table.run(SECOND * 5);
    assert_eq!([(1, 2), (2, 1)].map(|(a, b)| state(&mut table, a, b)), [PeerState::Cut; 2]);
    assert_eq!(table.neighbours(1), [3, 4]);
    assert_eq!(dead(&table), 0);
    let held = table.held(1);
    assert_eq!([2, 3, 4].map(|node| table.held(node)), [held; 3], "by other links");
    table.passes = Box::new(|_, _, _| true);
    table.run(SECOND * 10);
    assert_eq!((table.neighbours(1), table.neighbours(2)), (vec![2, 3, 4], vec![1, 3, 4]));
    assert_eq!(table.told(|_, event| matches!(event, Event::LinkBroken { .. })), 2);
}

#[test]
fn a_link_that_is_broken_both_ways_holds_its_ends_up_no_longer_than_suspicion_takes() {
    broken(Table::with_links(4, &ALL_OF_FOUR), true, 1);
}

#[test]
fn a_link_that_is_broken_one_way_holds_neither_end_up_for_longer() {
    broken(Table::with_links(4, &ALL_OF_FOUR), false, 1);
    broken(Table::with_links(4, &ALL_OF_FOUR), false, 2);
}

#[test]
fn a_broken_link_holds_up_no_node_elsewhere() {
    let links = [&ALL_OF_FOUR[..], &[(3, 5), (4, 5)]].concat();
    for both_ways in [true, false] {
        let few = |config: &mut Config| config.limits_mut().messages_max = 2_000;
        broken(Table::with(5, &links, few), both_ways, 5);
    }
}

#[test]
fn a_neighbour_that_is_never_started_is_waited_for_no_longer_than_suspicion_takes() {
    let mut table = Table::ring(3);
    table.kill(2);
    let accepted = accepts(&mut table, 1, |_| ());
    assert!(accepted > HELD_UP_ONCE, "{accepted} in ten seconds");
}

/// Node 4 cannot hear, and ends and starts in a loop; node 1 is not held up by it.
fn restarted_again_and_again(end: impl Fn(&mut Table)) -> Table {
    let mut table = Table::with_links(4, &ALL_OF_FOUR);
    table.run(SECOND * 5);
    table.passes = Box::new(|_, to, _| to != 4);
    let mut life = 1;
    let accepted = accepts(&mut table, 1, |table| {
        end(table);
        life += 1;
        table.start(4, life, &[1, 2, 3]);
    });
    assert!(accepted > HELD_UP_ONCE, "{accepted} in ten seconds");
    table
}

#[test]
fn a_node_that_cannot_hear_holds_up_nobody_however_often_it_is_restarted() {
    let mut table = restarted_again_and_again(|_| ());
    assert_eq!(state(&mut table, 1, 4), PeerState::Dead, "it proves nothing, as it hears no nonce");
    table.passes = Box::new(|_, _, _| true);
    table.run(SECOND * 10);
    assert_eq!(table.neighbours(4), [1, 2, 3]);
    let held = table.held(1);
    assert_eq!(table.held(4), held);
}

#[test]
fn a_node_that_cannot_hear_and_says_goodbye_each_time_holds_up_nobody() {
    restarted_again_and_again(|table| {
        let now = table.now();
        table.node(4).leave(now);
        table.flush_all();
    });
}

#[test]
fn what_waits_on_the_link_to_a_node_that_is_never_started_stays_within_what_is_retained() {
    let few = |config: &mut Config| config.limits_mut().messages_max = 100;
    let mut table = Table::with(3, &[(1, 2), (2, 3), (3, 1)], few);
    table.kill(2);
    for _ in 0..1_000 {
        for _ in 0..10 {
            table.send(1, "banana");
        }
        table.run(Duration::from_millis(20));
    }
    let link = table.node(1).broadcast.links.to(crate::NodeId(2)).unwrap();
    assert!(link.in_flight.pending.len() <= 200, "{}", link.in_flight.pending.len());
}

#[test]
fn the_ends_of_a_broken_link_find_others_until_it_is_back() {
    // None of these makes a triangle, of which any link might go later.
    let sample = |config: &mut Config| {
        let known: &[u32] = match config.node.0 {
            1 => &[4, 6],
            2 => &[5, 7],
            _ => &[],
        };
        config.sample = known.iter().map(|node| addr(*node)).collect();
        config.timing_mut().shuffle_interval = SECOND * 3_600;
    };
    let ring: Vec<(u32, u32)> = (1..=8).map(|node| (node, node % 8 + 1)).collect();
    let mut table = Table::with(8, &ring, sample);
    table.run(SECOND * 5);
    table.passes = Box::new(|from, to, _| (from + to, from * to) != (3, 2));
    table.run(SECOND * 20);
    for (node, lost) in [(1, 2), (2, 1)] {
        let neighbours = table.neighbours(node);
        assert!(neighbours.len() >= 2 && !neighbours.contains(&lost), "{node}: {neighbours:?}");
    }
    table.passes = Box::new(|_, _, _| true);
    table.run(SECOND * 30);
    assert_eq!((table.neighbours(1), table.neighbours(2)), (vec![2, 8], vec![1, 3]));
}

#[test]
fn a_link_that_stays_broken_costs_little() {
    let mut table = Table::with_links(4, &ALL_OF_FOUR);
    table.run(SECOND * 5);
    table.passes = Box::new(|from, to, _| (from, to) != (1, 2));
    table.send(1, "banana");
    table.run(SECOND * 300);
    table.sent.clear();
    table.run(SECOND * 60);
    let across = |(from, to, _): &&(u32, u32, usize)| [(1, 2), (2, 1)].contains(&(*from, *to));
    let across = table.sent.iter().filter(across).count();
    assert!((1..=20).contains(&across), "{across} datagrams in a minute");
    let all = table.sent.len();
    assert!(all <= 2 * 5 * 60 + across, "{all} datagrams over five links in a minute");
}
