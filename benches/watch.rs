//! What it costs a network under load that somebody watches it: `cargo bench --bench watch`.
//!
//! Real processes deliver messages as fast as they can be handed in, in turn with and without
//! `gossip watch-network`, so that whatever else the machine does meets both alike. Times are the
//! nodes' own: from the first message sent to the last one received, and the median of all
//! deliveries' latencies. Options: `-- NODES MESSAGES PAIRS`.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a bench may panic, and prints")]

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use gossip::control::{Request, Response};
use gossip::network::{Record, StateDir};
use gossip::protocol::{MessageId, MessageQuery, NodeId, Which};

/// So many hand in messages at the same time, each at its own node.
const SENDERS: u32 = 4;

fn main() {
    let numbers: Vec<u32> = std::env::args().filter_map(|word| word.parse().ok()).collect();
    let [nodes, messages, pairs] = match numbers[..] {
        [nodes, messages, pairs] => [nodes, messages, pairs],
        _ => [16, 2_000, 10],
    };
    let network = Network::start(nodes);
    network.load(messages, "warm up");
    let (mut totals, mut latencies) = (Vec::new(), Vec::new());
    for pair in 0..pairs {
        let watched = |network: &Network| {
            let watcher = network.watch();
            let measured = network.load(messages, "watched");
            drop(watcher);
            measured
        };
        // The one that comes first may be better off: each is it as often.
        let (with, without) = if pair % 2 == 0 {
            let with = watched(&network);
            (with, network.load(messages, "alone"))
        } else {
            let without = network.load(messages, "alone");
            (watched(&network), without)
        };
        totals.push(with.0.as_secs_f64() / without.0.as_secs_f64());
        latencies.push(with.1.as_secs_f64() / without.1.as_secs_f64());
    }
    for (what, ratios) in [("time", &mut totals), ("median latency", &mut latencies)] {
        ratios.sort_by(f64::total_cmp);
        let middle = ratios[ratios.len() / 2];
        let (least, most) = (ratios[0], ratios[ratios.len() - 1]);
        println!("{what} watched ÷ alone: median {middle:.3}, from {least:.3} to {most:.3}");
    }
}

struct Network {
    home: PathBuf,
    record: Record,
}

impl Network {
    fn start(nodes: u32) -> Self {
        let home = std::env::temp_dir().join(format!("gossip-bench-{}", std::process::id()));
        let nodes = nodes.to_string();
        let line = ["start-network", "-n", &nodes, "--ports-origin", "21200", "--seed", "7"];
        assert!(gossip(&home, &line).status().unwrap().success());
        let record = StateDir::at(&home.join("gossip")).load("default").unwrap();
        Self { home, record }
    }

    /// Somebody who watches, and has everything written to nowhere.
    fn watch(&self) -> Watcher {
        let mut command = gossip(&self.home, &["watch-network"]);
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut notes = BufReader::new(child.stderr.take().unwrap()).lines();
        assert!(notes.next().unwrap().unwrap().starts_with("watching"));
        Watcher(child)
    }

    /// Hands in messages, waits until all have arrived everywhere, and tells how long that took
    /// and how long the median delivery did.
    fn load(&self, messages: u32, text: &str) -> (Duration, Duration) {
        let text = format!("{text} {}", "x".repeat(100));
        let before = self.held();
        let sent: Vec<MessageId> = thread::scope(|scope| {
            let sender = |number: u32| {
                let text = &text;
                move || -> Vec<MessageId> {
                    let mut client = self.record.connect(NodeId(number)).unwrap();
                    let request = Request::Send { text: text.clone(), relays: 1 };
                    let send = |_| match client.ask(&request).unwrap() {
                        Response::Sent(id) => id,
                        other => panic!("{other:?}"),
                    };
                    (0..messages / SENDERS).map(send).collect()
                }
            };
            let threads: Vec<_> = (1..=SENDERS)
                .map(|number| thread::Builder::new().spawn_scoped(scope, sender(number)).unwrap())
                .collect();
            threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
        });
        let all = before + sent.len() as u64 * self.record.nodes.len() as u64;
        while self.held() < all {
            thread::yield_now();
        }
        self.measure(sent.len() as u64)
    }

    /// How many messages all nodes delivered together.
    fn held(&self) -> u64 {
        let held = |node: NodeId| match self.ask(node, &Request::Status) {
            Response::Status(status) => status.counters.delivered,
            other => panic!("{other:?}"),
        };
        self.record.nodes.iter().map(|node| held(node.node)).sum()
    }

    fn measure(&self, messages: u64) -> (Duration, Duration) {
        let (mut first, mut last, mut latencies) = (u64::MAX, 0, Vec::new());
        for node in &self.record.nodes {
            let mut query = MessageQuery { which: Which::All, last: Some(messages), after: None };
            loop {
                let Response::Messages(page) = self.ask(node.node, &Request::Messages(query))
                else {
                    panic!("another answer");
                };
                for message in page.messages {
                    first = first.min(message.sent_at.0);
                    last = last.max(message.received_at.0);
                    if message.hops > 0 {
                        latencies.push(message.received_at.since(message.sent_at));
                    }
                }
                query.after = page.next;
                if query.after.is_none() {
                    break;
                }
            }
        }
        latencies.sort_unstable();
        (Duration::from_nanos(last - first), latencies[latencies.len() / 2])
    }

    fn ask(&self, node: NodeId, request: &Request) -> Response {
        self.record.connect(node).unwrap().ask(request).unwrap()
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        let _ = gossip(&self.home, &["stop-network"]).status();
        let _ = std::fs::remove_dir_all(&self.home);
    }
}

struct Watcher(Child);

impl Drop for Watcher {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn gossip(home: &Path, line: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gossip"));
    command.args(line).env("XDG_STATE_HOME", home);
    command.stdin(Stdio::null()).stdout(Stdio::null());
    command
}
