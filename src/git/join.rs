//! Three-way merges without a working tree: one `git merge-tree` process each, whose cost follows
//! the number of changed files.

use std::{collections::BTreeSet, str};

use crate::{
    git::{
        patch,
        program::{Git, GitError, words},
        repo::Repo,
    },
    protocol::ids::Oid,
};

/// Two changes of one base, to be joined.
#[derive(Clone, Copy, Debug)]
pub struct Sides<'a> {
    /// What both are changes of.
    pub base: &'a Oid,
    /// One side; attributes are read from it.
    pub ours: &'a Oid,
    /// The other side.
    pub theirs: &'a Oid,
}

/// What joining them gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Joined {
    /// One tree.
    Clean(Oid),
    /// They contradict each other.
    Conflict {
        /// The files that conflict, sorted.
        paths: Vec<String>,
    },
}

/// Joins two changes.
pub fn join(repo: &Repo, sides: Sides<'_>) -> Result<Joined, GitError> {
    Ok(merge(repo, sides)?.1)
}

/// Joins two changes that contradict each other in files only that `may` names; the tree has these
/// as `ours` has them. None when they contradict each other elsewhere, or not at all.
pub fn join_but_for(
    repo: &Repo,
    sides: Sides<'_>,
    may: &dyn Fn(&str) -> bool,
) -> Result<Option<(Oid, Vec<String>)>, GitError> {
    let (tree, joined) = merge(repo, sides)?;
    match joined {
        Joined::Conflict { paths } if paths.iter().all(|path| may(path)) => {
            let tree = patch::with_paths_of(repo, &tree, (sides.ours, &paths))?;
            Ok(Some((tree, paths)))
        }
        _ => Ok(None),
    }
}

/// Merges, and returns the tree as well that has the marks of conflicts in it.
fn merge(repo: &Repo, sides: Sides<'_>) -> Result<(Oid, Joined), GitError> {
    let output = Git::objects(repo, "merge-tree")
        .args(["--write-tree", "-z", "--name-only", "--no-messages", "--allow-unrelated-histories"])
        .arg(format!("--merge-base={}", sides.base))
        .args(["--end-of-options", sides.ours.as_str(), sides.theirs.as_str()])
        .env("GIT_ATTR_SOURCE", sides.ours.as_str())
        .run()?;
    let mut fields = output.stdout.split(|byte| *byte == 0).filter(|field| !field.is_empty());
    let tree = fields.next().and_then(|field| str::from_utf8(field).ok()).map(Oid::new);
    match (output.code, tree) {
        (Some(0), Some(tree)) => Ok((tree.clone(), Joined::Clean(tree))),
        (Some(1), Some(tree)) => {
            let paths: BTreeSet<String> =
                fields.map(|field| String::from_utf8_lossy(field).into_owned()).collect();
            Ok((tree, Joined::Conflict { paths: paths.into_iter().collect() }))
        }
        _ => Err(GitError::Failed { verb: "merge-tree".to_owned(), words: words(&output) }),
    }
}

/// Returns whether merging a commit into a target would leave the target's files as they are.
pub fn adds_nothing(repo: &Repo, target: &Oid, commit: &Oid) -> Result<bool, GitError> {
    let Some(base) = merge_base(repo, target, commit)? else { return Ok(false) };
    let joined = join(repo, Sides { base: &base, ours: target, theirs: commit })?;
    Ok(joined == Joined::Clean(repo.tree_of(target)?))
}

/// Returns the best common ancestor of two commits, none when they share no history.
pub fn merge_base(repo: &Repo, one: &Oid, two: &Oid) -> Result<Option<Oid>, GitError> {
    use crate::git::repo::{named, raw};
    match repo.open()?.merge_base(raw(one)?, raw(two)?) {
        Ok(base) => Ok(Some(named(base))),
        Err(e) if e.code() == git2::ErrorCode::NotFound => Ok(None),
        Err(source) => {
            Err(GitError::Library { doing: "find a common ancestor".to_owned(), source })
        }
    }
}
