//! A batch: many tasks worked side by side, and the queue that lands them on one target.
//!
//! `Step` is what the journal of a batch holds, as the bodies of its `batch` records. Everything a
//! resume needs is in them and in the journals of the runs that they name.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::protocol::{
    event::Kept,
    ids::{Oid, RunId, TaskId},
    report::{Check, CheckRun, DiffStat, RunEnd},
    usage::{Micros, Usage},
};

/// One task of a batch.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchTask {
    /// Its name, unique in the batch.
    pub id: String,
    /// What it is, in a line.
    #[serde(default)]
    pub title: String,
    /// The issue.
    #[serde(default)]
    pub body: String,
    /// The files it is expected to change, as globs; empty when nobody said.
    #[serde(default)]
    pub scope: Vec<String>,
    /// Tasks that must have landed before it begins.
    #[serde(default)]
    pub needs: Vec<String>,
    /// Check commands of its own, besides those of the batch.
    #[serde(default)]
    pub verify: Vec<String>,
    /// The repository it is for: its folder, or the place of a remote or the end of it; none means
    /// that of the batch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repo: Option<String>,
    /// A branch that holds the work already: nobody works it anew, it is only checked and landed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branch: Option<String>,
    /// The model; none takes the batch's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The workflow; none takes the batch's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workflow: Option<String>,
    /// The most money it may spend; none takes the batch's share for a task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<Micros>,
}

impl BatchTask {
    /// Returns the whole text of the issue: its title, then its body.
    pub fn text(&self) -> String {
        match (self.title.trim(), self.body.trim()) {
            ("", body) => body.to_owned(),
            (title, "") => title.to_owned(),
            (title, body) => format!("{title}\n\n{body}"),
        }
    }

    /// Returns the message of a commit that joins several of its own.
    pub fn message(&self) -> String {
        let text = self.text();
        match &self.branch {
            Some(branch) if text.is_empty() => format!("Land {branch}\n"),
            _ => format!("{}\n", text.trim_end()),
        }
    }

    /// Returns the line that names it.
    pub fn headline(&self) -> &str {
        let first = self.body.trim().lines().next().unwrap_or_default();
        [self.title.trim(), first].into_iter().find(|text| !text.is_empty()).unwrap_or(&self.id)
    }
}

/// What the history of the target shows of a task's work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Style {
    /// One commit with all of it.
    #[default]
    Squash,
    /// A merge, beside which the commits of the work stand as they were made.
    Merge,
    /// The commits of the work, each made once more on the one before it.
    Rebase,
    /// The commits of the work themselves; those of a branch that was there already are never made
    /// anew.
    #[serde(rename = "ff")]
    FastForward,
}

/// How a batch was started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchStarted {
    /// The tasks, as JSON of a list of [`BatchTask`].
    pub tasks: Kept,
    /// What all runs have in common, as JSON of whoever made the batch.
    pub settings: Kept,
    /// The branch that receives.
    pub target: String,
    /// Where it stood, or where it begins.
    pub tip: Oid,
    /// Whether it was there already.
    #[serde(default)]
    pub found: bool,
    /// Checks that every landing must pass.
    pub checks: Vec<Check>,
    /// The most milliseconds one check may take.
    pub check_timeout_ms: u64,
    /// How many tasks are worked at once.
    pub workers: usize,
    /// How many checks of the queue run at once.
    pub slots: usize,
    /// The most money for all tasks together; none means no cap.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_cost: Option<Micros>,
    /// The most money for one task; none means no cap.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task_cost: Option<Micros>,
    /// What the history of the target shows of each task.
    #[serde(default)]
    pub style: Style,
    /// The template of the message of what lands in a commit of grafter's; none takes that of the
    /// work, or the task's text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Files that their own tools make anew where a merge conflicts in nothing else, each with the
    /// command.
    #[serde(default)]
    pub lockfiles: BTreeMap<String, String>,
    /// Files that nothing of this batch may change, as globs.
    #[serde(default)]
    pub protected: Vec<String>,
    /// How often a task is worked anew after it was sent back by the queue, or its run broke down.
    pub retries: u32,
    /// What a task is worked anew for.
    #[serde(default = "usual")]
    pub retry_on: Vec<Trouble>,
}

/// What a run has made that waits for its landing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Made {
    /// The commit that was verified.
    pub commit: Oid,
    /// The commit that it was built and verified on.
    pub base: Oid,
    /// The branch that holds it.
    pub branch: String,
    /// The lines it changes.
    pub stat: DiffStat,
    /// What its checks said on the base and on it, by the tree's object id; nothing where none ran.
    pub checked: Vec<(Oid, Vec<CheckRun>)>,
}

/// Why a task came back from the queue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Back {
    /// It contradicts what has landed.
    Conflict {
        /// The files that conflict, sorted.
        paths: Vec<String>,
    },
    /// On top of what has landed its checks fail.
    Red {
        /// Each reason in a line.
        reasons: Vec<String>,
    },
    /// It changes files that nothing of the batch may change.
    Protected {
        /// These files.
        paths: Vec<String>,
    },
    /// Its branch does not stand on the target, and must land as it is.
    Behind,
    /// Checks fail with it and, by now, without it as well.
    Unclear {
        /// Each reason in a line.
        reasons: Vec<String>,
    },
}

impl Back {
    /// Returns the reason in a line.
    pub fn words(&self) -> String {
        match self {
            Self::Conflict { paths } => {
                format!("conflicts with the target in {}", paths.join(", "))
            }
            Self::Red { reasons } => {
                format!("its checks fail on top of the target: {}", reasons.join("; "))
            }
            Self::Protected { paths } => {
                format!(
                    "changes what is protected, which you must land yourself: {}",
                    paths.join(", ")
                )
            }
            Self::Behind => "its branch does not stand on the target, so it cannot land as it is: \
                             rebase it, or use --land rebase"
                .to_owned(),
            Self::Unclear { reasons } => {
                format!("checks that fail on the target as well: {}", reasons.join("; "))
            }
        }
    }
}

/// Why a task has not landed, as far as it can be tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Trouble {
    /// It contradicts what has landed.
    Conflict,
    /// On top of what has landed its checks fail.
    Red,
    /// Its run broke down: the provider, the sandbox, the disk.
    Broken,
    /// Its run made nothing that could be verified.
    Failed,
    /// Its run reached a budget.
    Budget,
    /// A rule refused it, or it changes what is protected.
    Refused,
}

impl Trouble {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Conflict, Self::Red, Self::Broken, Self::Failed, Self::Budget, Self::Refused];
    /// What a task is worked anew for where nobody says.
    pub const USUAL: [Self; 3] = [Self::Conflict, Self::Red, Self::Broken];

    /// Returns why a run made nothing that can land; none where it did, or was stopped.
    pub fn of_end(end: &RunEnd) -> Option<Self> {
        match end {
            RunEnd::Landed { .. } | RunEnd::Reported | RunEnd::Interrupted => None,
            RunEnd::NotResolved(_) => Some(Self::Failed),
            RunEnd::Refused(_) => Some(Self::Refused),
            RunEnd::Budget(_) => Some(Self::Budget),
            RunEnd::Conflict(_) => Some(Self::Conflict),
            RunEnd::Infrastructure(_) => Some(Self::Broken),
        }
    }

    /// Returns why the queue sent work back.
    pub fn of_back(back: &Back) -> Self {
        match back {
            Back::Conflict { .. } | Back::Behind => Self::Conflict,
            Back::Red { .. } | Back::Unclear { .. } => Self::Red,
            Back::Protected { .. } => Self::Refused,
        }
    }
}

fn usual() -> Vec<Trouble> {
    Trouble::USUAL.to_vec()
}

/// What happens in a batch; `step` is the tag.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "snake_case")]
pub enum Step {
    /// The first record.
    Started(Box<BatchStarted>),
    /// A process took the batch up again.
    Resumed {
        /// Its process id.
        pid: u32,
    },
    /// A run of a task is about to begin.
    TaskStarted {
        /// The task.
        task: TaskId,
        /// Its run.
        run: RunId,
        /// The commit it starts from.
        base: Oid,
        /// The money reserved for it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cap: Option<Micros>,
    },
    /// A run of a task ended.
    TaskEnded {
        /// The task.
        task: TaskId,
        /// Its run.
        run: RunId,
        /// How.
        end: RunEnd,
        /// What waits for landing now, if it made something.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        made: Option<Box<Made>>,
        /// What it used.
        usage: Usage,
        /// What it cost.
        cost: Micros,
        /// Milliseconds it took.
        took_ms: u64,
    },
    /// The work of a task is there already, on its branch.
    Offered {
        /// The task.
        task: TaskId,
        /// What waits for landing.
        made: Box<Made>,
    },
    /// Checks ran on a tree of the queue.
    Checked {
        /// The tree.
        tree: Oid,
        /// The tasks that are in it beyond the target's tip; none for the tip itself.
        tasks: Vec<TaskId>,
        /// What they said.
        runs: Vec<CheckRun>,
        /// How many commands were run for that.
        ran: usize,
    },
    /// A task that is being worked contradicts what another one has made so far.
    Collides {
        /// The one that lands later, and was told.
        task: TaskId,
        /// The other one.
        with: TaskId,
        /// The files, sorted.
        paths: Vec<String>,
    },
    /// The target is about to move.
    LandIntent {
        /// The tasks that it receives, each with its commit on the target.
        tasks: Vec<(TaskId, Oid)>,
        /// Where it stands; none if it is to be made.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        from: Option<Oid>,
        /// Where it shall stand.
        to: Oid,
    },
    /// The target has moved.
    Landed {
        /// The tasks it received, each with its commit on the target.
        tasks: Vec<(TaskId, Oid)>,
        /// Where it stands.
        to: Oid,
    },
    /// Somebody else had moved the target; nothing was changed.
    Missed {
        /// Where it stands; none when it is gone.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        found: Option<Oid>,
    },
    /// The target has all of a task already.
    Contained {
        /// The task.
        task: TaskId,
    },
    /// The queue sends a task back: to be worked anew if it has a retry left.
    SentBack {
        /// The task.
        task: TaskId,
        /// Why.
        why: Back,
    },
    /// The user took a task out.
    Dropped {
        /// The task.
        task: TaskId,
    },
    /// The user wants a task to be tried once more.
    Retried {
        /// The task.
        task: TaskId,
    },
    /// The queue lands nothing until further notice.
    Paused,
    /// The queue goes on.
    Unpaused,
    /// The last record: nothing is left to do.
    Finished {
        /// How many tasks have landed, or were there already.
        landed: usize,
        /// How many there are.
        tasks: usize,
        /// What all of it cost.
        cost: Micros,
        /// Milliseconds, all processes of the batch together.
        took_ms: u64,
    },
}
