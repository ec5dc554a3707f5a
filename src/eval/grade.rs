//! What a log of tests says of a patch, by the rules of the official harness. Pure.
//!
//! Source of the rules: `swebench` 5.0.2, `harness/grading.py` and `harness/log_parsers`: only what
//! stands between the markers counts, a test that the log does not name has failed, and a log with a
//! non-zero exit code but no failed test is none.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::eval::instance::Instance;

/// Marks the beginning of the tests' output.
pub const START: &str = ">>>>> Start Test Output";
/// Marks its end.
pub const END: &str = ">>>>> End Test Output";
/// Precedes the exit code.
pub const EXIT: &str = ">>>>> Test Exit Code: ";
/// Marks that nothing can be graded.
const BROKEN: [&str; 4] = [
    ">>>>> Patch Apply Failed",
    ">>>>> Reset Failed",
    ">>>>> Tests Errored",
    ">>>>> Tests Timed Out",
];

/// How one test ended, as the harness names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It passed.
    Passed,
    /// It failed.
    Failed,
    /// It could not run.
    Error,
    /// It was left out.
    Skipped,
    /// It failed as expected.
    Xfail,
}

/// Which tests of one list passed, and which did not.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Split {
    /// Those that passed.
    pub success: Vec<String>,
    /// Those that did not, or were not there.
    pub failure: Vec<String>,
}

/// The tests of an instance after a patch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Graded {
    /// Tests that are to be mended.
    pub fail_to_pass: Split,
    /// Tests that are not to break.
    pub pass_to_pass: Split,
}

impl Graded {
    /// Returns whether all of both lists passed.
    pub fn is_resolved(&self) -> bool {
        self.fail_to_pass.failure.is_empty() && self.pass_to_pass.failure.is_empty()
    }
}

/// Returns the log in the form that the official package reads.
pub fn log(output: &str, code: i32) -> String {
    let end = if output.ends_with('\n') || output.is_empty() { "" } else { "\n" };
    format!("+ : '{START}'\n{output}{end}+ : '{END}'\n{EXIT}{code}\n")
}

/// Returns how the tests of an instance ended; none if the log cannot be graded.
pub fn grade(instance: &Instance, log: &str) -> Option<Graded> {
    if BROKEN.iter().any(|mark| log.contains(mark)) {
        return None;
    }
    let (_, rest) = log.split_once(START)?;
    let (output, after) = rest.split_once(END)?;
    let tests = parse(instance.log_parser.as_deref().unwrap_or(""), output);
    let code = after
        .split_once(EXIT)
        .and_then(|(_, code)| code.lines().next()?.trim().parse::<i32>().ok());
    let fails = |status: &Status| matches!(status, Status::Failed | Status::Error);
    if code.is_some_and(|code| code != 0) && !tests.values().any(fails) {
        return None;
    }
    let passes = |id: &String, mended: bool| match (status(&tests, id), instance.fail_only) {
        (status, true) => !matches!(status, Some(Status::Failed)),
        (Some(Status::Passed | Status::Xfail), false) => true,
        (Some(Status::Skipped), false) => !mended,
        _ => false,
    };
    let split = |ids: &[String], mended: bool| {
        let (success, failure) = ids.iter().cloned().partition(|id| passes(id, mended));
        Split { success, failure }
    };
    Some(Graded {
        fail_to_pass: split(&instance.fail_to_pass, true),
        pass_to_pass: split(&instance.pass_to_pass, false),
    })
}

/// Returns how a test ended; an id that was cut off in a bracket stands for all that begin so, if
/// they agree.
fn status(tests: &BTreeMap<String, Status>, id: &str) -> Option<Status> {
    if let Some(status) = tests.get(id) {
        return Some(*status);
    }
    if id.matches('[').count() <= id.matches(']').count() {
        return None;
    }
    let mut found = tests.range(id.to_owned()..).take_while(|(name, _)| name.starts_with(id));
    let (_, first) = found.next()?;
    found.all(|(_, status)| status == first).then_some(*first)
}

/// Returns the tests that a runner named, by the harness's parser of that name.
fn parse(parser: &str, output: &str) -> BTreeMap<String, Status> {
    let mut tests = BTreeMap::new();
    for line in output.lines() {
        let found = match parser {
            "parse_log_pytest_v2" => modern(line),
            "parse_log_cargo" => cargo(line),
            "parse_log_gotest" => go(line),
            "parse_log_pytest_options" => plain(line).map(|(id, status)| (short(&id), status)),
            _ => plain(line),
        };
        tests.extend(found);
    }
    tests
}

fn word(text: &str) -> Option<Status> {
    Some(match text {
        "PASSED" => Status::Passed,
        "FAILED" => Status::Failed,
        "ERROR" => Status::Error,
        "SKIPPED" => Status::Skipped,
        "XFAIL" => Status::Xfail,
        _ => return None,
    })
}

const WORDS: [&str; 5] = ["FAILED", "PASSED", "SKIPPED", "ERROR", "XFAIL"];

/// pytest's short summary: the first word is the status, the second the id.
fn plain(line: &str) -> Option<(String, Status)> {
    if !WORDS.iter().any(|word| line.starts_with(word)) {
        return None;
    }
    let line = if line.starts_with("FAILED") { line.replace(" - ", " ") } else { line.to_owned() };
    let mut words = line.split_whitespace();
    let status = word(words.next()?)?;
    Some((words.next()?.to_owned(), status))
}

/// The whole rest of the line is the id, and old pytest's `id STATUS` counts as well.
fn modern(line: &str) -> Option<(String, Status)> {
    let line = crate::verify::parse::results::plain(line);
    let line = line.as_str();
    if let Some(first) = WORDS.iter().find(|word| line.starts_with(**word)) {
        let status = word(first)?;
        let rest = line[first.len()..].trim();
        let id = rest.split_once(" - ").map_or(rest, |(id, _)| id);
        return (!id.is_empty()).then(|| (id.to_owned(), status));
    }
    let (id, last) = line.trim_end().rsplit_once(' ')?;
    Some((id.to_owned(), word(last)?))
}

/// Cuts parameters that are paths to their last part.
fn short(id: &str) -> String {
    let Some((name, rest)) = id.split_once('[') else { return id.to_owned() };
    let value = rest.strip_suffix(']').unwrap_or(rest);
    let is_path = value.starts_with('/') && !value.starts_with("//") && !value.contains('*');
    match value.rsplit('/').next().filter(|_| is_path) {
        Some(last) => format!("{name}[/{last}]"),
        None => id.to_owned(),
    }
}

/// `test name ... ok`.
fn cargo(line: &str) -> Option<(String, Status)> {
    let (id, end) = line.strip_prefix("test ")?.split_once(" ... ")?;
    let status = match end.split_whitespace().next()? {
        "ok" => Status::Passed,
        "FAILED" => Status::Failed,
        "ignored" => Status::Skipped,
        _ => return None,
    };
    Some((id.to_owned(), status))
}

/// `--- PASS: name (0.0s)`.
fn go(line: &str) -> Option<(String, Status)> {
    let rest = line.trim_start().strip_prefix("--- ")?;
    let (status, rest) = rest.split_once(": ")?;
    let status = match status {
        "PASS" => Status::Passed,
        "FAIL" => Status::Failed,
        "SKIP" => Status::Skipped,
        _ => return None,
    };
    Some((rest.split_whitespace().next()?.to_owned(), status))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn instance(fail: &[&str], pass: &[&str]) -> Instance {
        let list = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect();
        Instance {
            id: "i".to_owned(),
            repo: "a/b".to_owned(),
            base: String::new(),
            problem: String::new(),
            gold: String::new(),
            test_patch: String::new(),
            fail_to_pass: list(fail),
            pass_to_pass: list(pass),
            test_command: None,
            log_parser: None,
            fail_only: false,
            row: String::new(),
        }
    }

    fn resolved(fail: &[&str], pass: &[&str], output: &str, code: i32) -> Option<bool> {
        grade(&instance(fail, pass), &log(output, code)).map(|graded| graded.is_resolved())
    }

    #[test]
    fn all_of_both_lists_must_pass_and_what_is_missing_has_failed() {
        assert_eq!(resolved(&["a"], &["b"], "PASSED a\nPASSED b\n", 0), Some(true));
        assert_eq!(resolved(&["a"], &["b"], "PASSED a\nFAILED b - why\n", 1), Some(false));
        assert_eq!(resolved(&["a"], &["b"], "PASSED a\n", 0), Some(false));
        assert_eq!(resolved(&["a"], &["b"], "XFAIL a\nSKIPPED b\n", 0), Some(true));
        assert_eq!(resolved(&["a"], &[], "SKIPPED a\n", 0), Some(false));
        assert_eq!(
            resolved(&["t[a"], &[], "PASSED t[a b]\n", 0),
            Some(true),
            "both are cut at the blank"
        );
        assert_eq!(resolved(&["t[a"], &[], "PASSED t[a-b]\nPASSED t[a-c]\n", 0), Some(true));
        assert_eq!(resolved(&["t[a"], &[], "PASSED t[a-b]\nFAILED t[a-c]\n", 1), Some(false));
    }

    #[test]
    fn a_log_that_contradicts_itself_is_not_graded() {
        assert_eq!(resolved(&["a"], &[], "PASSED a\n", 1), None, "it printed its own success");
        assert_eq!(resolved(&["a"], &[], ">>>>> Tests Timed Out\n", 0), None);
        assert_eq!(grade(&instance(&["a"], &[]), "PASSED a\n"), None);
    }

    #[test]
    fn each_runner_has_its_own_lines() {
        let only = |parser: &str, line: &str| parse(parser, line).into_iter().next();
        let id = |text: &str, status| Some((text.to_owned(), status));
        assert_eq!(
            only("parse_log_pytest_v2", "FAILED a::b[x y] - no"),
            id("a::b[x y]", Status::Failed)
        );
        assert_eq!(only("parse_log_pytest_v2", "a::b PASSED"), id("a::b", Status::Passed));
        assert_eq!(only("parse_log_cargo", "test m::t ... ok"), id("m::t", Status::Passed));
        assert_eq!(
            only("parse_log_gotest", "    --- FAIL: TestA/b (0.00s)"),
            id("TestA/b", Status::Failed)
        );
        assert_eq!(
            only("parse_log_pytest_options", "PASSED t[/a/b/c.txt]"),
            id("t[/c.txt]", Status::Passed)
        );
        assert_eq!(only("", "SKIPPED [3] a.py:1: no"), id("[3]", Status::Skipped));
    }

    proptest::proptest! {
        #[test]
        fn no_log_makes_it_fall(text in "\\PC{0,200}", parser in "(parse_log_(cargo|gotest|pytest_v2|pytest_options))?") {
            let instance = Instance { log_parser: Some(parser), ..instance(&["a", "t["], &["b"]) };
            grade(&instance, &text);
            grade(&instance, &log(&text, 0));
        }
    }
}
