//! The message that a node has passed on and is yet to record.
//!
//! Where a message comes alone, all nodes after this one wait for its copies to be sent, and others
//! on the same processor for this one to sleep again. To record it takes as long as to pass it on,
//! and nobody asks for it yet. So it waits here until the node is woken for something else, mostly
//! for a copy that comes back.

use std::time::Duration;

use super::Node;
use super::message::NodeId;
use super::store::Flooded;
use super::time::{Monotonic, Now};
use super::wire::Rumor;

/// A message with more text and path than this is recorded before it is sent: it takes longer to
/// send it than to record it.
const BYTES_MAX: usize = 1 << 10;

/// One message at most.
#[derive(Debug, Default)]
pub(super) struct Unrecorded {
    message: Option<Box<PassedOn>>,
    /// Reused: the memory for the next.
    spare: Option<Box<PassedOn>>,
}

/// A first copy, as it came, and whom it went on to.
#[derive(Debug)]
struct PassedOn {
    at: Now,
    /// When to record it at the latest.
    due: Monotonic,
    from: NodeId,
    /// All but the path and the text, which follow.
    rumor: Rumor<'static>,
    path: Vec<u8>,
    text: String,
    flooded: Flooded,
}

impl Unrecorded {
    /// When to record it at the latest.
    pub(super) fn due(&self) -> Option<Monotonic> {
        self.message.as_ref().map(|message| message.due)
    }
}

impl Node {
    /// Whether a new message that came alone may be recorded later than it is sent.
    pub(super) fn may_record_later(&self, rumor: &Rumor<'_>) -> bool {
        // Who leaves waits for all that is noted as not settled.
        rumor.text.len() + rumor.path.len() <= BYTES_MAX && self.leaving.is_none()
    }

    /// Keeps a new message from `from`, which went on, to be recorded later.
    pub(super) fn record_later(
        &mut self,
        now: Now,
        from: NodeId,
        rumor: &Rumor<'_>,
        flooded: Flooded,
    ) {
        // Who listens hears of it at once. Else nothing is due before a neighbour may have to be asked.
        let wait = match self.tells_messages {
            true => Duration::ZERO,
            false => self.config.timing.settle_timeout_min,
        };
        let Rumor { id, sent_at, relays, repaired, hops, .. } = *rumor;
        let mut place = self.unrecorded.spare.take();
        let (mut path, mut text) = match &mut place {
            Some(spare) => (std::mem::take(&mut spare.path), std::mem::take(&mut spare.text)),
            None => (Vec::new(), String::new()),
        };
        path.clear();
        path.extend_from_slice(rumor.path);
        text.clear();
        text.push_str(rumor.text);
        let message = PassedOn {
            at: now,
            due: now.monotonic + wait,
            from,
            rumor: Rumor { id, sent_at, relays, repaired, hops, path: &[], text: "" },
            path,
            text,
            flooded,
        };
        match &mut place {
            Some(place) => **place = message,
            None => place = Some(Box::new(message)),
        }
        self.unrecorded.message = place;
    }

    /// Records the message that was passed on and is yet to be recorded, if there is one: what the
    /// node is asked for is complete then. All that changes the node begins with this, and finds it as
    /// if the message had been recorded at once.
    pub fn record_passed_on(&mut self) {
        let Some(mut message) = self.unrecorded.message.take() else { return };
        let PassedOn { at, from, .. } = *message;
        let rumor = Rumor { path: &message.path, text: &message.text, ..message.rumor };
        self.deliver(at, from, &rumor, std::mem::take(&mut message.flooded));
        self.note_recent(at, rumor.id);
        self.evict(at);
        self.unrecorded.spare = Some(message);
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Table, addr, number_of, sealed};
    use super::super::wire::Frame;
    use super::super::{MessageId, Outputs, Wall};
    use super::*;

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
        assert!(sent_to.contains(&3), "{sent_to:?}");
        (table, now)
    }

    #[test]
    fn whatever_changes_the_node_finds_the_message_recorded() {
        let ways: [fn(&mut Node, Now); 11] = [
            |node, now| node.receive(now, addr(3).addr, b"garbage"),
            |node, now| node.tick(now),
            |node, now| assert!(node.send(now, "banana", 1).is_ok()),
            |node, now| assert!(node.room(now) > 0),
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
            assert!(node.peers().iter().any(|peer| peer.node == NodeId(3) && peer.unsettled > 0));
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
    fn a_long_message_and_one_at_a_node_that_leaves_are_recorded_at_once() {
        let (mut table, _) = passed_on(BYTES_MAX, |_, _| ());
        assert_eq!(table.held(2), 1);
        let (mut table, now) = passed_on(6, |node, now| node.leave(now));
        assert_eq!(table.held(2), 1);
        assert!(!table.node(2).has_left(now), "its copy is yet to be settled");
    }
}
