//! Trees: where agents' files live. Making one is behind [`make`] alone.
//!
//! A writer's tree is a registered git worktree with its branch. A throw-away tree is not
//! registered: its index lies beside it and its `.git` only points into the sandbox. Nothing here
//! reads the user's working tree or writes its index. Removing never loses work: what is not
//! reachable otherwise is first kept under `refs/grafter/orphan/`, and a probe that fails stops
//! the removal.

mod gone;

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
};

use thiserror::Error;

use crate::{
    git::{
        include, integrated,
        layers::{self, Near, Over},
        lock, private,
        program::{Git, GitError, Site},
        records::{self, Record},
        refs::{self, Cas, Move},
        repo::Repo,
        reuse,
        snapshot::Tracker,
        submodules,
        worktrees::{self, Head},
    },
    protocol::ids::Oid,
};

use gone::clear;
pub use gone::{Removed, discard, erase, release, remove, remove_branch};

/// A tree to be made.
#[derive(Clone, Debug)]
pub struct TreeSpec {
    /// Where; absolute, its parent folder is made when missing.
    pub path: PathBuf,
    /// The commit whose files it holds.
    pub commit: Oid,
    /// The new branch of a registered tree; none makes a throw-away tree.
    pub branch: Option<String>,
}

/// Why a tree cannot be made or removed.
#[derive(Debug, Error)]
pub enum TreeError {
    /// Git or the file system refused.
    #[error(transparent)]
    Git(#[from] GitError),
    /// The branch exists and points at something that is not built on the tree's commit.
    #[error("the branch {branch} already exists at {}", tip.short())]
    BranchTaken {
        /// The branch.
        branch: String,
        /// Its tip.
        tip: Oid,
    },
    /// Something that grafter did not make is in the way.
    #[error("{} was not made by grafter and is left alone", .0.display())]
    Foreign(PathBuf),
    /// Some of it cannot be saved, and would be lost.
    #[error("{} holds what cannot be saved: {}", path.display(), skipped.join(", "))]
    Unsaved {
        /// The tree.
        path: PathBuf,
        /// What cannot be read or named, below it.
        skipped: Vec<String>,
    },
    /// Somebody locked the worktree.
    #[error("{} is locked{}", path.display(), reason(why))]
    Locked {
        /// Where it is.
        path: PathBuf,
        /// The reason that was given; empty when none was.
        why: String,
    },
    /// The path cannot be used.
    #[error("{} cannot be the path of a tree: it must be absolute and end in a name", .0.display())]
    Path(PathBuf),
}

fn reason(why: &str) -> String {
    if why.is_empty() { String::new() } else { format!(": {why}") }
}

/// What a look at a tree's state says; a failing look is never read as clean.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// Nothing differs from its head.
    Clean,
    /// Files differ from its head.
    Dirty,
    /// The folder is gone.
    Missing,
    /// It could not be found out.
    Unknown(String),
}

/// A tree that grafter made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TreeInfo {
    /// Where it lies.
    pub path: PathBuf,
    /// Its branch, none for a throw-away tree.
    pub branch: Option<String>,
    /// The commit it stands on.
    pub head: Oid,
    /// Whether files differ from that commit.
    pub dirty: State,
    /// Whether everything in that commit is also in HEAD or on the run's landed branch.
    pub integrated: bool,
}

/// What a tree is made of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Shape {
    /// Files of its own.
    #[default]
    Plain,
    /// An overlay over a template in this folder, which this process and those that it starts see;
    /// files of its own where its commit does not allow that.
    Overlay(PathBuf),
}

/// Makes a tree with files of its own. A tree that is already there and right is kept with what was
/// written in it.
pub fn make(repo: &Repo, spec: &TreeSpec) -> Result<(), TreeError> {
    make_as(repo, spec, &Shape::Plain)
}

/// Makes a tree of that shape. A tree that is already there and right is kept with what was written
/// in it; where it was an overlay and is to be none, that goes into files of its own.
pub fn make_as(repo: &Repo, spec: &TreeSpec, shape: &Shape) -> Result<(), TreeError> {
    let (Some(parent), true) = (spec.path.parent(), spec.path.is_absolute()) else {
        return Err(TreeError::Path(spec.path.clone()));
    };
    fs::create_dir_all(parent).map_err(GitError::file("make", parent))?;
    let record = record_of(spec);
    match records::get(repo, &spec.path) {
        Some(known) if finished(repo, &known) => {
            if same(&known, &record) {
                return keep_on(repo, spec, shape);
            }
            remove(repo, &spec.path)?;
        }
        Some(_) => clear(repo, &spec.path)?,
        None if fs::symlink_metadata(&spec.path).is_ok() => {
            return Err(TreeError::Foreign(spec.path.clone()));
        }
        None => {}
    }
    records::put(repo, &record)?;
    if let Shape::Overlay(store) = shape
        && layers::is_fit(repo, &spec.commit)?
    {
        return lay(repo, spec, store);
    }
    let site = match &spec.branch {
        Some(branch) => register(repo, spec, branch)?,
        None => throw_away(repo, spec)?,
    };
    fill(&site, &spec.commit)?;
    submodules::fill(repo, &site, &spec.commit);
    Ok(())
}

/// Makes a tree as an overlay. It is not registered with git: where its overlay is not laid, git
/// would take all its files for deleted.
fn lay(repo: &Repo, spec: &TreeSpec, store: &Path) -> Result<(), TreeError> {
    let TreeSpec { path, commit, branch } = spec;
    fs::create_dir(path).map_err(GitError::file("make", path))?;
    let near = match branch {
        Some(branch) => {
            let _turn = lock::acquire(repo)?;
            begin_branch(repo, branch, commit)?;
            Near::Exact
        }
        None => Near::Close,
    };
    let site = site(repo, path);
    let half = beside(&site.index, ".half");
    let holds = layers::make(repo, (store, near), (path, &half, commit))?;
    let dot_git = path.join(".git");
    fs::write(&dot_git, private::GITFILE).map_err(GitError::file("write", &dot_git))?;
    match holds == repo.tree_of(commit)? {
        true => Ok(fs::rename(&half, &site.index).map_err(GitError::file("rename", &half))?),
        false => Ok(fill(&site, commit)?),
    }
}

/// Goes on with a tree that is there, in the shape that is wanted now.
fn keep_on(repo: &Repo, spec: &TreeSpec, shape: &Shape) -> Result<(), TreeError> {
    match (Over::of(&spec.path), shape) {
        (None, _) => Ok(()),
        // What is below it may be gone, which its commits do not need.
        (Some(over), Shape::Overlay(_)) if over.lay(&spec.path).is_ok() => Ok(()),
        (Some(_), _) => {
            let mut tracker = Tracker::new(repo, &spec.path, &spec.commit)?;
            tracker.current()?;
            let left = tracker.whole()?;
            clear(repo, &spec.path)?;
            make(repo, spec)?;
            Ok(Tracker::new(repo, &spec.path, &spec.commit)?.restore(&left)?)
        }
    }
}

/// Returns where git calls about a tree that grafter made act.
pub fn site(repo: &Repo, tree: &Path) -> Site {
    worktrees::at(repo, tree).unwrap_or_else(|| Site {
        git_dir: repo.git_dir().to_owned(),
        work_tree: tree.to_owned(),
        index: beside(tree, ".index"),
        attributes: Some(repo.attributes().clone()),
    })
}

/// Returns the folder that stands for a tree where processes lock it: the folder of an overlay is
/// another one in each process that lays it.
pub fn lock_on(tree: &Path) -> PathBuf {
    Over::of(tree).map_or_else(|| tree.to_owned(), |over| over.upper())
}

/// Where the files of a tree that is an overlay can be seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// By everybody.
    ByAll,
    /// By whoever lays the overlay.
    ByWhoeverLays,
}

/// Returns by whom a tree's files are seen.
pub fn seen(tree: &Path) -> Seen {
    match Over::of(tree) {
        Some(_) => Seen::ByWhoeverLays,
        None => Seen::ByAll,
    }
}

/// Lays a tree's overlay again for this process and those that it starts, if it is one.
pub fn lay_again(tree: &Path) -> Result<(), GitError> {
    Over::of(tree).map_or(Ok(()), |over| over.lay(tree))
}

/// Returns all trees that grafter made; one that cannot be looked at says why.
pub fn list(repo: &Repo) -> Vec<TreeInfo> {
    records::all(repo).into_iter().map(|record| look_at(repo, record)).collect()
}

/// Returns where all trees lie that grafter made, without a look at them.
pub fn known(repo: &Repo) -> Vec<Record> {
    records::all(repo)
}

/// Cleans a throw-away tree that nobody needs any more; returns whether [`remake`] can use it.
pub fn tidy(repo: &Repo, path: &Path) -> bool {
    let record = records::get(repo, path).filter(|record| record.branch.is_none());
    record.is_some_and(|record| finished(repo, &record) && Over::of(path).is_none())
        && reuse::clean(path, &site(repo, path).index)
}

/// Makes a throw-away tree out of one that was tidied, at the cost of what differs.
pub fn remake(repo: &Repo, spare: &Path, spec: &TreeSpec) -> Result<(), TreeError> {
    let free = records::get(repo, &spec.path).is_none() && !spec.path.exists();
    if spec.branch.is_none() && free {
        if hand_over(repo, spare, spec).is_ok() {
            return Ok(());
        }
        clear(repo, &spec.path)?;
    }
    clear(repo, spare)?;
    make(repo, spec)
}

fn hand_over(repo: &Repo, spare: &Path, spec: &TreeSpec) -> Result<(), GitError> {
    records::put(repo, &record_of(spec))?;
    let (old, new) = (site(repo, spare).index, site(repo, &spec.path));
    // Without its index the old tree counts as unfinished from here on.
    let half = beside(&new.index, ".half");
    fs::rename(&old, &half).map_err(GitError::file("rename", &old))?;
    fs::rename(spare, &spec.path).map_err(GitError::file("rename", spare))?;
    erase(&include::list(spare))?;
    records::forget(repo, spare)?;
    fill(&new, &spec.commit)?;
    submodules::fill(repo, &new, &spec.commit);
    Ok(())
}

/// Returns whether what a branch of grafter's brings is also elsewhere: on the run's landed branch,
/// on another branch, or in HEAD.
pub fn is_integrated(repo: &Repo, branch: &str) -> Result<bool, GitError> {
    match repo.tip(branch)? {
        Some(tip) => integrated(repo, &tip, branch),
        None => Ok(true),
    }
}

/// A branch moves on with its tree's work; a throw-away tree is good for its commit only.
fn same(known: &Record, wanted: &Record) -> bool {
    known.branch == wanted.branch && (known.branch.is_some() || known.commit == wanted.commit)
}

/// A tree is finished when its index has got its name, which is the last step of filling it.
fn finished(repo: &Repo, record: &Record) -> bool {
    let site = site(repo, &record.path);
    let right = match &record.branch {
        _ if Over::of(&record.path).is_some() => true,
        Some(_) => site.git_dir != repo.git_dir(),
        None => site.git_dir == repo.git_dir(),
    };
    right && site.index.is_file() && record.path.is_dir()
}

fn record_of(spec: &TreeSpec) -> Record {
    let TreeSpec { path, commit, branch } = spec.clone();
    Record { path, commit, branch }
}

fn register(repo: &Repo, spec: &TreeSpec, branch: &str) -> Result<Site, TreeError> {
    let turn = lock::acquire(repo)?;
    // The user's own git directory, so that a sparse checkout is taken over.
    let add = Git::checkout(&repo.site(), "worktree").args(["add", "--no-checkout", "--quiet"]);
    begin_branch(repo, branch, &spec.commit)?;
    add.arg("--").arg(&spec.path).arg(branch).ok()?;
    drop(turn);
    worktrees::at(repo, &spec.path).ok_or_else(|| {
        let path = spec.path.display();
        TreeError::Git(GitError::Odd(format!("git made no worktree at {path}")))
    })
}

/// Makes the branch at the commit, or finds it on work that was built on the commit.
fn begin_branch(repo: &Repo, branch: &str, commit: &Oid) -> Result<(), TreeError> {
    let name = format!("refs/heads/{branch}");
    let step = Move { name: &name, from: None, to: commit, why: "grafter: begin" };
    match refs::cas(repo, step)? {
        Cas::Missed { found: Some(tip) } if !repo.contains(&tip, commit)? => {
            Err(TreeError::BranchTaken { branch: branch.to_owned(), tip })
        }
        _ => Ok(()),
    }
}

fn throw_away(repo: &Repo, spec: &TreeSpec) -> Result<Site, GitError> {
    fs::create_dir(&spec.path).map_err(GitError::file("make", &spec.path))?;
    let dot_git = spec.path.join(".git");
    fs::write(&dot_git, private::GITFILE).map_err(GitError::file("write", &dot_git))?;
    Ok(site(repo, &spec.path))
}

/// Checks the files out; the index gets its name last, as the mark that the tree is complete.
fn fill(site: &Site, commit: &Oid) -> Result<(), GitError> {
    let half = beside(&site.index, ".half");
    let draft = Site { index: half.clone(), ..site.clone() };
    Git::tree(&draft, "read-tree").args(["-u", "--reset", commit.as_str()]).ok()?;
    fs::rename(&half, &site.index).map_err(GitError::file("rename", &half))
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(ending);
    PathBuf::from(name)
}

fn look_at(repo: &Repo, record: Record) -> TreeInfo {
    let branch = record.branch.as_deref().unwrap_or_default();
    let probe = || {
        let head = head_of(repo, &record)?;
        let integrated = integrated(repo, &head, branch)?;
        let dirty = match record.path.is_dir() {
            false => State::Missing,
            true => {
                let mut tracker = Tracker::new(repo, &record.path, &head)?;
                let changed = tracker.snapshot()?.is_some() || !tracker.skipped().is_empty();
                if changed { State::Dirty } else { State::Clean }
            }
        };
        Ok((head, integrated, dirty))
    };
    let unknown =
        |error: GitError| (record.commit.clone(), false, State::Unknown(error.to_string()));
    let (head, integrated, dirty) = probe().unwrap_or_else(unknown);
    TreeInfo { path: record.path, branch: record.branch, head, dirty, integrated }
}

/// Returns the commit a tree stands on, as git's own bookkeeping says.
fn head_of(repo: &Repo, record: &Record) -> Result<Oid, GitError> {
    let unknown = || GitError::Odd(format!("cannot tell the head of {}", record.path.display()));
    let Some(site) = worktrees::at(repo, &record.path) else {
        return match &record.branch {
            Some(branch) if Over::of(&record.path).is_some() => {
                repo.tip(branch)?.ok_or_else(unknown)
            }
            _ => Ok(record.commit.clone()),
        };
    };
    match worktrees::head(&site.git_dir) {
        Some(Head::Branch(branch)) => repo.tip(&branch)?.ok_or_else(unknown),
        Some(Head::Detached(commit)) => Ok(commit),
        None => Err(unknown()),
    }
}

/// Returns whether HEAD, the run's landed branch or any branch but the tree's own holds all that a
/// commit brings.
fn integrated(repo: &Repo, commit: &Oid, branch: &str) -> Result<bool, GitError> {
    let holders = Git::objects(repo, "for-each-ref")
        .args(["--format=%(refname:lstrip=2)", "--contains", commit.as_str(), "refs/heads"])
        .ok()?;
    if String::from_utf8_lossy(&holders).lines().any(|holder| holder != branch) {
        return Ok(true);
    }
    let mut targets = vec![repo.resolve("HEAD")?];
    if let Some((run, _)) = branch.rsplit_once('/') {
        targets.extend(repo.tip(&format!("{run}/landed"))?.filter(|tip| tip != commit));
    }
    for target in targets {
        if integrated::way(repo, &target, commit)?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Returns whether some branch or tag holds a commit.
fn held(repo: &Repo, commit: &Oid) -> Result<bool, GitError> {
    if refs::list(repo, "refs/heads/")?.iter().any(|(_, tip)| tip == commit) {
        return Ok(true);
    }
    let holders = Git::objects(repo, "for-each-ref")
        .args(["--count=1", "--format=x", "--contains", commit.as_str()])
        .ok()?;
    Ok(!holders.is_empty())
}

#[cfg(test)]
mod tests;
