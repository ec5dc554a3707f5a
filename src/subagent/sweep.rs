//! Takes away trees that nobody needs any more, so that they never pile up.
//!
//! Throw-away trees go with their run, those of a killed run at the next start of any run. A
//! writer's tree goes once its run has landed and it holds nothing that its branch does not hold;
//! any other stays for a resume, for a look, and for `grafter worktree clean`. The trees of live
//! runs are not touched, and failing to remove one never fails a run.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use crate::{
    git::{
        records::Record,
        repo::Repo,
        tree::{self, TreeError},
    },
    journal::runs::{Of, RunDir, RunState},
    protocol::{ids::RunId, report::RunEnd},
    subagent::retention,
};

/// What becomes of a writer's tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Writer {
    /// Its run may go on, or somebody may want to look at it.
    Stays,
    /// Its work has landed.
    Landed,
}

/// Takes away the trees of all runs that have ended or were killed, below `trees`, and snapshots
/// that are no longer kept.
pub fn others(repo: &Repo, trees: &Path, own: &RunId) {
    if let Err(error) = retention::forget(repo, retention::now()) {
        tracing::warn!(%error, "old snapshots stay");
    }
    let folders = folders(trees, own);
    if folders.is_empty() {
        return;
    }
    // Listed after the folders: a run's journal is there before its trees.
    let state = repo.state_dir();
    let all = RunDir::list(&state)
        .and_then(|runs| Ok((runs, RunDir::list_of(Of::Batches, &state)?)))
        .map(|(runs, batches)| runs.into_iter().chain(batches));
    let runs: BTreeMap<String, RunDir> = match all {
        Ok(runs) => runs.map(|run| (run.id.to_string(), run)).collect(),
        Err(error) => {
            tracing::warn!(%error, "trees of earlier runs stay where they are");
            return;
        }
    };
    for (name, folder) in folders {
        if let Some(writer) = fate(runs.get(&name)) {
            run(repo, &folder, writer);
        }
    }
}

/// Takes away the trees of one run.
pub fn run(repo: &Repo, folder: &Path, writer: Writer) {
    for record in below(repo, folder) {
        if let Err(error) = one(repo, &record, writer) {
            tracing::warn!(%error, path = %record.path.display(), "a tree stays behind");
        }
    }
    // Private homes, which hold build caches, are of no use without the trees.
    if below(repo, folder).is_empty()
        && let Err(error) = tree::erase(folder)
    {
        tracing::warn!(%error, "the folder of a run stays behind");
    }
}

/// Takes a tree away with its home and private git directory; work in it is kept by a ref.
pub fn remove(repo: &Repo, path: &Path) -> Result<tree::Removed, TreeError> {
    let removed = tree::remove(repo, path)?;
    beside(path)?;
    Ok(removed)
}

/// Takes a throw-away tree away with its home and private git directory, and all that was left in
/// it, which is nobody's work.
pub fn discard(repo: &Repo, path: &Path) -> Result<(), TreeError> {
    tree::discard(repo, path)?;
    beside(path)
}

fn one(repo: &Repo, record: &Record, writer: Writer) -> Result<(), TreeError> {
    match (&record.branch, writer) {
        (None, _) => discard(repo, &record.path),
        (Some(_), Writer::Landed) if tree::release(repo, &record.path)? => beside(&record.path),
        (Some(_), _) => Ok(()),
    }
}

/// Returns the path of what belongs to a tree: its `home` or its private `git` directory.
pub fn belonging(tree: &Path, what: &str) -> PathBuf {
    let name = tree.file_name().unwrap_or_default().to_string_lossy();
    tree.with_file_name(format!(".{name}.{what}"))
}

/// Takes away what belongs to a tree: its home and its private git directory.
pub fn beside(tree: &Path) -> Result<(), TreeError> {
    for what in ["home", "git", "git.half"] {
        tree::erase(&belonging(tree, what))?;
    }
    Ok(())
}

fn below(repo: &Repo, folder: &Path) -> Vec<Record> {
    let mut records = tree::known(repo);
    records.retain(|record| record.path.starts_with(folder));
    records
}

fn folders(trees: &Path, own: &RunId) -> Vec<(String, PathBuf)> {
    let entries = fs::read_dir(trees).into_iter().flatten().flatten();
    let named =
        entries.map(|entry| (entry.file_name().to_string_lossy().into_owned(), entry.path()));
    named.filter(|(name, path)| name != own.as_str() && path.is_dir()).collect()
}

/// Returns what becomes of a run's writer's tree; none when the run is live.
fn fate(run: Option<&RunDir>) -> Option<Writer> {
    match run.map(RunDir::state) {
        Some(RunState::Running { .. }) => None,
        Some(RunState::Finished(RunEnd::Landed { .. })) => Some(Writer::Landed),
        _ => Some(Writer::Stays),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::git::fixture::Fixture;

    #[test]
    fn a_killed_check_leaves_its_home_to_nobody() {
        let fixture = Fixture::small();
        let (repo, path) = (fixture.repo(), fixture.beside("trees/checks"));
        let commit = fixture.oid("HEAD");
        let spec = tree::TreeSpec { path: path.clone(), commit, branch: None };
        tree::make(&repo, &spec).unwrap();
        for what in ["home", "git", "git.half"] {
            fs::create_dir(belonging(&path, what)).unwrap();
        }
        discard(&repo, &path).unwrap();
        assert_eq!(fs::read_dir(fixture.beside("trees")).unwrap().count(), 0);
        discard(&repo, &path).unwrap();
    }
}
