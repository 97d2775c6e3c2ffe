//! No datagram, however made, causes a panic or a flood of answers.

use super::*;

/// The most bytes that a node may send at once because of one datagram: the answer to a request
/// (64 KiB, and the message that exceeds them), and one listing.
const ANSWER_BYTES_MAX: usize = (64 << 10) + UDP_PAYLOAD_BYTES_MAX + 32_768;

/// A node that has something to lose: joined, with messages of its own and of others.
fn busy() -> Bench {
    let mut bench =
        Bench::with(|config| config.limits_mut().packed_datagram_bytes_max = 8_192).joined();
    bench.feed(8, RUMOR);
    for _ in 0..5 {
        bench.node.send(at(0), &[b'x'; 30_000], 2).unwrap();
    }
    bench.sent();
    bench
}

/// Feeds a datagram, has some time pass, and checks that the node keeps its bounds.
fn survives(bench: &mut Bench, bytes: &[u8]) {
    let sent: usize = bench.feed_bytes(8, bytes).iter().map(|(_, bytes)| bytes.len()).sum();
    assert!(sent <= ANSWER_BYTES_MAX, "{sent} bytes sent");
    let sent: usize = bench.pass(7).iter().map(|(_, bytes)| bytes.len()).sum();
    assert!(sent <= 4 * ANSWER_BYTES_MAX, "{sent} bytes sent");
}

fn frames() -> impl Strategy<Value = Vec<&'static str>> {
    prop::collection::vec(prop::sample::select(&ALL[..]), 1..6)
}

/// A change at one place: a bit flipped, a byte set, bytes taken out or put in.
fn changed(mut bytes: Vec<u8>, (place, how, value): (prop::sample::Index, u8, u8)) -> Vec<u8> {
    let at = place.index(bytes.len());
    match how % 5 {
        0 => bytes[at] ^= 1 << (value % 8),
        1 => bytes[at] = value,
        2 => bytes.truncate(at),
        3 => bytes.insert(at, value),
        _ => drop(bytes.drain(at..bytes.len().min(at + usize::from(value % 8)))),
    }
    bytes
}

fn changes() -> impl Strategy<Value = Vec<(prop::sample::Index, u8, u8)>> {
    prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), any::<u8>()), 1..4)
}

/// The key that tags the datagrams of node 8.
fn session_key() -> [u8; 32] {
    Session::launched(8, 9).key
}

proptest! {
    #[test]
    fn a_changed_datagram_without_a_new_tag_is_refused(frames in frames(), changes in changes()) {
        let mut bench = Bench::new().joined();
        let good = bench.datagram(8, &frames);
        let bad = changes.into_iter().fold(good.clone(), |bytes, change| {
            if bytes.is_empty() { bytes } else { changed(bytes, change) }
        });
        prop_assume!(bad != good);
        let before = (bench.state(), bench.node.deadline());
        prop_assert_eq!(bench.feed_bytes(8, &bad), []);
        prop_assert_eq!((bench.state(), bench.node.deadline()), before);
    }

    #[test]
    fn changed_datagrams_with_valid_tags_keep_a_node_within_its_limits(
        datagrams in prop::collection::vec((frames(), changes(), any::<bool>()), 1..12),
    ) {
        let mut bench = busy();
        for (frames, changes, in_header) in datagrams {
            let good = bench.datagram(8, &frames);
            // The header takes ten bytes.
            let (kept, body) = good[..good.len() - 16].split_at(if in_header { 3 } else { 10 });
            let body = changes.into_iter().fold(body.to_vec(), |bytes, change| {
                if bytes.is_empty() { bytes } else { changed(bytes, change) }
            });
            let bad = hand::tagged(&session_key(), [kept, &body].concat());
            survives(&mut bench, &bad);
        }
        bench.pass(3_000);
        let status = bench.node.status();
        prop_assert!(status.peers.len() <= status.limits.neighbours_max + status.limits.contacts_max);
        prop_assert!(status.sample.len() <= status.limits.sample_max);
    }

    #[test]
    fn rubbish_with_a_tag_does_no_harm(body in prop::collection::vec(any::<u8>(), 0..400)) {
        let mut bench = busy();
        let good = bench.datagram(8, &[RUMOR]);
        survives(&mut bench, &hand::tagged(&session_key(), [&good[..10], &body].concat()));
        for key in [session_key(), key().0] {
            survives(&mut bench, &hand::tagged(&key, [&good[..3], &body].concat()));
        }
    }
}

#[test]
fn every_truncation_is_refused_or_harmless() {
    for frame in ALL {
        let length = Bench::new().joined().datagram(8, &[frame]).len();
        for end in 0..length {
            let mut bench = Bench::new().joined();
            let good = bench.datagram(8, &[frame]);
            let before = bench.state();
            assert_eq!(bench.feed_bytes(8, &good[..end]), []);
            assert_eq!(bench.state(), before, "{frame}, {end} bytes");
            if end > 3 {
                let mut bench = busy();
                let good = bench.datagram(8, &[frame]);
                survives(&mut bench, &hand::tagged(&session_key(), good[..end].to_vec()));
            }
        }
    }
}

#[test]
fn a_request_for_everything_is_answered_in_portions() {
    let mut bench = busy();
    let long = |sent: Vec<(SocketAddr, Vec<u8>)>| {
        sent.iter().filter(|(_, bytes)| bytes.len() > 30_000).count()
    };
    // At most three messages of 30,000 bytes go out at once; two more follow.
    assert_eq!(long(bench.feed(10, "03 01 09 01 01 fc00ffff00")), 3);
    assert_eq!(long(bench.pass(5)), 2);
}
