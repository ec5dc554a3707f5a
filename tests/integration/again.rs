//! Agents that have ended are asked again: who answers goes on from their conversation, reads what
//! they left, writes nothing, and is paid for once whatever happens.

use std::{collections::BTreeSet, fs, sync::Mutex, thread, time::Duration};

use grafter::protocol::{
    asked::Asked,
    event::{Event, What},
    outcome::{Outcome, Status},
};
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::{
    crash::walk,
    env::process::{Run, Running},
    story::{FIXED, Story, call, entry, finish, kind, paid_once},
};

const GATE: &str = "until [ -e node_modules/go ]; do sleep 0.01; done";

/// Somebody looks, somebody gives up, somebody is skipped; then one writes, behind the gate.
const NODES: &str = "name: asked\nversion: 1\nnodes:\n\
    \x20 - { id: look, phase: research, role: researcher, each: 2 }\n\
    \x20 - { id: muse, phase: research, role: researcher, optional: true }\n\
    \x20 - { id: fix, phase: implementation, role: implementer, needs: [look, muse], gives: { risky: bool } }\n\
    \x20 - { id: checks, phase: verification, work: checks, needs: [fix] }\n";

fn read() -> Value {
    call("read", &json!({ "path": "a.txt" }))
}

fn script() -> String {
    let lines = json!([{ "path": "a.txt", "from": 1, "to": 1 }]);
    let mut entries = Vec::new();
    for (index, claim) in (0..).zip(["the only line says wrong", "no other file says anything"]) {
        let report = call("report_finding", &json!({ "claim": claim, "evidence": lines }));
        let calls = [read(), report, finish("it is there", &json!({}))];
        entries.push(entry("look", (Some(index), 1, 0), &calls));
    }
    let at = |turn| (None, 1, turn);
    let gives_up = [read(), finish("I cannot say", &json!({ "status": "failed" }))];
    entries.push(entry("muse", at(0), &gives_up));
    let edit = call("edit", &json!({ "path": "a.txt", "old": "wrong", "new": "right" }));
    entries.push(entry("fix", at(0), &[read(), edit]));
    let done = json!({ "carry": { "risky": false } });
    let calls = [call("run_tests", &json!({})), finish("one word", &done)];
    entries.push(entry("fix", at(1), &calls));
    // Whoever answers looks first, tries to write, and then says what it has seen.
    let write = call("write", &json!({ "path": "a.txt", "content": "mine\n" }));
    for name in ["look-0", "muse", "fix"] {
        for node in [format!("{name}-again"), format!("{name}-again-2")] {
            entries.push(entry(&node, at(0), &[read(), write.clone()]));
            entries.push(entry(&node, at(1), &[finish(&format!("{node} says so"), &json!({}))]));
        }
    }
    json!({ "entries": entries }).to_string()
}

fn run<'s>(story: &'s Story, nodes: &str) -> Run<'s> {
    let file = story.env.root().join("asked.yaml");
    fs::write(&file, nodes).expect("a new file");
    let check = format!("{GATE}; {FIXED}");
    let flags = ["--workflow", file.to_str().expect("UTF-8"), "--verify", &check];
    story.run_with(&[&flags[..], &["--into", "fixed"]].concat(), &script())
}

/// Begins a run and waits until its writer stands before the gate.
fn at_gate(story: &Story, nodes: &str) -> Running {
    let live = run(story, nodes).start();
    story.wait_until(|events| events.iter().any(is_waiting));
    live
}

fn is_waiting(event: &Event) -> bool {
    matches!(&event.what, What::ToolIntent { tool, .. } if tool == "run_tests")
}

fn says(story: &Story, args: &[&str]) -> String {
    story.grafter(args).ok().stdout
}

fn refuses(story: &Story, args: &[&str]) -> String {
    story.grafter(args).code(2).stderr
}

/// Returns the questions of a run: who answers, and what is asked of whom.
fn questions(events: &[Event]) -> Vec<(String, Asked)> {
    let asked = events.iter().filter_map(|event| match &event.what {
        What::NodesAdded { ids, asked: Some(asked), .. } => Some((ids[0].clone(), *asked.clone())),
        _ => None,
    });
    asked.collect()
}

fn ended(events: &[Event], node: &str) -> Vec<Outcome> {
    let own = events.iter().filter(|event| event.node.iter().any(|id| id.as_str() == node));
    let ended = own.filter_map(|event| match &event.what {
        What::NodeFinished { outcome, .. } => Some(*outcome.clone()),
        _ => None,
    });
    ended.collect()
}

/// Asks, and waits for the answer of that node.
fn asks(story: &Story, name: &str, (question, answers): (&str, &str)) {
    let said = says(story, &["send", name, question]);
    assert!(said.contains(&format!("so {answers} goes on from its conversation")), "{said}");
    story.wait_until(|events| !ended(events, answers).is_empty());
}

fn lands(story: &Story, live: Running) -> String {
    story.open_gate();
    let output = live.finish();
    assert_eq!(output.status.code(), Some(0), "{}", output.text());
    story.close_gate();
    story.is_untouched();
    assert_eq!(story.env.git(["show", "fixed:a.txt"]), "say right");
    paid_once(&story.events());
    output.text()
}

#[test]
fn an_agent_that_has_ended_is_asked_again_and_goes_on_from_its_last_answer() {
    let story = Story::new();
    let live = at_gate(&story, NODES);
    asks(&story, "look.0", ("where is it?", "look-0-again"));
    asks(&story, "look.0@1", ("are you sure?", "look-0-again-2"));
    asks(&story, "muse", ("why not?", "muse-again"));
    let why = says(&story, &["why", "look-0-again"]);
    assert!(why.contains("look-0-again is done: look-0-again says so"), "{why}");
    let rows = says(&story, &["ps"]);
    let row = rows.lines().find(|row| row.starts_with("look-0-again@1")).expect("a row");
    let cells: Vec<&str> = row.split_whitespace().collect();
    assert_eq!(&cells[1..5], ["fork", "synthesis", "researcher", "done"], "{rows}");
    let output = lands(&story, live);
    assert!(output.contains("the user asks look.0@1 again, look-0-again answers: where is it?"));
    assert!(output.contains("look-0-again-2 says so"), "{output}");
    let events = story.events();
    let asked = questions(&events);
    let of: Vec<_> = asked.iter().map(|(name, asked)| (&**name, asked.of.as_str())).collect();
    let wanted = [
        ("look-0-again", "look.0@1"),
        ("look-0-again-2", "look-0-again@1"),
        ("muse-again", "muse@1"),
    ];
    assert_eq!(of, wanted);
    assert!(asked.iter().all(|(_, asked)| asked.at.as_str() == story.base));
    let logs = says(&story, &["logs", "--agent", "look-0-again"]);
    assert!(logs.contains("[look.0@1 is asked] » where is it?"), "{logs}");
    assert!(logs.contains("E_NOT_ALLOWED: `write`"), "{logs}");
    assert!(says(&story, &["cost"]).contains("look-0-again-2"));
    let late = refuses(&story, &["send", "look.0", "late"]);
    assert!(late.contains("is not running"), "{late}");
}

#[test]
fn who_is_asked_about_what_it_wrote_reads_that_and_the_run_waits_for_the_answer() {
    let story = Story::new();
    let live = at_gate(&story, NODES);
    says(&story, &["pause", "--all"]);
    story.open_gate();
    story.wait_until(|events| {
        events.iter().any(|event| kind(&event.what) == "tool_result" && is_of(event, "fix", 1))
    });
    // What answers begins when the user says so, long after all else is done.
    says(&story, &["unpause", "fix"]);
    story.wait_until(|events| !ended(events, "fix").is_empty());
    says(&story, &["send", "fix", "what did you change?"]);
    story.wait_until(|events| events.iter().any(|event| kind(&event.what) == "candidate_made"));
    let asked = questions(&story.events());
    let second = says(&story, &["send", "fix", "and why?"]);
    assert!(second.contains("fix-again@1 is paused; it reads the message"), "{second}");
    assert!(!story.kinds().contains(&"run_finished".to_owned()));
    says(&story, &["unpause", "--all"]);
    let output = live.finish();
    assert_eq!(output.status.code(), Some(0), "{}", output.text());
    story.close_gate();
    let events = story.events();
    let made = ended(&events, "fix").swap_remove(0).commit;
    assert_eq!(Some(&asked[0].1.at), made.as_ref());
    let answer = ended(&events, "fix-again");
    assert_eq!((answer.len(), answer[0].status), (1, Status::Succeeded));
    let logs = says(&story, &["logs", "--agent", "fix-again"]);
    assert!(logs.contains("say right") && !logs.contains("say wrong"), "{logs}");
    assert!(logs.contains("» and why?"), "{logs}");
    assert_eq!(story.env.git(["show", "fixed:a.txt"]), "say right");
    story.is_untouched();
}

fn is_of(event: &Event, node: &str, turn: u32) -> bool {
    let is_turn = matches!(&event.what, What::ToolResult { turn: at, .. } if *at == turn);
    is_turn && event.node.as_ref().is_some_and(|id| id.as_str() == node)
}

#[test]
fn who_cannot_be_asked_is_refused_in_plain_words() {
    let story = Story::new();
    let skipped = NODES.to_owned()
        + "\x20 - { id: audit, phase: verification, role: reviewer, needs: [fix], when: { carry: risky, equals: true } }\n";
    let live = at_gate(&story, &skipped);
    let mut said = vec![
        refuses(&story, &["send", "look", "who?"]),
        refuses(&story, &["send", "look.0", " "]),
        refuses(&story, &["send", "look.0@2", "who?"]),
        refuses(&story, &["send", "look.9", "who?"]),
        refuses(&story, &["send", "checks", "who?"]),
        refuses(&story, &["send", "audit", "who?"]),
    ];
    says(&story, &["pause", "--all"]);
    says(&story, &["send", "muse", "why not?"]);
    story.open_gate();
    says(&story, &["unpause", "fix"]);
    story.wait_until(|events| events.iter().any(|event| kind(&event.what) == "node_skipped"));
    said.push(refuses(&story, &["send", "audit", "who?"]));
    said.push(refuses(&story, &["send", "muse", &"x".repeat(70_000)]));
    says(&story, &["unpause", "--all"]);
    assert_eq!(live.finish().status.code(), Some(0));
    story.close_gate();
    insta::assert_snapshot!(said.concat(), @r"
    error: `look` has 2 agents that have ended
      hint: name one of them: look.0@1, look.1@1
    error: the message is empty
      hint: say something
    error: there is no agent `look.0@2`; did you mean `look.0@1`?
      hint: at work are fix@1
    error: look.9 has not begun
      hint: `grafter ps` lists the agents, `grafter why NAME` says what one waits for
    error: checks has not begun
      hint: `grafter ps` lists the agents, `grafter why NAME` says what one waits for
    error: audit has not begun
      hint: `grafter ps` lists the agents, `grafter why NAME` says what one waits for
    error: audit was skipped, so there is nobody to ask
      hint: grafter why audit says more
    error: the message has 70000 bytes, muse-again@1 takes 65536
      hint: put it into a file of the repository, or send less
    ");
}

#[test]
fn questions_without_end_are_stopped_by_the_size_of_a_graph() {
    let story = Story::new();
    let audit = |n| {
        format!(
            "\x20 - {{ id: audit-{n}, phase: verification, role: reviewer, needs: [fix], when: {{ carry: risky, equals: true }} }}\n"
        )
    };
    let nodes = NODES.to_owned() + &(0..59).map(audit).collect::<String>();
    let live = at_gate(&story, &nodes);
    asks(&story, "look.0", ("where is it?", "look-0-again"));
    let told = refuses(&story, &["send", "look.0", "are you sure?"]);
    assert!(told.contains("65 nodes are too many: at most 64"), "{told}");
    lands(&story, live);
}

#[test]
fn a_writer_that_answered_in_text_is_asked_in_text() {
    let story = Story::new();
    let text = "So:\n\na.txt\n```\nsay right\n```\n";
    let says_text =
        |node: &str, text: &str| json!({ "node": node, "turn": 0, "reply": { "text": text } });
    let entries = [says_text("solve", text), says_text("solve-again", "because it was wrong")];
    let script = json!({ "entries": entries }).to_string();
    let check = format!("{GATE}; {FIXED}");
    let flags = ["--workflow", "solo", "--edit-format", "whole-file", "--verify", &check];
    let live = story.run_with(&[&flags[..], &["--into", "fixed"]].concat(), &script).start();
    story.open_gate();
    story.wait_until(|events| events.iter().any(|event| kind(&event.what) == "node_started"));
    story.close_gate();
    story.wait_until(|events| !ended(events, "solve").is_empty());
    asks(&story, "solve", ("why?", "solve-again"));
    assert_eq!(ended(&story.events(), "solve-again")[0].summary, "because it was wrong");
    lands(&story, live);
}

/// Waits until so many processes have taken the run up again.
fn is_resumed(story: &Story, times: usize) {
    story.wait_until(|events| {
        let resumed = events.iter().filter(|event| kind(&event.what) == "run_resumed");
        resumed.count() == times
    });
}

/// Makes the question the last that the run's process has written.
fn cut_after_question(story: &Story) {
    let file = story.latest().join("journal.jsonl");
    let text = fs::read_to_string(&file).expect("a journal");
    let end = text.split_inclusive('\n').position(|line| line.contains("\"nodes_added\""));
    let whole = text.split_inclusive('\n').take(end.expect("a question") + 1);
    fs::write(&file, whole.collect::<String>()).expect("a journal");
}

/// Goes on until the process dies at a point, or has the answer.
fn dies(story: &Story, point: &str) {
    let run = story.grafter(&["resume"]).env("GRAFTER_FAILPOINT", point).start();
    is_resumed(story, 1);
    while ended(&story.events(), "look-0-again").is_empty() {
        let told = story.grafter(&["unpause", "--all"]).start().finish();
        if told.stderr.contains("is not running") {
            break;
        }
        thread::sleep(Duration::from_millis(20));
    }
    run.signal(Signal::KILL);
    run.finish();
}

#[test]
fn an_answer_that_dies_at_any_record_is_asked_for_and_paid_once() {
    let ways = ["before", "after"];
    let points: Vec<_> = (1..18).map(|n| vec![format!("{}:{n}", ways[n % 2])]).collect();
    let deaths = Mutex::new(BTreeSet::new());
    walk(&points, |point| {
        let story = Story::new();
        let live = at_gate(&story, NODES);
        says(&story, &["pause", "--all"]);
        says(&story, &["send", "look.0", "where is it?"]);
        live.signal(Signal::KILL);
        live.finish();
        if point[0] == "after:1" {
            cut_after_question(&story);
        }
        dies(&story, &point[0]);
        let of_it = |event: &&Event| event.node.iter().any(|id| id.as_str() == "look-0-again");
        let far = story.events().iter().filter(of_it).count();
        deaths.lock().expect("no test fails with it").insert(far);
        let live = story.grafter(&["resume"]).start();
        is_resumed(&story, 2);
        // Its first record is written before it listens.
        while !story.grafter(&["unpause", "--all"]).start().finish().status.success() {
            thread::sleep(Duration::from_millis(20));
        }
        lands(&story, live);
        let events = story.events();
        assert_eq!(questions(&events).len(), 1);
        let answers = ended(&events, "look-0-again");
        assert_eq!((answers.len(), &*answers[0].summary), (1, "look-0-again says so"));
    });
    let deaths = deaths.into_inner().expect("no test failed with it");
    assert!(deaths.len() > 3, "it dies here and there: {deaths:?}");
}
