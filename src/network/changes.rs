//! Being told when a network's record changes: nodes added, started, removed, faults.

use std::mem::MaybeUninit;

use rustix::fd::OwnedFd;
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use rustix::io::Errno;

use super::{Error, StateDir};

/// Enough for some dozens of changes.
const BUFFER_BYTES: usize = 4_096;

/// Tells of changes as they come. The system says so: nothing is polled.
#[derive(Debug)]
pub struct Changes(OwnedFd);

impl StateDir {
    /// Changes to a network's record from now on.
    ///
    /// # Errors
    ///
    /// If there is no such network, or the system watches no more files for this user.
    pub fn changes(&self, name: &str) -> Result<Changes, Error> {
        let dir = self.network(name)?;
        let failed = |error: Errno| match error {
            Errno::NOENT => dir.not_running(),
            error => Error::System("watch the network's state", error.into()),
        };
        let inotify = inotify::init(CreateFlags::CLOEXEC).map_err(failed)?;
        // A record is written to another file, which is then renamed.
        let flags = WatchFlags::MOVED_TO | WatchFlags::ONLYDIR;
        inotify::add_watch(&inotify, &dir.path, flags).map_err(failed)?;
        Ok(Changes(inotify))
    }
}

impl Changes {
    /// Waits for the next change, or for several at once; false where there will be none, since
    /// the network's state is gone.
    pub fn wait(&mut self) -> bool {
        let mut buffer = [MaybeUninit::uninit(); BUFFER_BYTES];
        let mut reader = inotify::Reader::new(&self.0, &mut buffer);
        loop {
            match reader.next() {
                Ok(event) if event.events().contains(ReadFlags::IGNORED) => return false,
                Ok(_) => {}
                Err(Errno::INTR) => continue,
                Err(_) => return false,
            }
            if reader.is_buffer_empty() {
                return true;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::ProcessId;
    use super::super::testing_state::{TempDir, record, remember};
    use super::*;

    #[test]
    fn a_change_is_told_and_so_is_the_end() {
        let temp = TempDir::new();
        let state = temp.state();
        assert!(matches!(state.changes("default"), Err(Error::NotRunning(_))));
        let record = record("default", &[ProcessId::current().unwrap()]);
        remember(&state, &record);
        let mut changes = state.changes("default").unwrap();
        remember(&state, &record);
        assert!(changes.wait());
        std::fs::remove_dir_all(temp.path().join("default")).unwrap();
        assert!(!changes.wait());
    }
}
