//! Signed checkpoints: whoever has the public key can tell that a journal is as grafter left it.
//!
//! The chain alone shows that a line was altered, but not that somebody wrote the whole file anew.
//! So on request the hash of the chain is signed (Ed25519) after every hundredth record and after
//! the last one of each process, and the signatures go to a file beside the journal, one JSON
//! object a line: `{"run","seq","hash","key","signature"}`, the last three in hexadecimal. What is
//! signed is the text `grafter journal checkpoint v1`, the run, the record's number and its hash, a
//! line each.
//!
//! A signature proves that the records were not changed since they were written by somebody who
//! had the key; not that a model really said what they hold. Records after the newest checkpoint
//! are not proved. A finished run that was taken up again can be cut back to its earlier end.

use std::{
    fmt,
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::Arc,
};

use ring::{
    rand::{SecureRandom, SystemRandom},
    signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey},
};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{
    journal::{
        read::{FILE, ReadError, check_lines, scan},
        record::Chain,
    },
    protocol::{
        event::{Event, What},
        ids::RunId,
    },
};

/// The file of signatures in a run's folder.
const SIGNATURES: &str = "signatures.jsonl";
/// Records from one checkpoint to the next.
const EVERY: u64 = 100;
/// Bytes of a key's seed.
const SEED: usize = 32;

/// The user's signing key.
#[derive(Clone)]
pub struct Key(Arc<Ed25519KeyPair>);

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({})", self.public())
    }
}

/// Why there is no key to sign with.
#[derive(Debug, Error)]
pub enum KeyError {
    /// There is none.
    #[error("there is no signing key in {}", .0.display())]
    None(PathBuf),
    /// Others could have read it.
    #[error("the signing key {} can be read by others", .0.display())]
    Open(PathBuf),
    /// The file holds something else.
    #[error("{} holds no signing key", .0.display())]
    Malformed(PathBuf),
    /// The system refused.
    #[error("cannot use the signing key {}: {source}", path.display())]
    Io {
        /// The key's file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl KeyError {
    /// Returns what the user can do.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::None(_) => "make one with `grafter journal key`",
            Self::Open(_) => "remove it and make another with `grafter journal key`",
            Self::Malformed(_) => "move the file away, then make one with `grafter journal key`",
            Self::Io { .. } => "see that the file and its folder belong to you",
        }
    }
}

impl Key {
    /// Reads a key that nobody else can read.
    pub fn open(path: &Path) -> Result<Self, KeyError> {
        let io = |source| KeyError::Io { path: path.to_owned(), source };
        let file = match File::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(KeyError::None(path.to_owned()));
            }
            opened => opened.map_err(io)?,
        };
        if file.metadata().map_err(io)?.mode() & 0o077 != 0 {
            return Err(KeyError::Open(path.to_owned()));
        }
        let mut text = String::new();
        let read = file.take(1000).read_to_string(&mut text);
        read.map_err(io)?;
        let seed = bytes(text.trim()).filter(|seed| seed.len() == SEED);
        let pair = seed.and_then(|seed| Ed25519KeyPair::from_seed_unchecked(&seed).ok());
        pair.map(|pair| Self(Arc::new(pair))).ok_or_else(|| KeyError::Malformed(path.to_owned()))
    }

    /// Makes a new key in a file that must not exist, readable by the user alone.
    pub fn make(path: &Path) -> Result<Self, KeyError> {
        let io = |source| KeyError::Io { path: path.to_owned(), source };
        let mut seed = [0; SEED];
        let filled = SystemRandom::new().fill(&mut seed);
        filled.map_err(|_| io(io::Error::other("no random numbers")))?;
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(io)?;
        }
        let mut file =
            OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(io)?;
        file.write_all(format!("{}\n", hex(&seed)).as_bytes()).map_err(io)?;
        file.sync_all().map_err(io)?;
        Self::open(path)
    }

    /// Returns the public key in hexadecimal.
    pub fn public(&self) -> String {
        hex(self.0.public_key().as_ref())
    }
}

/// One signed checkpoint, as its file has it.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Checkpoint {
    run: RunId,
    seq: u64,
    hash: String,
    key: String,
    signature: String,
}

impl Checkpoint {
    fn text(&self) -> String {
        let Self { run, seq, hash, .. } = self;
        format!("grafter journal checkpoint v1\n{run}\n{seq}\n{hash}\n")
    }

    fn holds(&self, public: &[u8]) -> bool {
        let Some(signature) = bytes(&self.signature) else { return false };
        UnparsedPublicKey::new(&ED25519, public).verify(self.text().as_bytes(), &signature).is_ok()
    }
}

/// Signs a journal while it is written.
#[derive(Debug)]
pub(super) struct Signer {
    key: Key,
    file: File,
}

impl Signer {
    pub(super) fn new(run_dir: &Path, key: Key) -> io::Result<Self> {
        let path = run_dir.join(SIGNATURES);
        let file = OpenOptions::new().append(true).create(true).mode(0o600).open(path)?;
        Ok(Self { key, file })
    }

    /// Returns whether a checkpoint belongs after a record.
    pub(super) fn is_due(event: &Event) -> bool {
        event.seq % EVERY == EVERY - 1 || matches!(event.what, What::RunFinished { .. })
    }

    /// Signs the chain up to a record, which must be on the disk: a signature of a record that a
    /// lost power supply took away would speak against the one that is written in its place.
    pub(super) fn sign(&mut self, event: &Event, chain: &Chain) -> io::Result<()> {
        let mut checkpoint = Checkpoint {
            run: event.run.clone(),
            seq: event.seq,
            hash: chain.head().to_owned(),
            key: self.key.public(),
            signature: String::new(),
        };
        checkpoint.signature = hex(self.key.0.sign(checkpoint.text().as_bytes()).as_ref());
        let line = serde_json::to_string(&checkpoint)? + "\n";
        self.file.write_all(line.as_bytes())?;
        self.file.sync_data()
    }
}

/// What the signatures of a journal prove.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signed {
    /// How many checkpoints there are.
    pub checkpoints: u64,
    /// How many records they cover, from the first one on.
    pub covered: u64,
    /// Whether they cover the end of a run that has ended; if not, records could be missing after
    /// the covered ones.
    pub to_the_end: bool,
}

/// What is wrong with a journal's signatures.
#[derive(Debug, Error)]
pub enum SignError {
    /// The journal itself cannot be read or its chain is broken.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// Nothing was signed.
    #[error("the journal is not signed")]
    Unsigned,
    /// The signatures cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Io {
        /// Their file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A line of the signatures is none.
    #[error("line {0} of the signatures is not a checkpoint of this run")]
    Malformed(usize),
    /// It was signed by somebody else.
    #[error("record {seq} was signed with another key: {key}")]
    OtherKey {
        /// The record.
        seq: u64,
        /// The public key that the checkpoint names.
        key: String,
    },
    /// The signature is not one of this text.
    #[error("the signature at record {0} is forged or altered")]
    Forged(u64),
    /// The chain is sound, but it is another one than the one that was signed.
    #[error("the records up to {0} are not those that were signed: the journal was written anew")]
    Rewritten(u64),
    /// Records were signed that are gone.
    #[error("record {0} was signed and is gone: the journal was cut off")]
    CutOff(u64),
}

impl SignError {
    /// Returns what the user can do.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Read(error) => error.hint(),
            Self::Unsigned => {
                "runs are signed with `--sign`; if this one was, its signatures were taken away"
            }
            Self::OtherKey { .. } => "say with --key PUBLIC-KEY whose signature you expect",
            Self::Io { .. } => "see that the file belongs to you",
            _ => "do not trust this record",
        }
    }
}

/// Returns whether somebody says that a journal is signed; whether it really is, `verify` says.
pub fn is_signed(run_dir: &Path) -> bool {
    run_dir.join(SIGNATURES).exists()
}

/// Checks a journal, its chain and its signatures against a public key in hexadecimal.
pub fn verify(run_dir: &Path, public: &str) -> Result<Signed, SignError> {
    let records = scan(run_dir)?.events;
    let heads = heads(run_dir)?;
    let wanted = bytes(public).unwrap_or_default();
    let run = records.first().map(|event| event.run.clone());
    let all = checkpoints(run_dir)?;
    let mut covered = 0;
    for (n, checkpoint) in all.iter().enumerate() {
        let point =
            checkpoint.as_ref().filter(|point| run.as_ref().is_none_or(|r| *r == point.run));
        let point = point.ok_or(SignError::Malformed(n + 1))?;
        let Checkpoint { seq, key, hash, .. } = point;
        if !key.eq_ignore_ascii_case(public) {
            return Err(SignError::OtherKey { seq: *seq, key: key.escape_debug().to_string() });
        }
        if !point.holds(&wanted) {
            return Err(SignError::Forged(*seq));
        }
        match usize::try_from(*seq).ok().and_then(|seq| heads.get(seq)) {
            None => return Err(SignError::CutOff(*seq)),
            Some(head) if head != hash => return Err(SignError::Rewritten(*seq)),
            Some(_) => covered = covered.max(seq + 1),
        }
    }
    let ended = matches!(records.last().map(|e| &e.what), Some(What::RunFinished { .. }));
    let to_the_end = ended && covered == records.len() as u64;
    Ok(Signed { checkpoints: all.len() as u64, covered, to_the_end })
}

/// Returns the checkpoints; none in the place of a line that is not one. A torn last line is left out.
fn checkpoints(run_dir: &Path) -> Result<Vec<Option<Checkpoint>>, SignError> {
    let path = run_dir.join(SIGNATURES);
    let text = match fs::read(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(SignError::Unsigned),
        read => read.map_err(|source| SignError::Io { path, source })?,
    };
    let lines = text.split_inclusive(|byte| *byte == b'\n');
    let whole = lines.filter_map(|line| line.strip_suffix(b"\n"));
    let all: Vec<_> = whole.map(|line| serde_json::from_slice(line).ok()).collect();
    if all.is_empty() { Err(SignError::Unsigned) } else { Ok(all) }
}

/// Returns the hash of the chain after each record of a sound journal.
fn heads(run_dir: &Path) -> Result<Vec<String>, ReadError> {
    let path = run_dir.join(FILE);
    let bytes = fs::read(&path).map_err(|source| ReadError::Io { path: path.clone(), source })?;
    let mut chain = Chain::default();
    let mut heads = Vec::new();
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        let checked = check_lines(&mut chain, line);
        let broken = |why| ReadError::Broken { path: path.clone(), seq: heads.len() as u64, why };
        if checked.map_err(broken)?.1 > 0 {
            heads.push(chain.head().to_owned());
        }
    }
    Ok(heads)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn bytes(hex: &str) -> Option<Vec<u8>> {
    let digits = hex.as_bytes();
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|d| u8::try_from(d).ok());
    let pairs =
        digits.chunks(2).map(|pair| Some(digit(*pair.first()?)? << 4 | digit(*pair.get(1)?)?));
    pairs.collect()
}

#[cfg(test)]
mod tests;
