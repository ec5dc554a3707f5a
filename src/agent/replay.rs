//! Tests of the resume: whatever prefix of its records an agent is given, it comes to the same
//! end, on the same files, and asks only for the answers that are not there yet.

use std::{collections::BTreeMap, path::PathBuf};

use serde_json::json;

use crate::{
    agent::play::{Played, Stage, calls, done, says},
    protocol::{
        event::{Paid, What},
        task::Phase,
    },
};

fn writer() -> Stage {
    let long = "line\n".repeat(200);
    Stage::new(
        Phase::Implementation,
        &[("a.txt", &long), ("b.txt", "b\n"), (".gitignore", "tmp\n")],
    )
    .turn(calls(&[("read", json!({ "path": "a.txt" })), ("read", json!({ "path": "b.txt" }))]))
    .turn(calls(&[("read", json!({ "path": "a.txt" })), ("finish", done())]))
    .turn(says("hm"))
    .turn(calls(&[
        ("write", json!({ "path": "new/c.txt", "content": "c1\n" })),
        ("write", json!({ "path": "new/c.txt", "content": "c2\n" })),
    ]))
    .turn(calls(&[("bash", json!({ "command": "printf x >> b.txt; cat b.txt" }))]))
    .turn(calls(&[("write", json!({ "path": "a.txt", "content": "short\n" }))]))
    .turn(calls(&[("finish", done()), ("read", json!({ "path": "b.txt" }))]))
}

#[test]
fn every_prefix_of_a_writers_records_leads_to_the_same_end() {
    let stage = writer();
    let whole = stage.play();
    assert_eq!(whole.outcome.failure, None, "{}", whole.outcome.summary);
    let mut garbage = whole.files.clone();
    garbage.insert(PathBuf::from("half/written.txt"), b"lost".to_vec());
    for end in 0..=whole.events.len() {
        let earlier = &whole.events[..end];
        let left = if end == 0 { &BTreeMap::new() } else { &garbage };
        let again = stage.resume(earlier, left);
        assert_eq!(again.outcome, whole.outcome, "after {end} records");
        let missing = stage.script.len() - Played::answers(earlier);
        assert_eq!(again.asks.len(), missing, "after {end} records");
        let live = end == 0 || !again.events.is_empty();
        assert_eq!(again.files, if live { whole.files.clone() } else { garbage.clone() }, "{end}");
        if let (Some(now), Some(then)) = (again.asks.last(), whole.asks.last()) {
            assert_eq!(now.messages, then.messages, "after {end} records");
        }
    }
}

#[test]
fn an_answer_that_was_in_flight_is_asked_for_again_and_said_to_be_maybe_paid_twice() {
    let stage = writer();
    let whole = stage.play();
    let intent = |turn: u32| {
        let is = |what: &What| matches!(what, What::ModelIntent { turn: t, .. } if *t == turn);
        whole.events.iter().position(|event| is(&event.what)).unwrap()
    };
    let again = stage.resume(&whole.events[..=intent(3)], &BTreeMap::new());
    let paid = again.events.iter().filter_map(|event| match event.what {
        What::ModelResult { turn, paid, .. } => Some((turn, paid)),
        _ => None,
    });
    let paid: Vec<_> = paid.collect();
    assert_eq!(paid[..2], [(3, Paid::MaybeTwice), (4, Paid::Once)]);
}
