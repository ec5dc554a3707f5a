//! What a fork takes over: its parent's last request to the byte, and what the parent then said.
//!
//! A fork's request is the parent's tools, system prompt and messages, the parent's last answer, the
//! same placeholder for each of its calls, and one text: what the fork shall do. All but that text
//! is equal for all forks of a parent, so a provider that caches prefixes reads it once; and it is
//! one immutable value that they share, however long it is and however many they are.

use std::{collections::BTreeSet, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::{
    guard::taint::Taint,
    protocol::{
        ids::CallId,
        message::{Block, Message, Segment, Speaker, ToolResult},
        tool::ToolSpec,
    },
};

/// The context of an agent that has ended, for those that fork from it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Prefix {
    /// The system prompt.
    pub system: Vec<Segment>,
    /// The tools that were offered.
    pub tools: Arc<Vec<ToolSpec>>,
    /// The messages of the last request.
    pub messages: Vec<Arc<Message>>,
    /// What the agent answered to it.
    pub said: Arc<Message>,
    /// What in it reads like orders, unless the user has said yes since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub taint: Option<Taint>,
}

impl Prefix {
    /// Returns the first message of a fork's own: a placeholder for each open call, and its orders.
    pub fn opening(&self, placeholder: &str, orders: &str) -> Message {
        let result = |id: &CallId| ToolResult {
            id: id.clone(),
            content: placeholder.to_owned(),
            is_error: false,
        };
        let results = self.said.calls().map(|call| Block::Result(result(&call.id)));
        let blocks = results.chain([Block::Text(orders.to_owned())]).collect();
        Message { speaker: Speaker::User, blocks }
    }

    /// Returns the ids of all calls in it.
    pub fn ids(&self) -> BTreeSet<CallId> {
        let messages = self.messages.iter().chain([&self.said]);
        messages.flat_map(|message| message.calls().map(|call| call.id.clone())).collect()
    }
}
