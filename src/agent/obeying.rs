//! Tests of an agent on its reins: paused, ended, written to, and taken up again.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::{
    agent::{
        actor::{Actor, calls, done, says},
        play::{Played, Stage},
        reins::{Doing, Reins},
    },
    prompt::words::{Words, fill},
    protocol::{
        event::{Event, Kept, What},
        mail::{Delivered, Letter},
        message::{Block, Message, Speaker},
        outcome::Failure,
        task::{EditFormat, Phase},
    },
    provider::model::Ask,
};

fn reins() -> Reins {
    let token = CancellationToken::new();
    Reins::new(&token, &token)
}

fn post(reins: &Reins, message: u64, text: &str) {
    reins.post(Letter { message, text: Kept::Inline(text.to_owned()), from: None });
}

fn shown(text: &str) -> Block {
    Block::Text(fill(&Words::shipped().from_user, &[("text", text)]))
}

/// Returns what an agent does whose user acts, and what its model was asked.
fn watched(
    stage: &mut Stage,
    reins: &Reins,
    act: impl Fn(u32) + Send + Sync + 'static,
) -> (Played, Vec<Ask>) {
    let actor = Actor::new(stage.window, stage.script.clone());
    let model = Arc::new(actor.acting(Box::new(act)));
    stage.model = Some(model.clone());
    stage.reins = Some(reins.clone());
    let played = stage.play();
    stage.model = None;
    (played, model.asked())
}

fn writer() -> Stage {
    Stage::new(Phase::Implementation, &[("a.txt", "a\n")])
        .turn(calls(&[("write", json!({ "path": "b.txt", "content": "b\n" }))]))
        .turn(says("hm"))
        .turn(calls(&[("read", json!({ "path": "a.txt" }))]))
        .turn(calls(&[("finish", done())]))
}

fn delivered(events: &[Event]) -> Vec<(u32, u64)> {
    let told = events.iter().filter_map(|event| match event.what {
        What::MessageDelivered(Delivered { turn, message, .. }) => Some((turn, message)),
        _ => None,
    });
    told.collect()
}

/// Expects that calls are followed by their results, whatever stands behind these.
fn calls_have_results(messages: &[Arc<Message>]) {
    for pair in messages.windows(2) {
        let called = pair[0].blocks.iter().filter(|b| matches!(b, Block::Call(_))).count();
        let results = pair[1].blocks.iter().take_while(|b| matches!(b, Block::Result(_))).count();
        assert!(pair[0].speaker == Speaker::User || called == results, "{messages:?}");
    }
}

#[test]
fn messages_stand_behind_the_results_of_the_turn_before_and_stay_there() {
    let (mut stage, reins) = (writer(), reins());
    post(&reins, 1, "first");
    let act = {
        let reins = reins.clone();
        move |turn| {
            if turn == 0 {
                post(&reins, 7, "second");
                post(&reins, 9, "third");
            }
        }
    };
    let (played, asks) = watched(&mut stage, &reins, act);
    assert_eq!(played.outcome.failure, None, "{}", played.outcome.summary);
    assert_eq!(delivered(&played.events), [(0, 1), (1, 7), (1, 9)]);
    let last = &asks.last().unwrap().messages;
    assert_eq!(last[0].blocks, [Block::Text("the task".into()), shown("first")]);
    assert_eq!(last[2].blocks[1..], [shown("second"), shown("third")]);
    calls_have_results(last);
    assert!(reins.has_heard());
    // Whatever prefix of its records it is given, it asks the same.
    stage.reins = None;
    for end in 0..=played.events.len() {
        let known = &played.events[..end];
        let again = stage.resume(known, &BTreeMap::new());
        let seen = delivered(known).len();
        let all = seen == 3 || !again.asks.iter().any(|ask| ask.cue.turn == 1);
        for ask in again.asks.iter().filter(|_| all) {
            let then = asks.iter().find(|then| then.cue.turn == ask.cue.turn).unwrap();
            assert!(seen < 3 || ask.messages == then.messages, "after {end} records");
        }
    }
}

#[test]
fn what_was_sent_and_not_seen_is_delivered_by_the_next_process() {
    let (mut stage, reins) = (writer(), reins());
    post(&reins, 1, "first");
    let (whole, _) = watched(&mut stage, &reins, |_| {});
    let answered = |event: &Event| matches!(event.what, What::ModelResult { turn: 0, .. });
    let end = whole.events.iter().position(answered).unwrap() + 1;
    let next = self::reins();
    post(&next, 7, "second");
    stage.reins = Some(next);
    let again = stage.resume(&whole.events[..end], &BTreeMap::new());
    assert_eq!(delivered(&again.events), [(1, 7)]);
    let messages = &again.asks[0].messages;
    assert_eq!(messages[0].blocks[1], shown("first"));
    assert_eq!(messages[2].blocks[1], shown("second"));
}

#[test]
fn a_writer_in_text_keeps_what_it_was_told_from_answer_to_answer() {
    let old = "def f():\n    return 1\n";
    let fenced = |code: &str| says(&format!("```python\n{code}```\n"));
    let mut stage = Stage::new(Phase::Implementation, &[("a.py", old)])
        .turn(fenced(old))
        .turn(fenced("def f():\n    return 2\n"));
    stage.assignment.edit_format = EditFormat::WholeFunction;
    stage.offered = vec!["a.py".into()];
    let reins = reins();
    post(&reins, 1, "return two");
    let (played, asks) = watched(&mut stage, &reins, |_| {});
    assert_eq!(played.outcome.failure, None, "{}", played.outcome.summary);
    assert!(asks.iter().all(|ask| ask.messages[0].blocks[1] == shown("return two")));
    assert_eq!((asks.len(), delivered(&played.events)), (2, vec![(0, 1)]));
}

#[test]
fn more_than_a_quarter_of_the_window_waits_for_the_next_turn() {
    let (mut stage, reins) = (writer(), reins());
    stage.window = 20_000;
    for message in 0..3 {
        post(&reins, message, &"x".repeat(12_000));
    }
    let (played, _) = watched(&mut stage, &reins, |_| {});
    assert_eq!(delivered(&played.events), [(0, 0), (0, 1), (1, 2)]);
}

#[test]
fn nothing_begins_in_a_paused_agent_and_it_goes_on_where_it_was() {
    let (mut stage, reins) = (writer(), reins());
    let held = reins.clone();
    let (send, receive) = std::sync::mpsc::channel();
    let (played, _) = watched(&mut stage, &reins, move |turn| {
        if turn != 0 {
            return;
        }
        held.pause(true);
        let (held, send) = (held.clone(), send.clone());
        tokio::spawn(async move {
            while held.doing().0 != Doing::Paused {
                tokio::task::yield_now().await;
            }
            // Only now it may go on, with the call of turn 0.
            send.send(()).unwrap();
            held.pause(false);
        });
    });
    receive.try_recv().expect("it was held");
    assert_eq!(played.outcome.failure, None, "{}", played.outcome.summary);
    assert_eq!(played.files[Path::new("b.txt")], b"b\n");
}

#[test]
fn a_paused_agent_can_be_stopped() {
    let (mut stage, reins) = (writer(), reins());
    reins.pause(true);
    let ended = reins.clone();
    std::thread::spawn(move || {
        while ended.doing().0 != Doing::Paused {
            std::thread::yield_now();
        }
        ended.cancel("told so");
    });
    stage.reins = Some(reins);
    let played = stage.play();
    assert_eq!(played.outcome.failure, Some(Failure::Cancelled));
    assert_eq!(played.kinds(), "");
}

#[test]
fn what_a_cancelled_writer_has_half_done_is_saved() {
    let mut stage = Stage::new(Phase::Implementation, &[("a.txt", "a\n")])
        .turn(calls(&[("bash", json!({ "command": "echo half > half.txt; sleep 600" }))]));
    let reins = reins();
    let (ended, runs) = (reins.clone(), reins.clone());
    let (played, _) = watched(&mut stage, &reins, move |_| {
        let ended = ended.clone();
        tokio::spawn(async move {
            while !matches!(ended.doing().0, Doing::Calling { .. }) {
                tokio::task::yield_now().await;
            }
            ended.cancel("told so");
        });
    });
    assert!(runs.is_cancelled());
    assert_eq!(played.outcome.failure, Some(Failure::Cancelled));
    let saved = stage.saved();
    assert!(saved.starts_with("snapshot: half done"), "{saved}");
}
