//! The decision over a candidate, and what to tell its writer. Pure.
//!
//! Green = nothing that passed on the base fails, and no check named by the user fails unless it
//! failed on the base. A review counts unless it is weak; one that counts can veto, and where
//! reviews were asked for at least one that counts must pass.

use crate::{
    protocol::{
        outcome::Review,
        report::{CheckReport, CheckRun, Grade, Verdict},
    },
    verify::change::{self, Change},
};

/// The longest feedback, in bytes: the writer's context is dear.
const MAX_FEEDBACK: usize = 6 << 10;
/// What of it the reasons may take before the output of the checks.
const MAX_REASONS: usize = 3 << 10;

/// What becomes of a candidate that nothing verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unverified {
    /// It lands all the same, on the user's word.
    Allow,
    /// It stays on its branch.
    Refuse,
}

/// Decides over a candidate from its checks, those of the base and the reviews.
///
/// An empty slice of reviews means that none were asked for.
pub fn compare(
    base: Option<&CheckReport>,
    candidate: &CheckReport,
    reviews: &[Review],
    unverified: Unverified,
) -> Verdict {
    let changes = changes(base, candidate);
    let mut reasons = missing(base, candidate);
    reasons.extend(changes.iter().flat_map(|change| change.reasons.iter().cloned()));
    reasons.extend(objections(reviews));
    if !reasons.is_empty() {
        return Verdict::Red { reasons };
    }
    let fixed: Vec<_> = changes.iter().flat_map(|change| change.fixed.iter().cloned()).collect();
    let grade = if !fixed.is_empty() {
        Grade::Fixed
    } else if changes.iter().any(|change| change.ran) {
        Grade::NoRegression
    } else if reviews.iter().any(passes) {
        Grade::ReviewedOnly
    } else if unverified == Unverified::Allow {
        Grade::Unverified
    } else {
        return Verdict::NoEvidence;
    };
    Verdict::Green { grade, fixed }
}

fn changes(base: Option<&CheckReport>, candidate: &CheckReport) -> Vec<Change> {
    candidate.runs.iter().map(|now| change::between(same(base, now), now)).collect()
}

fn same<'a>(report: Option<&'a CheckReport>, run: &CheckRun) -> Option<&'a CheckRun> {
    report?.runs.iter().find(|other| other.check.command == run.check.command)
}

/// Returns a reason for each check that passed on the base and was not run on the candidate.
fn missing(base: Option<&CheckReport>, candidate: &CheckReport) -> Vec<String> {
    let runs = base.map_or(&[][..], |base| &base.runs);
    runs.iter()
        .filter(|run| run.end.is_success() && same(Some(candidate), run).is_none())
        .map(|run| format!("{} passed on the base and was not run now", change::command(run)))
        .collect()
}

fn passes(review: &Review) -> bool {
    review.pass && review.must_fix.is_empty() && !review.is_weak()
}

fn objections(reviews: &[Review]) -> Vec<String> {
    let mut reasons = Vec::new();
    for review in reviews.iter().filter(|review| !review.is_weak()) {
        let musts = review.must_fix.iter();
        reasons.extend(musts.map(|must| format!("review: {}", change::one_line(must))));
        if !review.pass && review.must_fix.is_empty() {
            reasons.push("review: does not pass, no reason given".to_owned());
        }
    }
    if reasons.is_empty() && !reviews.is_empty() && !reviews.iter().any(passes) {
        reasons.push(
            "no review counts: none ran the checks or cites changed files it read, so none is evidence"
                .to_owned(),
        );
    }
    reasons
}

/// Returns what the writer of a rejected candidate needs to mend it, at most 6 KiB.
pub fn feedback(base: Option<&CheckReport>, candidate: &CheckReport, reviews: &[Review]) -> String {
    let mut text = String::new();
    let changes = changes(base, candidate);
    let broke = changes.iter().flat_map(|change| &change.reasons);
    let broke: Vec<_> = missing(base, candidate).into_iter().chain(broke.cloned()).collect();
    section(&mut text, "The checks reject this change:", &broke);
    let musts = reviews.iter().filter(|review| !review.is_weak());
    let musts: Vec<_> = musts.flat_map(|review| review.must_fix.iter().cloned()).collect();
    section(&mut text, "Reviewers ask for:", &musts);
    let still: Vec<_> = changes.iter().flat_map(|change| change.still.iter().cloned()).collect();
    section(&mut text, "Failed before this change and still fails:", &still);
    let failing: Vec<_> = candidate.runs.iter().filter(|run| !run.end.is_success()).collect();
    for (index, run) in failing.iter().enumerate() {
        let head = format!("{} ({}):\n", change::command(run), change::end(&run.end));
        // What is left is shared evenly by the outputs that are still to come.
        let left = MAX_FEEDBACK.saturating_sub(text.len()) / (failing.len() - index);
        let room = left.saturating_sub(head.len() + 1);
        let output = end_of(&run.tail, room);
        if room > 0 && !output.is_empty() {
            text.push_str(&head);
            text.push_str(output);
            text.push('\n');
        }
    }
    text
}

fn section(text: &mut String, title: &str, lines: &[String]) {
    if lines.is_empty() || text.len() + title.len() > MAX_REASONS {
        return;
    }
    text.push_str(title);
    text.push('\n');
    for (index, line) in lines.iter().enumerate() {
        let line = format!("- {}\n", line.replace('\n', "\n  "));
        if text.len() + line.len() > MAX_REASONS {
            text.push_str(&format!("- and {} more\n", lines.len() - index));
            return;
        }
        text.push_str(&line);
    }
}

/// Returns the whole lines at the end of a text that fit into `room` bytes.
fn end_of(text: &str, room: usize) -> &str {
    if text.len() <= room {
        return text;
    }
    let cut = &text[text.ceil_char_boundary(text.len() - room)..];
    cut.split_once('\n').map_or(cut, |(_, lines)| lines)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use insta::assert_snapshot;
    use proptest::{
        collection::{btree_map, vec},
        prelude::{
            Just, ProptestConfig, Strategy, any, prop_assert, prop_assert_eq, prop_oneof, proptest,
        },
    };

    use super::*;
    use crate::protocol::{
        outcome::Evidence,
        report::{Check, CheckEnd, Origin, TestResult, TestStatus},
    };

    fn run(command: &str, code: i32, tests: &[(&str, TestStatus)]) -> CheckRun {
        let result = |(id, status): &(&str, TestStatus)| TestResult {
            id: (*id).to_owned(),
            status: *status,
        };
        CheckRun {
            check: Check { command: command.to_owned(), origin: Origin::Named },
            end: CheckEnd::Exit(code),
            tests: tests.iter().map(result).collect(),
            tail: format!("output of {command}\nassertion failed"),
            flaky: false,
            took_ms: 0,
        }
    }

    fn report(runs: Vec<CheckRun>) -> CheckReport {
        CheckReport { runs }
    }

    fn review(pass: bool, must_fix: &[&str]) -> Review {
        Review {
            pass,
            must_fix: must_fix.iter().map(|must| (*must).to_owned()).collect(),
            cites: vec![Evidence { path: "a".to_owned(), from: 1, to: 1 }],
            read: 1,
            ran: 0,
        }
    }

    fn weak(pass: bool) -> Review {
        Review { read: 0, ..review(pass, &[]) }
    }

    fn green(grade: Grade, fixed: &[&str]) -> Verdict {
        Verdict::Green { grade, fixed: fixed.iter().map(|id| (*id).to_owned()).collect() }
    }

    fn red(reasons: &[&str]) -> Verdict {
        Verdict::Red { reasons: reasons.iter().map(|reason| (*reason).to_owned()).collect() }
    }

    #[track_caller]
    fn check(base: &[CheckRun], now: &[CheckRun], reviews: &[Review], expect: &Verdict) {
        let (base, now) = (report(base.to_vec()), report(now.to_vec()));
        assert_eq!(compare(Some(&base), &now, reviews, Unverified::Refuse), *expect);
    }

    #[test]
    fn checks_alone_decide_where_no_reviews_were_asked_for() {
        check(&[run("t", 1, &[])], &[run("t", 0, &[])], &[], &green(Grade::Fixed, &["`t`"]));
        check(&[run("t", 0, &[])], &[run("t", 0, &[])], &[], &green(Grade::NoRegression, &[]));
        check(&[run("t", 1, &[])], &[run("t", 1, &[])], &[], &Verdict::NoEvidence);
        let broke = red(&["`t` passed on the base and fails now (exit 1)"]);
        check(&[run("t", 0, &[])], &[run("t", 1, &[])], &[], &broke);
    }

    #[test]
    fn one_of_several_checks_is_enough_to_reject() {
        let base = [run("a", 0, &[]), run("b", 1, &[])];
        let now = [run("a", 1, &[]), run("b", 0, &[])];
        check(&base, &now, &[], &red(&["`a` passed on the base and fails now (exit 1)"]));
    }

    #[test]
    fn a_check_that_is_gone_is_no_pass() {
        let expect = red(&["`a` passed on the base and was not run now"]);
        check(&[run("a", 0, &[]), run("b", 0, &[])], &[run("b", 0, &[])], &[], &expect);
        check(&[run("a", 1, &[])], &[], &[], &Verdict::NoEvidence);
    }

    #[test]
    fn any_review_that_counts_can_veto() {
        let fine = [run("t", 0, &[])];
        let reviews = [review(true, &[]), review(true, &["line 3 leaks"]), review(false, &[])];
        let expect = red(&["review: line 3 leaks", "review: does not pass, no reason given"]);
        check(&fine, &fine, &reviews, &expect);
    }

    #[test]
    fn weak_reviews_neither_veto_nor_pass() {
        let fine = [run("t", 0, &[])];
        let expect = green(Grade::NoRegression, &[]);
        check(&fine, &fine, &[weak(false), review(true, &[])], &expect);
        let none = red(&[
            "no review counts: none ran the checks or cites changed files it read, so none is evidence",
        ]);
        check(&fine, &fine, &[weak(true)], &none);
        check(&[], &[], &[weak(true)], &none);
    }

    #[test]
    fn without_checks_reviews_or_the_users_word_are_needed() {
        check(&[], &[], &[review(true, &[])], &green(Grade::ReviewedOnly, &[]));
        check(&[], &[], &[], &Verdict::NoEvidence);
        let empty = CheckReport::default();
        let allowed = compare(None, &empty, &[], Unverified::Allow);
        assert_eq!(allowed, green(Grade::Unverified, &[]));
        let reviewed = compare(None, &empty, &[review(true, &[])], Unverified::Allow);
        assert_eq!(reviewed, green(Grade::ReviewedOnly, &[]));
    }

    #[test]
    fn the_users_word_does_not_excuse_a_failure() {
        let now = report(vec![run("t", 1, &[])]);
        let verdict = compare(None, &now, &[], Unverified::Allow);
        assert_eq!(verdict, red(&["`t` fails now (exit 1)"]));
    }

    #[test]
    fn feedback_says_what_broke_and_shows_the_output() {
        use TestStatus::{Failed, Passed};
        let base = report(vec![run("cargo test", 1, &[("a", Passed), ("b", Failed)])]);
        let now = report(vec![run("cargo test", 1, &[("a", Failed), ("b", Failed)])]);
        assert_snapshot!(feedback(Some(&base), &now, &[review(false, &["name\nit"])]), @r#"
        The checks reject this change:
        - passed on the base, fails now: a
        Reviewers ask for:
        - name
          it
        Failed before this change and still fails:
        - b
        `cargo test` (exit 1):
        output of cargo test
        assertion failed
        "#);
    }

    #[test]
    fn feedback_has_a_cap_and_every_failing_check_a_share() {
        let noisy = |command: &str| CheckRun {
            tail: format!("{}last line of {command}", "noise é\n".repeat(2000)),
            ..run(command, 1, &[])
        };
        let now = report(vec![noisy("a"), noisy("b"), noisy("c")]);
        let musts = vec!["word ".repeat(100); 50];
        let review = Review { must_fix: musts, ..review(false, &[]) };
        let text = feedback(None, &now, &[review]);
        assert!(text.len() <= MAX_FEEDBACK, "{}", text.len());
        for part in ["last line of a", "last line of b", "last line of c", "more\n"] {
            assert!(text.contains(part), "{part} is missing");
        }
        assert_eq!(feedback(None, &CheckReport::default(), &[]), "");
    }

    fn status() -> impl Strategy<Value = TestStatus> {
        prop_oneof![Just(TestStatus::Passed), Just(TestStatus::Failed), Just(TestStatus::Skipped)]
    }

    fn check_run() -> impl Strategy<Value = CheckRun> {
        let end = prop_oneof![
            Just(CheckEnd::Exit(0)),
            Just(CheckEnd::Exit(1)),
            Just(CheckEnd::Signal(9)),
            Just(CheckEnd::Deadline(1))
        ];
        let origin = prop_oneof![Just(Origin::Named), Just(Origin::Detected)];
        (btree_map("[abc#]{1,2}", status(), 0..6), end, origin).prop_map(|(tests, end, origin)| {
            let mut run = run("t", 0, &[]);
            run.tests = tests.into_iter().map(|(id, status)| TestResult { id, status }).collect();
            CheckRun { end, check: Check { origin, ..run.check }, ..run }
        })
    }

    fn any_review() -> impl Strategy<Value = Review> {
        (any::<bool>(), vec("[a-z]{1,3}", 0..2), 0..2_u32, 0..2_u32).prop_map(
            |(pass, must_fix, read, ran)| Review { must_fix, read, ran, ..review(pass, &[]) },
        )
    }

    fn by_id(run: &CheckRun) -> BTreeMap<&str, TestStatus> {
        run.tests.iter().map(|test| (test.id.as_str(), test.status)).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn the_same_results_again_are_no_regression(run in check_run()) {
            let same = report(vec![run]);
            let verdict = compare(Some(&same), &same, &[], Unverified::Refuse);
            prop_assert!(!matches!(verdict, Verdict::Red { .. }), "{verdict:?}");
        }

        #[test]
        fn nothing_that_passed_fails_in_a_green_candidate(
            base in check_run(), now in check_run(), reviews in vec(any_review(), 0..3),
        ) {
            let (before, after) = (report(vec![base.clone()]), report(vec![now.clone()]));
            let verdict = compare(Some(&before), &after, &reviews, Unverified::Allow);
            let Verdict::Green { fixed, .. } = verdict else { return Ok(()) };
            let after = by_id(&now);
            for (id, status) in by_id(&base) {
                let broke = status == TestStatus::Passed && after.get(id) == Some(&TestStatus::Failed);
                prop_assert!(!broke, "{id} broke");
            }
            prop_assert!(!base.end.is_success() || now.end.is_success());
            let failed = |id: &String| by_id(&base).get(id.as_str()) == Some(&TestStatus::Failed);
            prop_assert!(fixed.iter().all(|id| id == "`t`" || failed(id)), "{fixed:?}");
            let veto = |review: &Review| !review.is_weak() && !passes(review);
            prop_assert!(!reviews.iter().any(veto));
            prop_assert!(reviews.is_empty() || reviews.iter().any(passes));
        }

        #[test]
        fn one_more_passing_test_never_turns_green_to_red(
            base in check_run(), now in check_run(), index in any::<proptest::sample::Index>(),
        ) {
            let before = report(vec![base]);
            let judge = |now: &CheckRun| {
                compare(Some(&before), &report(vec![now.clone()]), &[], Unverified::Refuse)
            };
            let mut better = now.clone();
            if better.tests.is_empty() { return Ok(()) }
            let index = index.index(better.tests.len());
            better.tests[index].status = TestStatus::Passed;
            if !matches!(judge(&now), Verdict::Red { .. }) {
                let verdict = judge(&better);
                prop_assert!(!matches!(verdict, Verdict::Red { .. }), "{verdict:?}");
            }
        }

        #[test]
        fn the_order_of_tests_does_not_matter(base in check_run(), now in check_run()) {
            let mut turned = now.clone();
            turned.tests.reverse();
            let judge = |now: CheckRun| {
                compare(Some(&report(vec![base.clone()])), &report(vec![now]), &[], Unverified::Refuse)
            };
            prop_assert_eq!(judge(now), judge(turned));
        }
    }
}
