//! `watch-network`: a watcher is told of every event, and no node waits for a watcher.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod harness;

use std::process::Child;

use gossip::control::client::Subscription;
use gossip::control::{Request, Response};
use gossip::protocol::{Event, NodeId};
use harness::{Lab, Lines, finish, wait_for};
use rustix::process::Signal;
use serde_json::Value;

/// A `watch-network --json` and the lines that it prints.
struct Watcher {
    child: Child,
    lines: Lines,
    notes: Lines,
}

impl Watcher {
    /// From when this returns, nothing is missed.
    fn new(lab: &Lab, arguments: &str) -> Self {
        let mut child = lab.command(&format!("watch-network --json {arguments}")).spawn().unwrap();
        let lines = Lines::of(child.stdout.take().unwrap());
        let mut notes = Lines::of(child.stderr.take().unwrap());
        let note = notes.next("the note that it watches");
        assert!(note.starts_with("watching "), "{note}");
        Self { child, lines, notes }
    }

    /// An event that is meant, seen already or waited for: the order of the nodes is not certain.
    #[track_caller]
    fn until(&mut self, what: &str, meant: impl Fn(&Value) -> bool) -> Value {
        let parse = |line: &str| -> Value { serde_json::from_str(line).unwrap() };
        parse(&self.lines.until(what, |line| meant(&parse(line))))
    }

    /// From here on, only new events count.
    fn forget(&mut self) {
        self.lines.forget();
    }

    /// Waits for an event of this kind, told by this node.
    #[track_caller]
    fn event(&mut self, node: u64, name: &str) -> Value {
        let what = format!("`{name}` of node {node}");
        self.until(&what, |event| event["event"] == name && event["node"] == node)
    }

    /// Waits for an event of this kind that some node tells of this peer.
    #[track_caller]
    fn event_of_peer(&mut self, peer: u64, name: &str) -> Value {
        let what = format!("`{name}` of peer {peer}");
        self.until(&what, |event| event["event"] == name && event["peer"] == peer)
    }

    fn signal(&self, signal: Signal) {
        harness::signal(i32::try_from(self.child.id()).unwrap(), signal);
    }

    /// Asserts that it ends, and well; gives the lines not read yet.
    fn ends(mut self) -> Vec<String> {
        let rest = self.lines.rest();
        let run = finish(self.child);
        assert_eq!(run.code, Some(0), "{run:?}");
        rest
    }
}

#[test]
fn events_of_every_node_are_told() {
    let lab = Lab::new();
    lab.start("circular -n 4");
    let mut watcher = Watcher::new(&lab, "");
    let id = lab.ok("send-message 2 ba\u{202e}nana");
    let accepted = watcher.event(2, "accepted");
    assert_eq!(
        (&accepted["id"], &accepted["text"]),
        (&Value::from(id.trim()), &Value::from("ba\u{202e}nana"))
    );
    for node in [1, 3, 4] {
        let delivered = watcher.event(node, "delivered");
        assert_eq!(delivered["id"], id.trim());
        assert!(delivered["hops"].as_u64() >= Some(1) && delivered["latency_us"].is_u64());
    }
    // A node that comes later is watched, too.
    watcher.forget();
    lab.ok("add-node");
    watcher.event(5, "joined");
    lab.ok("send-message 5 late");
    assert_eq!(watcher.event(5, "accepted")["text"], "late");
    // So is one that comes back, in its new life.
    lab.ok("kill-node 3");
    watcher.event(3, "gone");
    watcher.forget();
    lab.ok("start-node 3");
    watcher.event(3, "joined");
    lab.ok("send-message 3 back");
    assert_eq!(watcher.event(3, "accepted")["id"], "3.1@2");
    watcher.forget();
    lab.ok("kill-node 1");
    watcher.event_of_peer(1, "peer_suspected");
    watcher.event_of_peer(1, "peer_dead");
    lab.ok("remove-node 2");
    watcher.event_of_peer(2, "peer_left");
    watcher.until("`link_made`", |event| event["event"] == "link_made");
    watcher.signal(Signal::INT);
    watcher.ends();
}

#[test]
fn watching_ends_after_count_events_and_when_no_node_is_left() {
    let lab = Lab::new();
    lab.start("circular -n 3");
    let watcher = Watcher::new(&lab, "--count 2");
    lab.ok("send-message 1 hello");
    let lines = watcher.ends();
    assert_eq!(lines.len(), 2, "{lines:?}");
    let mut watcher = Watcher::new(&lab, "");
    lab.ok("stop-network");
    assert_eq!(watcher.notes.rest(), ["no node is left"]);
    let gone = watcher.ends().iter().filter(|line| line.contains("\"gone\"")).count();
    assert_eq!(gone, 3);
}

#[test]
fn watching_ends_when_its_reader_leaves_though_nothing_happens() {
    let lab = Lab::new();
    lab.start("circular -n 1");
    let mut child = lab.command("watch-network").spawn().unwrap();
    let mut notes = Lines::of(child.stderr.take().unwrap());
    assert!(notes.next("the note that it watches").starts_with("watching 1 node "));
    drop(child.stdout.take());
    let run = finish(child);
    assert_eq!(run.code, Some(0), "{run:?}");
    assert_eq!(notes.rest(), [""; 0]);
}

#[test]
fn people_see_one_line_for_each_event() {
    let lab = Lab::new();
    lab.start("circular -n 2");
    let mut child = lab.command("watch-network").spawn().unwrap();
    let mut shown = Lines::of(child.stdout.take().unwrap());
    let note = Lines::of(child.stderr.take().unwrap()).next("the note that it watches");
    assert_eq!(note, "watching 2 nodes of network default; Ctrl-C ends it");
    lab.run_words(["send-message", "1", "two\nlines\x1b[2J"]).ok("send");
    // Either node may tell first, and other events may come between.
    shown.until("node 1 to send it", |line| {
        line.ends_with("  node 1  sends 1.1: two\\nlines\\u{1b}[2J")
    });
    shown.until("node 2 to get it", |line| line.contains("  node 2  got 1.1 from 1, 1 hop, "));
    let seen = shown.so_far();
    assert_eq!(seen.iter().filter(|line| line.contains(" 1.1")).count(), 2, "{seen:?}");
    harness::signal(i32::try_from(child.id()).unwrap(), Signal::INT);
    assert_eq!(finish(child).code, Some(0));
}

fn subscribe(lab: &Lab, node: u32) -> Subscription {
    lab.record().connect(NodeId(node)).unwrap().subscribe().unwrap()
}

/// More than all buffers between a node and its subscriber hold.
const MESSAGES: u64 = 600;
const TEXT_BYTES: usize = 50_000;

#[test]
fn a_watcher_that_does_not_read_loses_events_and_is_told_so() {
    let lab = Lab::new();
    lab.start("circular -n 2");
    let (mut idle, mut watcher) = (subscribe(&lab, 2), Watcher::new(&lab, ""));
    watcher.signal(Signal::STOP);
    let mut client = lab.record().connect(NodeId(1)).unwrap();
    for _ in 0..MESSAGES {
        let request = Request::Send { texts: vec!["x".repeat(TEXT_BYTES)], relays: 1 };
        assert!(matches!(client.ask(&request).unwrap(), Response::Sent { refused: None, .. }));
    }
    // Meanwhile neither watcher reads.
    lab.until("show-network", |said| {
        let delivered = &said["nodes"][1]["status"]["counters"]["delivered"];
        delivered.as_u64() >= Some(MESSAGES)
    });
    let (mut seen, mut missed) = (0, 0);
    while seen + missed < MESSAGES {
        // A node hangs up on a watcher that takes nothing for long. It may be that long.
        let Ok(told) = idle.wait() else { break };
        match told {
            Response::Event { event, lost, .. } => {
                seen += u64::from(matches!(event, Event::Delivered { .. }));
                missed += lost;
            }
            Response::Lost(lost) => missed += lost,
            Response::Done => {}
            other => panic!("{other:?}"),
        }
    }
    assert!(seen > 0 && seen < MESSAGES, "{seen} seen, {missed} lost");
    // The program that was stopped is told, too.
    watcher.signal(Signal::CONT);
    let lost = watcher.until("`lost`", |event| event["event"] == "lost");
    assert!(lost["count"].as_u64() > Some(0) || lost["count"].is_null(), "{lost}");
    watcher.signal(Signal::INT);
    watcher.ends();
    wait_for("subscriptions to end", || lab.json("show-network")["totals"]["up"] == 2);
}

#[test]
fn more_nodes_than_files_may_be_open_cannot_be_watched() {
    let lab = Lab::new();
    lab.start("circular -n 40");
    let gossip = env!("CARGO_BIN_EXE_gossip");
    let mut shell = lab.tool("sh");
    shell.args(["-c", &format!("ulimit -n 40; exec '{gossip}' watch-network")]);
    let error = finish(shell.spawn().unwrap()).fails("watch-network");
    assert!(error.contains("cannot watch 40 nodes at once"), "{error}");
    assert!(error.contains("the system allows 40"), "{error}");
}
