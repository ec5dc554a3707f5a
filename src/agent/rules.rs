//! Tests of the loop's rules: what a model may do wrong, and how its agent ends.

use serde_json::{Value, json};

use crate::{
    agent::{
        actor::{calls, done, reply, says},
        assignment::Limits,
        play::{HangUp, Stage},
        words,
    },
    guard::tripwire::Tripwire,
    prompt::words::{Words, fill},
    protocol::{
        event::What,
        ids::CallId,
        message::{Block, Message, StopReason, ToolCall},
        outcome::Failure,
        request::Approval,
        task::{Mode, Phase},
        usage::{Micros, Usage},
    },
    provider::model::{ErrorKind, ModelError},
};

fn research() -> Stage {
    Stage::new(Phase::Research, &[("a.txt", "one\ntwo\n"), ("b.txt", "b\n")])
}

fn finding() -> (&'static str, Value) {
    let evidence = json!([{ "path": "a.txt", "from": 1, "to": 2 }]);
    ("report_finding", json!({ "claim": "it is so", "evidence": evidence }))
}

fn read(path: &str) -> (&'static str, Value) {
    ("read", json!({ "path": path }))
}

fn overflow() -> ModelError {
    ModelError::new(ErrorKind::ContextOverflow { used: None, window: None }, "too long")
}

#[test]
fn reads_and_writes_keep_their_order_and_each_call_has_one_result() {
    let write = ("write", json!({ "path": "b.txt", "content": "changed\n" }));
    let played = Stage::new(Phase::Implementation, &[("b.txt", "b\n")])
        .turn(calls(&[read("b.txt"), write, read("b.txt"), ("fly", json!({}))]))
        .turn(calls(&[("finish", done())]))
        .play();
    let shown = played.shown();
    assert_eq!(shown.len(), 4);
    assert!(shown[0].contains("b\n") && !shown[0].contains("changed"), "{}", shown[0]);
    assert!(shown[2].contains("changed"), "{}", shown[2]);
    assert!(shown[3].contains("fly"), "an unknown tool is told about: {}", shown[3]);
    assert_eq!(
        played.kinds(),
        "model_intent model_result tool_result tool_intent tool_result tool_result call_judged \
         tool_result model_intent model_result tool_result"
    );
    assert_eq!((played.outcome.failure, played.outcome.usage.total()), (None, 220));
}

#[test]
fn two_answers_without_a_call_are_forgiven_and_the_third_is_not() {
    let ends = |silent: usize| {
        let mut stage = research();
        for _ in 0..silent {
            stage = stage.turn(says("I think"));
        }
        stage.turn(calls(&[finding(), ("finish", done())])).play()
    };
    let forgiven = ends(2);
    assert_eq!(forgiven.outcome.failure, None);
    let required: Vec<_> = forgiven.asks.iter().map(|ask| ask.require_tool).collect();
    assert_eq!(required, [false, true, true]);
    assert_eq!(forgiven.asks[1].messages[2].text(), Words::shipped().no_call);
    let failed = ends(3);
    assert_eq!(failed.outcome.failure, Some(Failure::NotResolved));
    assert_eq!(failed.outcome.summary, "3 answers in a row called no tool");
}

#[test]
fn a_call_in_the_text_is_run_and_an_ambiguous_one_is_not() {
    let call = r#"{"name": "write", "arguments": {"path": "x.txt", "content": "x"}}"#;
    let fenced = format!("So:\n```json\n{call}\n```");
    let ambiguous = format!("{fenced}\nThat is what the file says.");
    let play = |text: &str| {
        Stage::new(Phase::Implementation, &[("b.txt", "b\n")])
            .turn(says(text))
            .turn(calls(&[("finish", done())]))
            .turn(calls(&[("finish", json!({ "status": "failed", "summary": "no" }))]))
            .play()
    };
    let played = play(&fenced);
    assert!(played.files.contains_key(std::path::Path::new("x.txt")));
    assert_eq!(played.asks[1].messages[1].calls().count(), 1, "the history holds a native call");
    let played = play(&ambiguous);
    assert_eq!(played.files.len(), 1, "nothing was written: {:?}", played.files.keys());
    assert_eq!(played.asks[1].messages[2].text(), Words::shipped().ambiguous);
}

#[test]
fn the_turn_limit_grants_one_last_turn() {
    let mut stage = research();
    stage.assignment.limits = Limits { max_turns: 2, ..Limits::default() };
    let mut stage = stage.turn(calls(&[read("a.txt")])).turn(calls(&[read("b.txt")]));
    let last = stage.play_with(calls(&[finding(), ("finish", done())]));
    assert_eq!(last.outcome.failure, None);
    assert!(last.asks[2].messages.last().unwrap().text().contains(&Words::shipped().last_turn));
    let failed = stage.play_with(calls(&[finding()]));
    assert_eq!(failed.outcome.failure, Some(Failure::NotResolved));
    assert_eq!(failed.outcome.summary, "not finished after 2 turns, its limit");
    assert_eq!(failed.outcome.findings.len(), 1, "what was found is not lost");
}

#[test]
fn a_budget_that_does_not_hold_a_call_ends_the_agent_before_it_is_sent() {
    let mut stage = research().turn(calls(&[read("a.txt")])).turn(calls(&[("finish", done())]));
    stage.grants = 1;
    let played = stage.play();
    assert_eq!(played.outcome.failure, Some(Failure::Budget));
    assert_eq!(played.outcome.summary, "the budget is used up");
    assert_eq!(played.kinds(), "model_intent model_result tool_result");
}

#[test]
fn a_cancelled_call_stays_in_flight() {
    let mut stage = research();
    let cancelled = ModelError::new(ErrorKind::Cancelled, "cancelled");
    stage.script = vec![vec![Err(cancelled)]];
    stage.hang_up = Some((0, HangUp::Cancel));
    let played = stage.play();
    assert_eq!(played.outcome.failure, Some(Failure::Cancelled));
    assert_eq!((played.kinds().as_str(), played.released), ("model_intent", 1));
}

#[test]
fn a_stop_lets_the_running_call_end_and_begins_no_other() {
    let mut stage = research().turn(calls(&[read("a.txt")]));
    stage.hang_up = Some((0, HangUp::Stop));
    let played = stage.play();
    assert_eq!(played.outcome.failure, Some(Failure::Cancelled));
    assert_eq!(played.kinds(), "model_intent model_result", "the answer is paid and kept");
}

#[test]
fn a_failed_provider_is_an_infrastructure_failure_with_a_hint() {
    let mut stage = research();
    stage.script = vec![vec![Err(ModelError::new(ErrorKind::Auth, "401: wrong key"))]];
    let played = stage.play();
    assert_eq!(played.outcome.failure, Some(Failure::Infrastructure));
    assert_eq!(played.outcome.summary, "401: wrong key\nhint: check the provider's API key");
    assert_eq!((played.kinds().as_str(), played.released), ("model_intent model_failed", 1));
}

#[test]
fn an_overflow_is_cleared_and_tried_once_more() {
    let long = "line of text\n".repeat(500);
    let mut stage = Stage::new(Phase::Research, &[("a.txt", &long), ("b.txt", &long)])
        .turn(calls(&[read("a.txt")]))
        .turn(calls(&[read("b.txt")]));
    let last = calls(&[finding(), ("finish", done())]);
    stage.script.push(vec![Err(overflow()), Ok(last)]);
    let played = stage.play();
    assert_eq!(played.outcome.failure, None, "{}", played.outcome.summary);
    assert_eq!((played.asks.len(), played.released), (4, 1));
    let sizes: Vec<_> = played.asks.iter().map(|ask| format!("{:?}", ask.messages).len()).collect();
    assert!(sizes[3] < sizes[2] * 7 / 10, "{sizes:?}");
    stage.script[2] = vec![Err(overflow())];
    let failed = stage.play();
    assert_eq!(failed.outcome.failure, Some(Failure::Infrastructure));
    assert_eq!(failed.asks.len(), 4, "not more than once");
}

#[test]
fn a_small_window_survives_a_long_session() {
    let long = "line of text\n".repeat(100);
    let files: Vec<_> = (0..20).map(|n| (format!("f{n}.txt"), long.clone())).collect();
    let files = files.iter().map(|(path, text)| (path.as_str(), text.as_str()));
    let files: Vec<_> = files.chain([("a.txt", "one\ntwo\n")]).collect();
    let mut stage = Stage::new(Phase::Research, &files);
    stage.window = 3500;
    stage.assignment.limits.max_turns = 30;
    for n in 0..20 {
        stage = stage.turn(calls(&[read(&format!("f{n}.txt"))]));
    }
    let mut stage = stage.turn(calls(&[finding(), ("finish", done())]));
    for line in stage.script.iter_mut().flatten().flatten() {
        line.usage = Usage::default();
    }
    let played = stage.play();
    assert_eq!(played.outcome.failure, None);
    for ask in &played.asks {
        assert_eq!(ask.messages[0].blocks[0], Block::Text("the task".into()));
        let json = serde_json::to_string(&ask.messages).unwrap();
        assert!(json.len() < 4 * 3500, "{}", json.len());
    }
}

#[test]
fn a_refusal_of_the_provider_ends_the_agent() {
    let played = research().turn(reply(Vec::new(), StopReason::Refusal)).play();
    assert_eq!(played.outcome.failure, Some(Failure::NotResolved));
    assert_eq!(played.outcome.summary, words::REFUSED);
}

#[test]
fn a_call_that_was_cut_is_not_run_and_the_model_is_told() {
    let input = json!(r#"{"path": "b.txt", "content": "half"#);
    let call = ToolCall { id: CallId::new("c"), name: "write".into(), input };
    let played = Stage::new(Phase::Implementation, &[("b.txt", "b\n")])
        .turn(reply(vec![Block::Call(call)], StopReason::MaxTokens))
        .turn(reply(vec![Block::Text("```json\n{\"name\"".into())], StopReason::MaxTokens))
        .turn(calls(&[("finish", json!({ "status": "failed", "summary": "no" }))]))
        .play();
    assert_eq!(played.files[std::path::Path::new("b.txt")], b"b\n");
    assert_eq!(played.shown().len(), 1);
    assert!(played.asks[1].messages.last().unwrap().text().contains(&Words::shipped().cut));
    assert!(played.asks[2].messages.last().unwrap().text().contains(&Words::shipped().cut));
}

#[test]
fn calls_after_an_accepted_finish_are_refused() {
    let write = ("write", json!({ "path": "b.txt", "content": "late" }));
    let played = Stage::new(Phase::Implementation, &[("b.txt", "b\n")])
        .turn(calls(&[("write", json!({ "path": "a.txt", "content": "a" }))]))
        .turn(calls(&[("finish", done()), write, read("b.txt")]))
        .play();
    assert_eq!(played.outcome.failure, None);
    assert_eq!(played.files[std::path::Path::new("b.txt")], b"b\n");
    assert_eq!(played.kinds().matches("tool_result").count(), 4);
}

#[test]
fn calls_with_one_id_get_ids_of_their_own() {
    let twice = |path: &str| {
        let input = json!({ "path": path });
        Block::Call(ToolCall { id: CallId::new(""), name: "read".into(), input })
    };
    let played = research()
        .turn(reply(vec![twice("a.txt"), twice("b.txt")], StopReason::ToolUse))
        .turn(calls(&[finding(), ("finish", done())]))
        .play();
    let ids = |message: &Message| format!("{:?}", message.blocks).matches("grafter_0_1").count();
    let [_, said, answered] = &played.asks[1].messages[..] else { panic!("three messages") };
    assert_eq!((ids(said), ids(answered)), (1, 1));
}

#[test]
fn the_same_call_over_and_over_is_nudged_and_then_ended() {
    let mut stage = research();
    for _ in 0..6 {
        stage = stage.turn(calls(&[("read", json!({ "path": "absent.txt" }))]));
    }
    let played = stage.play();
    assert_eq!(played.outcome.failure, Some(Failure::Stuck));
    assert_eq!(played.outcome.summary, "the same call was repeated without any new result");
    let nudged: Vec<_> =
        played.shown().iter().map(|text| text.contains(&Words::shipped().nudge)).collect();
    assert_eq!(nudged, [false, false, true, true, true]);
}

#[test]
fn an_identical_read_is_a_reference_and_a_changed_one_is_not() {
    let long = "line of text\n".repeat(100);
    let write = ("write", json!({ "path": "a.txt", "content": "new\n".repeat(200) }));
    let played = Stage::new(Phase::Implementation, &[("a.txt", &long)])
        .turn(calls(&[read("a.txt")]))
        .turn(calls(&[read("a.txt"), write, read("a.txt")]))
        .turn(calls(&[("finish", done())]))
        .play();
    let shown = played.shown();
    assert_eq!(shown[1], fill(&Words::shipped().same_as, &[("turn", "1")]));
    assert!(shown[3].contains("new"), "{}", shown[3]);
}

#[test]
fn a_command_runs_only_if_it_is_approved() {
    let play = |approval| {
        let mut stage = Stage::new(Phase::Implementation, &[("b.txt", "b\n")])
            .turn(calls(&[("bash", json!({ "command": "echo x > x.txt" }))]))
            .turn(calls(&[("finish", json!({ "status": "failed", "summary": "cannot" }))]));
        stage.approval = approval;
        stage.mode = Mode::Default;
        stage.play()
    };
    let ran = play(Approval::Yes);
    assert_eq!((ran.files.len(), ran.outcome.failure), (2, Some(Failure::NotResolved)));
    for approval in [Approval::No, Approval::NoTerminal] {
        let refused = play(approval);
        assert_eq!((refused.files.len(), refused.outcome.failure), (1, Some(Failure::Refused)));
        assert!(!refused.kinds().contains("tool_intent"));
    }
}

#[test]
fn a_canary_ends_its_agent_at_once_and_nothing_else_does() {
    let play = |tripwire: Option<Tripwire>, call: (&str, Value)| {
        let mut stage = Stage::new(Phase::Implementation, &[("b.txt", "b\n")])
            .turn(calls(&[call]))
            .turn(calls(&[("finish", json!({ "status": "failed", "summary": "cannot" }))]));
        stage.assignment.tripwire = tripwire;
        stage.play()
    };
    let ours = Tripwire::new(7);
    let tool = ours.tool("read_vault_backup");
    let said = ours.file().lines().next().unwrap().to_owned();
    let write = ("write", json!({ "path": "x.txt", "content": said }));
    let bash = ("bash", json!({ "command": format!("echo {said}") }));
    for (call, sign) in [
        ((tool.as_str(), json!({})), format!("called the canary tool {tool}")),
        (write.clone(), "said the canary string in a call of write".to_owned()),
        (bash, "said the canary string in a call of bash".to_owned()),
    ] {
        let played = play(Some(ours.clone()), call);
        assert_eq!(played.outcome.failure, Some(Failure::Cancelled));
        assert_eq!(played.events.last().map(|e| &e.what), Some(&What::Tripped { sign }));
        assert_eq!(played.asks.len(), 1, "no model is asked after it");
        assert_eq!(played.files.len(), 1, "nothing ran");
        let offered = played.asks[0].tools.iter().find(|spec| spec.name == tool).unwrap();
        assert!(offered.description.contains("canary"), "it says what it is");
    }
    for (tripwire, call) in [
        (None, (tool.as_str(), json!({}))),
        (None, write.clone()),
        (Some(Tripwire::new(8)), write),
        (Some(ours.clone()), ("read_vault_backup", json!({}))),
        (Some(ours), read("b.txt")),
    ] {
        let played = play(tripwire, call);
        assert!(!played.kinds().contains("tripped"), "{}", played.kinds());
        assert_eq!(played.asks.len(), 2);
    }
}

#[test]
fn what_is_spent_was_reserved_before() {
    let played = research().turn(calls(&[finding(), ("finish", done())])).play();
    let [intent, result, ..] = &played.events[..] else { panic!("an intent and a result") };
    let (What::ModelIntent { reserved, .. }, What::ModelResult { cost, .. }) =
        (&intent.what, &result.what)
    else {
        panic!("an intent and a result: {}", played.kinds());
    };
    assert_eq!(*cost, Micros(150), "100 tokens in, 10 out");
    let answer = u64::from(played.asks[0].max_tokens) * 5;
    assert!(reserved.0 > answer + 100, "{reserved:?} holds the prompt and {answer}");
}

#[test]
fn a_turn_of_too_many_calls_runs_the_first_ones() {
    let at = |line: usize| ("read", json!({ "path": "a.txt", "offset": line + 1, "limit": 1 }));
    let many: Vec<_> = (0..70).map(at).collect();
    let played = Stage::new(Phase::Verification, &[("a.txt", &"one\n".repeat(99))])
        .turn(calls(&many))
        .turn(calls(&[("finish", json!({ "status": "failed", "summary": "no" }))]))
        .play();
    let refused: Vec<_> =
        played.shown().iter().map(|text| *text == Words::shipped().too_many).collect();
    assert_eq!(refused, (0..70).map(|n| n >= 64).collect::<Vec<_>>());
}

#[test]
fn a_huge_argument_is_refused_and_leaves_the_conversation() {
    let huge = ("write", json!({ "path": "a.txt", "content": "x".repeat(5_000_000) }));
    let name = "x".repeat(100_000);
    let played = Stage::new(Phase::Implementation, &[("a.txt", "one\n")])
        .turn(calls(&[huge, (&name, json!({}))]))
        .turn(calls(&[("finish", json!({ "status": "failed", "summary": "no" }))]))
        .play();
    assert_eq!(played.files[std::path::Path::new("a.txt")], b"one\n");
    let size = serde_json::to_string(&played.asks[1].messages).unwrap().len();
    assert!(size < 20_000, "{size} bytes");
    assert!(played.events.iter().all(|event| format!("{event:?}").len() < 20_000));
}

#[test]
fn an_agent_whose_dispatcher_is_gone_ends() {
    let mut stage = research().turn(calls(&[read("a.txt")]));
    stage.grants = 0;
    stage.gone = true;
    let played = stage.play();
    assert_eq!((played.outcome.failure, played.asks.len()), (Some(Failure::Cancelled), 0));
}

#[test]
fn edits_that_only_go_back_and_forth_are_nudged_and_then_ended() {
    let mut stage = Stage::new(Phase::Implementation, &[("a.txt", "one\n")])
        .turn(calls(&[("read", json!({ "path": "a.txt" }))]));
    for content in ["two\n", "one\n", "two\n", "one\n", "two\n"] {
        let input = json!({ "path": "a.txt", "content": content });
        stage = stage.turn(calls(&[("write", input)]));
    }
    let played = stage.play();
    assert_eq!(played.outcome.failure, Some(Failure::Stuck));
    let why = "4 edits in a row gave a.txt a content that it had before";
    assert_eq!(played.outcome.summary, why);
    let nudged: Vec<_> =
        played.shown().iter().map(|text| text.contains(&Words::shipped().swing)).collect();
    assert_eq!(nudged, [false, false, false, true, true]);
    assert!(stage.saved().starts_with("snapshot: "), "what it wrote last is kept");
    // Whatever prefix of its records it is given, it ends the same.
    for end in 0..=played.events.len() {
        let again = stage.resume(&played.events[..end], &std::collections::BTreeMap::new());
        assert_eq!(again.outcome.summary, why, "after {end} records");
    }
}
