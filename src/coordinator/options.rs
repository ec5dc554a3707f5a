//! What the user may set for one run; stored with the run, so that a resume uses the same.

use serde::{Deserialize, Serialize};

use crate::{
    agent::progress::Stuck,
    guard::tripwire::Tripwire,
    protocol::{
        ids::Oid,
        report::Check,
        task::{EditFormat, Mode},
        usage::Micros,
    },
};

/// The limits and choices of one run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Options {
    /// The most money a run may spend; none means no cap.
    pub max_cost: Option<Micros>,
    /// The most tokens, in and out; none means no cap.
    pub max_tokens: Option<u64>,
    /// The most model calls.
    pub max_turns: u32,
    /// The most wall time in milliseconds, all processes of the run together.
    pub timeout_ms: u64,
    /// The checks, named or detected.
    pub checks: Vec<Check>,
    /// The most time one check may take, in milliseconds.
    pub check_timeout_ms: u64,
    /// How much agents may do without asking.
    pub mode: Mode,
    /// The edit format for all writers; none takes the node's or the model's own.
    pub edit_format: Option<EditFormat>,
    /// The format that suits the model the run was started with; a resume with another model
    /// keeps it, because conversations go on in the form in which they were begun.
    #[serde(default)]
    pub model_format: EditFormat,
    /// Whether results of earlier runs may be used.
    pub reuse: Reuse,
    /// Whether a commit may land that nothing verified.
    pub unverified: Unverified,
    /// How many agents may work at once.
    pub max_agents: usize,
    /// When an agent gets nowhere.
    #[serde(default)]
    pub stuck: Stuck,
    /// Ignored folders of the checkout that agents see read-only, such as `node_modules`.
    pub share: Vec<String>,
    /// Whether checkpoints of the run's record are signed.
    #[serde(default)]
    pub sign: bool,
    /// Who does the work of all implementation nodes in the model's stead, by its name in the user's
    /// settings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker: Option<String>,
    /// The commit since which agents that only read see what has changed, up to the base.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Oid>,
    /// What gives an alarm in this run; nothing unless a user wants that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tripwire: Option<Tripwire>,
}

/// Whether stored results are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Reuse {
    /// A node whose content key is known is not run again.
    Known,
    /// Everything runs.
    Fresh,
}

/// Whether a commit may land that nothing verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Unverified {
    /// It lands, marked as unverified.
    Allow,
    /// It stays on its branch.
    Refuse,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            max_cost: Some(Micros(3_000_000)),
            max_tokens: None,
            max_turns: 250,
            timeout_ms: 60 * 60 * 1000,
            checks: Vec::new(),
            check_timeout_ms: 15 * 60 * 1000,
            mode: Mode::AllowEdits,
            edit_format: None,
            model_format: EditFormat::default(),
            reuse: Reuse::Known,
            unverified: Unverified::Refuse,
            max_agents: 8,
            stuck: Stuck::default(),
            share: vec![".venv".to_owned(), "node_modules".to_owned()],
            sign: false,
            worker: None,
            since: None,
            tripwire: None,
        }
    }
}
