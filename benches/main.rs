//! The bench: `gossip` and the bare forwarder in turn, on the same topologies, in one run.
//!
//! `scripts/bench` builds and starts it; `docs/bench.md` says how each figure is taken. Absolute
//! times mean nothing on a shared machine, ratios taken in turn do: so whatever the bare forwarder
//! can do as well is measured on both, a round of ours and a round of its, again and again.
//!
//! | File | What it is |
//! |---|---|
//! | `options` | the command line |
//! | `lab` | a network to measure: free ports, processes, and nothing left behind |
//! | `ours`, `bare` | how each of the two is started, fed and asked |
//! | `load`, `line` | how a constant load is paid out, and handed to ours |
//! | `latency`, `throughput`, `life`, `commands`, `growth`, `watch` | what is measured |
//! | `process` | what the system tells of processes |
//! | `figure`, `machine` | what a measurement is, and where it was taken |
//! | `table`, `compare` | how it is shown |
//!
//! It is an example rather than a bench target, because it measures the release build of the
//! program, and no test runner should start it by accident.

mod yardstick;
mod commands;
mod compare;
mod figure;
mod growth;
mod site;
mod latency;
mod footprint;
mod line;
mod load;
mod machine;
mod options;
mod ours;
mod readings;
mod columns;
mod throughput;
mod watch;

use std::process::ExitCode;

use clap::Parser;

use figure::Report;
use site::{Lab, Outcome};
use options::Options;

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Outcome<()> {
    let old = options.compare.first().map(|path| Report::read(path)).transpose()?;
    if let (Some(old), Some(new)) = (&old, options.compare.get(1)) {
        return columns::print(&compare::compare(old, &Report::read(new)?));
    }
    let lab = Lab::new(options)?;
    let mut report = Report::new(machine::machine(), options.quick);
    let done = measure(options, &lab, &mut report);
    // What was measured before an interruption is worth having.
    report.machine.load_after = machine::load();
    report.write(&options.json)?;
    let text = if options.markdown { columns::markdown(&report) } else { columns::text(&report) };
    columns::print(&text)?;
    if let Some(old) = old {
        columns::print(&compare::compare(&old, &report))?;
    }
    done
}

/// A part of the bench.
type Part = fn(&Options, &Lab, &mut Report) -> Outcome<()>;

/// In the order of [`options::PARTS`].
const PARTS: [Part; options::PARTS.len()] = [
    latency::measure,
    throughput::measure,
    footprint::measure,
    commands::measure,
    growth::measure,
    growth::simulate,
    watch::measure,
];

fn measure(options: &Options, lab: &Lab, report: &mut Report) -> Outcome<()> {
    for (name, part) in options::PARTS.into_iter().zip(PARTS) {
        if options.wants(name) {
            part(options, lab, report)?;
        }
    }
    Ok(())
}
