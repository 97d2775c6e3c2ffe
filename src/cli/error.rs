//! What went wrong, why, and what to do next: the one error that people see.
//!
//! Every layer has an error type of its own; here, and only here, each becomes three lines.

use std::io;
use std::path::Path;
use std::process::ExitCode;

use super::{output, render};
use crate::control::client;
use crate::protocol::{NodeId, Refused};
use crate::runtime;

mod network_failures;
mod topology_failures;

/// Three things about a failure, and how the program ends with it.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("error: {}\n  why:  {}\n  next: {}", line(.what), line(.why), line(.next))]
pub struct Error {
    kind: Kind,
    what: String,
    why: String,
    next: String,
}

/// The kind of a failure; the number is the exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// The reader of our output has left (`| head`): no failure at all.
    ReaderLeft = 0,
    /// The command line was right, and yet it did not work.
    Failed = 1,
    /// The command line itself was wrong.
    Misused = 2,
}

impl Error {
    /// The command was right, and yet it failed.
    pub(super) fn failed(
        what: impl Into<String>,
        why: impl Into<String>,
        next: impl Into<String>,
    ) -> Self {
        Self { kind: Kind::Failed, what: what.into(), why: why.into(), next: next.into() }
    }

    /// The command line alone shows that this cannot work.
    pub(super) fn misused(
        what: impl Into<String>,
        why: impl Into<String>,
        next: impl Into<String>,
    ) -> Self {
        Self { kind: Kind::Misused, ..Self::failed(what, why, next) }
    }

    /// Completes what is advised, so that it is about this network when typed as it stands.
    pub(super) fn advising_on(mut self, network: &str) -> Self {
        if network == "default" {
            return self;
        }
        let complete = ["--network", "--help", "list-networks"];
        let parts = self.next.split('`').map(|part| {
            let lacks_it =
                part.starts_with("gossip ") && !complete.iter().any(|word| part.contains(word));
            if lacks_it { format!("{part} --network {network}") } else { part.to_owned() }
        });
        self.next = parts.collect::<Vec<_>>().join("`");
        self
    }

    /// Writes the three lines to stderr, safe for a terminal.
    pub fn print(&self) {
        if self.kind != Kind::ReaderLeft {
            output::error(&self.to_string());
        }
    }

    /// 1 for a failure, 2 for misuse, 0 where only the reader left.
    #[must_use]
    pub fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.kind as u8)
    }

    /// What happened and why, for a place that has no room for more.
    pub(super) fn on_one_line(&self) -> String {
        format!("{}: {}", self.what, self.why)
    }

    /// Whether only the reader of our output left.
    pub(super) fn is_reader_left(&self) -> bool {
        self.kind == Kind::ReaderLeft
    }

    /// Our own output could not be written.
    pub(super) fn output(error: &io::Error) -> Self {
        let left = error.kind() == io::ErrorKind::BrokenPipe;
        Self {
            kind: if left { Kind::ReaderLeft } else { Kind::Failed },
            what: "cannot write the result".into(),
            why: reason(error),
            next: "see where stdout leads, and whether there is space left".into(),
        }
    }

    /// A file that the command line names could not be used.
    pub(super) fn file(action: &str, path: &Path, error: &io::Error) -> Self {
        Self::failed(
            format!("cannot {action} {}", path.display()),
            reason(error),
            make_room_or(
                error,
                "or name a file on another disk",
                "name another file, or see to its directory and its permissions",
            ),
        )
    }

    /// A node refused a text.
    pub(super) fn refused(node: NodeId, refused: &Refused) -> Self {
        let (kind, next) = match refused {
            Refused::Empty => (Kind::Misused, "give it at least one character".into()),
            Refused::TooLong { bytes_max, .. } => {
                (Kind::Failed, format!("shorten it to {bytes_max} bytes, or send it in pieces"))
            }
            Refused::Relays { .. } => (Kind::Misused, "choose another number of relays".into()),
            // Nodes wait before they say so.
            Refused::Full => (Kind::Failed, "send it again in a moment".into()),
            Refused::Leaving => (Kind::Failed, "hand it to another node".into()),
        };
        let what = format!("node {node} did not accept the message");
        Self { kind, what, why: refused.to_string(), next }
    }

    /// A node's control port gave no good answer.
    pub(super) fn no_answer(node: NodeId, error: &client::Error) -> Self {
        use client::Error as E;
        let why = match error {
            E::TimedOut(addr, after) => {
                let after = render::time_text::span(*after);
                format!(
                    "its control port {addr} was silent for {after}; it may be stopped or overloaded"
                )
            }
            E::Io(addr, error) => format!("the connection to {addr} failed: {}", reason(error)),
            error => error.to_string(),
        };
        let others = "`gossip show-network` shows which nodes are up";
        let again = format!("try again; {others}");
        let (what, next) = match error {
            E::Refused(_) | E::Closed(_) | E::NotLetIn(_) => {
                (format!("node {node} did not answer"), others)
            }
            E::TimedOut(..) | E::Io(..) => (format!("node {node} did not answer"), &*again),
            E::Rubbish(_) => (
                format!("node {node} gave an answer that makes no sense"),
                "see which program has that port (`ss -ltnp`); if it took a dead node's port, \
                 `gossip stop-network` and start again with other --ports-origin",
            ),
            E::NotAllowed(_) => (
                format!("node {node} does not take our word"),
                "`gossip list-networks` shows the networks and their ports",
            ),
            E::OtherVersion(..) => (format!("cannot talk to node {node}"), START_ANEW),
            E::Busy(_) => (format!("node {node} has no time for us"), "try again in a moment"),
            E::TooLong => (format!("cannot send that to node {node}"), "send less at a time"),
        };
        Self::failed(what, why, next)
    }

    /// Some nodes did not hear what all of them should have.
    pub(super) fn unless_all_heard(deaf: &[NodeId]) -> Result<(), Self> {
        if deaf.is_empty() {
            return Ok(());
        }
        Err(Self::failed(
            format!("{} did not hear of it", render::nodes_text(deaf)),
            "no answer came, though the process is there; all others did what was asked",
            "`gossip show-network` shows how the nodes are",
        ))
    }

    /// The system refused a thread that a command cannot do without.
    pub(super) fn no_thread(what: &str, error: &io::Error) -> Self {
        let why = format!("the system allows no more threads: {error}");
        Self::failed(what, why, "raise `ulimit -u`")
    }

    /// The system does not tell of this process and its program.
    pub(super) fn no_proc(what: &str, error: &io::Error) -> Self {
        let why = format!("the system does not tell of this process: {error}");
        Self::failed(what, why, "see whether /proc is mounted")
    }

    /// A node answered something that does not belong to the question.
    pub(super) fn other_answer(node: NodeId) -> Self {
        Self::failed(
            format!("node {node} gave another answer than the one asked for"),
            "the node and this program are of different builds",
            START_ANEW,
        )
    }
}

impl From<runtime::Error> for Error {
    fn from(error: runtime::Error) -> Self {
        use runtime::Error as E;
        let why = match &error {
            E::Io(action, error) => format!("cannot {action}: {}", reason(error)),
            error => error.to_string(),
        };
        let (what, next) = match error {
            E::PortTaken(_) => (
                "cannot start the node",
                "choose another port; `ss -lunpt` shows the program that has it",
            ),
            E::NotConfirmed => ("the node ended", "start the network again"),
            E::Io(..) => ("the node cannot run", "see to that, and run it again"),
        };
        Self::failed(what, why, next)
    }
}

/// The advice where a node is of another build than this program.
const START_ANEW: &str = "stop the network with the program that started it, and start it anew";

/// What to do about a file: on a full disk, make room, or go elsewhere.
fn make_room_or(error: &io::Error, elsewhere: &str, otherwise: &str) -> String {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            format!("make room there, {elsewhere}")
        }
        _ => otherwise.into(),
    }
}

/// A file's name may hold line ends, and would say things in our name.
fn line(text: &str) -> String {
    text.replace('\n', "\\n")
}

/// What the system says, without the number it says it with.
pub(super) fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    match text.find(" (os error ") {
        Some(end) => text[..end].to_lowercase(),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn an_error_says_three_things() {
        let addr = "127.0.0.1:7007".parse().unwrap();
        let error = Error::no_answer(NodeId(7), &client::Error::Refused(addr));
        assert_eq!(
            error.to_string(),
            "error: node 7 did not answer\n  \
             why:  nothing listens on its control port 127.0.0.1:7007\n  \
             next: `gossip show-network` shows which nodes are up"
        );
        assert_eq!(error.exit_code(), ExitCode::FAILURE);
    }

    #[test]
    fn no_error_shows_its_insides() {
        let addr = "127.0.0.1:7007".parse().unwrap();
        let io = || io::Error::from_raw_os_error(13);
        let errors = [
            Error::no_answer(NodeId(7), &client::Error::TimedOut(addr, Duration::from_secs(2))),
            Error::no_answer(NodeId(7), &client::Error::Rubbish(addr)),
            Error::no_answer(NodeId(7), &client::Error::NotAllowed(addr)),
            Error::no_answer(NodeId(7), &client::Error::OtherVersion(addr, 2)),
            Error::no_answer(NodeId(7), &client::Error::Busy(addr)),
            Error::no_answer(NodeId(7), &client::Error::Closed(addr)),
            Error::no_answer(NodeId(7), &client::Error::TooLong),
            Error::no_answer(NodeId(7), &client::Error::Io(addr, io())),
            Error::refused(NodeId(7), &Refused::TooLong { bytes: 9, bytes_max: 8 }),
            Error::file("read", Path::new("key"), &io()),
            Error::file("read", Path::new("key\nerror: all is lost"), &io()),
            Error::unless_all_heard(&[NodeId(7)]).unwrap_err(),
            Error::unless_all_heard(&[NodeId(7), NodeId(8)]).unwrap_err(),
            runtime::Error::PortTaken(addr).into(),
            runtime::Error::Io("open a socket", io()).into(),
        ];
        for error in errors {
            let text = error.to_string();
            assert!(!text.contains("os error") && !text.contains(" { "), "{text}");
            assert_eq!(text.lines().count(), 3, "{text}");
        }
    }

    #[test]
    fn a_reader_that_leaves_is_no_failure() {
        let error = Error::output(&io::Error::from(io::ErrorKind::BrokenPipe));
        assert!(error.is_reader_left());
        assert_eq!(error.exit_code(), ExitCode::SUCCESS);
    }
}
