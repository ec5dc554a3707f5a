//! What a command line starts, where no shell is needed to start it.
//!
//! Made by the guard's parser, carried out by the sandbox. Whoever carries a plan out starts in the
//! command's directory, takes the pipelines in order, and skips one whose condition the last status
//! does not meet.

use serde::{Deserialize, Serialize};

/// What to start, without any shell.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// In order.
    pub steps: Vec<Step>,
}

/// One pipeline, or a change of the working directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// When it is run.
    pub when: When,
    /// What is run.
    pub act: Act,
}

/// When a step is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum When {
    /// In any case.
    Always,
    /// If the status is 0.
    Success,
    /// If the status is another.
    Failure,
}

/// What a step does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Act {
    /// Changes the working directory of the steps after it; its status is 1 if that is impossible.
    Cd(String),
    /// Starts programs joined by pipes; its status is that of the last one.
    Pipeline(Vec<Start>),
}

/// One program to start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Start {
    /// Variables that only this program gets.
    pub env: Vec<(String, String)>,
    /// The program and its arguments, at least one.
    pub argv: Vec<String>,
    /// In the order in which they take effect.
    pub redirects: Vec<Open>,
}

/// Where a file descriptor of a program leads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Open {
    /// 0, 1 or 2.
    pub fd: u32,
    /// Where to.
    pub to: To,
}

/// The other end of a file descriptor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum To {
    /// Reads a file.
    Read(String),
    /// Makes a file, or empties it.
    Write(String),
    /// Makes a file, or adds to it.
    Append(String),
    /// What this other descriptor is at this moment.
    Same(u32),
}
