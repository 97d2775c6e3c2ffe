//! Where each message lies, by its id.
//!
//! Messages of one origin are numbered one by one, and mostly come in that order. So what is known of
//! each stands in the order of these numbers: the latest, which their copies ask for, stand together,
//! and a number tells where. A hash table would scatter them, each to memory that is cold.

use std::collections::VecDeque;

use super::super::by_origin::ByOrigin;
use super::super::message::MessageId;

/// A list with room for no more than this keeps it as long as it has any message.
const ROOM_KEPT: usize = 64;

/// For each message its sequence number, in order, and its value.
type List = VecDeque<(u64, u64)>;

/// A number for each of many messages.
#[derive(Debug, Default)]
pub(super) struct Index {
    origins: ByOrigin<List>,
    len: usize,
}

impl Index {
    /// The bytes that a message takes, with the room that lists keep free.
    pub(super) const ENTRY_BYTES: usize = 2 * size_of::<(u64, u64)>();

    /// Whether nothing is in it.
    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The number of this message.
    pub(super) fn get(&self, id: MessageId) -> Option<u64> {
        let list = self.origins.get(id.origin)?;
        place(list, id.sequence).ok().map(|at| list[at].1)
    }

    /// Adds a message that is not there. At worst half a list is moved for it, as it is to take one
    /// out: who chooses odd numbers costs no more than the most messages held allow.
    pub(super) fn insert(&mut self, id: MessageId, number: u64) {
        let list = self.origins.or_default(id.origin);
        if let Err(at) = place(list, id.sequence) {
            list.insert(at, (id.sequence, number));
            self.len += 1;
        }
    }

    /// Takes a message out.
    pub(super) fn remove(&mut self, id: MessageId) {
        let Some(list) = self.origins.get_mut(id.origin) else { return };
        let Ok(at) = place(list, id.sequence) else { return };
        list.remove(at);
        // Senders take turns: what one of them filled is not kept for it alone.
        if list.capacity() > ROOM_KEPT && list.len() < list.capacity() / 4 {
            list.shrink_to(list.capacity() / 2);
        }
        self.len -= 1;
        if list.is_empty() {
            self.origins.remove(id.origin);
        }
    }
}

/// Where a sequence number is, or would be. With none missing in between, it is as far from the
/// last place as from the last number.
fn place(list: &List, sequence: u64) -> Result<usize, usize> {
    let Some((last, _)) = list.back() else { return Err(0) };
    let Some(back) = last.checked_sub(sequence) else { return Err(list.len()) };
    let at = usize::try_from(back).ok().and_then(|back| (list.len() - 1).checked_sub(back));
    match at.filter(|at| list[*at].0 == sequence) {
        Some(at) => Ok(at),
        None => list.binary_search_by_key(&sequence, |(sequence, _)| *sequence),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    #[test]
    fn an_origin_that_fell_silent_gives_its_room_back() {
        let mut index = Index::default();
        for sequence in 1..=10_000 {
            index.insert(MessageId::new(1, 1, sequence), sequence);
        }
        for sequence in 1..10_000 {
            index.remove(MessageId::new(1, 1, sequence));
        }
        let list = index.origins.get(MessageId::new(1, 1, 1).origin).unwrap();
        assert!(list.capacity() <= 2 * ROOM_KEPT, "{}", list.capacity());
        assert_eq!(index.get(MessageId::new(1, 1, 10_000)), Some(10_000));
    }

    proptest! {
        #[test]
        fn it_is_a_map(steps in prop::collection::vec((0u8..3, 1u32..40, 0u64..12), 0..300)) {
            let (mut index, mut model) = (Index::default(), BTreeMap::new());
            for (number, (what, node, sequence)) in (0u64..).zip(steps) {
                let id = MessageId::new(node % 20, 1, sequence.wrapping_sub(3));
                if what > 0 {
                    index.insert(id, number);
                    model.entry(id).or_insert(number);
                } else {
                    index.remove(id);
                    model.remove(&id);
                }
                prop_assert_eq!(index.get(id), model.get(&id).copied());
                prop_assert_eq!(index.is_empty(), model.is_empty());
            }
            for (id, number) in model {
                prop_assert_eq!(index.get(id), Some(number));
            }
        }
    }
}
