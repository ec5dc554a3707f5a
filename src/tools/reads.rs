//! What an agent has read, so that it edits nothing it does not know.
//!
//! Each read gets the next number of one counter. An edit needs the file's content as it was read;
//! a synthesis shows that it read the evidence of a finding after the finding arrived by asking for
//! reads above the counter's state at that time.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::protocol::outcome::Evidence;

/// Reads kept per file; older ones are dropped.
const MAX_SPANS: usize = 200;

/// What one agent has read; clones share it.
#[derive(Clone, Debug, Default)]
pub struct ReadSet {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    counter: u64,
    files: BTreeMap<String, FileRead>,
}

#[derive(Debug, Default)]
struct FileRead {
    hash: Option<blake3::Hash>,
    spans: Vec<Span>,
}

#[derive(Clone, Copy, Debug)]
struct Span {
    from: u32,
    to: u32,
    at: u64,
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
    /// Returns the number of the last read, 0 before the first.
    pub fn counter(&self) -> u64 {
        self.lock().counter
    }

    /// Notes that lines were shown, and returns the number of this read.
    pub fn shown(&self, lines: &Evidence, hash: Option<blake3::Hash>) -> u64 {
        let mut state = self.lock();
        state.counter += 1;
        let at = state.counter;
        let file = state.files.entry(lines.path.clone()).or_default();
        file.hash = hash;
        // A newer read of the same lines tells all that the older one tells.
        file.spans.retain(|span| span.from < lines.from || span.to > lines.to);
        if file.spans.len() >= MAX_SPANS {
            file.spans.remove(0);
        }
        file.spans.push(Span { from: lines.from, to: lines.to, at });
        at
    }

    /// Notes that the agent itself gave a file this content.
    pub fn written(&self, path: &str, hash: blake3::Hash) {
        self.lock().files.entry(path.to_owned()).or_default().hash = Some(hash);
    }

    /// Notes that a file is gone.
    pub fn gone(&self, path: &str) {
        self.lock().files.remove(path);
    }

    /// Returns whether the file is known with this content.
    pub fn knows(&self, path: &str, hash: &blake3::Hash) -> Known {
        match self.lock().files.get(path).and_then(|file| file.hash) {
            None => Known::Never,
            Some(read) if read == *hash => Known::Current,
            Some(_) => Known::Stale,
        }
    }

    /// Returns whether all these lines were shown by reads with a number above `after`.
    pub fn covers(&self, lines: &Evidence, after: u64) -> bool {
        let state = self.lock();
        let Some(file) = state.files.get(&lines.path) else {
            return false;
        };
        let mut spans: Vec<Span> = file.spans.iter().copied().filter(|s| s.at > after).collect();
        spans.sort_unstable_by_key(|span| span.from);
        let mut next = lines.from;
        for span in spans {
            if span.from <= next && span.to >= next {
                if span.to >= lines.to {
                    return true;
                }
                next = span.to + 1;
            }
        }
        false
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it is held, and half a note would only ask for one more read.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(from: u32, to: u32) -> Evidence {
        Evidence { path: "a".to_owned(), from, to }
    }

    #[test]
    fn a_changed_file_is_stale_and_an_own_write_is_known() {
        let reads = ReadSet::default();
        let (old, new) = (blake3::hash(b"old"), blake3::hash(b"new"));
        assert_eq!(reads.knows("a", &old), Known::Never);
        reads.shown(&lines(1, 2), Some(old));
        assert_eq!(reads.knows("a", &old), Known::Current);
        assert_eq!(reads.knows("a", &new), Known::Stale);
        reads.clone().written("a", new);
        assert_eq!(reads.knows("a", &new), Known::Current);
        reads.gone("a");
        assert_eq!(reads.knows("a", &new), Known::Never);
    }

    #[test]
    fn evidence_counts_only_if_read_again_and_whole() {
        let reads = ReadSet::default();
        reads.shown(&lines(1, 50), None);
        let arrived = reads.counter();
        assert!(reads.covers(&lines(10, 20), 0) && !reads.covers(&lines(10, 20), arrived));
        reads.shown(&lines(15, 30), None);
        assert!(!reads.covers(&lines(10, 20), arrived));
        reads.shown(&lines(5, 14), None);
        assert!(reads.covers(&lines(10, 20), arrived));
        assert!(!reads.covers(&lines(10, 31), arrived));
    }

    #[test]
    fn the_memory_of_a_file_is_bounded() {
        let reads = ReadSet::default();
        for n in 0..1000 {
            reads.shown(&lines(n * 2, n * 2), None);
        }
        assert!(reads.lock().files["a"].spans.len() <= MAX_SPANS);
    }
}
