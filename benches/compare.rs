//! What changed from one run to another by more than the noise.
//!
//! Where both runs have a ratio to the bare forwarder, ratios are compared: absolute times of two
//! runs are about two moods of a machine. A change is worth a line if it exceeds the noise of both
//! runs together.

use std::fmt::Write as _;

use super::figure::{Better, Figure, Report};

/// A line for each figure that changed, and one for how many did not.
pub(crate) fn compare(old: &Report, new: &Report) -> String {
    let mut text = format!("compared with commit {}:\n", old.machine.commit);
    if old.quick != new.quick {
        text +=
            "  one of the two was a quick run, which differs from a full one by more than noise\n";
    }
    let mut same = 0;
    for figure in measured(new) {
        let Some(before) = measured(old).find(|old| old.name == figure.name) else {
            let _ = writeln!(text, "  {}: new", figure.name);
            continue;
        };
        match changed(before, figure) {
            Some(line) => {
                let _ = writeln!(text, "  {line}");
            }
            None => same += 1,
        }
    }
    let left_out = |old: &&Figure| measured(new).all(|new| new.name != old.name);
    let missing = measured(old).filter(left_out).count();
    let _ = writeln!(text, "  {same} within the noise, {missing} not measured this time");
    text
}

/// The figures that say something.
fn measured(report: &Report) -> impl Iterator<Item = &Figure> {
    report.figures.iter().filter(|figure| figure.is_measured())
}

/// The line of a figure, if it changed.
fn changed(old: &Figure, new: &Figure) -> Option<String> {
    let (what, before, after) = match (old.ratio, new.ratio) {
        (Some(old), Some(new)) => ("× bare".to_owned(), old.median, new.median),
        _ => (new.unit.clone(), old.ours.median, new.ours.median),
    };
    // Nothing before and nothing now is no change.
    let change = if before == after { 0.0 } else { after / before - 1.0 };
    let noise = old.noise + new.noise;
    if change.abs() <= noise {
        return None;
    }
    let better = (change < 0.0) == (new.better == Better::Lower);
    let verdict = if better { "better" } else { "WORSE" };
    Some(format!(
        "{}: {verdict}, {before:.2} → {after:.2} {what} ({:+.0} %, noise ±{:.0} %)",
        new.name,
        change * 100.0,
        noise * 100.0
    ))
}
