//! The simulator: thousands of nodes on a virtual clock and a virtual network, in one thread.
//!
//! It runs the same [`Node`] as the processes do, by bytes, so that every
//! run exercises the codec as well. Every choice follows from one seed: the same seed gives the
//! same trace, byte for byte. After every step it checks what must hold then (see `check`); when
//! faults are over and the network is quiet, [`Simulation::unrest`] says what is still amiss.
//!
//! It knows no real time, no socket and no thread. [`plan`] draws hostile scenarios at random,
//! [`experiment`] measures how messages spread.

use std::sync::Arc;
use std::time::Duration;

use rand::rngs::Xoshiro256PlusPlus;
use rand::{Rng, SeedableRng};

use crate::protocol::{
    Counters, FaultRule, Holding, Key, Limits, MessageId, Node, NodeId, Now, Outputs, Refused,
    Status, Timing,
};
use crate::topology::{self, Graph};

mod action;
mod check;
mod member;
mod virtual_network;
pub mod plan;
mod queue;
mod rest;
pub mod experiment;
mod trace;

pub use action::Action;
pub use check::{Checks, Violation};
pub use member::Life;
pub use virtual_network::{Traffic, cut, partition};
pub use rest::Unrest;
pub use trace::Trace;

use check::Checker;
use member::Member;
use virtual_network::Network;
use queue::{Event, Queue};

/// The most datagrams a node takes in before what they caused is sent; as in `runtime`.
const DRAIN_MAX: usize = 64;
/// The key of all simulated networks.
const KEY: Key = Key(*b"the simulated net has no secrets");

/// What a simulation is made from.
#[derive(Clone, Debug)]
pub struct Options {
    /// Every choice follows from it.
    pub seed: u64,
    /// The neighbours of each node, node 1 first.
    pub neighbours: Vec<Vec<u32>>,
    /// How many other nodes each node is told of, as the launcher does.
    pub sample: usize,
    /// What nodes may use.
    pub limits: Arc<Limits>,
    /// When they act.
    pub timing: Arc<Timing>,
    /// How long a datagram takes without faults.
    pub latency: Duration,
    /// How long a node takes to get round to what came in; what comes meanwhile is taken in
    /// together with it. Zero: everything is taken in by itself, as it comes.
    pub drain_after: Duration,
    /// What waits in a receive buffer at most, in bytes.
    pub receive_buffer_bytes_max: usize,
    /// How closely to look.
    pub checks: Checks,
    /// What to write down.
    pub trace: Trace,
}

impl Options {
    /// A network of this shape, without faults.
    #[must_use]
    pub fn new(graph: &Graph, seed: u64) -> Self {
        let nodes = 1..=u32::try_from(graph.node_count()).expect("nodes are numbered with u32");
        Self {
            seed,
            neighbours: nodes.map(|node| topology::neighbours(graph, node)).collect(),
            sample: 16,
            limits: Arc::default(),
            timing: Arc::default(),
            latency: Duration::from_micros(100),
            drain_after: Duration::ZERO,
            receive_buffer_bytes_max: 4 << 20,
            checks: Checks::All,
            trace: Trace::off(),
        }
    }
}

/// A simulated network.
#[derive(Debug)]
pub struct Simulation {
    at: u64,
    queue: Queue,
    members: Vec<Member>,
    network: Network,
    timing: Arc<Timing>,
    /// How many other nodes each node is told of.
    sample: usize,
    checker: Checker,
    trace: Trace,
    rng: Xoshiro256PlusPlus,
    drain_after: u64,
    receive_buffer_bytes_max: usize,
    /// By which nodes mistreat what they send.
    node_faults: Vec<FaultRule>,
    /// What members counted that are gone.
    past: Counters,
    out: Outputs,
}

impl Simulation {
    /// A network of which no node was started yet.
    #[must_use]
    pub fn waiting(options: Options) -> Self {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(options.seed);
        let network_rng = Xoshiro256PlusPlus::seed_from_u64(rng.next_u64());
        let nodes = u32::try_from(options.neighbours.len()).expect("nodes are numbered with u32");
        let mut members = Vec::with_capacity(options.neighbours.len());
        for (node, neighbours) in (1..=nodes).zip(options.neighbours) {
            members.push(Member {
                neighbours: neighbours.into(),
                sample_seed: rng.next_u64(),
                limits: Arc::clone(&options.limits),
                ahead: rng.next_u64() >> 16,
                ..Member::new(NodeId(node))
            });
        }
        Self {
            at: 0,
            queue: Queue::default(),
            members,
            network: Network::new(options.latency, network_rng),
            timing: options.timing,
            sample: options.sample,
            checker: Checker::new(options.checks),
            trace: options.trace,
            rng,
            drain_after: nanos(options.drain_after),
            receive_buffer_bytes_max: options.receive_buffer_bytes_max,
            node_faults: Vec::new(),
            past: Counters::default(),
            out: Outputs::default(),
        }
    }

    /// A network of which all nodes start at once.
    #[must_use]
    pub fn new(options: Options) -> Self {
        let mut simulation = Self::waiting(options);
        for node in 1..=simulation.nodes() {
            simulation.start(node);
        }
        simulation
    }

    /// How many members there are, up or not.
    #[must_use]
    pub fn nodes(&self) -> u32 {
        u32::try_from(self.members.len()).expect("nodes are numbered with u32")
    }

    /// The time since the start.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        Duration::from_nanos(self.at)
    }

    /// Lets time pass.
    ///
    /// # Errors
    ///
    /// The first [`Violation`]; everything stands as it did then.
    pub fn run_for(&mut self, time: Duration) -> Result<(), Violation> {
        let until = self.at + nanos(time);
        while let Some((at, event)) = self.queue.next(until) {
            self.at = at;
            self.step(event);
            if let Some(violation) = &self.checker.violation {
                return Err(violation.clone());
            }
        }
        self.at = until;
        Ok(())
    }

    /// Lets time pass in steps until something is so; says how long that took, or `None` if it
    /// took longer than `within`.
    ///
    /// # Errors
    ///
    /// As [`Simulation::run_for`].
    pub fn run_until(
        &mut self,
        within: Duration,
        step: Duration,
        mut so: impl FnMut(&Self) -> bool,
    ) -> Result<Option<Duration>, Violation> {
        let began = self.elapsed();
        while !so(self) {
            if self.elapsed() - began >= within {
                return Ok(None);
            }
            self.run_for(step)?;
        }
        Ok(Some(self.elapsed() - began))
    }

    fn step(&mut self, event: Event) {
        match event {
            Event::Datagram { from, to, bytes } => self.arrive(from, to, bytes),
            Event::Deadline { member } => self.on_deadline(member as usize),
            Event::Drain { member } => self.drain(member as usize),
            Event::Act(action) => self.act(&action),
        }
    }

    /// A datagram arrives.
    fn arrive(&mut self, from: u32, to: u32, bytes: Arc<[u8]>) {
        let at = self.at;
        self.trace.arrives(at, NodeId(from + 1), NodeId(to + 1), &bytes);
        let member = &mut self.members[to as usize];
        match member.life {
            Life::Up if self.drain_after == 0 => {
                let from = virtual_network::addr_of(NodeId(from + 1));
                self.drive(to as usize, |node, now, out| {
                    node.receive_alone(now, from, &bytes, out, &mut |_| ());
                });
            }
            Life::Up => {
                member.buffer(from, bytes, self.receive_buffer_bytes_max);
                if !std::mem::replace(&mut member.drain_scheduled, true) {
                    self.queue.schedule(at + self.drain_after, Event::Drain { member: to });
                }
            }
            Life::Paused => member.buffer(from, bytes, self.receive_buffer_bytes_max),
            Life::Waiting | Life::Crashed | Life::Left => self.network.traffic.unheard += 1,
        }
    }

    /// A node takes in what waits, as the socket loop does: up to a bound, then it ticks if it
    /// is due, and sends.
    fn drain(&mut self, at: usize) {
        self.members[at].drain_scheduled = false;
        while self.members[at].life == Life::Up && !self.members[at].buffer.is_empty() {
            let member = &mut self.members[at];
            let batch: Vec<_> = std::iter::from_fn(|| member.unbuffer()).take(DRAIN_MAX).collect();
            self.drive(at, |node, now, _| {
                for (from, bytes) in &batch {
                    node.receive(now, virtual_network::addr_of(NodeId(from + 1)), bytes);
                }
            });
        }
    }

    /// A deadline is over: if it is still the one armed, the node does what is due.
    fn on_deadline(&mut self, at: usize) {
        let member = &mut self.members[at];
        if member.life != Life::Up || member.armed != self.at {
            return;
        }
        member.armed = u64::MAX;
        self.checker.ticked(self.at, member);
        self.trace.ticks(self.at, member.id);
        self.drive(at, |node, now, _| node.tick(now));
    }

    /// Hands something to a node, then does with it what the socket loop does: tick if it is
    /// due, flush, send, wait for the next deadline.
    fn drive<T>(
        &mut self,
        at: usize,
        act: impl FnOnce(&mut Node, Now, &mut Outputs) -> T,
    ) -> Option<T> {
        let member = &mut self.members[at];
        let now = member.now(self.at);
        let node = member.node.as_mut()?;
        let done = act(node, now, &mut self.out);
        if node.deadline().is_some_and(|deadline| deadline <= now.monotonic) {
            node.tick(now);
        }
        self.flush(at, now);
        Some(done)
    }

    fn flush(&mut self, at: usize, now: Now) {
        let Self { members, out, checker, network, queue, trace, at: time, .. } = self;
        let member = &mut members[at];
        let Some(node) = member.node.as_mut() else { return };
        node.flush(out);
        node.release_buffers();
        let has_left = member.leaving && node.has_left(now);
        let is_over = node.leaves_by().is_some_and(|by| by <= now.monotonic);
        let ended = (!member.treat(now, out) || is_over) && has_left;
        for event in &out.events {
            trace.happens(*time, members[at].id, event);
            checker.on_event(*time, &mut members[at], event);
        }
        checker.after_step(*time, &members[at]);
        // Neighbours that get the same bytes share them.
        let mut last: Option<(*const u8, Arc<[u8]>)> = None;
        let from = members[at].id;
        for (to, bytes) in out.datagrams() {
            let to = virtual_network::node_at(to).filter(|to| (to.0 as usize) <= members.len());
            let Some(to) = to else {
                network.traffic.unheard += 1;
                continue;
            };
            // A node that did not start yet counts as its first incarnation.
            let lives = members[to.0 as usize - 1].incarnation.max(1);
            checker.on_send(*time, &mut members[at], (to.0, lives), bytes);
            let Some(decided) = network.carry(from, to, bytes) else { continue };
            let bytes: Arc<[u8]> = match (decided.changed, &last) {
                (Some(changed), _) => changed.into(),
                (None, Some((at, shared))) if *at == bytes.as_ptr() => Arc::clone(shared),
                (None, _) => last.insert((bytes.as_ptr(), bytes.into())).1.clone(),
            };
            for _ in 0..decided.copies {
                let bytes = Arc::clone(&bytes);
                let event = Event::Datagram { from: from.0 - 1, to: to.0 - 1, bytes };
                queue.schedule(*time + nanos(decided.delay), event);
            }
        }
        out.clear();
        if ended {
            self.end(at, Life::Left);
        } else {
            self.arm(at);
        }
    }

    /// Waits for a node's deadline, if it is earlier than the one waited for.
    fn arm(&mut self, at: usize) {
        let member = &mut self.members[at];
        let Some(due) = member.due().filter(|_| member.life == Life::Up) else { return };
        let due = due.max(self.at);
        if due < member.armed {
            member.armed = due;
            self.queue.schedule(due, Event::Deadline { member: member.id.0 - 1 });
        }
    }

    /// A node is gone.
    fn end(&mut self, at: usize, life: Life) {
        if let Some(node) = &self.members[at].node {
            self.past.add(&node.counters());
        }
        self.members[at].end(life);
    }

    /// Hands a message to a node.
    ///
    /// # Errors
    ///
    /// What the node says.
    ///
    /// # Panics
    ///
    /// If the node is not up.
    pub fn send(&mut self, node: u32, text: &str, relays: u8) -> Result<MessageId, Refused> {
        let at = node as usize - 1;
        let member = &mut self.members[at];
        assert!(member.life == Life::Up, "node {node} is not up");
        let now = member.now(self.at);
        let id = member.node.as_mut().expect("a node that is up").send_anyway(
            now,
            text.as_bytes(),
            relays,
        )?;
        self.checker.accepted(self.at, &mut self.members[at], (id, text, relays));
        self.drive(at, |_, _, _| ());
        Ok(id)
    }

    /// How many more texts a node has room for; 0 if it is not up.
    pub fn send_window(&mut self, node: u32) -> usize {
        let member = &mut self.members[node as usize - 1];
        let now = member.now(self.at);
        let node = member.node.as_mut().filter(|_| member.life == Life::Up);
        node.map_or(0, |node| node.send_window(now))
    }

    /// How many living nodes got a message, its origin included.
    #[must_use]
    pub fn reached(&self, id: MessageId) -> usize {
        let Some(number) = self.checker.number(id) else { return 0 };
        self.alive().filter(|member| member.has.contains(number)).count()
    }

    /// Whether every node that is up got every one of these messages.
    #[must_use]
    pub fn all_have(&self, ids: &[MessageId]) -> bool {
        let numbers: Option<Vec<usize>> = ids.iter().map(|id| self.checker.number(*id)).collect();
        numbers.is_some_and(|numbers| {
            self.alive().all(|member| numbers.iter().all(|number| member.has.contains(*number)))
        })
    }

    fn alive(&self) -> impl Iterator<Item = &Member> {
        self.members.iter().filter(|member| member.is_alive())
    }

    /// The nodes that run, paused or not.
    #[must_use]
    pub fn living(&self) -> Vec<u32> {
        self.alive().map(|member| member.id.0).collect()
    }

    /// What became of a node.
    #[must_use]
    pub fn life(&self, node: u32) -> Life {
        self.members[node as usize - 1].life
    }

    /// A node's account of itself; `None` if it does not run.
    #[must_use]
    pub fn status(&self, node: u32) -> Option<Status> {
        self.members[node as usize - 1].node.as_ref().map(|node| node.status())
    }

    /// What a node can say of one message; `None` if it does not run.
    #[must_use]
    pub fn holding(&self, node: u32, id: MessageId) -> Option<Holding> {
        self.members[node as usize - 1].node.as_ref().map(|node| node.holding(id))
    }

    /// What all nodes counted together, those that are gone included.
    #[must_use]
    pub fn counters(&self) -> Counters {
        let mut sum = self.past.clone();
        for node in self.members.iter().filter_map(|member| member.node.as_ref()) {
            sum.add(&node.counters());
        }
        sum
    }

    /// What the network was handed.
    #[must_use]
    pub fn traffic(&self) -> Traffic {
        self.network.traffic
    }

    /// The rules by which the network mistreats what it carries; none: no faults.
    pub fn set_faults(&mut self, rules: Vec<FaultRule>) {
        self.network.rules = rules;
    }

    /// What was written down, now that all is over.
    #[must_use]
    pub fn into_trace(self) -> Trace {
        self.trace
    }

    /// What was written down so far.
    #[must_use]
    pub fn trace(&self) -> &Trace {
        &self.trace
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).expect("a simulation lasts less than five centuries")
}
