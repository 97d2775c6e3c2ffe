//! How much more a node may take in from those who hand it texts.
//!
//! Whatever is accepted here has to stay until all neighbours have it. So the measure is what some
//! of them still lack: in messages, and in bytes beside those that may be retained. What other
//! nodes sent counts as well, for it needs the same room.
//!
//! That slows down who would overrun its own links. What piles up elsewhere, all nodes together
//! sent: a node whose neighbour lags far behind asks all to hold back ([`BackPressure`]), and each passes
//! that on. It ends by itself after a moment unless it is said again, and what was accepted is
//! relayed meanwhile as ever. The words are numbered: a node heeds and passes on only what is newer
//! than all it heard, so that none goes round for ever, and several at once are one.

use std::time::Duration;

use crate::Node;
use crate::broadcast::store::Mark;
use crate::datagram::wire::{BackPressure, Frame};
use crate::ids::{NodeId, PeerAddr};
use crate::membership::peers::{Peer, Standing};
use crate::time::{Monotonic, Now};

/// Of all that may be retained, this part may be in_flight: so many nodes may fill their links in
/// the same moment, before they hear of each other, and nothing is evicted too early.
const IN_FLIGHT_PART: usize = 16;
/// Once this part of what may be retained came after a message that a neighbour still lacks, all
/// nodes hold back: the rest is for what they accept until they hear of it.
const LAG_PART: u64 = 4;
/// For how long there is no room once somebody could not keep up, and how long before the end of
/// that time it is said again.
const BACK_PRESSURE_FOR: Duration = Duration::from_millis(100);
const RENEWED_BEFORE: Duration = Duration::from_millis(75);

/// SendWindow is halved at most so often.
const HALVED_MAX: u32 = 6;
/// The first messages that a node takes in after a rest, where there is ever room for as many.
const FIRST: usize = 8;
/// A node that nobody hands a text for this long begins anew.
const REST: Duration = Duration::from_secs(1);

/// How much of the room there can be is there now.
///
/// As in TCP (RFC 5681), a node does not know how much the network carries, nor how many others
/// are about to send. So it takes in little at first, twice as much once all of that acknowledged, and
/// half as much after somebody could not keep up. Others may do the same at the same time: with
/// what all took in meanwhile doubled as well, nobody must lag behind. What others sent does not
/// count here, or who begins while they fill their links would find no place among them.
#[derive(Debug, Default)]
pub(crate) struct SendWindow {
    /// There is none before this time.
    none_until: Monotonic,
    /// How many times this was said in the network, as far as is known here.
    wave: u64,
    halved: u32,
    /// What was taken in since it last doubled or halved, or after a rest.
    accepted: Accepted,
    /// Half of it was taken, while these messages were in_flight, at this time: it doubles when
    /// all but a few of them are acknowledged. Boxed, for most nodes of a large network send nothing.
    taken: Option<Box<(Mark, Monotonic)>>,
    /// When somebody last asked for room.
    used: Option<Monotonic>,
}

/// Messages, and their bytes as `in_flight_bytes` counts them.
#[derive(Clone, Copy, Debug, Default)]
struct Accepted {
    messages: usize,
    bytes: u64,
}

impl SendWindow {
    /// A text was taken in.
    pub(crate) fn note(&mut self, bytes: u64) {
        self.accepted.messages += 1;
        self.accepted.bytes += bytes;
    }

    /// There is none for a moment.
    fn close(&mut self, now: Monotonic) {
        if self.none_until <= now {
            self.change((self.halved + 1).min(HALVED_MAX));
        }
        self.none_until = now + BACK_PRESSURE_FOR;
    }

    /// Begins to count anew.
    fn change(&mut self, halved: u32) {
        self.halved = halved;
        self.accepted = Accepted::default();
        self.taken = None;
    }

    /// Somebody asks for room, of which there can be `most`.
    fn begin(&mut self, now: Monotonic, most: usize) {
        if self.used.is_none_or(|used| now.since(used) > REST) {
            let halved = (most / FIRST).checked_ilog2().unwrap_or(0);
            self.change(halved.min(HALVED_MAX).max(self.halved));
        }
        self.used = Some(now);
    }
}

impl Node {
    /// How many more messages may start here now. None while too many bytes are in_flight; so ask
    /// after each.
    #[must_use]
    pub fn send_window(&mut self, now: Now) -> usize {
        self.window.begin(now.monotonic, self.send_window_max());
        let in_flight = self.first_in_flight();
        if now.monotonic < self.window.none_until || self.is_much(in_flight, LAG_PART) {
            return 0;
        }
        self.renew_window(now.monotonic, in_flight);
        let bytes = self.bytes_in_flight();
        // An empty link takes any message, however large.
        if bytes > 0 && bytes >= self.bytes_max() {
            return 0;
        }
        let messages = usize::try_from(self.in_flight()).unwrap_or(usize::MAX);
        let room = self.send_window_max().saturating_sub(messages);
        room.min(self.left_in_window())
    }

    /// What is left of this node's share of the room, while that is not all there can be.
    fn left_in_window(&self) -> usize {
        let (most, Accepted { messages, bytes }) = (self.window_now(), self.window.accepted);
        match () {
            () if self.window.halved == 0 => usize::MAX,
            () if bytes > 0 && bytes >= most.bytes => 0,
            () => most.messages.saturating_sub(messages),
        }
    }

    fn window_now(&self) -> Accepted {
        Accepted { messages: self.send_window_now(), bytes: self.bytes_max() >> self.window.halved }
    }

    /// The most bytes that may be in_flight on a link.
    fn bytes_max(&self) -> u64 {
        (self.config.limits.retained_bytes_max / IN_FLIGHT_PART) as u64
    }

    /// Gives this node a new share, twice as large, when what it took of the last one has acknowledged
    /// but for a few; or one of the same size, when that takes long: messages that cannot be
    /// delivered must not stop all that follow.
    fn renew_window(&mut self, now: Monotonic, in_flight: Mark) {
        let (most, Accepted { messages, bytes }) = (self.window_now(), self.window.accepted);
        // Half of it, so that the other half is under way while this settles.
        if messages * 2 >= most.messages || bytes * 2 >= most.bytes {
            self.window.taken.get_or_insert_with(|| Box::new((in_flight, now)));
        }
        let Some((taken, since)) = self.window.taken.as_deref().copied() else { return };
        let few_are_left = self.in_flight() * 4 <= most.messages as u64;
        if taken.end <= in_flight.first || few_are_left {
            let was_easy = !self.is_much(taken, LAG_PART * 2);
            self.window.change(self.window.halved.saturating_sub(u32::from(was_easy)));
        } else if now.since(since) > REST {
            self.window.change(self.window.halved);
        }
    }

    /// The most that this node takes in before some of it acknowledged: less than [`Node::send_window_max`]
    /// until the network turns out to carry as much.
    #[must_use]
    pub fn send_window_now(&self) -> usize {
        (self.send_window_max() >> self.window.halved).max(1)
    }

    /// The most there can be: [`Limits::in_flight_max`](crate::Limits::in_flight_max), or less
    /// where few messages are retained.
    #[must_use]
    pub fn send_window_max(&self) -> usize {
        let limits = &self.config.limits;
        limits.in_flight_max.min(limits.messages_max / IN_FLIGHT_PART).max(1)
    }

    /// Messages sent that some neighbour is not known to have.
    #[must_use]
    pub fn in_flight(&self) -> u64 {
        let in_flight = self.awaited().map(|peer| u64::from(peer.in_flight.messages));
        in_flight.max().unwrap_or(0)
    }

    /// The bytes of those messages, about.
    fn bytes_in_flight(&self) -> u64 {
        self.awaited().map(|peer| peer.in_flight.bytes).max().unwrap_or(0)
    }

    /// The neighbours that messages wait for: not those that fell silent.
    fn awaited(&self) -> impl Iterator<Item = &Peer> {
        self.peers.iter().filter(|peer| peer.is_awaited())
    }

    /// What came since the first message that a neighbour is not known to have; not one that is
    /// silent, or was never heard.
    fn first_in_flight(&mut self) -> Mark {
        let Self { store, peers, .. } = self;
        let lives =
            |link| peers.iter().any(|peer| peer.link == link && peer.standing == Standing::Alive);
        store.in_flight(|record| {
            record.copies.iter().any(|copies| copies.is_in_flight() && lives(copies.link))
        })
    }

    /// Whether what came since then is more than this part of what may be retained.
    fn is_much(&self, mark: Mark, part: u64) -> bool {
        let (since, limits) = (self.store.since(mark), &self.config.limits);
        since.messages > 1
            && (since.messages > limits.messages_max as u64 / part
                || since.bytes > limits.retained_bytes_max as u64 / part)
    }

    /// Asks all nodes to hold back if a neighbour lags behind, unless somebody just did.
    pub(crate) fn hold_back(&mut self, now: Now) {
        if self.window.none_until > now.monotonic + RENEWED_BEFORE {
            return;
        }
        let in_flight = self.first_in_flight();
        if !self.is_much(in_flight, LAG_PART) {
            return;
        }
        self.pass_back_pressure_on(now, self.window.wave.saturating_add(1), None);
    }

    /// A peer asks all nodes to hold back.
    pub(crate) fn on_back_pressure(&mut self, now: Now, from: NodeId, back_pressure: BackPressure) {
        if back_pressure.wave > self.window.wave {
            self.pass_back_pressure_on(now, back_pressure.wave, Some(from));
        } else if back_pressure.wave < self.window.wave {
            // It counts from the start, or from before the network came together. What it has to
            // say would not be heard; so it hears how far others have counted.
            let to = self.peers.get(from).map(|peer| peer.addr);
            self.send_back_pressure(to.into_iter().collect());
        }
    }

    /// Holds back, and tells all neighbours but the one that asked for it.
    fn pass_back_pressure_on(&mut self, now: Now, wave: u64, from: Option<NodeId>) {
        self.window.wave = wave;
        self.hold_back_for_a_moment(now);
        let others = self.peers.iter().filter(|peer| peer.standing == Standing::Alive);
        let others = others.map(|peer| peer.addr).filter(|peer| Some(peer.node) != from);
        self.send_back_pressure(others.collect());
    }

    fn send_back_pressure(&mut self, peers: Vec<PeerAddr>) {
        for peer in peers {
            self.counters.back_pressure_sent += 1;
            self.outbox.send(peer, &Frame::BackPressure(BackPressure { wave: self.window.wave }));
        }
    }

    fn hold_back_for_a_moment(&mut self, now: Now) {
        self.window.close(now.monotonic);
        self.note_end_of_back_pressure(now);
    }

    /// Somebody may wait for it to end.
    pub(crate) fn note_end_of_back_pressure(&mut self, now: Now) {
        if self.window.none_until > now.monotonic {
            self.due.at(self.window.none_until);
        }
    }

    /// Takes note that something was evicted that an awaited neighbour was not known to have.
    pub(crate) fn evicted_too_early(&mut self, now: Now) {
        self.counters.limit_in_flight_evicted += 1;
        self.hold_back_for_a_moment(now);
    }

    /// Counts a message, or several, that had to wait for room.
    pub fn count_held_up(&mut self) {
        self.counters.limit_in_flight_held_up += 1;
    }

    /// Whether the node was told to leave, and takes in no more texts.
    #[must_use]
    pub fn is_leaving(&self) -> bool {
        self.leaving.is_some()
    }
}

impl Peer {
    /// Whether what it has not yet acknowledged is waited for.
    pub(crate) fn is_awaited(&self) -> bool {
        self.gets_copies() && !matches!(self.standing, Standing::Suspected { .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Config;
    use crate::datagram::wire::Frame;
    use crate::testing::table::Table;

    const NODES: u32 = 8;
    const SECOND: Duration = Duration::from_secs(1);

    /// Eight nodes in a ring with chords; of the datagrams with rumors so many in four are lost.
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

    /// Has all nodes send so many texts, as fast as there is room.
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
        panic!("{left:?} messages wait for room");
    }

    #[test]
    fn what_all_nodes_accept_at_once_arrives_though_little_is_retained() {
        for (seed, lost_in_four, bytes_max) in
            [(0, 1, 2 << 20), (0, 2, 2 << 20), (1, 2, 2 << 20), (0, 2, 1 << 20), (3, 2, 1 << 20)]
        {
            let mut table = lossy(seed, lost_in_four, |config| {
                config.limits_mut().retained_bytes_max = bytes_max;
            });
            let began = table.now;
            send_all_at_once(&mut table, 300, &"x".repeat(5_000));
            let missing: u64 = (1..=NODES).map(|node| table.node(node).missing()).sum();
            let early = table.count(|c| c.limit_in_flight_evicted);
            println!("{lost_in_four} in 4 lost: {:?}, {early} early", table.now.since(began));
            assert_eq!((table.count(|c| c.delivered), missing, early), (8 * 8 * 300, 0, 0));
            assert!(table.count(|c| c.limit_bytes_evicted) > 0, "more than is retained");
        }
    }

    #[test]
    fn few_messages_retained_are_few_under_way() {
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
    fn a_slow_link_far_away_slows_who_sends() {
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
        assert!((1_000..4_000).contains(&pause), "{pause} ms without room");
        assert!(sent.iter().filter(|millis| **millis > 5_000).count() > 500, "as fast as ever");
    }

    #[test]
    fn one_message_that_cannot_be_delivered_does_not_stop_the_others() {
        let mut table = Table::ring(3);
        table.run(SECOND);
        table.passes = Box::new(|_, to, frames| {
            let is_bad =
                |frame: &Frame<'_>| matches!(frame, Frame::Rumor(rumor) if rumor.text == "bad");
            to != 2 || !frames.iter().any(is_bad)
        });
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
    fn a_text_that_takes_the_whole_share_leaves_room_once_it_has_settled() {
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
    fn the_end_of_no_room_wakes_who_waits_for_it_however_often_it_was_put_off() {
        let mut table = Table::ring(3);
        table.run(SECOND);
        for wave in 1..=3 {
            table.feed(1, 2, &[Frame::BackPressure(BackPressure { wave })]);
            table.run(Duration::from_millis(60));
        }
        let now = table.now();
        let node = table.node(1);
        assert_eq!(node.send_window(now), 0);
        assert!(node.deadline().is_some_and(|due| due <= node.window.none_until));
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
        let mark = table.node(1).first_in_flight();
        table
            .node(1)
            .set_standing(NodeId(2), Standing::Suspected { probes: 0, next: now.monotonic });
        assert_ne!(table.node(1).first_in_flight(), mark, "not for who is silent");
        table.node(1).set_standing(NodeId(2), Standing::Alive);
        assert_eq!(table.node(1).first_in_flight(), mark);
    }

    #[test]
    fn who_begins_finds_room_among_those_who_fill_their_links() {
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

    fn has_room(table: &mut Table) -> Vec<bool> {
        let now = table.now();
        (1..=3).map(|node| table.node(node).send_window(now) > 0).collect()
    }

    #[test]
    fn word_goes_round_once_and_expires() {
        let mut table = Table::ring(3);
        table.run(SECOND);
        let word = |wave| [Frame::BackPressure(BackPressure { wave })];
        table.feed(1, 2, &word(7));
        table.run(BACK_PRESSURE_FOR / 2);
        assert_eq!(has_room(&mut table), [false; 3]);
        assert_eq!(table.count(|c| c.back_pressure_sent), 3, "not to where it came from");
        table.run(BACK_PRESSURE_FOR);
        assert_eq!(has_room(&mut table), [true; 3]);
        // What somebody recorded and repeats says nothing new.
        table.feed(1, 2, &word(7));
        table.feed(1, 3, &word(6));
        table.run(Duration::from_millis(10));
        assert_eq!(has_room(&mut table), [true; 3]);
        assert_eq!(table.count(|c| c.back_pressure_sent), 4, "who is behind hears so");
    }

    #[test]
    fn a_node_that_counts_from_the_start_is_heard_all_the_same() {
        let mut table = Table::ring(3);
        table.run(SECOND);
        for node in [2, 3] {
            table.node(node).window.wave = 1_000;
        }
        let now = table.now();
        table.node(1).pass_back_pressure_on(now, 1, None);
        table.run(BACK_PRESSURE_FOR * 2);
        let now = table.now();
        let wave = table.node(1).window.wave;
        table.node(1).pass_back_pressure_on(now, wave + 1, None);
        table.run(Duration::from_millis(10));
        assert_eq!(has_room(&mut table), [false; 3]);
        table.feed(1, 2, &[Frame::BackPressure(BackPressure { wave: u64::MAX })]);
        table.run(BACK_PRESSURE_FOR);
        let now = table.now();
        table.node(1).pass_back_pressure_on(now, u64::MAX, None);
        table.run(BACK_PRESSURE_FOR * 2);
        assert_eq!(has_room(&mut table), [true; 3], "no number is the end");
    }

    #[test]
    fn what_is_evicted_too_early_is_counted_and_makes_no_room() {
        let ring = [(1, 2), (2, 3), (3, 1)];
        let mut table = Table::with(3, &ring, |config| config.limits_mut().messages_max = 32);
        table.run(SECOND);
        assert_eq!(table.node(1).send_window_max(), 2);
        // Nobody asked whether there was room.
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
    fn room_grows_with_what_settles_and_is_little_again_after_a_rest() {
        let mut table = Table::ring(3);
        table.run(SECOND);
        let mut rooms = Vec::new();
        for _ in 0..8 {
            let now = table.now();
            rooms.push(table.node(1).send_window(now));
            while table.node(1).send_window(now) > 0 {
                table.send(1, "banana");
            }
            table.run(Duration::from_millis(10));
        }
        assert_eq!(rooms, [8, 16, 32, 64, 128, 256, 256, 256]);
        table.run(REST);
        let now = table.now();
        assert_eq!(table.node(1).send_window(now), 8);
        // What is not taken is not known to be carried.
        table.run(REST / 2);
        let now = table.now();
        assert_eq!(table.node(1).send_window(now), 8);
    }

    #[test]
    fn a_neighbour_not_yet_heard_of_counts() {
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
    fn a_link_made_anew_owes_nothing_of_the_one_before() {
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
