//! Turns what an edit format says into changes of files, and carries these out.

use std::collections::BTreeMap;

use crate::{
    code::{
        compare::same_syntax,
        functions::functions,
        imports::with_imports_of,
        language::language_of,
        replace::{NewFunction, ReplaceError, new_functions, replace_with},
    },
    guard::path::normalise,
    sandbox::place::Place,
    tools::{
        change::{self, commit},
        edit::{Count, replace},
        formats::loose,
        text::{load, load_if_there, with_ends_of, with_mark_of},
    },
};

/// Said of a block that does not say what it replaces.
const NO_SEARCH: &str = "the SEARCH part is empty, which only makes a new file or fills an empty \
                         one; copy the lines to be replaced into it";

/// One change that an answer asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileEdit {
    /// The file as the answer names it.
    pub path: Option<String>,
    /// What to do with it.
    pub change: Change,
}

/// What an answer asks for in one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Some lines by others.
    Replace {
        /// The old lines.
        search: String,
        /// The new lines.
        replace: String,
    },
    /// The whole content.
    Whole(String),
    /// The functions in this source.
    Functions(String),
}

/// Carries out the changes of an answer, all or none, and returns the files that changed.
///
/// `offered` are the files that the model was shown; an edit without a path is about one of them.
pub fn apply(place: &Place, edits: &[FileEdit], offered: &[String]) -> Result<Vec<String>, String> {
    let changes = plan(place, edits, offered)?;
    commit(place, &changes)?;
    Ok(changes.into_iter().map(|change| change.path).collect())
}

/// Computes the changes of an answer; an answer that changes nothing is an error.
pub(super) fn plan(
    place: &Place,
    edits: &[FileEdit],
    offered: &[String],
) -> Result<Vec<change::Change>, String> {
    // Content before and now, by path: several edits may be about one file.
    let mut files: BTreeMap<String, (Option<String>, String)> = BTreeMap::new();
    let mut nothing = Vec::new();
    for edit in edits {
        let path = resolve(place, edit, offered)?;
        let (before, now) = match files.get(&path) {
            Some(known) => known.clone(),
            None => {
                let before = load_if_there(place, &path)?;
                (before.clone(), before.unwrap_or_default())
            }
        };
        refuse_gaps(&edit.change, &now)?;
        let exists = before.is_some();
        let after = changed(&path, exists.then_some(now.as_str()), &edit.change)
            .map_err(|why| format!("`{path}`: {why}"))?;
        files.insert(path, (before, after));
    }
    let mut changes = Vec::new();
    for (path, (before, after)) in files {
        match &before {
            Some(old) if same_syntax(&path, old, &after) => nothing.push(path),
            _ => changes.push(change::Change::new(&path, before, after)),
        }
    }
    if changes.is_empty() {
        let files = nothing.join(", ");
        return Err(format!(
            "nothing changed: the code in the answer is the same as in {files}, comments and blank \
             space aside; find what is wrong and change it"
        ));
    }
    Ok(changes)
}

/// Returns the file that an edit is about, in normal form.
fn resolve(place: &Place, edit: &FileEdit, offered: &[String]) -> Result<String, String> {
    let Some(path) = &edit.path else {
        return nameless(place, &edit.change, offered);
    };
    let normal = normalise(&place.seen_as().to_string_lossy(), path)
        .ok_or_else(|| format!("E_OUTSIDE: `{path}` is outside the repository"))?;
    if place.metadata(&normal).is_ok() {
        return Ok(normal);
    }
    // Small models leave folders out, or make up a new name for the file they were shown.
    let tail = format!("/{normal}");
    let mut same = offered.iter().filter(|file| file.ends_with(&tail));
    match (same.next(), same.next()) {
        (Some(one), None) => Ok(one.clone()),
        _ if matches!(edit.change, Change::Whole(_)) => Ok(normal),
        _ if matches!(&edit.change, Change::Replace { search, .. } if search.trim().is_empty()) => {
            Ok(normal)
        }
        _ => Err(format!("`{normal}` does not exist; {}", names(offered))),
    }
}

fn nameless(place: &Place, change: &Change, offered: &[String]) -> Result<String, String> {
    if let [only] = offered {
        return Ok(only.clone());
    }
    let fits = |path: &&String| {
        load(place, path).is_ok_and(|text| match change {
            Change::Whole(_) => false,
            Change::Replace { search, .. } => loose::find(&text, search).is_some(),
            Change::Functions(source) => {
                let known = functions(path, &text);
                new_functions(path, source)
                    .iter()
                    .any(|new| known.iter().any(|old| old.is_called(&new.name)))
            }
        })
    };
    let found: Vec<&String> = offered.iter().filter(fits).collect();
    match found.as_slice() {
        [one] => Ok((*one).clone()),
        _ => Err(format!(
            "it is not clear which file is meant; write its path on the line before. {}",
            names(offered)
        )),
    }
}

fn names(offered: &[String]) -> String {
    match offered {
        [] => "Give a path that exists, relative to the repository's root".to_owned(),
        _ => format!("The files are: {}", offered.join(", ")),
    }
}

/// A line like `# ... rest of the code` would delete what it stands for.
fn refuse_gaps(change: &Change, before: &str) -> Result<(), String> {
    let text = match change {
        Change::Replace { replace, .. } => replace,
        Change::Whole(text) | Change::Functions(text) => text,
    };
    let words = ["rest of", "existing", "unchanged", "same as", "remain", "omitted", "previous"];
    let gap = text.lines().map(str::trim).find(|line| {
        let comment = ["#", "//", "/*", "--", "<!--"].iter().any(|mark| line.starts_with(mark));
        let lower = line.to_ascii_lowercase();
        let dots = line.contains("...") || line.contains('…');
        comment && dots && words.iter().any(|word| lower.contains(word)) && !before.contains(line)
    });
    match gap {
        Some(line) => Err(format!("`{line}` stands for code that is left out; write all of it")),
        None => Ok(()),
    }
}

/// Returns the new content of a file.
fn changed(path: &str, now: Option<&str>, change: &Change) -> Result<String, String> {
    let Some(now) = now else {
        return match change {
            Change::Whole(text) => Ok(text.clone()),
            Change::Replace { search, replace } if search.trim().is_empty() => Ok(replace.clone()),
            _ => Err("the file does not exist".to_owned()),
        };
    };
    match change {
        Change::Whole(text) => {
            let text = with_mark_of(now, with_ends_of(now, text));
            let open = !now.is_empty() && !now.ends_with('\n');
            Ok(if open { text.trim_end_matches(['\n', '\r']).to_owned() } else { text })
        }
        Change::Replace { search, replace: new } if search == new => Ok(now.to_owned()),
        Change::Replace { search, replace } if search.trim().is_empty() => match now.is_empty() {
            true => Ok(replace.clone()),
            false => Err(NO_SEARCH.to_owned()),
        },
        Change::Replace { search, replace: new } => {
            let exact = replace(now, search, new, Count::One);
            // A match in the middle of a line has lost its indentation, and its new lines too.
            if !exact.as_ref().is_ok_and(|edited| edited.at_line_start)
                && let Some(text) = loose::replace(now, search, new)
            {
                return Ok(text);
            }
            exact.map(|edited| edited.text)
        }
        Change::Functions(source) => with_functions(path, now, source),
    }
}

fn with_functions(path: &str, now: &str, source: &str) -> Result<String, String> {
    if language_of(path).is_none() {
        return Err(
            "functions cannot be told apart in this language; hand in the whole file".to_owned()
        );
    }
    let new = new_functions(path, source);
    if new.is_empty() {
        return Err("the code block holds no complete function; write the whole \
                    function, from its first line to its last"
            .to_owned());
    }
    let (mut text, mut helpers, mut missing) = (now.to_owned(), Vec::new(), None);
    for function in &new {
        match replace_with(path, &text, function) {
            Ok(replaced) => {
                // What is only written differently stays as it was.
                text = if same_syntax(path, &text, &replaced) { text } else { replaced };
            }
            Err(error @ ReplaceError::NotFound { .. }) => {
                helpers.push(function);
                missing = Some(error);
            }
            Err(error) => return Err(error.to_string()),
        }
    }
    match missing {
        Some(error) if helpers.len() == new.len() => return Err(error.to_string()),
        _ => {}
    }
    for helper in helpers {
        append(&mut text, helper);
    }
    Ok(if text == now { text } else { with_imports_of(path, &text, source) })
}

/// A new function beside the replaced ones is a helper; at the file's end it disturbs nothing.
fn append(text: &mut String, helper: &NewFunction) {
    let end = if text.contains("\r\n") { "\r\n" } else { "\n" };
    let source = helper.source.replace('\n', end);
    let kept = text.trim_end().len();
    text.truncate(kept);
    text.push_str(&format!("{end}{end}{end}{source}{end}"));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tools::{
        formats::{blocks, whole_file, whole_function},
        testing::Bench,
    };

    const STATS: &str = "class Stats:\n    @staticmethod\n    def mean(xs):\n        return sum(xs)\n\n\ndef median(xs):\n    xs = sorted(xs)\n    return xs[len(xs) // 2]";

    async fn bench() -> Bench {
        Bench::new(&[("src/stats.py", STATS), ("src/other.py", "def other():\n    pass\n")]).await
    }

    fn offered(paths: &[&str]) -> Vec<String> {
        paths.iter().map(|path| (*path).to_owned()).collect()
    }

    #[tokio::test]
    async fn functions_find_their_file_and_bring_imports_and_helpers() {
        let bench = bench().await;
        let answer = "The bug is clear.\n```python\nimport math\n\ndef helper(x):\n    return x\n\ndef mean(xs):\n    return math.fsum(xs) / len(xs)\n```\n";
        let both = offered(&["src/stats.py", "src/other.py"]);
        let edits = whole_function::parse(answer).expect("parses");
        apply(&bench.place, &edits, &both).expect("applies");
        insta::assert_snapshot!(bench.read("src/stats.py").expect("is there"), @"
        import math
        class Stats:
            @staticmethod
            def mean(xs):
                return math.fsum(xs) / len(xs)


        def median(xs):
            xs = sorted(xs)
            return xs[len(xs) // 2]


        def helper(x):
            return x
        ");
        let why = apply(&bench.place, &edits, &[]).expect_err("no file on offer");
        assert!(why.contains("not clear which file"), "{why}");
        let alone = "```python\ndef median(xs):\n    return sorted(xs)[0]\n```";
        let edits = whole_function::parse(alone).expect("parses");
        assert_eq!(apply(&bench.place, &edits, &both), Ok(offered(&["src/stats.py"])));
    }

    #[tokio::test]
    async fn a_lone_method_finds_its_class() {
        let bench = Bench::new(&[("a.js", "class A {\n  f(x) {\n    return x;\n  }\n}\n")]).await;
        let edits = whole_function::parse("```js\nf(x) {\n  return -x;\n}\n```").expect("parses");
        apply(&bench.place, &edits, &offered(&["a.js"])).expect("applies");
        let text = bench.read("a.js");
        assert_eq!(text.as_deref(), Some("class A {\n  f(x) {\n    return -x;\n  }\n}\n"));
    }

    #[tokio::test]
    async fn an_answer_that_changes_nothing_is_refused() {
        let bench = bench().await;
        let one = offered(&["src/stats.py"]);
        for edits in [
            whole_function::parse(
                "```python\ndef median(xs):\n    # sort\n    xs = sorted( xs )\n    return xs[len(xs) // 2]\n```",
            ),
            whole_file::parse(&format!("```python\n{STATS}\n```")),
            blocks::parse(
                "<<<<<<< SEARCH\ndef median(xs):\n=======\ndef median(xs):\n>>>>>>> REPLACE",
            ),
        ] {
            let why = apply(&bench.place, &edits.expect("parses"), &one).expect_err("nothing");
            assert!(why.starts_with("nothing changed"), "{why}");
        }
        assert_eq!(bench.read("src/stats.py").as_deref(), Some(STATS));
    }

    #[tokio::test]
    async fn whole_files_keep_the_open_end_and_may_be_new() {
        let bench = bench().await;
        let answer = format!(
            "stats.py\n```python\n{}\n```\nnew/n.py\n```\ny = 1\n```",
            STATS.replace("// 2", "// 3")
        );
        let edits = whole_file::parse(&answer).expect("parses");
        let one = offered(&["src/stats.py"]);
        assert_eq!(apply(&bench.place, &edits, &one), Ok(offered(&["new/n.py", "src/stats.py"])));
        assert_eq!(bench.read("src/stats.py"), Some(STATS.replace("// 2", "// 3")));
        assert_eq!(bench.read("new/n.py").as_deref(), Some("y = 1\n"));
        let gap = whole_file::parse("src/stats.py\n```\n# ... rest of the code unchanged\n```")
            .expect("parses");
        let why = apply(&bench.place, &gap, &one).expect_err("a gap");
        assert!(why.contains("write all of it"), "{why}");
    }

    #[tokio::test]
    async fn blocks_match_loosely_when_that_is_clear() {
        let bench = bench().await;
        let one = offered(&["src/stats.py"]);
        let block = "src/stats.py\n<<<<<<< SEARCH\ndef mean(xs):\n    return sum(xs)\n=======\ndef mean(xs):\n    if not xs:\n        return 0\n    return sum(xs) / len(xs)\n>>>>>>> REPLACE\n";
        apply(&bench.place, &blocks::parse(block).expect("parses"), &one).expect("applies");
        let text = bench.read("src/stats.py").expect("is there");
        assert!(
            text.contains(
                "    def mean(xs):\n        if not xs:\n            return 0\n        return"
            ),
            "{text}"
        );
        let shifted = "src/stats.py\n<<<<<<< SEARCH\nxs = sorted(xs)\n=======\nif not xs:\n    return None\nxs = sorted(xs)\n>>>>>>> REPLACE\n";
        apply(&bench.place, &blocks::parse(shifted).expect("parses"), &one).expect("applies");
        let text = bench.read("src/stats.py").expect("is there");
        assert!(
            text.contains("    if not xs:\n        return None\n    xs = sorted(xs)\n"),
            "{text}"
        );
        let missing =
            blocks::parse("src/stats.py\n<<<<<<< SEARCH\nnope\n=======\nx\n>>>>>>> REPLACE");
        let why = apply(&bench.place, &missing.expect("parses"), &one).expect_err("missing");
        assert!(why.contains("does not occur"), "{why}");
    }

    #[tokio::test]
    async fn an_empty_search_on_a_file_that_is_there_was_sent_to_a_tool_the_format_has_not() {
        let bench = Bench::new(&[("empty.txt", ""), ("full.txt", "full\n")]).await;
        let block = |path: &str| {
            let text = format!("{path}\n<<<<<<< SEARCH\n=======\nnew\n>>>>>>> REPLACE\n");
            apply(&bench.place, &blocks::parse(&text).expect("parses"), &[])
        };
        assert_eq!(block("empty.txt"), Ok(offered(&["empty.txt"])));
        assert_eq!(bench.read("empty.txt").as_deref(), Some("new\n"));
        let why = block("full.txt").expect_err("it is not said what is replaced");
        assert!(why.contains("SEARCH") && !why.contains("write"), "{why}");
        assert_eq!(bench.read("full.txt").as_deref(), Some("full\n"));
    }

    #[tokio::test]
    async fn a_whole_file_lost_its_byte_order_mark() {
        let bench = Bench::new(&[("a.py", "\u{feff}x = 1\n")]).await;
        let edits = whole_file::parse("a.py\n```\nx = 2\n```").expect("parses");
        apply(&bench.place, &edits, &[]).expect("applies");
        assert_eq!(bench.read("a.py").as_deref(), Some("\u{feff}x = 2\n"));
    }

    #[tokio::test]
    async fn paths_outside_and_broken_code_are_refused() {
        let bench = bench().await;
        for (answer, word) in [
            ("../x.py\n```\nx\n```", "E_OUTSIDE"),
            (".git/x.py\n```\nx\n```", "E_PROTECTED"),
            ("src/stats.py\n```\ndef f(:\n```", "no longer parse"),
        ] {
            let edits = whole_file::parse(answer).expect("parses");
            let why = apply(&bench.place, &edits, &[]).expect_err(answer);
            assert!(why.contains(word), "{answer}: {why}");
        }
        let half =
            whole_function::parse("```python\ndef median(xs:\n    return\n```").expect("parses");
        assert!(apply(&bench.place, &half, &offered(&["src/stats.py"])).is_err());
        assert_eq!(bench.read("src/stats.py").as_deref(), Some(STATS));
    }
}
