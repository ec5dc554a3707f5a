//! Messages to agents: sent, which is when they are on record, and delivered, which is when one is
//! about to be seen.

use serde::{Deserialize, Serialize};

use crate::protocol::{
    event::Kept,
    ids::{AgentId, CallId},
};

/// A message to an agent; the record's number names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sent {
    /// What it says, as the agent will see it if another agent sent it.
    pub text: Kept,
    /// The agent that sent it; the user where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Sender>,
}

/// An agent that wrote to another one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Sender {
    /// The agent.
    pub agent: AgentId,
    /// The call with which it did.
    pub call: CallId,
}

/// A message that is not delivered yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Letter {
    /// The number of the record of its sending.
    pub message: u64,
    /// What it says; that of another agent says so.
    pub text: Kept,
    /// The agent that sent it; the user where there is none.
    pub from: Option<AgentId>,
}

/// An agent is about to see a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivered {
    /// The turn whose request shows it.
    pub turn: u32,
    /// The number of the record of its sending.
    pub message: u64,
    /// What it says.
    pub text: Kept,
    /// The agent that sent it; the user where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<AgentId>,
}
