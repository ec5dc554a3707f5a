//! The smallest workflow lands over each protocol that a model may be served by.

use serde_json::{Value, json};

use crate::server::{Answer, CHECK, Server, landed, object, solo, world};

/// Calls of one answer: tools with their arguments.
type Calls<'a> = &'a [(&'a str, Value)];

fn chat(calls: Calls<'_>) -> Answer {
    let texts: Vec<_> = calls.iter().map(|(name, input)| (*name, input.to_string())).collect();
    let calls: Vec<_> = texts.iter().map(|(name, input)| (*name, input.as_str())).collect();
    crate::server::calls(&calls)
}

fn anthropic(calls: Calls<'_>) -> Answer {
    let usage = json!({ "input_tokens": 1000, "output_tokens": 1 });
    let mut events = vec![json!({ "type": "message_start", "message": { "usage": usage } })];
    for (index, (name, input)) in calls.iter().enumerate() {
        let block = json!({ "type": "tool_use", "id": format!("call{index}"), "name": name });
        let delta = json!({ "type": "input_json_delta", "partial_json": input.to_string() });
        events.extend([
            json!({ "type": "content_block_start", "index": index, "content_block": block }),
            json!({ "type": "content_block_delta", "index": index, "delta": delta }),
            json!({ "type": "content_block_stop", "index": index }),
        ]);
    }
    let end = json!({ "stop_reason": "tool_use" });
    let usage = json!({ "output_tokens": 20 });
    events.push(json!({ "type": "message_delta", "delta": end, "usage": usage }));
    events.push(json!({ "type": "message_stop" }));
    Answer::Stream(events)
}

fn responses(calls: Calls<'_>) -> Answer {
    let mut events = vec![json!({ "type": "response.created", "response": {} })];
    for (index, (name, input)) in calls.iter().enumerate() {
        let item = json!({ "type": "function_call", "call_id": format!("call{index}"), "name": name,
            "arguments": input.to_string() });
        let kind = "response.output_item.done";
        events.push(json!({ "type": kind, "output_index": index, "item": item }));
    }
    let usage = json!({ "input_tokens": 1000, "output_tokens": 20 });
    let response = json!({ "status": "completed", "error": null, "output": [], "usage": usage });
    events.push(json!({ "type": "response.completed", "response": response }));
    Answer::Stream(events)
}

/// Lands over a protocol; returns the second request, which holds what the tools said.
fn lands(protocol: &str, path: &str, answer: fn(Calls<'_>) -> Answer) -> Value {
    let mend = [
        ("read", json!({ "path": "value.txt" })),
        ("write", json!({ "path": "value.txt", "content": "right\n" })),
    ];
    let done = json!({ "status": "succeeded", "summary": "value.txt is right now" });
    let (env, server) = (world(), Server::new([answer(&mend), answer(&[("finish", done)])]));
    let model = format!("{protocol}+{}#m", server.url());
    let end = object(solo(&env, &model, &["--output", "json"]), 0);
    assert_eq!(landed(&env, "value.txt"), "right", "{CHECK}");
    assert_eq!((&end["turns"], &end["usage"]["output"]), (&json!(2), &json!(40)));
    let requests = server.received();
    let wanted = format!("POST /v1/{path} HTTP/1.1\r\n");
    assert!(requests.iter().all(|request| request.head.starts_with(&wanted)), "{requests:?}");
    assert_eq!(requests.len(), 2);
    requests[1].json()
}

/// Returns the ids in a list whose items have such a member.
fn ids(list: &Value, key: &str) -> Vec<String> {
    let items = list.as_array().expect("a list").iter();
    items.filter_map(|item| Some(item[key].as_str()?.to_owned())).collect()
}

#[test]
fn a_run_lands_over_chat_completions() {
    let request = lands("chat", "chat/completions", chat);
    assert_eq!(ids(&request["messages"], "tool_call_id"), ["call0", "call1"]);
}

#[test]
fn a_run_lands_over_anthropic_messages() {
    let request = lands("anthropic", "messages", anthropic);
    let told = request["messages"].as_array().and_then(|all| all.last()).expect("a message");
    assert_eq!(ids(&told["content"], "tool_use_id"), ["call0", "call1"]);
}

#[test]
fn a_run_lands_over_responses() {
    let request = lands("responses", "responses", responses);
    let all = request["input"].as_array().expect("a list").iter();
    let told = all.filter(|item| item["type"] == "function_call_output").cloned();
    assert_eq!(ids(&Value::Array(told.collect()), "call_id"), ["call0", "call1"]);
}
