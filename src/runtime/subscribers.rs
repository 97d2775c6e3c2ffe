//! Those who want to hear of events. A slow one loses events, counted; it never slows the node.

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};

use crate::protocol::{Event, Wall};

/// The most events that wait for one subscriber.
const EVENTS_MAX: usize = 4_096;

/// An event on its way to a subscriber.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) at: Wall,
    pub(super) event: Event,
    /// Events lost since the last one told.
    pub(super) lost: u64,
}

/// One subscriber.
#[derive(Debug)]
pub(super) struct Subscriber {
    channel: Sender<Told>,
    lost: u64,
}

impl Subscriber {
    /// A subscriber, and where its events arrive.
    pub(super) fn new() -> (Self, Receiver<Told>) {
        let (channel, events) = bounded(EVENTS_MAX);
        (Self { channel, lost: 0 }, events)
    }

    /// Tells one event; false if nobody listens any more.
    fn tell(&mut self, at: Wall, event: Event) -> bool {
        match self.channel.try_send(Told { at, event, lost: self.lost }) {
            Ok(()) => self.lost = 0,
            Err(TrySendError::Full(_)) => self.lost += 1,
            Err(TrySendError::Disconnected(_)) => return false,
        }
        true
    }
}

/// All subscribers.
#[derive(Debug, Default)]
pub(super) struct Subscribers(Vec<Subscriber>);

impl Subscribers {
    pub(super) fn add(&mut self, subscriber: Subscriber) {
        self.0.push(subscriber);
    }

    /// Whether nobody listens.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Tells all of them; the events are used up.
    pub(super) fn tell(&mut self, at: Wall, events: &mut Vec<Event>) {
        if self.0.is_empty() {
            return;
        }
        for event in events.drain(..) {
            self.0.retain_mut(|subscriber| subscriber.tell(at, event.clone()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::NodeId;

    #[test]
    fn a_slow_subscriber_loses_events_and_is_told_how_many() {
        let mut subscribers = Subscribers::default();
        let (subscriber, events) = Subscriber::new();
        subscribers.add(subscriber);
        let dead = || Event::PeerDead { node: NodeId(1) };
        let mut burst: Vec<Event> = (0..EVENTS_MAX + 3).map(|_| dead()).collect();
        subscribers.tell(Wall(1), &mut burst);
        assert_eq!(events.try_iter().filter(|told| told.lost == 0).count(), EVENTS_MAX);
        subscribers.tell(Wall(2), &mut vec![dead()]);
        assert_eq!(events.try_recv().map(|told| told.lost), Ok(3));
        drop(events);
        subscribers.tell(Wall(3), &mut vec![dead()]);
        assert!(subscribers.0.is_empty());
    }
}
