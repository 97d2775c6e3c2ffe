//! What broadcast compares with each peer, neighbour or not: what is on offer, what was asked for.

use std::time::Duration;

use crate::ids::set::{Account, IdSet};
use crate::time::Monotonic;

/// The state of comparing notes with one peer. Made when there is something to note.
#[derive(Debug, Default)]
pub(crate) struct Exchange {
    /// What it holds and this node lacks, not asked for yet.
    pub(crate) offers: IdSet,
    /// How many messages it was asked for and did not send yet.
    pub(crate) asked: usize,
    /// How long it takes to send what it is asked for, at best of late.
    pub(crate) answer_time: Duration,
    /// The difference between both accounts that turned out to hold nothing to gain.
    pub(crate) agreed: Account,
    /// When the listing sent last may be taken for lost.
    pub(crate) listing_until: Option<Monotonic>,
    /// Whether the pages of the listing under way found anything so far.
    pub(crate) found: bool,
}

impl Exchange {
    /// How long the peer is given to send what it is asked for: twice what it took of late, so that a
    /// busy one is not asked twice for the same message.
    pub(crate) fn want_wait(&self, least: Duration) -> Duration {
        least.max(self.answer_time * 2)
    }
}
