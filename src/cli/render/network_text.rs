//! Networks and their nodes, as `start-network`, `show-network` and `list-networks` show them.

use serde_json::{Value, json};

use super::columns::{Align, table};
use super::time_text::TimeZone;
use super::time_text::{self, Detail};
use super::{count, fault_text, kind_json, kind_text};
use crate::network::{NodeRecord, Record, Rewiring};
use crate::protocol::{Counters, PeerInfo, PeerState, Status, Wall};
pub(crate) use crate::spread::NodeState;

impl NodeView<'_> {
    /// Its process, where there is one.
    fn pid(&self) -> Option<u32> {
        let gone = matches!(self.state, NodeState::Down | NodeState::Removed);
        (!gone).then_some(self.record.process.pid)
    }
}

/// `14 of 16 up, 1 down, 1 removed`.
fn states_text(nodes: &[NodeView]) -> String {
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

/// One node, and what it said of itself if it answered.
#[derive(Clone, Debug)]
pub(crate) struct NodeView<'a> {
    pub(crate) record: &'a NodeRecord,
    pub(crate) state: NodeState,
    pub(crate) status: Option<Status>,
}

/// The links that a status tells of as being in use.
fn links(status: &Status) -> usize {
    let in_use = |peer: &&PeerInfo| matches!(peer.state, PeerState::Alive | PeerState::Suspected);
    status.peers.iter().filter(in_use).count()
}

/// A network's facts, then a table of its nodes, then the sums.
pub(crate) fn show_text(record: &Record, nodes: &[NodeView], zone: &TimeZone) -> String {
    let started = time_text::local(Wall(record.started_at), zone, Detail::DateFirst);
    let mut text = format!(
        "network   {}\ntopology  {}, seed {}\nstarted   {started}\nnodes     {}\n{}\n",
        record.name,
        kind_text(record),
        record.seed,
        states_text(nodes),
        remarks(record),
    );
    let right = |heading| (heading, Align::Right);
    let left = |heading| (heading, Align::Left);
    let columns = [
        right("node"),
        left("address"),
        right("pid"),
        left("state"),
        right("peers"),
        right("messages"),
        right("unread"),
    ];
    let mut rows: Vec<Vec<String>> = nodes.iter().map(row).collect();
    let sums = totals(nodes);
    let mut total = vec!["all".into(), String::new(), String::new(), String::new()];
    total.extend([sums.links, sums.messages, sums.unread].map(|sum| sum.to_string()));
    rows.push(total);
    text.push_str(&table(&columns, &rows));
    text
}

fn row(node: &NodeView) -> Vec<String> {
    let told = |what: fn(&Status) -> u64| {
        node.status.as_ref().map_or("-".into(), |status| what(status).to_string())
    };
    vec![
        node.record.node.to_string(),
        node.record.addr.to_string(),
        node.pid().map_or("-".into(), |pid| pid.to_string()),
        node.state.name().into(),
        told(|status| links(status) as u64),
        told(|status| status.messages),
        told(|status| status.unread),
    ]
}

#[derive(Default)]
struct Totals {
    links: u64,
    messages: u64,
    unread: u64,
    counters: Counters,
}

fn totals(nodes: &[NodeView]) -> Totals {
    let mut totals = Totals::default();
    for status in nodes.iter().filter_map(|node| node.status.as_ref()) {
        totals.links += links(status) as u64;
        totals.messages += status.messages;
        totals.unread += status.unread;
        totals.counters.add(&status.counters);
    }
    totals
}

/// The same for programs, with everything that the nodes count.
pub(crate) fn show_json(record: &Record, nodes: &[NodeView]) -> Value {
    let up = nodes.iter().filter(|node| node.state == NodeState::Up).count();
    let sums = totals(nodes);
    let nodes: Vec<Value> = nodes.iter().map(node_json).collect();
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
            "up": up,
            "messages": sums.messages,
            "unread": sums.unread,
            "counters": sums.counters,
        },
        "nodes": nodes,
    })
}

fn node_json(node: &NodeView) -> Value {
    json!({
        "node": node.record.node,
        "addr": node.record.addr,
        "pid": node.pid(),
        "incarnation": node.record.incarnation,
        "state": node.state.name(),
        "started_with": node.record.peers,
        "peers": node.status.as_ref().map(links),
        "messages": node.status.as_ref().map(|status| status.messages),
        "unread": node.status.as_ref().map(|status| status.unread),
        "status": node.status,
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
    let rows: Vec<Vec<String>> = networks
        .iter()
        .map(|network| match &network.record {
            Ok((record, up)) => vec![
                network.name.clone(),
                kind_text(record),
                format!("{up} of {} up", record.nodes.len()),
                ports_text(record),
            ],
            Err(reason) => {
                vec![
                    network.name.clone(),
                    format!("broken: {reason}"),
                    String::new(),
                    String::new(),
                ]
            }
        })
        .collect();
    table(&columns, &rows)
}

fn ports(record: &Record) -> Option<(u16, u16)> {
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

/// The same for programs.
pub(crate) fn list_json(networks: &[NetworkView]) -> Value {
    let networks: Vec<Value> = networks
        .iter()
        .map(|network| match &network.record {
            Ok((record, up)) => json!({
                "network": network.name,
                "topology": kind_json(record),
                "nodes": record.nodes.len(),
                "up": up,
                "ports": ports(record),
            }),
            Err(reason) => json!({ "network": network.name, "broken": reason }),
        })
        .collect();
    json!({ "networks": networks })
}

/// What `start-network` made.
pub(crate) fn started_text(record: &Record, plot: Option<&str>) -> String {
    let nodes = count(record.nodes.len() as u64, "node");
    let links = count(links_made(record), "link");
    let mut text = format!(
        "network {} runs: {}, {nodes}, {links}, ports {}, seed {}\n",
        record.name,
        kind_text(record),
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
    use crate::network::{Fault, ProcessId, Settings};
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
            NodeView { record: &record.nodes[0], state: NodeState::Silent, status: None },
            NodeView { record: &record.nodes[1], state: NodeState::Down, status: None },
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
    fn faults_and_new_links_are_told_of_above_the_table() {
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
        let nodes = [NodeView { record: &record.nodes[0], state: NodeState::Up, status: None }];
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
    fn a_link_has_two_ends() {
        assert_eq!(
            started_text(&record(), None),
            "network default runs: circular, 2 nodes, 1 link, ports 7001 to 7002, seed 42\n"
        );
    }
}
