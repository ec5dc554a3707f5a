//! What a node returns: status, findings, carries, review.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::protocol::{event::Kept, ids::Oid, usage::Usage};

/// How a node ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// It did what its role asks for.
    Succeeded,
    /// It did not; the summary says why.
    Failed,
}

/// What a node returns to the coordinator.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// How it ended.
    pub status: Status,
    /// What happened, at most 2,000 characters.
    pub summary: String,
    /// Typed values for the nodes that follow, by carry name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub carries: BTreeMap<String, Value>,
    /// Claims with evidence.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<Finding>,
    /// The commit that a writer's work became.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<Oid>,
    /// What a reviewer said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub review: Option<Review>,
    /// The conversation it ended with, as JSON, for those that fork from it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<Kept>,
    /// Why it failed, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// Tokens used by this node.
    #[serde(default)]
    pub usage: Usage,
}

impl Outcome {
    /// Returns a failed outcome without anything to carry.
    pub fn failed(failure: Failure, summary: impl Into<String>) -> Self {
        Self { status: Status::Failed, failure: Some(failure), ..Self::succeeded(summary) }
    }

    /// Returns a successful outcome without anything to carry.
    pub fn succeeded(summary: impl Into<String>) -> Self {
        Self {
            status: Status::Succeeded,
            summary: summary.into(),
            carries: BTreeMap::new(),
            findings: Vec::new(),
            commit: None,
            review: None,
            context: None,
            failure: None,
            usage: Usage::default(),
        }
    }
}

/// Why a node failed; the exit code of a run follows from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Failure {
    /// The agent gave up, reached its turn limit, or its work did not hold.
    NotResolved,
    /// The agent did the same over and over.
    Stuck,
    /// A permission was refused or an approval is needed.
    Refused,
    /// A budget is used up.
    Budget,
    /// The work does not merge with the target.
    Conflict,
    /// Provider, sandbox or disk.
    Infrastructure,
    /// Cancelled by the user.
    Cancelled,
}

/// A place in the code that shows a claim.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Evidence {
    /// Path in the tree.
    pub path: String,
    /// First line, from 1.
    pub from: u32,
    /// Last line, inclusive.
    pub to: u32,
}

/// A claim with evidence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// `node#n`, unique in a run; set by the scaffold.
    #[serde(default)]
    pub id: String,
    /// What is claimed.
    pub claim: String,
    /// Where it can be seen.
    pub evidence: Vec<Evidence>,
}

/// What a reviewer said, with what it did to know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Review {
    /// Whether the reviewer lets the candidate pass.
    pub pass: bool,
    /// What must be mended before it may land.
    pub must_fix: Vec<String>,
    /// Lines the reviewer refers to and was shown; of a pass, those in files that changed.
    pub cites: Vec<Evidence>,
    /// Files it read, counted by the scaffold.
    pub read: u32,
    /// Runs of the checks it made, counted by the scaffold.
    pub ran: u32,
}

impl Review {
    /// Returns whether the review counts for nothing: it neither ran the checks nor cites a line
    /// that it read.
    pub fn is_weak(&self) -> bool {
        self.ran == 0 && (self.read == 0 || self.cites.is_empty())
    }
}
