//! OpenAI chat completions, as llama.cpp, vLLM, Ollama, DeepSeek, OpenRouter and OpenAI speak it.
//!
//! The servers differ in small ways, so the decoder takes what they all send: ids without a prefix
//! or none, arguments token by token or as an object, a first chunk with `content: null`, a last
//! one with `choices: []`.

use serde_json::{Value, json};

use crate::{
    protocol::{
        ids::CallId,
        message::{Block, Message, Reply, Speaker, StopReason, ToolCall},
        tool::ToolSpec,
        usage::Usage,
    },
    provider::{
        model::{Ask, Delta, ErrorKind, ModelError, Sink},
        refusal,
        wire::{self, Progress, Protocol, Quirk, Target},
    },
};

/// The fields in which servers hand out thinking.
const THINKING: [&str; 2] = ["reasoning_content", "reasoning"];

/// Returns the request's body.
pub fn render(ask: &Ask, target: &Target) -> Value {
    let mut messages = Vec::new();
    let system = wire::system_text(&ask.system);
    if !system.is_empty() {
        messages.push(json!({ "role": "system", "content": system }));
    }
    for message in &ask.messages {
        match message.speaker {
            Speaker::User => user(message, &mut messages),
            Speaker::Assistant => messages.extend(assistant(message)),
        }
    }
    let mut body = json!({
        "model": target.model,
        "messages": messages,
        "stream": true,
        "stream_options": { "include_usage": true },
    });
    let limit = match target.has(Quirk::MaxCompletionTokens) {
        true => "max_completion_tokens",
        false => "max_tokens",
    };
    body[limit] = json!(ask.max_tokens);
    if !ask.tools.is_empty() {
        body["tools"] = ask.tools.iter().map(tool).collect();
        if ask.require_tool && !target.has(Quirk::NoForcedTool) {
            body["tool_choice"] = json!("required");
        }
    }
    if let Some(temperature) = ask.temperature.filter(|_| !target.has(Quirk::NoTemperature)) {
        body["temperature"] = json!(temperature);
    }
    body
}

fn tool(spec: &ToolSpec) -> Value {
    json!({
        "type": "function",
        "function": {
            "name": spec.name,
            "description": spec.description,
            "parameters": spec.parameters,
        },
    })
}

fn words(message: &Message) -> String {
    let texts = message.blocks.iter().filter_map(|block| match block {
        Block::Text(text) if !text.is_empty() => Some(text.as_str()),
        _ => None,
    });
    texts.collect::<Vec<_>>().join("\n")
}

fn user(message: &Message, into: &mut Vec<Value>) {
    for block in &message.blocks {
        if let Block::Result(result) = block {
            into.push(json!({
                "role": "tool",
                "tool_call_id": result.id,
                "content": result.content,
            }));
        }
    }
    let text = words(message);
    if !text.is_empty() {
        into.push(json!({ "role": "user", "content": text }));
    }
}

fn assistant(message: &Message) -> Option<Value> {
    let mut rendered = json!({ "role": "assistant", "content": words(message) });
    let calls: Vec<Value> = message.calls().map(call).collect();
    if calls.is_empty() && rendered["content"] == "" {
        return None;
    }
    for block in &message.blocks {
        let Block::Opaque(value) = block else { continue };
        for (key, value) in
            wire::own(Protocol::Chat, value).and_then(Value::as_object).into_iter().flatten()
        {
            rendered[key] = value.clone();
        }
    }
    if !calls.is_empty() {
        rendered["tool_calls"] = Value::Array(calls);
    }
    Some(rendered)
}

fn call(call: &ToolCall) -> Value {
    let name = wire::mended_name(&call.name);
    let arguments = wire::mended(&call.input).to_string();
    let function = json!({ "name": name, "arguments": arguments });
    json!({ "id": call.id, "type": "function", "function": function })
}

/// Takes an answer in.
pub struct Decoder {
    turn: u32,
    text: String,
    thinking: [String; 2],
    calls: Vec<Pieces>,
    stop: Option<StopReason>,
    usage: Usage,
}

#[derive(Default)]
struct Pieces {
    index: Option<u64>,
    id: String,
    name: String,
    arguments: String,
}

impl Decoder {
    /// Returns a decoder; the turn makes up ids where a server sends none.
    pub fn new(turn: u32) -> Self {
        let (text, thinking) = (String::new(), Default::default());
        Self { turn, text, thinking, calls: Vec::new(), stop: None, usage: Usage::default() }
    }

    /// Takes a message or a piece of one; both have the same fields.
    fn message(&mut self, message: &Value, sink: Sink<'_>) {
        if let Some(more) = message["content"].as_str().filter(|more| !more.is_empty()) {
            self.text.push_str(more);
            sink(Delta::Text(more.to_owned()));
        }
        for (key, kept) in THINKING.iter().zip(&mut self.thinking) {
            if let Some(more) = message[key].as_str().filter(|more| !more.is_empty()) {
                kept.push_str(more);
                sink(Delta::Thinking(more.to_owned()));
            }
        }
        for piece in message["tool_calls"].as_array().into_iter().flatten() {
            self.call(piece, sink);
        }
    }

    fn call(&mut self, piece: &Value, sink: Sink<'_>) {
        let (index, id) = (piece["index"].as_u64(), piece["id"].as_str().unwrap_or_default());
        // Some servers give every call index 0; a new id then begins a new call.
        let same = |call: &Pieces| {
            (index.is_none() || call.index == index) && (id.is_empty() || call.id == id)
        };
        let known = match (index, id) {
            (None, "") => self.calls.len().checked_sub(1),
            _ => self.calls.iter().rposition(same),
        };
        let function = &piece["function"];
        let name = function["name"].as_str().unwrap_or_default();
        let at = match known {
            Some(at) if index.is_some() || name.is_empty() || !id.is_empty() => at,
            _ => {
                self.calls.push(Pieces { index, id: id.to_owned(), ..Pieces::default() });
                self.calls.len() - 1
            }
        };
        let call = &mut self.calls[at];
        if call.name.is_empty() && !name.is_empty() {
            name.clone_into(&mut call.name);
            sink(Delta::Call(name.to_owned()));
        }
        match &function["arguments"] {
            Value::String(more) => call.arguments.push_str(more),
            Value::Object(whole) => call.arguments = Value::Object(whole.clone()).to_string(),
            _ => {}
        }
    }

    fn count(&mut self, usage: &Value) {
        if !usage.is_object() {
            return;
        }
        let details = &usage["prompt_tokens_details"];
        let prompt = wire::count(usage, "prompt_tokens");
        let cached = wire::count(details, "cached_tokens")
            .max(wire::count(usage, "prompt_cache_hit_tokens"));
        let cache_read = cached.min(prompt);
        let cache_write = wire::count(details, "cache_write_tokens").min(prompt - cache_read);
        let input = prompt - cache_read - cache_write;
        let output = wire::count(usage, "completion_tokens");
        self.usage = Usage { input, cache_write, cache_read, output };
    }
}

impl wire::Decoder for Decoder {
    fn event(&mut self, data: &str, sink: Sink<'_>) -> Result<Progress, ModelError> {
        if data.trim() == "[DONE]" {
            self.stop.get_or_insert(StopReason::EndTurn);
            return Ok(Progress::Done);
        }
        let chunk = wire::parse(data)?;
        if !chunk["error"].is_null() {
            return Err(refusal::in_stream(&chunk["error"]));
        }
        self.count(&chunk["usage"]);
        let choice = &chunk["choices"][0];
        self.message(&choice["delta"], sink);
        self.stop = choice["finish_reason"].as_str().map(stop).or(self.stop);
        Ok(Progress::More)
    }

    fn whole(&mut self, body: &Value) -> Result<(), ModelError> {
        if !body["error"].is_null() {
            return Err(refusal::in_stream(&body["error"]));
        }
        let choice = &body["choices"][0];
        if !choice["message"].is_object() {
            return Err(ModelError::new(ErrorKind::BadAnswer, "the answer has no message"));
        }
        self.count(&body["usage"]);
        self.message(&choice["message"], &|_| {});
        self.stop = Some(choice["finish_reason"].as_str().map_or(StopReason::EndTurn, stop));
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<Reply, ModelError> {
        let stop = self.stop.ok_or_else(wire::cut)?;
        let mut blocks = Vec::new();
        for (key, text) in THINKING.into_iter().zip(self.thinking) {
            if !text.is_empty() {
                blocks.push(wire::opaque(Protocol::Chat, &json!({ key: text })));
            }
        }
        if !self.text.is_empty() {
            blocks.push(Block::Text(self.text));
        }
        for (n, call) in self.calls.into_iter().enumerate() {
            let id = match call.id.is_empty() {
                true => format!("call_{}_{n}", self.turn),
                false => call.id,
            };
            let input = wire::arguments(&call.arguments);
            blocks.push(Block::Call(ToolCall { id: CallId(id), name: call.name, input }));
        }
        let message = Message { speaker: Speaker::Assistant, blocks };
        let stop = wire::stop_with_calls(stop, &message);
        Ok(Reply { message, stop, usage: self.usage })
    }
}

fn stop(reason: &str) -> StopReason {
    match reason {
        "tool_calls" | "function_call" => StopReason::ToolUse,
        "length" => StopReason::MaxTokens,
        "content_filter" => StopReason::Refusal,
        _ => StopReason::EndTurn,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::testing;

    fn decode(events: &[&str]) -> Result<Reply, ModelError> {
        testing::decode(Box::new(Decoder::new(3)), events)
    }

    fn calls(reply: &Reply) -> Vec<(&str, &str, &Value)> {
        reply
            .message
            .calls()
            .map(|call| (call.id.as_str(), call.name.as_str(), &call.input))
            .collect()
    }

    #[test]
    fn a_stream_as_llama_cpp_sends_it() {
        let reply = decode(&[
            r#"{"choices":[{"delta":{"role":"assistant","content":null},"finish_reason":null,"index":0}],"id":"chatcmpl-1"}"#,
            r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"id":"V5MXPEEW","type":"function","function":{"name":"edit_file","arguments":"{"}}]},"finish_reason":null}]}"#,
            r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"arguments":"\"path\":\n"}}]}}]}"#,
            r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"arguments":" \"a.py\"}"}}]}}]}"#,
            r#"{"choices":[{"delta":{},"finish_reason":"tool_calls"}]}"#,
            r#"{"choices":[],"usage":{"completion_tokens":42,"prompt_tokens":401,"total_tokens":443,"prompt_tokens_details":{"cached_tokens":299}},"timings":{"cache_n":299}}"#,
            "[DONE]",
        ])
        .expect("decodes");
        assert_eq!(calls(&reply), [("V5MXPEEW", "edit_file", &json!({"path": "a.py"}))]);
        assert_eq!((reply.message.text().as_str(), reply.stop), ("", StopReason::ToolUse));
        let usage = Usage { input: 102, cache_write: 0, cache_read: 299, output: 42 };
        assert_eq!(reply.usage, usage);
    }

    #[test]
    fn calls_are_told_apart_however_servers_number_them() {
        let piece =
            |calls: Value| json!({"choices": [{"delta": {"tool_calls": calls}}]}).to_string();
        let function = |name: &str, arguments: &str| json!({"name": name, "arguments": arguments});
        let ids = |pieces: &[Value]| {
            let mut events: Vec<String> = pieces.iter().map(|calls| piece(calls.clone())).collect();
            events.push("[DONE]".to_owned());
            let events: Vec<&str> = events.iter().map(String::as_str).collect();
            let reply = decode(&events).expect("decodes");
            assert_eq!(reply.stop, StopReason::ToolUse);
            reply
                .message
                .calls()
                .map(|call| (call.id.0.clone(), call.name.clone(), call.input.clone()))
                .collect::<Vec<_>>()
        };
        let one = |id: &str, input| (id.to_owned(), "f".to_owned(), input);
        // All with index 0 and ids of their own.
        let same_index = [
            json!([{"index": 0, "id": "x", "function": function("f", "{}")}]),
            json!([{"index": 0, "id": "y", "function": function("f", "{\"a\":1}")}]),
        ];
        assert_eq!(ids(&same_index), [one("x", json!({})), one("y", json!({"a": 1}))]);
        // No index and no id at all, arguments as an object.
        let bare = [
            json!([{"function": {"name": "f", "arguments": {"a": 1}}}]),
            json!([{"function": {"name": "f", "arguments": {}}}]),
        ];
        assert_eq!(ids(&bare), [one("call_3_0", json!({"a": 1})), one("call_3_1", json!({}))]);
        // Interleaved pieces.
        let mixed = [
            json!([{"index": 0, "id": "x", "function": function("f", "{\"a\"")},
                   {"index": 1, "id": "y", "function": function("f", "{\"b\"")}]),
            json!([{"index": 1, "function": {"arguments": ":2}"}},
                   {"index": 0, "function": {"arguments": ":1}"}}]),
        ];
        assert_eq!(ids(&mixed), [one("x", json!({"a": 1})), one("y", json!({"b": 2}))]);
    }

    #[test]
    fn broken_arguments_are_kept_as_text() {
        let reply = decode(&[
            r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"id":"c","function":{"name":"bash","arguments":"{\"command\": \"l"}}]},"finish_reason":"length"}]}"#,
            "[DONE]",
        ])
        .expect("decodes");
        assert_eq!(calls(&reply), [("c", "bash", &json!("{\"command\": \"l"))]);
        assert_eq!(reply.stop, StopReason::MaxTokens);
    }

    #[test]
    fn thinking_is_kept_under_the_name_it_came_by() {
        let reply = decode(&[
            r#"{"choices":[{"delta":{"reasoning_content":"h"}}]}"#,
            r#"{"choices":[{"delta":{"reasoning_content":"m","content":"So."}}]}"#,
            "[DONE]",
        ])
        .expect("decodes");
        let thought = wire::opaque(Protocol::Chat, &json!({"reasoning_content": "hm"}));
        assert_eq!(reply.message.blocks, [thought, Block::Text("So.".to_owned())]);
    }

    #[test]
    fn odd_usage_is_clamped() {
        let usage = |usage: Value| {
            let chunk = json!({"choices": [], "usage": usage}).to_string();
            decode(&[&chunk, "[DONE]"]).expect("decodes").usage
        };
        let cached = json!({"prompt_tokens": 5, "prompt_tokens_details": {"cached_tokens": 9}});
        assert_eq!(usage(cached), Usage { cache_read: 5, ..Usage::default() });
        let negative = json!({"prompt_tokens": -5, "completion_tokens": -1});
        assert_eq!(usage(negative), Usage::default());
        let deepseek = json!({"prompt_tokens": 9, "prompt_cache_hit_tokens": 4});
        assert_eq!(usage(deepseek), Usage { input: 5, cache_read: 4, ..Usage::default() });
        assert_eq!(usage(Value::Null), Usage::default());
    }

    #[test]
    fn broken_streams_are_errors() {
        let kind = |events: &[&str]| decode(events).expect_err("fails").kind;
        assert_eq!(kind(&[r#"{"choices":[{"delta":{"content":"x"}}]}"#]), ErrorKind::Cut);
        let server = r#"{"error":{"code":500,"message":"oops","type":"server_error"}}"#;
        assert_eq!(kind(&[server]), ErrorKind::Server);
        assert_eq!(kind(&["{"]), ErrorKind::BadAnswer);
        let odd = decode(&[r#"{"choices":"none"}"#, r#"[1]"#, "[DONE]"]).expect("decodes");
        assert!(odd.message.blocks.is_empty());
    }
}
