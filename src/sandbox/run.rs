//! Commands of an agent: what is asked for, how it ended, why it could not run.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::protocol::plan::Plan;

/// A command for a place.
#[derive(Clone, Debug)]
pub struct Cmd {
    /// What is run.
    pub job: Job,
    /// The working directory, relative to the tree; empty for its root.
    pub cwd: String,
    /// Variables added to the scrubbed environment.
    pub env: Vec<(String, String)>,
    /// How long it may take.
    pub deadline: Duration,
    /// How many bytes of output are kept, the first 60 % and the last 40 %.
    pub max_output: usize,
}

/// What a command runs.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub enum Job {
    /// A text for the shell.
    Script(String),
    /// Programs that are started without any shell.
    Plan(Plan),
}

impl Cmd {
    /// Returns a command in the tree's root with two minutes and 64 KiB of output.
    pub fn new(script: &str) -> Self {
        Self {
            job: Job::Script(script.to_owned()),
            cwd: String::new(),
            env: Vec::new(),
            deadline: Duration::from_secs(120),
            max_output: 64 << 10,
        }
    }
}

/// What a command did.
#[derive(Clone, Debug, PartialEq)]
pub struct Ran {
    /// How it ended.
    pub end: RanEnd,
    /// Standard output and error as they came, cut in the middle.
    pub output: Vec<u8>,
    /// How many bytes were cut.
    pub dropped: u64,
    /// How long it ran.
    pub took_ms: u64,
}

/// How a command ended.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum RanEnd {
    /// It exited with this code.
    Exit(i32),
    /// A signal ended it.
    Signal(i32),
    /// Its deadline passed; everything it had started was ended.
    Deadline,
}

/// Why a command has no result.
#[derive(Debug, Error)]
pub enum RunError {
    /// The sandbox itself could not start.
    #[error("the sandbox cannot start: {why}")]
    Start {
        /// The step that failed and the system's answer.
        why: String,
    },
    /// The sandbox ended under the command.
    #[error("the sandbox ended while a command ran: {why}")]
    Lost {
        /// What was seen of it.
        why: String,
    },
    /// The command could not be started.
    #[error("cannot start the command: {why}")]
    Refused {
        /// The reason.
        why: String,
    },
    /// The caller cancelled it; everything it had started was ended.
    #[error("the command was cancelled")]
    Cancelled,
    /// The place is closed.
    #[error("the place is closed")]
    Closed,
}
