//! Takes trees and branches away, and loses nothing by it.

use std::{
    fs, io,
    io::ErrorKind,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use crate::{
    git::{
        commit::{self, CommitSpec},
        include, layers, lock,
        program::GitError,
        records,
        refs::{self, Cas, Move},
        repo::Repo,
        snapshot::Tracker,
        tree::{TreeError, beside, finished, head_of, held, integrated},
        worktrees,
    },
    protocol::ids::Oid,
    sandbox::overlay,
};

/// What a removal kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Removed {
    /// The ref under which work that was nowhere else is kept.
    pub orphan: Option<String>,
}

/// Removes a tree and keeps its branch; work that is nowhere else is first kept by a ref. What
/// checks and reviewers leave in a throw-away tree is nobody's work.
pub fn remove(repo: &Repo, path: &Path) -> Result<Removed, TreeError> {
    let record = records::get(repo, path).ok_or_else(|| TreeError::Foreign(path.to_owned()))?;
    unlocked(repo, path)?;
    let mut removed = Removed::default();
    if record.branch.is_some() && finished(repo, &record) {
        let head = head_of(repo, &record)?;
        let mut tracker = Tracker::new(repo, path, &head)?;
        let changed = tracker.snapshot()?.is_some();
        if !tracker.skipped().is_empty() {
            return Err(TreeError::Unsaved { path: path.to_owned(), skipped: tracker.skipped() });
        }
        if changed {
            let tree = tracker.whole()?;
            let message = format!("Unsaved work of {}\n", path.display());
            let parents = vec![head];
            let spec = CommitSpec { tree, parents, message, identity: repo.identity() };
            removed.orphan = Some(keep(repo, &commit::write(repo, &spec)?)?);
        } else if !held(repo, &head)? {
            removed.orphan = Some(keep(repo, &head)?);
        }
    }
    clear(repo, path)?;
    Ok(removed)
}

/// Whoever locked a worktree wants it to stay, whatever is in it.
fn unlocked(repo: &Repo, path: &Path) -> Result<(), TreeError> {
    let why = worktrees::at(repo, path).map(|site| worktrees::locked(&site)).transpose()?;
    match why.flatten() {
        Some(why) => Err(TreeError::Locked { path: path.to_owned(), why }),
        None => Ok(()),
    }
}

/// Removes a throw-away tree with whatever was left in it; one that is not there is no error.
pub fn discard(repo: &Repo, path: &Path) -> Result<(), TreeError> {
    match records::get(repo, path) {
        None => Ok(()),
        Some(record) if record.branch.is_some() => Err(TreeError::Foreign(path.to_owned())),
        Some(_) => Ok(clear(repo, path)?),
    }
}

/// Removes a writer's tree if it holds nothing but what its branch holds; returns whether it did.
pub fn release(repo: &Repo, path: &Path) -> Result<bool, TreeError> {
    let record = records::get(repo, path).ok_or_else(|| TreeError::Foreign(path.to_owned()))?;
    unlocked(repo, path)?;
    if finished(repo, &record) {
        let head = head_of(repo, &record)?;
        let mut tracker = Tracker::new(repo, path, &head)?;
        if tracker.snapshot()?.is_some() || !tracker.skipped().is_empty() || !held(repo, &head)? {
            return Ok(false);
        }
    }
    clear(repo, path)?;
    Ok(true)
}

/// Removes a branch of grafter's; commits that are nowhere else are first kept by a ref.
pub fn remove_branch(repo: &Repo, branch: &str) -> Result<Removed, TreeError> {
    let Some(tip) = repo.tip(branch)? else { return Ok(Removed::default()) };
    if !branch.starts_with("grafter/") || repo.branch_checked_out(branch).is_some() {
        return Err(TreeError::Foreign(PathBuf::from(branch)));
    }
    let orphan = match integrated(repo, &tip, branch)? {
        true => None,
        false => Some(keep(repo, &tip)?),
    };
    match refs::delete(repo, &format!("refs/heads/{branch}"), &tip)? {
        Cas::Moved => Ok(Removed { orphan }),
        Cas::Missed { found } => {
            let tip = found.unwrap_or(tip);
            Err(TreeError::BranchTaken { branch: branch.to_owned(), tip })
        }
    }
}

/// Takes a tree away: renamed aside first, so that the path is free at once.
pub(super) fn clear(repo: &Repo, path: &Path) -> Result<(), GitError> {
    overlay::lift(path).map_err(GitError::file("lift the overlay of", path))?;
    let aside = beside(path, ".gone");
    erase(&aside)?;
    match fs::rename(path, &aside) {
        Err(e) if e.kind() != ErrorKind::NotFound => return Err(GitError::file("rename", path)(e)),
        _ => {}
    }
    let turn = lock::acquire(repo)?;
    if let Some(site) = worktrees::at(repo, path) {
        erase(&site.git_dir)?;
    }
    drop(turn);
    let beside = [
        beside(path, ".index"),
        beside(path, ".index.half"),
        layers::beside(path),
        include::list(path),
    ];
    for file in beside {
        erase(&file)?;
    }
    erase(&aside)?;
    records::forget(repo, path)
}

/// Removes a file or a folder with all in it, also where an agent took its own rights away.
pub fn erase(path: &Path) -> Result<(), GitError> {
    let remove = || match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(e) => Err(e),
    };
    let removed = match remove() {
        Err(e) if e.kind() == ErrorKind::PermissionDenied => open_up(path).and_then(|()| remove()),
        other => other,
    };
    match removed {
        Err(e) if e.kind() != ErrorKind::NotFound => Err(GitError::file("remove", path)(e)),
        _ => Ok(()),
    }
}

fn open_up(dir: &Path) -> io::Result<()> {
    fs::set_permissions(dir, fs::Permissions::from_mode(0o700))?;
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            open_up(&entry.path())?;
        }
    }
    Ok(())
}

fn keep(repo: &Repo, commit: &Oid) -> Result<String, GitError> {
    let name = format!("refs/grafter/orphan/{}", &commit.0[..commit.0.len().min(16)]);
    let step = Move { name: &name, from: None, to: commit, why: "grafter: keep unmerged work" };
    match refs::cas(repo, step)? {
        Cas::Missed { found: Some(found) } if found != *commit => {
            Err(GitError::Odd(format!("{name} is taken by {}", found.short())))
        }
        _ => Ok(name),
    }
}
