//! A refused datagram changes nothing but a counter.

use super::*;

/// Feeds bytes that must be refused, and gives the counter that went up.
fn counter_for(bench: &mut Bench, bytes: &[u8]) -> &'static str {
    let (before, counters) = (bench.state(), bench.node.status().counters);
    let deadline = bench.node.deadline();
    let sent = bench.feed_bytes(8, bytes);
    assert_eq!(sent, [], "an answer to a refused datagram");
    assert_eq!(bench.out.events, []);
    assert_eq!(bench.state(), before);
    assert_eq!(bench.node.deadline(), deadline);
    let after = bench.node.status().counters;
    assert_eq!(after.datagrams_received, counters.datagrams_received + 1);
    assert_eq!(after.bytes_received, counters.bytes_received + bytes.len() as u64);
    let pairs = counters.list().into_iter().zip(after.list());
    let changed: Vec<&str> =
        pairs.filter(|((_, a), (_, b))| a != b).map(|((name, _), _)| name).collect();
    let dropped: Vec<&&str> = changed.iter().filter(|n| n.starts_with("dropped_")).collect();
    let others = changed.iter().filter(|n| !n.ends_with("s_received")).count();
    assert_eq!((dropped.len(), others), (1, 1), "{changed:?}");
    dropped[0]
}

#[track_caller]
fn assert_refused(bytes: &[u8], counter: &str) {
    assert_eq!(counter_for(&mut Bench::new().joined(), bytes), counter);
}

/// The datagram that node 8 sends next to a bench whose neighbours have joined.
fn next(frames: &[&str]) -> Vec<u8> {
    Bench::new().joined().datagram(8, frames)
}

#[test]
fn datagrams_of_other_protocols_and_versions_are_refused() {
    assert_refused(b"", "dropped_empty");
    assert_refused(b"\x67", "dropped_magic");
    assert_refused(b"GET / HTTP/1.1\r\n\r\n", "dropped_magic");
    assert_refused(&vec![0; UDP_PAYLOAD_BYTES_MAX], "dropped_magic");
    assert_refused(&hex("67c5"), "dropped_magic");
    assert_refused(&hex("67c5 02 03 08 01"), "dropped_magic");
    assert_refused(&hex("67c5 01 08 01"), "dropped_version");
    assert_refused(&hand::tagged(&key().0, hex("67c5 01 08 01 09")), "dropped_version");
}

#[test]
fn datagrams_with_another_tag_are_refused() {
    let good = next(&[RUMOR]);
    assert_eq!(good[3..5], [3, 8]);
    // From its counter on: other counters count changes of the bytes before.
    for at in 9..good.len() {
        let mut flipped = good.clone();
        flipped[at] ^= 1;
        // The heartbeat had the counter 0.
        let counter = if at == 9 { "dropped_replayed" } else { "dropped_tag" };
        assert_refused(&flipped, counter);
    }
    assert_refused(&good[..good.len() - 1], "dropped_tag");
    assert_refused(&[&good[..], &[0]].concat(), "dropped_tag");
    let body = &good[..good.len() - 16];
    for key in [[7; 32], key().0, Session::launched(9, 10).key] {
        assert_refused(&hand::tagged(&key, body.to_vec()), "dropped_tag");
    }
    let keyless = blake3::hash(body);
    assert_refused(&[body, &keyless.as_bytes()[..16]].concat(), "dropped_tag");
}

#[test]
fn datagrams_of_other_sessions_are_refused() {
    let good = next(&[RUMOR]);
    for at in 5..9 {
        let mut flipped = good.clone();
        flipped[at] ^= 1;
        assert_refused(&flipped, "dropped_session");
    }
    // Of node 8 and node 10.
    assert_refused(&Session::launched(8, 10).datagram(8, 1, &hex(RUMOR)), "dropped_session");
    assert_refused(&Session::launched(9, 11).datagram(11, 0, &hex(PROBE)), "dropped_session");
}

#[test]
fn datagrams_that_claim_to_come_from_the_node_itself_are_refused() {
    assert_refused(&Session::launched(9, 8).datagram(9, 5, &hex(BEAT)), "dropped_own");
}

/// Nothing of this is looked into for long: a right tag cannot make it right.
#[test]
fn headers_that_break_the_format_are_refused() {
    let session = Session::launched(9, 8);
    for (why, header) in [
        ("a form that does not exist", "67c5 02 04 08 00000000 01 09"),
        ("a session of node 0", "67c5 02 03 00 00000000 01 09"),
        ("a session without frames", "67c5 02 03 08 00000000 01"),
        ("a session that breaks off", "67c5 02 03 08 000000"),
        ("a counter of no size", "67c5 02 03 08 00000000 fe 09"),
        ("a sender larger than its field", "67c5 02 03 fd0000000001000000 00000000 01 09"),
        ("a hello with frames", "67c5 02 00 08 01 09 77777777777777777777777777777777 09"),
        ("a hello to node 0", "67c5 02 00 08 01 00 77777777777777777777777777777777"),
        ("a hello of incarnation 0", "67c5 02 00 08 00 09 77777777777777777777777777777777"),
        ("a hello that breaks off", "67c5 02 00 08 01 09 777777777777777777777777777777"),
        ("a welcome that breaks off", "67c5 02 01 08 01 09 77777777777777777777777777777777 77"),
        ("an opening that breaks off", "67c5 02 02 08 01 77777777777777777777777777777777 77"),
    ] {
        for key in [key().0, session.key] {
            let counter = counter_for(&mut Bench::new().joined(), &hand::tagged(&key, hex(header)));
            assert_eq!(counter, "dropped_malformed", "{why}");
        }
    }
}

/// Each datagram has a valid tag, and one mistake.
#[test]
fn frames_that_break_the_format_are_refused() {
    for (why, frames) in [
        ("a kind that does not exist", "13"),
        ("a byte too many", "09 ff"),
        ("a frame that breaks off", "0d 08 00 7f0000"),
        ("a flag that is neither", "07 02 00 00 00"),
        ("an option that is neither", "0b 02"),
        ("an address of no kind", "0d 08 02 7f000001 fb601b"),
        ("a number of no size", "07 00 fe 00 00"),
        ("a number larger than its field", "07 00 fd0000000001000000 00 00"),
        ("a list that claims more than there is", "02 fdffffffffffffff7f 08 01 01 00"),
        ("a list that claims 2³⁰ elements", "0f fc00000040"),
        ("a range from number 0", "01 01 08 01 00 00"),
        ("a range of node 0", "01 01 00 01 01 00"),
        ("a range over the end of numbers", "01 01 08 01 02 fdffffffffffffffff"),
        ("a bad range in a summary", "04 00 00 01 08 01 00 00"),
        ("a bad range in a listing", "05 00 00 00 00 00 00 00 00 01 08 01 00 00"),
        ("a bad range in an offer", "06 00 00 00 00 00 00 00 00 01 08 01 00 00"),
        ("node 0 as a neighbour", "08 01 00 01 00 00 7f000001 fb601b"),
        ("node 0 as a target", "0d 00 00 7f000001 fb601b"),
        ("node 0 as an asker", "0b 01 00 00 7f000001 fb601b"),
        ("node 0 in a shuffle", "0f 01 00 00 7f000001 fb601b 00"),
        ("word of node 0", "0e 00"),
        ("a message number 0", "00 08 01 00 00 03 00 01 01 08 01 78"),
        ("no relays", "00 08 01 01 00 00 00 01 01 08 01 78"),
        ("too many relays", "00 08 01 01 00 11 00 01 01 08 01 78"),
        ("no text", "00 08 01 01 00 03 00 01 01 08 00"),
        ("no path", "00 08 01 01 00 03 00 00 00 01 78"),
        ("a path from elsewhere", "00 08 01 01 00 03 00 02 02 07 08 01 78"),
        ("a path to elsewhere", "00 08 01 01 00 03 00 02 02 08 07 01 78"),
        ("a path that breaks off", "00 08 01 01 00 03 00 01 02 08 fb 01 78"),
        ("a path that is cut twice", "00 08 01 01 00 03 00 09 04 08 00 00 08 01 78"),
        ("more hops than path", "00 08 01 01 00 03 00 02 01 08 01 78"),
        ("a cut path with all its hops", "00 08 01 01 00 03 00 02 03 08 00 08 01 78"),
    ] {
        let counter = counter_for(&mut Bench::new().joined(), &next(&[frames]));
        assert_eq!(counter, "dropped_malformed", "{why}");
        // One bad frame spoils the datagram: the good one before it is refused with it.
        let counter = counter_for(&mut Bench::new().joined(), &next(&[RUMOR, frames]));
        assert_eq!(counter, "dropped_malformed", "{why}, after a good frame");
    }
}
