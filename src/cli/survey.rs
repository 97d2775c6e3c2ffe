//! What all nodes of a network say, asked at once: of their links, and of messages.

use crate::cli::render::count;
use crate::cli::render::network_text::NodeState;
use crate::cli::{Error, questions};
use crate::control::client::{self, Client};
use crate::control::{Request, Response};
use crate::network::{Fault, NodeRecord, Record};
use crate::protocol::{
    FaultRule, Holding, MessageId, MessageInfo, MessageQuery, NodeId, NodeRanges, PeerInfo, Which,
};
use crate::spread::{Faults, Said};

/// How many of a node's last messages are looked at to find the one that was sent last: they
/// arrive in another order than they were sent. So few that they fit a page.
const LAST_MESSAGES: u64 = 4;

/// What one node said: its links, and what it has of each message asked about.
type Answer = (Vec<PeerInfo>, Vec<Holding>);

/// What is known of each node of a network, asked about these messages.
pub(crate) struct Survey {
    /// All nodes, by number.
    nodes: Vec<(NodeId, NodeState, Option<Answer>)>,
    /// The partitions in force, and the other faults.
    partitions: Vec<Vec<NodeRanges>>,
    rules: Vec<FaultRule>,
}

impl Survey {
    /// Asks every node that runs, in parallel, one connection each. Who gives no answer within
    /// its deadline is shown as such.
    pub(crate) fn of(record: &Record, ids: &[MessageId]) -> Self {
        let live: Vec<&NodeRecord> = running(record);
        let answers = questions::converse(record, &live, |client| say(client, ids));
        let mut answers = live.iter().zip(answers).peekable();
        let mut nodes = Vec::with_capacity(record.nodes.len());
        for node in &record.nodes {
            let asked = answers.next_if(|(asked, _)| asked.node == node.node);
            let answer = asked.and_then(|(_, answer)| answer.ok());
            let state = match &answer {
                Some(_) => NodeState::Up,
                None => state_without_answer(record, node),
            };
            nodes.push((node.node, state, answer));
        }
        let (partitions, rules) = faults(record);
        Self { nodes, partitions, rules }
    }

    /// How many nodes answered.
    pub(crate) fn answered(&self) -> usize {
        self.nodes.iter().filter(|(_, _, answer)| answer.is_some()).count()
    }

    /// What the nodes said of the message that was asked about at this place.
    pub(crate) fn said(&self, at: usize) -> Vec<Said> {
        let said = |(node, state, answer): &(NodeId, NodeState, Option<Answer>)| Said {
            node: *node,
            state: *state,
            holding: answer.as_ref().and_then(|(_, holdings)| holdings.get(at).cloned()),
            peers: answer.as_ref().map(|(peers, _)| peers.clone()).unwrap_or_default(),
        };
        self.nodes.iter().map(said).collect()
    }

    /// The faults in force.
    pub(crate) fn faults(&self) -> Faults<'_> {
        Faults { partitions: &self.partitions, rules: &self.rules }
    }
}

/// Finds the message that was sent last, of all that any node holds, by its origin's clock.
/// `None` where no node holds any; an error where no node answers.
pub(crate) fn newest(record: &Record) -> Result<Option<MessageId>, Error> {
    let query = MessageQuery { which: Which::All, last: Some(LAST_MESSAGES), after: None };
    let answers = questions::all(record, &running(record), &Request::Messages(query));
    let pages = answers.into_iter().filter_map(|answer| match answer {
        Ok(Response::Messages(page)) => Some(page.messages),
        _ => None,
    });
    let pages: Vec<Vec<MessageInfo>> = pages.collect();
    if pages.is_empty() {
        return Err(no_answer(record));
    }
    let newest = pages.into_iter().flatten().max_by_key(|info| (info.sent_at, info.id));
    Ok(newest.map(|info| info.id))
}

/// No node of the network answers.
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

fn running(record: &Record) -> Vec<&NodeRecord> {
    record.nodes.iter().filter(|node| record.is_running(node)).collect()
}

/// How a node is seen that did not answer, or was not asked. It may have been paused, or have
/// ended, while it was asked.
fn state_without_answer(record: &Record, node: &NodeRecord) -> NodeState {
    match () {
        () if node.removed => NodeState::Removed,
        () if record.is_paused(node) => NodeState::Paused,
        () if record.is_up(node) => NodeState::Silent,
        () => NodeState::Down,
    }
}

/// The partitions in force, and the other faults.
pub(crate) fn faults(record: &Record) -> (Vec<Vec<NodeRanges>>, Vec<FaultRule>) {
    let (mut partitions, mut rules) = (Vec::new(), Vec::new());
    for fault in &record.faults {
        match fault {
            Fault::Partition(groups) => partitions.push(groups.clone()),
            Fault::Effect(rule) => rules.push(rule.clone()),
        }
    }
    (partitions, rules)
}

/// Asks one node; `None` if it answers something else.
fn say(client: &mut Client, ids: &[MessageId]) -> Result<Option<Answer>, client::Error> {
    let Response::Peers(peers) = client.ask(&Request::Peers)? else { return Ok(None) };
    let mut holdings = Vec::with_capacity(ids.len());
    for id in ids {
        let Response::Message(holding) = client.ask(&Request::Message(*id))? else {
            return Ok(None);
        };
        holdings.push(holding);
    }
    Ok(Some((peers, holdings)))
}
