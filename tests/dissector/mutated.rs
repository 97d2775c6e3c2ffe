//! Ten thousand datagrams, sound, altered and cut short: the dissector flags those that a node
//! would drop and no others, and survives all of them.

use gossip::protocol::{MAGIC, fuzzing};
use rand::rngs::Xoshiro256PlusPlus;
use rand::{Rng, RngExt, SeedableRng};

use crate::harness::Lab;
use crate::tshark::{PORT, Pcap};

const DATAGRAMS: usize = 10_000;

/// The bytes between the magic and the frames of node 9 in a session: version, form, sender, session, counter.
const HEADER: [u8; 8] = [2, 3, 9, 0, 0, 0, 0, 0];

/// A datagram that nodes might send, as sound as most.
fn some_datagram(dice: &mut Xoshiro256PlusPlus) -> Vec<u8> {
    if dice.random_bool(0.05) {
        return over_ipv6();
    }
    let mut choices = vec![0; dice.random_range(8..200)];
    dice.fill_bytes(&mut choices);
    fuzzing::some_datagram(&choices)
}

/// A shuffle of node 9 with a node that listens on ::1.
fn over_ipv6() -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend(HEADER);
    bytes.extend([0x0f, 1, 13, 1]);
    bytes.extend(std::net::Ipv6Addr::LOCALHOST.octets());
    bytes.extend([0xfb, 0x65, 0x1b, 1]);
    bytes.extend([0; 16]);
    bytes
}

/// Such a datagram after one or two accidents.
fn altered(dice: &mut Xoshiro256PlusPlus) -> Vec<u8> {
    let mut bytes = some_datagram(dice);
    for _ in 0..dice.random_range(1..=2) {
        // Mistakes between the magic and the tag are of more interest than mistakes in these two.
        let all = dice.random_bool(0.1);
        let (first, last) =
            if all { (0, bytes.len()) } else { (2, bytes.len().saturating_sub(16)) };
        if first >= last {
            continue;
        }
        let at = dice.random_range(first..last);
        match dice.random_range(0..6) {
            0 => bytes.truncate(at),
            1 => bytes[at] ^= 1 << dice.random_range(0..8),
            // The marks of longer numbers, and the bytes just below and above them.
            2 => bytes[at] = dice.random_range(248..=255),
            3 => bytes[at] = dice.random_range(0..20),
            4 => {
                bytes.remove(at);
            }
            _ => bytes.insert(at, dice.random_range(0..=255)),
        }
    }
    bytes
}

/// A message of node 8 that node 9 passes on, all right but for its text.
fn odd_text(dice: &mut Xoshiro256PlusPlus) -> Vec<u8> {
    let mut one_of = |bytes: &[u8]| bytes[dice.random_range(0..bytes.len())];
    let mut bytes = MAGIC.to_vec();
    bytes.extend(HEADER);
    bytes.extend([0, 8, 1, 1, 0, 1, 0, 2, 2, 8, 9]);
    // The first and the last byte that may begin a character, and that may continue it.
    let length = one_of(&[1, 2, 3, 3, 4, 4]);
    bytes.push(length);
    bytes.push(one_of(&[0x7f, 0x80, 0xc1, 0xc2, 0xdf, 0xe0, 0xed, 0xef, 0xf0, 0xf4, 0xf5]));
    bytes.extend((1..length).map(|_| one_of(&[0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0x61])));
    bytes.extend([0; 16]);
    bytes
}

/// A message that node 9 passes on, with an odd path, or numbers that may not fit to it.
fn odd_path(dice: &mut Xoshiro256PlusPlus) -> Vec<u8> {
    let mut one_of = |bytes: &[u8]| bytes[dice.random_range(0..bytes.len())];
    let mut bytes = MAGIC.to_vec();
    let origin = one_of(&[8, 8, 8, 9, 0]);
    bytes.extend(HEADER);
    bytes.extend([0, origin, 1, 1, 0]);
    bytes.extend([one_of(&[1, 1, 16, 0, 17]), 0, one_of(&[1, 2, 2, 3, 3, 4])]);
    let mut path: Vec<u8> = (0..one_of(&[0, 0, 1, 2])).map(|_| one_of(&[0, 0, 1, 0xfb])).collect();
    if origin != 9 || one_of(&[0, 1]) == 1 {
        path.insert(0, origin);
    }
    path.push(one_of(&[9, 9, 9, 9, 8, 0]));
    bytes.push(u8::try_from(path.len()).unwrap());
    bytes.extend(path);
    bytes.extend([1, b'b']);
    bytes.extend([0; 16]);
    bytes
}

/// The largest number, in each place.
fn huge(at: usize, length: u8) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend(HEADER);
    bytes.push(1);
    bytes.extend(vec![1; at]);
    bytes.extend([[0xfd].as_slice(), &[0xff; 7], &[length]].concat());
    bytes.extend([1; 40]);
    bytes
}

fn corpus() -> Vec<Vec<u8>> {
    let mut dice = Xoshiro256PlusPlus::seed_from_u64(7);
    let mut corpus: Vec<Vec<u8>> = (0..20).map(|at| huge(at, 0x0f * (at % 2) as u8)).collect();
    corpus.extend((0..DATAGRAMS / 10).map(|_| odd_text(&mut dice)));
    corpus.extend((0..DATAGRAMS / 10).map(|_| odd_path(&mut dice)));
    while corpus.len() < DATAGRAMS {
        let datagram =
            if dice.random_bool(0.3) { some_datagram(&mut dice) } else { altered(&mut dice) };
        // Nodes wake themselves with an empty datagram.
        if !datagram.is_empty() {
            corpus.push(datagram);
        }
    }
    corpus
}

/// Fails with the first few datagrams on which dissector and node differ.
#[track_caller]
fn assert_flags(flags: &[Vec<String>], corpus: &[Vec<u8>]) {
    assert_eq!(flags.len(), corpus.len());
    let mut wrong = Vec::new();
    for (flag, bytes) in flags.iter().zip(corpus) {
        let sound = fuzzing::is_sound(bytes);
        if (flag[0].is_empty()) != sound {
            let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            wrong.push(format!("sound: {sound}, {hex}"));
        }
    }
    wrong.truncate(5);
    assert!(wrong.is_empty(), "flagged if sound, or not if unsound:\n{}", wrong.join("\n"));
}

#[test]
fn malformed_datagrams_are_flagged_and_no_others() {
    let lab = Lab::new();
    let corpus = corpus();
    let sound = corpus.iter().filter(|bytes| fuzzing::is_sound(bytes)).count();
    assert!((DATAGRAMS / 5..DATAGRAMS / 2).contains(&sound), "{sound} sound ones");
    let tshark = Pcap::of(&corpus).into_tshark(lab.directory());
    // The magic tells which are ours.
    let known: Vec<Vec<u8>> =
        corpus.iter().filter(|bytes| bytes.starts_with(&MAGIC)).cloned().collect();
    assert!(known.len() < DATAGRAMS);
    assert_flags(&tshark.fields("gossip", &["gossip.malformed"]), &known);
    // If it is told that all of them are ours, it flags the others, too. Both passes build the whole
    // tree of each.
    let told = tshark.option(&["-d", &format!("udp.port=={PORT},gossip")]);
    let tree = told.read(&["-2", "-V", "-O", "gossip"]);
    let flagged = tree.matches("[Expert Info (Error/Malformed): Malformed: ").count();
    assert_eq!(flagged, DATAGRAMS - sound);
}
