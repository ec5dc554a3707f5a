//! How a run began, and what changes of that when it is taken up again.

use serde::{Deserialize, Serialize};

use crate::protocol::{
    event::Kept,
    ids::Oid,
    task::{Mode, Task},
};

/// All that a run was started with; a resume uses this and not what has changed since.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunStarted {
    /// What the user asked for.
    pub task: Task,
    /// The workflow's name.
    pub workflow: String,
    /// The workflow's YAML text.
    pub workflow_text: Kept,
    /// The prompt set, as JSON.
    pub prompts: Kept,
    /// The run's options, as JSON of `coordinator::Options`.
    pub options: Kept,
    /// The model as the user wrote it.
    pub model: String,
    /// Whether answers come from a script or a patch and no model is asked.
    pub scripted: bool,
    /// The commit the run starts from.
    pub base: Oid,
    /// The branch that will receive the work.
    pub target: String,
    /// Where the target stood; none when it did not exist.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tip: Option<Oid>,
    /// The user's checkout.
    pub checkout: String,
    /// The permission mode; none in journals of before it was written down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<Mode>,
}

impl RunStarted {
    /// Notes that another model is asked from now on; a run that was played once stays marked.
    pub fn change_model(&mut self, name: &str) {
        name.clone_into(&mut self.model);
        self.scripted |= ["scripted:", "gold:"].iter().any(|played| name.starts_with(played));
    }
}
