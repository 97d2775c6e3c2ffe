//! The bench: `gossip` and the bare forwarder in turn, on the same topologies, in one run.
//!
//! `scripts/bench` builds and starts it; `docs/bench.md` says how each figure is taken. Absolute
//! times mean nothing on a shared machine, ratios taken in turn do: so everything that the bare
//! forwarder can do as well is measured on both, a round of ours and a round of bare.
//!
//! The `parts` measure networks: `ours` and `yardstick`, which starts bare forwarders (`bare`, a
//! program of its own). `load` is what both can do, and `site` the place to measure in; `readings` come
//! from the system, and `figure` is what comes out, for `figure_table` to show and `compare` to compare.
//! Files use others in this order only. It is no bench target: it measures the release build.

mod compare;
mod figure;
mod figure_table;
mod load;
mod options;
mod ours;
mod parts {
    pub(super) mod costs;
    pub(super) mod latency;
    pub(super) mod lossy;
    pub(super) mod throughput;
}
mod readings;
mod site;
mod yardstick;

use std::process::ExitCode;

use clap::Parser;

use figure::{Outcome, Report};
use options::Options;
use parts::{costs, latency, lossy, throughput};
use site::Site;

fn main() -> ExitCode {
    match run(Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: Options) -> Outcome<()> {
    let old = options.compare.first().map(|path| Report::read(path)).transpose()?;
    if let (Some(old), Some(new)) = (&old, options.compare.get(1)) {
        figure_table::print(&compare::compare(old, &Report::read(new)?));
        return Ok(());
    }
    let site = Site::new(options)?;
    let (commit, machine) = (readings::commit(), readings::machine());
    let mut report = Report { version: figure::VERSION, commit, machine, figures: Vec::new() };
    if site.options.inside {
        lossy::measure(&site, &mut report)?;
        return report.write(lossy::INNER_DOCUMENT.as_ref());
    }
    // Of a bench that was killed. There is none otherwise, and that is the error.
    let _ = ours::run(&site, "stop-network");
    let done = measure(&site, &mut report);
    // Figures taken before an interruption are worth having.
    report.write(&site.options.json)?;
    figure_table::print(&figure_table::text(&report));
    if let Some(old) = old {
        figure_table::print(&compare::compare(&old, &report));
    }
    done
}

fn measure(site: &Site, report: &mut Report) -> Outcome<()> {
    latency::measure(site, report)?;
    throughput::measure(site, report)?;
    costs::memory(site, report)?;
    costs::start_up(site, report)?;
    costs::command(site, report)?;
    costs::simulate(site, report)?;
    lossy::measure(site, report)
}
