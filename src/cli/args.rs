//! What several commands read from their arguments.

use crate::protocol::{NodeId, PeerAddr};

/// The longest name a network may have: it becomes a directory.
const NETWORK_NAME_CHARACTERS_MAX: usize = 64;

/// A network's name. It becomes a directory and part of a file name, so it must be harmless.
pub(super) fn network_name(text: &str) -> Result<String, String> {
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
pub(super) fn node(text: &str) -> Result<NodeId, String> {
    match text.parse() {
        Ok(0) => Err("nodes are numbered from 1".into()),
        Ok(number) => Ok(NodeId(number)),
        Err(_) => Err("a node is meant by its number, from 1".into()),
    }
}

/// A peer: `N@ADDR`.
pub(super) fn peer(text: &str) -> Result<PeerAddr, String> {
    let shape = "a peer looks like 2@127.0.0.1:7002: its number and its UDP address";
    let (number, addr) = text.split_once('@').ok_or(shape)?;
    let addr = addr.parse().map_err(|_| shape)?;
    Ok(PeerAddr { node: node(number)?, addr })
}

#[cfg(test)]
mod tests {
    use super::*;

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
