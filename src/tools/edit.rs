//! The tool `edit`: exact search and replace in a file that was read.

use serde::Deserialize;

use crate::{
    guard::sanitise::secrets::masked,
    sandbox::place::Place,
    tools::{
        answer::{Done, Effect},
        change::{Change, commit},
        near::nearest_lines,
        reads::{Known, ReadSet},
        text::{line_of, load, numbered, with_ends_of},
    },
};

/// Lines shown around what was edited.
const AROUND: usize = 3;
/// Places named when there are too many.
const MAX_NAMED: usize = 8;

/// Arguments of `edit`.
#[derive(Debug, Deserialize)]
pub(super) struct Edit {
    path: String,
    old: String,
    new: String,
    #[serde(default)]
    replace_all: bool,
}

/// Replaces a piece of a file.
pub(super) fn edit(place: &Place, args: &Edit, reads: &ReadSet) -> Result<Done, String> {
    let path = &args.path;
    let before = load(place, path)?;
    refuse_unread(reads, path, &before)?;
    let count = if args.replace_all { Count::All } else { Count::One };
    let edited = replace(&before, &args.old, &args.new, count)
        .map_err(|why| format!("`{path}` is not changed: {why}"))?;
    let (from, to) = (edited.from.saturating_sub(AROUND).max(1), edited.to + AROUND);
    let shown = numbered(&edited.text, from, to);
    let times =
        if edited.times == 1 { String::new() } else { format!(" ({} times)", edited.times) };
    let marks = commit(place, &[Change::new(path, Some(before), edited.text)])?;
    Ok(Done {
        content: format!("edited `{path}`{times}:\n{shown}"),
        rest: "read the file to see it all",
        effect: Effect::Wrote(vec![path.clone()]),
        marks,
    })
}

/// Returns an error unless the model knows the file as it is now.
pub(super) fn refuse_unread(reads: &ReadSet, path: &str, now: &str) -> Result<(), String> {
    match reads.knows(path, &blake3::hash(now.as_bytes())) {
        Known::Current => Ok(()),
        Known::Never => Err(format!("E_NOT_READ: read `{path}` before you change it")),
        Known::Stale => Err(format!(
            "E_STALE_READ: `{path}` has changed since you read it; read it again, then change it"
        )),
    }
}

/// How often the searched text may occur.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Count {
    /// Exactly once.
    One,
    /// At least once; all are replaced.
    All,
}

/// A text with a piece replaced.
#[derive(Debug)]
pub(super) struct Edited {
    /// The whole new text.
    pub text: String,
    /// How many times it was replaced.
    pub times: usize,
    /// First line of the first replacement, from 1.
    pub from: usize,
    /// Last line of the first replacement.
    pub to: usize,
    /// Whether the first one begins a line.
    pub at_line_start: bool,
}

/// Returns the text with `old` replaced by `new`, line ends kept as the text has them.
pub(super) fn replace(text: &str, old: &str, new: &str, count: Count) -> Result<Edited, String> {
    if old.is_empty() {
        return Err(
            "`old` is empty; to make a new file or replace a whole one use write".to_owned()
        );
    }
    let old = match text.contains(old) {
        true => old.to_owned(),
        false => with_ends_of(text, old),
    };
    let new = with_ends_of(text, new);
    if old == new {
        return Err("`old` and `new` are the same; nothing would change".to_owned());
    }
    let at: Vec<usize> = text.match_indices(&old).map(|(at, _)| at).collect();
    match at.as_slice() {
        [] if masked(&old).next().is_some() => Err(
            "`old` holds what stands for a secret that you are not shown, so it cannot be found; \
             choose lines without it"
                .to_owned(),
        ),
        [] => Err(format!("`old` does not occur in it; {}", nearest_lines(text, &old))),
        [first, rest @ ..] if rest.is_empty() || count == Count::All => {
            let from = line_of(text, *first);
            let to = from + new.trim_end_matches('\n').matches('\n').count();
            let at_line_start = text[..*first].is_empty() || text[..*first].ends_with('\n');
            Ok(Edited { text: text.replace(&old, &new), times: at.len(), from, to, at_line_start })
        }
        many => {
            let lines: Vec<String> =
                many.iter().take(MAX_NAMED).map(|at| line_of(text, *at).to_string()).collect();
            let lines = lines.join(", ");
            Err(format!(
                "`old` occurs {} times (lines {lines}); add lines around it until it is unique, \
                 or set replace_all",
                many.len()
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::tools::testing::Bench;

    const TEXT: &str = "def mean(xs):\n    return 0\n\n\ndef sum_(xs):\n    return 0\n";

    #[tokio::test]
    async fn an_edit_needs_a_fresh_read_and_then_knows_the_new_content() {
        let bench = Bench::new(&[("a.py", TEXT)]).await;
        let edit = json!({"path": "a.py", "old": "mean(xs):\n    return 0", "new": "mean(xs):\n    return 1"});
        let said = bench.fails("edit", edit.clone()).await;
        assert!(said.contains("E_NOT_READ"), "{said}");
        bench.says("read", json!({"path": "a.py"})).await;
        std::fs::write(bench.path("a.py"), format!("{TEXT}#\n")).expect("writes");
        let said = bench.fails("edit", edit.clone()).await;
        assert!(said.contains("E_STALE_READ"), "{said}");
        bench.says("read", json!({"path": "a.py"})).await;
        insta::assert_snapshot!(bench.says("edit", edit).await, @"
        edited `a.py`:
        1	def mean(xs):
        2	    return 1
        3	
        4	
        5	def sum_(xs):
        ");
        let again = json!({"path": "a.py", "old": "return 0", "new": "return 2"});
        bench.says("edit", again).await;
        assert_eq!(
            bench.read("a.py").expect("is there"),
            TEXT.replacen("0", "1", 1).replace("0", "2") + "#\n"
        );
    }

    #[tokio::test]
    async fn a_failed_edit_shows_where_it_may_belong() {
        let bench = Bench::new(&[("a.py", TEXT)]).await;
        bench.says("read", json!({"path": "a.py"})).await;
        let twice = json!({"path": "a.py", "old": "return 0", "new": "return 1"});
        insta::assert_snapshot!(bench.fails("edit", twice).await, @"`a.py` is not changed: `old` occurs 2 times (lines 2, 6); add lines around it until it is unique, or set replace_all");
        let near = json!({"path": "a.py", "old": "def mean(x):", "new": "def mean(y):"});
        insta::assert_snapshot!(bench.fails("edit", near).await, @"
        `a.py` is not changed: `old` does not occur in it; the nearest lines are (copy them exactly, without the numbers):
        1	def mean(xs):
        2	    return 0
        3
        ");
        let broken = json!({"path": "a.py", "old": "def mean(xs):", "new": "def mean(xs:"});
        let said = bench.fails("edit", broken).await;
        assert!(said.contains("would no longer parse"), "{said}");
        assert_eq!(bench.read("a.py").as_deref(), Some(TEXT));
    }

    #[test]
    fn line_ends_and_a_missing_last_one_stay() {
        let edited = replace("a\r\nb\r\nc", "b\nc", "x\ny", Count::One).expect("edits");
        assert_eq!(edited.text, "a\r\nx\r\ny");
        let edited = replace("a\r\nb\r\n", "b", "x\ny", Count::One).expect("edits");
        assert_eq!(edited.text, "a\r\nx\r\ny\r\n");
        assert_eq!(replace("aXaX", "X", "é", Count::All).expect("edits").text, "aéaé");
        assert!(replace("a", "", "b", Count::One).is_err());
        assert!(replace("a", "a", "a", Count::One).is_err());
    }

    proptest! {
        #[test]
        fn what_stands_around_stays(
            head in "[a-c\n]{0,20}", old in "[x-z\n]{1,9}", new in "[d-f\n]{0,9}", tail in "[a-c\n]{0,20}",
        ) {
            let text = format!("{head}{old}{tail}");
            prop_assume!(text.matches(&old).count() == 1 && text.find(&old) == Some(head.len()));
            if let Ok(edited) = replace(&text, &old, &new, Count::One) {
                prop_assert_eq!(edited.text, format!("{head}{new}{tail}"));
            } else {
                prop_assert_eq!(old, new);
            }
        }

        #[test]
        fn crlf_files_stay_crlf(lines in proptest::collection::vec("[a-c]{1,4}", 2..9), new in "[x\n]{1,6}") {
            let text = format!("{}\r\n", lines.join("\r\n"));
            if let Ok(edited) = replace(&text, &lines[0], &new, Count::All) {
                prop_assert_eq!(edited.text.matches('\n').count(), edited.text.matches("\r\n").count());
            }
        }
    }
}
