//! Tests of the writer that answers in text.

use std::path::Path;

use serde_json::json;

use crate::{
    agent::{
        actor::{calls, reply, says},
        play::Stage,
    },
    prompt::words::Words,
    protocol::{
        message::{Block, StopReason},
        outcome::Failure,
        task::{EditFormat, Phase},
    },
};

const OLD: &str = "def mean(values):\n    return sum(values) // len(values)\n";
const NEW: &str = "def mean(values):\n    return sum(values) / len(values)\n";

fn writer() -> Stage {
    let mut stage = Stage::new(Phase::Implementation, &[("stats.py", OLD)]);
    stage.assignment.edit_format = EditFormat::WholeFunction;
    stage.assignment.temperature = Some(0.0);
    stage.offered = vec!["stats.py".into()];
    stage
}

fn fenced(code: &str) -> String {
    format!("The division drops the rest.\n```python\n{code}```\n")
}

#[test]
fn an_unchanged_answer_is_refused_and_asked_for_again_warmer() {
    let mut stage =
        writer().turn(says(&fenced(OLD))).turn(says("no idea")).turn(says(&fenced(NEW)));
    stage.assignment.contract.gives.insert("note".into(), "text".into());
    let played = stage.play();
    assert_eq!(played.outcome.failure, None, "{}", played.outcome.summary);
    assert_eq!(played.files[Path::new("stats.py")], NEW.as_bytes());
    assert_eq!(played.outcome.summary, "The division drops the rest. (changed stats.py)");
    assert_eq!(played.outcome.carries["note"], played.outcome.summary);
    let asked = played.asks.iter().map(|ask| {
        assert!(ask.tools.is_empty() && ask.messages.len() == 1);
        (ask.temperature.unwrap(), ask.cue.sample, ask.cue.turn)
    });
    assert_eq!(asked.collect::<Vec<_>>(), [(0.0, 0, 0), (0.4, 1, 1), (0.8, 2, 2)]);
    let told = played.asks[1].messages[0].text();
    assert!(told.starts_with("the task") && told.contains("nothing changed"), "{told}");
    assert_eq!(
        played.kinds(),
        "model_intent model_result tool_intent tool_result \
         model_intent model_result tool_intent tool_result \
         model_intent model_result tool_intent tool_result"
    );
}

#[test]
fn a_cut_answer_is_not_applied() {
    let half = vec![Block::Text(fenced(NEW))];
    let played = writer().turn(reply(half, StopReason::MaxTokens)).turn(says(&fenced(NEW))).play();
    assert!(played.asks[1].messages[0].text().contains(&Words::shipped().cut));
    assert_eq!(played.asks.len(), 2);
}

#[test]
fn after_as_many_answers_as_are_allowed_the_writer_fails() {
    let mut stage = writer();
    for _ in 0..3 {
        stage = stage.turn(says(&fenced(OLD)));
    }
    let played = stage.play();
    assert_eq!(played.outcome.failure, Some(Failure::NotResolved));
    assert!(played.outcome.summary.starts_with("no answer of 3 could be used; the last: "));
    assert_eq!(played.files[Path::new("stats.py")], OLD.as_bytes());
}

#[test]
fn every_prefix_of_the_records_leads_to_the_same_end() {
    let stage = writer().turn(says(&fenced(OLD))).turn(says(&fenced(NEW)));
    let whole = stage.play();
    let left = [("stats.py".into(), b"half".to_vec())].into();
    for end in 1..whole.events.len() {
        let again = stage.resume(&whole.events[..end], &left);
        assert_eq!(again.outcome, whole.outcome, "after {end} records");
        assert_eq!(again.files, whole.files, "after {end} records");
    }
}

#[test]
fn only_writers_answer_in_text() {
    let mut stage = Stage::new(Phase::Research, &[("a.txt", "one\n")])
        .turn(calls(&[("finish", json!({ "status": "failed", "summary": "nothing" }))]));
    stage.assignment.edit_format = EditFormat::Blocks;
    assert_eq!(stage.play().outcome.summary, "nothing");
}
