//! The logs of nodes, which lie beside the state and never grow beyond a limit.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::path::Path;

/// The most bytes in one log.
pub const LOG_BYTES_MAX: u64 = 1 << 20;

/// The first line of a log that was full and begins again.
const BEGUN_AGAIN: &[u8] = b"(the log was full and begins again here)\n";

/// Writes to a log that begins again when it is full.
///
/// The file must be open for appending, as a launched node's standard error is: then a panic, say,
/// that is written to it past this value comes after what is there. A terminal or a pipe is
/// written to as it is.
#[derive(Debug)]
pub struct CappedLog {
    file: File,
    bytes_max: u64,
    /// The bytes in the file; `None` if it is no regular file.
    bytes: Option<u64>,
}

impl CappedLog {
    /// Writes to `file`, which is open for appending.
    ///
    /// # Errors
    ///
    /// If the system does not say what kind of file it is.
    pub fn new(file: File, bytes_max: u64) -> io::Result<Self> {
        let metadata = file.metadata()?;
        let bytes = metadata.is_file().then_some(metadata.len());
        Ok(Self { file, bytes_max, bytes })
    }

    /// Writes to this process's standard error.
    ///
    /// # Errors
    ///
    /// If it is closed.
    pub fn stderr() -> io::Result<Self> {
        let stderr = io::stderr().as_fd().try_clone_to_owned()?;
        Self::new(File::from(stderr), LOG_BYTES_MAX)
    }
}

impl Write for CappedLog {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        let Some(bytes) = self.bytes else { return self.file.write(text) };
        let length = text.len() as u64;
        if bytes > 0 && bytes.saturating_add(length) > self.bytes_max {
            self.file.set_len(0)?;
            self.file.write_all(BEGUN_AGAIN)?;
            self.bytes = Some(BEGUN_AGAIN.len() as u64);
        }
        let written = self.file.write(text)?;
        self.bytes = self.bytes.map(|bytes| bytes + written as u64);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// The end of a log: its last `lines_max` lines, or as much of them as is in the last 4 KiB.
pub(in crate::network) fn tail(path: &Path, lines_max: usize) -> String {
    let text = fs::read(path).unwrap_or_default();
    let text = String::from_utf8_lossy(&text[text.len().saturating_sub(4_096)..]);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(lines_max)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::super::super::testing_state::TempDir;
    use super::*;

    fn open(path: &Path) -> File {
        File::options().create(true).append(true).open(path).unwrap()
    }

    #[test]
    fn a_full_log_begins_again_and_keeps_what_came_last() {
        let temp = TempDir::new();
        let path = temp.path().join("node-1.log");
        let mut log = CappedLog::new(open(&path), 200).unwrap();
        for line in 0..100 {
            writeln!(log, "line {line}").unwrap();
            assert!(fs::metadata(&path).unwrap().len() <= 200);
        }
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.starts_with("(the log was full"), "{text}");
        assert!(text.ends_with("line 99\n"), "{text}");
        assert!(!text.contains('\0'), "the file must be appended to, not written at an offset");
    }

    #[test]
    fn a_log_goes_on_where_an_earlier_node_left_it() {
        let temp = TempDir::new();
        let path = temp.path().join("node-1.log");
        fs::write(&path, "before\n").unwrap();
        let mut log = CappedLog::new(open(&path), 200).unwrap();
        log.write_all(b"after\n").unwrap();
        assert_eq!(tail(&path, 5), "before\nafter");
        assert_eq!(tail(&path, 1), "after");
        assert_eq!(tail(&temp.path().join("none"), 1), "");
    }
}
