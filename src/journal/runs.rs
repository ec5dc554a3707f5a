//! The runs and batches of a repository: their names, their folders, and how each of them stands.

use std::{
    fs::{self, File},
    io::{self, BufRead, BufReader, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
    time::UNIX_EPOCH,
};

use jiff::Zoned;
use serde::Deserialize;
use thiserror::Error;

use crate::{
    journal::{
        lock,
        read::{FILE, ReadError},
    },
    protocol::{
        batch::Step,
        event::{Event, What},
        ids::RunId,
        report::RunEnd,
    },
};

/// How much of a journal's beginning or end is looked at for a listing.
const LONGEST: u64 = 1 << 20;

/// A run's folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunDir {
    /// The run.
    pub id: RunId,
    /// `<state>/runs/<id>`.
    pub path: PathBuf,
    /// When it was started, in milliseconds since the epoch.
    pub started: i64,
}

/// How a run stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RunState {
    /// A process works on it.
    Running {
        /// The process; 0 when it has not said.
        pid: u32,
    },
    /// It has ended.
    Finished(RunEnd),
    /// Its process is gone, it has not ended: `grafter resume` goes on with it.
    Interrupted,
    /// Its last lines cannot be read; `grafter journal verify` says why.
    Broken,
}

/// Why no run was found.
#[derive(Debug, Error)]
pub enum FindError {
    /// There is none at all.
    #[error("there are no {} in this repository", of.plural())]
    NoRuns {
        /// Of what.
        of: Of,
    },
    /// None begins so.
    #[error("no {} begins with `{wanted}`; the latest are {}", of.name(), latest.join(", "))]
    Unknown {
        /// Of what.
        of: Of,
        /// What was asked for.
        wanted: String,
        /// The newest runs.
        latest: Vec<String>,
    },
    /// More than one begins so.
    #[error("`{wanted}` may mean {}", candidates.join(", "))]
    Ambiguous {
        /// What was asked for.
        wanted: String,
        /// All that begin so.
        candidates: Vec<String>,
    },
    /// The runs cannot be listed.
    #[error(transparent)]
    Read(#[from] ReadError),
}

impl FindError {
    /// Returns what the user can do.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::NoRuns { of: Of::Runs } => "grafter run \"what is wrong\"",
            Self::NoRuns { of: Of::Batches } => "grafter batch tasks.yaml",
            Self::Unknown { .. } | Self::Ambiguous { .. } => {
                "`grafter status` lists all runs, `grafter queue ls` all batches"
            }
            Self::Read(_) => "check that the folder can be read",
        }
    }
}

/// What a journal is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Of {
    /// One task each.
    Runs,
    /// Many tasks, each with a run of its own.
    Batches,
}

impl Of {
    /// Returns the folder of all of them.
    pub fn folder(self, state_dir: &Path) -> PathBuf {
        state_dir.join(self.plural())
    }

    /// Returns what a folder of a journal holds, by the folder around it.
    pub(super) fn at(dir: &Path) -> Self {
        let folder = dir.parent().and_then(Path::file_name);
        match folder.is_some_and(|name| name == Self::Batches.plural()) {
            true => Self::Batches,
            false => Self::Runs,
        }
    }

    fn plural(self) -> &'static str {
        match self {
            Self::Runs => "runs",
            Self::Batches => "batches",
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Runs => "run",
            Self::Batches => "batch",
        }
    }
}

/// Returns the folder of all runs.
pub fn folder(state_dir: &Path) -> PathBuf {
    Of::Runs.folder(state_dir)
}

/// Returns a name that no run and no batch has: month-day, hour-minute, four random digits.
pub fn new_id(state_dir: &Path) -> RunId {
    let now = Zoned::now().strftime("%m%d-%H%M").to_string();
    let taken = |of: Of, id: &str| of.folder(state_dir).join(id).exists();
    loop {
        let id = format!("{now}-{:04x}", rand::random::<u16>());
        if !taken(Of::Runs, &id) && !taken(Of::Batches, &id) {
            return RunId::new(id);
        }
    }
}

impl RunDir {
    /// Returns all runs, the newest first.
    pub fn list(state_dir: &Path) -> Result<Vec<Self>, ReadError> {
        Self::list_of(Of::Runs, state_dir)
    }

    /// Returns all runs or all batches, the newest first.
    pub fn list_of(of: Of, state_dir: &Path) -> Result<Vec<Self>, ReadError> {
        let folder = of.folder(state_dir);
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(source) => return Err(ReadError::Io { path: folder, source }),
        };
        let mut runs: Vec<_> = entries.flatten().filter_map(|e| Self::at(&e.path())).collect();
        runs.sort_by(|a, b| (b.started, &b.id).cmp(&(a.started, &a.id)));
        Ok(runs)
    }

    /// Returns the run that `wanted` names: `latest`, a whole name, or the beginning of just one.
    pub fn find(state_dir: &Path, wanted: &str) -> Result<Self, FindError> {
        Self::find_of(Of::Runs, state_dir, wanted)
    }

    /// Returns the run or the batch that `wanted` names, as [`Self::find`] does.
    pub fn find_of(of: Of, state_dir: &Path, wanted: &str) -> Result<Self, FindError> {
        let mut runs = Self::list_of(of, state_dir)?;
        if let Some(at) = runs.iter().position(|run| run.id.as_str() == wanted) {
            return Ok(runs.swap_remove(at));
        }
        if wanted == "latest" || runs.is_empty() {
            return runs.into_iter().next().ok_or(FindError::NoRuns { of });
        }
        let latest = names(runs.iter().take(5));
        runs.retain(|run| !wanted.is_empty() && run.id.as_str().starts_with(wanted));
        let (wanted, candidates) = (wanted.to_owned(), names(runs.iter()));
        match (runs.pop(), runs.is_empty()) {
            (None, _) => Err(FindError::Unknown { of, wanted, latest }),
            (Some(run), true) => Ok(run),
            (Some(_), false) => Err(FindError::Ambiguous { wanted, candidates }),
        }
    }

    /// Returns how the run stands, from its lock and its last lines.
    pub fn state(&self) -> RunState {
        if let Some(pid) = lock::holder(&self.path) {
            return RunState::Running { pid };
        }
        match last_words(&self.path.join(FILE)) {
            Ok(Some(What::RunFinished { end, .. })) => RunState::Finished(end),
            Ok(Some(What::Batch(step))) if matches!(*step, Step::Finished { .. }) => {
                RunState::Finished(RunEnd::Reported)
            }
            Ok(_) => RunState::Interrupted,
            Err(_) => RunState::Broken,
        }
    }

    /// Returns the run's first record, which says what it is about.
    pub fn first(&self) -> Option<Event> {
        serde_json::from_str(&first_line(&self.path.join(FILE)).ok()?).ok()
    }

    /// Returns the run of a folder; nothing if that holds no journal.
    fn at(path: &Path) -> Option<Self> {
        let id = path.file_name()?.to_str()?;
        let journal = path.join(FILE);
        let made = fs::metadata(&journal).ok()?.modified().ok()?;
        let started = match first_line(&journal).ok().map(|line| serde_json::from_str(&line)) {
            Some(Ok(When { at })) => at,
            // Killed before its first record.
            _ => i64::try_from(made.duration_since(UNIX_EPOCH).ok()?.as_millis()).ok()?,
        };
        Some(Self { id: RunId::new(id), path: path.to_owned(), started })
    }
}

/// The one member of a record that a list is sorted by.
#[derive(Deserialize)]
struct When {
    at: i64,
}

fn names<'a>(runs: impl Iterator<Item = &'a RunDir>) -> Vec<String> {
    runs.map(|run| run.id.to_string()).collect()
}

fn first_line(journal: &Path) -> io::Result<String> {
    let mut line = String::new();
    BufReader::new(File::open(journal)?.take(LONGEST)).read_line(&mut line)?;
    Ok(line)
}

/// Returns the last whole record that is no note: notes may follow the end of a run.
fn last_words(journal: &Path) -> io::Result<Option<What>> {
    let mut file = File::open(journal)?;
    let len = file.metadata()?.len();
    file.seek(SeekFrom::Start(len.saturating_sub(LONGEST)))?;
    let mut bytes = Vec::new();
    file.take(LONGEST).read_to_end(&mut bytes)?;
    let Some(end) = bytes.iter().rposition(|&byte| byte == b'\n') else { return Ok(None) };
    for line in bytes[..end].rsplit(|&byte| byte == b'\n') {
        match serde_json::from_slice::<Event>(line)?.what {
            What::Note { .. } => {}
            what => return Ok(Some(what)),
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc::unbounded_channel;

    use super::*;
    use crate::{
        journal::writer::Journal,
        protocol::{
            event::Level,
            usage::{Micros, Usage},
        },
    };

    /// Makes a folder as an old run left it.
    fn old(state: &Path, id: &str, at: i64) {
        let dir = folder(state).join(id);
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join(FILE), format!("{{\"at\":{at}}}\n")).unwrap();
    }

    #[test]
    fn a_run_is_found_by_name_beginning_or_as_the_latest() {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path();
        let find = |wanted| RunDir::find(state, wanted).map(|run| run.id.0);
        assert!(matches!(find("latest"), Err(FindError::NoRuns { .. })));
        old(state, "1122-1741-9f3a", 1);
        old(state, "1122-1741", 3);
        old(state, "0101-0000-0000", 4);
        old(state, "1122-1800-aaaa", 2);
        fs::create_dir(folder(state).join("no-journal")).unwrap();
        assert_eq!(find("latest").unwrap(), "0101-0000-0000");
        assert_eq!(find("1122-1741").unwrap(), "1122-1741");
        assert_eq!(find("1122-18").unwrap(), "1122-1800-aaaa");
        let error = |wanted| find(wanted).unwrap_err().to_string();
        assert_eq!(error("1122"), "`1122` may mean 1122-1741, 1122-1800-aaaa, 1122-1741-9f3a");
        assert_eq!(
            error(""),
            "no run begins with ``; the latest are 0101-0000-0000, 1122-1741, 1122-1800-aaaa, \
             1122-1741-9f3a"
        );
        assert!(matches!(find("../x"), Err(FindError::Unknown { .. })));
    }

    #[test]
    fn new_names_are_short_and_told_apart() {
        let dir = tempfile::tempdir().unwrap();
        let id = new_id(dir.path());
        let shape: String =
            id.0.chars().map(|c| if c.is_ascii_hexdigit() { 'x' } else { c }).collect();
        assert_eq!(shape, "xxxx-xxxx-xxxx");
    }

    #[tokio::test]
    async fn a_run_is_running_then_interrupted_or_finished() {
        let dir = tempfile::tempdir().unwrap();
        let id = new_id(dir.path());
        let path = folder(dir.path()).join(id.as_str());
        let (sink, _events) = unbounded_channel();
        let journal = Journal::create(&path, id, sink.clone()).unwrap();
        let run = || RunDir::find(dir.path(), "latest").unwrap();
        assert_eq!(run().state(), RunState::Running { pid: std::process::id() });
        assert_eq!(run().first(), None);
        let first = journal
            .append(None, None, What::RunResumed { pid: 1, model: None, options: None })
            .await
            .unwrap();
        journal.close().await.unwrap();
        assert_eq!(run().state(), RunState::Interrupted);
        assert_eq!(run().first(), Some(first));
        let (journal, _) = Journal::open(&path, sink).unwrap();
        let end = RunEnd::Budget("3 $".to_owned());
        let (usage, cost) = (Usage::default(), Micros(0));
        let finished = What::RunFinished { end: end.clone(), usage, cost, took_ms: 1 };
        journal.append(None, None, finished).await.unwrap();
        let text = "undone".to_owned();
        journal.append(None, None, What::Note { level: Level::Info, text }).await.unwrap();
        journal.close().await.unwrap();
        assert_eq!(run().state(), RunState::Finished(end));
        fs::write(path.join(FILE), "garbage\n").unwrap();
        assert_eq!(run().state(), RunState::Broken);
    }
}
