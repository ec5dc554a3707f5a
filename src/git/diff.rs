//! What differs between two commits or trees.

use git2::{Diff, DiffFormat, DiffOptions, Repository};
use serde::{Deserialize, Serialize};

use crate::{
    git::{
        program::GitError,
        repo::{Repo, tree_in},
    },
    protocol::ids::Oid,
};

/// How much differs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiffStat {
    /// The files that differ, sorted by path.
    pub files: Vec<FileStat>,
    /// Added lines in all of them.
    pub added: usize,
    /// Removed lines in all of them.
    pub removed: usize,
}

/// How much one file differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileStat {
    /// Its path; bytes that are no UTF-8 are replaced.
    pub path: String,
    /// Added lines.
    pub added: usize,
    /// Removed lines.
    pub removed: usize,
}

/// Counts what differs.
pub fn stat(repo: &Repo, a: &Oid, b: &Oid) -> Result<DiffStat, GitError> {
    let library = repo.open()?;
    let diff = changed(&library, a, b)?;
    let mut stat = DiffStat::default();
    for (index, delta) in diff.deltas().enumerate() {
        let patch = git2::Patch::from_diff(&diff, index).map_err(GitError::library("compare"))?;
        let counts = patch.map_or(Ok((0, 0, 0)), |patch| patch.line_stats());
        let (_, added, removed) = counts.map_err(GitError::library("compare"))?;
        stat.files.push(FileStat { path: path_of(&delta), added, removed });
        stat.added += added;
        stat.removed += removed;
    }
    Ok(stat)
}

/// Returns the unified diff; bytes that are no UTF-8 are replaced.
pub fn unified(repo: &Repo, a: &Oid, b: &Oid) -> Result<String, GitError> {
    let library = repo.open()?;
    let diff = changed(&library, a, b)?;
    let mut bytes = Vec::new();
    diff.print(DiffFormat::Patch, |_, _, line| {
        if matches!(line.origin(), '+' | '-' | ' ') {
            bytes.push(line.origin() as u8);
        }
        bytes.extend(line.content());
        true
    })
    .map_err(GitError::library("compare"))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Returns the paths that differ, sorted.
pub fn changed_paths(repo: &Repo, a: &Oid, b: &Oid) -> Result<Vec<String>, GitError> {
    let library = repo.open()?;
    Ok(changed(&library, a, b)?.deltas().map(|delta| path_of(&delta)).collect())
}

/// A file before and after a change; empty where it is not there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// Its path; bytes that are no UTF-8 are replaced.
    pub path: String,
    /// Its bytes before.
    pub old: Vec<u8>,
    /// Its bytes after.
    pub new: Vec<u8>,
}

/// Shows each file that differs, one after another; a deleted one and a submodule have no bytes.
pub fn each_changed(
    repo: &Repo,
    (a, b): (&Oid, &Oid),
    look: &mut dyn FnMut(&Pair),
) -> Result<(), GitError> {
    let library = repo.open()?;
    for delta in changed(&library, a, b)?.deltas() {
        let bytes = |file: git2::DiffFile<'_>| match file.mode() {
            git2::FileMode::Unreadable | git2::FileMode::Commit => Ok(Vec::new()),
            _ => library.find_blob(file.id()).map(|blob| blob.content().to_vec()),
        };
        let read = |file| bytes(file).map_err(GitError::library("read a changed file"));
        let (old, new) = (read(delta.old_file())?, read(delta.new_file())?);
        look(&Pair { path: path_of(&delta), old, new });
    }
    Ok(())
}

pub(super) fn changed<'r>(library: &'r Repository, a: &Oid, b: &Oid) -> Result<Diff<'r>, GitError> {
    let (a, b) = (tree_in(library, a)?, tree_in(library, b)?);
    let mut options = DiffOptions::new();
    options.include_typechange(true);
    library
        .diff_tree_to_tree(Some(&a), Some(&b), Some(&mut options))
        .map_err(GitError::library("compare two trees"))
}

fn path_of(delta: &git2::DiffDelta<'_>) -> String {
    let path = delta.new_file().path_bytes().or_else(|| delta.old_file().path_bytes());
    String::from_utf8_lossy(path.unwrap_or_default()).into_owned()
}
