//! Anthropic Messages: rendering with cache marks, and the decoder.
//!
//! At most four cache marks, the most the API takes: last tool, end of the static system part, end
//! of the session part, last block of the newest message. A fork keeps the mark that its parent's
//! last request ended with, in place of the session's. Thinking blocks keep their place.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::{
    protocol::{
        ids::CallId,
        message::{Block, CacheScope, Message, Reply, Segment, Speaker, StopReason, ToolCall},
        tool::ToolSpec,
        usage::Usage,
    },
    provider::{
        model::{Ask, Delta, ErrorKind, ModelError, Sink},
        refusal,
        wire::{self, Progress, Protocol, Quirk, Target},
    },
};

/// Returns the request's body.
pub fn render(ask: &Ask, target: &Target) -> Value {
    let mut body = json!({
        "model": target.model,
        "max_tokens": ask.max_tokens,
        "messages": messages(ask),
        "stream": true,
    });
    let system = system(ask);
    if !system.is_empty() {
        body["system"] = Value::Array(system);
    }
    if !ask.tools.is_empty() {
        body["tools"] = Value::Array(tools(&ask.tools));
        if ask.require_tool && !target.has(Quirk::NoForcedTool) {
            body["tool_choice"] = json!({ "type": "any" });
        }
    }
    if let Some(temperature) = ask.temperature.filter(|_| !target.has(Quirk::NoTemperature)) {
        body["temperature"] = json!(temperature);
    }
    body
}

fn mark(block: &mut Value) {
    block["cache_control"] = json!({ "type": "ephemeral" });
}

fn tools(specs: &[ToolSpec]) -> Vec<Value> {
    let render = |spec: &ToolSpec| {
        json!({
            "name": spec.name,
            "description": spec.description,
            "input_schema": spec.parameters,
        })
    };
    let mut tools: Vec<Value> = specs.iter().map(render).collect();
    tools.last_mut().map(mark);
    tools
}

fn system(ask: &Ask) -> Vec<Value> {
    // The API refuses empty text blocks.
    let segments: Vec<&Segment> = ask.system.iter().filter(|part| !part.text.is_empty()).collect();
    let mut blocks: Vec<Value> =
        segments.iter().map(|part| json!({ "type": "text", "text": part.text })).collect();
    let scopes = [CacheScope::Static, CacheScope::Session];
    for scope in scopes.into_iter().take(if ask.inherited > 0 { 1 } else { 2 }) {
        if let Some(last) = segments.iter().rposition(|part| part.cache == scope) {
            mark(&mut blocks[last]);
        }
    }
    blocks
}

fn messages(ask: &Ask) -> Vec<Value> {
    let (inherited, own) = ask.messages.split_at(ask.inherited.min(ask.messages.len()));
    let mut all = Vec::new();
    for part in [inherited, own] {
        let mut rendered: Vec<Value> =
            part.iter().filter_map(|message| render_message(message)).collect();
        mark_newest(&mut rendered);
        all.append(&mut rendered);
    }
    all
}

fn mark_newest(messages: &mut [Value]) {
    let newest = messages.last_mut().and_then(|message| message["content"].as_array_mut());
    if let Some(block) = newest.and_then(|blocks| blocks.iter_mut().rfind(|block| markable(block)))
    {
        mark(block);
    }
}

fn markable(block: &Value) -> bool {
    matches!(block["type"].as_str(), Some("text" | "tool_use" | "tool_result"))
}

fn render_message(message: &Message) -> Option<Value> {
    let role = match message.speaker {
        Speaker::User => "user",
        Speaker::Assistant => "assistant",
    };
    let (results, others): (Vec<&Block>, Vec<&Block>) = message
        .blocks
        .iter()
        .partition(|block| message.speaker == Speaker::User && matches!(block, Block::Result(_)));
    // The API wants results before anything else the user says.
    let content: Vec<Value> = results.into_iter().chain(others).filter_map(render_block).collect();
    (!content.is_empty()).then(|| json!({ "role": role, "content": content }))
}

fn render_block(block: &Block) -> Option<Value> {
    match block {
        Block::Text(text) if text.is_empty() => None,
        Block::Text(text) => Some(json!({ "type": "text", "text": text })),
        Block::Call(call) => Some(json!({
            "type": "tool_use",
            "id": call.id,
            "name": wire::mended_name(&call.name),
            "input": wire::mended(&call.input),
        })),
        Block::Result(result) => {
            let mut block = json!({
                "type": "tool_result",
                "tool_use_id": result.id,
                "content": result.content,
            });
            if result.is_error {
                block["is_error"] = Value::Bool(true);
            }
            Some(block)
        }
        Block::Opaque(value) => wire::own(Protocol::Anthropic, value).cloned(),
    }
}

/// Takes an answer in.
#[derive(Default)]
pub struct Decoder {
    blocks: BTreeMap<u64, Piece>,
    stop: Option<StopReason>,
    usage: Usage,
}

#[derive(Default)]
struct Piece {
    block: Value,
    json: String,
}

impl wire::Decoder for Decoder {
    fn event(&mut self, data: &str, sink: Sink<'_>) -> Result<Progress, ModelError> {
        let event = wire::parse(data)?;
        match event["type"].as_str().unwrap_or_default() {
            "message_start" => self.count(&event["message"]["usage"]),
            "content_block_start" => {
                let block = event["content_block"].clone();
                if block["type"] == "tool_use" {
                    sink(Delta::Call(block["name"].as_str().unwrap_or_default().to_owned()));
                }
                let piece = Piece { block, json: String::new() };
                self.blocks.insert(event["index"].as_u64().unwrap_or_default(), piece);
            }
            "content_block_delta" => self.delta(&event, sink)?,
            "message_delta" => {
                self.count(&event["usage"]);
                self.stop = event["delta"]["stop_reason"].as_str().map(stop).or(self.stop);
            }
            "message_stop" => return Ok(Progress::Done),
            // llama.cpp leaves the type out and sends only the error.
            "error" => return Err(refusal::in_stream(&event["error"])),
            _ if event["error"].is_object() => return Err(refusal::in_stream(&event["error"])),
            _ => {}
        }
        Ok(Progress::More)
    }

    fn whole(&mut self, body: &Value) -> Result<(), ModelError> {
        if body["error"].is_object() {
            return Err(refusal::in_stream(&body["error"]));
        }
        let Some(content) = body["content"].as_array() else {
            return Err(ModelError::new(ErrorKind::BadAnswer, "the answer has no `content`"));
        };
        let piece = |block: &Value| Piece { block: block.clone(), json: String::new() };
        self.blocks = (0..).zip(content.iter().map(piece)).collect();
        self.count(&body["usage"]);
        self.stop = body["stop_reason"].as_str().map(stop);
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<Reply, ModelError> {
        let stop = self.stop.ok_or_else(wire::cut)?;
        let blocks = self.blocks.into_values().filter_map(Piece::block).collect();
        let message = Message { speaker: Speaker::Assistant, blocks };
        let stop = wire::stop_with_calls(stop, &message);
        Ok(Reply { message, stop, usage: self.usage })
    }
}

impl Decoder {
    fn delta(&mut self, event: &Value, sink: Sink<'_>) -> Result<(), ModelError> {
        let index = event["index"].as_u64().unwrap_or_default();
        let piece = self.blocks.get_mut(&index).ok_or_else(|| {
            ModelError::new(ErrorKind::BadAnswer, format!("block {index} was never begun"))
        })?;
        let delta = &event["delta"];
        for key in ["text", "thinking", "signature"] {
            if let Some(more) = delta[key].as_str() {
                piece.append(key, more);
                match key {
                    "text" => sink(Delta::Text(more.to_owned())),
                    "thinking" => sink(Delta::Thinking(more.to_owned())),
                    _ => {}
                }
            }
        }
        piece.json.push_str(delta["partial_json"].as_str().unwrap_or_default());
        Ok(())
    }

    /// Takes over the counts that are there; later ones are totals and replace earlier ones.
    fn count(&mut self, usage: &Value) {
        let fields = [
            ("input_tokens", &mut self.usage.input),
            ("cache_creation_input_tokens", &mut self.usage.cache_write),
            ("cache_read_input_tokens", &mut self.usage.cache_read),
            ("output_tokens", &mut self.usage.output),
        ];
        for (key, field) in fields {
            if usage[key].is_number() {
                *field = wire::count(usage, key);
            }
        }
    }
}

impl Piece {
    fn append(&mut self, key: &str, more: &str) {
        if let Some(Value::String(text)) = self.block.get_mut(key) {
            text.push_str(more);
        } else if let Some(block) = self.block.as_object_mut() {
            block.insert(key.to_owned(), Value::String(more.to_owned()));
        }
    }

    fn block(self) -> Option<Block> {
        let text = |key: &str| self.block[key].as_str().unwrap_or_default().to_owned();
        match self.block["type"].as_str() {
            Some("text") => Some(Block::Text(text("text"))).filter(|_| !text("text").is_empty()),
            Some("tool_use") => {
                let input = match &self.block["input"] {
                    Value::Object(input) if self.json.is_empty() => Value::Object(input.clone()),
                    _ => wire::arguments(&self.json),
                };
                let (id, name) = (CallId::new(text("id")), text("name"));
                Some(Block::Call(ToolCall { id, name, input }))
            }
            Some(_) => Some(wire::opaque(Protocol::Anthropic, &self.block)),
            None => None,
        }
    }
}

fn stop(reason: &str) -> StopReason {
    match reason {
        "tool_use" => StopReason::ToolUse,
        "max_tokens" | "model_context_window_exceeded" => StopReason::MaxTokens,
        "refusal" => StopReason::Refusal,
        _ => StopReason::EndTurn,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::testing;

    fn decode(events: &[&str]) -> Result<Reply, ModelError> {
        testing::decode(Box::new(Decoder::default()), events)
    }

    #[test]
    fn a_stream_of_thinking_text_and_a_call() {
        let reply = decode(&[
            r#"{"type":"message_start","message":{"usage":{"input_tokens":7,"cache_creation_input_tokens":11,"cache_read_input_tokens":13,"output_tokens":1}}}"#,
            r#"{"type":"ping"}"#,
            r#"{"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":""}}"#,
            r#"{"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"hm"}}"#,
            r#"{"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"sig"}}"#,
            r#"{"type":"content_block_start","index":1,"content_block":{"type":"text","text":""}}"#,
            r#"{"type":"content_block_delta","index":1,"delta":{"type":"text_delta","text":"I "}}"#,
            r#"{"type":"content_block_delta","index":1,"delta":{"type":"text_delta","text":"look."}}"#,
            r#"{"type":"content_block_start","index":2,"content_block":{"type":"tool_use","id":"t1","name":"read"}}"#,
            r#"{"type":"content_block_delta","index":2,"delta":{"type":"input_json_delta","partial_json":"{\"pa"}}"#,
            r#"{"type":"content_block_delta","index":2,"delta":{"type":"input_json_delta","partial_json":"th\":\"a\"}"}}"#,
            r#"{"type":"content_block_stop","index":2}"#,
            r#"{"type":"message_delta","delta":{"stop_reason":"tool_use"},"usage":{"output_tokens":17}}"#,
            r#"{"type":"message_stop"}"#,
        ])
        .expect("decodes");
        let thought = json!({"type": "thinking", "thinking": "hm", "signature": "sig"});
        let (id, name, input) = (CallId::new("t1"), "read".to_owned(), json!({"path": "a"}));
        assert_eq!(
            reply.message.blocks,
            [
                wire::opaque(Protocol::Anthropic, &thought),
                Block::Text("I look.".to_owned()),
                Block::Call(ToolCall { id, name, input }),
            ]
        );
        assert_eq!(reply.stop, StopReason::ToolUse);
        let usage = Usage { input: 7, cache_write: 11, cache_read: 13, output: 17 };
        assert_eq!(reply.usage, usage);
    }

    #[test]
    fn broken_streams_are_errors() {
        let kind = |events: &[&str]| decode(events).expect_err("fails").kind;
        assert_eq!(kind(&[r#"{"type":"message_start","message":{}}"#]), ErrorKind::Cut);
        assert_eq!(kind(&["not json"]), ErrorKind::BadAnswer);
        let stray = r#"{"type":"content_block_delta","index":9,"delta":{"text":"x"}}"#;
        assert_eq!(kind(&[stray]), ErrorKind::BadAnswer);
        let busy = r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#;
        assert_eq!(kind(&[busy]), ErrorKind::Overloaded { retry_after: None });
    }

    #[test]
    fn a_whole_document_is_the_same_answer() {
        let mut decoder = Decoder::default();
        let body = json!({
            "content": [
                {"type": "tool_use", "id": "t", "name": "read", "input": {"path": "a.py"}},
            ],
            "stop_reason": "tool_use",
            "usage": {"cache_read_input_tokens": 156, "input_tokens": 1, "output_tokens": 22},
        });
        wire::Decoder::whole(&mut decoder, &body).expect("takes it");
        let reply = wire::Decoder::finish(Box::new(decoder)).expect("decodes");
        assert_eq!(reply.message.calls().next().expect("a call").input["path"], "a.py");
        assert_eq!(reply.usage.cache_read, 156);
    }
}
