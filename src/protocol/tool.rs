//! What a tool is: one row of the table that every dialect is rendered from.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::protocol::task::Phase;

/// What a tool does to the world; scheduling and phase capability use it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Class {
    /// Only looks; consecutive ones run concurrently.
    Read,
    /// Changes files of the tree; a barrier.
    Write,
    /// Runs a command; a barrier.
    Exec,
    /// Talks to the scaffold.
    Control,
}

/// How bad a mistake can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Risk {
    /// Looks or talks to the scaffold.
    Low,
    /// Changes the agent's own tree.
    Medium,
    /// Cannot be undone by a snapshot.
    High,
}

/// One tool.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ToolSpec {
    /// The name the model calls it by.
    pub name: String,
    /// What the model is told about it.
    pub description: String,
    /// What it does to the world.
    pub class: Class,
    /// Its risk before the arguments are looked at.
    pub risk: Risk,
    /// The phases in which it may be called.
    pub phases: Vec<Phase>,
    /// JSON Schema of the arguments: an object with `properties` and `required`.
    pub parameters: Value,
    /// Deadline of one call in milliseconds.
    pub timeout_ms: u64,
    /// Cap of what the model sees of a result, in bytes.
    pub max_output: usize,
    /// Whether only an agent has it whose workflow names it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub named: bool,
}

/// All tools, sorted by name.
#[derive(Clone, Debug, PartialEq)]
pub struct Catalogue(pub Vec<ToolSpec>);

impl Catalogue {
    /// Returns the tool of that name.
    pub fn get(&self, name: &str) -> Option<&ToolSpec> {
        self.0.iter().find(|spec| spec.name == name)
    }

    /// Returns the names, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|spec| spec.name.as_str())
    }
}
