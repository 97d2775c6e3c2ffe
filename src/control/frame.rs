//! Length-prefixed frames over a stream.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crossbeam_channel::Receiver;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::FRAME_BYTES_MAX;
use crate::codec;

/// Why no frame came.
#[derive(Debug)]
pub enum ReadError {
    /// The stream ended between two frames.
    Closed,
    /// It is no frame of ours: too long, malformed, or broken off.
    Rubbish,
    /// The system said so; a timeout shows as `WouldBlock` or `TimedOut`.
    Io(io::Error),
}

/// Reads one frame. Never reserves more than what has arrived, whatever the length claims.
///
/// # Errors
///
/// [`ReadError`]; the stream is of no further use then.
pub fn read<T: DeserializeOwned>(from: &mut impl Read) -> Result<T, ReadError> {
    read_up_to(from, FRAME_BYTES_MAX)
}

/// As [`read`], of at most so many bytes.
///
/// # Errors
///
/// As for [`read`].
pub fn read_up_to<T: DeserializeOwned>(
    from: &mut impl Read,
    bytes_max: u32,
) -> Result<T, ReadError> {
    let mut length = [0; 4];
    match read_some(from, &mut length).map_err(ReadError::Io)? {
        0 => return Err(ReadError::Closed),
        read => from.read_exact(&mut length[read..]).map_err(broken)?,
    }
    let length = u32::from_le_bytes(length);
    if length > bytes_max {
        return Err(ReadError::Rubbish);
    }
    let mut bytes = Vec::new();
    from.take(u64::from(length)).read_to_end(&mut bytes).map_err(ReadError::Io)?;
    if bytes.len() != length as usize {
        return Err(ReadError::Rubbish);
    }
    codec::decode(&bytes).map_err(|_| ReadError::Rubbish)
}

/// Reads what is there, or waits for it. A signal is no answer: after Ctrl-C it is for whoever
/// asked to decide whether to wait on; and one that was stopped (Ctrl-Z) and goes on has missed
/// nothing.
fn read_some(from: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match from.read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            read => return read,
        }
    }
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
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "longer than a frame may be"));
        }
        bytes[start..start + 4].copy_from_slice(&length.to_le_bytes());
    }
    to.write_all(&bytes)
}

/// Reads from a stream until a deadline, however often something arrives before it: who sends a
/// byte now and then cannot hold its reader for longer than two timeouts of the stream.
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
            return Err(io::ErrorKind::TimedOut.into());
        }
        self.stream.read(buffer)
    }
}

/// A stream that breaks off inside a frame is not one of ours.
fn broken(error: io::Error) -> ReadError {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => ReadError::Rubbish,
        _ => ReadError::Io(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_reads_back_and_the_end_is_told_from_a_break() {
        let mut bytes = Vec::new();
        write(&mut bytes, &"banana".to_string()).unwrap();
        let mut stream = &bytes[..];
        assert_eq!(read::<String>(&mut stream).unwrap(), "banana");
        assert!(matches!(read::<String>(&mut stream), Err(ReadError::Closed)));
        for end in 1..bytes.len() {
            assert!(matches!(read::<String>(&mut &bytes[..end]), Err(ReadError::Rubbish)), "{end}");
        }
    }

    /// A stream that a signal comes upon at every other read.
    struct Signalled<'a>(&'a [u8], bool);

    impl Read for Signalled<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.1 = !self.1;
            if self.1 { Err(io::ErrorKind::Interrupted.into()) } else { self.0.read(buffer) }
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
        assert!(matches!(read::<String>(&mut &claim[..]), Err(ReadError::Rubbish)));
        let long = "x".repeat(FRAME_BYTES_MAX as usize + 1);
        assert!(write(&mut Vec::new(), &long).is_err());
    }
}
