//! Tests of the end of an agent: what each phase must hand in, through the whole loop.

use std::{path::Path, sync::Arc};

use serde_json::{Value, json};

use crate::{
    agent::{
        actor::{calls, done},
        play::{Played, Stage},
    },
    protocol::{
        outcome::{Evidence, Failure, Finding, Review},
        report::{Check, Origin},
        task::Phase,
    },
    provider::{gold::Gold, model::Model},
};

fn read(path: &str) -> (&'static str, Value) {
    ("read", json!({ "path": path }))
}

fn bounces(played: &Played) -> usize {
    played.shown().iter().filter(|text| text.starts_with("not finished yet")).count()
}

#[test]
fn research_returns_findings_with_ids_of_its_own() {
    let report = |claim: &str| {
        let evidence = json!([{ "path": "a.txt", "from": 1, "to": 1 }]);
        ("report_finding", json!({ "claim": claim, "evidence": evidence }))
    };
    let mut stage = Stage::new(Phase::Research, &[("a.txt", "one\n")])
        .turn(calls(&[("finish", done())]))
        .turn(calls(&[read("a.txt"), report("first"), report("second")]))
        .turn(calls(&[("finish", done())]));
    stage.assignment.contract.gives.insert("found".into(), "findings".into());
    let played = stage.play();
    assert_eq!((bounces(&played), played.outcome.failure), (1, None));
    let ids: Vec<_> = played.outcome.findings.iter().map(|finding| finding.id.as_str()).collect();
    assert_eq!(ids, ["node#1", "node#2"]);
    assert_eq!(played.outcome.carries["found"][1]["claim"], "second");
}

#[test]
fn a_synthesis_must_read_what_it_uses() {
    let mut stage = Stage::new(Phase::Synthesis, &[("a.txt", "one\ntwo\n")]);
    let at = Evidence { path: "a.txt".into(), from: 2, to: 2 };
    stage.assignment.contract.findings =
        vec![Finding { id: "r.0#1".into(), claim: "two is wrong".into(), evidence: vec![at] }];
    stage.assignment.contract.gives.insert("plan".into(), "text".into());
    let finish = json!({ "status": "succeeded", "summary": "mend the second line",
        "carry": { "plan": "write three for two" },
        "findings_used": [{ "id": "r.0#1", "use": "used", "reason": "it is the cause" }] });
    let played = stage
        .turn(calls(&[("finish", finish.clone())]))
        .turn(calls(&[read("a.txt")]))
        .turn(calls(&[("finish", finish)]))
        .play();
    assert_eq!((bounces(&played), played.outcome.failure), (1, None));
    assert_eq!(played.outcome.carries["plan"], "write three for two");
}

#[test]
fn a_writer_is_asked_three_times_for_a_change_and_then_fails() {
    let mut stage = Stage::new(Phase::Implementation, &[("a.txt", "one\n")]);
    for n in 0..4 {
        let finish = json!({ "status": "succeeded", "summary": format!("done {n}") });
        stage = stage.turn(calls(&[("finish", finish)]));
    }
    let played = stage.play();
    assert_eq!(bounces(&played), 3, "{:?}", played.shown());
    assert_eq!(played.outcome.failure, Some(Failure::NotResolved));
    assert_eq!(played.outcome.summary, "its result was incomplete 4 times");
}

#[test]
fn a_change_that_is_taken_back_is_no_change() {
    let write = |content: &str| ("write", json!({ "path": "a.txt", "content": content }));
    let played = Stage::new(Phase::Implementation, &[("a.txt", "one\n")])
        .turn(calls(&[read("a.txt"), write("two\n")]))
        .turn(calls(&[write("one\n"), ("finish", done())]))
        .turn(calls(&[write("three\n"), ("finish", done())]))
        .play();
    assert_eq!((bounces(&played), played.outcome.failure), (1, None), "{:?}", played.shown());
    assert_eq!(played.files[Path::new("a.txt")], b"three\n");
}

#[test]
fn a_review_is_returned_with_what_the_scaffold_counted() {
    let verdict = |verdict: &str| {
        json!({ "status": "succeeded", "summary": "looked at it", "verdict": verdict,
            "must_fix": if verdict == "fail" { vec!["the sign"] } else { vec![] },
            "evidence": [{ "path": "a.txt", "from": 1, "to": 1 }] })
    };
    let stage = || Stage::new(Phase::Verification, &[("a.txt", "one\n"), ("b.txt", "b\n")]);
    let cites = vec![Evidence { path: "a.txt".into(), from: 1, to: 1 }];
    let weak = stage().turn(calls(&[("finish", verdict("pass"))])).play().outcome.review;
    let expected = Review { pass: true, must_fix: vec![], cites: vec![], read: 0, ran: 0 };
    assert_eq!(weak.as_ref(), Some(&expected));
    assert!(expected.is_weak());
    let tests = ("run_tests", json!({}));
    let mut thorough = stage();
    thorough.assignment.tools.push("run_tests".into());
    thorough.checks = vec![Check { command: "true".into(), origin: Origin::Named }];
    let thorough = thorough
        .turn(calls(&[read("a.txt"), read("b.txt"), read("a.txt"), tests]))
        .turn(calls(&[("finish", verdict("fail"))]))
        .play();
    let must_fix = vec!["the sign".to_owned()];
    let expected = Review { pass: false, must_fix, cites, read: 2, ran: 1 };
    assert_eq!(thorough.outcome.review, Some(expected));
}

#[test]
fn a_review_counted_for_any_command_and_any_cited_line() {
    let review = |verdict: &str, path: &str, more: (&str, Value)| {
        let must_fix = if verdict == "fail" { vec!["the sign"] } else { vec![] };
        let finish = json!({ "status": "succeeded", "summary": "looked at it", "verdict": verdict,
            "must_fix": must_fix, "evidence": [{ "path": path, "from": 1, "to": 1 }] });
        let mut stage = Stage::new(Phase::Verification, &[("a.txt", "one\n"), ("b.txt", "b\n")]);
        stage.assignment.base = stage.candidate(&[("a.txt", "two\n")]);
        let played = stage.turn(calls(&[more])).turn(calls(&[("finish", finish)])).play();
        played.outcome.review.expect("a review")
    };
    let bash = ("bash", json!({ "command": "true" }));
    assert!(review("pass", "a.txt", bash).is_weak(), "a command shows nothing");
    assert!(review("pass", "a.txt", read("b.txt")).is_weak(), "the cited line was not read");
    assert!(review("pass", "b.txt", read("b.txt")).is_weak(), "the candidate was not read");
    assert!(!review("pass", "a.txt", read("a.txt")).is_weak());
    assert!(!review("fail", "b.txt", read("b.txt")).is_weak(), "what was forgotten is unchanged");
}

#[test]
fn an_agent_may_say_that_it_failed() {
    let failed = json!({ "status": "failed", "summary": "there is no such function" });
    let played = Stage::new(Phase::Research, &[("a.txt", "one\n")])
        .turn(calls(&[("finish", failed)]))
        .play();
    assert_eq!(played.outcome.failure, Some(Failure::NotResolved));
    assert_eq!(played.outcome.summary, "there is no such function");
}

#[test]
fn the_known_solution_passes_every_contract() {
    let patch =
        "--- a/m.py\n+++ b/m.py\n@@ -1,2 +1,2 @@\n def f():\n-    return 1\n+    return 2\n";
    let gold: Arc<dyn Model> = Arc::new(Gold::new("gold:p", patch.to_owned()).unwrap());
    let play = |phase: Phase, tools: &[&str], change: &dyn Fn(&mut Stage)| {
        let mut stage = Stage::new(phase, &[("m.py", "def f():\n    return 1\n")]);
        stage.model = Some(gold.clone());
        stage.assignment.tools = tools.iter().map(|name| (*name).to_owned()).collect();
        stage.assignment.cue.phase = phase;
        change(&mut stage);
        let played = stage.play();
        assert_eq!(played.outcome.failure, None, "{}: {}", phase.name(), played.outcome.summary);
        played
    };
    let research = play(Phase::Research, &["read", "report_finding"], &|_| {}).outcome;
    play(Phase::Synthesis, &["read"], &|stage| {
        stage.assignment.opening = format!("Weigh {}.", research.findings[0].id);
        stage.assignment.contract.findings.clone_from(&research.findings);
        stage.assignment.contract.gives.insert("plan".into(), "text".into());
    });
    let written = play(Phase::Implementation, &["apply_patch"], &|_| {});
    assert_eq!(written.files[Path::new("m.py")], b"def f():\n    return 2\n");
    let check = Check { command: "true".into(), origin: Origin::Named };
    let reviewed = play(Phase::Verification, &["read", "run_tests"], &|stage| {
        stage.checks = vec![check.clone()];
    });
    let review = reviewed.outcome.review.unwrap();
    assert_eq!((review.pass, review.read, review.ran), (true, 1, 1));
}
