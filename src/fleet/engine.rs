//! The one loop that owns a live batch.
//!
//! Records come back from the journal and are the only thing that changes the state. Then the plan
//! says which task begins, the queue's advice what is checked and landed, and it is done here. The
//! target moves only after its checks are on record, and each move is on record before and after, so
//! that a process killed anywhere lands nothing twice and nothing unchecked.

mod landing;
mod orders;
mod probing;
mod renewing;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use tokio::{
    sync::mpsc::{self, UnboundedReceiver, UnboundedSender},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

use crate::{
    coordinator::control::{Call, Command},
    fleet::{
        bench::{Bench, Renewed, Second},
        plan::Plan,
        probe::{Clash, Side},
        scope::Accuracy,
        start::{BatchError, Ended},
        state::{BatchState, Stage, TaskState},
        train::{Lockfiles, Train},
        work::{self, Ears, Errand, Harvest, Maker, News, Snap},
    },
    git::{diff, join, program::GitError, repo::Repo},
    journal::{
        runs::{self, RunDir},
        writer::Journal,
    },
    protocol::{
        batch::{Made, Step},
        event::{Event, Level, What},
        ids::{AgentId, Oid, RunId, TaskId},
        report::{CheckRun, DiffStat, RunEnd},
        usage::Micros,
    },
    subagent::{housing::Housing, sweep::Writer},
};

/// How many candidates the first train may have.
const FIRST_WINDOW: usize = 8;
/// How much of an earlier attempt is shown to the one who tries again, in bytes.
const MAX_SHOWN: usize = 16 << 10;

/// What a finished piece of work was.
enum Done {
    Run { task: usize, run: RunId, harvest: Box<Harvest> },
    Checked { tree: Oid, tasks: Vec<usize>, runs: Result<Vec<CheckRun>, String> },
    Judged { task: usize, tree: Oid, second: Result<Second, String> },
    Renewed { task: usize, on: Oid, work: Oid, made: Result<Renewed, String> },
    Probed { agent: AgentId, task: usize, found: Result<(Side, Vec<Clash>), GitError> },
}

type Reins = (RunId, UnboundedSender<Call>);

pub(super) struct Engine {
    repo: Repo,
    maker: Arc<dyn Maker>,
    housing: Arc<Housing>,
    journal: Journal,
    records: UnboundedReceiver<Event>,
    calls: UnboundedReceiver<Call>,
    news: UnboundedSender<News>,
    jobs: JoinSet<Done>,
    reins: (UnboundedSender<Reins>, UnboundedReceiver<Reins>),
    snaps: (UnboundedSender<Snap>, UnboundedReceiver<Snap>),
    probes: probing::Probes,
    /// The files that each task was expected to change before it began.
    foreseen: Vec<BTreeSet<String>>,
    /// The same, and those that it has changed so far.
    expected: Vec<BTreeSet<String>>,
    live: BTreeMap<RunId, UnboundedSender<Call>>,
    /// Tasks whose runs are in this process.
    at_work: BTreeSet<usize>,
    train: Option<Train>,
    window: usize,
    /// Trees whose checks run, and what ends them.
    checking: BTreeMap<Oid, CancellationToken>,
    /// A red candidate is looked at once more, or lock files are made anew; nothing else is decided
    /// about the train meanwhile.
    judging: bool,
    lockfiles: Lockfiles,
    /// Why nothing can land for now.
    held: Option<String>,
    stop: Option<RunEnd>,
    halt: CancellationToken,
}

impl Engine {
    pub(super) fn new(
        (repo, maker, housing): (Repo, Arc<dyn Maker>, Arc<Housing>),
        (journal, records, calls): (Journal, UnboundedReceiver<Event>, UnboundedReceiver<Call>),
        (news, foreseen): (UnboundedSender<News>, Vec<BTreeSet<String>>),
    ) -> Self {
        Self {
            snaps: mpsc::unbounded_channel(),
            probes: probing::Probes::default(),
            expected: foreseen.clone(),
            foreseen,
            repo,
            maker,
            housing,
            journal,
            records,
            calls,
            news,
            jobs: JoinSet::new(),
            reins: mpsc::unbounded_channel(),
            live: BTreeMap::new(),
            at_work: BTreeSet::new(),
            train: None,
            window: FIRST_WINDOW,
            checking: BTreeMap::new(),
            judging: false,
            lockfiles: Lockfiles::default(),
            held: None,
            stop: None,
            halt: CancellationToken::new(),
        }
    }

    /// Takes in what the journal has written meanwhile.
    pub(super) fn catch_up(&mut self, state: &mut BatchState) {
        while let Ok(event) = self.records.try_recv() {
            state.apply(&event);
            let _ = self.news.send(News { task: None, event });
        }
    }

    /// Works until nothing is left to do, or it is stopped.
    pub(super) async fn run(&mut self, mut state: BatchState) -> Result<Ended, BatchError> {
        loop {
            self.catch_up(&mut state);
            if self.stop.is_none() && self.step(&mut state).await? {
                continue;
            }
            if self.jobs.is_empty() && (self.stop.is_some() || !self.waits_for_orders(&state)) {
                break;
            }
            tokio::select! {
                Some(done) = self.jobs.join_next() => {
                    // A piece of work that panics has said so; its task goes on with a resume.
                    if let Ok(done) = done {
                        self.take(&state, done).await?;
                    }
                }
                Some(call) = self.calls.recv() => self.obey(&state, call).await?,
                Some((run, control)) = self.reins.1.recv() => self.hold_reins(run, control),
                Some(snap) = self.snaps.1.recv() => self.snapped(&state, snap),
            }
        }
        self.end(state).await
    }

    /// Takes the trees of the queue away.
    pub(super) async fn close(&self) {
        self.housing.close(Writer::Landed).await;
    }

    /// Does what can be done now; returns whether the state may have changed.
    async fn step(&mut self, state: &mut BatchState) -> Result<bool, BatchError> {
        let mut moved = self.queue(state).await?;
        while self.at_work.len() < state.started.workers && self.begin(state).await? {
            self.catch_up(state);
            moved = true;
        }
        Ok(moved)
    }

    /// Returns whether something is left that only an order can set going.
    fn waits_for_orders(&self, state: &BatchState) -> bool {
        state.paused && !state.queue().is_empty()
    }

    /// Begins the next task, or goes on with one whose process died; returns whether one was.
    async fn begin(&mut self, state: &BatchState) -> Result<bool, BatchError> {
        let left =
            |at: &usize| state.tasks[*at].stage == Stage::Working && !self.at_work.contains(at);
        let next = match (0..state.tasks.len()).find(left) {
            Some(task) => Some((task, state.tasks[task].cap)),
            None => Plan::of(state, &self.expected).next().map(|next| (next.task, next.cap)),
        };
        let Some((task, cap)) = next else { return Ok(false) };
        if let Some(branch) = &state.tasks[task].task.branch {
            return self.offer(state, (task, branch)).await;
        }
        let errand = self.errand(state, (task, cap))?;
        let step = Step::TaskStarted {
            task: TaskId::new(errand.task.id.clone()),
            run: errand.run.clone(),
            base: errand.base.clone(),
            cap,
        };
        self.tell(step).await?;
        let (news, reins) = (self.news.clone(), self.reins.0.clone());
        let ears = Ears { news, reins, snaps: self.snaps.0.clone() };
        let (maker, repo) = (self.maker.clone(), self.repo.clone());
        self.at_work.insert(task);
        self.jobs.spawn(async move {
            let run = errand.run.clone();
            let harvest = Box::new(work::work(maker, repo, errand, ears).await);
            Done::Run { task, run, harvest }
        });
        Ok(true)
    }

    /// Puts a branch that is there already into the queue.
    async fn offer(
        &self,
        state: &BatchState,
        (task, branch): (usize, &str),
    ) -> Result<bool, BatchError> {
        let name = id(state, task);
        let Some(commit) = self.repo.tip(branch)? else {
            let text = format!("{name} is taken out: there is no branch `{branch}`");
            self.note(Level::Warning, text).await?;
            self.tell(Step::Dropped { task: name }).await?;
            return Ok(true);
        };
        let tip = self.repo.tip(&state.started.target)?;
        let tip = tip.unwrap_or_else(|| state.started.tip.clone());
        let Some(base) = join::merge_base(&self.repo, &tip, &commit)? else {
            // Beside any commit of the target it would be the order to delete everything.
            let target = &state.started.target;
            let text = format!("{name} is taken out: `{branch}` and `{target}` share no history");
            self.note(Level::Warning, text).await?;
            self.tell(Step::Dropped { task: name }).await?;
            return Ok(true);
        };
        let stat = diff::stat(&self.repo, &base, &commit)?;
        let files =
            stat.files.into_iter().map(|file| (file.path, file.added as u64, file.removed as u64));
        let stat = DiffStat { files: files.collect() };
        let made = Made { commit, base, branch: branch.to_owned(), stat, checked: Vec::new() };
        self.tell(Step::Offered { task: name, made: Box::new(made) }).await?;
        Ok(true)
    }

    fn errand(
        &self,
        state: &BatchState,
        (task, cap): (usize, Option<Micros>),
    ) -> Result<Errand, BatchError> {
        let of = &state.tasks[task];
        let tip = self.repo.tip(&state.started.target)?;
        let base = tip.unwrap_or_else(|| state.started.tip.clone());
        let state_dir = self.repo.state_dir();
        // A run that was killed before its first record is none.
        let born = |run: &&RunId| {
            let path = runs::folder(&state_dir).join(run.as_str());
            !path.exists() || RunDir { id: (*run).clone(), path, started: 0 }.first().is_some()
        };
        let last = of.runs.last().filter(|_| of.resumable).filter(born);
        let run = last.cloned().unwrap_or_else(|| runs::new_id(&state_dir));
        Ok(Errand { task: of.task.clone(), text: self.text(of), run, base, cap })
    }

    /// Returns the issue; who tries again is shown what came of the last attempt.
    fn text(&self, of: &TaskState) -> String {
        let mut text = of.task.text();
        let (Some(back), Some(Made { base, commit, .. })) = (&of.back, &of.made) else {
            return text;
        };
        text.push_str("\n\nThis was done before, on an older state of the repository, and could not land: it ");
        text.push_str(&back.words());
        text.push_str(".\nDo it anew on the files as they are now.");
        if let Ok(diff) = diff::unified(&self.repo, base, commit) {
            let end = diff.floor_char_boundary(diff.len().min(MAX_SHOWN));
            text.push_str(" The earlier change was:\n\n```diff\n");
            text.push_str(&diff[..end]);
            text.push_str("\n```\n");
        }
        text
    }

    /// Takes note of finished work.
    async fn take(&mut self, state: &BatchState, done: Done) -> Result<(), BatchError> {
        match done {
            Done::Run { task, run, harvest } => {
                self.at_work.remove(&task);
                self.live.remove(&run);
                self.forget(task);
                let Harvest { end, made, usage, cost, took_ms } = *harvest;
                let task = id(state, task);
                self.tell(Step::TaskEnded { task, run, end, made, usage, cost, took_ms }).await
            }
            Done::Checked { tree, tasks, runs } => {
                let token = self.checking.remove(&tree);
                if runs.is_err() && token.is_some_and(|token| token.is_cancelled()) {
                    return Ok(());
                }
                let tasks = tasks.into_iter().map(|task| id(state, task)).collect();
                match runs {
                    Ok(runs) => {
                        let ran = runs.len();
                        self.tell(Step::Checked { tree, tasks, runs, ran }).await
                    }
                    Err(why) => self.hold(why).await,
                }
            }
            Done::Judged { task, tree, second } => {
                self.judging = false;
                match second {
                    Ok(second) => self.judged(state, (task, tree), second).await,
                    Err(why) => self.hold(why).await,
                }
            }
            Done::Probed { agent, task, found } => self.probed(state, (agent, task), found).await,
            Done::Renewed { task, on, work, made } => {
                self.judging = false;
                match made {
                    Ok(made) => self.renewed(state, (task, on, work), made).await,
                    Err(why) => self.hold(why).await,
                }
            }
        }
    }

    /// Nothing lands any more in this process: what stands in the way is said, and a resume tries
    /// again.
    async fn hold(&mut self, why: String) -> Result<(), BatchError> {
        if self.stop.is_some() || self.held.is_some() {
            return Ok(());
        }
        let text = format!("nothing can land: {why}");
        self.held = Some(why);
        self.note(Level::Warning, text).await
    }

    /// Writes the last record if all is done, and says how it ended.
    async fn end(&mut self, mut state: BatchState) -> Result<Ended, BatchError> {
        self.catch_up(&mut state);
        let mut accuracy = Accuracy::default();
        for (task, foreseen) in state.tasks.iter().zip(&self.foreseen) {
            if let Some(made) = &task.made {
                let changed: Vec<_> = made.stat.files.iter().map(|file| file.0.clone()).collect();
                accuracy.count(foreseen, &changed);
            }
        }
        let held = self.held.take().map(RunEnd::Refused);
        let stopped = self.stop.take().or(held);
        if stopped.is_none() {
            let landed = state.tasks.iter().filter(|task| task.stage.is_done()).count();
            let tasks = state.tasks.len();
            let (cost, took_ms) = (state.cost(), state.took_so_far());
            self.tell(Step::Finished { landed, tasks, cost, took_ms }).await?;
            self.catch_up(&mut state);
        }
        self.journal.sync().await?;
        Ok(Ended { state, stopped, accuracy })
    }

    fn bench(&self, state: &BatchState, halt: CancellationToken) -> Bench {
        let deadline = Duration::from_millis(state.started.check_timeout_ms);
        Bench { housing: self.housing.clone(), deadline, halt }
    }

    fn hold_reins(&mut self, run: RunId, control: UnboundedSender<Call>) {
        if self.stop.is_some() {
            let _ = control.send(Call { command: Command::Cancel, reply: None });
        }
        self.live.insert(run, control);
    }

    async fn tell(&self, step: Step) -> Result<(), BatchError> {
        self.journal.append(None, None, What::Batch(Box::new(step))).await?;
        Ok(())
    }

    async fn note(&self, level: Level, text: String) -> Result<(), BatchError> {
        self.journal.append(None, None, What::Note { level, text }).await?;
        Ok(())
    }
}

fn id(state: &BatchState, task: usize) -> TaskId {
    TaskId::new(state.tasks[task].task.id.clone())
}
