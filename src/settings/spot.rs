//! A position in a text file, with the line that stands there, for messages.
//!
//! The line comes from a file that anybody may have written: it is cut, and control characters are
//! escaped, before a person sees it.

use std::fmt;

/// Longest part of a source line that is shown.
const WIDTH: usize = 160;

/// Where something stands in a text file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Spot {
    /// The file's name as the user knows it.
    pub file: String,
    /// The line, from 1; 0 where it is not known.
    pub line: u32,
    /// The column in characters, from 1; 0 where it is not known.
    pub column: u32,
    /// The line's text.
    pub source: String,
}

impl Spot {
    /// Returns the position at a line and column of `text`.
    pub fn new(file: &str, text: &str, (line, column): (u32, u32)) -> Self {
        let index = (line as usize).saturating_sub(1);
        let source = if line == 0 { "" } else { text.lines().nth(index).unwrap_or("") };
        let source = source.chars().take(WIDTH).map(tame).collect();
        Self { file: file.to_owned(), line, column, source }
    }

    /// Returns the position of a byte of `text`.
    pub fn at_byte(file: &str, text: &str, byte: usize) -> Self {
        let before = text.get(..byte).unwrap_or(text);
        let line = before.matches('\n').count() + 1;
        let start = before.rfind('\n').map_or(0, |at| at + 1);
        let column = before[start..].chars().count() + 1;
        let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Self::new(file, text, (number(line), number(column)))
    }

    /// Returns the line with a mark under the column, to stand below a message; empty when the
    /// position is not known.
    pub fn excerpt(&self) -> String {
        if self.line == 0 || self.source.trim().is_empty() {
            return String::new();
        }
        let number = self.line.to_string();
        let gutter = " ".repeat(number.len());
        let mut excerpt = format!("\n{number} | {}", self.source);
        let before = (self.column as usize).saturating_sub(1);
        if self.column > 0 && before < WIDTH {
            excerpt.push_str(&format!("\n{gutter} | {}^", " ".repeat(before)));
        }
        excerpt
    }
}

impl fmt::Display for Spot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if self.line > 0 {
            write!(f, ":{}", self.line)?;
        }
        if self.column > 0 {
            write!(f, ":{}", self.column)?;
        }
        Ok(())
    }
}

/// Returns a word of a file in backticks, cut and without control characters.
pub fn quoted(word: &str) -> String {
    let mut shown: String = word.chars().take(60).map(tame).collect();
    if word.chars().nth(60).is_some() {
        shown.push('…');
    }
    format!("`{shown}`")
}

/// Control and invisible direction characters become a visible replacement of the same width.
fn tame(c: char) -> char {
    let hidden = matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}');
    match c {
        '\t' => ' ',
        c if c.is_control() || hidden => '\u{fffd}',
        c => c,
    }
}

#[cfg(test)]
mod tests {
    use crate::settings::spot::{Spot, quoted};

    #[test]
    fn points_at_the_column() {
        let spot = Spot::new("w.yaml", "a: 1\nnodes:\n  - idd: x\n", (3, 5));
        insta::assert_snapshot!(format!("{spot}{}", spot.excerpt()), @r"
        w.yaml:3:5
        3 |   - idd: x
          |     ^
        ");
    }

    #[test]
    fn finds_the_line_of_a_byte() {
        let spot = Spot::at_byte("c.toml", "a = 1\nbö = 2\n", 10);
        assert_eq!((spot.line, spot.column, spot.source.as_str()), (2, 4, "bö = 2"));
        assert_eq!(Spot::at_byte("c.toml", "", 99).line, 1);
    }

    #[test]
    fn hides_control_characters() {
        let spot = Spot::new("w.yaml", "\u{1b}[2J\u{202e}x", (1, 1));
        assert_eq!(spot.source, "\u{fffd}[2J\u{fffd}x");
        assert_eq!(quoted("a\u{7}b"), "`a\u{fffd}b`");
        assert_eq!(quoted(&"x".repeat(99)).chars().count(), 63);
    }

    #[test]
    fn an_unknown_position_shows_the_file_only() {
        let spot = Spot::new("w.yaml", "a: 1", (0, 0));
        assert_eq!(format!("{spot}{}", spot.excerpt()), "w.yaml");
    }
}
