//! Ending nodes: first they are asked, then signalled, and only if proven to be ours.

use std::collections::BTreeSet;
use std::time::Duration;

use crossbeam_channel::RecvTimeoutError;
use rustix::process::Signal;

use super::process::Signalled;
use super::{Error, NodeRecord, Progress, Record, StateDir, StopReport, ask};
use crate::control::{Request, Token, client};
use crate::protocol::NodeId;
use crate::runtime::clock;

/// How long one node may take to answer.
const ASK_TIMEOUT: Duration = Duration::from_millis(800);

/// Asking ends when no node has answered for this long: the others are not going to.
const QUIET_MAX: Duration = Duration::from_secs(1);

/// How long nodes may take to end after they were asked to.
const STOP_WITHIN: Duration = Duration::from_millis(1_500);

/// The same for one that also says goodbye to its neighbours.
const LEAVE_WITHIN: Duration = Duration::from_secs(5);

/// How long a process may take after a polite signal.
const TERM_WITHIN: Duration = Duration::from_secs(1);

/// How long the system may take to end a process that has no say in it.
const KILL_WITHIN: Duration = Duration::from_secs(5);

/// Nodes that are being ended, and what became of each.
struct Ending<'a> {
    total: usize,
    up: Vec<NodeRecord>,
    report: StopReport,
    progress: &'a mut dyn FnMut(Progress),
}

impl StateDir {
    /// Stops a network: asks each node, then signals those that are provably ours.
    ///
    /// # Errors
    ///
    /// If it does not run, or its state cannot be read: then nothing is signalled. What could
    /// not be ended is no error but in the report, and stays in the state.
    pub fn stop(
        &self,
        name: &str,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<StopReport, Error> {
        let dir = self.network(name)?;
        let lock = dir.lock_existing()?;
        let Some(record) = dir.read()? else {
            dir.remove(&lock)?;
            return Err(dir.not_running());
        };
        // Nodes started by hand take themselves out of the record as they end, and would wait
        // for the lock that is held here: this tells them that there is no need to. If it cannot
        // be written they are signalled, no more.
        let mut marked = record.clone();
        marked.nodes.iter_mut().for_each(|node| node.removed = true);
        let _ = dir.write(&marked);

        let report = end(&record, record.nodes.clone(), &Request::Stop, progress);
        if report.left.is_empty() {
            dir.remove(&lock)?;
        } else {
            let mut record = record;
            record.nodes.retain(|node| report.left.contains(&node.node));
            dir.write(&record)?;
        }
        Ok(report)
    }

    /// Tells a node to leave, waits until its process is gone, and marks it as removed.
    ///
    /// # Errors
    ///
    /// If there is no such node up, or its process could not be ended.
    pub fn remove_node(&self, name: &str, node: NodeId) -> Result<(), Error> {
        let dir = self.network(name)?;
        let _lock = dir.lock_existing()?;
        let record = dir.read()?.ok_or_else(|| dir.not_running())?;
        let leaving = record.find_up(node)?.clone();
        // Before it is asked, for the same reason as above.
        let mut marked = record.clone();
        marked.find_mut(node)?.removed = true;
        dir.write(&marked)?;

        let pid = leaving.process.pid;
        let report = end(&record, vec![leaving], &Request::Leave, &mut |_| {});
        if report.left.is_empty() {
            return Ok(());
        }
        dir.write(&record)?;
        Err(Error::NotEnded { node, pid })
    }

    /// Ends a node's process at once, as a crash would. Its neighbours have to find out.
    ///
    /// # Errors
    ///
    /// If there is no such node up, or its process could not be ended.
    pub fn kill_node(&self, name: &str, node: NodeId) -> Result<(), Error> {
        let killed = self.signal_node(name, node, Signal::KILL)?;
        let pid = killed.process.pid;
        let gone = killed.process.wait_gone(clock::now().monotonic + KILL_WITHIN);
        if gone { Ok(()) } else { Err(Error::NotEnded { node, pid }) }
    }

    /// Stops a node's process where it is; [`StateDir::resume_node`] lets it go on.
    ///
    /// # Errors
    ///
    /// If there is no such node up, or its process could not be signalled.
    pub fn pause_node(&self, name: &str, node: NodeId) -> Result<(), Error> {
        self.signal_node(name, node, Signal::STOP).map(drop)
    }

    /// Lets a paused node go on. Changes nothing for one that runs.
    ///
    /// # Errors
    ///
    /// If there is no such node up, or its process could not be signalled.
    pub fn resume_node(&self, name: &str, node: NodeId) -> Result<(), Error> {
        self.signal_node(name, node, Signal::CONT).map(drop)
    }

    fn signal_node(&self, name: &str, node: NodeId, signal: Signal) -> Result<NodeRecord, Error> {
        let record = self.load(name)?;
        let found = record.find_up(node)?;
        match found.process.signal(signal) {
            Signalled::Sent => Ok(found.clone()),
            Signalled::Gone => Err(Error::NodeDown { node, pid: found.process.pid }),
            Signalled::Refused => Err(Error::NotEnded { node, pid: found.process.pid }),
        }
    }
}

/// Ends nodes of a network, one way or another.
fn end(
    record: &Record,
    nodes: Vec<NodeRecord>,
    request: &Request,
    progress: &mut dyn FnMut(Progress),
) -> StopReport {
    let total = nodes.len();
    let (up, gone): (Vec<_>, Vec<_>) = nodes.into_iter().partition(|node| record.is_up(node));
    let gone = gone.into_iter().map(|node| node.node).collect();
    let report = StopReport { gone, ..StopReport::default() };
    let mut ending = Ending { total, up, report, progress };
    ending.tell();
    ending.ask(record, request);
    ending.signal(Signal::TERM, TERM_WITHIN);
    // A stopped process takes no notice of anything less.
    ending.signal(Signal::KILL, KILL_WITHIN);
    ending.finish()
}

impl Ending<'_> {
    /// Asks the nodes to end, and waits for those that heard it.
    fn ask(&mut self, record: &Record, request: &Request) {
        let heard = heard(&self.up, record, request);
        let within = if *request == Request::Leave { LEAVE_WITHIN } else { STOP_WITHIN };
        let gone = self.wait(within, |node| heard.contains(&node.node));
        self.report.asked = gone;
    }

    /// Signals the nodes that are still there, and waits for them.
    fn signal(&mut self, signal: Signal, within: Duration) {
        let sent = |node: &NodeRecord| node.process.signal(signal) != Signalled::Refused;
        let sent: BTreeSet<NodeId> =
            self.up.iter().filter(|node| sent(node)).map(|node| node.node).collect();
        let gone = self.wait(within, |node| sent.contains(&node.node));
        self.report.signalled.extend(gone);
    }

    /// Waits for some of the nodes, one after the other: they all end at the same time, and one
    /// file descriptor will do. Takes out those that are gone.
    fn wait(&mut self, within: Duration, waited_for: impl Fn(&NodeRecord) -> bool) -> Vec<NodeId> {
        let deadline = clock::now().monotonic + within;
        let mut gone = Vec::new();
        for node in std::mem::take(&mut self.up) {
            let ended = if waited_for(&node) {
                node.process.wait_gone(deadline)
            } else {
                !node.process.is_alive()
            };
            if ended {
                gone.push(node.node);
                let before = self.report.gone.len() + self.report.signalled.len();
                self.tell_done(before + self.report.asked.len() + gone.len());
            } else {
                self.up.push(node);
            }
        }
        gone
    }

    fn finish(mut self) -> StopReport {
        self.report.left = self.up.iter().map(|node| node.node).collect();
        self.report.signalled.sort_unstable();
        self.report
    }

    fn tell(&mut self) {
        self.tell_done(self.report.gone.len());
    }

    fn tell_done(&mut self, done: usize) {
        let count = |number| u32::try_from(number).unwrap_or(u32::MAX);
        (self.progress)(Progress { done: count(done), total: count(self.total) });
    }
}

/// Asks all the nodes, and says which of them heard it.
fn heard(nodes: &[NodeRecord], record: &Record, request: &Request) -> BTreeSet<NodeId> {
    let mut heard = BTreeSet::new();
    let addrs = nodes.iter().map(|node| (node.node, node.addr)).collect();
    // Without a thread to ask with, there are still signals.
    let Ok(answers) = ask::all(addrs, Token::of(&record.key), request, ASK_TIMEOUT) else {
        return heard;
    };
    let mut patience = clock::now().monotonic + QUIET_MAX;
    loop {
        let now = clock::now().monotonic;
        match answers.recv_timeout(patience.since(now)) {
            Ok(answer) if was_heard(&answer) => {
                heard.insert(answer.node);
                patience = clock::now().monotonic + QUIET_MAX;
            }
            Ok(_) if now < patience => {}
            Ok(_) | Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                return heard;
            }
        }
    }
}

/// A node that ends at once may hang up before its answer is through.
fn was_heard(answer: &ask::Answer) -> bool {
    match &answer.response {
        Ok(_) | Err(client::Error::Io(..) | client::Error::Rubbish(_)) => true,
        Err(_) => false,
    }
}
