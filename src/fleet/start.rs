//! Beginning a batch, or going on with one.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use thiserror::Error;
use tokio::{
    sync::mpsc::{self, UnboundedReceiver, UnboundedSender},
    task::JoinHandle,
};

use crate::{
    coordinator::control::{self, Call},
    fleet::{
        engine::Engine,
        scope::{Accuracy, Files},
        state::BatchState,
        work::{Maker, News},
    },
    git::{history, program::GitError},
    journal::{
        blobs::Blobs,
        lock::{self, RunLock, Taken},
        read,
        runs::{self, Of, RunDir},
        writer::{Journal, JournalError},
    },
    protocol::{
        batch::{BatchStarted, BatchTask, Step, Style, Trouble},
        event::{Event, Kept, Level, What},
        ids::{Oid, RunId, TaskId},
        report::{Check, RunEnd},
        usage::Micros,
    },
    subagent::housing::{Housing, Site},
};

/// How many commits of the history are looked at for files that change together.
const HISTORY: usize = 400;

/// What a batch needs of the machine, whether it begins or goes on.
pub struct Ground {
    /// The repository and what its places need; the root is where all trees of grafter lie.
    pub site: Site,
    /// Folder of control sockets.
    pub runtime: PathBuf,
    /// Makes the orders for its runs.
    pub maker: Arc<dyn Maker>,
}

/// What shall be done.
#[derive(Clone, Debug)]
pub struct BatchOrder {
    /// The tasks, checked.
    pub tasks: Vec<BatchTask>,
    /// What all runs have in common, kept for a resume.
    pub settings: String,
    /// The branch that receives; none takes `grafter/<batch>/landed`.
    pub into: Option<String>,
    /// Where a target that is not there yet begins.
    pub base: Oid,
    /// Checks that every landing must pass.
    pub checks: Vec<Check>,
    /// The most milliseconds one check may take.
    pub check_timeout_ms: u64,
    /// How many tasks are worked at once.
    pub workers: usize,
    /// How many checks run at once.
    pub slots: usize,
    /// What the history of the target shows of each task.
    pub style: Style,
    /// The template of the message of what lands, checked; none takes that of the work.
    pub message: Option<String>,
    /// Files that their own tools make anew, each with the command.
    pub lockfiles: BTreeMap<String, String>,
    /// Files that nothing of this batch may change, as globs.
    pub protected: Vec<String>,
    /// The most money for all tasks; none means no cap.
    pub max_cost: Option<Micros>,
    /// The most money for one task; none means no cap.
    pub task_cost: Option<Micros>,
    /// How often a task is worked anew.
    pub retries: u32,
    /// What a task is worked anew for.
    pub retry_on: Vec<Trouble>,
    /// What the user should know from the start.
    pub notes: Vec<(Level, String)>,
}

/// A live batch.
pub struct Handle {
    /// Its id.
    pub batch: RunId,
    /// How it stood when this process took it up.
    pub state: BatchState,
    /// Its news and those of its runs.
    pub news: UnboundedReceiver<News>,
    /// Stops it, and orders its queue about.
    pub control: UnboundedSender<Call>,
    /// Ends with it.
    pub done: JoinHandle<Result<Ended, BatchError>>,
}

/// How a batch ended for now.
#[derive(Clone, Debug)]
pub struct Ended {
    /// How it stands.
    pub state: BatchState,
    /// Why it stopped before all was done, if it did.
    pub stopped: Option<RunEnd>,
    /// How right the forecasts of changed files were.
    pub accuracy: Accuracy,
}

/// Why a batch cannot begin, go on or end.
#[derive(Debug, Error)]
pub enum BatchError {
    /// The journal.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The repository.
    #[error(transparent)]
    Git(#[from] GitError),
    /// The journal of the batch does not hold what it must.
    #[error("batch {batch} cannot go on: {why}")]
    Stored {
        /// The batch.
        batch: RunId,
        /// What is missing.
        why: String,
    },
    /// Another process lands on the target.
    #[error("process {pid} lands on `{target}` already")]
    Lander {
        /// The branch.
        target: String,
        /// The process; 0 when it has not said.
        pid: u32,
    },
    /// A file or folder.
    #[error("cannot use {}: {source}", path.display())]
    File {
        /// Its path.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

impl BatchError {
    /// Returns what the user can do, where there is something.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Journal(error) => error.hint(),
            Self::Lander { .. } => Some(
                "one batch at a time lands on a branch: wait for it, or name another with --into",
            ),
            Self::Stored { .. } => Some("its runs are there all the same: `grafter status`"),
            Self::Git(_) | Self::File { .. } => None,
        }
    }
}

/// Begins a batch.
pub async fn start(ground: Ground, order: BatchOrder) -> Result<Handle, BatchError> {
    let repo = ground.site.repo.clone();
    let state_dir = repo.state_dir();
    let batch = runs::new_id(&state_dir);
    let target = order.into.unwrap_or_else(|| format!("grafter/{batch}/landed"));
    let lock = lander(&state_dir, &target)?;
    let tip = repo.tip(&target)?;
    let (sink, records) = mpsc::unbounded_channel();
    let journal =
        Journal::create(&Of::Batches.folder(&state_dir).join(batch.as_str()), batch, sink)?;
    let tasks = serde_json::to_string(&order.tasks).expect("tasks are plain data");
    let started = BatchStarted {
        tasks: journal.keep(tasks)?,
        settings: journal.keep(order.settings)?,
        target,
        found: tip.is_some(),
        tip: tip.unwrap_or(order.base),
        checks: order.checks,
        check_timeout_ms: order.check_timeout_ms,
        workers: order.workers,
        slots: order.slots,
        style: order.style,
        message: order.message,
        lockfiles: order.lockfiles,
        protected: order.protected,
        max_cost: order.max_cost,
        task_cost: order.task_cost,
        retries: order.retries,
        retry_on: order.retry_on,
    };
    let first = What::Batch(Box::new(Step::Started(Box::new(started.clone()))));
    let first = journal.append(None, None, first).await?;
    for (level, text) in order.notes {
        journal.append(None, None, What::Note { level, text }).await?;
    }
    let state = BatchState::new(started, order.tasks, first.at);
    launch(ground, Live { state, journal, records, lock }).await
}

/// Goes on with a batch: what was being worked goes on, and what failed for one of these reasons is
/// tried once more.
pub async fn resume(
    ground: Ground,
    found: &RunDir,
    again: &[Trouble],
) -> Result<Handle, BatchError> {
    let repo = ground.site.repo.clone();
    let (sink, records) = mpsc::unbounded_channel();
    let (journal, past) = Journal::open(&found.path, sink)?;
    let state = fold(&journal, &found.id, &past)?;
    let lock = lander(&repo.state_dir(), &state.started.target)?;
    let resumed = Step::Resumed { pid: std::process::id() };
    journal.append(None, None, What::Batch(Box::new(resumed))).await?;
    for task in &state.tasks {
        if task.stage.trouble().is_some_and(|trouble| again.contains(&trouble)) {
            let retried = Step::Retried { task: TaskId::new(task.task.id.clone()) };
            journal.append(None, None, What::Batch(Box::new(retried))).await?;
        }
    }
    if state.paused {
        journal.append(None, None, What::Batch(Box::new(Step::Unpaused))).await?;
    }
    launch(ground, Live { state, journal, records, lock }).await
}

/// Returns how a stored batch stands, without going on with it.
pub fn look(found: &RunDir) -> Result<BatchState, BatchError> {
    let past = read::read(&found.path).map_err(JournalError::from)?;
    let blobs = blobs(found);
    fold_with(&found.id, &past, |kept| Ok(blobs.fetch(kept).map_err(JournalError::from)?))
}

/// Returns what whoever made a stored batch has kept with it.
pub fn settings(found: &RunDir) -> Result<String, BatchError> {
    let state = look(found)?;
    Ok(blobs(found).fetch(&state.started.settings).map_err(JournalError::from)?)
}

fn blobs(found: &RunDir) -> Blobs {
    Blobs::of(found.path.ancestors().nth(2).unwrap_or(Path::new("/")))
}

fn fold(journal: &Journal, batch: &RunId, past: &[Event]) -> Result<BatchState, BatchError> {
    fold_with(batch, past, |kept| Ok(journal.fetch(kept)?))
}

fn fold_with(
    batch: &RunId,
    past: &[Event],
    fetch: impl Fn(&Kept) -> Result<String, BatchError>,
) -> Result<BatchState, BatchError> {
    let stored = |why: &str| BatchError::Stored { batch: batch.clone(), why: why.to_owned() };
    let first = past.iter().find_map(|event| match &event.what {
        What::Batch(step) => match &**step {
            Step::Started(started) => Some((started, event.at)),
            _ => None,
        },
        _ => None,
    });
    let (started, at) = first.ok_or_else(|| stored("it was killed before it began"))?;
    let tasks = serde_json::from_str(&fetch(&started.tasks)?)
        .map_err(|_| stored("its tasks cannot be read"))?;
    let mut state = BatchState::new((**started).clone(), tasks, at);
    past.iter().for_each(|event| state.apply(event));
    Ok(state)
}

struct Live {
    state: BatchState,
    journal: Journal,
    records: UnboundedReceiver<Event>,
    lock: RunLock,
}

async fn launch(ground: Ground, live: Live) -> Result<Handle, BatchError> {
    let Live { mut state, journal, records, lock } = live;
    let batch = journal.run().clone();
    let (control, calls) = mpsc::unbounded_channel();
    let (news_in, news) = mpsc::unbounded_channel();
    let socket = control::socket_path(&ground.runtime, &batch);
    let guard = match control::serve(socket, control.clone()) {
        Ok(guard) => Some(guard),
        Err(error) => {
            let text = format!("`grafter queue` cannot order this batch about: {error}");
            journal.append(None, None, What::Note { level: Level::Warning, text }).await?;
            None
        }
    };
    let repo = ground.site.repo.clone();
    let files = Files::new(
        history::files(&repo, &state.started.tip)?,
        &history::changes(&repo, &state.started.tip, HISTORY)?,
    );
    let root = ground.site.root.join(batch.as_str());
    let housing = Housing::new(Site { root, ..ground.site }, journal.clone());
    let foreseen = state.tasks.iter().map(|task| files.foresee(&task.task)).collect();
    let mut engine = Engine::new(
        (repo, ground.maker, Arc::new(housing)),
        (journal.clone(), records, calls),
        (news_in, foreseen),
    );
    engine.catch_up(&mut state);
    let now = state.clone();
    let done = tokio::spawn(async move {
        let _held = (guard, lock);
        let ended = engine.run(state).await;
        engine.close().await;
        journal.close().await?;
        ended
    });
    Ok(Handle { batch, state: now, news, control, done })
}

/// Takes the right to land on a branch.
fn lander(state_dir: &Path, target: &str) -> Result<RunLock, BatchError> {
    let name = blake3::hash(target.as_bytes()).to_hex();
    let path = state_dir.join("landers").join(&name.as_str()[..16]);
    let failed = |source| BatchError::File { path: path.clone(), source };
    fs::create_dir_all(&path).map_err(failed)?;
    match lock::take(&path).map_err(failed)? {
        Taken::Ours(lock) => Ok(lock),
        Taken::Busy(pid) => Err(BatchError::Lander { target: target.to_owned(), pid }),
    }
}
