//! The links that messages are pushed over, and what is in flight on each.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::store::Slot;
use crate::config::Timing;
use crate::ids::link::{Link, LinkId, LinkState, place};
use crate::ids::{MessageId, NodeId};
use crate::time::Monotonic;

/// All links up, in the order of their ids: each copy of each message looks for a link by its id.
#[derive(Debug, Default)]
pub(crate) struct Links {
    list: Vec<LinkRecord>,
    /// How many messages are in flight on them, each counted once for each link.
    pub(crate) in_flight: u64,
    /// The newest link id met so far.
    pub(crate) newest: LinkId,
}

/// One link.
#[derive(Debug)]
pub(crate) struct LinkRecord {
    pub(crate) link: Link,
    pub(crate) in_flight: InFlight,
}

impl LinkRecord {
    /// Whether senders wait for what is in flight here. They do not wait for a suspected node.
    pub(crate) fn is_awaited(&self) -> bool {
        self.link.state != LinkState::Suspected
    }
}

impl Links {
    /// Notes that a link is up, or how it is now. Says in which state it was, if it was there.
    pub(crate) fn up(&mut self, link: Link) -> Option<LinkState> {
        self.meet(link.id);
        // The same link in another state keeps what is in flight on it.
        if let Some(record) = self.get_mut(link.id) {
            return Some(std::mem::replace(&mut record.link, link).state);
        }
        // A new link to the same node owes nothing of the last one.
        self.down(link.node);
        // Most nodes get all their links at once and keep them.
        self.list.reserve_exact(1);
        let at = self.place(link.id).unwrap_or_else(|at| at);
        self.list.insert(at, LinkRecord { link, in_flight: InFlight::default() });
        None
    }

    /// Notes that there is no link to this node.
    pub(crate) fn down(&mut self, node: NodeId) {
        let Some(at) = self.list.iter().position(|record| record.link.node == node) else { return };
        let gone = self.list.remove(at);
        self.in_flight = self.in_flight.saturating_sub(gone.in_flight.messages.into());
    }

    /// Notes that a link id is in use.
    pub(crate) fn meet(&mut self, id: LinkId) {
        self.newest = self.newest.max(id);
    }

    /// The link with this id.
    pub(crate) fn get(&self, id: LinkId) -> Option<&LinkRecord> {
        self.list.get(self.place(id).ok()?)
    }

    /// The link with this id, to be changed.
    pub(crate) fn get_mut(&mut self, id: LinkId) -> Option<&mut LinkRecord> {
        let at = self.place(id).ok()?;
        self.list.get_mut(at)
    }

    fn place(&self, id: LinkId) -> Result<usize, usize> {
        place(&self.list, id, |record| record.link.id)
    }

    /// The link to this node. Looks at all links: not for what each message needs.
    pub(crate) fn to(&self, node: NodeId) -> Option<&LinkRecord> {
        self.list.iter().find(|record| record.link.node == node)
    }

    /// Notes that a first copy of a message of `bytes` went out over a link. Gives the link, and when
    /// to ask about the message.
    pub(crate) fn expect(
        &mut self,
        id: LinkId,
        now: Monotonic,
        (slot, bytes): (Slot, u64),
        timing: &Timing,
    ) -> Option<(Link, Monotonic)> {
        let record = self.get_mut(id)?;
        let expected = (record.link, record.in_flight.expect(now, slot, bytes, timing));
        self.in_flight += 1;
        Some(expected)
    }

    /// A message of `bytes` that was in flight on a link is acknowledged there, or gone. Gives the
    /// link, if it is still up.
    pub(crate) fn acknowledged(&mut self, id: LinkId, bytes: u64) -> Option<&mut LinkRecord> {
        let at = self.place(id).ok()?;
        self.in_flight = self.in_flight.saturating_sub(1);
        let record = self.list.get_mut(at)?;
        record.in_flight.acknowledged(bytes);
        Some(record)
    }

    /// All links, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &LinkRecord> {
        self.list.iter()
    }

    /// All links, to be changed.
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut LinkRecord> {
        self.list.iter_mut()
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.list.len()
    }

    /// Their ids up to this one, in order.
    pub(crate) fn ids_up_to(&self, newest: LinkId) -> impl Iterator<Item = LinkId> {
        self.list.iter().map(|record| record.link.id).take_while(move |id| *id <= newest)
    }

    /// The links whose other ends were heard from lately.
    pub(crate) fn alive(&self) -> impl Iterator<Item = Link> {
        let links = self.list.iter().map(|record| record.link);
        links.filter(|link| link.state == LinkState::Alive)
    }
}

impl Links {
    /// Forgets messages that are evicted, the oldest first, on links over which nobody is asked about them.
    pub(crate) fn forget_evicted(&mut self, is_evicted: impl Fn(Slot) -> bool) {
        let idle = self.list.iter_mut().filter(|record| record.link.state != LinkState::Alive);
        for record in idle {
            let pending = &mut record.in_flight.pending;
            while pending.front().is_some_and(|(_, slot)| is_evicted(*slot)) {
                pending.pop_front();
            }
        }
    }
}

/// What was sent over a link and is not acknowledged yet.
#[derive(Debug, Default)]
pub(crate) struct InFlight {
    /// How long copies take to come back, smoothed.
    pub(crate) smoothed: Option<Duration>,
    /// How long they are assumed to take until that was measured. Each loss lowers it.
    pub(crate) assumed: Option<Duration>,
    /// Messages sent, in order, and when to ask about them. Acknowledged ones are skipped lazily.
    pub(crate) pending: VecDeque<(Monotonic, Slot)>,
    /// Messages asked about already, when to ask again, and how often that was done.
    pub(crate) retries: BTreeMap<(Monotonic, MessageId), u8>,
    /// How many messages are in flight.
    pub(crate) messages: u32,
    /// Their bytes, about.
    pub(crate) bytes: u64,
}

impl InFlight {
    /// Notes that a first copy of a message of `bytes` went out. Says when to ask about it.
    fn expect(&mut self, now: Monotonic, slot: Slot, bytes: u64, timing: &Timing) -> Monotonic {
        let ack_time = self.smoothed.or(self.assumed).unwrap_or(timing.ack_time_initial);
        // Not `clamp`, which panics where the least is above the most.
        let wait =
            ack_time.saturating_mul(4).min(timing.ack_timeout_max).max(timing.ack_timeout_min);
        let at = now + wait;
        // Mostly one message is in flight at a time, so memory is taken for one.
        self.pending.reserve_exact(usize::from(self.pending.capacity() == 0));
        self.pending.push_back((at, slot));
        self.messages += 1;
        self.bytes += bytes;
        at
    }

    /// One message of `bytes` is acknowledged, or gone.
    fn acknowledged(&mut self, bytes: u64) {
        self.messages = self.messages.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(bytes);
    }

    /// Notes how long a copy took to come back.
    pub(crate) fn measure(&mut self, sample: Duration) {
        let smoothed = self.smoothed.unwrap_or(sample);
        // As TCP does with round trips (RFC 6298): one eighth of what is new.
        self.smoothed = Some((smoothed * 7 + sample) / 8);
    }
}
