//! The body of the fuzz target for the control format; see `protocol::fuzzing`.

use super::{Hello, Request, Response, frame};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt::Debug;

/// A stream of frames is refused or read; each value read is written and read again the same.
pub fn control(data: &[u8]) {
    frames_of::<Hello>(data);
    frames_of::<Request>(data);
    frames_of::<Response>(data);
}

fn frames_of<T: DeserializeOwned + Serialize + Debug>(data: &[u8]) {
    // As they come, and with a length in front that fits.
    let mut framed = u32::try_from(data.len()).unwrap_or(u32::MAX).to_le_bytes().to_vec();
    framed.extend_from_slice(data);
    for mut stream in [data, &framed] {
        while let Ok(value) = frame::read::<T>(&mut stream) {
            let mut again = Vec::new();
            frame::write(&mut again, &value).expect("a value that was read can be written");
            let reread = frame::read::<T>(&mut &again[..]).expect("and read again");
            // By what it shows: a probability may be no number, and does not equal itself then.
            assert_eq!(format!("{reread:?}"), format!("{value:?}"));
        }
    }
}
