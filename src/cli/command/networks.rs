//! Commands about a network as a whole: `stop-network`, `show-network`, `list-networks` and
//! `rewire-network`.

use serde_json::json;

use crate::cli::progress::Progress;
use crate::cli::render::network_text::{self as render, NetworkView};
use crate::cli::render::time_text::TimeZone;
use crate::cli::render::{count, listing};
use crate::cli::survey::{self, Asked};
use crate::cli::{Error, Global, args, output};
use crate::control::{Request, Response};
use crate::network::{self, Record, StateDir, StopReport};
use crate::protocol::Status;

pub(crate) const STOP_EXAMPLES: &str = "\
Examples:
  gossip stop-network
  gossip stop-network --network ring";

pub(crate) const SHOW_EXAMPLES: &str = "\
Examples:
  gossip show-network
  gossip show-network --json | jq .totals.counters";

pub(crate) const LIST_EXAMPLES: &str = "\
Examples:
  gossip list-networks
  gossip list-networks --json";

pub(crate) const REWIRE_EXAMPLES: &str = "\
Examples:
  gossip rewire-network
  gossip rewire-network --min-peers 3 --max-peers 5 --seed 7

Links the nodes anew, at random, so that all of them are connected. Each keeps its old links
until the new ones stand: no message is lost. A ring is a ring no more after this. Nodes that are
paused or down are left out, and find their way back when they go on.";

#[derive(Debug, clap::Args)]
pub(crate) struct RewireArgs {
    /// The fewest peers of a node [default: 2]
    #[arg(long, value_name = "A")]
    min_peers: Option<u32>,
    /// The most peers of a node [default: 2 more than the fewest]
    #[arg(long, value_name = "B")]
    max_peers: Option<u32>,
    /// Reproduce a choice; drawn and shown when not given
    #[arg(long, value_name = "S")]
    seed: Option<u64>,
}

/// Stops the network, and says what could not be stopped.
pub(crate) fn stop(global: &Global) -> Result<(), Error> {
    let report = stopped(&global.network)?;
    let document = json!({
        "network": global.network,
        "asked": report.asked,
        "signalled": report.signalled,
        "gone": report.gone,
        "left": report.left,
    });
    output::answer(global, &document, &stopped_text(&global.network, &report))?;
    left_error(&global.network, &report)
}

/// Stops the network, unless another command has done so meanwhile, or does so now.
pub(crate) fn stop_if_running(network: &str) -> Result<(), Error> {
    let report = match stopped(network) {
        Err(network::Error::NotRunning(_)) => return Ok(()),
        report => report?,
    };
    output::note(&format!("network {network} stopped"));
    left_error(network, &report)
}

/// Stops a network while a progress bar grows.
fn stopped(network: &str) -> Result<StopReport, network::Error> {
    let mut progress = Progress::of_nodes("stopping");
    StateDir::from_env()?.stop(network, &mut |now| progress.show(now.done, now.total))
}

/// Nodes that are still there are a failure: their ports stay taken.
fn left_error(network: &str, report: &StopReport) -> Result<(), Error> {
    if report.left.is_empty() {
        return Ok(());
    }
    let nodes = listing(&report.left);
    Err(Error::failed(
        format!("could not stop all of network {network}: left are nodes {nodes}"),
        "they did not end when asked, and the system did not let us end them",
        "see who owns those processes (`gossip show-network`), and stop them by hand",
    ))
}

fn stopped_text(network: &str, report: &StopReport) -> String {
    let ended = report.asked.len() + report.signalled.len();
    let mut text = format!("network {network} stopped: {}", count(ended as u64, "node"));
    if !report.signalled.is_empty() {
        text.push_str(&format!(", of which {} had to be killed", listing(&report.signalled)));
    }
    if !report.gone.is_empty() {
        text.push_str(&format!("; {} gone before", count(report.gone.len() as u64, "node")));
    }
    text + "\n"
}

/// Asks every live node how it is, and shows them all.
pub(crate) fn show(global: &Global) -> Result<(), Error> {
    let record = StateDir::from_env()?.load(&global.network)?;
    let nodes = ask_status(&record);
    let text = render::show_text(&record, &nodes, &TimeZone::system());
    output::answer(global, &render::show_json(&record, &nodes), &text)
}

/// Every node of the network, with what the live ones say of themselves.
pub(crate) fn ask_status(record: &Record) -> Vec<Asked<'_, Status>> {
    survey::all(record, |client| match client.ask(&Request::Status)? {
        Response::Status(status) => Ok(Some(*status)),
        _ => Ok(None),
    })
}

/// Shows every network that this machine's user has, broken ones included.
pub(crate) fn list(global: &Global) -> Result<(), Error> {
    let mut networks: Vec<NetworkView> = Vec::new();
    for (name, record) in StateDir::from_env()?.list()? {
        let record = record.map_err(|error| Error::from(error).on_one_line()).map(|record| {
            let up = record.nodes.iter().filter(|node| record.is_running(node)).count();
            (record, up)
        });
        networks.push(NetworkView { name, record });
    }
    networks.sort_by(|one, other| one.name.cmp(&other.name));
    if networks.is_empty() && !global.json {
        output::note("no networks; `gossip start-network` starts one");
        return Ok(());
    }
    output::answer(global, &render::list_json(&networks), &render::list_text(&networks))
}

/// Has every node take new neighbours.
pub(crate) fn rewire(global: &Global, args: &RewireArgs) -> Result<(), Error> {
    let seed = args::seed(args.seed)?;
    let bounds = (args.min_peers, args.max_peers);
    let rewired = StateDir::from_env()?.rewire(&global.network, bounds, seed)?;
    let document = json!({
        "network": global.network,
        "nodes": rewired.nodes,
        "links": rewired.links,
        "min_peers": rewired.rewiring.min_peers,
        "max_peers": rewired.rewiring.max_peers,
        "seed": rewired.rewiring.seed,
        "unreached": rewired.deaf,
    });
    let (nodes, links) = (count(rewired.nodes, "node"), count(rewired.links, "link"));
    let how = render::rewiring_text(&rewired.rewiring);
    let text = format!("network {} rewired: {nodes}, {links}, {how}\n", global.network);
    output::answer(global, &document, &text)?;
    Error::unless_all_heard(&rewired.deaf)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::NodeId;

    #[test]
    fn nodes_that_could_not_be_stopped_are_a_failure_that_names_them() {
        let mut report = StopReport { asked: vec![NodeId(1)], ..StopReport::default() };
        assert_eq!(left_error("ring", &report), Ok(()));
        report.left = vec![NodeId(2), NodeId(3)];
        let error = left_error("ring", &report).unwrap_err().to_string();
        assert!(error.contains("ring: left are nodes 2 and 3"), "{error}");
    }
}
