//! What an agent knows of its files, kept over a resume.
//!
//! The desk's `ReadSet` lets an agent edit only what it knows, by hash. It lives in memory, so the
//! hashes go into the memos, and a replay tells them to the new desk. A file that changed between
//! a read and now is stale before the resume and after it.

use std::collections::{BTreeMap, BTreeSet};

use blake3::Hash;

use crate::{
    agent::memo::{Deed, Memo},
    tools::{
        desk::Desk,
        reads::{Known, ReadSet},
    },
};

/// Files larger than this cannot be edited, so nobody needs to know their hash.
const LARGEST: u64 = 8 * 1024 * 1024;

/// Returns the hashes of the files that the agent knows after it did this.
pub fn known(desk: &Desk, deed: &Deed) -> BTreeMap<String, String> {
    let known = paths(deed).into_iter().filter_map(|path| {
        let small = desk.place.metadata(path).is_ok_and(|info| info.len <= LARGEST);
        let hash = small.then(|| desk.place.read(path).ok()).flatten().map(|b| blake3::hash(&b))?;
        let current = desk.reads.knows(path, &hash) == Known::Current;
        current.then(|| (path.to_owned(), hash.to_hex().to_string()))
    });
    known.collect()
}

/// Tells a new desk what the agent knew after a call.
pub fn recall(reads: &ReadSet, memo: &Memo) {
    for path in paths(&memo.deed) {
        let known = memo.known.get(path).and_then(|hash| Hash::from_hex(hash).ok());
        reads.note(path, known);
    }
}

fn paths(deed: &Deed) -> BTreeSet<&str> {
    match deed {
        Deed::Read(lines) => lines.iter().map(|lines| lines.path.as_str()).collect(),
        Deed::Wrote(paths) => paths.iter().map(String::as_str).collect(),
        _ => BTreeSet::new(),
    }
}
