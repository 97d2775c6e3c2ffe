//! `simulate`.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::start_network;
use crate::cli::render::columns::table;
use crate::cli::render::count;
use crate::cli::render::time_text::{self, micros};
use crate::cli::{Error, Global, args, output};
use crate::protocol::Effect;
use crate::sim::experiment::{Experiment, Outcome};
use crate::topology::{self, Kind};

pub(crate) const USAGE: &str = "gossip simulate [circular | powerlaw | random [DEGREE]] [OPTIONS]";

pub(crate) const EXAMPLES: &str = "\
Examples:
  gossip simulate -n 10000
  gossip simulate circular -n 1000 --delay 5ms --jitter 2ms
  gossip simulate powerlaw -n 5000 --messages 10 --loss 20% --seed 7
  gossip simulate random 5 -n 2000 --json | jq .relative_message_redundancy

The nodes of a simulation are those of real networks, on a clock and a network that are made up:
no socket is opened, and the same seed gives the same run on any machine. It ends when every node
has every message, or after --time-limit of its own time.

Coverage is the share of nodes that have a message. The last delivery hop is the depth of the
tree along which first copies spread. Relative message redundancy is m / (n - 1) - 1 for m copies
sent and n nodes that have the message: 0 for a perfect tree.";

/// How many points in time are shown to people,
const POINTS_SHOWN: u32 = 11;
/// and how many are given to programs.
const POINTS_GIVEN: u32 = 101;
/// A bar of this length means every node.
const BAR: f64 = 40.0;
/// The shares of deliveries whose times are told.
const SHARES: [(&str, f64); 4] = [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("max", 1.0)];

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Which nodes are linked: circular, powerlaw, or random with a DEGREE [default: random 3]
    #[arg(value_name = "TOPOLOGY", num_args = 0..=2)]
    topology: Vec<String>,
    /// How many nodes
    #[arg(short, long, value_name = "N", default_value_t = 1_000)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    num_nodes: u32,
    /// How many messages, each from a node drawn at random
    #[arg(short, long, value_name = "M", default_value_t = 1)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=100_000))]
    messages: u32,
    /// The time from one message to the next
    #[arg(long, value_name = "TIME", default_value = "10ms", value_parser = args::held_back)]
    interval: Duration,
    /// Copies a node may send of each message on each link, 1 to 16
    #[arg(short, long, value_name = "R", default_value_t = 1, value_parser = args::relays())]
    relays: u8,
    /// The share of datagrams that is lost
    #[arg(long, value_name = "SHARE", default_value = "0", value_parser = args::share)]
    loss: f64,
    /// How long a datagram takes
    #[arg(long, value_name = "TIME", default_value = "1ms", value_parser = args::held_back)]
    delay: Duration,
    /// At most how much longer, drawn for each datagram
    #[arg(long, value_name = "TIME", value_parser = args::held_back)]
    jitter: Option<Duration>,
    /// End after so much simulated time, done or not
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = args::held_back)]
    time_limit: Duration,
    /// Reproduce a run; drawn and shown when not given
    #[arg(long, value_name = "S")]
    seed: Option<u64>,
}

/// Lets messages spread through a simulated network, and shows how they did.
pub(crate) fn run(global: &Global, args: &Args) -> Result<(), Error> {
    let kind = start_network::kind("simulate", &args.topology)?;
    let seed = args::seed(args.seed)?;
    let (graph, adapted) = topology::build(kind, args.num_nodes, seed)?;
    for adapted in adapted {
        output::note(&adapted.to_string());
    }
    let jitter = args.jitter.unwrap_or_default();
    let experiment = Experiment {
        seed,
        messages: args.messages,
        interval: args.interval,
        relays: args.relays,
        latency: args.delay,
        effect: Effect { loss: args.loss, jitter, ..Effect::default() },
        within: args.time_limit,
    };
    let outcome = experiment.run(&graph).map_err(|violation| {
        Error::failed(
            "the simulation broke off",
            format!("a promise of the protocol was broken: {violation}"),
            format!("this is a bug: report the command line with --seed {seed}"),
        )
    })?;
    output::answer(global, &json(kind, &experiment, &outcome), &text(kind, &experiment, &outcome))
}

/// For people.
fn text(kind: Kind, experiment: &Experiment, outcome: &Outcome) -> String {
    let Outcome { spread, counters, complete, elapsed, .. } = outcome;
    let headline = format!(
        "{kind}: {} on {} ({} a hop), relays limit {}, seed {}",
        count(experiment.messages, "message"),
        count(spread.nodes, "node"),
        time_text::span(experiment.latency),
        experiment.relays,
        experiment.seed,
    );
    let point = |(after, coverage): (Duration, f64)| {
        [time_text::span(after), percent(coverage), "█".repeat((coverage * BAR) as usize)]
    };
    let points = spread.coverage_over_time(POINTS_SHOWN);
    let curve = table([">after", ">coverage", ""], points.into_iter().map(point).collect());
    let latency = SHARES.map(|(name, share)| {
        format!("{name} {}", spread.latency(share).map_or("-".into(), time_text::span))
    });
    let redundancy = spread.relative_message_redundancy();
    let datagrams = count(counters.control_datagrams_sent, "datagram");
    let rows = [
        ("coverage", percent(spread.coverage())),
        ("latency", latency.join(", ")),
        ("last delivery hop", spread.last_delivery_hop().to_string()),
        ("relative message redundancy", redundancy.map_or("-".into(), |it| format!("{it:.3}"))),
        ("copies sent", format!("{}, {} of them by repair", spread.copies, counters.repairs_sent)),
        ("control traffic", format!("{datagrams}, {} bytes", counters.control_bytes_sent)),
    ];
    let rows: String = rows.map(|(name, value)| format!("{name:<27}  {value}\n")).concat();
    let elapsed = time_text::span(*elapsed);
    let ending = if *complete {
        format!("every node had every message within {elapsed}")
    } else {
        format!("ended by its time limit after {elapsed}: not every node has every message")
    };
    format!("{headline}\n\n{curve}\n{rows}{ending}\n")
}

/// For programs.
fn json(kind: Kind, experiment: &Experiment, outcome: &Outcome) -> Value {
    let Outcome { spread, counters, complete, elapsed, .. } = outcome;
    let point = |(at, share): (Duration, f64)| json!({ "after_us": micros(at), "coverage": share });
    let points = spread.coverage_over_time(POINTS_GIVEN);
    let latency =
        SHARES.map(|(name, share)| (name.to_owned(), spread.latency(share).map(micros).into()));
    json!({
        "topology": kind.to_string(),
        "nodes": spread.nodes,
        "messages": spread.messages,
        "relays": experiment.relays,
        "seed": experiment.seed,
        "complete": complete,
        "elapsed_us": micros(*elapsed),
        "coverage": spread.coverage(),
        "coverage_over_time": points.into_iter().map(point).collect::<Vec<_>>(),
        "latency_us": Map::from_iter(latency),
        "last_delivery_hop": spread.last_delivery_hop(),
        "relative_message_redundancy": spread.relative_message_redundancy(),
        "copies": spread.copies,
        "repairs": counters.repairs_sent,
        "control": {
            "datagrams": counters.control_datagrams_sent,
            "bytes": counters.control_bytes_sent,
        },
    })
}

fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::{Delivery, Spread};

    fn outcome() -> Outcome {
        let delivery = |hops| Delivery { after: Duration::from_millis(1) * hops, hops };
        let deliveries = [1, 1, 2, 2, 3].map(delivery).to_vec();
        Outcome {
            spread: Spread::new(1, 6, 12, deliveries),
            complete: true,
            elapsed: Duration::from_millis(3),
            counters: Default::default(),
        }
    }

    #[test]
    fn people_see_a_curve_and_what_it_cost() {
        let (experiment, outcome) = (Experiment::default(), outcome());
        let text = text(Kind::Circular, &experiment, &outcome);
        assert!(text.starts_with("circular: 1 message on 6 nodes"), "{text}");
        assert!(text.contains("relative message redundancy  1.400\n"), "{text}");
        assert!(text.contains("last delivery hop            3\n"), "{text}");
        assert!(text.contains(&"█".repeat(40)), "{text}");
        assert!(text.ends_with("every node had every message within 3.0 ms\n"), "{text}");
    }

    #[test]
    fn programs_get_numbers() {
        let (experiment, outcome) = (Experiment::default(), outcome());
        let json = json(Kind::Circular, &experiment, &outcome);
        assert_eq!(json["latency_us"]["p50"], 2_000);
        assert_eq!(json["coverage_over_time"][0]["coverage"], 1.0 / 6.0);
        assert_eq!(json["coverage_over_time"][100]["after_us"], 3_000);
        assert_eq!(json["relative_message_redundancy"], 12.0 / 5.0 - 1.0);
    }
}
