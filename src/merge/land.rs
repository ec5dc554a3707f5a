//! Landing: the move of the target, and taking it back.
//!
//! A branch that nobody has checked out moves by compare-and-swap. One that is checked out moves
//! by `git merge --ff-only` in that checkout, hooks off, so that git itself guards the user's
//! uncommitted work; what git refuses stays undone. Both are safe to repeat after a crash.

use crate::{
    git::{
        commit::{self, CommitSpec},
        join::{self, Joined, Sides},
        program::{Git, GitError, Site, words},
        refs::{self, Cas, Move},
        repo::Repo,
        worktrees,
    },
    protocol::ids::Oid,
};

/// A move of a target.
#[derive(Clone, Debug)]
pub struct Landing {
    /// The target branch.
    pub branch: String,
    /// Where it must be now; none when it must not exist yet.
    pub from: Option<Oid>,
    /// The candidate.
    pub to: Oid,
}

/// How a landing ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Landed {
    /// The target is at the candidate.
    Moved,
    /// The target was moved or deleted by somebody else; nothing was changed.
    Missed {
        /// Where it is, none when it is gone.
        found: Option<Oid>,
    },
    /// Git refuses to move the checkout; nothing was changed.
    Refused {
        /// Git's words.
        why: String,
    },
}

/// How taking a landing back ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Undone {
    /// The target is where it was before the landing.
    Back,
    /// Others built on it, so a commit that takes it back was added.
    Reverted {
        /// That commit.
        commit: Oid,
    },
    /// What was built on it contradicts taking it back; nothing was changed.
    Conflict {
        /// The files that conflict, sorted.
        paths: Vec<String>,
    },
    /// It cannot be taken back; nothing was changed.
    Refused {
        /// Why.
        why: String,
    },
}

/// Moves the target to the candidate.
pub fn land(repo: &Repo, landing: &Landing) -> Result<Landed, GitError> {
    let found = repo.tip(&landing.branch)?;
    if let Some(found) = &found
        && (*found == landing.to || repo.contains(found, &landing.to)?)
    {
        // Done before a crash; somebody may have built on it since.
        return Ok(Landed::Moved);
    }
    if found != landing.from {
        return Ok(Landed::Missed { found });
    }
    if let Some(place) = worktrees::rebasing(repo, &landing.branch) {
        let why = format!("it is being rebased at {}", place.display());
        return Ok(Landed::Refused { why });
    }
    if let Some(site) = worktrees::holding(repo, &landing.branch) {
        let git = Git::checkout(&site, "merge");
        let git = git.args(["--ff-only", "--no-autostash", "--no-stat", "--quiet"]);
        return in_checkout(repo, landing, git.arg(landing.to.as_str()));
    }
    let name = format!("refs/heads/{}", landing.branch);
    let from = landing.from.as_ref();
    match refs::cas(repo, Move { name: &name, from, to: &landing.to, why: "grafter: land" })? {
        Cas::Moved => Ok(Landed::Moved),
        Cas::Missed { found } => Ok(Landed::Missed { found }),
    }
}

/// Takes a landing back: to where the target was, or by a commit that reverts it.
pub fn undo(repo: &Repo, landing: &Landing) -> Result<Undone, GitError> {
    let refused = |why: &str| Ok(Undone::Refused { why: why.to_owned() });
    let tip = match (repo.tip(&landing.branch)?, &landing.from) {
        (Some(tip), _) => tip,
        // The landing had made the branch.
        (None, None) => return Ok(Undone::Back),
        (None, Some(_)) => return refused("the branch is gone"),
    };
    let holder = worktrees::holding(repo, &landing.branch);
    match &landing.from {
        from if from.as_ref() == Some(&tip) => Ok(Undone::Back),
        from if tip == landing.to => back(repo, landing, from.as_ref(), holder),
        _ if repo.contains(&tip, &landing.to)? => revert(repo, landing, &tip),
        _ => refused("the landed commit is not on the branch any more"),
    }
}

/// Runs git in the checkout of a branch, and tells by the branch what came of it.
fn in_checkout(repo: &Repo, landing: &Landing, git: Git) -> Result<Landed, GitError> {
    let output = git.run()?;
    let found = repo.tip(&landing.branch)?;
    if found.as_ref() == Some(&landing.to) {
        return Ok(Landed::Moved);
    }
    if found != landing.from {
        return Ok(Landed::Missed { found });
    }
    Ok(Landed::Refused { why: words(&output) })
}

fn back(
    repo: &Repo,
    landing: &Landing,
    from: Option<&Oid>,
    holder: Option<Site>,
) -> Result<Undone, GitError> {
    let name = format!("refs/heads/{}", landing.branch);
    let why = "grafter: undo";
    let moved = match (from, holder) {
        (Some(from), Some(site)) => {
            // Keeps uncommitted work, and refuses where it would be overwritten.
            let git = Git::checkout(&site, "reset").args(["--keep", "--quiet", from.as_str()]);
            let way = Landing {
                from: Some(landing.to.clone()),
                to: from.clone(),
                branch: landing.branch.clone(),
            };
            in_checkout(repo, &way, git)?
        }
        (Some(from), None) => {
            let step = Move { name: &name, from: Some(&landing.to), to: from, why };
            landed(refs::cas(repo, step)?)
        }
        (None, None) => landed(refs::delete(repo, &name, &landing.to)?),
        (None, Some(site)) => {
            let place = site.work_tree.display();
            Landed::Refused { why: format!("the branch is checked out at {place}") }
        }
    };
    Ok(match moved {
        Landed::Moved => Undone::Back,
        Landed::Missed { .. } => Undone::Refused { why: "the branch moved meanwhile".to_owned() },
        Landed::Refused { why } => Undone::Refused { why },
    })
}

fn landed(cas: Cas) -> Landed {
    match cas {
        Cas::Moved => Landed::Moved,
        Cas::Missed { found } => Landed::Missed { found },
    }
}

fn revert(repo: &Repo, landing: &Landing, tip: &Oid) -> Result<Undone, GitError> {
    let before = repo.resolve(&format!("{}^", landing.to))?;
    let tree = match join::join(repo, Sides { base: &landing.to, ours: tip, theirs: &before })? {
        Joined::Clean(tree) if tree == repo.tree_of(tip)? => {
            return Ok(Undone::Refused { why: "it has been taken back already".to_owned() });
        }
        Joined::Clean(tree) => tree,
        Joined::Conflict { paths } => return Ok(Undone::Conflict { paths }),
    };
    let message = format!("Revert what grafter landed\n\nThis reverts commit {}.\n", landing.to);
    let spec = CommitSpec { tree, parents: vec![tip.clone()], message, identity: repo.identity() };
    let commit = commit::write(repo, &spec)?;
    let branch = landing.branch.clone();
    match land(repo, &Landing { branch, from: Some(tip.clone()), to: commit.clone() })? {
        Landed::Moved => Ok(Undone::Reverted { commit }),
        Landed::Missed { .. } => {
            Ok(Undone::Refused { why: "the branch moved meanwhile".to_owned() })
        }
        Landed::Refused { why } => Ok(Undone::Refused { why }),
    }
}

#[cfg(test)]
mod tests;
