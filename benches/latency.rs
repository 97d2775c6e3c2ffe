//! How long one message takes to all nodes.

use std::time::Duration;

use gossip::topology::Kind;

use crate::figure::{Better, Figure, Report};
use crate::site::{Lab, Network, Outcome, Tally};
use crate::options::Options;

const HOW: &str = "one message of 6 bytes at a time, at nodes in turn, one of ours, one of bare; from \
    its acceptance at its origin to the last first copy, each stamped in the node that got it; the \
    bench sleeps meanwhile and asks afterwards; each round is two new networks of processes, side by \
    side";

/// The shapes, and what they are called here.
const SHAPES: [(&str, Kind); 2] =
    [("ring", Kind::Circular), ("random", Kind::Random { degree: Some(3) })];

/// Sends of a round that do not count, the first at each origin among them, and those that do.
const WARM_UP: usize = ORIGINS as usize;
const SENDS: usize = 25;
const SENDS_QUICK: usize = 12;
/// The nodes at which messages start.
const ORIGINS: u32 = 8;

pub(crate) fn measure(options: &Options, lab: &Lab, report: &mut Report) -> Outcome<()> {
    let sizes = options.sizes(&[16, 32, 64, 128, 256], &[32, 128]);
    measure_sizes(&sizes, options.rounds_or(5, 2), options, lab, report)
}

/// Networks of these sizes.
pub(crate) fn measure_sizes(
    sizes: &[u32],
    rounds: usize,
    options: &Options,
    lab: &Lab,
    report: &mut Report,
) -> Outcome<()> {
    let sends = sends(options);
    for (shape, kind) in SHAPES {
        for &nodes in sizes.iter().filter(|_| options.wants_shape(shape)) {
            let name = format!("latency/{shape}/{nodes}");
            eprintln!("{name}");
            let (mut times, mut lost) = ([Vec::new(), Vec::new()], [0; 2]);
            let mut last = Tally::default();
            for _ in 0..rounds {
                let (mut ours, mut bare) = lab.start_both(kind, nodes)?;
                let seen = send_in_turn(lab, [&mut ours, &mut bare], nodes, sends)?;
                for (which, (round, missed)) in seen.into_iter().enumerate() {
                    times[which].push(round);
                    lost[which] += missed;
                }
                last = ours.tally()?;
            }
            let [ours, bare] = times;
            let latest = ours.iter().flatten().copied().fold(0.0, f64::max);
            let mut figure = Figure::new(name, "ms", Better::Lower, HOW, &ours, &bare);
            figure.note("ours not at all", lost[0] as f64);
            figure.note("bare not at all", lost[1] as f64);
            figure.note("ours latest", latest);
            let all = (WARM_UP + sends) as f64;
            figure.note("copies a message", last.rumors as f64 / all);
            figure.note("haves a message", last.haves as f64 / all);
            figure.note("repairs a message", last.repairs as f64 / all);
            report.figures.push(figure);
        }
    }
    Ok(())
}

/// The sends of a round.
pub(crate) fn sends(options: &Options) -> usize {
    if options.quick { SENDS_QUICK } else { SENDS }
}

/// Sends in each of the networks in turn. For each, the times of this round in milliseconds, and the
/// number of messages that not all nodes got.
pub(crate) fn send_in_turn<const NETWORKS: usize>(
    lab: &Lab,
    mut networks: [&mut dyn Network; NETWORKS],
    nodes: u32,
    sends: usize,
) -> Outcome<[(Vec<f64>, usize); NETWORKS]> {
    let apart = (nodes / ORIGINS).max(1);
    for send in 0..WARM_UP + sends {
        for network in &mut networks {
            network.send(u32::try_from(send)? % ORIGINS * apart + 1)?;
            // Long enough on a busy machine, and never in step with any timer.
            let odd = u64::try_from(send)? * 7 % 10;
            lab.sleep(Duration::from_millis(25 + u64::from(nodes / 5) + odd))?;
        }
    }
    let mut seen = [const { (Vec::new(), 0) }; NETWORKS];
    for (network, seen) in networks.into_iter().zip(&mut seen) {
        let receipts = network.receipts()?;
        let counted = &receipts[WARM_UP..];
        let times: Vec<f64> = counted.iter().filter_map(|r| r.time_to_all(nodes)).collect();
        let missing = counted.len() - times.len();
        *seen = (times, missing);
    }
    Ok(seen)
}
