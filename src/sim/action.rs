//! Actions on a simulated network: a test does them at once, a plan at their time.
//!
//! An action that makes no sense at its time (a message from a node that is down) does nothing,
//! so that a plan stays a plan when parts of it are left out.

use std::time::Duration;

use rand::Rng;

use super::eavesdropper::Recorded;
use super::{Event, Life, Simulation, nanos, note, virtual_network};
use crate::protocol::{Config, FaultRule, Node, Start};
use crate::topology;

/// How many other nodes a node is told of when it starts, as the launcher does.
const SAMPLE: usize = 16;

/// One thing that is done. Nodes are meant by their number.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// A message is handed to a node.
    Send {
        /// Which.
        node: u32,
        /// The text.
        text: String,
        /// Its relays limit.
        relays: u8,
    },
    /// A node starts, for the first time or again, with an empty store.
    Start(u32),
    /// A node is killed.
    Crash(u32),
    /// A node is stopped, as by SIGSTOP.
    Pause(u32),
    /// And goes on.
    Resume(u32),
    /// A node is told to leave.
    Leave(u32),
    /// The network mistreats datagrams by these rules from now on.
    Faults(Vec<FaultRule>),
    /// The nodes mistreat the datagrams that they send by these rules from now on.
    NodeFaults(Vec<FaultRule>),
    /// A node's wall clock steps.
    StepWall {
        /// Which.
        node: u32,
        /// By how much.
        by_ms: i64,
    },
    /// Rubbish arrives at a node.
    Rubbish {
        /// Which.
        node: u32,
        /// Its length.
        bytes: u16,
    },
    /// An eavesdropper sends something again that it recorded.
    Replay {
        /// How many it passes over, of those that it has; the latest come first.
        back: u32,
        /// From the address of this node, or from its own: the numbers after the last node's. `None`: from where
        /// it came.
        from: Option<u32>,
        /// To this node. `None`: to the one that it was meant for.
        to: Option<u32>,
    },
}

impl Simulation {
    /// Does something, now.
    pub fn act(&mut self, action: &Action) {
        note(&mut self.trace, self.at, || format!("{action:?}"));
        match action {
            Action::Send { node, text, relays } => {
                if self.life(*node) == Life::Up {
                    // A node may refuse: while it leaves, for instance.
                    let _ = self.send(*node, text, *relays);
                }
            }
            Action::Start(node) => self.start(*node),
            Action::Crash(node) => self.crash(*node),
            Action::Pause(node) => self.pause(*node),
            Action::Resume(node) => self.resume(*node),
            Action::Leave(node) => self.leave(*node),
            Action::Faults(rules) => self.set_faults(rules.clone()),
            Action::NodeFaults(rules) => self.set_node_faults(rules),
            Action::StepWall { node, by_ms } => {
                self.members[*node as usize - 1].wall_off += by_ms * 1_000_000;
            }
            Action::Rubbish { node, bytes } => self.throw_rubbish(*node, *bytes),
            Action::Replay { back, from, to } => self.replay(*back, *from, *to),
        }
    }

    /// Has something done later.
    pub fn schedule(&mut self, after: Duration, action: Action) {
        if matches!(action, Action::Replay { .. }) {
            self.listen();
        }
        self.queue.schedule(self.at + nanos(after), Event::Act(self.actions.len()));
        self.actions.push(action);
    }

    /// Starts a node that does not run: the next incarnation, with an empty store.
    pub fn start(&mut self, node: u32) {
        let (at, nodes) = (node as usize - 1, self.nodes());
        let member = &mut self.members[at];
        if member.is_alive() {
            return;
        }
        let sample = topology::sample(nodes, node, SAMPLE, member.sample_seed);
        member.incarnation += 1;
        member.life = Life::Up;
        let peers = |nodes: &[u32]| nodes.iter().map(|node| virtual_network::peer(*node)).collect();
        // Each start draws another seed, so it has a nonce of its own.
        let seed = self.rng.next_u64();
        let nonce = (u128::from(seed) << 64 | u128::from(self.at)).to_le_bytes();
        let start = Start { incarnation: member.incarnation, nonce };
        // Those that start at once are launched together, as all that they are told of.
        let is_launched = self.at == 0 && member.incarnation == 1;
        let config = Config {
            node: member.id,
            start,
            launch: is_launched.then_some(self.launch),
            seed,
            neighbours: peers(&member.neighbours),
            sample: peers(&sample),
            ..self.config.clone()
        };
        member.set_faults(&self.config, &self.node_faults);
        member.node = Some(Box::new(Node::new(&config, member.now(self.at))));
        self.arm(at);
    }

    /// Kills a node.
    pub fn crash(&mut self, node: u32) {
        if self.members[node as usize - 1].is_alive() {
            self.end(node as usize - 1, Life::Crashed);
        }
    }

    /// Stops a node, as SIGSTOP does: datagrams wait in its receive buffer until that is full.
    pub fn pause(&mut self, node: u32) {
        let member = &mut self.members[node as usize - 1];
        if member.life == Life::Up {
            member.life = Life::Paused;
            member.armed = u64::MAX;
        }
    }

    /// A stopped node goes on: for it, time jumps.
    pub fn resume(&mut self, node: u32) {
        let at = node as usize - 1;
        if self.members[at].life == Life::Paused {
            self.members[at].life = Life::Up;
            self.drain(at);
            self.arm(at);
        }
    }

    /// Tells a node to leave.
    pub fn leave(&mut self, node: u32) {
        let at = node as usize - 1;
        if self.members[at].life == Life::Up {
            self.members[at].leaving = true;
            self.drive(at, |node, now, _| node.leave(now));
        }
    }

    /// Has all nodes mistreat the datagrams that they send, also nodes that start later.
    fn set_node_faults(&mut self, rules: &[FaultRule]) {
        let tampers = |rule: &FaultRule| rule.effect.duplicate > 0.0 || rule.effect.corrupt > 0.0;
        self.checker.nodes_tamper |= rules.iter().any(tampers);
        self.node_faults = rules.to_vec();
        for member in self.members.iter_mut().filter(|member| member.node.is_some()) {
            member.set_faults(&self.config, rules);
        }
    }

    /// Rubbish from the node before, so that it comes from an address of the network.
    fn throw_rubbish(&mut self, node: u32, bytes: u16) {
        let mut rubbish = vec![0; bytes.into()];
        self.rng.fill_bytes(&mut rubbish);
        let from = (node + self.nodes() - 2) % self.nodes();
        self.arrive(from, node - 1, rubbish.into());
    }

    /// Has an eavesdropper record all that is sent from now on.
    pub fn listen(&mut self) {
        self.eavesdropper.get_or_insert_default();
    }

    /// The eavesdropper's recording, as far as it keeps it; the latest come first.
    #[must_use]
    pub fn recorded(&self) -> Vec<Recorded> {
        self.eavesdropper.iter().flat_map(|ears| ears.recorded()).cloned().collect()
    }

    fn replay(&mut self, back: u32, from: Option<u32>, to: Option<u32>) {
        let recorded = self.eavesdropper.as_ref();
        let chosen = recorded.and_then(|recorded| recorded.recorded().nth(back as usize).cloned());
        let Some((sender, receiver, bytes)) = chosen else { return };
        let place = |node: u32| node - 1;
        self.inject((from.map_or(sender, place), to.map_or(receiver, place), bytes));
    }

    /// The eavesdropper sends a datagram.
    ///
    /// # Panics
    ///
    /// If it does not listen.
    pub fn inject(&mut self, (from, to, bytes): Recorded) {
        let ears = self.eavesdropper.as_mut().expect("it listens before it sends");
        if from >= self.members.len() as u32 {
            ears.sends(from, bytes.len());
        }
        self.arrive(from, to, bytes);
    }
}
