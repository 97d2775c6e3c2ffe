//! What went wrong once, and must not again: races, forgeries and limits found by reading.

use crate::broadcast::store;
use crate::datagram::path;
use crate::datagram::wire::{Beat, Frame, Neighbours, Page, Ranges, Rumor, Summary};
use crate::ids::set::{Account, IdRange};
use crate::testing::table::{Table, addr};
use crate::*;
use rand::SeedableRng;
use rand::rngs::Xoshiro256PlusPlus;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn ring_closes_when_a_node_that_just_came_back_leaves() {
    let mut table = Table::ring(6);
    table.run(SECOND * 5);
    table.kill(3);
    table.run(SECOND * 8);
    assert_eq!(table.neighbours(2), vec![1, 4]);
    table.start(3, 2, &[2, 4]);
    table.run(SECOND * 5);
    assert_eq!(table.neighbours(2), vec![1, 3]);
    let now = table.now();
    table.node(3).leave(now);
    table.run(SECOND / 10);
    table.kill(3);
    table.run(SECOND * 30);
    assert_eq!((table.neighbours(2), table.neighbours(4)), (vec![1, 4], vec![2, 5]));
}

#[test]
fn a_late_heartbeat_does_not_bring_back_a_node_that_left() {
    let mut table = Table::ring(6);
    table.run(SECOND * 5);
    let now = table.now();
    table.node(3).leave(now);
    table.run(SECOND / 10);
    table.kill(3);
    table.feed(2, 3, &[Frame::Beat(Beat { asking: false, version: 1, seen: 1, heard: None })]);
    table.run(SECOND);
    let state = table.node(2).peers().iter().find(|p| p.node.0 == 3).unwrap().state;
    assert_eq!(state, PeerState::Removed);
}

/// A node that was wrongly started again as the same incarnation may meet its former messages.
#[test]
fn an_own_id_that_came_from_elsewhere_is_not_used_again() {
    let mut table = Table::ring(3);
    table.run(SECOND);
    let rumor = Rumor {
        id: MessageId::new(1, 1, 1),
        sent_at: Wall(1),
        relays: 1,
        repaired: false,
        hops: 2,
        path: &[1, 2],
        payload: b"x",
    };
    table.feed(1, 2, &[Frame::Rumor(rumor)]);
    assert_eq!(table.send(1, "banana"), MessageId::new(1, 1, 2));
    table.run(SECOND);
    assert_eq!([1, 2, 3].map(|node| table.held(node)), [2, 2, 2]);
}

#[test]
fn offers_are_bounded() {
    let mut table = Table::with(2, &[(1, 2)], |c| c.limits_mut().id_ranges_max = 1000);
    table.run(SECOND);
    for round in 0..5u64 {
        let ids: Vec<IdRange> = (0..1000u64)
            .map(|i| IdRange::one(MessageId::new(9, 1, 2 * (round * 1000 + i) + 1)))
            .collect();
        table.feed(1, 2, &[Frame::Have(ids)]);
    }
    let ranges = table.node(1).broadcast.exchanges.get(&NodeId(2)).unwrap().offers.ranges();
    assert!(ranges <= 1000, "{ranges}");
}

#[test]
fn a_node_that_leaves_refuses_messages() {
    let mut table = Table::ring(3);
    table.run(SECOND);
    let now = table.now();
    table.node(1).leave(now);
    assert_eq!(table.node(1).send(now, b"x", 1), Err(Refused::Leaving));
}

#[test]
fn a_node_that_slept_through_a_rewiring_takes_nothing_of_it_back() {
    let mut table = Table::ring(6);
    table.run(SECOND * 5);
    let asleep = table.nodes[2].take();
    table.run(SECOND * 8);
    // 1-2-5-4-6-1 without 3.
    let now = table.now();
    for (node, links) in [(1u32, [2, 6]), (2, [1, 5]), (5, [2, 4]), (4, [5, 6]), (6, [1, 4])] {
        table.node(node).rewire(now, &links.map(addr));
    }
    table.run(SECOND * 5);
    table.nodes[2] = asleep;
    table.run(SECOND * 40);
    assert_eq!(table.neighbours(2)[..2], [1, 5][..]);
}

#[test]
fn summaries_cost_a_fixed_budget() {
    let mut table = Table::ring(3);
    table.run(SECOND);
    for origin in 100..400u32 {
        let rumor = Rumor {
            id: MessageId::new(origin, 1, 1),
            sent_at: Wall(1),
            relays: 1,
            repaired: false,
            hops: 2,
            path: &[251, 0, 0],
            payload: b"x",
        };
        let mut path = Vec::new();
        path::push(&mut path, NodeId(origin));
        path::push(&mut path, NodeId(2));
        table.feed(1, 2, &[Frame::Rumor(Rumor { path: &path, ..rumor })]);
    }
    table.run(SECOND * 5);
    table.sent.clear();
    let start = MessageId::new(0, 0, 0);
    let ranges = Frame::Ranges(Box::new(Ranges {
        summary: Summary { account: Account::default(), recent: vec![] },
        page: Page { first: start, end: None },
        held: vec![],
        gone: vec![],
    }));
    let frames: Vec<Frame<'_>> = (0..4000).map(|_| ranges.clone()).collect();
    table.feed(1, 2, &frames);
    table.run(SECOND / 1000);
    let bytes: usize = table.sent.iter().map(|s| s.2).sum();
    table.sent.clear();
    // Each in a datagram of its own, all before the next flush.
    for _ in 0..12_000 {
        table.feed(1, 2, &[Frame::Beat(Beat { asking: true, version: 1, seen: 0, heard: None })]);
    }
    table.run(SECOND / 1000);
    let by_beats: usize = table.sent.iter().map(|s| s.2).sum();
    assert!(bytes < 200_000 && by_beats < 200_000, "{bytes} {by_beats}");
}

#[test]
fn a_node_that_wakes_up_keeps_to_the_limit_of_neighbours() {
    let mut table = Table::with(6, &(1..=6).map(|n| (n, n % 6 + 1)).collect::<Vec<_>>(), |c| {
        c.limits_mut().neighbours_max = 2
    });
    table.run(SECOND * 5);
    let asleep = table.nodes[2].take();
    table.run(SECOND * 10);
    assert_eq!(table.neighbours(2), vec![1, 4]);
    table.nodes[2] = asleep;
    for _ in 0..20_000 {
        table.run(SECOND / 1000);
        for node in table.nodes.iter().flatten() {
            node.audit().unwrap();
        }
    }
}

#[test]
fn a_path_cut_anywhere_stays_wellformed() {
    let mut path = Vec::new();
    for n in 1..=1020u32 {
        path::push(&mut path, NodeId(n));
    }
    path.push(0);
    for n in 1..=5u32 {
        path::push(&mut path, NodeId(n));
    }
    assert!(path::cut(&mut path, 1024, 60_000));
    assert!(path::check(&path).is_some());
}

#[test]
fn bytes_limit_holds_after_duplicates() {
    let mut table = Table::with(
        6,
        &[(1, 2), (2, 3), (3, 4), (4, 5), (5, 6), (6, 1), (1, 4), (2, 5), (3, 6)],
        |c| c.limits_mut().retained_bytes_max = 4_000,
    );
    table.run(SECOND);
    for _ in 0..20 {
        let now = table.now();
        table.node(1).send(now, b"banana", 16).unwrap();
        table.run(SECOND / 10);
        for node in table.nodes.iter().flatten() {
            node.audit().unwrap();
        }
    }
}

#[test]
fn the_count_of_missing_messages_is_a_sum_that_does_not_overflow() {
    let mut table = Table::with(2, &[(1, 2)], |_| {});
    table.run(SECOND);
    let offer = |incarnation, more| -> Vec<IdRange> {
        let origin = |node| Origin { node: NodeId(node), incarnation };
        (9..12).map(|node| IdRange { origin: origin(node), first: 1, more }).collect()
    };
    table.feed(1, 2, &[Frame::Have(offer(1, 4))]);
    assert_eq!(table.node(1).status().missing, 3 * 5);
    table.feed(1, 2, &[Frame::Have(offer(2, u64::MAX / 2))]);
    assert_eq!(table.node(1).status().missing, u64::MAX);
}

#[test]
fn a_peer_is_not_blamed_for_anothers_silence() {
    // 1 learns of 3's messages from 2, which falls silent; later 3 gives them at once.
    let mut table = Table::with_links(3, &[(1, 2), (1, 3)]);
    table.run(SECOND);
    table.passes = Box::new(|from, to, _| !(from == 3 && to == 1));
    for _ in 0..40 {
        table.send(3, "banana");
    }
    let ids = IdRange { origin: Origin { node: NodeId(3), incarnation: 1 }, first: 1, more: 39 };
    table.feed(1, 2, &[Frame::Have(vec![ids])]);
    table.run(SECOND * 3 / 2);
    table.passes = Box::new(|_, _, _| true);
    table.run(SECOND / 5);
    let time = table.node(1).broadcast.exchanges.get(&NodeId(3)).unwrap().answer_time;
    assert_eq!(table.held(1), 40);
    assert!(time < Duration::from_millis(100), "{time:?}");
}

#[test]
fn a_peer_that_leaves_again_and_again_fills_no_memory_with_its_neighbours() {
    let mut table = Table::with(2, &[(1, 2)], |c| {
        c.limits_mut().contacts_max = 8;
        c.limits_mut().neighbours_max = 8;
    });
    table.run(SECOND);
    for round in 0..500u32 {
        let fake = |n: u32| PeerAddr { node: NodeId(1000 + round * 2 + n), addr: addr(2).addr };
        let list = vec![fake(0), addr(1), fake(1)];
        table.feed(
            1,
            2,
            &[
                Frame::Beat(Beat { asking: true, version: 1, seen: 0, heard: None }),
                Frame::Neighbours(Neighbours { version: 1, spare: false, list }),
                Frame::Leave,
            ],
        );
    }
    let peers = table.node(1).membership.peers.iter().count();
    assert!(peers <= 20, "{peers}");
}

#[test]
fn a_ring_is_the_same_after_a_node_was_added_and_removed() {
    // What `add-node` does on a ring (`network::ring`), and `remove-node` right after.
    let links: Vec<(u32, u32)> = (1..=5).map(|n| (n, n % 5 + 1)).collect();
    let sample = |config: &mut Config| {
        config.sample = (1..=5).map(addr).filter(|p| p.node != config.node).collect();
    };
    let mut table = Table::with(6, &links, sample);
    table.kill(6);
    table.run(SECOND * 5);
    table.start(6, 1, &[5, 1]);
    let now = table.now();
    table.node(5).rewire(now, &[4, 6].map(addr));
    table.node(1).rewire(now, &[2, 6].map(addr));
    table.run(SECOND * 4);
    assert_eq!((table.neighbours(5), table.neighbours(1)), (vec![4, 6], vec![2, 6]));
    let now = table.now();
    table.node(6).leave(now);
    table.run(SECOND / 10);
    table.kill(6);
    table.run(SECOND * 30);
    let all: Vec<Vec<u32>> = (1..=5).map(|n| table.neighbours(n)).collect();
    assert_eq!(all, vec![vec![2, 5], vec![1, 3], vec![2, 4], vec![3, 5], vec![1, 4]]);
}

/// `clamp` panics where the least is above the most.
#[test]
fn the_least_time_to_acknowledge_wins_over_a_shorter_most() {
    let mut table =
        Table::with(2, &[(1, 2)], |c| c.timing_mut().ack_timeout_max = Duration::from_millis(10));
    table.run(SECOND);
    table.passes = Box::new(|from, _, _| from == 1);
    table.send(1, "x");
    table.run(Duration::from_millis(19));
    assert_eq!(table.count(|c| c.haves_sent), 0, "the least is 20 ms");
    table.run(Duration::from_millis(11));
    assert_eq!(table.count(|c| c.haves_sent), 1);
}

/// It acknowledged as many bytes as the later copy's text has, and the rest stayed for ever.
#[test]
fn a_copy_with_another_text_acknowledges_the_bytes_of_the_one_that_is_held() {
    let mut table = Table::ring(3);
    table.run(SECOND);
    let (id, sent_at, long) = (MessageId::new(1, 1, 1), table.now().wall, "x".repeat(1_000));
    for (from, path, text) in [(1, &[1][..], &*long), (3, &[1, 3], "x")] {
        let hops = u32::try_from(path.len()).unwrap();
        let rumor =
            Rumor { id, sent_at, relays: 1, repaired: false, hops, path, payload: text.as_bytes() };
        table.feed(2, from, &[Frame::Rumor(rumor)]);
    }
    table.node(2).audit_in_flight().unwrap();
}

#[test]
fn a_listing_fits_a_datagram() {
    let mut table = Table::with_links(2, &[(1, 2)]);
    table.run(SECOND * 3);
    for sequence in 1..=16_000u64 {
        let id = MessageId::new(9, 1, sequence);
        if sequence % 2 == 0 {
            table.node(1).broadcast.store.refuse(id);
        } else {
            let arrival = store::Arrival::of(id, b"x", 1, &[9]);
            table.node(1).broadcast.store.insert(&arrival, Default::default());
        }
    }
    table.sent.clear();
    table.run(SECOND * 5);
    let largest = table.sent.iter().map(|s| s.2).max().unwrap();
    assert!(largest <= UDP_PAYLOAD_BYTES_MAX, "{largest}");
}

/// Node 2 offers messages that nobody has. Once node 1 has given them up, it is no longer catching
/// up: it passes on to node 3 what it asks for alone.
#[test]
fn a_node_that_gave_up_catching_up_passes_messages_on_again() {
    let mut table = Table::with_links(3, &[(1, 2), (1, 3)]);
    table.run(SECOND * 3);
    let ids = IdRange { origin: Origin { node: NodeId(9), incarnation: 1 }, first: 1, more: 99 };
    table.feed(1, 2, &[Frame::Have(vec![ids])]);
    assert_eq!(table.node(1).status().missing, 100);
    table.run(SECOND * 60);
    assert_eq!(table.node(1).status().missing, 0, "given up");
    table.passes = Box::new(|from, to, frames| {
        let floods = frames.iter().any(|f| matches!(f, Frame::Rumor(r) if !r.repaired));
        !(from == 2 && to == 1 && floods)
    });
    table.send(2, "banana");
    table.run(SECOND / 2);
    assert_eq!((table.held(1), table.held(3)), (1, 1));
    assert_eq!(table.node(1).status().counters.repairs_sent, 0, "3 need not ask for it");
}

#[test]
fn a_lossy_ring_stays_a_ring() {
    let links: Vec<(u32, u32)> = (1..=32).map(|n| (n, n % 32 + 1)).collect();
    let sample = |config: &mut Config| {
        let me = config.node.0;
        config.sample = (1..=16)
            .map(|s| addr((me + s * 7 - 1) % 32 + 1))
            .filter(|p| p.node != config.node)
            .collect();
    };
    let mut table = Table::with(32, &links, sample);
    table.run(SECOND * 5);
    let mut dice = Xoshiro256PlusPlus::seed_from_u64(1);
    table.passes = Box::new(move |_, _, _| !rand::RngExt::random_bool(&mut dice, 0.3));
    for turn in 0..240 {
        table.send(turn % 32 + 1, "banana");
        table.run(SECOND / 2);
    }
    let dead = table.count(|c| c.peers_dead);
    table.passes = Box::new(|_, _, _| true);
    table.run(SECOND * 60);
    let all: Vec<Vec<u32>> = (1..=32).map(|n| table.neighbours(n)).collect();
    let odd: Vec<(usize, &Vec<u32>)> =
        all.iter().enumerate().filter(|(_, n)| n.len() != 2).map(|(i, n)| (i + 1, n)).collect();
    assert!(odd.is_empty(), "{dead} dead, {odd:?}");
}

#[test]
fn copies_from_a_neighbour_make_no_link_to_another_node() {
    let mut table = Table::with(9, &[(1, 2), (2, 3), (3, 1)], |_| {});
    table.run(SECOND * 5);
    for round in 1..=2u64 {
        // A contact offers what a neighbour pushes a moment later.
        let id = MessageId::new(2, 1, round);
        table.feed(1, 9, &[Frame::Have(vec![IdRange::one(id)])]);
        let sent = table.send(2, "banana");
        assert_eq!(sent, id);
        table.run(SECOND * 5);
    }
    let made = table.node(1).status().counters.links_made;
    assert_eq!(made, 0);
}

/// The link of a neighbour that had not answered yet went down and came up under the same id, with
/// nothing noted as in flight on it.
#[test]
fn a_link_that_went_down_never_comes_up_again() {
    let mut table = Table::with(3, &[(1, 2)], |_| {});
    table.run(SECOND);
    table.passes = Box::new(|from, to, _| from != 3 && to != 3);
    let now = table.now();
    table.node(1).rewire(now, &[addr(2), addr(3)]);
    table.run(SECOND / 10);
    table.send(1, "banana");
    for peers in [&[addr(2)][..], &[addr(2), addr(3)]] {
        let now = table.now();
        table.node(1).rewire(now, peers);
        table.run(SECOND / 10);
    }
    table.node(1).audit_in_flight().unwrap();
    table.passes = Box::new(|_, _, _| true);
    table.run(SECOND * 10);
    assert_eq!(table.held(3), 1);
    assert_eq!(table.node(1).in_flight(), 0);
}

/// A neighbour that answered for the first time was asked about earlier messages a second later.
#[test]
fn a_neighbour_that_starts_late_is_asked_about_earlier_messages_at_once() {
    let mut table = Table::with(2, &[(1, 2)], |_| {});
    table.kill(2);
    for _ in 0..20 {
        table.send(1, "banana");
        table.run(SECOND / 10);
    }
    let asked = table.count(|c| c.haves_sent);
    // The first heartbeat of node 2 reaches node 1; all requests to node 1 are lost.
    table.start(2, 1, &[1]);
    table.passes = Box::new(|from, _, frames| {
        from == 1 || frames.iter().all(|frame| matches!(frame, Frame::Beat(_)))
    });
    table.run(SECOND / 20);
    assert!(table.count(|c| c.haves_sent) > asked, "{asked}");
}

/// A node that nothing was in flight to said that it had left before it had said goodbye.
#[test]
fn a_node_has_left_once_its_goodbye_was_flushed() {
    let mut table = Table::ring(3);
    table.run(SECOND);
    let now = table.now();
    let node = table.node(1);
    node.leave(now);
    assert!(!node.has_left(now));
    let mut out = Outputs::default();
    node.flush(&mut out);
    assert_eq!(out.datagrams().count(), 2);
    assert!(node.has_left(now));
}

/// A stray datagram cut the way short on which broadcast is told that a neighbour is not suspected.
#[test]
fn a_node_that_was_absent_and_hears_garbage_tells_both_machines_so() {
    let mut table = Table::ring(3);
    table.run(SECOND);
    table.passes = Box::new(|_, _, _| false);
    table.run(SECOND * 3);
    let mut now = table.now();
    now.monotonic = now.monotonic + SECOND * 60;
    table.node(1).receive(now, addr(2).addr, b"garbage");
    table.node(1).release_buffers();
    table.node(1).audit_links().unwrap();
}
