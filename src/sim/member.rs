//! One member of a simulated network: a node, up or not, its clocks, and what waits to be
//! received by it.

use std::collections::VecDeque;
use std::sync::Arc;

use super::KEY;
use crate::protocol::{
    Config, FaultRule, Faults, Incarnation, Limits, MessageId, Monotonic, Node, NodeId, Now,
    Outputs, Wall,
};

/// When the wall clocks of all nodes begin: 2026-01-01.
const WALL_START: u64 = 1_767_225_600_000_000_000;
/// What the kernel counts for a datagram in a receive buffer beside its payload.
const BUFFERED_OVERHEAD_BYTES: usize = 512;

/// What became of a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    /// Not started yet.
    Waiting,
    /// Running.
    Up,
    /// Stopped as by SIGSTOP: it does nothing, and its receive buffer fills.
    Paused,
    /// Killed.
    Crashed,
    /// Left by itself, as it was told.
    Left,
}

/// One member.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) id: NodeId,
    pub(super) life: Life,
    pub(super) node: Option<Box<Node>>,
    /// The stage of faults behind it; none where it has nothing to do.
    pub(super) faults: Option<Box<Faults>>,
    /// The incarnation of its latest start; 0 before the first.
    pub(super) incarnation: Incarnation,
    /// Who it is told of when it starts, the sample drawn by this seed, and what it may use then.
    pub(super) neighbours: Box<[u32]>,
    pub(super) sample_seed: u64,
    pub(super) limits: Arc<Limits>,
    /// Was told to leave.
    pub(super) leaving: bool,
    /// How far its monotonic clock is ahead of the simulation's: no two agree, as on no two hosts.
    pub(super) ahead: u64,
    /// How far its wall clock is off.
    pub(super) wall_off: i64,
    /// When its armed deadline is over; `u64::MAX` for none.
    pub(super) armed: u64,
    /// What it has not received yet: from whom, and which bytes.
    pub(super) buffer: VecDeque<(u32, Arc<[u8]>)>,
    pub(super) buffered_bytes: usize,
    pub(super) drain_scheduled: bool,
    /// Which messages were delivered to this incarnation, by their number.
    pub(super) has: Bits,
    /// How often it ticked in the second that began last.
    pub(super) ticks: (u64, u32),
}

impl Member {
    /// One that knows nobody.
    pub(super) fn new(id: NodeId) -> Self {
        Self {
            id,
            life: Life::Waiting,
            node: None,
            faults: None,
            incarnation: 0,
            neighbours: Box::default(),
            sample_seed: 0,
            limits: Arc::default(),
            leaving: false,
            ahead: 0,
            wall_off: 0,
            armed: u64::MAX,
            buffer: VecDeque::new(),
            buffered_bytes: 0,
            drain_scheduled: false,
            has: Bits::default(),
            ticks: (0, 0),
        }
    }

    /// This member's clocks at a time of the simulation.
    pub(super) fn now(&self, at: u64) -> Now {
        let wall = (WALL_START + at).saturating_add_signed(self.wall_off);
        Now { monotonic: Monotonic(at + self.ahead), wall: Wall(wall) }
    }

    /// When its node is due, in the simulation's time.
    pub(super) fn due(&self) -> Option<u64> {
        let held_back = self.faults.as_ref().and_then(|faults| faults.deadline());
        let deadline = self.node.as_ref()?.deadline().into_iter().chain(held_back).min()?;
        Some(deadline.0.saturating_sub(self.ahead))
    }

    /// Has the node mistreat what it sends by these rules.
    pub(super) fn set_faults(&mut self, rules: &[FaultRule]) {
        if rules.is_empty() && self.faults.is_none() {
            return;
        }
        let limits = Arc::clone(&self.limits);
        let config = Config { limits, ..Config::new(self.id, KEY, self.sample_seed) };
        self.faults.get_or_insert_with(|| Box::new(Faults::new(&config))).set(rules);
    }

    /// Has the stage of faults treat what the node sends. Says whether it holds anything back.
    pub(super) fn treat(&mut self, now: Now, out: &mut Outputs) -> bool {
        let Some(faults) = &mut self.faults else { return false };
        let counts = faults.treat(now.monotonic, out);
        if let Some(node) = &mut self.node {
            node.count_faults(counts);
        }
        faults.holds_any()
    }

    /// Puts a datagram into its receive buffer, if there is room.
    pub(super) fn buffer(&mut self, from: u32, bytes: Arc<[u8]>, bytes_max: usize) {
        let size = bytes.len() + BUFFERED_OVERHEAD_BYTES;
        if self.buffered_bytes + size <= bytes_max {
            self.buffered_bytes += size;
            self.buffer.push_back((from, bytes));
        }
    }

    /// Takes the oldest datagram out of its receive buffer.
    pub(super) fn unbuffer(&mut self) -> Option<(u32, Arc<[u8]>)> {
        let (from, bytes) = self.buffer.pop_front()?;
        self.buffered_bytes -= bytes.len() + BUFFERED_OVERHEAD_BYTES;
        Some((from, bytes))
    }

    /// It is gone, with all it had.
    pub(super) fn end(&mut self, life: Life) {
        self.life = life;
        self.node = None;
        self.faults = None;
        self.leaving = false;
        self.armed = u64::MAX;
        self.buffer.clear();
        self.buffered_bytes = 0;
        self.has.clear();
    }

    /// Whether it runs, paused or not.
    pub(super) fn is_alive(&self) -> bool {
        matches!(self.life, Life::Up | Life::Paused)
    }

    /// Whether it holds a message.
    pub(super) fn holds(&self, id: MessageId) -> bool {
        self.node.as_ref().is_some_and(|node| node.holds(id))
    }
}

/// A set of small numbers.
#[derive(Clone, Debug, Default)]
pub(super) struct Bits(Vec<u64>);

impl Bits {
    /// Adds a number; false if it was there.
    pub(super) fn insert(&mut self, number: usize) -> bool {
        let (word, bit) = (number / 64, 1 << (number % 64));
        if word >= self.0.len() {
            self.0.resize(word + 1, 0);
        }
        let new = self.0[word] & bit == 0;
        self.0[word] |= bit;
        new
    }

    pub(super) fn contains(&self, number: usize) -> bool {
        self.0.get(number / 64).is_some_and(|word| word & 1 << (number % 64) != 0)
    }

    fn clear(&mut self) {
        self.0.clear();
    }
}
