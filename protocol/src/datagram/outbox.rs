//! Frames on their way out: encoded once, packed per receiver, sealed at the flush.
//!
//! A frame for several receivers is stored once. Frames to one receiver keep their order. Receivers that
//! wait for a first copy of a message come before those that get one back. Where there is no session with a
//! receiver yet, its frames wait (see [`super::sessions`]).

use std::net::SocketAddr;
use std::ops::Range;

use crate::config::{Config, UDP_PAYLOAD_BYTES_MAX};
use crate::datagram::codec;
use crate::datagram::header::{HEADER_BYTES_MAX, TAG_BYTES};
use crate::datagram::path;
use crate::datagram::sessions::Sessions;
use crate::datagram::wire::{self, Frame, Rumor};
use crate::ids::{NodeId, PeerAddr};
use crate::report::{Counters, Event};
use crate::time::Monotonic;

/// The most bytes of control frames that are sent at once. One datagram full of questions has
/// no more than this for an answer.
const CONTROL_BYTES_MAX: usize = 128 << 10;

/// The largest datagram made by packing several frames together for a receiver that is not on this
/// host's loopback. Every path carries as much in one packet (RFC 8200 asks for 1,280 bytes, headers
/// included): where fragments are dropped, short messages would else be lost together.
const REMOTE_BYTES_MAX: usize = 1_200;

/// What a node wants done: datagrams to send, in order, and events to tell of.
///
/// The caller owns it and uses it again and again, so that a steady node allocates nothing.
#[derive(Debug, Default)]
pub struct Outputs {
    pub(crate) bytes: Vec<u8>,
    pub(crate) datagrams: Vec<(PeerAddr, Range<usize>)>,
    /// What happened since the last flush.
    pub events: Vec<Event>,
}

impl Outputs {
    /// The datagrams to send, in order.
    pub fn datagrams(&self) -> impl Iterator<Item = (SocketAddr, &[u8])> {
        self.datagrams.iter().map(|(to, range)| (to.addr, &self.bytes[range.clone()]))
    }

    /// Forgets the datagrams, which were sent, and keeps the memory.
    pub fn clear_datagrams(&mut self) {
        self.bytes.clear();
        self.datagrams.clear();
    }

    /// Forgets everything, and keeps the memory.
    pub fn clear(&mut self) {
        self.clear_datagrams();
        self.events.clear();
    }

    /// Adds a datagram.
    pub(crate) fn push(&mut self, to: PeerAddr, bytes: &[u8]) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(bytes);
        self.datagrams.push((to, start..self.bytes.len()));
    }
}

/// A frame, encoded, in the outbox's buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Encoded {
    start: usize,
    end: usize,
    rumor: bool,
    summary: bool,
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
    to: NodeId,
    /// The address, where another frame named it.
    named: Option<SocketAddr>,
    frame: Encoded,
    /// The first copy of a message, as far as this node knows.
    is_first: bool,
}

/// All frames since the last flush.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    bytes: Vec<u8>,
    items: Vec<Item>,
    /// Bytes of control frames since the last flush.
    control_bytes: usize,
    /// Reused: the path of the copy being encoded.
    path: Vec<u8>,
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
        let (rumor, summary) =
            (matches!(frame, Frame::Rumor(_)), matches!(frame, Frame::Summary(_)));
        Encoded { start, end: self.bytes.len(), rumor, summary }
    }

    /// Encodes a rumor as `node` passes it on: one hop further, with `node` at the end of its
    /// path, which is cut where it grows too long. Says whether it was cut.
    pub(crate) fn encode_onward(&mut self, rumor: &Rumor<'_>, config: &Config) -> (Encoded, bool) {
        // Taken out for as long as `encode` borrows the outbox.
        let mut path = std::mem::take(&mut self.path);
        path.clear();
        path.extend_from_slice(rumor.path);
        path::push(&mut path, config.node);
        // The path gets what the payload leaves free in the largest datagram.
        let taken = wire::RUMOR_OVERHEAD_BYTES_MAX + rumor.payload.len();
        let left = UDP_PAYLOAD_BYTES_MAX.saturating_sub(taken);
        let was_cut = path::cut(&mut path, config.limits.path_nodes_max, left);
        let hops = rumor.hops.saturating_add(1);
        let frame = self.encode(&Frame::Rumor(Rumor { hops, path: &path, ..*rumor }));
        self.path = path;
        (frame, was_cut)
    }

    /// Puts an encoded frame for one receiver.
    pub(crate) fn put(&mut self, to: NodeId, frame: Encoded) {
        self.items.push(Item { to, named: None, frame, is_first: false });
    }

    /// Puts an encoded message for one receiver that is not known to have it.
    pub(crate) fn put_first(&mut self, to: NodeId, frame: Encoded) {
        self.items.push(Item { to, named: None, frame, is_first: true });
    }

    /// Puts frames that waited for one receiver before all others, as they were encoded then.
    pub(crate) fn put_ahead(&mut self, to: NodeId, frames: &[u8], rumor: bool) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(frames);
        let frame = Encoded { start, end: self.bytes.len(), rumor, summary: false };
        self.items.insert(0, Item { to, named: None, frame, is_first: rumor });
    }

    /// Encodes a control frame for one receiver, at the address named or where membership knows it.
    /// Beyond a bound it is lost, as on the way: no datagram that comes in makes a node send more
    /// than that at once.
    pub(crate) fn send(
        &mut self,
        to: NodeId,
        named: Option<SocketAddr>,
        frame: &Frame<'_>,
        counters: &mut Counters,
    ) {
        if self.control_bytes > CONTROL_BYTES_MAX {
            counters.limit_control_dropped += 1;
            return;
        }
        let frame = self.encode(frame);
        self.control_bytes += frame.len();
        self.items.push(Item { to, named, frame, is_first: false });
    }

    /// Packs everything into datagrams, and is empty again. `addr_of` says where a node is. A node that is
    /// nowhere to be found gets nothing.
    pub(crate) fn pack(
        &mut self,
        addr_of: impl Fn(NodeId) -> Option<SocketAddr>,
        packing: &mut Packing<'_>,
    ) {
        // The sort is stable: frames to one receiver keep their order.
        self.items.sort_by_key(|item| (item.to, item.named));
        // Receivers that wait for a message come first. For the others a copy is only an
        // acknowledgement.
        for first_copies in [true, false] {
            let receivers = self.items.chunk_by(|a, b| (a.to, a.named) == (b.to, b.named));
            for items in receivers.filter(|items| items.iter().any(|i| i.is_first) == first_copies)
            {
                let node = items[0].to;
                let Some(addr) = items[0].named.or_else(|| addr_of(node)) else { continue };
                self.pack_for(PeerAddr { node, addr }, items, packing);
            }
        }
        self.items.clear();
        self.bytes.clear();
        self.control_bytes = 0;
    }

    /// Packs the frames to one receiver.
    fn pack_for(&self, to: PeerAddr, mut items: &[Item], packing: &mut Packing<'_>) {
        let Packing { config, now, sessions, out, counters } = packing;
        let bytes = |item: &Item| &self.bytes[item.frame.start..item.frame.end];
        let Some(session) = sessions.ready(config, *now, to, counters) else {
            for item in items {
                if item.frame.summary {
                    sessions.owe_summary(to.node);
                } else {
                    sessions.wait(*now, to.node, bytes(item), item.frame.rumor, counters);
                }
            }
            return;
        };
        while !items.is_empty() {
            let (packed, later) = items.split_at(fitting(items, to.addr, config));
            items = later;
            let length = sessions.seal(session, config, out, |datagram| {
                packed.iter().for_each(|item| datagram.extend_from_slice(bytes(item)));
            });
            count(packed.iter().any(|item| item.frame.rumor), length, counters);
        }
    }
}

/// All that packing takes beside the frames.
pub(crate) struct Packing<'a> {
    pub(crate) config: &'a Config,
    pub(crate) now: Monotonic,
    pub(crate) sessions: &'a mut Sessions,
    /// Where datagrams are appended.
    pub(crate) out: &'a mut Outputs,
    pub(crate) counters: &'a mut Counters,
}

/// How many of these frames to one receiver, the first at least, go into one datagram.
fn fitting(items: &[Item], to: SocketAddr, config: &Config) -> usize {
    let is_near = to.ip().to_canonical().is_loopback();
    let path_max = if is_near { UDP_PAYLOAD_BYTES_MAX } else { REMOTE_BYTES_MAX };
    let bytes_max = config.limits.packed_datagram_bytes_max.min(path_max);
    let mut bytes = HEADER_BYTES_MAX + TAG_BYTES;
    let fits = items.iter().take_while(|item| {
        bytes += item.frame.len();
        bytes <= bytes_max
    });
    fits.count().max(1)
}

/// Counts one datagram.
pub(crate) fn count(has_rumors: bool, bytes: usize, counters: &mut Counters) {
    counters.datagrams_sent += 1;
    counters.bytes_sent += bytes as u64;
    if has_rumors {
        counters.rumor_datagrams_sent += 1;
    } else {
        counters.control_datagrams_sent += 1;
        counters.control_bytes_sent += bytes as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Key;
    use crate::ids::MessageId;
    use crate::ids::set::IdRange;

    const NOW: Monotonic = Monotonic(1_000_000_000);

    fn peer(node: u32) -> NodeId {
        NodeId(node)
    }

    fn addr(node: NodeId) -> SocketAddr {
        ([127, 0, 0, 1], 7000 + node.0 as u16).into()
    }

    /// Node 1, launched together with 40 neighbours.
    fn config() -> Config {
        let mut config = Config::new(NodeId(1), crate::testing::start(1), Key([1; 32]), 1);
        let neighbours = (2..=41).map(NodeId);
        config.neighbours = neighbours.map(|node| PeerAddr { node, addr: addr(node) }).collect();
        config.launch = Some([9; 16]);
        config
    }

    /// The frames sent to each receiver, as it takes them in, and the length of each datagram.
    fn pack(outbox: &mut Outbox, config: &Config) -> (Vec<(u32, String, usize)>, Counters) {
        let (mut out, mut counters) = (Outputs::default(), Counters::default());
        let (mut sessions, settings) = (Sessions::new(config, NOW), config.clone());
        let packing = &mut Packing {
            config: &settings,
            now: NOW,
            sessions: &mut sessions,
            out: &mut out,
            counters: &mut counters,
        };
        outbox.pack(|node| Some(addr(node)), packing);
        let seen = |(to, range): &(PeerAddr, Range<usize>)| {
            let mut theirs = config.clone();
            theirs.node = to.node;
            theirs.neighbours = vec![PeerAddr { node: NodeId(1), addr: addr(NodeId(1)) }];
            let mut sessions = Sessions::new(&theirs, NOW);
            let (settings, mut counters) = (theirs.clone(), Counters::default());
            let bytes = &out.bytes[range.clone()];
            let opened = sessions.open(&settings, NOW, addr(NodeId(1)), bytes, &mut counters);
            let frames = opened.unwrap().unwrap().frames;
            (to.node.0, format!("{frames:?}"), bytes.len())
        };
        (out.datagrams.iter().map(seen).collect(), counters)
    }

    fn send(outbox: &mut Outbox, to: u32, frame: &Frame<'_>) {
        outbox.send(NodeId(to), None, frame, &mut Counters::default());
    }

    fn receivers(datagrams: &[(u32, String, usize)]) -> Vec<u32> {
        datagrams.iter().map(|datagram| datagram.0).collect()
    }

    #[test]
    fn frames_to_one_receiver_share_a_datagram_in_order() {
        let mut outbox = Outbox::default();
        send(&mut outbox, 3, &Frame::Leave);
        send(&mut outbox, 2, &Frame::Unlink);
        send(&mut outbox, 3, &Frame::Unlink);
        let (datagrams, counters) = pack(&mut outbox, &config());
        assert_eq!(receivers(&datagrams), vec![2, 3]);
        assert_eq!(datagrams[1].1, "[Leave, Unlink]");
        assert_eq!(counters.control_datagrams_sent, 2);
        assert!(outbox.is_empty());
    }

    #[test]
    fn every_receiver_gets_its_frames_in_order() {
        for receivers in [3u32, 9, 40] {
            let mut outbox = Outbox::default();
            for frame in 1..=20 {
                let frame = outbox.encode(&Frame::Vouch { node: NodeId(frame) });
                (2..2 + receivers).rev().for_each(|to| outbox.put(peer(to), frame));
            }
            let (datagrams, _) = pack(&mut outbox, &config());
            assert_eq!(self::receivers(&datagrams), (2..2 + receivers).collect::<Vec<_>>());
            let all: Vec<_> = (1..=20).map(|node| Frame::Vouch { node: NodeId(node) }).collect();
            assert!(datagrams.iter().all(|datagram| datagram.1 == format!("{all:?}")));
        }
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
        assert_eq!(receivers(&datagrams), vec![4, 5, 2, 3]);
    }

    #[test]
    fn a_datagram_that_leaves_the_host_is_packed_for_any_path() {
        for (ip, bytes_max) in [
            ("127.0.0.1", 8_192),
            ("::ffff:127.0.0.1", 8_192),
            ("::1", 8_192),
            ("192.0.2.1", 1_200),
            ("2001:db8::1", 1_200),
        ] {
            let mut outbox = Outbox::default();
            for node in 1..=10_000 {
                send(&mut outbox, 2, &Frame::Vouch { node: NodeId(node) });
            }
            // A larger frame goes alone.
            send(&mut outbox, 2, &Frame::Have(vec![IdRange::one(MessageId::new(1, 1, 1)); 2_000]));
            let (mut out, mut counters) = (Outputs::default(), Counters::default());
            let addr = SocketAddr::new(ip.parse().unwrap(), 7_000);
            let mut sessions = Sessions::new(&config(), NOW);
            outbox.pack(
                |_| Some(addr),
                &mut Packing {
                    config: &config(),
                    now: NOW,
                    sessions: &mut sessions,
                    out: &mut out,
                    counters: &mut counters,
                },
            );
            let mut lengths: Vec<usize> = out.datagrams().map(|(_, bytes)| bytes.len()).collect();
            let have = lengths.pop().unwrap();
            let longest = lengths.into_iter().max().unwrap();
            // The longest header takes 49 bytes more than this one.
            assert!(
                have > 8_000 && (bytes_max - 60..=bytes_max).contains(&longest),
                "{ip}: {longest}"
            );
        }
    }

    #[test]
    fn a_datagram_is_packed_no_larger_than_its_limit() {
        let mut config = config();
        config.limits_mut().packed_datagram_bytes_max = 150;
        let mut outbox = Outbox::default();
        for node in 1..=30 {
            send(&mut outbox, 2, &Frame::Vouch { node: NodeId(node * 100_000) });
        }
        let (datagrams, _) = pack(&mut outbox, &config);
        assert!(datagrams.len() > 1);
        assert!(datagrams.iter().all(|datagram| datagram.2 <= 150));
        let frames = |d: &(u32, String, usize)| d.1.matches("Vouch").count();
        assert_eq!(datagrams.iter().map(frames).sum::<usize>(), 30);
    }
}
