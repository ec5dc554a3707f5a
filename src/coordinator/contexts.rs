//! The contexts that forks begin with, one in memory for all forks of one parent.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use crate::{
    agent::prefix::Prefix,
    coordinator::shared::broken,
    journal::writer::Journal,
    protocol::{event::Kept, report::RunEnd},
};

/// Contexts in use, by what the journal keeps of them.
#[derive(Debug, Default)]
pub(super) struct Contexts(Mutex<BTreeMap<String, Weak<Prefix>>>);

impl Contexts {
    /// Returns the context that was kept, the same value as long as anybody has it.
    pub(super) fn get(&self, journal: &Journal, kept: &Kept) -> Result<Arc<Prefix>, RunEnd> {
        let name = match kept {
            Kept::Blob(hash, _) => hash,
            Kept::Inline(text) => text,
        };
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(prefix) = known.get(name).and_then(Weak::upgrade) {
            return Ok(prefix);
        }
        let text = journal.fetch(kept).map_err(|error| broken(&error))?;
        let prefix: Prefix = serde_json::from_str(&text).map_err(|error| {
            RunEnd::Infrastructure(format!("the context of a fork cannot be read: {error}"))
        })?;
        let prefix = Arc::new(prefix);
        known.insert(name.clone(), Arc::downgrade(&prefix));
        Ok(prefix)
    }
}
