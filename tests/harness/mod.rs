//! Real networks for tests: free ports, a state directory of their own, and nothing left behind.
//!
//! A [`Lab`] runs the program under a state directory that no other test has. Every process
//! below it inherits that directory's name in its environment: so when the lab is dropped, also
//! by a failed test, whatever still runs is found, ended, and told of. Nothing else of the
//! environment in which the tests run reaches the program, but the `PATH`.

#![allow(dead_code, unused_imports, reason = "each test file uses a part of it")]

pub(crate) mod namespace;
mod wait;

use std::ffi::OsStr;
use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use gossip::network::{Record, StateDir};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
pub(crate) use wait::{Lines, PATIENCE, pause, pause_until, try_within, wait_for, wait_until};

/// Ports are handed out in blocks, below those that systems give to clients.
const PORTS_FIRST: u16 = 10_000;
const PORTS_PER_BLOCK: u16 = 80;
const BLOCKS: u16 = 280;

/// A place of its own to run the program in.
pub(crate) struct Lab {
    directory: PathBuf,
    ports_origin: u16,
    /// Bound to the first port of the block, as long as the lab lives: no other test takes it.
    _reserved: UdpSocket,
}

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Lab {
    pub(crate) fn new() -> Self {
        let (ports_origin, reserved) = reserve_ports();
        Self { directory: make_directory(), ports_origin, _reserved: reserved }
    }

    /// Where commands run, and write the files that they are told to write.
    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Their `XDG_STATE_HOME`.
    pub(crate) fn state_home(&self) -> PathBuf {
        self.directory.join("state")
    }

    pub(crate) fn state(&self) -> StateDir {
        StateDir::at(&self.state_home().join("gossip"))
    }

    pub(crate) fn record(&self) -> Record {
        self.state().load("default").unwrap()
    }

    /// The 79 ports after this one are ours.
    pub(crate) fn ports_origin(&self) -> u16 {
        self.ports_origin
    }

    /// A command line to run, with words split at spaces.
    pub(crate) fn command(&self, line: &str) -> Command {
        self.command_of(line.split_whitespace())
    }

    pub(crate) fn command_of<S: AsRef<OsStr>>(
        &self,
        words: impl IntoIterator<Item = S>,
    ) -> Command {
        let mut command = self.tool(env!("CARGO_BIN_EXE_gossip"));
        command.args(words);
        command
    }

    /// A command line of any program, with nothing of the environment in which the tests run: its
    /// language, terminal and home do not matter.
    pub(crate) fn tool(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command.env_clear().current_dir(&self.directory);
        if let Some(path) = std::env::var_os("PATH") {
            command.env("PATH", path);
        }
        command.env("HOME", &self.directory).env("XDG_STATE_HOME", self.state_home());
        command.env("TZ", "UTC");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs a command to its end.
    pub(crate) fn run(&self, line: &str) -> Run {
        finish(self.command(line).spawn().unwrap())
    }

    pub(crate) fn run_words<S: AsRef<OsStr>>(&self, words: impl IntoIterator<Item = S>) -> Run {
        finish(self.command_of(words).spawn().unwrap())
    }

    /// Runs a command that must succeed, and gives its output.
    pub(crate) fn ok(&self, line: &str) -> String {
        self.run(line).ok(line)
    }

    /// Runs a command with `--json` that must succeed, and reads its answer.
    pub(crate) fn json(&self, line: &str) -> Value {
        let text = self.ok(&format!("{line} --json"));
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{line}: {error}: {text}"))
    }

    /// Runs a command that must fail with an error of three lines, and gives it.
    pub(crate) fn fails(&self, line: &str) -> String {
        self.run(line).fails(line)
    }

    /// Starts a network on ports of our own.
    pub(crate) fn start(&self, arguments: &str) -> String {
        self.ok(&format!("start-network {arguments} --ports-origin {}", self.ports_origin()))
    }

    /// Runs a command again and again until its answer is as it should be; gives that answer.
    #[track_caller]
    pub(crate) fn until(&self, line: &str, holds: impl Fn(&Value) -> bool) -> Value {
        let mut said = Value::Null;
        wait_until(&format!("`{line}`"), PATIENCE, || {
            said = self.json(line);
            if holds(&said) { Ok(()) } else { Err(said.to_string()) }
        });
        said
    }

    /// Waits until a node holds `count` messages at least.
    #[track_caller]
    pub(crate) fn until_messages(&self, node: u32, count: usize) -> Value {
        let line = format!("get-messages {node}");
        self.until(&line, |said| said["messages"].as_array().unwrap().len() >= count)
    }

    /// The processes that run in this lab, commands and nodes alike.
    pub(crate) fn processes(&self) -> Vec<i32> {
        let variable = format!("XDG_STATE_HOME={}\0", self.state_home().display());
        let is_ours = |pid: &i32| {
            let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            contains(&environment, variable.as_bytes())
        };
        let entries = fs::read_dir("/proc").unwrap();
        let numbers = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
        numbers.filter(is_ours).collect()
    }

    /// Waits until nothing runs here any more.
    pub(crate) fn until_empty(&self) {
        wait_for("all processes to end", || self.processes().is_empty());
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        for (name, _) in self.state().list().unwrap_or_default() {
            let _ = self.command(&format!("stop-network --network {name}")).output();
        }
        let left = self.processes();
        for pid in &left {
            signal(*pid, Signal::KILL);
        }
        let _ = fs::remove_dir_all(&self.directory);
        if !thread::panicking() {
            assert!(left.is_empty(), "these processes were left behind: {left:?}");
        }
    }
}

impl Run {
    /// Asserts that it succeeded, and gives its output.
    #[track_caller]
    pub(crate) fn ok(self, what: &str) -> String {
        assert_eq!(self.code, Some(0), "{what}: {self:?}");
        self.stdout
    }

    /// Asserts that it failed with an error of three lines and no output; gives the error.
    #[track_caller]
    pub(crate) fn fails(self, what: &str) -> String {
        self.fails_with(1, what)
    }

    /// The same for a command line that is wrong in itself.
    #[track_caller]
    pub(crate) fn misuses(self, what: &str) -> String {
        self.fails_with(2, what)
    }

    #[track_caller]
    fn fails_with(self, code: i32, what: &str) -> String {
        assert_eq!(self.code, Some(code), "{what}: {self:?}");
        assert_eq!(self.stdout, "", "{what}");
        let at = self.stderr.find("error: ").unwrap_or_else(|| panic!("{what}: {self:?}"));
        let error = &self.stderr[at..];
        let lines: Vec<&str> = error.lines().collect();
        assert_eq!(lines.len(), 3, "{what}: {error}");
        assert!(lines[1].starts_with("  why:  ") && lines[2].starts_with("  next: "), "{error}");
        assert!(!error.contains("os error") && !error.contains(" { "), "{error}");
        error.to_owned()
    }
}

/// Waits for a command to end, and ends it if it does not.
#[track_caller]
pub(crate) fn finish(child: Child) -> Run {
    let pid = child.id();
    let Some(output) = try_within(PATIENCE, move || child.wait_with_output()) else {
        // It was not waited for yet, so the number is still its own.
        signal(i32::try_from(pid).unwrap(), Signal::KILL);
        panic!("a command did not end within {PATIENCE:?}");
    };
    let output = output.unwrap();
    Run {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// Sends a signal to a process of ours.
pub(crate) fn signal(pid: i32, signal: Signal) {
    // It may have ended by itself.
    let _ = kill_process(Pid::from_raw(pid).unwrap(), signal);
}

/// Makes a directory that no other test has. In a namespace of its own, another test may have the
/// same process id.
pub(crate) fn make_directory() -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    loop {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("gossip-lab-{}-{number}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        match fs::create_dir(&directory) {
            Ok(()) => return directory,
            Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::AlreadyExists, "{error}"),
        }
    }
}

/// Takes a block of ports that no other test has, and no other program either. The first port stays
/// bound: so tests of other users, or with files elsewhere, know of it as well.
fn reserve_ports() -> (u16, UdpSocket) {
    let first = u16::try_from(std::process::id() % u32::from(BLOCKS)).unwrap();
    let blocks = (0..BLOCKS).map(|offset| (first + offset) % BLOCKS);
    let reserve = |block: u16| {
        let origin = PORTS_FIRST + block * PORTS_PER_BLOCK;
        let reserved = UdpSocket::bind(("127.0.0.1", origin)).ok()?;
        let is_free = |port| {
            let addr = ("127.0.0.1", port);
            UdpSocket::bind(addr).is_ok() && TcpListener::bind(addr).is_ok()
        };
        (origin + 1..origin + PORTS_PER_BLOCK).all(is_free).then_some((origin, reserved))
    };
    blocks.into_iter().find_map(reserve).expect("there are free ports")
}

fn contains(hay: &[u8], needle: &[u8]) -> bool {
    hay.windows(needle.len()).any(|window| window == needle)
}

/// A program that has nothing to do with gossip, and ends with this value.
pub(crate) struct Bystander(Child);

impl Bystander {
    pub(crate) fn new() -> Self {
        let mut cat = Command::new("cat");
        Self(cat.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap())
    }

    pub(crate) fn pid(&self) -> u32 {
        self.0.id()
    }

    /// Whether it is well: it sends back the bytes that it is sent.
    pub(crate) fn echoes(&mut self) -> bool {
        let mut back = [0; 3];
        let said = self.0.stdin.as_mut().unwrap().write_all(b"hi\n");
        said.is_ok() && self.0.stdout.as_mut().unwrap().read_exact(&mut back).is_ok()
    }
}

impl Drop for Bystander {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
