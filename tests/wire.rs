//! The wire format from outside: bytes in, bytes out, against `docs/wire-format.md`.
//!
//! These datagrams are made by hand, from the document alone: no code of the crate encodes or
//! decodes them. So a change of the format fails here even if encoder and decoder agree on it.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeMap;
use std::net::SocketAddr;

use gossip::protocol::{
    Config, Counters, Event, MAGIC, Monotonic, Node, NodeId, Now, Outputs, PeerAddr, Status,
    TAG_BYTES, UDP_PAYLOAD_BYTES_MAX, VERSION, Wall,
};
use proptest::prelude::*;

#[path = "wire/hand.rs"]
mod hand;

use hand::{LAUNCH, Session, hex, key, varint};

const DOCUMENT: &str = include_str!("../docs/wire-format.md");

fn addr(node: u32) -> SocketAddr {
    ([127, 0, 0, 1], u16::try_from(7000 + node).unwrap()).into()
}

/// The document's time at which everything begins.
const SENT_AT: u64 = 1_700_000_000_123_456_789;

fn at(ms: u64) -> Now {
    Now { monotonic: Monotonic(ms * 1_000_000), wall: Wall(SENT_AT + ms * 1_000_000) }
}

/// A datagram as it was sent: to whom, and its frames. One without frames is given as it is.
type Sent = (SocketAddr, Vec<u8>);

/// Node 9 between its neighbours 8 and 10, which were launched with it, and the datagrams that it sends.
struct Bench {
    node: Node,
    number: u32,
    out: Outputs,
    now: u64,
    /// The node's sessions, and how many datagrams the peer has sent in each, and the node.
    sessions: BTreeMap<u32, (Session, u64, u64)>,
}

impl Bench {
    fn new() -> Self {
        Self::with(|_| {})
    }

    /// One frame in each datagram, so that frames can be compared one by one.
    fn with(change: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config::new(NodeId(9), gossip::protocol::testing::start(1), key(), 1);
        config.launch = Some(LAUNCH);
        config.neighbours =
            [8, 10].map(|node| PeerAddr { node: NodeId(node), addr: addr(node) }).to_vec();
        config.limits_mut().packed_datagram_bytes_max = 1;
        change(&mut config);
        let number = config.node.0;
        let sessions = [8, 10].map(|node| (node, (Session::launched(number, node), 0, 0)));
        let (node, out) = (Node::new(&config, at(0)), Outputs::default());
        Self { node, number, out, now: 0, sessions: sessions.into() }
    }

    /// The next datagram of these frames from a peer, which are given in hexadecimal digits.
    fn datagram(&mut self, from: u32, frames: &[&str]) -> Vec<u8> {
        let (session, sent, _) = self.sessions.get_mut(&from).unwrap();
        *sent += 1;
        let frames: Vec<u8> = frames.iter().flat_map(|frame| hex(frame)).collect();
        session.datagram(from, *sent - 1, &frames)
    }

    /// Feeds frames from the address of their sender, and gives the frames sent in answer.
    fn feed(&mut self, from: u32, frames: &str) -> Vec<Sent> {
        let bytes = self.datagram(from, &[frames]);
        self.feed_bytes(from, &bytes)
    }

    fn feed_bytes(&mut self, from: u32, bytes: &[u8]) -> Vec<Sent> {
        self.out.clear();
        self.node.receive_alone(at(self.now), addr(from), bytes, &mut self.out, &mut |_| ());
        self.flushed()
    }

    fn sent(&mut self) -> Vec<Sent> {
        self.out.clear();
        self.flushed()
    }

    fn flushed(&mut self) -> Vec<Sent> {
        self.node.flush(&mut self.out);
        let mut sent = Vec::new();
        for (to, bytes) in self.out.datagrams() {
            let node = u32::from(to.port()).wrapping_sub(7000);
            let session = self.sessions.get_mut(&node).filter(|_| bytes[3] > 1);
            let opened = session.map(|(session, _, sent)| {
                *sent += 1;
                session.opened(self.number, *sent - 1, bytes)
            });
            sent.push((to, opened.unwrap_or(bytes).to_vec()));
        }
        sent
    }

    /// A session with a node that this one does not know, by a handshake of that.
    fn meet(&mut self, node: u32) {
        let nonce = [0x77; 16];
        let sent = self.feed_bytes(node, &hand::hello((node, 1), self.number, nonce));
        let [(to, welcome)] = &sent[..] else { panic!("{sent:?}") };
        assert_eq!(*to, addr(node));
        let session = hand::welcomed(welcome, (self.number, 1), (node, 1), nonce);
        let opening = session.opening((node, 1), 0, &hex(ANSWER));
        self.sessions.insert(node, (session, 1, 0));
        assert_eq!(self.feed_bytes(node, &opening), []);
    }

    /// Lets some milliseconds pass, and gives the frames sent meanwhile.
    fn pass(&mut self, ms: u64) -> Vec<Sent> {
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
            self.feed(node, BEAT);
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

#[path = "wire/examples_shown.rs"]
mod examples_shown;

/// Bytes in and bytes out, one kind of frame after the other.
mod golden {
    use super::*;

    #[test]
    fn a_rumor_is_passed_on_with_one_more_hop() {
        let mut bench = Bench::new();
        assert_eq!(bench.feed(8, RUMOR), [(addr(10), hex(RELAYED))]);
        let told = std::mem::take(&mut bench.out.events);
        let delivered = |event: &Event| matches!(event, Event::Delivered { payload, hops: 1, .. } if payload == b"banana");
        assert!(told.iter().any(delivered), "{told:?}");
    }

    #[test]
    fn a_message_that_starts_here_goes_to_all_neighbours() {
        let mut bench = Bench::new();
        bench.node.send(at(0), b"banana", 3).unwrap();
        let rumor = hex("00 09 01 01 fd15cd853dfe9c9717 03 00 01 01 09 06 62616e616e61");
        assert_eq!(bench.sent(), [(addr(8), rumor.clone()), (addr(10), rumor)]);
    }

    #[test]
    fn a_payload_of_any_bytes_is_passed_on() {
        let mut bench = Bench::new();
        let any = |text: &str| text.replace("62616e616e61", "00ff80c32861");
        assert_eq!(bench.feed(8, &any(RUMOR)), [(addr(10), hex(&any(RELAYED)))]);
    }

    #[test]
    fn large_numbers_take_more_bytes() {
        let mut bench = Bench::with(|config| config.node = NodeId(70_000));
        bench.node.send(at(0), &[b'x'; 300], 1).unwrap();
        let (_, sent) = bench.sent().swap_remove(0);
        let mut expected =
            hex("00 fc70110100 01 01 fd15cd853dfe9c9717 01 00 01 05 fc70110100 fb2c01");
        expected.extend([b'x'; 300]);
        assert_eq!(sent, expected);
    }

    #[test]
    fn a_message_that_does_not_come_back_is_asked_about() {
        let mut bench = Bench::new().joined();
        bench.feed(8, RUMOR);
        let sent = bench.pass(250);
        assert!(sent.contains(&(addr(10), hex(HAVE))));
        assert!(!sent.contains(&(addr(8), hex(HAVE))), "8 sent it itself");
    }

    #[test]
    fn have_is_answered_by_got_and_want() {
        let mut bench = Bench::new();
        bench.feed(8, RUMOR);
        assert_eq!(bench.feed(10, HAVE), [(addr(10), hex(GOT))]);
        // 8.1 to 8.5, of which only the first is here.
        let sent = bench.feed(10, "01 01 08 01 01 04");
        assert_eq!(sent, [(addr(10), hex(GOT)), (addr(10), hex(WANT))]);
    }

    #[test]
    fn want_is_answered_by_the_message() {
        let mut bench = Bench::new();
        bench.feed(8, RUMOR);
        assert_eq!(bench.feed(10, "03 01 08 01 01 00"), [(addr(10), hex(REPAIRED))]);
    }

    #[test]
    fn a_neighbour_that_is_heard_for_the_first_time_is_greeted() {
        let mut bench = Bench::new();
        let sent = bench.feed(8, ASKING);
        let greeting = ["07 00 01 00 01 00", NEIGHBOURS, "10 09 01 00 00", NOTHING_KNOWN];
        assert_eq!(sent, greeting.map(|frame| (addr(8), hex(frame))));
    }

    #[test]
    fn summaries_list_what_is_recent_and_count_the_rest() {
        let mut bench = Bench::new().joined();
        bench.feed(8, RUMOR);
        let soon = bench.pass(400);
        assert!(soon.contains(&(addr(8), hex(ONE_RECENT))));
        let later = bench.pass(2_500);
        assert!(later.contains(&(addr(8), hex(ONE_ACCOUNT))));
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
        bench.feed(8, RUMOR);
        let sent = bench.feed(10, "04 02 07 00");
        assert_eq!(sent, [(addr(10), hex(RANGES))]);
    }

    #[test]
    fn ranges_are_answered_by_an_offer() {
        let mut bench = Bench::new().joined();
        bench.feed(8, RUMOR);
        let sent = bench.feed(10, "05 00 00 00 00 00 00 00 00 00");
        assert_eq!(sent, [(addr(10), hex(OFFER))]);
    }

    #[test]
    fn an_offer_is_taken_up() {
        let mut bench = Bench::new().joined();
        bench.feed(8, RUMOR);
        let sent = bench.feed(10, "06 00 00 00 00 00 00 00 00 01 08 01 02 03");
        assert_eq!(sent, [(addr(10), hex(WANT))]);
    }

    #[test]
    fn heartbeats_go_to_all_neighbours_and_tell_new_links_once() {
        let asking = Bench::new().pass(100);
        assert_eq!(asking, [8, 10].map(|node| (addr(node), hex(ASKING))));
        let sent = Bench::new().joined().pass(200);
        assert!(sent.contains(&(addr(8), hex(NEIGHBOURS))));
        let mut told = Bench::new().joined();
        for node in [8, 10] {
            told.feed(node, "07 00 00 01 01 00");
        }
        let sent = told.pass(200);
        // The last byte: how many milliseconds ago node 8 was heard.
        let beat = |ms: u64| hex(&format!("07 00 01 00 01 {ms:02x}"));
        assert!((1..=200).any(|ms| sent.contains(&(addr(8), beat(ms)))));
    }

    #[test]
    fn neighbours_agree_on_one_name_for_their_component() {
        let mut bench = Bench::new().joined();
        assert!(bench.pass(200).contains(&(addr(8), hex(COMPONENT))));
        // A better name is passed on at once, but not back.
        let passed_on = bench.feed(8, "10 08 01 05 00");
        assert_eq!(passed_on, [(addr(10), hex("10 08 01 05 00"))]);
        assert_eq!(bench.feed(10, "10 0d 01 07 00"), []);
    }

    #[test]
    fn back_pressure_is_passed_on_once() {
        let mut bench = Bench::new().joined();
        assert_eq!(bench.feed(8, BACK_PRESSURE), [(addr(10), hex(BACK_PRESSURE))]);
        assert_eq!(bench.feed(10, BACK_PRESSURE), []);
        // A neighbour that has counted less is told the higher count.
        assert_eq!(bench.feed(8, "11 04"), [(addr(8), hex(BACK_PRESSURE))]);
    }

    #[test]
    fn a_neighbour_beyond_the_limit_is_unlinked() {
        let mut bench = Bench::with(|config| config.limits_mut().neighbours_max = 2);
        bench.meet(11);
        assert_eq!(bench.feed(11, ASKING), [(addr(11), hex(UNLINK))]);
    }

    #[test]
    fn a_node_that_leaves_says_so_and_names_its_neighbours() {
        let mut bench = Bench::new().joined();
        bench.node.leave(at(0));
        let goodbye = [(8, NEIGHBOURS), (8, LEAVE), (10, NEIGHBOURS), (10, LEAVE)];
        let goodbye = goodbye.map(|(node, frame)| (addr(node), hex(frame)));
        assert_eq!(bench.sent(), goodbye);
    }

    #[test]
    fn a_silent_neighbour_is_probed_directly_and_through_another() {
        let mut bench = Bench::new().joined();
        let mut sent = Vec::new();
        for _ in 0..3 {
            sent.extend(bench.pass(800));
            bench.feed(10, BEAT);
        }
        assert!(sent.contains(&(addr(8), hex(PROBE))));
        assert!(sent.contains(&(addr(10), hex(PROBE_FOR))));
        assert!(!sent.contains(&(addr(10), hex(PROBE))));
    }

    #[test]
    fn probes_are_answered_and_answers_passed_on() {
        let mut bench = Bench::new().joined();
        assert_eq!(bench.feed(8, PROBE), [(addr(8), hex(ANSWER))]);
        let on_behalf = bench.feed(8, PROBE_FOR_10);
        assert_eq!(on_behalf, [(addr(8), hex(ANSWER_FOR_10))]);
        assert_eq!(bench.feed(8, ANSWER_FOR_10), [(addr(10), hex(VOUCH))]);
        // Heard from just now, so there is no need to ask.
        assert_eq!(bench.feed(10, PROBE_FOR), [(addr(10), hex(VOUCH))]);
    }

    #[test]
    fn a_node_that_was_not_heard_is_probed_for_another() {
        let mut bench = Bench::new();
        let sent = bench.feed(10, PROBE_FOR);
        assert_eq!(sent, [(addr(8), hex(PROBE_FOR_10))]);
    }

    #[test]
    fn a_shuffle_trades_known_nodes() {
        let sample = PeerAddr { node: NodeId(13), addr: addr(13) };
        let mut bench = Bench::with(|config| config.sample = vec![sample]);
        bench.meet(11);
        assert_eq!(bench.feed(11, SHUFFLE), [(addr(11), hex(SHUFFLED))]);
        let known: Vec<u32> = bench.node.status().sample.iter().map(|peer| peer.node.0).collect();
        assert!(known.contains(&12) && known.contains(&11), "{known:?}");
    }

    #[test]
    fn frames_for_one_receiver_share_a_datagram() {
        let mut bench = Bench::with(|config| config.limits_mut().packed_datagram_bytes_max = 8_192);
        let sent = bench.feed(8, &[RUMOR, PROBE, PROBE].join(" "));
        // Messages go out before answers.
        let both = hex(&[ANSWER, ANSWER].join(" "));
        assert_eq!(sent, [(addr(10), hex(RELAYED)), (addr(8), both)]);
    }

    #[test]
    fn numbers_may_come_in_a_longer_form() {
        let long = "00 fb0800 fc01000000 fd0100000000000000 fd15cd853dfe9c9717 03 00 fb0100 fb0100 08 \
                    fb0600 62616e616e61";
        let mut bench = Bench::new();
        assert_eq!(bench.feed(8, long), [(addr(10), hex(RELAYED))]);
    }
}

#[path = "wire/asked_in_vain.rs"]
mod asked_in_vain;

#[path = "wire/handshake.rs"]
mod handshake;

#[path = "wire/refused.rs"]
mod refused;

#[path = "wire/tampered.rs"]
mod tampered;
