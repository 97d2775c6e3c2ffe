//! Figures for people: a table, notes, and a warning where rounds differ much.

use std::fmt::Write as _;
use std::io::{Write as _, stdout};

use super::figure::{Figure, Report, quantile};

const HEADS: [&str; 9] = ["figure", "unit", "ours", "p90", "p99", "bare", "p99", "ratio", "noise"];
/// Rounds may differ by this share without a warning.
const NOISE_MAX: f64 = 0.2;

/// Writes to stdout. A reader may stop early, and the document has it all.
pub(crate) fn print(text: &str) {
    let _ = stdout().lock().write_all(text.as_bytes());
}

pub(crate) fn text(report: &Report) -> String {
    let mut text = format!("commit {}; {}\n\n", report.commit, report.machine);
    let mut rows = vec![HEADS.map(str::to_owned)];
    rows.extend(report.figures.iter().map(row));
    for row in &rows {
        let mut line = String::new();
        for (column, cell) in row.iter().enumerate() {
            let width = rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
            let _ = match column {
                0 | 1 => write!(line, "{cell:width$}  "),
                _ => write!(line, "{cell:>width$}  "),
            };
        }
        let _ = writeln!(text, "{}", line.trim_end());
    }
    text.push('\n');
    for figure in report.figures.iter().filter(|figure| !figure.notes.is_empty()) {
        let note = |(name, value): (&String, &f64)| format!("{name} {}", short(*value));
        let notes: Vec<String> = figure.notes.iter().map(note).collect();
        let _ = writeln!(text, "{}: {}", figure.name, notes.join("; "));
    }
    for figure in report.figures.iter().filter(|it| it.ours.len() > 1 && it.noise() > NOISE_MAX) {
        let noise = figure.noise() * 100.0;
        let _ = writeln!(text, "warning: {}: rounds differ by {noise:.0} %", figure.name);
    }
    text
}

fn row(figure: &Figure) -> [String; 9] {
    let [ours, bare] = [&figure.ours, &figure.bare].map(|rounds| rounds.concat());
    let cell = |values, share| quantile(values, share).map_or_else(|| "-".to_owned(), short);
    [
        figure.name.clone(),
        figure.unit.clone(),
        cell(&ours, 0.5),
        cell(&ours, 0.9),
        cell(&ours, 0.99),
        cell(&bare, 0.5),
        cell(&bare, 0.99),
        figure.ratio().map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.2}")),
        format!("±{:.0} %", figure.noise() * 100.0),
    ]
}

/// Three digits that matter.
fn short(value: f64) -> String {
    let digits = value.abs().max(0.01).log10().floor();
    format!("{value:.*}", (2.0 - digits).clamp(0.0, 3.0) as usize)
}
