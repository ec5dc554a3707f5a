//! Grafter's own list of the trees it made, in `<common>/grafter/trees/`.
//!
//! A record is written before its tree and removed after it, so that a killed run leaves nothing
//! unknown behind. Trees without a record are somebody else's and are left alone. A record is
//! four fields ended by NUL: version, path, commit, branch (empty when detached).

use std::{
    ffi::OsStr,
    fs,
    io::{ErrorKind, Write},
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

use crate::{
    git::{
        program::GitError,
        repo::{Repo, make_private},
    },
    protocol::ids::Oid,
};

const VERSION: &[u8] = b"1";

/// One tree that grafter made or was about to make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Where it lies.
    pub path: PathBuf,
    /// The commit it was made at.
    pub commit: Oid,
    /// Its branch, none when it is a throw-away tree.
    pub branch: Option<String>,
}

/// Writes a record, replacing an older one of the same path.
pub fn put(repo: &Repo, record: &Record) -> Result<(), GitError> {
    let dir = folder(repo);
    make_private(&dir).map_err(GitError::file("make", &dir))?;
    let branch = record.branch.as_deref().unwrap_or_default();
    let fields = [
        VERSION,
        record.path.as_os_str().as_bytes(),
        record.commit.0.as_bytes(),
        branch.as_bytes(),
    ];
    let bytes: Vec<u8> = fields.iter().flat_map(|field| [*field, b"\0"].concat()).collect();
    let path = place(repo, &record.path);
    let write = || {
        let mut file = tempfile::NamedTempFile::new_in(&dir)?;
        file.write_all(&bytes)?;
        file.persist(&path).map_err(|e| e.error)
    };
    write().map(drop).map_err(GitError::file("write", &path))
}

/// Returns the record of a tree, none when grafter did not make it.
pub fn get(repo: &Repo, tree: &Path) -> Option<Record> {
    read(&fs::read(place(repo, tree)).ok()?)
}

/// Removes a tree's record.
pub fn forget(repo: &Repo, tree: &Path) -> Result<(), GitError> {
    let path = place(repo, tree);
    match fs::remove_file(&path) {
        Err(e) if e.kind() != ErrorKind::NotFound => Err(GitError::file("remove", &path)(e)),
        _ => Ok(()),
    }
}

/// Returns all records, sorted by path.
pub fn all(repo: &Repo) -> Vec<Record> {
    let Ok(files) = fs::read_dir(folder(repo)) else { return Vec::new() };
    let mut records: Vec<Record> =
        files.filter_map(|file| read(&fs::read(file.ok()?.path()).ok()?)).collect();
    records.sort_by(|a, b| a.path.cmp(&b.path));
    records
}

fn folder(repo: &Repo) -> PathBuf {
    repo.state_dir().join("trees")
}

fn place(repo: &Repo, tree: &Path) -> PathBuf {
    let hash = blake3::hash(tree.as_os_str().as_bytes());
    folder(repo).join(&hash.to_hex()[..24])
}

fn read(bytes: &[u8]) -> Option<Record> {
    let mut fields = bytes.split(|byte| *byte == 0);
    if fields.next()? != VERSION {
        return None;
    }
    let path = PathBuf::from(OsStr::from_bytes(fields.next()?));
    let commit = Oid::new(std::str::from_utf8(fields.next()?).ok()?);
    let branch = std::str::from_utf8(fields.next()?).ok()?;
    fields.next()?;
    Some(Record { path, commit, branch: Some(branch.to_owned()).filter(|b| !b.is_empty()) })
}
