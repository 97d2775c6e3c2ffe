//! The beginning and the end of a datagram: its sender, its session, its counter, and the tag.
//!
//! | Form | Fields after magic and version | Tagged with |
//! |---|---|---|
//! | hello | `00`, sender, incarnation, receiver, initiator's nonce | the network's key |
//! | welcome | `01`, sender, incarnation, receiver, initiator's nonce, responder's nonce | the session's key |
//! | opening | `02`, sender, incarnation, both nonces, counter, frames | the session's key |
//! | session | `03`, sender, session, counter, frames | the session's key |
//!
//! | Field | Encoding | Bytes | Why it is there |
//! |---|---|---|---|
//! | magic | `67 c5` | 2 | tells our datagrams from others', for us and for packet dissectors |
//! | version | `02` | 1 | any other is dropped and counted |
//! | form | one of the four above | 1 | most datagrams are of the shortest form |
//! | sender, receiver | varints | 1–5 | the receiver looks up the session by the sender |
//! | incarnation | varint | 1–9 | which start of the sender this is |
//! | nonces | raw | 16 each | what the session's key is made of: see [`super::sessions`] |
//! | session | raw | 4 | which of two sessions with the sender, before any hash is spent |
//! | counter | varint | 1–9 | counts up with each datagram of a session, so that each counts once |
//! | tag | BLAKE3, keyed, over all before it, first 16 bytes | 16 | keeps strangers out, and other sessions |
//!
//! This is bytes and back, and no behaviour. No key is known here: [`Sealed::is_tagged`] is handed one.
//! The version changes with any change of these bytes or of those of the frames, [`super::wire`].

use crate::datagram::codec;
use crate::ids::{Incarnation, NodeId, Origin};

/// The first two bytes of every datagram. Neither ASCII nor valid UTF-8, nor the start of any
/// common protocol.
pub const MAGIC: [u8; 2] = [0x67, 0xc5];
/// The third.
pub const VERSION: u8 = 2;
/// The length of the tag.
pub const TAG_BYTES: usize = 16;
/// The longest header: magic (2), version, form, sender (5), incarnation (9), nonces (32), counter (9).
pub(crate) const HEADER_BYTES_MAX: usize = 59;
/// The longest datagram that is taken apart. UDP carries no more, but other drivers might.
const DATAGRAM_BYTES_MAX: usize = u16::MAX as usize;

/// Bytes that one end of a handshake recognises as its own, made for one peer at one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Nonce(pub(crate) [u8; 16]);

/// The nonces of both ends of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Nonces {
    pub(crate) initiator: Nonce,
    pub(crate) responder: Nonce,
}

/// Tells the sessions of two nodes apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SessionId(pub(crate) [u8; 4]);

/// All that stands before the frames of a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Header {
    /// 0: I have no session with you, or an old one. Carries no frames.
    Hello { sender: Origin, receiver: NodeId, initiator: Nonce },
    /// 1: an answer to a hello. Carries no frames.
    Welcome { sender: Origin, receiver: NodeId, nonces: Nonces },
    /// 2: frames, and all that the receiver needs to make the session.
    Opening { sender: Origin, nonces: Nonces, counter: u64 },
    /// 3: frames in a session that both ends have.
    Session { sender: NodeId, session: SessionId, counter: u64 },
}

impl Header {
    /// The number of the node that sent it.
    pub(crate) fn sender(&self) -> NodeId {
        match self {
            Self::Hello { sender, .. }
            | Self::Welcome { sender, .. }
            | Self::Opening { sender, .. } => sender.node,
            Self::Session { sender, .. } => *sender,
        }
    }

    fn carries_frames(&self) -> bool {
        matches!(self, Self::Opening { .. } | Self::Session { .. })
    }
}

/// Why a datagram was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dropped {
    /// Too short, or not our magic.
    Magic,
    /// Our magic, another version.
    Version,
    /// It breaks the format.
    Malformed,
    /// It claims to come from this very node.
    Own,
    /// No session here is meant, or its nonces are not of this node, this address and this time.
    Session,
    /// It was here before, or it was overtaken long ago.
    Replayed,
    /// The tag is not of the key that it should be of.
    Tag,
    /// It did not come from the address of its session.
    Elsewhere,
    /// From an earlier incarnation of its sender.
    Stale,
    /// There is no room for another session.
    Refused,
}

/// A datagram whose header was read, and whose tag is yet to be checked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sealed<'a> {
    pub(crate) header: Header,
    pub(crate) frames: &'a [u8],
    signed: &'a [u8],
    tag: &'a [u8; TAG_BYTES],
}

impl Sealed<'_> {
    /// Whether the tag was made with this key.
    pub(crate) fn is_tagged(&self, key: &[u8; 32]) -> bool {
        // `blake3::Hash` compares in constant time; a truncated tag must do so by hand.
        let pairs = tag(self.signed, key).into_iter().zip(*self.tag);
        pairs.fold(0, |differing, (a, b)| differing | (a ^ b)) == 0
    }
}

/// Reads a header. Nothing in it is to be believed before the tag was checked.
pub(crate) fn read(bytes: &[u8]) -> Result<Sealed<'_>, Dropped> {
    if bytes.len() > DATAGRAM_BYTES_MAX {
        return Err(Dropped::Malformed);
    }
    // Cheap checks come first: a datagram of another program costs no hash.
    let rest = bytes.strip_prefix(&MAGIC).ok_or(Dropped::Magic)?;
    let (&version, _) = rest.split_first().ok_or(Dropped::Magic)?;
    // Before all else, which another version may have elsewhere.
    if version != VERSION {
        return Err(Dropped::Version);
    }
    let (signed, tag) = bytes
        .split_last_chunk::<TAG_BYTES>()
        // The tag must not overlap magic and version.
        .filter(|(signed, _)| signed.len() > MAGIC.len())
        .ok_or(Dropped::Magic)?;
    let mut rest = Rest(&signed[MAGIC.len() + 1..]);
    let header = rest.header().ok_or(Dropped::Malformed)?;
    let frames = rest.0;
    if header.carries_frames() == frames.is_empty() {
        return Err(Dropped::Malformed);
    }
    Ok(Sealed { header, frames, signed, tag })
}

/// The bytes that are not read yet.
struct Rest<'a>(&'a [u8]);

impl Rest<'_> {
    fn header(&mut self) -> Option<Header> {
        let [form] = self.raw()?;
        Some(match form {
            0 => Header::Hello {
                sender: self.origin()?,
                receiver: self.node()?,
                initiator: self.nonce()?,
            },
            1 => Header::Welcome {
                sender: self.origin()?,
                receiver: self.node()?,
                nonces: self.nonces()?,
            },
            2 => Header::Opening {
                sender: self.origin()?,
                nonces: self.nonces()?,
                counter: self.long()?,
            },
            3 => Header::Session {
                sender: self.node()?,
                session: SessionId(self.raw()?),
                counter: self.long()?,
            },
            _ => return None,
        })
    }

    fn raw<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*taken)
    }

    /// A node's number, which is never 0.
    fn node(&mut self) -> Option<NodeId> {
        let (number, used) = codec::decode_number(self.0).ok()?;
        self.0 = &self.0[used..];
        (number != 0).then_some(NodeId(number))
    }

    fn long(&mut self) -> Option<u64> {
        let (number, used) = codec::decode_prefix(self.0).ok()?;
        self.0 = &self.0[used..];
        Some(number)
    }

    /// An incarnation is never 0 either.
    fn origin(&mut self) -> Option<Origin> {
        let (node, incarnation): (NodeId, Incarnation) = (self.node()?, self.long()?);
        (incarnation != 0).then_some(Origin { node, incarnation })
    }

    fn nonce(&mut self) -> Option<Nonce> {
        self.raw().map(Nonce)
    }

    fn nonces(&mut self) -> Option<Nonces> {
        Some(Nonces { initiator: self.nonce()?, responder: self.nonce()? })
    }
}

/// Begins a datagram at the end of `to`.
pub(crate) fn write(header: &Header, to: &mut Vec<u8>) {
    to.extend_from_slice(&MAGIC);
    to.push(VERSION);
    match header {
        Header::Hello { sender, receiver, initiator } => {
            to.push(0);
            codec::encode_into(&(sender, receiver), to);
            to.extend_from_slice(&initiator.0);
        }
        Header::Welcome { sender, receiver, nonces } => {
            to.push(1);
            codec::encode_into(&(sender, receiver), to);
            to.extend_from_slice(&nonces.initiator.0);
            to.extend_from_slice(&nonces.responder.0);
        }
        Header::Opening { sender, nonces, counter } => {
            to.push(2);
            codec::encode_into(sender, to);
            to.extend_from_slice(&nonces.initiator.0);
            to.extend_from_slice(&nonces.responder.0);
            codec::encode_into(counter, to);
        }
        Header::Session { sender, session, counter } => {
            to.push(3);
            codec::encode_into(sender, to);
            to.extend_from_slice(&session.0);
            codec::encode_into(counter, to);
        }
    }
}

/// Ends the datagram that began at `start` with its tag.
pub(crate) fn seal(to: &mut Vec<u8>, start: usize, key: &[u8; 32]) {
    let tag = tag(&to[start..], key);
    to.extend_from_slice(&tag);
}

/// The first bytes of the keyed hash.
fn tag(bytes: &[u8], key: &[u8; 32]) -> [u8; TAG_BYTES] {
    let hash = blake3::keyed_hash(key, bytes);
    let mut tag = [0; TAG_BYTES];
    tag.copy_from_slice(&hash.as_bytes()[..TAG_BYTES]);
    tag
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const KEY: [u8; 32] = [7; 32];

    fn sealed(header: &Header, frames: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        write(header, &mut bytes);
        assert!(bytes.len() <= HEADER_BYTES_MAX, "{header:?}");
        bytes.extend_from_slice(frames);
        seal(&mut bytes, 0, &KEY);
        bytes
    }

    fn headers() -> impl Strategy<Value = Header> {
        let sender = (1u32.., 1u64..)
            .prop_map(|(node, incarnation)| Origin { node: NodeId(node), incarnation });
        let nonces = any::<([u8; 16], [u8; 16])>()
            .prop_map(|(a, b)| Nonces { initiator: Nonce(a), responder: Nonce(b) });
        (sender, nonces, 1u32.., any::<u64>(), any::<[u8; 4]>(), 0..4).prop_map(
            |(sender, nonces, receiver, counter, session, form)| match form {
                0 => Header::Hello {
                    sender,
                    receiver: NodeId(receiver),
                    initiator: nonces.initiator,
                },
                1 => Header::Welcome { sender, receiver: NodeId(receiver), nonces },
                2 => Header::Opening { sender, nonces, counter },
                _ => Header::Session { sender: sender.node, session: SessionId(session), counter },
            },
        )
    }

    #[test]
    fn a_session_datagram_is_these_bytes() {
        let header =
            Header::Session { sender: NodeId(9), session: SessionId([1, 2, 3, 4]), counter: 300 };
        let bytes = sealed(&header, &[9]);
        let (body, tag) = bytes.split_at(bytes.len() - TAG_BYTES);
        assert_eq!(body, [0x67, 0xc5, 2, 3, 9, 1, 2, 3, 4, 0xfb, 0x2c, 1, 9]);
        assert_eq!(tag, &blake3::keyed_hash(&KEY, body).as_bytes()[..16]);
    }

    #[test]
    fn each_kind_of_junk_is_dropped_for_its_reason() {
        let session = Header::Session { sender: NodeId(9), session: SessionId([0; 4]), counter: 0 };
        let good = sealed(&session, &[9]);
        let reason = |bytes: &[u8]| read(bytes).map(|_| ()).unwrap_err();
        assert_eq!(reason(b""), Dropped::Magic);
        assert_eq!(reason(b"GET / HTTP/1.1\r\n"), Dropped::Magic);
        assert_eq!(reason(&good[..10]), Dropped::Magic);
        for (at, value, why) in
            [(2, 1, Dropped::Version), (3, 4, Dropped::Malformed), (4, 0, Dropped::Malformed)]
        {
            let mut other = good.clone();
            other[at] = value;
            assert_eq!(reason(&other), why, "{value} at {at}");
        }
        assert_eq!(reason(&sealed(&session, &[])), Dropped::Malformed, "no frames");
        let most = DATAGRAM_BYTES_MAX - good.len() + 1;
        assert!(read(&sealed(&session, &vec![9; most])).is_ok());
        assert_eq!(reason(&sealed(&session, &vec![9; most + 1])), Dropped::Malformed);
        let hello = Header::Hello {
            sender: Origin { node: NodeId(9), incarnation: 1 },
            receiver: NodeId(8),
            initiator: Nonce([1; 16]),
        };
        assert!(read(&sealed(&hello, &[])).is_ok());
        assert_eq!(reason(&sealed(&hello, &[9])), Dropped::Malformed, "a hello with frames");
    }

    proptest! {
        #[test]
        fn headers_come_back_as_they_went(
            header in headers(), frames in prop::collection::vec(any::<u8>(), 1..20),
        ) {
            let frames = if header.carries_frames() { &frames[..] } else { &[] };
            let bytes = sealed(&header, frames);
            let read = read(&bytes).unwrap();
            prop_assert_eq!(read.header, header);
            prop_assert_eq!(read.frames, frames);
            prop_assert!(read.is_tagged(&KEY) && !read.is_tagged(&[8; 32]));
        }

        #[test]
        fn changed_datagrams_lose_their_tag(
            header in headers(), at in any::<prop::sample::Index>(), bit in 0u8..8,
        ) {
            let frames: &[u8] = if header.carries_frames() { &[9] } else { &[] };
            let mut bytes = sealed(&header, frames);
            let at = at.index(bytes.len());
            prop_assert!(read(&bytes[..at]).is_err() || !read(&bytes[..at]).unwrap().is_tagged(&KEY));
            bytes[at] ^= 1 << bit;
            prop_assert!(read(&bytes).is_err() || !read(&bytes).unwrap().is_tagged(&KEY));
        }

        #[test]
        fn rubbish_never_panics(body in prop::collection::vec(any::<u8>(), 0..120)) {
            let _ = read(&[&MAGIC[..], &[VERSION], &body].concat());
        }
    }
}
