//! The bodies of the fuzz targets: plain functions of some bytes that must never panic.
//!
//! They live here because they look into the codec and into a node's bookkeeping. `fuzz/` hands
//! them what libFuzzer comes up with, `tests/fuzz.rs` bounded loops of seeded bytes.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use crate::config::{Config, Key, UDP_PAYLOAD_BYTES_MAX};
use crate::datagram::codec;
use crate::datagram::header::{self, Header, Nonces, SessionId};
use crate::datagram::outbox::Outputs;
use crate::faults::Faults;
use crate::ids::{Incarnation, MessageId, NodeId, Origin, PeerAddr, Start};
use crate::node::Node;
use crate::report::{Event, MessageQuery, Which};
use crate::testing::dice::{Dice, NODES, addr, put_frames};
use crate::testing::inspect;
use crate::testing::other_end::OtherEnd;
use crate::time::{Monotonic, Now, Wall};

const KEY: Key = Key([7; 32]);
/// The node under test.
const ME: u32 = 1;

/// A datagram is refused or read; what is read is written and read again the same.
pub fn datagram(data: &[u8]) {
    let _ = inspect::parse(data);
    let (sealed, mut again) = (sealed(data), Vec::new());
    let Some((read, frames)) = inspect::parse(&sealed) else { return };
    header::write(&read, &mut again);
    for frame in &frames {
        codec::encode_into(frame, &mut again);
    }
    header::seal(&mut again, 0, &KEY.0);
    assert!(again.len() <= sealed.len(), "ours is the shortest encoding");
    let reread = inspect::parse(&again).expect("what we write can be read");
    assert_eq!(reread, (read, frames));
}

/// These bytes behind our magic and version, with a valid tag.
fn sealed(body: &[u8]) -> Vec<u8> {
    let mut bytes = header::MAGIC.to_vec();
    bytes.push(header::VERSION);
    bytes.extend_from_slice(body);
    header::seal(&mut bytes, 0, &KEY.0);
    bytes
}

/// Whether a node would take these bytes apart if they were of a session that it has, or a handshake
/// with it. The dissector in `scripts/gossip.lua` has no key to check tags with, and must agree with this.
#[must_use]
pub fn is_sound(bytes: &[u8]) -> bool {
    inspect::parse(bytes).is_some()
}

/// A datagram of a few frames of any kind, or a handshake, as `data` decides; sound more often than not.
#[must_use]
pub fn some_datagram(data: &[u8]) -> Vec<u8> {
    let dice = &mut Dice(data);
    let (node, incarnation) = dice.sender();
    let (sender, receiver) = (Origin { node: NodeId(node), incarnation }, dice.peer().node);
    let counter = dice.odd_number();
    let nonces = Nonces { initiator: dice.nonce(), responder: dice.nonce() };
    let header = match dice.below(8) {
        0 => Header::Hello { sender, receiver, initiator: nonces.initiator },
        1 => Header::Welcome { sender, receiver, nonces },
        2 | 3 => Header::Opening { sender, nonces, counter },
        _ => {
            let session = SessionId(std::array::from_fn(|_| dice.byte()));
            Header::Session { sender: sender.node, session, counter }
        }
    };
    let mut bytes = Vec::new();
    header::write(&header, &mut bytes);
    if matches!(header, Header::Opening { .. } | Header::Session { .. }) {
        put_frames(dice, node, &mut bytes);
    }
    header::seal(&mut bytes, 0, &KEY.0);
    bytes
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

/// A node with narrow limits, and what was seen of it.
struct Lab {
    node: Node,
    faults: Faults,
    now: Now,
    out: Outputs,
    delivered: BTreeSet<MessageId>,
    /// The other ends, by number and incarnation.
    others: BTreeMap<(u32, Incarnation), OtherEnd>,
    /// The datagrams they sent last, to be sent again.
    recorded: Vec<Vec<u8>>,
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
        let (others, recorded) = <(BTreeMap<_, _>, Vec<_>)>::default();
        Self { node, faults, now, out, delivered, others, recorded, fed: 0 }
    }

    /// One thing happens.
    fn step(&mut self, dice: &mut Dice<'_>) {
        match dice.byte() {
            0..40 => self.wait(dice),
            40..190 => self.frames(dice),
            190..200 => self.send_again(dice),
            200..220 => {
                let length = usize::from(dice.byte());
                let bytes = sealed(dice.bytes(length));
                self.receive(addr(dice.below(NODES)), &bytes);
                // And the same in a session that is there.
                if let Some(bytes) = self.in_session(dice.sender(), dice.bytes(length)) {
                    self.receive(addr(dice.below(NODES)), &bytes);
                }
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

    /// A datagram of frames that make some sense, in a session of its sender.
    fn frames(&mut self, dice: &mut Dice<'_>) {
        let sender = dice.sender();
        let mut frames = Vec::new();
        put_frames(dice, sender.0, &mut frames);
        if dice.byte() < 8 || self.in_session(sender, &[9]).is_none() {
            self.shake_hands(sender);
        }
        let Some(bytes) = self.in_session(sender, &frames) else { return };
        let from = if dice.byte() < 250 { u8::try_from(sender.0).unwrap_or(0) } else { 13 };
        self.receive(addr(from), &bytes);
        self.recorded.push(bytes);
        if self.recorded.len() > 16 {
            self.recorded.remove(0);
        }
    }

    /// Something that was sent before, from anywhere.
    fn send_again(&mut self, dice: &mut Dice<'_>) {
        let at = usize::from(dice.below(16));
        if let Some(bytes) = self.recorded.get(at).cloned() {
            self.receive(addr(dice.below(NODES)), &bytes);
        }
    }

    fn in_session(&mut self, sender: (u32, Incarnation), frames: &[u8]) -> Option<Vec<u8>> {
        self.others.get_mut(&sender)?.say(NodeId(ME), frames)
    }

    /// One of the others says hello, and is welcomed.
    fn shake_hands(&mut self, sender: (u32, Incarnation)) {
        let (node, incarnation) = sender;
        let now = self.now.monotonic;
        let place = addr(u8::try_from(node).unwrap_or(0));
        let other = self.others.entry(sender).or_insert_with(|| {
            let nonce = (u128::from(node) << 64 | u128::from(incarnation)).to_le_bytes();
            let start = Start { incarnation, nonce };
            OtherEnd::new(&Config::new(NodeId(node), start, KEY, 1), place, now)
        });
        let hello = other.hello(now, PeerAddr { node: NodeId(ME), addr: addr(1) });
        self.receive(place, &hello);
        self.recorded.push(hello);
        self.flush();
    }

    /// Takes what the node sends, and lets the others hear it.
    fn flush(&mut self) {
        let before = self.out.datagrams().count();
        self.node.flush(&mut self.out);
        let sent: Vec<(SocketAddr, Vec<u8>)> =
            self.out.datagrams().skip(before).map(|(to, bytes)| (to, bytes.to_vec())).collect();
        let mut answers = Vec::new();
        for (to, bytes) in sent {
            for other in self.others.values_mut().filter(|other| other.addr == to) {
                let said = other.hear(self.now.monotonic, addr(1), &bytes);
                answers.extend(said.into_iter().map(|bytes| (to, bytes)));
            }
        }
        for (from, bytes) in answers {
            self.receive(from, &bytes);
        }
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
        self.flush();
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
