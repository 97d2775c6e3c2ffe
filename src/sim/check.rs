//! The invariants that are checked after every step, and the records that this takes.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use super::member::Member;
use crate::protocol::{Event, Incarnation, MessageId, Node, NodeId, inspect};

/// A node that is driven more often than this by its own deadlines is busy doing nothing.
const TICKS_PER_SECOND_MAX: u32 = 1_000;

/// A promise that was broken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("node {node} after {at:?}: {what}")]
pub struct Violation {
    /// When, since the start.
    pub at: Duration,
    /// At which node.
    pub node: NodeId,
    /// The promise, and how it was broken.
    pub what: String,
}

/// How closely to look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checks {
    /// At everything, datagrams included.
    All,
    /// At deliveries only: for large networks.
    Deliveries,
}

/// One message that was accepted somewhere.
#[derive(Debug)]
pub(super) struct Sent {
    pub(super) at: u64,
    text: Box<str>,
    relays: u8,
    /// How the message got to each member, in the order of members.
    pub(super) receipts: Vec<Receipt>,
    /// Flood copies by sender, its incarnation, and receiver.
    copies: HashMap<(NodeId, Incarnation, u32), u8>,
}

/// How a message got to a member.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Receipt {
    pub(super) at: u64,
    /// 0 for the message's own origin, and where it did not arrive.
    pub(super) hops: u32,
    /// Which incarnation of the member has it; 0: none.
    incarnation: Incarnation,
}

impl Sent {
    /// Whether a member, as it is now, got the message.
    pub(super) fn is_at(&self, member: &Member) -> bool {
        let receipt = &self.receipts[member.id.0 as usize - 1];
        receipt.incarnation > 0 && receipt.incarnation == member.incarnation
    }

    /// Notes that a member got the message.
    fn arrives(&mut self, at: u64, member: &Member, hops: u32) {
        let incarnation = member.incarnation;
        self.receipts[member.id.0 as usize - 1] = Receipt { at, hops, incarnation };
    }
}

/// Records what was sent and received, and checks it.
#[derive(Debug)]
pub(super) struct Checker {
    checks: Checks,
    pub(super) sent: BTreeMap<MessageId, Sent>,
    /// Nodes double or change what they send, so copies cannot be counted.
    pub(super) nodes_tamper: bool,
    pub(super) deliveries: u64,
    pub(super) violation: Option<Violation>,
}

impl Checker {
    pub(super) fn new(checks: Checks) -> Self {
        Self { checks, sent: BTreeMap::new(), nodes_tamper: false, deliveries: 0, violation: None }
    }

    /// Notes the first violation; later ones follow from it.
    pub(super) fn violated(&mut self, at: u64, node: NodeId, what: impl Into<String>) {
        let violation = Violation { at: Duration::from_nanos(at), node, what: what.into() };
        self.violation.get_or_insert(violation);
    }

    /// Notes that a node accepted a message. Called before anything of it is sent.
    pub(super) fn accepted(
        &mut self,
        at: u64,
        member: &Member,
        (id, text, relays): (MessageId, &str, u8),
        members: usize,
    ) {
        let receipts = vec![Receipt::default(); members];
        let mut sent = Sent { at, text: text.into(), relays, receipts, copies: HashMap::default() };
        sent.arrives(at, member, 0);
        if self.sent.insert(id, sent).is_some() {
            self.violated(at, member.id, format!("gave the name {id} to two messages"));
        }
    }

    /// Checks an event that a node told.
    pub(super) fn on_event(&mut self, at: u64, member: &Member, event: &Event) {
        let Event::Delivered { id, payload, from, hops, .. } = event else { return };
        let Some(sent) = self.sent.get_mut(id) else {
            return self.violated(at, member.id, format!("delivered {id}, which nobody sent"));
        };
        let (altered, again) = (sent.text.as_bytes() != *payload, sent.is_at(member));
        sent.arrives(at, member, *hops);
        self.deliveries += 1;
        if altered {
            self.violated(at, member.id, format!("delivered {id} altered: {payload:?}"));
        }
        if again {
            self.violated(at, member.id, format!("delivered {id} twice"));
        }
        if self.checks == Checks::All {
            self.check_first_path(at, member, *id, (*from, *hops));
        }
    }

    /// The first path starts at the origin, ends here, and came over `from`.
    fn check_first_path(&mut self, at: u64, member: &Member, id: MessageId, via: (NodeId, u32)) {
        // Evicted again at once where limits are tiny.
        let Some(info) = member.node.as_ref().and_then(|node| node.message(id)) else { return };
        let Some(first) = info.paths.first() else {
            return self.violated(at, member.id, format!("{id} came without a path"));
        };
        let from = first.path.iter().rev().nth(1).copied().flatten();
        if from != Some(via.0) || first.hops != via.1 {
            self.violated(at, member.id, format!("{id} came another way than {:?}", first.path));
        }
        self.check_paths(at, member, id);
    }

    /// All paths kept of a message start at its origin, end here, and have as many hops as
    /// they say.
    pub(super) fn check_paths(&mut self, at: u64, member: &Member, id: MessageId) {
        let Some(info) = member.node.as_ref().and_then(|node| node.message(id)) else { return };
        for path in &info.paths {
            let ends = (path.path.first().copied().flatten(), path.path.last().copied().flatten());
            let whole = path.path.iter().all(Option::is_some);
            let fits = !whole || path.path.len() == path.hops as usize + 1;
            if ends != (Some(id.origin.node), Some(member.id)) || !fits {
                self.violated(at, member.id, format!("{id} came along {path:?}"));
            }
        }
    }

    /// Checks a datagram on its way out: at most R flood copies on each link and direction, for
    /// each pair of incarnations. `lives` says how many incarnations the receiver has had.
    pub(super) fn on_send(
        &mut self,
        at: u64,
        from: &mut Member,
        to: (u32, Incarnation),
        bytes: &[u8],
    ) {
        // A node that holds datagrams back ticks for each of them.
        from.ticks.1 = from.ticks.1.saturating_sub(2);
        if self.checks != Checks::All || self.nodes_tamper {
            return;
        }
        let (receiver, lives) = to;
        inspect::rumors(bytes, |rumor| {
            let Some(sent) = self.sent.get_mut(&rumor.id) else {
                return self.violated(at, from.id, format!("sent {}, unheard of", rumor.id));
            };
            if rumor.repaired {
                return;
            }
            // Nothing is left over in the sender's next life.
            let link = (from.id, from.incarnation, receiver);
            let copies = sent.copies.entry(link).or_default();
            *copies += 1;
            if u64::from(*copies) > u64::from(sent.relays) * lives {
                let what = format!("sent copy {copies} of {} to node {receiver}", rumor.id);
                self.violated(at, from.id, what);
            }
        });
    }

    /// Checks a node between two inputs.
    pub(super) fn after_step(&mut self, at: u64, member: &Member) {
        let Some(node) = member.node.as_ref().filter(|_| self.checks == Checks::All) else {
            return;
        };
        if let Err(what) = node.audit() {
            self.violated(at, member.id, what);
        }
    }

    /// Checks a node's count of messages in flight.
    pub(super) fn check_in_flight(&mut self, at: u64, member: &Member) {
        if let Some(Err(what)) = member.node.as_deref().map(Node::audit_in_flight) {
            self.violated(at, member.id, what);
        }
    }

    /// Notes that a node was driven by its own deadline.
    pub(super) fn ticked(&mut self, at: u64, member: &mut Member) {
        let second = at / 1_000_000_000;
        if member.ticks.0 != second {
            member.ticks = (second, 0);
        }
        member.ticks.1 += 1;
        if member.ticks.1 > TICKS_PER_SECOND_MAX {
            let what = format!("ticked {TICKS_PER_SECOND_MAX} times in a second");
            self.violated(at, member.id, what);
        }
    }
}
