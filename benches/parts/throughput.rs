//! How many messages a second a network carries: the highest constant rate of which every node has
//! everything soon after the last message.

use std::time::Duration;

use crate::figure::{MESSAGES_PER_SECOND, Outcome, Report, Rounds};
use crate::load::{self, Network, RANDOM, Tally};
use crate::ours::Ours;
use crate::site::{REST, Site};
use crate::yardstick::Bare;

/// All must have arrived after this share of the load's time: one second after ten. Buffers alone
/// would take in a short load whole.
const COMPLETE_WITHIN: f64 = 0.1;
/// From one rate to the next, while a higher one is looked for, and then a lower one.
const UP: f64 = 1.6;
const DOWN: f64 = 0.9;
/// A round starts this much above the rate of the one before.
const ABOVE: f64 = 1.25;
/// The first rate offered to ours and to bare, and the least.
const GUESSES: [f64; 2] = [4_000.0, 1_000.0];
const RATE_MIN: f64 = 50.0;
/// A network that accepts less than this share of the offer has slowed its senders down.
const SATURATED: f64 = 0.93;

/// One of the two, to be loaded again and again, a new network each time.
struct Side<'a> {
    site: &'a Site,
    is_ours: bool,
    nodes: u32,
    /// The number of nodes that get messages.
    fed: u32,
    /// The rate to offer next, in messages a second.
    rate: f64,
    rounds: Rounds,
    /// Of the last load.
    tally: Tally,
}

pub(crate) fn measure(site: &Site, report: &mut Report) -> Outcome<()> {
    // The loads that look for the rate, and those that confirm it.
    let seconds = if site.options.quick { [1.0, 1.0] } else { [2.0, 10.0] };
    for feed in ["one", "all"] {
        let part = format!("throughput/{feed}");
        for (nodes, name) in site.options.sizes(&part, &[32, 128], &[32]) {
            let fed = if feed == "one" { 1 } else { nodes };
            let [mut ours, mut bare] = [true, false].map(|is_ours| Side {
                site,
                is_ours,
                nodes,
                fed,
                rate: GUESSES[usize::from(!is_ours)],
                rounds: Rounds::new(),
                tally: Tally::default(),
            });
            for _ in 0..site.options.rounds_or(2, 1) {
                ours.search(seconds)?;
                bare.search(seconds)?;
            }
            report.add(name, MESSAGES_PER_SECOND, ours.rounds, bare.rounds);
            let Tally { rumors, rumor_datagrams, repairs, .. } = ours.tally;
            report.note("rumors per datagram", rumors as f64 / rumor_datagrams as f64);
            report.note("repaired share of copies", repairs as f64 / rumors as f64);
        }
    }
    Ok(())
}

impl Side<'_> {
    /// One round: in the first one, raises the rate in short loads until it is not carried; then
    /// lowers it until it is carried for the full time. Where none is, there is none to tell.
    fn search(&mut self, [short, long]: [f64; 2]) -> Outcome<()> {
        while self.rounds.is_empty() && self.carried(short)? >= Some(SATURATED * self.rate) {
            self.rate *= UP;
        }
        let mut carried = None;
        while carried.is_none() && self.rate > RATE_MIN {
            carried = self.carried(long)?;
            self.rate = carried.map_or(self.rate * DOWN, |carried| carried * ABOVE);
        }
        self.rounds.push(carried.into_iter().collect());
        Ok(())
    }

    /// Loads a new network: the messages accepted a second, if everything arrived when it should have.
    fn carried(&mut self, seconds: f64) -> Outcome<Option<f64>> {
        let Self { site, nodes, fed, rate, .. } = *self;
        let (who, mut network): (_, Box<dyn Network>) = match self.is_ours {
            true => ("ours", Box::new(Ours::start(site, RANDOM, nodes)?)),
            false => ("bare", Box::new(Bare::start(site, RANDOM, nodes)?)),
        };
        site.sleep(REST)?;
        let time = Duration::from_secs_f64(seconds);
        let (accepted, seconds, ended_at) = load::offer(site, &mut *network, fed, rate, time)?;
        // Judged by the nodes' own stamps: a node that is behind also answers late.
        let within = time.mul_f64(COMPLETE_WITHIN);
        let deadline = ended_at + u64::try_from(within.as_nanos())?;
        site.sleep(within)?;
        self.tally = network.tally()?;
        let carried = accepted as f64 / seconds;
        let is_complete = self.tally.has_all(accepted) && self.tally.last_at <= deadline;
        let verdict = if is_complete { "complete" } else { "not complete in time" };
        eprintln!("{who}, {rate:.0}/s offered, {carried:.0}/s accepted, {verdict}");
        Ok(is_complete.then_some(carried))
    }
}
