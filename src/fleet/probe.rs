//! Whether tasks that are worked at once contradict each other, found out while they go on.
//!
//! Each side is the newest commit of a task: a snapshot of its writer's tree, or what waits for its
//! landing. Only sides that touch a file in common are merged, in memory.

use std::collections::BTreeSet;

use crate::{
    git::{
        diff,
        join::{self, Joined, Sides},
        program::GitError,
        repo::Repo,
    },
    protocol::ids::Oid,
};

/// How far a task's work has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Side {
    /// The task's place in the batch.
    pub task: usize,
    /// The newest commit of its work.
    pub commit: Oid,
    /// The files that it has changed.
    pub paths: BTreeSet<String>,
}

impl Side {
    /// Returns the side of a commit that was built on the target's history.
    pub fn new(repo: &Repo, target: &Oid, (task, commit): (usize, Oid)) -> Result<Self, GitError> {
        let base = join::merge_base(repo, target, &commit)?.unwrap_or_else(|| target.clone());
        let paths = diff::changed_paths(repo, &base, &commit)?.into_iter().collect();
        Ok(Self { task, commit, paths })
    }
}

/// A side that contradicts another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clash {
    /// The other one's task.
    pub with: usize,
    /// The files, sorted.
    pub paths: Vec<String>,
}

/// Returns which others a side does not merge with.
pub fn clashes(repo: &Repo, side: &Side, others: &[Side]) -> Result<Vec<Clash>, GitError> {
    let mut clashes = Vec::new();
    let near = |other: &&Side| other.task != side.task && !other.paths.is_disjoint(&side.paths);
    for other in others.iter().filter(near) {
        let Some(base) = join::merge_base(repo, &side.commit, &other.commit)? else { continue };
        let sides = Sides { base: &base, ours: &other.commit, theirs: &side.commit };
        if let Joined::Conflict { paths } = join::join(repo, sides)? {
            clashes.push(Clash { with: other.task, paths });
        }
    }
    Ok(clashes)
}
