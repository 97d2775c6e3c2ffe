//! Hop paths as they travel and as they are kept: node numbers, back to back, as one byte string.
//!
//! A rumor that turns out to be a duplicate is never taken apart, and one that is passed on grows
//! by one number at its end. The number 0, which no node has, marks where a path that became too
//! long was cut in its middle.

use crate::datagram::codec;
use crate::ids::{NodeId, Path};

/// Marks the cut.
const CUT: u32 = 0;

/// What a path that came in is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    /// How many nodes it names.
    pub(crate) nodes: u32,
    /// Whether its middle was cut out.
    pub(crate) cut: bool,
    /// Its first node: the origin.
    pub(crate) first: NodeId,
    /// Its last node: the sender of the copy.
    pub(crate) last: NodeId,
}

/// Checks a path that came in, in one go: a rumor's path may be as long as the network is wide.
/// `None` for one that breaks the format: a number is malformed, or the cut stands twice.
pub(crate) fn check(path: &[u8]) -> Option<Shape> {
    let (mut nodes, mut cuts) = (0, 0);
    let (mut first, mut last) = (None, CUT);
    for number in numbers(path) {
        let number = number?;
        // A path that begins or ends with the cut names node 0 there, which is no origin and no
        // sender.
        first.get_or_insert(number);
        last = number;
        match number {
            CUT => cuts += 1,
            _ => nodes += 1,
        }
    }
    let (first, last) = (NodeId(first?), NodeId(last));
    (nodes > 0 && cuts <= 1).then_some(Shape { nodes, cut: cuts > 0, first, last })
}

/// Appends one node.
pub(crate) fn push(path: &mut Vec<u8>, node: NodeId) {
    codec::encode_into(&node.0, path);
}

/// Cuts the middle out of a path until it names at most `nodes_max` nodes in at most
/// `bytes_max` bytes; says whether anything was cut. The origin and the latest hops stay.
pub(crate) fn cut(path: &mut Vec<u8>, nodes_max: usize, bytes_max: usize) -> bool {
    // The two ends always stay.
    let nodes_max = nodes_max.max(2);
    // A number takes at least one byte, so a short path needs no look inside.
    if path.len() <= nodes_max.min(bytes_max) {
        return false;
    }
    // Rare: only a path that may be too long is taken apart.
    let all: Vec<u32> = numbers(path).map_while(|number| number).collect();
    let nodes = all.iter().filter(|number| **number != CUT).count();
    if nodes <= nodes_max && path.len() <= bytes_max {
        return false;
    }
    // At most five bytes a number, and one for the mark.
    let keep = nodes_max.min(bytes_max.saturating_sub(1) / 5).max(2);
    // The head ends at an earlier cut, and the tail leaves it out: a path has one mark at most.
    let head = all.iter().take_while(|number| **number != CUT).count().min(keep / 2).max(1);
    let tail = (keep - head).min(all.len() - head);
    path.clear();
    let tail = all[all.len() - tail..].iter().filter(|number| **number != CUT);
    for number in all[..head].iter().chain([&CUT]).chain(tail) {
        codec::encode_into(number, path);
    }
    true
}

/// The path as people see it.
pub(crate) fn decode(path: &[u8]) -> Path {
    let all = numbers(path).map_while(|number| number);
    all.map(|number| (number != CUT).then_some(NodeId(number))).collect()
}

/// The numbers one by one, `None` for a malformed one; after that, nothing more.
fn numbers(mut rest: &[u8]) -> impl Iterator<Item = Option<u32>> {
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let decoded = codec::decode_number(rest).ok();
        rest = decoded.map_or(&[], |(_, used)| &rest[used..]);
        Some(decoded.map(|(number, _)| number))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(nodes: &[u32]) -> Vec<u8> {
        let mut path = Vec::new();
        for node in nodes {
            push(&mut path, NodeId(*node));
        }
        path
    }

    #[test]
    fn a_path_grows_at_its_end() {
        let path = path(&[8, 300, 70_000]);
        let (first, last) = (NodeId(8), NodeId(70_000));
        assert_eq!(check(&path), Some(Shape { nodes: 3, cut: false, first, last }));
        assert_eq!(decode(&path), vec![Some(NodeId(8)), Some(NodeId(300)), Some(NodeId(70_000))]);
    }

    #[test]
    fn a_path_that_names_no_node_or_breaks_off_is_malformed() {
        assert_eq!(check(&[]), None);
        assert_eq!(check(&[0]), None);
        assert_eq!(check(&[1, 0, 0, 2]), None);
        assert_eq!(check(&[1, 251, 7]), None);
    }

    #[test]
    fn a_long_path_loses_its_middle_and_can_be_cut_again() {
        let mut path = path(&[1, 2, 3, 4, 5, 6, 7]);
        assert!(cut(&mut path, 4, 1_000));
        let shown = |nodes: &[u32]| -> Path {
            nodes.iter().map(|n| (*n != 0).then_some(NodeId(*n))).collect()
        };
        assert_eq!(decode(&path), shown(&[1, 2, 0, 6, 7]));
        push(&mut path, NodeId(8));
        assert!(cut(&mut path, 4, 1_000));
        assert_eq!(decode(&path), shown(&[1, 2, 0, 7, 8]));
        assert!(check(&path).unwrap().cut);
        assert!(!cut(&mut path, 4, 1_000));
    }

    #[test]
    fn a_path_is_cut_to_bytes_too() {
        let mut path = path(&[70_000; 100]);
        assert!(cut(&mut path, 1_000, 52));
        assert!(path.len() <= 52);
        assert_eq!(check(&path).map(|shape| shape.nodes), Some(10));
    }
}
