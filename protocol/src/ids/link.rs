//! Links: what membership tells broadcast of them.

use super::NodeId;

/// A link of this node to one incarnation of a peer.
///
/// Ids only grow and none is used twice. So what was counted on a link says nothing about the next
/// link to the same peer, after it restarted or after the link was given up and made anew.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct LinkId(pub(crate) u32);

impl LinkId {
    /// Before all links: ids begin at 1.
    pub(crate) const NONE: Self = Self(0);
}

/// The index of a link in a list that is sorted by link ids, or where it would be.
pub(crate) fn place<T>(
    list: &[T],
    link: LinkId,
    id_of: impl Fn(&T) -> LinkId,
) -> Result<usize, usize> {
    list.binary_search_by(|entry| {
        #[cfg(test)]
        LOOKED_AT.set(LOOKED_AT.get() + 1);
        id_of(entry).cmp(&link)
    })
}

/// How membership sees the other end of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LinkState {
    /// Not heard from yet.
    Joining,
    /// Heard from lately.
    Alive,
    /// Suspected, or not known to be heard by it: it gets copies, and nobody waits for its
    /// acknowledgements.
    Suspected,
}

/// A link that messages are pushed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Link {
    pub(crate) id: LinkId,
    /// The node at its other end.
    pub(crate) node: NodeId,
    pub(crate) state: LinkState,
}

/// What membership tells broadcast.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LinkChange {
    /// The link is there, in this state.
    Up(Link),
    /// The link to this node was given up. The node lives, and may still be asked for messages.
    Down(NodeId),
    /// This incarnation of the node is over, or nothing gets through to it, or it is forgotten.
    Gone(NodeId),
}

/// The peer that a frame came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sender {
    pub(crate) node: NodeId,
    /// What its copies and acknowledgements are counted on, whether it is a neighbour or not.
    pub(crate) link: LinkId,
}

#[cfg(test)]
pub(crate) use tests::LOOKED_AT;

#[cfg(test)]
mod tests {
    thread_local! {
        /// How many entries were looked at in search of a link.
        pub(crate) static LOOKED_AT: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
    }
}
