//! A map by origin that is small where it holds little.
//!
//! A node's own memory has an entry for each node that ever sent a message: mostly a handful, now
//! and then a hundred thousand. The smallest tree takes memory for eleven entries, so a few are
//! kept in a sorted list.

use std::collections::BTreeMap;

use crate::ids::Origin;

/// The most entries that are kept in a list.
const FEW: usize = 16;

/// Values by origin, in order.
#[derive(Clone, Debug)]
pub(crate) enum ByOrigin<T> {
    Few(Vec<(Origin, T)>),
    Many(BTreeMap<Origin, T>),
}

impl<T> Default for ByOrigin<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> ByOrigin<T> {
    /// The empty map.
    pub(crate) const fn new() -> Self {
        Self::Few(Vec::new())
    }

    pub(crate) fn get(&self, origin: Origin) -> Option<&T> {
        match self {
            Self::Few(list) => place(list, origin).ok().map(|at| &list[at].1),
            Self::Many(tree) => tree.get(&origin),
        }
    }

    pub(crate) fn remove(&mut self, origin: Origin) {
        match self {
            Self::Few(list) => list.retain(|(other, _)| *other != origin),
            Self::Many(tree) => drop(tree.remove(&origin)),
        }
    }

    /// The entries from this origin on, in order.
    pub(crate) fn iter_from(&self, from: Origin) -> impl Iterator<Item = (Origin, &T)> {
        let (list, tree) = match self {
            Self::Few(list) => (&list[place(list, from).unwrap_or_else(|at| at)..], None),
            Self::Many(tree) => (&[][..], Some(tree.range(from..))),
        };
        let tree = tree.into_iter().flatten().map(|(origin, value)| (*origin, value));
        list.iter().map(|(origin, value)| (*origin, value)).chain(tree)
    }
}

impl<T: Default> ByOrigin<T> {
    /// The value of this origin, which is made if there is none.
    pub(crate) fn or_default(&mut self, origin: Origin) -> &mut T {
        if let Self::Few(list) = self
            && list.len() == FEW
            && place(list, origin).is_err()
        {
            // It never turns back into a list: a node that met many origins will meet more.
            *self = Self::Many(std::mem::take(list).into_iter().collect());
        }
        match self {
            Self::Few(list) => {
                let at = place(list, origin).unwrap_or_else(|at| {
                    // The first entry may stay the only one.
                    list.reserve_exact(usize::from(list.capacity() == 0));
                    list.insert(at, (origin, T::default()));
                    at
                });
                &mut list[at].1
            }
            Self::Many(tree) => tree.entry(origin).or_default(),
        }
    }
}

/// Where an origin is in such a list, or would be.
fn place<T>(list: &[(Origin, T)], origin: Origin) -> Result<usize, usize> {
    list.binary_search_by_key(&origin, |(other, _)| *other)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::NodeId;
    use proptest::prelude::*;

    fn origin(node: u32) -> Origin {
        Origin { node: NodeId(node), incarnation: 1 }
    }

    proptest! {
        #[test]
        fn a_list_and_a_tree_behave_as_the_same_map(steps in prop::collection::vec((any::<bool>(), 1u32..40), 0..90)) {
            let (mut map, mut model) = (ByOrigin::<u32>::new(), BTreeMap::new());
            for (add, node) in steps {
                if add {
                    *map.or_default(origin(node)) += node;
                    *model.entry(origin(node)).or_default() += node;
                } else {
                    map.remove(origin(node));
                    model.remove(&origin(node));
                }
                prop_assert_eq!(map.get(origin(node)), model.get(&origin(node)));
                let rest: Vec<_> = map.iter_from(origin(node)).collect();
                let expected: Vec<_> = model.range(origin(node)..).map(|(o, v)| (*o, v)).collect();
                prop_assert_eq!(rest, expected);
            }
        }
    }
}
