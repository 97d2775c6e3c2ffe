//! Heartbeats: those that go out, with this node's links, and those that come in.
//!
//! A heartbeat says that its sender regards its receiver as a neighbour, which version of the links it has
//! told, and how long ago it heard from its receiver: a link that carries datagrams one way only shows by
//! that. A node's links go along until the neighbour has seen them.

use std::time::Duration;

use crate::datagram::wire::{Beat, Frame, Neighbours};
use crate::effects::Effects;
use crate::ids::{NodeId, PeerAddr};
use crate::membership::Membership;
use crate::membership::peer_list::PeerList;
use crate::membership::peers::Standing;
use crate::report::Event;

impl Membership {
    /// Sends heartbeats when it is time to, and mends what links are missing.
    pub(in crate::membership) fn beat(&mut self, fx: &mut Effects) {
        if self.leaving.is_some() {
            return;
        }
        let max = fx.config.timing.summary_interval_max;
        if self.trickle.fire(fx.now, max, &mut fx.rng) {
            // Links change first, so that this very heartbeat tells neighbours of the change.
            self.retire_links(fx);
            self.find_links(fx);
            self.spare_a_link(fx);
            self.update_told();
            self.renew_component(fx);
            let component = fx.outbox.encode(&Frame::Component(self.component(fx.now)));
            for node in self.peers.nodes() {
                let Some(peer) = self.peers.get(node).filter(|peer| peer.is_linked()) else {
                    continue;
                };
                // A peer never heard from gets the heartbeat alone: it may not be there.
                let joined = peer.incarnation > 0;
                self.send_beat(fx, node);
                if joined {
                    fx.outbox.put(node, component);
                    self.greeted.push(node);
                }
            }
        }
        self.due.at(self.trickle.next());
    }

    /// One heartbeat alone.
    pub(in crate::membership) fn bare_beat(&self, fx: &mut Effects, node: NodeId) {
        let Some(peer) = self.peers.get(node) else { return };
        let asking = matches!(peer.standing, Standing::Joining { .. });
        let version = self.overlay.version;
        let heard = peer.spoke.map(|spoke| fx.now.since(spoke).as_millis());
        let heard = heard.map(|millis| u32::try_from(millis).unwrap_or(u32::MAX));
        let beat = Beat { asking, version, seen: peer.neighbours_version, heard };
        fx.send(peer.addr.node, &Frame::Beat(beat));
    }

    /// One heartbeat, with this node's links where the peer has not seen them yet.
    pub(super) fn send_beat(&mut self, fx: &mut Effects, node: NodeId) {
        self.bare_beat(fx, node);
        let Some(peer) = self.peers.get(node) else { return };
        let version = self.overlay.version;
        // Repeated with each heartbeat until the peer says that it has seen this version.
        if peer.seen_version != version && peer.incarnation > 0 {
            let list = self.overlay.told.to_vec();
            let frame =
                Frame::Neighbours(Neighbours { version, spare: self.overlay.told_spare, list });
            fx.send(peer.addr.node, &frame);
        }
    }

    /// A heartbeat and a summary to one neighbour, out of turn.
    pub(in crate::membership) fn greet(&mut self, fx: &mut Effects, node: NodeId) {
        self.update_told();
        self.send_beat(fx, node);
        fx.send(node, &Frame::Component(self.component(fx.now)));
        // A datagram may hold thousands of heartbeats: one summary answers them all.
        if self.greeted.last() != Some(&node) {
            self.greeted.push(node);
        }
        self.due.at(fx.now + fx.config.timing.suspect_after);
    }

    /// Brings the list of links that neighbours are told up to date.
    pub(super) fn update_told(&mut self) {
        let mut links: Vec<(usize, PeerAddr)> = self
            .peers
            .linked()
            .filter(|peer| peer.link_state().is_some())
            .map(|peer| (peer.neighbours.len(), peer.addr))
            .collect();
        let spare = links.len() > self.overlay.began_with;
        // Most links first; the number decides between equals, so that the list is stable.
        links.sort_by_key(|(degree, peer)| (std::cmp::Reverse(*degree), peer.node));
        // The two with most links go to the ends, where a node gains no link when this one goes.
        if links.len() > 2 {
            let second = links.remove(1);
            links.push(second);
        }
        let told: PeerList = links.into_iter().map(|(_, peer)| peer).collect();
        if told != self.overlay.told || spare != self.overlay.told_spare {
            self.overlay.told = told;
            self.overlay.told_spare = spare;
            self.overlay.version += 1;
        }
    }

    /// A peer regards this node as its neighbour, or asks to.
    pub(crate) fn on_beat(&mut self, fx: &mut Effects, from: NodeId, beat: &Beat) {
        if self.leaving.is_some() {
            return;
        }
        let Some(peer) = self.peers.get_mut(from) else { return };
        let heard = beat.heard.map(|millis| Duration::from_millis(millis.into()));
        let lately = heard.filter(|ago| *ago < fx.config.timing.suspect_after);
        // A datagram that it heard before the link began, or came under doubt, proves nothing.
        let proven =
            lately.is_some_and(|ago| peer.unproven.is_none_or(|since| fx.now - ago >= since));
        let confirmed = match peer.standing {
            Standing::Joining { .. } => {
                peer.begin_link(fx.now);
                self.set_standing(fx, from, Standing::Alive);
                true
            }
            // `hear` probed it: its answer is the proof.
            Standing::Dead { .. } | Standing::Cut { .. } if !proven => return,
            // It left for good in this life: this heartbeat was sent before that.
            Standing::Removed => return,
            Standing::Contact => {
                if !self.accept(fx, from, beat.asking) {
                    return;
                }
                true
            }
            _ => false,
        };
        if proven {
            self.prove_link(fx, from);
        }
        let Some(peer) = self.peers.get_mut(from) else { return };
        // Only now: a peer that is refused has seen nothing that counts.
        peer.seen_version = beat.seen;
        if lately.is_none() && peer.unproven.is_none() {
            peer.doubt_link(fx.now);
            // The answer clears the doubt in one round trip.
            fx.send(from, &Frame::Probe { on_behalf_of: None });
            fx.counters.probes_sent += 1;
            self.due.at(fx.now + fx.config.timing.suspect_after);
            self.tell_link(from);
        }
        if confirmed || beat.asking {
            self.greet(fx, from);
        }
    }

    /// Whether a peer that is no neighbour becomes one because it says so.
    fn accept(&mut self, fx: &mut Effects, node: NodeId, asking: bool) -> bool {
        let Some(peer) = self.peers.get(node) else { return false };
        let memory = fx.config.timing.unlinked_memory;
        // A heartbeat that was under way when the link was given up must not bring it back.
        let unlinked = peer.changes.unlinked.is_some_and(|at| fx.now.since(at) < memory);
        let full = self.peers.linked().count() >= fx.config.limits.neighbours_max;
        if full {
            fx.counters.limit_neighbours_refused += 1;
        }
        if full || (unlinked && !asking) {
            fx.send(peer.addr.node, &Frame::Unlink);
            return false;
        }
        fx.counters.links_made += 1;
        fx.events.push(Event::LinkMade { node });
        // It may be unable to hear: that it asks for a link is no reason to wait for it again.
        if let Some(peer) = self.peers.get_mut(node) {
            peer.unproven = Some(fx.now);
        }
        self.set_standing(fx, node, Standing::Alive);
        true
    }

    /// A neighbour tells its links.
    pub(crate) fn on_neighbours(&mut self, fx: &Effects, from: NodeId, theirs: &Neighbours) {
        let list_max = fx.config.limits.neighbours_max;
        if let Some(peer) = self.peers.get_mut(from).filter(|peer| peer.is_linked()) {
            peer.neighbours = theirs.list.iter().take(list_max).copied().collect();
            peer.neighbours_version = theirs.version;
            peer.spare = theirs.spare;
        }
    }
}
