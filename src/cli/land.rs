//! `grafter undo` and `grafter rescue`: taking a landing back, and bringing saved work to light.

use std::process::ExitCode;

use crate::{
    cli::{
        args::{RescueArgs, RunName},
        context::Context,
        exit::{Failure, Kind, OrFail},
        history,
    },
    coordinator::state::RunState,
    git::{facts, refs},
    merge::land,
    protocol::ids::Oid,
};

/// Takes a landing back: the branch moves back if nothing came after, else a commit reverts it.
pub(super) fn undo(context: &Context, name: &RunName) -> Result<ExitCode, Failure> {
    let (found, events) = history::events(context, &name.run)?;
    let state = RunState::fold(&events);
    let (Some((branch, from, to)), true) = (state.landing, state.landed) else {
        let failure = Failure::usage(format!("run {} landed nothing", found.id));
        return Err(failure.hint(format!("grafter rescue {} brings its work to light", found.id)));
    };
    let landing = land::Landing { branch: branch.clone(), from, to: to.clone() };
    match land::undo(&context.repo, &landing).or_fail(Kind::Conflict)? {
        land::Undone::Back => say!("{branch} is back where it was; {} is off it", to.short())?,
        land::Undone::Reverted { commit } => {
            say!("{branch} had moved on: {} reverts {}", commit.short(), to.short())?;
        }
        land::Undone::Conflict { paths } => {
            let text = format!("undoing it conflicts in {}", paths.join(", "));
            return Err(Failure::new(Kind::Conflict, anyhow::anyhow!(text)));
        }
        land::Undone::Refused { why } => {
            return Err(Failure::new(Kind::Refused, anyhow::anyhow!("cannot undo: {why}")));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Puts the newest snapshot of a run's work onto a branch.
pub(super) fn rescue(context: &Context, args: &RescueArgs) -> Result<ExitCode, Failure> {
    // The work is in git: a journal that cannot be read is no reason to keep it from the user.
    let found = history::find(context, &args.run)?;
    let prefix = format!("refs/grafter/snap/{}/", found.id);
    let snaps = refs::list(&context.repo, &prefix).or_fail(Kind::Infrastructure)?;
    if args.list || snaps.is_empty() {
        for (name, commit) in &snaps {
            say!("{}  {}", commit.short(), name.trim_start_matches(&prefix))?;
        }
        if snaps.is_empty() {
            say!("run {} saved no work: nothing was written", found.id)?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    let commit = match &args.snapshot {
        Some(rev) => context.repo.resolve(rev).or_fail(Kind::Usage)?,
        None => newest(context, snaps)?,
    };
    let branch = format!("grafter/{}/rescued", found.id);
    let name = format!("refs/heads/{branch}");
    let at = context.repo.tip(&branch).or_fail(Kind::Infrastructure)?;
    let step = refs::Move { name: &name, from: at.as_ref(), to: &commit, why: "grafter: rescue" };
    refs::cas(&context.repo, step).or_fail(Kind::Infrastructure)?;
    say!("{} is on {branch}\n  look at it: git show {branch}", commit.short())?;
    Ok(ExitCode::SUCCESS)
}

fn newest(context: &Context, snaps: Vec<(String, Oid)>) -> Result<Oid, Failure> {
    let dated = snaps.into_iter().map(|(_, commit)| {
        facts::made_at(&context.repo, &commit)
            .map(|time| (time, commit))
            .or_fail(Kind::Infrastructure)
    });
    let dated = dated.collect::<Result<Vec<_>, _>>()?;
    let newest = dated.into_iter().max_by_key(|(time, _)| *time);
    newest.map(|(_, commit)| commit).ok_or_else(|| Failure::usage("there is no snapshot"))
}
