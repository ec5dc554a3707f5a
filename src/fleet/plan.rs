//! Which task of a batch begins next, and why the others do not. Pure.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    fleet::state::{BatchState, Stage},
    protocol::usage::Micros,
};

/// Why a waiting task does not begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hold {
    /// A task that it needs has not landed yet.
    Needs(String),
    /// A task that it needs will never land.
    Lost(String),
    /// Another one that is being worked is expected to change the same files.
    Overlap {
        /// That one.
        with: String,
        /// One of the files.
        path: String,
    },
    /// What is left of the money is not enough, while others may still give some back.
    Money,
    /// No money is left.
    Spent,
}

impl Hold {
    /// Returns the reason in a line.
    pub fn words(&self) -> String {
        match self {
            Self::Needs(id) => format!("waits for {id}"),
            Self::Lost(id) => format!("needs {id}, which did not land"),
            Self::Overlap { with, path } => format!("{with} is expected to change {path} as well"),
            Self::Money => "waits for money that others have reserved".to_owned(),
            Self::Spent => "the budget of the batch is spent".to_owned(),
        }
    }

    /// Returns whether only the user can change that.
    pub fn is_final(&self) -> bool {
        matches!(self, Self::Lost(_) | Self::Spent)
    }
}

/// What the next task may begin with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Next {
    /// Its place.
    pub task: usize,
    /// The money it may spend; none means no cap.
    pub cap: Option<Micros>,
}

/// What decides over the tasks that wait.
#[derive(Debug)]
pub struct Plan<'a> {
    state: &'a BatchState,
    /// What each task is expected to change, by its place.
    foreseen: &'a [BTreeSet<String>],
    lost: BTreeMap<usize, usize>,
    /// The places of tasks whose changes are on their way.
    busy: Vec<usize>,
    /// Money that is neither spent nor reserved; none without a cap.
    left: Option<Micros>,
    reserved: Micros,
}

impl<'a> Plan<'a> {
    /// Returns the plan for a batch as it stands.
    pub fn of(state: &'a BatchState, foreseen: &'a [BTreeSet<String>]) -> Self {
        let reserved = reserved(state);
        let used = Micros(state.cost().0.saturating_add(reserved.0));
        let busy = |stage: &Stage| matches!(stage, Stage::Working | Stage::Queued);
        Self {
            state,
            foreseen,
            lost: state.lost(),
            busy: (0..state.tasks.len()).filter(|&at| busy(&state.tasks[at].stage)).collect(),
            left: state.started.max_cost.map(|all| all.saturating_sub(used)),
            reserved,
        }
    }

    /// Returns the task to begin now, if any may: the first in the order of the backlog.
    pub fn next(&self) -> Option<Next> {
        let mut free = self.waiting().filter(|&at| self.hold(at).is_none());
        free.next().map(|task| Next { task, cap: self.cap(task) })
    }

    /// Returns the tasks that wait, by place.
    pub fn waiting(&self) -> impl Iterator<Item = usize> {
        (0..self.state.tasks.len()).filter(|&at| self.state.tasks[at].stage == Stage::Waiting)
    }

    /// Returns why a waiting task does not begin.
    pub fn hold(&self, at: usize) -> Option<Hold> {
        self.needs(at).or_else(|| self.overlap(at)).or_else(|| self.money(at))
    }

    fn needs(&self, at: usize) -> Option<Hold> {
        let id = |at: usize| self.state.tasks[at].task.id.clone();
        if let Some(&cause) = self.lost.get(&at) {
            return Some(Hold::Lost(id(cause)));
        }
        let mut needs = self.state.tasks[at].task.needs.iter();
        let open = needs.find(|id| self.state.task(id).is_some_and(|task| !task.stage.is_done()));
        open.cloned().map(Hold::Needs)
    }

    fn overlap(&self, at: usize) -> Option<Hold> {
        let own = self.foreseen.get(at)?;
        self.busy.iter().find_map(|&other| {
            let of = &self.state.tasks[other];
            let path = match &of.made {
                // What it made is known.
                Some(made) if of.stage == Stage::Queued => {
                    made.stat.files.iter().map(|file| &file.0).find(|path| own.contains(*path))?
                }
                _ => self.foreseen.get(other)?.intersection(own).next()?,
            };
            Some(Hold::Overlap { with: of.task.id.clone(), path: path.clone() })
        })
    }

    fn money(&self, at: usize) -> Option<Hold> {
        let left = self.left?;
        let alone = self.reserved == Micros(0);
        match self.cap(at) {
            _ if left == Micros(0) && alone => Some(Hold::Spent),
            Some(cap) if cap > left => Some(Hold::Money),
            _ => None,
        }
    }

    /// Returns the money that a task may spend: its own cap, or what is left where nobody may give
    /// any back.
    fn cap(&self, at: usize) -> Option<Micros> {
        let own = self.state.tasks[at].task.budget.or(self.state.started.task_cost);
        let wanted = own.or(self.state.started.max_cost)?;
        match self.left {
            Some(left) if self.reserved == Micros(0) => Some(wanted.min(left)),
            _ => Some(wanted),
        }
    }
}

/// Returns the money that runs at work may still spend.
fn reserved(state: &BatchState) -> Micros {
    let working = state.tasks.iter().filter(|task| task.stage == Stage::Working);
    let open = working.map(|task| {
        let run = task.runs.last().and_then(|run| task.spent.get(run));
        let spent = run.map_or(Micros(0), |spent| spent.cost);
        task.cap.map_or(0, |cap| cap.saturating_sub(spent).0)
    });
    Micros(open.sum())
}

#[cfg(test)]
mod tests;
