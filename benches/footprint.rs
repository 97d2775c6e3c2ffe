//! The life of a network: start, rest, stop. How long, how much memory, how many threads, and
//! what it costs to do nothing.

use std::time::Duration;

use gossip::runtime::clock;
use gossip::topology::Kind;

use crate::figure::{Better, Figure, Report};
use crate::site::{Lab, Outcome};
use crate::options::Options;
use crate::ours::Ours;
use crate::readings;

const START: &str = "wall time of `start-network`, which returns when all nodes answer; bare: from \
    the first process to the last answer; random 3-regular";
const STOP: &str = "wall time of `stop-network`, which returns when no node's process is there";
const MEMORY: &str = "Pss of /proc/PID/smaps_rollup, mean of all nodes, at rest";
const THREADS: &str = "the most of any node, at rest, before anybody asks it anything";
const IDLE: &str = "processor time of all threads from /proc/PID/task/*/schedstat over a window at \
    rest, nobody asking meanwhile, mean of all nodes";
const TRAFFIC: &str = "counters of all nodes before and after that window; each datagram counted \
    once, where it is sent";

const KIND: Kind = Kind::Random { degree: Some(3) };

/// What one round saw. Lists are by name.
#[derive(Default)]
struct Seen {
    start: Vec<Vec<f64>>,
    start_bare: Vec<Vec<f64>>,
    stop: Vec<Vec<f64>>,
    memory: Vec<Vec<f64>>,
    memory_bare: Vec<Vec<f64>>,
    threads: Vec<Vec<f64>>,
    idle: Vec<Vec<f64>>,
    datagrams: Vec<Vec<f64>>,
    bytes: Vec<Vec<f64>>,
}

pub(crate) fn measure(options: &Options, lab: &Lab, report: &mut Report) -> Outcome<()> {
    for nodes in options.sizes(&[16, 64, 256, 1000, 2000], &[16, 128]) {
        eprintln!("life/{nodes}");
        let mut seen = Seen::default();
        for _ in 0..options.rounds_or(3, 1) {
            round(options, lab, nodes, &mut seen)?;
        }
        let mut add = |name: &str, unit, how, ours: &[Vec<f64>], bare: &[Vec<f64>]| {
            let name = format!("{name}/{nodes}");
            report.figures.push(Figure::new(name, unit, Better::Lower, how, ours, bare));
        };
        add("start-up", "s", START, &seen.start, &seen.start_bare);
        add("stop", "s", STOP, &seen.stop, &[]);
        add("memory", "MB/node", MEMORY, &seen.memory, &seen.memory_bare);
        add("threads", "threads/node", THREADS, &seen.threads, &[]);
        add("idle processor", "% of a core/node", IDLE, &seen.idle, &[]);
        add("idle datagrams", "1/link/s", TRAFFIC, &seen.datagrams, &[]);
        add("idle bytes", "bytes/link/s", TRAFFIC, &seen.bytes, &[]);
    }
    Ok(())
}

fn round(options: &Options, lab: &Lab, nodes: u32, seen: &mut Seen) -> Outcome<()> {
    // Heartbeats slow down to their pace at rest within a few of their intervals.
    let (rest, window) = if options.quick { (2.0, 2.0) } else { (8.0, 20.0) };
    let start = clock::now().monotonic;
    let network = lab.start_ours(KIND, nodes)?;
    seen.start.push(vec![clock::now().monotonic.since(start).as_secs_f64()]);
    lab.sleep(Duration::from_secs_f64(rest))?;
    at_rest(lab, &network, Duration::from_secs_f64(window), seen)?;
    let start = clock::now().monotonic;
    network.stop()?;
    seen.stop.push(vec![clock::now().monotonic.since(start).as_secs_f64()]);

    let start = clock::now().monotonic;
    let bare = lab.start_bare(KIND, nodes)?;
    seen.start_bare.push(vec![clock::now().monotonic.since(start).as_secs_f64()]);
    seen.memory_bare.push(vec![mean_memory(&bare.pids())]);
    Ok(())
}

/// Looks at a network that nobody asks anything.
fn at_rest(lab: &Lab, network: &Ours, window: Duration, seen: &mut Seen) -> Outcome<()> {
    let pids = network.pids();
    let most_threads = pids.iter().filter_map(|pid| readings::threads(*pid)).max();
    seen.threads.push(vec![most_threads.unwrap_or(0) as f64]);
    seen.memory.push(vec![mean_memory(&pids)]);

    let used = processor_time(&pids);
    let start = clock::now().monotonic;
    lab.sleep(window)?;
    let used = processor_time(&pids) - used;
    let seconds = clock::now().monotonic.since(start).as_secs_f64();
    seen.idle.push(vec![100.0 * used / seconds / f64::from(network.nodes())]);

    // Asking costs processor time, but no datagrams: a window of its own.
    let start = clock::now().monotonic;
    let before = network.counters()?;
    lab.sleep(window / 2)?;
    let seconds = clock::now().monotonic.since(start).as_secs_f64();
    let after = network.counters()?;
    let per = f64::from(network.nodes()) * 1.5 * seconds;
    seen.datagrams.push(vec![(after.datagrams_sent - before.datagrams_sent) as f64 / per]);
    seen.bytes.push(vec![(after.bytes_sent - before.bytes_sent) as f64 / per]);
    Ok(())
}

/// The processor time that these have used, in seconds.
pub(crate) fn processor_time(pids: &[u32]) -> f64 {
    pids.iter().filter_map(|pid| readings::processor_time(*pid)).sum::<Duration>().as_secs_f64()
}

/// In MB.
pub(crate) fn mean_memory(pids: &[u32]) -> f64 {
    pids.iter().filter_map(|pid| readings::memory(*pid)).sum::<u64>() as f64
        / 1e6
        / pids.len() as f64
}
