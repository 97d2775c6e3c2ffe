//! Frames that wait until there is a session to send them in: about one datagram's worth for each peer.

use std::time::Duration;

use crate::time::Monotonic;

/// As much as fits through any path, so that a first datagram gets there.
const BYTES_MAX: usize = 1_200;
/// Frames that waited for longer were said again meanwhile, or are asked for.
const TIME_MAX: Duration = Duration::from_secs(2);

/// The frames to one peer.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    pub(super) frames: Vec<u8>,
    /// Whether a rumor is among them.
    pub(super) rumors: bool,
    /// Whether a summary was to go with them.
    pub(super) summary: bool,
    since: Monotonic,
}

impl Waiting {
    /// Has a frame wait. False if it is lost for want of room.
    pub(super) fn put(&mut self, frame: &[u8], is_rumor: bool, now: Monotonic) -> bool {
        if !self.is_fresh(now) {
            *self = Self { since: now, summary: self.summary, ..Self::default() };
        }
        let fits = self.frames.len() + frame.len() <= BYTES_MAX;
        if fits {
            self.frames.extend_from_slice(frame);
            self.rumors |= is_rumor;
        }
        fits
    }

    /// Whether there is something that is worth to be sent.
    pub(super) fn is_fresh(&self, now: Monotonic) -> bool {
        !self.frames.is_empty() && now.since(self.since) < TIME_MAX
    }
}
