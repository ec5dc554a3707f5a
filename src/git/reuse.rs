//! Makes a throw-away tree that nobody needs any more fit for its next commit.
//!
//! What was left in it is removed, ignored files too; then git writes only the files that differ.
//! A file that was changed and made to look unchanged is found by its change time, which no
//! program can set back. Whatever is out of the ordinary ends the reuse: a new tree is made then.
//! Nothing may run in the tree meanwhile, so nobody races with the walk.

use std::{
    collections::BTreeSet,
    fs::{self, DirEntry},
    io,
    os::unix::{ffi::OsStrExt, fs::PermissionsExt},
    path::Path,
};

use git2::Index;

use crate::git::{private, scan::MODULE, tree};

/// Removes whatever is not among the tree's tracked files; returns whether the tree can be used
/// again.
pub(super) fn clean(tree: &Path, index: &Path) -> bool {
    let Ok(entries) = Index::open(index) else { return false };
    let mut tracked = Tracked::default();
    for entry in entries.iter() {
        if entry.mode == MODULE {
            return false;
        }
        let folders = entry.path.iter().enumerate().filter(|(_, byte)| **byte == b'/');
        tracked.folders.extend(folders.map(|(end, _)| entry.path[..end].to_owned()));
        tracked.files.insert(entry.path);
    }
    fs::read(tree.join(".git")).is_ok_and(|text| text == private::GITFILE.as_bytes())
        && clean_folder(tree, &[], &tracked).is_ok()
}

#[derive(Default)]
struct Tracked {
    files: BTreeSet<Vec<u8>>,
    folders: BTreeSet<Vec<u8>>,
}

fn clean_folder(folder: &Path, prefix: &[u8], tracked: &Tracked) -> io::Result<()> {
    if fs::symlink_metadata(folder)?.permissions().mode() & 0o7777 & !0o077 != 0o700 {
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let path = [prefix, entry.file_name().as_bytes()].concat();
        if path != b".git" {
            clean_entry(&entry, path, tracked)?;
        }
    }
    Ok(())
}

fn clean_entry(entry: &DirEntry, mut path: Vec<u8>, tracked: &Tracked) -> io::Result<()> {
    let is_dir = entry.file_type()?.is_dir();
    if is_dir && tracked.folders.contains(&path) {
        path.push(b'/');
        return clean_folder(&entry.path(), &path, tracked);
    }
    if is_dir || !tracked.files.contains(&path) {
        return tree::erase(&entry.path()).map_err(io::Error::other);
    }
    Ok(())
}
