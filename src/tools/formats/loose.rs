//! Search lines that differ from the file in blank space only.
//!
//! Small models shift indentation and drop trailing blanks. Lines that are equal otherwise, at one
//! place only, are meant; the new lines are shifted as the old ones were.

use crate::tools::text::with_ends_of;

/// Returns the line, from 0, where the lines stand, if there is exactly one such place.
pub(super) fn find(text: &str, search: &str) -> Option<usize> {
    let wanted = trimmed(search);
    if wanted.iter().all(|line| line.is_empty()) {
        return None;
    }
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let mut places =
        lines.windows(wanted.len()).enumerate().filter(|(_, window)| *window == wanted);
    match (places.next(), places.next()) {
        (Some((at, _)), None) => Some(at),
        _ => None,
    }
}

/// Returns the text with the lines replaced, if it is clear which are meant.
pub(super) fn replace(text: &str, search: &str, new: &str) -> Option<String> {
    let at = find(text, search)?;
    let wanted = trimmed(search);
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let old = &lines[at..at + wanted.len()];
    let solid = old.iter().position(|line| !line.trim().is_empty())?;
    let skipped = search.lines().take_while(|line| line.trim().is_empty()).count();
    let from = indent(search.lines().nth(skipped + solid)?);
    let to = indent(old[solid]);
    let shifted: String = new
        .lines()
        .map(|line| match line.strip_prefix(from) {
            Some(rest) if !rest.trim().is_empty() => format!("{to}{rest}\n"),
            _ => format!("{line}\n"),
        })
        .collect();
    let mut shifted = with_ends_of(text, &shifted);
    if !old.last()?.ends_with('\n') {
        shifted.truncate(shifted.trim_end_matches(['\n', '\r']).len());
    }
    Some(format!("{}{shifted}{}", lines[..at].concat(), lines[at + wanted.len()..].concat()))
}

/// Returns the lines without blanks around them, without empty lines at both ends.
fn trimmed(search: &str) -> Vec<&str> {
    search.trim_matches(['\n', '\r']).lines().map(str::trim).collect()
}

fn indent(line: &str) -> &str {
    &line[..line.len() - line.trim_start().len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shifted_lines_are_found_once_or_not_at_all() {
        let text = "a:\r\n    b\r\n    c\r\nd\r\n";
        assert_eq!(
            replace(text, "b \nc\n", "x\n  y\n").as_deref(),
            Some("a:\r\n    x\r\n      y\r\nd\r\n")
        );
        assert_eq!(replace("  b\nb", "\tb", "\tx").as_deref(), None);
        assert_eq!(replace("a\n  b", "b\n", "x\n").as_deref(), Some("a\n  x"));
        assert_eq!((find("a", ""), find("", "a"), find("a", "\n \n")), (None, None, None));
    }
}
