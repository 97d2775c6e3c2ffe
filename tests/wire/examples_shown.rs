//! The bytes that the document shows are those that the tests check.

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

/// The bytes of the datagram that is fenced as this.
fn datagram(fence: &str) -> Vec<u8> {
    block(fence).iter().flat_map(|line| hex(line.split_once('|').unwrap().0)).collect()
}

#[test]
fn a_node_sends_the_datagram_of_the_document() {
    let mut bench = Bench::new();
    bench.feed(8, RUMOR);
    let sent: Vec<_> = bench.out.datagrams().collect();
    assert_eq!(sent, [(addr(10), &datagram("datagram")[..])]);
}

#[test]
fn a_handshake_goes_as_in_the_document() {
    let mut bench = Bench::new();
    bench.now = 5_000;
    let sent = bench.feed_bytes(12, &datagram("hello"));
    assert_eq!(sent, [(addr(12), datagram("welcome"))]);
    bench.feed_bytes(12, &datagram("opening"));
    let sent: Vec<_> = bench.out.datagrams().collect();
    assert_eq!(sent, [(addr(12), &datagram("answer")[..])]);
}

#[test]
fn the_document_gives_the_constants_of_the_code() {
    assert_eq!(hex("67c5"), MAGIC);
    assert_eq!((VERSION, TAG_BYTES), (2, 16));
    for secret in [&key().0[..], &LAUNCH] {
        let digits: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
        assert!(DOCUMENT.contains(&digits));
    }
    let limits =
        Config::new(NodeId(1), gossip::protocol::testing::start(1), super::key(), 1).limits;
    for number in [limits.text_bytes_max, limits.path_nodes_max, UDP_PAYLOAD_BYTES_MAX] {
        let digits = number.to_string();
        let (thousands, rest) = digits.split_at(digits.len() - 3);
        assert!(DOCUMENT.contains(&format!("{thousands},{rest}")), "{number}");
    }
}
