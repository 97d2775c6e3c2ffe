//! Columns that line up.

/// Which way a column leans.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Align {
    Left,
    Right,
}

/// Lines up rows under their headings, two spaces between columns.
///
/// Cells hold digits, addresses and words of ours, so a character is a column wide.
pub(crate) fn table(columns: &[(&str, Align)], rows: &[Vec<String>]) -> String {
    let headings: Vec<String> = columns.iter().map(|(heading, _)| (*heading).into()).collect();
    let width = |index: usize| {
        let cells = rows.iter().chain([&headings]).map(|row| row[index].chars().count());
        cells.max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns.len()).map(width).collect();
    let mut text = String::new();
    for row in [&headings].into_iter().chain(rows) {
        let mut line = String::new();
        for ((cell, (_, align)), width) in row.iter().zip(columns).zip(&widths) {
            if !line.is_empty() {
                line.push_str("  ");
            }
            line.push_str(&match align {
                Align::Left => format!("{cell:<width$}"),
                Align::Right => format!("{cell:>width$}"),
            });
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let columns = [("node", Align::Right), ("state", Align::Left), ("n", Align::Right)];
        let rows = [
            vec!["4".into(), "alive".into(), "12".into()],
            vec!["10".into(), "dead".into(), "".into()],
        ];
        assert_eq!(table(&columns, &rows), "node  state   n\n   4  alive  12\n  10  dead\n");
    }
}
