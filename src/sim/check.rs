//! What must hold after every step, and the books that it takes to tell.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::time::Duration;

use super::member::Member;
use crate::protocol::{Event, MessageId, Node, NodeId, inspect};

/// A node that is driven more often than this by its own deadlines is busy doing nothing.
const TICKS_PER_SECOND_MAX: u32 = 1_000;

/// A promise that was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// When, since the start.
    pub at: Duration,
    /// At which node.
    pub node: NodeId,
    /// What happened.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "node {} after {:?}: {}", self.node, self.at, self.what)
    }
}

impl std::error::Error for Violation {}

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
    pub(super) id: MessageId,
    pub(super) at: u64,
    text: Box<str>,
    relays: u8,
    pub(super) deliveries: Vec<Delivered>,
}

/// One delivery.
#[derive(Clone, Copy, Debug)]
pub(super) struct Delivered {
    pub(super) at: u64,
    pub(super) hops: u32,
}

/// The books.
#[derive(Debug)]
pub(super) struct Checker {
    checks: Checks,
    pub(super) sent: Vec<Sent>,
    numbers: BTreeMap<MessageId, u32>,
    /// Flood copies by message, sender and receiver; of all incarnations of the sender.
    copies: HashMap<(u32, u32, u32), u8>,
    /// Nodes double or change what they send, so copies cannot be counted.
    pub(super) nodes_tamper: bool,
    pub(super) deliveries: u64,
    pub(super) repaired: u64,
    pub(super) violation: Option<Violation>,
}

impl Checker {
    pub(super) fn new(checks: Checks) -> Self {
        Self {
            checks,
            sent: Vec::new(),
            numbers: BTreeMap::new(),
            copies: HashMap::new(),
            nodes_tamper: false,
            deliveries: 0,
            repaired: 0,
            violation: None,
        }
    }

    /// Notes the first violation; later ones follow from it.
    pub(super) fn violated(&mut self, at: u64, node: NodeId, what: impl Into<String>) {
        let violation = Violation { at: Duration::from_nanos(at), node, what: what.into() };
        self.violation.get_or_insert(violation);
    }

    /// The number of a message.
    pub(super) fn number(&self, id: MessageId) -> Option<usize> {
        self.numbers.get(&id).map(|number| *number as usize)
    }

    /// Notes that a node accepted a message. Called before anything of it is sent.
    pub(super) fn accepted(&mut self, at: u64, member: &mut Member, sent: (MessageId, &str, u8)) {
        let (id, text, relays) = sent;
        let number = self.sent.len();
        self.sent.push(Sent { id, at, text: text.into(), relays, deliveries: Vec::new() });
        let number_u32 = u32::try_from(number).expect("fewer than 2³² messages");
        if self.numbers.insert(id, number_u32).is_some() {
            self.violated(at, member.id, format!("gave the name {id} to two messages"));
        }
        member.has.insert(number);
    }

    /// Checks an event that a node told.
    pub(super) fn on_event(&mut self, at: u64, member: &mut Member, event: &Event) {
        let Event::Delivered { id, payload, from, hops, .. } = event else { return };
        let Some(number) = self.number(*id) else {
            return self.violated(at, member.id, format!("delivered {id}, which nobody sent"));
        };
        let sent = &mut self.sent[number];
        sent.deliveries.push(Delivered { at, hops: *hops });
        let altered = sent.text.as_bytes() != *payload;
        self.deliveries += 1;
        if altered {
            self.violated(at, member.id, format!("delivered {id} altered: {payload:?}"));
        }
        if !member.has.insert(number) {
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
        self.repaired += u64::from(info.repaired);
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
    pub(super) fn on_send(&mut self, at: u64, from: &mut Member, to: (u32, u32), bytes: &[u8]) {
        // Whoever holds datagrams back has a reason to tick for each.
        from.ticks.1 = from.ticks.1.saturating_sub(2);
        if self.checks != Checks::All || self.nodes_tamper {
            return;
        }
        let (receiver, lives) = to;
        inspect::rumors(bytes, |rumor| {
            let Some(number) = self.numbers.get(&rumor.id).copied() else {
                return self.violated(at, from.id, format!("sent {}, unheard of", rumor.id));
            };
            if rumor.repaired {
                return;
            }
            // Nothing is left over in the sender's next life.
            let sender = from.id.0 << 8 | from.incarnation & 0xff;
            let copies = self.copies.entry((number, sender, receiver)).or_default();
            *copies += 1;
            let relays = self.sent[number as usize].relays;
            if u32::from(*copies) > u32::from(relays) * lives {
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

    /// Checks that a node counts as in_flight what is.
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
