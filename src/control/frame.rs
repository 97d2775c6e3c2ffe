//! Length-prefixed frames over a stream.

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crossbeam_channel::Receiver;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::FRAME_BYTES_MAX;
use crate::codec;

/// Reads one frame. Never reserves more than what has arrived, whatever the length claims.
///
/// # Errors
///
/// `UnexpectedEof` where the stream ended between two frames; `InvalidData` for what is no frame
/// of ours: too long, malformed, or broken off. Else what the system says; a timeout shows as
/// `WouldBlock` or `TimedOut`. The stream is of no further use then.
pub fn read<T: DeserializeOwned>(from: &mut impl Read) -> io::Result<T> {
    read_up_to(from, FRAME_BYTES_MAX)
}

/// As [`read`], but refuses a frame of more than `bytes_max` bytes.
///
/// # Errors
///
/// As for [`read`].
pub fn read_up_to<T: DeserializeOwned>(from: &mut impl Read, bytes_max: u32) -> io::Result<T> {
    // `read_to_end` goes on after a signal: a reader that was stopped (Ctrl-Z) and goes on has
    // missed nothing.
    let mut bytes = Vec::new();
    from.take(4).read_to_end(&mut bytes)?;
    let length = match bytes.first_chunk() {
        Some(length) => u32::from_le_bytes(*length),
        None if bytes.is_empty() => return Err(ErrorKind::UnexpectedEof.into()),
        None => return Err(ErrorKind::InvalidData.into()),
    };
    if length > bytes_max {
        return Err(ErrorKind::InvalidData.into());
    }
    bytes.clear();
    from.take(length.into()).read_to_end(&mut bytes)?;
    if bytes.len() != length as usize {
        return Err(ErrorKind::InvalidData.into());
    }
    codec::decode(&bytes).map_err(|_| ErrorKind::InvalidData.into())
}

/// Writes one frame in one piece.
///
/// # Errors
///
/// What the system says; `InvalidInput` for a value that is longer than a frame may be.
pub fn write<T: Serialize>(to: &mut impl Write, value: &T) -> io::Result<()> {
    write_all(to, std::slice::from_ref(value))
}

/// Writes several frames in one piece.
///
/// # Errors
///
/// As for [`write()`]; nothing was written if one of them is too long.
pub fn write_all<T: Serialize>(to: &mut impl Write, values: &[T]) -> io::Result<()> {
    let mut bytes = Vec::new();
    for value in values {
        let start = bytes.len();
        bytes.extend_from_slice(&[0; 4]);
        codec::encode_into(value, &mut bytes);
        let length = u32::try_from(bytes.len() - start - 4).unwrap_or(u32::MAX);
        if length > FRAME_BYTES_MAX {
            return Err(io::Error::new(ErrorKind::InvalidInput, "longer than a frame may be"));
        }
        bytes[start..start + 4].copy_from_slice(&length.to_le_bytes());
    }
    to.write_all(&bytes)
}

/// Reads from a stream until a deadline, however often something arrives before it: a peer that
/// sends a byte now and then cannot hold its reader for longer than two timeouts of the stream.
pub fn timed(stream: &mut TcpStream, time: Duration) -> impl Read {
    Timed { stream, over: crossbeam_channel::after(time) }
}

/// See [`timed`]. `T` is what the deadline's channel tells, which nobody asks for.
struct Timed<'a, T> {
    stream: &'a mut TcpStream,
    over: Receiver<T>,
}

impl<T> Read for Timed<'_, T> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.over.try_recv().is_ok() {
            return Err(ErrorKind::TimedOut.into());
        }
        self.stream.read(buffer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(from: &mut impl Read) -> ErrorKind {
        read::<String>(from).unwrap_err().kind()
    }

    #[test]
    fn a_frame_reads_back_and_the_end_is_told_from_a_break() {
        let mut bytes = Vec::new();
        write(&mut bytes, &"banana".to_string()).unwrap();
        let mut stream = &bytes[..];
        assert_eq!(read::<String>(&mut stream).unwrap(), "banana");
        assert_eq!(refusal(&mut stream), ErrorKind::UnexpectedEof);
        for end in 1..bytes.len() {
            assert_eq!(refusal(&mut &bytes[..end]), ErrorKind::InvalidData, "{end}");
        }
    }

    /// A stream that a signal comes upon at every other read.
    struct Signalled<'a>(&'a [u8], bool);

    impl Read for Signalled<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.1 = !self.1;
            if self.1 { Err(ErrorKind::Interrupted.into()) } else { self.0.read(buffer) }
        }
    }

    #[test]
    fn a_signal_breaks_no_frame() {
        let mut bytes = Vec::new();
        write(&mut bytes, &"banana".to_string()).unwrap();
        assert_eq!(read::<String>(&mut Signalled(&bytes, false)).unwrap(), "banana");
    }

    #[test]
    fn a_claim_beyond_the_limit_is_refused_at_once() {
        let claim = (FRAME_BYTES_MAX + 1).to_le_bytes();
        assert_eq!(refusal(&mut &claim[..]), ErrorKind::InvalidData);
        let long = "x".repeat(FRAME_BYTES_MAX as usize + 1);
        assert!(write(&mut Vec::new(), &long).is_err());
    }
}
