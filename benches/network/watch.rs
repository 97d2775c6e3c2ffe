//! Whether somebody who watches slows a network down.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use gossip::control::client::Subscription;
use gossip::topology::Kind;

use crate::figure::{Better, Figure, Ratio, Report};
use crate::lab::{Lab, Network, Outcome};
use crate::options::Options;
use crate::ours::Ours;

const HOW: &str = "32 nodes, random 3-regular, under a constant load at all nodes in turn; the time \
    to all of each message, stamped in the nodes; ours: with a subscriber at every node; bare: the \
    same network without, in turn";

const NODES: u32 = 32;
/// Messages a second, and for how long.
const RATE: f64 = 300.0;
const TIME: Duration = Duration::from_secs(2);

pub(crate) fn measure(options: &Options, lab: &Lab, report: &mut Report) -> Outcome<()> {
    if options.quick && options.only.is_empty() {
        // A few per cent cannot be seen in a hurry.
        return Ok(());
    }
    eprintln!("watch");
    let mut network = lab.start_ours(Kind::Random { degree: Some(3) }, NODES)?;
    lab.rest()?;
    let (mut with, mut without) = (Vec::new(), Vec::new());
    // The first round warms up.
    for round in 0..=options.rounds_or(6, 2) {
        for watched in [true, false] {
            let watchers = watched.then(|| Watchers::start(&network)).transpose()?;
            let times = loaded(lab, &mut network)?;
            if let Some(watchers) = watchers {
                watchers.stop();
            }
            if round > 0 {
                if watched { with.push(times) } else { without.push(times) }
            }
        }
    }
    let name = format!("watch/{NODES}");
    let mut figure = Figure::new(name, "ms", Better::Lower, HOW, &with, &without);
    if let Some(Ratio { median, .. }) = figure.ratio {
        figure.note("slower with watchers, %", (median - 1.0) * 100.0);
    }
    report.figures.push(figure);
    Ok(())
}

/// The times to all of the messages of one load.
fn loaded(lab: &Lab, network: &mut Ours) -> Outcome<Vec<f64>> {
    let before = network.tally()?.delivered[0];
    let carried = network.load(lab, crate::lab::Feed::All, RATE, TIME)?;
    lab.sleep(Duration::from_secs(1))?;
    let receipts = network.last_receipts(carried.accepted)?;
    let times: Vec<f64> = receipts.iter().filter_map(|r| r.time_to_all(NODES)).collect();
    if (times.len() as u64) < carried.accepted {
        return Err(format!("after {before} messages, some did not arrive in a second").into());
    }
    Ok(times)
}

/// Somebody who listens to every node.
struct Watchers {
    ended: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Watchers {
    fn start(network: &Ours) -> Outcome<Self> {
        let ended = Arc::new(AtomicBool::new(false));
        let mut threads = Vec::new();
        for node in 1..=NODES {
            let mut events = network.connect(node)?.subscribe()?;
            let ended = Arc::clone(&ended);
            let listen = move || listen(&mut events, &ended);
            threads.push(Builder::new().name("watch".into()).spawn(listen)?);
        }
        Ok(Self { ended, threads })
    }

    fn stop(self) {
        self.ended.store(true, Ordering::Release);
        for thread in self.threads {
            let _ = thread.join();
        }
    }
}

/// A node says something at least every few seconds, so this ends soon.
fn listen(events: &mut Subscription, ended: &AtomicBool) {
    while !ended.load(Ordering::Acquire) && events.wait().is_ok() {}
}
