//! Commits, written by grafter itself: no hooks, no signing, the identity it is given.

use git2::{Commit, ObjectType, Repository, Signature, Tree};

use crate::{
    git::{
        history,
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

/// A commit to be made once more, elsewhere.
#[derive(Clone, Debug)]
pub struct Again<'a> {
    /// The commit, whose author and message stay.
    pub of: &'a Oid,
    /// The new tree.
    pub tree: &'a Oid,
    /// The new parent.
    pub on: &'a Oid,
    /// Who makes it.
    pub committer: &'a Identity,
}

/// Writes a commit; no ref is moved.
pub fn write(repo: &Repo, spec: &CommitSpec) -> Result<Oid, GitError> {
    let library = repo.open()?;
    let tree = tree_in(&library, &spec.tree)?;
    let parents: Vec<_> =
        spec.parents.iter().map(|parent| find(&library, parent)).collect::<Result<_, _>>()?;
    let by = signature(&spec.identity)?;
    store(&library, (&by, &by), &spec.message, (&tree, &parents))
}

/// Writes a commit once more with another tree and parent; no ref is moved.
pub fn again(repo: &Repo, again: &Again<'_>) -> Result<Oid, GitError> {
    let library = repo.open()?;
    let (tree, of) = (tree_in(&library, again.tree)?, find(&library, again.of)?);
    let message = history::message(repo, again.of)?;
    let by = signature(again.committer)?;
    store(&library, (&of.author(), &by), &message, (&tree, &[find(&library, again.on)?]))
}

fn find<'l>(library: &'l Repository, commit: &Oid) -> Result<Commit<'l>, GitError> {
    library.find_commit(raw(commit)?).map_err(GitError::library("find a commit"))
}

fn signature(identity: &Identity) -> Result<Signature<'static>, GitError> {
    Signature::now(&identity.name, &identity.email).map_err(GitError::library("write a commit"))
}

fn store(
    library: &Repository,
    (author, committer): (&Signature<'_>, &Signature<'_>),
    message: &str,
    (tree, parents): (&Tree<'_>, &[Commit<'_>]),
) -> Result<Oid, GitError> {
    // A message cannot hold NUL.
    let message = message.replace('\0', "");
    let parents: Vec<_> = parents.iter().collect();
    let text = library.commit_create_buffer(author, committer, &message, tree, &parents);
    // The library's own `commit` does not tell when the object could not be written.
    let written = text.and_then(|text| library.odb()?.write(ObjectType::Commit, &text));
    Ok(named(written.map_err(GitError::storing("write a commit", library))?))
}
