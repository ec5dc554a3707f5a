//! Who reads while another one writes: always in a tree of its own, at a commit.

use grafter::protocol::{
    event::{Event, What},
    ids::AgentId,
};
use serde_json::json;

use crate::{
    crash::{dies, walk},
    env::process::Run,
    story::{FIXED, Story, call, entry, finish, paid_once},
};

fn is_helper(agent: &AgentId) -> bool {
    agent.as_str().contains('~')
}

/// Returns what each helper was shown.
fn shown(events: &[Event]) -> Vec<String> {
    let mut shown: Vec<(AgentId, String)> = Vec::new();
    for event in events {
        let (What::ToolResult { content, .. }, Some(agent)) = (&event.what, &event.agent) else {
            continue;
        };
        match shown.iter_mut().find(|(id, _)| id == agent) {
            Some((_, text)) => text.push_str(&format!("{content:?}\n")),
            None if is_helper(agent) => shown.push((agent.clone(), format!("{content:?}\n"))),
            None => {}
        }
    }
    shown.into_iter().map(|(_, text)| text).collect()
}

/// A writer that asks the same of three states of its tree, one of them twice.
fn script() -> String {
    let edit =
        |old: &str, new: &str| call("edit", &json!({ "path": "a.txt", "old": old, "new": new }));
    let read = call("read", &json!({ "path": "a.txt" }));
    let half = call("write", &json!({ "path": "half.txt", "content": "half\n" }));
    let ask = call("delegate", &json!({ "question": "what does a.txt say?" }));
    let helps = |turn: u32, calls: serde_json::Value| json!({ "role": "delegate", "turn": turn, "reply": { "calls": calls } });
    let lines = json!([{ "path": "a.txt", "from": 1, "to": 1 }]);
    let finding = json!({ "claim": "it says something", "evidence": lines });
    json!({ "entries": [
        helps(0, json!([read, call("glob", &json!({ "pattern": "*.txt" }))])),
        helps(1, json!([call("report_finding", &finding), finish("seen", &json!({}))])),
        entry("solve", (None, 1, 0), &[ask.clone(), ask.clone(), read, edit("wrong", "half of it"), half]),
        entry("solve", (None, 1, 1), &[ask.clone(), edit("half of it", "right")]),
        entry("solve", (None, 1, 2), &[ask, finish("one word", &json!({}))]),
    ] })
    .to_string()
}

fn run<'s>(story: &'s Story) -> Run<'s> {
    story.run_with(&["--workflow", "solo", "--verify", FIXED, "--into", "fixed"], &script())
}

/// Each helper saw the tree as its writer had left it, and what came of it landed.
#[track_caller]
fn saw(story: &Story) {
    let events = story.events();
    let shown = shown(&events);
    assert_eq!(
        shown.len(),
        3,
        "the same question about the same files is answered once: {shown:?}"
    );
    assert!(shown[0].contains("say wrong") && !shown[0].contains("half"), "{shown:?}");
    assert!(shown[1].contains("say half of it") && shown[1].contains("half.txt"), "{shown:?}");
    assert!(shown[2].contains("say right") && shown[2].contains("half.txt"), "{shown:?}");
    assert_eq!(story.env.git(["show", "fixed:a.txt"]), "say right");
    paid_once(&events);
}

#[test]
fn a_helper_of_a_writer_sees_what_it_has_written_and_the_same_question_may_be_asked_anew() {
    let story = Story::new();
    run(&story).ok();
    saw(&story);
}

#[test]
fn helpers_of_a_writer_that_dies_see_the_same_and_are_paid_once() {
    let story = Story::new();
    run(&story).ok();
    let events = story.events();
    let near = |event: &Event| event.agent.as_ref().is_some_and(is_helper);
    let near = (1..events.len()).filter(|at| events[at - 1..=*at].iter().any(near));
    let cases: Vec<_> = near.map(|at| vec![format!("after:{at}")]).collect();
    assert!(cases.len() > 20, "{}", cases.len());
    walk(&cases, |case| {
        let story = Story::new();
        assert!(dies(run(&story), &case[0]), "it was over");
        story.grafter(&["resume"]).ok();
        saw(&story);
    });
}

#[test]
fn a_helper_that_broke_off_and_is_asked_again_goes_on_where_it_was() {
    let story = Story::new();
    let ask = call("delegate", &json!({ "question": "what does a.txt say?" }));
    let read = call("read", &json!({ "path": "a.txt" }));
    let edit = call("edit", &json!({ "path": "a.txt", "old": "wrong", "new": "right" }));
    // The script has no second answer for the helper.
    let script = json!({ "entries": [
        { "role": "delegate", "turn": 0, "reply": { "calls": [read.clone()] } },
        entry("solve", (None, 1, 0), std::slice::from_ref(&ask)),
        entry("solve", (None, 1, 1), &[ask]),
        entry("solve", (None, 1, 2), &[read, edit, finish("one word", &json!({}))]),
    ] });
    let flags = ["--workflow", "solo", "--verify", FIXED, "--into", "fixed"];
    story.run_with(&flags, &script.to_string()).ok();
    let events = story.events();
    let of_helper = |event: &&Event| event.agent.as_ref().is_some_and(is_helper);
    let of_helper: Vec<_> = events.iter().filter(of_helper).map(|event| &event.what).collect();
    let paid = of_helper.iter().filter(|what| matches!(what, What::ModelResult { .. })).count();
    let failed = of_helper.iter().filter(|what| matches!(what, What::ModelFailed { .. })).count();
    assert_eq!((paid, failed), (1, 2), "{of_helper:?}");
}
