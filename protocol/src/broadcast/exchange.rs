//! What broadcast compares with each peer, neighbour or not: what is on offer, what was asked for.

use std::time::Duration;

use crate::ids::NodeId;
use crate::ids::set::{Account, IdSet};
use crate::time::Monotonic;

/// The state of comparing notes with one peer. Made when there is something to note.
#[derive(Debug)]
pub(crate) struct Exchange {
    pub(crate) node: NodeId,
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

/// The exchanges with all peers that there is something to note of: mostly none.
#[derive(Debug, Default)]
pub(crate) struct Exchanges(Vec<Exchange>);

impl Exchanges {
    /// The exchange with a peer, if there is one.
    pub(crate) fn get(&self, node: NodeId) -> Option<&Exchange> {
        self.0.iter().find(|exchange| exchange.node == node)
    }

    /// The exchange with a peer, if there is one, to be changed.
    pub(crate) fn get_mut(&mut self, node: NodeId) -> Option<&mut Exchange> {
        self.0.iter_mut().find(|exchange| exchange.node == node)
    }

    /// The exchange with a peer, which is made if there is none.
    pub(crate) fn with(&mut self, node: NodeId) -> &mut Exchange {
        let at = self.0.iter().position(|exchange| exchange.node == node).unwrap_or_else(|| {
            self.0.push(Exchange {
                node,
                offers: IdSet::default(),
                asked: 0,
                answer_time: Duration::ZERO,
                agreed: Account::default(),
                listing_until: None,
                found: false,
            });
            self.0.len() - 1
        });
        &mut self.0[at]
    }

    /// Forgets a peer; says whether there was anything noted of it.
    pub(crate) fn remove(&mut self, node: NodeId) -> bool {
        let before = self.0.len();
        self.0.retain(|exchange| exchange.node != node);
        self.0.len() < before
    }

    /// All of them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Exchange> {
        self.0.iter()
    }
}
