//! Ending nodes: first they are asked, then signalled, and only if proven to be ours.

use std::collections::BTreeSet;
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::Signal;

use super::state::NetworkDir;
use super::{Error, NodeRecord, Progress, Record, StateDir, StopReport, asking};
use crate::control::{Request, client};
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

/// How long the system may take to stop a process where it is.
const PAUSE_WITHIN: Duration = Duration::from_secs(5);

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
            let _ = dir.remove(&lock);
            return Err(dir.not_running());
        };
        // If it cannot be written they are signalled, no more.
        let _ = dir.mark_removed(&record, |_| true);

        // A node that was removed before is no news.
        let concerned = |node: &&NodeRecord| !node.removed || record.is_up(node);
        let nodes = record.nodes.iter().filter(concerned).cloned().collect();
        let report = end(&record, nodes, &Request::Stop, progress);
        if report.left.is_empty() {
            let ended = (report.asked.len() + report.signalled.len()) as u64;
            dir.remove(&lock).map_err(|error| stays(&dir.name, ended, error))?;
        } else {
            let mut record = record;
            record.nodes.retain(|node| report.left.contains(&node.node));
            // The report says the same.
            let _ = dir.write(&record);
        }
        Ok(report)
    }

    /// Tells a node to leave, waits until its process is gone, and marks it as removed. Says whether
    /// the node did not answer and was killed: then its neighbours find out by themselves.
    ///
    /// # Errors
    ///
    /// If there is no such node up, or its process could not be ended.
    pub fn remove_node(&self, name: &str, node: NodeId) -> Result<bool, Error> {
        let dir = self.network(name)?;
        let _lock = dir.lock_existing()?;
        let record = dir.read()?.ok_or_else(|| dir.not_running())?;
        let leaving = record.find_up(node)?.clone();
        dir.mark_removed(&record, |other| other == node)?;
        let pid = leaving.process.pid;
        let report = end(&record, vec![leaving], &Request::Leave, &mut |_| {});
        if report.left.is_empty() {
            return Ok(!report.signalled.is_empty());
        }
        dir.write(&record)?;
        Err(Error::NotEnded(node, pid))
    }

    /// Ends a node's process at once, as a crash would. Its neighbours have to find out.
    ///
    /// # Errors
    ///
    /// If there is no such node up, or its process could not be ended.
    pub fn kill_node(&self, name: &str, node: NodeId) -> Result<(), Error> {
        let (_, killed) = self.signal_node(name, node, Signal::KILL)?;
        let gone = killed.process.wait_gone(clock::now().monotonic + KILL_WITHIN);
        gone.then_some(()).ok_or(Error::NotEnded(node, killed.process.pid))
    }

    /// Stops a node's process where it is; [`StateDir::resume_node`] lets it go on.
    ///
    /// # Errors
    ///
    /// If there is no such node up, or its process could not be signalled.
    pub fn pause_node(&self, name: &str, node: NodeId) -> Result<(), Error> {
        let (_, paused) = self.signal_node(name, node, Signal::STOP)?;
        let stopped = paused.process.wait_stopped(clock::now().monotonic + PAUSE_WITHIN);
        stopped.then_some(()).ok_or(Error::NotSignalled(node, paused.process.pid))
    }

    /// Lets a paused node go on, under the faults that are in force by now. Changes nothing for
    /// one that runs.
    ///
    /// # Errors
    ///
    /// If there is no such node up, or its process could not be signalled.
    pub fn resume_node(&self, name: &str, node: NodeId) -> Result<(), Error> {
        let (record, resumed) = self.signal_node(name, node, Signal::CONT)?;
        // It goes on in any case; one that does not answer has other troubles.
        let faults = Request::SetFaults(record.fault_rules());
        let _ = record.ask(resumed.addr, &faults, ASK_TIMEOUT);
        Ok(())
    }

    fn signal_node(
        &self,
        name: &str,
        node: NodeId,
        signal: Signal,
    ) -> Result<(Record, NodeRecord), Error> {
        let record = self.load(name)?;
        let found = record.find_up(node)?.clone();
        let pid = found.process.pid;
        match found.process.signal(signal) {
            Ok(()) => Ok((record, found)),
            Err(Errno::SRCH) => Err(Error::NodeDown(node, pid)),
            Err(_) => Err(Error::NotSignalled(node, pid)),
        }
    }
}

/// The nodes are gone, and that matters more than what could not be removed after them.
fn stays(name: &str, ended: u64, error: Error) -> Error {
    match error {
        Error::State { path, source, .. } => {
            Error::StateStays { name: name.to_owned(), ended, path, source }
        }
        error => error,
    }
}

impl NetworkDir {
    /// Marks nodes as removed before they are asked to end. Nodes started by hand take themselves
    /// out of the record as they end, and would wait for the lock that is held meanwhile: this
    /// tells them that there is no need to.
    fn mark_removed(&self, record: &Record, which: impl Fn(NodeId) -> bool) -> Result<(), Error> {
        let mut marked = record.clone();
        marked.nodes.iter_mut().for_each(|node| node.removed |= which(node.node));
        self.write(&marked)
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
    let (mut up, gone): (Vec<_>, Vec<_>) = nodes.into_iter().partition(|node| record.is_up(node));
    let mut done = gone.len();
    progress(Progress::new(done, total));
    // Waits for some of the nodes, one after the other: they all end at the same time. Takes out
    // all that are gone.
    let mut wait = |up: &mut Vec<NodeRecord>, within, waited_for: &BTreeSet<NodeId>| {
        let now = clock::now().monotonic;
        let is_gone = |node: &mut NodeRecord| {
            let is_waited_for = waited_for.contains(&node.node);
            node.process.wait_gone(if is_waited_for { now + within } else { now })
        };
        let gone = up.extract_if(.., is_gone).map(|node| {
            done += 1;
            progress(Progress::new(done, total));
            node.node
        });
        gone.collect::<Vec<_>>()
    };
    let heard = heard(&up, record, request);
    let within = if *request == Request::Leave { LEAVE_WITHIN } else { STOP_WITHIN };
    let asked = wait(&mut up, within, &heard);
    let mut signalled = Vec::new();
    // A stopped process takes no notice of the first.
    for (signal, within) in [(Signal::TERM, TERM_WITHIN), (Signal::KILL, KILL_WITHIN)] {
        let sent =
            |node: &&NodeRecord| matches!(node.process.signal(signal), Ok(()) | Err(Errno::SRCH));
        let sent = up.iter().filter(sent).map(|node| node.node).collect();
        signalled.extend(wait(&mut up, within, &sent));
    }
    signalled.sort_unstable();
    StopReport { asked, signalled, gone: numbers(&gone), left: numbers(&up) }
}

fn numbers(nodes: &[NodeRecord]) -> Vec<NodeId> {
    nodes.iter().map(|node| node.node).collect()
}

/// Asks all the nodes, and says which of them heard it.
fn heard(nodes: &[NodeRecord], record: &Record, request: &Request) -> BTreeSet<NodeId> {
    let mut heard = BTreeSet::new();
    let nodes = nodes.iter().map(|node| (node.node, node.addr, request.clone()));
    let answers = asking::each(nodes, &record.key, ASK_TIMEOUT, |client, order| client.ask(&order));
    let mut patience = clock::now().monotonic + QUIET_MAX;
    while let Ok((node, answer)) = answers.recv_timeout(patience.since(clock::now().monotonic)) {
        // A node that ends at once may hang up before its answer is through.
        if matches!(answer, Ok(_) | Err(client::Error::Closed(_) | client::Error::Io(..))) {
            heard.insert(node);
            patience = clock::now().monotonic + QUIET_MAX;
        }
    }
    heard
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::ProcessId;
    use super::super::testing_state::{Helper, TempDir, record, remember};
    use super::*;

    fn ids(numbers: &[u32]) -> Vec<NodeId> {
        numbers.iter().copied().map(NodeId).collect()
    }

    #[test]
    fn nodes_that_cannot_be_asked_are_signalled_and_bystanders_are_not() {
        let temp = TempDir::new();
        let (polite, stubborn, paused) = (Helper::cat(), Helper::stubborn(), Helper::cat());
        let bystander = Helper::cat();
        // The bystander has the number of a node that ended earlier.
        let ended = ProcessId { started: bystander.process().started - 1, ..bystander.process() };
        let processes = [polite.process(), stubborn.process(), ended, paused.process()];
        let dir = remember(&temp.state(), &record("default", &processes));
        temp.state().pause_node("default", NodeId(4)).unwrap();

        let mut done = 0;
        let mut progress = |progress: Progress| done = progress.done;
        let report = temp.state().stop("default", &mut progress).unwrap();

        assert_eq!(report.signalled, ids(&[1, 2, 4]));
        assert_eq!(report.gone, ids(&[3]));
        assert!(report.asked.is_empty() && report.left.is_empty());
        assert_eq!(done, 4);
        assert!(bystander.process().is_alive());
        assert!(!polite.process_is_alive() && !stubborn.process_is_alive());
        assert!(!dir.record_file().exists());
        assert!(matches!(temp.state().stop("default", &mut |_| {}), Err(Error::NotRunning(_))));
    }

    #[test]
    fn after_another_boot_no_number_means_anything() {
        let temp = TempDir::new();
        let bystander = Helper::cat();
        let mut earlier = record("default", &[bystander.process()]);
        earlier.boot_id = "another".to_owned();
        remember(&temp.state(), &earlier);
        let report = temp.state().stop("default", &mut |_| {}).unwrap();
        assert_eq!(report.gone, ids(&[1]));
        assert!(bystander.process().is_alive());
    }

    #[test]
    fn a_state_file_that_was_cut_short_gets_nobody_killed() {
        let temp = TempDir::new();
        let helper = Helper::cat();
        let dir = remember(&temp.state(), &record("default", &[helper.process()]));
        let whole = fs::read(dir.record_file()).unwrap();
        fs::write(dir.record_file(), &whole[..whole.len() - 1]).unwrap();
        let stopped = temp.state().stop("default", &mut |_| {});
        assert!(matches!(stopped, Err(Error::StateBroken(..))));
        assert!(helper.process().is_alive());
        assert!(dir.record_file().exists());
    }

    #[test]
    fn a_removed_node_stays_in_the_record() {
        let temp = TempDir::new();
        let (one, two) = (Helper::cat(), Helper::cat());
        remember(&temp.state(), &record("default", &[one.process(), two.process()]));
        let state = temp.state();
        state.remove_node("default", NodeId(1)).unwrap();
        assert!(!one.process_is_alive() && two.process().is_alive());
        assert!(state.load("default").unwrap().find(NodeId(1)).unwrap().removed);
        let again = state.remove_node("default", NodeId(1));
        assert!(matches!(again, Err(Error::NodeRemoved(NodeId(1)))));
        let unknown = state.remove_node("default", NodeId(3));
        let known = Some((NodeId(1), NodeId(2)));
        assert!(matches!(unknown, Err(Error::UnknownNode(_, found)) if found == known));
        let report = state.stop("default", &mut |_| {}).unwrap();
        assert_eq!(report.signalled, ids(&[2]));
        assert!(report.gone.is_empty());
    }

    #[test]
    fn state_whose_processes_are_gone_is_cleaned_up() {
        let temp = TempDir::new();
        let state = temp.state();
        let helper = Helper::cat();
        let dir = remember(&state, &record("default", &[helper.process()]));
        assert_eq!(state.list().unwrap().len(), 1);
        state.kill_node("default", NodeId(1)).unwrap();
        assert!(matches!(state.load("default"), Err(Error::NotRunning(_))));
        assert!(!dir.record_file().exists());
        assert!(state.list().unwrap().is_empty());
    }

    #[test]
    fn a_paused_node_goes_on_when_resumed() {
        let temp = TempDir::new();
        let state = temp.state();
        let helper = Helper::cat();
        remember(&state, &record("default", &[helper.process()]));
        state.pause_node("default", NodeId(1)).unwrap();
        state.resume_node("default", NodeId(1)).unwrap();
        // Only a process that runs notices that its input ended.
        let process = helper.process();
        helper.close_input();
        assert!(process.wait_gone(super::super::testing_state::soon()));
    }
}
