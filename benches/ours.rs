//! `gossip` itself: started and stopped by its own commands, fed and asked over its control ports.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use gossip::control::client::Client;
use gossip::control::{Request, Response, Token};
use gossip::network::{CONTROL_TIMEOUT, Record, StateDir};
use gossip::protocol::{Counters, MessageId, MessageInfo, MessageQuery, Status, Which};
use gossip::topology::Kind;

use crate::site::{Carried, Feed, Lab, Network, Outcome, Receipt, SEED, Tally};
use crate::line::{Line, Lines};
use crate::load;

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
        self.line(node)?.send()
    }

    fn receipts(&mut self) -> Outcome<Vec<Receipt>> {
        let mut ids = Vec::new();
        for node in std::mem::take(&mut self.origins) {
            ids.push(self.line(node)?.next_accepted()?);
        }
        self.lines.clear();
        let mut receipts = self.collect(ids.len() as u64)?;
        ids.iter().map(|id| receipts.remove(id).ok_or_else(|| "nobody has it".into())).collect()
    }

    fn load(&mut self, lab: &Lab, feed: Feed, rate: f64, time: Duration) -> Outcome<Carried> {
        let nodes = (1..=feed.nodes(self.nodes())).map(|node| self.addr(node));
        let mut lines = Lines::connect(nodes, &self.token())?;
        load::offer(lab, &mut lines, self.nodes(), feed, rate, time)
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
            tally.haves += counters.haves_sent;
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

/// Stops the network whose state is in this directory, if there is one.
pub(crate) fn stop_left(program: &Path, directory: &Path) -> Outcome<()> {
    let state_home = directory.join("state");
    match StateDir::at(&state_home.join("gossip")).load("default") {
        Ok(_) => run(program, &state_home, "stop-network"),
        Err(_) => Ok(()),
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
