//! The command line of the bench.

use std::path::PathBuf;

use clap::Parser;

/// The beginnings of all figures' names.
const PARTS: [&str; 7] =
    ["latency", "throughput", "memory", "start-up", "command", "simulate", "loss"];

/// Measure gossip beside the bare forwarder, in turn, print a table, and write a JSON document.
#[derive(Debug, Parser)]
#[command(
    name = "scripts/bench",
    after_help = "\
Examples:
  scripts/bench --quick
  scripts/bench --only latency/ring,loss --rounds 5
  scripts/bench --compare target/bench/before.json
  scripts/bench --compare before.json after.json     compares, and measures nothing"
)]
pub(crate) struct Options {
    /// Fewer sizes and fewer rounds: about two minutes
    #[arg(long)]
    pub(crate) quick: bool,
    /// Only these parts or figures, such as latency, latency/ring or latency/ring/1000
    #[arg(long, value_name = "NAME", value_delimiter = ',', value_parser = name)]
    pub(crate) only: Vec<String>,
    /// The number of times that ours and bare take turns
    #[arg(long, value_name = "N")]
    pub(crate) rounds: Option<u32>,
    /// Say what changed since an older run by more than the noise; with two files, measure nothing
    #[arg(long, value_name = "OLD.json [NEW.json]", num_args = 1..=2)]
    pub(crate) compare: Vec<PathBuf>,
    /// The file that the JSON document goes to
    #[arg(long, value_name = "FILE", default_value = "target/bench/latest.json")]
    pub(crate) json: PathBuf,
    /// The program to measure [default: the one beside the bench]
    #[arg(long, value_name = "FILE")]
    pub(crate) program: Option<PathBuf>,
    /// Set where the bench runs itself in a network namespace, for the part `loss`
    #[arg(long, hide = true)]
    pub(crate) inside: bool,
}

fn name(text: &str) -> Result<String, String> {
    let is_part = PARTS.iter().any(|part| text.split('/').next() == Some(part));
    if is_part { Ok(text.to_owned()) } else { Err(format!("the parts are {}", PARTS.join(", "))) }
}

impl Options {
    /// Whether a figure is asked for, by its name or the beginning of that.
    pub(crate) fn wants(&self, figure: &str) -> bool {
        let is_meant = |only: &String| format!("{figure}/").starts_with(&format!("{only}/"));
        self.only.is_empty() || self.only.iter().any(is_meant)
    }

    /// The usual sizes that are wanted, and others that are asked for by name, each with its name.
    pub(crate) fn sizes(
        &self,
        part: &str,
        full: &[u32],
        quick: &[u32],
    ) -> impl Iterator<Item = (u32, String)> {
        let name = move |size: u32| format!("{part}/{size}");
        let usual = if self.quick { quick } else { full }.iter().copied();
        let named = |only: &String| -> Option<u32> {
            only.strip_prefix(part)?.strip_prefix('/')?.parse().ok()
        };
        let mut sizes: Vec<u32> = usual.filter(|size| self.wants(&name(*size))).collect();
        sizes.extend(self.only.iter().filter_map(named));
        sizes.sort_unstable();
        sizes.dedup();
        let named = sizes.into_iter().map(move |size| (size, name(size)));
        named.inspect(|(_, name)| eprintln!("{name}"))
    }

    /// The rounds asked for, or the usual number.
    pub(crate) fn rounds_or(&self, full: u32, quick: u32) -> u32 {
        self.rounds.unwrap_or(if self.quick { quick } else { full })
    }
}
