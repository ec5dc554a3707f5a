//! What an agent hands in at its end: the arguments of `finish`.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::protocol::outcome::{Evidence, Status};

/// The arguments of `finish`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FinishInput {
    /// How the work ended.
    pub status: Status,
    /// What was done or found, and why.
    pub summary: String,
    /// Values for the nodes that follow, by carry name.
    #[serde(default)]
    pub carry: Map<String, Value>,
    /// What became of each finding.
    #[serde(default)]
    pub findings_used: Vec<FindingUsed>,
    /// A reviewer's word.
    #[serde(default)]
    pub verdict: Option<Verdict>,
    /// What a reviewer wants mended.
    #[serde(default)]
    pub must_fix: Vec<String>,
    /// Lines that are referred to.
    #[serde(default)]
    pub evidence: Vec<Evidence>,
}

/// What a synthesis did with one finding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FindingUsed {
    /// The finding's id.
    pub id: String,
    /// What became of it.
    pub r#use: Use,
    /// Why.
    #[serde(default)]
    pub reason: String,
}

/// What can become of a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Use {
    /// It decides.
    Used,
    /// It went into another one.
    Merged,
    /// It does not hold or does not matter.
    Rejected,
}

/// A reviewer's word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// The candidate may land.
    Pass,
    /// It may not.
    Fail,
}
