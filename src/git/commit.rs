//! Commits, written by grafter itself: no hooks, no signing, the identity it is given.

use git2::{ObjectType, Repository, Signature};

use crate::{
    git::{
        program::GitError,
        repo::{Identity, Repo, named, raw, tree_in},
    },
    protocol::ids::Oid,
};

/// A commit to be written.
#[derive(Clone, Debug)]
pub struct CommitSpec {
    /// Its tree.
    pub tree: Oid,
    /// Its parents, in order.
    pub parents: Vec<Oid>,
    /// Its whole message, trailers included.
    pub message: String,
    /// Its author and committer.
    pub identity: Identity,
}

/// Writes a commit; no ref is moved.
pub fn write(repo: &Repo, spec: &CommitSpec) -> Result<Oid, GitError> {
    let library = repo.open()?;
    let tree = tree_in(&library, &spec.tree)?;
    let parents: Vec<_> = spec
        .parents
        .iter()
        .map(|parent| library.find_commit(raw(parent)?).map_err(GitError::library("find a parent")))
        .collect::<Result<_, GitError>>()?;
    let parents: Vec<_> = parents.iter().collect();
    let commit = |library: &Repository| {
        let by = Signature::now(&spec.identity.name, &spec.identity.email)?;
        // A message cannot hold NUL.
        let message = spec.message.replace('\0', "");
        let text = library.commit_create_buffer(&by, &by, &message, &tree, &parents)?;
        // The library's own `commit` does not tell when the object could not be written.
        library.odb()?.write(ObjectType::Commit, &text)
    };
    Ok(named(commit(&library).map_err(GitError::storing("write a commit", &library))?))
}
