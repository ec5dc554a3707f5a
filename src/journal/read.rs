//! Reading a journal: replay and verification.
//!
//! Readers take no lock. A last line without its newline is being written or was torn by a crash;
//! readers leave it out, the next writer cuts it off. Any other line that is not whole, in place
//! and sealed makes the journal broken from there on: what follows cannot be trusted either.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use thiserror::Error;

use crate::{
    journal::record::{Chain, Flaw},
    protocol::event::Event,
};

/// The journal's file in a run's folder.
pub const FILE: &str = "journal.jsonl";

/// What a sound journal holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verified {
    /// How many records are whole and chained.
    pub records: u64,
    /// Bytes of a torn line after them, 0 if there is none.
    pub torn: u64,
}

/// Why a journal cannot be read.
#[derive(Debug, Error)]
pub enum ReadError {
    /// The run has no journal.
    #[error("there is no journal in {}", run_dir.display())]
    Missing {
        /// The run's folder.
        run_dir: PathBuf,
    },
    /// The system refused.
    #[error("cannot read {}: {source}", path.display())]
    Io {
        /// The journal.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A line is not as it was written.
    #[error("line {} of {} {}", seq + 1, path.display(), why.says())]
    Broken {
        /// The journal.
        path: PathBuf,
        /// The first record that is not sound; the line's number is one more.
        seq: u64,
        /// What is wrong with it.
        #[source]
        why: Flaw,
    },
}

impl ReadError {
    /// Returns what the user can do.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Missing { .. } => "see the runs of this repository with `grafter status`",
            Self::Io { .. } => "see that the file and its folder belong to you",
            Self::Broken { why, .. } if why.is_foreign() => {
                "it was written by another version of grafter: use that one for this run"
            }
            Self::Broken { .. } => {
                "`grafter journal verify RUN` checks it again; such a run is not resumed, and its \
                 work is safe in git: `grafter rescue RUN`, then start a new run"
            }
        }
    }
}

/// Returns all whole records of a run.
pub fn read(run_dir: &Path) -> Result<Vec<Event>, ReadError> {
    scan(run_dir).map(|scan| scan.events)
}

/// Checks the whole chain of a run from its raw bytes.
pub fn verify(run_dir: &Path) -> Result<Verified, ReadError> {
    let scan = scan(run_dir)?;
    Ok(Verified { records: scan.chain.next, torn: scan.torn })
}

/// A journal's content, and where a writer goes on.
#[derive(Debug)]
pub(super) struct Scan {
    pub(super) events: Vec<Event>,
    pub(super) chain: Chain,
    /// Bytes of the whole records.
    pub(super) len: u64,
    /// Bytes after them.
    pub(super) torn: u64,
}

/// Reads and checks a journal.
pub(super) fn scan(run_dir: &Path) -> Result<Scan, ReadError> {
    let path = run_dir.join(FILE);
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(ReadError::Missing { run_dir: run_dir.to_owned() });
        }
        Err(source) => return Err(ReadError::Io { path, source }),
    };
    let mut chain = Chain::default();
    match check_lines(&mut chain, &bytes) {
        Ok((events, len)) => {
            let (len, all) = (len as u64, bytes.len() as u64);
            Ok(Scan { events, chain, len, torn: all - len })
        }
        Err(why) => Err(ReadError::Broken { path, seq: chain.next, why }),
    }
}

/// Returns the events of the whole lines and the length of these; the chain stands at the first
/// flawed line if there is one.
pub(super) fn check_lines(chain: &mut Chain, bytes: &[u8]) -> Result<(Vec<Event>, usize), Flaw> {
    let mut events = Vec::new();
    let mut len = 0;
    for line in bytes.split_inclusive(|&byte| byte == b'\n') {
        let Some(record) = line.strip_suffix(b"\n") else { break };
        events.push(chain.check(record)?);
        len += line.len();
    }
    Ok((events, len))
}
