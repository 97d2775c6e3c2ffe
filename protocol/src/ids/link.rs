//! Links: what membership tells broadcast of them.

use super::NodeId;

/// A link of this node to one incarnation of a peer.
///
/// Ids only grow and none is used twice. So what was counted on a link says nothing about the next
/// link to the same peer, after it restarted or after the link was given up and made anew.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct LinkId(pub(crate) u32);

/// How membership sees the other end of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LinkState {
    /// Not heard from yet.
    Joining,
    /// Heard from lately.
    Alive,
    /// Suspected: it gets copies, and nobody waits for its acknowledgements.
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
    /// This incarnation of the node is over, or the node is forgotten.
    Gone(NodeId),
}

/// The peer that a frame came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sender {
    pub(crate) node: NodeId,
    /// What its copies and acknowledgements are counted on, whether it is a neighbour or not.
    pub(crate) link: LinkId,
}
