//! A conversation with a model, free of any provider's dialect.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::protocol::{ids::CallId, usage::Usage};

/// Who speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Speaker {
    /// The scaffold, with the task or with tool results.
    User,
    /// The model.
    Assistant,
}

/// One message: its blocks in order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// Who speaks.
    pub speaker: Speaker,
    /// What is said.
    pub blocks: Vec<Block>,
}

impl Message {
    /// Returns a user message of one text block.
    pub fn user(text: impl Into<String>) -> Self {
        Self { speaker: Speaker::User, blocks: vec![Block::Text(text.into())] }
    }

    /// Returns all text blocks, joined by line breaks.
    pub fn text(&self) -> String {
        let texts = self.blocks.iter().filter_map(|block| match block {
            Block::Text(text) => Some(text.as_str()),
            _ => None,
        });
        texts.collect::<Vec<_>>().join("\n")
    }

    /// Returns the tool calls in order.
    pub fn calls(&self) -> impl Iterator<Item = &ToolCall> {
        self.blocks.iter().filter_map(|block| match block {
            Block::Call(call) => Some(call),
            _ => None,
        })
    }
}

/// One block of a message.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Block {
    /// Words.
    Text(String),
    /// The model asks for a tool.
    Call(ToolCall),
    /// The scaffold answers a call.
    Result(ToolResult),
    /// A provider's own block (thinking, reasoning item), sent back verbatim to the same protocol.
    Opaque(Value),
}

/// A tool call as the model made it; nothing in it is checked yet.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ToolCall {
    /// The provider's id, or one made up for a call found in text.
    pub id: CallId,
    /// The tool's name as the model wrote it.
    pub name: String,
    /// The arguments; a JSON string holds arguments that were no valid JSON object.
    pub input: Value,
}

/// The answer to a tool call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolResult {
    /// The call it answers.
    pub id: CallId,
    /// What the model sees.
    pub content: String,
    /// Whether the call failed or was refused.
    pub is_error: bool,
}

/// A part of the system prompt; a cache mark may stand at its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Segment {
    /// The prompt section it comes from.
    pub id: String,
    /// How long its bytes stay the same.
    pub cache: CacheScope,
    /// The text.
    pub text: String,
}

/// How long a prompt part stays the same; the order is the order in the prompt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CacheScope {
    /// The same for every run of this build.
    Static,
    /// The same for one session.
    Session,
    /// New each turn; sent as a message, never in the system prompt.
    Turn,
}

/// Why a model stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StopReason {
    /// It had said all.
    EndTurn,
    /// It waits for tool results.
    ToolUse,
    /// The answer reached its token limit.
    MaxTokens,
    /// The provider refused to go on.
    Refusal,
}

/// One complete answer of a model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reply {
    /// The assistant message.
    pub message: Message,
    /// Why it ended.
    pub stop: StopReason,
    /// What it used, as the provider says.
    pub usage: Usage,
}
