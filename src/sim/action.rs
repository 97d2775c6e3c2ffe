//! What can be done to a simulated network: by a test at once, or by a plan at its time.
//!
//! An action that makes no sense at its time (a message from a node that is down) does nothing,
//! so that a plan stays a plan when parts of it are left out.

use std::sync::Arc;
use std::time::Duration;

use rand::Rng;

use super::queue::Event;
use super::{KEY, Life, Simulation, nanos, virtual_network};
use crate::protocol::{Config, FaultRule, Limits, Node, PeerAddr};
use crate::topology;

/// One thing that is done.
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
    Start {
        /// Which.
        node: u32,
    },
    /// A node is killed.
    Crash {
        /// Which.
        node: u32,
    },
    /// A node is stopped, as by SIGSTOP.
    Pause {
        /// Which.
        node: u32,
    },
    /// And goes on.
    Resume {
        /// Which.
        node: u32,
    },
    /// A node is told to leave.
    Leave {
        /// Which.
        node: u32,
    },
    /// The network mistreats what it carries by these rules from now on.
    Faults(Vec<FaultRule>),
    /// The nodes mistreat what they send by these rules from now on.
    NodeFaults(Vec<FaultRule>),
    /// A node's wall clock is set by so many milliseconds.
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
        /// So many bytes of it.
        bytes: u16,
    },
}

impl Simulation {
    /// Does something, now.
    pub fn act(&mut self, action: &Action) {
        self.trace.acts(self.at, action);
        match action {
            Action::Send { node, text, relays } => {
                if self.life(*node) == Life::Up {
                    // A node may refuse: while it leaves, for instance.
                    let _ = self.send(*node, text, *relays);
                }
            }
            Action::Start { node } => self.start(*node),
            Action::Crash { node } => self.crash(*node),
            Action::Pause { node } => self.pause(*node),
            Action::Resume { node } => self.resume(*node),
            Action::Leave { node } => self.leave(*node),
            Action::Faults(rules) => self.set_faults(rules.clone()),
            Action::NodeFaults(rules) => self.set_node_faults(rules),
            Action::StepWall { node, by_ms } => {
                self.members[*node as usize - 1].wall_off += by_ms * 1_000_000;
            }
            Action::Rubbish { node, bytes } => self.throw_rubbish(*node, *bytes),
        }
    }

    /// Has something done later.
    pub fn schedule(&mut self, after: Duration, action: Action) {
        self.queue.schedule(self.at + nanos(after), Event::Act(Box::new(action)));
    }

    /// Starts a node that does not run: the next incarnation, with an empty store.
    pub fn start(&mut self, node: u32) {
        let (at, nodes) = (node as usize - 1, self.nodes());
        let member = &mut self.members[at];
        if member.is_alive() {
            return;
        }
        let sample = topology::sample(nodes, node, self.sample, member.sample_seed);
        member.incarnation += 1;
        member.life = Life::Up;
        let peers = |nodes: &[u32]| nodes.iter().map(|node| virtual_network::peer(*node)).collect();
        let config = Config {
            incarnation: member.incarnation,
            neighbours: peers(&member.neighbours),
            sample: peers(&sample),
            limits: Arc::clone(&member.limits),
            timing: Arc::clone(&self.timing),
            ..Config::new(member.id, KEY, self.rng.next_u64())
        };
        member.set_faults(&self.node_faults);
        member.node = Some(Box::new(Node::new(&config, member.now(self.at))));
        self.arm(at);
    }

    /// Changes what a node may use from its next start on.
    pub fn set_limits(&mut self, node: u32, limits: Limits) {
        self.members[node as usize - 1].limits = Arc::new(limits);
    }

    /// Changes who a node has as neighbours from its next start on.
    pub fn set_neighbours(&mut self, node: u32, neighbours: &[u32]) {
        self.members[node as usize - 1].neighbours = neighbours.into();
    }

    /// A node and its address.
    #[must_use]
    pub fn peer(&self, node: u32) -> PeerAddr {
        virtual_network::peer(node)
    }

    /// Kills a node.
    pub fn crash(&mut self, node: u32) {
        if self.members[node as usize - 1].is_alive() {
            self.end(node as usize - 1, Life::Crashed);
        }
    }

    /// Stops a node, as SIGSTOP does: what comes in waits, as far as the buffer goes.
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

    /// Gives a node links to others, in addition to those it has.
    pub fn link(&mut self, node: u32, peers: &[u32]) {
        let peers: Vec<PeerAddr> = peers.iter().map(|peer| self.peer(*peer)).collect();
        self.drive(node as usize - 1, |node, now, _| node.link(now, &peers));
    }

    /// Gives a node these neighbours and no others.
    pub fn rewire(&mut self, node: u32, peers: &[u32]) {
        let peers: Vec<PeerAddr> = peers.iter().map(|peer| self.peer(*peer)).collect();
        self.drive(node as usize - 1, |node, now, _| node.rewire(now, &peers));
    }

    /// Has all nodes mistreat what they send, also those that start later.
    fn set_node_faults(&mut self, rules: &[FaultRule]) {
        let tampers = |rule: &FaultRule| rule.effect.duplicate > 0.0 || rule.effect.corrupt > 0.0;
        self.checker.nodes_tamper |= rules.iter().any(tampers);
        self.node_faults = rules.to_vec();
        for member in self.members.iter_mut().filter(|member| member.node.is_some()) {
            member.set_faults(rules);
        }
    }

    /// Rubbish from the node before, so that it comes from an address of the network.
    fn throw_rubbish(&mut self, node: u32, bytes: u16) {
        let mut rubbish = vec![0; bytes.into()];
        self.rng.fill_bytes(&mut rubbish);
        let from = (node + self.nodes() - 2) % self.nodes();
        self.arrive(from, node - 1, rubbish.into());
    }
}
