//! Hostile scenarios drawn at random: a seed makes a plan, a plan makes a run.
//!
//! For a while everything goes wrong that can: loss, delay, duplication, reordering, flipped
//! bits, cuts, partitions, crashes, restarts, pauses, late joiners, clock steps, rubbish. Then
//! all faults are over, and within [`REST_WITHIN`] the network must be at rest as
//! [`Simulation::unrest`] understands it, stay so, and be quiet.

use std::error::Error;
use std::time::Duration;

use gossip::sim::{Action, Options, Simulation};

use super::draw::Draw;

/// The network must be at rest this long after the last fault.
///
/// Nearly always that takes a second or two. Waits may add up: a node not yet heard from is waited
/// for during 30 s; if a part of the overlay then closes upon itself, it takes some 40 s more to
/// be sure of that. The dead are probed after an eighth of the time they have been dead for,
/// which is at most 45 s.
const REST_WITHIN: Duration = Duration::from_secs(90);
/// And it must stay so, and be quiet, for this long.
const QUIET_FOR: Duration = Duration::from_secs(10);
/// How often to look whether all is well.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// The most datagrams a second that each end of a link sends in a network at rest.
const IDLE_DATAGRAMS_PER_END: f64 = 1.0;

/// A scenario.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// The seed that it follows from.
    pub(crate) seed: u64,
    /// The network.
    pub(crate) options: Options,
    /// The nodes that start later than the rest, by an action, or never.
    pub(crate) late: Vec<u32>,
    /// All actions by time.
    pub(crate) actions: Vec<(Duration, Action)>,
    /// When faults are over.
    pub(crate) faulty_for: Duration,
}

/// The result of a run in which all promises held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// How many messages were accepted.
    pub(crate) messages: usize,
    /// How many datagrams were sent.
    pub(crate) datagrams: u64,
    /// How much time of the simulation it took.
    pub(crate) elapsed: Duration,
    /// How long after the last fault the network was at rest.
    pub(crate) rest_after: Duration,
}

/// A run that went wrong: what happened, and the line that replays it.
#[derive(Clone, Debug, thiserror::Error)]
#[error(
    "seed {seed}: {wrong}\n\
     replay: GOSSIP_SEED={seed} cargo nextest run --test sim random_faults --no-capture"
)]
pub(crate) struct Failure {
    /// The seed of its plan.
    pub(crate) seed: u64,
    /// The promise that was broken.
    pub(crate) wrong: String,
}

impl Plan {
    /// The scenario of a seed.
    pub(crate) fn random(seed: u64) -> Self {
        Draw::plan(seed)
    }

    /// Plays it, and checks all promises.
    ///
    /// # Errors
    ///
    /// [`Failure`].
    pub(crate) fn run(&self) -> Result<Outcome, Failure> {
        self.run_traced().1
    }

    /// The same, with a line for everything that happened, if the options say so.
    ///
    /// # Errors
    ///
    /// [`Failure`].
    pub(crate) fn run_traced(&self) -> (Vec<String>, Result<Outcome, Failure>) {
        let mut simulation = Simulation::waiting(self.options.clone());
        for node in (1..=simulation.nodes()).filter(|node| !self.late.contains(node)) {
            simulation.start(node);
        }
        for (at, action) in &self.actions {
            simulation.schedule(*at, action.clone());
        }
        let outcome = self.play(&mut simulation);
        let result = outcome.map_err(|wrong| Failure { seed: self.seed, wrong: wrong.to_string() });
        (simulation.into_trace(), result)
    }

    fn play(&self, simulation: &mut Simulation) -> Result<Outcome, Box<dyn Error>> {
        simulation.run_for(self.faulty_for)?;
        let rest_after = Self::come_to_rest(simulation)?;
        let before = simulation.traffic().datagrams;
        simulation.run_for(QUIET_FOR)?;
        Self::check_quiet(simulation, simulation.traffic().datagrams - before)?;
        simulation.check_paths()?;
        Ok(Outcome {
            messages: simulation.sent(),
            datagrams: simulation.traffic().datagrams,
            elapsed: simulation.elapsed(),
            rest_after,
        })
    }

    /// Waits until all is well, and stays so.
    fn come_to_rest(simulation: &mut Simulation) -> Result<Duration, Box<dyn Error>> {
        let began = simulation.elapsed();
        loop {
            let left = REST_WITHIN.saturating_sub(simulation.elapsed() - began);
            let rest = simulation.run_until(left, LOOK_EVERY, |s| s.unrest().is_none())?;
            if rest.is_none() {
                let unrest = simulation.unrest().unwrap_or_default();
                return Err(format!("{unrest}, {REST_WITHIN:?} after the last fault").into());
            }
            let at_rest = simulation.elapsed();
            // A node that was being waited for may still turn out to be dead.
            simulation.run_for(QUIET_FOR)?;
            match simulation.unrest() {
                None => return Ok(at_rest - began),
                Some(unrest) if left.is_zero() => {
                    return Err(format!("at rest, and then {unrest}").into());
                }
                Some(_) => {}
            }
        }
    }

    /// At rest, a network sends a few datagrams per link and second: heartbeats from each end,
    /// four in a shuffle, and probes of the dead.
    fn check_quiet(simulation: &Simulation, datagrams: u64) -> Result<(), String> {
        let living = simulation.living();
        let links: usize = living.iter().map(|node| simulation.links(*node)).sum();
        // Each node shuffles every seven seconds on average, with itself as one of two. A node
        // that lost all its neighbours asks another one every second.
        let nodes = living.len() as f64 * 1.5;
        let most = links as f64 * IDLE_DATAGRAMS_PER_END + nodes;
        let rate = datagrams as f64 / QUIET_FOR.as_secs_f64();
        if rate > most {
            return Err(format!("at rest with {rate:.1} datagrams a second, of {most:.1} at most"));
        }
        Ok(())
    }
}
