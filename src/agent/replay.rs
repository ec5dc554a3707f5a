//! Tests of the resume: whatever prefix of its records an agent is given, it comes to the same
//! end, on the same files, and asks only for the answers that are not there yet.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use serde_json::json;

use crate::{
    agent::{
        actor::{calls, done, says},
        play::{Played, Stage},
    },
    protocol::{
        event::{Paid, What},
        outcome::Failure,
        task::Phase,
    },
    provider::model::{ErrorKind, ModelError},
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
    // The command changed what was read, so the first edit is refused; the second one is of
    // a file that the agent wrote itself.
    .turn(calls(&[
        ("edit", json!({ "path": "b.txt", "old": "b", "new": "B" })),
        ("edit", json!({ "path": "new/c.txt", "old": "c2", "new": "c3" })),
        ("write", json!({ "path": "a.txt", "content": "short\n" })),
    ]))
    .turn(calls(&[("finish", done()), ("read", json!({ "path": "b.txt" }))]))
}

/// Resumes from every prefix of the records, each time on a tree full of what a killed process may
/// have left, and compares with the agent that was never interrupted.
fn ends_alike(stage: &mut Stage, whole: &Played) {
    let script = stage.script.clone();
    let (untouched, mut garbage) = (BTreeMap::new(), whole.files.clone());
    if stage.assignment.contract.phase == Phase::Implementation {
        garbage.insert(PathBuf::from("half/written.txt"), b"lost".to_vec());
    }
    for end in 0..=whole.events.len() {
        let earlier = &whole.events[..end];
        stage.script.clone_from(&script);
        // A failure that is recorded has led to a shorter request, which does not fail.
        for event in earlier {
            if let What::ModelFailed { turn, .. } = &event.what {
                drop(stage.script[*turn as usize].remove(0));
            }
        }
        let again = stage.resume(earlier, if end == 0 { &untouched } else { &garbage });
        assert_eq!(again.outcome, whole.outcome, "after {end} records");
        let asked =
            |what: &What| matches!(what, What::ModelResult { .. } | What::ModelFailed { .. });
        let known = earlier.iter().filter(|event| asked(&event.what)).count();
        assert_eq!(again.asks.len(), whole.asks.len() - known, "after {end} records");
        for (now, then) in again.asks.iter().rev().zip(whole.asks.iter().rev()) {
            assert_eq!(now.messages, then.messages, "after {end} records");
        }
        if end < whole.events.len() {
            assert_eq!(again.files, whole.files, "after {end} records");
        }
        let third = stage.resume(&[earlier, &again.events].concat(), &garbage);
        assert_eq!((third.outcome, third.asks.len()), (whole.outcome.clone(), 0), "{end}");
    }
}

#[test]
fn every_prefix_of_a_writers_records_leads_to_the_same_end() {
    let mut stage = writer();
    let whole = stage.play();
    assert_eq!(whole.outcome.failure, None, "{}", whole.outcome.summary);
    assert_eq!(whole.files[Path::new("b.txt")], b"b\nx", "a stale edit is refused");
    assert_eq!(whole.files[Path::new("new/c.txt")], b"c3\n");
    ends_alike(&mut stage, &whole);
}

#[test]
fn every_prefix_of_a_session_that_overflowed_leads_to_the_same_end() {
    let long = "line of text\n".repeat(300);
    let read = |path: &str| calls(&[("read", json!({ "path": path }))]);
    let evidence = json!([{ "path": "a.txt", "from": 1, "to": 1 }]);
    let finding = ("report_finding", json!({ "claim": "so", "evidence": evidence }));
    let mut stage =
        Stage::new(Phase::Research, &[("a.txt", &long), ("b.txt", &long), ("c.txt", "c\n")])
            .turn(read("a.txt"))
            .turn(read("b.txt"))
            .turn(read("c.txt"))
            .turn(read("a.txt"))
            .turn(calls(&[finding, ("finish", done())]));
    let overflow = ErrorKind::ContextOverflow { used: None, window: None };
    stage.script[2].insert(0, Err(ModelError::new(overflow, "too long")));
    let whole = stage.play();
    assert_eq!(whole.outcome.failure, None, "{}", whole.outcome.summary);
    ends_alike(&mut stage, &whole);
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

#[test]
fn a_request_lost_at_every_kill_was_sent_again_without_an_end() {
    let stage = writer();
    let whole = stage.play();
    let intent = whole.events[0].clone();
    assert!(matches!(intent.what, What::ModelIntent { .. }));
    let nothing = BTreeMap::new();
    let twice = [intent.clone(), intent.clone()];
    let stopped = stage.resume(&twice, &nothing);
    assert_eq!((stopped.outcome.failure, stopped.asks.len()), (Some(Failure::Budget), 0));
    assert!(stopped.outcome.summary.contains("was sent 2 times"), "{}", stopped.outcome.summary);
    assert_eq!(stopped.kinds(), "model_failed");
    // Who resumes once more has been told.
    let again = stage.resume(&[&twice[..], &stopped.events].concat(), &nothing);
    assert_eq!(again.outcome, whole.outcome);
    let paid = again.events.iter().find_map(|event| match event.what {
        What::ModelResult { paid, .. } => Some(paid),
        _ => None,
    });
    assert_eq!(paid, Some(Paid::MaybeTwice));
    // Once is told and repeated.
    let once = stage.resume(&[intent], &nothing);
    assert!(once.kinds().starts_with("note model_intent model_result"), "{}", once.kinds());
}
