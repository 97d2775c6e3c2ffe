//! The one place that knows bincode.
//!
//! Everything that travels, between nodes or to a control port, is encoded and decoded here, so
//! that the format library can be replaced in a day. `config::standard()` means little endian
//! with integers of variable length: one byte up to 250, then a marker and 2, 4 or 8 bytes.
//! Decoding is always bounded (without a limit a ten-byte input that claims 2⁶⁰ elements ends
//! the process) and says how much it consumed.

use serde::Serialize;
use serde::de::{Deserialize, DeserializeOwned};

/// The most memory one decoded value may claim: bincode counts elements × their size in
/// memory, which exceeds the encoded size, so this is larger than any frame we accept.
const DECODED_BYTES_MAX: usize = 16 << 20;

const FORMAT: bincode::config::Configuration<
    bincode::config::LittleEndian,
    bincode::config::Varint,
    bincode::config::Limit<DECODED_BYTES_MAX>,
> = bincode::config::standard().with_limit::<DECODED_BYTES_MAX>();

/// The bytes are not what they were taken for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// They end too early, claim too much, or break the format.
    #[error("the bytes break the format")]
    Malformed,
    /// They go on after the value.
    #[error("there are bytes after the end")]
    Trailing,
}

/// Appends the encoding of `value` to `to`.
///
/// # Panics
///
/// Never for the types of this crate: encoding into memory fails only for values that serde
/// cannot describe, such as a sequence of unknown length.
pub fn encode_into<T: Serialize>(value: &T, to: &mut Vec<u8>) {
    bincode::serde::encode_into_std_write(value, to, FORMAT)
        .expect("our types encode into memory without failing");
}

/// The encoding of `value`.
#[must_use]
pub fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode_into(value, &mut bytes);
    bytes
}

/// Decodes one value from the start of `bytes`, which it may borrow from, and says how many
/// bytes it took.
///
/// # Errors
///
/// [`DecodeError::Malformed`] if there is no such value.
pub fn decode_prefix<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<(T, usize), DecodeError> {
    bincode::serde::borrow_decode_from_slice(bytes, FORMAT).map_err(|_| DecodeError::Malformed)
}

/// The number at the start of `bytes`, and how many bytes it took: what [`decode_prefix`] says,
/// with nothing to call where it is a single byte.
///
/// # Errors
///
/// [`DecodeError::Malformed`] if there is no such number.
pub fn decode_number(bytes: &[u8]) -> Result<(u32, usize), DecodeError> {
    match bytes {
        // Most node numbers are this small, and each copy has one for every hop.
        [byte @ 0..=250, ..] => Ok((u32::from(*byte), 1)),
        _ => decode_prefix(bytes),
    }
}

/// Decodes one value that fills `bytes` to the last.
///
/// # Errors
///
/// Either kind of [`DecodeError`].
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, DecodeError> {
    let (value, used) =
        bincode::serde::decode_from_slice(bytes, FORMAT).map_err(|_| DecodeError::Malformed)?;
    if used == bytes.len() { Ok(value) } else { Err(DecodeError::Trailing) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_of_enormous_length_is_refused_without_reserving_it() {
        let mut claim = vec![253];
        claim.extend_from_slice(&(1u64 << 60).to_le_bytes());
        assert_eq!(decode::<Vec<u64>>(&claim), Err(DecodeError::Malformed));
        assert_eq!(decode::<String>(&claim), Err(DecodeError::Malformed));
    }

    #[test]
    fn bytes_after_the_end_are_refused() {
        let mut bytes = encode(&7u32);
        assert_eq!(decode::<u32>(&bytes), Ok(7));
        bytes.push(0);
        assert_eq!(decode::<u32>(&bytes), Err(DecodeError::Trailing));
    }

    #[test]
    fn one_number_has_several_encodings() {
        // Why messages are told apart by id, never by bytes.
        assert_eq!(decode::<u32>(&[7]), Ok(7));
        assert_eq!(decode::<u32>(&[251, 7, 0]), Ok(7));
        assert_eq!(decode::<u32>(&[252, 7, 0, 0, 0]), Ok(7));
        for bytes in [&[7][..], &[251, 7, 0], &[252, 7, 0, 0, 0], &[250, 1], &[251], &[253], &[]] {
            assert_eq!(decode_number(bytes), decode_prefix::<u32>(bytes), "{bytes:?}");
        }
    }
}
