//! The list of tasks that the agents of a run share: a fold of records, and what a wish comes to.
//! Pure.
//!
//! A task is open, claimed by one agent, or done. What an agent has claimed is its own as long as it
//! is at work: the record of its end opens the task again, and no other record is needed for that.
//! A call that is made again, because a process died between its record and its answer, is known.

use std::{collections::BTreeMap, ops::RangeBounds};

use serde::Serialize;

use crate::protocol::{
    event::{Event, What},
    ids::{AgentId, NodeId},
    mail::Sender,
    task_list::{Change, TaskChanged, Wish},
};

/// Tasks of the longest list.
const MAX_TASKS: u32 = 200;
/// Characters of the longest task, and of what came of one.
const MAX_TEXT: usize = 2_000;

/// How a task stands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum TaskState {
    /// Nobody works on it.
    #[default]
    Open,
    /// An agent works on it.
    Claimed {
        /// Which one.
        by: AgentId,
    },
    /// An agent has done it.
    Done {
        /// Which one.
        by: AgentId,
        /// What came of it; may be empty.
        note: String,
    },
}

/// A task on the list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ListedTask {
    /// Its number, from 1.
    pub id: u32,
    /// What is to be done.
    pub text: String,
    /// How it stands.
    #[serde(flatten)]
    pub state: TaskState,
}

/// The list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TaskList {
    tasks: BTreeMap<u32, ListedTask>,
    /// The calls that changed it, each with the task.
    calls: BTreeMap<Sender, u32>,
}

impl TaskList {
    /// Takes in one record.
    pub fn apply(&mut self, event: &Event) {
        match (&event.what, &event.agent, &event.node) {
            (What::TaskChanged(changed), Some(agent), _) => self.change(agent, changed),
            (What::NodeFinished { attempt, .. }, _, Some(node)) => self.free(node, ..=*attempt),
            (What::NodeStarted { attempt, .. }, _, Some(node)) => self.free(node, ..*attempt),
            _ => {}
        }
    }

    fn change(&mut self, agent: &AgentId, TaskChanged { id, call, change }: &TaskChanged) {
        self.calls.insert(Sender { agent: agent.clone(), call: call.clone() }, *id);
        if let Change::Added { text } = change {
            let task = ListedTask { id: *id, text: text.clone(), state: TaskState::Open };
            self.tasks.insert(*id, task);
        }
        let Some(task) = self.tasks.get_mut(id) else { return };
        task.state = match change {
            Change::Added { .. } | Change::Dropped => TaskState::Open,
            Change::Claimed => TaskState::Claimed { by: agent.clone() },
            Change::Done { text } => TaskState::Done { by: agent.clone(), note: text.clone() },
        };
    }

    /// Opens what these attempts of a node had claimed.
    fn free(&mut self, node: &NodeId, attempts: impl RangeBounds<u32>) {
        for task in self.tasks.values_mut() {
            let ended = |by: &AgentId| {
                by.node() == *node && by.attempt().is_some_and(|n| attempts.contains(&n))
            };
            if matches!(&task.state, TaskState::Claimed { by } if ended(by)) {
                task.state = TaskState::Open;
            }
        }
    }

    /// Returns the tasks by number.
    pub fn all(&self) -> impl Iterator<Item = &ListedTask> {
        self.tasks.values()
    }

    /// Returns what a wish changes; nothing if it changes nothing, or did already.
    ///
    /// # Errors
    ///
    /// Why it cannot be, for the agent.
    pub fn decide(&self, by: &Sender, wish: &Wish) -> Result<Option<TaskChanged>, String> {
        if self.calls.contains_key(by) {
            return Ok(None);
        }
        let (id, change) = match wish {
            Wish::List => return Ok(None),
            Wish::Add { text } => (self.next()?, Change::Added { text: one_line(text, "a task")? }),
            Wish::Claim { id } => (self.free_for(&by.agent, *id)?, Change::Claimed),
            Wish::Done { id, text } if text.is_empty() => {
                (self.own(&by.agent, *id)?, Change::Done { text: String::new() })
            }
            Wish::Done { id, text } => {
                (self.own(&by.agent, *id)?, Change::Done { text: one_line(text, "a word on it")? })
            }
            Wish::Drop { id } => (self.own(&by.agent, *id)?, Change::Dropped),
        };
        Ok(Some(TaskChanged { id, call: by.call.clone(), change }))
    }

    /// Returns what an agent is told: what its call changed, or the whole list.
    pub fn told(&self, by: &Sender) -> String {
        let line = |task: &ListedTask| line(task, &by.agent);
        let changed = self.calls.get(by).and_then(|id| self.tasks.get(id));
        let Some(task) = changed else {
            let all: Vec<_> = self.all().map(line).collect();
            return if all.is_empty() { "the list is empty".to_owned() } else { all.join("\n") };
        };
        let open = self.all().filter(|task| task.state == TaskState::Open);
        let open: Vec<_> = open.map(|task| task.id.to_string()).collect();
        let open = if open.is_empty() { "none".to_owned() } else { open.join(", ") };
        format!("{}\nopen: {open}", line(task))
    }

    fn next(&self) -> Result<u32, String> {
        match self.tasks.last_key_value().map_or(1, |(last, _)| last + 1) {
            next if next > MAX_TASKS => Err(format!("the list has {MAX_TASKS} tasks: no more fit")),
            next => Ok(next),
        }
    }

    fn get(&self, id: u32) -> Result<&ListedTask, String> {
        let none =
            || format!("there is no task {id}; the action `list` shows those that there are");
        self.tasks.get(&id).ok_or_else(none)
    }

    /// Returns the task that an agent may claim.
    fn free_for(&self, agent: &AgentId, id: Option<u32>) -> Result<u32, String> {
        let Some(id) = id else {
            let open = self.all().find(|task| task.state == TaskState::Open);
            return open.map(|task| task.id).ok_or_else(|| "no task is open".to_owned());
        };
        match &self.get(id)?.state {
            TaskState::Claimed { by } if by != agent => Err(format!("{by} works on task {id}")),
            TaskState::Done { by, .. } => Err(format!("{by} has done task {id}")),
            TaskState::Open | TaskState::Claimed { .. } => Ok(id),
        }
    }

    /// Returns the task if the agent has claimed it.
    fn own(&self, agent: &AgentId, id: u32) -> Result<u32, String> {
        match &self.get(id)?.state {
            TaskState::Claimed { by } if by == agent => Ok(id),
            TaskState::Claimed { by } => Err(format!("{by} works on task {id}, not you")),
            TaskState::Done { by, .. } => Err(format!("{by} has done task {id}")),
            TaskState::Open => Err(format!("task {id} is not yours: claim it first")),
        }
    }
}

/// Returns a text in one line, so that no text can look like several tasks.
fn one_line(text: &str, what: &str) -> Result<String, String> {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.chars().count() {
        0 => Err(format!("`text` is empty; {what} is said in words")),
        n if n > MAX_TEXT => {
            Err(format!("`text` has {n} characters; {what} has at most {MAX_TEXT}"))
        }
        _ => Ok(line),
    }
}

/// Returns a task as the agent sees it.
fn line(ListedTask { id, text, state }: &ListedTask, agent: &AgentId) -> String {
    match state {
        TaskState::Open => format!("{id} [open] {text}"),
        TaskState::Claimed { by } if by == agent => format!("{id} [yours] {text}"),
        TaskState::Claimed { by } => format!("{id} [claimed by {by}] {text}"),
        TaskState::Done { by, note } if note.is_empty() => format!("{id} [done by {by}] {text}"),
        TaskState::Done { by, note } => format!("{id} [done by {by}] {text} -> {note}"),
    }
}

#[cfg(test)]
mod tests;
