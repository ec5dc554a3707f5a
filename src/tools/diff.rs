//! Unified diffs: reading them, and applying them to a text.
//!
//! Pure. Models miscount, so a hunk's line numbers are only a hint where to look first: its context
//! must match line by line (carriage returns aside) somewhere, and in one place only. What a hunk
//! does not touch stays byte for byte.

use crate::tools::{
    near::nearest_lines,
    text::{has_crlf, numbered},
};

/// Changes to one file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct FileDiff {
    /// The file before; none when it is created.
    pub old: Option<String>,
    /// The file after; none when it is deleted.
    pub new: Option<String>,
    /// The pieces, in order.
    pub hunks: Vec<Hunk>,
}

/// One piece of a diff.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Hunk {
    /// First line in the old file, from 1; behind it when there is no old line; none when the diff
    /// does not say.
    start: Option<usize>,
    /// The lines with their marks.
    lines: Vec<Line>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Line {
    mark: Mark,
    text: String,
    /// Whether the diff says that no line end follows.
    open: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mark {
    Keep,
    Remove,
    Add,
}

/// Reads a diff of one or more files.
pub(super) fn parse(text: &str) -> Result<Vec<FileDiff>, String> {
    let lines: Vec<&str> = text.split('\n').collect();
    let (mut files, mut at) = (Vec::<FileDiff>::new(), 0);
    while at < lines.len() {
        let line = lines[at].trim_end_matches('\r');
        if let Some(rest) = line.strip_prefix("diff --git ") {
            files.push(git_header(rest));
            at += 1;
        } else if is_header(&lines, at) {
            header(&mut files, line, lines[at + 1].trim_end_matches('\r'))?;
            at += 2;
        } else if line.starts_with("@@") {
            let Some(file) = files.last_mut() else {
                return Err(format!(
                    "line {}: a hunk without `--- a/path` and `+++ b/path` before it",
                    at + 1
                ));
            };
            let (hunk, next) = hunk(&lines, at);
            if hunk.lines.is_empty() {
                return Err(format!("line {}: the hunk is empty", at + 1));
            }
            file.hunks.push(hunk);
            at = next;
        } else {
            extended(&mut files, line)?;
            at += 1;
        }
    }
    files.retain(|file| file.old.is_some() || file.new.is_some());
    if files.is_empty() {
        return Err(
            "no unified diff in it; a file's part begins with `--- a/path` and `+++ b/path`, \
                    then hunks that begin with `@@ -line,count +line,count @@`"
                .to_owned(),
        );
    }
    match files.iter().find(|file| file.hunks.is_empty() && file.old == file.new) {
        Some(file) => Err(format!("`{}` has no hunk", file.new.as_deref().unwrap_or_default())),
        None => Ok(files),
    }
}

fn is_header(lines: &[&str], at: usize) -> bool {
    let next = |n: usize| lines.get(at + n).copied().unwrap_or_default();
    lines[at].starts_with("--- ") && next(1).starts_with("+++ ")
}

/// `a/path b/path`: names for a file without hunks; `---` and `+++` lines are clearer and win.
fn git_header(rest: &str) -> FileDiff {
    let halves = rest.split_once(" b/").map(|(old, new)| (name(old), Some(new.to_owned())));
    let (old, new) = halves.unwrap_or_default();
    FileDiff { old, new, hunks: Vec::new() }
}

fn header(files: &mut Vec<FileDiff>, old: &str, new: &str) -> Result<(), String> {
    let (old, new) = (name(&old[4..]), name(&new[4..]));
    if old.is_none() && new.is_none() {
        return Err("a part of the diff is about /dev/null only".to_owned());
    }
    match files.last_mut() {
        // The part that `diff --git` began.
        Some(file)
            if file.hunks.is_empty() && (file.new == new || file.old == old || new.is_none()) =>
        {
            (file.old, file.new) = (old, new);
        }
        _ => files.push(FileDiff { old, new, hunks: Vec::new() }),
    }
    Ok(())
}

/// Git's own lines between `diff --git` and the hunks; anything else between files is prose.
fn extended(files: &mut [FileDiff], line: &str) -> Result<(), String> {
    let Some(file) = files.last_mut().filter(|file| file.hunks.is_empty()) else {
        return Ok(());
    };
    if line.starts_with("new file mode 120000") || line.starts_with("new mode ") {
        return Err(format!("`{line}`: links and modes cannot be patched; use bash"));
    }
    if line.starts_with("GIT binary patch") || line.starts_with("Binary files ") {
        return Err("binary files cannot be patched".to_owned());
    }
    if line.starts_with("new file mode ") {
        file.old = None;
    } else if line.starts_with("deleted file mode ") {
        file.new = None;
    } else if let Some(path) = line.strip_prefix("rename from ") {
        file.old = Some(unquoted(path));
    } else if let Some(path) = line.strip_prefix("rename to ") {
        file.new = Some(unquoted(path));
    }
    Ok(())
}

/// Returns the path of a header without prefix and time stamp; none for `/dev/null`.
fn name(text: &str) -> Option<String> {
    let path = unquoted(text.split('\t').next().unwrap_or_default().trim());
    if path == "/dev/null" {
        return None;
    }
    let bare = path.strip_prefix("a/").or_else(|| path.strip_prefix("b/"));
    Some(bare.unwrap_or(&path).to_owned())
}

/// Git quotes odd names like C does: `"caf\303\251"`.
fn unquoted(text: &str) -> String {
    let Some(inner) = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) else {
        return text.to_owned();
    };
    let (mut bytes, mut rest) = (Vec::new(), inner.as_bytes());
    while let [first, tail @ ..] = rest {
        rest = tail;
        let [escaped, tail @ ..] = rest else {
            bytes.push(*first);
            break;
        };
        if *first != b'\\' {
            bytes.push(*first);
            continue;
        }
        rest = tail;
        let octal = [Some(escaped), tail.first(), tail.get(1)].map(|d| d.copied().unwrap_or(b'x'));
        if octal.iter().all(|d| (b'0'..=b'7').contains(d)) {
            let value = octal.iter().fold(0_u32, |sum, d| sum * 8 + u32::from(d - b'0'));
            bytes.push(u8::try_from(value & 0xff).unwrap_or_default());
            rest = &tail[2..];
        } else {
            bytes.push(match escaped {
                b'n' => b'\n',
                b't' => b'\t',
                b'r' => b'\r',
                other => *other,
            });
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Reads the hunk that begins at a line, and returns the line behind it.
fn hunk(lines: &[&str], at: usize) -> (Hunk, usize) {
    let (start, mut old, mut new) = numbers(lines[at]);
    let mut hunk = Hunk { start, lines: Vec::new() };
    let mut next = at + 1;
    while let Some(line) = lines.get(next) {
        let last = next + 1 == lines.len();
        let counted = old > 0 || new > 0;
        let ends = line.starts_with("@@")
            || line.starts_with("diff --git ")
            || is_header(lines, next)
                && (!counted || lines.get(next + 2).is_some_and(|l| l.starts_with("@@")));
        if ends || last && line.is_empty() {
            break;
        }
        let (mark, text) = match line.chars().next() {
            Some('+') => (Mark::Add, &line[1..]),
            Some('-') => (Mark::Remove, &line[1..]),
            Some(' ') => (Mark::Keep, &line[1..]),
            Some('\\') => {
                if let Some(line) = hunk.lines.last_mut() {
                    line.open = true;
                }
                next += 1;
                continue;
            }
            // Editors and models strip the blank of an empty context line.
            None | Some('\r') if counted => (Mark::Keep, *line),
            _ => break,
        };
        old = if mark == Mark::Add { old } else { old.saturating_sub(1) };
        new = if mark == Mark::Remove { new } else { new.saturating_sub(1) };
        hunk.lines.push(Line { mark, text: text.to_owned(), open: false });
        next += 1;
    }
    (hunk, next)
}

/// Returns the start and both counts of `@@ -start,count +start,count @@`.
fn numbers(line: &str) -> (Option<usize>, usize, usize) {
    let part = |sign: char| -> Option<(usize, usize)> {
        let part = line.split_whitespace().find_map(|word| word.strip_prefix(sign))?;
        let (start, count) = part.split_once(',').unwrap_or((part, "1"));
        Some((start.parse().ok()?, count.parse().ok()?))
    };
    let (old, new) = (part('-'), part('+'));
    let count = |part: Option<(usize, usize)>| part.map_or(0, |(_, count)| count);
    (old.map(|(start, _)| start), count(old), count(new))
}

/// Returns the text with the hunks applied, or words on the hunk that does not fit.
pub(super) fn apply(text: &str, hunks: &[Hunk]) -> Result<String, String> {
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let end = if has_crlf(text) { "\r\n" } else { "\n" };
    let (mut out, mut done, mut shift) = (String::with_capacity(text.len()), 0, 0_isize);
    for (number, hunk) in hunks.iter().enumerate() {
        // A hunk without old lines stands behind the line it names.
        let first = hunk.start.unwrap_or(1);
        let index = if old_side(hunk).next().is_none() { first } else { first.saturating_sub(1) };
        let expected = index.saturating_add_signed(shift);
        let at = find(&lines, hunk, done, expected)
            .map_err(|why| format!("hunk {} {}", number + 1, why.words(text, hunk)))?;
        if hunk.start.is_some() {
            shift += at.cast_signed() - expected.cast_signed();
        }
        lines[done..at].iter().for_each(|line| out.push_str(line));
        done = at;
        for line in &hunk.lines {
            match line.mark {
                Mark::Keep => {
                    push(&mut out, lines[done], end);
                    done += 1;
                }
                Mark::Remove => done += 1,
                Mark::Add => push(&mut out, &added(line, hunk, end), end),
            }
        }
    }
    lines[done..].iter().for_each(|line| push(&mut out, line, end));
    Ok(out)
}

fn added(line: &Line, hunk: &Hunk, end: &str) -> String {
    let brings_ends = hunk.lines.iter().any(|line| line.text.ends_with('\r'));
    let bare = line.text.trim_end_matches('\r');
    match (line.open, brings_ends) {
        (true, true) => line.text.clone(),
        (true, false) => bare.to_owned(),
        (false, true) => format!("{}\n", line.text),
        (false, false) => format!("{bare}{end}"),
    }
}

/// A line without an end can only be the last one.
fn push(out: &mut String, line: &str, end: &str) {
    if !out.is_empty() && !out.ends_with('\n') {
        out.push_str(end);
    }
    out.push_str(line);
}

enum Misfit {
    Nowhere,
    Many(Vec<usize>),
}

impl Misfit {
    fn words(&self, text: &str, hunk: &Hunk) -> String {
        let wanted: Vec<&str> = old_side(hunk).collect();
        match self {
            Self::Nowhere if wanted.is_empty() => {
                let end = text.lines().count();
                format!(
                    "adds lines but does not say where; the file has {end} lines:\n{}",
                    numbered(text, 1, 40)
                )
            }
            Self::Nowhere => {
                format!("does not match the file; {}", nearest_lines(text, &wanted.join("\n")))
            }
            Self::Many(at) => {
                let at: Vec<String> = at.iter().take(8).map(|at| (at + 1).to_string()).collect();
                format!("matches at lines {}; add context lines until it is unique", at.join(", "))
            }
        }
    }
}

fn old_side(hunk: &Hunk) -> impl Iterator<Item = &str> {
    let lines = hunk.lines.iter().filter(|line| line.mark != Mark::Add);
    lines.map(|line| line.text.trim_end_matches('\r'))
}

/// Returns the line, from 0, that the hunk begins at.
fn find(lines: &[&str], hunk: &Hunk, least: usize, expected: usize) -> Result<usize, Misfit> {
    let wanted: Vec<&str> = old_side(hunk).collect();
    if wanted.is_empty() {
        // Without a line number only an empty file leaves no doubt.
        let fits = hunk.start.is_some() && (least..=lines.len()).contains(&expected);
        return match (fits, lines.is_empty()) {
            (true, _) => Ok(expected),
            (false, true) => Ok(0),
            (false, false) => Err(Misfit::Nowhere),
        };
    }
    let bare = |line: &str| line.trim_end_matches(['\n', '\r']).to_owned();
    let fits = |at: usize| {
        let window = lines.get(at..at + wanted.len());
        window.is_some_and(|window| window.iter().zip(&wanted).all(|(a, b)| bare(a) == *b))
    };
    if hunk.start.is_some() && expected >= least && fits(expected) {
        return Ok(expected);
    }
    let last = (lines.len() + 1).saturating_sub(wanted.len());
    let mut places: Vec<usize> = (least..last).filter(|at| fits(*at)).collect();
    places.sort_by_key(|at| at.abs_diff(expected));
    match places.as_slice() {
        [] => Err(Misfit::Nowhere),
        [one] => Ok(*one),
        // Clearly the nearest one, by the diff's own line numbers.
        [near, far, ..]
            if hunk.start.is_some() && near.abs_diff(expected) * 4 < far.abs_diff(expected) =>
        {
            Ok(*near)
        }
        many => Err(Misfit::Many(many.to_vec())),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use similar::TextDiff;

    use super::*;

    fn patched(text: &str, diff: &str) -> Result<String, String> {
        apply(text, &parse(diff)?[0].hunks)
    }

    const TEXT: &str = "one\ntwo\nthree\nfour\nfive\n";

    #[test]
    fn line_numbers_may_be_wrong_but_not_the_context() {
        let diff = "--- a/x\n+++ b/x\n@@ -90,9 +90,9 @@\n two\n-three\n+THREE\n four\n";
        assert_eq!(patched(TEXT, diff).as_deref(), Ok("one\ntwo\nTHREE\nfour\nfive\n"));
        let bare = "--- x\n+++ x\n@@\n-three\n+THREE\n";
        assert_eq!(patched(TEXT, bare).as_deref(), Ok("one\ntwo\nTHREE\nfour\nfive\n"));
        let wrong = "--- a/x\n+++ b/x\n@@ -1,2 +1,2 @@\n two\n-thrice\n+3\n";
        insta::assert_snapshot!(patched(TEXT, wrong).expect_err("no match"), @"
        hunk 1 does not match the file; the nearest lines are (copy them exactly, without the numbers):
        1	one
        2	two
        3	three
        4	four
        5	five
        ");
        let twice = "--- a/x\n+++ b/x\n@@ -50 +50 @@\n-a\n+b\n";
        insta::assert_snapshot!(patched("a\nx\na\n", twice).expect_err("two"), @"hunk 1 matches at lines 3, 1; add context lines until it is unique");
    }

    #[test]
    fn carriage_returns_and_open_ends_are_kept() {
        let diff = "--- a/x\n+++ b/x\n@@ -1,2 +1,3 @@\n one\n+new\n two\n";
        assert_eq!(patched("one\r\ntwo\r\n", diff).as_deref(), Ok("one\r\nnew\r\ntwo\r\n"));
        let open = "--- a/x\n+++ b/x\n@@ -1 +1,2 @@\n one\n+two\n\\ No newline at end of file\n";
        assert_eq!(patched("one", open).as_deref(), Ok("one\ntwo"));
    }

    #[test]
    fn dashes_in_the_text_are_no_header() {
        let diff = "--- a/x\n+++ b/x\n@@ -1,3 +1,3 @@\n one\n--- two\n+++ two\n three\n";
        assert_eq!(patched("one\n-- two\nthree\n", diff).as_deref(), Ok("one\n++ two\nthree\n"));
    }

    #[test]
    fn names_are_read() {
        let text = "diff --git a/old b/new\nsimilarity index 100%\nrename from old\nrename to new\n\
            diff --git \"a/caf\\303\\251\" \"b/caf\\303\\251\"\n--- \"a/caf\\303\\251\"\t2020\n+++ \"b/caf\\303\\251\"\n@@ -1 +1 @@\n-a\n+b\n\
            diff --git a/gone b/gone\ndeleted file mode 100644\nindex 1..0\n--- a/gone\n+++ /dev/null\n@@ -1 +0,0 @@\n-a\n\
            diff --git a/empty b/empty\nnew file mode 100644\nindex 0..e\n";
        let files = parse(text).expect("parses");
        let names: Vec<_> =
            files.iter().map(|f| (f.old.as_deref(), f.new.as_deref(), f.hunks.len())).collect();
        assert_eq!(
            names,
            [
                (Some("old"), Some("new"), 0),
                (Some("café"), Some("café"), 1),
                (Some("gone"), None, 1),
                (None, Some("empty"), 0)
            ]
        );
    }

    #[test]
    fn garbage_is_told() {
        for (text, word) in [
            ("", "no unified diff"),
            ("hello\n", "no unified diff"),
            ("@@ -1 +1 @@\n-a\n+b\n", "without `--- a/path`"),
            ("--- a/x\n+++ b/x\n", "has no hunk"),
            ("--- a/x\n+++ b/x\n@@ -1 +1 @@\nnonsense\n", "hunk is empty"),
            ("diff --git a/x b/x\nGIT binary patch\n", "binary"),
            ("diff --git a/x b/x\nold mode 100644\nnew mode 100755\n", "modes cannot"),
        ] {
            let error = parse(text).expect_err(text);
            assert!(error.contains(word), "{text:?}: {error}");
        }
    }

    proptest! {
        #[test]
        fn a_real_diff_goes_round(
            old in proptest::collection::vec("[a-c]{0,2}(\n|\r\n)", 0..30),
            new in proptest::collection::vec("[a-c]{0,2}(\n|\r\n)", 0..30),
            ends in any::<(bool, bool)>(),
            context in 0_usize..4,
        ) {
            let whole = |lines: Vec<String>, open: bool| {
                let text = lines.concat();
                if open { text.trim_end_matches(['\n', '\r']).to_owned() } else { text }
            };
            let (old, new) = (whole(old, ends.0), whole(new, ends.1));
            prop_assume!(old != new);
            let diff = TextDiff::from_lines(&old, &new).unified_diff()
                .context_radius(context).header("a/x", "b/x").to_string();
            // Line ends alone are not compared, so a diff of nothing else may find two places.
            match patched(&old, &diff) {
                Ok(text) => prop_assert_eq!(text.replace('\r', ""), new.replace('\r', "")),
                Err(why) => prop_assert!(why.contains("matches at lines"), "{}\n{}", why, diff),
            }
        }

        #[test]
        fn a_diff_of_plain_lines_goes_round_exactly(
            old in proptest::collection::vec("[a-c]{0,2}\n", 0..40),
            new in proptest::collection::vec("[a-c]{0,2}\n", 0..40),
            ends in any::<(bool, bool)>(),
            crlf in any::<bool>(),
        ) {
            let whole = |lines: Vec<String>, open: bool| {
                let text = lines.concat();
                let text = if open { text.trim_end_matches('\n').to_owned() } else { text };
                if crlf { text.replace('\n', "\r\n") } else { text }
            };
            let (old, new) = (whole(old, ends.0), whole(new, ends.1));
            prop_assume!(old != new);
            let diff = TextDiff::from_lines(&old, &new).unified_diff().header("a/x", "b/x").to_string();
            prop_assert_eq!(patched(&old, &diff), Ok(new));
        }

        #[test]
        fn any_text_is_read_without_harm(text in "(@@|---|\\+\\+\\+|diff --git|[-+ \\\\a/,0-9\n\"]){0,60}", file in "[a\n]{0,9}") {
            if let Ok(files) = parse(&text) {
                for part in files {
                    let _ = apply(&file, &part.hunks);
                }
            }
        }
    }
}
