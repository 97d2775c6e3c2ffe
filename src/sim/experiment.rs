//! An experiment: how messages spread over a topology, what that costs, and how long it takes.

use std::sync::Arc;
use std::time::Duration;

use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};

use super::{Action, Checks, Options, Simulation, Traffic, Violation};
use crate::metrics::{Delivery, Spread};
use crate::protocol::{Counters, Effect, FaultRule, Limits, Refused};
use crate::topology::Graph;

/// How often to look whether all is done.
const LOOK_EVERY: Duration = Duration::from_millis(1);

/// What to try out.
#[derive(Clone, Debug)]
pub struct Experiment {
    /// Every choice follows from it.
    pub seed: u64,
    /// How many messages to send, each from a node drawn at random.
    pub messages: u32,
    /// The time from one message to the next.
    pub interval: Duration,
    /// The copies a node may send of each on each link.
    pub relays: u8,
    /// How long a datagram takes without faults.
    pub latency: Duration,
    /// What happens to every datagram.
    pub effect: Effect,
    /// Ends by then, done or not.
    pub within: Duration,
}

impl Default for Experiment {
    fn default() -> Self {
        Self {
            seed: 1,
            messages: 1,
            interval: Duration::from_millis(10),
            relays: 1,
            latency: Duration::from_millis(1),
            effect: Effect::default(),
            within: Duration::from_secs(60),
        }
    }
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// How the messages spread.
    pub spread: Spread,
    /// Whether every node got every message in time.
    pub complete: bool,
    /// How much time of the simulation that took.
    pub elapsed: Duration,
    /// How many deliveries were repairs, or descend from one.
    pub counters: Counters,
    /// What the network carried.
    pub traffic: Traffic,
}

/// Why an experiment cannot be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// A node would refuse the messages.
    Refused(Refused),
    /// The protocol broke a promise: a bug.
    Violated(Violation),
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Refused(refused) => refused.fmt(f),
            Self::Violated(violation) => violation.fmt(f),
        }
    }
}

impl std::error::Error for Error {}

impl Experiment {
    /// Does the experiment. It ends when every node has every message.
    ///
    /// # Errors
    ///
    /// [`Error`].
    pub fn run(&self, graph: &Graph) -> Result<Outcome, Error> {
        if !(1..=crate::protocol::RELAYS_MAX).contains(&self.relays) {
            return Err(Error::Refused(Refused::Relays { relays: self.relays }));
        }
        let mut simulation = self.begin(graph);
        let all = u64::from(self.messages) * u64::from(simulation.nodes().saturating_sub(1));
        let done = simulation
            .run_until(self.within, LOOK_EVERY, |simulation| {
                simulation.sent() == self.messages as usize && simulation.deliveries() == all
            })
            .map_err(Error::Violated)?;
        Ok(Outcome {
            spread: simulation.spread(),
            complete: done.is_some(),
            elapsed: simulation.elapsed(),
            counters: simulation.counters(),
            traffic: simulation.traffic(),
        })
    }

    /// A network that starts, with all messages planned.
    fn begin(&self, graph: &Graph) -> Simulation {
        let degree_max = graph.node_indices().map(|node| graph.neighbors(node).count()).max();
        let mut options = Options::new(graph, self.seed);
        options.latency = self.latency;
        options.checks = Checks::Deliveries;
        // As the launcher does: a hub may have more neighbours than the default allows.
        let neighbours_max = Limits::default().neighbours_max.max(degree_max.unwrap_or(0) * 2);
        options.limits = Arc::new(Limits { neighbours_max, ..Limits::default() });
        let mut simulation = Simulation::new(options);
        if self.effect != Effect::default() {
            simulation.set_faults(vec![FaultRule {
                from: vec![],
                to: vec![],
                effect: self.effect,
            }]);
        }
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(self.seed);
        for number in 0..self.messages {
            let node = rng.random_range(1..=simulation.nodes());
            let text = format!("message {}", number + 1);
            let send = Action::Send { node, text, relays: self.relays };
            simulation.schedule(self.interval * number, send);
        }
        simulation
    }
}

impl Simulation {
    /// How many messages were accepted.
    #[must_use]
    pub fn sent(&self) -> usize {
        self.checker.sent.len()
    }

    /// How many deliveries there were, origins not counted.
    #[must_use]
    pub fn deliveries(&self) -> u64 {
        self.checker.deliveries
    }

    /// How all messages spread so far among the nodes alive. Meaningful where these were alive
    /// throughout.
    #[must_use]
    pub fn spread(&self) -> Spread {
        let sent = &self.checker.sent;
        let deliveries = sent.iter().flat_map(|sent| {
            sent.deliveries.iter().map(|delivered| Delivery {
                after: Duration::from_nanos(delivered.at - sent.at),
                hops: delivered.hops,
            })
        });
        let counters = self.counters();
        let copies = counters.rumors_sent + counters.repairs_sent;
        Spread::new(sent.len() as u64, self.alive().count() as u64, copies, deliveries.collect())
    }
}
