//! What several commands read from their arguments.

use std::time::Duration;

use clap::builder::RangedI64ValueParser;
use rand::TryRng;
use rand::rngs::SysRng;

use crate::cli::{Error, limit_options};
use crate::protocol::{NodeId, NodeRanges, PeerAddr, RELAYS_MAX};

/// The longest name a network may have: it becomes a directory.
const NETWORK_NAME_CHARACTERS_MAX: usize = 64;

/// A network's name. It becomes a directory and part of a file name, so it must be harmless.
pub(crate) fn network_name(text: &str) -> Result<String, String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if text.is_empty() || text.len() > NETWORK_NAME_CHARACTERS_MAX || !text.chars().all(plain) {
        return Err(format!(
            "a network's name has 1 to {NETWORK_NAME_CHARACTERS_MAX} letters, digits, '-', '_' or '.'"
        ));
    }
    if text.starts_with(['.', '-']) {
        return Err("a network's name begins with a letter, a digit or '_'".into());
    }
    Ok(text.into())
}

/// A node's number.
pub(crate) fn node(text: &str) -> Result<NodeId, String> {
    match text.parse() {
        Ok(0) => Err("nodes are numbered from 1".into()),
        Ok(number) => Ok(NodeId(number)),
        Err(_) => Err("a node is meant by its number, from 1".into()),
    }
}

/// A peer: `N@ADDR`.
pub(crate) fn peer(text: &str) -> Result<PeerAddr, String> {
    let shape = "a peer looks like 2@127.0.0.1:7002: its number and its UDP address";
    let (number, addr) = text.split_once('@').ok_or(shape)?;
    let addr = addr.parse().map_err(|_| shape)?;
    Ok(PeerAddr { node: node(number)?, addr })
}

/// A set of nodes, as `1-8,12`: ranges in ascending order that neither meet nor overlap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Nodes(pub(crate) NodeRanges);

/// Nodes: numbers and ranges of numbers, with commas between them.
pub(crate) fn nodes(text: &str) -> Result<Nodes, String> {
    let mut ranges = text.split(',').map(range).collect::<Result<NodeRanges, String>>()?;
    ranges.sort_unstable();
    Ok(Nodes(joined(ranges)))
}

/// Ranges in ascending order, with those that meet or overlap made one.
pub(crate) fn joined(ranges: impl IntoIterator<Item = (u32, u32)>) -> NodeRanges {
    let mut joined = NodeRanges::new();
    for (first, last) in ranges {
        match joined.last_mut() {
            Some((_, end)) if first <= end.saturating_add(1) => *end = last.max(*end),
            _ => joined.push((first, last)),
        }
    }
    joined
}

fn range(text: &str) -> Result<(u32, u32), String> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let why = |_| "nodes are meant by numbers and ranges from 1 on: 1-8,12".to_owned();
    let number = |text| node(text).map(|node| node.0).map_err(why);
    match (number(first)?, number(last)?) {
        (first, last) if first > last => {
            Err(format!("{first}-{last} runs backwards: did you mean {last}-{first}?"))
        }
        range => Ok(range),
    }
}

/// A relays limit.
pub(crate) fn relays() -> RangedI64ValueParser<u8> {
    clap::value_parser!(u8).range(1..=i64::from(RELAYS_MAX))
}

/// A share: `20%`, or `0.2`. A bare `1` might mean either 1 % or all, so it means nothing.
pub(crate) fn share(text: &str) -> Result<f64, String> {
    let (number, whole) = match text.strip_suffix('%') {
        Some(percent) => (percent.trim_end(), 100.0),
        None if text.contains('.') || text == "0" => (text, 1.0),
        None => return Err("a share is written 20% or 0.2".into()),
    };
    let plain = number.chars().all(|c| c.is_ascii_digit() || c == '.');
    match number.parse::<f64>() {
        Ok(number) if plain && number <= whole => Ok(number / whole),
        Ok(_) if plain => Err("a share is at most 100%".into()),
        _ => Err("a share is written 20% or 0.2".into()),
    }
}

/// The longest time by which datagrams may be held back: nobody waits for an answer longer.
const HELD_BACK_MAX: Duration = Duration::from_secs(60);

/// How long something is held back: `200us`, `50ms`, `1s`.
pub(crate) fn held_back(text: &str) -> Result<Duration, String> {
    match limit_options::span(text) {
        Some(span) if span <= HELD_BACK_MAX => Ok(span),
        Some(_) => Err("datagrams are held back for 60s at most".into()),
        None => Err("a time is above zero and has a unit: 200us, 50ms or 1s".into()),
    }
}

/// The seed that was given, or 32 random bits: enough to tell runs apart, and short enough to be
/// typed again.
pub(crate) fn seed(given: Option<u64>) -> Result<u64, Error> {
    let draw = || SysRng.try_next_u32().map(u64::from).map_err(no_randomness);
    given.map_or_else(draw, Ok)
}

/// Bytes that nobody can guess, and that were never drawn before.
pub(crate) fn random_bytes<const N: usize>() -> Result<[u8; N], Error> {
    let mut bytes = [0; N];
    SysRng.try_fill_bytes(&mut bytes).map_err(no_randomness)?;
    Ok(bytes)
}

/// The system gave no random bytes.
fn no_randomness(error: impl ToString) -> Error {
    Error::failed(
        "cannot choose at random",
        format!("the system gives no random bytes: {}", error.to_string()),
        "see whether /dev/urandom is there",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_are_numbers_and_ranges() {
        let of = |text| nodes(text).map(|nodes| nodes.0);
        assert_eq!(of("7"), Ok(vec![(7, 7)]));
        assert_eq!(of("1-8,12"), Ok(vec![(1, 8), (12, 12)]));
        assert_eq!(of("9-16,20,1,2,3-4,12-17"), Ok(vec![(1, 4), (9, 17), (20, 20)]));
        assert_eq!(of("1-4294967295,5"), Ok(vec![(1, u32::MAX)]));
        for text in ["", ",", "1,", "0", "0-3", "a", "1-", "-3", "1-2-3", "1 2", "1..3", "%"] {
            assert!(of(text).is_err(), "{text:?}");
        }
        assert!(of("8-1").unwrap_err().contains("did you mean 1-8?"));
    }

    #[test]
    fn a_share_is_a_percentage_or_a_fraction() {
        for (text, expected) in [
            ("20%", 0.2),
            ("20 %", 0.2),
            ("0.2", 0.2),
            (".2", 0.2),
            ("7%", 0.07),
            ("0.5%", 0.005),
            ("100%", 1.0),
            ("1.0", 1.0),
            ("0", 0.0),
            ("0%", 0.0),
        ] {
            assert_eq!(share(text), Ok(expected), "{text}");
        }
        for text in ["101%", "1.01", "1", "20", "-1%", "+1%", "", "%", ".", "nan%", "1e1%", "inf%"]
        {
            assert!(share(text).is_err(), "{text:?}");
        }
        assert!(share("101%").unwrap_err().contains("at most 100%"));
    }

    #[test]
    fn datagrams_are_held_back_for_a_time_with_a_unit() {
        assert_eq!(held_back("50ms"), Ok(Duration::from_millis(50)));
        assert_eq!(held_back("1s"), Ok(Duration::from_secs(1)));
        assert_eq!(held_back("200us"), Ok(Duration::from_micros(200)));
        for text in ["50", "", "ms", "0ms", "-1s", "61s", "1h", "1e99s"] {
            assert!(held_back(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_name_that_would_leave_its_directory_is_refused() {
        for name in ["", ".", "..", ".hidden", "-n", "a/b", "a b", "ä", "a\0", &"x".repeat(65)] {
            assert!(network_name(name).is_err(), "{name:?}");
        }
        for name in ["default", "a", "_a.b-c", "2", &"x".repeat(64)] {
            assert_eq!(network_name(name).as_deref(), Ok(name));
        }
    }

    #[test]
    fn nodes_are_numbered_from_one() {
        assert_eq!(node("1"), Ok(NodeId(1)));
        for text in ["0", "-1", "", "one", "4294967296", "1.0"] {
            assert!(node(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_peer_is_a_number_and_an_address() {
        let peer_addr = peer("2@127.0.0.1:7002").unwrap();
        assert_eq!(peer_addr.node, NodeId(2));
        assert_eq!(peer_addr.addr.port(), 7002);
        assert_eq!(peer("3@[::1]:7003").unwrap().addr.port(), 7003);
        for text in ["2", "@127.0.0.1:1", "2@", "2@localhost", "0@127.0.0.1:1"] {
            assert!(peer(text).is_err(), "{text:?}");
        }
    }
}
