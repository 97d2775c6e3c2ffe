//! Inputs that fuzzers make up: choices read from bytes, and frames that make some sense.

use std::net::SocketAddr;
use std::time::Duration;

use crate::datagram::codec;
use crate::datagram::header::Nonce;
use crate::datagram::path;
use crate::datagram::wire::{
    BackPressure, Beat, Component, Frame, Neighbours, Offer, Page, Ranges, Rumor, Summary,
};
use crate::faults::{Effect, FaultRule};
use crate::ids::set::{Account, IdRange};
use crate::ids::{Incarnation, MessageId, NodeId, PeerAddr};
use crate::time::Wall;

/// Others that are spoken of, so that what is made up now and then fits together.
pub(super) const NODES: u8 = 12;

/// Reads choices from bytes; zeros when they are used up.
pub(super) struct Dice<'a>(pub(super) &'a [u8]);

impl<'a> Dice<'a> {
    pub(super) fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    pub(super) fn below(&mut self, limit: u8) -> u8 {
        self.byte() % limit.max(1)
    }

    pub(super) fn flag(&mut self) -> bool {
        self.byte() & 1 == 1
    }

    pub(super) fn bytes(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(count.min(self.0.len()));
        self.0 = rest;
        taken
    }

    pub(super) fn number(&mut self) -> u64 {
        let mut bytes = [0; 8];
        let taken = self.bytes(8);
        bytes[..taken.len()].copy_from_slice(taken);
        u64::from_le_bytes(bytes)
    }

    /// Mostly small numbers, now and then any.
    pub(super) fn odd_number(&mut self) -> u64 {
        match self.byte() {
            byte @ 0..=239 => u64::from(byte % 40),
            240..=247 => u64::MAX - u64::from(self.byte()),
            _ => self.number(),
        }
    }

    pub(super) fn odd_u32(&mut self) -> u32 {
        u32::try_from(self.odd_number() & u64::from(u32::MAX)).unwrap_or(0)
    }

    pub(super) fn several<T>(&mut self, most: u8, mut one: impl FnMut(&mut Self) -> T) -> Vec<T> {
        (0..self.below(most + 1)).map(|_| one(self)).collect()
    }

    pub(super) fn peer(&mut self) -> PeerAddr {
        let node = match self.byte() {
            250.. => self.odd_u32(),
            byte => 1 + u32::from(byte % NODES),
        };
        PeerAddr { node: NodeId(node), addr: addr(self.below(NODES + 1)) }
    }

    /// One of the other nodes, and one of its first incarnations.
    pub(super) fn sender(&mut self) -> (u32, Incarnation) {
        (1 + u32::from(self.below(NODES)), 1 + Incarnation::from(self.byte() / 85))
    }

    pub(super) fn nonce(&mut self) -> Nonce {
        let mut nonce = [0; 16];
        let taken = self.bytes(16);
        nonce[..taken.len()].copy_from_slice(taken);
        Nonce(nonce)
    }

    pub(super) fn message(&mut self) -> MessageId {
        let node = u32::from(self.below(NODES));
        let sequence = self.odd_number();
        MessageId::new(node, u64::from(self.below(3)), sequence)
    }

    pub(super) fn range(&mut self) -> IdRange {
        let first = self.message();
        IdRange { origin: first.origin, first: first.sequence, more: self.odd_number() }
    }

    pub(super) fn summary(&mut self) -> Summary {
        let account = Account { count: self.odd_number(), fingerprint: self.odd_number() };
        Summary { account, recent: self.several(6, Self::range) }
    }

    pub(super) fn page(&mut self) -> Page {
        Page { first: self.message(), end: self.flag().then(|| self.message()) }
    }

    pub(super) fn duration(&mut self) -> Duration {
        match self.byte() {
            255 => Duration::MAX,
            250..=254 => Duration::from_nanos(self.number()),
            byte => Duration::from_millis(u64::from(byte)),
        }
    }

    pub(super) fn chance(&mut self) -> f64 {
        match self.byte() {
            255 => f64::NAN,
            254 => f64::INFINITY,
            253 => -1.0,
            byte => f64::from(byte % 128) / 127.0,
        }
    }

    pub(super) fn rule(&mut self) -> FaultRule {
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

/// Where a node is.
pub(super) fn addr(node: u8) -> SocketAddr {
    ([127, 0, 0, 1], 7_000 + u16::from(node)).into()
}

/// Appends a few frames.
pub(super) fn put_frames(dice: &mut Dice<'_>, sender: u32, to: &mut Vec<u8>) {
    for _ in 0..=dice.below(4) {
        put_frame(dice, sender, to);
    }
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
