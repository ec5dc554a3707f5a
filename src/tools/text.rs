//! Texts as a model sees and sends them: caps, line numbers, line ends, and loading of text files.

use crate::sandbox::{file_error::FileError, files::Kind, place::Place};

/// Files above this size are only shown in windows and never edited.
pub(super) const MAX_FILE: u64 = 8 << 20;
/// Lines above this length are cut when shown.
const MAX_LINE: usize = 2000;

/// Returns the text, cut to about `max` bytes: 60 % from its head, 40 % from its tail, whole lines
/// where possible, with a line between that says how much is left out and how to get it.
pub(super) fn cap(text: String, max: usize, rest: &str) -> String {
    if text.len() <= max {
        return text;
    }
    let head = floor(&text, max / 10 * 6);
    let tail = ceil(&text, text.len() - max / 10 * 4);
    // Whole lines, unless one line fills the window.
    let head = text[..head].rfind('\n').map_or(head, |at| at + 1);
    let tail = match text[tail..].find('\n') {
        Some(at) if !text[..tail].ends_with('\n') => tail + at + 1,
        _ => tail,
    };
    let left_out = &text[head..tail];
    let count = left_out.lines().count();
    let gap = if text[..head].ends_with('\n') { "" } else { "\n" };
    let rest = if rest.is_empty() { String::new() } else { format!("; {rest}") };
    format!(
        "{}{gap}[{count} lines, {} bytes left out{rest}]\n{}",
        &text[..head],
        left_out.len(),
        &text[tail..]
    )
}

fn floor(text: &str, mut at: usize) -> usize {
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

fn ceil(text: &str, mut at: usize) -> usize {
    while !text.is_char_boundary(at) {
        at += 1;
    }
    at
}

/// Returns a line without its end, cut when it is very long, carriage returns in it made visible.
pub(super) fn show_line(line: &str) -> String {
    let line = line.trim_end_matches(['\n', '\r']);
    if line.contains('\r') {
        return show_line(&line.replace('\r', "\u{240d}"));
    }
    if line.len() <= MAX_LINE {
        return line.to_owned();
    }
    let cut = floor(line, MAX_LINE);
    format!("{} [line cut, {} bytes more]", &line[..cut], line.len() - cut)
}

/// Returns lines `from..=to`, counted from 1, each as `number<tab>line`.
pub(super) fn numbered(text: &str, from: usize, to: usize) -> String {
    let lines = text.split_inclusive('\n').enumerate().skip(from.saturating_sub(1));
    let lines = lines.take_while(|(index, _)| *index < to);
    lines.map(|(index, line)| format!("{}\t{}\n", index + 1, show_line(line))).collect()
}

/// Returns the line, counted from 1, that holds a byte.
pub(super) fn line_of(text: &str, byte: usize) -> usize {
    text.bytes().take(byte).filter(|b| *b == b'\n').count() + 1
}

/// Returns whether most lines end with CRLF.
pub(super) fn has_crlf(text: &str) -> bool {
    let crlf = text.matches("\r\n").count();
    crlf > 0 && crlf * 2 >= text.matches('\n').count()
}

/// Returns `new` with the line ends of `like`, unless it brings carriage returns of its own.
pub(super) fn with_ends_of(like: &str, new: &str) -> String {
    if has_crlf(like) && !new.contains('\r') { new.replace('\n', "\r\n") } else { new.to_owned() }
}

/// The byte order mark, which models are not shown and so do not repeat.
pub(super) const BOM: char = '\u{feff}';

/// Returns `new` with the byte order mark of `like`.
pub(super) fn with_mark_of(like: &str, new: String) -> String {
    match like.starts_with(BOM) && !new.starts_with(BOM) && !new.is_empty() {
        true => format!("{BOM}{new}"),
        false => new,
    }
}

/// Returns the whole of a text file, or words on why it cannot be had.
pub(super) fn load(place: &Place, path: &str) -> Result<String, String> {
    let info = place.metadata(path).map_err(|error| no_file(&error, path))?;
    match info.kind {
        Kind::File => {}
        Kind::Directory => {
            return Err(format!("`{path}` is a folder; use tree or glob to look in"));
        }
        _ => return Err(format!("`{path}` is no regular file")),
    }
    if info.len > MAX_FILE {
        return Err(format!(
            "`{path}` has {} bytes, too large to be taken whole; read it in windows, change it \
             with bash",
            info.len
        ));
    }
    let bytes = place.read(path).map_err(|error| no_file(&error, path))?;
    String::from_utf8(bytes).map_err(|error| {
        format!("`{path}` ({} bytes) is not UTF-8 text; use bash on it", error.as_bytes().len())
    })
}

/// Returns the content of a file that may be missing.
pub(super) fn load_if_there(place: &Place, path: &str) -> Result<Option<String>, String> {
    match place.metadata(path) {
        Err(FileError::NotFound { .. }) => Ok(None),
        _ => load(place, path).map(Some),
    }
}

/// Returns the system's answer with what to do next.
pub(super) fn no_file(error: &FileError, path: &str) -> String {
    match error {
        FileError::NotFound { .. } => {
            let name = path.rsplit('/').next().unwrap_or(path);
            format!("`{path}` does not exist; find it with glob `**/{name}` or look with tree")
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_long_text_keeps_head_and_tail_and_says_how_to_get_the_rest() {
        let text: String = (1..=100).map(|n| format!("line {n}\n")).collect();
        insta::assert_snapshot!(cap(text, 100, "read on with offset"), @"
        line 1
        line 2
        line 3
        line 4
        line 5
        line 6
        line 7
        line 8
        [88 lines, 703 bytes left out; read on with offset]
        line 97
        line 98
        line 99
        line 100
        ");
    }

    #[test]
    fn line_ends_follow_the_file() {
        assert_eq!(with_ends_of("a\r\nb\r\n", "x\ny"), "x\r\ny");
        assert_eq!(with_ends_of("a\nb\r\nc\n", "x\ny"), "x\ny");
        assert_eq!(numbered("a\r\nb\nc", 2, 9), "2\tb\n3\tc\n");
    }

    proptest! {
        #[test]
        fn a_cap_holds_and_cuts_no_character(text in "(ab|\n|é|日){0,400}", max in 0_usize..300) {
            let capped = cap(text.clone(), max, "");
            prop_assert!(capped.len() <= max + 80 || capped == text);
        }
    }
}
