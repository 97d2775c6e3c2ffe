//! Frames on their way out: encoded once, packed per receiver, sealed at the flush.
//!
//! A frame for several receivers is stored once; receivers of the same frames share one
//! datagram's bytes, its tag included. Frames to one receiver keep their order; receivers that
//! wait for a first copy of a message come before those that get one back.

use std::net::SocketAddr;
use std::ops::Range;

use smallvec::SmallVec;

use crate::config::{Settings, UDP_PAYLOAD_BYTES_MAX};
use crate::datagram::codec;
use crate::datagram::path;
use crate::datagram::wire::{self, Frame, Rumor, TAG_BYTES};
use crate::ids::{NodeId, PeerAddr};
use crate::rare::Nothing;
use crate::report::{Event, Tally};

/// The most bytes of control frames that are sent at once. One datagram full of questions has
/// no more than this for an answer.
const CONTROL_BYTES_MAX: usize = 128 << 10;

/// With no more receivers than this, passing through all frames for each of them is faster than
/// sorting what may be ten thousand frames.
const RECEIVERS_FEW: usize = 8;

/// What a node wants done: datagrams to send, in order, and events to tell of.
///
/// The caller owns it and uses it again and again, so that a steady node allocates nothing.
#[derive(Debug, Default)]
pub struct Outputs {
    pub(crate) bytes: Vec<u8>,
    pub(crate) datagrams: Vec<(SocketAddr, Range<usize>)>,
    /// What happened since the last flush.
    pub events: Vec<Event>,
}

impl Outputs {
    /// The datagrams to send, in order.
    pub fn datagrams(&self) -> impl Iterator<Item = (SocketAddr, &[u8])> {
        self.datagrams.iter().map(|(to, range)| (*to, &self.bytes[range.clone()]))
    }

    /// Forgets the datagrams, which were sent, keeps the memory.
    pub fn clear_datagrams(&mut self) {
        self.bytes.clear();
        self.datagrams.clear();
    }

    /// Forgets everything, keeps the memory.
    pub fn clear(&mut self) {
        self.clear_datagrams();
        self.events.clear();
    }

    /// Adds a datagram whose bytes are there already.
    pub(crate) fn push(&mut self, to: SocketAddr, range: Range<usize>) {
        self.datagrams.push((to, range));
    }

    /// Adds a datagram.
    pub(crate) fn push_bytes(&mut self, to: SocketAddr, bytes: &[u8]) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(bytes);
        self.push(to, start..self.bytes.len());
    }
}

/// A frame, encoded, in the outbox's buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Encoded {
    start: usize,
    end: usize,
    rumor: bool,
}

impl Encoded {
    /// Its length.
    pub(crate) fn len(&self) -> usize {
        self.end - self.start
    }
}

/// One frame to one receiver.
#[derive(Clone, Copy, Debug)]
struct Item {
    to: PeerAddr,
    frame: Encoded,
    /// The first copy of a message, as far as this node knows.
    is_first: bool,
}

/// All frames since the last flush.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    bytes: Vec<u8>,
    items: Vec<Item>,
    /// SendWindow to put them in order.
    gathered: Vec<Item>,
    /// Bytes of control frames since the last flush, and how many did not fit any more.
    control_bytes: usize,
    control_dropped: u64,
    /// Reused: the path of the copy being encoded.
    path: Vec<u8>,
    /// What was packed, and is yet to be taken.
    packed: Vec<Packed>,
}

impl Nothing for Outbox {
    const NOTHING: &'static Self = &Self {
        bytes: Vec::new(),
        items: Vec::new(),
        gathered: Vec::new(),
        control_bytes: 0,
        control_dropped: 0,
        path: Vec::new(),
        packed: Vec::new(),
    };
}

/// A datagram about to be sent: to whom, and which bytes of the outputs.
#[derive(Clone, Debug)]
pub(crate) struct Packed {
    pub(crate) to: PeerAddr,
    pub(crate) range: Range<usize>,
}

impl Outbox {
    /// Whether nothing waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Encodes a frame, to be put for any number of receivers.
    pub(crate) fn encode(&mut self, frame: &Frame<'_>) -> Encoded {
        let start = self.bytes.len();
        codec::encode_into(frame, &mut self.bytes);
        Encoded { start, end: self.bytes.len(), rumor: matches!(frame, Frame::Rumor(_)) }
    }

    /// Encodes a rumor as `node` passes it on: it is one hop further then, and the node at the end of its
    /// path, which is cut where it grows too long. Says whether it was cut.
    pub(crate) fn encode_onward(
        &mut self,
        rumor: &Rumor<'_>,
        node: NodeId,
        nodes_max: usize,
    ) -> (Encoded, bool) {
        let mut path = std::mem::take(&mut self.path);
        let cut = extend_path(rumor.path, node, rumor.text.len(), nodes_max, &mut path);
        let hops = rumor.hops.saturating_add(1);
        let frame = self.encode(&Frame::Rumor(Rumor { hops, path: &path, ..*rumor }));
        self.path = path;
        (frame, cut)
    }

    /// Puts an encoded frame for one receiver.
    pub(crate) fn put(&mut self, to: PeerAddr, frame: Encoded) {
        self.items.push(Item { to, frame, is_first: false });
    }

    /// Puts an encoded message for one receiver that is not known to have it.
    pub(crate) fn put_first(&mut self, to: PeerAddr, frame: Encoded) {
        self.items.push(Item { to, frame, is_first: true });
    }

    /// Encodes a control frame for one receiver. One that finds no room is lost, as on the way:
    /// whatever comes in, what goes out at once is bounded.
    pub(crate) fn send(&mut self, to: PeerAddr, frame: &Frame<'_>) {
        if self.control_bytes > CONTROL_BYTES_MAX {
            self.control_dropped += 1;
            return;
        }
        let frame = self.encode(frame);
        self.control_bytes += frame.len();
        self.put(to, frame);
    }

    /// Packs everything into datagrams, whose bytes are appended to `out`, and is empty again: the
    /// datagrams are to be taken.
    pub(crate) fn pack(&mut self, config: &Settings, out: &mut Outputs, counters: &mut Tally) {
        let mut packed = std::mem::take(&mut self.packed);
        if self.items.iter().all(|item| item.frame == self.items[0].frame) {
            self.pack_alone(config, out, &mut packed, counters);
        } else {
            self.pack_several(config, out, &mut packed, counters);
        }
        self.packed = packed;
        self.items.clear();
        self.bytes.clear();
        self.control_bytes = 0;
        if self.control_dropped > 0 {
            counters.limit_control_dropped += std::mem::take(&mut self.control_dropped);
        }
    }

    /// Takes the datagrams that were packed, in order.
    pub(crate) fn take_packed(&mut self) -> impl Iterator<Item = Packed> {
        self.packed.drain(..)
    }

    /// Packs a single frame. So most messages travel, and whoever gets one waits for it: there is
    /// nothing to sort.
    fn pack_alone(
        &self,
        config: &Settings,
        out: &mut Outputs,
        packed: &mut Vec<Packed>,
        counters: &mut Tally,
    ) {
        let Some(one) = self.items.first() else { return };
        let range = self.seal(std::slice::from_ref(one), config, out);
        for first_copies in [true, false] {
            for item in self.items.iter().filter(|item| item.is_first == first_copies) {
                count(std::slice::from_ref(item), &range, counters);
                packed.push(Packed { to: item.to, range: range.clone() });
            }
        }
    }

    /// Packs all frames, by receiver.
    fn pack_several(
        &mut self,
        config: &Settings,
        out: &mut Outputs,
        packed: &mut Vec<Packed>,
        counters: &mut Tally,
    ) {
        self.gather();
        let mut last = None;
        for first_copies in [true, false] {
            self.pack_those(first_copies, &mut last, config, out, packed, counters);
        }
    }

    /// Puts what goes to one receiver together, in the order in which it was put.
    fn gather(&mut self) {
        let receiver = |item: &Item| (item.to.node, item.to.addr);
        if self.items.is_sorted_by_key(receiver) {
            return;
        }
        let mut receivers: SmallVec<[PeerAddr; RECEIVERS_FEW]> = SmallVec::new();
        for item in &self.items {
            if !receivers.contains(&item.to) {
                if receivers.len() == RECEIVERS_FEW {
                    return self.items.sort_by_key(receiver);
                }
                receivers.push(item.to);
            }
        }
        receivers.sort_unstable_by_key(|to| (to.node, to.addr));
        self.gathered.clear();
        for to in receivers {
            self.gathered.extend(self.items.iter().filter(|item| item.to == to));
        }
        std::mem::swap(&mut self.items, &mut self.gathered);
    }

    /// Packs what goes to receivers that get first copies, or to the others.
    fn pack_those<'a>(
        &'a self,
        first_copies: bool,
        last: &mut Option<(&'a [Item], Range<usize>)>,
        config: &Settings,
        out: &mut Outputs,
        packed: &mut Vec<Packed>,
        counters: &mut Tally,
    ) {
        let receivers = self.items.chunk_by(|a, b| a.to == b.to);
        for items in receivers.filter(|items| items.iter().any(|i| i.is_first) == first_copies) {
            let mut rest = items;
            while let Some(first) = rest.first() {
                let (now, later) = rest.split_at(fitting(rest, config));
                rest = later;
                let range = match last {
                    Some((same, range)) if same_frames(same, now) => range.clone(),
                    _ => self.seal(now, config, out),
                };
                count(now, &range, counters);
                packed.push(Packed { to: first.to, range: range.clone() });
                *last = Some((now, range));
            }
        }
    }

    /// Makes one datagram of these frames.
    fn seal(&self, items: &[Item], config: &Settings, out: &mut Outputs) -> Range<usize> {
        let start = out.bytes.len();
        wire::begin(&mut out.bytes, config.node, config.incarnation);
        for item in items {
            out.bytes.extend_from_slice(&self.bytes[item.frame.start..item.frame.end]);
        }
        wire::seal(&mut out.bytes, start, &config.key);
        start..out.bytes.len()
    }
}

/// How many of these frames to one receiver, the first at least, go into one datagram.
fn fitting(items: &[Item], config: &Settings) -> usize {
    const HEADER_BYTES_MAX: usize = 13;
    let bytes_max = config.limits.packed_datagram_bytes_max.min(UDP_PAYLOAD_BYTES_MAX);
    let mut bytes = HEADER_BYTES_MAX + TAG_BYTES;
    let fits = items.iter().take_while(|item| {
        bytes += item.frame.len();
        bytes <= bytes_max
    });
    fits.count().max(1)
}

/// Whether both datagrams consist of the very same frames.
fn same_frames(a: &[Item], b: &[Item]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.frame == b.frame)
}

/// Counts one datagram.
fn count(items: &[Item], range: &Range<usize>, counters: &mut Tally) {
    counters.datagrams_sent += 1;
    counters.bytes_sent += range.len() as u64;
    if items.iter().any(|item| item.frame.rumor) {
        counters.rumor_datagrams_sent += 1;
    } else {
        counters.control_datagrams_sent += 1;
        counters.control_bytes_sent += range.len() as u64;
    }
}

/// The path that a copy of a message carries on: one more node, cut where it grows too long.
/// Says whether it was cut.
fn extend_path(
    so_far: &[u8],
    node: NodeId,
    text_bytes: usize,
    nodes_max: usize,
    to: &mut Vec<u8>,
) -> bool {
    to.clear();
    to.extend_from_slice(so_far);
    path::push(to, node);
    let room = UDP_PAYLOAD_BYTES_MAX.saturating_sub(wire::RUMOR_OVERHEAD_BYTES_MAX + text_bytes);
    path::cut(to, nodes_max, room)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::config::{Config, Key};

    fn peer(node: u32) -> PeerAddr {
        let port = 7000 + u16::try_from(node).unwrap();
        PeerAddr { node: NodeId(node), addr: ([127, 0, 0, 1], port).into() }
    }

    fn pack(outbox: &mut Outbox, config: &Settings) -> (Vec<(u32, Vec<u8>)>, Tally) {
        let (mut out, mut counters) = (Outputs::default(), Tally::default());
        outbox.pack(config, &mut out, &mut counters);
        let bytes = |p: Packed| (p.to.node.0, out.bytes[p.range].to_vec());
        (outbox.take_packed().map(bytes).collect(), counters)
    }

    fn config() -> Settings {
        Config::new(NodeId(1), Key([1; 32]), 1).into()
    }

    #[test]
    fn frames_to_one_receiver_share_a_datagram_in_order() {
        let mut outbox = Outbox::default();
        outbox.send(peer(3), &Frame::Leave);
        outbox.send(peer(2), &Frame::Unlink);
        outbox.send(peer(3), &Frame::Unlink);
        let (datagrams, counters) = pack(&mut outbox, &config());
        assert_eq!(datagrams.iter().map(|d| d.0).collect::<Vec<_>>(), vec![2, 3]);
        let opened = wire::open(&datagrams[1].1, &config().key).unwrap();
        assert_eq!(opened.frames.as_slice(), &[Frame::Leave, Frame::Unlink]);
        assert_eq!(counters.control_datagrams_sent, 2);
        assert!(outbox.is_empty());
    }

    #[test]
    fn many_receivers_get_their_frames_in_order_as_few_do() {
        for receivers in [3, RECEIVERS_FEW, RECEIVERS_FEW + 1, 40] {
            let receivers = u32::try_from(receivers).unwrap();
            let mut outbox = Outbox::default();
            for frame in 1..=20 {
                let frame = outbox.encode(&Frame::Vouch { node: NodeId(frame) });
                (1..=receivers).rev().for_each(|to| outbox.put(peer(to), frame));
            }
            let (datagrams, _) = pack(&mut outbox, &config());
            let to: Vec<u32> = datagrams.iter().map(|d| d.0).collect();
            assert_eq!(to, (1..=receivers).collect::<Vec<_>>());
            for (_, bytes) in datagrams {
                let opened = wire::open(&bytes, &config().key).unwrap();
                let vouched = opened.frames.iter().map(|frame| match frame {
                    Frame::Vouch { node } => node.0,
                    other => panic!("{other:?}"),
                });
                assert_eq!(vouched.collect::<Vec<_>>(), (1..=20).collect::<Vec<_>>());
            }
        }
    }

    #[test]
    fn receivers_of_the_same_frames_share_the_bytes() {
        let mut outbox = Outbox::default();
        let frame = outbox.encode(&Frame::Leave);
        outbox.put(peer(2), frame);
        outbox.put(peer(3), frame);
        outbox.pack(&config(), &mut Outputs::default(), &mut Tally::default());
        let packed: Vec<Packed> = outbox.take_packed().collect();
        assert_eq!(packed.len(), 2);
        assert_eq!(packed[0].range, packed[1].range);
    }

    #[test]
    fn first_copies_come_before_copies_that_go_back() {
        let mut outbox = Outbox::default();
        let frame = outbox.encode(&Frame::Leave);
        outbox.put(peer(2), frame);
        outbox.put_first(peer(4), frame);
        outbox.put(peer(3), frame);
        outbox.put_first(peer(5), frame);
        let (datagrams, _) = pack(&mut outbox, &config());
        assert_eq!(datagrams.iter().map(|d| d.0).collect::<Vec<_>>(), vec![4, 5, 2, 3]);
    }

    #[test]
    fn a_datagram_is_packed_no_larger_than_its_limit() {
        let mut config = config();
        Arc::make_mut(&mut config.limits).packed_datagram_bytes_max = 100;
        let mut outbox = Outbox::default();
        for node in 1..=30 {
            outbox.send(peer(2), &Frame::Vouch { node: NodeId(node * 100_000) });
        }
        let (datagrams, _) = pack(&mut outbox, &config);
        assert!(datagrams.len() > 1);
        assert!(datagrams.iter().all(|(_, bytes)| bytes.len() <= 100));
        let frames = |d: &(u32, Vec<u8>)| wire::open(&d.1, &config.key).unwrap().frames.len();
        assert_eq!(datagrams.iter().map(frames).sum::<usize>(), 30);
    }
}
