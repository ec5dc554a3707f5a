//! What a tool call comes to: words for the model, and facts for the scaffold.

use serde::{Deserialize, Serialize};

use crate::{
    guard::sanitise::markers::Suspicion,
    protocol::{
        ids::Oid,
        outcome::{Evidence, Finding, Outcome},
    },
    tools::finish::FinishInput,
};

/// The answer to a tool call.
#[derive(Clone, Debug, PartialEq)]
pub struct ToolAnswer {
    /// What the model sees: sanitised and capped.
    pub content: String,
    /// Whether the call failed or was refused.
    pub is_error: bool,
    /// What it did.
    pub effect: Effect,
    /// What in the words reads like an order; nothing in words of our own.
    pub suspicion: Suspicion,
}

impl ToolAnswer {
    /// Returns the answer to a call that did nothing.
    pub fn error(content: String) -> Self {
        let suspicion = Suspicion::default();
        Self { content, is_error: true, effect: Effect::None, suspicion }
    }
}

/// What a call did, as far as the scaffold counts it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// Nothing that counts.
    #[default]
    None,
    /// It showed these lines.
    Read(Vec<Evidence>),
    /// It changed these files.
    Wrote(Vec<String>),
    /// It ran a command.
    Ran,
    /// It ran the checks.
    Checked,
    /// It reported a claim; the id is not given yet.
    Finding(Finding),
    /// It ends the agent's work.
    Finish(FinishInput),
    /// A helper came back.
    Delegated(Outcome),
    /// It told what others have found, and which commit holds the work now.
    Heard(Vec<Finding>, Option<Oid>),
}

/// What a tool did, before its words are sanitised and capped.
#[derive(Debug, Default)]
pub(super) struct Done {
    /// The words.
    pub content: String,
    /// How to get what a cap cuts out of them.
    pub rest: &'static str,
    /// What it did.
    pub effect: Effect,
    /// Files the model now knows, or knows no more.
    pub marks: Vec<Mark>,
}

impl Done {
    /// Returns plain words.
    pub(super) fn said(content: String, rest: &'static str) -> Self {
        Self { content, rest, ..Self::default() }
    }
}

/// A change of what the model knows of a file.
#[derive(Debug)]
pub(super) enum Mark {
    /// It was shown these lines of the file with this hash; no hash for a file too large to edit.
    Shown(String, Option<blake3::Hash>),
    /// It gave the file a new content; the model knows it if it knew the old one.
    Written {
        /// The file.
        path: String,
        /// Hash of the content before; none for a new file.
        before: Option<blake3::Hash>,
        /// Hash of the content now.
        after: blake3::Hash,
    },
    /// The file is gone.
    Gone(String),
}
