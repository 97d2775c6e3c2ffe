//! A network of `gossip`, driven by its own commands and over its control ports.

use std::collections::VecDeque;
use std::collections::btree_map::{BTreeMap, Entry};
use std::net::TcpStream;
use std::process::{Command, Stdio};

use gossip::control::{Hello, Request, Response, Token, VERSION, frame};
use gossip::network::{CONTROL_TIMEOUT, Record, StateDir};
use gossip::protocol::{MessageId, MessageInfo, MessageQuery, NodeId, Which};
use gossip::topology::Kind;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::figure::Outcome;
use crate::load::{Network, SEED, TEXT, Tally};
use crate::site::Site;

/// The most requests to a node that wait for their answer: one that it deals with, and the next.
const REQUESTS_MAX: usize = 2;

pub(crate) struct Ours<'a> {
    site: &'a Site,
    record: Record,
    lines: BTreeMap<u32, Line>,
    accepted: u64,
}

/// A connection to a node, and the messages of each request that waits for its answer.
struct Line {
    stream: TcpStream,
    waiting: VecDeque<u64>,
}

impl<'a> Ours<'a> {
    pub(crate) fn start(site: &'a Site, kind: Kind, nodes: u32) -> Outcome<Self> {
        let ports = format!("--ports-origin {}", site.ports_origin);
        run(site, &format!("start-network {kind} --num-nodes {nodes} {ports} --seed {SEED}"))?;
        let record = StateDir::at(&site.state_home.join("gossip")).load("default")?;
        Ok(Self { site, record, lines: BTreeMap::new(), accepted: 0 })
    }

    fn ask(&self, node: u32, request: &Request) -> Outcome<Response> {
        Ok(self.record.connect(NodeId(node))?.ask(request)?)
    }

    /// The first page of the messages that a node has, which holds as many as a round sends.
    fn messages(&self, node: u32, last: Option<u64>) -> Outcome<Vec<MessageInfo>> {
        let query = MessageQuery { which: Which::All, last, after: None };
        match self.ask(node, &Request::Messages(query))? {
            Response::Messages(page) => Ok(page.messages),
            other => Err(format!("node {node} answered {other:?}").into()),
        }
    }

    fn line(&mut self, node: u32) -> Outcome<&mut Line> {
        match self.lines.entry(node) {
            Entry::Occupied(line) => Ok(line.into_mut()),
            Entry::Vacant(place) => {
                let stream = TcpStream::connect(self.record.find(NodeId(node))?.addr)?;
                stream.set_nodelay(true)?;
                stream.set_read_timeout(Some(CONTROL_TIMEOUT))?;
                let token = Token::of(&self.record.key);
                frame::write(&mut &stream, &Hello { version: VERSION, token })?;
                Ok(place.insert(Line { stream, waiting: VecDeque::new() }))
            }
        }
    }
}

impl Network for Ours<'_> {
    fn pids(&self) -> Vec<u32> {
        self.record.nodes.iter().map(|node| node.process.pid).collect()
    }

    /// As `send-message N -` does it.
    fn hand_in(&mut self, node: u32, messages: u64) -> Outcome<bool> {
        let line = self.line(node)?;
        if line.waiting.len() >= REQUESTS_MAX {
            return Ok(false);
        }
        let texts = vec![TEXT.to_owned(); usize::try_from(messages)?];
        // A few hundred bytes, which the system always takes at once.
        frame::write(&mut line.stream, &Request::Send { texts, relays: 1 })?;
        line.waiting.push_back(messages);
        Ok(true)
    }

    fn taken(&mut self) -> Outcome<(u64, u64)> {
        // One system call asks about all lines, so that no read waits.
        let mut lines: Vec<&mut Line> =
            self.lines.values_mut().filter(|line| !line.waiting.is_empty()).collect();
        let mut fds: Vec<PollFd<'_>> =
            lines.iter().map(|line| PollFd::new(&line.stream, PollFlags::IN)).collect();
        poll(&mut fds, Some(&Timespec::default()))?;
        let ready: Vec<bool> = fds.iter().map(|fd| !fd.revents().is_empty()).collect();
        for (line, _) in lines.iter_mut().zip(ready).filter(|(_, is_ready)| *is_ready) {
            match frame::read(&mut line.stream).map_err(|error| format!("{error:?}"))? {
                Response::Sent { ids, refused: None } => self.accepted += ids.len() as u64,
                other => return Err(format!("not accepted: {other:?}").into()),
            }
            line.waiting.pop_front();
        }
        Ok((self.accepted, self.lines.values().flat_map(|line| &line.waiting).sum()))
    }

    fn stamps(&mut self) -> Outcome<Vec<(u64, Vec<u64>)>> {
        let mut messages: BTreeMap<MessageId, (u64, Vec<u64>)> = BTreeMap::new();
        for node in 1..=self.nodes() {
            for message in self.messages(node, None)? {
                let (sent_at, stamps) = messages.entry(message.id).or_default();
                *sent_at = message.sent_at.0;
                stamps.push(message.received_at.0);
            }
        }
        let mut messages: Vec<_> = messages.into_values().collect();
        messages.sort_unstable();
        Ok(messages)
    }

    fn tally(&mut self) -> Outcome<Tally> {
        let mut tally = Tally::default();
        for node in 1..=self.nodes() {
            let Response::Status(status) = self.ask(node, &Request::Status)? else {
                return Err(format!("node {node} does not say how it is").into());
            };
            let last = self.messages(node, Some(1))?.last().map_or(0, |last| last.received_at.0);
            tally.last_at = last.max(tally.last_at);
            tally.delivered.push(status.counters.delivered);
            tally.rumors += status.counters.rumors_sent;
            tally.rumor_datagrams += status.counters.rumor_datagrams_sent;
            tally.repairs += status.counters.repairs_sent;
        }
        Ok(tally)
    }
}

impl Drop for Ours<'_> {
    fn drop(&mut self) {
        if let Err(error) = run(self.site, "stop-network") {
            eprintln!("error: {error}");
        }
    }
}

/// A command line of the program, words split at spaces.
pub(crate) fn command(site: &Site, line: &str) -> Command {
    let mut command = Command::new(&site.program);
    command.args(line.split_whitespace()).env("XDG_STATE_HOME", &site.state_home);
    command.stdin(Stdio::null());
    command
}

/// Runs a command that must succeed.
pub(crate) fn run(site: &Site, line: &str) -> Outcome<()> {
    let output = command(site, line).output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    let said = said.trim().trim_start_matches("error: ");
    if output.status.success() { Ok(()) } else { Err(said.into()) }
}
