//! What becomes of it as networks grow, and as they hold more messages; and the simulator.

use std::process::{Command, Stdio};
use std::time::Duration;

use gossip::runtime::clock;
use gossip::topology::Kind;

use crate::figure::{Better, Figure, Report};
use crate::site::{Feed, Lab, Network, Outcome, SEED};
use crate::latency;
use crate::footprint::mean_memory;
use crate::options::Options;
use crate::ours::Ours;
use crate::readings;

const HELD: &str = "16 nodes, random 3-regular, that hold so many messages of 6 bytes";
const SIMULATED: &str = "`gossip simulate random 4 -n N`, one message, as a whole process; memory is \
    the last VmHWM before its end";

/// The nodes that hold ever more messages, and their links.
const NODES: u32 = 16;
const LINKS: f64 = 24.0;
/// Networks larger than those of `latency`.
const LARGER: [u32; 2] = [512, 1000];
/// Messages a second while they are filled, and how long to wait until all have all.
const FILL_RATE: f64 = 3_000.0;
const FILLED_WITHIN: Duration = Duration::from_secs(60);
/// A simulation is left out if it might need more memory than there is, at this many bytes a node.
const SIMULATED_BYTES_PER_NODE: u64 = 12_000;

pub(crate) fn measure(options: &Options, lab: &Lab, report: &mut Report) -> Outcome<()> {
    held(options, lab, report)?;
    // Sizes that were asked for are measured with the others.
    if !options.quick && options.nodes.is_empty() {
        latency::measure_sizes(&LARGER, options.rounds_or(2, 1), options, lab, report)?;
    }
    Ok(())
}

/// Ever more messages.
fn held(options: &Options, lab: &Lab, report: &mut Report) -> Outcome<()> {
    let counts: &[u64] =
        if options.quick { &[0, 1_000] } else { &[0, 100, 1_000, 10_000, 100_000] };
    let mut network = lab.start_ours(Kind::Random { degree: Some(3) }, NODES)?;
    lab.rest()?;
    let mut have = 0;
    for &count in counts {
        eprintln!("growth/{count}");
        have = fill(lab, &mut network, count, have)?;
        let before = network.counters()?;
        let sends = latency::sends(options);
        let [(times, _)] = latency::send_in_turn(lab, [&mut network], NODES, sends)?;
        lab.rest()?;
        let after = network.counters()?;
        let sent = after.accepted - before.accepted;
        have += sent;

        let mut add = |name: &str, unit, values: Vec<f64>| {
            let name = format!("held/{name}/{count}");
            report.figures.push(Figure::new(name, unit, Better::Lower, HELD, &[values], &[]));
        };
        add("latency", "ms", times);
        let copies = (after.rumors_sent - before.rumors_sent) as f64;
        add("copies", "1/message", vec![copies / sent as f64]);
        let repairs = (after.repairs_sent - before.repairs_sent) as f64;
        add("repairs", "1/message", vec![repairs / sent as f64]);
        add("memory", "MB/node", vec![mean_memory(&network.pids())]);

        let start = clock::now().monotonic;
        let before = network.counters()?;
        lab.sleep(Duration::from_secs(if options.quick { 2 } else { 10 }))?;
        let per = LINKS * clock::now().monotonic.since(start).as_secs_f64();
        let after = network.counters()?;
        let datagrams = after.datagrams_sent - before.datagrams_sent;
        add("idle datagrams", "1/link/s", vec![datagrams as f64 / per]);
        let bytes = after.bytes_sent - before.bytes_sent;
        add("idle bytes", "bytes/link/s", vec![bytes as f64 / per]);
    }
    Ok(())
}

/// Has all nodes hold `count` messages; says how many they do hold.
fn fill(lab: &Lab, network: &mut Ours, count: u64, have: u64) -> Outcome<u64> {
    let Some(more) = count.checked_sub(have).filter(|more| *more > 0) else { return Ok(have) };
    let time = Duration::from_secs_f64(more as f64 / FILL_RATE);
    let accepted = network.load(lab, Feed::All, FILL_RATE, time)?.accepted;
    let start = clock::now().monotonic;
    while network.tally()?.delivered.iter().any(|delivered| *delivered < have + accepted) {
        if clock::now().monotonic.since(start) > FILLED_WITHIN {
            return Err(format!("not all nodes got {accepted} messages in a minute").into());
        }
        lab.sleep(Duration::from_millis(200))?;
    }
    lab.rest()?;
    Ok(have + accepted)
}

/// Ever more simulated nodes.
pub(crate) fn simulate(options: &Options, lab: &Lab, report: &mut Report) -> Outcome<()> {
    let sizes = options.sizes(&[1_000, 10_000, 100_000, 1_000_000], &[1_000, 10_000]);
    for nodes in sizes {
        eprintln!("simulate/{nodes}");
        if u64::from(nodes) * SIMULATED_BYTES_PER_NODE > readings::memory_available() {
            eprintln!("simulate/{nodes}: left out, for want of memory");
            continue;
        }
        let rounds = if nodes > 200_000 { 1 } else { options.rounds_or(3, 1) };
        let (mut time, mut bytes) = (Vec::new(), Vec::new());
        for _ in 0..rounds {
            let mut command = Command::new(lab.program());
            command.args(["simulate", "random", "4", "--json"]).stdin(Stdio::null());
            command.args(["--num-nodes", &nodes.to_string(), "--seed", &SEED.to_string()]);
            let (seconds, most) = readings::time_and_memory(lab, command)?;
            time.push(vec![seconds]);
            bytes.push(vec![most / f64::from(nodes)]);
        }
        let mut add = |name: &str, unit, values: &[Vec<f64>]| {
            let name = format!("{name}/{nodes}");
            report.figures.push(Figure::new(name, unit, Better::Lower, SIMULATED, values, &[]));
        };
        add("simulate", "s", &time);
        add("simulate memory", "bytes/node", &bytes);
    }
    Ok(())
}
