//! Questions to nodes: one, or all of a network at once.

use super::Error;
use super::render::count;
use crate::control::client::{self, Client};
use crate::control::{Request, Response};
use crate::network::{Fault, NodeRecord, Record};
use crate::protocol::{NodeId, PeerInfo};
use crate::spread::{Faults, NodeState};

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
pub(crate) fn all<T: Send + 'static>(
    record: &Record,
    say: impl Fn(&mut Client) -> Said<T> + Clone + Send + 'static,
) -> Vec<Asked<'_, T>> {
    let running = record.nodes.iter().filter(|node| record.is_running(node));
    let mut answers = record.ask_each(running, say);
    let asked = record.nodes.iter().map(|node| {
        let answer = answers.remove(&node.node);
        let state = match answer {
            Some(_) => NodeState::Up,
            None if node.removed => NodeState::Removed,
            // It may have been paused, or have ended, while it was asked.
            None if record.is_paused(node) => NodeState::Paused,
            None if record.is_up(node) => NodeState::Silent,
            None => NodeState::Down,
        };
        Asked { record: node, state, answer }
    });
    asked.collect()
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
    let nodes = count(record.nodes.len() as u64, "node");
    let why = match paused {
        0 => "none of those that are up did so in time".to_owned(),
        1 => format!("1 of {nodes} is paused"),
        paused => format!("{paused} of {nodes} are paused"),
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
