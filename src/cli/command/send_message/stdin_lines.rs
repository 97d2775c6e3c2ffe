//! `send-message N -`: each line of stdin is a message.
//!
//! Lines that are there already travel together, a lone one goes at once. The node answers when
//! it has accepted them, which slows a sender that is faster than the network.

use std::io::{self, BufRead, BufReader, Read};
use std::thread;
use std::time::Duration;

use crossbeam_channel::{self as channel, Receiver};
use serde_json::json;

use crate::cli::error::reason;
use crate::cli::interrupt::{self, Interrupt};
use crate::cli::progress::Progress;
use crate::cli::{Error, Global, output, render};
use crate::control::client::{self, Client};
use crate::control::{Request, Response};
use crate::network::{self, Record, StateDir};
use crate::protocol::{MessageId, NodeId, Refused, UDP_PAYLOAD_BYTES_MAX};

/// The most messages, and about the most bytes, handed over at a time.
const TEXTS_MAX: usize = 256;
const BYTES_MAX: usize = 256 << 10;
/// The longest line worth handing over: the node knows its own limit, which is lower.
const LINE_BYTES_MAX: usize = UDP_PAYLOAD_BYTES_MAX;
/// How often a node is told that somebody is still there while no line comes: it hangs up on
/// a client that is silent for longer than ten seconds.
const KEEP_ALIVE: Duration = Duration::from_secs(3);

/// Lines that were there at the same time.
#[derive(Debug, Default, PartialEq, Eq)]
struct Batch {
    /// Each with its number, from 1.
    lines: Vec<(u64, String)>,
    /// The line behind them that is no message, or cannot be read.
    bad: Option<(u64, Bad)>,
}

/// Why a line is no message.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
enum Bad {
    #[error("a message is text in UTF-8, and these bytes are not")]
    NotUtf8,
    #[error("it is longer than {LINE_BYTES_MAX} bytes, and no datagram carries more")]
    TooLong,
    #[error("{0}")]
    Unreadable(String),
}

/// Messages on their way to a node, and what was accepted so far.
struct Sending<'a> {
    global: &'a Global,
    record: &'a Record,
    node: NodeId,
    relays: u8,
    interrupt: &'a Interrupt,
    progress: Progress,
    count: u64,
    first: Option<MessageId>,
    last: Option<MessageId>,
}

/// Hands over all lines, prints their ids, and says how fast it went.
pub(super) fn run(global: &Global, node: NodeId, relays: u8) -> Result<(), Error> {
    let record = StateDir::from_env()?.load(&global.network)?;
    let mut client = record.connect(node)?;
    let interrupt = interrupt::watch()?;
    let batches = read_stdin()?;
    let mut sending = Sending {
        global,
        record: &record,
        node,
        relays,
        interrupt: &interrupt,
        progress: Progress::of_messages(),
        count: 0,
        first: None,
        last: None,
    };
    let result = sending.hand_over(&mut client, &batches);
    let Sending { progress, count, first, last, .. } = sending;
    let seconds = progress.time().as_secs_f64();
    drop(progress);
    let rate = count as f64 / seconds.max(1e-6);
    let messages = render::count(count, "message");
    output::note(&format!("{messages} accepted in {seconds:.1} s: {rate:.0} a second"));
    if result.as_ref().is_err_and(Error::is_reader_left) {
        output::note("nobody reads their ids any more: the rest of stdin was not sent");
    } else if global.json {
        output::json(&json!({
            "node": node,
            "count": count,
            "first": first.map(|id| id.to_string()),
            "last": last.map(|id| id.to_string()),
            "seconds": seconds,
            "rate": rate,
        }))?;
    }
    result
}

impl Sending<'_> {
    /// Hands over batch by batch until stdin ends, or somebody wants it to end.
    fn hand_over(&mut self, client: &mut Client, batches: &Receiver<Batch>) -> Result<(), Error> {
        loop {
            channel::select! {
                recv(batches) -> batch => match batch {
                    Ok(batch) => self.send(client, batch)?,
                    Err(_) => return Ok(()),
                },
                recv(self.interrupt.signals) -> _ => {}
                default(KEEP_ALIVE) => {
                    client.ask(&Request::Confirm).map_err(|error| self.unanswered(&error))?;
                }
            }
            if self.interrupt.seen() {
                return Err(Error::failed(
                    "stopped before the end of stdin",
                    "somebody asked for it",
                    "all messages accepted so far reach every live node; send the others again",
                ));
            }
        }
    }

    fn send(&mut self, client: &mut Client, batch: Batch) -> Result<(), Error> {
        let Batch { mut lines, bad } = batch;
        while !lines.is_empty() && !self.interrupt.seen() {
            let texts = lines.iter().map(|(_, text)| text.clone()).collect();
            let request = Request::Send { texts, relays: self.relays };
            let answer = client.ask(&request).map_err(|error| self.unanswered(&error))?;
            let Response::Sent { ids, refused } = answer else {
                return Err(Error::other_answer(self.node));
            };
            lines.drain(..ids.len().min(lines.len()));
            self.note(&ids)?;
            if let Some(refused) = refused {
                let number = lines.first().map_or(0, |(number, _)| *number);
                return Err(refused_line(self.node, number, &refused));
            }
        }
        match bad.filter(|_| lines.is_empty()) {
            Some((number, bad)) => Err(bad.at_line(number)),
            None => Ok(()),
        }
    }

    /// Counts messages that were accepted, and prints their ids.
    fn note(&mut self, ids: &[MessageId]) -> Result<(), Error> {
        self.count += ids.len() as u64;
        self.first = self.first.or(ids.first().copied());
        self.last = ids.last().copied().or(self.last);
        self.progress.show(self.count, 0u64);
        if self.global.json {
            return Ok(());
        }
        let text: String = ids.iter().map(|id| format!("{id}\n")).collect();
        output::result_until(&text, self.interrupt)
    }

    /// Why a node that answered before does not now, where its process tells.
    fn unanswered(&self, error: &client::Error) -> Error {
        // The record is as old as this command: the node may have left meanwhile.
        let now = StateDir::from_env().and_then(|state| state.load(&self.record.name));
        let record = now.as_ref().unwrap_or(self.record);
        match record.find_up(self.node) {
            Err(gone) => gone.into(),
            Ok(there) if record.is_paused(there) => network::Error::NodePaused(self.node).into(),
            Ok(_) => Error::no_answer(self.node, error),
        }
    }
}

/// Reads lines in a thread of its own, so that a signal is heard while none come.
fn read_stdin() -> Result<Receiver<Batch>, Error> {
    let (put, batches) = channel::bounded(2);
    let read = move || {
        let mut stdin = BufReader::with_capacity(BYTES_MAX / 2, io::stdin().lock());
        let mut number = 0;
        while let Some(batch) = next_batch(&mut stdin, &mut number) {
            let is_last = batch.bad.is_some();
            if put.send(batch).is_err() || is_last {
                return;
            }
        }
    };
    let thread = thread::Builder::new().name("stdin".into()).spawn(read);
    thread.map_err(|error| Error::no_thread("cannot read stdin", &error))?;
    Ok(batches)
}

/// The next line, waited for, and those that are there already; `None` at the end. `number` is
/// that of the last line read.
fn next_batch(input: &mut BufReader<impl Read>, number: &mut u64) -> Option<Batch> {
    let mut batch = Batch::default();
    let mut bytes = 0;
    loop {
        match next_line(input, number) {
            Ok(Some(text)) => {
                bytes += text.len();
                batch.lines.push((*number, text));
            }
            Ok(None) => return (!batch.lines.is_empty()).then_some(batch),
            Err(bad) => {
                batch.bad = Some((*number, bad));
                return Some(batch);
            }
        }
        let more_is_there = input.buffer().contains(&b'\n');
        if !more_is_there || batch.lines.len() >= TEXTS_MAX || bytes >= BYTES_MAX {
            return Some(batch);
        }
    }
}

/// The next line that is not empty, without its end; `None` behind the last.
fn next_line(input: &mut impl BufRead, number: &mut u64) -> Result<Option<String>, Bad> {
    let mut line = Vec::new();
    loop {
        line.clear();
        *number += 1;
        // Its end may take two bytes more.
        let mut bounded = input.take(LINE_BYTES_MAX as u64 + 2);
        let read = bounded.read_until(b'\n', &mut line);
        if read.map_err(|error| Bad::Unreadable(reason(&error)))? == 0 {
            return Ok(None);
        }
        let text = line.strip_suffix(b"\n").unwrap_or(&line);
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        if text.len() > LINE_BYTES_MAX {
            return Err(Bad::TooLong);
        }
        if !text.is_empty() {
            let text = std::str::from_utf8(text).map_err(|_| Bad::NotUtf8)?;
            return Ok(Some(text.to_owned()));
        }
    }
}

const GO_ON: &str = "mend it, and send it and the lines after it: those before it were accepted";

impl Bad {
    fn at_line(&self, number: u64) -> Error {
        let (what, next) = match self {
            Self::Unreadable(_) => (
                format!("cannot read line {number} of stdin"),
                "see where stdin comes from; the lines before it were accepted",
            ),
            _ => (format!("cannot send line {number}"), GO_ON),
        };
        Error::failed(what, self.to_string(), next)
    }
}

/// The node does not take a line.
fn refused_line(node: NodeId, number: u64, refused: &Refused) -> Error {
    let next = match refused {
        Refused::Leaving => "hand this line and those after it to another node",
        _ => GO_ON,
    };
    Error::failed(format!("node {node} did not accept line {number}"), refused.to_string(), next)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batches(input: impl Read) -> Vec<Batch> {
        let mut input = BufReader::with_capacity(1 << 10, input);
        let mut number = 0;
        let mut all = Vec::new();
        while let Some(batch) = next_batch(&mut input, &mut number) {
            let is_last = batch.bad.is_some();
            all.push(batch);
            if is_last {
                break;
            }
        }
        all
    }

    fn batch(texts: &[&str], numbers: &[u64], bad: Option<(u64, Bad)>) -> Batch {
        let lines = numbers.iter().copied().zip(texts.iter().map(ToString::to_string)).collect();
        Batch { lines, bad }
    }

    /// Gives out one piece at a time, as a pipe does.
    struct Pieces(Vec<&'static [u8]>);

    impl Read for Pieces {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            if self.0.is_empty() {
                return Ok(0);
            }
            let piece = self.0.remove(0);
            buffer[..piece.len()].copy_from_slice(piece);
            Ok(piece.len())
        }
    }

    #[test]
    fn lines_that_are_there_go_together_and_a_lone_one_at_once() {
        let pieces = Pieces(vec![b"apple\npear\nplu", b"m\r\n", b"\n\nfig"]);
        let expected = [
            batch(&["apple", "pear"], &[1, 2], None),
            batch(&["plum"], &[3], None),
            batch(&["fig"], &[6], None),
        ];
        assert_eq!(batches(pieces), expected);
        assert_eq!(batches(&b""[..]), []);
        assert_eq!(batches(&b"\n\r\n"[..]), []);
    }

    #[test]
    fn a_batch_is_bounded() {
        let many = "x\n".repeat(1_000);
        let sizes: Vec<usize> =
            batches(many.as_bytes()).iter().map(|batch| batch.lines.len()).collect();
        assert_eq!(sizes.iter().sum::<usize>(), 1_000);
        assert!(sizes.iter().all(|size| *size <= TEXTS_MAX), "{sizes:?}");
    }

    #[test]
    fn a_line_that_is_no_message_ends_the_reading_and_is_named() {
        let bad = batch(&["apple"], &[1], Some((3, Bad::NotUtf8)));
        assert_eq!(batches(&b"apple\n\n\xff\nplum\n"[..]), [bad]);
        let long = format!("{}\n", "x".repeat(LINE_BYTES_MAX + 1));
        assert_eq!(batches(long.as_bytes()), [batch(&[], &[], Some((1, Bad::TooLong)))]);
        let longest = format!("{}\r\n", "x".repeat(LINE_BYTES_MAX));
        assert_eq!(batches(longest.as_bytes()).len(), 1);
        let error = Bad::NotUtf8.at_line(3).to_string();
        assert!(error.starts_with("error: cannot send line 3\n") && error.lines().count() == 3);
    }
}
