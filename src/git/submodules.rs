//! Fills submodules in a tree from what the user has already fetched, without any network.
//!
//! The files are plain copies without a git directory: a build or a test finds them, and
//! snapshots keep the submodule's recorded commit whatever an agent does there. A submodule that
//! the user never fetched stays an empty folder, exactly as in a fresh worktree.

use std::path::{Component, Path, PathBuf};

use git2::{Config, ObjectType};

use crate::{
    git::{
        program::{Git, Site},
        repo::{Repo, tree_in},
    },
    protocol::ids::Oid,
};

/// Fills all submodules of a commit that can be filled; failures leave a folder empty.
pub fn fill(repo: &Repo, site: &Site, commit: &Oid) {
    let gitmodules = site.work_tree.join(".gitmodules");
    if !gitmodules.symlink_metadata().is_ok_and(|found| found.is_file()) {
        return;
    }
    for (name, path) in modules(&gitmodules) {
        let git_dir = repo.common_dir().join("modules").join(&name);
        if let (Some(oid), true) = (link_at(repo, commit, &path), git_dir.is_dir()) {
            let work_tree = site.work_tree.join(&path);
            let index = site.index.with_extension("module");
            let inner = Site { git_dir, work_tree, index, attributes: None };
            let _ = Git::tree(&inner, "read-tree").args(["-u", "--reset", &oid]).ok();
            let _ = std::fs::remove_file(&inner.index);
        }
    }
}

/// Returns name and path of each submodule; anything that could point elsewhere is left out.
fn modules(gitmodules: &Path) -> Vec<(PathBuf, PathBuf)> {
    let mut found = Vec::new();
    let Ok(config) = Config::open(gitmodules) else { return found };
    let Ok(mut entries) = config.entries(Some(r"^submodule\..*\.path$")) else { return found };
    while let Some(Ok(entry)) = entries.next() {
        let name = entry.name().ok().and_then(|name| {
            name.strip_prefix("submodule.")?.strip_suffix(".path").map(PathBuf::from)
        });
        let path = entry.value().ok().map(PathBuf::from);
        if let (Some(name), Some(path)) = (name, path)
            && is_plain(&name)
            && is_plain(&path)
        {
            found.push((name, path));
        }
    }
    found
}

fn is_plain(path: &Path) -> bool {
    let mut parts = path.components().peekable();
    parts.peek().is_some() && parts.all(|part| matches!(part, Component::Normal(_)))
}

fn link_at(repo: &Repo, commit: &Oid, path: &Path) -> Option<String> {
    let library = repo.open().ok()?;
    let entry = tree_in(&library, commit).ok()?.get_path(path).ok()?;
    (entry.kind() == Some(ObjectType::Commit)).then(|| entry.id().to_string())
}
