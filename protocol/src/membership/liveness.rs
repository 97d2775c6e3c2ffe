//! Which peers are alive, and which links work: suspicion, probes, the lost and their return.
//!
//! A neighbour that has been silent for a while is suspected. It is probed, directly and through
//! others, and declared dead only after a dozen probes went unanswered: with 20 % loss a direct
//! round trip fails in 36 of 100 cases, so three probes would be wrong once in twenty. Any authentic
//! datagram from it clears it. A node whose own tick comes late was stopped or starved: then all
//! other nodes seem silent, and it takes itself for absent first. (SWIM, Das et al. 2002;
//! Lifeguard, Dadgar et al. 2018.)
//!
//! A link is judged by itself, a node by all who know it. The word of others keeps a suspect from
//! being declared dead, and no more: if the link still carries nothing, it is given up. A link may also
//! carry datagrams one way only. So each heartbeat says how long ago its sender heard from its
//! receiver, and a neighbour that does not hear this node is suspected as well, until it shows
//! that it does (`prove_link`). The dead, and links given up, are probed ever more
//! rarely, or a partition would never heal.

use super::Membership;
use super::peers::{Peer, Standing};
use crate::config::Timing;
use crate::datagram::wire::Frame;
use crate::effects::Effects;
use crate::ids::link::{LinkChange, LinkState};
use crate::ids::{Incarnation, NodeId, PeerAddr};
use crate::report::Event;
use crate::time::{Monotonic, timers};

impl Membership {
    /// Notes that a peer was heard from. False for an incarnation that is over.
    pub(crate) fn hear(
        &mut self,
        fx: &mut Effects,
        sender: PeerAddr,
        incarnation: Incarnation,
    ) -> bool {
        match self.peers.get_mut(sender.node) {
            // The usual case: nothing changes but the time.
            Some(peer)
                if peer.incarnation == incarnation
                    && peer.addr.addr == sender.addr
                    && !peer.is_suspected_or_lost() =>
            {
                peer.heard = fx.now;
                peer.spoke = Some(fx.now);
                return true;
            }
            Some(_) => {}
            None => self.make_room_for_contact(fx),
        }
        let peer = self.peers.ensure(sender, fx.now);
        // A late datagram of an earlier life says nothing about this one.
        if incarnation < peer.incarnation {
            return false;
        }
        peer.heard = fx.now;
        peer.spoke = Some(fx.now);
        let (before, was_proven) = (peer.standing, peer.unproven.is_none());
        // A peer not heard from yet has incarnation 0: it did not restart, it was just started.
        let restarted = peer.incarnation != 0 && incarnation > peer.incarnation;
        // A stand-in is asked over two crossings more than those of its answer: it gets the time anew.
        match &mut peer.standing {
            Standing::Joining { until } if peer.incarnation == 0 && !peer.original => {
                *until = fx.now + fx.config.timing.stand_in_timeout;
            }
            _ => {}
        }
        peer.incarnation = incarnation;
        // It showed that it is there, or there would be no session.
        peer.addr.addr = sender.addr;
        if restarted {
            self.start_afresh_with(sender.node, fx.now);
        }
        match before {
            // One that does not hear this node stays suspected, however much it says.
            Standing::Suspected { .. } if was_proven => {
                self.set_standing(fx, sender.node, Standing::Alive);
            }
            // It can be heard. Whether it hears this node as well, its answer will show.
            Standing::Dead { probed, .. } | Standing::Cut { probed, .. }
                if fx.now.since(probed) >= fx.config.timing.probe_interval =>
            {
                self.probe_lost(fx, sender.node);
            }
            _ => {}
        }
        true
    }

    /// There is a session with this peer now. A neighbour is told soon all that it has missed.
    pub(crate) fn on_session(&mut self, fx: &mut Effects, node: NodeId) {
        if self.peers.get(node).is_some_and(Peer::is_linked) {
            self.hurry(fx);
        }
    }

    /// A neighbour was started again, with an empty store: nothing counted with its earlier
    /// incarnation holds for this one.
    fn start_afresh_with(&mut self, node: NodeId, now: Monotonic) {
        self.changes.push(LinkChange::Gone(node));
        self.peers.renew_link(node);
        if let Some(peer) = self.peers.get_mut(node) {
            // It left in its earlier life; this one may become a neighbour again.
            if peer.standing == Standing::Removed {
                peer.standing = Standing::Contact;
            }
            peer.neighbours_version = 0;
            peer.seen_version = 0;
            peer.vouched = None;
            // It may be unable to hear, and end for that reason: nobody waits for it until it shows
            // that it hears.
            peer.doubt_link(now);
        }
        self.tell_link(node);
    }

    /// A peer heard this node just now, as it shows: the link to it works both ways.
    pub(super) fn prove_link(&mut self, fx: &mut Effects, node: NodeId) {
        let Some(peer) = self.peers.get_mut(node) else { return };
        peer.unproven = None;
        let was_awaited = std::mem::replace(&mut peer.awaited, true);
        match peer.standing {
            Standing::Suspected { .. } => self.set_standing(fx, node, Standing::Alive),
            Standing::Dead { .. } | Standing::Cut { .. } => self.revive(fx, node),
            Standing::Alive | Standing::Joining { .. } if !was_awaited => self.tell_link(node),
            _ => {}
        }
    }

    /// Changes how a peer stands, with what hangs on it.
    pub(super) fn set_standing(&mut self, fx: &mut Effects, node: NodeId, standing: Standing) {
        let Some(peer) = self.peers.get_mut(node) else { return };
        let before = peer.standing;
        peer.standing = standing;
        // Other changes are told elsewhere, or are none that people want to hear of.
        let event = match (before, standing) {
            (Standing::Alive, Standing::Suspected { .. }) => {
                fx.counters.peers_suspected += 1;
                Some(Event::PeerSuspected { node })
            }
            (
                Standing::Joining { .. }
                | Standing::Suspected { .. }
                | Standing::Dead { .. }
                | Standing::Cut { .. },
                Standing::Alive,
            ) => Some(Event::PeerAlive { node }),
            _ => None,
        };
        fx.events.extend(event);
        self.tell_link(node);
    }

    /// A node that was stopped, or got no processor, must not take its own absence for that of
    /// others: all counts start again.
    pub(crate) fn notice_own_absence(&mut self, fx: &Effects) {
        let late =
            self.due.earliest().is_some_and(|due| fx.now.since(due) > fx.config.timing.late_tick);
        if !late {
            return;
        }
        // A neighbour that is still joining is waited for as if this node had just started.
        let patience = fx.now + fx.config.timing.first_contact_timeout;
        let mut cleared = Vec::new();
        for peer in self.peers.iter_mut() {
            match &mut peer.standing {
                Standing::Suspected { .. } => {
                    peer.standing = Standing::Alive;
                    cleared.push(peer.addr.node);
                }
                Standing::Joining { until } if peer.original => *until = patience,
                _ => {}
            }
            // Silence counts from now on, and so does the lack of proof.
            if peer.is_linked() {
                peer.heard = fx.now;
                peer.unproven = peer.unproven.map(|_| fx.now);
            }
        }
        cleared.into_iter().for_each(|node| self.tell_link(node));
        self.due.at(fx.now);
    }

    /// Suspects neighbours that are silent or do not hear this node, probes suspects and lost peers,
    /// gives up on peers that do not answer.
    pub(super) fn check_liveness(&mut self, fx: &mut Effects) {
        // A peer that is not due yet leaves a deadline: nothing else would wake the node for it.
        for node in self.peers.nodes() {
            let Some(peer) = self.peers.get(node) else { continue };
            match peer.standing {
                Standing::Alive => {
                    let quiet_since =
                        peer.unproven.map_or(peer.heard, |since| since.min(peer.heard));
                    let suspect_at = quiet_since + fx.config.timing.suspect_after;
                    if suspect_at <= fx.now {
                        let next = fx.now;
                        self.set_standing(fx, node, Standing::Suspected { probes: 0, next });
                        self.probe(fx, node, 0);
                    } else {
                        self.due.at(suspect_at);
                    }
                }
                Standing::Suspected { probes, next } if next <= fx.now => {
                    self.probe_again(fx, node, probes);
                }
                Standing::Suspected { next, .. } => self.due.at(next),
                Standing::Joining { until } if until <= fx.now => self.give_up_on(fx, node),
                Standing::Joining { until } => {
                    self.due.at(until);
                    self.wait_no_longer_for(fx, node);
                }
                Standing::Dead { since, probed } | Standing::Cut { since, probed } => {
                    let next = probe_lost_at(&fx.config.timing, since, probed);
                    if next <= fx.now {
                        self.probe_lost(fx, node);
                    } else {
                        self.due.at(next);
                    }
                }
                Standing::Contact | Standing::Removed => {}
            }
        }
    }

    /// A neighbour that has not joined within the time of suspicion may not have been started:
    /// it is waited for as a neighbour, but no sender waits for it any more.
    fn wait_no_longer_for(&mut self, fx: &Effects, node: NodeId) {
        let Some(peer) = self.peers.get_mut(node).filter(|peer| peer.original) else { return };
        let Some(since) = peer.unproven.filter(|_| peer.awaited) else { return };
        let until = since + fx.config.timing.suspect_after;
        if until <= fx.now {
            peer.doubt_link(fx.now);
            self.tell_link(node);
        } else {
            self.due.at(until);
        }
    }

    /// Probes a suspect once more, or gives up on it, or on the link if the node itself lives.
    fn probe_again(&mut self, fx: &mut Effects, node: NodeId, probes: u32) {
        let Some(peer) = self.peers.get(node) else { return };
        let timing = &fx.config.timing;
        let fresh = fx.now - timing.suspect_after;
        let lives = [peer.spoke, peer.vouched].into_iter().flatten().any(|at| at >= fresh);
        let factor = if lives { LINK_PROBES_FACTOR } else { 1 };
        if probes < timing.probes.saturating_mul(factor) {
            self.probe(fx, node, probes);
        } else if lives {
            self.give_link_up(fx, node);
        } else {
            self.declare_dead(fx, node);
        }
    }

    /// Probes a suspect, directly and through one other neighbour.
    fn probe(&mut self, fx: &mut Effects, node: NodeId, probes: u32) {
        let next = fx.now + fx.config.timing.probe_interval;
        let Some(peer) = self.peers.get_mut(node) else { return };
        peer.standing = Standing::Suspected { probes: probes + 1, next };
        let target = peer.addr;
        self.due.at(next);
        fx.send(node, &Frame::Probe { on_behalf_of: None });
        // A neighbour that cannot be heard any more may hear this node all the same. It is told so soon,
        // since it waits for what it sends; not at once, since most suspects answer.
        if probes >= PROBES_UNTIL_TOLD {
            self.bare_beat(fx, node);
        }
        fx.counters.probes_sent += 1;
        // SWIM's indirect probe, through one random neighbour each time: the direct path may be
        // broken while the peer lives.
        let works = |peer: &&Peer| peer.link_state() == Some(LinkState::Alive);
        let alive = self.peers.iter().filter(works);
        let helpers: Vec<NodeId> = alive.map(|peer| peer.addr.node).collect();
        if !helpers.is_empty() {
            let helper = helpers[timers::below(&mut fx.rng, helpers.len())];
            fx.send(helper, &Frame::ProbeFor { target });
            fx.counters.probes_sent += 1;
        }
    }

    /// Probes a lost peer.
    fn probe_lost(&mut self, fx: &mut Effects, node: NodeId) {
        let Some(peer) = self.peers.get_mut(node) else { return };
        let (Standing::Dead { since, probed } | Standing::Cut { since, probed }) =
            &mut peer.standing
        else {
            return;
        };
        *probed = fx.now;
        self.due.at(probe_lost_at(&fx.config.timing, *since, *probed));
        fx.send(node, &Frame::Probe { on_behalf_of: None });
        fx.counters.probes_sent += 1;
    }

    /// Declares a neighbour dead, and closes ranks.
    fn declare_dead(&mut self, fx: &mut Effects, node: NodeId) {
        fx.counters.peers_dead += 1;
        fx.events.push(Event::PeerDead { node });
        self.lose(fx, node, Standing::Dead { since: fx.now, probed: fx.now });
        self.close_ranks(fx, node);
    }

    /// Gives up the link to a neighbour that lives. Its other end finds out by itself. Nobody closes
    /// ranks: the node is there, and its other links are.
    fn give_link_up(&mut self, fx: &mut Effects, node: NodeId) {
        fx.counters.links_broken += 1;
        fx.events.push(Event::LinkBroken { node });
        self.lose(fx, node, Standing::Cut { since: fx.now, probed: fx.now });
        self.hurry(fx);
    }

    fn lose(&mut self, fx: &mut Effects, node: NodeId, standing: Standing) {
        self.set_standing(fx, node, standing);
        self.due.at(fx.now + fx.config.timing.dead_probe_interval_min);
    }

    /// A peer that was meant to be a neighbour never answered.
    fn give_up_on(&mut self, fx: &mut Effects, node: NodeId) {
        let Some(peer) = self.peers.get_mut(node) else { return };
        // A neighbour from the start is probed on: it may be late. A stand-in may not exist.
        if peer.original {
            self.declare_dead(fx, node);
            return;
        }
        peer.changes.unlinked = Some(fx.now);
        peer.changes.unanswered = Some(fx.now);
        let instead_of = peer.changes.stand_in_for.take();
        self.set_standing(fx, node, Standing::Contact);
        if let Some(dead) = instead_of {
            // It is out of the dead one's ranks for good: a long line of dead would else be
            // asked round and round. Should the dead one return, it tells its links anew.
            if let Some(dead) = self.peers.get_mut(dead) {
                dead.neighbours = dead.neighbours.iter().filter(|rank| rank.node != node).collect();
                dead.neighbours_version = 0;
            }
            self.close_ranks(fx, dead);
        }
        self.hurry(fx);
    }

    /// A lost peer is back: the old link returns, and the ones made in its stead go.
    fn revive(&mut self, fx: &mut Effects, node: NodeId) {
        fx.counters.peers_returned += 1;
        self.set_standing(fx, node, Standing::Alive);
        self.greet(fx, node);
        // Of the links made in its stead, as many go as this node has more than at its start.
        let began_with = self.overlay.began_with;
        let stand_ins: Vec<NodeId> = self
            .peers
            .linked()
            .filter(|peer| peer.changes.stand_in_for == Some(node))
            .map(|peer| peer.addr.node)
            .collect();
        for stand_in in stand_ins {
            if self.peers.linked().count() > began_with {
                self.unlink(fx, stand_in);
            }
        }
    }

    /// A peer asks whether this node is there.
    pub(crate) fn on_probe(
        &mut self,
        fx: &mut Effects,
        from: NodeId,
        on_behalf_of: Option<PeerAddr>,
    ) {
        fx.send(from, &Frame::Answer { on_behalf_of });
    }

    /// A peer is there, and heard this node. A third node may wait to hear of it.
    pub(crate) fn on_answer(
        &mut self,
        fx: &mut Effects,
        from: NodeId,
        on_behalf_of: Option<PeerAddr>,
    ) {
        self.prove_link(fx, from);
        if let Some(asker) = on_behalf_of.filter(|asker| asker.node != fx.config.node) {
            fx.send_to(asker, &Frame::Vouch { node: from });
        }
    }

    /// A neighbour cannot reach a third node, and asks this one to try.
    pub(crate) fn on_probe_for(&mut self, fx: &mut Effects, from: NodeId, target: PeerAddr) {
        let Some(asker) = self.peers.get(from).map(|peer| peer.addr) else { return };
        // Only datagrams of the peer itself count. If nodes vouched for what others vouched for, a
        // dead node would live on for ever.
        let fresh = fx.now - fx.config.timing.late_tick;
        let alive = |peer: &Peer| peer.spoke.is_some_and(|spoke| spoke >= fresh);
        // Vouch if this node heard from it lately; else probe it. Its answer names the node that
        // asked, which then hears of it: see `on_answer`.
        if self.peers.get(target.node).is_some_and(alive) {
            fx.send(from, &Frame::Vouch { node: target.node });
        } else if target.node != fx.config.node {
            fx.counters.probes_sent += 1;
            fx.send_to(target, &Frame::Probe { on_behalf_of: Some(asker) });
        }
    }

    /// Another node heard from this peer just now. So it is not dead; about the link to it that says
    /// nothing.
    pub(crate) fn on_vouch(&mut self, fx: &Effects, node: NodeId) {
        if let Some(peer) = self.peers.get_mut(node) {
            peer.vouched = Some(fx.now);
        }
    }
}

/// The link to a node that lives is given up after this many times [`Timing::probes`]: with 40 %
/// loss a direct round trip fails in 64 of 100 cases, and 36 in a row about once in ten million
/// times.
const LINK_PROBES_FACTOR: u32 = 3;

/// After this many probes a suspect is told, by heartbeats, that it is not heard.
const PROBES_UNTIL_TOLD: u32 = 2;

/// When a lost peer is probed next: after an eighth of the time it has been lost for, within bounds.
/// The longer that is, the less likely its return.
fn probe_lost_at(timing: &Timing, since: Monotonic, probed: Monotonic) -> Monotonic {
    // Not `clamp`, which panics where the least is above the most.
    let wait = probed.since(since) / 8;
    probed + wait.min(timing.dead_probe_interval_max).max(timing.dead_probe_interval_min)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::table::Table;
    use std::time::Duration;

    const SECOND: Duration = Duration::from_secs(1);

    fn dead(table: &Table) -> usize {
        table.told(|_, event| matches!(event, Event::PeerDead { .. }))
    }

    #[test]
    fn a_killed_node_is_dead_to_its_neighbours_within_five_seconds() {
        let mut table = Table::ring(5);
        table.run(SECOND * 10);
        table.kill(3);
        table.run(SECOND * 5);
        let by = |node| {
            table.told(|at, event| at == node && *event == Event::PeerDead { node: NodeId(3) })
        };
        assert_eq!((by(2), by(4), dead(&table)), (1, 1, 2));
    }

    #[test]
    fn a_neighbour_heard_through_another_is_not_declared_dead_but_its_link_is_given_up() {
        let mut table = Table::ring(3);
        table.run(SECOND * 5);
        table.passes = Box::new(|from, to, _| !matches!((from, to), (1, 2) | (2, 1)));
        table.run(SECOND * 60);
        assert_eq!(dead(&table), 0);
        assert_eq!(table.count(|c| c.peers_suspected), 2, "once at each end");
        assert_eq!(table.count(|c| c.links_broken), 2);
        assert_eq!((table.neighbours(1), table.neighbours(3)), (vec![3], vec![1, 2]));
    }

    #[test]
    fn a_node_that_was_stopped_declares_no_other_dead() {
        let mut table = Table::ring(4);
        table.run(SECOND * 10);
        let asleep = table.nodes[0].take();
        table.run(SECOND * 30);
        table.events.clear();
        table.nodes[0] = asleep;
        table.run(SECOND * 10);
        assert_eq!(dead(&table), 0);
        let suspects = |at, event: &Event| at == 1 && matches!(event, Event::PeerSuspected { .. });
        assert_eq!(table.told(suspects), 0, "it was absent, not the others");
        assert_eq!(table.neighbours(1), vec![2, 4]);
        assert_eq!(table.neighbours(2), vec![1, 3], "the stand-in went, the old link is back");
    }

    #[test]
    fn no_node_vouches_for_a_peer_that_it_did_not_hear_itself() {
        let mut table = Table::with_links(3, &[(1, 2), (2, 3), (3, 1)]);
        table.run(SECOND * 5);
        table.kill(3);
        let asleep = table.nodes[1].take();
        table.run(SECOND * 3);
        // It wakes, notices its absence, and gives all others time again; and is asked right then.
        table.nodes[1] = asleep;
        let vouched = std::rc::Rc::new(std::cell::Cell::new(false));
        let heard = vouched.clone();
        table.passes = Box::new(move |_, _, frames| {
            let vouches = |frame: &Frame<'_>| *frame == Frame::Vouch { node: NodeId(3) };
            heard.set(heard.get() || frames.iter().any(vouches));
            true
        });
        let target = crate::testing::table::addr(3);
        table.feed(2, 1, &[Frame::ProbeFor { target }]);
        table.feed(2, 1, &[Frame::ProbeFor { target }, Frame::Vouch { node: NodeId(3) }]);
        table.run(SECOND);
        assert!(!vouched.get());
    }

    #[test]
    fn the_dead_are_probed_ever_more_rarely_and_return() {
        let mut table = Table::with_links(2, &[(1, 2)]);
        table.run(SECOND * 5);
        table.passes = Box::new(|_, _, _| false);
        table.run(SECOND * 600);
        table.sent.clear();
        table.run(SECOND * 60);
        let probes = table.sent.iter().filter(|(from, ..)| *from == 1).count();
        assert!((1..=3).contains(&probes), "{probes} in a minute");
        table.passes = Box::new(|_, _, _| true);
        table.run(SECOND * 31);
        assert_eq!(table.neighbours(1), vec![2]);
    }

    #[test]
    fn after_a_partition_of_twenty_seconds_a_ring_is_the_same_ring() {
        let mut table = Table::ring(8);
        table.run(SECOND * 5);
        let side = |node: u32| node <= 4;
        table.passes = Box::new(move |from, to, _| side(from) == side(to));
        table.run(SECOND * 20);
        table.send(1, "this side");
        table.send(5, "that side");
        table.passes = Box::new(|_, _, _| true);
        table.run(SECOND * 5);
        for node in 1..=8u32 {
            assert_eq!(table.held(node), 2, "node {node}");
            let mut ring = vec![(node + 6) % 8 + 1, node % 8 + 1];
            ring.sort_unstable();
            assert_eq!(table.neighbours(node), ring, "node {node}");
        }
    }

    #[test]
    fn a_node_that_restarts_at_another_address_is_sent_messages_there() {
        let mut table = Table::with_links(2, &[(1, 2)]);
        table.run(SECOND);
        table.kill(2);
        table.homes[1] = ([127, 0, 0, 2], table.homes[1].port()).into();
        table.start(2, 2, &[1]);
        // Its welcomes go to where it was heard last, until that is two seconds ago.
        table.run(SECOND * 3);
        table.send(1, "banana");
        table.run(SECOND);
        assert_eq!(table.held(2), 1);
    }

    #[test]
    fn a_node_never_heard_from_is_waited_for() {
        let mut table = Table::with_links(2, &[(1, 2)]);
        let late = table.nodes[1].take();
        table.run(SECOND * 29);
        assert_eq!(dead(&table), 0);
        table.run(SECOND * 3);
        assert_eq!(dead(&table), 1);
        table.nodes[1] = late;
        table.run(SECOND * 10);
        assert_eq!(table.neighbours(1), vec![2]);
    }
}
