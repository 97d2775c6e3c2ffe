//! An experiment: how messages spread over a topology, what that costs, and how long it takes.

use std::sync::Arc;
use std::time::Duration;

use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};

use super::{Action, Checks, Options, Simulation, Violation};
use crate::metrics::{Delivery, Spread};
use crate::protocol::{Counters, Effect, FaultRule, Limits};
use crate::topology::Graph;

/// How often to look whether all is done.
const LOOK_EVERY: Duration = Duration::from_millis(1);

/// A network's conditions, and the messages to send.
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
    /// The faults that meet every datagram.
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

/// The result of an experiment.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// How the messages spread.
    pub spread: Spread,
    /// Whether every node got every message in time.
    pub complete: bool,
    /// How much time of the simulation that took.
    pub elapsed: Duration,
    /// The sum of all nodes' counters.
    pub counters: Counters,
}

impl Experiment {
    /// Does the experiment. It ends when every node has every message.
    ///
    /// # Errors
    ///
    /// A [`Violation`]: the protocol broke a promise, which is a bug.
    pub fn run(&self, graph: &Graph) -> Result<Outcome, Violation> {
        let mut simulation = self.begin(graph);
        let all = u64::from(self.messages) * u64::from(simulation.nodes().saturating_sub(1));
        let done = simulation.run_until(self.within, LOOK_EVERY, |simulation| {
            simulation.sent() == self.messages as usize && simulation.checker.deliveries == all
        })?;
        Ok(Outcome {
            spread: simulation.spread(),
            complete: done.is_some(),
            elapsed: simulation.elapsed(),
            counters: simulation.counters(),
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
            let rule = FaultRule { from: vec![], to: vec![], effect: self.effect };
            simulation.set_faults(vec![rule]);
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

    /// How all messages spread so far among the nodes alive. Meaningful where these were alive
    /// throughout.
    #[must_use]
    pub fn spread(&self) -> Spread {
        let sent = &self.checker.sent;
        let deliveries = sent.values().flat_map(|sent| {
            let delivered = sent.receipts.iter().filter(|receipt| receipt.hops > 0);
            delivered.map(|receipt| Delivery {
                after: Duration::from_nanos(receipt.at - sent.at),
                hops: receipt.hops,
            })
        });
        let counters = self.counters();
        let copies = counters.rumors_sent + counters.repairs_sent;
        Spread::new(sent.len() as u64, self.alive().count() as u64, copies, deliveries.collect())
    }
}
