//! Agents of a live run, listed, written to, paused, ended and attached to by other processes.

use std::{
    io::{Read, Write},
    os::unix::net::UnixStream,
    thread,
    time::{Duration, Instant},
};

use grafter::{
    journal::{read, runs::RunDir},
    protocol::{
        event::{Event, What},
        outcome::Failure,
    },
};
use rustix::process::Signal;
use serde_json::Value;

use crate::{
    env::Env,
    solo::{self, GATE, at_gate, newest, open_gate, solo},
    story::{self, kind},
};

fn world() -> Env {
    let env = Env::new();
    env.write("a.txt", "one\n");
    env.commit("start");
    env
}

fn tale() -> String {
    solo::Story::new().bash(GATE).write("new.txt", "new\n").finish()
}

fn events(env: &Env) -> Vec<Event> {
    let run = RunDir::list(&env.path(".git/grafter")).expect("the runs").swap_remove(0);
    read::read(&run.path).expect("a sound journal")
}

fn says(env: &Env, args: &[&str]) -> String {
    env.grafter(args).ok().stdout
}

fn refuses(env: &Env, args: &[&str]) -> String {
    env.grafter(args).code(2).stderr
}

/// Waits until `grafter why` says this of an agent.
#[track_caller]
pub(crate) fn waits_until(env: &Env, agent: &str, text: &str) {
    let end = Instant::now() + Duration::from_secs(60);
    loop {
        let output = env.grafter(["why", agent]).start().finish();
        if output.stdout.contains(text) {
            return;
        }
        assert!(Instant::now() < end, "{agent} is never so: {text}\n{}", output.text());
        thread::sleep(Duration::from_millis(20));
    }
}

/// Expects that nothing new began in an agent while it was paused.
#[track_caller]
fn held(events: &[Event]) {
    let kinds: Vec<_> = events.iter().map(|event| kind(&event.what)).collect();
    let from = kinds.iter().position(|kind| kind == "paused").expect("it was paused");
    let to = kinds.iter().position(|kind| kind == "unpaused").expect("it went on");
    let new = |kind: &String| ["model_intent", "tool_intent"].contains(&kind.as_str());
    assert!(!kinds[from..to].iter().any(new), "{kinds:?}");
}

#[test]
fn a_paused_agent_and_its_mail_survive_a_killed_process() {
    let env = world();
    let run = solo(&env, &tale(), &["true"], &["--into", "fixed"]).start();
    let tree = at_gate(&env, "writer");
    let list = says(&env, &["ps"]);
    assert!(list.contains("solve@1") && list.contains("running bash"), "{list}");
    let json: Value = serde_json::from_str(&says(&env, &["ps", "--output", "json"])).expect("JSON");
    assert_eq!((&json[0]["agent"], &json[0]["kind"]), (&"solve@1".into(), &"worktree".into()));
    assert!(says(&env, &["why", "solve"]).contains("solve@1 runs bash"));
    assert!(refuses(&env, &["send", "slove", "x"]).contains("did you mean `solve`?"));
    assert!(refuses(&env, &["send", "solve", " "]).contains("is empty"));
    let long = "x".repeat(70_000);
    assert!(refuses(&env, &["send", "solve", &long]).contains("takes 65536"));
    assert!(says(&env, &["send", "solve@1", "mind the gap"]).contains("reads the message before"));
    assert!(says(&env, &["pause", "solve"]).contains("what it runs now comes to its end"));
    assert!(says(&env, &["pause", "solve"]).contains("is paused already"));
    open_gate(&tree);
    waits_until(&env, "solve", "is paused, for");
    assert!(says(&env, &["ps"]).contains("paused"));
    run.signal(Signal::KILL);
    drop(run.finish());
    assert!(refuses(&env, &["unpause", "solve"]).contains("is not running"));
    let mut again = env.grafter(["resume"]).start();
    again.wait_for("still paused: solve@1");
    waits_until(&env, "solve", "is paused, for");
    let why = says(&env, &["why", "solve"]);
    assert!(why.contains("1 of your messages wait for its next model call"), "{why}");
    assert!(says(&env, &["unpause", "solve"]).contains("solve@1 goes on"));
    let output = again.finish();
    assert_eq!(output.status.code(), Some(0), "{}", output.text());
    let events = events(&env);
    held(&events);
    let seen = events.iter().filter_map(|event| match &event.what {
        What::MessageDelivered(told) => Some((told.turn, told.message)),
        _ => None,
    });
    let sent = events.iter().find(|event| kind(&event.what) == "message_sent").expect("one").seq;
    assert_eq!(seen.collect::<Vec<_>>(), [(1, sent)]);
    assert!(refuses(&env, &["send", "solve", "late"]).contains("is not running"));
}

#[test]
fn a_mailbox_has_an_end_and_who_ends_with_mail_says_so() {
    let env = world();
    let script = solo::Story::new().bash(GATE).finish();
    let run = solo(&env, &script, &["true"], &[]).start();
    at_gate(&env, "writer");
    for _ in 0..100 {
        says(&env, &["send", "solve", "again"]);
    }
    let told = refuses(&env, &["send", "solve", "again"]);
    assert!(told.contains("solve@1 has 100 messages that it has not seen"), "{told}");
    says(&env, &["cancel", "--agent", "solve"]);
    let output = run.finish();
    assert_eq!(output.status.code(), Some(1), "{}", output.text());
    assert!(
        output.text().contains("ended before it saw 100 of your messages"),
        "{}",
        output.text()
    );
}

#[test]
fn one_agent_is_cancelled_and_the_others_go_on() {
    let story = story::Story::new();
    let env = &story.env;
    let run = story.gated(&["--into", "fixed"]).start();
    story.wait_until(|events| {
        events
            .iter()
            .any(|e| matches!(&e.what, What::ToolIntent { tool, .. } if tool == "run_tests"))
    });
    let why = says(env, &["why", "inspect"]);
    assert!(why.contains("inspect waits for implement, at which implement@1 works"), "{why}");
    assert!(refuses(env, &["send", "review", "x"]).contains("review has not begun"));
    assert!(refuses(env, &["send", "research", "x"]).contains("3 agents that have ended"));
    says(env, &["pause", "--all"]);
    says(env, &["unpause", "implement"]);
    story.open_gate();
    waits_until(env, "inspect", "is paused, for");
    says(env, &["unpause", "inspect"]);
    waits_until(env, "review.0", "is paused, for");
    says(env, &["cancel", "--agent", "review.0"]);
    waits_until(env, "review.0", "has failed: cancelled by the user");
    says(env, &["unpause", "--all"]);
    let output = run.finish();
    assert_eq!(output.status.code(), Some(1), "{}", output.text());
    let ends: Vec<_> = story
        .events()
        .into_iter()
        .filter_map(|event| match event.what {
            What::NodeFinished { outcome, .. } => {
                let node = event.node.filter(|id| id.as_str().starts_with("review"))?;
                Some((node.to_string(), outcome.failure))
            }
            _ => None,
        })
        .collect();
    let wanted = [("review.0".to_owned(), Some(Failure::Cancelled)), ("review.1".to_owned(), None)];
    assert_eq!(ends, wanted);
    story.close_gate();
    story.is_untouched();
}

#[test]
fn a_tool_that_ignores_the_end_of_its_agent_is_killed_and_its_work_kept() {
    let env = world();
    let deaf =
        "trap '' TERM INT HUP; echo half > half.txt; touch waiting; while :; do sleep 1; done";
    let run = solo(&env, &solo::Story::new().unread(deaf).finish(), &["true"], &[]).start();
    at_gate(&env, "writer");
    let said = says(&env, &["cancel", "--agent", "solve"]);
    assert!(said.contains("its node fails, the run goes on"), "{said}");
    let output = run.finish();
    assert_eq!(output.status.code(), Some(1), "{}", output.text());
    assert!(output.text().contains("cancelled by the user"), "{}", output.text());
    says(&env, &["rescue"]);
    let branch = format!("grafter/{}/rescued:half.txt", newest(&env));
    assert_eq!(env.git(["show", &branch]), "half");
}

#[test]
fn garbage_on_the_socket_is_answered_and_disturbs_nothing() {
    let env = world();
    let run = solo(&env, &tale(), &["true"], &["--into", "fixed"]).start();
    let tree = at_gate(&env, "writer");
    let socket = env.root().join(format!("run/grafter/{}.sock", newest(&env)));
    let long = format!(
        "{{\"command\":\"send\",\"agent\":\"solve\",\"text\":\"{}\"}}\n",
        "x".repeat(600_000)
    );
    for (line, answer) in [
        (&b"nonsense\n"[..], "no command"),
        (b"\xff\xfe\n", "no command"),
        (b"\n", "no command"),
        (b"{\"command\":\"fly\"}\n", "no command"),
        (b"[[[[[[[[\n", "no command"),
        (long.as_bytes(), "a command has at most 512 KiB"),
        (b"{\"command\":\"why\",\"agent\":\"\\u001b[2J\"}\n", "there is no agent"),
        (b"{\"command\":\"pause\",\"agent\":\"solve@99999999999\"}\n", "there is no agent"),
    ] {
        let mut stream = UnixStream::connect(&socket).expect("a live run");
        stream.write_all(line).expect("somebody reads");
        stream.shutdown(std::net::Shutdown::Write).expect("an open end");
        let mut said = String::new();
        stream.read_to_string(&mut said).expect("an answer");
        let said: Value = serde_json::from_str(&said).expect("one line of JSON");
        assert_eq!(said["ok"], false);
        assert!(said["error"].as_str().expect("a text").contains(answer), "{said}");
    }
    open_gate(&tree);
    assert_eq!(run.finish().status.code(), Some(0));
}

#[test]
fn attach_shows_an_agent_and_sends_what_is_typed() {
    let env = world();
    let run = solo(&env, &tale(), &["true"], &["--into", "fixed"]).start();
    let tree = at_gate(&env, "writer");
    let mut leaver = env.grafter(["attach", "solve"]).start_on_terminal();
    leaver.wait_for("→ bash");
    leaver.types("\u{4}");
    let left = leaver.finish();
    assert!(
        left.status.success() && left.stdout.contains("left; solve@1 goes on"),
        "{}",
        left.text()
    );
    let mut attached = env.grafter(["attach", "solve"]).start_on_terminal();
    attached.wait_for("→ bash");
    attached.types("use short names");
    let end = Instant::now() + Duration::from_secs(60);
    while !events(&env).iter().any(|event| kind(&event.what) == "message_sent") {
        assert!(Instant::now() < end, "it is never sent");
        thread::sleep(Duration::from_millis(10));
    }
    open_gate(&tree);
    let output = attached.finish();
    assert!(output.status.success(), "{}", output.text());
    assert!(output.stdout.contains("[1] » use short names"), "{}", output.stdout);
    assert!(output.stdout.contains("── solve@1 has ended"), "{}", output.stdout);
    assert_eq!(run.finish().status.code(), Some(0));
}

#[test]
fn the_agents_of_two_live_runs_are_told_apart() {
    let env = world();
    let begin = || solo(&env, &tale(), &["true"], &[]).start();
    let begun = |run: usize| {
        let end = Instant::now() + Duration::from_secs(60);
        while says(&env, &["ps"]).matches("running bash").count() < run {
            assert!(Instant::now() < end, "{}", says(&env, &["ps"]));
            thread::sleep(Duration::from_millis(20));
        }
        newest(&env)
    };
    let (one, older) = (begin(), begun(1));
    let first = at_gate(&env, "writer");
    let (two, newer) = (begin(), begun(2));
    let list = says(&env, &["ps"]);
    assert!(list.contains(&format!("run {older}\n")), "{list}");
    assert!(list.contains(&format!("run {newer}\n")), "{list}");
    says(&env, &["send", "solve", "only you", "--run", &older]);
    open_gate(&first);
    assert_eq!(one.finish().status.code(), Some(0));
    open_gate(&at_gate(&env, "writer"));
    assert_eq!(two.finish().status.code(), Some(0));
    let told = RunDir::list(&env.path(".git/grafter")).expect("the runs").into_iter().map(|run| {
        let events = read::read(&run.path).expect("a sound journal");
        (run.id.to_string(), events.iter().filter(|e| kind(&e.what) == "message_delivered").count())
    });
    assert_eq!(told.collect::<Vec<_>>(), [(newer, 0), (older, 1)]);
}
