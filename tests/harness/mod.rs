//! Real networks for tests: free ports, a state directory of their own, and nothing left behind.
//!
//! A [`Lab`] runs the program under a state directory that no other test has. Every process
//! below it inherits that directory's name in its environment: so when the lab is dropped, also
//! by a failed test, whatever still runs is found, ended, and told of.

#![allow(dead_code, reason = "each test file uses a part of it")]

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use crossbeam_channel::bounded;
use gossip::network::{Record, StateDir};
use gossip::runtime::clock;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// No command takes this long on any machine that can run the tests at all.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Ports are handed out in blocks, below those that systems give to clients.
const PORTS_FIRST: u16 = 10_000;
const PORTS_PER_BLOCK: u16 = 64;
const BLOCKS: u16 = 320;

/// A place of its own to run the program in.
pub(crate) struct Lab {
    directory: PathBuf,
    block: u16,
    /// Locked as long as the lab lives: no other test takes this block.
    _reserved: File,
}

/// What a command did.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Lab {
    pub(crate) fn new() -> Self {
        let directory = make_directory();
        let (block, reserved) = reserve_ports();
        Self { directory, block, _reserved: reserved }
    }

    /// Where commands run, and write what they are told to write.
    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// What `XDG_STATE_HOME` is for them.
    pub(crate) fn state_home(&self) -> PathBuf {
        self.directory.join("state")
    }

    pub(crate) fn state(&self) -> StateDir {
        StateDir::at(&self.state_home().join("gossip"))
    }

    pub(crate) fn record(&self) -> Record {
        self.state().load("default").unwrap()
    }

    /// 63 ports from here on, this one not included, are ours.
    pub(crate) fn ports_origin(&self) -> u16 {
        PORTS_FIRST + self.block * PORTS_PER_BLOCK
    }

    /// A command line to run, with words split at spaces.
    pub(crate) fn command(&self, line: &str) -> Command {
        self.command_of(line.split_whitespace())
    }

    pub(crate) fn command_of<S: AsRef<OsStr>>(
        &self,
        words: impl IntoIterator<Item = S>,
    ) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gossip"));
        command.args(words).current_dir(&self.directory);
        command.env("XDG_STATE_HOME", self.state_home()).env("TZ", "UTC");
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

    /// Runs a command with `--json` that must succeed, and reads what it says.
    pub(crate) fn json(&self, line: &str) -> Value {
        let text = self.ok(&format!("{line} --json"));
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{line}: {error}: {text}"))
    }

    /// Runs a command that must fail in the proper way, and gives its three lines.
    pub(crate) fn fails(&self, line: &str) -> String {
        self.run(line).fails(line)
    }

    /// Starts a network on ports of our own.
    pub(crate) fn start(&self, arguments: &str) -> String {
        self.ok(&format!("start-network {arguments} --ports-origin {}", self.ports_origin()))
    }

    /// Runs a command until it says what is waited for.
    pub(crate) fn until(&self, line: &str, holds: impl Fn(&Value) -> bool) -> Value {
        let deadline = clock::now().monotonic + PATIENCE;
        loop {
            let said = self.json(line);
            if holds(&said) {
                return said;
            }
            assert!(clock::now().monotonic < deadline, "waited for `{line}` in vain: {said}");
        }
    }

    /// Waits until a node holds so many messages.
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
    /// It did what it was asked to.
    #[track_caller]
    pub(crate) fn ok(self, what: &str) -> String {
        assert_eq!(self.code, Some(0), "{what}: {self:?}");
        self.stdout
    }

    /// It failed, said three things about it, and nothing else.
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
    let (tell, told) = bounded(1);
    let wait = move || tell.send(child.wait_with_output()).unwrap();
    thread::Builder::new().name("wait".into()).spawn(wait).unwrap();
    let Ok(output) = told.recv_timeout(PATIENCE) else {
        // Nobody has waited for it yet, so the number is still its own.
        signal(i32::try_from(pid).unwrap(), Signal::KILL);
        panic!("a command did not end");
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

/// Looks again and again until it is so.
#[track_caller]
pub(crate) fn wait_for(what: &str, holds: impl Fn() -> bool) {
    let deadline = clock::now().monotonic + PATIENCE;
    while !holds() {
        assert!(clock::now().monotonic < deadline, "waited in vain for {what}");
        thread::yield_now();
    }
}

/// Makes a directory that no other test has. In a namespace of its own, another test may have the
/// same process id.
fn make_directory() -> PathBuf {
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

/// Takes a block of ports that no other test has, and no other program either.
fn reserve_ports() -> (u16, File) {
    let directory = std::env::temp_dir().join("gossip-test-ports");
    fs::create_dir_all(&directory).unwrap();
    let first = u16::try_from(std::process::id() % u32::from(BLOCKS)).unwrap();
    for offset in 0..BLOCKS {
        let block = (first + offset) % BLOCKS;
        let path = directory.join(block.to_string());
        let file = File::options().create(true).append(true).open(path).unwrap();
        if file.try_lock().is_ok() && block_is_free(block) {
            return (block, file);
        }
    }
    panic!("all ports are taken");
}

fn block_is_free(block: u16) -> bool {
    let origin = PORTS_FIRST + block * PORTS_PER_BLOCK;
    (1..PORTS_PER_BLOCK).all(|offset| {
        let addr = ("127.0.0.1", origin + offset);
        UdpSocket::bind(addr).is_ok() && TcpListener::bind(addr).is_ok()
    })
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

    /// Whether it is well: what is said to it comes back.
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
