//! Whether a repository's own configuration, workflows and prompts may take effect.
//!
//! Trust is bound to the bytes: `grafter trust` stores the hash of `.grafter/config.toml`,
//! `.grafter/workflows/` and `.grafter/prompts/` in the user's state; any change there needs a new
//! word of the user. Symbolic links are refused, since what they point to is outside the hash.

use std::{
    fs, io,
    io::Write,
    path::{Path, PathBuf},
};

/// Most files that are hashed.
const MAX_FILES: usize = 1_000;
/// Most bytes that are hashed, all files together.
const MAX_BYTES: u64 = 8 * 1024 * 1024;

/// Why a repository's configuration could not be hashed or its trust not be stored.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// Reading or writing failed.
    #[error("{path}: {source}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// A link or a device stands where a file or folder should.
    #[error("{path} is no plain file or folder; put the file itself there")]
    NotPlain {
        /// What it is.
        path: PathBuf,
    },
    /// There is too much of it.
    #[error("{path} holds more than {MAX_FILES} files or 8 MiB; it cannot be trusted")]
    TooMuch {
        /// The `.grafter` folder.
        path: PathBuf,
    },
}

/// Returns the hash of what a `.grafter` folder would make take effect; nothing when there is none.
pub fn content_hash(dir: &Path) -> Result<Option<String>, TrustError> {
    let mut files = Vec::new();
    for name in ["config.toml", "workflows", "prompts"] {
        collect(&dir.join(name), &mut files)?;
    }
    if files.is_empty() {
        return Ok(None);
    }
    files.sort();
    let mut hasher = blake3::Hasher::new();
    let mut total = 0;
    for path in files {
        let name = path.strip_prefix(dir).unwrap_or(&path).as_os_str().as_encoded_bytes().to_vec();
        let bytes = fs::read(&path).map_err(|source| TrustError::Io { path, source })?;
        total += bytes.len() as u64;
        if total > MAX_BYTES {
            return Err(TrustError::TooMuch { path: dir.to_owned() });
        }
        for part in [&name, &bytes] {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part);
        }
    }
    Ok(Some(hasher.finalize().to_hex().to_string()))
}

/// Returns whether the user has trusted exactly this content of this repository.
pub fn is_trusted(state_dir: &Path, repo_key: &str, content_hash: &str) -> bool {
    fs::read_to_string(file(state_dir, repo_key)).is_ok_and(|text| text.trim() == content_hash)
}

/// Returns whether the user has trusted some content of this repository.
pub fn was_trusted(state_dir: &Path, repo_key: &str) -> bool {
    file(state_dir, repo_key).is_file()
}

/// Stores that the user trusts this content of this repository.
pub fn set_trusted(state_dir: &Path, repo_key: &str, content_hash: &str) -> Result<(), TrustError> {
    let path = file(state_dir, repo_key);
    let folder = state_dir.join("trust");
    let store = || -> io::Result<()> {
        fs::create_dir_all(&folder)?;
        let mut new = tempfile::NamedTempFile::new_in(&folder)?;
        writeln!(new, "{content_hash}")?;
        new.as_file().sync_all()?;
        new.persist(&path).map_err(|error| error.error)?;
        Ok(())
    };
    store().map_err(|source| TrustError::Io { path: path.clone(), source })
}

/// Takes the user's trust in a repository back.
pub fn revoke(state_dir: &Path, repo_key: &str) -> Result<(), TrustError> {
    let path = file(state_dir, repo_key);
    match fs::remove_file(&path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(TrustError::Io { path, source })
        }
        _ => Ok(()),
    }
}

fn file(state_dir: &Path, repo_key: &str) -> PathBuf {
    state_dir.join("trust").join(repo_key)
}

fn collect(path: &Path, files: &mut Vec<PathBuf>) -> Result<(), TrustError> {
    let failed = |source| TrustError::Io { path: path.to_owned(), source };
    let meta = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(error)),
        Ok(meta) => meta,
    };
    if meta.is_file() {
        if files.len() >= MAX_FILES || meta.len() > MAX_BYTES {
            return Err(TrustError::TooMuch { path: path.to_owned() });
        }
        files.push(path.to_owned());
        return Ok(());
    }
    if !meta.is_dir() {
        return Err(TrustError::NotPlain { path: path.to_owned() });
    }
    for entry in fs::read_dir(path).map_err(failed)? {
        collect(&entry.map_err(failed)?.path(), files)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix, path::Path};

    use crate::settings::trust::{TrustError, content_hash, is_trusted, revoke, set_trusted};

    fn hash(dir: &Path) -> String {
        content_hash(dir).unwrap().expect("there is something to trust")
    }

    fn filled() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("prompts/roles")).unwrap();
        fs::write(dir.path().join("config.toml"), "[run]\n").unwrap();
        fs::write(dir.path().join("prompts/roles/solo.md"), "x").unwrap();
        dir
    }

    #[test]
    fn every_byte_and_name_counts() {
        let dir = filled();
        let before = hash(dir.path());
        assert_eq!(before, hash(dir.path()));
        fs::write(dir.path().join("prompts/roles/solo.md"), "y").unwrap();
        let changed = hash(dir.path());
        fs::rename(dir.path().join("prompts/roles"), dir.path().join("prompts/sections")).unwrap();
        let renamed = hash(dir.path());
        fs::write(dir.path().join("memory.md"), "what agents wrote takes no effect").unwrap();
        assert_eq!(renamed, hash(dir.path()));
        assert!(before != changed && changed != renamed);
    }

    #[test]
    fn nothing_there_needs_no_trust() {
        assert_eq!(content_hash(Path::new("/does/not/exist")).unwrap(), None);
    }

    #[test]
    fn links_are_refused() {
        let dir = filled();
        unix::fs::symlink("/etc/passwd", dir.path().join("prompts/a.md")).unwrap();
        assert!(matches!(content_hash(dir.path()), Err(TrustError::NotPlain { .. })));
        let whole = tempfile::tempdir().unwrap();
        unix::fs::symlink(dir.path(), whole.path().join("workflows")).unwrap();
        assert!(matches!(content_hash(whole.path()), Err(TrustError::NotPlain { .. })));
    }

    #[test]
    fn too_much_is_refused() {
        let dir = filled();
        let huge = fs::File::create(dir.path().join("prompts/huge.md")).unwrap();
        huge.set_len(9 * 1024 * 1024).unwrap();
        assert!(matches!(content_hash(dir.path()), Err(TrustError::TooMuch { .. })));
    }

    #[test]
    fn trust_is_bound_to_the_content_and_can_be_taken_back() {
        let state = tempfile::tempdir().unwrap();
        assert!(!is_trusted(state.path(), "repo", "h1"));
        set_trusted(state.path(), "repo", "h1").unwrap();
        assert!(is_trusted(state.path(), "repo", "h1"));
        assert!(!is_trusted(state.path(), "repo", "h2"));
        assert!(!is_trusted(state.path(), "other", "h1"));
        revoke(state.path(), "repo").unwrap();
        revoke(state.path(), "repo").unwrap();
        assert!(!is_trusted(state.path(), "repo", "h1"));
    }
}
