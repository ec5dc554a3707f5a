//! The list of tasks that the agents of a run share: what an agent wants of it, and what changes it.

use serde::{Deserialize, Serialize};

use crate::protocol::ids::CallId;

/// What an agent wants of the list: the arguments of the tool `tasks`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case")]
pub enum Wish {
    /// To see it.
    List,
    /// One task more.
    Add {
        /// What is to be done.
        text: String,
    },
    /// A task for itself.
    Claim {
        /// Which one; the first that is open without it.
        id: Option<u32>,
    },
    /// Its task is done.
    Done {
        /// Which one.
        id: u32,
        /// What came of it.
        #[serde(default)]
        text: String,
    },
    /// Its task is open again.
    Drop {
        /// Which one.
        id: u32,
    },
}

/// A change of the list, made by the agent of the record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskChanged {
    /// The number of the task, from 1.
    pub id: u32,
    /// The call that made it; one that is made again changes nothing.
    pub call: CallId,
    /// What changed.
    #[serde(flatten)]
    pub change: Change,
}

/// What can change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "change", rename_all = "snake_case")]
pub enum Change {
    /// It is new.
    Added {
        /// What is to be done.
        text: String,
    },
    /// The agent works on it.
    Claimed,
    /// The agent has done it.
    Done {
        /// What came of it.
        text: String,
    },
    /// The agent gives it back.
    Dropped,
}
