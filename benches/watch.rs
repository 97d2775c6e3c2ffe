//! Whether somebody who watches slows a network down.

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};
use std::time::Duration;

use gossip::protocol::Monotonic;
use gossip::runtime::clock;
use gossip::topology::Kind;

use crate::figure::{Better, Figure, Ratio, Report};
use crate::site::{Feed, Lab, Network, Outcome, Receipt};
use crate::options::Options;
use crate::ours::Ours;

const PACED: &str = "random 3-regular, under a constant load at all nodes in turn, which leaves the \
    processors time; the time to all of each message, stamped in the nodes; ours: while \
    `gossip watch-network` writes to /dev/null; bare: the same network without, in turn, and each as \
    often first";
const SATURATED: &str = "the same, with as many messages as the nodes take; the rate from the first \
    message sent to the last one received, stamped in the nodes";

/// A load that leaves the processors time, and one that does not.
const RATES: [u32; 2] = [100, 0];
/// More than any network takes, and for how long: the nodes keep what they get.
const TOO_MUCH: f64 = 100_000.0;
const SATURATED_TIME: Duration = Duration::from_millis(500);
const PACED_TIME: Duration = Duration::from_secs(2);
/// When all must have arrived, and how often to look.
const ARRIVED_WITHIN: Duration = Duration::from_secs(20);
const LOOK_INTERVAL: Duration = Duration::from_millis(500);

pub(crate) fn measure(options: &Options, lab: &Lab, report: &mut Report) -> Outcome<()> {
    if options.quick && options.only.is_empty() {
        // A few per cent cannot be seen in a hurry.
        return Ok(());
    }
    let rates = if options.rates.is_empty() { &RATES[..] } else { &options.rates };
    for nodes in options.sizes(&[16], &[16]) {
        for rate in rates {
            report.figures.push(of(options, lab, nodes, *rate)?);
        }
    }
    Ok(())
}

fn of(options: &Options, lab: &Lab, nodes: u32, rate: u32) -> Outcome<Figure> {
    let load = if rate == 0 { "saturated".to_owned() } else { rate.to_string() };
    let name = format!("watch/{load}/{nodes}");
    eprintln!("{name}");
    let mut network = lab.start_ours(Kind::Random { degree: Some(3) }, nodes)?;
    lab.rest()?;
    let (mut with, mut without) = (Vec::new(), Vec::new());
    // The first round warms up. What the nodes hold grows, so each comes first as often.
    for round in 0..=options.rounds_or(6, 2) {
        for watched in if round % 2 == 0 { [true, false] } else { [false, true] } {
            let watcher = watched.then(|| Watcher::start(&network)).transpose()?;
            let measured = loaded(lab, &mut network, rate)?;
            drop(watcher);
            if round > 0 {
                if watched { with.push(measured) } else { without.push(measured) }
            }
        }
    }
    let mut figure = match rate {
        0 => Figure::new(name, "messages/s", Better::Higher, SATURATED, &with, &without),
        _ => Figure::new(name, "ms", Better::Lower, PACED, &with, &without),
    };
    if let Some(Ratio { median, .. }) = figure.ratio {
        let slower = if rate == 0 { 1.0 / median } else { median } - 1.0;
        figure.note("slower while watched, %", slower * 100.0);
    }
    Ok(figure)
}

/// The times to all of the messages of one load, or the rate at which they arrived everywhere.
fn loaded(lab: &Lab, network: &mut Ours, rate: u32) -> Outcome<Vec<f64>> {
    let before = network.tally()?.delivered;
    let (offered, time) = match rate {
        0 => (TOO_MUCH, SATURATED_TIME),
        rate => (f64::from(rate), PACED_TIME),
    };
    let accepted = network.load(lab, Feed::All, offered, time)?.accepted;
    let until = clock::now().monotonic + ARRIVED_WITHIN;
    await_all(lab, network, &before, accepted, until)?;
    let receipts = network.last_receipts(accepted)?;
    if rate > 0 {
        let nodes = network.nodes();
        return Ok(receipts.iter().filter_map(|receipt| receipt.time_to_all(nodes)).collect());
    }
    let first = receipts.iter().map(|receipt| receipt.sent_at).min().unwrap_or(0);
    let last = receipts.iter().filter_map(last).max().unwrap_or(0);
    Ok(vec![accepted as f64 * 1e9 / last.saturating_sub(first) as f64])
}

fn last(receipt: &Receipt) -> Option<u64> {
    receipt.received_at.iter().max().copied()
}

/// Waits until every node has so many messages more than before.
fn await_all(
    lab: &Lab,
    network: &mut Ours,
    before: &[u64],
    accepted: u64,
    until: Monotonic,
) -> Outcome<()> {
    loop {
        lab.sleep(LOOK_INTERVAL)?;
        let delivered = network.tally()?.delivered;
        if before.iter().zip(&delivered).all(|(before, now)| before + accepted <= *now) {
            return Ok(());
        }
        if clock::now().monotonic > until {
            return Err(format!("of {accepted} messages, some did not arrive").into());
        }
    }
}

/// Somebody who watches, and has everything written to nowhere.
struct Watcher(Child);

impl Watcher {
    /// From when this returns, all nodes tell it what happens.
    fn start(network: &Ours) -> Outcome<Self> {
        let mut command = network.command("watch-network");
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
        let notes = child.stderr.take();
        let watcher = Self(child);
        let mut note = String::new();
        notes.map(|notes| BufReader::new(notes).read_line(&mut note)).transpose()?;
        if !note.starts_with("watching ") {
            return Err(format!("nobody watches: {note}").into());
        }
        Ok(watcher)
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
