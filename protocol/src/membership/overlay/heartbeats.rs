//! Heartbeats: those that go out, with this node's links, and those that come in.
//!
//! A heartbeat says that its sender regards its receiver as a neighbour, which version of the links it has
//! told, and how long ago it heard from its receiver: a link that carries datagrams one way only shows by
//! that. A node's links go along until the neighbour has seen them; where there are very many, to some
//! neighbours at a time.

use std::time::Duration;

use super::Overlay;
use crate::datagram::wire::{Beat, Frame, Neighbours};
use crate::effects::Effects;
use crate::ids::{NodeId, PeerAddr};
use crate::membership::Membership;
use crate::membership::peer_list::PeerList;
use crate::membership::peers::{Peer, Standing};
use crate::report::Event;
use crate::time::Monotonic;

/// From one round of heartbeats to the next, a node tells its links to as many neighbours as fit this
/// many bytes, and to one at least. A node with a thousand neighbours would else send megabytes with each
/// change of its links, and lose its heartbeats among them.
const TOLD_BYTES_MAX: usize = 64 << 10;

impl Overlay {
    /// A heartbeat to a peer.
    fn beat_to(&self, peer: &Peer, now: Monotonic) -> Frame<'static> {
        let heard = peer.spoke.map(|spoke| now.since(spoke).as_millis());
        Frame::Beat(Beat {
            asking: matches!(peer.standing, Standing::Joining { .. }),
            version: self.version,
            seen: peer.neighbours_version,
            heard: heard.map(|millis| u32::try_from(millis).unwrap_or(u32::MAX)),
        })
    }

    /// This node's links, as it tells them.
    pub(super) fn neighbours(&self) -> Neighbours {
        let list = self.told.to_vec();
        Neighbours { version: self.version, spare: self.told_spare, list }
    }

    /// Whether a peer is yet to be told of them: again and again, until it says that it has seen this
    /// version.
    fn is_news_to(&self, peer: &Peer) -> bool {
        peer.seen_version != self.version && peer.incarnation > 0
    }

    /// Whether links of this length may be told now; then they count as told. Once some may not, all
    /// others wait for the next round as well.
    fn may_tell(&mut self, bytes: usize) -> bool {
        let may = self.told_bytes == 0 || self.told_bytes + bytes <= TOLD_BYTES_MAX;
        self.told_bytes = if may { self.told_bytes + bytes } else { TOLD_BYTES_MAX };
        may
    }
}

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
            self.send_beats(fx);
        }
        self.due.at(self.trickle.next());
    }

    /// A round of heartbeats: one to each neighbour, with the name of the component.
    ///
    /// The bound on what is sent at once is not for them, since a neighbour that misses heartbeats
    /// becomes suspicious.
    fn send_beats(&mut self, fx: &mut Effects) {
        let component = fx.outbox.encode(&Frame::Component(self.component(fx.now)));
        for peer in self.peers.linked() {
            let node = peer.addr.node;
            let beat = fx.outbox.encode(&self.overlay.beat_to(peer, fx.now));
            fx.outbox.put(node, beat);
            // A peer never heard from gets the heartbeat alone: it may not be there.
            if peer.incarnation > 0 {
                fx.outbox.put(node, component);
                self.greeted.push(node);
            }
        }
        self.tell_links(fx);
    }

    /// Tells this node's links to neighbours that have not seen them, in turn: it begins after the one
    /// told last, so that neighbours that never see them do not keep them from the others.
    fn tell_links(&mut self, fx: &mut Effects) {
        self.overlay.told_bytes = 0;
        let news = self.peers.linked().filter(|peer| self.overlay.is_news_to(peer));
        let mut nodes: Vec<NodeId> = news.map(|peer| peer.addr.node).collect();
        if nodes.is_empty() {
            return;
        }
        let next = nodes.partition_point(|node| Some(*node) <= self.overlay.told_last);
        nodes.rotate_left(next);
        let links = fx.outbox.encode(&Frame::Neighbours(self.overlay.neighbours()));
        for node in nodes {
            if !self.overlay.may_tell(links.len()) {
                return;
            }
            self.overlay.told_last = Some(node);
            fx.outbox.put(node, links);
        }
    }

    /// One heartbeat alone, within the bound on what is sent at once.
    pub(in crate::membership) fn bare_beat(&self, fx: &mut Effects, node: NodeId) {
        let Some(peer) = self.peers.get(node) else { return };
        fx.send(node, &self.overlay.beat_to(peer, fx.now));
    }

    /// One heartbeat out of turn, with this node's links where the peer has not seen them yet.
    pub(super) fn send_beat(&mut self, fx: &mut Effects, node: NodeId) {
        self.bare_beat(fx, node);
        let news = self.peers.get(node).is_some_and(|peer| self.overlay.is_news_to(peer));
        if news && self.overlay.told_bytes < TOLD_BYTES_MAX {
            let links = Frame::Neighbours(self.overlay.neighbours());
            let bytes = fx.outbox.encode(&links).len();
            if self.overlay.may_tell(bytes) {
                fx.send(node, &links);
            }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::table::Table;

    const SECOND: Duration = Duration::from_secs(1);

    /// Node 1 is the hub; the others are linked to it alone.
    fn star(leaves: u32) -> Table {
        let links: Vec<(u32, u32)> = (2..=leaves + 1).map(|leaf| (1, leaf)).collect();
        Table::with(leaves + 1, &links, |config| config.limits_mut().neighbours_max = 2_000)
    }

    #[test]
    fn a_hub_with_very_many_neighbours_loses_no_heartbeats() {
        let mut table = star(800);
        table.run(SECOND * 5);
        assert_eq!(table.neighbours(1).len(), 800);
        table.kill(700);
        table.sent.clear();
        table.run(SECOND * 30);
        // The hub suspects the dead one, and nobody else suspects anybody.
        assert_eq!(table.told(|_, event| matches!(event, Event::PeerSuspected { .. })), 1);
        let dead =
            |event: &Event| matches!(event, Event::PeerDead { node } if *node == NodeId(700));
        assert_eq!(table.told(|node, event| node == 1 && dead(event)), 1);
        assert_eq!(table.count(|counters| counters.limit_control_dropped), 0);
        let links = table.sent.iter().filter(|(from, _, bytes)| *from == 1 && *bytes > 4_096);
        let bytes: usize = links.map(|(.., bytes)| bytes).sum();
        // A round takes half a second at least, and a few come quicker after the death.
        assert!((1 << 20..70 * TOLD_BYTES_MAX).contains(&bytes), "{bytes} bytes of links");
    }

    #[test]
    fn neighbours_that_never_see_the_links_do_not_keep_them_from_the_others() {
        let mut table = star(400);
        table.passes = Box::new(|_, to, frames| {
            !(2..=41).contains(&to) || !frames.iter().any(|f| matches!(f, Frame::Neighbours(_)))
        });
        table.run(SECOND * 5);
        table.kill(401);
        table.run(SECOND * 60);
        let membership = &table.node(1).membership;
        let linked = membership.peers.linked();
        let others = linked.filter(|peer| peer.addr.node.0 > 41);
        let (seen, unseen): (Vec<&Peer>, Vec<&Peer>) =
            others.partition(|peer| peer.seen_version == membership.overlay.version);
        assert_eq!((seen.len(), unseen.len()), (359, 0));
    }
}
