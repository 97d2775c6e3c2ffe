//! Looking into nodes and datagrams from outside the protocol: for the simulator's checks.
//!
//! Nothing here changes anything, and nothing in the protocol uses it. Public for the simulator,
//! which is in the package above, and hidden: no promise to anybody else.

use std::fmt::Write as _;

use crate::broadcast::strategy::flood::LinkCopies;
use crate::datagram::wire::{self, Frame, TAG_BYTES};
use crate::ids::{MessageId, NodeId};
use crate::membership::peers::Standing;
use crate::report::{Counters, PeerState};
use crate::{MAGIC, Node};

/// One rumor inside a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RumorSeen {
    /// The message it is a copy of.
    pub id: MessageId,
    /// Whether it, or a copy it descends from, was asked for.
    pub repaired: bool,
}

/// What a datagram of ours holds, its tag unchecked; `None` if it is none.
fn parse(bytes: &[u8]) -> Option<wire::Datagram<'_>> {
    let (signed, _) = bytes.split_last_chunk::<TAG_BYTES>()?;
    wire::parse(signed.get(MAGIC.len() + 1..)?)
}

/// Calls `see` for each rumor in a datagram, in order.
pub fn rumors(bytes: &[u8], mut see: impl FnMut(RumorSeen)) {
    let Some(datagram) = parse(bytes) else { return };
    for frame in &datagram.frames {
        if let Frame::Rumor(rumor) = frame {
            see(RumorSeen { id: rumor.id, repaired: rumor.repaired });
        }
    }
}

/// A datagram as a line of text, to read traces by.
pub fn describe(bytes: &[u8]) -> String {
    let Some(datagram) = parse(bytes) else { return format!("{} bytes of rubbish", bytes.len()) };
    let mut text = format!("#{} {} B:", datagram.incarnation, bytes.len());
    for frame in &datagram.frames {
        let shown = match frame {
            Frame::Rumor(rumor) => {
                let how = if rumor.repaired { "repaired" } else { "flooded" };
                format!("Rumor {} {how} {} hops", rumor.id, rumor.hops)
            }
            other => format!("{other:?}"),
        };
        // Writing to a string does not fail.
        let _ = write!(text, " {shown}");
    }
    text
}

impl Node {
    /// Whether this node holds a message.
    pub fn holds(&self, id: MessageId) -> bool {
        self.store.get(id).is_some()
    }

    /// Its neighbours, past ones included, and how it sees them: [`Node::peers`] in brief.
    pub fn links(&self) -> Vec<(NodeId, PeerState)> {
        let known = self.peers.iter();
        known.filter_map(|peer| Some((peer.addr.node, peer.state()?))).collect()
    }

    /// What it counted: [`Node::status`] in brief.
    pub fn counters(&self) -> Counters {
        self.counters.total()
    }

    /// Checks what must hold between any two inputs, after the flush: each limit, and that the
    /// books agree with each other. Cheap enough for every step: it looks at peers, not messages.
    pub fn audit(&self) -> Result<(), String> {
        let limits = &self.config.limits;
        let within = |what: &str, used: usize, most: usize| {
            if used <= most {
                Ok(())
            } else {
                Err(format!("{used} {what}, and {most} is the limit"))
            }
        };
        within("messages held", self.store.len(), limits.messages_max.max(1))?;
        if self.store.len() > 1 {
            within("bytes retained", self.store.bytes(), limits.retained_bytes_max)?;
        }
        within("neighbours", self.peers.linked().count(), limits.neighbours_max)?;
        let others = self.peers.iter().filter(|peer| !peer.is_linked()).count();
        // Neighbours that die or are given up count as others from then on.
        within("other peers", others, limits.contacts_max + limits.neighbours_max)?;
        within("nodes in the sample", self.overlay.sample.len(), limits.sample_max)?;
        within("ranges known", self.store.known().ranges(), limits.id_ranges_max)?;
        self.audit_repair()?;
        if !self.outbox.is_empty() {
            return Err("frames wait after a flush".into());
        }
        Ok(())
    }

    /// Checks that what is counted as in_flight is what the messages held say. Takes a look at
    /// each of them.
    pub fn audit_in_flight(&self) -> Result<(), String> {
        for peer in self.peers.iter() {
            let (mut in_flight, mut bytes) = (0, 0);
            for record in self.store.iter() {
                if record.copies.get(peer.link).is_some_and(LinkCopies::is_in_flight) {
                    in_flight += 1;
                    bytes += record.in_flight_bytes();
                }
            }
            let counted = (peer.in_flight.messages, peer.in_flight.bytes);
            if counted != (in_flight, bytes) {
                let (node, books) = (peer.addr.node, (in_flight, bytes));
                return Err(format!("{counted:?} counted as in_flight with {node}, not {books:?}"));
            }
        }
        Ok(())
    }

    /// What every peer is asked for is what is wanted of it.
    fn audit_repair(&self) -> Result<(), String> {
        for peer in self.peers.iter() {
            let node = peer.addr.node;
            let (asked, most) = (peer.exchange.asked, self.config.limits.wanted_per_peer_max);
            if asked > most {
                return Err(format!("{asked} messages asked of node {node}, {most} is the limit"));
            }
            let ranges = peer.exchange.offers.ranges();
            if ranges > self.config.limits.id_ranges_max {
                return Err(format!("{ranges} ranges on offer by node {node}"));
            }
            if matches!(peer.standing, Standing::Dead { .. } | Standing::Removed)
                && peer.in_flight.messages > 0
            {
                return Err(format!("messages in_flight with node {node}, which is gone"));
            }
        }
        let replies = self.repair.sizes().1;
        let most = self.config.limits.repair_replies_max;
        if replies > most {
            return Err(format!("{replies} replies wait, {most} is the limit"));
        }
        Ok(())
    }
}
