//! Facts about a commit that prompts show: what lies at the top, how much, what happened last.
//!
//! Nothing here depends on the clock, the folder or the machine, so that a prompt made of it is the
//! same bytes wherever it is made.

use git2::{ErrorCode, ObjectType, Repository, Tree, TreeWalkMode, TreeWalkResult};

use crate::{
    git::{program::GitError, repo::Repo},
    protocol::ids::Oid,
};

/// Entries of the top folder that are named.
const MAX_TOP: usize = 60;
/// Commits that are named.
const MAX_LOG: usize = 5;
/// Endings of source files.
const SOURCES: [&str; 8] = ["py", "rs", "js", "jsx", "ts", "tsx", "go", "mjs"];
/// Source files looked at, and the largest of them in bytes.
const MAX_FILES: usize = 2000;
const MAX_FILE: usize = 100_000;

/// Returns a few lines about a commit.
pub fn facts(repo: &Repo, commit: &Oid) -> Result<String, GitError> {
    let library = repo.open()?;
    let tree = tree(&library, commit)?;
    let mut count = 0usize;
    walk(&tree, &mut |_, kind| {
        count += usize::from(kind == ObjectType::Blob);
        true
    })?;
    let mut top: Vec<String> = Vec::new();
    for entry in tree.iter().take(MAX_TOP) {
        let mark = if entry.kind() == Some(ObjectType::Tree) { "/" } else { "" };
        top.push(format!("{}{mark}", String::from_utf8_lossy(entry.name_bytes())));
    }
    let more = tree.len().saturating_sub(MAX_TOP);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let log = subjects(&library, commit)?;
    Ok(format!("{count} tracked files; top: {}{more}\nlast commits:\n{log}", top.join(" ")))
}

fn subjects(library: &Repository, commit: &Oid) -> Result<String, GitError> {
    let mut walk = library.revwalk().map_err(GitError::library("read the history"))?;
    let id = git2::Oid::from_str(commit.as_str()).map_err(GitError::library("read an id"))?;
    walk.push(id).map_err(GitError::library("read the history"))?;
    let mut lines = String::new();
    // A shallow clone ends early; what is there is told.
    for id in walk.take(MAX_LOG).map_while(Result::ok) {
        let Ok(found) = library.find_commit(id) else { break };
        let message = String::from_utf8_lossy(found.message_bytes()).into_owned();
        lines.push_str(&format!("- {}\n", message.lines().next().unwrap_or_default()));
    }
    Ok(lines)
}

/// Returns the source files of a commit, path and text; odd names and huge files are left out.
pub fn sources(repo: &Repo, commit: &Oid) -> Result<Vec<(String, String)>, GitError> {
    let library = repo.open()?;
    let tree = tree(&library, commit)?;
    let mut paths = Vec::new();
    walk(&tree, &mut |path, kind| {
        let ending = path.rsplit_once('.').map_or("", |(_, ending)| ending);
        if kind == ObjectType::Blob && SOURCES.contains(&ending) {
            paths.push(path.to_owned());
        }
        paths.len() < MAX_FILES
    })?;
    let text = |path: &String| {
        let entry = tree.get_path(path.as_ref()).ok()?;
        let blob = library.find_blob(entry.id()).ok()?;
        let text = std::str::from_utf8(blob.content()).ok()?;
        (text.len() <= MAX_FILE).then(|| (path.clone(), text.to_owned()))
    };
    Ok(paths.iter().filter_map(text).collect())
}

/// Returns the objects, files and folders alike, that a commit holds under these paths.
pub fn entries(repo: &Repo, commit: &Oid, paths: &[&str]) -> Result<Vec<(String, Oid)>, GitError> {
    let library = repo.open()?;
    let tree = tree(&library, commit)?;
    let mut found = Vec::new();
    for path in paths {
        match tree.get_path(path.as_ref()) {
            Ok(entry) => found.push(((*path).to_owned(), Oid::new(entry.id().to_string()))),
            Err(error) if error.code() == ErrorCode::NotFound => {}
            Err(error) => return Err(GitError::library("read a commit's tree")(error)),
        }
    }
    Ok(found)
}

fn tree<'r>(library: &'r Repository, commit: &Oid) -> Result<Tree<'r>, GitError> {
    let object = library.revparse_single(commit.as_str());
    let tree = object.and_then(|object| object.peel_to_tree());
    tree.map_err(GitError::library("read a commit's tree"))
}

fn walk(tree: &Tree<'_>, visit: &mut dyn FnMut(&str, ObjectType) -> bool) -> Result<(), GitError> {
    let mut stopped = false;
    let walked = tree.walk(TreeWalkMode::PreOrder, |folder, entry| {
        let (Ok(name), Some(kind)) = (std::str::from_utf8(entry.name_bytes()), entry.kind()) else {
            return TreeWalkResult::Ok;
        };
        if visit(&format!("{folder}{name}"), kind) {
            return TreeWalkResult::Ok;
        }
        stopped = true;
        TreeWalkResult::Abort
    });
    if stopped { Ok(()) } else { walked.map_err(GitError::library("walk a tree")) }
}

/// Returns when a commit was made, in seconds since the epoch.
pub fn made_at(repo: &Repo, commit: &Oid) -> Result<i64, GitError> {
    let library = repo.open()?;
    let id = git2::Oid::from_str(commit.as_str()).map_err(GitError::library("read an id"))?;
    let found = library.find_commit(id).map_err(GitError::library("find a commit"))?;
    Ok(found.time().seconds())
}
