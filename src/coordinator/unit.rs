//! One instance of a node: its work and its last record.
//!
//! A unit journals its own end. A unit that was stopped, ran out of budget or met a broken
//! provider journals none: its node stays running in the journal, and a resume goes on with it.

use std::sync::Arc;

use serde_json::Value;

use crate::{
    agent::reins::Reins,
    coordinator::{
        brief::Brief,
        jobs,
        member::Member,
        shared::{Ended, Shared, broken},
    },
    graph::node::Work,
    protocol::{
        event::What,
        outcome::{Failure, Outcome},
        report::{CheckedTree, RunEnd, Verdict},
    },
    verify::verdict,
};

/// Runs one instance to its record; returns why the run shall stop, if it cannot.
pub(super) async fn run(shared: Arc<Shared>, brief: Brief) -> Ended {
    let (outcome, reused) = match outcome(&shared, &brief).await {
        Ok(done) => done,
        Err(end) => return Some(end),
    };
    if let Some(end) = unfinished(&outcome, &brief.reins) {
        return Some(end);
    }
    let what = What::NodeFinished { attempt: brief.attempt, outcome: Box::new(outcome), reused };
    let written = shared.journal.append(Some(&brief.id), Some(&brief.agent()), what).await;
    written.err().map(|error| broken(&error))
}

/// Returns what an instance comes to, and whether a stored result was used.
pub(super) async fn outcome(
    shared: &Arc<Shared>,
    brief: &Brief,
) -> Result<(Outcome, bool), RunEnd> {
    if brief.reins.is_cancelled() {
        return Ok((cancelled(Outcome::succeeded(""), &brief.reins), false));
    }
    let work = async {
        match &brief.node.work {
            Work::Checks => checks(shared, brief).await,
            Work::Agent(agent) => Member { shared, brief, agent }.outcome().await,
        }
    };
    let done = tokio::select! {
        done = work => done,
        () = shared.halt.cancelled() => return Err(RunEnd::Interrupted),
    };
    match (done, brief.reins.is_cancelled()) {
        (Ok((outcome, _)), true) => Ok((cancelled(outcome, &brief.reins), false)),
        (Err(_), true) => Ok((cancelled(Outcome::succeeded(""), &brief.reins), false)),
        (done, false) => done,
    }
}

/// Returns the outcome of an agent that was ended: what it found stays, and its conversation for who
/// asks it about that; the rest does not count.
pub(super) fn cancelled(outcome: Outcome, reins: &Reins) -> Outcome {
    let Outcome { findings, usage, context, .. } = outcome;
    Outcome {
        findings,
        usage,
        context,
        ..Outcome::failed(Failure::Cancelled, reins.why_cancelled())
    }
}

/// Returns why the run stops with this node unfinished; a resume takes it up again.
pub(super) fn unfinished(outcome: &Outcome, reins: &Reins) -> Option<RunEnd> {
    if reins.is_cancelled() {
        return None;
    }
    let text = outcome.summary.clone();
    match outcome.failure? {
        Failure::Budget => Some(RunEnd::Budget(text)),
        Failure::Infrastructure => Some(RunEnd::Infrastructure(text)),
        Failure::Cancelled => Some(RunEnd::Interrupted),
        Failure::NotResolved | Failure::Stuck | Failure::Refused | Failure::Conflict => None,
    }
}

async fn checks(shared: &Shared, brief: &Brief) -> Result<(Outcome, bool), RunEnd> {
    let Some(candidate) = &brief.candidate else {
        let text = "there is no candidate to check".to_owned();
        return Err(RunEnd::Infrastructure(text));
    };
    if shared.options.checks.is_empty() {
        return Ok((Outcome::succeeded("no check was found and none given"), false));
    }
    let agent = brief.agent();
    let on = (&candidate.candidate, &candidate.tree);
    let base = brief.base_report.as_ref();
    let who = (&brief.id, &agent);
    let (report, reused) = jobs::checks_against(shared, who, on, base).await?;
    let outcome = match verdict::compare(base, &report, &[], verdict::Unverified::Allow) {
        Verdict::Red { reasons } => Outcome::failed(Failure::NotResolved, reasons.join("; ")),
        Verdict::Green { grade, fixed } => {
            Outcome::succeeded(format!("{}, {} fixed", grade.words(), fixed.len()))
        }
        Verdict::NoEvidence => Outcome::succeeded("no check ran"),
    };
    let commit = candidate.candidate.clone();
    let what = What::ChecksFinished { on: CheckedTree::Candidate, report, commit, reused };
    let written = shared.journal.append(Some(&brief.id), Some(&agent), what).await;
    written.map_err(|error| broken(&error))?;
    Ok((outcome, reused))
}

/// Returns a carry as the text that templates show.
pub(super) fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => serde_json::to_string_pretty(other).unwrap_or_default(),
    }
}
