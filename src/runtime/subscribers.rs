//! Clients that want to hear of events. A slow one loses events, counted; it never slows the node.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TrySendError, bounded};

use crate::protocol::{Event, Monotonic, Wall};

/// The most events that wait for one subscriber, and the most bytes of their texts, about.
const EVENTS_MAX: usize = 4_096;
const TEXT_BYTES_MAX: usize = 4 << 20;
/// How long a node that ends waits for what it told last to be written.
const LAST_WORDS_MAX: Duration = Duration::from_millis(500);

/// An event on its way to a subscriber.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) at: Wall,
    /// `None` where there is nothing to tell but what was lost.
    pub(super) event: Option<Event>,
    /// Events lost since the last one told.
    pub(super) lost: u64,
}

/// One subscriber.
#[derive(Debug)]
pub(super) struct Subscriber {
    channel: Sender<Told>,
    /// Bytes of the texts that wait.
    waiting: Arc<AtomicUsize>,
    lost: u64,
    is_gone: bool,
    /// Closed when this subscriber is gone.
    _over: Sender<Infallible>,
    /// Closed when its end is gone, and all is written.
    done: Receiver<Infallible>,
}

/// A subscriber's end: where its events arrive.
#[derive(Debug)]
pub(super) struct Events {
    channel: Receiver<Told>,
    waiting: Arc<AtomicUsize>,
    over: Receiver<Infallible>,
    _done: Sender<Infallible>,
}

impl Events {
    /// The next one, waited for no longer than this.
    pub(super) fn wait(&self, timeout: Duration) -> Result<Told, RecvTimeoutError> {
        self.channel.recv_timeout(timeout).map(|told| self.took(told))
    }

    /// The next one, if it is there.
    pub(super) fn take(&self) -> Option<Told> {
        self.channel.try_recv().ok().map(|told| self.took(told))
    }

    /// Lets some gather for so long; no longer than there may be more.
    pub(super) fn pause(&self, time: Duration) {
        let _ = self.over.recv_timeout(time);
    }

    fn took(&self, told: Told) -> Told {
        self.waiting.fetch_sub(told.text_bytes(), Ordering::Relaxed);
        told
    }
}

impl Told {
    pub(super) fn text_bytes(&self) -> usize {
        self.event.as_ref().map_or(0, |event| event.payload().len())
    }
}

impl Subscriber {
    /// A subscriber, and where its events arrive.
    pub(super) fn new() -> (Self, Events) {
        let (sender, receiver) = bounded(EVENTS_MAX);
        let waiting = Arc::new(AtomicUsize::new(0));
        let (_over, over) = bounded(0);
        let (_done, done) = bounded(0);
        let events = Events { channel: receiver, waiting: Arc::clone(&waiting), over, _done };
        (Self { channel: sender, waiting, lost: 0, is_gone: false, _over, done }, events)
    }

    /// Tells one event, or only what was lost. Notes if nobody listens any more.
    fn tell(&mut self, at: Wall, event: Option<Event>) {
        let told = Told { at, event, lost: self.lost };
        let bytes = told.text_bytes();
        let waiting = self.waiting.fetch_add(bytes, Ordering::Relaxed);
        let sent = match waiting {
            0..=TEXT_BYTES_MAX => self.channel.try_send(told),
            _ => Err(TrySendError::Full(told)),
        };
        match sent {
            Ok(()) => return self.lost = 0,
            Err(TrySendError::Full(told)) => self.lost += u64::from(told.event.is_some()),
            Err(TrySendError::Disconnected(_)) => self.is_gone = true,
        }
        self.waiting.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// All subscribers.
#[derive(Debug, Default)]
pub(super) struct Subscribers(Vec<Subscriber>);

impl Subscribers {
    /// Takes one in: it is told all that happens from now on.
    pub(super) fn add(&mut self, subscriber: Subscriber) {
        self.0.push(subscriber);
    }

    /// Lets all of them go, and gives them a moment to write what they were told last.
    pub(super) fn finish(self, clock: impl Fn() -> Monotonic) {
        let until = clock() + LAST_WORDS_MAX;
        // All first: each ends its pause when it is let go.
        let ends: Vec<Receiver<Infallible>> = self.0.into_iter().map(|one| one.done).collect();
        for end in ends {
            let _ = end.recv_timeout(until.since(clock()));
        }
    }

    /// Whether nobody listens.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Tells all of them; the events are used up. Where there are none, subscribers that lost some
    /// hear how many, as soon as their channels take it.
    pub(super) fn tell(&mut self, at: Wall, events: &mut Vec<Event>) {
        if self.0.is_empty() {
            return;
        }
        if events.is_empty() {
            for subscriber in self.0.iter_mut().filter(|subscriber| subscriber.lost > 0) {
                subscriber.tell(at, None);
            }
        }
        for event in events.drain(..) {
            // The last one gets the event itself: mostly there is no other.
            let Some((last, others)) = self.0.split_last_mut() else { break };
            for other in others {
                other.tell(at, Some(event.clone()));
            }
            last.tell(at, Some(event));
        }
        self.0.retain(|subscriber| !subscriber.is_gone);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{MessageId, NodeId};

    fn dead() -> Event {
        Event::PeerDead { node: NodeId(1) }
    }

    #[test]
    fn a_slow_subscriber_loses_events_and_is_told_how_many() {
        let mut subscribers = Subscribers::default();
        let (subscriber, events) = Subscriber::new();
        subscribers.add(subscriber);
        let mut burst: Vec<Event> = (0..EVENTS_MAX + 3).map(|_| dead()).collect();
        subscribers.tell(Wall(1), &mut burst);
        let told = || std::iter::from_fn(|| events.take());
        assert_eq!(told().filter(|told| told.lost == 0).count(), EVENTS_MAX);
        subscribers.tell(Wall(2), &mut vec![dead()]);
        assert_eq!(events.take().map(|told| told.lost), Some(3));
        drop(events);
        subscribers.tell(Wall(3), &mut vec![dead()]);
        assert!(subscribers.is_empty());
    }

    #[test]
    fn what_was_lost_last_is_told_once_it_is_quiet() {
        let mut subscribers = Subscribers::default();
        let (subscriber, events) = Subscriber::new();
        subscribers.add(subscriber);
        subscribers.tell(Wall(1), &mut (0..EVENTS_MAX + 5).map(|_| dead()).collect());
        subscribers.tell(Wall(2), &mut Vec::new());
        while events.take().is_some_and(|told| told.event.is_some()) {}
        assert!(events.take().is_none(), "the channel was too full to tell it");
        subscribers.tell(Wall(3), &mut Vec::new());
        let told = events.take().unwrap();
        assert_eq!((told.event, told.lost), (None, 5));
        subscribers.tell(Wall(4), &mut Vec::new());
        assert!(events.take().is_none());
    }

    #[test]
    fn long_texts_are_limited_by_their_bytes() {
        let mut subscribers = Subscribers::default();
        let (subscriber, events) = Subscriber::new();
        subscribers.add(subscriber);
        let id = MessageId::new(1, 1, 1);
        let long = || Event::Accepted { id, payload: vec![b'x'; 1 << 20] };
        subscribers.tell(Wall(1), &mut (0..100).map(|_| long()).collect());
        let told = std::iter::from_fn(|| events.take()).count();
        assert!((4..=6).contains(&told), "{told}");
        subscribers.tell(Wall(2), &mut vec![long()]);
        assert_eq!(events.take().unwrap().lost, 100 - told as u64);
    }

    #[test]
    fn a_pause_ends_with_the_node_which_waits_until_all_is_written() {
        let mut subscribers = Subscribers::default();
        let (subscriber, events) = Subscriber::new();
        subscribers.add(subscriber);
        subscribers.tell(Wall(1), &mut vec![dead()]);
        let (written, reader) = bounded(8);
        let (begun, began) = bounded(0);
        std::thread::scope(|scope| {
            scope.spawn(move || {
                begun.send(()).unwrap();
                events.pause(Duration::from_secs(3_600));
                while let Some(told) = events.take() {
                    written.send(told.event).unwrap();
                }
                drop(events);
            });
            began.recv().unwrap();
            subscribers.finish(|| Monotonic(0));
            assert_eq!(reader.try_iter().collect::<Vec<_>>(), [Some(dead())]);
        });
    }

    #[test]
    fn one_that_hangs_does_not_keep_a_node_from_ending() {
        let mut subscribers = Subscribers::default();
        let (subscriber, events) = Subscriber::new();
        subscribers.add(subscriber);
        subscribers.tell(Wall(1), &mut vec![dead()]);
        subscribers.finish(|| Monotonic(0));
        assert!(events.take().is_some());
    }
}
