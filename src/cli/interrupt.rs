//! Ctrl-C, SIGTERM and SIGHUP: noticed once, for all that wait; and other news to wait for.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use crossbeam_channel::{Receiver, bounded, never};

use crate::cli::Error;

/// Enough to wait.
const STACK_BYTES: usize = 64 << 10;

/// Tells that someone wants this program to end.
#[derive(Debug)]
pub(crate) struct Interrupt {
    /// Becomes true for good.
    pub(crate) seen: Arc<AtomicBool>,
    /// Gets one message per signal, as far as there is room.
    pub(crate) signals: Receiver<()>,
}

impl Interrupt {
    /// Whether it was asked for.
    pub(crate) fn seen(&self) -> bool {
        self.seen.load(Ordering::SeqCst)
    }
}

/// From here on signals no longer end the program by themselves. Once per process.
pub(crate) fn watch() -> Result<Interrupt, Error> {
    let seen = Arc::new(AtomicBool::new(false));
    let (tell, signals) = bounded(1);
    let flag = Arc::clone(&seen);
    call(move || {
        flag.store(true, Ordering::SeqCst);
        let _ = tell.try_send(());
    })?;
    Ok(Interrupt { seen, signals })
}

/// Has `what` done upon each such signal, in a thread of its own. Once per process.
pub(crate) fn call(what: impl FnMut() + Send + 'static) -> Result<(), Error> {
    ctrlc::set_handler(what).map_err(|error| {
        Error::failed(
            "cannot watch for Ctrl-C",
            error.to_string(),
            "see whether the system lets this user start more threads (`ulimit -u`)",
        )
    })
}

/// A message each time that `wait` returns true. It waits in a thread of its own, for the rest of
/// this process's life or until it returns false; where there can be no such thread, no message
/// comes.
pub(crate) fn notices(name: &str, mut wait: impl FnMut() -> bool + Send + 'static) -> Receiver<()> {
    let (tell, told) = bounded(1);
    let run = move || {
        while wait() {
            // One that waits tells of all.
            let _ = tell.try_send(());
        }
        // The end of the channel would be taken for a message.
        std::mem::forget(tell);
    };
    match thread::Builder::new().name(name.into()).stack_size(STACK_BYTES).spawn(run) {
        Ok(_) => told,
        Err(_) => never(),
    }
}
