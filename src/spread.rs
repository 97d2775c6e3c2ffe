//! How one message spread through a network: who has it, from whom, when, and what it cost.
//!
//! A [`Trace`] is made from what nodes say, real ones or simulated ones, by plain arithmetic;
//! nothing is asked, printed or drawn here. `links` holds the links in use, `figures`
//! holds what was measured against what theory says, `expect` the theory of the flood, and `tree`
//! the infection tree. The JSON of a trace is derived from these
//! types, so that they are the description of the format.

use std::collections::BTreeMap;

use serde::{Serialize, Serializer};

use crate::protocol::{Holding, MessageId, MessageInfo, NodeId, NodeRanges, Path, PeerInfo, Wall};

mod expect;
mod figures;
mod live_overlay;
#[cfg(test)]
pub(crate) mod testing_answers;
mod tree;

pub use figures::{Coverage, Figure, Figures, Point, Times};
pub use live_overlay::{Faults, Link, LinkState, NodeState, Overlay};
pub use tree::{Branch, Tree};

/// What one node, asked or not, is known to say.
#[derive(Clone, Debug)]
pub struct Said {
    /// Its number.
    pub node: NodeId,
    /// How it is seen from outside.
    pub state: NodeState,
    /// What it has of the message; `None` where it gave no answer.
    pub holding: Option<Holding>,
    /// Its neighbours; none where it gave no answer.
    pub peers: Vec<PeerInfo>,
}

/// How one message spread, as far as the nodes that answered can tell.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Trace {
    /// The network's name.
    pub network: String,
    /// The message's name.
    #[serde(serialize_with = "as_text")]
    pub id: MessageId,
    /// Its text.
    pub text: String,
    /// The node where it started.
    pub origin: NodeId,
    /// When, by the origin's wall clock: nanoseconds since the Unix epoch.
    pub sent_at: Wall,
    /// The copies a node may send on each link.
    pub relays: u8,
    /// What was measured, and what theory says.
    pub figures: Figures,
    /// All nodes of the network, by number.
    pub nodes: Vec<TraceNode>,
    /// The links between them as they are now, each once, from its lower to its higher number.
    pub links: Vec<Link>,
    /// The partitions in force: each a list of groups, each a list of ranges of nodes.
    pub partitions: Vec<Vec<NodeRanges>>,
}

/// One node, and what became of the message there. Exactly one of `receipt` and `lacks` is there.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TraceNode {
    /// Its number.
    pub node: NodeId,
    /// How it is seen from outside.
    pub state: NodeState,
    /// The fewest links in use between the origin and here; `None` where there is no way.
    pub distance: Option<u32>,
    /// How it got the message.
    pub receipt: Option<Receipt>,
    /// Why it does not have it, as far as known.
    pub lacks: Option<Lacks>,
}

/// How a node got the message.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Receipt {
    /// How long after the sending, in microseconds, by the wall clocks of both ends; 0 if they
    /// disagree, and at the origin.
    pub after_us: f64,
    /// The node that sent the first copy; `None` at the origin.
    pub from: Option<NodeId>,
    /// The links that copy crossed.
    pub hops: u32,
    /// The nodes it passed, from the origin to this one; `None` where a long path was cut.
    pub path: Path,
    /// How many copies' paths the node kept.
    pub paths: u32,
    /// The hops of the longest of these.
    pub hops_max: u32,
    /// Flood copies it sent.
    pub copies_sent: u32,
    /// Copies it sent because they were asked for.
    pub repairs_sent: u32,
    /// Copies that it received, the first included.
    pub copies_received: u32,
    /// The bytes of all copies it sent, as frames.
    pub bytes_sent: u64,
    /// Whether the first copy, or one it descends from, was sent by repair.
    pub repaired: bool,
}

/// Why a node is not known to have a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Lacks {
    /// It knows of it and holds it no more, or never took it: a limit stood in the way.
    Evicted,
    /// No link in use leads to anybody who has it, and faults in force, such as a partition, let
    /// nothing through between it and one of these at least.
    CutOff,
    /// No link in use leads to anybody who has it.
    Unlinked,
    /// Links in use lead to somebody who has it. It will get it, unless every way leads through
    /// a node that is paused or silent: then once that one answers again.
    NotYet,
    /// Its process is stopped, so it cannot be asked.
    Paused,
    /// Its process is there, and it did not answer.
    Silent,
    /// Its process is gone.
    Down,
    /// It was told to leave.
    Removed,
}

impl Lacks {
    /// In a few words.
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::Evicted => "evicted: had it, or was not allowed to take it, by one of its limits",
            Self::CutOff => "cut off by a fault",
            Self::Unlinked => "no link leads to a node that has it",
            Self::NotYet => "not yet",
            Self::Paused => "paused, so it cannot be asked",
            Self::Silent => "did not answer",
            Self::Down => "down",
            Self::Removed => "removed",
        }
    }
}

impl Trace {
    /// Puts together what the nodes say of a message. `None` where none of them holds it.
    ///
    /// `faults` are those in force.
    #[must_use]
    pub fn of(network: &str, id: MessageId, mut said: Vec<Said>, faults: &Faults) -> Option<Self> {
        said.sort_by_key(|said| said.node);
        let any = said.iter().find_map(held)?;
        let (text, sent_at, relays) = (any.text().into_owned(), any.sent_at, any.relays);
        let overlay = Overlay::of(&said, &[], faults);
        let origin = id.origin.node;
        let distances = overlay.distances(&[origin]);
        let holders: Vec<NodeId> =
            said.iter().filter(|said| held(said).is_some()).map(|said| said.node).collect();
        let reached = overlay.distances(&holders);
        let node = |(at, said): (usize, &Said)| {
            let receipt = held(said).map(|info| Receipt::of(info, sent_at));
            let lacks = receipt.is_none().then(|| lacks(said, reached[at], faults, &holders));
            let (node, state, distance) = (said.node, said.state, distances[at]);
            TraceNode { node, state, distance, receipt, lacks }
        };
        let nodes: Vec<TraceNode> = said.iter().enumerate().map(node).collect();
        let paths = said.iter().filter_map(held).flat_map(|info| &info.paths);
        let paths: Vec<&Path> = paths.map(|kept| &kept.path).collect();
        let figures = figures::figures(id, (relays, text.len()), &nodes, &paths, &overlay);
        // Nodes on other machines belong to another record, and are not shown here.
        let known = |node| nodes.binary_search_by_key(&node, |node: &TraceNode| node.node).is_ok();
        let links = overlay.links.into_iter();
        let links = links.filter(|link| known(link.u) && known(link.v)).collect();
        Some(Self {
            network: network.to_owned(),
            id,
            text,
            origin,
            sent_at,
            relays,
            figures,
            nodes,
            links,
            partitions: faults.partitions.clone(),
        })
    }

    /// The infection tree.
    #[must_use]
    pub fn tree(&self) -> Tree {
        Tree::of(self.origin, &self.nodes)
    }

    /// A node by its number.
    #[must_use]
    pub fn node(&self, node: NodeId) -> Option<&TraceNode> {
        let at = self.nodes.binary_search_by_key(&node, |other| other.node).ok()?;
        Some(&self.nodes[at])
    }

    /// The nodes that are not known to have the message, by the reason.
    #[must_use]
    pub fn lacking(&self) -> BTreeMap<Lacks, Vec<NodeId>> {
        let mut lacking: BTreeMap<Lacks, Vec<NodeId>> = BTreeMap::new();
        for node in &self.nodes {
            if let Some(lacks) = node.lacks {
                lacking.entry(lacks).or_default().push(node.node);
            }
        }
        lacking
    }
}

impl Receipt {
    fn of(info: &MessageInfo, sent_at: Wall) -> Self {
        let first = info.paths.first();
        let path = first.map(|first| first.path.clone()).unwrap_or_default();
        // The node itself ends the path; before it stands the sender of the copy.
        let from = path.len().checked_sub(2).and_then(|at| path[at]);
        let hops_max = info.paths.iter().map(|path| path.hops).max().unwrap_or(0);
        Self {
            after_us: info.received_at.since(sent_at).as_nanos() as f64 / 1e3,
            from,
            hops: info.hops,
            path,
            paths: u32::try_from(info.paths.len()).unwrap_or(u32::MAX),
            hops_max,
            copies_sent: info.copies_sent,
            repairs_sent: info.repairs_sent,
            copies_received: info.copies_received,
            bytes_sent: info.bytes_sent,
            repaired: info.repaired,
        }
    }
}

fn held(said: &Said) -> Option<&MessageInfo> {
    match &said.holding {
        Some(Holding::Held(info)) => Some(info),
        _ => None,
    }
}

/// Why a node does not have what others have; `reached` says whether a link leads to one of them.
fn lacks(said: &Said, reached: Option<u32>, faults: &Faults, holders: &[NodeId]) -> Lacks {
    let cut = |holder: &NodeId| faults.cut(said.node.0, holder.0);
    match (said.state, &said.holding) {
        (NodeState::Removed, _) => Lacks::Removed,
        (NodeState::Down, _) => Lacks::Down,
        (NodeState::Paused, _) => Lacks::Paused,
        (NodeState::Silent, _) | (NodeState::Up, None) => Lacks::Silent,
        (NodeState::Up, Some(Holding::Gone)) => Lacks::Evicted,
        (NodeState::Up, Some(_)) if reached.is_some() => Lacks::NotYet,
        (NodeState::Up, Some(_)) if holders.iter().any(cut) => Lacks::CutOff,
        (NodeState::Up, Some(_)) => Lacks::Unlinked,
    }
}

/// A value as people write it.
fn as_text<S: Serializer>(value: &MessageId, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(value)
}

#[cfg(test)]
mod tests {
    use super::testing_answers::{held, ring, said, state};
    use super::*;

    const ID: &str = "1.1";

    fn trace(said: Vec<Said>, partitions: &[Vec<NodeRanges>]) -> Trace {
        let faults = Faults { partitions: partitions.to_vec(), rules: vec![] };
        Trace::of("default", ID.parse().unwrap(), said, &faults).unwrap()
    }

    #[test]
    fn a_ring_is_put_together() {
        let trace = trace(ring(8, 1), &[]);
        assert_eq!((trace.nodes.len(), trace.links.len()), (8, 8));
        let five = trace.node(NodeId(5)).unwrap().receipt.as_ref().unwrap();
        assert_eq!((five.hops, five.after_us, five.from), (4, 400.5, Some(NodeId(4))));
        assert_eq!(trace.node(NodeId(5)).unwrap().distance, Some(4));
        assert!(trace.lacking().is_empty());
        let text = serde_json::to_string_pretty(&trace).unwrap();
        assert!(text.contains("\"id\": \"1.1\""), "{text}");
    }

    #[test]
    fn links_to_nodes_of_another_record_are_left_out() {
        let mut nodes = ring(8, 1);
        nodes[0].peers.extend(said(1, None, &[99]).peers);
        assert_eq!(trace(nodes, &[]).links.len(), 8);
    }

    #[test]
    fn a_message_that_no_node_holds_has_no_trace() {
        let said = vec![said(1, Some(Holding::Unknown), &[]), said(2, Some(Holding::Gone), &[])];
        assert_eq!(Trace::of("default", ID.parse().unwrap(), said, &Faults::default()), None);
    }

    #[test]
    fn nodes_without_the_message_are_listed_with_the_reason() {
        let mut nodes = vec![
            held(1, &[1], 0, &[2, 3, 7]),
            said(2, Some(Holding::Unknown), &[1]),
            said(3, Some(Holding::Gone), &[1]),
            state(said(4, None, &[]), NodeState::Paused),
            state(said(5, None, &[]), NodeState::Down),
            state(said(6, None, &[]), NodeState::Removed),
            said(7, Some(Holding::Unknown), &[1]),
            said(8, Some(Holding::Unknown), &[]),
            state(said(9, None, &[]), NodeState::Silent),
        ];
        nodes.reverse();
        let lacking = trace(nodes, &[vec![vec![(1, 6)], vec![(7, 7)]]]).lacking();
        let of = |lacks| lacking.get(&lacks).map(|nodes| nodes[0].0);
        let expected = [
            (Lacks::NotYet, 2),
            (Lacks::Evicted, 3),
            (Lacks::Paused, 4),
            (Lacks::Down, 5),
            (Lacks::Removed, 6),
            (Lacks::CutOff, 7),
            (Lacks::Unlinked, 8),
            (Lacks::Silent, 9),
        ];
        assert_eq!(lacking.len(), expected.len());
        for (lacks, node) in expected {
            assert_eq!(of(lacks), Some(node), "{lacks:?}");
        }
    }
}
