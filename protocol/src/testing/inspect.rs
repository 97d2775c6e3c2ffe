//! Looking into nodes and datagrams from outside the protocol: for the simulator's checks.
//!
//! Nothing here changes anything, and nothing in the protocol uses it. Public for the simulator,
//! which is in the package above, and hidden: no promise to anybody else.

use std::fmt::Write as _;
use std::net::SocketAddr;

use crate::broadcast::copies::LinkCopies;
use crate::broadcast::store::Slot;
use crate::datagram::header::{self, Header};
use crate::datagram::wire::{self, Frame, Frames};
use crate::ids::link::Link;
use crate::ids::{MessageId, NodeId};
use crate::membership::peers::Peer;
use crate::node::Node;
use crate::report::{Counters, PeerState};

/// One rumor inside a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RumorSeen {
    /// The message it is a copy of.
    pub id: MessageId,
    /// Whether it, or a copy it descends from, was asked for.
    pub repaired: bool,
}

/// The header and frames of a datagram of ours, its tag unchecked; `None` if it is none. Handshakes have no frames.
pub(crate) fn parse(bytes: &[u8]) -> Option<(Header, Frames<'_>)> {
    let datagram = header::read(bytes).ok()?;
    let frames = match datagram.frames {
        [] => Frames::new(),
        frames => wire::parse(datagram.header.sender(), frames)?,
    };
    Some((datagram.header, frames))
}

/// Whether these bytes are a datagram of frames, not a handshake.
#[must_use]
pub fn has_frames(bytes: &[u8]) -> bool {
    parse(bytes).is_some_and(|(_, frames)| !frames.is_empty())
}

/// Calls `see` for each rumor in a datagram, in order.
pub fn rumors(bytes: &[u8], mut see: impl FnMut(RumorSeen)) {
    let Some((_, frames)) = parse(bytes) else { return };
    for frame in &frames {
        if let Frame::Rumor(rumor) = frame {
            see(RumorSeen { id: rumor.id, repaired: rumor.repaired });
        }
    }
}

/// A datagram as a line of text, to read traces by.
pub fn describe(bytes: &[u8]) -> String {
    let length = bytes.len();
    let Some((header, frames)) = parse(bytes) else { return format!("{length} bytes of rubbish") };
    let mut text = match header {
        Header::Hello { sender, .. } => format!("hello #{} {length} B", sender.incarnation),
        Header::Welcome { sender, .. } => format!("welcome #{} {length} B", sender.incarnation),
        Header::Opening { sender, counter, .. } => {
            format!("opening #{} {counter} {length} B:", sender.incarnation)
        }
        Header::Session { counter, .. } => format!("{counter} {length} B:"),
    };
    for frame in &frames {
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
        self.broadcast.store.get(id).is_some()
    }

    /// Its neighbours, past ones included, and how it sees them: [`Node::peers`] in brief.
    pub fn links(&self) -> Vec<(NodeId, PeerState)> {
        let known = self.membership.peers.iter();
        known.filter_map(|peer| Some((peer.addr.node, peer.state()?))).collect()
    }

    /// Where its peers are, as far as it knows.
    pub fn addresses(&self) -> impl Iterator<Item = SocketAddr> {
        self.membership.peers.iter().map(|peer| peer.addr.addr)
    }

    /// What it counted: [`Node::status`] in brief.
    pub fn counters(&self) -> Counters {
        self.fx.counters.clone()
    }

    /// Checks what must hold between any two inputs, after the flush: each limit, and that the
    /// books agree with each other. Cheap enough for every step: it looks at peers, not messages.
    pub fn audit(&self) -> Result<(), String> {
        let Self { fx, membership, broadcast, .. } = self;
        let (limits, store, peers) = (&fx.config.limits, &broadcast.store, &membership.peers);
        within("messages held", store.len(), limits.messages_max.max(1))?;
        if store.len() > 1 {
            within("bytes retained", store.bytes, limits.retained_bytes_max)?;
        }
        within("neighbours", peers.linked().count(), limits.neighbours_max)?;
        let others = peers.iter().filter(|peer| !peer.is_linked()).count();
        // Neighbours that die or are given up count as others from then on.
        within("other peers", others, limits.contacts_max + limits.neighbours_max)?;
        within("nodes in the sample", membership.sample.list.len(), limits.sample_max)?;
        within("ranges known", store.known().ranges(), limits.id_ranges_max)?;
        within("replies waiting", broadcast.repair.replies.len(), limits.repair_replies_max)?;
        for peer in broadcast.exchanges.values() {
            within("messages asked of one peer", peer.asked, limits.wanted_per_peer_max)?;
            within("ranges on offer", peer.offers.ranges(), limits.id_ranges_max)?;
        }
        fx.sessions.audit(limits)?;
        self.audit_links()?;
        if !fx.outbox.is_empty() {
            return Err("frames wait after a flush".into());
        }
        Ok(())
    }

    /// Checks that both machines speak of the same links.
    pub(super) fn audit_links(&self) -> Result<(), String> {
        let link = |peer: &Peer| {
            Some(Link { id: peer.link, node: peer.addr.node, state: peer.link_state()? })
        };
        let pushed: Vec<Link> = self.membership.peers.iter().filter_map(link).collect();
        let known = self.broadcast.links.iter().map(|record| record.link);
        let mut known: Vec<Link> = known.collect();
        known.sort_unstable_by_key(|link| link.node);
        if pushed == known {
            return Ok(());
        }
        Err(format!("membership has the links {pushed:?}, and broadcast {known:?}"))
    }

    /// Checks that what is counted as in flight is what the messages held say. Takes a look at
    /// each of them.
    pub fn audit_in_flight(&self) -> Result<(), String> {
        let mut in_all = 0;
        for record in self.broadcast.links.iter() {
            let (mut messages, mut bytes) = (0, 0);
            let all = &self.broadcast.store.messages;
            for message in (all.first..all.end).filter_map(|at| all.get(Slot(at))) {
                let copies = message.copies.get(record.link.id);
                if copies.is_some_and(LinkCopies::is_in_flight) {
                    messages += 1;
                    bytes += message.in_flight_bytes();
                }
            }
            let counted = (record.in_flight.messages, record.in_flight.bytes);
            if counted != (messages, bytes) {
                let (node, held) = (record.link.node, (messages, bytes));
                return Err(format!("{counted:?} counted as in flight to {node}, not {held:?}"));
            }
            in_all += u64::from(messages);
        }
        let counted = self.broadcast.links.in_flight;
        if counted == in_all {
            return Ok(());
        }
        Err(format!("{counted} counted as in flight in all, not {in_all}"))
    }
}

/// Says if a limit is exceeded.
fn within(what: &str, used: usize, most: usize) -> Result<(), String> {
    if used <= most { Ok(()) } else { Err(format!("{used} {what}, and {most} is the limit")) }
}
