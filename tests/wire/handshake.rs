//! Sessions from outside: handshakes by hand, and what a recording is good for.

use super::hand::{hello, tagged, welcomed};
use super::*;

/// A counter of the node's.
fn count(bench: &Bench, name: &str) -> u64 {
    let counters = bench.node.status().counters.list();
    counters.iter().find(|(counter, _)| *counter == name).unwrap().1
}

/// Node 9 without any session, which asks for them.
fn started_by_hand() -> Bench {
    let mut bench = Bench::with(|config| config.launch = None);
    bench.sessions.clear();
    bench
}

/// The nonce in a hello of node 9, which must be in order.
fn said_hello(bytes: &[u8], to: u32) -> [u8; 16] {
    let nonce = bytes[bytes.len() - 32..bytes.len() - 16].try_into().unwrap();
    assert_eq!(hello((9, 1), to, nonce), bytes);
    nonce
}

#[test]
fn a_node_says_hello_and_its_frames_follow_the_welcome() {
    let mut bench = started_by_hand();
    bench.node.send(at(0), b"banana", 3).unwrap();
    let sent = bench.sent();
    assert_eq!(sent.iter().map(|(to, _)| *to).collect::<Vec<_>>(), [addr(8), addr(10)]);
    let nonce = said_hello(&sent[0].1, 8);
    let (answer, session) = ([0x88; 16], Session::agreed((9, 1), (8, 1), nonce, [0x88; 16]));
    let body = [&hex("67c5 02 01 08 01 09")[..], &nonce, &answer].concat();
    let opened = bench.feed_bytes(8, &tagged(&session.key, body));
    let rumor = "00 09 01 01 fd15cd853dfe9c9717 03 00 01 01 09 06 62616e616e61";
    assert_eq!(opened, [(addr(8), session.opening((9, 1), 0, &hex(rumor)))]);
    // Once the peer has used the session, the nonces need not be sent along.
    let sent = bench.feed_bytes(8, &session.datagram(8, 0, &hex(PROBE)));
    assert_eq!(sent, [(addr(8), session.datagram(9, 1, &hex(ANSWER)))]);
}

#[test]
fn a_welcome_counts_for_the_hello_that_it_answers_and_no_other() {
    let mut bench = started_by_hand();
    let sent = bench.pass(100);
    let nonce = said_hello(&sent[0].1, 8);
    let welcome = |sender: u32, receiver: u32, nonce: [u8; 16]| {
        let session = Session::agreed((9, 1), (sender, 1), nonce, [0x88; 16]);
        let ends = [varint(sender.into()), hex("01"), varint(receiver.into())].concat();
        let body = [&hex("67c5 02 01")[..], &ends, &nonce, &[0x88; 16]].concat();
        tagged(&session.key, body)
    };
    let good = welcome(8, 9, nonce);
    let mut flipped = good.clone();
    flipped[40] ^= 1;
    for (from, bytes, counter) in [
        (10, good.clone(), "dropped_session"),
        (8, welcome(8, 10, nonce), "dropped_session"),
        (8, welcome(10, 9, nonce), "dropped_session"),
        (8, welcome(8, 9, [0x99; 16]), "dropped_session"),
        (8, flipped, "dropped_tag"),
    ] {
        let before = count(&bench, counter);
        assert_eq!(bench.feed_bytes(from, &bytes), []);
        assert_eq!(count(&bench, counter), before + 1, "{counter}");
        assert_eq!(count(&bench, "sessions_made"), 0);
    }
    bench.now += 9_000;
    bench.feed_bytes(8, &good);
    assert_eq!(count(&bench, "sessions_made"), 0, "nine seconds later");
}

#[test]
fn a_welcome_that_comes_again_changes_nothing() {
    let mut bench = started_by_hand();
    let sent = bench.pass(100);
    let nonce = said_hello(&sent[0].1, 8);
    let session = Session::agreed((9, 1), (8, 1), nonce, [0x88; 16]);
    let body = [&hex("67c5 02 01 08 01 09")[..], &nonce, &[0x88; 16]].concat();
    let welcome = tagged(&session.key, body);
    for _ in 0..3 {
        bench.feed_bytes(8, &welcome);
    }
    assert_eq!(count(&bench, "sessions_made"), 1);
    assert_eq!(bench.feed_bytes(8, &welcome), []);
}

#[test]
fn an_opening_counts_once_from_one_place_within_some_seconds() {
    let nonce = [0x77; 16];
    let opening = |bench: &mut Bench| {
        let sent = bench.feed_bytes(11, &hello((11, 1), 9, nonce));
        let session = welcomed(&sent[0].1, (9, 1), (11, 1), nonce);
        session.opening((11, 1), 0, &hex(PROBE))
    };
    let mut bench = Bench::new();
    let good = opening(&mut bench);
    assert_eq!(bench.feed_bytes(12, &good), [], "a place that was not asked");
    assert_eq!(count(&bench, "dropped_session"), 1);
    assert_eq!(bench.feed_bytes(11, &good).len(), 1);
    assert_eq!(bench.feed_bytes(11, &good), []);
    assert_eq!(count(&bench, "dropped_replayed"), 1);
    let mut bench = Bench::new();
    let good = opening(&mut bench);
    bench.now += 9_000;
    assert_eq!(bench.feed_bytes(11, &good), []);
    assert_eq!(count(&bench, "dropped_session"), 1);
    // Another start of the same node has other nonces.
    let mut other = Bench::with(|config| config.start.nonce = [3; 16]);
    assert_eq!(other.feed_bytes(11, &good), []);
    assert_eq!(count(&other, "sessions_made"), 0);
}

#[test]
fn a_datagram_counts_once() {
    let mut bench = Bench::new().joined();
    let rumor = bench.datagram(8, &[RUMOR]);
    let probe = bench.datagram(8, &[PROBE]);
    // Out of order is no matter.
    assert_eq!(bench.feed_bytes(8, &probe), [(addr(8), hex(ANSWER))]);
    assert_eq!(bench.feed_bytes(8, &rumor), [(addr(10), hex(RELAYED))]);
    for bytes in [&rumor, &probe] {
        assert_eq!(bench.feed_bytes(8, bytes), []);
    }
    assert_eq!(count(&bench, "dropped_replayed"), 2);
}

/// It was the answer to a request, of which 27 bytes drew megabytes to any address.
#[test]
fn a_request_from_another_address_draws_a_hello_and_nothing_else() {
    let mut bench = Bench::new().joined();
    bench.feed(8, RUMOR);
    let want = bench.datagram(10, &["03 01 08 01 01 00"]);
    let sent = bench.feed_bytes(66, &want);
    let [(to, bytes)] = &sent[..] else { panic!("{sent:?}") };
    assert_eq!(*to, addr(66));
    said_hello(bytes, 10);
    assert!(bytes.len() <= 2 * want.len());
    assert_eq!(bench.feed_bytes(66, &want), [], "one hello in a while");
    assert_eq!(count(&bench, "dropped_elsewhere"), 2);
    // The original still counts, and goes where it should.
    assert_eq!(bench.feed_bytes(10, &want), [(addr(10), hex(REPAIRED))]);
    assert_eq!(bench.feed_bytes(66, &want), []);
    assert_eq!(count(&bench, "dropped_replayed"), 1);
}

#[test]
fn a_peer_that_moved_is_followed_once_it_answers() {
    let mut bench = Bench::new().joined();
    let probe = bench.datagram(8, &[PROBE]);
    let sent = bench.feed_bytes(18, &probe);
    let nonce = said_hello(&sent[0].1, 8);
    let session = Session::agreed((9, 1), (8, 1), nonce, [0x88; 16]);
    let body = [&hex("67c5 02 01 08 01 09")[..], &nonce, &[0x88; 16]].concat();
    bench.feed_bytes(18, &tagged(&session.key, body));
    let moved = bench.node.status().peers;
    assert_eq!(moved.iter().find(|peer| peer.node == NodeId(8)).unwrap().addr, addr(18));
    let sent = bench.feed_bytes(18, &session.datagram(8, 0, &hex(PROBE)));
    assert_eq!(sent, [(addr(18), session.datagram(9, 0, &hex(ANSWER)))]);
}

#[test]
fn a_hello_from_elsewhere_is_welcomed_where_its_sender_was_heard() {
    let mut bench = Bench::new().joined();
    let sent = bench.feed_bytes(66, &hello((8, 1), 9, [0x77; 16]));
    assert_eq!(sent.iter().map(|(to, _)| *to).collect::<Vec<_>>(), [addr(8)]);
    let before = bench.state();
    bench.now += 2_500;
    let sent = bench.feed_bytes(66, &hello((8, 1), 9, [0x77; 16]));
    assert_eq!(sent.iter().map(|(to, _)| *to).collect::<Vec<_>>(), [addr(66)]);
    assert_eq!(bench.state().peers.len(), before.peers.len());
}

#[test]
fn a_restarted_peer_has_a_session_of_its_own() {
    let mut bench = Bench::new().joined();
    let nonce = [0x77; 16];
    let old = bench.datagram(8, &[PROBE]);
    bench.sessions.remove(&8);
    let sent = bench.feed_bytes(8, &hello((8, 2), 9, nonce));
    let session = welcomed(&sent[0].1, (9, 1), (8, 2), nonce);
    assert_eq!(bench.feed_bytes(8, &session.opening((8, 2), 0, &hex(PROBE))).len(), 1);
    assert_eq!(bench.feed_bytes(8, &old), [], "its former session is over");
    assert_eq!(count(&bench, "dropped_session"), 1);
    assert_eq!(bench.feed_bytes(8, &hello((8, 1), 9, [0x78; 16])), []);
    assert_eq!(count(&bench, "dropped_stale"), 1);
}

#[test]
fn hellos_to_others_and_with_other_keys_are_dropped() {
    let mut bench = Bench::new();
    assert_eq!(bench.feed_bytes(11, &hello((11, 1), 8, [0x77; 16])), []);
    assert_eq!(count(&bench, "dropped_session"), 1);
    let good = hello((11, 1), 9, [0x77; 16]);
    let stranger = tagged(&[7; 32], good[..good.len() - 16].to_vec());
    assert_eq!(bench.feed_bytes(11, &stranger), []);
    assert_eq!(count(&bench, "dropped_tag"), 1);
}

/// More than two sessions with one peer within the life of a nonce are refused: one that left the table could
/// be made again, and what it counted would count again.
#[test]
fn a_third_session_within_some_seconds_is_refused() {
    let mut bench = Bench::new();
    let opening = |bench: &mut Bench, nonce: [u8; 16]| {
        let sent = bench.feed_bytes(11, &hello((11, 1), 9, nonce));
        let session = welcomed(&sent[0].1, (9, 1), (11, 1), nonce);
        bench.feed_bytes(11, &session.opening((11, 1), 0, &hex(PROBE))).len()
    };
    assert_eq!([1, 2, 3].map(|nonce| opening(&mut bench, [nonce; 16])), [1, 1, 0]);
    assert_eq!(count(&bench, "limit_sessions_refused"), 1);
    bench.now += 9_000;
    assert_eq!(opening(&mut bench, [4; 16]), 1);
}

/// Nine seconds of silence: the peer may have forgotten the session, so nothing is risked on it.
#[test]
fn a_peer_that_was_silent_for_long_is_asked_before_frames_are_sent() {
    let mut bench = Bench::new().joined();
    let sent = bench.pass(1_900);
    assert!(sent.iter().all(|(_, bytes)| !bytes.starts_with(&MAGIC)), "frames alone");
    let sent = bench.pass(2_000);
    let is_hello = |(_, bytes): &&Sent| bytes.starts_with(&hex("67c5 02 00"));
    let hellos = sent.iter().filter(is_hello).count();
    assert!(hellos > 0 && hellos < sent.len(), "hellos beside frames");
    bench.pass(6_000);
    let sent = bench.pass(5_000);
    assert!(!sent.is_empty() && sent.iter().all(|sent| is_hello(&sent)), "hellos alone");
}

proptest! {
    /// Everything that was recorded, from any of two addresses of an eavesdropper, in any order, at any time.
    #[test]
    fn an_unproven_address_gets_at_most_three_times_what_it_sent(
        steps in prop::collection::vec((any::<prop::sample::Index>(), 66u32..68, 0u64..300), 1..60),
    ) {
        let mut bench = Bench::new().joined();
        bench.feed(8, RUMOR);
        let mut recorded = vec![
            hello((8, 1), 9, [1; 16]),
            hello((11, 1), 9, [2; 16]),
            bench.datagram(8, &[PROBE]),
            bench.datagram(10, &["03 01 08 01 01 00"]),
            bench.datagram(8, &[LEAVE]),
        ];
        let sent = bench.feed_bytes(11, &recorded[1].clone());
        let session = welcomed(&sent[0].1, (9, 1), (11, 1), [2; 16]);
        recorded.push(session.opening((11, 1), 0, &hex(ASKING)));
        let mut balance = BTreeMap::<u32, (usize, usize)>::new();
        for (which, from, ms) in steps {
            let bytes = which.get(&recorded).clone();
            balance.entry(from).or_default().0 += bytes.len();
            let mut sent = bench.feed_bytes(from, &bytes);
            sent.extend(bench.pass(ms));
            for (to, bytes) in sent {
                if to.port() > 7_060 {
                    balance.entry(u32::from(to.port()) - 7_000).or_default().1 += bytes.len();
                }
            }
        }
        for (node, (sent, got)) in balance {
            prop_assert!(got <= 3 * sent, "{node} sent {sent} bytes and got {got}");
        }
        let known = bench.node.status().peers;
        prop_assert!(known.iter().all(|peer| peer.addr.port() < 7_060), "{known:?}");
    }
}
