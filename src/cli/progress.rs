//! A progress bar for what takes over a moment; only on a terminal, and only on stderr.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::network;
use crate::protocol::Monotonic;
use crate::runtime::clock;

/// What is done sooner needs no bar: one that flickers by says nothing.
const PATIENCE: Duration = Duration::from_millis(500);

/// Shows how far a start or a stop has come, and takes itself away when dropped.
#[derive(Debug)]
pub(crate) struct Progress {
    what: &'static str,
    since: Monotonic,
    bar: Option<ProgressBar>,
}

impl Progress {
    pub(crate) fn new(what: &'static str) -> Self {
        Self { what, since: clock::now().monotonic, bar: None }
    }

    /// Takes note of how far things are.
    pub(crate) fn show(&mut self, now: network::Progress) {
        if self.bar.is_none() && clock::now().monotonic.since(self.since) < PATIENCE {
            return;
        }
        let bar = self.bar.get_or_insert_with(|| bar(self.what, now.total));
        bar.set_position(now.done.into());
    }
}

/// Shows how many messages were accepted, where nobody knows how many there will be.
#[derive(Debug)]
pub(crate) struct Tally {
    since: Monotonic,
    bar: Option<ProgressBar>,
}

impl Tally {
    pub(crate) fn new() -> Self {
        Self { since: clock::now().monotonic, bar: None }
    }

    /// Takes note of how many there are.
    pub(crate) fn show(&mut self, count: u64) {
        if self.bar.is_none() && self.time() < PATIENCE {
            return;
        }
        let bar = self.bar.get_or_insert_with(|| {
            let style = ProgressStyle::with_template("{spinner} {human_pos} messages, {per_sec}");
            let style = style.unwrap_or_else(|_| ProgressStyle::default_spinner());
            ProgressBar::no_length().with_style(style)
        });
        bar.set_position(count);
    }

    /// The time since the start.
    pub(crate) fn time(&self) -> Duration {
        clock::now().monotonic.since(self.since)
    }
}

impl Drop for Tally {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// `indicatif` draws on stderr, and nothing at all where that is no terminal.
fn bar(what: &'static str, total: u32) -> ProgressBar {
    let style = ProgressStyle::with_template("{msg} {wide_bar} {pos} of {len} nodes");
    let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(total.into()).with_style(style).with_message(what)
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
