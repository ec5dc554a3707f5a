//! The tracked paths of a tree with their fingerprints, as a [`Tracker`] remembers them.
//!
//! [`Tracker`]: crate::git::snapshot::Tracker

use std::{
    collections::BTreeMap,
    ops::Bound,
    path::Path,
    time::{Duration, UNIX_EPOCH},
};

use git2::{Index, ObjectType, Repository};

use crate::git::{
    program::GitError,
    scan::{MODULE, Stat, Tracked},
};

/// A tracked path.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    /// Git's mode.
    pub(super) mode: u32,
    /// The object.
    pub(super) oid: git2::Oid,
    /// The fingerprint of the file when it held that object.
    pub(super) stat: Stat,
    /// Whether an unchanged fingerprint proves unchanged content.
    pub(super) sure: bool,
    /// Whether a sparse checkout leaves it out; then its absence is no deletion.
    pub(super) left_out: bool,
    /// Whether the object is the pointer text of a large file.
    pub(super) large: bool,
}

/// All tracked paths of a tree.
pub(super) type Files = BTreeMap<Vec<u8>, Entry>;

impl Tracked for Files {
    fn mode(&self, path: &[u8]) -> Option<u32> {
        self.get(path).map(|entry| entry.mode)
    }

    fn has_below(&self, folder: &[u8]) -> bool {
        let start = [folder, b"/"].concat();
        let from = (Bound::Included(start.as_slice()), Bound::Unbounded);
        let next = self.range::<[u8], _>(from).next();
        next.is_some_and(|(path, _)| path.starts_with(&start))
    }
}

/// Lists a tree, with the fingerprints that an index has for the same objects.
pub(super) fn load(library: &Repository, tree: git2::Oid, index: &Path) -> Result<Files, GitError> {
    let mut files = Files::new();
    // The library's own walk gives up at a folder whose name is no UTF-8.
    let mut folders = vec![(Vec::new(), tree)];
    while let Some((prefix, oid)) = folders.pop() {
        let folder = library.find_tree(oid).map_err(GitError::library("read a tree"))?;
        for entry in &folder {
            let mut path = [prefix.as_slice(), entry.name_bytes()].concat();
            if entry.kind() == Some(ObjectType::Tree) {
                path.push(b'/');
                folders.push((path, entry.id()));
                continue;
            }
            let mode = entry.filemode().cast_unsigned();
            let (oid, stat) = (entry.id(), Stat::default());
            let entry = Entry { mode, oid, stat, sure: false, left_out: false, large: false };
            files.insert(path, entry);
        }
    }
    // Without an index every file is read once, which is slower and just as right.
    let written = index.metadata().and_then(|meta| meta.modified());
    if let (Ok(entries), Ok(written)) = (Index::open(index), written) {
        let written = written.duration_since(UNIX_EPOCH).unwrap_or_default();
        for known in entries.iter() {
            if let Some(entry) = files.get_mut(&known.path) {
                take_over(entry, &known, written);
            }
        }
    }
    Ok(files)
}

fn take_over(entry: &mut Entry, known: &git2::IndexEntry, written: Duration) {
    /// The index's mark for what a sparse checkout leaves out.
    const SKIP_WORKTREE: u16 = 1 << 14;
    entry.left_out = known.flags_extended & SKIP_WORKTREE != 0;
    if known.id == entry.oid && known.mode == entry.mode && entry.mode != MODULE {
        let time = |time: git2::IndexTime| (time.seconds().cast_unsigned(), time.nanoseconds());
        entry.stat = Stat {
            ctime: time(known.ctime),
            mtime: time(known.mtime),
            ino: known.ino,
            size: known.file_size,
        };
        entry.sure = entry.stat.is_settled(written);
    }
}
