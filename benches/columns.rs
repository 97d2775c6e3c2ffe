//! Figures for people: a table as text, or in Markdown.

use std::fmt::Write as _;
use std::io::Write as _;

use crate::figure::{Figure, Machine, Report, Series};
use crate::site::Outcome;

/// The columns.
const HEADS: [&str; 9] = ["figure", "unit", "ours", "p99", "bare", "p99", "ratio", "p99", "noise"];

/// Writes to stdout. Whoever reads may stop early.
pub(crate) fn print(text: &str) -> Outcome<()> {
    match std::io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

pub(crate) fn text(report: &Report) -> String {
    let rows: Vec<[String; 9]> =
        [HEADS.map(str::to_owned)].into_iter().chain(report.figures.iter().map(row)).collect();
    let widths: Vec<usize> = (0..HEADS.len())
        .map(|column| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0))
        .collect();
    let mut text = taken_at(&report.machine) + "\n\n";
    for row in rows {
        for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
            let width = *width;
            let _ = if column < 2 {
                write!(text, "{cell:width$}  ")
            } else {
                write!(text, "{cell:>width$}  ")
            };
        }
        text.truncate(text.trim_end().len());
        text.push('\n');
    }
    text.push('\n');
    for figure in report.figures.iter().filter(|figure| !figure.notes.is_empty()) {
        let _ = writeln!(text, "{}: {}", figure.name, notes(figure));
    }
    text
}

pub(crate) fn markdown(report: &Report) -> String {
    let mut text = taken_at(&report.machine) + "\n\n";
    let mut line = |cells: &[String]| {
        let _ = writeln!(text, "| {} |", cells.join(" | "));
    };
    line(&HEADS.map(str::to_owned));
    line(&HEADS.map(|head| if head == "figure" { "---" } else { "--:" }.to_owned()));
    for figure in &report.figures {
        line(&row(figure));
    }
    text
}

fn taken_at(machine: &Machine) -> String {
    let Machine { processor, processors, memory_mb, kernel, commit, .. } = machine;
    format!(
        "commit {commit}; {processors} × {processor}, {memory_mb} MB, Linux {kernel}; load {} before, {} after",
        machine.load_before, machine.load_after
    )
}

fn row(figure: &Figure) -> [String; 9] {
    let ours = |of: fn(&Series) -> f64| figure.is_measured().then(|| of(&figure.ours));
    let bare = |of: fn(&Series) -> f64| figure.bare.as_ref().filter(|bare| bare.count > 0).map(of);
    let ratio = |of: fn(&crate::figure::Ratio) -> f64| figure.ratio.as_ref().map(of);
    let cell = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), short);
    [
        figure.name.clone(),
        figure.unit.clone(),
        cell(ours(|ours| ours.median)),
        cell(ours(|ours| ours.p99)),
        cell(bare(|bare| bare.median)),
        cell(bare(|bare| bare.p99)),
        ratio(|ratio| ratio.median).map_or("-".into(), |ratio| format!("{ratio:.2}")),
        ratio(|ratio| ratio.p99).map_or("-".into(), |ratio| format!("{ratio:.2}")),
        format!("±{:.0} %", figure.noise * 100.0),
    ]
}

fn notes(figure: &Figure) -> String {
    let notes = figure.notes.iter().map(|(name, value)| format!("{name} {}", short(*value)));
    notes.collect::<Vec<_>>().join("; ")
}

/// Three digits that matter.
pub(crate) fn short(value: f64) -> String {
    match value.abs() {
        large if large >= 100.0 => format!("{value:.0}"),
        large if large >= 10.0 => format!("{value:.1}"),
        large if large >= 1.0 || large == 0.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}
