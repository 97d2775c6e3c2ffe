//! What must be so once faults are over and the network had time to settle.

use std::fmt;

use super::member::{Life, Member};
use super::{Simulation, Violation};
use crate::protocol::{MessageId, NodeId, PeerState};

/// What is still amiss.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unrest {
    /// A node lacks a message that another holds.
    Lacks {
        /// Who lacks it.
        node: u32,
        /// Which message.
        id: MessageId,
        /// Who holds it.
        holder: u32,
    },
    /// A node sees a neighbour otherwise than it is.
    Mistaken {
        /// Which node.
        node: u32,
        /// Which neighbour.
        peer: u32,
        /// How it sees it.
        state: PeerState,
    },
    /// A node regards another as its neighbour, and not the other way round.
    OneSided {
        /// Who does.
        node: u32,
        /// Whom.
        peer: u32,
    },
    /// The links in use leave nodes apart.
    Apart {
        /// A node that cannot be reached from the first living one.
        node: u32,
    },
}

impl fmt::Display for Unrest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lacks { node, id, holder } => {
                write!(f, "node {node} lacks {id}, which node {holder} holds")
            }
            Self::Mistaken { node, peer, state } => {
                write!(f, "node {node} takes node {peer} for {state:?}")
            }
            Self::OneSided { node, peer } => {
                write!(f, "node {node} has node {peer} as a neighbour, but not the reverse")
            }
            Self::Apart { node } => write!(f, "no links lead to node {node}"),
        }
    }
}

impl Simulation {
    /// What keeps the network from being as it should be when it is left alone: every living
    /// node has every message that its neighbours hold, sees its neighbours as they are, and can be
    /// reached over links. `None`: all is well.
    #[must_use]
    pub fn unrest(&self) -> Option<Unrest> {
        self.mistaken().or_else(|| self.apart()).or_else(|| self.lacking())
    }

    /// The first message that a node lacks and a neighbour of it holds. In a connected network
    /// without evictions, no such message means that all have all; nobody can get what its
    /// neighbours have had and evicted.
    #[must_use]
    pub fn lacking(&self) -> Option<Unrest> {
        for (number, sent) in self.checker.sent.iter().enumerate() {
            for lacks in self.alive().filter(|member| !member.has.contains(number)) {
                let node = lacks.id.0;
                let holds = |peer: &u32| self.members[*peer as usize - 1].holds(sent.id);
                let holder = self.neighbours(node).into_iter().find(holds);
                if let Some(holder) = holder {
                    return Some(Unrest::Lacks { node, id: sent.id, holder });
                }
            }
        }
        None
    }

    /// The first neighbour seen otherwise than it is.
    fn mistaken(&self) -> Option<Unrest> {
        for member in self.alive() {
            for (peer, state) in links(member) {
                let lives = self.member(peer).is_some_and(|peer| peer.life == Life::Up);
                let right = match state {
                    PeerState::Alive => lives,
                    // Who has too few links keeps asking those it heard of.
                    PeerState::Joining => !lives && self.neighbours(member.id.0).len() < 2,
                    PeerState::Suspected => false,
                    PeerState::Dead => !lives,
                    // About a link that was; who left may have come back elsewhere since.
                    PeerState::Removed => true,
                };
                let (node, peer) = (member.id.0, peer.0);
                if !right {
                    return Some(Unrest::Mistaken { node, peer, state });
                }
                if state == PeerState::Alive && !self.linked(peer, node) {
                    return Some(Unrest::OneSided { node, peer });
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
    pub fn apart(&self) -> Option<Unrest> {
        let mut reached = vec![false; self.members.len()];
        let first = self.alive().next()?.id.0;
        let mut next = vec![first];
        reached[first as usize - 1] = true;
        while let Some(node) = next.pop() {
            for peer in self.neighbours(node) {
                let seen = &mut reached[peer as usize - 1];
                let lives = self.members[peer as usize - 1].is_alive();
                if lives && !std::mem::replace(seen, true) {
                    next.push(peer);
                }
            }
        }
        let apart = self.alive().find(|member| !reached[member.id.0 as usize - 1])?;
        Some(Unrest::Apart { node: apart.id.0 })
    }

    /// Checks what need not be checked after every step: every path of every message held, and
    /// what is in_flight.
    ///
    /// # Errors
    ///
    /// The first [`Violation`].
    pub fn check_paths(&mut self) -> Result<(), Violation> {
        let ids: Vec<MessageId> = self.checker.sent.iter().map(|sent| sent.id).collect();
        for at in 0..self.members.len() {
            self.checker.check_in_flight(self.at, &self.members[at]);
            for id in &ids {
                self.checker.check_paths(self.at, &self.members[at], *id);
            }
        }
        self.checker.violation.clone().map_or(Ok(()), Err)
    }
}

/// A node's neighbours, as it sees them.
fn links(member: &Member) -> Vec<(NodeId, PeerState)> {
    member.node.as_ref().map_or_else(Vec::new, |node| node.links())
}
