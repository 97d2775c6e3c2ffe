//! One message as a node has it: its text, the paths of its copies, what went over which link.
//!
//! Text and paths lie one behind the other with a little memory to spare: in the record itself if
//! they are short, as most are, else in one allocation. So a new message costs one allocation at
//! most, and its later copies none.

use smallvec::SmallVec;

use super::origins::Origins;
use crate::broadcast::copies::{Copies, LinkCopies};
use crate::config::UDP_PAYLOAD_BYTES_MAX;
use crate::datagram::path;
use crate::datagram::wire::Rumor;
use crate::ids::link::LinkId;
use crate::ids::{MessageId, NodeId};
use crate::report::{MessageInfo, PathInfo};
use crate::time::{Monotonic, Wall};

/// One message as this node has it.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) id: MessageId,
    pub(crate) sent_at: Wall,
    pub(crate) received_at: Wall,
    pub(crate) arrived: Monotonic,
    pub(crate) copies: Copies,
    /// The newest link that may get a copy; none once all got as many as they may. At first the
    /// newest link there was when it came. Later ones hear of it by summaries: late copies
    /// that came in would else go out over a link once more after it was given up and made anew.
    pub(crate) newest_link: LinkId,
    /// How many of `copies`, from the first on, nothing is expected of any more: see
    /// [`Record::waits`].
    settled: u32,
    pub(crate) copies_received: u32,
    pub(crate) copies_sent: u32,
    pub(crate) repairs_sent: u32,
    /// Bytes of the frames of both.
    pub(crate) bytes_sent: u64,
    pub(crate) relays: u8,
    pub(crate) repaired: bool,
    pub(crate) read: bool,
    paths: u16,
    payload_bytes: u32,
    /// The text; then the paths: of the first copy, then of others, a shortest and a longest
    /// among them. Each is its hops and its length, in [`TRAIL_BYTES`], and its nodes.
    body: Body,
}

/// Memory in the record for a text of a few words and the paths of three copies. A list of its own
/// would take half as much again for its place and its length.
const BODY_BYTES: usize = 64;
type Body = SmallVec<[u8; BODY_BYTES]>;

/// The bytes before the nodes of a path: hops (4) and their length in bytes (2), which a
/// datagram's length bounds.
const TRAIL_BYTES: usize = 6;

/// The bytes that a message with a text this long takes, but for its paths: these grow while
/// it is in flight, and this must not.
pub(crate) fn in_flight_bytes(payload_bytes: usize) -> u64 {
    (size_of::<Record>() + payload_bytes) as u64
}

/// The path of one copy, this node not included.
#[derive(Clone, Copy, Debug)]
struct Trail<'a> {
    hops: u32,
    nodes: &'a [u8],
}

/// What is needed to record a first copy.
#[derive(Debug)]
pub(crate) struct Arrival<'a> {
    /// Its path leads up to the sender; it is empty for a message that starts here.
    pub(crate) rumor: Rumor<'a>,
    pub(crate) received_at: Wall,
    pub(crate) arrived: Monotonic,
    pub(crate) newest_link: LinkId,
}

/// The copies of a message that were sent before it is recorded.
#[derive(Debug, Default)]
pub(crate) struct Flooded {
    pub(crate) copies: Copies,
    /// How many, and their bytes.
    pub(crate) sent: u32,
    pub(crate) bytes: u64,
}

impl Record {
    /// A message that has just come, with `spare_bytes` of memory for the paths of later copies.
    pub(crate) fn new(arrival: &Arrival<'_>, flooded: Flooded, spare_bytes: usize) -> Self {
        let Rumor { id, sent_at, relays, repaired, hops, path, payload } = arrival.rumor;
        let first = Trail { hops, nodes: path };
        // The payload, the first path, and bytes that later paths will take.
        let mut body = Body::with_capacity(payload.len() + first.bytes() + spare_bytes);
        body.extend_from_slice(payload);
        first.append_to(&mut body);
        Self {
            id,
            sent_at,
            received_at: arrival.received_at,
            arrived: arrival.arrived,
            copies: flooded.copies,
            newest_link: arrival.newest_link,
            settled: 0,
            // A message that starts here came from nobody.
            copies_received: u32::from(hops > 0),
            copies_sent: flooded.sent,
            repairs_sent: 0,
            bytes_sent: flooded.bytes,
            relays,
            repaired,
            read: false,
            paths: 1,
            payload_bytes: u32::try_from(payload.len()).unwrap_or(u32::MAX),
            body,
        }
    }

    /// The payload.
    pub(crate) fn payload(&self) -> &[u8] {
        &self.body[..self.payload_bytes as usize]
    }

    /// Whether a copy that comes in over this link acknowledges the message there. If so: since
    /// when the copy that was sent was under way, unless repair had a hand in it.
    pub(crate) fn acknowledges(&self, from: LinkId, repaired: bool) -> Option<Option<Monotonic>> {
        let copies = self.copies.get(from)?;
        // The time to come back measures the link only if nobody asked for either copy.
        let flooded = !repaired && !self.repaired;
        copies.is_in_flight().then_some(flooded.then_some(self.arrived))
    }

    /// Whether some neighbour that got a copy, and that is waited for, has yet to acknowledge it.
    /// Each is passed over for good once it needs no waiting: as many steps in all as links. A link whose first
    /// copy comes later, and whose place is among those passed over, is passed over as well.
    pub(crate) fn waits(&mut self, is_awaited: impl Fn(LinkId) -> bool) -> bool {
        let rest = self.copies.iter().skip(self.settled as usize);
        let is_over = |copies: &&LinkCopies| !copies.is_in_flight() || !is_awaited(copies.link);
        self.settled += u32::try_from(rest.take_while(is_over).count()).unwrap_or(0);
        self.copies.iter().len() > self.settled as usize
    }

    /// Notes a later copy; the first was noted when the message was recorded. False if there was
    /// no place left for its path.
    pub(crate) fn note_copy(
        &mut self,
        counts: bool,
        hops: u32,
        nodes: &[u8],
        paths_max: usize,
    ) -> bool {
        self.copies_received = self.copies_received.saturating_add(1);
        !counts || self.keep_path(Trail { hops, nodes }, paths_max)
    }

    /// Keeps the path of one more copy if it is worth it: up to `paths_max` of them, among them
    /// always the first, a shortest and a longest. False if one path is not kept: this or another.
    fn keep_path(&mut self, trail: Trail<'_>, paths_max: usize) -> bool {
        if usize::from(self.paths) < paths_max.clamp(1, usize::from(u16::MAX)) {
            // Memory for this path and no more: others may never come.
            self.body.reserve_exact(trail.bytes());
            trail.append_to(&mut self.body);
            self.paths += 1;
            return true;
        }
        if let Some(at) = self.replaced_by(trail.hops) {
            // The bytes of the new path take the place of the bytes of the old one.
            let before: usize = self.trails().take(at).map(|trail| trail.bytes()).sum();
            let start = self.payload_bytes as usize + before;
            let end = start + self.trails().nth(at).map_or(0, |trail| trail.bytes());
            let mut new = Body::with_capacity(trail.bytes());
            trail.append_to(&mut new);
            self.body.drain(start..end);
            self.body.insert_from_slice(start, &new);
        }
        false
    }

    /// The index of the path that a new one replaces where no more are kept: a new extreme takes
    /// the place of a path that is neither the first nor the other extreme.
    fn replaced_by(&self, hops: u32) -> Option<usize> {
        let kept = || self.trails().map(|trail| trail.hops).enumerate();
        let (shortest, least) = kept().min_by_key(|(_, hops)| *hops)?;
        let (longest, most) = kept().max_by_key(|(_, hops)| *hops)?;
        // The first path stays in any case. Of the others goes the one next to the new extreme,
        // which is the old extreme if that is not the first.
        let spare = if hops > most {
            kept().skip(1).filter(|(at, _)| *at != shortest).max_by_key(|(_, hops)| *hops)
        } else if hops < least {
            kept().skip(1).filter(|(at, _)| *at != longest).min_by_key(|(_, hops)| *hops)
        } else {
            None
        };
        spare.map(|(at, _)| at)
    }

    /// The path of the first copy, without this node, and its hops.
    pub(crate) fn first_path(&self) -> (u32, &[u8]) {
        self.trails().next().map_or((0, &[]), |trail| (trail.hops, trail.nodes))
    }

    /// The paths kept, first copy first.
    fn trails(&self) -> impl Iterator<Item = Trail<'_>> {
        let mut rest = &self.body[self.payload_bytes as usize..];
        std::iter::from_fn(move || {
            let (trail, behind) = Trail::read(rest)?;
            rest = behind;
            Some(trail)
        })
    }

    /// Bytes that the paths of all copies but the first take.
    pub(crate) fn later_paths_bytes(&self) -> usize {
        let first = self.first_path().1.len() + TRAIL_BYTES;
        self.body.len() - self.payload_bytes as usize - first
    }

    /// Bytes this message counts for while it is in flight.
    pub(crate) fn in_flight_bytes(&self) -> u64 {
        in_flight_bytes(self.payload_bytes as usize)
    }

    /// Bytes this message takes, as the limit counts them.
    pub(crate) fn bytes(&self) -> usize {
        // A short body is in the record itself, and counted with it.
        let body = if self.body.spilled() { self.body.capacity() } else { 0 };
        size_of::<Self>() + Origins::ENTRY_BYTES + body + self.copies.heap_bytes()
    }

    /// The message as people see it; its paths end with `node`.
    pub(crate) fn info(&self, node: NodeId) -> MessageInfo {
        let paths = self.trails().map(|trail| {
            let mut path = path::decode(trail.nodes);
            path.push(Some(node));
            PathInfo { hops: trail.hops, path }
        });
        MessageInfo {
            id: self.id,
            payload: self.payload().to_owned(),
            sent_at: self.sent_at,
            received_at: self.received_at,
            unread: !self.read,
            relays: self.relays,
            hops: self.first_path().0,
            repaired: self.repaired,
            paths: paths.collect(),
            copies_sent: self.copies_sent,
            repairs_sent: self.repairs_sent,
            bytes_sent: self.bytes_sent,
            copies_received: self.copies_received,
        }
    }
}

impl<'a> Trail<'a> {
    /// The length of its bytes.
    fn bytes(self) -> usize {
        TRAIL_BYTES + self.nodes.len()
    }

    fn append_to(self, body: &mut Body) {
        debug_assert!(self.nodes.len() <= UDP_PAYLOAD_BYTES_MAX, "it came in a datagram");
        let length = u16::try_from(self.nodes.len()).unwrap_or(u16::MAX);
        body.extend_from_slice(&self.hops.to_le_bytes());
        body.extend_from_slice(&length.to_le_bytes());
        body.extend_from_slice(self.nodes);
    }

    /// The first of the paths that these bytes hold, and what follows it.
    fn read(bytes: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let (hops, rest) = bytes.split_first_chunk()?;
        let (length, rest) = rest.split_first_chunk()?;
        let (nodes, rest) = rest.split_at_checked(u16::from_le_bytes(*length).into())?;
        Some((Self { hops: u32::from_le_bytes(*hops), nodes }, rest))
    }
}

#[cfg(test)]
impl<'a> Arrival<'a> {
    /// A copy that came over the first link, with this payload and path.
    pub(crate) fn of(id: MessageId, payload: &'a [u8], hops: u32, path: &'a [u8]) -> Self {
        let (sent_at, relays, repaired) = (Wall(1), 1, false);
        let rumor = Rumor { id, sent_at, relays, repaired, hops, path, payload };
        let (received_at, arrived, newest_link) = (Wall(2), Monotonic(2), LinkId(1));
        Self { rumor, received_at, arrived, newest_link }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One that fits into the record with its paths, and one that does not.
    const TEXTS: [&str; 2] = [
        "äpple",
        "äpples, bananas, cherries, dates, elderberries, figs, grapes, and whatever else is in season",
    ];

    fn record(text: &str, hops: u32, path: &[u8], spare_bytes: usize) -> Record {
        let arrival = Arrival::of(MessageId::new(1, 1, 1), text.as_bytes(), hops, path);
        Record::new(&arrival, Flooded::default(), spare_bytes)
    }

    fn hops(record: &Record) -> Vec<u32> {
        record.info(NodeId(2)).paths.iter().map(|path| path.hops).collect()
    }

    #[test]
    fn text_and_paths_share_one_allocation_if_they_need_one() {
        for (text, spilled) in TEXTS.into_iter().zip([false, true]) {
            let mut record = record(text, 2, &[1, 7], 2 * (TRAIL_BYTES + 2));
            let (capacity, bytes) = (record.body.capacity(), record.bytes());
            record.keep_path(Trail { hops: 2, nodes: &[1, 8] }, 16);
            record.keep_path(Trail { hops: 2, nodes: &[1, 9] }, 16);
            assert_eq!((record.body.capacity(), record.bytes()), (capacity, bytes));
            assert_eq!(record.body.spilled(), spilled);
            assert_eq!(record.payload(), text.as_bytes());
            assert_eq!(record.first_path(), (2, &[1, 7][..]));
            assert_eq!(record.later_paths_bytes(), 2 * (TRAIL_BYTES + 2));
            assert_eq!(hops(&record), [2, 2, 2]);
        }
    }

    #[test]
    fn a_body_that_outgrows_the_record_is_moved_and_counted() {
        let mut record = record(TEXTS[0], 1, &[1], 0);
        let inside = record.bytes();
        let mut kept = 1;
        while !record.body.spilled() {
            assert_eq!(record.bytes(), inside);
            record.keep_path(Trail { hops: 1, nodes: &[1] }, 16);
            kept += 1;
        }
        assert_eq!(record.body.len(), TEXTS[0].len() + kept * (TRAIL_BYTES + 1));
        assert_eq!(record.bytes(), inside + record.body.capacity());
        assert_eq!((record.payload(), hops(&record)), (TEXTS[0].as_bytes(), vec![1; kept]));
    }

    #[test]
    fn the_first_path_a_shortest_and_a_longest_are_always_kept() {
        for text in TEXTS {
            let mut record = record(text, 5, &[1; 5], 0);
            for hops in [6, 7, 9, 3, 12, 4, 2, 5, 40, 1] {
                let nodes = vec![1; hops as usize];
                record.keep_path(Trail { hops, nodes: &nodes }, 3);
            }
            let hops = hops(&record);
            assert_eq!(hops.len(), 3);
            assert_eq!(hops[0], 5);
            assert!(hops.contains(&1) && hops.contains(&40), "{hops:?}");
            assert!(record.trails().all(|trail| trail.hops as usize == trail.nodes.len()));
            assert_eq!(record.payload(), text.as_bytes());
        }
    }
}
