//! What a node holds: messages, their paths, and the ids of all it ever knew.
//!
//! No notion of neighbours or time-outs: `flood` says who gets copies, `repair` what is missing.
//! Messages are retained in the order of their arrival up to two limits; beyond them the oldest
//! go, and only their ids stay known, so that they neither return nor count as missing.

use std::collections::{BTreeMap, VecDeque};

use smallvec::SmallVec;

use super::config::Limits;
use super::flood::{Copies, LinkId};
use super::ids::{Account, IdSet};
use super::message::{MessageId, NodeId};
use super::path;
use super::report::{Holding, MessageInfo, MessagePage, MessageQuery, PathInfo, Which};
use super::time::{Monotonic, Wall};

/// The most messages, and the most bytes of text and paths, that one page of answers carries:
/// the control port's frame limit is 1 MiB, and the relay path waits while a page is made.
const PAGE_MESSAGES_MAX: usize = 1_000;
const PAGE_BYTES_MAX: usize = 512 << 10;
/// How many messages one page may look at and skip.
const PAGE_STEPS_MAX: usize = 10_000;

/// One message as this node has it.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) text: Box<str>,
    pub(super) sent_at: Wall,
    pub(super) received_at: Wall,
    pub(super) arrived: Monotonic,
    pub(super) relays: u8,
    pub(super) repaired: bool,
    read: bool,
    pub(super) copies: Copies,
    /// The newest link there was when it came. Later ones hear of it by summaries: late copies
    /// that came in would else go out over a link once more after it was given up and made anew.
    pub(super) newest_link: LinkId,
    pub(super) copies_received: u32,
    pub(super) copies_sent: u32,
    pub(super) repairs_sent: u32,
    /// Bytes of the frames of both.
    pub(super) bytes_sent: u64,
    /// First the path of the first copy; then a shortest and a longest among those kept.
    paths: SmallVec<[Trail; 1]>,
}

/// The path of one copy, this node not included.
#[derive(Debug)]
struct Trail {
    hops: u32,
    nodes: Box<[u8]>,
}

/// What is needed to record a first copy.
#[derive(Debug)]
pub(super) struct Arrival<'a> {
    pub(super) text: &'a str,
    pub(super) sent_at: Wall,
    pub(super) received_at: Wall,
    pub(super) arrived: Monotonic,
    pub(super) relays: u8,
    pub(super) repaired: bool,
    pub(super) newest_link: LinkId,
    pub(super) hops: u32,
    /// The path up to the sender; empty for a message that starts here.
    pub(super) path: &'a [u8],
}

/// What became of a path offered to a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kept {
    Yes,
    No,
}

/// All messages of one node.
#[derive(Debug, Default)]
pub(super) struct Store {
    messages: BTreeMap<MessageId, Record>,
    /// Messages held, oldest arrival first; the front has the number `first_arrival`.
    arrivals: VecDeque<MessageId>,
    first_arrival: u64,
    known: IdSet,
    held: IdSet,
    account: Account,
    bytes: usize,
    unread: u64,
}

/// What eviction removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EvictedBy {
    Messages,
    Bytes,
}

impl Record {
    /// Whether a copy that comes in over this link settles the message there. If so: since when
    /// the copy that was sent was under way, unless repair had a hand in it.
    pub(super) fn settles(&self, from: LinkId, repaired: bool) -> Option<Option<Monotonic>> {
        let copies = self.copies.get(from)?;
        let flooded = !repaired && !self.repaired;
        (copies.sent > 0 && !copies.settled).then_some(flooded.then_some(self.arrived))
    }

    /// Notes one more copy. The first was noted when the message was recorded.
    pub(super) fn note_copy(
        &mut self,
        counts: bool,
        hops: u32,
        nodes: &[u8],
        paths_max: usize,
    ) -> Kept {
        self.copies_received += 1;
        if self.copies_received == 1 && self.first_path().1 == nodes {
            return Kept::Yes;
        }
        if counts { self.keep_path(hops, nodes, paths_max) } else { Kept::Yes }
    }

    /// Keeps the path of one more copy if it is worth it: up to `paths_max` of them, among them
    /// always the first, a shortest and a longest.
    fn keep_path(&mut self, hops: u32, nodes: &[u8], paths_max: usize) -> Kept {
        let trail = || Trail { hops, nodes: nodes.into() };
        if self.paths.len() < paths_max.max(1) {
            self.paths.push(trail());
            return Kept::Yes;
        }
        // Full: a new extreme takes the place of a path that is neither first nor the other
        // extreme.
        let by_hops = |at: &usize| self.paths[*at].hops;
        let all = 0..self.paths.len();
        let shortest = all.clone().min_by_key(by_hops).unwrap_or(0);
        let longest = all.clone().max_by_key(by_hops).unwrap_or(0);
        let spare = if hops > self.paths[longest].hops {
            all.skip(1).filter(|at| *at != shortest).max_by_key(by_hops)
        } else if hops < self.paths[shortest].hops {
            all.skip(1).filter(|at| *at != longest).min_by_key(by_hops)
        } else {
            None
        };
        if let Some(at) = spare {
            self.paths[at] = trail();
        }
        Kept::No
    }

    /// The path of the first copy, without this node, and its hops.
    pub(super) fn first_path(&self) -> (u32, &[u8]) {
        self.paths.first().map_or((0, &[]), |trail| (trail.hops, &trail.nodes))
    }

    /// Bytes this message takes, as the limit counts them.
    fn bytes(&self) -> usize {
        let paths: usize = self.paths.iter().map(|p| p.nodes.len() + size_of::<Trail>()).sum();
        size_of::<Self>()
            + size_of::<MessageId>() * 2
            + self.text.len()
            + paths
            + self.copies.heap_bytes()
    }
}

impl Store {
    /// Whether the id is known, its message held or gone.
    pub(super) fn knows(&self, id: MessageId) -> bool {
        self.known.contains(id)
    }

    /// Ids known, held or gone.
    pub(super) fn known(&self) -> &IdSet {
        &self.known
    }

    /// Ids whose messages are held.
    pub(super) fn held(&self) -> &IdSet {
        &self.held
    }

    /// The account of all ids known.
    pub(super) fn account(&self) -> Account {
        self.account
    }

    /// The number of messages held.
    pub(super) fn len(&self) -> usize {
        self.arrivals.len()
    }

    /// The number of messages held and not yet shown.
    pub(super) fn unread(&self) -> u64 {
        self.unread
    }

    /// Bytes retained.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// A message held.
    pub(super) fn get(&self, id: MessageId) -> Option<&Record> {
        self.messages.get(&id)
    }

    /// Changes a message held, and keeps count of its bytes.
    pub(super) fn update<T>(
        &mut self,
        id: MessageId,
        change: impl FnOnce(&mut Record) -> T,
    ) -> Option<T> {
        let record = self.messages.get_mut(&id)?;
        let before = record.bytes();
        let result = change(record);
        self.bytes = self.bytes - before + record.bytes();
        Some(result)
    }

    /// Records a first copy. The id must be unknown.
    pub(super) fn insert(&mut self, id: MessageId, arrival: &Arrival<'_>) {
        debug_assert!(!self.knows(id), "a message is delivered once");
        let mut paths = SmallVec::new();
        paths.push(Trail { hops: arrival.hops, nodes: arrival.path.into() });
        let record = Record {
            text: arrival.text.into(),
            sent_at: arrival.sent_at,
            received_at: arrival.received_at,
            arrived: arrival.arrived,
            relays: arrival.relays,
            repaired: arrival.repaired,
            read: false,
            copies: Copies::default(),
            newest_link: arrival.newest_link,
            copies_received: 0,
            copies_sent: 0,
            repairs_sent: 0,
            bytes_sent: 0,
            paths,
        };
        self.bytes += record.bytes();
        self.unread += 1;
        self.messages.insert(id, record);
        self.arrivals.push_back(id);
        self.known.insert(id);
        self.held.insert(id);
        self.account = self.account.plus(Account::of(id));
    }

    /// Makes an id known without its message: it will not be taken in any more.
    pub(super) fn refuse(&mut self, id: MessageId) {
        if !self.knows(id) {
            self.known.insert(id);
            self.account = self.account.plus(Account::of(id));
        }
    }

    /// Evicts the oldest message if a limit asks for it. The newest is never evicted.
    pub(super) fn evict(&mut self, limits: &Limits) -> Option<(EvictedBy, Record)> {
        let by = match () {
            () if self.len() > limits.messages_max.max(1) => EvictedBy::Messages,
            () if self.bytes > limits.retained_bytes_max && self.len() > 1 => EvictedBy::Bytes,
            () => return None,
        };
        let id = self.arrivals.pop_front()?;
        self.first_arrival += 1;
        self.held.remove(id);
        let record = self.messages.remove(&id)?;
        self.bytes -= record.bytes();
        self.unread -= u64::from(!record.read);
        Some((by, record))
    }

    /// Marks messages as shown.
    pub(super) fn mark_shown(&mut self, ids: &[MessageId]) {
        for id in ids {
            let Some(record) = self.messages.get_mut(id) else { continue };
            self.unread -= u64::from(!record.read);
            record.read = true;
        }
    }

    /// A page of messages in order of arrival, at most `PAGE_MESSAGES_MAX` of them. `node` ends
    /// each path.
    pub(super) fn page(&self, query: &MessageQuery, node: NodeId) -> MessagePage {
        let end = self.first_arrival + self.arrivals.len() as u64;
        let mut at = query.after.unwrap_or_else(|| self.start_of(query)).max(self.first_arrival);
        let (mut messages, mut bytes, mut steps) = (Vec::new(), 0, 0);
        while at < end {
            if messages.len() == PAGE_MESSAGES_MAX
                || bytes > PAGE_BYTES_MAX
                || steps == PAGE_STEPS_MAX
            {
                return MessagePage { messages, next: Some(at) };
            }
            steps += 1;
            let id = self.arrivals[usize::try_from(at - self.first_arrival).unwrap_or(0)];
            at += 1;
            let Some(record) = self.messages.get(&id).filter(|r| query.which.shows(r.read)) else {
                continue;
            };
            messages.push(info(id, record, node));
            bytes += record.bytes();
        }
        MessagePage { messages, next: None }
    }

    /// Where the last so many messages that the query asks for begin.
    fn start_of(&self, query: &MessageQuery) -> u64 {
        let Some(last) = query.last else { return self.first_arrival };
        let mut left = last;
        let shown = |id: &MessageId| {
            self.messages.get(id).is_some_and(|record| query.which.shows(record.read))
        };
        let skipped = self.arrivals.iter().rev().take_while(|id| {
            left -= u64::from(left > 0 && shown(id));
            left > 0
        });
        let behind = if last == 0 { 0 } else { skipped.count() as u64 + 1 };
        self.first_arrival + (self.arrivals.len() as u64).saturating_sub(behind)
    }

    /// What there is to say of one message.
    pub(super) fn holding(&self, id: MessageId, node: NodeId) -> Holding {
        match self.info(id, node) {
            Some(info) => Holding::Held(Box::new(info)),
            None if self.knows(id) => Holding::Gone,
            None => Holding::Unknown,
        }
    }

    /// One message as people see it.
    pub(super) fn info(&self, id: MessageId, node: NodeId) -> Option<MessageInfo> {
        self.messages.get(&id).map(|record| info(id, record, node))
    }
}

impl Which {
    /// Whether it covers a message that was shown (`read`) or not.
    fn shows(self, read: bool) -> bool {
        match self {
            Self::All => true,
            Self::Read => read,
            Self::Unread => !read,
        }
    }
}

/// One message as people see it; its paths end with `node`.
fn info(id: MessageId, record: &Record, node: NodeId) -> MessageInfo {
    let paths = record.paths.iter().map(|trail| {
        let mut path = path::decode(&trail.nodes);
        path.push(Some(node));
        PathInfo { hops: trail.hops, path }
    });
    MessageInfo {
        id,
        text: record.text.clone().into(),
        sent_at: record.sent_at,
        received_at: record.received_at,
        unread: !record.read,
        relays: record.relays,
        hops: record.first_path().0,
        repaired: record.repaired,
        paths: paths.collect(),
        copies_sent: record.copies_sent,
        repairs_sent: record.repairs_sent,
        bytes_sent: record.bytes_sent,
        copies_received: record.copies_received,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(sequence: u64) -> MessageId {
        MessageId::new(1, 1, sequence)
    }

    fn arrival(text: &str) -> Arrival<'_> {
        Arrival {
            text,
            sent_at: Wall(1),
            received_at: Wall(2),
            arrived: Monotonic(2),
            relays: 1,
            repaired: false,
            newest_link: LinkId(1),
            hops: 1,
            path: &[1],
        }
    }

    fn store_of(count: u64) -> Store {
        let mut store = Store::default();
        for sequence in 1..=count {
            store.insert(id(sequence), &arrival("apple"));
        }
        store
    }

    fn query(which: Which, last: Option<u64>) -> MessageQuery {
        MessageQuery { which, last, after: None }
    }

    fn shown(store: &mut Store, which: Which, last: Option<u64>) -> Vec<u64> {
        let page = store.page(&query(which, last), NodeId(2));
        if which != Which::Read {
            let ids: Vec<MessageId> = page.messages.iter().map(|message| message.id).collect();
            store.mark_shown(&ids);
        }
        page.messages.iter().map(|message| message.id.sequence).collect()
    }

    #[test]
    fn the_oldest_go_first_and_stay_known() {
        let mut store = store_of(5);
        let limits = Limits { messages_max: 3, ..Limits::default() };
        let mut evicted = Vec::new();
        while let Some((by, _)) = store.evict(&limits) {
            evicted.push(by);
        }
        assert_eq!(evicted, vec![EvictedBy::Messages; 2]);
        assert!(store.knows(id(1)) && store.get(id(1)).is_none());
        assert_eq!((store.len(), store.account().count), (3, 5));
        assert_eq!((store.known().ranges(), store.held().ranges()), (1, 1));
    }

    #[test]
    fn bytes_are_limited_and_counted_back_to_zero() {
        let mut store = store_of(4);
        let each = store.bytes() / 4;
        let limits = Limits { retained_bytes_max: each * 2, ..Limits::default() };
        while store.evict(&limits).is_some() {}
        assert_eq!((store.len(), store.bytes()), (2, each * 2));
        let limits = Limits { retained_bytes_max: 0, ..Limits::default() };
        while store.evict(&limits).is_some() {}
        assert_eq!(store.len(), 1, "the newest stays");
    }

    #[test]
    fn unread_messages_are_shown_once() {
        let mut store = store_of(3);
        assert_eq!(shown(&mut store, Which::Read, None), Vec::<u64>::new());
        assert_eq!(shown(&mut store, Which::Unread, Some(1)), vec![3]);
        assert_eq!(shown(&mut store, Which::Unread, None), vec![1, 2]);
        assert_eq!(shown(&mut store, Which::Unread, None), Vec::<u64>::new());
        assert_eq!(shown(&mut store, Which::Read, Some(2)), vec![2, 3]);
        assert_eq!(shown(&mut store, Which::All, Some(0)), Vec::<u64>::new());
        assert_eq!(store.unread(), 0);
    }

    #[test]
    fn long_answers_come_in_pages() {
        let store = store_of(2_500);
        let (mut after, mut seen) = (None, Vec::new());
        loop {
            let page = store.page(&MessageQuery { after, ..query(Which::All, None) }, NodeId(2));
            assert!(page.messages.len() <= PAGE_MESSAGES_MAX);
            seen.extend(page.messages.iter().map(|message| message.id.sequence));
            match page.next {
                Some(next) => after = Some(next),
                None => break,
            }
        }
        assert_eq!(seen, (1..=2_500).collect::<Vec<_>>());
    }

    #[test]
    fn the_first_path_a_shortest_and_a_longest_are_always_kept() {
        let mut store = Store::default();
        store.insert(id(1), &Arrival { hops: 5, ..arrival("apple") });
        for hops in [6, 7, 9, 3, 12, 4, 2, 5] {
            store.update(id(1), |record| record.keep_path(hops, &[1], 3));
        }
        let info = store.info(id(1), NodeId(2)).unwrap();
        let hops: Vec<u32> = info.paths.iter().map(|path| path.hops).collect();
        assert_eq!(hops.len(), 3);
        assert_eq!(hops[0], 5);
        assert!(hops.contains(&2) && hops.contains(&12), "{hops:?}");
    }
}
