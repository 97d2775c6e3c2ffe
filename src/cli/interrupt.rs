//! Ctrl-C, SIGTERM and SIGHUP: noticed once, for all that wait.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crossbeam_channel::{Receiver, bounded};

use crate::cli::Error;

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
