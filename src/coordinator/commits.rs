//! What a writer left becomes a commit on the run's branch.

use std::sync::PoisonError;

use crate::{
    coordinator::{
        brief::Brief,
        jobs::{message, part_message},
        redact::{Shown, refusal, tripped},
        shared::{self, Shared, blocking, broken},
    },
    git::{
        commit::{self, CommitSpec},
        diff, narrow, refs,
    },
    guard::scope,
    protocol::{
        cause::chain,
        event::{Level, What},
        ids::{Key, Oid},
        outcome::{Failure, Outcome},
        part::Part,
        report::{DiffStat, RunEnd},
    },
    subagent::housing::Lodging,
    verify::touched,
};

/// Said of a change that would choose filters or line ends for itself.
const ATTRIBUTES: &str = "the change edits .gitattributes: the base's own count as long as grafter \
                          works, the new ones once it is merged";

/// Commits a writer's tree; work that equals the base is no work.
pub(super) async fn commit(
    shared: &Shared,
    brief: &Brief,
    (lodging, outcome): (&Lodging, Outcome),
) -> Result<Outcome, RunEnd> {
    let made = brief.earlier.iter().rev().find_map(|event| match &event.what {
        What::CommitMade { commit, .. } => Some(commit.clone()),
        _ => None,
    });
    let written = match made {
        Some(commit) => Some(Written { commit, left_out: Vec::new(), notes: Vec::new() }),
        None => write(shared, brief, lodging).await?,
    };
    let Some(Written { commit, left_out, notes }) = written else {
        let text = "the tree is the same as the base: nothing was changed";
        return Ok(Outcome::failed(Failure::NotResolved, text));
    };
    for text in notes {
        append(shared, brief, What::Note { level: Level::Warning, text }).await?;
    }
    record(shared, brief, (&commit, left_out)).await?;
    Ok(Outcome { commit: Some(commit), ..outcome })
}

/// A commit, and what is not in it.
struct Written {
    commit: Oid,
    /// What programs leave behind.
    left_out: Vec<String>,
    /// What else the user should know of.
    notes: Vec<String>,
}

/// Names a few paths for the user.
fn some(paths: &[String]) -> String {
    let first = paths.iter().take(5).map(|path| path.escape_debug().to_string());
    let first = first.collect::<Vec<_>>().join(", ");
    match paths.len().saturating_sub(5) {
        0 => first,
        more => format!("{first} and {more} more"),
    }
}

/// Says what of a writer's tree could not be saved, and what lies outside its part's scope.
fn missing(skipped: &[String], strayed: &[String], scope: &[String]) -> Vec<String> {
    let mut notes = Vec::new();
    if !skipped.is_empty() {
        let why = "cannot be read, or has a name that git refuses";
        notes.push(format!("not in the commit, since it {why}: {}", some(skipped)));
    }
    if !strayed.is_empty() {
        let scope = some(scope);
        notes.push(format!("not in the commit, since its part is {scope}: {}", some(strayed)));
    }
    notes
}

async fn write(
    shared: &Shared,
    brief: &Brief,
    lodging: &Lodging,
) -> Result<Option<Written>, RunEnd> {
    append(shared, brief, What::CommitIntent { branch: brief.branch(shared) }).await?;
    let (repo, root) = (shared.repo.clone(), brief.root(shared).clone());
    let (message, scope) = match &brief.part {
        Some(part) => (part_message(shared, part.headline()), part.scope.clone()),
        None => (message(shared), Vec::new()),
    };
    let tracker = lodging.tracker.clone().expect("a writer's lodging has a tracker");
    let made = blocking(move || -> Result<Option<Written>, String> {
        let mut tracker = tracker.lock().unwrap_or_else(PoisonError::into_inner);
        tracker.snapshot().map_err(|error| chain(&error))?;
        let tree = tracker.whole().map_err(|error| chain(&error))?;
        let from = repo.tree_of(&root).map_err(|error| chain(&error))?;
        let kept = narrow::narrow(&repo, (&from, &tree), &|path| scope::holds(&scope, path));
        let (tree, strayed) = kept.map_err(|error| chain(&error))?;
        if tree == from {
            return Ok(None);
        }
        let identity = repo.identity();
        let spec = CommitSpec { tree, parents: vec![root], message, identity };
        let commit = commit::write(&repo, &spec).map_err(|error| chain(&error))?;
        let notes = missing(&tracker.skipped(), &strayed, &scope);
        Ok(Some(Written { commit, left_out: tracker.derived(), notes }))
    });
    made.await.map_err(RunEnd::Infrastructure)
}

/// Moves the run's branch to the commit and journals it, once.
pub(super) async fn record(
    shared: &Shared,
    brief: &Brief,
    (commit, left_out): (&Oid, Vec<String>),
) -> Result<(), RunEnd> {
    let (repo, to) = (shared.repo.clone(), commit.clone());
    let (base, branch) = (brief.root(shared).clone(), brief.branch(shared));
    let before = brief.commit.clone();
    let (rules, texts) = (shared.rules.clone(), words(shared, brief));
    let tripwire = shared.options.tripwire.clone();
    let looked = blocking(move || -> Result<_, String> {
        let shown = Shown { range: (&base, &to), texts };
        if let Some(why) = tripped(&repo, tripwire.as_ref(), shown.range).map_err(|e| chain(&e))? {
            return Ok(Err(why));
        }
        if let Some(why) = refusal(&repo, &rules, &shown).map_err(|error| chain(&error))? {
            return Ok(Err(why));
        }
        point(&repo, &format!("refs/heads/{branch}"), &to)?;
        let stat = shared::stat(&repo, (&base, &to))?;
        // A repair is not told of what its first attempt was.
        let news = sets_attributes(&stat)
            && match &before {
                Some(before) => !sets_attributes(&shared::stat(&repo, (&base, before))?),
                None => true,
            };
        let seen = diff::unified(&repo, &base, &to).map_err(|error| chain(&error))?;
        Ok(Ok((stat, news, touched::tests_touched(&seen))))
    });
    let looked = looked.await.map_err(RunEnd::Infrastructure)?;
    let (stat, news, tests_touched) = looked.map_err(RunEnd::Refused)?;
    let known = brief.earlier.iter().any(
        |event| matches!(&event.what, What::CommitMade { commit: made, .. } if made == commit),
    );
    if known {
        return Ok(());
    }
    if news {
        let text = ATTRIBUTES.to_owned();
        append(shared, brief, What::Note { level: Level::Info, text }).await?;
    }
    let (commit, branch) = (commit.clone(), brief.branch(shared));
    let made = What::CommitMade { commit, branch, stat, tests_touched, left_out };
    append(shared, brief, made).await
}

/// Returns what a commit of this run shows besides its files.
fn words(shared: &Shared, brief: &Brief) -> Vec<(&'static str, String)> {
    let identity = shared.repo.identity();
    vec![
        ("the branch name", brief.branch(shared)),
        ("the target's name", shared.started.target.clone()),
        ("the commit message, which holds the issue", message(shared)),
        ("the title of its part", brief.part.as_ref().map_or("", Part::headline).to_owned()),
        ("the commit's author", format!("{} <{}>", identity.name, identity.email)),
    ]
}

fn sets_attributes(stat: &DiffStat) -> bool {
    stat.files.iter().any(|(path, ..)| path.rsplit('/').next() == Some(".gitattributes"))
}

/// Points a ref of ours at a commit, wherever it stood; nobody else moves it.
pub(super) fn point(repo: &crate::git::repo::Repo, name: &str, to: &Oid) -> Result<(), String> {
    let from = refs::value(repo, name).map_err(|error| chain(&error))?;
    if from.as_ref() == Some(to) {
        return Ok(());
    }
    let step = refs::Move { name, from: from.as_ref(), to, why: "grafter: work" };
    match refs::cas(repo, step).map_err(|error| chain(&error))? {
        refs::Cas::Moved => Ok(()),
        refs::Cas::Missed { .. } => Err(format!("{name} was moved by somebody else")),
    }
}

/// Keeps a stored result's commit from being pruned.
pub(super) async fn keep(shared: &Shared, key: &Key, commit: Option<&Oid>) {
    let Some(commit) = commit.cloned() else { return };
    let (repo, name) = (shared.repo.clone(), format!("refs/grafter/result/{key}"));
    if let Err(error) = blocking(move || point(&repo, &name, &commit)).await {
        tracing::warn!(error, "a result's commit could not be kept for later runs");
    }
}

async fn append(shared: &Shared, brief: &Brief, what: What) -> Result<(), RunEnd> {
    let written = shared.journal.append(Some(&brief.id), Some(&brief.agent()), what).await;
    written.map(|_| ()).map_err(|error| broken(&error))
}
