//! The state that a network must reach once faults are over: at rest.

use super::member::{Life, Member};
use super::{Simulation, Violation};
use crate::protocol::{NodeId, PeerState};
use crate::topology::measure;

impl Simulation {
    /// The first thing that keeps the network from being at rest. At rest, every living node
    /// has every message that its neighbours hold, sees its neighbours as they are, and can be
    /// reached over links. `None`: all is well.
    #[must_use]
    pub fn unrest(&self) -> Option<String> {
        self.mistaken().or_else(|| self.apart()).or_else(|| self.lacking())
    }

    /// The first message that a node lacks and a neighbour of it holds. In a connected network
    /// without evictions, no such message means that all have all; no node can get a
    /// message that its neighbours have evicted.
    #[must_use]
    pub fn lacking(&self) -> Option<String> {
        self.checker.sent.iter().find_map(|(id, sent)| {
            let holds = |node: &u32| {
                let node = self.members[*node as usize - 1].node.as_ref();
                node.is_some_and(|node| node.holds(*id))
            };
            self.alive().filter(|member| !sent.is_at(member)).find_map(|lacks| {
                let holder = self.neighbours(lacks.id.0).into_iter().find(holds)?;
                Some(format!("node {} lacks {id}, which node {holder} holds", lacks.id))
            })
        })
    }

    /// The first neighbour seen otherwise than it is.
    fn mistaken(&self) -> Option<String> {
        for member in self.alive() {
            for (peer, state) in links(member) {
                let lives = self.member(peer).is_some_and(|peer| peer.life == Life::Up);
                let right = match state {
                    PeerState::Alive => lives,
                    // A node with too few links keeps asking those it heard of.
                    PeerState::Joining => !lives && self.neighbours(member.id.0).len() < 2,
                    PeerState::Suspected => false,
                    PeerState::Dead | PeerState::Cut => !lives,
                    // The link is gone; the peer may have come back elsewhere since.
                    PeerState::Removed => true,
                };
                let (node, peer) = (member.id.0, peer.0);
                if !right {
                    return Some(format!("node {node} takes node {peer} for {state:?}"));
                }
                if state == PeerState::Alive && !self.linked(peer, node) {
                    return Some(format!(
                        "node {node} has node {peer} as a neighbour, but not the reverse"
                    ));
                }
            }
        }
        None
    }

    fn member(&self, node: NodeId) -> Option<&Member> {
        self.members.get(node.0 as usize - 1)
    }

    /// Whether a node has a living neighbour by this number.
    #[must_use]
    pub fn linked(&self, node: u32, peer: u32) -> bool {
        self.neighbours(node).contains(&peer)
    }

    /// The neighbours of a node that it takes for alive.
    #[must_use]
    pub fn neighbours(&self, node: u32) -> Vec<u32> {
        let Some(member) = self.member(NodeId(node)) else { return Vec::new() };
        let alive = links(member).into_iter().filter(|(_, state)| *state == PeerState::Alive);
        alive.map(|(peer, _)| peer.0).collect()
    }

    /// How many peers a node sends something to now and then: all but those that left.
    #[must_use]
    pub fn links(&self, node: u32) -> usize {
        let Some(member) = self.member(NodeId(node)) else { return 0 };
        links(member).iter().filter(|(_, state)| *state != PeerState::Removed).count()
    }

    /// The first living node that links do not lead to.
    #[must_use]
    pub fn apart(&self) -> Option<String> {
        let places = |member: &Member| {
            self.neighbours(member.id.0).into_iter().map(|peer| peer as usize - 1).collect()
        };
        let neighbours: Vec<Vec<usize>> = self.members.iter().map(places).collect();
        let place = |member: &Member| member.id.0 as usize - 1;
        let hops = measure::hops(&neighbours, [place(self.alive().next()?)]);
        let apart = self.alive().find(|member| hops[place(member)].is_none())?;
        Some(format!("no links lead to node {}", apart.id))
    }

    /// Checks what takes too long to check after every step: all paths of all messages held, and
    /// the messages in flight.
    ///
    /// # Errors
    ///
    /// The first [`Violation`].
    pub fn check_paths(&mut self) -> Result<(), Violation> {
        let ids: Vec<_> = self.checker.sent.keys().copied().collect();
        for member in &self.members {
            self.checker.check_in_flight(self.at, member);
            ids.iter().for_each(|id| self.checker.check_paths(self.at, member, *id));
        }
        self.checker.violation.clone().map_or(Ok(()), Err)
    }
}

/// A node's neighbours, as it sees them.
fn links(member: &Member) -> Vec<(NodeId, PeerState)> {
    member.node.as_ref().map_or_else(Vec::new, |node| node.links())
}
