//! Private folders, and files that appear in them whole or not at all.

use std::{
    fs::{self, DirBuilder, File},
    io::{self, Write},
    os::unix::fs::DirBuilderExt,
    path::Path,
};

use tempfile::NamedTempFile;

/// Makes a folder and its parents, those that are missing with mode 0700.
pub(super) fn make(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Makes a folder with mode 0700 and fails if it exists.
pub(super) fn make_new(path: &Path) -> io::Result<()> {
    if let Some(parent) = path.parent() {
        make(parent)?;
    }
    DirBuilder::new().mode(0o700).create(path)
}

/// Puts a file (mode 0600) in its place by renaming, so that no reader ever sees a part of it.
///
/// Returns the open file, because its bytes are not on the disk yet.
pub(super) fn put(dir: &Path, name: &str, parts: &[&[u8]]) -> io::Result<File> {
    let mut temp = NamedTempFile::with_prefix_in(".new-", dir)?;
    for part in parts {
        temp.write_all(part)?;
    }
    temp.persist(dir.join(name)).map_err(|error| error.error)
}

/// Removes a file; one that is not there is as good as removed.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
