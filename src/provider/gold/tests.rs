//! The gold model as a run meets it.

use std::sync::Arc;

use futures_util::FutureExt;

use super::*;
use crate::provider::{model::silent, testing};

const PATCH: &str = "--- a/m.py\n+++ b/m.py\n@@ -4,2 +4,3 @@\n a\n-b\n+c\n+d\n";

struct Scene<'a> {
    patch: &'a str,
    phase: Phase,
    opening: &'a str,
    attempt: u32,
    /// Whether the first call's result is an error, once there is one.
    first_failed: bool,
    /// What `run_tests` says.
    ran: &'a str,
}

impl Default for Scene<'_> {
    fn default() -> Self {
        let phase = Phase::Research;
        let ran = "$ t\nexit 0\n3 passed\n";
        Self { patch: PATCH, phase, opening: "Go.", attempt: 1, first_failed: false, ran }
    }
}

/// Returns the calls of each turn until `finish`.
fn play(scene: &Scene<'_>) -> Vec<Vec<(String, Value)>> {
    let model = Gold::new("gold:p", scene.patch.to_owned()).expect("a patch");
    let mut ask = testing::ask();
    (ask.cue.phase, ask.cue.attempt) = (scene.phase, scene.attempt);
    ask.messages = vec![Arc::new(Message::user(scene.opening))];
    let cancel = CancellationToken::new();
    let mut turns = Vec::new();
    for turn in 0..9 {
        ask.cue.turn = turn;
        let reply = model.ask(&ask, silent(), &cancel).now_or_never();
        let message = reply.expect("answers at once").expect("answers").message;
        let results = message.calls().map(|call| {
            let is_error = scene.first_failed && call.id.as_str().ends_with("_0_0");
            let content = if call.name == "run_tests" { scene.ran } else { "" }.to_owned();
            Block::Result(ToolResult { id: call.id.clone(), content, is_error })
        });
        let answer = Message { speaker: Speaker::User, blocks: results.collect() };
        let calls: Vec<_> =
            message.calls().map(|call| (call.name.clone(), call.input.clone())).collect();
        let done = calls.iter().any(|(name, _)| name == "finish");
        turns.push(calls);
        ask.messages.extend([Arc::new(message), Arc::new(answer)]);
        if done {
            return turns;
        }
    }
    panic!("never finishes");
}

fn names(turns: &[Vec<(String, Value)>]) -> Vec<&str> {
    turns.iter().flatten().map(|(name, _)| name.as_str()).collect()
}

fn last(turns: &[Vec<(String, Value)>]) -> &Value {
    &turns.last().and_then(|calls| calls.last()).expect("a call").1
}

#[test]
fn research_reads_and_cites_the_old_lines() {
    let turns = play(&Scene::default());
    assert_eq!(names(&turns), ["read", "report_finding", "finish"]);
    assert_eq!(turns[0][0].1, json!({"path": "m.py", "offset": 4, "limit": 2}));
    assert_eq!(turns[1][0].1["evidence"], json!([{"path": "m.py", "from": 4, "to": 5}]));
    assert_eq!(last(&turns)["status"], "succeeded");
}

#[test]
fn synthesis_reads_again_and_weighs_every_finding_of_the_opening() {
    let opening = "Findings: research.0#1, research.1#0 and research.0#1. See o/r#7 and #8.";
    let turns = play(&Scene { phase: Phase::Synthesis, opening, ..Scene::default() });
    assert_eq!(names(&turns), ["read", "finish"]);
    let used = last(&turns)["findings_used"].as_array().expect("a list");
    let ids: Vec<_> = used.iter().map(|finding| &finding["id"]).collect();
    assert_eq!(ids, ["research.0#1", "research.1#0"]);
    assert!(used.iter().all(|finding| finding["use"] == "used"));
    assert!(last(&turns)["carry"]["plan"].as_str().is_some_and(|plan| plan.contains("m.py")));
}

#[test]
fn the_writer_applies_the_patch_once() {
    let scene = Scene { phase: Phase::Implementation, ..Scene::default() };
    let turns = play(&scene);
    assert_eq!(names(&turns), ["apply_patch", "finish"]);
    assert_eq!(turns[0][0].1, json!({"patch": PATCH}));
    assert_eq!(last(&turns)["status"], "succeeded");
    let failed = play(&Scene { first_failed: true, ..scene });
    assert_eq!(last(&failed)["status"], "failed");
    let again = Scene { phase: Phase::Implementation, attempt: 2, ..Scene::default() };
    assert_eq!(names(&play(&again)), ["finish"]);
    assert_eq!(last(&play(&again))["status"], "failed");
}

#[test]
fn an_empty_patch_gives_up_in_the_writer() {
    for phase in [Phase::Research, Phase::Synthesis, Phase::Verification] {
        assert_eq!(
            last(&play(&Scene { patch: "", phase, ..Scene::default() }))["status"],
            "succeeded"
        );
    }
    let turns = play(&Scene { patch: " \n", phase: Phase::Implementation, ..Scene::default() });
    assert_eq!((names(&turns), &last(&turns)["status"]), (vec!["finish"], &json!("failed")));
}

#[test]
fn reviewers_pass_only_if_the_tests_do() {
    let scene = Scene { phase: Phase::Verification, ..Scene::default() };
    let turns = play(&scene);
    assert_eq!(names(&turns), ["run_tests", "read", "finish"]);
    assert_eq!(turns[1][0].1, json!({"path": "m.py", "offset": 4, "limit": 3}));
    assert_eq!(last(&turns)["verdict"], "pass");
    let ran = "$ t\nexit 1\nexit 0\n";
    let turns = play(&Scene { ran, ..scene });
    assert_eq!(names(&turns), ["run_tests", "run_tests", "read", "run_tests", "finish"]);
    assert_eq!(last(&turns)["verdict"], "fail");
    assert_eq!(last(&turns)["must_fix"], json!(["the tests do not pass"]));
    for ran in ["", "$ t\nstopped at its deadline of 9 s\n", "$ t\nexit 0\n$ u\nexit 1\n"] {
        let phase = Phase::Verification;
        let turns = play(&Scene { ran, phase, ..Scene::default() });
        assert_eq!(last(&turns)["verdict"], "fail", "{ran}");
    }
}

#[test]
fn reviewers_leave_what_was_red_before_to_the_verdict() {
    let (phase, opening) = (Phase::Verification, "Already red:\n$ t\n1 failed\n");
    let scene = |ran| Scene { phase, opening, ran, ..Scene::default() };
    assert_eq!(last(&play(&scene("$ t\nexit 1\n")))["verdict"], "pass");
    assert_eq!(last(&play(&scene("$ t\nexit 1\n$ u\nexit 1\n")))["verdict"], "fail");
}

#[test]
fn a_test_that_fails_once_is_run_again() {
    let scene = Scene { phase: Phase::Verification, first_failed: true, ..Scene::default() };
    let turns = play(&scene);
    assert_eq!(names(&turns), ["run_tests", "run_tests", "read", "finish"]);
    assert_eq!(last(&turns)["verdict"], "pass");
}

#[test]
fn it_is_never_counted_and_takes_only_diffs() {
    let model = Gold::new("gold:p", PATCH.to_owned()).expect("a patch");
    assert!(model.info().scripted && !model.info().counted);
    assert!(Gold::new("gold:p", "hello".to_owned()).is_none());
}

#[test]
fn odd_line_numbers_do_not_overflow() {
    let patch = "--- a\n+++ b\n@@ -4294967295,4294967295 +1,4294967295 @@\n-x\n";
    assert_eq!(names(&play(&Scene { patch, ..Scene::default() })).len(), 3);
}

#[test]
fn finding_ids_in_any_text() {
    assert_eq!(finding_ids("é#1 (a.b-c_d#22) ##3 x# y#"), ["a.b-c_d#22", "é#1"].into());
}
