//! Networks and their nodes, as `start-network`, `show-network` and `list-networks` show them.

use serde_json::{Value, json};

use super::columns::{Align, table};
use super::time_text::{self, Detail, TimeZone};
use super::{count, fault_text, kind_json, kind_text};
use crate::cli::survey::Asked;
use crate::network::{Record, Rewiring};
use crate::protocol::{Counters, PeerInfo, PeerState, Status, Wall};
use crate::spread::NodeState;

/// `14 of 16 up, 1 down, 1 removed`.
fn states_text(nodes: &[Asked<Status>]) -> String {
    let with = |state| nodes.iter().filter(|node| node.state == state).count();
    let mut text = format!("{} of {} up", with(NodeState::Up), nodes.len());
    for state in [NodeState::Silent, NodeState::Paused, NodeState::Down, NodeState::Removed] {
        match with(state) {
            0 => {}
            number => text.push_str(&format!(", {number} {}", state.name())),
        }
    }
    text
}

/// `2 to 4 peers each, seed 7`.
pub(crate) fn rewiring_text(rewiring: &Rewiring) -> String {
    let Rewiring { min_peers, max_peers, seed } = rewiring;
    let range = if min_peers == max_peers {
        count(*min_peers, "peer")
    } else {
        format!("{min_peers} to {max_peers} peers")
    };
    format!("{range} each, seed {seed}")
}

/// What is remarkable about a network, a line each: that it was rewired, its faults.
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
pub(crate) fn show_text(record: &Record, nodes: &[Asked<Status>], zone: &TimeZone) -> String {
    let started = time_text::local(Wall(record.started_at), zone, Detail::DateFirst);
    let facts = format!(
        "network   {}\ntopology  {}, seed {}\nstarted   {started}\nnodes     {}\n{}\n",
        record.name,
        kind_text(record),
        record.seed,
        states_text(nodes),
        remarks(record),
    );
    let columns = [
        ("node", Align::Right),
        ("address", Align::Left),
        ("pid", Align::Right),
        ("state", Align::Left),
        ("peers", Align::Right),
        ("messages", Align::Right),
        ("unread", Align::Right),
    ];
    let shown = |value: Option<u64>| value.map_or("-".into(), |value| value.to_string());
    let row = |node: &Asked<Status>| {
        let status = node.answer.as_ref();
        vec![
            node.record.node.to_string(),
            node.record.addr.to_string(),
            shown(pid(node).map(u64::from)),
            node.state.name().into(),
            shown(status.map(links)),
            shown(status.map(|status| status.messages)),
            shown(status.map(|status| status.unread)),
        ]
    };
    let mut rows: Vec<Vec<String>> = nodes.iter().map(row).collect();
    let mut total = vec!["all".into(), String::new(), String::new(), String::new()];
    let counted: [fn(&Status) -> u64; 3] =
        [links, |status| status.messages, |status| status.unread];
    total.extend(counted.map(|of| sum(nodes, of).to_string()));
    rows.push(total);
    facts + &table(&columns, &rows)
}

/// The sum over the nodes that answered.
fn sum(nodes: &[Asked<Status>], of: fn(&Status) -> u64) -> u64 {
    nodes.iter().filter_map(|node| node.answer.as_ref()).map(of).sum()
}

/// The same for programs, with everything that the nodes count.
pub(crate) fn show_json(record: &Record, nodes: &[Asked<Status>]) -> Value {
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

/// One line of `list-networks`.
#[derive(Debug)]
pub(crate) struct NetworkView {
    pub(crate) name: String,
    /// The record and how many of its nodes are up, or why it cannot be read.
    pub(crate) record: Result<(Record, usize), String>,
}

/// A table of networks; broken ones with the reason.
pub(crate) fn list_text(networks: &[NetworkView]) -> String {
    let columns = ["network", "topology", "nodes", "ports"].map(|heading| (heading, Align::Left));
    let row = |NetworkView { name, record }: &NetworkView| {
        let [topology, nodes, ports] = match record {
            Ok((record, up)) => {
                let nodes = format!("{up} of {} up", record.nodes.len());
                [kind_text(record), nodes, ports_text(record)]
            }
            Err(reason) => [format!("broken: {reason}"), String::new(), String::new()],
        };
        vec![name.clone(), topology, nodes, ports]
    };
    table(&columns, &networks.iter().map(row).collect::<Vec<_>>())
}

fn ports(record: &Record) -> Option<(u16, u16)> {
    let ports = || record.nodes.iter().map(|node| node.addr.port());
    Some((ports().min()?, ports().max()?))
}

/// `7001 to 7016`.
fn ports_text(record: &Record) -> String {
    match ports(record) {
        None => "none".into(),
        Some((first, last)) if first == last => first.to_string(),
        Some((first, last)) => format!("{first} to {last}"),
    }
}

/// The same for programs.
pub(crate) fn list_json(networks: &[NetworkView]) -> Value {
    let one = |NetworkView { name, record }: &NetworkView| match record {
        Ok((record, up)) => json!({
            "network": name,
            "topology": kind_json(record),
            "nodes": record.nodes.len(),
            "up": up,
            "ports": ports(record),
        }),
        Err(reason) => json!({ "network": name, "broken": reason }),
    };
    json!({ "networks": networks.iter().map(one).collect::<Vec<_>>() })
}

/// What `start-network` made.
pub(crate) fn started_text(record: &Record, plot: Option<&str>) -> String {
    let mut text = format!(
        "network {} runs: {}, {}, {}, ports {}, seed {}\n",
        record.name,
        kind_text(record),
        count(record.nodes.len() as u64, "node"),
        count(links_made(record), "link"),
        ports_text(record),
        record.seed
    );
    if let Some(plot) = plot {
        text.push_str(&format!("its topology is drawn in {}\n", super::escape::lines(plot)));
    }
    text
}

/// Links of the topology: each is told of by both of its ends.
fn links_made(record: &Record) -> u64 {
    record.nodes.iter().map(|node| node.peers.len() as u64).sum::<u64>() / 2
}

/// The same for programs.
pub(crate) fn started_json(record: &Record, plot: Option<&str>) -> Value {
    json!({
        "network": record.name,
        "topology": kind_json(record),
        "nodes": record.nodes.len(),
        "links": links_made(record),
        "ports": ports(record),
        "seed": record.seed,
        "plot": plot,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::{Fault, NodeRecord, ProcessId, Settings};
    use crate::protocol::{Key, NodeId};
    use crate::topology::Kind;

    fn record() -> Record {
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
        let networks = [
            NetworkView { name: "default".into(), record: Ok((record(), 1)) },
            NetworkView { name: "old".into(), record: Err("cut short".into()) },
        ];
        assert_eq!(
            list_text(&networks),
            "network  topology           nodes      ports\n\
             default  circular           1 of 2 up  7001 to 7002\n\
             old      broken: cut short\n"
        );
        assert_eq!(
            list_json(&networks)["networks"][1],
            json!({ "network": "old", "broken": "cut short" })
        );
    }

    #[test]
    fn no_secret_is_ever_shown() {
        let record = record();
        let nodes = [Asked { record: &record.nodes[0], state: NodeState::Up, answer: None }];
        let documents = [
            show_json(&record, &nodes).to_string(),
            started_json(&record, None).to_string(),
            show_text(&record, &nodes, &TimeZone::UTC),
        ];
        for document in documents {
            assert!(!document.contains("key") && !document.contains("7,7"), "{document}");
        }
    }

    #[test]
    fn a_link_is_counted_once_though_both_ends_tell_of_it() {
        assert_eq!(
            started_text(&record(), None),
            "network default runs: circular, 2 nodes, 1 link, ports 7001 to 7002, seed 42\n"
        );
    }
}
