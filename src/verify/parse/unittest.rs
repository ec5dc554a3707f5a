//! Python's unittest: the listing of `-v`, else the failures and the count at the end.
//!
//! The id is `module.Class.test`. Without `-v` the passing tests have no names, only a number.

use crate::{
    protocol::report::{TestResult, TestStatus},
    verify::parse::results::Results,
};

/// Returns the test results in the output of unittest.
pub fn parse(text: &str) -> Vec<TestResult> {
    let mut results = Results::default();
    let Some(ran) = text.lines().find_map(ran) else { return Vec::new() };
    let mut open = None;
    for line in text.lines() {
        if line.starts_with("======") {
            break;
        }
        listed(line, &mut open, &mut results);
    }
    let is_verbose = !results.is_empty();
    for line in text.lines() {
        let failed = ["FAIL: ", "ERROR: ", "UNEXPECTED SUCCESS: "];
        let rest = failed.iter().find_map(|mark| line.strip_prefix(mark));
        if let Some(id) = rest.and_then(id) {
            results.add(&id, TestStatus::Failed);
        }
    }
    if !is_verbose {
        results.add_unnamed(ran.saturating_sub(results.len()));
    }
    results.into_vec()
}

fn ran(line: &str) -> Option<usize> {
    let (count, rest) = line.strip_prefix("Ran ")?.split_once(' ')?;
    (rest.starts_with("test in ") || rest.starts_with("tests in ")).then(|| count.parse().ok())?
}

/// Reads `test_a (mod.Class.test_a) ... ok`, whose parts a docstring or a print may spread over
/// several lines.
fn listed(line: &str, open: &mut Option<String>, results: &mut Results) {
    if let Some(id) = id(line.trim_start()) {
        *open = Some(id);
    }
    let word = line.rsplit_once(" ... ").map_or(line, |(_, word)| word);
    if let Some(status) = status(word.trim_end())
        && let Some(id) = open.take()
    {
        results.add(&id, status);
    }
}

/// Reads the id of `test_a (mod.Class.test_a)` and, of older versions, `test_a (mod.Class)`.
fn id(text: &str) -> Option<String> {
    let (name, rest) = text.split_once(" (")?;
    let (path, _) = rest.split_once(')')?;
    let is_dotted = |text: &str| {
        !text.is_empty() && text.chars().all(|c| c.is_alphanumeric() || "_.<>".contains(c))
    };
    if !is_dotted(name) || !is_dotted(path) {
        return None;
    }
    // A module that cannot be imported is a test of that name; its tests have ids below it.
    let path = path.strip_prefix("unittest.loader._FailedTest.").unwrap_or(path);
    let is_fixture = name.starts_with("setUp") || name.starts_with("tearDown");
    let is_full = path == name || path.ends_with(&format!(".{name}"));
    Some(if is_full || is_fixture { path.to_owned() } else { format!("{path}.{name}") })
}

fn status(word: &str) -> Option<TestStatus> {
    match word {
        "ok" => Some(TestStatus::Passed),
        "FAIL" | "ERROR" | "unexpected success" => Some(TestStatus::Failed),
        "expected failure" => Some(TestStatus::Skipped),
        _ if word.starts_with("skipped ") => Some(TestStatus::Skipped),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use insta::assert_debug_snapshot;

    use super::*;

    fn shown(output: &str) -> Vec<String> {
        parse(output).into_iter().map(|t| format!("{:?} {}", t.status, t.id)).collect()
    }

    #[test]
    fn the_verbose_listing() {
        let output = "test_imp (unittest.loader._FailedTest.test_imp) ... ERROR
setUpClass (test_u.C) ... ERROR
test_doc (test_u.T.test_doc)
First line of doc. ... ok
test_err (test_u.T.test_err) ... ERROR
test_ok (test_u.T.test_ok) ... hello
ok
test_old (test_u.T) ... ok
test_skip (test_u.T.test_skip) ... skipped 'why'
test_sub (test_u.T.test_sub) ...
  test_sub (test_u.T.test_sub) (i=1) ... FAIL
test_us (test_u.T.test_us) ... unexpected success
test_xf (test_u.T.test_xf) ... expected failure

======================================================================
ERROR: test_err (test_u.T.test_err)
----------------------------------------------------------------------
test_fake (test_u.T.test_fake) ... ok
----------------------------------------------------------------------
Ran 9 tests in 0.001s

FAILED (failures=2, errors=3)
";
        assert_debug_snapshot!(shown(output), @r#"
        [
            "Failed test_imp",
            "Failed test_u.C",
            "Passed test_u.T.test_doc",
            "Failed test_u.T.test_err",
            "Passed test_u.T.test_ok",
            "Passed test_u.T.test_old",
            "Skipped test_u.T.test_skip",
            "Failed test_u.T.test_sub",
            "Failed test_u.T.test_us",
            "Skipped test_u.T.test_xf",
        ]
        "#);
    }

    #[test]
    fn without_names_the_count_still_says_something() {
        let output = "..F.
======================================================================
FAIL: test_fail (test_u.T.test_fail)
----------------------------------------------------------------------
Traceback (most recent call last):

----------------------------------------------------------------------
Ran 4 tests in 0.001s

FAILED (failures=1)
";
        assert_eq!(
            shown(output),
            ["Passed #1", "Passed #2", "Passed #3", "Failed test_u.T.test_fail"]
        );
    }
}
