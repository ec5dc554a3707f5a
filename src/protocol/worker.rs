//! What is told of somebody else's agent: its call, and its end.

use serde::{Deserialize, Serialize};

use crate::protocol::{
    event::Kept,
    ids::Oid,
    usage::{Micros, Usage},
};

/// A worker that is about to be called.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WorkerCall {
    /// Its name in the user's settings.
    pub worker: String,
    /// Its command; what it names in braces is put in when it is called.
    pub command: Vec<String>,
    /// The most milliseconds it may take.
    pub timeout_ms: u64,
}

/// What a worker says while it is at work.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WorkerNews {
    /// What it is.
    pub about: About,
    /// Its words.
    pub text: Kept,
}

/// What news of a worker are about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum About {
    /// What it says to its user.
    Message,
    /// What it does with a tool of its own.
    Call,
    /// What it means to do.
    Plan,
}

/// A worker that has ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WorkerEnd {
    /// Its name in the user's settings.
    pub worker: String,
    /// How its process ended.
    pub end: String,
    /// What it said of its work.
    pub summary: String,
    /// Why its work does not count, if it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// What it printed.
    pub output: Kept,
    /// Tokens it says it used.
    pub usage: Usage,
    /// Money it says it spent; none if it does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<Micros>,
    /// The snapshot commit after it, if the tree changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<Oid>,
    /// Milliseconds.
    pub took_ms: u64,
}
