//! `simulate`.

use std::time::Duration;

use super::start_network;
use crate::cli::render::simulation_text as render;
use crate::cli::{Error, Global, args, output};
use crate::protocol::{Effect, RELAYS_MAX, Refused};
use crate::sim::experiment::Experiment;
use crate::topology;

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
    #[arg(short, long, value_name = "R", default_value_t = 1)]
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
    if !(1..=RELAYS_MAX).contains(&args.relays) {
        return Err(Error::misused(
            "the messages were refused",
            Refused::Relays { relays: args.relays }.to_string(),
            "use --relays with a number from 1 to 16",
        ));
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
    let view = render::View { kind, experiment: &experiment, outcome: &outcome };
    output::answer(global, &view.json(), &view.text())
}
