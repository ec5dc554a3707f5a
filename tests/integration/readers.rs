//! Who reads while another one writes: always in a tree of its own, at a commit.

use grafter::protocol::{
    event::{Event, What},
    ids::AgentId,
};
use serde_json::json;

use crate::story::{FIXED, Story, call, entry, finish};

fn is_helper(agent: &AgentId) -> bool {
    agent.as_str().contains('~')
}

/// Returns what the helpers were shown.
fn shown(events: &[Event]) -> String {
    let results = events.iter().filter_map(|event| match &event.what {
        What::ToolResult { content, .. } if event.agent.as_ref().is_some_and(is_helper) => {
            Some(format!("{content:?}\n"))
        }
        _ => None,
    });
    results.collect()
}

#[test]
fn readers_during_a_write_see_a_commit_and_never_the_tree_that_is_written() {
    let story = Story::new();
    let edit =
        |old: &str, new: &str| call("edit", &json!({ "path": "a.txt", "old": old, "new": new }));
    let read = call("read", &json!({ "path": "a.txt" }));
    let half = call("write", &json!({ "path": "half.txt", "content": "half\n" }));
    let ask = call("delegate", &json!({ "question": "what does a.txt say?" }));
    let helps = |turn: u32, calls: serde_json::Value| json!({ "role": "delegate", "turn": turn, "reply": { "calls": calls } });
    let lines = json!([{ "path": "a.txt", "from": 1, "to": 1 }]);
    let finding = json!({ "claim": "it says something", "evidence": lines });
    let session = json!({ "entries": [
        helps(0, json!([read, call("glob", &json!({ "pattern": "*.txt" }))])),
        helps(1, json!([call("report_finding", &finding), finish("seen", &json!({}))])),
        entry("solve", (None, 1, 0), &[read, edit("wrong", "half of it"), half]),
        entry("solve", (None, 1, 1), &[ask]),
        entry("solve", (None, 1, 2), &[edit("half of it", "right"), finish("one word", &json!({}))]),
    ] });
    let flags = ["--workflow", "solo", "--verify", FIXED, "--into", "fixed"];
    story.run_with(&flags, &session.to_string()).ok();
    let shown = shown(&story.events());
    assert!(shown.contains("say wrong") && shown.contains("b.txt"), "{shown}");
    assert!(!shown.contains("half"), "{shown}");
    assert_eq!(story.env.git(["show", "fixed:a.txt"]), "say right");
}
