//! Work of the scaffold itself: checks on the base, the candidate, the landing.

use std::{sync::Arc, time::Duration};

use crate::{
    coordinator::{
        joining, key,
        plan::Job,
        shared::{self, Ended, Shared, blocking, broken},
        state::{Candidate, RunState},
    },
    merge::{
        candidate::{self, Proposal},
        land,
    },
    protocol::{
        batch::Style,
        cause::chain,
        event::{Level, What},
        ids::{AgentId, NodeId, Oid},
        report::{CheckEnd, CheckReport, CheckedTree, RunEnd},
    },
    sandbox::{grants::Grants, place::Place},
    subagent::housing::Wish,
    verify::{self, flaky, run::CheckError},
};

/// Says in each commit that an agent helped, and which version of grafter led it.
const TRAILER: &str = concat!("Assisted-by: grafter/", env!("CARGO_PKG_VERSION"));

/// Runs one job to its record; returns why the run shall stop, if it cannot.
pub(super) async fn run(shared: Arc<Shared>, state: RunState, job: Job) -> Ended {
    let result = match job {
        Job::CheckBase => check_base(&shared).await,
        Job::CheckCandidate => check_candidate(&shared, &state).await,
        Job::Join => joining::join(&shared, &state).await,
        Job::MakeCandidate => make_candidate(&shared, &state).await,
        Job::Land => land(&shared, &state).await,
    };
    result.err()
}

async fn check_base(shared: &Shared) -> Result<(), RunEnd> {
    let (base, tree) = (shared.started.base.clone(), shared.base_tree.clone());
    let who = (NodeId::new("base"), AgentId::new("base@1"));
    let (report, reused) = checks(shared, (&who.0, &who.1), (&base, &tree)).await?;
    for run in &report.runs {
        let CheckEnd::NotStarted(why) = &run.end else { continue };
        let text = format!("the check `{}` cannot start on the base: {why}", run.check.command);
        let note = What::Note { level: Level::Warning, text };
        shared.journal.append(None, None, note).await.map_err(|error| broken(&error))?;
    }
    let what = What::ChecksFinished { on: CheckedTree::Base, report, commit: base, reused };
    shared.journal.append(None, None, what).await.map_err(|error| broken(&error))?;
    Ok(())
}

async fn check_candidate(shared: &Shared, state: &RunState) -> Result<(), RunEnd> {
    let Some(made) = &state.candidate else { return Ok(()) };
    let who = (NodeId::new("candidate"), AgentId::new("candidate@1"));
    let on = (&made.candidate, &made.tree);
    let base = state.base_report.as_ref();
    let (report, reused) = checks_against(shared, (&who.0, &who.1), on, base).await?;
    let (on, commit) = (CheckedTree::Candidate, made.candidate.clone());
    let what = What::ChecksFinished { on, report, commit, reused };
    shared.journal.append(None, None, what).await.map_err(|error| broken(&error))?;
    Ok(())
}

/// Runs all checks on a commit's tree in a throw-away place, or takes the stored report of the
/// same tree and checks; returns the report and whether it was stored.
pub(super) async fn checks(
    shared: &Shared,
    who: (&NodeId, &AgentId),
    (commit, tree): (&Oid, &Oid),
) -> Result<(CheckReport, bool), RunEnd> {
    let options = &shared.options;
    let key = key::of_checks(&options.checks, tree);
    let stored = key::lookup::<CheckReport>(shared, &key);
    if let Some(report) = stored {
        return Ok((report, true));
    }
    let place = place(shared, who, commit).await?;
    let deadline = Duration::from_millis(options.check_timeout_ms);
    let report = verify::run::run(&place, &options.checks, deadline, &shared.halt).await;
    let report = ended(shared, place, report)?;
    if report.runs.iter().all(|run| run.end.is_success() && !run.flaky) {
        key::store(shared, &key, &report);
    }
    Ok((report, false))
}

/// Runs all checks on a candidate; where tests fail that passed on the base, it asks the base again
/// and clears those that fail there now and then.
pub(super) async fn checks_against(
    shared: &Shared,
    who: (&NodeId, &AgentId),
    on: (&Oid, &Oid),
    base: Option<&CheckReport>,
) -> Result<(CheckReport, bool), RunEnd> {
    let (mut report, reused) = checks(shared, who, on).await?;
    let Some(base) = base else { return Ok((report, reused)) };
    let suspects = flaky::suspects(base, &report);
    if !suspects.is_empty() {
        let place = place(shared, who, &shared.started.base).await?;
        let deadline = Duration::from_millis(shared.options.check_timeout_ms);
        let again = verify::run::again(&place, &suspects, deadline, &shared.halt).await;
        flaky::excuse(&mut report, base, &ended(shared, place, again)?);
    }
    Ok((report, reused))
}

/// Returns a throw-away place for checks on a commit.
async fn place(
    shared: &Shared,
    who: (&NodeId, &AgentId),
    commit: &Oid,
) -> Result<Arc<Place>, RunEnd> {
    let name = who.1.as_str().replace(['@', '~'], "-");
    let wish = Wish {
        name: format!("checks-{name}"),
        commit: commit.clone(),
        branch: None,
        grants: Grants::default(),
    };
    let lodging = shared.housing.pristine(who, &wish).await.map_err(|error| broken(&error))?;
    Ok(lodging.place)
}

/// Takes the place away and returns what came of the checks, unless the run was halted.
fn ended<T>(
    shared: &Shared,
    place: Arc<Place>,
    result: Result<T, CheckError>,
) -> Result<T, RunEnd> {
    let no_space = place.no_space().map(str::to_owned);
    shared.housing.discard(place);
    if shared.halt.is_cancelled() {
        return Err(RunEnd::Interrupted);
    }
    if let Some(why) = no_space {
        return Err(RunEnd::Infrastructure(why));
    }
    result.map_err(|error| broken(&error))
}

async fn make_candidate(shared: &Shared, state: &RunState) -> Result<(), RunEnd> {
    let Some(commit) = state.commit.clone() else { return Ok(()) };
    let repo = shared.repo.clone();
    let (target, base) = (shared.started.target.clone(), shared.started.base.clone());
    let began_at = shared.started.tip.clone();
    let message = message(shared);
    let work = commit.clone();
    let built = blocking(move || -> Result<_, RunEnd> {
        let tip = repo.tip(&target).map_err(|error| broken(&error))?;
        if let (Some(at), None) = (began_at, &tip) {
            return Err(gone(&target, &at));
        }
        // A target that does not exist yet starts at the base.
        let stand = tip.clone().unwrap_or_else(|| base.clone());
        let identity = repo.identity();
        let proposal = Proposal {
            tip: tip.as_ref(),
            commit: &work,
            base: &base,
            message,
            identity,
            style: Style::Squash,
        };
        let built = candidate::build(&repo, &proposal).map_err(|error| broken(&error))?;
        let apart = matches!(repo.contains(&stand, &base), Ok(false));
        Ok((tip, stand, built, apart))
    });
    let (tip, stand, built, apart) = built.await?;
    if apart {
        let note = strange(shared, &stand);
        shared.journal.append(None, None, note).await.map_err(|error| broken(&error))?;
    }
    let what = match built {
        candidate::Candidate::Clean { commit: candidate, tree } => {
            What::CandidateMade { candidate, tree, tip, commit }
        }
        candidate::Candidate::Conflict { paths } => What::CandidateConflict { paths, tip: stand },
        candidate::Candidate::Empty => {
            let text = "the target already contains this change: nothing is left to land";
            return Err(RunEnd::NotResolved(text.to_owned()));
        }
    };
    shared.journal.append(None, None, what).await.map_err(|error| broken(&error))?;
    Ok(())
}

/// A target that was rewritten, or made anew of another history, lands what was checked on it; but
/// whoever did that may not have meant it for this run.
fn strange(shared: &Shared, tip: &Oid) -> What {
    let text = format!(
        "the target `{}` stands at {}, whose history does not hold the commit that the work began \
         at ({}): the change alone is put on it and checked there",
        shared.started.target,
        tip.short(),
        shared.started.base.short()
    );
    What::Note { level: Level::Warning, text }
}

/// Whoever deleted the target does not want it back with all that was on it.
fn gone(target: &str, at: &Oid) -> RunEnd {
    RunEnd::Refused(format!(
        "the branch `{target}` was deleted while the run worked, so there is nothing to land on; \
         make it again (git branch {target} {}) and resume, or take the work from its own branch",
        at.short()
    ))
}

/// Returns the message of the commit that lands.
pub(super) fn message(shared: &Shared) -> String {
    let text = shared.started.task.text.trim();
    let title = title(text);
    let rest = if text.len() > title.len() { format!("\n\n{text}") } else { String::new() };
    format!("{title}{rest}\n\n{}", trailers(shared))
}

/// Returns the message of a commit that holds a part.
pub(super) fn part_message(shared: &Shared, headline: &str) -> String {
    let headline = if headline.is_empty() { &shared.started.task.text } else { headline };
    format!("{}\n\n{}", title(headline), trailers(shared))
}

fn title(text: &str) -> String {
    text.trim().lines().next().unwrap_or("change").chars().take(72).collect()
}

fn trailers(shared: &Shared) -> String {
    let helpers: String =
        shared.workers.keys().map(|name| format!("Assisted-by: {name}\n")).collect();
    format!("Grafter-Run: {}\n{TRAILER}\n{helpers}", shared.run)
}

async fn land(shared: &Shared, state: &RunState) -> Result<(), RunEnd> {
    let Some(Candidate { candidate, tip, .. }) = state.candidate.clone() else { return Ok(()) };
    let branch = shared.started.target.clone();
    let (from, to) = match &state.landing {
        Some((_, from, to)) => (from.clone(), to.clone()),
        None => (tip, candidate),
    };
    if state.landing.is_none() {
        let intent =
            What::LandIntent { branch: branch.clone(), from: from.clone(), to: to.clone() };
        shared.journal.append(None, None, intent).await.map_err(|error| broken(&error))?;
    }
    shared.journal.sync().await.map_err(|error| broken(&error))?;
    let (repo, base) = (shared.repo.clone(), shared.started.base.clone());
    let landing = land::Landing { branch: branch.clone(), from: from.clone(), to: to.clone() };
    let moved = blocking(move || -> Result<_, String> {
        let moved = land::land(&repo, &landing).map_err(|error| chain(&error))?;
        let since = landing.from.unwrap_or(base);
        let stat = shared::stat(&repo, (&since, &landing.to))?;
        Ok((moved, stat))
    });
    let what = match moved.await.map_err(RunEnd::Infrastructure)? {
        (land::Landed::Moved, stat) => What::Landed { branch, from, to, stat },
        (land::Landed::Missed { found }, _) => What::LandMissed { branch, found },
        (land::Landed::Refused { why }, _) => {
            let text = format!(
                "`{branch}` is checked out and git cannot move it: {why}; put that right, then \
                 resume"
            );
            return Err(RunEnd::Refused(text));
        }
    };
    shared.journal.append(None, None, what).await.map_err(|error| broken(&error))?;
    Ok(())
}
