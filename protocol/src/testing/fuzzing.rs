//! The bodies of the fuzz targets: plain functions of some bytes that must never panic.
//!
//! They live here because they look into the codec and into a node's bookkeeping. `fuzz/` hands
//! them what libFuzzer comes up with, `tests/fuzz.rs` bounded loops of seeded bytes.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use crate::config::{Config, Key, UDP_PAYLOAD_BYTES_MAX};
use crate::datagram::codec;
use crate::datagram::outbox::Outputs;
use crate::datagram::path;
use crate::datagram::wire::{
    self, BackPressure, Beat, Component, Frame, Neighbours, Offer, Page, Ranges, Rumor, Summary,
};
use crate::faults::{Effect, FaultRule, Faults};
use crate::ids::set::{Account, IdRange};
use crate::ids::{MessageId, NodeId, PeerAddr};
use crate::node::Node;
use crate::report::{Event, MessageQuery, Which};
use crate::time::{Monotonic, Now, Wall};

const KEY: Key = Key([7; 32]);
/// The node under test.
const ME: u32 = 1;
/// Others that are spoken of, so that what is made up now and then fits together.
const NODES: u8 = 12;

/// A datagram is refused or read; what is read is written and read again the same.
pub fn datagram(data: &[u8]) {
    let _ = wire::open(data, &KEY);
    let (sealed, mut again) = (sealed(data), Vec::new());
    let Ok(datagram) = wire::open(&sealed, &KEY) else { return };
    wire::begin(&mut again, datagram.sender, datagram.incarnation);
    for frame in &datagram.frames {
        codec::encode_into(frame, &mut again);
    }
    wire::seal(&mut again, 0, &KEY);
    assert!(again.len() <= sealed.len(), "ours is the shortest encoding");
    let reread = wire::open(&again, &KEY).expect("what we write can be read");
    assert_eq!((reread.sender, reread.incarnation), (datagram.sender, datagram.incarnation));
    assert_eq!(reread.frames, datagram.frames);
}

/// These bytes behind our magic and version, with a valid tag.
fn sealed(body: &[u8]) -> Vec<u8> {
    let mut bytes = wire::MAGIC.to_vec();
    bytes.push(wire::VERSION);
    bytes.extend_from_slice(body);
    wire::seal(&mut bytes, 0, &KEY);
    bytes
}

/// Whether a node would take these bytes apart if their tag were of its key. The dissector in
/// `scripts/gossip.lua` has no key to check tags with, and must agree with this.
#[must_use]
pub fn is_sound(bytes: &[u8]) -> bool {
    let Some((signed, _)) = bytes.split_last_chunk::<{ wire::TAG_BYTES }>() else { return false };
    let mut resealed = signed.to_vec();
    wire::seal(&mut resealed, 0, &KEY);
    wire::open(&resealed, &KEY).is_ok()
}

/// A datagram of a few frames of any kind, as `data` decides; sound more often than not.
#[must_use]
pub fn some_datagram(data: &[u8]) -> Vec<u8> {
    put_datagram(&mut Dice(data)).1
}

/// Lets `data` decide what a node meets with: datagrams sound and unsound, commands, and the
/// passing of time. It must not panic, grow beyond its limits, answer without measure, deliver
/// anything twice, or ask to be woken without end. Says how many things it met with.
pub fn node(data: &[u8]) -> u64 {
    let mut dice = Dice(data);
    let mut lab = Lab::new(&mut dice);
    let mut met = 0;
    while !dice.0.is_empty() {
        lab.step(&mut dice);
        lab.check();
        met += 1;
    }
    met
}

/// Reads choices from bytes; zeros when they are used up.
struct Dice<'a>(&'a [u8]);

impl<'a> Dice<'a> {
    fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    fn below(&mut self, limit: u8) -> u8 {
        self.byte() % limit.max(1)
    }

    fn flag(&mut self) -> bool {
        self.byte() & 1 == 1
    }

    fn bytes(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(count.min(self.0.len()));
        self.0 = rest;
        taken
    }

    fn number(&mut self) -> u64 {
        let mut bytes = [0; 8];
        let taken = self.bytes(8);
        bytes[..taken.len()].copy_from_slice(taken);
        u64::from_le_bytes(bytes)
    }

    /// Mostly small numbers, now and then any.
    fn odd_number(&mut self) -> u64 {
        match self.byte() {
            byte @ 0..=239 => u64::from(byte % 40),
            240..=247 => u64::MAX - u64::from(self.byte()),
            _ => self.number(),
        }
    }

    fn odd_u32(&mut self) -> u32 {
        u32::try_from(self.odd_number() & u64::from(u32::MAX)).unwrap_or(0)
    }

    fn several<T>(&mut self, most: u8, mut one: impl FnMut(&mut Self) -> T) -> Vec<T> {
        (0..self.below(most + 1)).map(|_| one(self)).collect()
    }

    fn peer(&mut self) -> PeerAddr {
        let node = match self.byte() {
            250.. => self.odd_u32(),
            byte => 1 + u32::from(byte % NODES),
        };
        PeerAddr { node: NodeId(node), addr: addr(self.below(NODES + 1)) }
    }

    fn message(&mut self) -> MessageId {
        let node = u32::from(self.below(NODES));
        let sequence = self.odd_number();
        MessageId::new(node, u64::from(self.below(3)), sequence)
    }

    fn range(&mut self) -> IdRange {
        let first = self.message();
        IdRange { origin: first.origin, first: first.sequence, more: self.odd_number() }
    }

    fn summary(&mut self) -> Summary {
        let account = Account { count: self.odd_number(), fingerprint: self.odd_number() };
        Summary { account, recent: self.several(6, Self::range) }
    }

    fn page(&mut self) -> Page {
        Page { first: self.message(), end: self.flag().then(|| self.message()) }
    }

    fn duration(&mut self) -> Duration {
        match self.byte() {
            255 => Duration::MAX,
            250..=254 => Duration::from_nanos(self.number()),
            byte => Duration::from_millis(u64::from(byte)),
        }
    }

    fn chance(&mut self) -> f64 {
        match self.byte() {
            255 => f64::NAN,
            254 => f64::INFINITY,
            253 => -1.0,
            byte => f64::from(byte % 128) / 127.0,
        }
    }

    fn rule(&mut self) -> FaultRule {
        FaultRule {
            from: self.several(2, |dice| (dice.odd_u32(), dice.odd_u32())),
            to: self.several(2, |dice| (dice.odd_u32(), dice.odd_u32())),
            effect: Effect {
                loss: self.chance(),
                delay: self.duration(),
                jitter: self.duration(),
                duplicate: self.chance(),
                reorder: self.chance(),
                corrupt: self.chance(),
            },
        }
    }
}

fn addr(node: u8) -> SocketAddr {
    ([127, 0, 0, 1], 7_000 + u16::from(node)).into()
}

/// A node with narrow limits, and what was seen of it.
struct Lab {
    node: Node,
    faults: Faults,
    now: Now,
    out: Outputs,
    delivered: BTreeSet<MessageId>,
    /// Bytes that went in since the last look.
    fed: usize,
}

impl Lab {
    fn new(dice: &mut Dice<'_>) -> Self {
        let mut config = Config::new(NodeId(ME), crate::testing::start(1), KEY, dice.number());
        let known = |nodes: std::ops::Range<u8>| {
            nodes.map(|n| PeerAddr { node: NodeId(n.into()), addr: addr(n) }).collect()
        };
        config.neighbours = known(2..5);
        config.sample = known(5..9);
        let limits = config.limits_mut();
        limits.text_bytes_max = 2_000;
        limits.messages_max = 40;
        limits.retained_bytes_max = 32 << 10;
        limits.id_ranges_max = 60;
        limits.path_nodes_max = 8;
        limits.paths_max = 3;
        limits.neighbours_max = 6;
        limits.sample_max = 6;
        limits.wanted_per_peer_max = 8;
        limits.repair_reply_bytes_max = 4 << 10;
        limits.repair_replies_max = 30;
        limits.contacts_max = 5;
        limits.delayed_datagrams_max = 50;
        let now = Now { monotonic: Monotonic(dice.odd_number()), wall: Wall(dice.odd_number()) };
        let node = Node::new(&config, now);
        let (out, delivered) = <(Outputs, BTreeSet<MessageId>)>::default();
        let faults = Faults::new(&config);
        Self { node, faults, now, out, delivered, fed: 0 }
    }

    /// One thing happens.
    fn step(&mut self, dice: &mut Dice<'_>) {
        match dice.byte() {
            0..40 => self.wait(dice),
            40..200 => self.frames(dice),
            200..220 => {
                let length = usize::from(dice.byte());
                let bytes = sealed(dice.bytes(length));
                self.receive(addr(dice.below(NODES)), &bytes);
            }
            220..230 => {
                let length = usize::from(dice.byte());
                self.receive(addr(dice.below(NODES)), dice.bytes(length));
            }
            _ => self.command(dice),
        }
    }

    fn receive(&mut self, from: SocketAddr, bytes: &[u8]) {
        self.fed += bytes.len();
        if bytes.len().is_multiple_of(2) {
            self.node.receive(self.now, from, bytes);
        } else {
            self.node.receive_alone(self.now, from, bytes, &mut self.out, &mut |_| ());
        }
    }

    /// Time passes; the wall clock may step to anywhere.
    fn wait(&mut self, dice: &mut Dice<'_>) {
        let time = match dice.byte() {
            255 => Duration::from_nanos(dice.number()),
            220..=254 => Duration::from_secs(dice.byte().into()),
            byte => Duration::from_millis(byte.into()),
        };
        if let (false, Some(deadline)) = (dice.flag(), self.node.deadline()) {
            self.now.monotonic = self.now.monotonic.max(deadline);
        } else {
            self.now.monotonic = self.now.monotonic + time;
        }
        self.now.wall = Wall(self.now.wall.0.wrapping_add(dice.odd_number()));
        let is_due = self.node.deadline().is_some_and(|at| at <= self.now.monotonic);
        if dice.flag() && !is_due {
            return;
        }
        // After a few ticks, as it was told, a node has nothing more to do at this instant.
        for _ in 0..8 {
            self.node.tick(self.now);
            self.node.flush(&mut self.out);
        }
        // At the end of the clock every deadline is over, and stays so.
        let end = self.now.monotonic + Duration::from_secs(3_600);
        if end < Monotonic(u64::MAX) {
            let deadline = self.node.deadline();
            assert!(deadline.is_none_or(|at| at > self.now.monotonic), "it wakes without end");
        }
    }

    /// A well-tagged datagram of frames that make some sense.
    fn frames(&mut self, dice: &mut Dice<'_>) {
        let (sender, bytes) = put_datagram(dice);
        let from = if dice.byte() < 250 { u8::try_from(sender).unwrap_or(0) } else { 13 };
        self.receive(addr(from), &bytes);
    }

    fn command(&mut self, dice: &mut Dice<'_>) {
        let peers = |dice: &mut Dice<'_>| dice.several(3, Dice::peer);
        match dice.byte() {
            0..100 => {
                let text = "x".repeat(dice.odd_number().min(3_000) as usize);
                let _ = self.node.send_anyway(self.now, text.as_bytes(), dice.below(18));
            }
            100..140 => {
                let which = [Which::All, Which::Read, Which::Unread][usize::from(dice.below(3))];
                let last = dice.flag().then(|| dice.odd_number());
                let after = dice.flag().then(|| dice.odd_number());
                let _ = self.node.messages(&MessageQuery { which, last, after });
            }
            140..180 => {
                let _ = self.node.message(dice.message());
            }
            180..200 => {
                let rules = dice.several(2, Dice::rule);
                self.faults.set(&rules);
            }
            200..205 => self.node.link(self.now, &peers(dice)),
            205..210 => self.node.rewire(self.now, &peers(dice)),
            210..215 => self.node.tell_messages(dice.flag()),
            255 => self.node.leave(self.now),
            _ => {
                let _ = self.node.has_left(self.now);
            }
        }
    }

    /// Checks what must hold at any time.
    fn check(&mut self) {
        self.node.flush(&mut self.out);
        let counts = self.faults.treat(self.now.monotonic, &mut self.out);
        self.node.count_faults(counts);
        let (mut datagrams, mut bytes) = (0, 0);
        for (_, datagram) in self.out.datagrams() {
            assert!(datagram.len() <= UDP_PAYLOAD_BYTES_MAX, "a datagram that cannot be sent");
            datagrams += 1;
            bytes += datagram.len();
        }
        // Some frames to every neighbour, a budget of repairs, held-back datagrams, and a small
        // multiple of what came in.
        assert!(datagrams < 1_000, "{datagrams} datagrams at once");
        assert!(bytes < (256 << 10) + 64 * self.fed, "{bytes} bytes for {} received", self.fed);
        self.fed = 0;
        for event in self.out.events.drain(..) {
            if let Event::Delivered { id, .. } | Event::Accepted { id, .. } = event {
                assert!(self.delivered.insert(id), "{id} was delivered twice");
            }
        }
        self.out.clear();
        self.node.assert_bounded();
        self.node
            .audit_links()
            .and_then(|()| self.node.audit_in_flight())
            .expect("the books agree");
        self.node.release_buffers();
    }
}

impl Node {
    /// Everything it keeps is within its limits.
    fn assert_bounded(&self) {
        let (limits, status) = (&self.fx.config.limits, self.status());
        assert!(status.messages <= limits.messages_max as u64);
        // The newest message is kept, however long.
        let most = limits.retained_bytes_max + limits.text_bytes_max + (4 << 10);
        assert!(status.retained_bytes <= most as u64, "{} bytes", status.retained_bytes);
        assert!(status.sample.len() <= limits.sample_max, "the sample grows");
        assert!(self.broadcast.store.known().ranges() <= limits.id_ranges_max, "known ids grow");
        // An eviction in the middle of a range makes two of it.
        assert!(self.broadcast.store.held().ranges() <= limits.id_ranges_max + limits.messages_max);
        let linked = self.membership.peers.linked().count();
        let others = self.membership.peers.iter().count() - linked;
        assert!(linked <= limits.neighbours_max + COMMANDED_MAX, "{linked} neighbours");
        assert!(others <= limits.contacts_max + COMMANDED_MAX, "{others} other peers");
        for peer in self.membership.peers.iter() {
            assert!(peer.neighbours.len() <= limits.neighbours_max, "a list of neighbours grows");
        }
        for peer in self.broadcast.exchanges.values() {
            let offers = peer.offers.ranges();
            assert!(offers <= limits.id_ranges_max, "{offers} ranges on offer");
        }
        let repair = &self.broadcast.repair;
        let (wanted, replies) = (repair.wanted.len(), repair.replies.len());
        let wanted_max = limits.wanted_per_peer_max * limits.neighbours_max;
        assert!(wanted <= wanted_max, "{wanted} messages asked for");
        assert!(replies <= limits.repair_replies_max, "{replies} replies wait");
        assert_eq!(replies, repair.queued.len(), "each reply is noted once");
    }
}

/// Links made by command are not held to the limit.
const COMMANDED_MAX: usize = 12;

/// A well-tagged datagram, as the dice say, and its sender.
fn put_datagram(dice: &mut Dice<'_>) -> (u32, Vec<u8>) {
    let sender = 1 + u32::from(dice.below(NODES));
    let incarnation = 1 + u64::from(dice.byte() / 85);
    let mut bytes = Vec::new();
    wire::begin(&mut bytes, NodeId(sender), incarnation);
    for _ in 0..=dice.below(4) {
        put_frame(dice, sender, &mut bytes);
    }
    wire::seal(&mut bytes, 0, &KEY);
    (sender, bytes)
}

/// Appends one frame, as the dice say.
fn put_frame(dice: &mut Dice<'_>, sender: u32, to: &mut Vec<u8>) {
    let ranges = |dice: &mut Dice<'_>| dice.several(6, Dice::range);
    let frame = match dice.below(20) {
        1 => Frame::Have(ranges(dice)),
        2 => Frame::Got(ranges(dice)),
        3 => Frame::Want(ranges(dice)),
        18 => Frame::Lacks(ranges(dice)),
        4 => Frame::Summary(dice.summary()),
        5 => {
            let (summary, page) = (dice.summary(), dice.page());
            Frame::Ranges(Box::new(Ranges {
                summary,
                page,
                held: ranges(dice),
                gone: ranges(dice),
            }))
        }
        6 => {
            let (summary, page) = (dice.summary(), dice.page());
            Frame::Offer(Box::new(Offer {
                summary,
                page,
                wanting: dice.flag(),
                held: ranges(dice),
            }))
        }
        7 => Frame::Beat(Beat {
            asking: dice.flag(),
            version: dice.odd_u32(),
            seen: dice.odd_u32(),
            heard: dice.flag().then(|| dice.odd_u32()),
        }),
        8 => Frame::Neighbours(Neighbours {
            version: dice.odd_u32(),
            spare: dice.flag(),
            list: dice.several(9, Dice::peer),
        }),
        9 => Frame::Unlink,
        10 => Frame::Leave,
        11 => Frame::Probe { on_behalf_of: dice.flag().then(|| dice.peer()) },
        12 => Frame::Answer { on_behalf_of: dice.flag().then(|| dice.peer()) },
        13 => Frame::ProbeFor { target: dice.peer() },
        14 => Frame::Vouch { node: dice.peer().node },
        16 => Frame::Component(Component {
            root: dice.message().origin,
            beat: dice.odd_u32(),
            stable: dice.flag(),
        }),
        17 => Frame::BackPressure(BackPressure { wave: dice.odd_number() }),
        15 => Frame::Shuffle { nodes: dice.several(6, Dice::peer), answer: dice.flag() },
        _ => return put_rumor(dice, sender, to),
    };
    codec::encode_into(&frame, to);
}

/// Appends a rumor whose path may be what it should be.
fn put_rumor(dice: &mut Dice<'_>, sender: u32, to: &mut Vec<u8>) {
    let mut id = dice.message();
    let between = dice.several(4, |dice| NodeId(u32::from(dice.below(NODES + 1))));
    let mut nodes = Vec::new();
    if id.origin.node != NodeId(sender) || dice.flag() {
        path::push(&mut nodes, id.origin.node);
        between.iter().for_each(|node| path::push(&mut nodes, *node));
    } else {
        id.origin.node = NodeId(sender);
    }
    path::push(&mut nodes, NodeId(sender));
    let shape = path::check(&nodes);
    let (hops, cut) = shape.map_or((0, false), |shape| (shape.nodes, shape.cut));
    let text = "y".repeat(usize::from(dice.byte()) * usize::from(dice.below(12)));
    let rumor = Rumor {
        id,
        sent_at: Wall(dice.odd_number()),
        relays: dice.below(18),
        repaired: dice.flag(),
        hops: hops.saturating_add(if cut { dice.odd_u32() } else { 0 }),
        path: &nodes,
        payload: text.as_bytes(),
    };
    codec::encode_into(&Frame::Rumor(rumor), to);
}
