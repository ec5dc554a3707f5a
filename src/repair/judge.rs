//! Whether an edited tree is better than the one before: any language, by its check command.

use std::{sync::Arc, time::Duration};

use tokio_util::sync::CancellationToken;

use crate::{
    code::functions::functions,
    localize::bm25,
    protocol::report::{CheckReport, CheckRun, TestStatus, Verdict},
    repair::{
        search::Source,
        work::{RepairError, Task},
    },
    sandbox::place::Place,
    verify::{change, run, verdict},
};

/// Of the failing tests those that the issue is about, by the words of both; all where the words do
/// not tell. A repository may have more than one bug, and each issue is about one.
pub(super) fn aims(issue: &str, failing: &[String], sources: &[Source]) -> Vec<String> {
    let documents: Vec<String> = failing.iter().map(|id| document(id, sources)).collect();
    let scores = bm25::scores(issue, documents.iter().map(String::as_str));
    let best = scores.iter().copied().fold(0.0, f64::max);
    let about = failing.iter().zip(&scores).filter(|(_, score)| **score * 2.0 >= best);
    about.map(|(id, _)| id.clone()).collect()
}

/// A test's name and, where it is found, its text.
pub(super) fn document(id: &str, sources: &[Source]) -> String {
    let name = id.split(['[', '(']).next().unwrap_or(id);
    let name = name.rsplit([':', '.', ' ', '/']).next().unwrap_or(name);
    let texts = sources.iter().filter_map(|(path, text)| {
        let all = functions(path, text);
        let function = all.iter().find(|function| function.own_name() == name)?;
        text.get(function.bytes.clone())
    });
    let text = texts.take(1).collect::<String>();
    format!("{id} {text}")
}

/// How good an edited tree is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Worth {
    /// Nothing that was aimed at is mended, or something broke.
    None,
    /// What was aimed at passes, and so many failing tests do.
    Some(usize),
    /// All that failed passes.
    All,
}

/// Runs the failing check once and compares.
pub(super) async fn quick(
    place: &Arc<Place>,
    (base, aims): (&CheckRun, &[String]),
    deadline: Duration,
    cancel: &CancellationToken,
) -> Result<Worth, RepairError> {
    let now = run::again(place, std::slice::from_ref(&base.check), deadline, cancel).await?;
    Ok(now.first().map_or(Worth::None, |now| worth(base, now, aims)))
}

fn worth(base: &CheckRun, now: &CheckRun, aims: &[String]) -> Worth {
    let change = change::between(Some(base), now);
    let passes = |id: &String| {
        now.tests.iter().any(|test| test.id == *id && test.status == TestStatus::Passed)
    };
    if !change.reasons.is_empty() || change.fixed.is_empty() || !aims.iter().all(passes) {
        return Worth::None;
    }
    match change.still.is_empty() && now.end.is_success() {
        true => Worth::All,
        false => Worth::Some(change.fixed.len()),
    }
}

/// Runs all checks as the verification will, and says whether they let the tree pass.
pub(super) async fn confirmed(
    place: &Arc<Place>,
    (task, base): (&Task, &CheckReport),
    cancel: &CancellationToken,
) -> Result<bool, RepairError> {
    let report = run::run(place, &task.checks, task.check_time, cancel).await?;
    let verdict = verdict::compare(Some(base), &report, &[], verdict::Unverified::Refuse);
    Ok(matches!(verdict, Verdict::Green { fixed, .. } if !fixed.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_issue_is_about_the_failing_tests_that_share_its_words() {
        let text = "def test_b():\n    assert window([1]) == 2\ndef test_a():\n    assert percent(0) == 0\n";
        let sources = [("test_x.py".to_owned(), text.to_owned())];
        let failing = ["test_x.py::test_a".to_owned(), "test_x.py::test_b".to_owned()];
        assert_eq!(aims("percent of nothing panics", &failing, &sources), failing[..1]);
        assert_eq!(aims("the window is wrong", &failing, &sources), failing[1..]);
        assert_eq!(aims("it fails", &failing, &sources), failing);
        assert!(aims("x", &[], &sources).is_empty());
    }
}
