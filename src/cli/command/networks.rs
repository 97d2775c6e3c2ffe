//! Commands about a network as a whole: `stop-network`, `show-network`, `list-networks` and
//! `rewire-network`.

use serde_json::{Value, json};

use crate::cli::progress::Progress;
use crate::cli::render::columns::table;
use crate::cli::render::time_text::{self, Detail, TimeZone};
use crate::cli::render::{count, fault_text, kind_json, kind_text, listing, nodes_text, word};
use crate::cli::survey::{self, Asked};
use crate::cli::{Error, Global, args, output};
use crate::control::{Request, Response};
use crate::network::{self, Record, Rewiring, StateDir, StopReport};
use crate::protocol::{Counters, PeerInfo, PeerState, Status, Wall};
use crate::spread::NodeState;

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
    let nodes = nodes_text(&report.left);
    Err(Error::failed(
        format!("could not stop all of network {network}: left are {nodes}"),
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
    let nodes = survey::all(&record, |client| match client.ask(&Request::Status)? {
        Response::Status(status) => Ok(Some(*status)),
        _ => Ok(None),
    });
    let text = show_text(&record, &nodes, &TimeZone::system());
    output::answer(global, &show_json(&record, &nodes), &text)
}

/// `14 of 16 up, 1 down, 1 removed`.
fn states_text(nodes: &[Asked<Status>]) -> String {
    let with = |state| nodes.iter().filter(|node| node.state == state).count();
    let mut text = format!("{} of {} up", with(NodeState::Up), nodes.len());
    for state in [NodeState::Silent, NodeState::Paused, NodeState::Down, NodeState::Removed] {
        match with(state) {
            0 => {}
            number => text.push_str(&format!(", {number} {}", word(&state))),
        }
    }
    text
}

/// Remarks on a network, a line each: that it was rewired, its faults.
fn remarks(record: &Record) -> String {
    let mut text = String::new();
    if let Some(rewiring) = &record.rewired {
        text.push_str(&format!("rewired   {}\n", rewiring_text(rewiring)));
    }
    for (index, fault) in record.faults.iter().enumerate() {
        let heading = if index == 0 { "faults" } else { "" };
        text.push_str(&format!("{heading:<10}{}\n", fault_text::one(fault)));
    }
    text
}

/// The links that a status tells of as being in use.
fn links(status: &Status) -> u64 {
    let in_use = |peer: &&PeerInfo| matches!(peer.state, PeerState::Alive | PeerState::Suspected);
    status.peers.iter().filter(in_use).count() as u64
}

/// A node's process, where there is one.
fn pid(node: &Asked<Status>) -> Option<u32> {
    node.state.lives().then_some(node.record.process.pid)
}

/// A network's facts, then a table of its nodes, then the sums.
fn show_text(record: &Record, nodes: &[Asked<Status>], zone: &TimeZone) -> String {
    let started = time_text::local(Wall(record.started_at), zone, Detail::DateFirst);
    let facts = format!(
        "network   {}\ntopology  {}, seed {}\nstarted   {started}\nnodes     {}\n{}\n",
        record.name,
        kind_text(record),
        record.seed,
        states_text(nodes),
        remarks(record),
    );
    let headings = [">node", "address", ">pid", "state", ">peers", ">messages", ">unread"];
    let shown = |value: Option<u64>| value.map_or("-".into(), |value| value.to_string());
    let row = |node: &Asked<Status>| {
        let status = node.answer.as_ref();
        [
            node.record.node.to_string(),
            node.record.addr.to_string(),
            shown(pid(node).map(u64::from)),
            word(&node.state),
            shown(status.map(links)),
            shown(status.map(|status| status.messages)),
            shown(status.map(|status| status.unread)),
        ]
    };
    let mut rows: Vec<[String; 7]> = nodes.iter().map(row).collect();
    let counted: [fn(&Status) -> u64; 3] = [links, |it| it.messages, |it| it.unread];
    let [peers, messages, unread] = counted.map(|of| sum(nodes, of).to_string());
    let blank = String::new;
    rows.push(["all".into(), blank(), blank(), blank(), peers, messages, unread]);
    facts + &table(headings, rows)
}

/// The sum over the nodes that answered.
fn sum(nodes: &[Asked<Status>], of: fn(&Status) -> u64) -> u64 {
    nodes.iter().filter_map(|node| node.answer.as_ref()).map(of).sum()
}

/// The same for programs, with everything that the nodes count.
fn show_json(record: &Record, nodes: &[Asked<Status>]) -> Value {
    let mut counters = Counters::default();
    nodes.iter().flat_map(|node| &node.answer).for_each(|status| counters.add(&status.counters));
    let node_json = |node: &Asked<Status>| {
        let status = node.answer.as_ref();
        json!({
            "node": node.record.node,
            "addr": node.record.addr,
            "pid": pid(node),
            "incarnation": node.record.incarnation,
            "state": node.state,
            "started_with": node.record.peers,
            "peers": status.map(links),
            "messages": status.map(|status| status.messages),
            "unread": status.map(|status| status.unread),
            "status": status,
        })
    };
    json!({
        "network": record.name,
        "topology": kind_json(record),
        "seed": record.seed,
        "rewired": record.rewired,
        "faults": fault_text::json(&record.faults),
        "ports_origin": record.ports_origin,
        "started_at": time_text::rfc3339(Wall(record.started_at)),
        "totals": {
            "nodes": nodes.len(),
            "up": nodes.iter().filter(|node| node.state == NodeState::Up).count(),
            "messages": sum(nodes, |status| status.messages),
            "unread": sum(nodes, |status| status.unread),
            "counters": counters,
        },
        "nodes": nodes.iter().map(node_json).collect::<Vec<_>>(),
    })
}

/// Shows every network that this machine's user has, broken ones included.
pub(crate) fn list(global: &Global) -> Result<(), Error> {
    let mut networks = StateDir::from_env()?.list()?;
    networks.sort_by(|(one, _), (other, _)| one.cmp(other));
    if networks.is_empty() && !global.json {
        output::note("no networks; `gossip start-network` starts one");
        return Ok(());
    }
    let listed = networks.into_iter().map(|(name, record)| listed(&name, record));
    let (rows, documents): (Vec<_>, Vec<Value>) = listed.unzip();
    let text = table(["network", "topology", "nodes", "ports"], rows);
    output::answer(global, &json!({ "networks": documents }), &text)
}

/// A network's row, and the same for programs; for a broken one, the reason.
fn listed(name: &str, record: Result<Record, network::Error>) -> ([String; 4], Value) {
    match record {
        Ok(record) => {
            let all = record.nodes.len();
            let up = record.nodes.iter().filter(|node| record.is_running(node)).count();
            let up_text = format!("{up} of {all} up");
            let document = json!({
                "network": name,
                "topology": kind_json(&record),
                "nodes": all,
                "up": up,
                "ports": ports(&record),
            });
            ([name.into(), kind_text(&record), up_text, ports_text(&record)], document)
        }
        Err(error) => {
            let reason = Error::from(error).on_one_line();
            let row = [name.into(), format!("broken: {reason}"), String::new(), String::new()];
            (row, json!({ "network": name, "broken": reason }))
        }
    }
}

/// The first and the last of its nodes' ports.
pub(crate) fn ports(record: &Record) -> Option<(u16, u16)> {
    let ports = || record.nodes.iter().map(|node| node.addr.port());
    Some((ports().min()?, ports().max()?))
}

/// `7001 to 7016`.
pub(crate) fn ports_text(record: &Record) -> String {
    match ports(record) {
        None => "none".into(),
        Some((first, last)) if first == last => first.to_string(),
        Some((first, last)) => format!("{first} to {last}"),
    }
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
    let how = rewiring_text(&rewired.rewiring);
    let text = format!("network {} rewired: {nodes}, {links}, {how}\n", global.network);
    output::answer(global, &document, &text)?;
    Error::unless_all_heard(&rewired.deaf)
}

/// `2 to 4 peers each, seed 7`.
fn rewiring_text(rewiring: &Rewiring) -> String {
    let Rewiring { min_peers, max_peers, seed } = rewiring;
    let range = if min_peers == max_peers {
        count(*min_peers, "peer")
    } else {
        format!("{min_peers} to {max_peers} peers")
    };
    format!("{range} each, seed {seed}")
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::network::{Fault, NodeRecord, ProcessId, Settings};
    use crate::protocol::{Key, NodeId};
    use crate::topology::Kind;

    #[test]
    fn nodes_that_could_not_be_stopped_are_a_failure_that_names_them() {
        let mut report = StopReport { asked: vec![NodeId(1)], ..StopReport::default() };
        assert_eq!(left_error("ring", &report), Ok(()));
        report.left = vec![NodeId(2), NodeId(3)];
        let error = left_error("ring", &report).unwrap_err().to_string();
        assert!(error.contains("ring: left are nodes 2 and 3"), "{error}");
    }

    /// Two nodes of a ring.
    pub(crate) fn record() -> Record {
        let node = |number: u32| NodeRecord {
            node: NodeId(number),
            addr: ([127, 0, 0, 1], 7000 + u16::try_from(number).unwrap()).into(),
            incarnation: 1,
            process: ProcessId { pid: 100 + number, started: 1 },
            removed: false,
            peers: vec![NodeId(3 - number)],
        };
        Record {
            version: 1,
            name: "default".into(),
            kind: Some(Kind::Circular),
            seed: 42,
            key: Key([7; 32]),
            ports_origin: 7000,
            started_at: 1_785_499_402_000_000_000,
            boot_id: String::new(),
            settings: Settings::default(),
            rewired: None,
            faults: Vec::new(),
            nodes: vec![node(1), node(2)],
        }
    }

    #[test]
    fn a_node_that_does_not_answer_is_shown_as_such() {
        let record = record();
        let nodes = [
            Asked { record: &record.nodes[0], state: NodeState::Silent, answer: None },
            Asked { record: &record.nodes[1], state: NodeState::Down, answer: None },
        ];
        let text = show_text(&record, &nodes, &TimeZone::UTC);
        assert_eq!(
            text,
            "network   default\ntopology  circular, seed 42\nstarted   2026-07-31 12:03:22 +00:00\n\
             nodes     0 of 2 up, 1 silent, 1 down\n\n\
             node  address         pid  state   peers  messages  unread\n   \
             1  127.0.0.1:7001  101  silent      -         -       -\n   \
             2  127.0.0.1:7002    -  down        -         -       -\n \
             all                                   0         0       0\n"
        );
        let document = show_json(&record, &nodes);
        assert_eq!(document["totals"]["nodes"], 2);
        assert_eq!(document["nodes"][0]["state"], "silent");
        assert_eq!(document["nodes"][0]["status"], Value::Null);
        assert_eq!(document["nodes"][0]["pid"], 101);
        assert_eq!(document["nodes"][1]["pid"], Value::Null);
    }

    #[test]
    fn faults_and_rewiring_are_shown_above_the_table() {
        let mut record = record();
        assert_eq!(remarks(&record), "");
        record.rewired = Some(Rewiring { min_peers: 2, max_peers: 4, seed: 7 });
        let cut = Fault::Partition(vec![vec![(1, 1)], vec![(2, 2)]]);
        record.faults = vec![cut.clone(), cut];
        assert_eq!(
            remarks(&record),
            "rewired   2 to 4 peers each, seed 7\nfaults    partition: 1 | 2\n          \
             partition: 1 | 2\n"
        );
        let document = show_json(&record, &[]);
        assert_eq!(document["faults"][1]["groups"], json!([[[1, 1]], [[2, 2]]]));
        assert_eq!(document["rewired"]["max_peers"], 4);
    }

    #[test]
    fn a_broken_network_is_listed_with_the_reason() {
        let broken = network::Error::StateBroken("/x/network.json".into(), "cut short".into());
        let (row, document) = listed("old", Err(broken));
        let reason = "cannot read /x/network.json: it is cut short";
        assert_eq!(row, ["old", &format!("broken: {reason}"), "", ""]);
        assert_eq!(document, json!({ "network": "old", "broken": reason }));
        let (row, document) = listed("default", Ok(record()));
        assert_eq!(row, ["default", "circular", "0 of 2 up", "7001 to 7002"]);
        assert_eq!(document["ports"], json!([7001, 7002]));
    }

    #[test]
    fn no_secret_is_ever_shown() {
        let record = record();
        let nodes = [Asked { record: &record.nodes[0], state: NodeState::Up, answer: None }];
        let documents =
            [show_json(&record, &nodes).to_string(), show_text(&record, &nodes, &TimeZone::UTC)];
        for document in documents {
            assert!(!document.contains("key") && !document.contains("7,7"), "{document}");
        }
    }
}
