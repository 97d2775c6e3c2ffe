//! A recording of the wire is of no use to somebody without the key. And sessions do not stand in the way
//! of restarts, moves, pauses, a first message.

use crate::datagram::wire::Frame;
use crate::testing::inspect::has_frames;
use crate::testing::table::{Table, addr};
use crate::*;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);
const MS: Duration = Duration::from_millis(1);
/// The number of an address of the eavesdropper's.
const EVE: u32 = 66;

/// A ring of three, of which all that is sent is recorded.
fn recorded_ring() -> Table {
    let mut table = Table::ring(3);
    table.recorded = Some(Vec::new());
    table.run(SECOND * 5);
    table
}

/// The datagrams from one node to another, the oldest first.
fn recording(table: &Table, from: u32, to: u32) -> Vec<Vec<u8>> {
    let all = table.recorded.as_ref().unwrap().iter();
    all.filter(|(a, b, _)| (*a, *b) == (from, to)).map(|(.., bytes)| bytes.clone()).collect()
}

fn state_of(table: &mut Table, node: u32, peer: u32) -> PeerState {
    table.node(node).peers().iter().find(|seen| seen.node.0 == peer).unwrap().state
}

fn place_of(table: &mut Table, node: u32, peer: u32) -> std::net::SocketAddr {
    table.node(node).peers().iter().find(|seen| seen.node.0 == peer).unwrap().addr
}

/// Its neighbour sent to the eavesdropper for good.
#[test]
fn the_first_datagram_of_a_restarted_node_diverts_nothing() {
    let mut table = recorded_ring();
    table.kill(3);
    table.run(SECOND * 8);
    table.recorded = Some(Vec::new());
    table.passes = Box::new(|from, _, _| from != 3);
    table.start(3, 2, &[1, 2]);
    table.run(MS * 150);
    let first = recording(&table, 3, 2).swap_remove(0);
    table.sent.clear();
    table.inject(2, EVE, &first);
    table.run(MS * 10);
    let to_eve: usize = table.sent.iter().filter(|sent| sent.1 == EVE).map(|sent| sent.2).sum();
    assert!(to_eve <= 3 * first.len(), "{to_eve} bytes for {}", first.len());
    table.passes = Box::new(|_, _, _| true);
    table.run(SECOND);
    assert_eq!(table.neighbours(2), vec![1, 3]);
    assert_eq!(place_of(&mut table, 2, 3), addr(3).addr);
}

/// It stayed alive, and senders were held up.
#[test]
fn a_killed_node_is_dead_whatever_it_had_sent() {
    for from in [3, EVE] {
        let mut table = recorded_ring();
        table.kill(3);
        let recorded = recording(&table, 3, 2);
        for (turn, bytes) in recorded.iter().rev().cycle().take(120).enumerate() {
            table.inject(2, from, bytes);
            table.run(SECOND / 4);
            assert!(turn < 20 || state_of(&mut table, 2, 3) == PeerState::Dead);
        }
        let replayed = table.count(|c| c.dropped_replayed);
        assert!(replayed > 100, "{replayed}");
    }
}

/// Those of its datagrams that never came in count once, as late ones, and for no more than four seconds.
#[test]
fn a_killed_node_is_dead_whatever_it_had_sent_in_vain() {
    let plain = dies_after(false);
    let later = dies_after(true) - plain;
    assert!(later <= 8, "{later} half seconds later");
}

#[test]
fn an_answer_that_was_overtaken_is_no_sign_of_life() {
    let mut table = recorded_ring();
    let [answer, later] = [Frame::Answer { on_behalf_of: None }, Frame::Have(vec![])]
        .map(|frame| table.sealed(2, 3, &[frame]));
    table.inject(2, 3, &later);
    table.kill(3);
    table.run(MS * 2_100);
    assert_eq!(state_of(&mut table, 2, 3), PeerState::Suspected);
    table.inject(2, 3, &answer);
    assert_eq!(table.node(2).counters().dropped_replayed, 0, "it counts, as a late one");
    assert_eq!(state_of(&mut table, 2, 3), PeerState::Suspected);
}

/// How many half seconds after its end node 3 is dead to node 2, while that is sent what it missed, or not.
fn dies_after(replays: bool) -> usize {
    let mut table = Table::ring(3);
    table.recorded = Some(Vec::new());
    let mut turn = 0;
    table.passes = Box::new(move |from, to, _| {
        turn += u32::from((from, to) == (3, 2));
        (from, to) != (3, 2) || turn % 2 == 0
    });
    table.run(SECOND * 10);
    let last = recording(&table, 3, 2).pop().unwrap();
    table.inject(2, 3, &last);
    table.kill(3);
    let replayed = table.count(|c| c.dropped_replayed);
    let recorded = recording(&table, 3, 2);
    let mut steps = 0;
    while state_of(&mut table, 2, 3) != PeerState::Dead {
        if replays {
            table.inject(2, 3, &recorded[recorded.len() - 1 - steps]);
        }
        steps += 1;
        table.run(SECOND / 2);
    }
    let counted = steps as u64 - (table.count(|c| c.dropped_replayed) - replayed);
    assert!(!replays || counted > 0, "some came in nevertheless");
    steps
}

/// Passes on all that node 1 or 2 sends to the eavesdropper's address, to the other of them and from there.
fn pass_on(table: &mut Table) -> usize {
    table.run(MS * 20);
    let to_eve =
        |(from, to, bytes): &(u32, u32, Vec<u8>)| (*to == EVE).then(|| (*from, bytes.clone()));
    let passed: Vec<_> = table.recorded.as_ref().unwrap().iter().filter_map(to_eve).collect();
    table.recorded.as_mut().unwrap().retain(|(_, to, _)| *to != EVE);
    for (from, bytes) in &passed {
        table.inject(3 - from, EVE, bytes);
    }
    passed.len()
}

/// Once it was gone, both ends said hello only to it, for good.
#[test]
fn a_link_comes_back_from_an_eavesdropper_that_passed_on_its_handshake() {
    let mut table = Table::with_links(2, &[(1, 2)]);
    table.run(SECOND * 5);
    table.passes = Box::new(|_, _, _| false);
    table.recorded = Some(Vec::new());
    table.run(SECOND * 3);
    let unseen = recording(&table, 2, 1).into_iter().rfind(|bytes| has_frames(bytes)).unwrap();
    table.inject(1, EVE, &unseen);
    let passed: usize = (0..10).map(|_| pass_on(&mut table)).sum();
    assert!(passed >= 3, "hello, welcome and opening: {passed}");
    assert_eq!(place_of(&mut table, 1, 2), addr(EVE).addr, "as far as it goes");
    table.passes = Box::new(|_, _, _| true);
    table.run(SECOND * 5);
    assert_eq!(place_of(&mut table, 1, 2), addr(2).addr);
    assert_eq!(place_of(&mut table, 2, 1), addr(1).addr);
    table.send(1, "banana");
    table.run(MS * 10);
    assert_eq!(table.held(2), 1);
}

/// It was the newest of its session, an hour later.
#[test]
fn a_datagram_of_an_earlier_session_does_not_count_later() {
    let mut table = Table::with_links(2, &[(1, 2)]);
    table.run(SECOND * 5);
    table.recorded = Some(Vec::new());
    table.passes = Box::new(|_, _, _| false);
    table.run(SECOND * 10);
    let unseen = recording(&table, 2, 1);
    table.passes = Box::new(|_, _, _| true);
    table.run(SECOND * 600);
    assert!(table.count(|c| c.sessions_made) > 0, "another session");
    let received = table.node(1).counters().dropped_session;
    for bytes in &unseen {
        table.inject(1, 2, bytes);
    }
    let dropped = table.node(1).counters().dropped_session - received;
    assert_eq!(dropped, unseen.iter().filter(|bytes| has_frames(bytes)).count() as u64);
}

/// Somebody sends the same again and again, so that nobody asks where the node itself is.
#[test]
fn datagrams_from_elsewhere_hold_back_no_hello_to_the_node_itself() {
    let hellos = |injected: bool| {
        let mut table = Table::with_links(2, &[(1, 2)]);
        table.run(SECOND * 5);
        table.passes = Box::new(|_, _, _| false);
        table.recorded = Some(Vec::new());
        table.run(SECOND * 3);
        let unseen = recording(&table, 2, 1).into_iter().rfind(|bytes| has_frames(bytes)).unwrap();
        table.recorded = Some(Vec::new());
        for _ in 0..10 {
            if injected {
                table.inject(1, EVE, &unseen);
            }
            table.run(MS * 100);
        }
        let to_node = recording(&table, 1, 2);
        to_node.iter().filter(|bytes| !has_frames(bytes)).count()
    };
    let plain = hellos(false);
    assert!(plain > 0);
    assert_eq!(hellos(true), plain);
}

/// All links of its sender went.
#[test]
fn an_unlink_counts_once() {
    let mut table = Table::with_links(4, &[(1, 2), (2, 3), (3, 4), (4, 1), (1, 3)]);
    table.recorded = Some(Vec::new());
    table.run(SECOND * 2);
    let now = table.now();
    table.node(1).rewire(now, &[2, 4].map(addr));
    table.run(SECOND * 5);
    assert_eq!(table.neighbours(3), vec![2, 4]);
    let now = table.now();
    table.node(1).link(now, &[addr(3)]);
    table.run(SECOND * 15);
    assert_eq!(table.neighbours(3), vec![1, 2, 4]);
    let recorded = table.recorded.take().unwrap();
    for (from, to, bytes) in &recorded {
        table.inject(*to, *from, bytes);
        table.inject(*to, EVE, bytes);
    }
    table.run(SECOND * 5);
    assert_eq!(table.neighbours(3), vec![1, 2, 4]);
    assert_eq!(table.count(|c| c.links_dropped), 2, "by the command, at both ends");
}

/// Hello, welcome, and the message is there.
#[test]
fn a_first_message_between_nodes_run_by_hand_takes_one_round_trip_more() {
    let mut table = Table::with(2, &[(1, 2)], |config| config.launch = None);
    table.send(1, "banana");
    table.run(MS * 2);
    assert_eq!(table.held(2), 0);
    table.run(MS);
    assert_eq!(table.held(2), 1);
}

#[test]
fn a_first_message_between_nodes_launched_together_takes_no_round_trip() {
    let mut table = Table::with_links(2, &[(1, 2)]);
    table.send(1, "banana");
    table.run(MS);
    assert_eq!(table.held(2), 1);
    assert_eq!(table.count(|c| c.hellos_sent), 0);
}

#[test]
fn both_ends_may_say_hello_at_once() {
    let mut table = Table::with(2, &[(1, 2)], |config| config.launch = None);
    table.send(1, "banana");
    table.send(2, "apple");
    table.run(MS * 3);
    assert_eq!((table.held(1), table.held(2)), (2, 2));
    assert_eq!(table.count(|c| c.sessions_made), 4);
    table.run(SECOND * 60);
    let made = table.count(|c| c.sessions_made);
    assert_eq!(made, 4, "they keep them");
}

/// Its address changed under it, and it knows nothing of that.
#[test]
fn a_node_that_moves_is_followed_and_misses_nothing() {
    let mut table = Table::ring(3);
    table.run(SECOND * 5);
    table.homes[2] = addr(13).addr;
    table.send(3, "banana");
    table.run(MS * 10);
    assert_eq!([1, 2].map(|node| place_of(&mut table, node, 3)), [addr(13).addr; 2]);
    table.send(1, "apple");
    table.run(SECOND);
    assert_eq!([1, 2, 3].map(|node| table.held(node)), [2; 3]);
    table.run(SECOND * 10);
    assert_eq!(table.count(|c| c.peers_suspected), 0);
}

#[test]
fn a_node_that_leaves_at_once_says_so() {
    let mut table = Table::with(3, &[(1, 2), (2, 3), (3, 1)], |config| config.launch = None);
    let now = table.now();
    table.node(3).leave(now);
    table.run(MS);
    let now = table.now();
    assert!(!table.node(3).has_left(now), "its goodbye waits for a session");
    table.run(MS * 50);
    let now = table.now();
    assert!(table.node(3).has_left(now));
    assert_eq!(table.told(|_, event| matches!(event, Event::PeerLeft { .. })), 2);
}

/// All that its neighbours sent meanwhile is in its receive buffer.
#[test]
fn a_node_that_was_stopped_takes_in_what_waited_for_it() {
    let mut table = Table::ring(3);
    table.run(SECOND * 5);
    let asleep = table.nodes[2].take();
    table.recorded = Some(Vec::new());
    for _ in 0..20 {
        table.send(1, "banana");
        table.run(SECOND / 10);
    }
    table.run(SECOND * 28);
    table.nodes[2] = asleep;
    // A stranger is first, and needs a place.
    let now = table.now();
    table.node(3).link(now, &[addr(9)]);
    table.flush_all();
    for (from, to, bytes) in table.recorded.take().unwrap() {
        if to == 3 {
            table.inject(3, from, &bytes);
        }
    }
    assert_eq!(table.held(3), 20);
    table.run(SECOND * 5);
    assert_eq!(table.neighbours(3), vec![1, 2]);
}
