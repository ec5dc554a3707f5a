//! How a batch stands: the fold of its journal. Pure.

use std::collections::{BTreeMap, BTreeSet};

use crate::protocol::{
    batch::{Back, BatchStarted, BatchTask, Made, Step, Trouble},
    event::{Event, What},
    ids::{Oid, RunId, TaskId},
    report::{Check, CheckReport, CheckRun, Origin, RunEnd},
    usage::{Micros, Usage},
};

/// Where a task is on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stage {
    /// It has not begun, or is to be worked anew.
    Waiting,
    /// A run works on it, or did so when the process died.
    Working,
    /// What it made waits for its landing.
    Queued,
    /// It stands on the target.
    Landed {
        /// Its commit there.
        commit: Oid,
    },
    /// The target had all of it already.
    Contained,
    /// Its run ended otherwise.
    Failed(RunEnd),
    /// The queue sent it back and it has no retry left; its work is on its branch.
    Parked(Back),
    /// The user took it out.
    Dropped,
}

impl Stage {
    /// Returns why the task has not landed; none where it has, may still, or was taken out.
    pub fn trouble(&self) -> Option<Trouble> {
        match self {
            Self::Failed(end) => Trouble::of_end(end),
            Self::Parked(back) => Some(Trouble::of_back(back)),
            _ => None,
        }
    }

    /// Returns whether nothing more happens to the task.
    pub fn is_final(&self) -> bool {
        !matches!(self, Self::Waiting | Self::Working | Self::Queued)
    }

    /// Returns whether the target has the task's work.
    pub fn is_done(&self) -> bool {
        matches!(self, Self::Landed { .. } | Self::Contained)
    }
}

/// One task and what became of it so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskState {
    /// The task.
    pub task: BatchTask,
    /// Where it is.
    pub stage: Stage,
    /// Its runs, the newest last.
    pub runs: Vec<RunId>,
    /// The last run did not come to its end and can go on.
    pub resumable: bool,
    /// What waits for landing, or was sent back.
    pub made: Option<Made>,
    /// Why it was sent back, if it is to be worked anew.
    pub back: Option<Back>,
    /// How often it was tried again.
    pub retries: u32,
    /// Money reserved for the run that works on it.
    pub cap: Option<Micros>,
    /// When it came into the queue: the record's number.
    pub queued: u64,
    /// What each of its runs took, all processes together.
    pub spent: BTreeMap<RunId, Spent>,
}

/// What a run took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spent {
    /// Tokens.
    pub usage: Usage,
    /// Money.
    pub cost: Micros,
    /// Milliseconds.
    pub took_ms: u64,
}

impl TaskState {
    /// Returns what all its runs cost.
    pub fn cost(&self) -> Micros {
        Micros(self.spent.values().map(|spent| spent.cost.0).sum())
    }

    /// Returns the milliseconds that all its runs took.
    pub fn took_ms(&self) -> u64 {
        self.spent.values().map(|spent| spent.took_ms).sum()
    }

    pub(super) fn new(task: BatchTask) -> Self {
        Self {
            task,
            stage: Stage::Waiting,
            runs: Vec::new(),
            resumable: false,
            made: None,
            back: None,
            retries: 0,
            cap: None,
            queued: 0,
            spent: BTreeMap::new(),
        }
    }
}

/// A move of the target that was begun.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Move {
    /// What it brings, each task with its commit.
    pub tasks: Vec<(TaskId, Oid)>,
    /// Where the target stood.
    pub from: Option<Oid>,
    /// Where it goes.
    pub to: Oid,
}

/// A batch.
#[derive(Clone, Debug)]
pub struct BatchState {
    /// How it was started.
    pub started: BatchStarted,
    /// Its tasks, in the order of the backlog.
    pub tasks: Vec<TaskState>,
    /// The places of tasks by id.
    index: BTreeMap<String, usize>,
    /// The places of the tasks that need each one.
    needed_by: Vec<Vec<usize>>,
    /// What checks said, by tree and command.
    checked: BTreeMap<(Oid, String), CheckRun>,
    /// Pairs of tasks whose works contradict each other, the one that was told first.
    pub collide: BTreeSet<(usize, usize)>,
    /// The landing that was begun and not finished.
    pub landing: Option<Move>,
    /// How many landings there were.
    pub landings: usize,
    /// How many checks of the queue were run.
    pub check_runs: usize,
    /// Whether the queue stands.
    pub paused: bool,
    /// Whether it has ended.
    pub finished: bool,
    /// Milliseconds that earlier processes worked on it.
    took_ms: u64,
    begun: i64,
    last: i64,
}

impl BatchState {
    /// Returns a batch that has just begun.
    pub fn new(started: BatchStarted, tasks: Vec<BatchTask>, at: i64) -> Self {
        let index: BTreeMap<_, _> =
            tasks.iter().enumerate().map(|(at, task)| (task.id.clone(), at)).collect();
        let mut needed_by = vec![Vec::new(); tasks.len()];
        for (at, task) in tasks.iter().enumerate() {
            let needs = task.needs.iter().filter_map(|id| index.get(id));
            needs.for_each(|&need| needed_by[need].push(at));
        }
        Self {
            needed_by,
            started,
            tasks: tasks.into_iter().map(TaskState::new).collect(),
            index,
            checked: BTreeMap::new(),
            collide: BTreeSet::new(),
            landing: None,
            landings: 0,
            check_runs: 0,
            paused: false,
            finished: false,
            took_ms: 0,
            begun: at,
            last: at,
        }
    }

    /// Takes one record in.
    pub fn apply(&mut self, event: &Event) {
        let What::Batch(step) = &event.what else { return };
        if let Step::Resumed { .. } = **step {
            self.took_ms += self.last.abs_diff(self.begun);
            (self.begun, self.finished) = (event.at, false);
        }
        self.last = event.at;
        self.step(step, event.seq);
    }

    /// Returns the milliseconds that all processes worked on it so far.
    pub fn took_ms(&self, now: i64) -> u64 {
        self.took_ms + now.abs_diff(self.begun)
    }

    /// Returns the milliseconds up to the last record.
    pub fn took_so_far(&self) -> u64 {
        self.took_ms(self.last)
    }

    /// Returns the task of that name.
    pub fn task(&self, id: &str) -> Option<&TaskState> {
        self.tasks.get(*self.index.get(id)?)
    }

    /// Returns the place of the task of that name.
    pub fn place(&self, id: &str) -> Option<usize> {
        self.index.get(id).copied()
    }

    /// Returns the waiting tasks that can never begin, by place: each with the first one of its needs
    /// that did not land or cannot begin either.
    pub fn lost(&self) -> BTreeMap<usize, usize> {
        let failed = |stage: &Stage| stage.is_final() && !stage.is_done();
        let mut open: Vec<_> =
            (0..self.tasks.len()).filter(|&at| failed(&self.tasks[at].stage)).collect();
        let mut lost = BTreeMap::new();
        while let Some(at) = open.pop() {
            for &next in &self.needed_by[at] {
                let waits = self.tasks[next].stage == Stage::Waiting;
                if waits && lost.insert(next, at).is_none() {
                    open.push(next);
                }
            }
        }
        lost
    }

    /// Returns what the runs have cost so far.
    pub fn cost(&self) -> Micros {
        Micros(self.tasks.iter().map(|task| task.cost().0).sum())
    }

    /// Returns the places of the tasks that wait for landing, who came first first.
    pub fn queue(&self) -> Vec<usize> {
        let mut queue: Vec<_> =
            (0..self.tasks.len()).filter(|&at| self.tasks[at].stage == Stage::Queued).collect();
        queue.sort_by_key(|&at| self.tasks[at].queued);
        queue
    }

    /// Returns the checks that a target with these tasks must pass: the batch's, then those of all
    /// that have landed, then theirs.
    pub fn checks(&self, with: &[usize]) -> Vec<Check> {
        let landed = self.tasks.iter().filter(|task| task.stage.is_done());
        let own = landed.chain(with.iter().map(|&at| &self.tasks[at]));
        let named = own.flat_map(|task| &task.task.verify);
        let mut checks = self.started.checks.clone();
        for command in named {
            if !checks.iter().any(|check| check.command == *command) {
                checks.push(Check { command: command.clone(), origin: Origin::Named });
            }
        }
        checks
    }

    /// Returns what is known of those checks on a tree, and which of them are not known.
    pub fn known(&self, tree: &Oid, checks: &[Check]) -> (CheckReport, Vec<Check>) {
        let (mut report, mut open) = (CheckReport::default(), Vec::new());
        for check in checks {
            match self.checked.get(&(tree.clone(), check.command.clone())) {
                Some(run) => report.runs.push(run.clone()),
                None => open.push(check.clone()),
            }
        }
        (report, open)
    }

    fn step(&mut self, step: &Step, seq: u64) {
        match step {
            Step::TaskStarted { task, run, cap, .. } => self.begin(task, run, *cap),
            Step::TaskEnded { task, run, end, made, usage, cost, took_ms } => {
                if let Some(made) = made {
                    made.checked.iter().for_each(|(tree, runs)| self.learn(tree, runs));
                }
                let trouble = Trouble::of_end(end);
                let may = trouble.is_some_and(|trouble| self.may_retry(task, trouble));
                let Some(state) = self.of(task) else { return };
                // The run's own sums go over all its processes.
                let spent = Spent { usage: *usage, cost: *cost, took_ms: *took_ms };
                state.spent.insert(run.clone(), spent);
                state.ended(end, made.as_deref(), (seq, may));
            }
            Step::Offered { task, made } => {
                if let Some(state) = self.of(task) {
                    (state.made, state.stage) = (Some((**made).clone()), Stage::Queued);
                    (state.queued, state.resumable) = (seq, false);
                }
            }
            Step::Checked { tree, runs, ran, .. } => {
                self.check_runs += ran;
                self.learn(tree, runs);
            }
            Step::LandIntent { tasks, from, to } => {
                let (tasks, from, to) = (tasks.clone(), from.clone(), to.clone());
                self.landing = Some(Move { tasks, from, to });
            }
            Step::Landed { tasks, .. } => {
                (self.landing, self.landings) = (None, self.landings + 1);
                for (task, commit) in tasks {
                    self.set(task, Stage::Landed { commit: commit.clone() });
                }
            }
            Step::Missed { .. } => self.landing = None,
            Step::Collides { task, with, .. } => {
                let pair = (self.place(task.as_str()), self.place(with.as_str()));
                if let (Some(task), Some(with)) = pair {
                    self.collide.insert((task, with));
                }
            }
            Step::Contained { task } => self.set(task, Stage::Contained),
            Step::SentBack { task, why } => self.send_back(task, why),
            Step::Dropped { task } => self.set(task, Stage::Dropped),
            Step::Retried { task } => self.set(task, Stage::Waiting),
            Step::Paused => self.paused = true,
            Step::Unpaused => self.paused = false,
            Step::Finished { .. } => self.finished = true,
            Step::Started(_) | Step::Resumed { .. } => {}
        }
    }

    fn of(&mut self, task: &TaskId) -> Option<&mut TaskState> {
        let at = *self.index.get(task.as_str())?;
        self.tasks.get_mut(at)
    }

    fn set(&mut self, task: &TaskId, stage: Stage) {
        if let Some(state) = self.of(task) {
            state.stage = stage;
        }
    }

    fn begin(&mut self, task: &TaskId, run: &RunId, cap: Option<Micros>) {
        let Some(at) = self.place(task.as_str()) else { return };
        let state = &mut self.tasks[at];
        state.stage = Stage::Working;
        state.cap = cap;
        state.resumable = true;
        if state.runs.last() != Some(run) {
            state.runs.push(run.clone());
            // It begins where the target stands now.
            self.collide.retain(|(task, with)| *task != at && *with != at);
        }
    }

    fn send_back(&mut self, task: &TaskId, why: &Back) {
        let may = self.may_retry(task, Trouble::of_back(why));
        let Some(state) = self.of(task) else { return };
        state.back = Some(why.clone());
        // What was made by others nobody here can make anew.
        let ours =
            state.task.branch.is_none() && matches!(why, Back::Conflict { .. } | Back::Red { .. });
        let again = ours && may;
        state.stage = match again {
            true => Stage::Waiting,
            false => Stage::Parked(why.clone()),
        };
        state.retries += u32::from(again);
    }

    /// Returns whether a task with that trouble is worked anew by itself.
    fn may_retry(&self, task: &TaskId, trouble: Trouble) -> bool {
        let tried = self.task(task.as_str()).map_or(u32::MAX, |task| task.retries);
        tried < self.started.retries && self.started.retry_on.contains(&trouble)
    }

    fn learn(&mut self, tree: &Oid, runs: &[CheckRun]) {
        for run in runs {
            self.checked.insert((tree.clone(), run.check.command.clone()), run.clone());
        }
    }
}

impl TaskState {
    fn ended(&mut self, end: &RunEnd, made: Option<&Made>, (seq, again): (u64, bool)) {
        self.resumable = matches!(
            end,
            RunEnd::Infrastructure(_)
                | RunEnd::Budget(_)
                | RunEnd::Interrupted
                | RunEnd::Refused(_)
        );
        self.made = made.cloned();
        self.stage = match end {
            RunEnd::Landed { .. } if made.is_some() => Stage::Queued,
            // A stop is no end: the run goes on with the batch.
            RunEnd::Interrupted => Stage::Working,
            _ if again => {
                self.retries += 1;
                Stage::Waiting
            }
            end => Stage::Failed(end.clone()),
        };
        self.queued = seq;
    }
}
