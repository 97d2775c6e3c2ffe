//! Back-pressure: a node whose neighbour lags far behind asks all nodes to hold back.
//!
//! The send window slows down a node that would overrun its own links. Messages that pile up
//! elsewhere were sent by all nodes together. So the request goes to all of them
//! ([`BackPressure`]), and each node passes it on. It ends by itself after a moment unless it is
//! repeated; accepted messages are relayed all the while. Requests are numbered: a node heeds and
//! passes on only one that is newer than all it heard of. So none goes round for ever, and several
//! at once are one.

use std::time::Duration;

use super::Broadcast;
use super::send_window::LAG_PART;
use crate::datagram::wire::{BackPressure, Frame};
use crate::effects::Effects;
use crate::ids::NodeId;
use crate::time::Monotonic;

/// How long all windows stay closed once a node could not keep up, and how long before the end of
/// that time the request may be repeated.
pub(super) const BACK_PRESSURE_FOR: Duration = Duration::from_millis(100);
const RENEWED_BEFORE: Duration = Duration::from_millis(75);

/// What this node heard of others that cannot keep up.
#[derive(Debug, Default)]
pub(super) struct BackPressureState {
    /// No window is open before this time.
    until: Monotonic,
    /// The number of the newest request in the network, as far as is known here.
    pub(super) wave: u64,
}

impl BackPressureState {
    /// Whether no window is open now.
    pub(super) fn holds(&self, now: Monotonic) -> bool {
        now < self.until
    }
}

impl Broadcast {
    /// Asks all nodes to hold back if a neighbour lags behind, unless some node just did.
    pub(super) fn hold_back(&mut self, fx: &mut Effects) {
        // A request in force is not repeated before its last stretch: it would only add frames.
        if self.back_pressure.holds(fx.now + RENEWED_BEFORE) {
            return;
        }
        let in_flight = self.first_in_flight();
        if self.is_much(&fx.config.limits, in_flight, LAG_PART) {
            self.pass_back_pressure_on(fx, self.back_pressure.wave.saturating_add(1), None);
        }
    }

    /// A peer asks all nodes to hold back.
    pub(crate) fn on_back_pressure(
        &mut self,
        fx: &mut Effects,
        from: NodeId,
        theirs: BackPressure,
    ) {
        // An equal number is the same request by another path: neither heeded nor answered.
        if theirs.wave > self.back_pressure.wave {
            self.pass_back_pressure_on(fx, theirs.wave, Some(from));
        } else if theirs.wave < self.back_pressure.wave {
            // The peer counts from its start, or from before two networks became one. Its requests
            // would not be heeded, so it is told how far others have counted.
            self.send_back_pressure(fx, from);
        }
    }

    /// Holds back, and tells all neighbours but the one that asked for it.
    fn pass_back_pressure_on(&mut self, fx: &mut Effects, wave: u64, from: Option<NodeId>) {
        self.back_pressure.wave = wave;
        self.hold_back_for_a_moment(fx.now);
        let alive = self.links.alive().map(|link| link.node);
        for node in alive.filter(|node| Some(*node) != from) {
            self.send_back_pressure(fx, node);
        }
    }

    fn send_back_pressure(&self, fx: &mut Effects, to: NodeId) {
        fx.counters.back_pressure_sent += 1;
        fx.send(to, &Frame::BackPressure(BackPressure { wave: self.back_pressure.wave }));
    }

    /// Closes the window for a moment, and makes the next one smaller.
    pub(super) fn hold_back_for_a_moment(&mut self, now: Monotonic) {
        // One spell halves the window once, however many requests prolong it.
        if !self.back_pressure.holds(now) {
            self.window.halve();
        }
        self.back_pressure.until = now + BACK_PRESSURE_FOR;
        self.note_end_of_back_pressure(now);
    }

    /// Sets a timer for the end: a sender may wait for it.
    pub(super) fn note_end_of_back_pressure(&mut self, now: Monotonic) {
        if self.back_pressure.holds(now) {
            self.due.at(self.back_pressure.until);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Node;
    use crate::testing::table::Table;
    use crate::time::Now;

    const SECOND: Duration = Duration::from_secs(1);

    fn pass_on(node: &mut Node, now: Now, wave: u64) {
        node.fx.set_time(now);
        node.broadcast.pass_back_pressure_on(&mut node.fx, wave, None);
    }

    #[test]
    fn the_end_of_back_pressure_wakes_the_driver_however_often_it_was_put_off() {
        let mut table = Table::ring(3);
        table.run(SECOND);
        for wave in 1..=3 {
            table.feed(1, 2, &[Frame::BackPressure(BackPressure { wave })]);
            table.run(Duration::from_millis(60));
        }
        let now = table.now();
        let node = table.node(1);
        assert_eq!(node.send_window(now), 0);
        assert!(node.deadline().is_some_and(|due| due <= node.broadcast.back_pressure.until));
    }

    fn windows_open(table: &mut Table) -> Vec<bool> {
        let now = table.now();
        (1..=3).map(|node| table.node(node).send_window(now) > 0).collect()
    }

    #[test]
    fn a_request_to_hold_back_goes_round_once_and_expires() {
        let mut table = Table::ring(3);
        table.run(SECOND);
        let word = |wave| [Frame::BackPressure(BackPressure { wave })];
        table.feed(1, 2, &word(7));
        table.run(BACK_PRESSURE_FOR / 2);
        assert_eq!(windows_open(&mut table), [false; 3]);
        assert_eq!(table.count(|c| c.back_pressure_sent), 3, "not to where it came from");
        table.run(BACK_PRESSURE_FOR);
        assert_eq!(windows_open(&mut table), [true; 3]);
        // A word that is recorded and repeated says nothing new.
        table.feed(1, 2, &word(7));
        table.feed(1, 3, &word(6));
        table.run(Duration::from_millis(10));
        assert_eq!(windows_open(&mut table), [true; 3]);
        assert_eq!(table.count(|c| c.back_pressure_sent), 4, "a node that is behind hears so");
    }

    #[test]
    fn a_node_that_counts_requests_from_the_start_is_heeded_all_the_same() {
        let mut table = Table::ring(3);
        table.run(SECOND);
        for node in [2, 3] {
            table.node(node).broadcast.back_pressure.wave = 1_000;
        }
        let now = table.now();
        pass_on(table.node(1), now, 1);
        table.run(BACK_PRESSURE_FOR * 2);
        let now = table.now();
        let wave = table.node(1).broadcast.back_pressure.wave;
        pass_on(table.node(1), now, wave + 1);
        table.run(Duration::from_millis(10));
        assert_eq!(windows_open(&mut table), [false; 3]);
        table.feed(1, 2, &[Frame::BackPressure(BackPressure { wave: u64::MAX })]);
        table.run(BACK_PRESSURE_FOR);
        let now = table.now();
        pass_on(table.node(1), now, u64::MAX);
        table.run(BACK_PRESSURE_FOR * 2);
        assert_eq!(windows_open(&mut table), [true; 3], "no number is the end");
    }
}
