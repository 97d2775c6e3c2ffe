//! Parts of a node that cannot be reached from outside, for `benches/parts.rs` to time.

use crate::config::Key;
use crate::datagram::codec;
use crate::datagram::path;
use crate::datagram::wire::{self, Frame, Rumor};
use crate::ids::set::IdSet;
use crate::ids::{MessageId, NodeId, Origin};
use crate::time::Wall;

const KEY: Key = Key([7; 32]);

/// Encodes one rumor with a path of eight nodes, as it stands in a datagram without its tag.
pub fn encode(text: &str, to: &mut Vec<u8>) {
    let mut nodes = Vec::new();
    (1..=8).for_each(|node| path::push(&mut nodes, NodeId(node)));
    wire::begin(to, NodeId(8), 1);
    let rumor = Rumor {
        id: MessageId::new(1, 1, 1_000),
        sent_at: Wall(1_700_000_000_123_456_789),
        relays: 1,
        repaired: false,
        hops: 8,
        path: &nodes,
        payload: text.as_bytes(),
    };
    codec::encode_into(&Frame::Rumor(rumor), to);
}

/// Ends a datagram with its tag.
pub fn tag(to: &mut Vec<u8>) {
    wire::seal(to, 0, &KEY);
}

/// Checks a datagram's tag and takes it apart.
#[must_use]
pub fn decode(bytes: &[u8]) -> bool {
    wire::open(bytes, &KEY).is_ok()
}

/// Two sets of ids.
#[derive(Debug)]
pub struct Sets(IdSet, IdSet);

impl Sets {
    /// Of `ids` ids each from a hundred origins, of which `apart` are not in the other set.
    #[must_use]
    pub fn new(ids: u64, apart: u64) -> Self {
        let mut set = IdSet::default();
        for node in 1..=100 {
            set.insert_range(Origin { node: NodeId(node), incarnation: 1 }, 1, ids / 100);
        }
        let mut other = set.clone();
        for missing in 0..apart {
            let node = u32::try_from(missing % 100).unwrap_or(0) + 1;
            other.remove(MessageId::new(node, 1, ids / 200 + 2 * (missing / 100)));
            set.remove(MessageId::new(node, 1, ids / 400 + 2 * (missing / 100)));
        }
        Self(set, other)
    }

    /// How many ids are in one of them and not in the other, found as nodes find them: listing by
    /// listing of ranges.
    #[must_use]
    pub fn difference(&self) -> u64 {
        let beyond = |a: &IdSet, b: &IdSet| -> u64 {
            a.ids()
                .iter()
                .flat_map(|range| b.ids().missing_in(range))
                .map(|range| range.more + 1)
                .sum()
        };
        beyond(&self.0, &self.1) + beyond(&self.1, &self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_timed_parts_do_what_they_say() {
        let mut datagram = Vec::new();
        encode("banana", &mut datagram);
        assert!(!decode(&datagram));
        tag(&mut datagram);
        assert!(decode(&datagram));
        assert_eq!(Sets::new(100_000, 10).difference(), 20);
    }
}
