//! A tree made from another by changing some paths: as many objects are read and written as
//! folders are on the way to the changes, whatever the size of the tree.

use std::collections::BTreeMap;

use git2::{ObjectType, Oid, Repository};

use crate::git::program::GitError;

/// What becomes of a path: a mode and an object, or nothing.
pub type Change = Option<(u32, Oid)>;

/// Returns the tree that results from changing some paths of another.
pub(super) fn apply(
    library: &Repository,
    base: Oid,
    changes: &BTreeMap<Vec<u8>, Change>,
) -> Result<Oid, GitError> {
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
    base: Option<Oid>,
    changes: Vec<(&[u8], Change)>,
) -> Result<Option<Oid>, git2::Error> {
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
