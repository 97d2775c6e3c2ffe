//! The wire format from outside: bytes in, bytes out, against `docs/wire-format.md`.
//!
//! These datagrams are made by hand, from the document alone: no code of the crate encodes or
//! decodes them. So a change of the format fails here even if encoder and decoder agree on it.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::net::SocketAddr;

use gossip::protocol::{
    Config, Counters, Event, Key, MAGIC, Monotonic, Node, NodeId, Now, Outputs, PeerAddr, Status,
    TAG_BYTES, UDP_PAYLOAD_BYTES_MAX, VERSION, Wall,
};
use proptest::prelude::*;

const DOCUMENT: &str = include_str!("../docs/wire-format.md");

/// The document's key: the bytes 00 to 1f.
fn key() -> Key {
    Key(std::array::from_fn(|at| u8::try_from(at).unwrap()))
}

/// Bytes from hexadecimal digits; blanks are for the reader.
fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    assert_eq!(digits.len() % 2, 0, "{text}");
    digits.chunks(2).map(byte).collect()
}

/// A number as the format writes it.
fn varint(number: u64) -> Vec<u8> {
    let bytes = number.to_le_bytes();
    match number {
        0..=250 => vec![bytes[0]],
        251..=0xffff => [&[0xfb], &bytes[..2]].concat(),
        0x1_0000..=0xffff_ffff => [&[0xfc], &bytes[..4]].concat(),
        _ => [&[0xfd], &bytes[..]].concat(),
    }
}

/// Adds the tag.
fn tagged(mut bytes: Vec<u8>) -> Vec<u8> {
    let hash = blake3::keyed_hash(&key().0, &bytes);
    bytes.extend_from_slice(&hash.as_bytes()[..16]);
    bytes
}

/// A whole datagram of these frames, which are given in hexadecimal digits.
fn datagram_of(sender: u32, incarnation: u64, frames: &[&str]) -> Vec<u8> {
    let mut bytes = hex("67c5 02");
    bytes.extend(varint(sender.into()));
    bytes.extend(varint(incarnation));
    bytes.extend(frames.iter().flat_map(|frame| hex(frame)));
    tagged(bytes)
}

fn datagram(sender: u32, frame: &str) -> Vec<u8> {
    datagram_of(sender, 1, &[frame])
}

fn addr(node: u32) -> SocketAddr {
    ([127, 0, 0, 1], u16::try_from(7000 + node).unwrap()).into()
}

/// The document's time at which everything begins.
const SENT_AT: u64 = 1_700_000_000_123_456_789;

fn at(ms: u64) -> Now {
    Now { monotonic: Monotonic(ms * 1_000_000), wall: Wall(SENT_AT + ms * 1_000_000) }
}

/// Node 9 between its neighbours 8 and 10, and the datagrams that it sends.
struct Bench {
    node: Node,
    out: Outputs,
    now: u64,
}

impl Bench {
    fn new() -> Self {
        Self::with(|_| {})
    }

    /// One frame in each datagram, so that frames can be compared one by one.
    fn with(change: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config::new(NodeId(9), gossip::protocol::testing::start(1), key(), 1);
        config.neighbours =
            [8, 10].map(|node| PeerAddr { node: NodeId(node), addr: addr(node) }).to_vec();
        config.limits_mut().packed_datagram_bytes_max = 1;
        change(&mut config);
        Self { node: Node::new(&config, at(0)), out: Outputs::default(), now: 0 }
    }

    /// Feeds a datagram from the address of its sender, and gives the datagrams sent in answer.
    fn feed(&mut self, from: u32, bytes: &[u8]) -> Vec<(SocketAddr, Vec<u8>)> {
        self.out.clear();
        self.node.receive_alone(at(self.now), addr(from), bytes, &mut self.out, &mut |_| ());
        self.flushed()
    }

    fn sent(&mut self) -> Vec<(SocketAddr, Vec<u8>)> {
        self.out.clear();
        self.flushed()
    }

    fn flushed(&mut self) -> Vec<(SocketAddr, Vec<u8>)> {
        self.node.flush(&mut self.out);
        self.out.datagrams().map(|(to, bytes)| (to, bytes.to_vec())).collect()
    }

    /// Lets some milliseconds pass, and gives the datagrams sent meanwhile.
    fn pass(&mut self, ms: u64) -> Vec<(SocketAddr, Vec<u8>)> {
        let mut sent = Vec::new();
        for _ in 0..ms {
            self.now += 1;
            if self.node.deadline().is_some_and(|due| due <= at(self.now).monotonic) {
                self.node.tick(at(self.now));
                sent.extend(self.sent());
            }
        }
        sent
    }

    /// A heartbeat from each neighbour, so that both count as joined.
    fn joined(mut self) -> Self {
        for node in [8, 10] {
            self.feed(node, &datagram(node, BEAT));
        }
        self
    }

    /// The status of the node without its counters.
    fn state(&self) -> Status {
        Status { counters: Counters::default(), ..self.node.status() }
    }
}

// One example of each kind, as node 9 of the document's network sends or gets it.
const RUMOR: &str = "00 08 01 01 fd15cd853dfe9c9717 03 00 01 01 08 06 62616e616e61";
const RELAYED: &str = "00 08 01 01 fd15cd853dfe9c9717 03 00 02 02 08 09 06 62616e616e61";
const REPAIRED: &str = "00 08 01 01 fd15cd853dfe9c9717 03 01 02 02 08 09 06 62616e616e61";
const HAVE: &str = "01 01 08 01 01 00";
const GOT: &str = "02 01 08 01 01 00";
const WANT: &str = "03 01 08 01 02 03";
const NOTHING_KNOWN: &str = "04 00 00 00";
const ONE_RECENT: &str = "04 00 00 01 08 01 01 00";
const ONE_ACCOUNT: &str = "04 01 fd5b02216019416905 00";
const RANGES: &str = "05 00 00 01 08 01 01 00 00 00 00 00 01 08 01 01 00 00";
const OFFER: &str = "06 00 00 01 08 01 01 00 00 00 00 00 00 01 08 01 01 00";
const ASKING: &str = "07 01 01 00 00";
const BEAT: &str = "07 00 00 00 01 05";
const NEIGHBOURS: &str = "08 01 00 02 08 00 7f000001 fb601b 0a 00 7f000001 fb621b";
const UNLINK: &str = "09";
const LEAVE: &str = "0a";
const PROBE: &str = "0b 00";
const PROBE_FOR_10: &str = "0b 01 0a 00 7f000001 fb621b";
const ANSWER: &str = "0c 00";
const ANSWER_FOR_10: &str = "0c 01 0a 00 7f000001 fb621b";
const PROBE_FOR: &str = "0d 08 00 7f000001 fb601b";
const VOUCH: &str = "0e 08";
const SHUFFLE: &str = "0f 01 0c 00 7f000001 fb641b 00";
const SHUFFLED: &str = "0f 01 0d 00 7f000001 fb651b 01";

const COMPONENT: &str = "10 09 01 01 00";
const FOLLOWING: &str = "10 08 01 05 01";
const BACK_PRESSURE: &str = "11 05";
const LACKS: &str = "12 01 08 01 02 03";

const ALL: [&str; 28] = [
    RUMOR,
    RELAYED,
    REPAIRED,
    HAVE,
    GOT,
    WANT,
    NOTHING_KNOWN,
    ONE_RECENT,
    ONE_ACCOUNT,
    RANGES,
    OFFER,
    ASKING,
    BEAT,
    NEIGHBOURS,
    UNLINK,
    LEAVE,
    PROBE,
    PROBE_FOR_10,
    ANSWER,
    ANSWER_FOR_10,
    PROBE_FOR,
    VOUCH,
    SHUFFLE,
    SHUFFLED,
    COMPONENT,
    FOLLOWING,
    BACK_PRESSURE,
    LACKS,
];

mod document {
    use super::*;

    /// Whether the document shows these bytes, blanks aside.
    fn has(what: &str) -> bool {
        let digits = |text: &str| text.replace(' ', "");
        DOCUMENT.split('`').any(|part| digits(part) == digits(what))
    }

    #[test]
    fn every_example_stands_in_the_document() {
        for frame in ALL {
            assert!(has(frame), "docs/wire-format.md does not show {frame}");
        }
    }

    /// The lines of the block that is fenced as this.
    fn block(fence: &str) -> Vec<&str> {
        let start = format!("```{fence}\n");
        let (_, rest) = DOCUMENT.split_once(&start).unwrap();
        rest.split_once("```").unwrap().0.lines().collect()
    }

    #[test]
    fn a_node_sends_the_datagram_of_the_document() {
        let bytes: Vec<u8> = block("datagram")
            .iter()
            .flat_map(|line| hex(line.split_once('|').unwrap().0))
            .collect();
        let mut bench = Bench::new();
        let sent = bench.feed(8, &datagram(8, RUMOR));
        assert_eq!(sent, [(addr(10), bytes)]);
    }

    #[test]
    fn the_document_gives_the_constants_of_the_code() {
        assert_eq!(hex("67c5"), MAGIC);
        assert_eq!((VERSION, TAG_BYTES), (2, 16));
        let key: String = key().0.iter().map(|byte| format!("{byte:02x}")).collect();
        assert!(DOCUMENT.contains(&key));
        let limits =
            Config::new(NodeId(1), gossip::protocol::testing::start(1), super::key(), 1).limits;
        for number in [limits.text_bytes_max, limits.path_nodes_max, UDP_PAYLOAD_BYTES_MAX] {
            let digits = number.to_string();
            let (thousands, rest) = digits.split_at(digits.len() - 3);
            assert!(DOCUMENT.contains(&format!("{thousands},{rest}")), "{number}");
        }
    }
}

/// Bytes in and bytes out, one kind of frame after the other.
mod golden {
    use super::*;

    #[test]
    fn a_rumor_is_passed_on_with_one_more_hop() {
        let mut bench = Bench::new();
        assert_eq!(bench.feed(8, &datagram(8, RUMOR)), [(addr(10), datagram(9, RELAYED))]);
        let told = std::mem::take(&mut bench.out.events);
        let delivered = |event: &Event| matches!(event, Event::Delivered { payload, hops: 1, .. } if payload == b"banana");
        assert!(told.iter().any(delivered), "{told:?}");
    }

    #[test]
    fn a_message_that_starts_here_goes_to_all_neighbours() {
        let mut bench = Bench::new();
        bench.node.send(at(0), b"banana", 3).unwrap();
        let rumor = datagram(9, "00 09 01 01 fd15cd853dfe9c9717 03 00 01 01 09 06 62616e616e61");
        assert_eq!(bench.sent(), [(addr(8), rumor.clone()), (addr(10), rumor)]);
    }

    #[test]
    fn a_payload_of_any_bytes_is_passed_on() {
        let mut bench = Bench::new();
        let any = |text: &str| text.replace("62616e616e61", "00ff80c32861");
        assert_eq!(
            bench.feed(8, &datagram(8, &any(RUMOR))),
            [(addr(10), datagram(9, &any(RELAYED)))]
        );
    }

    #[test]
    fn large_numbers_take_more_bytes() {
        let mut bench = Bench::with(|config| config.node = NodeId(70_000));
        bench.node.send(at(0), &[b'x'; 300], 1).unwrap();
        let (_, sent) = bench.sent().swap_remove(0);
        let mut expected = hex("67c5 02 fc70110100 01");
        expected
            .extend(hex("00 fc70110100 01 01 fd15cd853dfe9c9717 01 00 01 05 fc70110100 fb2c01"));
        expected.extend([b'x'; 300]);
        assert_eq!(sent, tagged(expected));
    }

    #[test]
    fn a_message_that_does_not_come_back_is_asked_about() {
        let mut bench = Bench::new().joined();
        bench.feed(8, &datagram(8, RUMOR));
        let sent = bench.pass(250);
        assert!(sent.contains(&(addr(10), datagram(9, HAVE))));
        assert!(!sent.contains(&(addr(8), datagram(9, HAVE))), "8 sent it itself");
    }

    #[test]
    fn have_is_answered_by_got_and_want() {
        let mut bench = Bench::new();
        bench.feed(8, &datagram(8, RUMOR));
        assert_eq!(bench.feed(10, &datagram(10, HAVE)), [(addr(10), datagram(9, GOT))]);
        // 8.1 to 8.5, of which only the first is here.
        let sent = bench.feed(10, &datagram(10, "01 01 08 01 01 04"));
        assert_eq!(sent, [(addr(10), datagram(9, GOT)), (addr(10), datagram(9, WANT))]);
    }

    #[test]
    fn want_is_answered_by_the_message() {
        let mut bench = Bench::new();
        bench.feed(8, &datagram(8, RUMOR));
        let want = datagram(10, "03 01 08 01 01 00");
        assert_eq!(bench.feed(10, &want), [(addr(10), datagram(9, REPAIRED))]);
    }

    #[test]
    fn a_neighbour_that_is_heard_for_the_first_time_is_greeted() {
        let mut bench = Bench::new();
        let sent = bench.feed(8, &datagram(8, ASKING));
        let greeting = ["07 00 01 00 01 00", NEIGHBOURS, "10 09 01 00 00", NOTHING_KNOWN];
        assert_eq!(sent, greeting.map(|frame| (addr(8), datagram(9, frame))));
    }

    #[test]
    fn summaries_list_what_is_recent_and_count_the_rest() {
        let mut bench = Bench::new().joined();
        bench.feed(8, &datagram(8, RUMOR));
        let soon = bench.pass(400);
        assert!(soon.contains(&(addr(8), datagram(9, ONE_RECENT))));
        let later = bench.pass(2_500);
        assert!(later.contains(&(addr(8), datagram(9, ONE_ACCOUNT))));
    }

    /// The fingerprint by the document's words.
    #[test]
    fn fingerprints_are_made_as_documented() {
        fn mix(value: u64) -> u64 {
            let z = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
            z ^ z >> 31
        }
        let fingerprint = mix(mix(mix(8).wrapping_add(1)).wrapping_add(1));
        let summary = [hex("04 01"), varint(fingerprint), hex("00")].concat();
        assert_eq!(summary, hex(ONE_ACCOUNT));
    }

    #[test]
    fn a_summary_that_differs_is_answered_by_ranges() {
        let mut bench = Bench::new().joined();
        bench.feed(8, &datagram(8, RUMOR));
        let sent = bench.feed(10, &datagram(10, "04 02 07 00"));
        assert_eq!(sent, [(addr(10), datagram(9, RANGES))]);
    }

    #[test]
    fn ranges_are_answered_by_an_offer() {
        let mut bench = Bench::new().joined();
        bench.feed(8, &datagram(8, RUMOR));
        let sent = bench.feed(10, &datagram(10, "05 00 00 00 00 00 00 00 00 00"));
        assert_eq!(sent, [(addr(10), datagram(9, OFFER))]);
    }

    #[test]
    fn an_offer_is_taken_up() {
        let mut bench = Bench::new().joined();
        bench.feed(8, &datagram(8, RUMOR));
        let sent = bench.feed(10, &datagram(10, "06 00 00 00 00 00 00 00 00 01 08 01 02 03"));
        assert_eq!(sent, [(addr(10), datagram(9, WANT))]);
    }

    #[test]
    fn heartbeats_go_to_all_neighbours_and_tell_new_links_once() {
        let asking = Bench::new().pass(100);
        assert_eq!(asking, [8, 10].map(|node| (addr(node), datagram(9, ASKING))));
        let sent = Bench::new().joined().pass(200);
        assert!(sent.contains(&(addr(8), datagram(9, NEIGHBOURS))));
        let mut told = Bench::new().joined();
        for node in [8, 10] {
            told.feed(node, &datagram(node, "07 00 00 01 01 00"));
        }
        let sent = told.pass(200);
        // The last byte: how many milliseconds ago node 8 was heard.
        let beat = |ms: u64| datagram(9, &format!("07 00 01 00 01 {ms:02x}"));
        assert!((1..=200).any(|ms| sent.contains(&(addr(8), beat(ms)))));
    }

    #[test]
    fn neighbours_agree_on_one_name_for_their_component() {
        let mut bench = Bench::new().joined();
        assert!(bench.pass(200).contains(&(addr(8), datagram(9, COMPONENT))));
        // A better name is passed on at once, but not back.
        let passed_on = bench.feed(8, &datagram(8, "10 08 01 05 00"));
        assert_eq!(passed_on, [(addr(10), datagram(9, "10 08 01 05 00"))]);
        assert_eq!(bench.feed(10, &datagram(10, "10 0d 01 07 00")), []);
    }

    #[test]
    fn back_pressure_is_passed_on_once() {
        let mut bench = Bench::new().joined();
        assert_eq!(
            bench.feed(8, &datagram(8, BACK_PRESSURE)),
            [(addr(10), datagram(9, BACK_PRESSURE))]
        );
        assert_eq!(bench.feed(10, &datagram(10, BACK_PRESSURE)), []);
        // A neighbour that has counted less is told the higher count.
        assert_eq!(bench.feed(8, &datagram(8, "11 04")), [(addr(8), datagram(9, BACK_PRESSURE))]);
    }

    #[test]
    fn a_neighbour_beyond_the_limit_is_unlinked() {
        let mut bench = Bench::with(|config| config.limits_mut().neighbours_max = 2);
        assert_eq!(bench.feed(11, &datagram(11, ASKING)), [(addr(11), datagram(9, UNLINK))]);
    }

    #[test]
    fn a_node_that_leaves_says_so_and_names_its_neighbours() {
        let mut bench = Bench::new().joined();
        bench.node.leave(at(0));
        let goodbye = [(8, NEIGHBOURS), (8, LEAVE), (10, NEIGHBOURS), (10, LEAVE)];
        let goodbye = goodbye.map(|(node, frame)| (addr(node), datagram(9, frame)));
        assert_eq!(bench.sent(), goodbye);
    }

    #[test]
    fn a_silent_neighbour_is_probed_directly_and_through_another() {
        let mut bench = Bench::new().joined();
        let mut sent = Vec::new();
        for _ in 0..3 {
            sent.extend(bench.pass(800));
            bench.feed(10, &datagram(10, BEAT));
        }
        assert!(sent.contains(&(addr(8), datagram(9, PROBE))));
        assert!(sent.contains(&(addr(10), datagram(9, PROBE_FOR))));
        assert!(!sent.contains(&(addr(10), datagram(9, PROBE))));
    }

    #[test]
    fn probes_are_answered_and_answers_passed_on() {
        let mut bench = Bench::new().joined();
        assert_eq!(bench.feed(8, &datagram(8, PROBE)), [(addr(8), datagram(9, ANSWER))]);
        let on_behalf = bench.feed(8, &datagram(8, PROBE_FOR_10));
        assert_eq!(on_behalf, [(addr(8), datagram(9, ANSWER_FOR_10))]);
        assert_eq!(bench.feed(8, &datagram(8, ANSWER_FOR_10)), [(addr(10), datagram(9, VOUCH))]);
        // Heard from just now, so there is no need to ask.
        assert_eq!(bench.feed(10, &datagram(10, PROBE_FOR)), [(addr(10), datagram(9, VOUCH))]);
    }

    #[test]
    fn a_node_that_was_not_heard_is_probed_for_another() {
        let mut bench = Bench::new();
        let sent = bench.feed(10, &datagram(10, PROBE_FOR));
        assert_eq!(sent, [(addr(8), datagram(9, PROBE_FOR_10))]);
    }

    #[test]
    fn a_shuffle_trades_known_nodes() {
        let sample = PeerAddr { node: NodeId(13), addr: addr(13) };
        let mut bench = Bench::with(|config| config.sample = vec![sample]);
        assert_eq!(bench.feed(11, &datagram(11, SHUFFLE)), [(addr(11), datagram(9, SHUFFLED))]);
        let known: Vec<u32> = bench.node.status().sample.iter().map(|peer| peer.node.0).collect();
        assert!(known.contains(&12) && known.contains(&11), "{known:?}");
    }

    #[test]
    fn frames_for_one_receiver_share_a_datagram() {
        let mut bench = Bench::with(|config| config.limits_mut().packed_datagram_bytes_max = 8_192);
        let sent = bench.feed(8, &datagram_of(8, 1, &[RUMOR, PROBE, PROBE]));
        let both = datagram_of(9, 1, &[ANSWER, ANSWER]);
        // Messages go out before answers.
        assert_eq!(sent, [(addr(10), datagram(9, RELAYED)), (addr(8), both)]);
    }

    #[test]
    fn numbers_may_come_in_a_longer_form() {
        let long = "00 fb0800 fc01000000 fd0100000000000000 fd15cd853dfe9c9717 03 00 fb0100 fb0100 08 \
                    fb0600 62616e616e61";
        let mut bench = Bench::new();
        assert_eq!(bench.feed(8, &datagram(8, long)), [(addr(10), datagram(9, RELAYED))]);
    }
}

#[path = "wire/asked_in_vain.rs"]
mod asked_in_vain;

#[path = "wire/refused.rs"]
mod refused;

#[path = "wire/tampered.rs"]
mod tampered;
