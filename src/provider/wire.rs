//! What the three wire formats have in common: a pure rendering and a pure decoder each.
//!
//! Canonical bytes: the same question gives the same bytes, because a rendering takes nothing but
//! the question and the target, and every list keeps its order. Blocks that only a provider
//! understands travel as `{"protocol": …, "block": …}` and go back verbatim to the protocol that
//! made them, to no other.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::{
    protocol::message::{Block, Message, Reply, Segment, StopReason},
    provider::{
        anthropic, chat,
        model::{Ask, ErrorKind, ModelError, Sink},
        responses,
    },
};

/// A wire format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// Anthropic Messages.
    Anthropic,
    /// OpenAI chat completions, as many servers speak it.
    Chat,
    /// OpenAI Responses.
    Responses,
}

impl Protocol {
    /// Returns the name used in model names and settings.
    pub fn name(self) -> &'static str {
        match self {
            Self::Anthropic => "anthropic",
            Self::Chat => "chat",
            Self::Responses => "responses",
        }
    }

    /// Returns the address to post to, given the base address in any of its usual forms.
    pub fn endpoint(self, base: &str) -> String {
        let last = match self {
            Self::Anthropic => "messages",
            Self::Chat => "chat/completions",
            Self::Responses => "responses",
        };
        let base = base.trim_end_matches('/');
        let base = base.strip_suffix(last).map_or(base, |rest| rest.trim_end_matches('/'));
        let path = base.split_once("://").and_then(|(_, rest)| rest.split_once('/'));
        // Anthropic's base is named without its version, the others' with it.
        let bare = match self {
            Self::Anthropic => !base.ends_with("/v1"),
            Self::Chat | Self::Responses => path.is_none(),
        };
        if bare { format!("{base}/v1/{last}") } else { format!("{base}/{last}") }
    }

    /// Returns the request's body.
    pub fn render(self, ask: &Ask, target: &Target) -> Value {
        match self {
            Self::Anthropic => anthropic::render(ask, target),
            Self::Chat => chat::render(ask, target),
            Self::Responses => responses::render(ask, target),
        }
    }

    /// Returns a decoder for the answer to a question of this turn.
    pub fn decoder(self, turn: u32) -> Box<dyn Decoder> {
        match self {
            Self::Anthropic => Box::new(anthropic::Decoder::default()),
            Self::Chat => Box::new(chat::Decoder::new(turn)),
            Self::Responses => Box::new(responses::Decoder::default()),
        }
    }
}

/// Whom a request is for, beside the conversation.
#[derive(Clone, Debug)]
pub struct Target {
    /// The model's name as the provider knows it.
    pub model: String,
    /// In what it differs from others that speak the protocol.
    pub quirks: Vec<Quirk>,
}

impl Target {
    /// Returns whether the model has that quirk.
    pub fn has(&self, quirk: Quirk) -> bool {
        self.quirks.contains(&quirk)
    }
}

/// In what a model differs from others that speak the same protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Quirk {
    /// A temperature is refused.
    NoTemperature,
    /// A forced tool call is refused.
    NoForcedTool,
    /// The answer's limit is named `max_completion_tokens` in chat completions.
    MaxCompletionTokens,
    /// It hands out encrypted reasoning items that want to be sent back.
    ReasoningItems,
}

/// Takes an answer in, piece by piece or whole.
pub trait Decoder: Send {
    /// Takes the data of one server-sent event.
    fn event(&mut self, data: &str, sink: Sink<'_>) -> Result<Progress, ModelError>;

    /// Takes an answer that came as one JSON document.
    fn whole(&mut self, body: &Value) -> Result<(), ModelError>;

    /// Returns the reply, or `Cut` if its end never came.
    fn finish(self: Box<Self>) -> Result<Reply, ModelError>;
}

/// Whether more is to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Yes.
    More,
    /// The answer is complete.
    Done,
}

/// Reads one event's data as JSON.
pub fn parse(data: &str) -> Result<Value, ModelError> {
    serde_json::from_str(data).map_err(|error| {
        let start: String = data.chars().take(80).collect();
        ModelError::new(ErrorKind::BadAnswer, format!("an event is no JSON ({error}): {start}"))
    })
}

/// Returns the error of an answer that ended before it was complete.
pub fn cut() -> ModelError {
    ModelError::new(ErrorKind::Cut, "the answer broke off before its end")
}

/// Returns a count of a usage object; absent, negative or odd values count as nothing.
pub fn count(usage: &Value, key: &str) -> u64 {
    match &usage[key] {
        Value::Number(number) => number.as_u64().unwrap_or_else(|| {
            // A float cast saturates, and a negative one becomes zero.
            number.as_f64().map_or(0, |float| float as u64)
        }),
        _ => 0,
    }
}

/// Reads a call's arguments; what is no JSON object is kept as its text.
pub fn arguments(text: &str) -> Value {
    if text.trim().is_empty() {
        return Value::Object(Map::new());
    }
    match serde_json::from_str::<Value>(text) {
        Ok(Value::Object(object)) => Value::Object(object),
        _ => Value::String(text.to_owned()),
    }
}

/// Returns a call's arguments as an object for sending back; broken ones become an empty object,
/// because servers refuse a history with broken ones.
pub fn mended(input: &Value) -> Value {
    match input {
        Value::Object(_) => input.clone(),
        _ => Value::Object(Map::new()),
    }
}

/// Returns a call's name in the letters that servers take; a made-up name must not make them refuse
/// the whole history.
pub fn mended_name(name: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' };
    let mended: String = name.chars().take(64).map(plain).collect();
    if mended.is_empty() { "unnamed".to_owned() } else { mended }
}

/// Wraps a provider's own block.
pub fn opaque(protocol: Protocol, block: &Value) -> Block {
    Block::Opaque(json!({ "protocol": protocol.name(), "block": block }))
}

/// Returns the provider's own block inside, if this protocol made it.
pub fn own(protocol: Protocol, opaque: &Value) -> Option<&Value> {
    (opaque["protocol"] == protocol.name()).then(|| &opaque["block"])
}

/// Joins the system prompt's parts for protocols that take one text.
pub fn system_text(system: &[Segment]) -> String {
    let texts = system.iter().map(|part| part.text.as_str()).filter(|text| !text.is_empty());
    texts.collect::<Vec<_>>().join("\n\n")
}

/// Returns why an answer ended, corrected by whether it calls tools.
pub fn stop_with_calls(stop: StopReason, message: &Message) -> StopReason {
    match stop {
        StopReason::EndTurn if message.calls().next().is_some() => StopReason::ToolUse,
        StopReason::ToolUse if message.calls().next().is_none() => StopReason::EndTurn,
        stop => stop,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base_addresses_are_taken_in_their_usual_forms() {
        let chat = |base| Protocol::Chat.endpoint(base);
        assert_eq!(chat("http://127.0.0.1:8091"), "http://127.0.0.1:8091/v1/chat/completions");
        assert_eq!(chat("https://h/api/v4/"), "https://h/api/v4/chat/completions");
        assert_eq!(chat("https://h/v1/chat/completions"), "https://h/v1/chat/completions");
        let anthropic = |base| Protocol::Anthropic.endpoint(base);
        assert_eq!(anthropic("https://h/r/job"), "https://h/r/job/v1/messages");
        assert_eq!(anthropic("https://h/v1/"), "https://h/v1/messages");
        assert_eq!(Protocol::Responses.endpoint("https://h/v1"), "https://h/v1/responses");
    }

    #[test]
    fn names_that_servers_refuse_are_mended() {
        for (name, mended) in
            [("apply_patch", "apply_patch"), ("R\u{435}ad it", "R_ad_it"), ("", "unnamed")]
        {
            assert_eq!(mended_name(name), mended);
        }
        assert_eq!(mended_name(&"x".repeat(5 << 20)).len(), 64);
    }

    #[test]
    fn odd_counts_are_clamped() {
        let usage = json!({"a": -5, "b": 1e99, "c": "7", "d": 3.9, "e": null});
        assert_eq!(
            ["a", "b", "c", "d", "e", "f"].map(|key| count(&usage, key)),
            [0, u64::MAX, 0, 3, 0, 0]
        );
    }

    #[test]
    fn arguments_that_are_no_object_are_kept_as_text_and_mended_for_sending() {
        assert_eq!(arguments(" "), json!({}));
        assert_eq!(arguments("{\"a\":\n1}"), json!({"a": 1}));
        let deep = "[".repeat(1000);
        for broken in ["{\"a\": NaN}", "{\"command\": \"l", "[1]", "7", deep.as_str()] {
            assert_eq!(arguments(broken), Value::String(broken.to_owned()));
            assert_eq!(mended(&arguments(broken)), json!({}));
        }
    }
}
