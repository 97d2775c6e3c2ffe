//! What the unit tests of this module share: directories and processes that go when they do.

use std::fs;
use std::io::{Read, Write};
use std::net::UdpSocket;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::state::NetworkDir;
use super::{NodeRecord, ProcessId, Record, StateDir};
use crate::protocol::{Key, Monotonic, NodeId};
use crate::runtime::clock;
use crate::topology::Kind;

/// A deadline that no healthy machine reaches.
pub(super) fn soon() -> Monotonic {
    clock::now().monotonic + Duration::from_secs(20)
}

/// A directory of its own, removed with everything in it.
pub(super) struct TempDir(PathBuf);

impl TempDir {
    pub(super) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("gossip-unit-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    pub(super) fn state(&self) -> StateDir {
        StateDir::at(&self.0)
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A process that does nothing until its standard input is closed.
pub(super) struct Helper(Child);

impl Helper {
    pub(super) fn cat() -> Self {
        Self::command(Command::new("cat").arg0("run-node"))
    }

    /// One that takes no notice of a polite request to end.
    pub(super) fn stubborn() -> Self {
        let mut child = Command::new("sh");
        child
            .args(["-c", "trap '' TERM; echo deaf; while read -r line; do :; done"])
            .arg("run-node");
        let mut helper = Self::command(child.stdout(Stdio::piped()));
        // It is deaf once it says so, not before.
        let mut byte = [0];
        helper.0.stdout.as_mut().unwrap().read_exact(&mut byte).unwrap();
        helper
    }

    pub(super) fn command(command: &mut Command) -> Self {
        let helper = Self(command.stdin(Stdio::piped()).spawn().unwrap());
        // The kernel shows a process's words a moment after it shows the process.
        let words = format!("/proc/{}/cmdline", helper.0.id());
        while fs::read(&words).unwrap().is_empty() {
            std::thread::yield_now();
        }
        helper
    }

    pub(super) fn process(&self) -> ProcessId {
        ProcessId::of(self.0.id()).unwrap()
    }

    pub(super) fn process_is_alive(&self) -> bool {
        self.process().is_alive()
    }

    /// Tells it to end, if it still listens.
    pub(super) fn close_input(mut self) {
        self.0.stdin = None;
        let _ = self.0.wait();
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A record of nodes 1, 2, … with these processes, and nothing behind their control ports.
pub(super) fn record(name: &str, processes: &[ProcessId]) -> Record {
    // Nobody listens at a port that was just given back; and a process that might has no such key.
    let port = || UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let node = |(index, process): (usize, &ProcessId)| NodeRecord {
        node: NodeId(index as u32 + 1),
        addr: port(),
        incarnation: 1,
        process: *process,
        removed: false,
        peers: Vec::new(),
    };
    Record {
        kind: Some(Kind::Circular),
        seed: 1,
        ports_origin: 7_000,
        nodes: processes.iter().enumerate().map(node).collect(),
        ..Record::new(name, Key([9; 32]))
    }
}

/// Puts a record where a network of its name would be.
pub(super) fn remember(state: &StateDir, record: &Record) -> NetworkDir {
    let dir = state.network(&record.name).unwrap();
    let lock = dir.create_and_lock(&|| false).unwrap();
    dir.write(record).unwrap();
    drop(lock);
    dir
}

/// A shell script to start instead of the real program.
pub(super) fn script(temp: &TempDir, text: &str) -> PathBuf {
    let path = temp.path().join("node.sh");
    // Written by another process: while this one has it open for writing, a process that some
    // other test starts at that moment would have it too, and the system would not execute it.
    let mut child = Command::new("sh")
        .args(["-c", "cat > \"$0\" && chmod 700 \"$0\""])
        .arg(&path)
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let stdin = child.stdin.take().unwrap();
    { stdin }.write_all(format!("#!/bin/sh\n{text}\n").as_bytes()).unwrap();
    assert!(child.wait().unwrap().success());
    path
}
