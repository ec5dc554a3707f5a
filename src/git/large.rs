//! Files too large for snapshots: kept once by content beside the journal's blobs, with a small
//! pointer text in the snapshot's tree.

use std::{
    fs::File,
    io::{self, Read, Write},
    path::PathBuf,
};

use crate::git::{
    program::GitError,
    repo::{Repo, make_private},
};

/// Larger files do not go into snapshots.
pub const LIMIT: u64 = 50 << 20;

const HEAD: &str = "grafter large file v1\nblake3 ";

/// Keeps a file's content and returns the pointer text that stands for it.
pub fn keep(repo: &Repo, mut file: File) -> Result<Vec<u8>, GitError> {
    let dir = repo.state_dir().join("blobs");
    let mut copy = || -> io::Result<(String, u64)> {
        make_private(&dir)?;
        let mut blob = tempfile::NamedTempFile::new_in(&dir)?;
        let mut hasher = blake3::Hasher::new();
        let mut buffer = vec![0; 1 << 20];
        let mut size = 0;
        loop {
            let read = file.read(&mut buffer)?;
            if read == 0 {
                break;
            }
            hasher.update(&buffer[..read]);
            blob.write_all(&buffer[..read])?;
            size += read as u64;
        }
        let name = hasher.finalize().to_hex().to_string();
        blob.persist(dir.join(&name)).map_err(|e| e.error)?;
        Ok((name, size))
    };
    let (name, size) = copy().map_err(GitError::file("keep a large file in", &dir))?;
    Ok(format!("{HEAD}{name}\nsize {size}\n").into_bytes())
}

/// Returns where the content that a pointer text stands for is kept; none for any other text.
pub fn behind(repo: &Repo, text: &[u8]) -> Option<PathBuf> {
    let rest = std::str::from_utf8(text).ok()?.strip_prefix(HEAD)?;
    let (name, size) = rest.split_once("\nsize ")?;
    let is_hash = name.len() == 64 && name.bytes().all(|b| b.is_ascii_hexdigit());
    let path = repo.state_dir().join("blobs").join(name);
    let right = size.trim_end().parse().ok() == Some(path.metadata().ok()?.len());
    (is_hash && right).then_some(path)
}
