//! Texts too long for a record, kept by content.
//!
//! A blob is in its place before a record names it. Its name is its hash, so it is never changed,
//! may be shared by runs, and what is read is checked.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use thiserror::Error;

use crate::{journal::folder, protocol::event::Kept};

/// Longer texts go to a blob.
pub const INLINE: usize = 4 << 10;

/// The folder of blobs.
#[derive(Clone, Debug)]
pub struct Blobs {
    dir: PathBuf,
}

/// Why a text could not be kept or found again.
#[derive(Debug, Error)]
pub enum BlobError {
    /// The disk refused.
    #[error("cannot keep a text of {len} bytes in {}: {source}; is the disk full?", dir.display())]
    Write {
        /// The folder of blobs.
        dir: PathBuf,
        /// The text's length.
        len: usize,
        /// What the system said.
        source: io::Error,
    },
    /// It is not there or cannot be read.
    #[error("cannot read the blob {}: {source}", path.display())]
    Read {
        /// Its file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Its bytes are not those that its name promises.
    #[error("the blob {} was changed or cut since it was written", path.display())]
    Changed {
        /// Its file.
        path: PathBuf,
    },
}

impl Blobs {
    /// Returns the blobs of a state folder; the folder is made with the first blob.
    pub fn of(state_dir: &Path) -> Self {
        Self { dir: state_dir.join("blobs") }
    }

    /// Keeps a text: in the record when short, else as a blob, whose open file is returned too
    /// because it still has to be brought to the disk.
    pub fn keep(&self, text: String) -> Result<(Kept, Option<File>), BlobError> {
        if text.len() <= INLINE {
            return Ok((Kept::Inline(text), None));
        }
        let hash = blake3::hash(text.as_bytes()).to_hex().to_string();
        let file = self.write(&hash, text.as_bytes()).map_err(|source| BlobError::Write {
            dir: self.dir.clone(),
            len: text.len(),
            source,
        })?;
        Ok((Kept::Blob(hash, text.len() as u64), file))
    }

    /// Returns the text that was kept.
    pub fn fetch(&self, kept: &Kept) -> Result<String, BlobError> {
        let (hash, len) = match kept {
            Kept::Inline(text) => return Ok(text.clone()),
            Kept::Blob(hash, len) => (hash, *len),
        };
        let path = self.dir.join(Path::new(hash).file_name().unwrap_or_default());
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(source) => return Err(BlobError::Read { path, source }),
        };
        if bytes.len() as u64 != len || blake3::hash(&bytes).to_hex().as_str() != hash {
            return Err(BlobError::Changed { path });
        }
        String::from_utf8(bytes).map_err(|_| BlobError::Changed { path })
    }

    /// Writes a blob unless it is there; one of another length was cut by a crash and is replaced.
    fn write(&self, hash: &str, bytes: &[u8]) -> io::Result<Option<File>> {
        if fs::metadata(self.dir.join(hash)).is_ok_and(|found| found.len() == bytes.len() as u64) {
            return Ok(None);
        }
        folder::make(&self.dir)?;
        folder::put(&self.dir, hash, &[bytes]).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_texts_stay_long_ones_become_blobs_once() {
        let dir = tempfile::tempdir().unwrap();
        let blobs = Blobs::of(dir.path());
        let (short, none) = blobs.keep("x".repeat(INLINE)).unwrap();
        assert!(matches!(short, Kept::Inline(_)) && none.is_none());
        let text = "ä\u{fffd}\n".repeat(2000);
        let (long, first) = blobs.keep(text.clone()).unwrap();
        let (again, second) = blobs.keep(text.clone()).unwrap();
        assert!(first.is_some() && second.is_none());
        assert_eq!(long, again);
        assert_eq!(blobs.fetch(&long).unwrap(), text);
        assert_eq!(fs::read_dir(dir.path().join("blobs")).unwrap().count(), 1);
    }

    #[test]
    fn changed_cut_and_missing_blobs_are_told_apart_and_a_cut_one_is_mended() {
        let dir = tempfile::tempdir().unwrap();
        let blobs = Blobs::of(dir.path());
        let text = "y".repeat(INLINE + 1);
        let (kept, _) = blobs.keep(text.clone()).unwrap();
        let Kept::Blob(hash, _) = &kept else { panic!("it is long") };
        let path = dir.path().join("blobs").join(hash);
        fs::write(&path, "z".repeat(INLINE + 1)).unwrap();
        assert!(matches!(blobs.fetch(&kept), Err(BlobError::Changed { .. })));
        fs::write(&path, "").unwrap();
        assert!(matches!(blobs.fetch(&kept), Err(BlobError::Changed { .. })));
        blobs.keep(text.clone()).unwrap();
        assert_eq!(blobs.fetch(&kept).unwrap(), text);
        fs::remove_file(&path).unwrap();
        assert!(matches!(blobs.fetch(&kept), Err(BlobError::Read { .. })));
    }

    #[test]
    fn a_hostile_blob_name_stays_in_the_folder() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("secret"), "s").unwrap();
        let blobs = Blobs::of(dir.path());
        let kept = Kept::Blob("../secret".to_owned(), 1);
        assert!(matches!(blobs.fetch(&kept), Err(BlobError::Read { .. })));
    }
}
