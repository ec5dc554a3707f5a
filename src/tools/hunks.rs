//! Applies the hunks of a diff to a text.
//!
//! Pure. Models miscount, so a hunk's line numbers are only a hint where to look first: its context
//! must match line by line (carriage returns aside) somewhere, and in one place only. What a hunk
//! does not touch stays byte for byte.

use crate::tools::{
    diff::{Hunk, Line, Mark},
    near::nearest_lines,
    text::{BOM, has_crlf, numbered, with_mark_of},
};

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
    // Whoever has seen the mark may take it away.
    let mut old = hunks.iter().flat_map(|hunk| &hunk.lines).filter(|line| line.mark != Mark::Add);
    let seen = old.any(|line| line.text.starts_with(BOM));
    Ok(if seen { out } else { with_mark_of(text, out) })
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
    lines.map(|line| line.text.trim_start_matches(BOM).trim_end_matches('\r'))
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
    let bare = |line: &str| line.trim_start_matches(BOM).trim_end_matches(['\n', '\r']).to_owned();
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
    use crate::tools::diff::parse;

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
    fn the_first_line_behind_a_byte_order_mark_never_matched() {
        let text = "\u{feff}one\ntwo\n";
        let blind = "--- a/x\n+++ b/x\n@@ -1,2 +1,2 @@\n-one\n+new\n two\n";
        assert_eq!(patched(text, blind).as_deref(), Ok("\u{feff}new\ntwo\n"));
        let beside = "--- a/x\n+++ b/x\n@@ -1,2 +1,2 @@\n one\n-two\n+new\n";
        assert_eq!(patched(text, beside).as_deref(), Ok("\u{feff}one\nnew\n"));
        // What git printed knows of the mark, and may mean to take it away.
        let knowing = "--- a/x\n+++ b/x\n@@ -1,2 +1,2 @@\n-\u{feff}one\n+one\n two\n";
        assert_eq!(patched(text, knowing).as_deref(), Ok("one\ntwo\n"));
        let gone = "--- a/x\n+++ /dev/null\n@@ -1,2 +0,0 @@\n-one\n-two\n";
        assert_eq!(patched(text, gone).as_deref(), Ok(""));
    }

    #[test]
    fn dashes_in_the_text_are_no_header() {
        let diff = "--- a/x\n+++ b/x\n@@ -1,3 +1,3 @@\n one\n--- two\n+++ two\n three\n";
        assert_eq!(patched("one\n-- two\nthree\n", diff).as_deref(), Ok("one\n++ two\nthree\n"));
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
