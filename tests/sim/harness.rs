//! Simulated networks for the tests, and the questions that several tests ask of them.

use std::time::Duration;

use gossip::protocol::{Effect, FaultRule, MessageId};
use gossip::sim::{Options, Simulation};
use gossip::topology::{self, Graph, Kind};

pub(crate) const RING: Kind = Kind::Circular;
pub(crate) const RANDOM_3: Kind = Kind::Random { degree: Some(3) };

pub(crate) const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub(crate) const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub(crate) fn graph(kind: Kind, nodes: u32, seed: u64) -> Graph {
    topology::build(kind, nodes, seed).unwrap().0
}

/// A network that has run until all links are made and no timer is busy.
pub(crate) fn started(kind: Kind, nodes: u32, seed: u64) -> Simulation {
    started_with(kind, nodes, seed, |_| ())
}

/// The same with other options.
pub(crate) fn started_with(
    kind: Kind,
    nodes: u32,
    seed: u64,
    change: impl FnOnce(&mut Options),
) -> Simulation {
    let mut options = Options::new(&graph(kind, nodes, seed), seed);
    change(&mut options);
    let mut simulation = Simulation::new(options);
    simulation.run_for(secs(3)).unwrap();
    assert_eq!(simulation.unrest(), None, "a network is at rest 3 s after its start");
    simulation
}

/// Nothing gets from one of two groups of nodes to the other.
pub(crate) fn partition(a: &[(u32, u32)], b: &[(u32, u32)]) -> Vec<FaultRule> {
    vec![cut(a, b), cut(b, a)]
}

/// Nothing gets from some nodes to others; the way back stays open.
pub(crate) fn cut(from: &[(u32, u32)], to: &[(u32, u32)]) -> FaultRule {
    let effect = Effect { loss: 1.0, ..Effect::default() };
    FaultRule { from: from.to_vec(), to: to.to_vec(), effect }
}

/// A fault that meets every datagram.
pub(crate) fn everywhere(effect: Effect) -> Vec<FaultRule> {
    vec![FaultRule { from: vec![], to: vec![], effect }]
}

/// A fault that loses this share of all datagrams.
pub(crate) fn loss(share: f64) -> Vec<FaultRule> {
    everywhere(Effect { loss: share, ..Effect::default() })
}

/// Sends `messages` from one node after the other, one each `pace`. Does not wait for the last.
pub(crate) fn send_paced(
    simulation: &mut Simulation,
    messages: u32,
    pace: Duration,
) -> Vec<MessageId> {
    let nodes = simulation.nodes();
    (0..messages)
        .map(|number| {
            let id = simulation.send(number % nodes + 1, "a message", 1).unwrap();
            simulation.run_for(pace).unwrap();
            id
        })
        .collect()
}

/// Whether every living node got every one of these messages.
pub(crate) fn all_have(simulation: &Simulation, ids: &[MessageId]) -> bool {
    let living = simulation.living().len();
    ids.iter().all(|id| simulation.reached(*id) == living)
}

/// Runs until every node that is up has all these messages, and gives the time that this took;
/// panics after `within`.
pub(crate) fn arrive(simulation: &mut Simulation, ids: &[MessageId], within: Duration) -> Duration {
    let took = simulation.run_until(within, millis(10), |s| all_have(s, ids)).unwrap();
    took.unwrap_or_else(|| panic!("not all have all after {within:?}: {:?}", simulation.lacking()))
}

/// The links of the living nodes on which both ends agree, each once.
pub(crate) fn links(simulation: &Simulation) -> Vec<(u32, u32)> {
    let mut links = Vec::new();
    for node in simulation.living() {
        for peer in simulation.neighbours(node) {
            if node < peer && simulation.linked(peer, node) {
                links.push((node, peer));
            }
        }
    }
    links
}

/// The mean number of links of the living nodes.
pub(crate) fn mean_degree(simulation: &Simulation) -> f64 {
    links(simulation).len() as f64 * 2.0 / simulation.living().len() as f64
}

/// Whether the living nodes form one ring.
pub(crate) fn is_a_ring(simulation: &Simulation) -> bool {
    let two = simulation.living().iter().all(|node| simulation.neighbours(*node).len() == 2);
    two && simulation.apart().is_none()
}
