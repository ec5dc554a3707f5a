//! Tests that fail now and then, told from those that a candidate broke. Pure.
//!
//! A test that passed on the base and fails twice on the candidate may still be innocent, where the
//! machine is overrun. So such a check runs on the base again; what fails there, too, passed and
//! failed on one and the same tree, and speaks neither for nor against anything.

use std::collections::BTreeSet;

use crate::protocol::report::{Check, CheckEnd, CheckReport, CheckRun, TestStatus};

/// Returns the checks with named tests that passed on the base and fail now.
pub fn suspects(base: &CheckReport, now: &CheckReport) -> Vec<Check> {
    let broke = |run: &&CheckRun| {
        let before = base.runs.iter().find(|base| base.check.command == run.check.command);
        before.is_some_and(|before| with(before, TestStatus::Passed).any(|id| fails(run, &id)))
    };
    now.runs.iter().filter(broke).map(|run| run.check.clone()).collect()
}

/// Marks the tests that failed in a later run on the base, too.
pub fn excuse(now: &mut CheckReport, base: &CheckReport, again: &[CheckRun]) {
    for run in &mut now.runs {
        let same = |other: &&CheckRun| other.check.command == run.check.command;
        let passed: BTreeSet<String> =
            base.runs.iter().filter(same).flat_map(|run| with(run, TestStatus::Passed)).collect();
        let failed: BTreeSet<String> =
            again.iter().filter(same).flat_map(|run| with(run, TestStatus::Failed)).collect();
        let (mut excused, mut left) = (false, 0);
        for test in run.tests.iter_mut().filter(|test| test.status == TestStatus::Failed) {
            if passed.contains(&test.id) && failed.contains(&test.id) {
                test.status = TestStatus::Flaky;
                excused = true;
            } else {
                left += 1;
            }
        }
        run.flaky |= excused;
        if excused && left == 0 && matches!(run.end, CheckEnd::Exit(_)) {
            run.end = CheckEnd::Exit(0);
        }
    }
}

fn with(run: &CheckRun, status: TestStatus) -> impl Iterator<Item = String> {
    run.tests.iter().filter(move |test| test.status == status).map(|test| test.id.clone())
}

fn fails(run: &CheckRun, id: &str) -> bool {
    with(run, TestStatus::Failed).any(|failed| failed == id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        protocol::report::{Grade, Origin, TestResult, Verdict},
        verify::verdict::{self, Unverified},
    };

    fn run(code: i32, tests: &[(&str, TestStatus)]) -> CheckRun {
        let tests =
            tests.iter().map(|(id, status)| TestResult { id: (*id).into(), status: *status });
        CheckRun {
            check: Check { command: "t".into(), origin: Origin::Named },
            end: CheckEnd::Exit(code),
            tests: tests.collect(),
            tail: String::new(),
            flaky: false,
            took_ms: 0,
        }
    }

    fn report(run: CheckRun) -> CheckReport {
        CheckReport { runs: vec![run] }
    }

    fn verdict(base: &CheckReport, now: &CheckReport) -> Verdict {
        verdict::compare(Some(base), now, &[], Unverified::Refuse)
    }

    #[test]
    fn what_fails_on_the_base_too_does_not_count() {
        use TestStatus::{Failed, Flaky, Passed};
        let base = report(run(0, &[("a", Passed), ("b", Passed)]));
        let mut now = report(run(1, &[("a", Passed), ("b", Failed)]));
        assert_eq!(suspects(&base, &now).len(), 1);
        assert!(matches!(verdict(&base, &now), Verdict::Red { .. }));
        excuse(&mut now, &base, &[run(1, &[("a", Failed), ("b", Failed)])]);
        assert_eq!(now.runs[0].tests[1].status, Flaky);
        assert_eq!((now.runs[0].end.clone(), now.runs[0].flaky), (CheckEnd::Exit(0), true));
        let green = Verdict::Green { grade: Grade::NoRegression, fixed: Vec::new() };
        assert_eq!(verdict(&base, &now), green);
        assert_eq!(suspects(&base, &now), []);
    }

    #[test]
    fn what_holds_on_the_base_still_counts() {
        use TestStatus::{Failed, Passed};
        let base = report(run(0, &[("a", Passed), ("b", Passed)]));
        let mut now = report(run(1, &[("a", Failed), ("b", Failed)]));
        excuse(&mut now, &base, &[run(1, &[("a", Passed), ("b", Failed)])]);
        assert_eq!(now.runs[0].end, CheckEnd::Exit(1));
        assert!(
            matches!(verdict(&base, &now), Verdict::Red { reasons } if reasons[0].ends_with(": a"))
        );
    }

    #[test]
    fn a_command_without_test_names_is_never_excused() {
        let base = report(run(0, &[]));
        let mut now = report(run(1, &[]));
        assert_eq!(suspects(&base, &now), []);
        excuse(&mut now, &base, &[run(1, &[])]);
        assert!(matches!(verdict(&base, &now), Verdict::Red { .. }));
    }

    #[test]
    fn a_new_test_that_fails_is_never_excused() {
        use TestStatus::{Failed, Passed};
        let base = report(run(0, &[("a", Passed)]));
        let mut now = report(run(1, &[("a", Passed), ("new", Failed)]));
        excuse(&mut now, &base, &[run(1, &[("a", Passed), ("new", Failed)])]);
        assert!(matches!(verdict(&base, &now), Verdict::Red { .. }));
    }
}
