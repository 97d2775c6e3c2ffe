//! `run-node --launched`: a node that `start-network` spawned.
//!
//! It reads what it is to be from its standard input, answers on its standard output, and runs.
//! A thousand of these start at once and each should stay small, so nothing here parses a
//! command line, opens a terminal or installs a signal handler.

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use rustix::stdio::{dup2_stdin, dup2_stdout};

use crate::cli::render::event_text;
use crate::cli::render::time_text::TimeZone;
use crate::cli::{Error, output};
use crate::codec;
use crate::network::{CappedLog, Started};
use crate::protocol::{Event, NodeId};
use crate::runtime::{self, Options, Runtime};

/// A specification is far smaller; a process that sends more does not mean us.
const SPEC_BYTES_MAX: u64 = 1 << 20;

/// Whether these arguments, the program's name first, ask for a launched node.
#[must_use]
pub fn is_meant_by(arguments: &[OsString]) -> bool {
    match arguments {
        [_, command, rest @ ..] => {
            command == "run-node" && rest.iter().any(|arg| arg == "--launched")
        }
        _ => false,
    }
}

/// Becomes the node, and returns when it ends.
#[must_use]
pub fn run() -> ExitCode {
    let (node, runtime) = match prepare() {
        Ok(ready) => ready,
        Err(failed) => {
            let _ = answer(&failed);
            return ExitCode::FAILURE;
        }
    };
    if answer(&Started::Ready).and_then(|()| let_go()).is_err() {
        // Nobody waits for this node any more.
        return ExitCode::FAILURE;
    }
    match live(node, runtime) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output::note(&format!("error: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn prepare() -> Result<(NodeId, Runtime), Started> {
    let mut bytes = Vec::new();
    let read = io::stdin().lock().take(SPEC_BYTES_MAX).read_to_end(&mut bytes);
    read.map_err(|error| Started::Failed(format!("cannot read what to be: {error}")))?;
    let options: Options = codec::decode(&bytes)
        .map_err(|error| Started::Failed(format!("cannot understand what to be: {error}")))?;
    let node = options.config.node;
    match Runtime::bind(options) {
        Ok(runtime) => Ok((node, runtime)),
        Err(runtime::Error::PortTaken(addr)) => Err(Started::PortTaken(addr)),
        Err(error) => Err(Started::Failed(error.to_string())),
    }
}

fn answer(started: &Started) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(&codec::encode(started))?;
    stdout.flush()
}

/// Closes the pipes to the launcher: its end of the answer is the end of the file.
fn let_go() -> io::Result<()> {
    let nowhere = OpenOptions::new().read(true).write(true).open("/dev/null")?;
    dup2_stdin(&nowhere)?;
    dup2_stdout(&nowhere)?;
    Ok(())
}

/// Runs the node. News of its neighbours and limits go to the log; messages do not.
fn live(node: NodeId, runtime: Runtime) -> Result<(), runtime::Error> {
    let mut log = CappedLog::stderr().ok();
    runtime.run(&mut |at, told| {
        if matches!(told, Event::Accepted { .. } | Event::Delivered { .. }) {
            return;
        }
        if let Some(log) = &mut log {
            // In UTC: reading the local zone would cost every node memory for this alone.
            let _ = log.write_all(event_text::text(&TimeZone::UTC, at, node, told).as_bytes());
        }
    })
}

/// What a node's process executes: the same program as this one.
pub(crate) fn this_program() -> Result<PathBuf, Error> {
    std::env::current_exe().map_err(|error| Error::no_proc("cannot start any node", &error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_hidden_form_is_meant() {
        let meant =
            |line: &str| is_meant_by(&line.split(' ').map(OsString::from).collect::<Vec<_>>());
        assert!(meant("gossip run-node --launched"));
        assert!(meant("gossip run-node --launched --network default"));
        assert!(!meant("gossip run-node 1"));
        assert!(!meant("gossip send-message --launched"));
        assert!(!meant("gossip"));
    }
}
