//! How long one message takes to all nodes: ours and bare side by side, message by message in turn,
//! so that both meet the same noise of the host.

use std::time::Duration;

use gossip::topology::Kind;

use crate::figure::{Outcome, Report, Rounds};
use crate::load::{Network, RANDOM};
use crate::ours::Ours;
use crate::site::{REST, Site};
use crate::yardstick::Bare;

const SHAPES: [(&str, Kind); 2] = [("ring", Kind::Circular), ("random", RANDOM)];
/// The nodes at which messages start, and the messages of a round that count.
const ORIGINS: u32 = 8;
const SENDS: u32 = 25;

/// Each round has two new networks.
pub(crate) fn measure(site: &Site, report: &mut Report) -> Outcome<()> {
    for (shape, kind) in SHAPES {
        let part = format!("latency/{shape}");
        for (nodes, name) in site.options.sizes(&part, &[32, 64, 128, 256], &[32, 128]) {
            // Long enough on a busy machine.
            let apart = Duration::from_millis(25 + u64::from(nodes / 5));
            let [mut times, mut bare_times] = [const { Rounds::new() }; 2];
            let mut copies = 0.0;
            for _ in 0..site.options.rounds_or(5, 2) {
                let mut ours = Ours::start(site, kind, nodes)?;
                let mut bare = Bare::start(site, kind, nodes)?;
                site.sleep(REST)?;
                send_in_turn(site, &mut [&mut ours, &mut bare], ORIGINS, SENDS, apart)?;
                times.push(ours.times_to_all(ORIGINS)?);
                bare_times.push(bare.times_to_all(ORIGINS)?);
                copies = ours.tally()?.rumors as f64 / f64::from(ORIGINS + SENDS);
            }
            let lost = SENDS as usize * times.len() - times.concat().len();
            report.add(name, "ms", times, bare_times);
            report.note("not at all", lost as f64);
            report.note("copies a message", copies);
        }
    }
    Ok(())
}

/// Sends one message at a time to each of the networks in turn: one from each of the origins to warm
/// up, and those that count.
pub(crate) fn send_in_turn(
    site: &Site,
    networks: &mut [&mut dyn Network],
    origins: u32,
    sends: u32,
    apart: Duration,
) -> Outcome<()> {
    for send in 0..origins + sends {
        for network in &mut *networks {
            let nodes = network.nodes();
            network.hand_in(send % origins * (nodes / origins).max(1) % nodes + 1, 1)?;
            // Never in step with any timer.
            site.sleep(apart + Duration::from_millis(u64::from(send * 7 % 10)))?;
            network.taken()?;
        }
    }
    Ok(())
}
