//! Networks of real processes to break: started under a state directory and on ports of their
//! own, asked over connections that stay open, and gone when their test is, also if it fails.

use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use gossip::control::client::Client;
use gossip::control::server::IDLE_TIMEOUT;
use gossip::control::{Request, Response, Token};
use gossip::network::{Record, StateDir};
use gossip::protocol::{
    Counters, FaultRule, MessageId, MessageInfo, MessageQuery, Monotonic, NodeId, PeerState,
    Status, Which,
};
use gossip::runtime::clock;
use rustix::process::{Pid, Signal, kill_process};

/// No answer takes this long from a node that is there.
const ANSWER_WITHIN: Duration = Duration::from_secs(20);
/// How often something that is waited for is looked at.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);
/// Blocks of ports, below those that systems hand out to clients.
const PORTS_FIRST: u16 = 30_720;
const PORTS_PER_BLOCK: u16 = 128;
const BLOCKS: u16 = 16;

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
    directory: PathBuf,
    record: Record,
    /// By number, from 1, and when they were last used; `None` for nodes that were killed.
    clients: Vec<Option<(Client, Monotonic)>>,
    _ports: File,
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
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("gossip-faults-{}-{number}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        fs::create_dir_all(&directory).unwrap();
        let (origin, ports) = reserve_ports();
        let record = start(
            &directory,
            &format!(
                "start-network {topology} --num-nodes {nodes} --ports-origin {origin} --seed 1"
            ),
        );
        let clients = (0..nodes).map(|_| None).collect();
        let mut lab = Self { directory, record, clients, _ports: ports, _turn: turn };
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
        let state = StateDir::at(&self.directory.join("gossip"));
        let started = state.start_node("default", NodeId(node), &program()).unwrap();
        self.record.nodes[node as usize - 1] = started;
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
        let request = Request::Send { text: text.to_owned(), relays };
        match self.ask(node, &request) {
            Response::Sent(id) => id,
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

    /// Waits until every node that was not killed holds so many messages; says how long.
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

    /// Every node that was not killed holds exactly these, and handed each up once. Gives the
    /// longest time that one of them took.
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
        kill_process(Pid::from_raw(self.pid(node)).unwrap(), signal).unwrap();
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
        for node in &self.record.nodes {
            // Stopped processes do not hear that they are to end.
            if node.process.is_alive() {
                let pid = Pid::from_raw(i32::try_from(node.process.pid).unwrap_or(0));
                let _ = pid.map(|pid| kill_process(pid, Signal::KILL));
            }
        }
        let _ = gossip(&self.directory, "stop-network").output();
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// The program; another build of it can be named, to measure that.
fn program() -> PathBuf {
    let other = std::env::var_os("GOSSIP_TEST_PROGRAM");
    other.map_or(env!("CARGO_BIN_EXE_gossip").into(), PathBuf::from)
}

/// Waits until this test may run. The lock is one of files, because tests of this file may be
/// threads of one process, or processes of their own; it is given up when the file is closed.
fn wait_for_turn(turn: Turn) -> File {
    let path = std::env::temp_dir().join("gossip-faults-turn");
    let file = File::options().create(true).append(true).open(path).unwrap();
    match turn {
        Turn::Alone => file.lock().unwrap(),
        Turn::Shared => file.lock_shared().unwrap(),
    }
    file
}

/// A command line of the program, in a state directory of its own.
fn gossip(directory: &std::path::Path, line: &str) -> Command {
    let mut command = Command::new(program());
    command.args(line.split_whitespace()).env("XDG_STATE_HOME", directory);
    command.stdin(Stdio::null()).current_dir(directory);
    command
}

/// Runs a command to its end, and reads what is remembered of the network then.
#[track_caller]
fn start(directory: &std::path::Path, line: &str) -> Record {
    let output = gossip(directory, line).output().unwrap();
    assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    StateDir::at(&directory.join("gossip")).load("default").unwrap()
}

/// Looks again and again until it is so.
#[track_caller]
pub(crate) fn wait_until(
    what: &str,
    within: Duration,
    mut look: impl FnMut() -> Result<(), String>,
) -> Duration {
    let start = clock::now().monotonic;
    loop {
        let found = look();
        let waited = clock::now().monotonic.since(start);
        match found {
            Ok(()) => return waited,
            Err(seen) => assert!(waited < within, "waited {within:?} in vain for {what}: {seen}"),
        }
        pause(LOOK_INTERVAL);
    }
}

/// Lets time pass: where the passing of time is itself what is tested.
pub(crate) fn pause(duration: Duration) {
    let _ = crossbeam_channel::never::<()>().recv_timeout(duration);
}

/// Lets time pass up to an instant.
pub(crate) fn pause_until(instant: Monotonic) {
    pause(instant.since(clock::now().monotonic));
}

/// Takes a block of ports that no other test has, and no other program either.
fn reserve_ports() -> (u16, File) {
    let directory = std::env::temp_dir().join("gossip-faults-ports");
    fs::create_dir_all(&directory).unwrap();
    for block in 0..BLOCKS {
        let origin = PORTS_FIRST + block * PORTS_PER_BLOCK;
        let path = directory.join(block.to_string());
        let file = File::options().create(true).append(true).open(path).unwrap();
        let free = |port| {
            let addr = ("127.0.0.1", port);
            UdpSocket::bind(addr).is_ok() && TcpListener::bind(addr).is_ok()
        };
        if file.try_lock().is_ok() && (origin + 1..origin + PORTS_PER_BLOCK).all(free) {
            return (origin, file);
        }
    }
    panic!("all ports are taken");
}
