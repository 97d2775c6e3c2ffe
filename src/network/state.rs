//! The state directory: what is remembered of a network, and who may change it.
//!
//! One directory per network: `network.json`, `lock`, and `logs/`. The record is written whole
//! to a file beside it and renamed, so that a reader sees the old one or the new one. Readers
//! take no lock; whoever changes something holds it throughout.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use crossbeam_channel::{RecvTimeoutError, bounded};
use rustix::io::Errno;
use serde::Deserialize;

use super::{Error, Holder, Record, StateDir};
use crate::protocol::NodeId;
use crate::runtime::clock;

/// The version of `network.json`.
pub const RECORD_VERSION: u32 = 1;

/// The longest name of a network.
pub const NAME_CHARS_MAX: usize = 64;

/// How long to wait for another command that works on the same network.
pub(super) const LOCK_WITHIN: Duration = Duration::from_secs(10);

/// How often somebody who waits for the lock looks up whether that is still wanted.
const GIVE_UP_INTERVAL: Duration = Duration::from_millis(50);

/// The part of a record that is the same in all versions.
#[derive(Deserialize)]
struct Versioned {
    version: u32,
}

/// The directory of one network.
#[derive(Clone, Debug)]
pub(super) struct NetworkDir {
    name: String,
    path: PathBuf,
}

/// The right to change a network's state, given up when dropped.
#[derive(Debug)]
pub(super) struct Lock {
    _file: File,
}

/// Why somebody waits for the lock no longer.
enum NoLock {
    /// Time is up.
    TimedOut,
    /// It is not wanted any more.
    GaveUp,
    /// The system refused.
    Io(io::Error),
}

impl StateDir {
    /// `$XDG_STATE_HOME/gossip`, or `$HOME/.local/state/gossip`. As the XDG specification
    /// demands, a directory that is not absolute is passed over.
    pub(super) fn from_variables(
        xdg: Option<PathBuf>,
        home: Option<PathBuf>,
    ) -> Result<Self, Error> {
        let absolute = |path: &PathBuf| path.is_absolute();
        let state = xdg.filter(absolute);
        let state = state.or_else(|| Some(home.filter(absolute)?.join(".local/state")));
        Ok(Self(state.ok_or(Error::NoHome)?.join("gossip")))
    }

    /// The directory of a network, which need not exist.
    pub(super) fn network(&self, name: &str) -> Result<NetworkDir, Error> {
        check_name(name)?;
        Ok(NetworkDir { name: name.to_owned(), path: self.0.join(name) })
    }

    /// The names of all directories that may be a network's, in order.
    pub(super) fn names(&self) -> Result<Vec<String>, Error> {
        let failed = |source| Error::State { path: self.0.clone(), doing: "read", source };
        let entries = match fs::read_dir(&self.0) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(failed(error)),
        };
        let mut names = Vec::new();
        for entry in entries {
            let name = entry.map_err(failed)?.file_name();
            names.extend(name.to_str().filter(|name| check_name(name).is_ok()).map(str::to_owned));
        }
        names.sort_unstable();
        Ok(names)
    }
}

/// Opens a file; nothing if it is something else, such as a pipe that keeps whoever opens it
/// waiting, or a device that never ends.
fn open_file(options: &mut OpenOptions, path: &Path) -> io::Result<Option<File>> {
    let not_waiting = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    let file = match options.custom_flags(not_waiting).open(path) {
        Ok(file) => file,
        // What is said of a pipe that nobody reads, of a socket, and of a directory.
        Err(error)
            if error.raw_os_error() == Some(Errno::NXIO.raw_os_error())
                || error.kind() == io::ErrorKind::IsADirectory =>
        {
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    Ok(file.metadata()?.is_file().then_some(file))
}

/// What a file holds; nothing if it is something else.
fn read_file(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let Some(mut file) = open_file(File::options().read(true), path)? else { return Ok(None) };
    let mut text = Vec::new();
    file.read_to_end(&mut text)?;
    Ok(Some(text))
}

/// Opens a file of ours to write to it, and nothing else.
fn open_to_write(options: &mut OpenOptions, path: &Path) -> Result<File, Error> {
    match open_file(options, path) {
        Ok(Some(file)) => Ok(file),
        Ok(None) => Err(not_ordinary(path.to_owned())),
        Err(source) => Err(Error::State { path: path.to_owned(), doing: "write", source }),
    }
}

/// Opens the file that is locked. Where nothing may be written, one that is there will do, so
/// that nodes can be stopped there too.
fn open_lock(path: &Path) -> io::Result<Option<File>> {
    let opened = open_file(File::options().create(true).append(true).mode(0o600), path);
    match &opened {
        Err(error) if is_denied(error) => open_file(File::options().read(true), path).or(opened),
        _ => opened,
    }
}

/// Whether the system does not let us write there at all.
fn is_denied(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem)
}

fn not_ordinary(path: PathBuf) -> Error {
    Error::StateBroken(path, "no ordinary file".into())
}

/// A name becomes a directory: it must not lead elsewhere, nor hide.
fn check_name(name: &str) -> Result<(), Error> {
    let fits = !name.is_empty() && name.len() <= NAME_CHARS_MAX && !name.starts_with('.');
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if fits && name.chars().all(plain) { Ok(()) } else { Err(Error::Name(name.to_owned())) }
}

impl NetworkDir {
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn record_file(&self) -> PathBuf {
        self.path.join("network.json")
    }

    pub(super) fn log_file(&self, node: NodeId) -> PathBuf {
        self.path.join("logs").join(format!("node-{node}.log"))
    }

    /// Opens a node's log for appending.
    pub(super) fn open_log(&self, node: NodeId) -> Result<File, Error> {
        let path = self.log_file(node);
        open_to_write(File::options().create(true).append(true).mode(0o600), &path)
    }

    pub(super) fn not_running(&self) -> Error {
        Error::NotRunning(self.name.clone())
    }

    /// The record, if there is one.
    pub(super) fn read(&self) -> Result<Option<Record>, Error> {
        let path = self.record_file();
        let text = match read_file(&path) {
            Ok(Some(text)) => text,
            Ok(None) => return Err(not_ordinary(path)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(Error::State { path, doing: "read", source }),
        };
        parse(&text, &path).map(Some)
    }

    /// Replaces the record. Call it with the lock held.
    pub(super) fn write(&self, record: &Record) -> Result<(), Error> {
        let text = serde_json::to_vec(record).expect("a record is plain data with text for keys");
        let new = self.path.join("network.json.new");
        let failed =
            |path: &Path, source| Error::State { path: path.to_owned(), doing: "write", source };
        let options = &mut File::options();
        let options = options.create(true).write(true).truncate(true).mode(0o600);
        let mut file = open_to_write(options, &new)?;
        file.write_all(&text).map_err(|error| failed(&new, error))?;
        let path = self.record_file();
        fs::rename(&new, &path).map_err(|error| failed(&path, error))
    }

    /// Creates the directory and takes the lock. Gives up, with `None`, when `give_up` says so.
    pub(super) fn create_and_lock(
        &self,
        give_up: &dyn Fn() -> bool,
    ) -> Result<Option<Lock>, Error> {
        loop {
            let logs = self.path.join("logs");
            let made = DirBuilder::new().recursive(true).mode(0o700).create(&logs);
            made.map_err(|source| Error::State { path: logs, doing: "create", source })?;
            match self.lock(LOCK_WITHIN, give_up) {
                // Removed by another command between the two steps: once more.
                Err(Error::NotRunning(_)) => {}
                locked => return locked,
            }
        }
    }

    /// Takes the lock of a network that exists.
    pub(super) fn lock_existing(&self) -> Result<Lock, Error> {
        let locked = self.lock(LOCK_WITHIN, &|| false)?;
        Ok(locked.expect("nobody gave up"))
    }

    /// Takes the lock if that is possible at once.
    pub(super) fn try_lock(&self) -> Result<Lock, Error> {
        let locked = self.lock(Duration::ZERO, &|| false)?;
        Ok(locked.expect("nobody gave up"))
    }

    /// Takes the lock, waiting for it. Gives up, with `None`, when `give_up` says so.
    pub(super) fn lock(
        &self,
        within: Duration,
        give_up: &dyn Fn() -> bool,
    ) -> Result<Option<Lock>, Error> {
        let path = self.path.join("lock");
        let failed = |source| Error::State { path: path.clone(), doing: "lock", source };
        loop {
            let file = match open_lock(&path) {
                Ok(Some(file)) => file,
                Ok(None) => return Err(not_ordinary(path)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    return Err(self.not_running());
                }
                Err(error) => return Err(failed(error)),
            };
            let file = match wait_for_lock(file, within, give_up) {
                Ok(file) => file,
                Err(NoLock::GaveUp) => return Ok(None),
                Err(NoLock::TimedOut) => return Err(self.locked(&path)),
                Err(NoLock::Io(error)) => return Err(failed(error)),
            };
            // Whoever held it may have removed the network, and this file with it: then what
            // was waited for guards nothing any more.
            if is_at(&file, &path) {
                // Whoever waits in vain is not told by whom, at worst (on a full disk, say).
                let _ = sign(&file);
                return Ok(Some(Lock { _file: file }));
            }
        }
    }

    fn locked(&self, path: &Path) -> Error {
        let text = read_file(path).ok().flatten().and_then(|text| String::from_utf8(text).ok());
        let pid = text.and_then(|text| text.trim().parse().ok());
        Error::Locked(self.name.clone(), pid.and_then(Holder::of))
    }

    /// Forgets the network. The lock's file goes last: as long as it is there, it guards.
    pub(super) fn remove(&self, _lock: &Lock) -> Result<(), Error> {
        let gone = |path: PathBuf, removed: io::Result<()>| match removed {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(Error::State { path, doing: "remove", source: error })
            }
            _ => Ok(()),
        };
        let logs = self.path.join("logs");
        gone(logs.clone(), fs::remove_dir_all(&logs))?;
        for name in ["network.json.new", "network.json", "lock"] {
            let path = self.path.join(name);
            gone(path.clone(), fs::remove_file(&path))?;
        }
        // Fails where somebody waits to create the same network, and that is right.
        let _ = fs::remove_dir(&self.path);
        Ok(())
    }

    /// Forgets what an earlier network of this name left behind, and keeps the directory.
    pub(super) fn clear(&self) -> Result<(), Error> {
        let path = self.path.join("logs");
        let failed = |source| Error::State { path: path.clone(), doing: "empty", source };
        for entry in fs::read_dir(&path).map_err(failed)? {
            fs::remove_file(entry.map_err(failed)?.path()).map_err(failed)?;
        }
        match fs::remove_file(self.record_file()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed(error)),
            _ => Ok(()),
        }
    }
}

fn parse(text: &[u8], path: &Path) -> Result<Record, Error> {
    let broken = |error: serde_json::Error| {
        Error::StateBroken(path.to_owned(), format!("cut short or changed: {error}"))
    };
    let Versioned { version } = serde_json::from_slice(text).map_err(broken)?;
    if version != RECORD_VERSION {
        return Err(Error::StateVersion(path.to_owned(), version));
    }
    serde_json::from_slice(text).map_err(broken)
}

/// Waits in a thread of its own, because the system's own wait has no deadline. Given up, that
/// thread stays behind, and lets go of the lock as soon as it gets it.
fn wait_for_lock(file: File, within: Duration, give_up: &dyn Fn() -> bool) -> Result<File, NoLock> {
    match file.try_lock() {
        Ok(()) => return Ok(file),
        Err(TryLockError::WouldBlock) if within.is_zero() => return Err(NoLock::TimedOut),
        Err(TryLockError::WouldBlock) => {}
        Err(TryLockError::Error(error)) => return Err(NoLock::Io(error)),
    }
    let (sender, receiver) = bounded(1);
    let wait = move || {
        let _ = sender.send(file.lock().map(|()| file));
    };
    thread::Builder::new().name("lock".to_owned()).spawn(wait).map_err(NoLock::Io)?;
    let deadline = clock::now().monotonic + within;
    loop {
        match receiver.recv_timeout(GIVE_UP_INTERVAL) {
            Ok(locked) => return locked.map_err(NoLock::Io),
            Err(RecvTimeoutError::Disconnected) => return Err(NoLock::TimedOut),
            Err(RecvTimeoutError::Timeout) if give_up() => return Err(NoLock::GaveUp),
            Err(RecvTimeoutError::Timeout) => {
                if clock::now().monotonic >= deadline {
                    return Err(NoLock::TimedOut);
                }
            }
        }
    }
}

fn is_at(file: &File, path: &Path) -> bool {
    let (Ok(open), Ok(there)) = (file.metadata(), fs::metadata(path)) else { return false };
    (open.dev(), open.ino()) == (there.dev(), there.ino())
}

/// Writes into the lock's file who holds it, for those who wait in vain.
fn sign(mut file: &File) -> io::Result<()> {
    file.set_len(0)?;
    writeln!(file, "{}", std::process::id())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::super::ProcessId;
    use super::super::testing_state::{TempDir, record, remember};
    use super::*;

    fn never() -> bool {
        false
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn names_stay_within_the_directory() {
        for name in ["default", "a", "A-1_b.c", &"x".repeat(64)] {
            check_name(name).unwrap();
        }
        for name in ["", ".", "..", ".x", "a/b", "/", "a b", "ä", "a\n", "a\0", &"x".repeat(65)] {
            assert!(matches!(check_name(name), Err(Error::Name(_))), "{name:?}");
        }
    }

    #[test]
    fn the_directory_is_where_the_xdg_specification_says() {
        let of = |xdg: Option<&str>, home: Option<&str>| {
            StateDir::from_variables(xdg.map(PathBuf::from), home.map(PathBuf::from))
        };
        assert_eq!(of(Some("/s"), Some("/h")).unwrap().0, Path::new("/s/gossip"));
        for xdg in [None, Some(""), Some("relative")] {
            let state = of(xdg, Some("/h")).unwrap();
            assert_eq!(state.0, Path::new("/h/.local/state/gossip"));
        }
        assert!(matches!(of(None, None), Err(Error::NoHome)));
        assert!(matches!(of(Some("x"), Some("")), Err(Error::NoHome)));
    }

    #[test]
    fn a_record_reads_back_and_nobody_else_can_read_it() {
        let temp = TempDir::new();
        let written = record("default", &[ProcessId { pid: 7, started: u64::MAX }]);
        let dir = remember(&temp.state(), &written);
        let read = dir.read().unwrap().unwrap();
        assert_eq!(serde_json::to_value(&read).unwrap(), serde_json::to_value(&written).unwrap());
        assert_eq!(mode(&dir.path), 0o700);
        assert_eq!(mode(&dir.record_file()), 0o600);
        drop(dir.open_log(NodeId(1)).unwrap());
        assert_eq!(mode(&dir.log_file(NodeId(1))), 0o600);
        assert_eq!(temp.state().names().unwrap(), ["default"]);
    }

    #[test]
    fn a_record_cut_anywhere_is_broken_and_says_where_it_is() {
        let temp = TempDir::new();
        let dir = remember(&temp.state(), &record("cut", &[ProcessId { pid: 7, started: 7 }]));
        let whole = fs::read(dir.record_file()).unwrap();
        for length in 0..whole.len() {
            match parse(&whole[..length], Path::new("/there")) {
                Err(Error::StateBroken(path, _)) => assert_eq!(path, Path::new("/there")),
                other => panic!("{length}: {other:?}"),
            }
        }
    }

    #[test]
    fn another_version_is_told_apart_from_damage() {
        let parsed = parse(br#"{"version": 7, "whatever": []}"#, Path::new("/there"));
        assert!(matches!(parsed, Err(Error::StateVersion(_, 7))));
        let parsed = parse(br#"{"version": 1, "whatever": []}"#, Path::new("/there"));
        assert!(matches!(parsed, Err(Error::StateBroken(..))));
    }

    #[test]
    fn a_directory_that_cannot_be_written_is_named() {
        let temp = TempDir::new();
        let file = temp.path().join("file");
        fs::write(&file, "").unwrap();
        let dir = StateDir::at(&file).network("default").unwrap();
        match dir.create_and_lock(&never) {
            Err(Error::State { path, .. }) => assert!(path.starts_with(&file)),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn one_command_at_a_time_changes_a_network() {
        let temp = TempDir::new();
        let dir = temp.state().network("default").unwrap();
        let held = dir.create_and_lock(&never).unwrap().unwrap();
        match dir.try_lock() {
            Err(Error::Locked(_, Some(holder))) => {
                assert_eq!(holder.pid, std::process::id());
            }
            other => panic!("{other:?}"),
        }
        // Who is interrupted while waiting does not wait on.
        assert!(dir.lock(LOCK_WITHIN, &|| true).unwrap().is_none());
        drop(held);
        drop(dir.lock_existing().unwrap());
    }

    #[test]
    fn the_lock_of_a_network_that_is_gone_guards_nothing() {
        let temp = TempDir::new();
        let dir = remember(&temp.state(), &record("default", &[]));
        let held = dir.lock_existing().unwrap();
        let waiting = thread::Builder::new()
            .name("waiting".to_owned())
            .spawn({
                let dir = dir.clone();
                move || dir.lock_existing()
            })
            .unwrap();
        dir.remove(&held).unwrap();
        drop(held);
        // Whether it came before the end or after it: there is nothing to lock any more.
        assert!(matches!(waiting.join().unwrap(), Err(Error::NotRunning(_))));
        assert!(!dir.path.exists());
    }
}
