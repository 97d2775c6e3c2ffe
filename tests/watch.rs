//! `watch-network`: everything is told, to whoever reads, and nobody waits for who does not.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod harness;

use std::io::{BufRead, BufReader, Read};
use std::process::Child;
use std::thread;

use crossbeam_channel::{Receiver, unbounded};
use gossip::control::client::Subscription;
use gossip::control::{Request, Response};
use gossip::protocol::{Event, NodeId};
use harness::{Lab, PATIENCE, finish, wait_for};
use rustix::process::Signal;
use serde_json::Value;

/// Somebody who watches, and sees JSON.
struct Watcher {
    child: Child,
    lines: Receiver<String>,
    notes: Receiver<String>,
    /// What was seen since the last [`Watcher::forget`].
    seen: Vec<Value>,
}

/// Lines as they come, so that whoever waits for one can lose patience.
fn lines(from: impl Read + Send + 'static) -> Receiver<String> {
    let (tell, told) = unbounded();
    let read = move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            if tell.send(line).is_err() {
                return;
            }
        }
    };
    thread::Builder::new().name("lines".into()).spawn(read).unwrap();
    told
}

impl Watcher {
    /// From when this returns, nothing is missed.
    fn new(lab: &Lab, arguments: &str) -> Self {
        let mut child = lab.command(&format!("watch-network --json {arguments}")).spawn().unwrap();
        let (shown, notes) =
            (lines(child.stdout.take().unwrap()), lines(child.stderr.take().unwrap()));
        let note = notes.recv_timeout(PATIENCE).unwrap();
        assert!(note.starts_with("watching "), "{note}");
        Self { child, lines: shown, notes, seen: Vec::new() }
    }

    /// An event that is meant, seen already or waited for: who tells first is not certain.
    #[track_caller]
    fn until(&mut self, meant: impl Fn(&Value) -> bool) -> Value {
        if let Some(event) = self.seen.iter().find(|event| meant(event)) {
            return event.clone();
        }
        loop {
            let Ok(line) = self.lines.recv_timeout(PATIENCE) else {
                panic!("waited in vain, and saw {:?}", self.seen);
            };
            let event: Value = serde_json::from_str(&line).unwrap();
            self.seen.push(event.clone());
            if meant(&event) {
                return event;
            }
        }
    }

    /// From here on only what is new counts.
    fn forget(&mut self) {
        self.seen.clear();
    }

    /// Waits for an event of this kind, told by this node.
    #[track_caller]
    fn event(&mut self, node: u64, name: &str) -> Value {
        self.until(|event| event["event"] == name && event["node"] == node)
    }

    fn signal(&self, signal: Signal) {
        harness::signal(i32::try_from(self.child.id()).unwrap(), signal);
    }

    /// It ends by itself, and well.
    fn ends(self) -> Vec<String> {
        let run = finish(self.child);
        let rest = self.lines.iter().collect();
        assert_eq!(run.code, Some(0), "{run:?}");
        rest
    }
}

#[test]
fn what_happens_at_any_node_is_told() {
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
    watcher.until(|event| event["event"] == "peer_suspected" && event["peer"] == 1);
    watcher.until(|event| event["event"] == "peer_dead" && event["peer"] == 1);
    lab.ok("remove-node 2");
    watcher.until(|event| event["event"] == "peer_left" && event["peer"] == 2);
    watcher.until(|event| event["event"] == "link_made");
    watcher.signal(Signal::INT);
    watcher.ends();
}

#[test]
fn it_ends_when_there_is_enough_and_when_no_node_is_left() {
    let lab = Lab::new();
    lab.start("circular -n 3");
    let watcher = Watcher::new(&lab, "--count 2");
    lab.ok("send-message 1 hello");
    let lines = watcher.ends();
    assert_eq!(lines.len(), 2, "{lines:?}");
    let watcher = Watcher::new(&lab, "");
    lab.ok("stop-network");
    let notes: Vec<String> = watcher.notes.iter().collect();
    assert_eq!(notes, ["no node is left"]);
    let gone = watcher.ends().iter().filter(|line| line.contains("\"gone\"")).count();
    assert_eq!(gone, 3);
}

#[test]
fn a_reader_who_leaves_ends_it_though_nothing_happens() {
    let lab = Lab::new();
    lab.start("circular -n 1");
    let mut child = lab.command("watch-network").spawn().unwrap();
    let notes = lines(child.stderr.take().unwrap());
    assert!(notes.recv_timeout(PATIENCE).unwrap().starts_with("watching 1 node "));
    drop(child.stdout.take());
    let run = finish(child);
    assert_eq!(run.code, Some(0), "{run:?}");
    assert_eq!(notes.iter().count(), 0);
}

#[test]
fn people_see_one_line_for_each_event() {
    let lab = Lab::new();
    lab.start("circular -n 2");
    let mut child = lab.command("watch-network").spawn().unwrap();
    let shown = lines(child.stdout.take().unwrap());
    let note = lines(child.stderr.take().unwrap()).recv_timeout(PATIENCE).unwrap();
    assert_eq!(note, "watching 2 nodes of network default; Ctrl-C ends it");
    lab.run_words(["send-message", "1", "two\nlines\x1b[2J"]).ok("send");
    // Who tells first is not certain, nor that nobody tells of anything else.
    let sends = |line: &String| line.ends_with("  node 1  sends 1.1: two\\nlines\\u{1b}[2J");
    let got = |line: &String| line.contains("  node 2  got 1.1 from 1, 1 hop, ");
    let mut seen: Vec<String> = Vec::new();
    while !(seen.iter().any(sends) && seen.iter().any(got)) {
        let Ok(line) = shown.recv_timeout(PATIENCE) else {
            panic!("waited in vain, and saw {seen:?}");
        };
        seen.push(line);
    }
    let of_it = seen.iter().filter(|line| line.contains(" 1.1")).count();
    assert_eq!(of_it, 2, "{seen:?}");
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
fn who_does_not_read_loses_events_and_hears_of_it() {
    let lab = Lab::new();
    lab.start("circular -n 2");
    let (mut idle, mut watcher) = (subscribe(&lab, 2), Watcher::new(&lab, ""));
    watcher.signal(Signal::STOP);
    let mut client = lab.record().connect(NodeId(1)).unwrap();
    for _ in 0..MESSAGES {
        let request = Request::Send { text: "x".repeat(TEXT_BYTES), relays: 1 };
        assert!(matches!(client.ask(&request).unwrap(), Response::Sent(_)));
    }
    // All that while nobody reads.
    lab.until("show-network", |said| {
        let delivered = &said["nodes"][1]["status"]["counters"]["delivered"];
        delivered.as_u64() >= Some(MESSAGES)
    });
    let (mut seen, mut missed) = (0, 0);
    while seen + missed < MESSAGES {
        // Nodes hang up on whoever takes nothing for long, as this one did if the load took long.
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
    let lost = watcher.until(|event| event["event"] == "lost");
    assert!(lost["count"].as_u64() > Some(0) || lost["count"].is_null(), "{lost}");
    watcher.signal(Signal::INT);
    watcher.ends();
    wait_for("subscriptions to end", || lab.json("show-network")["totals"]["up"] == 2);
}

#[test]
fn so_many_files_cannot_be_open() {
    let lab = Lab::new();
    lab.start("circular -n 40");
    let gossip = env!("CARGO_BIN_EXE_gossip");
    let mut shell = lab.command_of(["--version"]);
    let environment: Vec<_> = shell
        .get_envs()
        .filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned())))
        .collect();
    shell = std::process::Command::new("sh");
    shell.args(["-c", &format!("ulimit -n 40; exec {gossip} watch-network")]);
    shell.envs(environment).stdin(std::process::Stdio::null());
    shell.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    let error = finish(shell.spawn().unwrap()).fails("watch-network");
    assert!(error.contains("cannot watch 40 nodes at once"), "{error}");
    assert!(error.contains("the system allows 40"), "{error}");
}
