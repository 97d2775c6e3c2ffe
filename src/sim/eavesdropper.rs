//! Somebody without the key who records all datagrams and sends them again: to any node, from any address.
//!
//! It checks what must hold nevertheless: each datagram counts once at most, wherever and whenever; no node takes
//! an address of the eavesdropper's for a peer's; and no such address gets more than three times the bytes that came
//! from it.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::sync::Arc;

use super::check::Checker;
use super::member::Member;
use super::virtual_network::node_at;
use crate::protocol::{Node, NodeId, inspect};

/// How many addresses it has: those of the numbers after the last node's.
pub const EARS: u32 = 2;
/// How many of the latest datagrams it keeps.
const RECENT: usize = 256;
/// And how many of those before, of which it keeps one in so many.
const OLD: usize = 256;
const ONE_IN: u64 = 37;
/// More than so many times the bytes that it sent is an amplification.
const AMPLIFICATION_MAX: usize = 3;

/// A datagram on the wire: the place of its sender and its receiver, and its bytes.
pub type Recorded = (u32, u32, Arc<[u8]>);

#[derive(Debug, Default)]
pub(super) struct Eavesdropper {
    recent: VecDeque<Recorded>,
    old: VecDeque<Recorded>,
    heard: u64,
    /// By place: bytes sent from there, and received there.
    balance: BTreeMap<u32, (usize, usize)>,
    /// The hashes of all datagrams that counted somewhere.
    counted: HashSet<blake3::Hash>,
}

impl Eavesdropper {
    /// A datagram is sent, whatever becomes of it.
    pub(super) fn hear(&mut self, datagram: Recorded) {
        self.heard += 1;
        if self.heard.is_multiple_of(ONE_IN) {
            self.old.push_back(datagram.clone());
            if self.old.len() > OLD {
                self.old.pop_front();
            }
        }
        self.recent.push_back(datagram);
        if self.recent.len() > RECENT {
            self.recent.pop_front();
        }
    }

    /// All that it has, the latest first.
    pub(super) fn recorded(&self) -> impl Iterator<Item = &Recorded> {
        self.recent.iter().rev().chain(self.old.iter().rev())
    }

    /// It sends bytes from one of its places.
    pub(super) fn sends(&mut self, from: u32, bytes: usize) {
        self.balance.entry(from).or_default().0 += bytes;
    }

    /// A node sends to one of its places.
    pub(super) fn gets(
        &mut self,
        at: u64,
        from: NodeId,
        to: u32,
        bytes: usize,
        checker: &mut Checker,
    ) {
        let (sent, got) = self.balance.entry(to).or_default();
        *got += bytes;
        if *got > AMPLIFICATION_MAX * *sent {
            let what = format!("sent {got} bytes to an address from which {sent} came");
            checker.violated(at, from, what);
        }
    }

    /// A node took a datagram in.
    pub(super) fn counts(&mut self, at: u64, by: NodeId, bytes: &[u8], checker: &mut Checker) {
        let is_first = self.counted.insert(blake3::hash(bytes));
        if !is_first {
            let what = format!("counted again: {}", inspect::describe(bytes));
            checker.violated(at, by, what);
        }
    }

    /// A node's peers are where nodes are.
    pub(super) fn check(at: u64, member: &Member, nodes: u32, checker: &mut Checker) {
        let Some(node) = &member.node else { return };
        let theirs = node.addresses().find(|addr| node_at(*addr).is_none_or(|at| at.0 > nodes));
        if let Some(addr) = theirs {
            checker.violated(at, member.id, format!("takes {addr} for a peer's address"));
        }
    }
}

/// Lets a node take a datagram in, and says whether frames in it counted.
pub(super) fn counted(node: &mut Node, bytes: &[u8], receive: impl FnOnce(&mut Node)) -> bool {
    let dropped = |node: &Node| {
        let counters = node.counters();
        let dropped = |(name, _): &(&str, u64)| name.starts_with("dropped_");
        let dropped = counters.list().into_iter().filter(dropped).map(|(_, count)| count);
        dropped.sum::<u64>() + counters.limit_sessions_refused
    };
    let before = dropped(node);
    receive(node);
    dropped(node) == before && inspect::has_frames(bytes)
}
