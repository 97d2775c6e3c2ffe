//! A measurement: a name, a unit, and the numbers of gossip and of the bare forwarder, round
//! by round. One JSON document holds all figures of a run; medians and ratios follow from them.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

/// The version of the document. It changes when figures are taken in another way.
pub(crate) const VERSION: u32 = 3;
/// The unit of which more is better; of every other unit, less is.
pub(crate) const MESSAGES_PER_SECOND: &str = "messages/s";
/// No figure is taken to be surer than this, however well its rounds agree. Rates are looked for in
/// steps of a tenth.
const NOISE_MIN: f64 = 0.03;
const NOISE_MIN_OF_RATES: f64 = 0.1;
/// A single round does not tell how much rounds differ.
const NOISE_OF_ONE_ROUND: f64 = 0.25;

pub(crate) type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

/// An error in three lines, as those of the program.
pub(crate) fn failure(what: &str, why: &str, next: &str) -> Box<dyn std::error::Error> {
    format!("{what}\n  why:  {why}\n  next: {next}").into()
}

/// The measurements of each round.
pub(crate) type Rounds = Vec<Vec<f64>>;

/// All figures of one run.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Report {
    pub(crate) version: u32,
    /// With a `+` if there are changes that are not committed.
    pub(crate) commit: String,
    /// Its processors, and its load average of the minute before.
    pub(crate) machine: String,
    pub(crate) figures: Vec<Figure>,
}

/// One measured thing.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Figure {
    /// Such as `latency/ring/32`.
    pub(crate) name: String,
    pub(crate) unit: String,
    pub(crate) ours: Rounds,
    /// The bare forwarder's; empty where it cannot do the same.
    pub(crate) bare: Rounds,
    /// Other counts of the same runs, by name.
    pub(crate) notes: BTreeMap<String, f64>,
}

impl Report {
    /// Reads an earlier run.
    pub(crate) fn read(path: &Path) -> Outcome<Self> {
        let what = format!("cannot compare with {}", path.display());
        let refused = |why: &str| failure(&what, why, "measure that commit again");
        let text = fs::read(path).map_err(|error| refused(&error.to_string()))?;
        let report: Self = serde_json::from_slice(&text)
            .map_err(|error| refused(&format!("it is no run of this bench: {error}")))?;
        match report.version {
            VERSION => Ok(report),
            other => Err(refused(&format!("its version is {other}, and ours {VERSION}"))),
        }
    }

    /// Writes it down, for a later run to compare with.
    pub(crate) fn write(&self, path: &Path) -> Outcome<()> {
        fs::create_dir_all(path.parent().unwrap_or(path))?;
        Ok(fs::write(path, serde_json::to_string(self)? + "\n")?)
    }

    pub(crate) fn add(&mut self, name: String, unit: &str, ours: Rounds, bare: Rounds) {
        self.figures.push(Figure { name, unit: unit.into(), ours, bare, notes: BTreeMap::new() });
    }

    /// Notes a number beside the figure that was added last; none if it is none: JSON has no word
    /// for that.
    pub(crate) fn note(&mut self, name: &str, value: f64) {
        if let Some(figure) = self.figures.last_mut().filter(|_| value.is_finite()) {
            figure.notes.insert(name.to_owned(), value);
        }
    }
}

impl Figure {
    /// Whether there is anything to show or to compare.
    pub(crate) fn is_measured(&self) -> bool {
        self.ours.iter().any(|round| !round.is_empty())
    }

    /// The median of the rounds' ratios, each of a round of ours and the round of bare with it.
    pub(crate) fn ratio(&self) -> Option<f64> {
        quantile(&self.ratios(), 0.5)
    }

    /// Of the rounds that both measured.
    fn ratios(&self) -> Vec<f64> {
        let both = self.ours.iter().zip(&self.bare);
        both.filter_map(|(ours, bare)| Some(quantile(ours, 0.5)? / quantile(bare, 0.5)?)).collect()
    }

    /// By how much rounds differ, as a share: their ratios, or their medians where there is no ratio.
    /// It is the distance between the extremes, and half of it from four rounds on.
    pub(crate) fn noise(&self) -> f64 {
        let medians = || self.ours.iter().filter_map(|round| quantile(round, 0.5)).collect();
        let rounds: Vec<f64> = if self.bare.is_empty() { medians() } else { self.ratios() };
        let at = |share| quantile(&rounds, share).unwrap_or(f64::NAN);
        let share = (at(1.0) - at(0.0)) / at(0.5);
        let noise = match rounds.len() {
            0 | 1 => NOISE_OF_ONE_ROUND,
            2 | 3 => share,
            _ => share / 2.0,
        };
        let is_rate = self.unit == MESSAGES_PER_SECOND;
        noise.max(if is_rate { NOISE_MIN_OF_RATES } else { NOISE_MIN })
    }
}

/// The value that this share of all values does not exceed, interpolated between two of them.
pub(crate) fn quantile(values: &[f64], share: f64) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let at = share * sorted.len().checked_sub(1)? as f64;
    let (low, high) = (sorted[at.floor() as usize], sorted[at.ceil() as usize]);
    Some(low + (high - low) * at.fract())
}
