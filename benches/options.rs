//! The command line of the bench.

use std::path::PathBuf;

use clap::Parser;

/// What can be measured by itself.
pub(crate) const PARTS: [&str; 7] =
    ["latency", "throughput", "life", "commands", "growth", "simulate", "watch"];
const SHAPES: [&str; 4] = ["ring", "random", "one", "all"];

/// Measure gossip against the bare forwarder, in turn, and print a table and a JSON document.
#[derive(Debug, Parser)]
#[command(
    name = "scripts/bench",
    after_help = "\
Examples:
  scripts/bench --quick
  scripts/bench --only latency --nodes 32,128 --rounds 5
  scripts/bench --compare target/bench/before.json
  scripts/bench --compare before.json after.json     compares, and measures nothing"
)]
pub(crate) struct Options {
    /// Fewer sizes, fewer rounds: under two minutes
    #[arg(long)]
    pub(crate) quick: bool,
    /// Only these parts
    #[arg(long, value_name = "PART", value_delimiter = ',', value_parser = PARTS)]
    pub(crate) only: Vec<String>,
    /// Networks of these sizes
    #[arg(long, value_name = "N", value_delimiter = ',')]
    pub(crate) nodes: Vec<u32>,
    /// Only these topologies (latency: ring, random) or feeds (throughput: one, all)
    #[arg(long, value_name = "WHICH", value_delimiter = ',', value_parser = SHAPES)]
    pub(crate) shapes: Vec<String>,
    /// How often ours and bare take turns
    #[arg(long, value_name = "N")]
    pub(crate) rounds: Option<usize>,
    /// How long the load lasts that decides on a throughput, in seconds
    #[arg(long, value_name = "S")]
    pub(crate) seconds: Option<f64>,
    /// Messages a second for watch, 0: as many as the nodes take [default: 100,0]
    #[arg(long, value_name = "R", value_delimiter = ',')]
    pub(crate) rates: Vec<u32>,
    /// Say what changed since an older run by more than the noise; with two files, measure nothing
    #[arg(long, value_name = "OLD.json [NEW.json]", num_args = 1..=2)]
    pub(crate) compare: Vec<PathBuf>,
    /// Where the JSON document goes
    #[arg(long, value_name = "FILE", default_value = "target/bench/latest.json")]
    pub(crate) json: PathBuf,
    /// Print the table as Markdown
    #[arg(long)]
    pub(crate) markdown: bool,
    /// The program to measure
    #[arg(long, value_name = "FILE", default_value = "target/release/gossip")]
    pub(crate) program: PathBuf,
    /// The bare forwarder
    #[arg(long, value_name = "FILE", default_value = "target/release/bare")]
    pub(crate) bare: PathBuf,
    /// Node N of a network has the port P + N, and a bare one beside M of ours P + M + N [default: the
    /// first free range]
    #[arg(long, value_name = "P")]
    pub(crate) ports_origin: Option<u16>,
}

impl Options {
    /// Whether a part is asked for.
    pub(crate) fn wants(&self, part: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| only == part)
    }

    /// Whether a shape is asked for.
    pub(crate) fn wants_shape(&self, shape: &str) -> bool {
        self.shapes.is_empty() || self.shapes.iter().any(|only| only == shape)
    }

    /// The sizes asked for, or these.
    pub(crate) fn sizes(&self, full: &[u32], quick: &[u32]) -> Vec<u32> {
        match (&self.nodes[..], self.quick) {
            ([], false) => full.to_vec(),
            ([], true) => quick.to_vec(),
            (nodes, _) => nodes.to_vec(),
        }
    }

    /// The rounds asked for, or so many.
    pub(crate) fn rounds_or(&self, full: usize, quick: usize) -> usize {
        self.rounds.unwrap_or(if self.quick { quick } else { full })
    }
}
