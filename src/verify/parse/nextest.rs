//! `cargo nextest`: one line per attempt, `PASS [ 0.1s] (1/7) binary test`.

use crate::{
    protocol::report::{TestResult, TestStatus},
    verify::parse::results::Results,
};

/// Returns the test results in the output of `cargo nextest run`.
pub fn parse(text: &str) -> Vec<TestResult> {
    let mut results = Results::default();
    if !text.contains("Nextest run ID") {
        return Vec::new();
    }
    // A test that failed and passed on a retry has a `FLAKY` line in the final list; the failed
    // attempts before it must not count.
    let lines: Vec<_> = text.lines().filter_map(line).collect();
    let flaky = |id: &str| lines.iter().any(|(mark, other)| *mark == Mark::Flaky && *other == id);
    for (mark, id) in &lines {
        match mark {
            Mark::Passed | Mark::Flaky => results.add(id, TestStatus::Passed),
            Mark::Skipped => results.add(id, TestStatus::Skipped),
            Mark::Failed if !flaky(id) => results.add(id, TestStatus::Failed),
            Mark::Failed => {}
        }
    }
    results.into_vec()
}

#[derive(PartialEq)]
enum Mark {
    Passed,
    Failed,
    Flaky,
    Skipped,
}

/// Reads `  TRY 2 FAIL [   0.073s] (3/7) rs tests::bad`.
fn line(line: &str) -> Option<(Mark, &str)> {
    let (head, rest) = line.split_once(" [")?;
    let (time, rest) = rest.split_once("] ")?;
    let is_time = time.trim_start_matches(['>', ' ']).ends_with('s')
        && time.contains(|c: char| c.is_ascii_digit());
    // What tests print is indented by more than the marks are; test ids are `binary test`.
    let indent = head.len() - head.trim_start().len();
    if !is_time || indent > 12 {
        return None;
    }
    let id = match rest.strip_prefix('(') {
        Some(counted) => counted.split_once(") ")?.1,
        None => rest,
    };
    let words: Vec<_> = head.split_whitespace().collect();
    let word = match words.as_slice() {
        [word] | ["TRY", _, word] => *word,
        ["FLAKY", _] => "FLAKY",
        _ => return None,
    };
    mark(word).map(|mark| (mark, id))
}

fn mark(word: &str) -> Option<Mark> {
    match word {
        "PASS" | "LEAK" => Some(Mark::Passed),
        "FLAKY" => Some(Mark::Flaky),
        "SKIP" => Some(Mark::Skipped),
        "FAIL" | "ABRT" | "ABORT" | "TIMEOUT" | "TMT" | "LEAK-FAIL" | "LKFAIL" | "XFAIL"
        | "FLKY-FL" => Some(Mark::Failed),
        _ if word.starts_with("SIG") => Some(Mark::Failed),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use insta::assert_debug_snapshot;

    use super::*;

    #[test]
    fn retries_flakes_and_signals() {
        let output = "────────────
 Nextest run ID 2de8cb8d-763b-4562-8543-4ff199d2cb68 with nextest profile: default
    Starting 7 tests across 3 binaries (2 tests skipped)
  TRY 1 FAIL [   0.073s] (───) rs tests::bad
  stdout ───

    running 1 test
    test tests::bad ... FAILED

        PASS [   0.074s] (1/7) rs tests::pan
        SLOW [> 60.000s] rs tests::slow
        PASS [  61.005s] rs tests::slow
  TRY 2 FAIL [   0.073s] (3/7) rs tests::bad
  TRY 1 FAIL [   0.073s] (───) rs::it flaky
  TRY 2 PASS [   0.005s] (5/7) rs::it flaky
  TRY 1 ABRT [   0.005s] (───) rs::bin/rs abrt
     SIGSEGV [   0.004s] (6/7) rs::bin/rs segv
        LEAK [   0.004s] (6/7) rs leaky
────────────
     Summary [   0.174s] 7 tests run: 5 passed (1 flaky), 2 failed, 2 skipped
   FLAKY 2/2 [   0.005s] (5/7) rs::it flaky
  TRY 2 FAIL [   0.073s] (3/7) rs tests::bad
error: test run failed
";
        let ids: Vec<_> =
            parse(output).into_iter().map(|t| format!("{:?} {}", t.status, t.id)).collect();
        assert_debug_snapshot!(ids, @r#"
        [
            "Passed rs leaky",
            "Failed rs tests::bad",
            "Passed rs tests::pan",
            "Passed rs tests::slow",
            "Failed rs::bin/rs abrt",
            "Failed rs::bin/rs segv",
            "Passed rs::it flaky",
        ]
        "#);
    }
}
