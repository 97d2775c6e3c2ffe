//! Columns that line up.

/// Lines up rows under their headings, two spaces between columns. A column whose heading begins
/// with `>` leans to the right.
///
/// Cells hold digits, addresses and words of ours, so a character is a column wide.
pub(crate) fn table<const N: usize>(headings: [&str; N], mut rows: Vec<[String; N]>) -> String {
    let leans_right = headings.map(|heading| heading.starts_with('>'));
    rows.insert(0, headings.map(|heading| heading.trim_start_matches('>').to_owned()));
    let widths: [usize; N] = std::array::from_fn(|column| {
        rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0)
    });
    let cell = |(column, cell): (usize, &String)| match (widths[column], leans_right[column]) {
        (width, true) => format!("{cell:>width$}"),
        (width, false) => format!("{cell:<width$}"),
    };
    let line = |row: &[String; N]| {
        let cells: Vec<String> = row.iter().enumerate().map(cell).collect();
        format!("{}\n", cells.join("  ").trim_end())
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let rows =
            vec![["4", "alive", "12"].map(String::from), ["10", "dead", ""].map(String::from)];
        assert_eq!(
            table([">node", "state", ">n"], rows),
            "node  state   n\n   4  alive  12\n  10  dead\n"
        );
    }
}
