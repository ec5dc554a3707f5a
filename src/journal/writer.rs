//! The handle through which a run writes its journal.
//!
//! All handles of a journal share one pen, and whoever appends writes: a record takes microseconds,
//! which is less than to wake a thread for it. Bringing the bytes to the disk, which can take long,
//! is another thread's business (`flush`).

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use thiserror::Error;
use tokio::sync::mpsc::UnboundedSender;

use crate::{
    journal::{
        blobs::{BlobError, Blobs},
        flush::Flusher,
        folder,
        lock::{self, RunLock, Taken},
        pen::{Desk, Entry, Pen},
        read::{FILE, ReadError, scan},
        record::Chain,
        runs::Of,
        sign::{Key, Signer},
    },
    protocol::{
        event::{Event, Kept, Level, What},
        ids::{AgentId, NodeId, RunId},
    },
    sandbox::order::{self, Lock},
};

/// A run's journal, open for writing.
#[derive(Clone, Debug)]
pub struct Journal {
    // None once it is closed.
    desk: Arc<Mutex<Option<Desk>>>,
    flusher: Flusher,
    blobs: Blobs,
    run: RunId,
    run_dir: PathBuf,
}

/// Why a journal cannot be opened or written.
#[derive(Debug, Error)]
pub enum JournalError {
    /// Another process writes it.
    #[error("run {run} is being worked on by process {pid}")]
    Busy {
        /// The run.
        run: String,
        /// The process; 0 when it has not said.
        pid: u32,
    },
    /// A new run was given the name of an old one.
    #[error("run {run} exists already")]
    Exists {
        /// The run.
        run: String,
    },
    /// It cannot be read, or it is broken.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A file or folder cannot be made or opened.
    #[error("cannot open {}: {source}", path.display())]
    Open {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A record was not written; the ones before it are safe.
    #[error("cannot write the journal: {0}")]
    Write(#[source] io::Error),
    /// Records may not be on the disk.
    #[error("cannot bring the journal to the disk: {0}")]
    Sync(#[source] io::Error),
    /// A long text was not kept.
    #[error(transparent)]
    Blob(#[from] BlobError),
    /// It was closed.
    #[error("the journal is closed")]
    Closed,
}

impl JournalError {
    /// Returns what the user can do, where there is something.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Busy { .. } => {
                Some("watch it with `grafter logs RUN --follow`, stop it with `grafter cancel RUN`")
            }
            Self::Read(error) => Some(error.hint()),
            Self::Open { .. } => Some("see that the folder belongs to you and its disk has room"),
            Self::Write(_) | Self::Sync(_) | Self::Blob(BlobError::Write { .. }) => Some(
                "nothing written so far is lost: make room on the disk, then `grafter resume RUN`",
            ),
            Self::Blob(_) => Some("the run cannot be resumed; see its work with `grafter rescue`"),
            Self::Exists { .. } | Self::Closed => None,
        }
    }
}

impl Journal {
    /// Starts the journal of a new run in `<state>/runs/<id>`, which must not exist.
    pub fn create(
        run_dir: &Path,
        run: RunId,
        sink: UnboundedSender<Event>,
    ) -> Result<Self, JournalError> {
        match folder::make_new(run_dir) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                return Err(JournalError::Exists { run: run.0 });
            }
            made => made.map_err(open_error(run_dir))?,
        }
        let lock = lock(run_dir)?;
        let file = open_file(run_dir, OpenOptions::new().create_new(true))?;
        let pen = Pen { run, tape: file, chain: Chain::default(), len: 0, torn: false };
        let journal = Self::start(run_dir, pen, lock, sink)?;
        let folders = run_dir.ancestors().take(2).filter_map(|dir| File::open(dir).ok());
        folders.for_each(|dir| journal.flusher.first(dir));
        Ok(journal)
    }

    /// Opens the journal of an earlier run and returns what it holds; what is appended from now
    /// on goes to the sink.
    ///
    /// A torn last line is cut off, and a note in the journal says so.
    pub fn open(
        run_dir: &Path,
        sink: UnboundedSender<Event>,
    ) -> Result<(Self, Vec<Event>), JournalError> {
        if !run_dir.join(FILE).exists() {
            return Err(ReadError::Missing { run_dir: run_dir.to_owned() }.into());
        }
        let lock = lock(run_dir)?;
        let scan = scan(run_dir)?;
        let tape = open_file(run_dir, &mut OpenOptions::new())?;
        let run = scan.events.first().map_or_else(|| run_of(run_dir), |event| event.run.clone());
        let pen = Pen { run, tape, chain: scan.chain, len: scan.len, torn: scan.torn > 0 };
        let journal = Self::start(run_dir, pen, lock, sink)?;
        if scan.torn > 0 {
            // Writing it cuts the torn bytes off first.
            journal.write(Entry { node: None, agent: None, what: torn_note(scan.torn) })?;
        }
        Ok((journal, scan.events))
    }

    /// Signs checkpoints from now on.
    pub fn sign_with(&self, key: Key) -> Result<(), JournalError> {
        let signer = Signer::new(&self.run_dir, key).map_err(open_error(&self.run_dir))?;
        let _order = order::take(Lock::Journal);
        self.desk().as_mut().ok_or(JournalError::Closed)?.signer = Some(signer);
        Ok(())
    }

    /// Appends a record and returns it once it is written and the sink has it.
    pub async fn append(
        &self,
        node: Option<&NodeId>,
        agent: Option<&AgentId>,
        what: What,
    ) -> Result<Event, JournalError> {
        self.write(Entry { node: node.cloned(), agent: agent.cloned(), what })
    }

    /// Waits until everything appended and kept so far is on the disk.
    pub async fn sync(&self) -> Result<(), JournalError> {
        self.flusher.barrier().await.map_err(JournalError::Sync)
    }

    /// Brings everything to the disk, gives the lock back and drops the sink; other handles can
    /// append no more.
    pub async fn close(self) -> Result<(), JournalError> {
        let flushed = self.sync().await;
        let _order = order::take(Lock::Journal);
        match self.desk().take() {
            Some(_) => flushed,
            None => Err(JournalError::Closed),
        }
    }

    /// Keeps a text for use in a record: itself when short, else as a blob that is in its place
    /// when this returns.
    pub fn keep(&self, text: String) -> Result<Kept, JournalError> {
        let (kept, file) = self.blobs.keep(text)?;
        if let Some(file) = file {
            self.flusher.first(file);
        }
        Ok(kept)
    }

    /// Returns a kept text.
    pub fn fetch(&self, kept: &Kept) -> Result<String, JournalError> {
        Ok(self.blobs.fetch(kept)?)
    }

    /// Returns the run.
    pub fn run(&self) -> &RunId {
        &self.run
    }

    fn start(
        run_dir: &Path,
        pen: Pen<File>,
        lock: RunLock,
        sink: UnboundedSender<Event>,
    ) -> Result<Self, JournalError> {
        let failed = open_error(run_dir);
        let flusher = pen.tape.try_clone().and_then(Flusher::start).map_err(&failed)?;
        let run = pen.run.clone();
        let desk = Desk::new(pen, sink, flusher.clone(), (lock, Of::at(run_dir)));
        let state_dir = run_dir.ancestors().nth(2).unwrap_or(run_dir);
        let blobs = Blobs::of(state_dir);
        let run_dir = run_dir.to_owned();
        Ok(Self { desk: Arc::new(Mutex::new(Some(desk))), flusher, blobs, run, run_dir })
    }

    fn write(&self, entry: Entry) -> Result<Event, JournalError> {
        let _order = order::take(Lock::Journal);
        let mut desk = self.desk();
        desk.as_mut().ok_or(JournalError::Closed)?.append(entry).map_err(JournalError::Write)
    }

    fn desk(&self) -> MutexGuard<'_, Option<Desk>> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn lock(run_dir: &Path) -> Result<RunLock, JournalError> {
    match lock::take(run_dir).map_err(open_error(run_dir))? {
        Taken::Ours(lock) => Ok(lock),
        Taken::Busy(pid) => Err(JournalError::Busy { run: run_of(run_dir).0, pid }),
    }
}

fn open_file(run_dir: &Path, options: &mut OpenOptions) -> Result<File, JournalError> {
    let path = run_dir.join(FILE);
    options.append(true).mode(0o600).open(&path).map_err(open_error(&path))
}

fn open_error(path: &Path) -> impl Fn(io::Error) -> JournalError {
    let path = path.to_owned();
    move |source| JournalError::Open { path: path.clone(), source }
}

/// Returns the run that a folder is named after.
fn run_of(run_dir: &Path) -> RunId {
    RunId::new(run_dir.file_name().unwrap_or_default().to_string_lossy())
}

fn torn_note(bytes: u64) -> What {
    let text =
        format!("the journal's last line was torn by a crash; its {bytes} bytes are dropped");
    What::Note { level: Level::Warning, text }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

    use super::*;
    use crate::journal::read::{Verified, read, verify};

    fn note(text: &str) -> What {
        What::Note { level: Level::Info, text: text.to_owned() }
    }

    fn create(state: &Path) -> (PathBuf, Journal, UnboundedReceiver<Event>) {
        let run_dir = state.join("grafter/runs/r1");
        let (sink, events) = unbounded_channel();
        let journal = Journal::create(&run_dir, RunId::new("r1"), sink).unwrap();
        (run_dir, journal, events)
    }

    #[tokio::test]
    async fn the_sink_the_answers_and_the_file_agree_whoever_writes() {
        let dir = tempfile::tempdir().unwrap();
        let (run_dir, journal, mut events) = create(dir.path());
        let mut writers = tokio::task::JoinSet::new();
        for writer in 0..8 {
            let journal = journal.clone();
            writers.spawn(async move {
                let node = NodeId::new(format!("n{writer}"));
                for i in 0..20 {
                    let text = format!("{writer} {i}");
                    let event = journal.append(Some(&node), None, note(&text)).await.unwrap();
                    assert_eq!((event.node.as_ref(), &event.what), (Some(&node), &note(&text)));
                }
            });
        }
        writers.join_all().await;
        journal.close().await.unwrap();
        let mut seen = Vec::new();
        while let Some(event) = events.recv().await {
            seen.push(event);
        }
        assert_eq!(seen.iter().map(|e| e.seq).collect::<Vec<_>>(), (0..160).collect::<Vec<_>>());
        assert_eq!(read(&run_dir).unwrap(), seen);
        assert_eq!(verify(&run_dir).unwrap(), Verified { records: 160, torn: 0 });
    }

    #[tokio::test]
    async fn an_earlier_run_is_taken_up_where_it_was_left() {
        let dir = tempfile::tempdir().unwrap();
        let (run_dir, journal, _events) = create(dir.path());
        let first = journal.append(None, None, note("first")).await.unwrap();
        let (sink, _) = unbounded_channel();
        assert!(matches!(
            Journal::open(&run_dir, sink.clone()),
            Err(JournalError::Busy { pid, .. }) if pid == std::process::id()
        ));
        let exists = Journal::create(&run_dir, RunId::new("r1"), sink.clone());
        assert!(matches!(exists, Err(JournalError::Exists { .. })));
        journal.close().await.unwrap();
        // The new sink has no receiver: a run whose view is gone goes on.
        let (journal, past) = Journal::open(&run_dir, sink).unwrap();
        assert_eq!(past, [first]);
        assert_eq!(journal.append(None, None, note("second")).await.unwrap().seq, 1);
        assert_eq!(journal.run().as_str(), "r1");
    }

    #[tokio::test]
    async fn a_torn_line_of_any_length_is_cut_off_and_reported() {
        let dir = tempfile::tempdir().unwrap();
        let (run_dir, journal, _events) = create(dir.path());
        for text in ["one", "two"] {
            journal.append(None, None, note(text)).await.unwrap();
        }
        journal.close().await.unwrap();
        let path = run_dir.join(FILE);
        let whole = fs::read(&path).unwrap();
        let one = whole.iter().position(|&b| b == b'\n').unwrap() + 1;
        for len in (0..whole.len()).filter(|len| ![0, one].contains(len)) {
            fs::write(&path, &whole[..len]).unwrap();
            let (sink, mut events) = unbounded_channel();
            let (journal, past) = Journal::open(&run_dir, sink).unwrap();
            assert_eq!(past.len(), usize::from(len > one));
            journal.append(None, None, note("next")).await.unwrap();
            journal.close().await.unwrap();
            let told = events.recv().await.unwrap();
            let torn = if len > one { len - one } else { len };
            assert_eq!(told.what, torn_note(torn as u64));
            let verified = verify(&run_dir).unwrap();
            assert_eq!(verified, Verified { records: past.len() as u64 + 2, torn: 0 });
        }
    }

    #[tokio::test]
    async fn a_broken_chain_is_not_opened_and_left_as_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let (run_dir, journal, _events) = create(dir.path());
        for text in ["one", "two", "three"] {
            journal.append(None, None, note(text)).await.unwrap();
        }
        journal.close().await.unwrap();
        let path = run_dir.join(FILE);
        let altered = fs::read_to_string(&path).unwrap().replace("two", "2wo");
        fs::write(&path, &altered).unwrap();
        let (sink, _events) = unbounded_channel();
        let error = Journal::open(&run_dir, sink).unwrap_err();
        assert!(matches!(&error, JournalError::Read(ReadError::Broken { seq: 1, .. })));
        assert!(error.to_string().ends_with("journal.jsonl was altered"), "{error}");
        assert!(error.hint().unwrap().contains("grafter rescue"));
        assert_eq!(fs::read_to_string(&path).unwrap(), altered);
        assert!(read(&run_dir).is_err());
    }

    #[tokio::test]
    async fn nothing_is_readable_for_others_and_long_texts_go_to_blobs() {
        let dir = tempfile::tempdir().unwrap();
        let (_, journal, _events) = create(dir.path());
        let text = "ö".repeat(3000);
        let kept = journal.keep(text.clone()).unwrap();
        assert!(matches!(kept, Kept::Blob(..)));
        journal.sync().await.unwrap();
        assert_eq!(journal.fetch(&kept).unwrap(), text);
        let mut open = vec![dir.path().join("grafter")];
        while let Some(path) = open.pop() {
            let mode = fs::metadata(&path).unwrap().permissions().mode() & 0o777;
            assert_eq!(mode, if path.is_dir() { 0o700 } else { 0o600 }, "{}", path.display());
            if path.is_dir() {
                open.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            }
        }
    }

    #[tokio::test]
    async fn a_closed_journal_says_so_and_a_cancelled_append_is_written_all_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let (run_dir, journal, _events) = create(dir.path());
        let mut append = Box::pin(journal.append(None, None, note("cancelled")));
        let _ = futures_util::poll!(&mut append);
        drop(append);
        let other = journal.clone();
        journal.close().await.unwrap();
        assert_eq!(read(&run_dir).unwrap().len(), 1);
        let late = other.append(None, None, note("late")).await;
        assert!(matches!(late, Err(JournalError::Closed)));
    }
}
