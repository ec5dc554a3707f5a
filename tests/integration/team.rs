//! Teammates that work together: they wait for each other's words and share a list of tasks, and
//! neither hangs nor counts twice whatever happens.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, thread,
    time::Duration,
};

use grafter::{
    journal::blobs::Blobs,
    protocol::{
        event::{Event, What},
        task_list::{Change, TaskChanged},
    },
};
use serde_json::{Value, json};

use crate::{
    crash::{dies, walk},
    env::process::Run,
    story::{FIXED, Story, call, entry, finish, kind, paid_once},
};

/// Two who talk, one after them, and a writer.
const NODES: &str = "name: team\nversion: 1\nnodes:\n\
    \x20 - { id: pair, phase: research, kind: teammate, role: researcher, each: 2, tools: [default, send, receive, tasks], optional: true }\n\
    \x20 - { id: late, phase: research, kind: teammate, role: researcher, needs: [pair], tools: [tasks], optional: true }\n\
    \x20 - { id: fix, phase: implementation, role: implementer, needs: [late] }\n\
    \x20 - { id: checks, phase: verification, work: checks, needs: [fix] }\n";

fn tasks(action: &str, more: &Value) -> Value {
    let mut input = json!({ "action": action });
    for (name, value) in more.as_object().into_iter().flatten() {
        input[name] = value.clone();
    }
    call("tasks", &input)
}

fn add(text: &str) -> Value {
    tasks("add", &json!({ "text": text }))
}

fn claim() -> Value {
    tasks("claim", &json!({}))
}

fn send(to: &str, text: &str) -> Value {
    call("send", &json!({ "to": to, "text": text }))
}

fn receive() -> Value {
    call("receive", &json!({}))
}

fn quits() -> Value {
    finish("nothing more", &json!({ "status": "failed" }))
}

/// The two say this; the others do their work.
fn script(pair: [&[Vec<Value>]; 2], late: &[Value]) -> String {
    let read = call("read", &json!({ "path": "a.txt" }));
    let edit = call("edit", &json!({ "path": "a.txt", "old": "wrong", "new": "right" }));
    let at = |turn| (None, 1, turn);
    let mut entries = vec![
        entry("late", at(0), &[late, &[quits()]].concat()),
        entry("fix", at(0), &[read, edit]),
        entry("fix", at(1), &[finish("one word", &json!({}))]),
    ];
    for (index, turns) in (0..).zip(pair) {
        for (turn, calls) in (0..).zip(turns) {
            entries.push(entry("pair", (Some(index), 1, turn), calls));
        }
    }
    json!({ "entries": entries }).to_string()
}

/// One puts three tasks on the list and waits; the other does one, leaves one, and says so.
fn together() -> String {
    let one = [
        vec![add("count the words"), add("count the lines"), add("name the file"), receive()],
        vec![send("pair.1", "the list is ready"), receive()],
        vec![tasks("list", &json!({})), send("pair.1", "thanks"), quits()],
    ];
    let done = tasks("done", &json!({ "id": 1, "text": "two" }));
    let other = [
        vec![receive()],
        vec![claim(), done, claim()],
        vec![send("pair.0", "one is done"), receive()],
        vec![quits()],
    ];
    let late = [tasks("list", &json!({})), claim()];
    script([&one, &other], &late)
}

/// Returns a run whose checks stand before a gate, and so keep it going.
fn run<'s>(story: &'s Story, script: &str) -> Run<'s> {
    let file = story.env.root().join("team.yaml");
    fs::write(&file, NODES).expect("a new file");
    let check = format!("until [ -e node_modules/go ]; do sleep 0.01; done; {FIXED}");
    let flags =
        ["--workflow", file.to_str().expect("UTF-8"), "--verify", &check, "--into", "fixed"];
    story.run_with(&flags, script)
}

/// Waits until so many agents of a live run wait for a message.
fn receiving(story: &Story, many: usize) {
    story.wait_until(|events| events.iter().any(|event| kind(&event.what) == "model_result"));
    while story.grafter(&["ps"]).ok().stdout.matches("receive").count() < many {
        thread::sleep(Duration::from_millis(10));
    }
}

/// Returns what the tools of the team answered, by agent, turn and position.
fn told(story: &Story) -> BTreeMap<(String, u32, u32), String> {
    let blobs = Blobs::of(&story.env.path(".git/grafter"));
    let events = story.events().into_iter();
    let results = events.filter_map(|event| match event.what {
        What::ToolResult { turn, index, tool, content, .. }
            if matches!(tool.as_str(), "tasks" | "receive" | "send") =>
        {
            let agent = event.agent?.to_string();
            Some(((agent, turn, index), blobs.fetch(&content).expect("the text")))
        }
        _ => None,
    });
    results.collect()
}

#[track_caller]
fn of(told: &BTreeMap<(String, u32, u32), String>, at: (&str, u32, u32)) -> String {
    told.get(&(at.0.to_owned(), at.1, at.2)).cloned().unwrap_or_else(|| panic!("{told:?}"))
}

#[track_caller]
fn lands(story: &Story) {
    story.is_untouched();
    assert_eq!(story.env.git(["show", "fixed:a.txt"]), "say right");
    paid_once(&story.events());
}

fn changes(events: &[Event]) -> Vec<(String, u32, &'static str)> {
    let all = events.iter().filter_map(|event| match &event.what {
        What::TaskChanged(TaskChanged { id, change, .. }) => {
            let what = match change {
                Change::Added { .. } => "added",
                Change::Claimed => "claimed",
                Change::Done { .. } => "done",
                Change::Dropped => "dropped",
            };
            Some((event.agent.as_ref()?.to_string(), *id, what))
        }
        _ => None,
    });
    all.collect()
}

/// What the list went through, once; and each message is delivered once.
fn worked(story: &Story) {
    let (one, other, late) = ("pair.0@1", "pair.1@1", "late@1");
    let expected = [
        (one, 1, "added"),
        (one, 2, "added"),
        (one, 3, "added"),
        (other, 1, "claimed"),
        (other, 1, "done"),
        (other, 2, "claimed"),
        (late, 2, "claimed"),
    ];
    let events = story.events();
    let seen = changes(&events);
    let seen: Vec<_> = seen.iter().map(|(who, id, what)| (who.as_str(), *id, *what)).collect();
    assert_eq!(seen, expected);
    let sent = events.iter().filter_map(|event| match &event.what {
        What::MessageSent(sent) => Some((sent.from.clone(), event.seq)),
        _ => None,
    });
    let (mut calls, mut sent): (Vec<_>, BTreeSet<_>) = sent.unzip();
    calls.sort();
    calls.dedup();
    assert_eq!(calls.len(), sent.len(), "a call sent twice");
    for event in &events {
        if let What::MessageDelivered(told) = &event.what {
            assert!(sent.remove(&told.message), "{} is delivered twice", told.message);
        }
    }
}

#[test]
fn teammates_wait_for_words_and_share_a_list() {
    let story = Story::new();
    let live = run(&story, &together()).start();
    receiving(&story, 2);
    let why = story.grafter(&["why", "pair.0"]).ok().stdout;
    assert!(
        why.contains("until somebody writes to it, which you can: grafter send pair.0 "),
        "{why}"
    );
    story.grafter(&["send", "pair.0", "begin"]).ok();
    story.wait_until(|events| changes(events).len() == 7);
    story.open_gate();
    let output = live.finish();
    story.close_gate();
    assert_eq!(output.status.code(), Some(0), "{}", output.text());
    lands(&story);
    worked(&story);
    let told = told(&story);
    let begun = of(&told, ("pair.0@1", 0, 3));
    assert!(begun.contains("from the user, has come for you"), "{begun}");
    let come = of(&told, ("pair.1@1", 0, 0));
    assert!(come.ends_with("from pair.0@1, has come for you, and you see it now"), "{come}");
    assert_eq!(of(&told, ("pair.1@1", 1, 2)), "2 [yours] count the lines\nopen: 3");
    assert_eq!(
        of(&told, ("pair.0@1", 2, 0)),
        "1 [done by pair.1@1] count the words -> two\n2 [claimed by pair.1@1] count the lines\n\
         3 [open] name the file"
    );
    let left = of(&told, ("late@1", 0, 0));
    assert!(left.contains("\n2 [open] count the lines\n"), "its claim ended with it: {left}");
    assert!(output.text().contains("pair.1: has done task 1: two"), "{}", output.text());
    let shown = story.grafter(&["status", "latest"]).ok().stdout;
    assert!(shown.contains("Tasks of the agents"), "{shown}");
    assert!(shown.contains("✓   1  count the words  pair.1@1"), "{shown}");
    let json = story.grafter(&["status", "latest", "--json"]).ok().stdout;
    let json: Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(json["tasks"][0]["note"], "two", "{json}");
    assert_eq!(json["tasks"][2], json!({ "id": 3, "text": "name the file", "state": "open" }));
}

#[test]
fn a_team_that_dies_at_any_record_says_and_does_nothing_twice() {
    let story = Story::new();
    story.open_gate();
    run(&story, &together()).ok();
    let kinds = story.kinds();
    let talk = |name: &str| name.starts_with("message_") || name == "task_changed";
    let near = (1..kinds.len()).filter(|at| kinds[at - 1..=*at].iter().any(|name| talk(name)));
    let cases: Vec<_> = near.map(|at| vec![format!("after:{at}")]).collect();
    assert!(cases.len() > 10, "{kinds:?}");
    walk(&cases, |case| {
        let story = Story::new();
        story.open_gate();
        assert!(dies(run(&story, &together()), &case[0]), "it was over");
        story.grafter(&["resume"]).ok();
        story.close_gate();
        lands(&story);
        worked(&story);
    });
}

#[test]
fn two_that_wait_for_each_other_are_told_so() {
    let story = Story::new();
    let waits = [vec![receive()], vec![receive()], vec![quits()]];
    story.open_gate();
    run(&story, &script([&waits, &waits], &[])).ok();
    story.close_gate();
    lands(&story);
    let told = told(&story);
    let vain = told.values().filter(|text| text.contains("nobody is left at work who could write"));
    assert_eq!(vain.count(), 4, "{told:?}");
}

#[test]
fn a_lead_and_a_teammate_that_wait_for_each_other_go_on() {
    let story = Story::new();
    let spawn = call("spawn", &json!({ "name": "look", "kind": "teammate", "task": "wait" }));
    let at = |turn| (None, 1, turn);
    let wait = call("wait", &json!({}));
    let script = json!({ "entries": [
        entry("lead", at(0), &[add("look about"), spawn, wait]),
        entry("lead", at(1), &[quits()]),
        entry("look", at(0), &[claim(), receive()]),
        entry("look", at(1), &[finish("nobody wrote", &json!({ "status": "failed" }))]),
    ] });
    let flags = ["--coordinator", "--verify", FIXED, "--into", "fixed"];
    story.run_with(&flags, &script.to_string()).code(1);
    let told = told(&story);
    assert!(of(&told, ("look@1", 0, 0)).starts_with("1 [yours] look about"), "{told:?}");
    assert!(of(&told, ("look@1", 0, 1)).contains("nobody is left at work"), "{told:?}");
    let ended = story.events().into_iter().any(|event| {
        let of_lead = event.node.as_ref().is_some_and(|node| node.as_str() == "lead");
        of_lead && matches!(event.what, What::ToolResult { ref tool, is_error: false, .. } if tool == "wait")
    });
    assert!(ended, "the lead heard of the end: {:?}", story.kinds());
}
