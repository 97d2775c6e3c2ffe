//! One member of a simulated network: a node, up or not, its clocks, and its receive
//! buffer.

use std::collections::VecDeque;
use std::sync::Arc;

use rand::Rng;
use rand::rngs::Xoshiro256PlusPlus;

use crate::protocol::{
    Config, FaultRule, Faults, Incarnation, Monotonic, Node, NodeId, Now, Outputs, Wall,
};

/// When the wall clocks of all nodes begin: 2026-01-01.
const WALL_START: u64 = 1_767_225_600_000_000_000;
/// The size of a receive buffer.
const BUFFER_BYTES_MAX: usize = 4 << 20;
/// The kernel's overhead for each datagram in a receive buffer.
const BUFFERED_OVERHEAD_BYTES: usize = 512;

/// Whether a member waits, runs, is paused, or is gone.
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
    /// The neighbours it starts with, and the seed of the sample that it is told of.
    pub(super) neighbours: Box<[u32]>,
    pub(super) sample_seed: u64,
    /// Was told to leave.
    pub(super) leaving: bool,
    /// How far its monotonic clock is ahead of the simulation's: no two agree, as on no two hosts.
    pub(super) ahead: u64,
    /// How far its wall clock is off.
    pub(super) wall_off: i64,
    /// When its armed deadline is over; `u64::MAX` for none.
    pub(super) armed: u64,
    /// The datagrams that it has not taken in yet, each with its sender.
    pub(super) buffer: VecDeque<(u32, Arc<[u8]>)>,
    pub(super) buffered_bytes: usize,
    pub(super) drain_scheduled: bool,
    /// How often it ticked in the second that began last.
    pub(super) ticks: (u64, u32),
}

impl Member {
    /// One that has not started. Its seed and its clock are drawn.
    pub(super) fn new(id: NodeId, neighbours: Vec<u32>, rng: &mut Xoshiro256PlusPlus) -> Self {
        Self {
            id,
            life: Life::Waiting,
            node: None,
            faults: None,
            incarnation: 0,
            neighbours: neighbours.into(),
            sample_seed: rng.next_u64(),
            leaving: false,
            ahead: rng.next_u64() >> 16,
            wall_off: 0,
            armed: u64::MAX,
            buffer: VecDeque::new(),
            buffered_bytes: 0,
            drain_scheduled: false,
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

    /// Has the node mistreat the datagrams that it sends by these rules.
    pub(super) fn set_faults(&mut self, shared: &Config, rules: &[FaultRule]) {
        if rules.is_empty() && self.faults.is_none() {
            return;
        }
        let config = Config { node: self.id, seed: self.sample_seed, ..shared.clone() };
        self.faults.get_or_insert_with(|| Box::new(Faults::new(&config))).set(rules);
    }

    /// Has the stage of faults treat the datagrams of a flush. Says whether it holds any back.
    pub(super) fn treat(&mut self, now: Now, out: &mut Outputs) -> bool {
        let Some(faults) = &mut self.faults else { return false };
        let counts = faults.treat(now.monotonic, out);
        if let Some(node) = &mut self.node {
            node.count_faults(counts);
        }
        faults.holds_any()
    }

    /// Puts a datagram into its receive buffer, if there is room.
    pub(super) fn buffer(&mut self, from: u32, bytes: Arc<[u8]>) {
        let size = bytes.len() + BUFFERED_OVERHEAD_BYTES;
        if self.buffered_bytes + size <= BUFFER_BYTES_MAX {
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
    }

    /// Whether it runs, paused or not.
    pub(super) fn is_alive(&self) -> bool {
        matches!(self.life, Life::Up | Life::Paused)
    }
}
