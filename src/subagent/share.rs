//! Which folders of the checkout agents see beside their tree: installed dependencies.
//!
//! What is shared is read by whoever runs the agents' words, so it is a real folder of the checkout
//! and not where some link leads, and nothing of it belongs to the commit the agent works on.

use std::path::{Component, Path, PathBuf};

use crate::{
    git::{repo::Repo, rules},
    protocol::ids::Oid,
};

/// Returns those of the named folders that may be shared, and where they are seen.
pub(super) fn folders(repo: &Repo, names: &[String], commit: &Oid) -> Vec<(PathBuf, PathBuf)> {
    let there =
        |name: &&String| is_real(repo.checkout(), name) && repo.checkout().join(name).is_dir();
    let named: Vec<&String> = names.iter().filter(there).collect();
    // Most repositories have none, and need no look at their rules.
    if named.is_empty() {
        return Vec::new();
    }
    let Ok(free) = rules::free_folders(repo, commit, &named) else { return Vec::new() };
    let paths = free.into_iter().map(|name| repo.checkout().join(name));
    paths.map(|path| (path.clone(), path)).collect()
}

/// Returns whether a name is that of something that can lie below a checkout and is not git's.
pub(super) fn is_below(name: &str) -> bool {
    let mut parts = Path::new(name).components();
    let first = parts.clone().next();
    !name.is_empty()
        && first != Some(Component::Normal(".git".as_ref()))
        && parts.all(|part| matches!(part, Component::Normal(_)))
}

/// Returns whether something of that name lies below a folder, with no link on the way.
pub(super) fn is_real(root: &Path, name: &str) -> bool {
    let path = root.join(name);
    is_below(name)
        && root
            .canonicalize()
            .is_ok_and(|root| path.canonicalize().is_ok_and(|real| real == root.join(name)))
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use super::folders;
    use crate::git::fixture::Fixture;

    #[test]
    fn a_tracked_link_shares_no_folder_of_the_host() {
        let fixture = Fixture::small();
        let outside = fixture.beside("outside");
        fs::create_dir_all(outside.join("deep")).unwrap();
        symlink(&outside, fixture.root.join(".venv")).unwrap();
        let commit = fixture.commit("a link");
        fixture.write(".gitignore", b"node_modules\nlinked\n.venv\n");
        symlink(&outside, fixture.root.join("linked")).unwrap();
        fixture.write("node_modules/left/index.js", b"x");
        fixture.write("notes/mine.txt", b"x");
        fixture.write("env/.gitignore", b"*\n");
        let names = [
            ".venv",
            "linked",
            "linked/deep",
            "node_modules",
            "notes",
            "env",
            "src",
            "",
            ".",
            "..",
            "../outside",
            "/etc",
        ];
        let names = names.map(str::to_owned);
        let found = folders(&fixture.repo(), &names, &commit);
        let paths = ["node_modules", "env"].map(|name| fixture.root.join(name));
        assert_eq!(found, paths.map(|path| (path.clone(), path)));
        fixture.git(&["add", "-f", "node_modules"]);
        let tracked = fixture.commit("vendored");
        let found = folders(&fixture.repo(), &names, &tracked);
        assert_eq!(found.len(), 1, "what the commit holds is not covered: {found:?}");
    }
}
