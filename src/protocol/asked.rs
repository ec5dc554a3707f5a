//! A question to an agent that has ended: who answers goes on from its conversation.

use serde::{Deserialize, Serialize};

use crate::protocol::{
    event::Kept,
    ids::{AgentId, Oid},
};

/// A question to an agent that has ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// The agent.
    pub of: AgentId,
    /// What it is asked.
    pub question: Kept,
    /// The commit that the files stood at when it ended.
    pub at: Oid,
}
