//! The table of peers: neighbours, former neighbours, and mere contacts.
//!
//! All that membership knows of each is kept here in one place. `liveness` decides which peers are
//! alive, and `overlay` which are linked.

use super::peer_list::PeerList;
use crate::ids::link::{LinkId, LinkState};
use crate::ids::{Incarnation, NodeId, PeerAddr};
use crate::report::PeerState;
use crate::time::Monotonic;

/// How a peer stands with this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// No neighbour; remembered as long as there is something to say.
    Contact,
    /// Meant to be a neighbour, and not yet heard to agree. Given up at `until`.
    Joining { until: Monotonic },
    /// A neighbour, heard from lately.
    Alive,
    /// A neighbour that fell silent, or does not hear this node. It was probed `probes` times, and
    /// is due again at `next`.
    Suspected { probes: u32, next: Monotonic },
    /// Was a neighbour, and did not answer; still probed, for the last time at `probed`.
    Dead { since: Monotonic, probed: Monotonic },
    /// Was a neighbour, and lives, but the link to it carries nothing; probed like the dead.
    Cut { since: Monotonic, probed: Monotonic },
    /// Was a neighbour, and said that it leaves.
    Removed,
}

/// One peer.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) addr: PeerAddr,
    /// Its latest incarnation; 0 until heard from.
    pub(crate) incarnation: Incarnation,
    /// The link to this incarnation.
    pub(crate) link: LinkId,
    /// Broadcast was told that the link is up.
    pub(crate) told_up: bool,
    pub(crate) standing: Standing,
    /// Since when it is silent as far as suspicion goes: since its last datagram, or since there
    /// was another reason to start counting.
    pub(crate) heard: Monotonic,
    /// When its last datagram came in; `None` until one did.
    pub(crate) spoke: Option<Monotonic>,
    /// When another node last said that it had just heard from it.
    pub(crate) vouched: Option<Monotonic>,
    /// Since when it is not known that what this node sends gets there; `None`: it does.
    pub(crate) unproven: Option<Monotonic>,
    /// Senders wait for it: what they send gets there, or it is too early to tell.
    pub(crate) awaited: bool,
    /// The link is one this node began with, or was told to have.
    pub(crate) original: bool,
    /// Its links, as it last told them, and their version; 0 for none.
    pub(crate) neighbours: PeerList,
    pub(crate) neighbours_version: u32,
    /// It could spare a link.
    pub(crate) spare: bool,
    /// The version of this node's links that it has seen.
    pub(crate) seen_version: u32,
    pub(crate) changes: Changes,
}

/// What became of the link to a peer.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    /// The peer in whose stead this link was made.
    pub(crate) stand_in_for: Option<NodeId>,
    /// This node gave the link up, or got no answer when it asked for one, at this time.
    pub(crate) unlinked: Option<Monotonic>,
    /// It gave no answer when it was asked for a link, at this time.
    pub(crate) unanswered: Option<Monotonic>,
}

impl Peer {
    /// A peer just heard of.
    fn new(addr: PeerAddr, link: LinkId, now: Monotonic) -> Self {
        Self {
            addr,
            incarnation: 0,
            link,
            told_up: false,
            standing: Standing::Contact,
            heard: now,
            spoke: None,
            vouched: None,
            unproven: Some(now),
            awaited: true,
            original: false,
            neighbours: PeerList::default(),
            neighbours_version: 0,
            spare: false,
            seen_version: 0,
            changes: Changes::default(),
        }
    }

    /// Whether it is a neighbour as far as this node is concerned.
    pub(crate) fn is_linked(&self) -> bool {
        matches!(
            self.standing,
            Standing::Joining { .. } | Standing::Alive | Standing::Suspected { .. }
        )
    }

    /// Whether hearing from it is news.
    pub(crate) fn is_suspected_or_lost(&self) -> bool {
        matches!(self.standing, Standing::Suspected { .. }) || self.is_lost()
    }

    /// Whether it was a neighbour, and is probed until it is one again.
    pub(crate) fn is_lost(&self) -> bool {
        matches!(self.standing, Standing::Dead { .. } | Standing::Cut { .. })
    }

    /// The state of the link that new messages are pushed over, if there is one. A node that was
    /// asked to stand in for another may itself be dead, so it gets none before it answers.
    pub(crate) fn link_state(&self) -> Option<LinkState> {
        match self.standing {
            Standing::Joining { .. } if !self.original => None,
            Standing::Joining { .. } if self.awaited => Some(LinkState::Joining),
            Standing::Alive if self.awaited => Some(LinkState::Alive),
            Standing::Joining { .. } | Standing::Alive | Standing::Suspected { .. } => {
                Some(LinkState::Suspected)
            }
            _ => None,
        }
    }

    /// A link to it begins. Whether it carries anything has yet to be seen.
    pub(crate) fn begin_link(&mut self, now: Monotonic) {
        self.unproven = Some(now);
        self.awaited = true;
    }

    /// There is no more reason to think that what is sent to it gets there.
    pub(crate) fn doubt_link(&mut self, now: Monotonic) {
        self.unproven.get_or_insert(now);
        self.awaited = false;
    }

    /// How people see it; `None` for a mere contact.
    pub(crate) fn state(&self) -> Option<PeerState> {
        match self.standing {
            Standing::Contact => None,
            Standing::Joining { .. } => Some(PeerState::Joining),
            Standing::Alive => Some(PeerState::Alive),
            Standing::Suspected { .. } => Some(PeerState::Suspected),
            Standing::Dead { .. } => Some(PeerState::Dead),
            Standing::Cut { .. } => Some(PeerState::Cut),
            Standing::Removed => Some(PeerState::Removed),
        }
    }
}

/// All peers, in the order of their numbers.
#[derive(Debug, Default)]
pub(crate) struct Peers {
    /// The numbers in a list of their own, close together: a node that wakes up finds its memory
    /// cold, and each peer passed over would have to be fetched.
    numbers: Vec<NodeId>,
    list: Vec<Peer>,
    newest_link: LinkId,
}

impl Peers {
    /// The peer with this number.
    pub(crate) fn get(&self, node: NodeId) -> Option<&Peer> {
        let at = self.numbers.binary_search(&node).ok()?;
        self.list.get(at)
    }

    /// The peer with this number, to be changed.
    pub(crate) fn get_mut(&mut self, node: NodeId) -> Option<&mut Peer> {
        let at = self.numbers.binary_search(&node).ok()?;
        self.list.get_mut(at)
    }

    /// The peer with this number; a new contact if there was none.
    pub(crate) fn ensure(&mut self, addr: PeerAddr, now: Monotonic) -> &mut Peer {
        let at = match self.numbers.binary_search(&addr.node) {
            Ok(at) => at,
            Err(at) => {
                let link = self.new_link();
                // Both lists have the same order.
                self.numbers.insert(at, addr.node);
                self.list.insert(at, Peer::new(addr, link, now));
                at
            }
        };
        &mut self.list[at]
    }

    /// Forgets a peer.
    pub(crate) fn remove(&mut self, node: NodeId) {
        self.list.retain(|peer| peer.addr.node != node);
        self.numbers.retain(|number| *number != node);
    }

    /// All peers in order.
    pub(crate) fn iter(&self) -> std::slice::Iter<'_, Peer> {
        self.list.iter()
    }

    /// All peers in order, to be changed.
    pub(crate) fn iter_mut(&mut self) -> std::slice::IterMut<'_, Peer> {
        self.list.iter_mut()
    }

    /// Their numbers, for walks that change the table.
    pub(crate) fn nodes(&self) -> Vec<NodeId> {
        self.numbers.clone()
    }

    /// Neighbours.
    pub(crate) fn linked(&self) -> impl Iterator<Item = &Peer> {
        self.list.iter().filter(|peer| peer.is_linked())
    }

    /// A link that was never used.
    fn new_link(&mut self) -> LinkId {
        self.newest_link = LinkId(self.newest_link.0 + 1);
        self.newest_link
    }

    /// Gives a peer a new link: nothing that went over the last one is waited for any more, nor
    /// counted again when it turns out to have arrived.
    pub(crate) fn renew_link(&mut self, node: NodeId) {
        let link = self.new_link();
        if let Some(peer) = self.get_mut(node) {
            peer.link = link;
            peer.told_up = false;
        }
    }
}
