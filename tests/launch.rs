//! Networks of real processes begin and end, and leave nothing behind.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod harness;

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader};
use std::iter::once;
use std::net::{TcpListener, UdpSocket};
use std::process::Child;

use harness::{Lab, Lines, PATIENCE, Run, finish, signal, try_within, wait_for};
use rustix::process::{Pid, Signal, getpgid};
use serde_json::{Value, json};

/// Sends a signal to a command that still runs.
fn signal_child(child: &Child, what: Signal) {
    signal(i32::try_from(child.id()).unwrap(), what);
}

#[test]
fn networks_live_side_by_side() {
    let lab = Lab::new();
    let origin = lab.ports_origin();
    lab.ok(&format!("start-network circular -n 3 --ports-origin {origin}"));
    lab.ok(&format!("--network two start-network -n 5 --ports-origin {}", origin + 10));
    lab.ok("send-message 1 here");
    lab.ok("send-message 1 there --network two");
    assert_eq!(lab.json("get-messages 1 --network two")["messages"][0]["text"], "there");
    let said = lab.json("list-networks");
    assert_eq!(said["networks"][0]["network"], "default");
    assert_eq!(said["networks"][0]["ports"], json!([origin + 1, origin + 3]));
    assert_eq!(said["networks"][1]["topology"], json!({ "kind": "random", "degree": 3 }));
    assert_eq!(said["networks"][1]["up"], 5);
    lab.ok("stop-network");
    assert_eq!(lab.json("list-networks")["networks"].as_array().unwrap().len(), 1);
    lab.ok("stop-network --network two");
}

#[test]
fn the_same_seed_draws_the_same_graph() {
    let lab = Lab::new();
    let drawn = |seed: u32, file: &str| {
        lab.start(&format!("-n 10 --seed {seed} --plot {file}"));
        lab.ok("stop-network");
        fs::read_to_string(lab.directory().join(file)).unwrap()
    };
    let first = drawn(1, "first.dot");
    assert_eq!(first, drawn(1, "again.dot"));
    assert_ne!(first, drawn(2, "other.dot"));
}

#[test]
fn a_start_says_its_seed_and_how_it_adapted_the_degree() {
    let lab = Lab::new();
    let line = format!("start-network -n 5 --json --ports-origin {}", lab.ports_origin());
    let run = lab.run(&line);
    assert!(run.stderr.contains("one link more"), "{run:?}");
    let said: Value = serde_json::from_str(&run.ok(&line)).unwrap();
    assert_eq!((&said["nodes"], &said["links"]), (&json!(5), &json!(8)));
    assert!(said["seed"].is_u64() && said["plot"].is_null(), "{said}");
    lab.ok("stop-network");
    let run = lab.run(&line.replace("-n 5", "-n 2"));
    assert!(run.stderr.contains("the degree is 1"), "{run:?}");
    lab.ok("stop-network");
    lab.ok(&line.replace("-n 5", "-n 1"));
    lab.ok("send-message 1 alone");
    assert_eq!(lab.json("get-messages 1")["messages"][0]["text"], "alone");
}

#[test]
fn a_port_that_is_taken_is_named_and_nothing_is_left_running() {
    let lab = Lab::new();
    let port = lab.ports_origin() + 3;
    let start = format!("start-network circular -n 4 --plot x.dot --ports-origin {}", port - 3);
    let is_named = |run: Run| {
        let error = run.fails("a taken port");
        assert!(error.contains(&format!("cannot use port {port}")), "{error}");
        assert!(error.contains(&format!("process {}", std::process::id())), "{error}");
        assert!(lab.processes().is_empty());
        assert_eq!(lab.ok("list-networks"), "");
        assert!(
            !lab.directory().join("x.dot").exists(),
            "no picture of a network that is not there"
        );
    };
    let udp = UdpSocket::bind(("127.0.0.1", port)).unwrap();
    is_named(lab.run(&start));
    drop(udp);
    let tcp = TcpListener::bind(("127.0.0.1", port)).unwrap();
    is_named(lab.run(&start));
    drop(tcp);
    lab.ok(&start);
}

#[test]
fn a_plot_that_fails_half_way_stops_the_network_again() {
    let lab = Lab::new();
    let origin = lab.ports_origin();
    let line = format!("start-network -n 4 --plot /dev/full --ports-origin {origin}");
    let error = lab.fails(&line);
    assert!(error.contains("cannot write the topology to /dev/full"), "{error}");
    assert!(lab.processes().is_empty());
    assert_eq!(lab.ok("list-networks"), "");
}

#[test]
fn an_interrupted_start_leaves_nothing_running() {
    let lab = Lab::new();
    let start = format!("start-network circular -n 60 --ports-origin {}", lab.ports_origin());
    for what in [Signal::INT, Signal::TERM] {
        let child = lab.command(&start).spawn().unwrap();
        // The command and a few nodes are there, and more nodes are to come.
        wait_for("the first nodes", || lab.processes().len() > 3);
        signal_child(&child, what);
        let error = finish(child).fails("an interrupted start");
        assert!(error.contains("interrupted"), "{error}");
        assert!(lab.processes().is_empty());
        assert_eq!(lab.ok("list-networks"), "");
    }
    lab.start("circular -n 3");
}

#[test]
fn nodes_outlive_the_terminal_they_were_started_in() {
    let lab = Lab::new();
    let words = ["start-network", "circular", "-n", "3", "--ports-origin"];
    let start = lab.command_of(words.into_iter().chain([lab.ports_origin().to_string().as_str()]));
    let line: Vec<&str> = once(start.get_program())
        .chain(start.get_args())
        .map(|word| word.to_str().unwrap())
        .collect();
    // A terminal of its own, which hangs up when the command ends.
    let mut terminal = lab.tool("script");
    terminal.args(["--quiet", "--return", "--command", &line.join(" "), "/dev/null"]);
    let run =
        terminal.spawn().expect("this test needs script (bsdutils): scripts/test installs it");
    let run = finish(run);
    assert_eq!(run.code, Some(0), "{run:?}");
    lab.ok("send-message 1 banana");
    lab.until_messages(3, 1);
    assert_eq!(lab.json("list-networks")["networks"][0]["up"], 3);
    // Nor does Ctrl-C reach them, which is for the group in the foreground.
    for node in lab.record().nodes {
        let pid = Pid::from_raw(i32::try_from(node.process.pid).unwrap());
        assert_eq!(getpgid(pid).unwrap(), pid.unwrap());
    }
}

#[test]
fn one_of_several_starts_at_once_wins_and_its_network_is_whole() {
    let lab = Lab::new();
    let origin = lab.ports_origin();
    let start = |offset| {
        let line = format!("start-network circular -n 8 --ports-origin {}", origin + offset);
        lab.command(&line).spawn().unwrap()
    };
    let starts = [start(0), start(10), start(20)];
    let runs = starts.map(finish);
    let won = runs.iter().filter(|run| run.code == Some(0)).count();
    assert_eq!(won, 1, "{runs:?}");
    for run in runs {
        if run.code != Some(0) {
            let error = run.fails("the later start");
            assert!(error.contains("is running already"), "{error}");
        }
    }
    assert_eq!(lab.json("show-network")["totals"]["up"], 8);
    lab.ok("send-message 1 apple");
    lab.until_messages(5, 1);
    lab.ok("stop-network");
    lab.until_empty();
}

#[test]
fn two_stops_at_once_leave_nothing() {
    let lab = Lab::new();
    lab.start("circular -n 8");
    let stops = [(); 2].map(|()| lab.command("stop-network").spawn().unwrap());
    let runs = stops.map(finish);
    assert!(runs.iter().any(|run| run.code == Some(0)), "{runs:?}");
    for run in runs {
        if run.code != Some(0) {
            assert!(run.fails("the later stop").contains("no network default is running"));
        }
    }
    lab.until_empty();
}

#[test]
fn the_foreground_shows_what_happens_and_stops_on_a_signal() {
    let lab = Lab::new();
    let line =
        format!("start-network circular -n 4 --foreground --ports-origin {}", lab.ports_origin());
    let mut child = lab.command(&line).spawn().unwrap();
    let mut lines = Lines::of(child.stdout.take().unwrap());
    assert!(lines.next("the network").starts_with("network default runs"));
    let mut notes = Lines::of(child.stderr.take().unwrap());
    assert_eq!(notes.next("the first note"), "Ctrl-C stops the network");
    // The first messages are missed if the command subscribes only then.
    wait_for("a message to be shown", || {
        lab.ok("send-message 1 hello");
        let shown = |line: &String| line.contains("got 1.") && line.contains("hello");
        lines.so_far().iter().any(shown)
    });
    lab.ok("remove-node 3");
    let gone = lines.until("node 3 to go", |line| line.ends_with("node 3  is gone"));
    assert!(gone.contains(':'), "{gone}");
    signal_child(&child, Signal::INT);
    lines.rest();
    assert!(!lines.so_far().iter().any(|line| line.contains("error")), "{:?}", lines.so_far());
    assert_eq!(notes.rest().last().unwrap(), "network default stopped");
    assert_eq!(child.wait().unwrap().code(), Some(0));
    lab.until_empty();
}

#[test]
fn the_foreground_ends_when_another_command_stops_the_network() {
    let lab = Lab::new();
    let line = format!(
        "start-network circular -n 3 --foreground --json --ports-origin {}",
        lab.ports_origin()
    );
    let mut child = lab.command(&line).spawn().unwrap();
    let mut lines = Lines::of(child.stdout.take().unwrap());
    let started: Value = serde_json::from_str(&lines.next("the network")).unwrap();
    assert_eq!(started["nodes"], 3);
    let mut notes = Lines::of(child.stderr.take().unwrap());
    assert_eq!(notes.next("the first note"), "Ctrl-C stops the network");
    lab.ok("stop-network");
    let events = lines.rest();
    let events: Vec<Value> =
        events.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(events.iter().filter(|event| event["event"] == "gone").count(), 3, "{events:?}");
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

/// Starts a node by hand with one peer, and the key in `my.key`.
fn run_by_hand(lab: &Lab, node: u16, peer: u16) -> Child {
    let (at, there) = (lab.ports_origin() + node, lab.ports_origin() + peer);
    let line = format!(
        "run-node {node} --listen 127.0.0.1:{at} --peer {peer}@127.0.0.1:{there} --key-file my.key --json"
    );
    lab.command(&line).spawn().unwrap()
}

#[test]
fn nodes_run_by_hand_are_a_network_too() {
    let lab = Lab::new();
    lab.ok("new-key my.key");
    let origin = lab.ports_origin();
    let run = |node, peer| run_by_hand(&lab, node, peer);
    let mut nodes = [run(1, 2), run(2, 1)];
    wait_for("both nodes to be known", || {
        let said = lab.json("list-networks");
        said["networks"][0]["up"] == 2
    });
    let id = lab.ok("send-message 1 apple");
    assert!(id.starts_with("1.1@"), "a start by hand never uses an id again: {id}");
    let said = lab.until_messages(2, 1);
    assert_eq!(said["messages"][0]["id"], id.trim());
    assert_eq!(said["messages"][0]["paths"][0], json!([1, 2]));
    assert!(lab.ok("show-network").contains("made by hand"));

    let error =
        lab.fails(&format!("run-node 2 --listen 127.0.0.1:{} --key-file my.key", origin + 20));
    assert!(error.contains("cannot start node 2"), "{error}");
    let error =
        lab.fails(&format!("run-node 3 --listen 127.0.0.1:{} --key-file my.key", origin + 1));
    assert!(error.contains(&format!("port {} of 127.0.0.1 is taken", origin + 1)), "{error}");
    lab.ok("new-key other.key");
    let error =
        lab.fails(&format!("run-node 3 --listen 127.0.0.1:{} --key-file other.key", origin + 3));
    assert!(error.contains("another key"), "{error}");

    let mut events = Lines::of(nodes[1].stdout.take().unwrap());
    for (node, what) in nodes.iter().zip([Signal::INT, Signal::TERM]) {
        signal_child(node, what);
    }
    let events = events.rest();
    let events: Vec<Value> =
        events.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(events.iter().any(|event| event["text"] == "apple"), "{events:?}");
    for node in nodes {
        let run = finish(node);
        assert_eq!(run.code, Some(0), "{run:?}");
        assert!(run.stderr.contains("receive buffer"), "{run:?}");
    }
    assert_eq!(lab.ok("list-networks"), "");
}

/// Two starts within the same second once shared an incarnation, and the ids of their messages.
#[test]
fn a_node_that_is_started_a_hundred_times_in_a_row_loses_no_message() {
    const STARTS: usize = 100;
    let lab = Lab::new();
    lab.ok("new-key my.key");
    let run = |node, peer| run_by_hand(&lab, node, peer);
    let up = |nodes: usize| {
        wait_for("the nodes to be known", || {
            lab.json("list-networks")["networks"][0]["up"] == nodes
        });
    };
    let first = run(1, 2);
    up(1);
    for _ in 0..STARTS {
        let again = run(2, 1);
        up(2);
        lab.ok("send-message 2 apple");
        signal_child(&again, Signal::INT);
        let run = finish(again);
        assert_eq!(run.code, Some(0), "{run:?}");
    }
    let said = lab.until_messages(1, STARTS);
    let ids = said["messages"].as_array().unwrap().iter().map(|message| message["id"].to_string());
    assert_eq!(ids.collect::<BTreeSet<_>>().len(), STARTS);
    signal_child(&first, Signal::INT);
    assert_eq!(finish(first).code, Some(0));
}

#[test]
fn a_key_that_others_can_read_is_warned_of() {
    let lab = Lab::new();
    let key = "0123456789abcdef".repeat(4);
    fs::write(lab.directory().join("open.key"), &key).unwrap();
    let line =
        format!("run-node 1 --listen 127.0.0.1:{} --key-file open.key", lab.ports_origin() + 1);
    let mut child = lab.command(&line).spawn().unwrap();
    let mut notes = Lines::of(child.stderr.take().unwrap());
    let warned = notes.next("the warning");
    assert!(warned.starts_with("warning: others can read the key in open.key"), "{warned}");
    assert!(notes.next("the start").starts_with("node 1 listens on"));
    signal_child(&child, Signal::INT);
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn a_network_in_the_foreground_stops_when_its_reader_leaves() {
    let lab = Lab::new();
    let line =
        format!("start-network circular -n 3 --foreground --ports-origin {}", lab.ports_origin());
    let (reader, writer) = std::io::pipe().unwrap();
    let mut child = lab.command(&line).stdout(writer).spawn().unwrap();
    let first = try_within(PATIENCE, || {
        let mut first = String::new();
        BufReader::new(reader).read_line(&mut first).unwrap();
        first
    });
    assert!(
        first.as_ref().is_some_and(|line| line.starts_with("network default runs")),
        "{first:?}"
    );
    // The reader is gone. The next event finds that out.
    wait_for("the network without a reader to end", || {
        let _ = lab.run("send-message 1 hello");
        child.try_wait().unwrap().is_some()
    });
    assert_eq!(child.wait().unwrap().code(), Some(0));
    lab.until_empty();
}
