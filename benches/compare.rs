//! Comparison of two runs: the figures that moved by more than the noise.
//!
//! Where both runs have a ratio to the bare forwarder, ratios are compared: absolute times of two
//! runs are about two moods of a machine. A change is worth a line if it exceeds the noise of both.

use super::figure::{Figure, MESSAGES_PER_SECOND, Report, quantile};

/// A line for each figure that changed, and one for the number of figures that did not.
pub(crate) fn compare(old: &Report, new: &Report) -> String {
    let mut text = format!("compared with commit {}:\n", old.commit);
    let mut same = 0;
    for figure in measured(new) {
        match measured(old).find(|old| old.name == figure.name) {
            Some(before) => match change(before, figure) {
                Some(line) => text += &line,
                None => same += 1,
            },
            None => text += &format!("  {}: new\n", figure.name),
        }
    }
    let is_missing = |old: &&Figure| measured(new).all(|new| new.name != old.name);
    let missing = measured(old).filter(is_missing).count();
    text + &format!("  {same} within the noise, {missing} not measured this time\n")
}

fn measured(report: &Report) -> impl Iterator<Item = &Figure> {
    report.figures.iter().filter(|figure| figure.is_measured())
}

/// The line of a figure, if it changed.
fn change(old: &Figure, new: &Figure) -> Option<String> {
    let median = |figure: &Figure| quantile(&figure.ours.concat(), 0.5);
    let (what, before, after) = match (old.ratio(), new.ratio()) {
        (Some(old), Some(new)) => ("× bare", old, new),
        _ => (&new.unit[..], median(old)?, median(new)?),
    };
    // Nothing before and nothing now is no change.
    let change = if before == after { 0.0 } else { after / before - 1.0 };
    let noise = old.noise() + new.noise();
    let is_better = (change > 0.0) == (new.unit == MESSAGES_PER_SECOND);
    let line = format!(
        "  {}: {}, {before:.2} → {after:.2} {what} ({:+.0} %, noise ±{:.0} %)\n",
        new.name,
        if is_better { "better" } else { "WORSE" },
        change * 100.0,
        noise * 100.0
    );
    (change.abs() > noise).then_some(line)
}
