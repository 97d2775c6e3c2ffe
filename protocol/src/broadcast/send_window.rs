//! The send window: how many more messages may start at this node now.
//!
//! A message that was accepted has to stay here until all neighbours have it. So the measure is
//! what some of them still lack: in messages, and in bytes beside those that may be retained.
//! Messages of other nodes count as well, for they need the same memory.
//!
//! As in TCP (RFC 5681), a node does not know how much the network carries, nor how many others are
//! about to send. So the window is small at first, doubles once all of it was acknowledged, and
//! halves after a node could not keep up. Other nodes may double theirs at the same time, so a
//! window doubles only if no neighbour would lag behind with twice as much accepted everywhere.
//! Messages of others do not use up this window, or a node that starts while they fill their links
//! would never get its turn.

use std::time::Duration;

use super::Broadcast;
use super::links::LinkRecord;
use super::store::Mark;
use crate::config::Limits;
use crate::effects::Effects;
use crate::ids::link::LinkState;
use crate::time::Monotonic;

/// One part in this many of what may be retained may be in flight. So as many nodes may fill their
/// links at the same moment, before they hear of each other, and nothing is evicted too early.
const IN_FLIGHT_PART: usize = 16;
/// All nodes hold back once one part in this many of what may be retained came after a message that
/// a neighbour still lacks: the rest is for messages that nodes accept until they hear of it.
pub(super) const LAG_PART: u64 = 4;
/// The most times the window is halved: to a sixty-fourth of the largest.
const HALVED_MAX: u32 = 6;
/// The window after a rest, in messages, unless the largest is smaller.
const FIRST: usize = 8;
/// A node that was not asked for its window in this long begins anew. A window that was used waits
/// this long for acknowledgements, before it is renewed at the same size.
const REST: Duration = Duration::from_secs(1);

/// How much of the largest window is open.
#[derive(Debug, Default)]
pub(super) struct SendWindow {
    halved: u32,
    /// What was accepted since the window last doubled or halved, or after a rest.
    accepted: Accepted,
    /// Half of the window was used while these messages were in flight, at this time: it doubles
    /// when all but a few of them are acknowledged.
    used: Option<(Mark, Monotonic)>,
    /// When a caller last asked for the window.
    asked: Option<Monotonic>,
    /// The last message offered was refused.
    refused: bool,
}

/// Messages, and their bytes as `in_flight_bytes` counts them.
#[derive(Clone, Copy, Debug, Default)]
struct Accepted {
    messages: usize,
    bytes: u64,
}

impl SendWindow {
    /// A message was accepted.
    pub(super) fn note(&mut self, bytes: u64) {
        self.refused = false;
        self.accepted.messages += 1;
        self.accepted.bytes += bytes;
    }

    /// A node could not keep up.
    pub(super) fn halve(&mut self) {
        self.change((self.halved + 1).min(HALVED_MAX));
    }

    /// Begins to count anew.
    fn change(&mut self, halved: u32) {
        self.halved = halved;
        self.accepted = Accepted::default();
        self.used = None;
    }

    /// A caller asks for the window, which has at most `most` messages.
    fn begin(&mut self, now: Monotonic, most: usize) {
        if self.asked.is_none_or(|asked| now.since(asked) > REST) {
            // As many halvings as lead from the largest window to the first one, and no fewer than
            // there are: a rest teaches nothing about the network.
            let halved = (most / FIRST).checked_ilog2().unwrap_or(0);
            self.change(halved.min(HALVED_MAX).max(self.halved));
        }
        self.asked = Some(now);
    }

    /// The window while it is not the largest there is.
    fn now(&self, limits: &Limits) -> Accepted {
        let messages = (window_max(limits) >> self.halved).max(1);
        Accepted { messages, bytes: bytes_max(limits) >> self.halved }
    }

    /// What is left of it.
    fn left(&self, limits: &Limits) -> usize {
        let (most, Accepted { messages, bytes }) = (self.now(limits), self.accepted);
        // A fully open window is bounded by what is in flight alone, and an unused one takes any
        // message, however large.
        match () {
            () if self.halved == 0 => usize::MAX,
            () if bytes > 0 && bytes >= most.bytes => 0,
            () => most.messages.saturating_sub(messages),
        }
    }
}

/// The most messages in a window: [`Limits::in_flight_max`], or less where few are retained.
pub(crate) fn window_max(limits: &Limits) -> usize {
    limits.in_flight_max.min(limits.messages_max / IN_FLIGHT_PART).max(1)
}

/// The most bytes that may be in flight on a link.
fn bytes_max(limits: &Limits) -> u64 {
    (limits.retained_bytes_max / IN_FLIGHT_PART) as u64
}

impl Broadcast {
    /// How many more messages may start here now.
    pub(crate) fn send_window(&mut self, fx: &Effects) -> usize {
        let limits = &fx.config.limits;
        self.window.begin(fx.now, window_max(limits));
        let in_flight = self.first_in_flight();
        // Nothing starts while some node cannot keep up, or while a neighbour here is about to say
        // so.
        if self.back_pressure.holds(fx.now) || self.is_much(limits, in_flight, LAG_PART) {
            return 0;
        }
        // Only asking renews the window: a node that sends nothing needs none.
        self.renew_window(limits, fx.now, in_flight);
        // The fullest link decides, in bytes and in messages: its neighbour is the last to have
        // them.
        let bytes = self.awaited().map(|link| link.in_flight.bytes).max().unwrap_or(0);
        // An empty link takes any message, however large.
        if bytes > 0 && bytes >= bytes_max(limits) {
            return 0;
        }
        let messages = usize::try_from(self.in_flight()).unwrap_or(usize::MAX);
        window_max(limits).saturating_sub(messages).min(self.window.left(limits))
    }

    /// Notes that a message was refused; says whether the one before was not.
    pub(crate) fn note_refusal(&mut self) -> bool {
        !std::mem::replace(&mut self.window.refused, true)
    }

    /// The messages of the window when nothing of it is used.
    pub(crate) fn send_window_size(&self, limits: &Limits) -> usize {
        self.window.now(limits).messages
    }

    /// Opens the next window, twice as large, when what was sent of the last one is acknowledged
    /// but for a few; or one of the same size, when that takes long: messages that cannot be
    /// delivered must not stop all that follow.
    fn renew_window(&mut self, limits: &Limits, now: Monotonic, in_flight: Mark) {
        let (most, Accepted { messages, bytes }) = (self.window.now(limits), self.window.accepted);
        // Half of it, so that the other half is under way while this is acknowledged.
        if messages * 2 >= most.messages || bytes * 2 >= most.bytes {
            self.window.used.get_or_insert((in_flight, now));
        }
        let Some((used, since)) = self.window.used else { return };
        // A few stragglers on a lossy link must not keep the window small.
        let few_are_left = self.in_flight() * 4 <= most.messages as u64;
        if used.end <= in_flight.first || few_are_left {
            // Twice the part, since the other nodes may double their windows as well.
            let was_easy = !self.is_much(limits, used, LAG_PART * 2);
            self.window.change(self.window.halved.saturating_sub(u32::from(was_easy)));
        } else if now.since(since) > REST {
            self.window.change(self.window.halved);
        }
    }

    /// Messages sent that some neighbour is not known to have.
    pub(crate) fn in_flight(&self) -> u64 {
        self.awaited().map(|link| u64::from(link.in_flight.messages)).max().unwrap_or(0)
    }

    /// The links that senders wait for.
    fn awaited(&self) -> impl Iterator<Item = &LinkRecord> {
        self.links.iter().filter(|link| link.is_awaited())
    }

    /// What came since the first message that a living neighbour is not known to have.
    pub(super) fn first_in_flight(&mut self) -> Mark {
        let Self { store, links, .. } = self;
        // A neighbour that is suspected, or still joining, may never answer: nothing waits for it
        // here.
        let lives = |id| links.get(id).is_some_and(|link| link.link.state == LinkState::Alive);
        store.in_flight(|record| {
            record.copies.iter().any(|copies| copies.is_in_flight() && lives(copies.link))
        })
    }

    /// Whether what came since then is more than this part of what may be retained.
    pub(super) fn is_much(&self, limits: &Limits, mark: Mark, part: u64) -> bool {
        let (messages, bytes) = self.store.since(mark);
        // A single message is no lag, however large it is.
        messages > 1
            && (messages > limits.messages_max as u64 / part
                || bytes > limits.retained_bytes_max as u64 / part)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Config;
    use crate::broadcast::back_pressure::BACK_PRESSURE_FOR;
    use crate::datagram::wire::Frame;
    use crate::ids::NodeId;
    use crate::ids::link::{Link, LinkChange};
    use crate::testing::table::Table;

    const NODES: u32 = 8;
    const SECOND: Duration = Duration::from_secs(1);

    /// Eight nodes in a ring with chords; `lost_in_four` of four datagrams with rumors are lost.
    fn lossy(seed: u32, lost_in_four: u32, change: impl Fn(&mut Config)) -> Table {
        let ring = (1..=NODES).map(|node| (node, node % NODES + 1));
        let links: Vec<(u32, u32)> = ring.chain((1..=4).map(|node| (node, node + 4))).collect();
        let mut table = Table::with(NODES, &links, change);
        table.run(SECOND);
        let mut rumors = seed * 7_919;
        table.passes = Box::new(move |_, _, frames| {
            let is_rumor = frames.iter().any(|frame| matches!(frame, Frame::Rumor(_)));
            rumors += u32::from(is_rumor);
            !is_rumor || rumors.wrapping_mul(2_654_435_761) >> 30 >= lost_in_four
        });
        table
    }

    /// Has all nodes send `each` texts, as fast as their windows open.
    fn send_all_at_once(table: &mut Table, each: usize, text: &str) {
        let mut left = [each; NODES as usize];
        for _ in 0..60_000 {
            let now = table.now();
            for (node, left) in (1..).zip(&mut left) {
                while *left > 0 && table.node(node).send_window(now) > 0 {
                    table.send(node, text);
                    *left -= 1;
                }
            }
            if left.iter().all(|left| *left == 0) {
                table.run(SECOND * 5);
                return;
            }
            table.run(Duration::from_millis(1));
        }
        panic!("{left:?} messages wait for the send window");
    }

    #[test]
    fn all_messages_that_all_nodes_accept_at_once_arrive_though_few_are_retained() {
        for (seed, lost_in_four, bytes_max) in
            [(0, 1, 2 << 20), (0, 2, 2 << 20), (1, 2, 2 << 20), (0, 2, 1 << 20), (3, 2, 1 << 20)]
        {
            let mut table = lossy(seed, lost_in_four, |config| {
                config.limits_mut().retained_bytes_max = bytes_max;
            });
            let began = table.now;
            send_all_at_once(&mut table, 300, &"x".repeat(5_000));
            let missing: u64 = (1..=NODES).map(|node| table.node(node).broadcast.missing()).sum();
            let early = table.count(|c| c.limit_in_flight_evicted);
            println!("{lost_in_four} in 4 lost: {:?}, {early} early", table.now.since(began));
            assert_eq!((table.count(|c| c.delivered), missing, early), (8 * 8 * 300, 0, 0));
            assert!(table.count(|c| c.limit_bytes_evicted) > 0, "more than is retained");
        }
    }

    #[test]
    fn a_node_that_retains_few_messages_has_few_in_flight() {
        for lost_in_four in [1, 2] {
            let mut table = lossy(0, lost_in_four, |config| config.limits_mut().messages_max = 50);
            send_all_at_once(&mut table, 100, "banana");
            let counts = (table.count(|c| c.delivered), table.count(|c| c.limit_in_flight_evicted));
            assert_eq!(counts, (8 * 8 * 100, 0));
        }
    }

    /// A ring of eight, and a ninth node behind the eighth.
    fn one_behind_a_ring(change: impl Fn(&mut Config)) -> Table {
        let ring = (1..=NODES).map(|node| (node, node % NODES + 1));
        let links: Vec<(u32, u32)> = ring.chain([(8, 9)]).collect();
        let mut table = Table::with(9, &links, change);
        table.run(SECOND);
        table
    }

    #[test]
    fn a_slow_link_far_away_slows_the_sender() {
        let mut table = one_behind_a_ring(|config| config.limits_mut().messages_max = 400);
        // Nine in ten of the messages get lost on the last link.
        let mut rumors = 0u32;
        table.passes = Box::new(move |_, to, frames| {
            let is_rumor = frames.iter().any(|frame| matches!(frame, Frame::Rumor(_)));
            rumors += u32::from(is_rumor && to == 9);
            !is_rumor || to != 9 || rumors.is_multiple_of(10)
        });
        for _ in 0..20_000 {
            let now = table.now();
            let [all, have] = [4, 9].map(|node| table.node(node).status().counters.delivered);
            assert!(all <= have + 400, "what 9 lacks is retained");
            if table.node(4).send_window(now) > 0 {
                table.send(4, "banana");
            }
            table.run(Duration::from_millis(1));
        }
        table.run(SECOND * 10);
        let accepted = table.count(|c| c.accepted);
        assert!(accepted > 1_000, "{accepted} in 20 s");
        let early = table.count(|c| c.limit_in_flight_evicted);
        assert_eq!((table.count(|c| c.delivered), early), (9 * accepted, 0));
    }

    #[test]
    fn a_silent_neighbour_holds_the_others_up_until_it_is_suspected() {
        let mut table = one_behind_a_ring(|config| config.limits_mut().messages_max = 64);
        table.kill(9);
        let mut sent = Vec::new();
        for millis in 0..10_000 {
            let now = table.now();
            if table.node(4).send_window(now) > 0 {
                table.send(4, "banana");
                sent.push(millis);
            }
            table.run(Duration::from_millis(1));
        }
        let pause = sent.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap();
        assert!((1_000..4_000).contains(&pause), "{pause} ms without a window");
        assert!(sent.iter().filter(|millis| **millis > 5_000).count() > 500, "as fast as ever");
    }

    #[test]
    fn one_message_that_cannot_be_delivered_does_not_stop_the_others() {
        let mut table = Table::ring(3);
        table.run(SECOND);
        table.passes = Box::new(|_, to, frames| to != 2 || !frames.iter().any(is_bad));
        table.send(1, "bad");
        // In a datagram of its own.
        table.run(Duration::from_millis(1));
        let mut sent = 0;
        for _ in 0..1_000 {
            let now = table.now();
            while table.node(1).send_window(now) > 0 {
                table.send(1, "banana");
                sent += 1;
            }
            table.run(Duration::from_millis(1));
        }
        assert!(sent > 10_000, "{sent} in a second");
    }

    #[test]
    fn many_messages_that_cannot_be_delivered_leave_a_window_each_second() {
        let mut table = Table::ring(3);
        table.run(SECOND);
        table.passes = Box::new(|_, to, frames| to != 2 || !frames.iter().any(is_bad));
        // More than the few stragglers for which no window waits.
        for _ in 0..FIRST / 2 {
            let now = table.now();
            assert!(table.node(1).send_window(now) > 0);
            table.send(1, "bad");
            table.run(Duration::from_millis(1));
        }
        let mut sent = 0;
        for _ in 0..5_000 {
            let now = table.now();
            while table.node(1).send_window(now) > 0 {
                table.send(1, "banana");
                sent += 1;
            }
            table.run(Duration::from_millis(1));
        }
        assert!((3 * FIRST..6 * FIRST).contains(&sent), "{sent} in five seconds");
    }

    fn is_bad(frame: &Frame<'_>) -> bool {
        matches!(frame, Frame::Rumor(rumor) if rumor.payload == b"bad")
    }

    #[test]
    fn the_window_opens_again_once_a_text_as_large_as_the_window_is_acknowledged() {
        let mut table =
            Table::with(2, &[(1, 2)], |config| config.limits_mut().retained_bytes_max = 1 << 20);
        table.run(SECOND);
        for _ in 0..10 {
            let now = table.now();
            assert!(table.node(1).send_window(now) > 0);
            table.send(1, &"x".repeat(40_000));
            table.run(Duration::from_millis(100));
        }
    }

    #[test]
    fn a_neighbour_that_was_suspected_for_a_while_is_waited_for_again() {
        let mut table = Table::with(2, &[(1, 2)], |config| config.limits_mut().messages_max = 64);
        table.run(SECOND);
        table.passes = Box::new(|_, _, _| false);
        for _ in 0..40 {
            table.send(1, "banana");
        }
        let now = table.now();
        assert_eq!(table.node(1).send_window(now), 0, "more than a quarter");
        let broadcast = &mut table.node(1).broadcast;
        let mark = broadcast.first_in_flight();
        let link = broadcast.links.to(NodeId(2)).unwrap().link;
        let mut turn = |state| {
            broadcast.on_link_change(now.monotonic, LinkChange::Up(Link { state, ..link }));
            broadcast.first_in_flight()
        };
        assert_ne!(turn(LinkState::Suspected), mark, "a suspected neighbour is not waited for");
        assert_eq!(turn(LinkState::Alive), mark);
    }

    #[test]
    fn a_node_that_begins_has_a_window_while_others_fill_their_links() {
        let mut table = Table::ring(4);
        table.run(SECOND);
        table.passes = Box::new(|_, _, frames| {
            // Nothing is acknowledged for a while.
            !frames.iter().any(|frame| matches!(frame, Frame::Rumor(rumor) if rumor.hops > 1))
        });
        for node in [1, 3] {
            for _ in 0..20 {
                table.send(node, "banana");
            }
        }
        table.run(Duration::from_millis(1));
        let now = table.now();
        assert!(table.node(2).in_flight() > FIRST as u64);
        assert_eq!(table.node(2).send_window(now), FIRST);
        for left in (0..FIRST).rev() {
            table.send(2, "apple");
            assert_eq!(table.node(2).send_window(now), left);
        }
    }

    #[test]
    fn eviction_of_a_message_in_flight_is_counted_and_closes_the_window() {
        let ring = [(1, 2), (2, 3), (3, 1)];
        let mut table = Table::with(3, &ring, |config| config.limits_mut().messages_max = 32);
        table.run(SECOND);
        assert_eq!(table.node(1).send_window_max(), 2);
        // No caller asked for the window.
        for _ in 0..34 {
            table.send(1, "banana");
        }
        let now = table.now();
        assert_eq!(table.node(1).status().counters.limit_in_flight_evicted, 2);
        assert_eq!(table.node(1).send_window(now), 0);
        table.run(BACK_PRESSURE_FOR / 2);
        let now = table.now();
        assert_eq!((table.node(1).in_flight(), table.node(1).send_window(now)), (0, 0));
        table.run(BACK_PRESSURE_FOR);
        let now = table.now();
        assert_eq!(table.node(1).send_window(now), 1, "half of it");
        table.send(1, "banana");
        assert_eq!(table.node(1).send_window(now), 0);
        table.run(BACK_PRESSURE_FOR);
        let now = table.now();
        assert_eq!(table.node(1).send_window(now), 2, "that acknowledged");
    }

    #[test]
    fn the_window_grows_with_acknowledgements_and_is_small_again_after_a_rest() {
        let mut table = Table::ring(3);
        table.run(SECOND);
        let mut windows = Vec::new();
        for _ in 0..8 {
            let now = table.now();
            windows.push(table.node(1).send_window(now));
            while table.node(1).send_window(now) > 0 {
                table.send(1, "banana");
            }
            table.run(Duration::from_millis(10));
        }
        assert_eq!(windows, [8, 16, 32, 64, 128, 256, 256, 256]);
        table.run(REST);
        let now = table.now();
        assert_eq!(table.node(1).send_window(now), 8);
        // Nobody knows whether the network carries a window that nobody used.
        table.run(REST / 2);
        let now = table.now();
        assert_eq!(table.node(1).send_window(now), 8);
    }

    #[test]
    fn messages_to_a_neighbour_not_yet_heard_from_are_in_flight() {
        let mut table = Table::with(2, &[(1, 2)], |_| {});
        table.kill(2);
        table.send(1, "banana");
        let now = table.now();
        assert_eq!((table.node(1).in_flight(), table.node(1).send_window(now)), (1, FIRST));
        table.send(1, "apple");
        assert_eq!((table.node(1).in_flight(), table.node(1).send_window(now)), (2, FIRST - 1));
        table.run(SECOND * 31);
        assert_eq!(table.node(1).in_flight(), 0, "it was given up");
    }

    #[test]
    fn nothing_sent_on_an_old_link_is_in_flight_on_the_new_one() {
        let mut table = Table::ring(3);
        table.run(SECOND);
        let away = table.nodes[1].take();
        table.send(1, "apple");
        table.run(SECOND * 8);
        table.nodes[1] = away;
        table.passes = Box::new(|from, to, frames| {
            let is_rumor = frames.iter().any(|frame| matches!(frame, Frame::Rumor(_)));
            from != 1 || to != 2 || !is_rumor
        });
        for step in 0..2_000 {
            if step % 4 == 0 {
                table.send(1, "pear");
            }
            table.run(Duration::from_millis(1));
            for node in 1..=3 {
                assert_eq!(table.node(node).audit_in_flight(), Ok(()), "node {node}");
            }
        }
        assert_eq!(table.held(2), 501);
    }
}
