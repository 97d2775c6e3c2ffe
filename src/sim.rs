//! The simulator: thousands of nodes on a virtual clock and a virtual network, in one thread.
//!
//! It runs the same [`Node`] as the processes do, by bytes, so that every
//! run exercises the codec as well. Every choice follows from one seed: the same seed gives the
//! same trace, byte for byte. After every step it checks the invariants (see `check`); when faults
//! are over and the network is quiet, [`Simulation::unrest`] names the first thing still amiss.
//!
//! It knows no real time, no socket and no thread. [`experiment`] measures how messages spread;
//! `tests/sim/plan.rs` draws hostile scenarios at random.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;
use std::time::Duration;

use rand::rngs::Xoshiro256PlusPlus;
use rand::{Rng, SeedableRng};

use crate::protocol::{
    Config, Counters, FaultRule, Key, Limits, MessageId, Node, NodeId, Now, Outputs, Refused, Start,
};
use crate::topology::{self, Graph};

mod action;
mod arrival;
mod check;
mod eavesdropper;
pub mod experiment;
mod member;
mod rest;
mod virtual_network;

pub use action::Action;
pub use check::{Checks, Violation};
pub use eavesdropper::{EARS, Recorded};
pub use member::Life;
pub use virtual_network::Traffic;

use check::Checker;
use eavesdropper::Eavesdropper;
use member::Member;
use virtual_network::Network;

/// The start of no node: each gets its own.
const START: Start = Start { incarnation: 0, nonce: [0; 16] };
/// The key of all simulated networks.
const KEY: Key = Key(*b"the simulated net has no secrets");

/// The network to simulate, and how closely to watch it.
#[derive(Clone, Debug)]
pub struct Options {
    /// Every choice follows from it.
    pub seed: u64,
    /// The neighbours of each node, node 1 first.
    pub neighbours: Vec<Vec<u32>>,
    /// The limits of every node.
    pub limits: Arc<Limits>,
    /// How long a datagram takes without faults.
    pub latency: Duration,
    /// How long a datagram waits until its node takes it in, together with those that came
    /// meanwhile. Zero: each is taken in by itself, as it comes.
    pub drain_after: Duration,
    /// How closely to look.
    pub checks: Checks,
    /// Whether to write down a line of text for everything that happens.
    pub traced: bool,
}

impl Options {
    /// A network of this shape, without faults.
    #[must_use]
    pub fn new(graph: &Graph, seed: u64) -> Self {
        let nodes = 1..=u32::try_from(graph.node_count()).expect("nodes are numbered with u32");
        Self {
            seed,
            neighbours: nodes.map(|node| topology::neighbours(graph, node)).collect(),
            limits: Arc::default(),
            latency: Duration::from_micros(100),
            drain_after: Duration::ZERO,
            checks: Checks::All,
            traced: false,
        }
    }
}

/// Something that happens at a given time. Numbers are places in the list of members.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    /// A datagram arrives.
    Datagram { from: u32, to: u32, bytes: Arc<[u8]> },
    /// A node's deadline is over, unless it was armed anew since.
    Deadline { member: u32 },
    /// A node empties its receive buffer.
    Drain { member: u32 },
    /// An action of a plan, by its place in the list of actions.
    Act(usize),
}

/// The events to come, by time; those of the same time stay in the order of scheduling.
#[derive(Debug, Default)]
struct Queue {
    /// Time, number in the order of scheduling, and event; the numbers of no two are equal.
    events: BinaryHeap<Reverse<(u64, u64, Event)>>,
    scheduled: u64,
}

impl Queue {
    fn schedule(&mut self, at: u64, event: Event) {
        self.scheduled += 1;
        self.events.push(Reverse((at, self.scheduled, event)));
    }

    /// Takes out the next event that happens no later than `until`.
    fn next(&mut self, until: u64) -> Option<(u64, Event)> {
        self.events.peek().filter(|Reverse((at, ..))| *at <= until)?;
        self.events.pop().map(|Reverse((at, _, event))| (at, event))
    }
}

/// A simulated network.
#[derive(Debug)]
pub struct Simulation {
    at: u64,
    queue: Queue,
    /// The actions that were scheduled, done ones included.
    actions: Vec<Action>,
    members: Vec<Member>,
    network: Network,
    /// The part that the configurations of all nodes share.
    config: Config,
    checker: Checker,
    /// Somebody who records what is sent, and sends it again.
    eavesdropper: Option<Box<Eavesdropper>>,
    /// The launch of the nodes that start at once.
    launch: [u8; 16],
    /// A line for everything that happened, where they are kept.
    trace: Option<Vec<String>>,
    rng: Xoshiro256PlusPlus,
    drain_after: u64,
    /// The rules by which nodes mistreat the datagrams that they send.
    node_faults: Vec<FaultRule>,
    /// The counts of nodes that are gone.
    past: Counters,
    out: Outputs,
}

impl Simulation {
    /// A network whose nodes have not started yet.
    #[must_use]
    pub fn waiting(options: Options) -> Self {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(options.seed);
        let network_rng = Xoshiro256PlusPlus::seed_from_u64(rng.next_u64());
        let members = (1..).zip(options.neighbours);
        let members = members.map(|(node, peers)| Member::new(NodeId(node), peers, &mut rng));
        Self {
            at: 0,
            queue: Queue::default(),
            actions: Vec::new(),
            members: members.collect(),
            network: Network::new(options.latency, network_rng),
            config: Config { limits: options.limits, ..Config::new(NodeId(0), START, KEY, 0) },
            checker: Checker::new(options.checks),
            eavesdropper: None,
            launch: u128::from(options.seed).to_le_bytes(),
            trace: options.traced.then(Vec::new),
            rng,
            drain_after: nanos(options.drain_after),
            node_faults: Vec::new(),
            past: Counters::default(),
            out: Outputs::default(),
        }
    }

    /// A network whose nodes all start at once.
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
            match event {
                Event::Datagram { from, to, bytes } => self.arrive(from, to, bytes),
                Event::Deadline { member } => self.on_deadline(member as usize),
                Event::Drain { member } => self.drain(member as usize),
                Event::Act(place) => self.act(&self.actions[place].clone()),
            }
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

    /// A deadline is over: the node ticks, if that deadline is still the one armed.
    fn on_deadline(&mut self, at: usize) {
        let member = &mut self.members[at];
        if member.life != Life::Up || member.armed != self.at {
            return;
        }
        member.armed = u64::MAX;
        self.checker.ticked(self.at, member);
        note(&mut self.trace, self.at, || format!("{} ticks", member.id));
        self.drive(at, |node, now, _| node.tick(now));
    }

    /// Hands something to a node, then goes on as the socket loop does: tick if it is
    /// due, flush, send, wait for the next deadline.
    fn drive(&mut self, at: usize, act: impl FnOnce(&mut Node, Now, &mut Outputs)) {
        let member = &mut self.members[at];
        let now = member.now(self.at);
        let Some(node) = member.node.as_mut() else { return };
        act(node, now, &mut self.out);
        if node.deadline().is_some_and(|deadline| deadline <= now.monotonic) {
            node.tick(now);
        }
        self.flush(at, now);
    }

    fn flush(&mut self, at: usize, now: Now) {
        let Self { members, out, checker, network, queue, trace, eavesdropper, at: time, .. } =
            self;
        let member = &mut members[at];
        let Some(node) = member.node.as_mut() else { return };
        node.flush(out);
        node.release_buffers();
        let has_left = member.leaving && node.has_left(now);
        let is_over = node.leaves_by().is_some_and(|by| by <= now.monotonic);
        let ended = (!member.treat(now, out) || is_over) && has_left;
        for event in &out.events {
            note(trace, *time, || format!("{} {event:?}", members[at].id));
            checker.on_event(*time, &members[at], event);
        }
        checker.after_step(*time, &members[at]);
        let nodes = members.len() as u32;
        if eavesdropper.is_some() {
            Eavesdropper::check(*time, &members[at], nodes, checker);
        }
        let from = members[at].id;
        for (to, bytes) in out.datagrams() {
            let Some(to) = virtual_network::node_at(to) else { continue };
            if let (Some(ears), true) = (eavesdropper.as_mut(), to.0 > nodes) {
                ears.gets(*time, from, to.0 - 1, bytes.len(), checker);
            }
            if to.0 > nodes {
                continue;
            }
            if let Some(ears) = eavesdropper {
                ears.hear((from.0 - 1, to.0 - 1, bytes.into()));
            }
            // A node that did not start yet counts as its first incarnation.
            let lives = members[to.0 as usize - 1].incarnation.max(1);
            checker.on_send(*time, &mut members[at], (to.0, lives), bytes);
            let Some(decided) = network.carry(from, to, bytes) else { continue };
            let bytes = decided.changed.map_or_else(|| Arc::from(bytes), Arc::from);
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
    /// [`Refused`], as the node answers.
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
        self.checker.accepted(self.at, &self.members[at], (id, text, relays), self.members.len());
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
        let Some(sent) = self.checker.sent.get(&id) else { return 0 };
        self.alive().filter(|member| sent.is_at(member)).count()
    }

    fn alive(&self) -> impl Iterator<Item = &Member> {
        self.members.iter().filter(|member| member.is_alive())
    }

    /// The nodes that run, paused or not.
    #[must_use]
    pub fn living(&self) -> Vec<u32> {
        self.alive().map(|member| member.id.0).collect()
    }

    /// Whether a node waits, runs, is paused, or is gone.
    #[must_use]
    pub fn life(&self, node: u32) -> Life {
        self.members[node as usize - 1].life
    }

    /// The node of this number; `None` if it does not run.
    #[must_use]
    pub fn node(&self, node: u32) -> Option<&Node> {
        self.members[node as usize - 1].node.as_deref()
    }

    /// The sum of all nodes' counters, those of nodes that are gone included.
    #[must_use]
    pub fn counters(&self) -> Counters {
        let mut sum = self.past.clone();
        for node in self.members.iter().filter_map(|member| member.node.as_ref()) {
            sum.add(&node.counters());
        }
        sum
    }

    /// The datagrams that nodes handed to the network so far.
    #[must_use]
    pub fn traffic(&self) -> Traffic {
        self.network.traffic
    }

    /// A line for everything that happened, if the options asked for that.
    #[must_use]
    pub fn into_trace(self) -> Vec<String> {
        self.trace.unwrap_or_default()
    }

    /// Sets the rules by which the network mistreats datagrams; no rules: no faults.
    pub fn set_faults(&mut self, rules: Vec<FaultRule>) {
        self.network.rules = rules;
    }
}

/// Adds a line to the trace, where one is kept.
fn note(trace: &mut Option<Vec<String>>, at: u64, line: impl FnOnce() -> String) {
    if let Some(lines) = trace {
        lines.push(format!("{:>12.6} {}", Duration::from_nanos(at).as_secs_f64(), line()));
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).expect("a simulation lasts less than five centuries")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_come_by_time_and_ties_in_the_order_of_scheduling() {
        let mut queue = Queue::default();
        for (at, member) in [(5, 1), (3, 2), (5, 3), (3, 4), (9, 5)] {
            queue.schedule(at, Event::Deadline { member });
        }
        let mut order = Vec::new();
        while let Some((at, Event::Deadline { member })) = queue.next(5) {
            order.push((at, member));
        }
        assert_eq!(order, vec![(3, 2), (3, 4), (5, 1), (5, 3)]);
        assert!(queue.next(8).is_none());
    }
}
