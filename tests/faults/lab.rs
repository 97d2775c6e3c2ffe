//! Networks of real processes to break: each in a lab of its own, asked over connections that stay
//! open, and gone when its test is, also if that fails.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use gossip::control::client::Client;
use gossip::control::server::IDLE_TIMEOUT;
use gossip::control::{Request, Response, Token};
use gossip::network::Record;
use gossip::protocol::{
    Counters, FaultRule, MessageId, MessageInfo, MessageQuery, Monotonic, PeerState, Status, Which,
};
use gossip::runtime::clock;
use rustix::process::Signal;

use crate::harness::{self, signal, wait_until};

/// No answer takes this long from a node that is there.
const ANSWER_WITHIN: Duration = Duration::from_secs(20);

/// Whether a network may run beside those of other tests.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Turn {
    /// Its test measures: others would be measured as well.
    Alone,
    /// Its test waits most of the time.
    Shared,
}

/// A running network.
pub(crate) struct Lab {
    lab: harness::Lab,
    record: Record,
    /// By number, from 1, and when they were last used; `None` for nodes that were killed.
    clients: Vec<Option<(Client, Monotonic)>>,
    _turn: File,
}

impl Lab {
    /// Starts a network, when no other test of this file has one: its topology in the words of
    /// `start-network`, and how many nodes.
    pub(crate) fn start(topology: &str, nodes: u16) -> Self {
        Self::start_in(Turn::Alone, topology, nodes)
    }

    /// As [`Lab::start`], for a test that others may run beside.
    pub(crate) fn start_beside(topology: &str, nodes: u16) -> Self {
        Self::start_in(Turn::Shared, topology, nodes)
    }

    fn start_in(turn: Turn, topology: &str, nodes: u16) -> Self {
        let turn = wait_for_turn(turn);
        let lab = harness::Lab::new();
        lab.start(&format!("{topology} --num-nodes {nodes} --seed 1"));
        let record = lab.record();
        let clients = (0..nodes).map(|_| None).collect();
        let mut lab = Self { lab, record, clients, _turn: turn };
        for node in 1..=u32::from(nodes) {
            lab.connect(node);
        }
        lab
    }

    /// Connects to a node, which was started just now.
    pub(crate) fn connect(&mut self, node: u32) {
        let token = Token::of(&self.record.key);
        let client = Client::connect(self.addr(node), &token, ANSWER_WITHIN).unwrap();
        self.clients[node as usize - 1] = Some((client, clock::now().monotonic));
    }

    /// Starts a node again that was killed.
    pub(crate) fn start_again(&mut self, node: u32) {
        self.lab.ok(&format!("start-node {node}"));
        self.record = self.lab.record();
        self.connect(node);
    }

    pub(crate) fn key(&self) -> gossip::protocol::Key {
        self.record.key
    }

    pub(crate) fn addr(&self, node: u32) -> SocketAddr {
        self.record.nodes[node as usize - 1].addr
    }

    pub(crate) fn pid(&self, node: u32) -> i32 {
        i32::try_from(self.record.nodes[node as usize - 1].process.pid).unwrap()
    }

    /// The neighbours that a node was started with.
    pub(crate) fn first_peers(&self, node: u32) -> Vec<u32> {
        self.record.nodes[node as usize - 1].peers.iter().map(|peer| peer.0).collect()
    }

    /// The nodes that were not killed.
    pub(crate) fn nodes(&self) -> Vec<u32> {
        let numbers = 1..=u32::try_from(self.clients.len()).unwrap();
        numbers.filter(|node| self.clients[*node as usize - 1].is_some()).collect()
    }

    /// Asks a node, over the connection that is there if it was used lately: nodes end those
    /// that were not.
    #[track_caller]
    pub(crate) fn ask(&mut self, node: u32, request: &Request) -> Response {
        let now = clock::now().monotonic;
        let (_, used) = self.clients[node as usize - 1].as_ref().expect("the node was killed");
        if now.since(*used) > IDLE_TIMEOUT / 2 {
            self.connect(node);
        }
        let (client, used) = self.clients[node as usize - 1].as_mut().expect("it is there");
        *used = now;
        client.ask(request).unwrap_or_else(|error| panic!("node {node}: {error}"))
    }

    /// Hands a message to a node.
    #[track_caller]
    pub(crate) fn send(&mut self, node: u32, text: &str) -> MessageId {
        self.send_with(node, text, 1)
    }

    /// Hands a message to a node, with a relays limit.
    #[track_caller]
    pub(crate) fn send_with(&mut self, node: u32, text: &str, relays: u8) -> MessageId {
        let request = Request::Send { texts: vec![text.to_owned()], relays };
        match self.ask(node, &request) {
            Response::Sent { ids, .. } if ids.len() == 1 => ids[0],
            other => panic!("node {node}: {other:?}"),
        }
    }

    #[track_caller]
    pub(crate) fn status(&mut self, node: u32) -> Status {
        match self.ask(node, &Request::Status) {
            Response::Status(status) => *status,
            other => panic!("node {node}: {other:?}"),
        }
    }

    /// The counts of all nodes together.
    pub(crate) fn counters(&mut self) -> Counters {
        let mut sum = Counters::default();
        for node in self.nodes() {
            sum.add(&self.status(node).counters);
        }
        sum
    }

    /// All that a node holds, in the order of arrival.
    #[track_caller]
    pub(crate) fn messages(&mut self, node: u32) -> Vec<MessageInfo> {
        let (mut after, mut messages) = (None, Vec::new());
        loop {
            let query = MessageQuery { which: Which::All, last: None, after };
            let Response::Messages(page) = self.ask(node, &Request::Messages(query)) else {
                panic!("node {node} answered something else");
            };
            messages.extend(page.messages);
            after = page.next;
            if after.is_none() {
                return messages;
            }
        }
    }

    /// Replaces the faults of all nodes.
    pub(crate) fn set_faults(&mut self, rules: &[FaultRule]) {
        for node in self.nodes() {
            assert_eq!(self.ask(node, &Request::SetFaults(rules.to_vec())), Response::Done);
        }
    }

    /// Waits until every node has the neighbours that it was started with, and no others.
    #[track_caller]
    pub(crate) fn until_linked(&mut self) -> Duration {
        let nodes = self.nodes();
        wait_until("every node to have its first links", Duration::from_secs(20), || {
            let mut odd = Vec::new();
            for &node in &nodes {
                let (now, first) = (self.neighbours(node), self.first_peers(node));
                if now != first {
                    odd.push((node, now, first));
                }
            }
            if odd.is_empty() { Ok(()) } else { Err(format!("{odd:?}")) }
        })
    }

    /// The neighbours that a node regards as alive.
    #[track_caller]
    pub(crate) fn neighbours(&mut self, node: u32) -> Vec<u32> {
        let peers = self.status(node).peers;
        let alive = peers.iter().filter(|peer| peer.state == PeerState::Alive);
        alive.map(|peer| peer.node.0).collect()
    }

    /// Waits until every node that was not killed holds `count` messages; gives the time that took.
    #[track_caller]
    pub(crate) fn until_all_hold(&mut self, count: u64, within: Duration) -> Duration {
        let nodes = self.nodes();
        wait_until("every node to hold all messages", within, || {
            let short: Vec<(u32, u64)> = nodes
                .iter()
                .map(|node| (*node, self.status(*node).messages))
                .filter(|(_, held)| *held < count)
                .collect();
            if short.is_empty() { Ok(()) } else { Err(format!("of {count}: {short:?}")) }
        })
    }

    /// Asserts that every node that was not killed holds exactly these, and delivered each once.
    /// Gives the longest time that one of them took.
    #[track_caller]
    pub(crate) fn assert_all_hold_once(&mut self, ids: &[MessageId]) -> Duration {
        let mut slowest = Duration::ZERO;
        for node in self.nodes() {
            let messages = self.messages(node);
            let mut held: Vec<MessageId> = messages.iter().map(|message| message.id).collect();
            held.sort_unstable();
            assert_eq!(held, ids, "node {node}");
            assert_eq!(self.status(node).counters.delivered, ids.len() as u64, "node {node}");
            let took = messages.iter().map(|m| m.received_at.since(m.sent_at)).max();
            slowest = slowest.max(took.unwrap_or_default());
        }
        slowest
    }

    pub(crate) fn signal(&self, node: u32, signal: Signal) {
        harness::signal(self.pid(node), signal);
    }

    /// Kills nodes all at once.
    pub(crate) fn kill(&mut self, nodes: &[u32]) {
        for node in nodes {
            self.signal(*node, Signal::KILL);
            self.clients[*node as usize - 1] = None;
        }
        wait_until("the killed to be gone", Duration::from_secs(10), || {
            let left: Vec<&u32> = nodes.iter().filter(|node| self.runs(**node)).collect();
            if left.is_empty() { Ok(()) } else { Err(format!("{left:?}")) }
        });
    }

    /// Whether a node's process is there.
    pub(crate) fn runs(&self, node: u32) -> bool {
        self.record.nodes[node as usize - 1].process.is_alive()
    }

    /// The memory that a node has in use, in bytes.
    pub(crate) fn memory(&self, node: u32) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid(node))).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        let kilobytes: u64 = line.trim().trim_end_matches(" kB").parse().unwrap();
        kilobytes * 1024
    }

    /// The processor time that a node has used.
    pub(crate) fn processor_time(&self, node: u32) -> Duration {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.pid(node))).unwrap();
        let of = |task: std::io::Result<fs::DirEntry>| -> Option<u64> {
            let text = fs::read_to_string(task.ok()?.path().join("schedstat")).ok()?;
            text.split(' ').next()?.parse().ok()
        };
        Duration::from_nanos(tasks.filter_map(of).sum())
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        // Stopped processes do not hear that they are to end.
        for node in self.nodes().into_iter().filter(|node| self.runs(*node)) {
            signal(self.pid(node), Signal::KILL);
        }
    }
}

/// Waits until this test may run. The lock is one of files, because tests of this file may be
/// threads of one process, or processes of their own; it is given up when the file is closed.
fn wait_for_turn(turn: Turn) -> File {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("faults-turn");
    let file = File::options().create(true).append(true).open(path).unwrap();
    match turn {
        Turn::Alone => file.lock().unwrap(),
        Turn::Shared => file.lock_shared().unwrap(),
    }
    file
}
