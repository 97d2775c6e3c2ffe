//! What the unit tests of this module share: directories and processes that go when they do.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::{ProcessId, StateDir};
use crate::protocol::Monotonic;
use crate::runtime::clock;

/// A deadline that no healthy machine reaches.
pub(super) fn soon() -> Monotonic {
    clock::now().monotonic + Duration::from_secs(20)
}

/// A directory of its own, removed with everything in it.
pub(super) struct TempDir(PathBuf);

impl TempDir {
    pub(super) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("gossip-unit-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    pub(super) fn state(&self) -> StateDir {
        StateDir::at(&self.0)
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A process that does nothing until its standard input is closed.
pub(super) struct Helper(Child);

impl Helper {
    pub(super) fn cat() -> Self {
        Self::command(&mut Command::new("cat"))
    }

    /// One that takes no notice of a polite request to end.
    pub(super) fn stubborn() -> Self {
        let mut child = Command::new("sh");
        child.args(["-c", "trap '' TERM; echo deaf; while read -r line; do :; done"]);
        let mut helper = Self::command(child.stdout(Stdio::piped()));
        // It is deaf once it says so, not before.
        let mut byte = [0];
        let mut said = helper.0.stdout.take().unwrap();
        std::io::Read::read_exact(&mut said, &mut byte).unwrap();
        helper
    }

    pub(super) fn command(command: &mut Command) -> Self {
        Self(command.stdin(Stdio::piped()).spawn().unwrap())
    }

    pub(super) fn process(&self) -> ProcessId {
        ProcessId::of(self.0.id()).unwrap()
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
