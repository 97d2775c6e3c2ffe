//! What a node holds: messages, their paths, and the ids of all it ever knew.
//!
//! It has no notion of neighbours or time-outs: `flood` says which neighbours get copies, `repair`
//! what is missing.
//! Messages are retained in the order of their arrival up to two limits; beyond them the oldest
//! go, and only their ids stay known, so that they neither return nor count as missing.

mod log;
mod origins;
mod record;

use crate::config::Limits;
use crate::ids::set::{Account, Ids};
use crate::ids::{MessageId, NodeId};
use crate::report::{Counters, MessageInfo, MessagePage, MessageQuery, Which};
use log::Log;
use origins::Origins;
pub(crate) use origins::{Found, OfOrigin, Slot};
pub(crate) use record::{Arrival, Flooded, Record, in_flight_bytes};

/// The most messages, and the most bytes of text and paths, that one page of answers carries:
/// the control port's frame limit is 1 MiB, and the relay path waits while a page is made.
const PAGE_MESSAGES_MAX: usize = 1_000;
const PAGE_BYTES_MAX: usize = 512 << 10;
/// How many messages one page may look at and skip.
const PAGE_STEPS_MAX: usize = 10_000;
/// The most memory kept free in a new message for the paths of later copies, in bytes.
const SPARE_BYTES_MAX: usize = 256;
/// How often that memory is measured anew, in messages.
const SPARE_MEASURED_EVERY: u64 = 1_024;

/// All messages of one node.
#[derive(Debug, Default)]
pub(crate) struct Store {
    pub(crate) messages: Log,
    origins: Origins,
    /// The account of all ids known.
    pub(crate) account: Account,
    /// Bytes retained.
    pub(crate) bytes: usize,
    /// The number of messages held and not yet shown.
    pub(crate) unread: u64,
    /// The most bytes that the paths of later copies of one message took, of late and since that
    /// was last measured. As many are left free in the next message, so that a duplicate allocates
    /// nothing.
    spare_bytes: usize,
    spare_bytes_seen: usize,
    /// All messages that came before this one were acknowledged when it was last looked.
    acknowledged_before: u64,
    /// The bytes, as [`in_flight_bytes`] counts them, of all messages so far; of those evicted;
    /// and of those before that one. Each only grows.
    came: u64,
    went: u64,
    acknowledged: u64,
}

/// A stretch of messages in order of arrival: its first, the one behind it, and the bytes that came
/// before, as [`in_flight_bytes`] counts them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) first: u64,
    pub(crate) end: u64,
    bytes_before: u64,
}

impl Store {
    /// Whether the id is known, its message held or gone.
    pub(crate) fn knows(&self, id: MessageId) -> bool {
        self.origins.known().contains(id)
    }

    /// Whether an id that is not known needs a range of its own, and no more are allowed. Ids stay
    /// known for good, so a member that leaves gaps on purpose must not grow their list for ever.
    pub(crate) fn is_beyond_ranges(&self, id: MessageId, limits: &Limits) -> bool {
        self.known().ranges() >= limits.id_ranges_max && self.known().needs_range_for(id)
    }

    /// Ids known, held or gone.
    pub(crate) fn known(&self) -> Ids<'_, OfOrigin> {
        self.origins.known()
    }

    /// Ids whose messages are held.
    pub(crate) fn held(&self) -> Ids<'_, OfOrigin> {
        self.origins.held()
    }

    /// The number of messages held.
    pub(crate) fn len(&self) -> usize {
        self.messages.len()
    }

    /// Looks at all messages anew for whether they are acknowledged: more links may count now.
    pub(crate) fn look_again(&mut self) {
        self.acknowledged_before = self.messages.first;
        self.acknowledged = self.went;
    }

    /// All that came from the first message on that is not acknowledged. Each message is looked at
    /// once: one that is acknowledged stays so, but for [`Store::look_again`].
    pub(crate) fn in_flight(&mut self, is_in_flight: impl Fn(&Record) -> bool) -> Mark {
        while let Some(record) = self.messages.get(Slot(self.acknowledged_before)) {
            if is_in_flight(record) {
                break;
            }
            self.acknowledged_before += 1;
            self.acknowledged += record.in_flight_bytes();
        }
        let (first, bytes_before) = (self.acknowledged_before, self.acknowledged);
        Mark { first, end: self.messages.end, bytes_before }
    }

    /// How many messages, and about how many bytes, came since a mark's first message.
    pub(crate) fn since(&self, mark: Mark) -> (u64, u64) {
        // Sums over messages exist only without paths. So the bytes since the mark are scaled by
        // what all messages held take with their paths: these are as long there as elsewhere,
        // about.
        let held = (self.came - self.went).max(1);
        let bytes = u128::from(self.came - mark.bytes_before) * self.bytes as u128;
        let bytes = u64::try_from(bytes / u128::from(held)).unwrap_or(u64::MAX);
        (self.messages.end - mark.first, bytes)
    }

    /// The fate of a message: held, gone, or unknown. No other message ever lies where one lay.
    pub(crate) fn find(&self, id: MessageId) -> Found {
        self.origins.find(id)
    }

    /// Where a message held lies.
    fn slot(&self, id: MessageId) -> Option<Slot> {
        match self.find(id) {
            Found::Held(slot) => Some(slot),
            Found::Gone | Found::Unknown => None,
        }
    }

    /// The message that lies there, if it is still held.
    pub(crate) fn at(&self, slot: Slot) -> Option<&Record> {
        self.messages.get(slot)
    }

    /// A message held.
    pub(crate) fn get(&self, id: MessageId) -> Option<&Record> {
        self.messages.get(self.slot(id)?)
    }

    /// Changes a message held, and keeps count of its bytes.
    pub(crate) fn update<T>(
        &mut self,
        id: MessageId,
        change: impl FnOnce(&mut Record) -> T,
    ) -> Option<T> {
        self.update_at(self.slot(id)?, change)
    }

    /// As [`Store::update`], where the message was found already.
    pub(crate) fn update_at<T>(
        &mut self,
        slot: Slot,
        change: impl FnOnce(&mut Record) -> T,
    ) -> Option<T> {
        let record = self.messages.get_mut(slot)?;
        let before = record.bytes();
        let result = change(record);
        let after = record.bytes();
        self.bytes = self.bytes - before + after;
        // The next message keeps as much free as the paths of this one grew to.
        let spare = record.later_paths_bytes().min(SPARE_BYTES_MAX);
        self.spare_bytes_seen = self.spare_bytes_seen.max(spare);
        self.spare_bytes = self.spare_bytes.max(spare);
        Some(result)
    }

    /// Records a first copy, and the copies of it that were sent. The id must be unknown.
    pub(crate) fn insert(&mut self, arrival: &Arrival<'_>, flooded: Flooded) -> Slot {
        let id = arrival.rumor.id;
        debug_assert!(!self.knows(id), "a message is delivered once");
        let record = Record::new(arrival, flooded, self.spare_bytes);
        self.bytes += record.bytes();
        self.came += record.in_flight_bytes();
        self.unread += 1;
        self.account = self.account.plus(Account::of(id));
        // The most of the last stretch replaces the most before it: one message with long paths
        // must not cost memory in all that follow.
        if self.messages.end.is_multiple_of(SPARE_MEASURED_EVERY) {
            self.spare_bytes = std::mem::take(&mut self.spare_bytes_seen);
        }
        let slot = self.messages.push(record);
        self.origins.hold(id, slot);
        slot
    }

    /// Makes an id known without its message: it will not be taken in any more.
    pub(crate) fn refuse(&mut self, id: MessageId) {
        // A refused id belongs to the account, or every summary would bring it up again.
        if !self.knows(id) {
            self.origins.know(id);
            self.account = self.account.plus(Account::of(id));
        }
    }

    /// Evicts the oldest message if a limit asks for it, and counts that. The newest is never
    /// evicted.
    pub(crate) fn evict(&mut self, limits: &Limits, counters: &mut Counters) -> Option<Record> {
        // Messages first, then bytes; a single message may exceed the bytes, or nothing could be
        // sent.
        *match () {
            () if self.len() > limits.messages_max.max(1) => &mut counters.limit_messages_evicted,
            () if self.bytes > limits.retained_bytes_max && self.len() > 1 => {
                &mut counters.limit_bytes_evicted
            }
            () => return None,
        } += 1;
        let record = self.messages.pop_first()?;
        self.origins.let_go(record.id);
        self.bytes -= record.bytes();
        self.went += record.in_flight_bytes();
        // The messages behind the oldest held count as acknowledged: nothing waits for them.
        if self.acknowledged_before < self.messages.first {
            self.acknowledged_before = self.messages.first;
            self.acknowledged = self.went;
        }
        self.unread -= u64::from(!record.read);
        Some(record)
    }

    /// Marks messages as shown.
    pub(crate) fn mark_shown(&mut self, ids: &[MessageId]) {
        for id in ids {
            let found = self.slot(*id);
            let Some(record) = found.and_then(|slot| self.messages.get_mut(slot)) else { continue };
            self.unread -= u64::from(!record.read);
            record.read = true;
        }
    }

    /// A page of messages in order of arrival, at most `PAGE_MESSAGES_MAX` of them. `node` ends
    /// each path.
    pub(crate) fn page(&self, query: &MessageQuery, node: NodeId) -> MessagePage {
        let (first, end) = (self.messages.first, self.messages.end);
        let mut at = query.after.unwrap_or_else(|| self.start_of(query)).max(first);
        let (mut messages, mut bytes, mut steps) = (Vec::new(), 0, 0);
        while at < end {
            // The first two bound the answer. The third bounds the time where few messages match.
            if messages.len() == PAGE_MESSAGES_MAX
                || bytes > PAGE_BYTES_MAX
                || steps == PAGE_STEPS_MAX
            {
                return MessagePage { messages, next: Some(at) };
            }
            steps += 1;
            let record = self.messages.get(Slot(at)).filter(|r| query.which.shows(r.read));
            at += 1;
            let Some(record) = record else { continue };
            messages.push(record.info(node));
            bytes += record.bytes();
        }
        MessagePage { messages, next: None }
    }

    /// The index of the first message to show, so that no more than the last ones asked for follow.
    fn start_of(&self, query: &MessageQuery) -> u64 {
        let (first, end) = (self.messages.first, self.messages.end);
        let Some(last) = query.last else { return first };
        let last = usize::try_from(last).unwrap_or(usize::MAX);
        let record = |at: &u64| self.messages.get(Slot(*at));
        let shown = |at: &u64| record(at).is_some_and(|record| query.which.shows(record.read));
        // From the newest back, until as many as asked for were met.
        (first..end).rev().filter(shown).take(last).last().unwrap_or(end)
    }

    /// One message as people see it.
    pub(crate) fn info(&self, id: MessageId, node: NodeId) -> Option<MessageInfo> {
        self.get(id).map(|record| record.info(node))
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

#[cfg(test)]
mod tests {
    use super::*;

    fn id(sequence: u64) -> MessageId {
        MessageId::new(1, 1, sequence)
    }

    fn insert(store: &mut Store, sequence: u64, text: &str) {
        let arrival = Arrival::of(id(sequence), text.as_bytes(), 1, &[1]);
        store.insert(&arrival, Flooded::default());
    }

    /// Evicts until all limits hold; says how many messages each of the two limits took.
    fn evict(store: &mut Store, limits: &Limits) -> (u64, u64) {
        let mut counters = Counters::default();
        while store.evict(limits, &mut counters).is_some() {}
        (counters.limit_messages_evicted, counters.limit_bytes_evicted)
    }

    fn store_of(count: u64) -> Store {
        let mut store = Store::default();
        for sequence in 1..=count {
            insert(&mut store, sequence, "apple");
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
        assert_eq!(evict(&mut store, &limits), (2, 0));
        assert!(store.knows(id(1)) && store.get(id(1)).is_none());
        assert_eq!((store.len(), store.account.count), (3, 5));
        assert_eq!((store.known().ranges(), store.held().ranges()), (1, 1));
    }

    #[test]
    fn bytes_are_limited_and_counted_back_to_zero() {
        let mut store = store_of(4);
        let each = store.bytes / 4;
        let limits = Limits { retained_bytes_max: each * 2, ..Limits::default() };
        assert_eq!(evict(&mut store, &limits), (0, 2));
        assert_eq!((store.len(), store.bytes), (2, each * 2));
        let limits = Limits { retained_bytes_max: 0, ..Limits::default() };
        evict(&mut store, &limits);
        assert_eq!(store.len(), 1, "the newest stays");
    }

    #[test]
    fn messages_since_a_mark_are_weighed_by_their_size() {
        let mut store = store_of(100);
        let small = store.bytes as u64;
        for sequence in 101..=104 {
            insert(&mut store, sequence, &"x".repeat(50_000));
        }
        let all = store.bytes as u64;
        let since = |store: &mut Store, first| {
            let mark = store.in_flight(|record| record.id == id(first));
            store.since(mark)
        };
        assert_eq!(since(&mut store, 1), (104, all));
        let (messages, bytes) = since(&mut store, 101);
        assert_eq!(messages, 4);
        assert!(bytes.abs_diff(all - small) < all / 50, "{bytes}");
        let limits = Limits { messages_max: 2, ..Limits::default() };
        evict(&mut store, &limits);
        assert_eq!(since(&mut store, 103), (2, store.bytes as u64));
        let (messages, bytes) = since(&mut store, 104);
        assert_eq!((messages, bytes), (1, store.bytes as u64 / 2));
        assert_eq!(since(&mut store, 7), (0, 0));
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
        assert_eq!(store.unread, 0);
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
}
