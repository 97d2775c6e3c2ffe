//! The commands that break, mend and change a network of real processes.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod harness;

use std::collections::BTreeSet;

use gossip::control::{Request, Response};
use gossip::protocol::{FaultRule, NodeId};
use harness::Lab;
use serde_json::{Value, json};

/// The numbers of the nodes that are up, each with those of the peers that it has links to.
fn links(shown: &Value) -> Vec<(u64, BTreeSet<u64>)> {
    let nodes = shown["nodes"].as_array().unwrap().iter();
    let up = nodes.filter(|node| node["state"] == "up");
    let peers = |node: &Value| {
        let peers = node["status"]["peers"].as_array().unwrap().iter();
        let alive = peers.filter(|peer| peer["state"] == "alive");
        alive.map(|peer| peer["node"].as_u64().unwrap()).collect()
    };
    up.map(|node| (node["node"].as_u64().unwrap(), peers(node))).collect()
}

/// Whether these nodes are up, and linked in a ring in the order of their numbers.
fn is_ring(shown: &Value, nodes: &[u64]) -> bool {
    let links = links(shown);
    let count = nodes.len();
    links.len() == count
        && links.iter().enumerate().all(|(at, (node, peers))| {
            let next = [nodes[(at + 1) % count], nodes[(at + count - 1) % count]];
            *node == nodes[at] && *peers == BTreeSet::from(next)
        })
}

/// Whether each node that is up is linked to the peers that it was told to have, and no others.
fn is_as_told(shown: &Value) -> bool {
    let nodes = shown["nodes"].as_array().unwrap();
    links(shown).iter().all(|(number, peers)| {
        let node = nodes.iter().find(|node| node["node"] == *number).unwrap();
        let told = node["started_with"].as_array().unwrap().iter();
        *peers == told.map(|peer| peer.as_u64().unwrap()).collect()
    })
}

fn node(shown: &Value, number: u64) -> &Value {
    let nodes = shown["nodes"].as_array().unwrap();
    nodes.iter().find(|node| node["node"] == number).unwrap()
}

fn texts(said: &Value) -> Vec<&str> {
    let messages = said["messages"].as_array().unwrap().iter();
    messages.map(|message| message["text"].as_str().unwrap()).collect()
}

/// The faults of a node, as it tells them itself.
fn rules_of(lab: &Lab, node: u32) -> Vec<FaultRule> {
    let mut client = lab.record().connect(NodeId(node)).unwrap();
    match client.ask(&Request::Faults).unwrap() {
        Response::Faults(rules) => rules,
        other => panic!("{other:?}"),
    }
}

/// The error of a command line that the parser refuses.
fn refused(lab: &Lab, line: &str) -> String {
    let run = lab.run(line);
    assert_eq!(run.code, Some(2), "{line}: {run:?}");
    assert_eq!(run.stdout, "", "{line}");
    run.stderr
}

#[test]
fn a_ring_stays_a_ring_when_nodes_come_and_go() {
    let lab = Lab::new();
    lab.start("circular -n 5");
    let ring = |nodes: &[u64]| lab.until("show-network", |shown| is_ring(shown, nodes));
    let port = lab.ports_origin() + 6;
    assert_eq!(
        lab.ok("add-node"),
        format!("node 6 runs at 127.0.0.1:{port}, linked to nodes 1 and 5\n")
    );
    ring(&[1, 2, 3, 4, 5, 6]);

    lab.ok("remove-node 3");
    let shown = ring(&[1, 2, 4, 5, 6]);
    assert_eq!(node(&shown, 3)["state"], "removed");
    assert_eq!(node(&shown, 3)["pid"], Value::Null);
    let back = lab.json("start-node 3");
    assert_eq!((&back["incarnation"], &back["peers"]), (&json!(2), &json!([2, 4])));
    ring(&[1, 2, 3, 4, 5, 6]);

    // Back before its neighbours noticed.
    lab.ok("kill-node 5");
    lab.ok("start-node 5");
    ring(&[1, 2, 3, 4, 5, 6]);
    // Back after the others closed the gap.
    lab.ok("kill-node 1");
    ring(&[2, 3, 4, 5, 6]);
    lab.ok("start-node 1");
    ring(&[1, 2, 3, 4, 5, 6]);
}

#[test]
fn the_smallest_rings_grow() {
    let lab = Lab::new();
    lab.start("circular -n 1");
    for count in 2..=4u64 {
        lab.ok("add-node");
        let nodes: Vec<u64> = (1..=count).collect();
        lab.until("show-network", |shown| is_ring(shown, &nodes));
    }
}

#[test]
fn a_node_that_is_added_or_comes_back_gets_each_message_once() {
    let lab = Lab::new();
    lab.start("random 3 -n 8");
    lab.ok("send-message 2 before");
    lab.until_messages(5, 1);
    assert_eq!(lab.ok("kill-node 5"), "node 5 killed\n");
    let shown = lab.json("show-network");
    assert_eq!(node(&shown, 5)["state"], "down");
    lab.ok("send-message 2 missed");
    lab.ok("start-node 5");
    assert_eq!(texts(&lab.until_messages(5, 2)), ["before", "missed"]);

    let added = lab.json("add-node");
    assert_eq!(added["node"], 9);
    assert_eq!(added["peers"].as_array().unwrap().len(), 3);
    assert_eq!(texts(&lab.until_messages(9, 2)), ["before", "missed"]);
    assert_eq!(lab.ok("send-message 5 again"), "5.1@2\n");
    assert_eq!(texts(&lab.until_messages(9, 3)), ["before", "missed", "again"]);
}

#[test]
fn a_node_is_linked_to_the_peers_it_was_given() {
    let lab = Lab::new();
    lab.start("circular -n 5");
    let added = lab.json("add-node --peers 4,2,4");
    assert_eq!((&added["node"], &added["peers"]), (&json!(6), &json!([2, 4])));
    let given = BTreeSet::from([2, 4]);
    lab.until("show-network", |shown| links(shown).iter().any(|link| *link == (6, given.clone())));
    lab.ok("remove-node 2");
    assert!(lab.fails("add-node --peers 2,3").contains("gossip start-node 2"));
    assert!(lab.fails("add-node --peers 7").contains("there is no node 7"));
    assert!(refused(&lab, "add-node --peers 3,x").contains("from 1"));
}

#[test]
fn a_paused_node_goes_on_where_it_was() {
    let lab = Lab::new();
    lab.start("circular -n 4");
    lab.ok("send-message 1 before");
    lab.until_messages(3, 1);
    let pid = node(&lab.json("show-network"), 3)["pid"].clone();
    assert_eq!(
        lab.json("pause-node 3"),
        json!({ "network": "default", "node": 3, "paused": true })
    );
    let shown = lab.json("show-network");
    assert_eq!(node(&shown, 3)["state"], "paused");
    assert_eq!(node(&shown, 3)["pid"], pid);
    assert!(lab.ok("show-network").contains("3 of 4 up, 1 paused\n"));
    assert!(lab.ok("list-networks").contains(" 3 of 4 up "));
    assert_eq!(lab.json("list-networks")["networks"][0]["up"], 3);
    lab.ok("pause-node 3");
    for line in ["get-messages 3", "send-message 3 plum", "list-peers 3"] {
        let said = lab.fails(line);
        assert!(said.starts_with("error: node 3 is paused\n"), "{said}");
        assert!(said.contains("`gossip resume-node 3`"), "{said}");
    }
    lab.ok("send-message 1 meanwhile");
    lab.ok("inject-faults --from 3 --duplicate 1%");
    assert_eq!(lab.ok("resume-node 3"), "node 3 resumed\n");
    assert_eq!(rules_of(&lab, 3).len(), 1);
    assert_eq!(texts(&lab.until_messages(3, 2)), ["before", "meanwhile"]);
    let shown = lab.json("show-network");
    assert_eq!(node(&shown, 3)["incarnation"], 1);
    lab.ok("resume-node 3");
    lab.ok("pause-node 3");
    lab.ok("kill-node 3");
}

#[test]
fn a_message_that_was_passed_on_is_shown_where_it_passed() {
    let lab = Lab::new();
    lab.start("circular -n 4 --timing ack-timeout-min=60min --timing ack-timeout-max=60min");
    // Node 3 has it through node 2, which nothing wakes but its copy from node 1.
    lab.ok("inject-faults --from 3 --to 2 --loss 100%");
    lab.ok("inject-faults --from 4 --to 3 --loss 100%");
    for text in ["pear", "plum", "banana"] {
        lab.ok(&format!("send-message 1 {text}"));
        lab.until("get-messages 3", |said| texts(said).contains(&text));
        assert!(texts(&lab.json("get-messages 2")).contains(&text), "{text}");
    }
}

#[test]
fn missing_nodes_are_named() {
    let lab = Lab::new();
    for line in ["add-node", "kill-node 1", "rewire-network", "inject-faults --loss 1%"] {
        assert!(lab.fails(line).contains("no network default is running"), "{line}");
    }
    for line in ["partition-network 1 2", "heal-network", "list-faults", "start-node 1"] {
        assert!(lab.fails(line).contains("no network default is running"), "{line}");
    }
    lab.start("circular -n 4");
    lab.ok("kill-node 2");
    lab.ok("remove-node 3");
    for command in ["kill-node", "pause-node", "resume-node"] {
        assert!(lab.fails(&format!("{command} 2")).contains("node 2 is down"), "{command}");
        assert!(lab.fails(&format!("{command} 3")).contains("node 3 is not part"), "{command}");
        assert!(lab.fails(&format!("{command} 5")).contains("numbers from 1 to 4"), "{command}");
        assert!(refused(&lab, &format!("{command} 0")).contains("from 1"), "{command}");
    }
    assert!(lab.fails("start-node 1").contains("it is up already"));
    assert!(lab.fails("start-node 5").contains("there is no node 5"));
}

#[test]
fn rewiring_loses_no_message() {
    let lab = Lab::new();
    lab.start("circular -n 12");
    lab.ok("send-message 1 before");
    let line = "rewire-network --min-peers 2 --max-peers 5 --seed 7";
    let said = lab.json(line);
    lab.ok("send-message 2 during");
    assert_eq!((&said["nodes"], &said["seed"]), (&json!(12), &json!(7)));
    assert_eq!(said["unreached"], json!([]));
    let shown = lab.until("show-network", is_as_told);
    let made = links(&shown);
    let ends: usize = made.iter().map(|(_, peers)| peers.len()).sum();
    assert_eq!(json!(ends / 2), said["links"]);
    assert!(made.iter().all(|(_, peers)| (2..=5).contains(&peers.len())), "{made:?}");
    assert_eq!(shown["rewired"], json!({ "min_peers": 2, "max_peers": 5, "seed": 7 }));
    assert!(lab.ok("show-network").contains("rewired   2 to 5 peers each, seed 7\n"));
    for node in 1..=12 {
        let said = lab.until_messages(node, 2);
        assert_eq!(texts(&said), ["before", "during"], "node {node}");
    }

    // The seed decides, and a ring is no ring any more.
    lab.ok("rewire-network");
    lab.ok(line);
    assert_eq!(links(&lab.until("show-network", is_as_told)), made);
    let added = lab.json("add-node");
    assert!(added["peers"].as_array().unwrap().len() > 1, "{added}");
}

#[test]
fn impossible_links_are_refused() {
    let lab = Lab::new();
    lab.start("circular -n 3");
    for (line, why) in [
        ("--min-peers 3", "at most 2 others"),
        ("--max-peers 1", "in pairs"),
        ("--min-peers 1 --max-peers 1", "in pairs"),
    ] {
        let error = lab.fails(&format!("rewire-network {line}"));
        assert!(error.contains(why), "{line}: {error}");
    }
    for (line, why) in
        [("--min-peers 0", "hear of nothing"), ("--min-peers 2 --max-peers 1", "both")]
    {
        let error = lab.run(&format!("rewire-network {line}")).misuses(line);
        assert!(error.contains(why), "{line}: {error}");
    }
    assert_eq!(lab.json("show-network")["rewired"], Value::Null);
    lab.ok("kill-node 1");
    lab.ok("remove-node 2");
    assert!(lab.fails("rewire-network").contains("there is nobody to link to"));
}

#[test]
fn peers_behind_the_neighbours_are_found_hop_by_hop() {
    let lab = Lab::new();
    lab.start("circular -n 6");
    lab.until("show-network", |shown| is_ring(shown, &[1, 2, 3, 4, 5, 6]));
    let found = |line: &str| -> Vec<(u64, u64, u64)> {
        let said = lab.json(line);
        assert_eq!(said["node"], 1);
        let number = |value: &Value| value.as_u64().unwrap();
        let one =
            |peer: &Value| (number(&peer["hops"]), number(&peer["node"]), number(&peer["via"]));
        said["peers"].as_array().unwrap().iter().map(one).collect()
    };
    let near = [(1, 2, 1), (1, 6, 1), (2, 3, 2), (2, 5, 6)];
    assert_eq!(found("list-peers 1 --depth 2"), near);
    let all = [&near[..], &[(3, 4, 3)]].concat();
    assert_eq!(found("list-peers 1 --depth 3"), all);
    assert_eq!(found("list-peers 1 --depth 100"), all);
    assert_eq!(lab.json("list-peers 1 --depth 1"), lab.json("list-peers 1"));

    let addr = |node: u16| format!("127.0.0.1:{}", lab.ports_origin() + node);
    assert_eq!(
        lab.ok("list-peers 1 --depth 2"),
        format!(
            "1\n├─ 2  {}  alive\n│  └─ 3  {}  alive\n└─ 6  {}  alive\n   └─ 5  {}  alive\n",
            addr(2),
            addr(3),
            addr(6),
            addr(5)
        )
    );
    lab.ok("pause-node 2");
    let said = lab.json("list-peers 1 --depth 2");
    assert_eq!(said["unreached"], json!([2]));
    let run = lab.run("list-peers 1 --depth 2");
    assert!(run.stderr.contains("did not answer"), "{run:?}");
    assert!(refused(&lab, "list-peers 1 --depth 0").contains("--depth"));
}

#[test]
fn a_partition_holds_until_it_is_healed() {
    let lab = Lab::new();
    lab.start("circular -n 6");
    assert_eq!(lab.ok("partition-network 1-3 4-6"), "partition: 1-3 | 4-6\n");
    lab.ok("send-message 1 here");
    lab.ok("send-message 4 there");
    for node in 1..=3 {
        assert_eq!(texts(&lab.until_messages(node, 1)), ["here"]);
    }
    for node in 4..=6 {
        assert_eq!(texts(&lab.until_messages(node, 1)), ["there"]);
    }
    // A node that is started now is on its side of the cut from its first datagram on.
    lab.ok("kill-node 3");
    lab.ok("start-node 3");
    assert_eq!(texts(&lab.until_messages(3, 1)), ["here"]);
    let rules = rules_of(&lab, 3);
    assert_eq!(rules.len(), 1);
    assert_eq!((&rules[0].from, &rules[0].to), (&vec![(1, 3)], &vec![(4, 6)]));

    assert_eq!(lab.ok("heal-network"), "network default healed: 1 fault taken away\n");
    assert!(rules_of(&lab, 3).is_empty());
    for node in 1..=6 {
        let said = lab.until_messages(node, 2);
        assert_eq!(texts(&said).into_iter().collect::<BTreeSet<_>>(), ["here", "there"].into());
    }
    assert_eq!(lab.ok("heal-network"), "network default healed: 0 faults taken away\n");
}

#[test]
fn faults_add_up_and_are_shown() {
    let lab = Lab::new();
    lab.start("circular -n 4");
    let run = lab.run("list-faults");
    assert_eq!((run.code, run.stdout.as_str()), (Some(0), ""));
    assert_eq!(run.stderr, "network default has no faults\n");
    assert_eq!(
        lab.ok("inject-faults --from 1-2 --to 3,4 --loss 20% --delay 50ms --jitter 200us"),
        "from 1-2 to 3-4: 20% lost, 50ms later, up to 200us jitter\n"
    );
    let effect = json!({
        "kind": "effect", "from": [[1, 2]], "to": [[3, 4]], "loss": 0.2, "delay_us": 50_000,
        "jitter_us": 200, "duplicate": 0.0, "reorder": 0.0, "corrupt": 0.0
    });
    let cut = json!({ "kind": "partition", "groups": [[[1, 1]], [[2, 2], [4, 4]]] });
    let said = lab.json("partition-network 1 2,4");
    assert_eq!(said["faults"], json!([effect, cut]));
    assert_eq!(said["unreached"], json!([]));
    assert_eq!(lab.json("list-faults")["faults"], said["faults"]);
    assert_eq!(lab.json("show-network")["faults"], said["faults"]);
    let listed = "from 1-2 to 3-4: 20% lost, 50ms later, up to 200us jitter";
    assert_eq!(lab.ok("list-faults"), format!("1  {listed}\n2  partition: 1 | 2,4\n"));
    let shown = lab.ok("show-network");
    assert!(shown.contains(&format!("faults    {listed}\n          partition: 1 | 2,4\n")));
    assert_eq!([1, 2, 3, 4].map(|node| rules_of(&lab, node).len()), [2, 2, 0, 1]);

    let added = lab.json("add-node");
    assert_eq!(added["node"], 5);
    lab.ok("inject-faults --loss 0.01");
    assert_eq!(rules_of(&lab, 5).len(), 1);
    assert_eq!(lab.json("heal-network")["healed"].as_array().unwrap().len(), 3);
    assert_eq!(lab.json("show-network")["faults"], json!([]));
}

#[test]
fn a_message_gets_through_all_faults_at_once() {
    let lab = Lab::new();
    lab.start("random 3 -n 8");
    let shares = "--loss 30% --duplicate 10% --reorder 10% --corrupt 5%";
    lab.ok(&format!("inject-faults {shares} --delay 2ms --jitter 5ms"));
    lab.ok("send-message 3 through");
    for node in 1..=8 {
        assert_eq!(texts(&lab.until_messages(node, 1)), ["through"]);
    }
    let counters = &lab.json("show-network")["totals"]["counters"];
    assert!(counters["faults_applied"].as_u64().unwrap() > 0, "{counters}");
    assert_eq!(counters["delivered"], 8);
}

#[test]
fn faults_that_make_no_sense_are_refused() {
    let lab = Lab::new();
    lab.start("circular -n 4");
    for (line, why) in [
        ("inject-faults --loss 101%", "at most 100%"),
        ("inject-faults --loss 20", "20% or 0.2"),
        ("inject-faults --loss=-1%", "20% or 0.2"),
        ("inject-faults --delay 50", "50ms"),
        ("inject-faults --delay 2min", "60s at most"),
        ("inject-faults --from 3-1 --loss 1%", "did you mean 1-3?"),
        ("inject-faults --to 0-3 --loss 1%", "1-8,12"),
        ("partition-network 1-2", "2 values required"),
        ("partition-network 1-2 x", "1-8,12"),
    ] {
        let said = refused(&lab, line);
        assert!(said.contains(why), "{line}: {said}");
    }
    for (line, why) in [
        ("inject-faults", "no share and no time"),
        ("inject-faults --from 1 --loss 0%", "no share and no time"),
        ("partition-network 1-3 3-4", "node 3 is in two of the groups"),
    ] {
        let error = lab.run(line).misuses(line);
        assert!(error.contains(why), "{line}: {error}");
    }
    for line in ["inject-faults --to 2-5 --loss 1%", "partition-network 1-2 3-5"] {
        assert!(lab.fails(line).contains("there is no node 5"), "{line}");
    }
    assert_eq!(lab.json("list-faults")["faults"], json!([]));
}
