//! Hostile scenarios drawn at random: a seed makes a plan, a plan makes a run.
//!
//! For a while everything goes wrong that can: loss, delay, duplication, reordering, flipped
//! bits, cuts, partitions, crashes, restarts, pauses, late joiners, clock steps, rubbish. Then
//! all faults are over, and within [`REST_WITHIN`] the network must be at rest as
//! [`Simulation::unrest`] understands it, stay so, and be quiet.

use std::fmt;
use std::time::Duration;

use super::{Action, Options, Simulation, Trace, Unrest, Violation};

mod draw;

/// So long after the last fault all must be well.
///
/// Nearly always that takes a second or two. What may add up: a node not yet heard from is waited
/// for during 30 s; if a part of the overlay then closes upon itself, it takes some 40 s more to
/// be sure of that. The dead are probed after an eighth of the time they have been dead for,
/// which is at most 45 s.
pub const REST_WITHIN: Duration = Duration::from_secs(90);
/// And stay so, and be quiet, for this long.
const QUIET_FOR: Duration = Duration::from_secs(10);
/// How often to look whether all is well.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// The most datagrams a second that each end of a link sends in a network at rest.
const IDLE_DATAGRAMS_PER_END: f64 = 1.0;

/// A scenario.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The seed that it follows from.
    pub seed: u64,
    /// The network.
    pub options: Options,
    /// The nodes that start later than the rest, or never.
    pub late: Vec<u32>,
    /// What is done when.
    pub actions: Vec<(Duration, Action)>,
    /// When faults are over.
    pub faulty_for: Duration,
}

/// What came of a run in which all promises held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// How many messages were accepted.
    pub messages: usize,
    /// How many datagrams were sent.
    pub datagrams: u64,
    /// How much time of the simulation it took.
    pub elapsed: Duration,
    /// How long after the last fault the network was at rest.
    pub rest_after: Duration,
    /// The fingerprint of all that happened, if one was taken.
    pub fingerprint: Option<String>,
}

/// What went wrong in a run.
#[derive(Clone, Debug)]
pub enum Wrong {
    /// A promise was broken.
    Violated(Violation),
    /// The network did not come to rest in time.
    Restless(Unrest),
    /// It was at rest, and did not stay so.
    RestLost(Unrest),
    /// It was at rest, and not quiet.
    Busy {
        /// Datagrams per second.
        rate: f64,
        /// What a network at rest needs at most.
        most: f64,
    },
}

/// A run that went wrong.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The seed of its plan.
    pub seed: u64,
    /// What went wrong.
    pub wrong: Wrong,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "seed {}: ", self.seed)?;
        match &self.wrong {
            Wrong::Violated(violation) => violation.fmt(f)?,
            Wrong::Restless(unrest) => {
                write!(f, "{unrest}, {REST_WITHIN:?} after the last fault")?;
            }
            Wrong::RestLost(unrest) => write!(f, "at rest, and then {unrest}")?,
            Wrong::Busy { rate, most } => {
                write!(f, "at rest with {rate:.1} datagrams a second, of {most:.1} at most")?;
            }
        }
        let seed = self.seed;
        write!(
            f,
            "\nreplay: GOSSIP_SEED={seed} cargo nextest run --test sim random_faults --no-capture"
        )
    }
}

impl std::error::Error for Failure {}

impl From<Violation> for Wrong {
    fn from(violation: Violation) -> Self {
        Self::Violated(violation)
    }
}

impl Plan {
    /// The scenario of a seed.
    #[must_use]
    pub fn random(seed: u64) -> Self {
        draw::Draw::new(seed).plan()
    }

    /// Plays it, and checks what must hold.
    ///
    /// # Errors
    ///
    /// [`Failure`].
    pub fn run(&self) -> Result<Outcome, Failure> {
        self.run_traced().1
    }

    /// The same, with what was written down on the way.
    ///
    /// # Errors
    ///
    /// [`Failure`].
    pub fn run_traced(&self) -> (Trace, Result<Outcome, Failure>) {
        let mut simulation = Simulation::waiting(self.options.clone());
        for node in (1..=simulation.nodes()).filter(|node| !self.late.contains(node)) {
            simulation.start(node);
        }
        for (at, action) in &self.actions {
            simulation.schedule(*at, action.clone());
        }
        let outcome = self.play(&mut simulation);
        let result = outcome.map_err(|wrong| Failure { seed: self.seed, wrong });
        (simulation.into_trace(), result)
    }

    fn play(&self, simulation: &mut Simulation) -> Result<Outcome, Wrong> {
        simulation.run_for(self.faulty_for)?;
        let rest_after = Self::come_to_rest(simulation)?;
        let before = simulation.traffic().datagrams;
        simulation.run_for(QUIET_FOR)?;
        self.check_quiet(simulation, simulation.traffic().datagrams - before)?;
        simulation.check_paths()?;
        Ok(Outcome {
            messages: simulation.sent(),
            datagrams: simulation.traffic().datagrams,
            elapsed: simulation.elapsed(),
            rest_after,
            fingerprint: simulation.trace().so_far(),
        })
    }

    /// Waits until all is well, and stays so.
    fn come_to_rest(simulation: &mut Simulation) -> Result<Duration, Wrong> {
        let began = simulation.elapsed();
        let nobody = Unrest::Apart { node: 0 };
        loop {
            let left = REST_WITHIN.saturating_sub(simulation.elapsed() - began);
            let rest = simulation.run_until(left, LOOK_EVERY, |s| s.unrest().is_none())?;
            if rest.is_none() {
                return Err(Wrong::Restless(simulation.unrest().unwrap_or(nobody)));
            }
            let at_rest = simulation.elapsed();
            // A node that was being waited for may still turn out to be dead.
            simulation.run_for(QUIET_FOR)?;
            match simulation.unrest() {
                None => return Ok(at_rest - began),
                Some(unrest) if left.is_zero() => return Err(Wrong::RestLost(unrest)),
                Some(_) => {}
            }
        }
    }

    /// At rest, a network sends a few datagrams per link and second: heartbeats from each end,
    /// two in a shuffle, and probes of the dead.
    fn check_quiet(&self, simulation: &Simulation, datagrams: u64) -> Result<(), Wrong> {
        let living = simulation.living();
        let links: usize = living.iter().map(|node| simulation.links(*node)).sum();
        let seconds = QUIET_FOR.as_secs_f64();
        // Each node shuffles every six seconds on average, with itself as one of two. Who has
        // lost all its neighbours asks another one every second.
        let nodes = living.len() as f64 * 1.5;
        let most = links as f64 * IDLE_DATAGRAMS_PER_END + nodes;
        let rate = datagrams as f64 / seconds;
        if rate > most { Err(Wrong::Busy { rate, most }) } else { Ok(()) }
    }
}
