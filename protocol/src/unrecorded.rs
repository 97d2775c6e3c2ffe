//! The message that a node has passed on and is yet to record.
//!
//! Where a message comes alone, all nodes after this one wait for its copies to be sent, and others
//! on the same processor for this one to sleep again. To record it takes nearly as long as to pass it
//! on, and nobody asks for it yet. So it waits here until the node is woken: by a copy that comes back,
//! by who asks, or in time to ask a neighbour whether it came.
//!
//! Not where somebody listens, as in the simulator: who is told of messages is told at once. That it
//! makes no difference otherwise is tried in `fuzzing`.

use crate::Node;
use crate::broadcast::repair::Arrived;
use crate::broadcast::store::Flooded;
use crate::datagram::wire::Rumor;
use crate::ids::{MessageId, NodeId, Origin};
use crate::rare::Nothing;
use crate::time::{Monotonic, Now, Wall};

/// A message with more text and path than this is recorded as soon as it is sent: to keep it would
/// cost as much.
const BYTES_MAX: usize = 1 << 10;

/// One message at most, as it came, and to whom it went on. The memory is used again and again.
#[derive(Debug)]
pub(crate) struct Unrecorded {
    at: Now,
    /// When to record it at the latest.
    due: Monotonic,
    from: NodeId,
    /// All but the path and the text, which follow.
    rumor: Rumor<'static>,
    path: Vec<u8>,
    text: String,
    /// `None` where there is no message.
    flooded: Option<Flooded>,
}

impl Unrecorded {
    const fn nothing() -> Self {
        let origin = Origin { node: NodeId(0), incarnation: 0 };
        let id = MessageId { origin, sequence: 0 };
        let (sent_at, repaired, path, text) = (Wall(0), false, &[], "");
        Self {
            at: Now { monotonic: Monotonic(0), wall: Wall(0) },
            due: Monotonic(0),
            from: NodeId(0),
            rumor: Rumor { id, sent_at, relays: 0, repaired, hops: 0, path, text },
            path: Vec::new(),
            text: String::new(),
            flooded: None,
        }
    }

    /// When to record it at the latest.
    pub(crate) fn due(&self) -> Option<Monotonic> {
        self.flooded.as_ref().map(|_| self.due)
    }
}

impl Default for Unrecorded {
    fn default() -> Self {
        Self::nothing()
    }
}

impl Nothing for Unrecorded {
    const NOTHING: &'static Self = &Self::nothing();
}

impl Node {
    /// Whether a new message that was sent on may be recorded later.
    pub(crate) fn may_record_later(&self, rumor: &Rumor<'_>, arrived: Arrived) -> bool {
        // Who leaves waits for all that is noted as not settled.
        let hurries = self.tells_messages || self.leaving.is_some();
        let is_short = rumor.text.len() + rumor.path.len() <= BYTES_MAX;
        arrived == Arrived::Pushed && is_short && !hurries
    }

    /// Keeps a new message from `from`, which was sent on, to be recorded later.
    pub(crate) fn record_later(
        &mut self,
        now: Now,
        from: NodeId,
        rumor: &Rumor<'_>,
        flooded: Flooded,
    ) {
        let Rumor { id, sent_at, relays, repaired, hops, path, text } = *rumor;
        let kept = &mut *self.unrecorded;
        debug_assert!(kept.flooded.is_none(), "what was passed on before is recorded first");
        // No neighbour is to be asked about it any sooner.
        (kept.at, kept.due) = (now, now.monotonic + self.config.timing.ack_timeout_min);
        kept.from = from;
        kept.rumor = Rumor { id, sent_at, relays, repaired, hops, path: &[], text: "" };
        path.clone_into(&mut kept.path);
        text.clone_into(&mut kept.text);
        kept.flooded = Some(flooded);
    }

    /// Records the message that was passed on and is yet to be recorded, if there is one: what the
    /// node is asked for is complete then. All that changes the node does this first, but for
    /// [`Node::flush`] and what only counts, and finds it as if it had been recorded at once.
    pub fn record_passed_on(&mut self) {
        if self.unrecorded.flooded.is_none() {
            return;
        }
        let mut kept = std::mem::take(&mut self.unrecorded);
        if let Some(flooded) = kept.flooded.take() {
            let rumor = Rumor { path: &kept.path, text: &kept.text, ..kept.rumor };
            self.deliver(kept.at, kept.from, &rumor, flooded, Arrived::Pushed);
        }
        self.unrecorded = kept;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::datagram::wire::Frame;
    use crate::ids::set::IdRange;
    use crate::testing::table::{Table, addr, number_of, sealed};
    use crate::{MessageId, Outputs, Wall};
    use std::time::Duration;

    /// Node 2 of a ring of three, which nobody listens to, and when node 1 sent it a message of so
    /// many bytes that came alone.
    fn passed_on(bytes: usize, prepare: impl FnOnce(&mut Node, Now)) -> (Table, Now) {
        let mut table = Table::ring(3);
        table.run(Duration::from_millis(100));
        let now = table.now();
        let node = table.node(2);
        node.tell_messages(false);
        prepare(node, now);
        let (id, path, text) = (MessageId::new(1, 1, 1), &[1], &*"x".repeat(bytes));
        let rumor =
            Rumor { id, sent_at: now.wall, relays: 1, repaired: false, hops: 1, path, text };
        let datagram = sealed(1, &[Frame::Rumor(rumor)]);
        let mut sent_to = Vec::new();
        node.receive_alone(now, addr(1).addr, &datagram, &mut Outputs::default(), &mut |out| {
            sent_to.extend(out.datagrams().map(|(to, _)| number_of(to)));
        });
        assert_eq!(sent_to.iter().filter(|to| **to == 3).count(), 1, "{sent_to:?}");
        (table, now)
    }

    #[test]
    fn whatever_changes_the_node_finds_the_message_recorded() {
        let ways: [fn(&mut Node, Now); 11] = [
            |node, now| node.receive(now, addr(3).addr, b"garbage"),
            |node, now| node.tick(now),
            |node, now| assert!(node.send(now, "banana", 1).is_ok()),
            |node, now| assert!(node.send_window(now) > 0),
            |node, now| node.link(now, &[]),
            |node, now| node.rewire(now, &[addr(1), addr(3)]),
            |node, now| node.leave(now),
            |node, _| node.set_faults(&[]),
            |node, _| node.mark_shown(&[]),
            |node, _| node.tell_messages(true),
            |node, _| node.release_buffers(),
        ];
        for (number, way) in ways.into_iter().enumerate() {
            let (mut table, now) = passed_on(6, |_, _| ());
            let node = table.node(2);
            assert!(node.message(MessageId::new(1, 1, 1)).is_none());
            way(node, now);
            assert!(node.message(MessageId::new(1, 1, 1)).is_some(), "way {number}");
            assert!(node.peers().iter().any(|peer| peer.node == NodeId(3) && peer.in_flight > 0));
        }
    }

    #[test]
    fn it_is_due_before_a_neighbour_may_have_to_be_asked() {
        let (mut table, now) = passed_on(6, |_, _| ());
        let due = table.node(2).deadline().unwrap();
        assert!(due <= now.monotonic + Duration::from_millis(20), "{due:?}");
        let late = Now { monotonic: due, wall: Wall(now.wall.0 + 20_000_000) };
        table.node(2).tick(late);
        let message = table.node(2).message(MessageId::new(1, 1, 1)).unwrap();
        assert_eq!(message.received_at, now.wall, "not when it was recorded");
    }

    #[test]
    fn what_is_long_or_told_or_came_to_a_node_that_leaves_is_recorded_at_once() {
        let (mut table, _) = passed_on(BYTES_MAX, |_, _| ());
        assert_eq!(table.held(2), 1);
        let (mut table, _) = passed_on(6, |node, _| node.tell_messages(true));
        assert_eq!(table.held(2), 1);
        let (mut table, now) = passed_on(6, |node, now| node.leave(now));
        assert_eq!(table.held(2), 1);
        assert!(!table.node(2).has_left(now), "its copy is yet to be settled");
    }

    #[test]
    fn what_was_asked_for_is_recorded_at_once() {
        let id = MessageId::new(1, 1, 1);
        let (mut table, _) = passed_on(6, |node, now| {
            let have = sealed(3, &[Frame::Have(vec![IdRange::one(id)])]);
            node.receive(now, addr(3).addr, &have);
        });
        assert_eq!(table.held(2), 1);
        assert_eq!(table.node(2).status().counters.repairs_received, 1);
    }

    #[test]
    fn a_leaf_need_not_be_woken_for_what_went_on_to_nobody() {
        let mut table = Table::with_links(2, &[(1, 2)]);
        table.run(Duration::from_secs(5));
        let now = table.now();
        let node = table.node(2);
        node.tell_messages(false);
        let due = node.deadline();
        let rumor = Rumor {
            sent_at: now.wall,
            relays: 1,
            hops: 1,
            path: &[1],
            text: "x",
            id: MessageId::new(1, 1, 1),
            repaired: false,
        };
        let bytes = sealed(1, &[Frame::Rumor(rumor)]);
        let mut out = Outputs::default();
        node.receive_alone(now, addr(1).addr, &bytes, &mut out, &mut |_| panic!("to whom?"));
        assert_eq!((node.deadline(), table.held(2)), (due, 1));
    }
}
