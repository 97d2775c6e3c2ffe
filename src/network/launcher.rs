//! Starting the processes of nodes.
//!
//! Each process gets what it is built from on its standard input, and says on its standard
//! output that its sockets are bound. One thread starts them and listens to all of them; the
//! number of those that it waits for at a time is bounded, and so are open files. Then every node
//! is asked to confirm over its control port. A node that nobody asks ends by itself: so even a
//! launcher that is killed half way leaves nothing behind.

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::net::SocketAddr;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crossbeam_channel::RecvTimeoutError;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{MemfdFlags, memfd_create};
use rustix::io::Errno;
use rustix::process::Signal;

use super::state::NetworkDir;
use super::{Error, NodeRecord, ProcessId, Progress, Started, allowance, asking, node_log, ports};
use crate::codec;
use crate::control::{Request, Response};
use crate::protocol::{Config, FaultRule, Key, Monotonic, NodeId};
use crate::runtime::{Options, clock};

/// How long a process may take from its start to its answer, while up to 64 others start too.
const READY_WITHIN: Duration = Duration::from_secs(20);

/// How long a node waits to be asked for confirmation before it ends by itself.
const CONFIRM_WITHIN_MIN: Duration = Duration::from_secs(30);

/// Time added to that for each node in all: several times what starting one takes.
const CONFIRM_WITHIN_PER_NODE: Duration = Duration::from_millis(40);

/// How long one node may take to confirm.
const CONFIRM_TIMEOUT: Duration = Duration::from_secs(10);

/// How often the launcher looks whether it was interrupted.
const INTERRUPT_INTERVAL: Duration = Duration::from_millis(50);

/// How long a process that closed its standard output without an answer may take to end.
const LAST_BREATH: Duration = Duration::from_secs(1);

/// The longest answer that is taken for one.
const ANSWER_BYTES_MAX: usize = 64 << 10;

/// How much of a node's log is shown when it could not start.
const SAID_LINES_MAX: usize = 5;

/// All that starting nodes needs.
pub(super) struct Launcher<'a> {
    pub(super) dir: &'a NetworkDir,
    pub(super) program: &'a Path,
    /// The faults in force in the network.
    pub(super) faults: &'a [FaultRule],
    pub(super) interrupted: &'a AtomicBool,
    pub(super) progress: &'a mut dyn FnMut(Progress),
}

/// Processes that end with this value, unless they are let go.
#[derive(Debug, Default)]
pub(super) struct Children(Vec<Child>);

/// A process that was started and has not answered yet.
struct Starting {
    /// Its index among the nodes to be started.
    index: usize,
    stdout: ChildStdout,
    /// What it said so far.
    answer: Vec<u8>,
    deadline: Monotonic,
}

impl Launcher<'_> {
    /// Starts a process for each node, and returns when all say that they run. Where something
    /// fails, the processes started before end with the children.
    pub(super) fn launch(
        &mut self,
        nodes: &[(Config, SocketAddr)],
    ) -> Result<(Vec<NodeRecord>, Children), Error> {
        let window = allowance::window()?;
        let mut children = Children::default();
        let mut starting: Vec<Starting> = Vec::new();
        let mut records: Vec<NodeRecord> = Vec::with_capacity(nodes.len());
        while records.len() < nodes.len() {
            while starting.len() < window && children.0.len() < nodes.len() {
                self.check_interrupted()?;
                let index = children.0.len();
                let (child, stdout) = self.spawn(&nodes[index], nodes.len())?;
                children.0.push(child);
                let deadline = clock::now().monotonic + READY_WITHIN;
                starting.push(Starting { index, stdout, answer: Vec::new(), deadline });
            }
            for one in listen(&mut starting)? {
                let child = &mut children.0[one.index];
                records.push(self.started(&one, child, &nodes[one.index])?);
                (self.progress)(Progress::new(records.len(), nodes.len()));
            }
            self.check_interrupted()?;
            let now = clock::now().monotonic;
            if let Some(late) = starting.iter().find(|one| one.deadline <= now) {
                let node = nodes[late.index].0.node;
                return Err(Error::NotReady(node, READY_WITHIN, self.said(node)));
            }
        }
        records.sort_unstable_by_key(|record| record.node);
        Ok((records, children))
    }

    /// Asks every node to confirm, without which it would end by itself.
    pub(super) fn confirm(&self, nodes: &[NodeRecord], key: &Key) -> Result<(), Error> {
        let asked = nodes.iter().map(|node| (node.node, node.addr, Request::Confirm));
        let answers = asking::each(asked, key, CONFIRM_TIMEOUT, |client, order| client.ask(&order));
        let mut confirmed = 0;
        while confirmed < nodes.len() {
            self.check_interrupted()?;
            match answers.recv_timeout(INTERRUPT_INTERVAL) {
                Ok(answer) => self.check_answer(nodes, answer)?,
                Err(RecvTimeoutError::Timeout) => continue,
                Err(RecvTimeoutError::Disconnected) => break,
            }
            confirmed += 1;
        }
        Ok(())
    }

    fn check_answer(
        &self,
        nodes: &[NodeRecord],
        (asked, answer): asking::Answer<Response>,
    ) -> Result<(), Error> {
        let node = nodes.iter().find(|node| node.node == asked);
        let node = node.expect("only these nodes were asked");
        match answer {
            Ok(Response::Ready { node: id, pid }) if (id, pid) == (node.node, node.process.pid) => {
                Ok(())
            }
            Ok(_) => Err(Error::Impostor(node.node, ports::control_addr(node.addr))),
            Err(_) if !node.process.is_alive() => {
                Err(Error::NodeDied(node.node, None, self.said(node.node)))
            }
            Err(source) => Err(Error::Control(node.node, source)),
        }
    }

    /// Starts one process. Its instructions are in a file in memory: unlike a pipe, that takes
    /// all of them at once, so that a child that does not read holds up nobody.
    fn spawn(
        &self,
        (config, addr): &(Config, SocketAddr),
        total: usize,
    ) -> Result<(Child, ChildStdout), Error> {
        let log = self.dir.open_log(config.node)?;
        let spec = codec::encode(&Options {
            config: config.clone(),
            faults: self.faults.to_vec(),
            listen: *addr,
            tell_messages: false,
            confirm_within: Some(confirm_within(total)),
        });
        let spec = in_memory(&spec).map_err(|error| self.not_spawned(error, total))?;
        // No `pre_exec`: without it std starts processes without copying this one's memory. A group
        // of its own keeps Ctrl-C and the terminal's hangup from the node; the session is shared, or
        // nodes could not let one another go first (`runtime::step_back`).
        let spawned = Command::new(self.program)
            .process_group(0)
            // It reads no more than the first two: the name is for a person that looks for the process.
            .args(["run-node", "--launched", "--network", &self.dir.name])
            .stdin(spec)
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn();
        let mut child = spawned.map_err(|source| self.not_spawned(source, total))?;
        let stdout = child.stdout.take().expect("it is a pipe");
        Ok((child, stdout))
    }

    fn not_spawned(&self, source: io::Error, total: usize) -> Error {
        let nodes = u32::try_from(total).unwrap_or(u32::MAX);
        match source.raw_os_error().map(Errno::from_raw_os_error) {
            Some(Errno::AGAIN) => Error::TooManyProcesses(nodes, None),
            _ => Error::Spawn(self.program.to_owned(), source),
        }
    }

    /// The record of a node that answered.
    fn started(
        &self,
        one: &Starting,
        child: &mut Child,
        (config, addr): &(Config, SocketAddr),
    ) -> Result<NodeRecord, Error> {
        let node = config.node;
        match codec::decode::<Started>(&one.answer) {
            Ok(Started::Ready) => {}
            Ok(Started::PortTaken(addr)) => return Err(ports::taken(addr)),
            Ok(Started::Failed(reason)) => return Err(Error::NodeFailed(node, reason)),
            Err(_) => return Err(self.died(node, child)),
        }
        // It is our child and was not waited for, so the number is still its own.
        let process =
            ProcessId::of(child.id()).map_err(|source| Error::System("read /proc", source))?;
        Ok(NodeRecord {
            node,
            addr: *addr,
            incarnation: config.start.incarnation,
            process,
            removed: false,
            peers: config.neighbours.iter().map(|peer| peer.node).collect(),
        })
    }

    /// Why a process closed its standard output without a proper answer.
    fn died(&self, node: NodeId, child: &mut Child) -> Error {
        if let Ok(process) = ProcessId::of(child.id()) {
            process.wait_gone(clock::now().monotonic + LAST_BREATH);
        }
        let status = child.try_wait().ok().flatten();
        // A signal that ends the launcher may have reached the node first: all of a service, say.
        let interrupting = [Signal::INT, Signal::TERM, Signal::HUP].map(Signal::as_raw);
        let signal = status.and_then(|status| status.signal());
        if signal.is_some_and(|signal| interrupting.contains(&signal))
            || self.interrupted.load(Ordering::Relaxed)
        {
            return Error::Interrupted;
        }
        Error::NodeDied(node, status, self.said(node))
    }

    fn said(&self, node: NodeId) -> String {
        node_log::tail(&self.dir.log_file(node), SAID_LINES_MAX)
    }

    fn check_interrupted(&self) -> Result<(), Error> {
        if self.interrupted.load(Ordering::Relaxed) { Err(Error::Interrupted) } else { Ok(()) }
    }
}

fn confirm_within(nodes: usize) -> Duration {
    let nodes = u32::try_from(nodes).unwrap_or(u32::MAX);
    CONFIRM_WITHIN_MIN.max(CONFIRM_WITHIN_PER_NODE.saturating_mul(nodes))
}

/// A file that is nowhere but in memory, to be read from its beginning.
fn in_memory(bytes: &[u8]) -> io::Result<File> {
    let mut file = File::from(memfd_create("node", MemfdFlags::CLOEXEC)?);
    file.write_all(bytes)?;
    file.rewind()?;
    Ok(file)
}

/// Waits until one of the processes says something, but not for long, and takes out those that
/// have answered, or closed their standard output.
fn listen(starting: &mut Vec<Starting>) -> Result<Vec<Starting>, Error> {
    let mut fds: Vec<PollFd> =
        starting.iter().map(|one| PollFd::new(&one.stdout, PollFlags::IN)).collect();
    let within = Timespec::try_from(INTERRUPT_INTERVAL).expect("it is short");
    match poll(&mut fds, Some(&within)) {
        Ok(_) | Err(Errno::INTR) => {}
        Err(error) => return Err(Error::System("wait for processes", error.into())),
    }
    let said: Vec<bool> = fds.iter().map(|fd| !fd.revents().is_empty()).collect();
    let mut said = said.into_iter();
    Ok(starting.extract_if(.., |one| said.next() == Some(true) && one.hear()).collect())
}

impl Starting {
    /// Takes in what it says; true when the answer is whole, or there will be no more of it.
    fn hear(&mut self) -> bool {
        let mut bytes = [0; 4_096];
        match self.stdout.read(&mut bytes) {
            Ok(0) => true,
            Ok(count) => {
                self.answer.extend_from_slice(&bytes[..count]);
                let whole = codec::decode_prefix::<Started>(&self.answer).is_ok();
                whole || self.answer.len() > ANSWER_BYTES_MAX
            }
            Err(error) => error.kind() != io::ErrorKind::Interrupted,
        }
    }
}

impl Children {
    /// Lets the processes run on, even when this one ends.
    pub(super) fn let_go(mut self) {
        self.0.clear();
    }
}

impl Drop for Children {
    /// They are our own children and were not waited for, so their numbers are their own.
    fn drop(&mut self) {
        for child in &mut self.0 {
            let _ = child.kill();
        }
        for child in &mut self.0 {
            let _ = child.wait();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::testing_state::{TempDir, script};
    use super::super::{Settings, node_config};
    use super::*;
    use crate::protocol::testing::start;

    /// Says in its log which process it is, takes its instructions, and is ready: `Started::Ready`. Then
    /// it stays until it is ended.
    const READY: &str = r"echo $$ >&2; cat > /dev/null; printf '\000'; kill -STOP $$";

    /// Launches nodes with a script in place of the program.
    fn launch(
        temp: &TempDir,
        text: &str,
        nodes: u32,
        on_progress: &mut dyn FnMut(Progress, &AtomicBool),
    ) -> Result<(Vec<NodeRecord>, Children), Error> {
        let dir = temp.state().network("test").unwrap();
        let _lock = dir.create_and_lock(&|| false).unwrap();
        let interrupted = AtomicBool::new(false);
        let program = script(temp, text);
        let mut progress = |progress| on_progress(progress, &interrupted);
        let mut launcher = Launcher {
            dir: &dir,
            program: &program,
            faults: &[],
            interrupted: &interrupted,
            progress: &mut progress,
        };
        let addr = SocketAddr::from(([127, 0, 0, 1], 1));
        let config = |node| {
            node_config::config(
                NodeId(node),
                start(1),
                Key([1; 32]),
                1,
                Vec::new(),
                Vec::new(),
                &Settings::default(),
            )
        };
        let configs: Vec<_> = (1..=nodes).map(|node| (config(node), addr)).collect();
        launcher.launch(&configs)
    }

    /// Nothing runs any more under the numbers that the nodes wrote into their logs.
    fn assert_none_left(temp: &TempDir) {
        for log in fs::read_dir(temp.path().join("test/logs")).unwrap() {
            let text = fs::read_to_string(log.unwrap().path()).unwrap();
            let pid: u32 = text.lines().next().unwrap_or("0").parse().unwrap();
            assert!(ProcessId::of(pid).is_err(), "process {pid} is left");
        }
    }

    #[test]
    fn nodes_that_are_ready_are_recorded_and_end_with_the_launch() {
        let temp = TempDir::new();
        let mut done = Vec::new();
        let (nodes, children) =
            launch(&temp, READY, 9, &mut |progress, _| done.push(progress.done)).unwrap();
        let numbers: Vec<u32> = nodes.iter().map(|node| node.node.0).collect();
        assert_eq!(numbers, [1, 2, 3, 4, 5, 6, 7, 8, 9]);
        assert_eq!(done, numbers);
        assert!(nodes.iter().all(|node| node.process.is_alive()));
        drop(children);
        assert!(!nodes.iter().any(|node| node.process.is_alive()));
        assert_none_left(&temp);
    }

    #[test]
    fn an_interruption_half_way_leaves_nothing() {
        let temp = TempDir::new();
        let mut interrupt = |progress: Progress, interrupted: &AtomicBool| {
            interrupted.store(progress.done >= 3, Ordering::Relaxed);
        };
        let launched = launch(&temp, READY, 9, &mut interrupt);
        assert!(matches!(launched, Err(Error::Interrupted)), "{launched:?}");
        assert_none_left(&temp);
    }

    #[test]
    fn a_node_that_dies_takes_the_others_with_it_and_its_last_words_are_kept() {
        let temp = TempDir::new();
        // The node that comes second finds the first one's mark. All by the shell itself: a process
        // of the script's own would outlive it.
        let text = format!(
            "set -C; true 2> /dev/null > '{}' || {{ echo $$ >&2; echo 'no air' >&2; exit 3; }}; {READY}",
            temp.path().join("mark").display()
        );
        match launch(&temp, &text, 4, &mut |_, _| {}) {
            Err(Error::NodeDied(_, Some(status), said)) => {
                assert_eq!(status.code(), Some(3));
                assert!(said.ends_with("no air"), "{said}");
            }
            other => panic!("{other:?}"),
        }
        assert_none_left(&temp);
    }

    #[test]
    fn a_process_that_answers_rubbish_is_ended() {
        let temp = TempDir::new();
        let text = r"echo $$ >&2; printf '\377\377'; exec 1>&-; kill -STOP $$";
        let launched = launch(&temp, text, 2, &mut |_, _| {});
        assert!(matches!(launched, Err(Error::NodeDied(..))), "{launched:?}");
        assert_none_left(&temp);
    }

    #[test]
    fn a_node_may_say_why_it_cannot_start() {
        // `Started::Failed("no")`.
        let launched = launch(&TempDir::new(), r"printf '\002\002no'", 1, &mut |_, _| {});
        assert!(
            matches!(&launched, Err(Error::NodeFailed(_, reason)) if reason == "no"),
            "{launched:?}"
        );
    }

    #[test]
    fn a_program_that_is_not_there_is_named() {
        let temp = TempDir::new();
        let dir = temp.state().network("test").unwrap();
        let _lock = dir.create_and_lock(&|| false).unwrap();
        let program = temp.path().join("nothing");
        let interrupted = AtomicBool::new(false);
        let mut launcher = Launcher {
            dir: &dir,
            program: &program,
            faults: &[],
            interrupted: &interrupted,
            progress: &mut |_| {},
        };
        let config = node_config::config(
            NodeId(1),
            start(1),
            Key([1; 32]),
            1,
            Vec::new(),
            Vec::new(),
            &Settings::default(),
        );
        let launched = launcher.launch(&[(config, SocketAddr::from(([127, 0, 0, 1], 1)))]);
        assert!(matches!(launched, Err(Error::Spawn(named, _)) if named == program));
    }

    #[test]
    fn the_time_to_confirm_grows_with_the_network() {
        assert_eq!(confirm_within(1), Duration::from_secs(30));
        assert_eq!(confirm_within(10_000), Duration::from_secs(400));
    }
}
