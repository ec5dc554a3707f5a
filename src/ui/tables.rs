//! Aligned tables of short texts.

use crate::ui::text::{Colour, Ink, escape, left, right, width};

/// How a column is aligned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    /// For words.
    Left,
    /// For numbers.
    Right,
}

/// Returns a table with a heading; cells are escaped, columns stand two blanks apart.
///
/// A row may have fewer cells than there are columns. No rows give no text at all.
pub fn render(columns: &[(&str, Align)], rows: &[Vec<String>], colour: Colour) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let heads = columns.iter().map(|(name, _)| (*name).to_owned()).collect::<Vec<_>>();
    let rows: Vec<Vec<_>> =
        rows.iter().map(|row| row.iter().map(|cell| escape(cell)).collect()).collect();
    let widths: Vec<_> = (0..columns.len())
        .map(|at| {
            let cells = rows.iter().chain([&heads]).filter_map(|row| row.get(at));
            cells.map(|cell| width(cell)).max().unwrap_or(0)
        })
        .collect();
    let line = |row: &[String]| {
        let cells = row.iter().zip(columns.iter().zip(&widths));
        let cells = cells.map(|(cell, ((_, align), room))| match align {
            Align::Left => left(cell, *room),
            Align::Right => right(cell, *room),
        });
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    let mut out = colour.paint(Ink::Faint, &line(&heads)) + "\n";
    for row in &rows {
        out.push_str(&line(row));
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_whatever_stands_in_them() {
        let rows = [
            vec!["1122-1741-9f3a".to_owned(), "12".to_owned(), "landed".to_owned()],
            vec!["日本".to_owned(), "1234".to_owned(), "a\u{1b}[2Jb".to_owned()],
            vec!["short".to_owned()],
        ];
        let columns = [("run", Align::Left), ("turns", Align::Right), ("end", Align::Left)];
        insta::assert_snapshot!(render(&columns, &rows, Colour::Never), @r"
        run             turns  end
        1122-1741-9f3a     12  landed
        日本             1234  a\u{1b}[2Jb
        short
        ");
        assert_eq!(render(&columns, &[], Colour::Never), "");
    }
}
