//! The table of peers: neighbours, those who were, and passing acquaintances.
//!
//! What a node knows about each is kept here in one place; what follows from it is decided in
//! `overlay` (who is alive, who is linked) and `repair` (who lacks what).

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::broadcast::store::Slot;
use crate::broadcast::strategy::flood::LinkId;
use crate::config::Timing;
use crate::ids::set::{Account, IdSet};
use crate::ids::{Incarnation, MessageId, NodeId, PeerAddr};
use crate::membership::peer_list::PeerList;
use crate::rare::{Nothing, Rare};
use crate::report::PeerState;
use crate::time::{Monotonic, Now};

/// How a peer stands with this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// No neighbour; remembered as long as there is something to say.
    Contact,
    /// Meant to be a neighbour, and not yet heard to agree. Given up at `until`.
    Joining { until: Monotonic },
    /// A neighbour, heard from lately.
    Alive,
    /// A neighbour that fell silent, and was probed so many times.
    Suspected { probes: u32, next: Monotonic },
    /// Was a neighbour, and did not answer; still probed.
    Dead { since: Monotonic, next: Monotonic },
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
    pub(crate) standing: Standing,
    /// Since when it is silent as far as suspicion goes: since its last datagram, or since there
    /// was another reason to start counting.
    pub(crate) heard: Monotonic,
    /// When its last datagram came in; `None` until one did.
    pub(crate) spoke: Option<Monotonic>,
    /// The link is one this node began with, or was told to have.
    pub(crate) original: bool,
    /// Its links, as it last told them, and their version; 0 for none.
    pub(crate) neighbours: PeerList,
    pub(crate) neighbours_version: u32,
    /// It could spare a link.
    pub(crate) spare: bool,
    /// The version of this node's links that it has seen.
    pub(crate) seen_version: u32,
    pub(crate) changes: Rare<Changes>,
    pub(crate) in_flight: InFlight,
    pub(crate) exchange: Rare<Exchange>,
}

/// Copies sent to a peer that did not come back yet.
#[derive(Debug, Default)]
pub(crate) struct InFlight {
    /// How long copies take to come back, smoothed.
    pub(crate) smoothed: Option<Duration>,
    /// Messages sent, in order, and when to ask about them. Settled ones are skipped lazily.
    pub(crate) pending: VecDeque<(Monotonic, Slot)>,
    /// How many messages are sent and not acknowledged.
    pub(crate) messages: u32,
    /// Their bytes, about.
    pub(crate) bytes: u64,
    pub(crate) losses: Rare<Losses>,
}

impl InFlight {
    /// Notes that a first copy of a message of so many bytes went out; says when it is to be asked about.
    pub(crate) fn expect(
        &mut self,
        now: Now,
        slot: Slot,
        bytes: u64,
        timing: &Timing,
    ) -> Monotonic {
        let assumed = self.losses.assumed.unwrap_or(timing.ack_time_initial);
        let settle = self.smoothed.unwrap_or(assumed);
        // Not `clamp`, which panics where somebody set the least above the most.
        let wait = (settle * 4).min(timing.ack_timeout_max).max(timing.ack_timeout_min);
        let at = now.monotonic + wait;
        // Often it is one at a time.
        self.pending.reserve_exact(usize::from(self.pending.capacity() == 0));
        self.pending.push_back((at, slot));
        self.messages += 1;
        self.bytes += bytes;
        at
    }

    /// One message of so many bytes is acknowledged, or gone.
    pub(crate) fn acknowledged(&mut self, bytes: u64) {
        self.messages = self.messages.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(bytes);
    }
}

/// What the loss of copies taught and led to.
#[derive(Debug, Default)]
pub(crate) struct Losses {
    /// How long copies are assumed to take to come back, until that was measured.
    pub(crate) assumed: Option<Duration>,
    /// Messages asked about already, and when to ask again.
    pub(crate) retries: BTreeMap<(Monotonic, MessageId), u8>,
}

impl Nothing for Losses {
    const NOTHING: &'static Self = &Self { assumed: None, retries: BTreeMap::new() };
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

impl Nothing for Changes {
    const NOTHING: &'static Self = &Self { stand_in_for: None, unlinked: None, unanswered: None };
}

/// The state of comparing notes with a peer.
#[derive(Debug, Default)]
pub(crate) struct Exchange {
    /// What it holds and this node lacks, not asked for yet.
    pub(crate) offers: IdSet,
    /// How many messages it was asked for and did not send yet.
    pub(crate) asked: usize,
    /// How long it takes to send what it is asked for, at best of late.
    pub(crate) answer_time: Duration,
    /// The difference between both accounts that turned out to hold nothing to gain.
    pub(crate) agreed: Account,
    /// When the listing sent last may be taken for lost.
    pub(crate) listing_until: Option<Monotonic>,
    /// Whether the pages of the listing under way found anything so far.
    pub(crate) found: bool,
}

impl Nothing for Exchange {
    const NOTHING: &'static Self = &Self {
        offers: IdSet::new(),
        asked: 0,
        answer_time: Duration::ZERO,
        agreed: Account { count: 0, fingerprint: 0 },
        listing_until: None,
        found: false,
    };
}

impl Peer {
    /// A peer just heard of.
    pub(crate) fn new(addr: PeerAddr, link: LinkId, standing: Standing, now: Monotonic) -> Self {
        Self {
            addr,
            incarnation: 0,
            link,
            standing,
            heard: now,
            spoke: None,
            original: false,
            neighbours: PeerList::default(),
            neighbours_version: 0,
            spare: false,
            seen_version: 0,
            changes: Rare::default(),
            in_flight: InFlight::default(),
            exchange: Rare::default(),
        }
    }

    /// Whether it is a neighbour as far as this node is concerned.
    pub(crate) fn is_linked(&self) -> bool {
        matches!(
            self.standing,
            Standing::Joining { .. } | Standing::Alive | Standing::Suspected { .. }
        )
    }

    /// Whether it is thought to be silent.
    pub(crate) fn is_doubted(&self) -> bool {
        matches!(self.standing, Standing::Suspected { .. } | Standing::Dead { .. })
    }

    /// Whether new messages are pushed to it. A node that was asked to stand in for another may
    /// itself be dead, so it gets none before it answers.
    pub(crate) fn gets_copies(&self) -> bool {
        match self.standing {
            Standing::Joining { .. } => self.original,
            Standing::Alive | Standing::Suspected { .. } => true,
            _ => false,
        }
    }

    /// How people see it; `None` for a mere contact.
    pub(crate) fn state(&self) -> Option<PeerState> {
        match self.standing {
            Standing::Contact => None,
            Standing::Joining { .. } => Some(PeerState::Joining),
            Standing::Alive => Some(PeerState::Alive),
            Standing::Suspected { .. } => Some(PeerState::Suspected),
            Standing::Dead { .. } => Some(PeerState::Dead),
            Standing::Removed => Some(PeerState::Removed),
        }
    }
}

/// All peers, by number, and the links that messages are pushed over.
#[derive(Debug, Default)]
pub(crate) struct Peers {
    /// In the order of their numbers, which stand close together in a list of their own: a node
    /// that wakes up finds its memory cold, and each peer passed over would have to be fetched.
    numbers: Vec<NodeId>,
    list: Vec<Peer>,
    next_link: u32,
    /// The links of all peers that get copies, and where these are, in the same order.
    links: Box<[LinkId]>,
    link_addrs: PeerList,
}

impl Peers {
    /// The peer with this number.
    pub(crate) fn get(&self, node: NodeId) -> Option<&Peer> {
        let at = self.numbers.binary_search(&node).ok()?;
        self.list.get(at)
    }

    /// The peer with this number, to be changed. After a change of standing or link,
    /// [`Peers::relink`] is due.
    pub(crate) fn get_mut(&mut self, node: NodeId) -> Option<&mut Peer> {
        let at = self.numbers.binary_search(&node).ok()?;
        self.list.get_mut(at)
    }

    /// The peer with this number; a new one with this standing if there was none.
    pub(crate) fn ensure(
        &mut self,
        addr: PeerAddr,
        standing: Standing,
        now: Monotonic,
    ) -> &mut Peer {
        let at = match self.numbers.binary_search(&addr.node) {
            Ok(at) => at,
            Err(at) => {
                let link = self.new_link();
                self.numbers.insert(at, addr.node);
                self.list.insert(at, Peer::new(addr, link, standing, now));
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

    /// The link made last.
    pub(crate) fn newest_link(&self) -> LinkId {
        LinkId(self.next_link)
    }

    /// A link that was never used.
    pub(crate) fn new_link(&mut self) -> LinkId {
        self.next_link += 1;
        LinkId(self.next_link)
    }

    /// Gives a peer a new link: nothing that went over the last one is waited for any more, nor
    /// counted again when it turns out to have arrived. [`Peers::relink`] is due.
    pub(crate) fn renew_link(&mut self, node: NodeId) {
        let link = self.new_link();
        if let Some(peer) = self.get_mut(node) {
            peer.link = link;
            peer.in_flight = InFlight::default();
        }
    }

    /// Brings the list of links up to date.
    pub(crate) fn relink(&mut self) {
        let linked = || self.list.iter().filter(|peer| peer.gets_copies());
        self.links = linked().map(|peer| peer.link).collect();
        self.link_addrs = linked().map(|peer| peer.addr).collect();
    }

    /// The links that messages are pushed over.
    pub(crate) fn links(&self) -> &[LinkId] {
        &self.links
    }

    /// Where such a link leads.
    pub(crate) fn addr_of(&self, link: LinkId) -> Option<PeerAddr> {
        let at = self.links.iter().position(|other| *other == link)?;
        self.link_addrs.get(at)
    }

    /// The peer at the other end of a link.
    pub(crate) fn by_link(&mut self, link: LinkId) -> Option<&mut Peer> {
        let at = match self.addr_of(link) {
            Some(addr) => self.numbers.binary_search(&addr.node).ok(),
            None => self.list.iter().position(|peer| peer.link == link),
        };
        self.list.get_mut(at?).filter(|peer| peer.link == link)
    }

    /// Whether some peer that gets copies is not known to have all of them.
    pub(crate) fn any_in_flight(&self) -> bool {
        let addrs = self.link_addrs.iter();
        addrs.filter_map(|addr| self.get(addr.node)).any(|peer| peer.in_flight.messages > 0)
    }
}
