//! Frames: what datagrams carry, to bytes and back. No behaviour.
//!
//! A datagram is a header (see [`super::header`]), one or more frames back to back, and a tag. A frame is a varint for
//! its kind, then its fields, as [`Frame`] and the types below declare them.
//!
//! A varint is bincode 2's: one byte up to 250; `fb` and two bytes, `fc` and four, `fd` and
//! eight, little endian. A list or string is its length as a varint and its parts. Full datagrams, byte by
//! byte, stand in `docs/wire-format.md`, and `tests/wire.rs` holds both to the code.

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use crate::config::RELAYS_MAX;
use crate::datagram::codec;
use crate::datagram::header::{HEADER_BYTES_MAX, TAG_BYTES};
use crate::datagram::path;
use crate::ids::set::{Account, IdRange};
use crate::ids::{MessageId, NodeId, Origin, PeerAddr};
use crate::time::Wall;

/// The bytes of a datagram with one rumor, payload and path aside, at most: header, tag, and of the frame its kind
/// (1), id (23), time (9), relays, flag (2), hops (5), lengths (10).
pub(crate) const RUMOR_OVERHEAD_BYTES_MAX: usize = HEADER_BYTES_MAX + TAG_BYTES + 50;

/// The most frames that memory is reserved for before they are decoded.
const FRAMES_FORESEEN_MAX: usize = 256;

/// The kind of a rumor, as it is encoded.
const RUMOR: u8 = 0;

/// One copy of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Rumor<'a> {
    /// Its name.
    pub(crate) id: MessageId,
    /// When its origin accepted it.
    pub(crate) sent_at: Wall,
    /// The copies a node may send on each link.
    pub(crate) relays: u8,
    /// This copy, or one it descends from, was asked for: its timing says nothing about links.
    pub(crate) repaired: bool,
    /// The links it crossed when it arrives.
    pub(crate) hops: u32,
    /// The nodes it passed, origin first, sender last: see [`crate::datagram::path`].
    pub(crate) path: &'a [u8],
    /// The payload.
    pub(crate) payload: &'a [u8],
}

/// What a node knows, in brief: compared with what the receiver knows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Summary {
    /// All ids known, held or gone, but the recent ones.
    pub(crate) account: Account,
    /// The ids that flooded in lately: they may still be on their way to the receiver.
    pub(crate) recent: Vec<IdRange>,
}

/// A node's links as it tells its neighbours, so that they can close ranks without it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Neighbours {
    /// Counted up with each change.
    pub(crate) version: u32,
    /// The node has more links than it began with, and could spare one.
    pub(crate) spare: bool,
    /// In the order in which they would link up along a path.
    pub(crate) list: Vec<PeerAddr>,
}

/// A heartbeat: the sender regards the receiver as its neighbour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Beat {
    /// The sender was not yet told that the receiver thinks so too, and asks for it.
    pub(crate) asking: bool,
    /// [`Neighbours::version`] of the sender.
    pub(crate) version: u32,
    /// The latest version of the receiver's neighbours that the sender has seen; 0 for none.
    pub(crate) seen: u32,
    /// How long ago the sender last heard from the receiver, in milliseconds; `None`: never.
    pub(crate) heard: Option<u32>,
}

/// The name of the sender's component of the overlay: see `membership::partition`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Component {
    /// The node that gave it the name.
    pub(crate) root: Origin,
    /// Counted up by that node: the latest that the sender has seen.
    pub(crate) beat: u32,
    /// The sender has gone by this name for a while.
    pub(crate) stable: bool,
}

/// A request to all nodes to accept no new texts for a moment: see `broadcast::back_pressure`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct BackPressure {
    /// Its index among such frames, as far as its author knew.
    pub(crate) wave: u64,
}

/// One unit inside a datagram.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Frame<'a> {
    /// 0: a copy of a message.
    #[serde(borrow)]
    Rumor(Rumor<'a>),
    /// 1: do you have these? Sent when no copy came back in time.
    Have(Vec<IdRange>),
    /// 2: I have these.
    Got(Vec<IdRange>),
    /// 3: send me these.
    Want(Vec<IdRange>),
    /// 4: what I know in brief.
    Summary(Summary),
    /// 5: all ids I know; an answer to a summary that differs. Boxed, as is the next: rare and
    /// large, they would make every frame large.
    Ranges(Box<Ranges>),
    /// 6: what I hold and you don't know; an answer to ranges.
    Offer(Box<Offer>),
    /// 7: heartbeat to a neighbour.
    Beat(Beat),
    /// 8: my links.
    Neighbours(Neighbours),
    /// 9: you are no longer my neighbour.
    Unlink,
    /// 10: I am leaving the network.
    Leave,
    /// 11: are you there? To be answered, on behalf of a third node where one is named.
    Probe { on_behalf_of: Option<PeerAddr> },
    /// 12: I am here.
    Answer { on_behalf_of: Option<PeerAddr> },
    /// 13: please probe this node for me.
    ProbeFor { target: PeerAddr },
    /// 14: I heard from this node just now.
    Vouch { node: NodeId },
    /// 15: some nodes I know of, for some that you know of (Cyclon's shuffle).
    Shuffle { nodes: Vec<PeerAddr>, answer: bool },
    /// 16: the name that my component of the overlay goes by.
    Component(Component),
    /// 17: some node cannot keep up: accept no new texts for a moment.
    BackPressure(BackPressure),
    /// 18: I do not hold these, which you asked me for.
    Lacks(Vec<IdRange>),
}

/// All ids known to the sender from `page.first` on, as far as one frame goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Ranges {
    /// As if sent by itself at the same time.
    pub(crate) summary: Summary,
    /// What part of all ids this lists.
    pub(crate) page: Page,
    /// Ids whose messages the sender holds.
    pub(crate) held: Vec<IdRange>,
    /// Ids it knows, and whose messages it evicted.
    pub(crate) gone: Vec<IdRange>,
}

/// What the receiver of a listing holds and its sender doesn't know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Offer {
    /// As if sent by itself at the same time.
    pub(crate) summary: Summary,
    /// The page of the listing that this answers.
    pub(crate) page: Page,
    /// The answering node lacks something that was listed, and asks for it.
    pub(crate) wanting: bool,
    /// The ids.
    pub(crate) held: Vec<IdRange>,
}

/// A part of all ids: from one on, up to and without another, or to the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Page {
    pub(crate) first: MessageId,
    pub(crate) end: Option<MessageId>,
}

/// The frames of one datagram.
pub(crate) type Frames<'a> = SmallVec<[Frame<'a>; 1]>;

/// All frames of a datagram of this sender; `None` if any of them breaks the format.
pub(crate) fn parse(sender: NodeId, bytes: &[u8]) -> Option<Frames<'_>> {
    let mut rest = bytes;
    let mut frames = SmallVec::new();
    while !rest.is_empty() {
        // A right tag shows that a member sent this, not that it is sound.
        let (frame, used) = decode_frame(rest)?;
        if !frame.is_sound(sender) {
            return None;
        }
        rest = &rest[used..];
        if frames.is_empty() && matches!(frame, Frame::Rumor(_)) {
            // Rumors mostly come in rows, and are about as long as the first.
            frames.reserve((1 + rest.len() / used).min(FRAMES_FORESEEN_MAX));
        }
        frames.push(frame);
    }
    (!frames.is_empty()).then_some(frames)
}

/// The frame at the start of `bytes`, and how many of them it took.
fn decode_frame(bytes: &[u8]) -> Option<(Frame<'_>, usize)> {
    // Nearly all frames are rumors, and all nodes further on wait for each: so they are decoded
    // without the general `match` over all kinds.
    if let [RUMOR, rest @ ..] = bytes {
        let (rumor, used) = codec::decode_prefix(rest).ok()?;
        return Some((Frame::Rumor(rumor), 1 + used));
    }
    codec::decode_prefix(bytes).ok()
}

impl Frame<'_> {
    /// Whether it says that a node lives, or that a link works.
    pub(crate) fn shows_life(&self) -> bool {
        matches!(self, Self::Beat(_) | Self::Answer { .. } | Self::Vouch { .. })
    }

    /// What the encoding alone does not ensure.
    fn is_sound(&self, sender: NodeId) -> bool {
        // Ranges that run over the end of numbers, and nodes with the number 0, are never sent.
        let sound = |ranges: &[IdRange]| ranges.iter().all(|range| range.last().is_some());
        let peers = |peers: &[PeerAddr]| peers.iter().all(|peer| peer.node != NodeId(0));
        match self {
            Self::Rumor(rumor) => rumor.is_sound(sender),
            Self::Have(ids) | Self::Got(ids) | Self::Want(ids) | Self::Lacks(ids) => sound(ids),
            Self::Summary(summary) => sound(&summary.recent),
            Self::Ranges(ranges) => {
                sound(&ranges.summary.recent) && sound(&ranges.held) && sound(&ranges.gone)
            }
            Self::Offer(offer) => sound(&offer.summary.recent) && sound(&offer.held),
            Self::Neighbours(neighbours) => peers(&neighbours.list),
            Self::Shuffle { nodes, .. } => peers(nodes),
            Self::ProbeFor { target } => peers(&[*target]),
            Self::Probe { on_behalf_of } | Self::Answer { on_behalf_of } => {
                on_behalf_of.is_none_or(|peer| peers(&[peer]))
            }
            Self::Vouch { node } => *node != NodeId(0),
            Self::Component(root) => root.root.node != NodeId(0),
            Self::Beat(_) | Self::Unlink | Self::Leave | Self::BackPressure(_) => true,
        }
    }
}

impl Rumor<'_> {
    /// Its numbers are in range, and its path leads from its origin to its sender in as many
    /// hops as it claims.
    fn is_sound(&self, sender: NodeId) -> bool {
        let Some(path) = path::check(self.path) else { return false };
        // A cut path names fewer nodes than the copy crossed links; how many, nobody can check.
        let hops_fit = if path.cut { self.hops > path.nodes } else { self.hops == path.nodes };
        self.id.sequence != 0
            && self.id.origin.node != NodeId(0)
            && (1..=RELAYS_MAX).contains(&self.relays)
            && !self.payload.is_empty()
            && hops_fit
            && path.first == self.id.origin.node
            && path.last == sender
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn encoded(frames: &[Frame<'_>]) -> Vec<u8> {
        let mut bytes = Vec::new();
        frames.iter().for_each(|frame| codec::encode_into(frame, &mut bytes));
        bytes
    }

    fn rumor<'a>(path: &'a [u8], text: &'a str) -> Rumor<'a> {
        Rumor {
            id: MessageId::new(8, 1, 1),
            sent_at: Wall(1_700_000_000_123_456_789),
            relays: 3,
            repaired: false,
            hops: u32::try_from(path.len()).unwrap(),
            path,
            payload: text.as_bytes(),
        }
    }

    #[test]
    fn a_rumor_is_these_bytes() {
        let bytes = encoded(&[Frame::Rumor(rumor(&[8, 9], "banana"))]);
        let hex: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(hex, "00080101fd15cd853dfe9c97170300020208090662616e616e61");
    }

    #[test]
    fn a_rumor_must_lead_from_its_origin_to_its_sender() {
        let parsed = |sender, rumor| {
            parse(NodeId(sender), &encoded(&[Frame::Rumor(rumor)])).map(|frames| frames.len())
        };
        let good = rumor(&[8, 9], "banana");
        assert_eq!(parsed(9, good), Some(1));
        assert_eq!(parsed(10, good), None, "not from its sender");
        for bad in [
            Rumor { path: &[7, 9], ..good },
            Rumor { path: &[], hops: 0, ..good },
            Rumor { hops: 3, ..good },
            Rumor { relays: 0, ..good },
            Rumor { relays: 17, ..good },
            Rumor { payload: b"", ..good },
            Rumor { id: MessageId::new(8, 1, 0), ..good },
        ] {
            assert_eq!(parsed(9, bad), None, "{bad:?}");
        }
        let of_nobody = Rumor { id: MessageId::new(0, 1, 1), path: &[0, 9], hops: 40, ..good };
        assert_eq!(parsed(9, of_nobody), None, "node 0 looks like a cut");
        let cut = Rumor { path: &[8, 0, 9], hops: 40, ..good };
        assert_eq!(parsed(9, cut), Some(1));
    }

    fn id_range() -> impl Strategy<Value = IdRange> {
        (1u32..1000, 1u64..1 << 60, 1u64..1 << 40, 0u64..1000).prop_map(
            |(node, incarnation, first, more)| IdRange {
                origin: Origin { node: NodeId(node), incarnation },
                first,
                more,
            },
        )
    }

    fn peer() -> impl Strategy<Value = PeerAddr> {
        (1u32.., any::<u32>(), any::<u16>()).prop_map(|(node, ip, port)| PeerAddr {
            node: NodeId(node),
            addr: (std::net::Ipv4Addr::from(ip), port).into(),
        })
    }

    fn summary() -> impl Strategy<Value = Summary> {
        (any::<u64>(), any::<u64>(), prop::collection::vec(id_range(), 0..5)).prop_map(
            |(count, fingerprint, recent)| Summary {
                account: Account { count, fingerprint },
                recent,
            },
        )
    }

    fn frame() -> impl Strategy<Value = Frame<'static>> {
        let ids = || prop::collection::vec(id_range(), 0..9);
        let page = Page { first: MessageId::new(0, 0, 0), end: None };
        prop_oneof![
            ids().prop_map(Frame::Have),
            ids().prop_map(Frame::Got),
            ids().prop_map(Frame::Want),
            ids().prop_map(Frame::Lacks),
            summary().prop_map(Frame::Summary),
            (summary(), ids(), ids()).prop_map(move |(summary, held, gone)| {
                Frame::Ranges(Box::new(Ranges { summary, page, held, gone }))
            }),
            (summary(), any::<bool>(), ids()).prop_map(move |(summary, wanting, held)| {
                Frame::Offer(Box::new(Offer { summary, page, wanting, held }))
            }),
            (any::<bool>(), any::<u32>(), any::<u32>(), any::<Option<u32>>()).prop_map(
                |(asking, version, seen, heard)| Frame::Beat(Beat { asking, version, seen, heard })
            ),
            (any::<u32>(), any::<bool>(), prop::collection::vec(peer(), 0..5)).prop_map(
                |(version, spare, list)| Frame::Neighbours(Neighbours { version, spare, list })
            ),
            Just(Frame::Unlink),
            Just(Frame::Leave),
            prop::option::of(peer()).prop_map(|on_behalf_of| Frame::Probe { on_behalf_of }),
            prop::option::of(peer()).prop_map(|on_behalf_of| Frame::Answer { on_behalf_of }),
            peer().prop_map(|target| Frame::ProbeFor { target }),
            (1u32..).prop_map(|node| Frame::Vouch { node: NodeId(node) }),
            (prop::collection::vec(peer(), 0..9), any::<bool>())
                .prop_map(|(nodes, answer)| Frame::Shuffle { nodes, answer }),
            (1u32.., any::<u64>(), any::<u32>(), any::<bool>()).prop_map(
                |(node, incarnation, beat, stable)| {
                    let root = Origin { node: NodeId(node), incarnation };
                    Frame::Component(Component { root, beat, stable })
                }
            ),
            Just(Frame::Rumor(rumor(&[8, 9], "banana"))),
        ]
    }

    proptest! {
        #[test]
        fn frames_come_back_as_they_went(frames in prop::collection::vec(frame(), 1..9)) {
            let bytes = encoded(&frames);
            let parsed = parse(NodeId(9), &bytes).unwrap();
            prop_assert_eq!(parsed.as_slice(), frames.as_slice());
        }

        #[test]
        fn truncated_frames_are_refused(
            frames in prop::collection::vec(frame(), 1..5), by in 1usize..9,
        ) {
            let last = encoded(&frames[frames.len() - 1..]).len();
            let mut bytes = encoded(&frames);
            // Not as far as the end of the frame before.
            bytes.truncate(bytes.len() - by.min(last - 1).max(usize::from(last == 1)));
            let whole = last == 1 && frames.len() > 1;
            prop_assert_eq!(parse(NodeId(9), &bytes).is_some(), whole);
        }

        #[test]
        fn rubbish_never_panics(body in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = parse(NodeId(9), &body);
        }
    }
}
