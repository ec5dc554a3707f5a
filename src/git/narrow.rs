//! Takes out of a change what somebody was not to touch.

use git2::build::TreeUpdateBuilder;

use crate::{
    git::{
        diff::changed,
        program::GitError,
        repo::{Repo, tree_in},
    },
    protocol::ids::Oid,
};

/// Returns the tree `to` with every changed path that is not kept as it is in `from`, and those
/// paths, sorted.
pub fn narrow(
    repo: &Repo,
    (from, to): (&Oid, &Oid),
    keep: &dyn Fn(&str) -> bool,
) -> Result<(Oid, Vec<String>), GitError> {
    let library = repo.open()?;
    let mut update = TreeUpdateBuilder::new();
    let mut strayed = Vec::new();
    for delta in changed(&library, from, to)?.deltas() {
        let (old, new) = (delta.old_file(), delta.new_file());
        let path = new.path_bytes().or_else(|| old.path_bytes()).unwrap_or_default();
        let shown = String::from_utf8_lossy(path).into_owned();
        if keep(&shown) {
            continue;
        }
        match old.exists() {
            true => update.upsert(path, old.id(), old.mode()),
            false => update.remove(path),
        };
        strayed.push(shown);
    }
    if strayed.is_empty() {
        return Ok((to.clone(), strayed));
    }
    let tree = update
        .create_updated(&library, &tree_in(&library, to)?)
        .map_err(GitError::library("narrow a change"))?;
    Ok((Oid::new(tree.to_string()), strayed))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::git::fixture::Fixture;

    #[test]
    fn what_strays_is_as_it_was() {
        let fixture = Fixture::small();
        let repo = fixture.repo();
        let from = repo.tree_of(&fixture.oid("HEAD")).unwrap();
        fixture.git(&["rm", "-q", "src/lib.rs"]);
        for name in ["a.txt", "src/new.rs", "kept/deep/new.txt"] {
            fixture.write(name, b"changed\n");
        }
        let commit = fixture.commit("all over the place");
        let to = repo.tree_of(&commit).unwrap();
        let (tree, strayed) =
            narrow(&repo, (&from, &to), &|path| path.starts_with("kept/")).unwrap();
        assert_eq!(strayed, ["a.txt", "src/lib.rs", "src/new.rs"]);
        let files = fixture.git(&["diff", "--name-status", from.as_str(), tree.as_str()]);
        assert_eq!(files, "A\tkept/deep/new.txt\n");
        assert_eq!(narrow(&repo, (&from, &to), &|_| true).unwrap(), (to, Vec::new()));
    }
}
