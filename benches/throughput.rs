//! How many messages a second a network carries.

use std::time::Duration;

use gossip::runtime::clock;
use gossip::topology::Kind;

use crate::figure::{Better, Figure, Report};
use crate::site::{Feed, Lab, Outcome, SIDES, Side, Tally};
use crate::options::Options;

const HOW: &str = "messages of 6 bytes, offered at a constant rate to one node or to all in turn, what is \
    due each millisecond, on a random 3-regular network; the rate accepted, if every node had everything \
    one second after the last of ten seconds (a tenth of the load's time), as stamped in the nodes; found by \
    trying rates, ours and bare in turn, each on a new network of processes";

/// When the counts must be complete, after the last message, as a share of the time of the load:
/// one second after ten. Buffers alone would take in a short load whole.
const COMPLETE_WITHIN: f64 = 0.1;
/// How often to look how much has arrived.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// How long to wait for the rest, where an overload is looked at.
const REST_WITHIN: Duration = Duration::from_secs(20);
/// The load that looks for the rate, and the one that confirms it, in seconds.
const SEARCH_SECONDS: f64 = 2.0;
const CONFIRM_SECONDS: f64 = 10.0;
const QUICK_SECONDS: f64 = 1.0;
/// From one rate tried to the next, until one is carried and one is not; then halves of it.
const STEP: f64 = 1.6;
/// The most rates tried.
const TRIES_MAX: usize = 16;
const TRIES_QUICK: usize = 4;
/// The full time is tried first at this many times what was found, and a rate that is not carried
/// for so long is tried again at this share.
const ABOVE: f64 = 1.25;
const BACK: f64 = 0.9;
const CONFIRMS_MAX: usize = 20;
/// Below this share of what was offered, the network has slowed down who sends.
const SATURATED: f64 = 0.93;
/// More than this is worth another, higher offer; the search ends when that often it was not.
const GAIN: f64 = 1.05;
const STALLS_MAX: usize = 2;

const KIND: Kind = Kind::Random { degree: Some(3) };

/// What became of one load.
#[derive(Clone, Debug)]
struct Probe {
    offered: f64,
    /// Accepted, a second.
    carried: f64,
    accepted: u64,
    complete: bool,
    /// The share of a processor that the bench itself took.
    own: f64,
    tally: Tally,
}

/// The search for one network's rate.
struct Search {
    side: Side,
    /// The rate to offer next.
    rate: f64,
    /// What was carried best.
    best: Option<Probe>,
    /// The highest rate offered that was dealt with, the lowest that was not.
    passed: Option<f64>,
    failed: Option<f64>,
    /// How often more was offered, and no more was carried: who sends was slowed down.
    stalls: usize,
}

pub(crate) fn measure(options: &Options, lab: &Lab, report: &mut Report) -> Outcome<()> {
    let feeds = [Feed::One, Feed::All].into_iter().filter(|feed| {
        let quickly = options.quick && options.shapes.is_empty();
        options.wants_shape(feed.name()) && !(quickly && *feed == Feed::All)
    });
    for feed in feeds {
        for nodes in options.sizes(&[32, 128], &[32, 128]) {
            report.figures.push(of(options, lab, feed, nodes)?);
        }
    }
    Ok(())
}

fn of(options: &Options, lab: &Lab, feed: Feed, nodes: u32) -> Outcome<Figure> {
    let name = format!("throughput/{}/{nodes}", feed.name());
    let short = if options.quick { QUICK_SECONDS } else { SEARCH_SECONDS };
    let long = options.seconds.unwrap_or(if options.quick { short } else { CONFIRM_SECONDS });
    let guess = if nodes <= 48 { 4_000.0 } else { 1_000.0 };
    let mut searches = [Search::new(Side::Ours, 3.0 * guess), Search::new(Side::Bare, guess)];
    let narrow = if options.quick { 1.3 } else { 1.1 };
    for _ in 0..if options.quick { TRIES_QUICK } else { TRIES_MAX } {
        for search in &mut searches {
            if !search.is_over(narrow) {
                let probe = load(lab, search.side, feed, nodes, search.rate, short)?;
                tell(&name, search.side, &probe);
                search.learn(probe);
            }
        }
    }
    let found = searches.map(|search| search.best.unwrap_or_else(empty));
    let rounds = options.rounds_or(2, 0);
    let (mut ours, mut bare) = (Vec::new(), Vec::new());
    let mut last = found.clone();
    for _ in 0..rounds.max(1) {
        for (side, which) in SIDES.into_iter().zip(0..) {
            if rounds > 0 || long > short {
                // A short load is at the mercy of the moment: more may hold than was found.
                let rate = last[which].carried * ABOVE;
                let rate = if rate > 0.0 { rate } else { guess / 10.0 };
                last[which] = confirm(lab, &name, side, feed, nodes, rate, long)?;
            }
            // Where no rate was carried, there is none to tell.
            let measured = Some(last[which].carried).filter(|carried| *carried > 0.0);
            let rounds = if side == Side::Ours { &mut ours } else { &mut bare };
            rounds.push(measured.into_iter().collect());
        }
    }
    let mut figure = Figure::new(name.clone(), "messages/s", Better::Higher, HOW, &ours, &bare);
    // The grid on which rates are looked for is part of what is not known.
    figure.noise = figure.noise.max(if options.quick { 0.3 } else { 0.1 });
    for (side, probe) in SIDES.into_iter().zip(&last) {
        figure.note(&format!("bench's own share of a processor, {}", word(side)), probe.own);
    }
    note_frames(&mut figure, "", &last[0]);
    overload(lab, &mut figure, feed, nodes, long)?;
    Ok(figure)
}

fn empty() -> Probe {
    let tally = Tally::default();
    Probe { offered: 0.0, carried: 0.0, accepted: 0, complete: true, own: 0.0, tally }
}

/// The highest rate from this one down that is carried for so long.
fn confirm(
    lab: &Lab,
    name: &str,
    side: Side,
    feed: Feed,
    nodes: u32,
    mut rate: f64,
    seconds: f64,
) -> Outcome<Probe> {
    for _ in 0..CONFIRMS_MAX {
        let probe = load(lab, side, feed, nodes, rate, seconds)?;
        tell(name, side, &probe);
        if probe.complete {
            return Ok(probe);
        }
        rate *= BACK;
    }
    Ok(empty())
}

/// Offers twice the peak to both, and notes what became of it.
fn overload(lab: &Lab, figure: &mut Figure, feed: Feed, nodes: u32, seconds: f64) -> Outcome<()> {
    let peaks = [Some(&figure.ours), figure.bare.as_ref()].map(|of| of.map_or(0.0, |of| of.median));
    for (side, peak) in SIDES.into_iter().zip(peaks).filter(|(_, peak)| *peak > 0.0) {
        let mut network = lab.start(side, KIND, nodes)?;
        let time = Duration::from_secs_f64(seconds);
        let carried = network.load(lab, feed, 2.0 * peak, time)?;
        let mut arrived = 0.0;
        let mut tally = Tally::default();
        let until = clock::now().monotonic + REST_WITHIN;
        while arrived < 1.0 && clock::now().monotonic < until {
            lab.sleep(LOOK_INTERVAL)?;
            tally = network.tally()?;
            let all = carried.accepted as f64 * f64::from(nodes);
            arrived = tally.delivered.iter().sum::<u64>() as f64 / all;
            // Bare repairs nothing: what is not there when it answers never comes.
            if side == Side::Bare {
                break;
            }
        }
        let late = tally.last_at.saturating_sub(carried.ended_at) as f64 / 1e9;
        let accepted = carried.accepted as f64 / carried.seconds;
        let (who, share) = (word(side), accepted / peak);
        eprintln!(
            "{}: {who}, at twice, {:.0}/s offered, {accepted:.0}/s accepted, {:.2} % arrived, the last {late:.2} s after",
            figure.name,
            2.0 * peak,
            arrived * 100.0,
        );
        figure.note(&format!("at twice, {who} seconds to the last"), late);
        figure.note(&format!("at twice, {who} accepted of the peak"), share);
        figure.note(&format!("at twice, {who} arrived of the accepted"), arrived);
        if side == Side::Ours {
            note_frames(figure, "at twice, ", &Probe { tally, ..empty() });
        }
    }
    Ok(())
}

/// Only ours has counters for that.
fn note_frames(figure: &mut Figure, prefix: &str, probe: &Probe) {
    let Tally { rumors, rumor_datagrams, repairs, .. } = probe.tally;
    let frames = rumors as f64 / rumor_datagrams as f64;
    figure.note(&format!("{prefix}rumors per datagram"), frames);
    figure.note(&format!("{prefix}repaired share of copies"), repairs as f64 / rumors as f64);
}

fn word(side: Side) -> &'static str {
    match side {
        Side::Ours => "ours",
        Side::Bare => "bare",
    }
}

/// Loads a new network, and looks what has arrived when it should have.
fn load(lab: &Lab, side: Side, feed: Feed, nodes: u32, rate: f64, seconds: f64) -> Outcome<Probe> {
    let mut network = lab.start(side, KIND, nodes)?;
    let time = Duration::from_secs_f64(seconds);
    let carried = network.load(lab, feed, rate, time)?;
    // Looked at early, because mostly all is there long before; judged by the nodes' own stamps,
    // because a node that is behind also answers late.
    let within = time.mul_f64(COMPLETE_WITHIN);
    let deadline = carried.ended_at + u64::try_from(within.as_nanos())?;
    lab.sleep(within / 4)?;
    let mut tally = network.tally()?;
    let all = |tally: &Tally| tally.delivered.iter().all(|count| *count == carried.accepted);
    if !all(&tally) {
        lab.sleep(within)?;
        tally = network.tally()?;
    }
    Ok(Probe {
        offered: rate,
        carried: carried.accepted as f64 / carried.seconds,
        accepted: carried.accepted,
        complete: all(&tally) && tally.last_at <= deadline,
        own: carried.own,
        tally,
    })
}

/// Says what was seen, while one waits.
fn tell(name: &str, side: Side, probe: &Probe) {
    let all = probe.accepted as f64 * probe.tally.delivered.len() as f64;
    let missing = 1.0 - probe.tally.delivered.iter().sum::<u64>() as f64 / all;
    let late = "complete, but too late".to_owned();
    let verdict = if !probe.complete && missing <= 0.0 {
        late
    } else if probe.complete {
        "complete".to_owned()
    } else if missing.is_nan() {
        "nothing accepted".to_owned()
    } else {
        format!("{:.2} % missing", missing * 100.0)
    };
    let (offered, carried, own) = (probe.offered, probe.carried, probe.own);
    eprintln!(
        "{name}: {}, {offered:.0}/s offered, {carried:.0}/s accepted, {verdict}; bench {own:.2}",
        word(side)
    );
}

impl Search {
    fn new(side: Side, rate: f64) -> Self {
        Self { side, rate, best: None, passed: None, failed: None, stalls: 0 }
    }

    fn is_over(&self, narrow: f64) -> bool {
        match (self.passed, self.failed) {
            (Some(passed), Some(failed)) => self.stalls >= STALLS_MAX || failed / passed < narrow,
            (Some(_), None) => self.stalls >= STALLS_MAX,
            (None, Some(failed)) => failed < 50.0,
            (None, None) => false,
        }
    }

    /// Notes what a rate did, and chooses the next.
    fn learn(&mut self, probe: Probe) {
        let best = self.best.as_ref().map_or(0.0, |best| best.carried);
        if probe.complete {
            self.passed = Some(self.passed.map_or(self.rate, |passed| passed.max(self.rate)));
            let stalled = probe.carried < SATURATED * probe.offered && probe.carried < GAIN * best;
            self.stalls += usize::from(stalled);
            if probe.carried > best {
                self.best = Some(probe);
            }
        } else {
            self.failed = Some(self.failed.map_or(self.rate, |failed| failed.min(self.rate)));
        }
        self.rate = match (self.passed, self.failed) {
            (Some(passed), Some(failed)) => (passed * failed).sqrt(),
            (Some(passed), None) => passed * STEP,
            (None, Some(failed)) => failed / STEP,
            (None, None) => self.rate,
        };
    }
}
