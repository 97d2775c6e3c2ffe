//! Processes: told apart for good, signalled only when proven to be the one meant.
//!
//! A pid alone proves nothing: numbers are used again, and a pid file that outlives its process
//! gets an innocent one killed. Pid and start time together name one process of one boot.

use std::fmt;
use std::fs;
use std::io;
use std::sync::OnceLock;

use procfs::FromRead;
use procfs::process::Stat;
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open, pidfd_send_signal};

use super::wait_until;
use crate::network::ProcessId;
use crate::protocol::Monotonic;

/// A process that is in the way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// Its number.
    pub pid: u32,
    /// The name the system has for it.
    pub command: String,
}

impl Holder {
    /// The process of this number, if there is one. The name has up to 15 characters, and is
    /// made safe to print.
    pub(in crate::network) fn of(pid: u32) -> Option<Self> {
        let name = fs::read(format!("/proc/{pid}/comm")).ok()?;
        let name = String::from_utf8_lossy(&name);
        let safe = |c: char| if c.is_control() { '?' } else { c };
        Some(Self { pid, command: name.trim_end().chars().map(safe).collect() })
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "process {} ({})", self.pid, self.command)
    }
}

impl ProcessId {
    /// This very process.
    ///
    /// # Errors
    ///
    /// If `/proc` cannot be read.
    pub fn current() -> io::Result<Self> {
        Self::of(std::process::id())
    }

    /// The process that has this number now.
    ///
    /// # Errors
    ///
    /// If there is none, or `/proc` cannot be read.
    pub fn of(pid: u32) -> io::Result<Self> {
        let (_, started) = stat(pid)?;
        Ok(Self { pid, started })
    }

    /// Whether the process is still there. One that ended and was not yet waited for counts as
    /// gone; one that cannot be seen at all counts as there, so that nobody forgets about it.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        self.look().unwrap_or(true)
    }

    /// Whether the process is stopped: there, but doing nothing until it is told to go on.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        matches!(stat(self.pid), Ok(('T' | 't', started)) if started == self.started)
    }

    /// Waits until the process has stopped; false if it has not, or is gone, at the deadline.
    pub(in crate::network) fn wait_stopped(&self, deadline: Monotonic) -> bool {
        wait_until(deadline, || self.is_stopped() || !self.is_alive()) && self.is_stopped()
    }

    /// Sends a signal, if this is provably the process meant. Else nothing was sent: that process
    /// is gone (ESRCH), or the system refused it, or would not say whose process it is.
    ///
    /// The order matters: a pidfd opened first pins the process, so that what is proven of the
    /// number afterwards holds for the process that gets the signal.
    pub(in crate::network) fn signal(&self, signal: Signal) -> Result<(), Errno> {
        let number = i32::try_from(self.pid).ok();
        let pid = number.and_then(Pid::from_raw).ok_or(Errno::SRCH)?;
        let pidfd = pidfd_open(pid, PidfdFlags::empty());
        match self.look() {
            // A record can be edited, or come from a backup: only a process that runs as a node
            // is signalled.
            Ok(true) if runs_a_node(self.pid) => {}
            Ok(false) => return Err(Errno::SRCH),
            _ => return Err(Errno::PERM),
        }
        match pidfd {
            Ok(pidfd) => pidfd_send_signal(pidfd, signal),
            Err(Errno::SRCH) => Err(Errno::SRCH),
            Err(_) => kill_process(pid, signal),
        }
    }

    /// Waits until the process is gone; false if it is still there at the deadline.
    pub(in crate::network) fn wait_gone(&self, deadline: Monotonic) -> bool {
        wait_until(deadline, || !self.is_alive())
    }

    /// Whether the process is there. An error says only that `/proc` cannot be read, for want of
    /// file descriptors say.
    fn look(&self) -> io::Result<bool> {
        match stat(self.pid) {
            Ok((state, started)) => Ok(started == self.started && !matches!(state, 'Z' | 'X')),
            // A process that ends while its file is being read answers ESRCH.
            Err(error) if error.raw_os_error() == Some(Errno::SRCH.raw_os_error()) => Ok(false),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// Whether a process was started as `gossip run-node`.
fn runs_a_node(pid: u32) -> bool {
    let words = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    words.split(|byte| *byte == 0).any(|word| word == b"run-node")
}

/// The boot that this machine is in. Start times count from it, and mean nothing in another.
pub(in crate::network) fn boot_id() -> &'static str {
    static BOOT: OnceLock<String> = OnceLock::new();
    BOOT.get_or_init(|| procfs::sys::kernel::random::boot_id().unwrap_or_default())
}

/// State and start time of a process, from `/proc/<pid>/stat`.
fn stat(pid: u32) -> io::Result<(char, u64)> {
    let line = fs::read(format!("/proc/{pid}/stat"))?;
    parse_stat(&line).ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))
}

/// The same from such a line.
fn parse_stat(line: &[u8]) -> Option<(char, u64)> {
    let stat = Stat::from_read(line).ok()?;
    // The main thread looks like a zombie as soon as it has ended, while another one may still
    // hold the process's sockets.
    let state = if stat.state == 'Z' && stat.num_threads > 1 { 'D' } else { stat.state };
    Some((state, stat.starttime))
}

#[cfg(test)]
mod tests {
    use super::super::super::testing_state::{Helper, soon};
    use super::*;
    use crate::runtime::clock;

    #[test]
    fn a_process_that_is_no_node_is_never_signalled() {
        let bystander = Helper::command(&mut std::process::Command::new("cat"));
        assert_eq!(bystander.process().signal(Signal::KILL), Err(Errno::PERM));
        assert!(bystander.process_is_alive());
    }

    #[test]
    fn a_name_full_of_parentheses_does_not_shift_the_fields() {
        let parse = |name_and_state: &[u8], threads: u32| {
            let numbers = format!(" 1 42 42 0 -1 4194304 1 2 3 4 5 6 7 8 20 0 {threads} 0 777");
            let rest = " 9".repeat(30);
            let line = [b"42 ", name_and_state, numbers.as_bytes(), rest.as_bytes()].concat();
            parse_stat(&line)
        };
        assert_eq!(parse(b"(a) b) R 9 (\xff) S", 1), Some(('S', 777)));
        // The main thread has ended, and one of the others has not.
        assert_eq!(parse(b"(a) Z", 2), Some(('D', 777)));
        assert_eq!(parse(b"(a) Z", 1), Some(('Z', 777)));
        assert_eq!(parse_stat(b"42 (cat) S 1 42"), None);
        assert_eq!(parse_stat(b""), None);
    }

    #[test]
    fn this_process_is_alive_and_its_number_alone_is_not_enough() {
        let me = ProcessId::current().unwrap();
        assert!(me.is_alive());
        let earlier = ProcessId { started: me.started - 1, ..me };
        assert!(!earlier.is_alive());
        // Were it sent, this test would not live to tell.
        assert_eq!(earlier.signal(Signal::KILL), Err(Errno::SRCH));
        assert!(earlier.wait_gone(soon()));
    }

    #[test]
    fn numbers_that_no_process_can_have_are_gone() {
        for pid in [0, u32::MAX, i32::MAX as u32] {
            let process = ProcessId { pid, started: 1 };
            assert!(!process.is_alive(), "{pid}");
            assert_eq!(process.signal(Signal::KILL), Err(Errno::SRCH), "{pid}");
        }
    }

    #[test]
    fn a_process_that_ended_counts_as_gone_before_anyone_waits_for_it() {
        let helper = Helper::cat();
        let process = helper.process();
        assert!(process.is_alive());
        assert!(!process.wait_gone(clock::now().monotonic));
        assert_eq!(process.signal(Signal::KILL), Ok(()));
        assert!(process.wait_gone(soon()));
        assert!(!process.is_alive());
        assert_eq!(process.signal(Signal::KILL), Err(Errno::SRCH));
    }
}
