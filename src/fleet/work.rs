//! One task's run, from its beginning or where it was left, to what the batch keeps of it.

use std::sync::Arc;

use tokio::sync::mpsc::UnboundedSender;

use crate::{
    coordinator::{
        control::Call,
        ground::Ground,
        start::{self, Handle, Order, StartError, Stored},
    },
    git::repo::Repo,
    graph::dag::Graph,
    journal::{
        read,
        runs::{self, RunDir},
    },
    protocol::{
        batch::{BatchTask, Made},
        cause::chain,
        event::{Event, What},
        ids::{AgentId, Oid, RunId, TaskId},
        report::{CheckRun, DiffStat, RunEnd},
        usage::{Micros, Usage},
    },
};

/// What a run of a task is to begin with.
#[derive(Clone, Debug)]
pub struct Errand {
    /// The task.
    pub task: BatchTask,
    /// The issue as this run gets it: with what came of an earlier one, if it was sent back.
    pub text: String,
    /// Its run.
    pub run: RunId,
    /// The commit it starts from.
    pub base: Oid,
    /// The most money it may spend; none means no cap.
    pub cap: Option<Micros>,
}

/// Makes orders for runs: whoever fronts a batch knows the settings, the models and the workflows.
pub trait Maker: Send + Sync {
    /// Returns what a new run needs, or why it cannot begin.
    fn order(&self, errand: &Errand) -> Result<(Ground, Order), String>;
    /// Returns what a stored run needs to go on, or why it cannot.
    /// The errand's cap on money holds from now on.
    fn again(&self, errand: &Errand, stored: &mut Stored) -> Result<(Ground, Graph), String>;
}

/// News of a batch or of one of its runs.
#[derive(Clone, Debug)]
pub struct News {
    /// The task; none for the batch itself.
    pub task: Option<TaskId>,
    /// What happened.
    pub event: Event,
}

/// What a run came to.
#[derive(Clone, Debug)]
pub struct Harvest {
    /// How it ended.
    pub end: RunEnd,
    /// What waits for its landing, if it made something.
    pub made: Option<Box<Made>>,
    /// Tokens, all processes of the run together.
    pub usage: Usage,
    /// Money, likewise.
    pub cost: Micros,
    /// Milliseconds, likewise.
    pub took_ms: u64,
}

impl Harvest {
    /// Returns what a run came to that could not begin.
    pub fn none(end: RunEnd) -> Self {
        Self { end, made: None, usage: Usage::default(), cost: Micros(0), took_ms: 0 }
    }
}

/// The tree of a run's agent was saved.
#[derive(Clone, Debug)]
pub struct Snap {
    /// The run.
    pub run: RunId,
    /// Whose tree.
    pub agent: AgentId,
    /// The snapshot.
    pub commit: Oid,
}

/// Who hears of a run while it works.
#[derive(Clone, Debug)]
pub struct Ears {
    /// Its news.
    pub news: UnboundedSender<News>,
    /// The way to it, once there is one.
    pub reins: UnboundedSender<(RunId, UnboundedSender<Call>)>,
    /// What its agents have written so far.
    pub snaps: UnboundedSender<Snap>,
}

/// Has a run do its work; goes on with it if it has begun before.
pub async fn work(maker: Arc<dyn Maker>, repo: Repo, errand: Errand, ears: Ears) -> Harvest {
    let dir = RunDir {
        path: runs::folder(&repo.state_dir()).join(errand.run.as_str()),
        id: errand.run.clone(),
        started: 0,
    };
    let begun = match dir.path.exists() {
        true => go_on(&*maker, (&errand, &dir)).await,
        false => begin(&*maker, &errand).await,
    };
    let why = match begun {
        Ok(handle) => {
            let _ = ears.reins.send((errand.run.clone(), handle.control.clone()));
            follow(handle, &errand, &ears).await
        }
        Err(Stop::Over) => None,
        Err(Stop::Failed(why)) => return Harvest::none(RunEnd::Infrastructure(why)),
    };
    let task = tokio::task::spawn_blocking(move || harvest(&repo, &dir));
    let harvested = task.await.unwrap_or_else(|error| Err(error.to_string()));
    let failed = |cause| Harvest::none(RunEnd::Infrastructure(cause));
    match (harvested, why) {
        (Ok(harvest), None) => harvest,
        (Ok(harvest), Some(why)) => Harvest { end: RunEnd::Infrastructure(why), ..harvest },
        (Err(cause), why) => failed(why.unwrap_or(cause)),
    }
}

/// Why a run does not begin.
enum Stop {
    /// It has ended already.
    Over,
    /// It cannot.
    Failed(String),
}

async fn begin(maker: &dyn Maker, errand: &Errand) -> Result<Handle, Stop> {
    let (ground, order) = maker.order(errand).map_err(Stop::Failed)?;
    let started = start::start_as(ground, order, errand.run.clone()).await;
    started.map_err(|error| Stop::Failed(chain(&error)))
}

async fn go_on(maker: &dyn Maker, (errand, dir): (&Errand, &RunDir)) -> Result<Handle, Stop> {
    let stopped = |error: StartError| match error {
        StartError::Over { .. } => Stop::Over,
        error => Stop::Failed(chain(&error)),
    };
    let mut stored = start::open(dir).await.map_err(stopped)?;
    let (ground, graph) = maker.again(errand, &mut stored).map_err(Stop::Failed)?;
    start::resume(ground, graph, stored).await.map_err(stopped)
}

/// Follows a run to its end; returns why its journal cannot be trusted to know it, if so.
async fn follow(mut handle: Handle, errand: &Errand, ears: &Ears) -> Option<String> {
    let task = TaskId::new(errand.task.id.clone());
    while let Some(event) = handle.events.recv().await {
        if let Some(snap) = snap(&event) {
            let _ = ears.snaps.send(snap);
        }
        // Whoever looked on may have left.
        let _ = ears.news.send(News { task: Some(task.clone()), event });
    }
    match handle.done.await {
        Ok(Ok(_)) => None,
        Ok(Err(error)) => Some(chain(&error)),
        Err(error) => Some(format!("the run broke down: {error}")),
    }
}

fn snap(event: &Event) -> Option<Snap> {
    let commit = match &event.what {
        What::ToolResult { snapshot, .. } => snapshot.clone()?,
        What::WorkerResult(end) => end.snapshot.clone()?,
        _ => return None,
    };
    Some(Snap { run: event.run.clone(), agent: event.agent.clone()?, commit })
}

/// Reads what a run came to out of its journal.
fn harvest(repo: &Repo, dir: &RunDir) -> Result<Harvest, String> {
    let events = read::read(&dir.path).map_err(|error| chain(&error))?;
    let (mut harvest, mut seen) = (None, Seen::default());
    for event in events {
        match event.what {
            What::RunStarted(started) => seen.base = Some(started.base),
            What::ChecksFinished { report, commit, .. } => seen.checked.push((commit, report.runs)),
            What::Landed { stat, .. } => seen.stat = stat,
            What::RunFinished { end, usage, cost, took_ms } => {
                harvest = Some(Harvest { end, made: None, usage, cost, took_ms });
            }
            // It went on after an earlier end.
            What::RunResumed { .. } => harvest = None,
            _ => {}
        }
    }
    let mut harvest = harvest.ok_or("its journal does not say how it ended")?;
    if let RunEnd::Landed { commit, branch, .. } = &harvest.end {
        let made = seen.made(repo, (commit, branch)).map_err(|error| chain(&error))?;
        harvest.made = made.map(Box::new);
    }
    Ok(harvest)
}

#[derive(Default)]
struct Seen {
    base: Option<Oid>,
    stat: DiffStat,
    checked: Vec<(Oid, Vec<CheckRun>)>,
}

impl Seen {
    fn made(
        self,
        repo: &Repo,
        (commit, branch): (&Oid, &str),
    ) -> Result<Option<Made>, crate::git::program::GitError> {
        let Some(base) = self.base else { return Ok(None) };
        let mut checked = Vec::new();
        for (on, runs) in self.checked {
            if on == base || on == *commit {
                checked.push((repo.tree_of(&on)?, runs));
            }
        }
        let (commit, branch) = (commit.clone(), branch.to_owned());
        Ok(Some(Made { commit, base, branch, stat: self.stat, checked }))
    }
}
