//! Tests of the whole outgoing request, the same conversation in the three wire formats.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::{
    protocol::{
        ids::CallId,
        message::{Block, CacheScope, Message, Segment, Speaker, ToolCall, ToolResult},
    },
    provider::{
        model::Ask,
        testing,
        wire::{self, Protocol, Quirk, Target},
    },
};

const ALL: [Protocol; 3] = [Protocol::Anthropic, Protocol::Chat, Protocol::Responses];
const SYSTEM: &str = "The first part.\n\nThe second part.\n\nThe session part.";

fn render(protocol: Protocol, ask: &Ask, quirks: &[Quirk]) -> Value {
    let target = Target { model: "m".to_owned(), quirks: quirks.to_vec() };
    protocol.render(ask, &target)
}

fn thought() -> Value {
    json!({"type": "thinking", "thinking": "hm", "signature": "sig"})
}

fn reasoning() -> Value {
    json!({"type": "reasoning", "id": "rs_1", "encrypted_content": "e"})
}

/// A conversation with blocks of all three protocols, a broken call and an error.
fn conversation() -> Ask {
    let mut ask = testing::ask();
    let call = |id: &str, input| {
        Block::Call(ToolCall { id: CallId::new(id), name: "read".to_owned(), input })
    };
    let result = |id: &str, is_error| {
        let content = format!("result of {id}");
        Block::Result(ToolResult { id: CallId::new(id), content, is_error })
    };
    ask.messages.push(Arc::new(Message {
        speaker: Speaker::Assistant,
        blocks: vec![
            wire::opaque(Protocol::Anthropic, &thought()),
            wire::opaque(Protocol::Chat, &json!({"reasoning_content": "hm"})),
            wire::opaque(Protocol::Responses, &reasoning()),
            Block::Text("I look.".to_owned()),
            call("a", json!({"path": "x"})),
            call("b", Value::String("{broken".to_owned())),
        ],
    }));
    ask.messages.push(Arc::new(Message {
        speaker: Speaker::User,
        blocks: vec![
            Block::Text("Go on.".to_owned()),
            result("a", false),
            result("b", true),
            Block::Text(String::new()),
        ],
    }));
    (ask.temperature, ask.require_tool) = (Some(0.5), true);
    ask
}

fn tools(render: impl Fn(&str, String, Value) -> Value) -> Value {
    let tool = |name: &str| {
        let spec = testing::tool(name);
        render(name, spec.description, spec.parameters)
    };
    json!([tool("read"), tool("write")])
}

#[test]
fn anthropic() {
    let marked = |mut block: Value| {
        block["cache_control"] = json!({"type": "ephemeral"});
        block
    };
    let mut tools = tools(
        |name, description, schema| json!({"name": name, "description": description, "input_schema": schema}),
    );
    tools[1] = marked(tools[1].take());
    let text = |text: &str| json!({"type": "text", "text": text});
    let call = |id: &str, input: Value| json!({"type": "tool_use", "id": id, "name": "read", "input": input});
    assert_eq!(
        render(Protocol::Anthropic, &conversation(), &[]),
        json!({
            "model": "m",
            "max_tokens": 100,
            "stream": true,
            "temperature": 0.5,
            "tool_choice": {"type": "any"},
            "tools": tools,
            "system": [
                text("The first part."),
                marked(text("The second part.")),
                marked(text("The session part.")),
            ],
            "messages": [
                {"role": "user", "content": [text("Fix it.")]},
                {"role": "assistant", "content": [
                    thought(),
                    text("I look."),
                    call("a", json!({"path": "x"})),
                    call("b", json!({})),
                ]},
                {"role": "user", "content": [
                    {"type": "tool_result", "tool_use_id": "a", "content": "result of a"},
                    {"type": "tool_result", "tool_use_id": "b", "content": "result of b",
                     "is_error": true},
                    marked(text("Go on.")),
                ]},
            ],
        })
    );
}

#[test]
fn chat() {
    let tools = tools(|name, description, schema| {
        let function = json!({"name": name, "description": description, "parameters": schema});
        json!({"type": "function", "function": function})
    });
    let call = |id: &str, arguments: &str| {
        let function = json!({"name": "read", "arguments": arguments});
        json!({"id": id, "type": "function", "function": function})
    };
    assert_eq!(
        render(Protocol::Chat, &conversation(), &[]),
        json!({
            "model": "m",
            "max_tokens": 100,
            "stream": true,
            "stream_options": {"include_usage": true},
            "temperature": 0.5,
            "tool_choice": "required",
            "tools": tools,
            "messages": [
                {"role": "system", "content": SYSTEM},
                {"role": "user", "content": "Fix it."},
                {"role": "assistant", "content": "I look.", "reasoning_content": "hm",
                 "tool_calls": [call("a", "{\"path\":\"x\"}"), call("b", "{}")]},
                {"role": "tool", "tool_call_id": "a", "content": "result of a"},
                {"role": "tool", "tool_call_id": "b", "content": "result of b"},
                {"role": "user", "content": "Go on."},
            ],
        })
    );
}

#[test]
fn responses() {
    let tools = tools(|name, description, schema| {
        json!({"type": "function", "name": name, "description": description,
               "parameters": schema, "strict": false})
    });
    let said = |role: &str, kind: &str, text: &str| json!({"type": "message", "role": role, "content": [{"type": kind, "text": text}]});
    let call = |id: &str, arguments: &str| json!({"type": "function_call", "call_id": id, "name": "read", "arguments": arguments});
    let result = |id: &str| {
        let output = format!("result of {id}");
        json!({"type": "function_call_output", "call_id": id, "output": output})
    };
    let body = render(Protocol::Responses, &conversation(), &[Quirk::ReasoningItems]);
    assert_eq!(
        body,
        json!({
            "model": "m",
            "max_output_tokens": 100,
            "stream": true,
            "store": false,
            "include": ["reasoning.encrypted_content"],
            "prompt_cache_key": "a1ede263d70b5e79",
            "temperature": 0.5,
            "tool_choice": "required",
            "instructions": SYSTEM,
            "tools": tools,
            "input": [
                said("user", "input_text", "Fix it."),
                reasoning(),
                said("assistant", "output_text", "I look."),
                call("a", "{\"path\":\"x\"}"),
                call("b", "{}"),
                said("user", "input_text", "Go on."),
                result("a"),
                result("b"),
            ],
        })
    );
}

#[test]
fn the_same_question_gives_the_same_bytes_and_a_longer_one_begins_with_them() {
    let (first, longer) = (testing::ask(), conversation());
    for protocol in ALL {
        let body = |ask: &Ask| render(protocol, ask, &[]);
        assert_eq!(body(&longer).to_string(), body(&longer.clone()).to_string());
        let (short, long) = (body(&first), body(&longer));
        assert_eq!(short["tools"], long["tools"], "{protocol:?}");
        assert_eq!(short["system"], long["system"], "{protocol:?}");
        let key = if protocol == Protocol::Responses { "input" } else { "messages" };
        let unmarked = |body: &Value| {
            let mut first = body[key][0].clone();
            if let Some(block) = first.pointer_mut("/content/0").and_then(Value::as_object_mut) {
                block.remove("cache_control");
            }
            first
        };
        assert_eq!(unmarked(&short), unmarked(&long), "{protocol:?}");
    }
}

#[test]
fn marks_are_four_at_most_and_none_without_anything_to_mark() {
    let marks = |ask: &Ask| {
        let text = render(Protocol::Anthropic, ask, &[]).to_string();
        text.matches("cache_control").count()
    };
    assert_eq!(marks(&conversation()), 4);
    let mut many = testing::ask();
    let part = |n: usize| {
        let cache = if n.is_multiple_of(2) { CacheScope::Static } else { CacheScope::Session };
        Segment { id: n.to_string(), cache, text: "x".repeat(n) }
    };
    many.system = (0..20).map(part).collect();
    assert_eq!(marks(&many), 4);
    (many.system, many.tools, many.messages) = Default::default();
    assert_eq!(marks(&many), 0);
}

#[test]
fn quirks_rename_and_leave_out_what_a_model_refuses() {
    let quirks = [Quirk::NoTemperature, Quirk::NoForcedTool, Quirk::MaxCompletionTokens];
    for protocol in ALL {
        let body = render(protocol, &conversation(), &quirks);
        assert!(body.get("temperature").is_none(), "{protocol:?}");
        assert!(body.get("tool_choice").is_none(), "{protocol:?}");
    }
    let body = render(Protocol::Chat, &conversation(), &quirks);
    assert_eq!((body.get("max_tokens"), &body["max_completion_tokens"]), (None, &json!(100)));
}

#[test]
fn the_cache_key_goes_by_the_static_part_only() {
    let key = |ask: &Ask| render(Protocol::Responses, ask, &[])["prompt_cache_key"].clone();
    let mut ask = testing::ask();
    let before = key(&ask);
    ask.system[2].text.push('!');
    assert_eq!(key(&ask), before);
    ask.system[0].text.push('!');
    assert_ne!(key(&ask), before);
}
