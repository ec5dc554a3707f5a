//! Which worktrees git knows, read from its own bookkeeping.
//!
//! The `.git` file inside a tree is an agent's to change, so it is never read: a tree is found by
//! the `gitdir` file in its administrative folder.

use std::{
    ffi::OsStr,
    fs,
    io::ErrorKind,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

use crate::{
    git::{
        program::{GitError, Site},
        repo::Repo,
    },
    protocol::ids::Oid,
};

/// Returns the shared git directory of a git directory.
pub fn common_of(git_dir: &Path) -> PathBuf {
    match fs::read(git_dir.join("commondir")) {
        Ok(bytes) => git_dir.join(path_in(&bytes)),
        Err(_) => git_dir.to_owned(),
    }
}

/// What a HEAD stands on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Head {
    /// A branch, which may not exist yet.
    Branch(String),
    /// A commit.
    Detached(Oid),
}

/// Returns what a git directory's HEAD stands on, none when that cannot be told.
pub fn head(git_dir: &Path) -> Option<Head> {
    let head = fs::read_to_string(git_dir.join("HEAD")).ok()?;
    let head = head.trim_end();
    match head.strip_prefix("ref: refs/heads/") {
        Some(branch) => Some(Head::Branch(branch.to_owned())),
        None if head.len() == 40 && head.bytes().all(|b| b.is_ascii_hexdigit()) => {
            Some(Head::Detached(Oid::new(head)))
        }
        None => None,
    }
}

/// Returns the branch a git directory's HEAD names, none when it is detached or unreadable.
pub fn head_branch(git_dir: &Path) -> Option<String> {
    match head(git_dir)? {
        Head::Branch(branch) => Some(branch),
        Head::Detached(_) => None,
    }
}

/// Returns all registered linked worktrees.
pub fn linked(repo: &Repo) -> Vec<Site> {
    let Ok(folders) = fs::read_dir(repo.common_dir().join("worktrees")) else { return Vec::new() };
    let mut sites: Vec<Site> = folders
        .filter_map(|folder| {
            let git_dir = folder.ok()?.path();
            let dot_git = git_dir.join(path_in(&fs::read(git_dir.join("gitdir")).ok()?));
            let (work_tree, index) = (tidy(dot_git.parent()?), git_dir.join("index"));
            Some(Site { work_tree, index, git_dir, attributes: Some(repo.attributes().clone()) })
        })
        .collect();
    sites.sort_by(|a, b| a.work_tree.cmp(&b.work_tree));
    sites
}

/// Returns the registered worktree at a path, whether or not its folder still exists.
pub fn at(repo: &Repo, path: &Path) -> Option<Site> {
    let path = tidy(path);
    linked(repo).into_iter().find(|site| site.work_tree == path)
}

/// Returns the worktree, linked or main, in which a branch is checked out.
pub fn holding(repo: &Repo, branch: &str) -> Option<Site> {
    let holds = |site: &Site| head_branch(&site.git_dir).as_deref() == Some(branch);
    let own = Some(repo.site()).filter(holds);
    own.or_else(|| main(repo).filter(holds))
        .or_else(|| linked(repo).into_iter().find(|site| holds(site) && site.work_tree.is_dir()))
}

/// Returns the worktree in which a branch is being rebased, which ends by moving it.
pub fn rebasing(repo: &Repo, branch: &str) -> Option<PathBuf> {
    let name = format!("refs/heads/{branch}");
    let states = ["rebase-merge/head-name", "rebase-apply/head-name"];
    let busy = |site: &Site| {
        let names =
            states.iter().filter_map(|file| fs::read_to_string(site.git_dir.join(file)).ok());
        names.into_iter().any(|found| found.trim_end() == name)
    };
    let all = [Some(repo.site()), main(repo)].into_iter().flatten().chain(linked(repo));
    all.into_iter().find(busy).map(|site| site.work_tree)
}

/// Returns the worktree that needs a branch: it is checked out there, or a rebase or a bisection ends
/// on it.
///
/// Folders that are gone count, for they may come back; a worktree that cannot be looked at is an
/// error, because it may be the one.
pub fn needing(repo: &Repo, branch: &str) -> Result<Option<PathBuf>, GitError> {
    let name = format!("refs/heads/{branch}");
    let head = format!("ref: {name}");
    let states = [
        "rebase-merge/head-name",
        "rebase-apply/head-name",
        "rebase-merge/update-refs",
        "BISECT_START",
    ];
    for dir in git_dirs(repo)? {
        let path = dir.join("HEAD");
        let mut found = fs::read_to_string(&path).map_err(GitError::file("read", &path))?;
        for state in states {
            found.push('\n');
            found.push_str(&optional(&dir.join(state))?.unwrap_or_default());
        }
        if found.lines().any(|line| line == name || line == head || line == branch) {
            let mut sites = linked(repo).into_iter().chain(main(repo));
            let site = sites.find(|site| site.git_dir == dir);
            return Ok(Some(site.map_or(dir, |site| site.work_tree)));
        }
    }
    Ok(None)
}

/// Returns why a worktree is locked, none when it is not.
pub fn locked(site: &Site) -> Result<Option<String>, GitError> {
    let reason = optional(&site.git_dir.join("locked"))?;
    Ok(reason.map(|reason| reason.trim().to_owned()))
}

/// Returns the git directories of all worktrees.
fn git_dirs(repo: &Repo) -> Result<Vec<PathBuf>, GitError> {
    let folder = repo.common_dir().join("worktrees");
    let mut dirs = vec![repo.common_dir().to_owned()];
    let entries = match fs::read_dir(&folder) {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(dirs),
        entries => entries.map_err(GitError::file("read", &folder))?,
    };
    for entry in entries {
        dirs.push(entry.map_err(GitError::file("read", &folder))?.path());
    }
    Ok(dirs)
}

/// Returns the text of a file, none when it is not there.
fn optional(path: &Path) -> Result<Option<String>, GitError> {
    match fs::read_to_string(path) {
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
        text => text.map(Some).map_err(GitError::file("read", path)),
    }
}

/// Returns what of a repository lies beside the checkout and is nobody's business in it: the git
/// directories, with their tokens and unpublished work, and all other worktrees.
pub fn of_others(repo: &Repo) -> Vec<PathBuf> {
    let own = [repo.git_dir().to_owned(), repo.common_dir().to_owned()];
    let others = main(repo).into_iter().chain(linked(repo)).map(|site| site.work_tree);
    own.into_iter().chain(others.filter(|tree| tree != repo.checkout())).collect()
}

/// Returns the main worktree when the repository has one beside its git directory.
fn main(repo: &Repo) -> Option<Site> {
    let git_dir = repo.common_dir().to_owned();
    let work_tree = git_dir.parent().filter(|_| git_dir.ends_with(".git"))?.to_owned();
    Some(Site { index: git_dir.join("index"), git_dir, work_tree, attributes: None })
}

fn path_in(bytes: &[u8]) -> PathBuf {
    PathBuf::from(OsStr::from_bytes(bytes.strip_suffix(b"\n").unwrap_or(bytes)))
}

/// Returns the path with links resolved as far as it exists, for comparison.
fn tidy(path: &Path) -> PathBuf {
    if let Ok(real) = path.canonicalize() {
        return real;
    }
    match (path.parent().map(Path::canonicalize), path.file_name()) {
        (Some(Ok(parent)), Some(name)) => parent.join(name),
        _ => path.to_owned(),
    }
}
