//! Membership: which nodes are linked, and which are alive.
//!
//! It knows peers and their addresses, and no message. Its decisions reach broadcast as a list
//! of [`LinkChange`]s, which [`Node`](crate::Node) hands over: a link is up, down, or gone.
//!
//! | File | What it decides |
//! |---|---|
//! | `peers` | the table of peers, and how each stands |
//! | `liveness` | which peers are suspected, probed, declared dead |
//! | `overlay` | heartbeats; links made, given up, closed over the dead |
//! | `sample` | random other nodes, by Cyclon's shuffle |
//! | `partition` | whether the overlay has fallen into components |
//! | `peer_list` | lists of peers in little memory |

use std::collections::BTreeSet;
use std::net::SocketAddr;

use crate::config::Config;
use crate::effects::Effects;
use crate::ids::link::{Link, LinkChange, Sender};
use crate::ids::{NodeId, PeerAddr};
use crate::time::Monotonic;
use crate::time::timers::{self, Due, Trickle};
use overlay::Overlay;
use partition::PartitionDetection;
use peers::{Peers, Standing};
use sample::Sample;

mod liveness;
mod overlay;
mod partition;
mod peer_list;
pub(crate) mod peers;
mod sample;

/// The machine that decides about a node's links.
#[derive(Debug)]
pub(crate) struct Membership {
    pub(crate) peers: Peers,
    overlay: Overlay,
    pub(crate) sample: Sample,
    partition: PartitionDetection,
    /// When heartbeats go out.
    trickle: Trickle,
    due: Due,
    /// Told to leave: until when the node stays at most.
    pub(crate) leaving: Option<Monotonic>,
    /// Changes that broadcast is yet to be told, in order.
    pub(crate) changes: Vec<LinkChange>,
    /// Peers that were sent a heartbeat or a shuffle, and are yet to be sent a summary.
    pub(crate) greeted: Vec<NodeId>,
}

impl Membership {
    /// The neighbours and the sample that a node begins with.
    pub(crate) fn new(config: &Config, fx: &mut Effects) -> Self {
        let timing = &config.timing;
        // Nodes that start together do not shuffle together.
        let shuffle_in =
            timers::between(&mut fx.rng, std::time::Duration::ZERO, timing.shuffle_interval);
        let mut membership = Self {
            peers: Peers::default(),
            overlay: Overlay::new(config.neighbours.len()),
            sample: Sample::new(&config.sample, config.limits.sample_max, fx.now + shuffle_in),
            partition: PartitionDetection::new(fx.me(), fx.now),
            trickle: Trickle::start(fx.now, timing.summary_interval_min),
            due: Due::default(),
            leaving: None,
            changes: Vec::new(),
            greeted: Vec::new(),
        };
        let until = fx.now + timing.first_contact_timeout;
        for peer in &config.neighbours {
            let neighbour = membership.peers.ensure(*peer, fx.now);
            neighbour.standing = Standing::Joining { until };
            neighbour.original = true;
            membership.tell_link(peer.node);
        }
        membership.due.at(membership.trickle.next());
        membership
    }

    /// Does what is due; false if nothing is.
    pub(crate) fn tick(&mut self, fx: &mut Effects) -> bool {
        if !self.due.take_if_over(fx.now) {
            return false;
        }
        // Each step sets its own next deadline. Liveness comes first: the other steps act on living
        // peers.
        self.check_liveness(fx);
        self.beat(fx);
        self.pass_component_on(fx, None);
        self.shuffle(fx);
        if let Some(until) = self.leaving {
            self.due.at(until.max(fx.now + LEAVING_TICK));
        }
        true
    }

    /// When the next tick is due.
    pub(crate) fn deadline(&self) -> Option<Monotonic> {
        self.due.earliest()
    }

    /// The peer as broadcast knows it.
    pub(crate) fn sender(&self, node: NodeId) -> Option<Sender> {
        self.peers.get(node).map(|peer| Sender { node, link: peer.link })
    }

    /// Where a peer is.
    pub(crate) fn addr_of(&self, node: NodeId) -> Option<SocketAddr> {
        self.peers.get(node).map(|peer| peer.addr.addr)
    }

    /// Something is out of step: heartbeats come more often for a while.
    pub(crate) fn hurry(&mut self, fx: &mut Effects) {
        let min = fx.config.timing.summary_interval_min;
        self.trickle.reset(fx.now, min, &mut fx.rng);
        self.due.at(self.trickle.next());
    }

    /// How many different nodes this one knows of, itself not counted.
    pub(crate) fn known_nodes(&self, me: NodeId) -> u64 {
        let peers = self.peers.iter().map(|peer| peer.addr);
        let theirs = self.peers.iter().flat_map(|peer| peer.neighbours.iter());
        let all =
            peers.chain(theirs).chain(self.sample.list.iter()).map(|peer: PeerAddr| peer.node);
        let all: BTreeSet<NodeId> = all.collect();
        all.len() as u64 - u64::from(all.contains(&me))
    }

    /// Gives back the memory that is kept for what broadcast is told next.
    pub(crate) fn release_buffers(&mut self) {
        self.changes.shrink_to_fit();
        self.greeted.shrink_to_fit();
    }

    /// Tells broadcast how the link to a peer is now. A link that goes down never comes up again: the
    /// peer gets a new one, so that what is noted of the old one is noted for good.
    fn tell_link(&mut self, node: NodeId) {
        let Some(peer) = self.peers.get_mut(node) else { return };
        if let Some(state) = peer.link_state() {
            peer.told_up = true;
            self.changes.push(LinkChange::Up(Link { id: peer.link, node, state }));
            return;
        }
        let is_over = peer.is_lost() || peer.standing == Standing::Removed;
        if peer.told_up {
            self.peers.renew_link(node);
        }
        self.changes.push(if is_over { LinkChange::Gone(node) } else { LinkChange::Down(node) });
    }

    /// Forgets a peer.
    fn forget(&mut self, node: NodeId) {
        self.peers.remove(node);
        self.changes.push(LinkChange::Gone(node));
    }
}

/// How often a node that leaves looks whether it may end.
const LEAVING_TICK: std::time::Duration = std::time::Duration::from_millis(10);
