//! A repository made from nothing: for the demo and for examples.

use std::path::Path;

use git2::{IndexAddOption, Repository, RepositoryInitOptions, Signature};

use crate::{git::program::GitError, protocol::ids::Oid};

/// Makes a repository of the files in `dir` with one commit on `main`.
pub fn init(dir: &Path, message: &str) -> Result<Oid, GitError> {
    let mut options = RepositoryInitOptions::new();
    options.initial_head("main");
    let library =
        Repository::init_opts(dir, &options).map_err(GitError::library("make a repository"))?;
    let commit =
        commit_all(&library, message).map_err(GitError::library("make the first commit"))?;
    Ok(Oid::new(commit.to_string()))
}

fn commit_all(library: &Repository, message: &str) -> Result<git2::Oid, git2::Error> {
    let mut index = library.index()?;
    index.add_all(["*"], IndexAddOption::DEFAULT, None)?;
    index.write()?;
    let tree = library.find_tree(index.write_tree()?)?;
    let by = Signature::now("grafter", "grafter@localhost")?;
    library.commit(Some("HEAD"), &by, &by, message, &tree, &[])
}
