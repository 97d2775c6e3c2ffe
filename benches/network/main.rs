//! The bench: `gossip` and the bare forwarder in turn, on the same topologies, in one run.
//!
//! `scripts/bench` builds and starts it; `scripts/README.md` says how each figure is taken. Absolute
//! times mean nothing on a shared machine, ratios taken in turn do: so whatever the bare forwarder
//! can do as well is measured on both, a round of ours and a round of its, again and again.
//!
//! | File | What it is |
//! |---|---|
//! | `options` | the command line |
//! | `lab` | a network to measure: free ports, processes, and nothing left behind |
//! | `ours`, `bare` | how each of the two is started, fed and asked |
//! | `latency`, `throughput` | what is measured |
//! | `figure`, `machine` | what a measurement is, and where it was taken |
//! | `table`, `compare` | how it is shown |
//!
//! It is an example rather than a bench target, because it measures the release build of the
//! program, and no test runner should start it by accident.

mod bare;
mod compare;
mod figure;
mod lab;
mod latency;
mod machine;
mod options;
mod ours;
mod table;
mod throughput;

use std::process::ExitCode;

use clap::Parser;

use figure::Report;
use lab::{Lab, Outcome};
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
        return table::print(&compare::compare(old, &Report::read(new)?));
    }
    let mut lab = Lab::new(options)?;
    let mut report = Report::new(machine::machine(), options.quick);
    let done = measure(options, &mut lab, &mut report);
    // What was measured before an interruption is worth having.
    report.machine.load_after = machine::load();
    report.write(&options.json)?;
    let text = if options.markdown { table::markdown(&report) } else { table::text(&report) };
    table::print(&text)?;
    if let Some(old) = old {
        table::print(&compare::compare(&old, &report))?;
    }
    done
}

fn measure(options: &Options, lab: &mut Lab, report: &mut Report) -> Outcome<()> {
    if options.wants("latency") {
        latency::measure(options, lab, report)?;
    }
    if options.wants("throughput") {
        throughput::measure(options, lab, report)?;
    }
    Ok(())
}
