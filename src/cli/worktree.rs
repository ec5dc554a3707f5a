//! `grafter worktree`: the trees that grafter made.

use std::{env, process::ExitCode};

use crate::{
    cli::{
        args::WorktreeCommand,
        context::Context,
        exit::{Failure, Kind, OrFail},
        history, out,
    },
    git::{
        refs,
        tree::{self, Seen, State, TreeInfo},
    },
    journal::runs::{Of, RunDir, RunState},
    protocol::ids::RunId,
    sandbox::{host, overlay},
    subagent::{
        gc::{self, Fate, Target},
        retention, sweep,
    },
    ui::{
        tables::{Align, render},
        text::Colour,
    },
};

/// Lists, cleans or enters trees.
pub(super) fn worktree(context: &Context, command: &WorktreeCommand) -> Result<ExitCode, Failure> {
    match command {
        WorktreeCommand::Ls => list(context),
        WorktreeCommand::Clean { all } => clean(context, *all),
        WorktreeCommand::Gc { into, dry_run } => {
            gc(context, &target(context, into.as_deref())?, *dry_run)
        }
        WorktreeCommand::Enter { run, print } => enter(context, run, *print),
    }
}

fn words(state: &State) -> String {
    match state {
        State::Clean => "clean".to_owned(),
        State::Dirty => "changed".to_owned(),
        State::Missing => "missing".to_owned(),
        State::Unknown(why) => format!("unknown: {why}"),
    }
}

/// Files that were changed and not committed have landed nowhere, whatever the commit below them.
fn work(tree: &TreeInfo) -> &'static str {
    match (tree.integrated, &tree.dirty) {
        (true, State::Clean | State::Missing) => "nothing new",
        _ => "not landed",
    }
}

fn list(context: &Context) -> Result<ExitCode, Failure> {
    let rows: Vec<Vec<String>> = tree::list(&context.repo)
        .iter()
        .map(|tree| {
            vec![
                tree.branch.clone().unwrap_or_else(|| "(throw-away)".to_owned()),
                tree.head.short().to_owned(),
                words(&tree.dirty),
                work(tree).to_owned(),
                match tree::seen(&tree.path) {
                    Seen::ByAll => tree.path.display().to_string(),
                    Seen::ByWhoeverLays => format!("{} (overlay)", tree.path.display()),
                },
            ]
        })
        .collect();
    if rows.is_empty() {
        say!("grafter has no trees of this repository")?;
        return Ok(ExitCode::SUCCESS);
    }
    let columns = ["BRANCH", "HEAD", "FILES", "WORK", "PATH"].map(|name| (name, Align::Left));
    out::write(format_args!("{}", render(&columns, &rows, Colour::Never)))?;
    Ok(ExitCode::SUCCESS)
}

fn clean(context: &Context, all: bool) -> Result<ExitCode, Failure> {
    let live = live(context)?;
    let folders: Vec<_> = live.iter().map(|run| context.trees().join(run.as_str())).collect();
    let (mut removed, mut kept) = (0, 0);
    for tree in tree::list(&context.repo) {
        let in_use = folders.iter().any(|folder| tree.path.starts_with(folder));
        // Only what is known to be clean and integrated goes without being asked for.
        let safe = tree.integrated && matches!(tree.dirty, State::Clean | State::Missing);
        if in_use || !(safe || all || tree.branch.is_none()) {
            kept += 1;
            continue;
        }
        // One tree that cannot be saved, and so is kept, does not keep the others.
        match sweep::remove(&context.repo, &tree.path) {
            Ok(gone) => {
                removed += 1;
                if let Some(name) = gone.orphan {
                    say!("saved {} as {name}", tree.path.display())?;
                }
            }
            Err(error) => {
                kept += 1;
                say!("kept {}: {error}", tree.path.display())?;
            }
        }
    }
    say!("removed {removed}, kept {kept}")?;
    if kept > 0 && !all {
        say!("kept trees hold work that has not landed; --all saves and removes them too")?;
    }
    branches(context, &live, all)?;
    match retention::forget(&context.repo, retention::now()).or_fail(Kind::Infrastructure)? {
        0 => {}
        runs => say!("forgot the snapshots of {runs} runs that landed more than 30 days ago")?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Removes task branches that no tree needs any more; those that are named for people stay.
fn branches(context: &Context, live: &[RunId], all: bool) -> Result<(), Failure> {
    let repo = &context.repo;
    let mut removed = 0;
    for (name, _) in refs::list(repo, "refs/heads/grafter/").or_fail(Kind::Infrastructure)? {
        let branch = name.trim_start_matches("refs/heads/");
        let Some((run, task)) = branch["grafter/".len()..].split_once('/') else { continue };
        let needed = live.iter().any(|id| id.as_str() == run)
            || matches!(task, "landed" | "rescued")
            || repo.branch_checked_out(branch).is_some();
        if needed || !(all || tree::is_integrated(repo, branch).or_fail(Kind::Infrastructure)?) {
            continue;
        }
        match tree::remove_branch(repo, branch) {
            Ok(gone) => {
                removed += 1;
                if let Some(name) = gone.orphan {
                    say!("saved {branch} as {name}")?;
                }
            }
            Err(error) => say!("kept {branch}: {error}")?,
        }
    }
    if removed > 0 {
        say!("removed {removed} task branches")?;
    }
    Ok(())
}

/// Returns the branch that must have what goes; anything else may be gone itself by tomorrow.
fn target(context: &Context, into: Option<&str>) -> Result<Target, Failure> {
    let repo = &context.repo;
    let Some(name) = into else {
        let branch = repo.head_branch();
        let name = branch.clone().unwrap_or_else(|| "HEAD".to_owned());
        let full = branch.map_or_else(|| name.clone(), |branch| format!("refs/heads/{branch}"));
        return Ok(Target { name, full, tip: repo.resolve("HEAD").or_fail(Kind::Usage)? });
    };
    for folder in ["heads", "remotes"] {
        let full = format!("refs/{folder}/{name}");
        if refs::value(repo, &full).or_fail(Kind::Usage)?.is_some() {
            let tip = repo.resolve(&full).or_fail(Kind::Usage)?;
            return Ok(Target { name: name.to_owned(), full, tip });
        }
    }
    let failure = Failure::usage(format!("there is no branch `{}`", name.escape_debug()));
    Err(failure.hint("`git branch --all` shows the branches"))
}

fn gc(context: &Context, target: &Target, dry_run: bool) -> Result<ExitCode, Failure> {
    let (repo, trees, runs) = (&context.repo, context.trees(), runs(context)?);
    let items = gc::plan(repo, target, (&runs, &trees)).or_fail(Kind::Infrastructure)?;
    let (mut removed, mut kept) = (0, 0);
    for item in items {
        let words = item.words();
        let (why, failed) = match item.fate {
            Fate::Stays(why) => (why, true),
            Fate::Goes(why) if dry_run => (why, false),
            Fate::Goes(why) => match gc::carry_out(repo, &item.thing) {
                Ok(None) => (why, false),
                Ok(Some(why)) => (why.to_owned(), true),
                Err(error) => (error.to_string(), true),
            },
        };
        match failed {
            true => kept += 1,
            false => removed += 1,
        }
        let verb = match (failed, dry_run) {
            (true, true) => "would keep",
            (true, false) => "kept",
            (false, true) => "would remove",
            (false, false) => "removed",
        };
        say!("{verb} {words}: {why}")?;
    }
    match dry_run {
        true => say!("would remove {removed}, keep {kept}")?,
        false => say!("removed {removed}, kept {kept}")?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Returns all runs and batches.
fn runs(context: &Context) -> Result<Vec<RunDir>, Failure> {
    let state = context.repo.state_dir();
    let mut runs = RunDir::list(&state).or_fail(Kind::Infrastructure)?;
    runs.extend(RunDir::list_of(Of::Batches, &state).or_fail(Kind::Infrastructure)?);
    Ok(runs)
}

/// Returns the runs and batches that a process works on.
fn live(context: &Context) -> Result<Vec<RunId>, Failure> {
    let runs = runs(context)?.into_iter();
    let live = runs.filter(|run| matches!(run.state(), RunState::Running { .. }));
    Ok(live.map(|run| run.id).collect())
}

fn enter(context: &Context, run: &str, print: bool) -> Result<ExitCode, Failure> {
    let (found, _) = history::events(context, run)?;
    let folder = context.trees().join(found.id.as_str());
    let mut known = tree::known(&context.repo).into_iter();
    let Some(tree) = known.find(|tree| tree.path.starts_with(&folder) && tree.branch.is_some())
    else {
        let text = format!("run {} has no writer's tree (any more)", found.id);
        let hint =
            "a tree goes once its work has landed; `git worktree add` makes one of its branch";
        return Err(Failure::usage(text).hint(hint));
    };
    let is_overlay = tree::seen(&tree.path) == Seen::ByWhoeverLays;
    if print {
        if is_overlay {
            let text = "this tree is an overlay, whose files are not seen from outside";
            let hint = format!("grafter worktree enter {} opens a shell that sees them", found.id);
            return Err(Failure::usage(text).hint(hint));
        }
        say!("{}", tree.path.display())?;
        return Ok(ExitCode::SUCCESS);
    }
    if is_overlay {
        let laid = overlay::enter().map_err(anyhow::Error::msg).or_fail(Kind::Infrastructure);
        laid.and_then(|()| tree::lay_again(&tree.path).or_fail(Kind::Infrastructure))?;
    }
    let shell = env::var("SHELL").unwrap_or_else(|_| "sh".to_owned());
    say!("a shell in {}; `exit` brings you back", tree.path.display())?;
    let code = host::interactive(&shell, &tree.path).or_fail(Kind::Infrastructure)?;
    Ok(ExitCode::from(u8::try_from(code).unwrap_or(1)))
}
