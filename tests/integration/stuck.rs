//! Agents that get nowhere: told, ended, tried once more with what went wrong, then failed.

use std::{fs, slice};

use grafter::protocol::{event::What, outcome::Failure};
use serde_json::{Value, json};

use crate::story::{FIXED, Story, call, entry, finish};

/// A writer that reads what is not there, again and again, and is well in its second attempt.
fn script(attempts: u32) -> String {
    let absent = call("read", &json!({ "path": "absent.txt" }));
    let edit = call("edit", &json!({ "path": "a.txt", "old": "wrong", "new": "right" }));
    let read = call("read", &json!({ "path": "a.txt" }));
    let mut entries = Vec::new();
    for attempt in 1..=attempts {
        entries.extend(
            (0..8).map(|turn| entry("solve", (None, attempt, turn), slice::from_ref(&absent))),
        );
    }
    entries.push(entry("solve", (None, attempts + 1, 0), &[read, edit]));
    entries.push(entry("solve", (None, attempts + 1, 1), &[finish("one word", &json!({}))]));
    json!({ "entries": entries }).to_string()
}

fn failures(story: &Story) -> Vec<Option<Failure>> {
    let ends = story.events().into_iter().filter_map(|event| match event.what {
        What::NodeFinished { outcome, .. } if event.node.as_ref()?.as_str() == "solve" => {
            Some(outcome.failure)
        }
        _ => None,
    });
    ends.collect()
}

fn config(story: &Story, text: &str) {
    let folder = story.env.root().join("config/grafter");
    fs::create_dir_all(&folder).expect("a folder");
    fs::write(folder.join("config.toml"), text).expect("a file");
}

const FLAGS: [&str; 6] = ["--workflow", "solo", "--verify", FIXED, "--into", "fixed"];

#[test]
fn who_gets_nowhere_tries_once_more_and_hears_why() {
    let story = Story::new();
    story.run_with(&FLAGS, &script(1)).ok();
    assert_eq!(failures(&story), [Some(Failure::Stuck), None]);
    let feedback = story.events().into_iter().find_map(|event| match event.what {
        What::NodesReset { feedback, .. } => Some(serde_json::to_value(feedback).expect("data")),
        _ => None,
    });
    let feedback = feedback.as_ref().map(Value::to_string).unwrap_or_default();
    assert!(feedback.contains("solve: the same call was repeated"), "{feedback}");
    assert_eq!(story.env.git(["show", "fixed:a.txt"]), "say right");
}

#[test]
fn who_gets_nowhere_twice_has_failed() {
    let story = Story::new();
    let output = story.run_with(&FLAGS, &script(2)).code(1);
    assert_eq!(failures(&story), [Some(Failure::Stuck), Some(Failure::Stuck)]);
    assert!(output.text().contains("the same call was repeated"), "{}", output.text());
}

#[test]
fn how_often_is_too_often_is_a_setting() {
    let story = Story::new();
    config(&story, "[run]\nstuck_repeats = 2\n");
    story.run_with(&FLAGS, &script(1)).ok();
    let events = story.events();
    let reads = events.iter().filter(|event| {
        event.agent.as_ref().is_some_and(|agent| agent.as_str() == "solve@1")
            && matches!(event.what, What::ToolResult { .. })
    });
    assert_eq!(reads.count(), 2);
    config(&story, "[run]\nstuck_repeats = 1\n");
    let said = story.run_with(&FLAGS, &script(1)).code(2).stderr;
    assert!(said.contains("one is no repetition"), "{said}");
}

#[test]
fn what_a_stuck_agent_had_done_is_saved_with_what_its_last_command_left_at_its_deadline() {
    let story = Story::new();
    let hangs = json!({ "command": "echo left > left.txt; sleep 600", "timeout": 1 });
    let write = call("write", &json!({ "path": "half.txt", "content": "half\n" }));
    let mut entries = vec![
        entry("solve", (None, 1, 0), &[write]),
        entry("solve", (None, 1, 1), &[call("bash", &hangs)]),
    ];
    let rest: Value = serde_json::from_str(&script(1)).expect("a script");
    entries.extend(rest["entries"].as_array().expect("entries").iter().cloned());
    let session = json!({ "entries": entries }).to_string();
    let mode = [&FLAGS[..], &["--mode", "bypass"]].concat();
    story.run_with(&mode, &session).ok();
    assert_eq!(failures(&story), [Some(Failure::Stuck), None]);
    let ended = story.events().into_iter().any(|event| match event.what {
        What::ToolResult { tool, content, .. } => {
            tool == "bash" && format!("{content:?}").contains("timeout")
        }
        _ => false,
    });
    assert!(ended, "the command was told to be too long");
    let refs = ["for-each-ref", "--format=%(refname)", "refs/grafter/snap"];
    let refs = story.env.git(refs);
    let own = refs.lines().find(|name| name.contains("solve@1")).expect("it was saved");
    for (file, text) in [("half.txt", "half"), ("left.txt", "left")] {
        assert_eq!(story.env.git(["show", &format!("{own}:{file}")]), text);
    }
}
