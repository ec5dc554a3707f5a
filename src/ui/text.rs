//! Small words of the screen: escaping, width, colour, durations and amounts.

use crate::protocol::usage::Micros;

/// Whether colours are used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Colour {
    /// Plain text.
    #[default]
    Never,
    /// With ANSI sequences.
    Always,
}

/// What a colour says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ink {
    /// It went well.
    Good,
    /// It went wrong.
    Bad,
    /// Worth a look.
    Warn,
    /// Headings.
    Strong,
    /// Less important.
    Faint,
}

impl Colour {
    /// Returns the text in an ink.
    pub fn paint(self, ink: Ink, text: &str) -> String {
        let code = match ink {
            Ink::Good => "32",
            Ink::Bad => "31",
            Ink::Warn => "33",
            Ink::Strong => "1",
            Ink::Faint => "2",
        };
        match self {
            Self::Always if !text.is_empty() => format!("\u{1b}[{code}m{text}\u{1b}[0m"),
            _ => text.to_owned(),
        }
    }
}

/// Returns text from outside on one line and without anything that steers a terminal or turns the
/// direction of reading: blanks for line breaks and tabs, `\u{…}` for the rest.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.trim_end().chars() {
        match c {
            '\n' | '\r' | '\t' => out.push(' '),
            c if is_unsafe(c) => out.extend(c.escape_unicode()),
            c => out.push(c),
        }
    }
    out
}

/// Returns whether a character steers the terminal, is invisible, or turns the direction of what
/// follows.
pub fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{feff}' | '\u{200b}'..='\u{200f}'
        | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{fff9}'..='\u{fffb}'
        | '\u{e0000}'..='\u{e007f}')
}

/// Returns how many columns a text takes, near enough for aligning.
pub fn width(text: &str) -> usize {
    text.chars().map(columns).sum()
}

fn columns(c: char) -> usize {
    match c {
        '\u{300}'..='\u{36f}' | '\u{fe00}'..='\u{fe0f}' => 0,
        '\u{1100}'..='\u{115f}'
        | '\u{2e80}'..='\u{303e}'
        | '\u{3041}'..='\u{a4cf}'
        | '\u{ac00}'..='\u{d7a3}'
        | '\u{f900}'..='\u{faff}'
        | '\u{fe30}'..='\u{fe6f}'
        | '\u{ff00}'..='\u{ff60}'
        | '\u{ffe0}'..='\u{ffe6}'
        | '\u{1f300}'..='\u{1f64f}'
        | '\u{1f900}'..='\u{1f9ff}'
        | '\u{20000}'..='\u{3fffd}' => 2,
        _ => 1,
    }
}

/// Returns the text, cut with an ellipsis where it is wider than `room`.
pub fn fit(text: &str, room: usize) -> String {
    if width(text) <= room {
        return text.to_owned();
    }
    let mut out = String::new();
    let mut used = 1;
    for c in text.chars() {
        used += columns(c);
        if used > room {
            break;
        }
        out.push(c);
    }
    out.push('…');
    out
}

/// Returns a text from outside over several lines of at most `room` columns, indented by two.
pub fn wrap(text: &str, room: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in escape(text).split_whitespace() {
        match lines.last_mut() {
            Some(line) if width(line) + width(word) < room => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(format!("  {word}")),
        }
    }
    lines
}

/// Returns the text with blanks after it, so that it takes `room` columns.
pub fn left(text: &str, room: usize) -> String {
    format!("{text}{}", " ".repeat(room.saturating_sub(width(text))))
}

/// Returns the text with blanks before it, so that it takes `room` columns.
pub fn right(text: &str, room: usize) -> String {
    format!("{}{text}", " ".repeat(room.saturating_sub(width(text))))
}

/// Returns a duration for people.
pub fn duration(ms: u64) -> String {
    let seconds = ms / 1000;
    match seconds {
        0..=9 => format!("{seconds}.{}s", ms % 1000 / 100),
        10..=59 => format!("{seconds}s"),
        60..=3599 => format!("{}m {:02}s", seconds / 60, seconds % 60),
        _ => format!("{}h {:02}m", seconds / 3600, seconds / 60 % 60),
    }
}

/// Returns a number of tokens for people.
pub fn tokens(n: u64) -> String {
    match n {
        0..=999 => n.to_string(),
        1_000..=999_949 => tenths(n, 1_000, "k"),
        _ => tenths(n, 1_000_000, "M"),
    }
}

fn tenths(n: u64, unit: u64, name: &str) -> String {
    let tenths = n.saturating_add(unit / 20) / (unit / 10);
    format!("{}.{}{name}", tenths / 10, tenths % 10)
}

/// Returns an amount of money; nothing where the model has no price.
pub fn money(cost: Micros) -> Option<String> {
    (cost > Micros(0)).then(|| cost.to_string())
}

/// Returns a number with its noun: `1 file`, `2 files`.
pub fn count(n: usize, noun: &str) -> String {
    format!("{n} {noun}{}", if n == 1 { "" } else { "s" })
}

/// Returns a word as a shell takes it, quoted where it must be.
pub fn shell_word(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:@%,=~^".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", escape(word).replace('\'', r"'\''"))
}

/// Returns the first `most` of some names, and how many more there are.
pub fn some(names: &[String], most: usize) -> String {
    let shown: Vec<_> = names.iter().take(most).map(|name| escape(name)).collect();
    match names.len().saturating_sub(most) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outside_text_can_neither_steer_the_terminal_nor_turn_it_round() {
        let nasty = "a\u{1b}]0;title\u{7}b\u{9b}31mc\nd\te\u{202e}f\u{200b}g\u{7f}\u{e0041}ä\r\n";
        let safe = escape(nasty);
        assert_eq!(safe, r"a\u{1b}]0;title\u{7}b\u{9b}31mc d e\u{202e}f\u{200b}g\u{7f}\u{e0041}ä");
        assert!(!safe.chars().any(is_unsafe));
    }

    #[test]
    fn amounts_read_well_at_their_edges() {
        let times = [0, 949, 9_999, 10_000, 59_999, 60_000, 3_599_999, 3_600_000].map(duration);
        assert_eq!(times, ["0.0s", "0.9s", "9.9s", "10s", "59s", "1m 00s", "59m 59s", "1h 00m"]);
        let counts = [0, 999, 1_000, 24_049, 24_050, 999_949, 999_950, 1_250_000].map(tokens);
        assert_eq!(counts, ["0", "999", "1.0k", "24.0k", "24.1k", "999.9k", "1.0M", "1.3M"]);
        assert_eq!(money(Micros(0)), None);
        assert_eq!(money(Micros(431_200)).as_deref(), Some("$0.4312"));
    }

    #[test]
    fn wide_characters_are_counted_and_cut_whole() {
        assert_eq!(width("日本x"), 5);
        assert_eq!(fit("日本x", 5), "日本x");
        assert_eq!(fit("日本x", 4), "日…");
        assert_eq!(left("日", 4), "日  ");
        assert_eq!(right("日", 4), "  日");
    }

    #[test]
    fn words_for_the_shell_are_quoted_where_they_must_be() {
        assert_eq!(shell_word("grafter/1122-1741-9f3a/landed"), "grafter/1122-1741-9f3a/landed");
        assert_eq!(shell_word("a;rm -rf ~"), "'a;rm -rf ~'");
        assert_eq!(shell_word("it's"), r"'it'\''s'");
        assert_eq!(shell_word(""), "''");
    }
}
