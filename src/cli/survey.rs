//! Questions to nodes: one, or all of a network at once.

use std::thread;

use crossbeam_channel as channel;

use super::Error;
use super::render::count;
use crate::control::client::{self, Client};
use crate::control::{Request, Response};
use crate::network::{Fault, NodeRecord, Record};
use crate::protocol::{NodeId, PeerInfo};
use crate::spread::{Faults, NodeState};

/// How many nodes are asked at the same time.
const WORKERS_MAX: usize = 32;

/// What a conversation with a node gave; `None` where the node answered something else than it
/// was asked for.
pub(crate) type Said<T> = Result<Option<T>, client::Error>;

/// One node of a network, and what it answered.
#[derive(Clone, Debug)]
pub(crate) struct Asked<'a, T> {
    pub(crate) record: &'a NodeRecord,
    pub(crate) state: NodeState,
    /// `None` where the node could not be asked, or gave no good answer in time.
    pub(crate) answer: Option<T>,
}

/// Has a conversation with one node.
pub(crate) fn one<T>(
    record: &Record,
    node: NodeId,
    say: impl FnOnce(&mut Client) -> Said<T>,
) -> Result<T, Error> {
    let said = say(&mut record.connect(node)?).map_err(|error| Error::no_answer(node, &error))?;
    said.ok_or_else(|| Error::other_answer(node))
}

/// Has the same conversation with every node that runs, over one connection each. Returns all
/// nodes of the network, by number. A node that does not answer is no error.
pub(crate) fn all<T: Send>(
    record: &Record,
    say: impl Fn(&mut Client) -> Said<T> + Sync,
) -> Vec<Asked<'_, T>> {
    let running: Vec<&NodeRecord> =
        record.nodes.iter().filter(|node| record.is_running(node)).collect();
    let mut answers = running.iter().zip(some(record, &running, say)).peekable();
    let mut asked = Vec::with_capacity(record.nodes.len());
    for node in &record.nodes {
        let answer = answers.next_if(|(asked, _)| asked.node == node.node);
        let answer = answer.and_then(|(_, answer)| answer);
        let state = match answer {
            Some(_) => NodeState::Up,
            None if node.removed => NodeState::Removed,
            // It may have been paused, or have ended, while it was asked.
            None if record.is_paused(node) => NodeState::Paused,
            None if record.is_up(node) => NodeState::Silent,
            None => NodeState::Down,
        };
        asked.push(Asked { record: node, state, answer });
    }
    asked
}

/// Has the same conversation with each of these nodes; the answers come in their order.
///
/// A few workers take node by node, so that a thousand nodes are asked quickly, and one that is
/// stopped delays nobody but itself.
pub(crate) fn some<T: Send>(
    record: &Record,
    nodes: &[&NodeRecord],
    say: impl Fn(&mut Client) -> Said<T> + Sync,
) -> Vec<Option<T>> {
    let (jobs, next_job) = channel::unbounded();
    for index in 0..nodes.len() {
        let _ = jobs.send(index);
    }
    drop(jobs);
    let (results, answers) = channel::unbounded();
    let work = || {
        for index in &next_job {
            let _ = results.send((index, one(record, nodes[index].node, &say).ok()));
        }
    };
    thread::scope(|scope| {
        for number in 1..WORKERS_MAX.min(nodes.len()) {
            let named = thread::Builder::new().name(format!("ask-{number}"));
            // Fewer threads than hoped for only means that it takes longer.
            let _ = named.spawn_scoped(scope, work);
        }
        work();
    });
    drop(results);
    let mut answers: Vec<_> = answers.iter().collect();
    answers.sort_by_key(|(index, _)| *index);
    answers.into_iter().map(|(_, answer)| answer).collect()
}

/// Asks a node for its neighbours, sorted by number.
pub(crate) fn peers(client: &mut Client) -> Said<Vec<PeerInfo>> {
    let Response::Peers(mut peers) = client.ask(&Request::Peers)? else { return Ok(None) };
    peers.sort_by_key(|peer| peer.node);
    Ok(Some(peers))
}

/// The error for a network of which no node answers.
pub(crate) fn no_answer(record: &Record) -> Error {
    let paused = record.nodes.iter().filter(|node| record.is_paused(node)).count();
    let why = match paused {
        0 => "none of those that are up did so in time".to_owned(),
        1 => format!("1 of {} is paused", count(record.nodes.len() as u64, "node")),
        paused => format!("{paused} of {} nodes are paused", record.nodes.len()),
    };
    Error::failed(
        format!("no node of network {} answers", record.name),
        why,
        "`gossip show-network` shows which nodes are up; `gossip resume-node` lets a paused one go on",
    )
}

/// The faults in force, as the network's record has them.
pub(crate) fn faults(record: &Record) -> Faults {
    let mut faults = Faults::default();
    for fault in record.faults.iter().cloned() {
        match fault {
            Fault::Partition(groups) => faults.partitions.push(groups),
            Fault::Effect(rule) => faults.rules.push(rule),
        }
    }
    faults
}
