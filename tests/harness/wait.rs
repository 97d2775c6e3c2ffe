//! Waiting: until something is so, for what a thread or a program tells, or for time to pass.
//!
//! A wait has a deadline, and a test that meets it fails with what it waited for and what it saw
//! instead. Nothing else in the tests waits.

use std::io::{BufRead, BufReader, Read};
use std::thread;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, bounded, never, unbounded};
use gossip::protocol::Monotonic;
use gossip::runtime::clock;

/// No answer takes this long on any machine that can run the tests at all.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
/// How often a test looks whether it is so. Looking takes time from the nodes that are looked at.
const LOOK_INTERVAL: Duration = Duration::from_millis(5);

/// Looks again and again until `look` finds nothing amiss, and gives the time that this took. The
/// error says what it saw instead.
#[track_caller]
pub(crate) fn wait_until(
    what: &str,
    within: Duration,
    mut look: impl FnMut() -> Result<(), String>,
) -> Duration {
    let start = clock::now().monotonic;
    loop {
        let found = look();
        let waited = clock::now().monotonic.since(start);
        match found {
            Ok(()) => return waited,
            Err(seen) => assert!(waited < within, "waited {within:?} in vain for {what}: {seen}"),
        }
        pause(LOOK_INTERVAL);
    }
}

/// Looks again and again until `holds`.
#[track_caller]
pub(crate) fn wait_for(what: &str, mut holds: impl FnMut() -> bool) {
    wait_until(what, PATIENCE, || if holds() { Ok(()) } else { Err("not yet".into()) });
}

/// Runs `act` in a thread, and gives its result; nothing if that takes too long.
pub(crate) fn try_within<T: Send + 'static>(
    within: Duration,
    act: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    let (tell, told) = bounded(1);
    // A result that comes too late is dropped.
    let act = move || drop(tell.send(act()));
    thread::Builder::new().name("act".into()).spawn(act).unwrap();
    told.recv_timeout(within).ok()
}

/// Lets time pass: where the passing of time is itself what is tested.
pub(crate) fn pause(duration: Duration) {
    let _ = never::<()>().recv_timeout(duration);
}

/// Lets time pass up to an instant.
pub(crate) fn pause_until(instant: Monotonic) {
    pause(instant.since(clock::now().monotonic));
}

/// The lines that a program prints, as they come.
pub(crate) struct Lines {
    channel: Receiver<String>,
    /// The lines read since the last [`Lines::forget`].
    seen: Vec<String>,
}

impl Lines {
    /// Reads on to the end, so that the program never blocks.
    pub(crate) fn of(from: impl Read + Send + 'static) -> Self {
        let (tell, channel) = unbounded();
        let read = move || {
            for line in BufReader::new(from).lines().map_while(Result::ok) {
                if tell.send(line).is_err() {
                    return;
                }
            }
        };
        thread::Builder::new().name("lines".into()).spawn(read).unwrap();
        Self { channel, seen: Vec::new() }
    }

    /// The next line; nothing after the last.
    #[track_caller]
    fn read(&mut self, what: &str) -> Option<String> {
        match self.channel.recv_timeout(PATIENCE) {
            Ok(line) => {
                self.seen.push(line.clone());
                Some(line)
            }
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => {
                panic!("waited {PATIENCE:?} in vain for {what}: saw {:?}", self.seen)
            }
        }
    }

    /// The next line.
    #[track_caller]
    pub(crate) fn next(&mut self, what: &str) -> String {
        self.read(what).unwrap_or_else(|| panic!("ended before {what}: {:?}", self.seen))
    }

    /// The first line that is meant, seen already or waited for.
    #[track_caller]
    pub(crate) fn until(&mut self, what: &str, meant: impl Fn(&str) -> bool) -> String {
        if let Some(line) = self.seen.iter().find(|line| meant(line)) {
            return line.clone();
        }
        loop {
            let line = self.next(what);
            if meant(&line) {
                return line;
            }
        }
    }

    /// The lines that came so far.
    pub(crate) fn so_far(&mut self) -> &[String] {
        self.seen.extend(self.channel.try_iter());
        &self.seen
    }

    /// From here on, only new lines count.
    pub(crate) fn forget(&mut self) {
        self.so_far();
        self.seen.clear();
    }

    /// The lines from here to the end.
    #[track_caller]
    pub(crate) fn rest(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.read("the end of the output")).collect()
    }
}
