//! What is still to happen, in order: by time, and at the same time in the order of scheduling.
//!
//! So ties keep their order, and no time is bent to break them.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::sync::Arc;

use super::Action;

/// Something that happens at a given time. Members are meant by their place in the list.
#[derive(Debug)]
pub(super) enum Event {
    /// A datagram arrives.
    Datagram { from: u32, to: u32, bytes: Arc<[u8]> },
    /// A node's deadline is over, unless it was armed anew since.
    Deadline { member: u32 },
    /// A node gets round to what waits in its receive buffer.
    Drain { member: u32 },
    /// What a plan says.
    Act(Box<Action>),
}

#[derive(Debug)]
struct Entry {
    at: u64,
    number: u64,
    event: Event,
}

impl Entry {
    fn key(&self) -> (u64, u64) {
        (self.at, self.number)
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Entry {}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Entry {
    /// The heap gives out the greatest first, so the earliest is the greatest.
    fn cmp(&self, other: &Self) -> Ordering {
        other.key().cmp(&self.key())
    }
}

/// The queue of events.
#[derive(Debug, Default)]
pub(super) struct Queue {
    heap: BinaryHeap<Entry>,
    scheduled: u64,
}

impl Queue {
    /// Adds an event.
    pub(super) fn schedule(&mut self, at: u64, event: Event) {
        self.scheduled += 1;
        self.heap.push(Entry { at, number: self.scheduled, event });
    }

    /// Takes out the next event that happens no later than `until`.
    pub(super) fn next(&mut self, until: u64) -> Option<(u64, Event)> {
        if self.heap.peek()?.at > until {
            return None;
        }
        self.heap.pop().map(|entry| (entry.at, entry.event))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_come_by_time_and_ties_in_the_order_of_scheduling() {
        let mut queue = Queue::default();
        for (at, member) in [(5, 1), (3, 2), (5, 3), (3, 4), (9, 5)] {
            queue.schedule(at, Event::Deadline { member });
        }
        let mut order = Vec::new();
        while let Some((at, Event::Deadline { member })) = queue.next(5) {
            order.push((at, member));
        }
        assert_eq!(order, vec![(3, 2), (3, 4), (5, 1), (5, 3)]);
        assert!(queue.next(8).is_none());
    }
}
