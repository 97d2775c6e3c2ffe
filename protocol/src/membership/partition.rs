//! Whether the overlay is connected, and how two components become one again.
//!
//! Where many nodes die at once, those at the ends of what is left link up with random others. With
//! bad luck they close a small ring of their own: all of them have enough neighbours, look no
//! further, and yet no flood gets in or out. (In simulations about one mass crash in a hundred on
//! small rings.) So each component of the overlay has a name: its root, which is the node in it
//! that comes first in an order all nodes agree on. The root counts up a beat that travels with the
//! heartbeats; a node that has not seen it advance for a while takes the root for gone. When two
//! nodes that are no neighbours shuffle, they compare names. If the names differ for long, and both
//! are stable, the overlay has fallen apart, and the node with the later name asks for a link.
//!
//! The root is found as in a spanning tree protocol (Perlman 1985), without the tree. Patience
//! comes before speed here: names differ for a while in a network that starts or heals, and a ring
//! must stay a ring.

use std::cmp::Reverse;
use std::time::Duration;

use super::Membership;
use super::peers::Peer;
use crate::datagram::wire::{Component, Frame};
use crate::effects::Effects;
use crate::ids::set::mix;
use crate::ids::{NodeId, Origin};
use crate::time::Monotonic;

/// A root whose beat has not advanced for this long is gone: eight heartbeats, of which two in
/// five may be lost on each of the many links from the root to here.
const ROOT_TIMEOUT: Duration = Duration::from_secs(10);
/// A name says something only once it has not changed for this long.
const STABLE_AFTER: Duration = Duration::from_secs(10);
/// Two names that still differ after this long belong to two components.
const APART_FOR: Duration = Duration::from_secs(10);
/// The most lost roots that are remembered. When the root of a large network dies, others take its
/// place one after the other, while its last beats are still under way. Some of them are lost as well:
/// the name of a root that is far away comes long before its beats.
const LOST_MAX: usize = 8;
/// The least time between two roots passed on.
const ROOT_PAUSE: Duration = Duration::from_millis(10);

/// The name of this node's component of the overlay.
#[derive(Debug)]
pub(super) struct PartitionDetection {
    root: Origin,
    /// The latest beat seen of the root.
    beat: u32,
    /// When the beat last advanced.
    advanced: Monotonic,
    /// Since when this is the root.
    since: Monotonic,
    /// This node's own beat, for while it is the root.
    own_beat: u32,
    /// The roots that were lost, the last one at the end, and their beats then: a node that still
    /// follows one of them is late.
    lost: Vec<(Origin, u32)>,
    /// Since when nodes of a component with an earlier name were met.
    apart_since: Option<Monotonic>,
    /// The neighbours are still to be told of the root, and not before this time.
    owed: bool,
    quiet_until: Monotonic,
}

impl PartitionDetection {
    pub(super) fn new(me: Origin, now: Monotonic) -> Self {
        Self {
            root: me,
            beat: 0,
            advanced: now,
            since: now,
            own_beat: 0,
            lost: Vec::new(),
            apart_since: None,
            owed: false,
            quiet_until: now,
        }
    }

    fn adopt(&mut self, root: Origin, beat: u32, now: Monotonic) {
        if root != self.root {
            self.since = now;
            self.apart_since = None;
        }
        self.root = root;
        self.beat = beat;
        self.advanced = now;
    }

    /// Notes that the root is lost, so that nodes that still follow it do not bring it back.
    fn lose_root(&mut self) {
        self.lost.retain(|(lost, _)| *lost != self.root);
        if self.lost.len() == LOST_MAX {
            self.lost.remove(0);
        }
        self.lost.push((self.root, self.beat));
    }

    /// Whether a name is that of a lost root, and no news of it: the node that uses it has yet to find
    /// out.
    fn is_late(&self, theirs: &Component) -> bool {
        self.lost.iter().any(|(lost, beat)| theirs.root == *lost && theirs.beat <= *beat)
    }

    fn is_stable(&self, now: Monotonic) -> bool {
        now.since(self.since) >= STABLE_AFTER && now.since(self.advanced) < ROOT_TIMEOUT
    }
}

/// Whether a root precedes another. Of two incarnations of a node the later one does.
///
/// Not by their numbers: those of a ring are in order, so a node far from node 1 would take over
/// the name of every node in between. With scrambled numbers it takes over a dozen or so.
fn precedes(a: Origin, b: Origin) -> bool {
    let place = |root: Origin| (mix(root.node.0.into()), Reverse(root.incarnation));
    place(a) < place(b)
}

impl Membership {
    /// The name of this node's component, to be told to others.
    pub(super) fn component(&self, now: Monotonic) -> Component {
        let partition = &self.partition;
        Component { root: partition.root, beat: partition.beat, stable: partition.is_stable(now) }
    }

    /// Before a heartbeat: a root counts its beat up, and any other node checks that its root still
    /// does.
    pub(super) fn renew_component(&mut self, fx: &mut Effects) {
        let me = fx.me();
        let partition = &mut self.partition;
        if partition.root != me && fx.now.since(partition.advanced) >= ROOT_TIMEOUT {
            partition.lose_root();
            partition.adopt(me, partition.own_beat, fx.now);
        }
        if partition.root == me {
            // A root believes in itself as long as it beats.
            partition.own_beat += 1;
            partition.adopt(me, partition.own_beat, fx.now);
        }
    }

    /// A peer tells the name of its component.
    pub(crate) fn on_component(&mut self, fx: &mut Effects, from: NodeId, theirs: &Component) {
        // A peer that follows this node can tell it nothing about its root.
        if self.leaving.is_some() || theirs.root.node == fx.config.node {
            return;
        }
        if self.peers.get(from).is_some_and(Peer::is_linked) {
            self.follow(fx, from, theirs);
        } else {
            self.compare_components(fx, from, theirs);
        }
    }

    /// Takes over a neighbour's root if that precedes its own, and tells the other neighbours
    /// within [`ROOT_PAUSE`], not with the next heartbeat. So a name takes no longer than that for
    /// each hop, and several that come at once cost one datagram.
    fn follow(&mut self, fx: &mut Effects, from: NodeId, theirs: &Component) {
        let late = self.partition.is_late(theirs);
        let partition = &mut self.partition;
        // Either its own root is alive, or there is a better one, unless that is one of the lost.
        if theirs.root == partition.root && theirs.beat > partition.beat {
            partition.adopt(theirs.root, theirs.beat, fx.now);
        } else if !late && precedes(theirs.root, partition.root) {
            partition.adopt(theirs.root, theirs.beat, fx.now);
            partition.owed = true;
            self.pass_component_on(fx, Some(from));
        }
    }

    /// Tells the neighbours of a new root: at once, unless they were told of another just now.
    /// Where a whole network starts, better ones come in a dozen at a time.
    pub(super) fn pass_component_on(&mut self, fx: &mut Effects, from: Option<NodeId>) {
        let partition = &mut self.partition;
        if !partition.owed || self.leaving.is_some() {
            return;
        }
        if partition.quiet_until > fx.now {
            self.due.at(partition.quiet_until);
            return;
        }
        partition.owed = false;
        partition.quiet_until = fx.now + ROOT_PAUSE;
        let root = self.component(fx.now);
        let frame = fx.outbox.encode(&Frame::Component(root));
        let others = self.peers.linked().filter(|peer| Some(peer.addr.node) != from);
        // A peer never heard from may not be there.
        for peer in others.filter(|peer| peer.incarnation > 0) {
            fx.outbox.put(peer.addr.node, frame);
        }
    }

    /// Checks whether a node that is no neighbour belongs to another component of the overlay.
    fn compare_components(&mut self, fx: &mut Effects, from: NodeId, theirs: &Component) {
        let mine = self.component(fx.now);
        // On a large ring the last beat of a lost root is still under way when this node has given the
        // root up already: such a name does not mean another component.
        if theirs.root.node == mine.root.node || self.partition.is_late(theirs) {
            self.partition.apart_since = None;
            return;
        }
        // A network that starts or heals has names in the making.
        if !mine.stable || !theirs.stable {
            return;
        }
        if precedes(mine.root, theirs.root) {
            // The other node has the later name, so it is the one to ask: it has to know.
            fx.send(from, &Frame::Component(mine));
            return;
        }
        // Only names that differ over several shuffles are worth a link; then the count starts
        // again, while the names become one.
        let since = *self.partition.apart_since.get_or_insert(fx.now);
        if fx.now.since(since) >= APART_FOR {
            self.partition.apart_since = None;
            let (peer, me) = (self.peers.get(from).map(|peer| peer.addr), fx.config.node);
            if let Some(peer) = peer {
                self.stand_in(fx, peer, me);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ME: Origin = Origin { node: NodeId(5), incarnation: 1 };

    #[test]
    fn roots_are_ordered_and_the_later_of_two_incarnations_comes_first() {
        let origin = |node, incarnation| Origin { node: NodeId(node), incarnation };
        assert_ne!(precedes(origin(1, 1), origin(2, 9)), precedes(origin(2, 9), origin(1, 1)));
        assert!(precedes(origin(1, 2), origin(1, 1)));
        assert!(!precedes(origin(1, 1), origin(1, 1)));
    }

    #[test]
    fn a_name_is_stable_while_its_root_beats() {
        let at = |seconds: u64| Monotonic(seconds * 1_000_000_000);
        let mut partition = PartitionDetection::new(ME, at(0));
        assert!(!partition.is_stable(at(1)));
        partition.adopt(Origin { node: NodeId(1), ..ME }, 1, at(2));
        partition.adopt(partition.root, 2, at(9));
        assert!(!partition.is_stable(at(11)));
        assert!(partition.is_stable(at(12)));
        assert!(!partition.is_stable(at(19)), "it has not advanced for ten seconds");
    }
}
