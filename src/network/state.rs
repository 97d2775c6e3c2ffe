//! The state directory: the records of networks, and the locks of commands that change them.
//!
//! One directory per network: `network.json`, `lock`, and `logs/`. The record is written whole
//! to a file beside it and renamed, so that a reader sees the old one or the new one. Readers
//! take no lock; a command that changes something holds it throughout.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use rustix::fs::OFlags;
use rustix::io::Errno;
use serde::Deserialize;

use super::host::LOOK_INTERVAL;
use super::{Error, Holder, Record, StateDir};
use crate::protocol::NodeId;
use crate::runtime::clock;

/// The version of `network.json`.
pub const RECORD_VERSION: u32 = 1;

/// The longest name of a network.
pub const NAME_CHARS_MAX: usize = 64;

/// How long to wait for another command that works on the same network.
pub(super) const LOCK_WITHIN: Duration = Duration::from_secs(10);

/// The part of a record that is the same in all versions.
#[derive(Deserialize)]
struct Versioned {
    version: u32,
}

/// The directory of one network.
#[derive(Clone, Debug)]
pub(super) struct NetworkDir {
    pub(super) name: String,
    pub(super) path: PathBuf,
}

/// The right to change a network's state, given up when dropped.
#[derive(Debug)]
pub(super) struct Lock {
    _file: File,
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

    /// Takes the lock of a network that runs, and reads its record.
    pub(super) fn lock_running(&self, name: &str) -> Result<(NetworkDir, Lock, Record), Error> {
        let dir = self.network(name)?;
        let lock = dir.lock_existing()?;
        let running = dir.read()?.filter(Record::any_up);
        let record = running.ok_or_else(|| dir.not_running())?;
        Ok((dir, lock, record))
    }

    /// The names of all directories that may be a network's, in order.
    pub(super) fn names(&self) -> Result<Vec<String>, Error> {
        let failed = Error::state("read", &self.0);
        let entries = match fs::read_dir(&self.0) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(&failed)?,
        };
        let mut names = Vec::new();
        for entry in entries {
            let name = entry.map_err(&failed)?.file_name();
            names.extend(name.to_str().filter(|name| check_name(name).is_ok()).map(str::to_owned));
        }
        names.sort_unstable();
        Ok(names)
    }
}

/// Refuses directories that belong to another user, as a whole or by the symbolic link that leads there: what
/// is put there could be replaced.
fn check_owner(directories: &[&Path]) -> Result<(), Error> {
    let me = rustix::process::geteuid().as_raw();
    for directory in directories {
        for found in [fs::symlink_metadata(directory), fs::metadata(directory)] {
            let owner = found.map_err(Error::state("look at", directory))?.uid();
            if owner != me {
                let reason = format!("it belongs to user {owner}, and this is user {me}");
                return Err(Error::StateOpen(directory.to_path_buf(), reason));
            }
        }
    }
    directories.iter().try_for_each(|directory| check_closed(directory))
}

/// Refuses a directory that others may write to: a record there may be theirs, and name any process. One that is
/// not there is closed.
fn check_closed(directory: &Path) -> Result<(), Error> {
    let found = match fs::metadata(directory) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        found => found.map_err(Error::state("look at", directory))?,
    };
    match found.mode() & 0o777 {
        mode if mode & 0o022 == 0 => Ok(()),
        mode => {
            let reason = format!("others may write to it (mode {mode:o})");
            Err(Error::StateOpen(directory.to_owned(), reason))
        }
    }
}

/// Opens a file, if there is one. It must be an ordinary one: a pipe would keep us waiting, and
/// a device may never end.
fn open(
    options: &mut OpenOptions,
    path: &Path,
    doing: &'static str,
) -> Result<Option<File>, Error> {
    let not_waiting = OFlags::NONBLOCK.bits().cast_signed();
    let opened = options.custom_flags(not_waiting).open(path);
    // The system's errors for a pipe that nobody reads, a socket, and a directory.
    let is_other = |error: &io::Error| {
        error.raw_os_error() == Some(Errno::NXIO.raw_os_error())
            || error.kind() == ErrorKind::IsADirectory
    };
    match opened.and_then(|file| Ok((file.metadata()?.is_file(), file))) {
        Ok((true, file)) => Ok(Some(file)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) if !is_other(&error) => Err(Error::state(doing, path)(error)),
        _ => Err(Error::StateBroken(path.to_owned(), "no ordinary file".into())),
    }
}

/// The bytes of a file and its owner, if there is such a file.
fn read_file(path: &Path) -> Result<Option<(Vec<u8>, u32)>, Error> {
    let Some(mut file) = open(File::options().read(true), path, "read")? else { return Ok(None) };
    let mut text = Vec::new();
    let read = file.read_to_end(&mut text).and_then(|_| Ok(file.metadata()?.uid()));
    let owner = read.map_err(Error::state("read", path))?;
    Ok(Some((text, owner)))
}

/// Opens a file of ours to write to it, which is created if need be.
fn open_to_write(options: &mut OpenOptions, path: &Path) -> Result<File, Error> {
    let file = open(options.create(true).mode(0o600), path, "write")?;
    file.ok_or_else(|| Error::state("write", path)(ErrorKind::NotFound.into()))
}

/// Opens the file that is locked. Where nothing may be written, one that is there will do, so
/// that nodes can be stopped there too.
fn open_lock(path: &Path) -> Result<Option<File>, Error> {
    let opened = open(File::options().create(true).append(true).mode(0o600), path, "lock");
    let is_denied = |error: &io::Error| {
        matches!(error.kind(), ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem)
    };
    match &opened {
        Err(Error::State { source, .. }) if is_denied(source) => {
            open(File::options().read(true), path, "lock").or(opened)
        }
        _ => opened,
    }
}

/// That a file is gone already is as good as removing it.
fn unless_gone(removed: io::Result<()>) -> io::Result<()> {
    removed.or_else(|error| if error.kind() == ErrorKind::NotFound { Ok(()) } else { Err(error) })
}

/// A name becomes a directory: it must not lead elsewhere, nor hide.
fn check_name(name: &str) -> Result<(), Error> {
    let fits = !name.is_empty() && name.len() <= NAME_CHARS_MAX && !name.starts_with('.');
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if fits && name.chars().all(plain) { Ok(()) } else { Err(Error::Name(name.to_owned())) }
}

impl NetworkDir {
    pub(super) fn record_file(&self) -> PathBuf {
        self.path.join("network.json")
    }

    pub(super) fn log_file(&self, node: NodeId) -> PathBuf {
        self.path.join("logs").join(format!("node-{node}.log"))
    }

    /// Opens a node's log for appending.
    pub(super) fn open_log(&self, node: NodeId) -> Result<File, Error> {
        open_to_write(File::options().append(true), &self.log_file(node))
    }

    pub(super) fn not_running(&self) -> Error {
        Error::NotRunning(self.name.clone())
    }

    /// The record, if there is one.
    pub(super) fn read(&self) -> Result<Option<Record>, Error> {
        self.path.ancestors().take(2).try_for_each(check_closed)?;
        let path = self.record_file();
        let Some((text, owner)) = read_file(&path)? else { return Ok(None) };
        let me = rustix::process::geteuid();
        // The superuser may look after the networks of others.
        if owner != me.as_raw() && !me.is_root() {
            let reason = format!("it belongs to user {owner}, and this is user {}", me.as_raw());
            return Err(Error::StateOpen(path, reason));
        }
        parse(&text, &path).map(Some)
    }

    /// Replaces the record. Call it with the lock held.
    pub(super) fn write(&self, record: &Record) -> Result<(), Error> {
        let text = serde_json::to_vec(record).expect("a record is plain data with text for keys");
        let new = self.path.join("network.json.new");
        let mut file = open_to_write(File::options().write(true).truncate(true), &new)?;
        file.write_all(&text).map_err(Error::state("write", &new))?;
        let path = self.record_file();
        fs::rename(&new, &path).map_err(Error::state("write", &path))
    }

    /// Creates the directory and takes the lock; else as [`NetworkDir::lock`].
    pub(super) fn create_and_lock(&self, give_up: &dyn Fn() -> bool) -> Result<Lock, Error> {
        loop {
            let logs = self.path.join("logs");
            let made = DirBuilder::new().recursive(true).mode(0o700).create(&logs);
            made.map_err(Error::state("create", &logs))?;
            // Another user may have made them beforehand.
            check_owner(&[self.path.parent().unwrap_or(&self.path), &self.path, &logs])?;
            match self.lock(LOCK_WITHIN, give_up) {
                // Removed by another command between the two steps: once more.
                Err(Error::NotRunning(_)) => {}
                locked => return locked,
            }
        }
    }

    /// Takes the lock of a network that exists.
    pub(super) fn lock_existing(&self) -> Result<Lock, Error> {
        self.lock(LOCK_WITHIN, &|| false)
    }

    /// Takes the lock, waiting for it: the system's own wait has no deadline, so this one looks
    /// again and again. It ends as [`Error::Interrupted`] when `give_up` says so.
    pub(super) fn lock(&self, within: Duration, give_up: &dyn Fn() -> bool) -> Result<Lock, Error> {
        let path = self.path.join("lock");
        let deadline = clock::now().monotonic + within;
        loop {
            let file = open_lock(&path)?.ok_or_else(|| self.not_running())?;
            while let Err(error) = file.try_lock() {
                match error {
                    TryLockError::Error(error) => return Err(Error::state("lock", &path)(error)),
                    TryLockError::WouldBlock if give_up() => return Err(Error::Interrupted),
                    TryLockError::WouldBlock if clock::now().monotonic >= deadline => {
                        return Err(self.locked(&path));
                    }
                    TryLockError::WouldBlock => thread::park_timeout(LOOK_INTERVAL),
                }
            }
            // The command that held it may have removed the network, and this file with it: then
            // the lock guards nothing any more.
            if is_at(&file, &path) {
                // At worst (on a full disk, say) a command that waits in vain is not told by whom.
                let _ = sign(&file);
                return Ok(Lock { _file: file });
            }
        }
    }

    fn locked(&self, path: &Path) -> Error {
        let text =
            read_file(path).ok().flatten().and_then(|(text, _)| String::from_utf8(text).ok());
        let pid = text.and_then(|text| text.trim().parse().ok());
        Error::Locked(self.name.clone(), pid.and_then(Holder::of))
    }

    /// Forgets the network. The lock's file goes last: as long as it is there, it guards.
    pub(super) fn remove(&self, _lock: &Lock) -> Result<(), Error> {
        let logs = self.path.join("logs");
        unless_gone(fs::remove_dir_all(&logs)).map_err(Error::state("remove", &logs))?;
        for name in ["network.json.new", "network.json", "lock"] {
            let path = self.path.join(name);
            unless_gone(fs::remove_file(&path)).map_err(Error::state("remove", &path))?;
        }
        // Fails where another command waits to create the same network, and that is right.
        let _ = fs::remove_dir(&self.path);
        Ok(())
    }

    /// Removes the remains of an earlier network of this name, and keeps the directory.
    pub(super) fn clear(&self) -> Result<(), Error> {
        let path = self.path.join("logs");
        let empty = || {
            for entry in fs::read_dir(&path)? {
                fs::remove_file(entry?.path())?;
            }
            unless_gone(fs::remove_file(self.record_file()))
        };
        empty().map_err(Error::state("empty", &path))
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

fn is_at(file: &File, path: &Path) -> bool {
    let (Ok(open), Ok(there)) = (file.metadata(), fs::metadata(path)) else { return false };
    (open.dev(), open.ino()) == (there.dev(), there.ino())
}

/// Writes into the lock's file which process holds it, for commands that wait in vain.
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
    fn a_directory_that_others_may_write_to_is_refused() {
        let temp = TempDir::new();
        let dir = temp.state().network("test").unwrap();
        let open = |path: &Path, mode| {
            fs::create_dir_all(path).unwrap();
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        };
        let logs = dir.path.join("logs");
        for path in [&*dir.path, &*logs, dir.path.parent().unwrap()] {
            for mode in [0o720, 0o702, 0o777] {
                open(path, mode);
                let refused = dir.create_and_lock(&never);
                assert!(
                    matches!(&refused, Err(Error::StateOpen(named, _)) if named == path),
                    "{refused:?}"
                );
                assert!(!dir.path.join("lock").exists());
            }
            open(path, 0o755);
        }
        dir.create_and_lock(&never).unwrap();
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
        let held = dir.create_and_lock(&never).unwrap();
        match dir.lock(Duration::ZERO, &never) {
            Err(Error::Locked(_, Some(holder))) => {
                assert_eq!(holder.pid, std::process::id());
            }
            other => panic!("{other:?}"),
        }
        // A command that is interrupted while it waits does not wait on.
        assert!(matches!(dir.lock(LOCK_WITHIN, &|| true), Err(Error::Interrupted)));
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
