//! Runs checks in a place and reads what they print.
//!
//! A failing check, a hanging one, a missing command and a flood of output are results. Only the
//! sandbox itself failing or a cancellation is an error, because a check that was never run must
//! not pass for one that failed.

use std::{collections::BTreeMap, time::Duration};

use thiserror::Error;
use tokio_util::sync::CancellationToken;

use crate::{
    protocol::report::{Check, CheckEnd, CheckReport, CheckRun, TestResult, TestStatus},
    sandbox::{
        place::Place,
        run::{Cmd, Job, Ran, RanEnd, RunError},
    },
    verify::{
        parse::{any, pytest, results::plain},
        slots::slots,
    },
};

/// Output read for test ids; the ids of a cut listing are not used.
const MAX_OUTPUT: usize = 16 << 20;
/// Output kept in the report.
const MAX_TAIL: usize = 8 << 10;
/// bash's exit codes for a command that is not executable and one that does not exist.
const NOT_STARTED: [i32; 2] = [126, 127];

/// The sandbox could not run a check to any end.
#[derive(Debug, Error)]
#[error("cannot run the check `{command}`")]
pub struct CheckError {
    /// The check's command line.
    pub command: String,
    /// What the sandbox says.
    #[source]
    pub source: RunError,
}

/// Runs the checks one after another, each failing one a second time and then alone.
pub async fn run(
    place: &Place,
    checks: &[Check],
    deadline: Duration,
    cancel: &CancellationToken,
) -> Result<CheckReport, CheckError> {
    let mut report = CheckReport::default();
    for check in checks {
        let first = once(place, check, deadline, (cancel, Company::Others)).await?;
        // A hang would only hang for a second deadline, and a missing command stays missing.
        let again = matches!(first.end, CheckEnd::Exit(1..) | CheckEnd::Signal(_));
        report.runs.push(if again {
            settle(first, once(place, check, deadline, (cancel, Company::None)).await?)
        } else {
            first
        });
    }
    Ok(report)
}

/// Runs the checks once more on a tree where they passed; a failure is not looked at again.
pub async fn again(
    place: &Place,
    checks: &[Check],
    deadline: Duration,
    cancel: &CancellationToken,
) -> Result<Vec<CheckRun>, CheckError> {
    let mut runs = Vec::new();
    for check in checks {
        runs.push(once(place, check, deadline, (cancel, Company::Others)).await?);
    }
    Ok(runs)
}

/// What else may run beside a check.
#[derive(Clone, Copy)]
enum Company {
    Others,
    None,
}

async fn once(
    place: &Place,
    check: &Check,
    deadline: Duration,
    (cancel, company): (&CancellationToken, Company),
) -> Result<CheckRun, CheckError> {
    let failed = |source| CheckError { command: check.command.clone(), source };
    let slot = match company {
        Company::Others => slots().one(cancel).await,
        Company::None => slots().all(cancel).await,
    };
    let _slot = slot.ok_or_else(|| failed(RunError::Cancelled))?;
    let (name, value) = pytest::ADDOPTS;
    let cmd = Cmd {
        job: Job::Script(check.command.clone()),
        cwd: String::new(),
        env: vec![(name.to_owned(), value.to_owned()), ("NO_COLOR".to_owned(), "1".to_owned())],
        deadline,
        max_output: MAX_OUTPUT,
    };
    let ran = place.run(cmd, cancel).await.map_err(failed)?;
    Ok(read(check, &ran, deadline))
}

/// Turns what a command did into a result.
fn read(check: &Check, ran: &Ran, deadline: Duration) -> CheckRun {
    let text = String::from_utf8_lossy(&ran.output);
    let tests = if ran.dropped == 0 { any::parse(&text, check) } else { Vec::new() };
    let end = match ran.end {
        RanEnd::Exit(code) if NOT_STARTED.contains(&code) && tests.is_empty() => {
            CheckEnd::NotStarted(reason(&text))
        }
        RanEnd::Exit(code) => CheckEnd::Exit(code),
        RanEnd::Signal(signal) => CheckEnd::Signal(signal),
        RanEnd::Deadline => {
            CheckEnd::Deadline(u64::try_from(deadline.as_millis()).unwrap_or(u64::MAX))
        }
    };
    let mut tail = tail(&text);
    if ran.dropped > 0 {
        tail.push_str(&format!("\n[{} bytes of output were left out]", ran.dropped));
    }
    CheckRun { check: check.clone(), end, tests, tail, flaky: false, took_ms: ran.took_ms }
}

/// Returns the line that says why a command did not start.
fn reason(text: &str) -> String {
    let text = plain(text);
    let lines = || text.lines().map(str::trim).filter(|line| !line.is_empty());
    let says = |line: &&str| line.ends_with("not found") || line.ends_with("Permission denied");
    let line = lines().rfind(says).or_else(|| lines().next_back()).unwrap_or("command not found");
    line.chars().take(300).collect()
}

/// Joins two runs of a failing check: what passes once is flaky and counts as passed.
pub fn settle(first: CheckRun, second: CheckRun) -> CheckRun {
    let is_failed = |test: &TestResult| test.status == TestStatus::Failed;
    let both_by_tests = [&first, &second].into_iter().all(|run| run.tests.iter().any(is_failed));
    let mut tests: BTreeMap<String, TestStatus> =
        second.tests.into_iter().map(|test| (test.id, test.status)).collect();
    let mut vanished = false;
    for test in first.tests {
        let now = tests.entry(test.id).or_insert(test.status);
        vanished |= test.status == TestStatus::Failed && *now == TestStatus::Passed;
        if test.status == TestStatus::Passed {
            *now = TestStatus::Passed;
        }
    }
    let tests: Vec<_> = tests.into_iter().map(|(id, status)| TestResult { id, status }).collect();
    // Each run failed in tests that pass in the other, so nothing fails.
    let end = match both_by_tests && !tests.iter().any(is_failed) {
        true => CheckEnd::Exit(0),
        false => second.end,
    };
    let took_ms = first.took_ms + second.took_ms;
    CheckRun { flaky: vanished || end.is_success(), took_ms, tests, end, ..second }
}

/// Returns the end of an output without the lines that only say that a test passed, which would
/// otherwise push the failure out of sight.
fn tail(text: &str) -> String {
    let text = plain(text);
    let lines: Vec<_> = text.trim_end().lines().filter(|line| !is_pass(line)).collect();
    let mut size = 0;
    let from = lines.iter().rposition(|line| {
        size += line.len() + 1;
        size > MAX_TAIL
    });
    let kept = lines[from.map_or(0, |at| at + 1)..].join("\n");
    // One endless line is cut from the front.
    match lines.last() {
        Some(last) if kept.is_empty() => {
            last[last.ceil_char_boundary(last.len().saturating_sub(MAX_TAIL))..].to_owned()
        }
        _ => kept,
    }
}

fn is_pass(line: &str) -> bool {
    let line = line.trim();
    let begins = ["PASSED ", "--- PASS: ", "=== RUN ", "=== PAUSE ", "=== CONT ", "PASS ["];
    begins.iter().any(|mark| line.starts_with(mark))
        || line.ends_with(" ... ok")
        || (line.ends_with("%]") && line.contains(" PASSED "))
}

#[cfg(test)]
mod tests {
    use std::{path::Path, sync::Arc};

    use super::*;
    use crate::{
        protocol::report::Origin,
        sandbox::{place::PlaceSpec, probe::Backend},
    };

    async fn place(tree: &Path) -> Arc<Place> {
        let spec = PlaceSpec { backend: Backend::None, ..PlaceSpec::new(tree, tree, tree) };
        Place::open(spec).await.expect("a folder can be a place")
    }

    async fn run_in(tree: &Path, command: &str, deadline: Duration) -> CheckRun {
        let check = Check { command: command.to_owned(), origin: Origin::Named };
        let place = place(tree).await;
        let report = run(&place, &[check], deadline, &CancellationToken::new()).await;
        report.expect("the place works").runs.remove(0)
    }

    async fn run_alone(command: &str) -> CheckRun {
        let tree = tempfile::tempdir().expect("a folder");
        run_in(tree.path(), command, Duration::from_secs(60)).await
    }

    #[tokio::test]
    async fn a_passing_check_runs_once_and_its_tests_are_read() {
        let run = run_alone("echo 'TAP version 13'; echo 'ok 1 - a'; echo x >> n; wc -l < n").await;
        assert_eq!(run.end, CheckEnd::Exit(0));
        assert_eq!(run.tests.len(), 1);
        assert!(!run.flaky);
        assert!(run.tail.ends_with('1'), "{}", run.tail);
    }

    #[tokio::test]
    async fn a_failing_check_runs_twice() {
        let run = run_alone("echo x >> n; wc -l < n; exit 3").await;
        assert_eq!((run.end, run.flaky, run.tail.as_str()), (CheckEnd::Exit(3), false, "2"));
    }

    #[tokio::test]
    async fn a_failure_that_vanishes_is_flaky() {
        let run = run_alone("test -e seen || { touch seen; exit 1; }").await;
        assert_eq!((run.end, run.flaky), (CheckEnd::Exit(0), true));
    }

    #[tokio::test]
    async fn a_hanging_check_is_stopped_once() {
        let tree = tempfile::tempdir().expect("a folder");
        let command = "echo x >> n; sleep 600 & sleep 600";
        let run = run_in(tree.path(), command, Duration::from_millis(300)).await;
        assert_eq!(run.end, CheckEnd::Deadline(300));
        // On a busy machine it may not even get to its first line.
        let begun = std::fs::read(tree.path().join("n")).unwrap_or_default();
        assert!(begun.len() <= 2, "it ran twice");
    }

    #[tokio::test]
    async fn a_missing_command_says_so() {
        let run = run_alone("no-such-runner --all").await;
        let CheckEnd::NotStarted(why) = run.end else { panic!("{:?}", run.end) };
        assert!(why.contains("no-such-runner") && why.contains("not found"), "{why}");
    }

    #[tokio::test]
    async fn a_missing_command_after_tests_is_a_failure() {
        let run = run_alone("echo 1..1; echo ok 1 - a; no-such-runner").await;
        assert_eq!((run.end, run.tests.len()), (CheckEnd::Exit(127), 1));
    }

    #[tokio::test]
    async fn a_signal_is_told() {
        assert_eq!(run_alone("kill -9 $$").await.end, CheckEnd::Signal(9));
    }

    #[tokio::test]
    async fn a_flood_keeps_its_end_and_proves_nothing_by_id() {
        let run = run_alone(
            "echo 1..1; echo ok 1 - a; head -c 40000000 /dev/zero | tr '\\0' x; echo end",
        )
        .await;
        assert_eq!((run.end, run.tests.len()), (CheckEnd::Exit(0), 0));
        assert!(run.tail.contains("bytes of output were left out"), "{:.200}", run.tail);
        assert!(run.tail.len() < MAX_TAIL + 100);
    }

    #[tokio::test]
    async fn a_cancelled_check_is_no_result() {
        let tree = tempfile::tempdir().expect("a folder");
        let cancel = CancellationToken::new();
        cancel.cancel();
        let check = Check { command: "sleep 600".to_owned(), origin: Origin::Named };
        let place = place(tree.path()).await;
        let result = run(&place, &[check], Duration::from_secs(600), &cancel).await;
        assert_eq!(result.expect_err("cancelled").command, "sleep 600");
    }

    #[test]
    fn a_test_that_passes_in_one_of_two_runs_counts_as_passed() {
        let run = |tests: &[(&str, TestStatus)]| CheckRun {
            check: Check { command: "t".to_owned(), origin: Origin::Named },
            end: CheckEnd::Exit(1),
            tests: tests
                .iter()
                .map(|(id, status)| TestResult { id: (*id).to_owned(), status: *status })
                .collect(),
            tail: String::new(),
            flaky: false,
            took_ms: 1,
        };
        use TestStatus::{Failed, Passed};
        let first = run(&[("a", Failed), ("b", Passed), ("c", Failed), ("d", Passed)]);
        let second = run(&[("a", Passed), ("b", Failed), ("c", Failed)]);
        let expect = run(&[("a", Passed), ("b", Passed), ("c", Failed), ("d", Passed)]);
        let settled = settle(first, second);
        assert_eq!(settled, CheckRun { flaky: true, took_ms: 2, ..expect });
        let settled =
            settle(run(&[("a", Failed), ("b", Passed)]), run(&[("b", Failed), ("a", Passed)]));
        let expect = run(&[("a", Passed), ("b", Passed)]);
        let end = CheckEnd::Exit(0);
        assert_eq!(settled, CheckRun { flaky: true, took_ms: 2, end, ..expect });
        let settled = settle(run(&[("a", Failed)]), run(&[("a", Passed)]));
        assert_eq!(settled.end, CheckEnd::Exit(1), "the second failed for another reason");
    }

    #[test]
    fn the_tail_shows_the_failure_and_not_the_passes() {
        let mut text = "assert 1 == 2\n".to_owned();
        for number in 0..1000 {
            text.push_str(&format!("PASSED tests/test_a.py::test_{number}\n"));
        }
        assert_eq!(tail(&text), "assert 1 == 2");
    }

    #[test]
    fn the_tail_begins_at_a_line_and_has_a_cap() {
        let text: String = (0..5000).map(|n| format!("line {n}\n")).collect();
        let tail = tail(&text);
        assert!(tail.len() <= MAX_TAIL && tail.starts_with("line ") && tail.ends_with("line 4999"));
        assert_eq!(super::tail(&"é".repeat(MAX_TAIL)).len(), MAX_TAIL);
    }
}
