//! What an agent has read, so that it edits nothing it does not know.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// The content of each file as one agent knows it; clones share it.
#[derive(Clone, Debug, Default)]
pub struct ReadSet {
    files: Arc<Mutex<BTreeMap<String, blake3::Hash>>>,
}

/// Whether the agent knows a file as it is now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    /// It never read it.
    Never,
    /// It read it, but the file has changed since.
    Stale,
    /// It knows it.
    Current,
}

impl ReadSet {
    /// Notes with which content the agent knows a file, having read or written it; none if the file
    /// is gone, or what was shown of it does not tell.
    pub fn note(&self, path: &str, content: Option<blake3::Hash>) {
        match content {
            Some(hash) => self.lock().insert(path.to_owned(), hash),
            None => self.lock().remove(path),
        };
    }

    /// Returns whether the file is known with this content.
    pub fn knows(&self, path: &str, hash: &blake3::Hash) -> Known {
        match self.lock().get(path) {
            None => Known::Never,
            Some(read) if read == hash => Known::Current,
            Some(_) => Known::Stale,
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, blake3::Hash>> {
        // Nothing panics while it is held, and half a note would only ask for one more read.
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_file_is_stale_and_an_own_write_is_known() {
        let reads = ReadSet::default();
        let (old, new) = (blake3::hash(b"old"), blake3::hash(b"new"));
        assert_eq!(reads.knows("a", &old), Known::Never);
        reads.note("a", Some(old));
        assert_eq!(reads.knows("a", &old), Known::Current);
        assert_eq!(reads.knows("a", &new), Known::Stale);
        reads.clone().note("a", Some(new));
        assert_eq!(reads.knows("a", &new), Known::Current);
        reads.note("a", None);
        assert_eq!(reads.knows("a", &new), Known::Never);
    }
}
