//! OpenAI Responses: stateless (`store: false`), reasoning items sent back verbatim.

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
    let input: Vec<Value> = ask.messages.iter().flat_map(|message| items(message)).collect();
    let mut body = json!({
        "model": target.model,
        "input": input,
        "max_output_tokens": ask.max_tokens,
        "prompt_cache_key": cache_key(&ask.system),
        "store": false,
        "stream": true,
    });
    let system = wire::system_text(&ask.system);
    if !system.is_empty() {
        body["instructions"] = Value::String(system);
    }
    if !ask.tools.is_empty() {
        body["tools"] = ask.tools.iter().map(tool).collect();
        if ask.require_tool && !target.has(Quirk::NoForcedTool) {
            body["tool_choice"] = json!("required");
        }
    }
    if target.has(Quirk::ReasoningItems) {
        body["include"] = json!(["reasoning.encrypted_content"]);
    }
    if let Some(temperature) = ask.temperature.filter(|_| !target.has(Quirk::NoTemperature)) {
        body["temperature"] = json!(temperature);
    }
    body
}

/// Routes requests with the same static part to the same cache.
fn cache_key(system: &[Segment]) -> String {
    let mut hasher = blake3::Hasher::new();
    for part in system.iter().filter(|part| part.cache == CacheScope::Static) {
        hasher.update(part.text.as_bytes());
    }
    hasher.finalize().to_hex()[..16].to_owned()
}

fn tool(spec: &ToolSpec) -> Value {
    json!({
        "type": "function",
        "name": spec.name,
        "description": spec.description,
        "parameters": spec.parameters,
        "strict": false,
    })
}

fn items(message: &Message) -> Vec<Value> {
    message.blocks.iter().filter_map(|block| item(message.speaker, block)).collect()
}

fn item(speaker: Speaker, block: &Block) -> Option<Value> {
    match block {
        Block::Text(text) if text.is_empty() => None,
        Block::Text(text) => {
            let (role, kind) = match speaker {
                Speaker::User => ("user", "input_text"),
                Speaker::Assistant => ("assistant", "output_text"),
            };
            let content = json!([{ "type": kind, "text": text }]);
            Some(json!({ "type": "message", "role": role, "content": content }))
        }
        Block::Call(call) => Some(json!({
            "type": "function_call",
            "call_id": call.id,
            "name": wire::mended_name(&call.name),
            "arguments": wire::mended(&call.input).to_string(),
        })),
        Block::Result(result) => Some(json!({
            "type": "function_call_output",
            "call_id": result.id,
            "output": result.content,
        })),
        Block::Opaque(value) => wire::own(Protocol::Responses, value).cloned(),
    }
}

/// Takes an answer in.
#[derive(Default)]
pub struct Decoder {
    items: BTreeMap<u64, Value>,
    end: Option<Value>,
}

impl wire::Decoder for Decoder {
    fn event(&mut self, data: &str, sink: Sink<'_>) -> Result<Progress, ModelError> {
        // Some compatible servers end with the mark of the chat protocol.
        if data.trim() == "[DONE]" {
            return Ok(Progress::Done);
        }
        let mut event = wire::parse(data)?;
        let text = |key: &str| event[key].as_str().unwrap_or_default().to_owned();
        match event["type"].as_str().unwrap_or_default() {
            "response.output_text.delta" => sink(Delta::Text(text("delta"))),
            "response.reasoning_summary_text.delta" | "response.reasoning_text.delta" => {
                sink(Delta::Thinking(text("delta")));
            }
            "response.output_item.added" if event["item"]["type"] == "function_call" => {
                let name = event["item"]["name"].as_str().unwrap_or_default();
                sink(Delta::Call(name.to_owned()));
            }
            "response.output_item.done" => {
                let at = event["output_index"].as_u64().unwrap_or(self.items.len() as u64);
                self.items.insert(at, event["item"].take());
            }
            "response.completed" | "response.incomplete" | "response.failed" => {
                self.end = Some(event["response"].take());
                return Ok(Progress::Done);
            }
            "error" => {
                let error = if event["error"].is_object() { &event["error"] } else { &event };
                return Err(refusal::in_stream(error));
            }
            _ => {}
        }
        Ok(Progress::More)
    }

    fn whole(&mut self, body: &Value) -> Result<(), ModelError> {
        if body["error"].is_null() && !body["output"].is_array() {
            return Err(ModelError::new(ErrorKind::BadAnswer, "the answer has no `output`"));
        }
        self.end = Some(body.clone());
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<Reply, ModelError> {
        let end = self.end.ok_or_else(wire::cut)?;
        if !end["error"].is_null() {
            return Err(refusal::in_stream(&end["error"]));
        }
        let mut items: Vec<Value> = self.items.into_values().collect();
        if items.is_empty() {
            items = end["output"].as_array().cloned().unwrap_or_default();
        }
        let mut stop = match end["incomplete_details"]["reason"].as_str() {
            Some("content_filter") => StopReason::Refusal,
            Some(_) => StopReason::MaxTokens,
            None => StopReason::EndTurn,
        };
        let mut blocks = Vec::new();
        for item in items {
            take(&item, &mut blocks, &mut stop);
        }
        let message = Message { speaker: Speaker::Assistant, blocks };
        let stop = wire::stop_with_calls(stop, &message);
        Ok(Reply { message, stop, usage: usage(&end["usage"]) })
    }
}

fn take(item: &Value, blocks: &mut Vec<Block>, stop: &mut StopReason) {
    let text = |key: &str| item[key].as_str().unwrap_or_default().to_owned();
    match item["type"].as_str() {
        Some("message") => {
            for part in item["content"].as_array().into_iter().flatten() {
                let refusal = part["refusal"].as_str();
                if refusal.is_some() {
                    *stop = StopReason::Refusal;
                }
                let text = part["text"].as_str().or(refusal).unwrap_or_default();
                if !text.is_empty() {
                    blocks.push(Block::Text(text.to_owned()));
                }
            }
        }
        Some("function_call") => {
            let (id, name) = (CallId(text("call_id")), text("name"));
            let input = wire::arguments(&text("arguments"));
            blocks.push(Block::Call(ToolCall { id, name, input }));
        }
        Some(_) => blocks.push(wire::opaque(Protocol::Responses, item)),
        None => {}
    }
}

fn usage(usage: &Value) -> Usage {
    let details = &usage["input_tokens_details"];
    let prompt = wire::count(usage, "input_tokens");
    let cache_read = wire::count(details, "cached_tokens").min(prompt);
    let cache_write = wire::count(details, "cache_write_tokens").min(prompt - cache_read);
    let input = prompt - cache_read - cache_write;
    Usage { input, cache_write, cache_read, output: wire::count(usage, "output_tokens") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::testing;

    fn decode(events: &[&str]) -> Result<Reply, ModelError> {
        testing::decode(Box::new(Decoder::default()), events)
    }

    #[test]
    fn a_stream_of_reasoning_text_and_a_call() {
        let reply = decode(&[
            r#"{"type":"response.created","response":{"status":"in_progress"}}"#,
            r#"{"type":"response.output_item.done","output_index":0,"item":{"type":"reasoning","id":"rs_1","encrypted_content":"e","summary":[]}}"#,
            r#"{"type":"response.output_text.delta","delta":"I look."}"#,
            r#"{"type":"response.output_item.done","output_index":1,"item":{"type":"message","content":[{"type":"output_text","text":"I look."}]}}"#,
            r#"{"type":"response.output_item.added","output_index":2,"item":{"type":"function_call","name":"read"}}"#,
            r#"{"type":"response.output_item.done","output_index":2,"item":{"type":"function_call","id":"fc","call_id":"c","name":"read","arguments":"{\"path\":\"a\"}"}}"#,
            r#"{"type":"response.completed","response":{"status":"completed","error":null,"incomplete_details":null,"output":[],"usage":{"input_tokens":10,"input_tokens_details":{"cached_tokens":4},"output_tokens":3}}}"#,
        ])
        .expect("decodes");
        let reasoning =
            json!({"type": "reasoning", "id": "rs_1", "encrypted_content": "e", "summary": []});
        let (id, name, input) = (CallId::new("c"), "read".to_owned(), json!({"path": "a"}));
        assert_eq!(
            reply.message.blocks,
            [
                wire::opaque(Protocol::Responses, &reasoning),
                Block::Text("I look.".to_owned()),
                Block::Call(ToolCall { id, name, input }),
            ]
        );
        assert_eq!(reply.stop, StopReason::ToolUse);
        assert_eq!(reply.usage, Usage { input: 6, cache_write: 0, cache_read: 4, output: 3 });
    }

    #[test]
    fn an_answer_that_ended_early_says_why() {
        let end = |reason: &str| {
            let event = json!({"type": "response.incomplete", "response": {
                "incomplete_details": {"reason": reason},
                "output": [{"type": "message", "content": [{"type": "output_text", "text": "x"}]}],
            }});
            decode(&[&event.to_string()]).expect("decodes")
        };
        assert_eq!(end("max_output_tokens").stop, StopReason::MaxTokens);
        assert_eq!(end("content_filter").stop, StopReason::Refusal);
        assert_eq!(end("x").message.text(), "x");
    }

    #[test]
    fn broken_streams_are_errors() {
        let kind = |events: &[&str]| decode(events).expect_err("fails").kind;
        assert_eq!(kind(&[r#"{"type":"response.created"}"#]), ErrorKind::Cut);
        assert_eq!(kind(&["[DONE]"]), ErrorKind::Cut);
        let failed = r#"{"type":"response.failed","response":{"error":{"code":"rate_limit_exceeded","message":"slow"}}}"#;
        assert_eq!(kind(&[failed]), ErrorKind::RateLimit { retry_after: None });
        let error = r#"{"type":"error","code":"server_error","message":"oops"}"#;
        assert_eq!(kind(&[error]), ErrorKind::Server);
    }
}
