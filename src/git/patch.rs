//! A tree made from another by changing some paths: as many objects are read and written as
//! folders are on the way to the changes, whatever the size of the tree.

use std::{collections::BTreeMap, path::Path};

use git2::{ErrorCode, ObjectType, Repository};

use crate::{
    git::{
        program::GitError,
        repo::{Repo, named, tree_in},
    },
    protocol::ids::Oid,
};

/// The mode of a file that is only read and written.
const PLAIN: i32 = 0o100_644;

/// What becomes of a path: a mode and an object, or nothing.
pub type Change = Option<(u32, git2::Oid)>;

/// Returns a tree with these files in it; a file that was there keeps its mode.
pub fn with_files(repo: &Repo, tree: &Oid, files: &[(String, Vec<u8>)]) -> Result<Oid, GitError> {
    let library = repo.open()?;
    let base = tree_in(&library, tree)?;
    let mut changes = BTreeMap::new();
    for (path, bytes) in files {
        let blob = library.blob(bytes).map_err(GitError::storing("store a file", &library))?;
        let mode = base.get_path(Path::new(path)).map_or(PLAIN, |entry| entry.filemode());
        changes.insert(path.clone().into_bytes(), Some((mode.cast_unsigned(), blob)));
    }
    Ok(named(apply(&library, base.id(), &changes)?))
}

/// Returns a tree with some paths as another one has them, which may be not at all.
pub fn with_paths_of(
    repo: &Repo,
    tree: &Oid,
    (other, paths): (&Oid, &[String]),
) -> Result<Oid, GitError> {
    let library = repo.open()?;
    let (base, other) = (tree_in(&library, tree)?, tree_in(&library, other)?);
    let mut changes = BTreeMap::new();
    for path in paths {
        let change = match other.get_path(Path::new(path)) {
            Ok(entry) => Some((entry.filemode().cast_unsigned(), entry.id())),
            Err(e) if e.code() == ErrorCode::NotFound => None,
            Err(e) => return Err(GitError::library("read a tree")(e)),
        };
        changes.insert(path.clone().into_bytes(), change);
    }
    Ok(named(apply(&library, base.id(), &changes)?))
}

/// Returns the tree that results from changing some paths of another.
pub(super) fn apply(
    library: &Repository,
    base: git2::Oid,
    changes: &BTreeMap<Vec<u8>, Change>,
) -> Result<git2::Oid, GitError> {
    let changes = changes.iter().map(|(path, change)| (path.as_slice(), *change)).collect();
    let write = || match folder(library, Some(base), changes)? {
        Some(tree) => Ok(tree),
        None => library.treebuilder(None)?.write(),
    };
    write().map_err(GitError::storing("write a tree", library))
}

#[derive(Default)]
struct Name<'a> {
    itself: Option<Change>,
    below: Vec<(&'a [u8], Change)>,
}

/// Returns the changed folder, none when nothing is left in it.
fn folder(
    library: &Repository,
    base: Option<git2::Oid>,
    changes: Vec<(&[u8], Change)>,
) -> Result<Option<git2::Oid>, git2::Error> {
    let mut names: BTreeMap<&[u8], Name<'_>> = BTreeMap::new();
    for (path, change) in changes {
        match path.iter().position(|byte| *byte == b'/') {
            Some(at) => {
                names.entry(&path[..at]).or_default().below.push((&path[at + 1..], change));
            }
            None => names.entry(path).or_default().itself = Some(change),
        }
    }
    let base = base.map(|oid| library.find_tree(oid)).transpose()?;
    let mut builder = library.treebuilder(base.as_ref())?;
    for (name, Name { itself, below }) in names {
        let was = builder.get(name)?.map(|entry| (entry.kind(), entry.id()));
        let now = match itself {
            // A file took the folder's place: what was below is gone with it.
            Some(Some(file)) => Some(file),
            _ if below.is_empty() => None,
            _ => {
                // What was there is gone where that is said, too.
                let inner =
                    was.filter(|(kind, _)| *kind == Some(ObjectType::Tree) && itself.is_none());
                folder(library, inner.map(|(_, id)| id), below)?.map(|id| (0o040_000, id))
            }
        };
        match now {
            Some((mode, id)) => drop(builder.insert(name, id, mode.cast_signed())?),
            None if was.is_some() => builder.remove(name)?,
            None => {}
        }
    }
    if builder.is_empty() { Ok(None) } else { builder.write().map(Some) }
}
