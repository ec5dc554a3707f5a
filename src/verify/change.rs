//! One check on the candidate against the same check on the base. Pure.
//!
//! Where test ids are known they are compared one by one, since a check that was red before can
//! hide a test that broke. A test that is gone counts as broken when it passed on the base and
//! either the check fails or fewer tests are reported: so a renamed test is no loss, a deleted one
//! is. Skipped tests speak neither for nor against.

use std::collections::BTreeMap;

use crate::{
    protocol::report::{CheckEnd, CheckRun, Origin, TestStatus},
    verify::parse::results::UNNAMED,
};

/// Ids told in one reason before the rest is only counted.
const SHOWN: usize = 5;

/// What a check says about a candidate.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// Whether it ran and so speaks for the candidate where there are no reasons against.
    pub ran: bool,
    /// Why the candidate may not land, a line each.
    pub reasons: Vec<String>,
    /// Tests, or the command where there are no ids, that failed before and pass now.
    pub fixed: Vec<String>,
    /// Tests that failed before and fail now.
    pub still: Vec<String>,
}

/// Compares a check's run on the candidate with its run on the base; none when it was not run
/// there.
pub fn between(base: Option<&CheckRun>, now: &CheckRun) -> Change {
    let is_named = now.check.origin == Origin::Named;
    let passed_before = base.is_some_and(|base| base.end.is_success());
    if let CheckEnd::NotStarted(why) = &now.end {
        // A command named by the user must run; a detected one was only a guess.
        let is_reason = is_named || passed_before;
        let reason = format!("{} could not be started: {}", command(now), one_line(why));
        let reasons = if is_reason { vec![reason] } else { Vec::new() };
        return Change { reasons, ..Change::default() };
    }
    let mut change = base.map_or_else(Change::default, |base| by_id(base, now));
    // Where nothing passes there is nothing that could have broken: a runner that was not found
    // and modules that cannot be loaded look like this.
    change.ran = now.end.is_success() || now.tests.iter().any(|t| t.status == TestStatus::Passed);
    let failed_before = match base.map(|base| &base.end) {
        None => false,
        Some(CheckEnd::NotStarted(_)) => !is_named,
        Some(end) => !end.is_success(),
    };
    if !now.end.is_success() && !failed_before && change.reasons.is_empty() {
        change.reasons.push(failure(passed_before, now));
    }
    let no_ids =
        base.is_some_and(|base| !base.tests.iter().any(|t| t.status == TestStatus::Failed));
    if now.end.is_success() && !passed_before && no_ids && change.reasons.is_empty() {
        change.fixed.push(command(now));
    }
    change
}

type ById<'a> = BTreeMap<&'a str, TestStatus>;

fn ids(run: &CheckRun) -> ById<'_> {
    run.tests.iter().map(|test| (test.id.as_str(), test.status)).collect()
}

fn by_id(base: &CheckRun, now: &CheckRun) -> Change {
    let (before, after) = (ids(base), ids(now));
    let mut change = Change::default();
    let (mut broke, mut gone) = (Vec::new(), Vec::new());
    for (&id, &status) in &before {
        match (status, after.get(id)) {
            (TestStatus::Passed, Some(TestStatus::Failed)) => broke.push(id),
            (TestStatus::Passed, None) => gone.push(id),
            (TestStatus::Failed, Some(TestStatus::Failed)) => change.still.push(id.to_owned()),
            (TestStatus::Failed, Some(TestStatus::Passed)) => change.fixed.push(id.to_owned()),
            (TestStatus::Failed, None) if fixed_unseen(id, &before, &after, now) => {
                change.fixed.push(id.to_owned());
            }
            _ => {}
        }
    }
    gone.retain(|id| !has_other_parameters(id, &before, &after));
    if !broke.is_empty() {
        change.reasons.push(format!("passed on the base, fails now: {}", list(&broke)));
    }
    // Two runs that were cut short show different tests for no reason of the candidate's.
    let cut_short = |run: &CheckRun| !matches!(run.end, CheckEnd::Exit(_));
    let is_comparable = !(cut_short(base) && cut_short(now));
    if !gone.is_empty() && is_comparable {
        change.reasons.extend(vanished(&gone, &before, &after, now));
    }
    change
}

/// Returns whether a failed test that is no longer reported must have been mended.
fn fixed_unseen(id: &str, before: &ById<'_>, after: &ById<'_>, now: &CheckRun) -> bool {
    // A module or package that could not be loaded is followed by the tests in it.
    let inside = |other: &str| {
        other.strip_prefix(id).is_some_and(|rest| rest.starts_with([':', '.', ' ', '/']))
    };
    let mut children = after.iter().filter(|(other, _)| inside(other)).map(|(_, status)| *status);
    if children.clone().any(|status| status == TestStatus::Passed) {
        return children.all(|status| status != TestStatus::Failed);
    }
    // A runner that names failures only shows a mended test as one more in its count.
    let is_counted = before.keys().any(|id| id.starts_with(UNNAMED));
    is_counted && now.end.is_success() && after.len() >= before.len()
}

/// Returns whether a passed test that is no longer reported is there with other parameters: some
/// ids hold an address or the time of day, `test_a[0x7f01]`, and differ from run to run.
fn has_other_parameters(id: &str, before: &ById<'_>, after: &ById<'_>) -> bool {
    let Some((stem, _)) = id.split_once('[') else { return false };
    let count = |these: &ById<'_>, others: &ById<'_>| {
        let of_stem = |id: &str| id.split_once('[').is_some_and(|(other, _)| other == stem);
        let only = these.iter().filter(|(id, _)| of_stem(id) && !others.contains_key(*id));
        only.filter(|(_, status)| **status == TestStatus::Passed).count()
    };
    count(after, before) >= count(before, after)
}

fn vanished(gone: &[&str], before: &ById<'_>, after: &ById<'_>, now: &CheckRun) -> Option<String> {
    if now.end.is_success() && after.len() >= before.len() {
        return None;
    }
    let named: Vec<_> = gone.iter().filter(|id| !id.starts_with(UNNAMED)).copied().collect();
    Some(if named.is_empty() {
        let failing: Vec<_> = after
            .iter()
            .filter(|(id, status)| {
                **status == TestStatus::Failed && before.get(*id) != Some(&TestStatus::Failed)
            })
            .map(|(id, _)| *id)
            .collect();
        let new = if failing.is_empty() {
            String::new()
        } else {
            format!("; failing now: {}", list(&failing))
        };
        format!("{} passes {} fewer tests than on the base{new}", command(now), gone.len())
    } else {
        format!("test vanished, it passed on the base and is not reported now: {}", list(&named))
    })
}

fn failure(passed_before: bool, now: &CheckRun) -> String {
    let failed = ids(now).into_iter().filter(|(_, status)| *status == TestStatus::Failed);
    let failed: Vec<_> = failed.map(|(id, _)| id).collect();
    let before = if passed_before { "passed on the base and " } else { "" };
    let tests = if failed.is_empty() { String::new() } else { format!(": {}", list(&failed)) };
    format!("{} {before}fails now ({}){tests}", command(now), end(&now.end))
}

/// Returns how a check ended, in words.
pub fn end(end: &CheckEnd) -> String {
    match end {
        CheckEnd::Exit(code) => format!("exit {code}"),
        CheckEnd::Signal(signal) => format!("signal {signal}"),
        CheckEnd::Deadline(ms) => format!("stopped after {} s", ms.div_ceil(1000)),
        CheckEnd::NotStarted(_) => "not started".to_owned(),
    }
}

/// Returns a check's command line for use in a message.
pub fn command(run: &CheckRun) -> String {
    format!("`{}`", one_line(&run.check.command))
}

/// Returns ids with commas, the first few of many.
pub fn list(ids: &[&str]) -> String {
    let shown: Vec<_> = ids.iter().take(SHOWN).map(|id| one_line(id)).collect();
    match ids.len().saturating_sub(SHOWN) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// Returns hostile text as one short line.
pub fn one_line(text: &str) -> String {
    text.chars().take(200).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::report::{Check, TestResult};

    /// Makes a run from `+passed -failed ~skipped` and an exit code.
    fn run(code: i32, tests: &str) -> CheckRun {
        let tests = tests.split_whitespace().map(|word| {
            let (mark, id) = word.split_at(1);
            let status = match mark {
                "+" => TestStatus::Passed,
                "-" => TestStatus::Failed,
                _ => TestStatus::Skipped,
            };
            TestResult { id: id.to_owned(), status }
        });
        CheckRun {
            check: Check { command: "t".to_owned(), origin: Origin::Named },
            end: CheckEnd::Exit(code),
            tests: tests.collect(),
            tail: String::new(),
            flaky: false,
            took_ms: 0,
        }
    }

    fn detected(run: CheckRun) -> CheckRun {
        CheckRun { check: Check { origin: Origin::Detected, ..run.check }, ..run }
    }

    fn ended(end: CheckEnd, tests: &str) -> CheckRun {
        CheckRun { end, ..run(0, tests) }
    }

    #[track_caller]
    fn check(base: &CheckRun, now: &CheckRun, reasons: &[&str], fixed: &[&str]) {
        let change = between(Some(base), now);
        assert_eq!((change.reasons, change.fixed), (strings(reasons), strings(fixed)));
    }

    fn strings(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    #[test]
    fn a_broken_test_is_found_in_a_check_that_was_red_before() {
        check(&run(1, "+a -b"), &run(1, "-a -b"), &["passed on the base, fails now: a"], &[]);
        check(&run(1, "+a -b"), &run(1, "+a -b"), &[], &[]);
        assert_eq!(between(Some(&run(1, "-b")), &run(1, "-b")).still, ["b"]);
    }

    #[test]
    fn a_mended_test_is_told() {
        check(&run(1, "+a -b"), &run(0, "+a +b"), &[], &["b"]);
        check(&run(1, "-a -b"), &run(1, "-a +b"), &[], &["b"]);
    }

    #[test]
    fn a_deleted_failing_test_is_not_fixed() {
        check(&run(1, "+a -b"), &run(0, "+a"), &[], &[]);
        check(&run(1, "-b"), &run(0, ""), &[], &[]);
        check(&run(1, "+a -b"), &run(0, "+a ~b"), &[], &[]);
    }

    #[test]
    fn a_deleted_passing_test_is_a_regression() {
        let reason = "test vanished, it passed on the base and is not reported now: b";
        check(&run(0, "+a +b"), &run(0, "+a"), &[reason], &[]);
        check(&run(0, "+a +b"), &run(0, ""), &[&reason.replace(": b", ": a, b")], &[]);
        check(&run(1, "+a +b -c"), &run(0, "+a +c"), &[reason], &["c"]);
    }

    #[test]
    fn a_renamed_test_is_no_loss_unless_it_fails() {
        check(&run(0, "+a +b"), &run(0, "+a +c"), &[], &[]);
        let reason = "test vanished, it passed on the base and is not reported now: b";
        check(&run(0, "+a +b"), &run(1, "+a -c"), &[reason], &[]);
    }

    #[test]
    fn a_test_whose_parameters_hold_an_address_is_no_loss() {
        check(&run(1, "+a[0x1] +a[b] -z"), &run(1, "+a[0x2] +a[b] -z"), &[], &[]);
        let lost = "test vanished, it passed on the base and is not reported now: a[0x1], a[0x3]";
        check(&run(1, "+a[0x1] +a[0x3] -z"), &run(1, "+a[0x2] -z"), &[lost], &[]);
        let lost = "test vanished, it passed on the base and is not reported now: a[0x1]";
        check(&run(1, "+a[0x1] -z"), &run(1, "-a[0x2] -z"), &[lost], &[]);
    }

    #[test]
    fn skipped_before_or_after_is_neutral() {
        check(&run(0, "~a +b"), &run(0, "~b"), &[], &[]);
        check(&run(0, "+a ~b"), &run(0, "~a +b"), &[], &[]);
    }

    #[test]
    fn a_new_failing_test_makes_a_green_check_red() {
        let reason = "`t` passed on the base and fails now (exit 1): b";
        check(&run(0, "+a"), &run(1, "+a -b"), &[reason], &[]);
    }

    #[test]
    fn without_ids_the_exit_code_speaks() {
        check(&run(0, ""), &run(2, ""), &["`t` passed on the base and fails now (exit 2)"], &[]);
        check(&run(1, ""), &run(0, ""), &[], &["`t`"]);
        check(&run(1, ""), &run(1, ""), &[], &[]);
        check(&run(101, ""), &run(0, "+a"), &[], &["`t`"]);
    }

    #[test]
    fn a_module_that_could_not_be_loaded_is_fixed_by_its_tests() {
        check(&run(1, "-t.py"), &run(0, "+t.py::a +t.py::b"), &[], &["t.py"]);
        check(&run(1, "-t.py"), &run(1, "+t.py::a -t.py::b"), &[], &[]);
        let reason = "test vanished, it passed on the base and is not reported now: t.py::a";
        check(&run(0, "+t.py::a +u.py::b"), &run(1, "-t.py +u.py::b"), &[reason], &[]);
    }

    #[test]
    fn unnamed_tests_are_compared_by_their_count() {
        check(&run(1, "+#1 +#2 -a"), &run(0, "+#1 +#2 +#3"), &[], &["a"]);
        check(&run(1, "+#1 +#2 -a"), &run(0, "+#1 +#2"), &[], &[]);
        let reason = "`t` passes 1 fewer tests than on the base; failing now: b";
        check(&run(1, "+#1 +#2 -a"), &run(1, "+#1 -a -b"), &[reason], &[]);
    }

    #[test]
    fn a_hang_where_the_base_passed_is_a_regression() {
        let hang = || ended(CheckEnd::Deadline(1500), "+a");
        let reason = "test vanished, it passed on the base and is not reported now: b";
        check(&run(0, "+a +b"), &hang(), &[reason], &[]);
        check(
            &run(0, "+a"),
            &hang(),
            &["`t` passed on the base and fails now (stopped after 2 s)"],
            &[],
        );
        check(&ended(CheckEnd::Deadline(1500), "+a +b"), &hang(), &[], &[]);
    }

    #[test]
    fn a_missing_command_is_no_failure_that_excuses() {
        let missing = || ended(CheckEnd::NotStarted("t: command not found".to_owned()), "");
        let reason = "`t` could not be started: t: command not found";
        check(&missing(), &missing(), &[reason], &[]);
        check(&missing(), &run(1, ""), &["`t` fails now (exit 1)"], &[]);
        check(&missing(), &run(0, ""), &[], &["`t`"]);
        check(&missing(), &detected(missing()), &[], &[]);
        check(&missing(), &detected(run(1, "")), &[], &[]);
        check(&run(0, ""), &detected(missing()), &[reason], &[]);
    }

    #[test]
    fn a_named_check_that_passes_nowhere_is_no_evidence() {
        assert!(!between(Some(&run(1, "")), &run(1, "")).ran);
        assert!(!between(Some(&run(1, "-a")), &run(1, "-a")).ran);
        assert!(between(Some(&run(1, "-a +b")), &run(1, "-a +b")).ran);
    }

    #[test]
    fn a_guess_that_works_nowhere_says_nothing() {
        let ran = |base: &CheckRun, now: &CheckRun| between(Some(base), now).ran;
        assert!(!ran(&run(1, ""), &detected(run(1, ""))));
        assert!(!ran(&run(1, "-a"), &detected(run(1, "-a"))));
        assert!(ran(&run(1, "-a +b"), &detected(run(1, "-a +b"))));
        assert!(ran(&run(0, ""), &detected(run(0, ""))));
    }

    #[test]
    fn without_a_base_every_failure_counts() {
        let change = between(None, &run(1, "+a -b"));
        assert_eq!(change.reasons, ["`t` fails now (exit 1): b"]);
        assert_eq!(between(None, &run(0, "+a")), Change { ran: true, ..Change::default() });
    }

    #[test]
    fn many_and_hostile_ids_stay_one_short_line() {
        let ids = ["a\u{1b}[2J\nb", "2", "3", "4", "5", "6", "7"];
        assert_eq!(list(&ids), "a [2J b, 2, 3, 4, 5 and 2 more");
        assert_eq!(one_line(&"é".repeat(1000)).chars().count(), 200);
    }
}
