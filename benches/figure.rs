//! What a measurement is: a name, how it was taken, numbers of ours and of the bare forwarder's,
//! and their ratio. One JSON document holds all of a run.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

/// The version of the document: another one where figures are taken in another way.
const VERSION: u32 = 2;
/// No figure is taken to be surer than this, however well its rounds agree.
const NOISE_MIN: f64 = 0.03;
/// One round says nothing of how much rounds differ.
const NOISE_OF_ONE: f64 = 0.25;
/// So many rounds do.
const ROUNDS_ENOUGH: usize = 4;

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

/// All figures of one run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Report {
    pub(crate) version: u32,
    pub(crate) quick: bool,
    pub(crate) machine: Machine,
    pub(crate) figures: Vec<Figure>,
}

/// Where and of what they were taken.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Machine {
    pub(crate) processor: String,
    pub(crate) processors: usize,
    pub(crate) memory_mb: u64,
    pub(crate) kernel: String,
    /// The commit, with a `+` if there are changes that are not committed.
    pub(crate) commit: String,
    /// Nanoseconds since the Unix epoch.
    pub(crate) started_at: u64,
    /// The load average of the last minute.
    pub(crate) load_before: f64,
    pub(crate) load_after: f64,
}

/// Which way is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Better {
    Lower,
    Higher,
}

/// One measured thing.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Figure {
    /// Such as `latency/ring/32`.
    pub(crate) name: String,
    pub(crate) unit: String,
    pub(crate) better: Better,
    /// How it was taken.
    pub(crate) how: String,
    pub(crate) ours: Series,
    /// The bare forwarder's, where it can do the same.
    pub(crate) bare: Option<Series>,
    pub(crate) ratio: Option<Ratio>,
    /// By how much it differs from round to round, as a share: see [`noise`]. Of the rounds' ratios,
    /// or of their medians where there is no ratio.
    pub(crate) noise: f64,
    /// What else was seen.
    pub(crate) notes: BTreeMap<String, f64>,
}

/// Measurements of one kind.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Series {
    pub(crate) median: f64,
    pub(crate) p99: f64,
    /// How many there were.
    pub(crate) count: usize,
    /// The median of each round.
    pub(crate) rounds: Vec<f64>,
}

/// Ours divided by the bare forwarder's.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Ratio {
    /// The median of the rounds' ratios, each of a round of ours and the round of bare with it.
    pub(crate) median: f64,
    /// Of the 99th percentiles of all rounds together.
    pub(crate) p99: f64,
}

impl Report {
    pub(crate) fn new(machine: Machine, quick: bool) -> Self {
        Self { version: VERSION, quick, machine, figures: Vec::new() }
    }

    /// Reads an earlier run.
    pub(crate) fn read(path: &Path) -> Outcome<Self> {
        let shown = path.display();
        let text = fs::read(path).map_err(|error| {
            format!("cannot read {shown}\n  why:  {error}\n  next: `scripts/bench --json FILE` writes one")
        })?;
        let report: Self = serde_json::from_slice(&text).map_err(|error| {
            format!("{shown} is no run of this bench\n  why:  {error}\n  next: measure the older commit again")
        })?;
        if report.version != VERSION {
            return Err(format!(
                "{shown} cannot be compared\n  why:  its version is {}, and ours {VERSION}\n  next: measure the older commit again",
                report.version
            )
            .into());
        }
        Ok(report)
    }

    /// Writes it down, for a later run to compare with.
    pub(crate) fn write(&self, path: &Path) -> Outcome<()> {
        if let Some(directory) = path.parent() {
            fs::create_dir_all(directory)?;
        }
        Ok(fs::write(path, serde_json::to_string_pretty(self)? + "\n")?)
    }
}

impl Figure {
    /// From the measurements of each round, ours and, where there are any, the bare forwarder's.
    pub(crate) fn new(
        name: String,
        unit: &str,
        better: Better,
        how: &str,
        ours: &[Vec<f64>],
        bare: &[Vec<f64>],
    ) -> Self {
        let ratios = pairs(ours, bare);
        let ours = Series::of(ours);
        let bare = (!bare.is_empty()).then(|| Series::of(bare));
        let ratio = bare
            .as_ref()
            .filter(|_| !ratios.is_empty())
            .map(|bare| Ratio { median: median(&ratios), p99: ours.p99 / bare.p99 })
            .filter(|ratio| ratio.p99.is_finite());
        let noise = noise(if bare.is_some() { &ratios } else { &ours.rounds });
        Self {
            name,
            unit: unit.to_owned(),
            better,
            how: how.to_owned(),
            ours,
            bare,
            ratio,
            noise,
            notes: BTreeMap::new(),
        }
    }

    /// Notes what was seen; nothing where nothing was, which JSON has no number for.
    pub(crate) fn note(&mut self, name: &str, value: f64) {
        if value.is_finite() {
            self.notes.insert(name.to_owned(), value);
        }
    }

    /// Whether there is anything to tell or to compare.
    pub(crate) fn is_measured(&self) -> bool {
        self.ours.count > 0
    }
}

impl Series {
    /// Rounds in which nothing could be measured are left out.
    fn of(rounds: &[Vec<f64>]) -> Self {
        let all: Vec<f64> = rounds.iter().flat_map(|round| finite(round)).collect();
        Self {
            median: median(&all),
            p99: quantile(&all, 0.99),
            count: all.len(),
            rounds: rounds.iter().filter_map(|round| middle(round)).collect(),
        }
    }
}

/// Each round of ours, divided by the round of bare with it, where both measured something.
fn pairs(ours: &[Vec<f64>], bare: &[Vec<f64>]) -> Vec<f64> {
    let ratio = |(ours, bare): (&Vec<f64>, &Vec<f64>)| Some(middle(ours)? / middle(bare)?);
    ours.iter().zip(bare).filter_map(ratio).filter(|ratio| ratio.is_finite()).collect()
}

fn finite(values: &[f64]) -> Vec<f64> {
    values.iter().copied().filter(|value| value.is_finite()).collect()
}

/// The median of a round; `None` where nothing could be measured.
fn middle(round: &[f64]) -> Option<f64> {
    let round = finite(round);
    (!round.is_empty()).then(|| median(&round))
}

/// By how much rounds differ, as a share of their median: the distance between the extremes; half
/// of it from [`ROUNDS_ENOUGH`] rounds on, where the extremes are rare.
pub(crate) fn noise(rounds: &[f64]) -> f64 {
    if rounds.len() < 2 {
        return NOISE_OF_ONE;
    }
    let least = rounds.iter().copied().fold(f64::INFINITY, f64::min);
    let most = rounds.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let share = (most - least) / median(rounds);
    let noise = if rounds.len() < ROUNDS_ENOUGH { share } else { share / 2.0 };
    if noise.is_finite() { noise.max(NOISE_MIN) } else { NOISE_MIN }
}

/// 0 if there are none, because JSON knows no other number for that.
pub(crate) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    match sorted.len() {
        0 => 0.0,
        length if length % 2 == 1 => sorted[length / 2],
        length => f64::midpoint(sorted[length / 2 - 1], sorted[length / 2]),
    }
}

/// The smallest value that so large a share of all does not exceed.
pub(crate) fn quantile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let rank = (share * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or(0.0)
}
