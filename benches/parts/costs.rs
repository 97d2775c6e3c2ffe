//! The costs of networks and processes: memory, processor time at rest, and the time to start and to
//! stop; a message sent by hand; a simulation.

use std::process::{Command, Stdio};
use std::time::Duration;

use gossip::runtime::clock;
use gossip::topology::Kind;

use crate::figure::{Outcome, Report, Rounds};
use crate::load::{Network, RANDOM, SEED};
use crate::ours::{self, Ours};
use crate::readings;
use crate::site::{REST, Site};
use crate::yardstick::Bare;

/// Heartbeats slow down to their pace at rest within this time; then a window is looked at.
const QUIET: Duration = Duration::from_secs(8);
const WINDOW: Duration = Duration::from_secs(20);
/// The commands of a round.
const COMMANDS: usize = 10;

/// Memory, and what it costs to do nothing: nobody asks the nodes anything in the window.
pub(crate) fn memory(site: &Site, report: &mut Report) -> Outcome<()> {
    let [rest, window] = if site.options.quick { [REST; 2] } else { [QUIET, WINDOW] };
    for (nodes, name) in site.options.sizes("memory", &[64, 256, 1000], &[64]) {
        let [mut memory, mut bare, mut idle] = [const { Rounds::new() }; 3];
        let mean = |pids: &[u32], of: fn(u32) -> Option<f64>| -> f64 {
            pids.iter().filter_map(|pid| of(*pid)).sum::<f64>() / f64::from(nodes)
        };
        for _ in 0..site.options.rounds_or(2, 1) {
            let network = Ours::start(site, RANDOM, nodes)?;
            let pids = network.pids();
            site.sleep(rest)?;
            memory.push(vec![mean(&pids, readings::memory)]);
            let used = mean(&pids, readings::processor_time);
            let (seconds, ()) = timed(|| site.sleep(window))?;
            idle.push(vec![100.0 * (mean(&pids, readings::processor_time) - used) / seconds]);
            drop(network);
            let network = Bare::start(site, RANDOM, nodes)?;
            bare.push(vec![mean(&network.pids(), readings::memory)]);
        }
        report.add(name, "MB/node", memory, bare);
        report.add(format!("idle processor/{nodes}"), "% of a core/node", idle, Rounds::new());
    }
    Ok(())
}

/// `start-network` returns when all nodes answer.
pub(crate) fn start_up(site: &Site, report: &mut Report) -> Outcome<()> {
    for (nodes, name) in site.options.sizes("start-up", &[64, 1000], &[128]) {
        let [mut ours, mut bare] = [const { Rounds::new() }; 2];
        for _ in 0..site.options.rounds_or(3, 1) {
            ours.push(vec![timed(|| Ours::start(site, RANDOM, nodes))?.0]);
            bare.push(vec![timed(|| Bare::start(site, RANDOM, nodes))?.0]);
        }
        report.add(name, "s", ours, bare);
    }
    Ok(())
}

/// `send-message`, one process at a time, from start to end, on a ring at rest. Bare is the
/// bare forwarder without arguments, which ends at once: the least that a process costs.
pub(crate) fn command(site: &Site, report: &mut Report) -> Outcome<()> {
    for (nodes, name) in site.options.sizes("command/send-message", &[32], &[32]) {
        let _network = Ours::start(site, Kind::Circular, nodes)?;
        site.sleep(REST)?;
        let [mut ours, mut bare] = [const { Rounds::new() }; 2];
        for _ in 0..site.options.rounds_or(4, 2) {
            let [mut round, mut bare_round] = [const { Vec::new() }; 2];
            for _ in 0..COMMANDS {
                let mut command = ours::command(site, "send-message 1 banana");
                round.push(1e3 * timed(|| Ok(command.stdout(Stdio::null()).status()?))?.0);
                bare_round.push(1e3 * timed(|| Ok(Command::new(&site.bare).status()?))?.0);
            }
            ours.push(round);
            bare.push(bare_round);
        }
        report.add(name, "ms", ours, bare);
    }
    Ok(())
}

/// `simulate random 4`: one message; and the last `VmHWM` before the end.
pub(crate) fn simulate(site: &Site, report: &mut Report) -> Outcome<()> {
    for (nodes, name) in site.options.sizes("simulate", &[10_000, 100_000], &[10_000]) {
        let line = format!("simulate random 4 --num-nodes {nodes} --seed {SEED}");
        let [mut time, mut bytes] = [const { Rounds::new() }; 2];
        for _ in 0..site.options.rounds_or(3, 1) {
            let (seconds, peak) = timed(|| peak_of(site, ours::command(site, &line)))?;
            time.push(vec![seconds]);
            bytes.push(vec![peak / f64::from(nodes)]);
        }
        report.add(name, "s", time, Rounds::new());
        report.add(format!("simulate memory/{nodes}"), "bytes/node", bytes, Rounds::new());
    }
    Ok(())
}

/// The most memory of a command that takes a while, in bytes. Ctrl-C ends the command as well.
fn peak_of(site: &Site, mut command: Command) -> Outcome<f64> {
    let mut child = command.stdout(Stdio::null()).spawn()?;
    let mut peak = 0.0;
    loop {
        peak = readings::memory_peak(child.id()).unwrap_or(peak);
        match child.try_wait()? {
            None => site.sleep(Duration::from_millis(5))?,
            Some(status) if status.success() => return Ok(peak),
            Some(_) => return Err(format!("{command:?} failed").into()),
        }
    }
}

/// The time in seconds that something takes, and what it gives.
fn timed<T>(act: impl FnOnce() -> Outcome<T>) -> Outcome<(f64, T)> {
    let start = clock::now().monotonic;
    let done = act()?;
    Ok((clock::now().monotonic.since(start).as_secs_f64(), done))
}
