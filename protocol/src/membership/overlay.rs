//! The overlay: links made and given up, ranks closed.
//!
//! A link stands while both ends send each other [`Frame::Beat`]s. Each node tells its neighbours
//! its own links, in an order; when it dies or leaves, they link up along that order, which needs
//! no negotiation: on a ring that closes the ring. The order puts the nodes with most links at
//! its ends, where one link goes and one comes; between them a node gains one. Where this finds
//! no living node, the random sample is the way back.

use super::Membership;
use super::peer_list::PeerList;
use super::peers::{Peer, Standing};
use crate::datagram::wire::Frame;
use crate::effects::Effects;
use crate::ids::link::LinkState;
use crate::ids::set::mix;
use crate::ids::{NodeId, PeerAddr};
use crate::report::Event;
use crate::time::{Monotonic, timers};

mod heartbeats;

/// The state of the overlay beside its peers.
#[derive(Debug, Default)]
pub(super) struct Overlay {
    /// How many links this node began with, or was told to have.
    pub(crate) began_with: usize,
    /// Its links as told to its neighbours, and the version of that list.
    told: PeerList,
    told_spare: bool,
    version: u32,
    /// The bytes of links told since the last round of heartbeats began.
    told_bytes: usize,
    /// The neighbour told last in such a round.
    told_last: Option<NodeId>,
    /// After a rewiring: the links to give up once the others stand.
    retiring: Vec<NodeId>,
}

/// Fewer links than this, if it began with as many, and a node looks for more.
const LINKS_MIN: usize = 2;

impl Overlay {
    pub(super) fn new(began_with: usize) -> Self {
        Self { began_with, ..Self::default() }
    }
}

impl Membership {
    /// A neighbour gives the link up.
    pub(crate) fn on_unlink(&mut self, fx: &mut Effects, from: NodeId) {
        if self.peers.get(from).is_some_and(Peer::is_linked) {
            self.drop_link(fx, from);
            self.hurry(fx);
        }
    }

    /// A neighbour leaves the network.
    pub(crate) fn on_leave(&mut self, fx: &mut Effects, from: NodeId) {
        let was = self.peers.get(from).map(|peer| peer.standing);
        if matches!(was, None | Some(Standing::Contact | Standing::Removed)) {
            return;
        }
        fx.events.push(Event::PeerLeft { node: from });
        self.set_standing(fx, from, Standing::Removed);
        if let Some(peer) = self.peers.get_mut(from) {
            peer.original = false;
        }
        self.close_ranks(fx, from);
    }

    /// Gives up the link to a living neighbour, and tells it.
    pub(super) fn unlink(&mut self, fx: &mut Effects, node: NodeId) {
        if let Some(peer) = self.peers.get(node) {
            fx.send(peer.addr.node, &Frame::Unlink);
        }
        self.drop_link(fx, node);
    }

    fn drop_link(&mut self, fx: &mut Effects, node: NodeId) {
        let Some(peer) = self.peers.get_mut(node) else { return };
        peer.changes.unlinked = Some(fx.now);
        peer.changes.stand_in_for = None;
        peer.original = false;
        fx.counters.links_dropped += 1;
        fx.events.push(Event::LinkDropped { node });
        self.set_standing(fx, node, Standing::Contact);
    }

    /// Links up with the nodes next to this one in the order that a lost neighbour told. Nodes
    /// known to be gone, and nodes that did not answer lately, are passed over.
    pub(super) fn close_ranks(&mut self, fx: &mut Effects, lost: NodeId) {
        let Some(peer) = self.peers.get(lost) else { return };
        let ranks = peer.neighbours.to_vec();
        let me = ranks.iter().position(|rank| rank.node == fx.config.node);
        if let Some(me) = me {
            // One node on each side. They do the same from their ends, so both ask for the same
            // link.
            let before = ranks[..me].iter().rev().find(|rank| self.may_answer(fx, rank.node));
            let after = ranks[me + 1..].iter().find(|rank| self.may_answer(fx, rank.node));
            for next in before.into_iter().chain(after) {
                self.stand_in(fx, *next, lost);
            }
        }
        self.hurry(fx);
    }

    /// Whether it is worth asking a node for a link.
    fn may_answer(&self, fx: &Effects, node: NodeId) -> bool {
        let memory = fx.config.timing.unlinked_memory;
        node != fx.config.node
            && self.peers.get(node).is_none_or(|peer| match peer.standing {
                Standing::Dead { .. } | Standing::Cut { .. } | Standing::Removed => false,
                Standing::Contact => {
                    peer.changes.unanswered.is_none_or(|at| fx.now.since(at) >= memory)
                }
                _ => true,
            })
    }

    /// Asks a node for a link in the stead of a lost one.
    pub(super) fn stand_in(&mut self, fx: &mut Effects, addr: PeerAddr, lost: NodeId) {
        if self.peers.get(addr.node).is_some_and(|peer| peer.is_linked() || peer.is_lost()) {
            return;
        }
        let until = fx.now + fx.config.timing.stand_in_timeout;
        let peer = self.peers.ensure(addr, fx.now);
        peer.changes.stand_in_for = Some(lost);
        peer.original = false;
        self.join(fx, addr.node, until);
        self.hurry(fx);
    }

    /// Asks a peer for a link, and waits for the answer until then.
    fn join(&mut self, fx: &mut Effects, node: NodeId, until: Monotonic) {
        let Some(peer) = self.peers.get_mut(node) else { return };
        // Not heard in truth: its silence counts from now.
        peer.heard = fx.now;
        peer.begin_link(fx.now);
        fx.counters.links_made += 1;
        fx.events.push(Event::LinkMade { node });
        self.set_standing(fx, node, Standing::Joining { until });
        self.due.at(until);
        // The first heartbeat asks for the link.
        self.send_beat(fx, node);
    }

    /// Asks random other nodes for links where there are too few.
    fn find_links(&mut self, fx: &mut Effects) {
        let wanted = self.overlay.began_with.min(LINKS_MIN);
        let linked = self.peers.linked().count();
        if linked >= wanted || self.sample.list.is_empty() {
            return;
        }
        // Half of them may be dead as well, so twice as many are asked as are missing. The links
        // count as made in the stead of a lost neighbour, if there is one, and go when it returns.
        let lost = self.peers.iter().find(|peer| peer.original && peer.is_lost());
        let lost = lost.map_or(fx.config.node, |peer| peer.addr.node);
        for _ in 0..(wanted - linked) * 2 {
            // Drawn anew each time: the last one drawn is linked now.
            let candidates: Vec<PeerAddr> = self
                .sample
                .list
                .iter()
                .filter(|peer| self.may_answer(fx, peer.node))
                .filter(|peer| !self.peers.get(peer.node).is_some_and(Peer::is_linked))
                .collect();
            if candidates.is_empty() {
                return;
            }
            let pick = timers::below(&mut fx.rng, candidates.len());
            self.stand_in(fx, candidates[pick], lost);
        }
    }

    /// Gives up a link that neither end needs, if there is one: one whose ends share another
    /// neighbour. Of the three links of such a triangle, only the one that comes last in an
    /// order that all nodes agree on may go: then the network stays connected even if all nodes
    /// do this at once (the relative neighbourhood graph, Toussaint 1980, contains a spanning
    /// tree).
    fn spare_a_link(&mut self, fx: &mut Effects) {
        let me = fx.config.node;
        // Only with more links than at the start, and while all neighbours are alive.
        let works = |peer: &&Peer| peer.link_state() == Some(LinkState::Alive);
        let alive = || self.peers.iter().filter(works);
        if alive().count() <= self.overlay.began_with
            || self.peers.linked().count() != alive().count()
        {
            return;
        }
        let last = |peer: &&Peer| {
            let link = rank(me, peer.addr.node);
            alive().any(|third| {
                // A triangle, as both other nodes tell it. This link goes only if it comes last of
                // the three: another one may be given up elsewhere at the same time.
                let shared = peer.neighbours.contains(third.addr.node)
                    && third.neighbours.contains(peer.addr.node);
                shared
                    && rank(me, third.addr.node) < link
                    && rank(third.addr.node, peer.addr.node) < link
            })
        };
        let spare = alive()
            // Both ends can do without it, and links made later go before those of the start.
            .filter(|peer| peer.spare)
            .filter(last)
            .max_by_key(|peer| (!peer.original, rank(me, peer.addr.node)))
            .map(|peer| peer.addr.node);
        if let Some(node) = spare {
            self.unlink(fx, node);
        }
    }

    /// Links up with these peers, in addition to those it has.
    pub(crate) fn link(&mut self, fx: &mut Effects, peers: &[PeerAddr]) {
        let until = fx.now + fx.config.timing.first_contact_timeout;
        let me = fx.config.node;
        for addr in peers.iter().filter(|peer| peer.node != me && peer.node != NodeId(0)) {
            let linked = self.peers.get(addr.node).is_some_and(Peer::is_linked);
            let peer = self.peers.ensure(*addr, fx.now);
            peer.original = true;
            peer.changes.stand_in_for = None;
            if linked {
                self.tell_link(addr.node);
            } else {
                self.overlay.began_with += 1;
                self.join(fx, addr.node, until);
            }
        }
        self.hurry(fx);
    }

    /// Has these neighbours and no others, once the new links stand.
    pub(crate) fn rewire(&mut self, fx: &mut Effects, peers: &[PeerAddr]) {
        let kept = |node: NodeId| peers.iter().any(|peer| peer.node == node);
        // A rewiring replaces one that is not finished yet.
        self.overlay.retiring.clear();
        for peer in self.peers.iter_mut().filter(|peer| !kept(peer.addr.node)) {
            peer.original = false;
            if peer.is_linked() {
                self.overlay.retiring.push(peer.addr.node);
            }
            // A lost peer that is not meant to be a neighbour any more is none when it returns.
            if peer.is_lost() {
                peer.standing = Standing::Contact;
                peer.changes.unlinked = Some(fx.now);
            }
        }
        // A link that never stood gets no more copies.
        self.peers.nodes().into_iter().for_each(|node| self.tell_link(node));
        self.link(fx, peers);
        // `link` counted new links on top of the old ones.
        self.overlay.began_with = peers.len();
    }

    /// After a rewiring, gives up the old links as soon as the new ones stand.
    fn retire_links(&mut self, fx: &mut Effects) {
        let waiting = self
            .peers
            .linked()
            .any(|peer| peer.original && matches!(peer.standing, Standing::Joining { .. }));
        if waiting {
            return;
        }
        for node in std::mem::take(&mut self.overlay.retiring) {
            // It may have died or become one to keep meanwhile.
            if self.peers.get(node).is_some_and(|peer| peer.is_linked() && !peer.original) {
                self.unlink(fx, node);
            }
        }
    }

    /// Begins to leave: the neighbours close ranks at once. Messages that they lack are sent to
    /// them before [`Node::has_left`](crate::Node::has_left) turns true, or until a deadline.
    pub(crate) fn leave(&mut self, fx: &mut Effects) {
        if self.leaving.is_some() {
            return;
        }
        let until = fx.now + fx.config.timing.leave_timeout;
        self.leaving = Some(until);
        self.due.at(until);
        // Neighbours close ranks along this list: it has to be the latest.
        self.update_told();
        self.say_goodbye(fx);
    }

    /// Tells the neighbours that this node leaves, and which nodes to link up with.
    pub(super) fn say_goodbye(&self, fx: &mut Effects) {
        let neighbours = fx.outbox.encode(&Frame::Neighbours(self.overlay.neighbours()));
        let leave = fx.outbox.encode(&Frame::Leave);
        for peer in self.peers.linked() {
            fx.outbox.put(peer.addr.node, neighbours);
            fx.outbox.put(peer.addr.node, leave);
        }
    }
}

/// The place of a link in an order that all nodes agree on, and that favours none of them.
fn rank(a: NodeId, b: NodeId) -> (u64, NodeId, NodeId) {
    let (low, high) = (a.min(b), a.max(b));
    // Scrambled: by plain numbers, links between high numbers would always be the ones to go.
    (mix(u64::from(low.0) << 32 | u64::from(high.0)), low, high)
}

#[cfg(test)]
mod tests {
    use crate::datagram::wire::Frame;
    use crate::testing::table::{Table, addr};
    use std::time::Duration;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_ring_closes_when_a_node_leaves() {
        let mut table = Table::ring(6);
        table.run(SECOND * 5);
        let now = table.now();
        table.node(3).leave(now);
        table.run(SECOND / 10);
        assert!(table.nodes[2].as_ref().unwrap().has_left(table.now()));
        table.kill(3);
        table.run(SECOND);
        assert_eq!(table.neighbours(2), vec![1, 4]);
        assert_eq!(table.neighbours(4), vec![2, 5]);
    }

    #[test]
    fn a_ring_closes_even_around_a_node_that_just_started() {
        let mut table = Table::ring(6);
        let now = table.now();
        table.node(3).leave(now);
        table.run(SECOND / 10);
        table.kill(3);
        table.run(SECOND);
        assert_eq!(table.neighbours(2), vec![1, 4]);
        assert_eq!(table.neighbours(4), vec![2, 5]);
    }

    #[test]
    fn a_node_started_again_finds_its_place_and_its_messages() {
        let mut table = Table::ring(6);
        table.run(SECOND * 5);
        table.send(1, "before");
        table.kill(3);
        table.run(SECOND * 8);
        table.send(1, "meanwhile");
        table.run(SECOND);
        assert_eq!(table.neighbours(2), vec![1, 4]);
        table.start(3, 2, &[2, 4]);
        table.run(SECOND * 5);
        assert_eq!(table.held(3), 2);
        assert_eq!(table.neighbours(2), vec![1, 3]);
        assert_eq!(table.neighbours(4), vec![3, 5]);
    }

    #[test]
    fn the_neighbours_with_most_links_stand_at_the_ends() {
        // Node 1 has four neighbours; 2 has five links, 3 has four, 4 and 5 have two each.
        let links = [
            (1, 2),
            (1, 3),
            (1, 4),
            (1, 5),
            (2, 6),
            (2, 7),
            (2, 8),
            (2, 9),
            (3, 6),
            (3, 7),
            (3, 8),
            (4, 6),
            (5, 7),
        ];
        let mut table = Table::with_links(9, &links);
        table.run(SECOND * 10);
        table.node(1).membership.update_told();
        let told: Vec<u32> =
            table.node(1).membership.overlay.told.iter().map(|peer| peer.node.0).collect();
        assert_eq!((told[0], told[3]), (2, 3), "{told:?}");
    }

    #[test]
    fn a_node_that_lost_all_neighbours_finds_others_by_the_sample() {
        let sample = |config: &mut crate::Config| {
            config.sample = (1..=8).map(addr).filter(|peer| peer.node != config.node).collect();
        };
        let links: Vec<(u32, u32)> = (1..=8).map(|n| (n, n % 8 + 1)).collect();
        let mut table = Table::with(8, &links, sample);
        table.run(SECOND * 5);
        for node in [2, 3, 6, 7] {
            table.kill(node);
        }
        table.run(SECOND * 10);
        table.send(1, "banana");
        table.run(SECOND * 2);
        assert_eq!([1, 4, 5, 8].map(|node| table.held(node)), [1; 4]);
    }

    #[test]
    fn of_a_triangle_of_spare_links_exactly_one_goes() {
        let mut table = Table::with_links(3, &[(1, 2), (2, 3)]);
        table.run(SECOND * 2);
        for node in 1..=3 {
            table.node(node).membership.overlay.began_with = 1;
        }
        let now = table.now();
        table.node(1).link(now, &[addr(3)]);
        table.node(1).membership.overlay.began_with = 1;
        table.run(SECOND * 10);
        let links: usize = (1..=3).map(|node| table.neighbours(node).len()).sum();
        assert_eq!(links, 4, "two links have four ends");
    }

    #[test]
    fn rewiring_swaps_the_links_and_loses_nothing() {
        let mut table = Table::ring(6);
        table.run(SECOND * 3);
        table.send(1, "before");
        let now = table.now();
        // 1-3-5-2-4-6-1 instead of 1-2-3-4-5-6-1.
        for (node, links) in
            [(1, [3, 6]), (2, [4, 5]), (3, [1, 5]), (4, [2, 6]), (5, [2, 3]), (6, [1, 4])]
        {
            table.node(node).rewire(now, &links.map(addr));
        }
        table.send(4, "meanwhile");
        table.run(SECOND * 5);
        assert_eq!((1..=6).map(|node| table.held(node)).collect::<Vec<_>>(), vec![2; 6]);
        assert_eq!(table.neighbours(1), vec![3, 6]);
        assert_eq!(table.neighbours(5), vec![2, 3]);
    }

    #[test]
    fn an_overlay_in_two_closed_components_becomes_one_again() {
        let sample = |config: &mut crate::Config| {
            config.sample = (1..=6).map(addr).filter(|peer| peer.node != config.node).collect();
        };
        let two_rings = [(1, 2), (2, 3), (3, 1), (4, 5), (5, 6), (6, 4)];
        let mut table = Table::with(6, &two_rings, sample);
        table.run(SECOND * 5);
        table.run(SECOND * 50);
        let across = (1..=3).flat_map(|node| table.neighbours(node)).filter(|n| *n > 3).count();
        assert!(across > 0);
        table.send(1, "apple");
        table.run(SECOND / 10);
        assert_eq!(table.held(5), 1, "the flood gets there by itself now");
    }

    #[test]
    fn links_are_told_once_and_again_only_when_they_change() {
        let mut table = Table::ring(4);
        let told = std::rc::Rc::new(std::cell::Cell::new(0));
        let count = told.clone();
        table.passes = Box::new(move |_, _, frames| {
            let tells = frames.iter().filter(|frame| matches!(frame, Frame::Neighbours(_))).count();
            count.set(count.get() + tells);
            true
        });
        table.run(SECOND * 10);
        assert!(told.take() > 0);
        table.run(SECOND * 60);
        assert_eq!(told.take(), 0, "all were seen");
        let now = table.now();
        table.node(1).link(now, &[addr(3)]);
        table.run(SECOND * 10);
        assert!(told.take() > 0);
    }

    #[test]
    fn a_full_node_refuses_another_link() {
        let mut table = Table::with(3, &[(1, 2)], |config| config.limits_mut().neighbours_max = 1);
        table.run(SECOND);
        let now = table.now();
        table.node(3).link(now, &[addr(1)]);
        table.run(SECOND);
        assert_eq!(table.neighbours(1), vec![2]);
        assert!(table.node(1).status().counters.limit_neighbours_refused > 0);
        assert_eq!(table.neighbours(3), Vec::<u32>::new());
    }
}
