//! The dissector's words for the examples in `docs/wire-format.md`.

use crate::harness::Lab;
use crate::tshark::{PORT, Pcap, ip, udp};

/// A datagram of node 9 in a session, with a tag of zeros.
fn datagram(frames: &str) -> Vec<u8> {
    from(9, frames)
}

fn from(node: u8, frames: &str) -> Vec<u8> {
    let header = format!("67c5 02 03 {node:02x} 01020304 00");
    bytes(&[&header, frames, TAG].join(" "))
}

/// Bytes from hexadecimal digits; blanks are for the reader.
fn bytes(digits: &str) -> Vec<u8> {
    let digits: Vec<u8> = digits.bytes().filter(|byte| *byte != b' ').collect();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks(2).map(byte).collect()
}

const TAG: &str = "00000000000000000000000000000000";
const NONCE: &str = "77777777777777777777777777777777";

const BANANA: &str = "00 08 01 01 fd15cd853dfe9c9717 03 00 01 01 08 06 62616e616e61";
const RELAYED: &str = "00 08 01 01 fd15cd853dfe9c9717 03 00 02 02 08 09 06 62616e616e61";
const HAVE: &str = "01 01 08 01 01 00";

/// Frames of node 9, and the words of the Info column for them after "node 9".
const SENTENCES: [(&str, &str); 29] = [
    (RELAYED, "passes on 8.1 “banana”, hop 2 (8 ➜ 9)"),
    (
        "00 08 02 01 fd15cd853dfe9c9717 03 01 fb2c01 03 08 00 09 06 62616e616e61",
        "passes on 8.1@2 “banana”, repaired, hop 300 (8 ➜ … ➜ 9)",
    ),
    (HAVE, "asks: have you 8.1?"),
    ("02 01 08 01 01 00", "has 8.1"),
    ("03 01 08 01 02 03", "wants 8.2–8.5"),
    ("03 01 08 03 02 03", "wants 8.2@3–8.5@3"),
    (
        "03 06 080101 00 080103 00 080105 00 080107 00 080109 00 08010b 00",
        "wants 8.1, 8.3, 8.5, 8.7 and 2 more",
    ),
    ("04 00 00 00", "knows no message"),
    ("04 00 00 01 08 01 01 00", "knows only 8.1"),
    ("04 01 fd5b02216019416905 00", "knows 1 message"),
    ("04 fdffffffffffffffff 07 01 08 01 01 00", "knows 18446744073709551615 messages, lately 8.1"),
    (
        "05 00 00 01 08 01 01 00 00 00 00 00 01 08 01 01 00 01 07 01 01 00",
        "lists what it holds: 8.1; gone are 7.1",
    ),
    (
        "06 00 00 01 08 01 01 00 00 00 00 00 01 01 08 01 01 00",
        "offers 8.1 and lacks some of what was listed",
    ),
    ("07 01 01 00 00", "asks for a link, heard nothing yet"),
    ("07 00 00 00 01 05", "keeps its link up"),
    ("07 00 00 00 01 fbd007", "keeps its link up, heard nothing for 2000 ms"),
    ("08 01 00 02 08 00 7f000001 fb601b 0a 00 7f000001 fb621b", "is linked to nodes 8, 10"),
    ("09", "drops the link"),
    ("0a", "leaves the network"),
    ("0b 00", "asks for a sign of life"),
    ("0c 01 0a 00 7f000001 fb621b", "gives a sign of life for node 10"),
    ("0d 08 00 7f000001 fb601b", "asks to have node 8 probed"),
    ("0e 08", "heard from node 8 just now"),
    ("0f 01 0c 00 7f000001 fb641b 00", "tells of node 12"),
    ("0f 01 0d 00 7f000001 fb651b 01", "tells in turn of node 13"),
    ("10 08 01 05 01", "belongs to the component of node 8"),
    ("11 05", "asks all to take in no new texts for a moment"),
    ("12 01 08 01 02 03", "lacks 8.2–8.5"),
    (
        "07 00 00 00 01 05 04 00 00 00 10 08 01 05 01",
        "keeps its link up; knows no message; belongs to the component of node 8",
    ),
];

#[test]
fn the_info_column_reads_like_a_sentence() {
    let lab = Lab::new();
    let mut datagrams: Vec<Vec<u8>> =
        SENTENCES.iter().map(|(frames, _)| datagram(frames)).collect();
    let mut expected: Vec<String> =
        SENTENCES.iter().map(|(_, says)| format!("node 9 {says}")).collect();
    datagrams.push(from(8, BANANA));
    expected.push("node 8 sends its 8.1 “banana”".into());
    // Characters that could drive a terminal are escaped.
    let text = "1b5b326a e280ae 61 c285";
    datagrams.push(datagram(&format!("00 09 01 01 00 01 00 01 01 09 0a {text}")));
    expected.push("node 9 sends its 9.1 “\\x1b[2j\\u202ea\\x85”".into());
    // Long texts and long lists are cut.
    datagrams
        .push(datagram(&format!("00 09 01 01 00 01 00 01 01 09 fb2c01 {}", "c3a4".repeat(150))));
    expected.push(format!("node 9 sends its 9.1 “{}…”", "ä".repeat(40)));
    // Handshakes have no frames.
    let hello = format!("67c5 02 00 09 01 08 {NONCE} {TAG}");
    let welcome = format!("67c5 02 01 09 01 08 {NONCE} {NONCE} {TAG}");
    let opening = format!("67c5 02 02 09 01 {NONCE} {NONCE} 00 09 {TAG}");
    datagrams.extend([hello, welcome, opening].map(|digits| bytes(&digits)));
    expected.extend(
        ["says hello to node 8", "welcomes node 8", "drops the link"]
            .map(|says| format!("node 9 {says}")),
    );
    datagrams.push(datagram(&RELAYED.repeat(7)));
    let copy = "passes on 8.1 “banana”, hop 2 (8 ➜ 9)";
    expected.push(format!("node 9 {copy}; {copy}; {copy}; {copy}; {copy}; … 2 more"));
    assert_eq!(Pcap::of(&datagrams).into_tshark(lab.directory()).info(), expected);
}

#[test]
fn a_malformed_datagram_is_flagged_with_the_reason() {
    let lab = Lab::new();
    let mut other = datagram("09");
    other[2] = 1;
    let wrong = [
        (datagram("13"), "a frame of unknown kind 19, at byte 10"),
        (datagram(""), "it has no frame"),
        (other, "wire version 1; this dissector knows version 2"),
        (datagram("09")[..18].to_vec(), "it is too short for a tag"),
        (from(0, "09"), "a node 0, at byte 4"),
        (
            datagram("01 fdffffffffffffffff"),
            "a length of 18446744073709551615 at byte 11, and 0 bytes are left",
        ),
        (datagram("01 01 08 01 00 00"), "a range that begins with 0, at byte 12"),
        (
            datagram("01 01 08 01 02 fdffffffffffffffff"),
            "a range beyond the last number, at byte 12",
        ),
        (datagram("0e fd0100000000000000"), "fd begins no number of 32 bits, at byte 11"),
        (datagram("0b 02"), "a flag of 2 at byte 11"),
        (datagram("0d 08 02 7f000001"), "an address that is neither IPv4 nor IPv6, at byte 12"),
        (datagram(BANANA), "the path 8, sent by node 9"),
        (datagram(&RELAYED.replace("02 02", "03 02")), "3 hops on the path 8 ➜ 9"),
        (datagram(&RELAYED.replace(" 03 00", " 11 00")), "a relays limit of 17"),
        (bytes(&format!("67c5 02 04 09 {TAG}")), "a datagram of unknown form 4"),
        (bytes(&format!("67c5 02 00 09 01 08 {NONCE} 09 {TAG}")), "a handshake with frames"),
        (bytes(&format!("67c5 02 00 09 00 08 {NONCE} {TAG}")), "an incarnation 0, at byte 5"),
        (datagram("07 00"), "it breaks off at byte 12"),
    ];
    let expected: Vec<String> = wrong.iter().map(|(_, why)| format!("malformed: {why}")).collect();
    let tshark = Pcap::of(wrong.iter().map(|(bytes, _)| bytes)).into_tshark(lab.directory());
    assert_eq!(tshark.info(), expected);
    assert_eq!(tshark.fields("gossip.malformed", &["frame.number"]).len(), wrong.len());
}

/// A datagram that an ICMP error quotes is no copy, nor is one that nodes drop.
#[test]
fn copies_of_a_message_lead_to_the_first() {
    let lab = Lab::new();
    let mut pcap = Pcap::new();
    pcap.datagram(PORT, &from(8, BANANA));
    pcap.datagram(PORT, &datagram(&format!("{RELAYED} 11")));
    // "Port unreachable", which quotes the datagram that caused it.
    let mut unreachable = vec![3, 3, 0, 0, 0, 0, 0, 0];
    unreachable.extend(udp(PORT, &datagram(RELAYED)));
    pcap.packet(&ip(1, &unreachable), usize::MAX);
    pcap.datagram(PORT, &datagram(&format!("{HAVE} {RELAYED}")));
    // The same id, sent a nanosecond later: a message of another network.
    pcap.datagram(PORT, &datagram(&RELAYED.replace("fd15", "fd16")));
    pcap.datagram(PORT, &datagram(RELAYED));
    let tshark = pcap.into_tshark(lab.directory());
    let names = ["copy", "first_seen_in", "next_seen_in", "since_first_seen", "since_sent"]
        .map(|name| format!("gossip.rumor.{name}"));
    let fields: Vec<&str> =
        ["frame.number"].into_iter().chain(names.iter().map(String::as_str)).collect();
    let rows = |tshark: &crate::tshark::Tshark| -> Vec<String> {
        let rows = tshark.fields("gossip.rumor.copy", &fields);
        rows.iter().map(|row| row.join(" ")).collect()
    };
    assert_eq!(
        rows(&tshark),
        [
            "1 1    0.876543211",
            "4 2 1  3.000000000 3.876543211",
            "5 1    4.876543210",
            "6 3 1  5.000000000 5.876543211",
        ]
    );
    // If the capture is read twice, each copy also leads to the next.
    assert_eq!(
        rows(&tshark.option(&["-2"])),
        [
            "1 1  4  0.876543211",
            "4 2 1 6 3.000000000 3.876543211",
            "5 1    4.876543210",
            "6 3 1  5.000000000 5.876543211",
        ]
    );
}

#[test]
fn a_datagram_that_the_capture_cut_short_is_not_malformed() {
    let lab = Lab::new();
    let mut pcap = Pcap::new();
    for captured in [51, 61, 67, 74] {
        pcap.packet(&udp(PORT, &datagram(&format!("{HAVE} {RELAYED}"))), captured);
    }
    let tshark = pcap.into_tshark(lab.directory());
    let part = "the capture holds only a part of it";
    assert_eq!(
        tshark.info(),
        [
            format!("node 9 asks: have you 8.1?; {part}"),
            format!("node 9 asks: have you 8.1?; {part}"),
            format!("node 9 asks: have you 8.1?; {part}"),
            "node 9 asks: have you 8.1?; passes on 8.1 “banana”, hop 2 (8 ➜ 9)".into(),
        ]
    );
    assert!(tshark.fields("gossip.malformed", &["frame.number"]).is_empty());
}

/// Wireshark gives ports 7001 to 7009 to RX. The dissector is asked first there, and hands RX its own.
#[test]
fn ports_of_other_protocols_are_shared() {
    let lab = Lab::new();
    let mut pcap = Pcap::new();
    pcap.datagram(7009, &datagram(RELAYED));
    let mut rx = vec![0; 28];
    rx[20] = 2; // an acknowledgement, of which the end is missing
    pcap.datagram(7009, &rx);
    let tshark = pcap.into_tshark(lab.directory());
    assert_eq!(tshark.fields("gossip", &["frame.number"]), [["1"]]);
    assert_eq!(tshark.fields("rx", &["frame.number"]), [["2"]]);
}
