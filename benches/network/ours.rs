//! `gossip` itself: started and stopped by its own commands, fed and asked over its control ports.

use std::collections::{BTreeMap, VecDeque};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use gossip::control::client::Client;
use gossip::control::{Hello, Request, Response, Token, VERSION, frame};
use gossip::network::{CONTROL_TIMEOUT, Record, StateDir};
use gossip::protocol::{Counters, MessageId, MessageInfo, MessageQuery, Status, Which};
use gossip::runtime::clock;
use gossip::topology::Kind;

use crate::lab::{Carried, Feed, Lab, Network, Outcome, Receipt, SEED, Tally};

/// How often a constant load is paid out.
pub(crate) const TICK: Duration = Duration::from_millis(1);
/// The connections over which one node is fed, so that it is never the connection that is slow.
const LINES_TO_ONE: usize = 4;
/// The most messages of a connection that wait for their answer.
const WINDOW: usize = 64;
/// How long the last answers may take.
const ANSWERS_WITHIN: Duration = Duration::from_secs(30);

/// A running network.
pub(crate) struct Ours {
    program: PathBuf,
    state_home: PathBuf,
    record: Record,
    running: bool,
    lines: BTreeMap<u32, Line>,
    /// The origins of the messages, in order.
    origins: Vec<u32>,
}

impl Ours {
    pub(crate) fn start(
        program: &Path,
        directory: &Path,
        ports_origin: u16,
        kind: Kind,
        nodes: u32,
    ) -> Outcome<Self> {
        let line = format!(
            "start-network {kind} --num-nodes {nodes} --ports-origin {ports_origin} --seed {SEED}"
        );
        let state_home = directory.join("state");
        run(program, &state_home, &line)?;
        let record = StateDir::at(&state_home.join("gossip")).load("default")?;
        Ok(Self {
            program: program.to_owned(),
            state_home,
            record,
            running: true,
            lines: BTreeMap::new(),
            origins: Vec::new(),
        })
    }

    /// Stops it, and says if that did not work.
    pub(crate) fn stop(mut self) -> Outcome<()> {
        self.running = false;
        run(&self.program, &self.state_home, "stop-network")
    }

    /// A command line for this network, words split at spaces.
    pub(crate) fn command(&self, line: &str) -> Command {
        command(&self.program, &self.state_home, line)
    }

    pub(crate) fn nodes(&self) -> u32 {
        u32::try_from(self.record.nodes.len()).unwrap_or(u32::MAX)
    }

    /// The process numbers.
    pub(crate) fn pids(&self) -> Vec<u32> {
        self.record.nodes.iter().map(|node| node.process.pid).collect()
    }

    fn addr(&self, node: u32) -> SocketAddr {
        self.record.nodes[node as usize - 1].addr
    }

    fn token(&self) -> Token {
        Token::of(&self.record.key)
    }

    pub(crate) fn connect(&self, node: u32) -> Outcome<Client> {
        Ok(Client::connect(self.addr(node), &self.token(), CONTROL_TIMEOUT)?)
    }

    fn ask(&self, node: u32, request: &Request) -> Outcome<Response> {
        Ok(self.connect(node)?.ask(request)?)
    }

    pub(crate) fn status(&self, node: u32) -> Outcome<Status> {
        match self.ask(node, &Request::Status)? {
            Response::Status(status) => Ok(*status),
            other => Err(format!("node {node} answered {other:?}").into()),
        }
    }

    /// The counts of all nodes together.
    pub(crate) fn counters(&self) -> Outcome<Counters> {
        let mut sum = Counters::default();
        for node in 1..=self.nodes() {
            sum.add(&self.status(node)?.counters);
        }
        Ok(sum)
    }

    /// The last so many messages that a node holds.
    fn messages(&self, node: u32, last: u64) -> Outcome<Vec<MessageInfo>> {
        let (mut after, mut messages) = (None, Vec::new());
        let mut client = self.connect(node)?;
        loop {
            let query = MessageQuery { which: Which::All, last: Some(last), after };
            let Response::Messages(page) = client.ask(&Request::Messages(query))? else {
                return Err(format!("node {node} does not tell its messages").into());
            };
            messages.extend(page.messages);
            after = page.next;
            if after.is_none() {
                return Ok(messages);
            }
        }
    }

    /// When nodes had each of their last so many messages.
    fn collect(&self, last: u64) -> Outcome<BTreeMap<MessageId, Receipt>> {
        let mut receipts: BTreeMap<MessageId, Receipt> = BTreeMap::new();
        for node in 1..=self.nodes() {
            for message in self.messages(node, last)? {
                let empty = || Receipt { sent_at: message.sent_at.0, received_at: Vec::new() };
                let receipt = receipts.entry(message.id).or_insert_with(empty);
                receipt.received_at.push(message.received_at.0);
            }
        }
        Ok(receipts)
    }

    /// The receipts of the last so many messages, whoever sent them.
    pub(crate) fn last_receipts(&self, last: u64) -> Outcome<Vec<Receipt>> {
        Ok(self.collect(last)?.into_values().collect())
    }

    fn line(&mut self, node: u32) -> Outcome<&mut Line> {
        if !self.lines.contains_key(&node) {
            let line = Line::connect(self.addr(node), &self.token())?;
            self.lines.insert(node, line);
        }
        self.lines.get_mut(&node).ok_or_else(|| "a line that was just put there".into())
    }
}

impl Network for Ours {
    fn send(&mut self, node: u32) -> Outcome<()> {
        self.origins.push(node);
        let line = self.line(node)?;
        line.queue();
        line.pump()
    }

    fn receipts(&mut self) -> Outcome<Vec<Receipt>> {
        let mut ids = Vec::new();
        for node in std::mem::take(&mut self.origins) {
            let line = self.line(node)?;
            line.pump()?;
            ids.push(line.accepted.pop_front().ok_or("a message was not accepted")?);
        }
        self.lines.clear();
        let mut receipts = self.collect(ids.len() as u64)?;
        ids.iter().map(|id| receipts.remove(id).ok_or_else(|| "nobody has it".into())).collect()
    }

    fn load(&mut self, lab: &Lab, feed: Feed, rate: f64, time: Duration) -> Outcome<Carried> {
        let mut feeder = Feeder::connect(self, feed)?;
        let start = clock::now().monotonic;
        let mut tick = start;
        loop {
            let passed = clock::now().monotonic.since(start).min(time);
            feeder.offer((passed.as_secs_f64() * rate) as u64)?;
            if passed == time {
                break;
            }
            tick = tick + TICK;
            lab.sleep_until(tick)?;
        }
        while feeder.waiting() > 0 {
            if clock::now().monotonic.since(start) > time + ANSWERS_WITHIN {
                return Err("a node does not answer what it was sent".into());
            }
            lab.sleep(TICK)?;
            feeder.collect()?;
        }
        let now = clock::now();
        let seconds = now.monotonic.since(start).as_secs_f64();
        Ok(Carried { accepted: feeder.accepted, seconds, ended_at: now.wall.0 })
    }

    fn tally(&mut self) -> Outcome<Tally> {
        let mut tally = Tally::default();
        for node in 1..=self.nodes() {
            let counters = self.status(node)?.counters;
            let last = self.messages(node, 1)?.last().map_or(0, |last| last.received_at.0);
            tally.last_at = last.max(tally.last_at);
            tally.delivered.push(counters.delivered);
            tally.rumors += counters.rumors_sent;
            tally.rumor_datagrams += counters.rumor_datagrams_sent;
            tally.repairs += counters.repairs_sent;
        }
        Ok(tally)
    }
}

impl Drop for Ours {
    fn drop(&mut self) {
        if self.running
            && let Err(error) = run(&self.program, &self.state_home, "stop-network")
        {
            eprintln!("error: {error}");
        }
    }
}

/// Feeds messages to nodes over connections that are never waited for.
///
/// This is the one place that knows how a load is handed in.
struct Feeder {
    lines: Vec<Line>,
    next: usize,
    offered: u64,
    accepted: u64,
}

impl Feeder {
    fn connect(network: &Ours, feed: Feed) -> Outcome<Self> {
        let nodes = match feed {
            Feed::One => vec![1; LINES_TO_ONE],
            Feed::All => (1..=network.nodes()).collect(),
        };
        let token = network.token();
        let lines = nodes.into_iter().map(|node| Line::connect(network.addr(node), &token));
        Ok(Self { lines: lines.collect::<Outcome<_>>()?, next: 0, offered: 0, accepted: 0 })
    }

    /// Offers messages until there were `due`, or as many as the nodes take for now.
    fn offer(&mut self, due: u64) -> Outcome<()> {
        let mut full = 0;
        let first = self.next;
        let mut touched = 0;
        while self.offered < due && full < self.lines.len() {
            let line = &mut self.lines[self.next];
            if line.waiting >= WINDOW {
                line.pump()?;
                self.accepted += line.take_accepted();
            }
            if line.waiting < WINDOW {
                line.queue();
                self.offered += 1;
                full = 0;
            } else {
                full += 1;
            }
            self.next = (self.next + 1) % self.lines.len();
            touched += 1;
        }
        for line in 0..touched.min(self.lines.len()) {
            let at = (first + line) % self.lines.len();
            self.lines[at].pump()?;
            self.accepted += self.lines[at].take_accepted();
        }
        Ok(())
    }

    /// The messages that no answer has come for.
    fn waiting(&self) -> usize {
        self.lines.iter().map(|line| line.waiting).sum()
    }

    /// Takes in answers.
    fn collect(&mut self) -> Outcome<()> {
        for line in self.lines.iter_mut().filter(|line| line.waiting > 0) {
            line.pump()?;
            self.accepted += line.take_accepted();
        }
        Ok(())
    }
}

/// A connection on which nobody waits: requests are written, and answers taken in, as far as that
/// is possible at once.
struct Line {
    stream: TcpStream,
    /// Written in part, or not at all.
    out: Vec<u8>,
    /// Answers that have begun to come in.
    inbox: Vec<u8>,
    waiting: usize,
    accepted: VecDeque<MessageId>,
}

impl Line {
    fn connect(addr: SocketAddr, token: &Token) -> Outcome<Self> {
        let stream = TcpStream::connect(addr)?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        let mut out = Vec::new();
        frame::write(&mut out, &Hello { version: VERSION, token: *token })?;
        let (inbox, accepted) = (Vec::new(), VecDeque::new());
        let mut line = Self { stream, out, inbox, waiting: 0, accepted };
        line.pump()?;
        Ok(line)
    }

    /// One more message.
    fn queue(&mut self) {
        let request = Request::Send { text: "banana".to_owned(), relays: 1 };
        frame::write(&mut self.out, &request).expect("a vector takes anything short");
        self.waiting += 1;
    }

    /// Writes and reads what can be written and read at once.
    fn pump(&mut self) -> Outcome<()> {
        while !self.out.is_empty() {
            match self.stream.write(&self.out) {
                Ok(bytes) => drop(self.out.drain(..bytes)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error.into()),
            }
        }
        let mut buffer = [0; 4096];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => return Err("a node hung up".into()),
                Ok(bytes) => self.inbox.extend_from_slice(&buffer[..bytes]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error.into()),
            }
        }
        let mut taken = 0;
        while let Some((length, rest)) = self.inbox[taken..].split_first_chunk() {
            let length = u32::from_le_bytes(*length) as usize;
            if rest.len() < length {
                break;
            }
            let response = frame::read::<Response>(&mut &self.inbox[taken..]);
            match response.map_err(|error| format!("{error:?}"))? {
                Response::Sent(id) => self.accepted.push_back(id),
                other => return Err(format!("not accepted: {other:?}").into()),
            }
            self.waiting -= 1;
            taken += 4 + length;
        }
        self.inbox.drain(..taken);
        Ok(())
    }

    /// How many more were accepted.
    fn take_accepted(&mut self) -> u64 {
        let accepted = self.accepted.len() as u64;
        self.accepted.clear();
        accepted
    }
}

fn command(program: &Path, state_home: &Path, line: &str) -> Command {
    let mut command = Command::new(program);
    command.args(line.split_whitespace()).env("XDG_STATE_HOME", state_home);
    command.stdin(Stdio::null());
    command
}

/// Runs a command that must succeed.
fn run(program: &Path, state_home: &Path, line: &str) -> Outcome<()> {
    let output = command(program, state_home, line).output()?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(said.trim().trim_start_matches("error: ").to_owned().into())
}
