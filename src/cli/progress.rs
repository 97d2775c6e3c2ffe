//! A progress bar for what takes over a moment; only on a terminal, and only on stderr.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::protocol::Monotonic;
use crate::runtime::clock;

/// A bar for less time than this would flicker by, and say nothing.
const PATIENCE: Duration = Duration::from_millis(500);

/// Shows how far something has come, and takes itself away when dropped.
#[derive(Debug)]
pub(crate) struct Progress {
    template: &'static str,
    what: &'static str,
    since: Monotonic,
    /// `indicatif` draws on stderr, and nothing at all where that is no terminal.
    bar: Option<ProgressBar>,
}

impl Progress {
    /// The progress of a start or a stop, node by node.
    pub(crate) fn of_nodes(what: &'static str) -> Self {
        Self::new("{msg} {wide_bar} {pos} of {len} nodes", what)
    }

    /// A count of messages, whose number nobody knows beforehand.
    pub(crate) fn of_messages() -> Self {
        Self::new("{spinner} {human_pos} messages, {per_sec}", "")
    }

    fn new(template: &'static str, what: &'static str) -> Self {
        Self { template, what, since: clock::now().monotonic, bar: None }
    }

    /// Takes note of how far things are; a total of 0 is not known.
    pub(crate) fn show(&mut self, done: impl Into<u64>, total: impl Into<u64>) {
        if self.bar.is_none() && self.time() < PATIENCE {
            return;
        }
        let bar = self.bar.get_or_insert_with(|| {
            let style = ProgressStyle::with_template(self.template);
            let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
            let total = Some(total.into()).filter(|total| *total > 0);
            let bar = total.map_or_else(ProgressBar::no_length, ProgressBar::new);
            bar.with_style(style).with_message(self.what)
        });
        bar.set_position(done.into());
    }

    /// The time since the start.
    pub(crate) fn time(&self) -> Duration {
        clock::now().monotonic.since(self.since)
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
