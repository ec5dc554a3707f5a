//! Checks before and after, side by side.

use std::collections::BTreeMap;

use crate::protocol::report::{CheckEnd, CheckReport, CheckRun, TestStatus};

/// One check on both trees.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CheckRow {
    /// The command.
    pub command: String,
    /// How it went on the base.
    pub before: Option<Side>,
    /// How it went on the candidate.
    pub after: Option<Side>,
    /// Tests, or the command where there are no ids, that failed before and pass now.
    pub fixed: Vec<String>,
    /// Tests, or the command where there are no ids, that passed before and fail now.
    pub broke: Vec<String>,
    /// Tests that are skipped now.
    pub skipped: Vec<String>,
}

/// One check on one tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Side {
    /// Whether the command succeeded.
    pub good: bool,
    /// How it went, in words.
    pub words: String,
}

/// Returns one row per command, those of the candidate first.
pub fn rows(before: Option<&CheckReport>, after: Option<&CheckReport>) -> Vec<CheckRow> {
    let [before, after] = [before, after].map(|report| report.map_or(&[][..], |r| &r.runs));
    let mut commands: Vec<&str> = Vec::new();
    for run in after.iter().chain(before) {
        if !commands.contains(&run.check.command.as_str()) {
            commands.push(&run.check.command);
        }
    }
    commands
        .into_iter()
        .map(|command| row(command, of(before, command), of(after, command)))
        .collect()
}

fn of<'a>(runs: &'a [CheckRun], command: &str) -> Option<&'a CheckRun> {
    runs.iter().find(|run| run.check.command == command)
}

fn row(command: &str, before: Option<&CheckRun>, after: Option<&CheckRun>) -> CheckRow {
    CheckRow {
        command: command.to_owned(),
        before: before.map(side),
        after: after.map(side),
        fixed: moved(before, after, [TestStatus::Failed, TestStatus::Passed]),
        broke: moved(before, after, [TestStatus::Passed, TestStatus::Failed]),
        skipped: after.map_or_else(Vec::new, skipped),
    }
}

fn skipped(run: &CheckRun) -> Vec<String> {
    let skipped = run.tests.iter().filter(|test| test.status == TestStatus::Skipped);
    skipped.map(|test| test.id.clone()).collect()
}

/// Returns the tests that went from one status to another.
fn moved(before: Option<&CheckRun>, after: Option<&CheckRun>, way: [TestStatus; 2]) -> Vec<String> {
    let (Some(before), Some(after)) = (before, after) else { return Vec::new() };
    if before.tests.is_empty() && after.tests.is_empty() {
        let status = |run: &CheckRun| match run.end.is_success() {
            true => TestStatus::Passed,
            false => TestStatus::Failed,
        };
        let whole = [status(before), status(after)] == way;
        return whole.then(|| after.check.command.clone()).into_iter().collect();
    }
    let was: BTreeMap<_, _> = before.tests.iter().map(|test| (&test.id, test.status)).collect();
    let moved = after.tests.iter().filter(|test| {
        test.status == way[1] && was.get(&test.id).is_some_and(|status| *status == way[0])
    });
    moved.map(|test| test.id.clone()).collect()
}

fn side(run: &CheckRun) -> Side {
    let good = run.end.is_success();
    let failed = run.tests.iter().filter(|test| test.status == TestStatus::Failed).count();
    let passed = run.tests.iter().filter(|test| test.status == TestStatus::Passed).count();
    let mut words = match (&run.end, failed, passed) {
        (CheckEnd::Exit(0), 0, 0) if run.tests.is_empty() => "passed".to_owned(),
        (CheckEnd::Exit(0), 0, _) => format!("{passed} passed"),
        (CheckEnd::Exit(_), 1.., _) => format!("{failed} failed, {passed} passed"),
        (CheckEnd::Exit(code), ..) => format!("exit {code}"),
        (CheckEnd::Signal(signal), ..) => format!("killed by signal {signal}"),
        (CheckEnd::Deadline(_), ..) => "stopped at its deadline".to_owned(),
        (CheckEnd::NotStarted(_), ..) => "could not start".to_owned(),
    };
    match skipped(run).len() {
        0 => {}
        skipped => words.push_str(&format!(", {skipped} skipped")),
    }
    if run.flaky {
        words.push_str(" (flaky)");
    }
    Side { good, words }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::report::{Check, Origin, TestResult};

    fn report(code: i32) -> CheckReport {
        let check = Check { command: "sh check.sh".to_owned(), origin: Origin::Named };
        let end = CheckEnd::Exit(code);
        let (tests, tail) = (Vec::new(), String::new());
        CheckReport { runs: vec![CheckRun { check, end, tests, tail, flaky: false, took_ms: 1 }] }
    }

    #[test]
    fn a_command_without_test_ids_is_fixed_or_broken_as_a_whole() {
        let between = |before, after| {
            let row = rows(Some(&report(before)), Some(&report(after))).remove(0);
            (row.fixed.len(), row.broke.len())
        };
        assert_eq!(between(1, 0), (1, 0));
        assert_eq!(between(0, 1), (0, 1));
        assert_eq!(between(1, 1), (0, 0));
        assert_eq!(between(0, 0), (0, 0));
    }

    #[test]
    fn skipped_tests_are_told() {
        let result = |id: &str, status| TestResult { id: id.to_owned(), status };
        let with = |status| {
            let mut all = report(0);
            all.runs[0].tests = vec![result("a", TestStatus::Passed), result("b", status)];
            all
        };
        let row = rows(Some(&with(TestStatus::Passed)), Some(&with(TestStatus::Skipped))).remove(0);
        let words = [row.before, row.after].map(|side| side.map(|side| side.words));
        assert_eq!(words, ["2 passed", "1 passed, 1 skipped"].map(|words| Some(words.to_owned())));
        assert_eq!(row.skipped, ["b"]);
        let mut none = report(0);
        none.runs[0].tests = vec![result("b", TestStatus::Skipped)];
        let row = rows(None, Some(&none)).remove(0);
        assert_eq!(row.after.map(|side| side.words).as_deref(), Some("0 passed, 1 skipped"));
    }
}
