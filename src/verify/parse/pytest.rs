//! pytest: the short test summary (`-rA`, `-rp…`), and the progress lines of `-v`, with xdist too.
//!
//! Between the two stands what tests printed, which is never read.

use crate::{
    protocol::report::{TestResult, TestStatus},
    verify::parse::results::Results,
};

/// Makes every pytest list all ids in its short summary, whatever the command line says about
/// verbosity, and go on when a file cannot be loaded, since otherwise one red file would hide all
/// others. Options in the command still win over it.
pub const ADDOPTS: (&str, &str) = ("PYTEST_ADDOPTS", "-rfEsxXp --continue-on-collection-errors");

/// Returns the test results in the output of pytest.
pub fn parse(text: &str) -> Vec<TestResult> {
    let lines: Vec<_> = text.lines().collect();
    let mut results = Results::default();
    // A test may print a line that looks like the heading, but pytest's own comes last.
    if let Some(summary) = lines.iter().rposition(|line| heading(line, "short test summary info")) {
        for line in &lines[summary + 1..] {
            summary_line(line, &mut results);
        }
    }
    if let Some(start) = lines.iter().position(|line| heading(line, "test session starts")) {
        let shown = |line: &&&str| !is_heading(line) || line.contains("test session starts");
        for line in lines[start + 1..].iter().take_while(shown) {
            progress_line(line, &mut results);
        }
    }
    results.into_vec()
}

fn heading(line: &str, words: &str) -> bool {
    is_heading(line) && line.trim_matches(['=', ' ']) == words
}

fn is_heading(line: &str) -> bool {
    line.starts_with("==") && line.ends_with("==") && line.contains(' ')
}

/// Reads `FAILED tests/test_a.py::test_b[x] - assert 1 == 2`.
fn summary_line(line: &str, results: &mut Results) {
    let Some((status, rest)) = leading_status(line) else { return };
    // Skips are summed up by place, without ids.
    if !rest.starts_with('[') {
        results.add(without_message(rest), status);
    }
}

/// Reads `tests/test_a.py::test_b PASSED  [ 9%]` and xdist's `[gw0] [ 9%] PASSED tests/…`.
fn progress_line(line: &str, results: &mut Results) {
    if let Some(worker) = line.strip_prefix("[gw") {
        let after = worker.split_once("%] ").map(|(_, after)| after);
        if let Some((status, id)) = after.and_then(leading_status) {
            results.add(id, status);
        }
        return;
    }
    let line = line.trim_end();
    let line = match line.rsplit_once(" [") {
        Some((before, percent)) if percent.ends_with("%]") => before.trim_end(),
        _ => line,
    };
    // A reason in parentheses follows the word; the id itself may hold blanks and parentheses.
    let found = line.match_indices(' ').rev().find_map(|(at, _)| {
        let (id, after) = (&line[..at], &line[at + 1..]);
        let word = after.split(' ').next().unwrap_or(after);
        let alone = after.len() == word.len() || after[word.len()..].starts_with(" (");
        status(word).filter(|_| alone && id.contains("::")).map(|status| (id, status))
    });
    if let Some((id, status)) = found {
        results.add(id, status);
    }
}

fn leading_status(line: &str) -> Option<(TestStatus, &str)> {
    let (word, rest) = line.split_once(' ')?;
    // `SUBFAILED(i=0) path::test` and `SUBFAILED[message] path::test` may hold blanks.
    if word.starts_with("SUBFAIL") {
        let at = line.find(") ").or_else(|| line.find("] "))?;
        return Some((TestStatus::Failed, &line[at + 2..]));
    }
    status(word).map(|status| (status, rest))
}

fn status(word: &str) -> Option<TestStatus> {
    match word {
        "PASSED" | "XPASS" => Some(TestStatus::Passed),
        "FAILED" | "ERROR" => Some(TestStatus::Failed),
        "SKIPPED" | "XFAIL" => Some(TestStatus::Skipped),
        _ => None,
    }
}

/// Cuts ` - message` off an id; a parameter in brackets may hold the same three characters.
fn without_message(rest: &str) -> &str {
    let from = match (rest.find('['), rest.find(" - ")) {
        (Some(open), Some(dash)) if open < dash => {
            rest.find("] - ").map_or(rest.len(), |at| at + 1)
        }
        (_, Some(dash)) => dash,
        (_, None) => rest.len(),
    };
    &rest[..from]
}

#[cfg(test)]
mod tests {
    use insta::assert_debug_snapshot;

    use super::*;

    fn shown(output: &str) -> Vec<String> {
        parse(output).into_iter().map(|t| format!("{:?} {}", t.status, t.id)).collect()
    }

    const SUMMARY: &str = ".F.F..sxX.E.                                              [100%]
=================================== FAILURES ===================================
----------------------------- Captured stdout call -----------------------------
PASSED tests/fake.py::x
=========================== short test summary info ============================
PASSED tests/forged.py::x
=========================== short test summary info ============================
PASSED tests/test_a.py::test_ok
PASSED tests/test_a.py::test_p[a b]
PASSED tests/test_a.py::test_p[\\xe9\\n]
PASSED tests/test_a.py::test_p[[q]]
PASSED tests/test_a.py::test_td
SKIPPED [1] tests/test_a.py:8: why
XFAIL tests/test_a.py::test_xf - reason
XPASS tests/test_a.py::test_xp
ERROR tests/test_c.py - ImportError while importing test module '/tmp/f/py/te...
ERROR tests/test_a.py::test_td - ValueError: td
FAILED tests/test_a.py::test_bad - assert 1 == 2
FAILED tests/test_a.py::test_p[a - b] - AssertionError: boom - b
SUBFAILED(i=0, s='a b') tests/test_s.py::test_sub - assert 0
2 failed, 6 passed, 1 skipped, 1 xfailed, 1 xpassed, 2 errors in 0.02s
";

    #[test]
    fn the_short_summary() {
        assert_debug_snapshot!(shown(SUMMARY), @r#"
        [
            "Failed tests/test_a.py::test_bad",
            "Passed tests/test_a.py::test_ok",
            "Passed tests/test_a.py::test_p[[q]]",
            "Passed tests/test_a.py::test_p[\\xe9\\n]",
            "Failed tests/test_a.py::test_p[a - b]",
            "Passed tests/test_a.py::test_p[a b]",
            "Failed tests/test_a.py::test_td",
            "Skipped tests/test_a.py::test_xf",
            "Passed tests/test_a.py::test_xp",
            "Failed tests/test_c.py",
            "Failed tests/test_s.py::test_sub",
        ]
        "#);
    }

    #[test]
    fn progress_lines() {
        let output =
            "============================= test session starts ==============================
collecting ... collected 11 items / 1 error
tests/test_a.py::test_ok PASSED                                          [  9%]
tests/test_a.py::test_p[a PASSED b] FAILED                               [ 36%]
tests/test_a.py::test_s SKIPPED (why (so))                               [ 63%]
tests/test_a.py::test_xf XFAIL                                           [ 72%]
tests/test_a.py::test_td PASSED                                          [ 90%]
tests/test_a.py::test_td ERROR                                           [ 90%]
[gw1] [  9%] PASSED tests/test_a.py::test_w[a b]
==================================== ERRORS ====================================
tests/test_a.py::test_fake PASSED                                        [100%]
=========================== short test summary info ============================
FAILED tests/test_a.py::test_p[a PASSED b] - assert 1 == 2
==== 2 failed, 6 passed in 0.02s ====
";
        assert_debug_snapshot!(shown(output), @r#"
        [
            "Passed tests/test_a.py::test_ok",
            "Failed tests/test_a.py::test_p[a PASSED b]",
            "Skipped tests/test_a.py::test_s",
            "Failed tests/test_a.py::test_td",
            "Passed tests/test_a.py::test_w[a b]",
            "Skipped tests/test_a.py::test_xf",
        ]
        "#);
    }
}
