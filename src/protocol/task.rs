//! What the user asked for, and the vocabulary of a workflow: phases, agent kinds, modes.

use serde::{Deserialize, Serialize};

/// What the user asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    /// A short name for branches and titles: `median-of-an-even-list-is-wrong`.
    pub slug: String,
    /// The text as given.
    pub text: String,
}

impl Task {
    /// Returns the task made of an issue's text; the slug comes from its first words.
    pub fn new(text: &str) -> Self {
        let words = text.split(|c: char| !c.is_ascii_alphanumeric()).filter(|w| !w.is_empty());
        let mut slug = String::new();
        for word in words.take(8) {
            if slug.len() + word.len() > 48 {
                break;
            }
            if !slug.is_empty() {
                slug.push('-');
            }
            slug.push_str(&word.to_ascii_lowercase());
        }
        if slug.is_empty() {
            slug.push_str("task");
        }
        Self { slug, text: text.to_owned() }
    }
}

/// A phase of a run; it decides which classes of tool an agent may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// Parallel and read-only.
    Research,
    /// One agent alone, read-only; weighs the findings and decides.
    Synthesis,
    /// One writer per tree.
    Implementation,
    /// Parallel, each in a throw-away tree at the candidate commit.
    Verification,
}

impl Phase {
    /// Returns the name used in workflows and on screen.
    pub fn name(self) -> &'static str {
        match self {
            Self::Research => "research",
            Self::Synthesis => "synthesis",
            Self::Implementation => "implementation",
            Self::Verification => "verification",
        }
    }
}

/// How a sub-agent relates to its parent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AgentKind {
    /// Starts from the parent's context, byte for byte.
    Fork,
    /// Has its own context.
    Teammate,
    /// Has its own context, its own branch and its own tree to write in.
    Worktree,
}

impl AgentKind {
    /// Returns the name used in workflows and on screen.
    pub fn name(self) -> &'static str {
        match self {
            Self::Fork => "fork",
            Self::Teammate => "teammate",
            Self::Worktree => "worktree",
        }
    }
}

/// How much an agent may do without asking; of two modes the smaller one is the stricter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// Writes and commands are asked for.
    Default,
    /// Writes in the agent's own tree run; commands are asked for.
    AllowEdits,
    /// Commands that are plainly ordinary run as well.
    Auto,
    /// Commands run unless the gate denies them; what cannot be taken back is asked for.
    Bypass,
    /// Whatever the floor lets pass runs.
    Yolo,
}

impl Mode {
    /// All modes, the strictest first.
    pub const ALL: [Self; 5] =
        [Self::Default, Self::AllowEdits, Self::Auto, Self::Bypass, Self::Yolo];

    /// Returns the name used in settings and on screen.
    pub fn name(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::AllowEdits => "allow-edits",
            Self::Auto => "auto",
            Self::Bypass => "bypass",
            Self::Yolo => "yolo",
        }
    }
}

/// The form in which a model hands in its change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EditFormat {
    /// Tool calls: edit, write, apply_patch.
    #[default]
    Tools,
    /// Search/replace blocks in the answer's text.
    Blocks,
    /// Whole files in the answer's text.
    WholeFile,
    /// Whole functions in the answer's text.
    WholeFunction,
}

impl EditFormat {
    /// Returns the name used in settings, workflows and prompt files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tools => "tools",
            Self::Blocks => "blocks",
            Self::WholeFile => "whole-file",
            Self::WholeFunction => "whole-function",
        }
    }
}
