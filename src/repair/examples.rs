//! Examples that an issue gives, as tests, for when no test fails yet. Pure.
//!
//! An issue often says what a call gives and what it must give. Such a call, with literals for
//! arguments and the wanted value behind it, becomes a test that is laid into the tree while the
//! search runs and taken out again. The text of an issue is never run: the test takes the literals
//! apart and calls the named function with them.

use serde_json::json;

use crate::{
    code::{functions::functions, test_file::is_test_file},
    repair::search::Source,
};

/// Words before a value that is wanted.
const WANTED: [&str; 9] = [
    "must give",
    "must return",
    "must be",
    "should give",
    "should return",
    "should have returned",
    "should be",
    "expected",
    "instead of the right",
];
/// More examples are left out.
const MOST: usize = 20;
/// How far behind a call its value may stand, and how long a call may be, in bytes.
const NEAR: usize = 400;
/// The names of the files.
const NAME: &str = "test_examples_of_the_issue.py";
const HINTS: &str = "test_hints_of_the_issue.py";
const TEST: &str = include_str!("examples.py");

/// A call and what it must give, as the issue has them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Example {
    pub(super) module: String,
    pub(super) call: String,
    pub(super) wanted: String,
}

/// Returns the examples of an issue that call functions of these sources.
pub(super) fn examples(issue: &str, sources: &[Source]) -> Vec<Example> {
    let mut found = Vec::new();
    for (path, text) in sources.iter().filter(|(path, _)| !is_test_file(path)) {
        let Some(module) = module(path) else { continue };
        for function in functions(path, text).iter().filter(|function| function.depth == 0) {
            for (at, call) in calls(issue, &function.name) {
                let rest = &issue[at + call.len()..];
                let Some(wanted) = wanted(rest, &function.name) else { continue };
                let example = Example { module: module.clone(), call, wanted };
                if !found.contains(&example) && found.len() < MOST {
                    found.push(example);
                }
            }
        }
    }
    found
}

/// Returns what the issue and the functions' own documentation say in passing: `f(1) => 2`, or a
/// session. Such examples are often wrong, so they rank what is found and turn nothing away.
pub(super) fn asides(issue: &str, sources: &[Source]) -> Vec<Example> {
    let mut found = Vec::new();
    for (path, text) in sources.iter().filter(|(path, _)| !is_test_file(path)) {
        let Some(module) = module(path) else { continue };
        for function in functions(path, text).iter().filter(|function| function.depth == 0) {
            let own = text.get(function.bytes.clone()).unwrap_or_default();
            for said in [issue, own] {
                for (at, call) in calls(said, &function.name) {
                    let Some(wanted) = aside(&said[at + call.len()..]) else { continue };
                    let example = Example { module: module.clone(), call, wanted };
                    if !found.contains(&example) && found.len() < MOST {
                        found.push(example);
                    }
                }
            }
        }
    }
    found
}

/// Returns the value that stands behind a call: behind an arrow, or in the next line of a session.
fn aside(rest: &str) -> Option<String> {
    let (line, next) = rest.split_once('\n').unwrap_or((rest, ""));
    let arrow = |arrow: &&str| Some(line.trim_start().strip_prefix(*arrow)?.trim());
    let value = match ["=>", "➞", "->", "==", "# =>", "returns"].iter().find_map(arrow) {
        Some(value) => value,
        None if line.trim().is_empty() => {
            let next = next.lines().next().unwrap_or_default().trim();
            Some(next).filter(|next| !next.starts_with(">>>") && !next.contains("\"\"\""))?
        }
        None => return None,
    };
    let value = value.trim_end_matches(['.', ';', ',', '`']).trim();
    (!value.is_empty()).then(|| value.to_owned())
}

/// Returns the path and the text of a test file with the examples that pin the bug down: what a call
/// must give, or else what is said in passing; none if nothing is.
pub(super) fn file(issue: &str, sources: &[Source]) -> Option<(String, String)> {
    let found = examples(issue, sources);
    let found = if found.is_empty() { asides(issue, sources) } else { found };
    written(&found, NAME, sources)
}

/// Returns the path and the text of a test file with what is said in passing, if something is.
pub(super) fn hints(issue: &str, sources: &[Source]) -> Option<(String, String)> {
    written(&asides(issue, sources), HINTS, sources)
}

fn written(found: &[Example], name: &str, sources: &[Source]) -> Option<(String, String)> {
    let case = |example: &Example| json!([example.module, example.call, example.wanted]);
    let cases: Vec<_> = found.iter().map(case).collect();
    if cases.is_empty() {
        return None;
    }
    let is_python = |path: &&String| {
        path.ends_with(".py") && is_test_file(path) && !path.ends_with("conftest.py")
    };
    let tests = sources.iter().map(|(path, _)| path).find(|path| is_python(path));
    let folder = tests.and_then(|path| path.rsplit_once('/')).map(|(folder, _)| folder);
    let path = folder.map_or(name.to_owned(), |folder| format!("{folder}/{name}"));
    // What JSON writes for texts and lists of them means the same in Python.
    Some((path, TEST.replace("[\"CASES\"]", &json!(cases).to_string())))
}

/// Returns the name under which a file is imported.
fn module(path: &str) -> Option<String> {
    let stem = path.strip_suffix(".py")?;
    let stem = ["src/", "lib/"].iter().find_map(|root| stem.strip_prefix(root)).unwrap_or(stem);
    let stem = stem.strip_suffix("/__init__").unwrap_or(stem);
    let plain = |c: char| c.is_alphanumeric() || "_/".contains(c);
    stem.chars().all(plain).then(|| stem.replace('/', "."))
}

/// Returns the calls of a function in a text, with where each begins.
fn calls(text: &str, name: &str) -> Vec<(usize, String)> {
    let head = format!("{name}(");
    let is_word = |at: usize| {
        let before = text[..at].chars().next_back();
        before.is_none_or(|c| !c.is_alphanumeric() && c != '_' && c != '.')
    };
    let begins = text.match_indices(&head).filter(|(at, _)| is_word(*at));
    begins.filter_map(|(at, _)| Some((at, closed(&text[at..])?))).collect()
}

/// Returns a call up to the bracket that closes it, if that is near and in the same line.
fn closed(text: &str) -> Option<String> {
    let (mut depth, mut quote, mut escaped) = (0_u32, None, false);
    for (at, c) in text.char_indices().take_while(|(at, c)| *at < NEAR && *c != '\n') {
        match (quote, c) {
            _ if escaped => escaped = false,
            (Some(_), '\\') => escaped = true,
            (Some(open), c) if c == open => quote = None,
            (None, '"' | '\'') => quote = Some(c),
            (None, '(' | '[' | '{') => depth += 1,
            (None, ')' | ']' | '}') => {
                depth = depth.checked_sub(1)?;
                if depth == 0 {
                    return Some(text[..=at].to_owned());
                }
            }
            _ => {}
        }
    }
    None
}

/// Returns the value that is wanted of the call before this text, up to the next call.
fn wanted(rest: &str, name: &str) -> Option<String> {
    let next = rest.find(&format!("{name}(")).unwrap_or(rest.len());
    let near = &rest[..rest.floor_char_boundary(next.min(NEAR))];
    let lower = near.to_ascii_lowercase();
    let (at, word) = WANTED.iter().filter_map(|word| Some((lower.find(word)?, word))).min()?;
    let value = near[at + word.len()..].trim_start_matches([' ', ':', '\n', '\r', '\t', '`']);
    let line = value.lines().next().unwrap_or_default();
    let line = line.split_once('`').map_or(line, |(inside, _)| inside);
    let line = line.trim().trim_end_matches(['.', ';', ',']);
    (!line.is_empty()).then(|| line.to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sources() -> Vec<Source> {
        let text = "def power(x, n):\n    return x\n";
        vec![
            ("src/pkg/m.py".to_owned(), text.to_owned()),
            ("tests/test_m.py".to_owned(), String::new()),
        ]
    }

    #[test]
    fn what_a_call_must_give_is_read() {
        let issue = "`power(16, 2)` gives\n\n    False\n\nbut it must give\n\n    True\n\nSee power(1, 4) => true";
        let found = examples(issue, &sources());
        assert_eq!(found.len(), 1);
        let Example { module, call, wanted } = &found[0];
        assert_eq!((&**module, &**call, &**wanted), ("pkg.m", "power(16, 2)", "True"));
        let one = |text: &str| {
            examples(text, &sources()).pop().map(|example| (example.call, example.wanted))
        };
        let some = |call: &str, wanted: &str| Some((call.to_owned(), wanted.to_owned()));
        assert_eq!(
            one("power([1, ')'], 2) should return `[1]`, not 3."),
            some("power([1, ')'], 2)", "[1]")
        );
        assert_eq!(one("Expected: 3. power(1, 2) is 4"), None);
        assert_eq!(one("x.power(1) should be 2; my_power(1) should be 2; power(1"), None);
        assert_eq!(one("power(1) is 3 where power(2) should be 5."), some("power(2)", "5"));
    }

    #[test]
    fn what_is_said_in_passing_is_read_apart() {
        let text = "def power(x, n):\n    \"\"\"A power.\n\n    >>> power(4, 2)\n    True\n    >>> power(3, 2)\n    \
                    >>> power(5, 1)\n    \"\"\"\n    return power(x, n - 1)\n";
        let sources = [("m.py".to_owned(), text.to_owned())];
        let said = |issue: &str| -> Vec<(String, String)> {
            asides(issue, &sources).into_iter().map(|one| (one.call, one.wanted)).collect()
        };
        let pair = |call: &str, wanted: &str| (call.to_owned(), wanted.to_owned());
        assert_eq!(
            said("power(1, 4) => true\npower(2, 2) is odd\n"),
            [pair("power(1, 4)", "true"), pair("power(4, 2)", "True")]
        );
    }

    #[test]
    fn the_test_lies_beside_the_others() {
        let mut sources = sources();
        sources.insert(0, ("conftest.py".to_owned(), String::new()));
        let (path, text) = file("power(1, \"a\\\"b\") must be 2", &sources).unwrap();
        assert_eq!(path, "tests/test_examples_of_the_issue.py");
        assert!(text.contains(r#"["pkg.m","power(1, \"a\\\"b\")","2"]"#), "{text}");
        assert_eq!(file("nothing", &sources), None);
    }

    proptest! {
        #[test]
        fn no_issue_makes_it_fall(text in "(power\\(|must be|[\\PC\n]){0,40}") {
            examples(&text, &sources());
        }
    }
}
