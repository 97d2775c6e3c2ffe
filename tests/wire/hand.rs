//! Datagrams made and taken apart by hand, from the document alone.

use gossip::protocol::Key;

/// The document's key: the bytes 00 to 1f.
pub(crate) fn key() -> Key {
    Key(std::array::from_fn(|at| u8::try_from(at).unwrap()))
}

/// The document's launch.
pub(crate) const LAUNCH: [u8; 16] = *b"started together";

/// Bytes from hexadecimal digits; blanks are for the reader.
pub(crate) fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    assert_eq!(digits.len() % 2, 0, "{text}");
    digits.chunks(2).map(byte).collect()
}

/// A number as the format writes it.
pub(crate) fn varint(number: u64) -> Vec<u8> {
    let bytes = number.to_le_bytes();
    match number {
        0..=250 => vec![bytes[0]],
        251..=0xffff => [&[0xfb], &bytes[..2]].concat(),
        0x1_0000..=0xffff_ffff => [&[0xfc], &bytes[..4]].concat(),
        _ => [&[0xfd], &bytes[..]].concat(),
    }
}

/// Adds the tag.
pub(crate) fn tagged(key: &[u8; 32], mut bytes: Vec<u8>) -> Vec<u8> {
    let hash = blake3::keyed_hash(key, &bytes);
    bytes.extend_from_slice(&hash.as_bytes()[..16]);
    bytes
}

/// A node and its incarnation.
type Life = (u32, u64);

/// Both as varints.
fn life((node, incarnation): Life) -> Vec<u8> {
    [varint(node.into()), varint(incarnation)].concat()
}

/// A hello with any nonce: only the node that said it needs to know it again.
pub(crate) fn hello(sender: Life, receiver: u32, nonce: [u8; 16]) -> Vec<u8> {
    let bytes = [&hex("67c5 02 00")[..], &life(sender), &varint(receiver.into()), &nonce];
    tagged(&key().0, bytes.concat())
}

/// The session that a welcome makes, which must be in order.
pub(crate) fn welcomed(welcome: &[u8], sender: Life, receiver: Life, nonce: [u8; 16]) -> Session {
    let before = [&hex("67c5 02 01")[..], &life(sender), &varint(receiver.0.into()), &nonce];
    let before = before.concat();
    let (body, _) = welcome.split_at(welcome.len() - 16);
    let responder = body.strip_prefix(&before[..]).unwrap();
    let session = Session::agreed(receiver, sender, nonce, responder.try_into().unwrap());
    assert_eq!(tagged(&session.key, body.to_vec()), welcome);
    session
}

/// A session, as both its ends have it.
#[derive(Clone, Debug)]
pub(crate) struct Session {
    pub(crate) key: [u8; 32],
    pub(crate) id: [u8; 4],
    nonces: [[u8; 16]; 2],
}

impl Session {
    /// The case that follows from these bytes.
    fn of(words: &[&[u8]]) -> Self {
        let mut hasher = blake3::Hasher::new_keyed(&key().0);
        hasher.update(&words.concat());
        let mut bytes = [0; 36];
        hasher.finalize_xof().fill(&mut bytes);
        let (key, id) = bytes.split_at(32);
        Self { key: key.try_into().unwrap(), id: id.try_into().unwrap(), nonces: [[0; 16]; 2] }
    }

    /// Of two nodes that were launched together, in their first incarnation.
    pub(crate) fn launched(a: u32, b: u32) -> Self {
        let (low, high) = (a.min(b).to_le_bytes(), a.max(b).to_le_bytes());
        let incarnation = 1u64.to_le_bytes();
        Self::of(&[b"gossip-network 2026 launch v2", &LAUNCH, &low, &high, &incarnation])
    }

    /// Made by a handshake.
    pub(crate) fn agreed(
        initiator: Life,
        responder: Life,
        said: [u8; 16],
        answered: [u8; 16],
    ) -> Self {
        let end = |(node, incarnation): Life| {
            [&node.to_le_bytes()[..], &incarnation.to_le_bytes()].concat()
        };
        let (first, second) = (end(initiator), end(responder));
        let words: [&[u8]; 5] =
            [b"gossip-network 2026 session v2", &first, &second, &said, &answered];
        Self { nonces: [said, answered], ..Self::of(&words) }
    }

    /// Frames, once both ends have the session.
    pub(crate) fn datagram(&self, sender: u32, counter: u64, frames: &[u8]) -> Vec<u8> {
        let header =
            [&hex("67c5 02 03")[..], &varint(sender.into()), &self.id, &varint(counter)].concat();
        tagged(&self.key, [&header, frames].concat())
    }

    /// Frames, while the other end may not have the session.
    pub(crate) fn opening(&self, sender: Life, counter: u64, frames: &[u8]) -> Vec<u8> {
        let nonces = self.nonces.concat();
        let header = [&hex("67c5 02 02")[..], &life(sender), &nonces, &varint(counter)].concat();
        tagged(&self.key, [&header, frames].concat())
    }

    /// The frames of a datagram, which must be in order.
    pub(crate) fn opened<'a>(&self, sender: u32, counter: u64, bytes: &'a [u8]) -> &'a [u8] {
        let header = self.datagram(sender, counter, &[]).len() - 16;
        let frames = &bytes[header..bytes.len() - 16];
        assert_eq!(self.datagram(sender, counter, frames), bytes);
        frames
    }
}
