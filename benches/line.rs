//! Connections to nodes of ours on which nobody waits.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};

use gossip::control::{Hello, Request, Response, Token, VERSION, frame};
use gossip::protocol::MessageId;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::site::Outcome;
use crate::load::{Taken, Taker};

/// What each message says: six bytes, as bare's do.
const TEXT: &str = "banana";
/// The most requests of a connection that wait for their answer: one that the node deals with, and
/// the next.
const REQUESTS_MAX: usize = 2;
/// How long to wait for an answer that is due already.
const ANSWER_WITHIN_SECS: i64 = 5;

/// A connection: requests are written, and answers taken in, as far as that is possible at once.
pub(crate) struct Line {
    stream: TcpStream,
    /// Written in part, or not at all.
    out: Vec<u8>,
    /// Answers that have begun to come in.
    inbox: Vec<u8>,
    /// The messages of each request that waits for its answer.
    waiting: VecDeque<u64>,
    /// What was accepted, in order.
    accepted: VecDeque<MessageId>,
}

impl Line {
    pub(crate) fn connect(addr: SocketAddr, token: &Token) -> Outcome<Self> {
        let stream = TcpStream::connect(addr)?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        let mut out = Vec::new();
        frame::write(&mut out, &Hello { version: VERSION, token: *token })?;
        let (inbox, waiting, accepted) = (Vec::new(), VecDeque::new(), VecDeque::new());
        let mut line = Self { stream, out, inbox, waiting, accepted };
        line.push()?;
        Ok(line)
    }

    /// Hands in one message by itself, as `send-message N TEXT` does.
    pub(crate) fn send(&mut self) -> Outcome<()> {
        self.send_many(1)
    }

    /// The next message that was accepted. One that was handed in a moment ago may still wait for a
    /// processor that the host has given to somebody else.
    pub(crate) fn next_accepted(&mut self) -> Outcome<MessageId> {
        loop {
            self.pull()?;
            if let Some(id) = self.accepted.pop_front() {
                return Ok(id);
            }
            let timeout = Timespec { tv_sec: ANSWER_WITHIN_SECS, tv_nsec: 0 };
            let unwritten = if self.out.is_empty() { PollFlags::empty() } else { PollFlags::OUT };
            let fd = PollFd::new(&self.stream, PollFlags::IN | unwritten);
            if poll(&mut [fd], Some(&timeout))? == 0 {
                return Err("a node did not say whether it accepted a message".into());
            }
        }
    }

    /// Hands in several, as `send-message N -` does.
    fn send_many(&mut self, messages: u64) -> Outcome<()> {
        let texts = vec![TEXT.to_owned(); usize::try_from(messages)?];
        self.ask(messages, &Request::Send { texts, relays: 1 })
    }

    fn ask(&mut self, messages: u64, request: &Request) -> Outcome<()> {
        frame::write(&mut self.out, request)?;
        self.waiting.push_back(messages);
        self.push()
    }

    /// Writes what can be written at once.
    fn push(&mut self) -> Outcome<()> {
        while !self.out.is_empty() {
            match self.stream.write(&self.out) {
                Ok(bytes) => drop(self.out.drain(..bytes)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Takes in the answers that have come.
    fn pull(&mut self) -> Outcome<()> {
        self.push()?;
        let mut buffer = [0; 1 << 14];
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
                Response::Sent { ids, refused: None } => self.accepted.extend(ids),
                other => return Err(format!("not accepted: {other:?}").into()),
            }
            self.waiting.pop_front();
            taken += 4 + length;
        }
        self.inbox.drain(..taken);
        Ok(())
    }
}

/// A connection to each node that is fed.
pub(crate) struct Lines {
    lines: Vec<Line>,
    taken: Taken,
}

impl Lines {
    /// To these nodes, the first of which is number 1.
    pub(crate) fn connect(nodes: impl Iterator<Item = SocketAddr>, token: &Token) -> Outcome<Self> {
        let lines = nodes.map(|addr| Line::connect(addr, token)).collect::<Outcome<_>>()?;
        Ok(Self { lines, taken: Taken::default() })
    }
}

impl Taker for Lines {
    fn hand_in(&mut self, node: u32, messages: u64) -> Outcome<bool> {
        let line = &mut self.lines[node as usize - 1];
        if line.waiting.len() >= REQUESTS_MAX {
            return Ok(false);
        }
        line.send_many(messages)?;
        self.taken.waiting += messages;
        Ok(true)
    }

    fn look(&mut self) -> Outcome<Taken> {
        let Self { lines, taken } = self;
        // All are asked about with one system call, and none is read in vain.
        let mut asked: Vec<&mut Line> =
            lines.iter_mut().filter(|line| !line.waiting.is_empty()).collect();
        let mut fds: Vec<PollFd<'_>> =
            asked.iter().map(|line| PollFd::new(&line.stream, PollFlags::IN)).collect();
        if fds.is_empty() || poll(&mut fds, Some(&Timespec::default()))? == 0 {
            return Ok(*taken);
        }
        let ready: Vec<bool> = fds.iter().map(|fd| !fd.revents().is_empty()).collect();
        for (line, _) in asked.iter_mut().zip(ready).filter(|(_, ready)| *ready) {
            let before: u64 = line.waiting.iter().sum();
            line.pull()?;
            taken.waiting -= before - line.waiting.iter().sum::<u64>();
            taken.accepted += line.accepted.drain(..).count() as u64;
        }
        Ok(*taken)
    }
}
