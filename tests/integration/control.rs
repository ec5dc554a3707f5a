//! Live runs: stopped, looked at, followed, and two of them at once.

use std::{collections::BTreeSet, fs, os::unix::fs::PermissionsExt, path::PathBuf};

use grafter::protocol::{
    event::{Event, What},
    report::CheckedTree,
};
use rustix::process::Signal;

use crate::story::{FIXED, RIGHT, Story, kind, paid_once, script};

/// Returns whether the writer is at its checks, which wait for the gate.
fn is_at_the_gate(events: &[Event]) -> bool {
    events
        .iter()
        .any(|event| matches!(&event.what, What::ToolIntent { tool, .. } if tool == "run_tests"))
}

/// Returns the control sockets that are there.
fn sockets(story: &Story) -> Vec<PathBuf> {
    let folder = fs::read_dir(story.env.root().join("run/grafter")).expect("the runtime folder");
    let paths = folder.map(|entry| entry.expect("an entry").path());
    paths.filter(|path| path.extension().is_some_and(|end| end == "sock")).collect()
}

/// Expects that no model was asked after the order to stop.
#[track_caller]
fn asked_no_more(story: &Story) {
    let kinds = story.kinds();
    let stop = kinds.iter().position(|kind| kind == "cancel_asked").expect("it was told to stop");
    assert!(!kinds[stop..].contains(&"model_intent".to_owned()), "{kinds:?}");
    assert_eq!(kinds.last().map(String::as_str), Some("run_finished"));
}

/// Opens the gate for a resume, and expects that the run lands as it should.
#[track_caller]
fn goes_on(story: &Story) {
    story.open_gate();
    story.grafter(&["resume"]).ok();
    story.close_gate();
    assert_eq!(story.env.git(["show", "fixed:a.txt"]), RIGHT.trim_end());
    story.is_untouched();
    paid_once(&story.events());
    assert!(sockets(story).is_empty(), "{:?}", sockets(story));
}

#[test]
fn one_signal_stops_a_run_which_says_how_to_go_on() {
    for signal in [Signal::INT, Signal::TERM] {
        let story = Story::new();
        let mut running = story.gated(&["--into", "fixed"]).start();
        story.wait_until(is_at_the_gate);
        running.signal(signal);
        running.wait_for("stopping: no new model calls");
        // What runs is let to its end.
        story.open_gate();
        let output = running.finish();
        story.close_gate();
        assert_eq!(output.status.code(), Some(130), "{}", output.text());
        let id = story.runs().swap_remove(0).id;
        assert!(output.text().contains(&format!("grafter resume {id}")), "{}", output.text());
        asked_no_more(&story);
        let tests = |event: &Event| matches!(&event.what, What::ToolResult { tool, .. } if tool == "run_tests");
        assert!(story.events().iter().any(tests), "the checks came to their end");
        goes_on(&story);
    }
}

#[test]
fn a_second_signal_ends_a_run_at_once() {
    let story = Story::new();
    let mut running = story.gated(&["--into", "fixed"]).start();
    story.wait_until(is_at_the_gate);
    running.signal(Signal::INT);
    running.wait_for("stopping: no new model calls");
    running.signal(Signal::INT);
    // The gate stays closed: the checks would wait for ever.
    let output = running.finish();
    assert_eq!(output.status.code(), Some(130), "{}", output.text());
    asked_no_more(&story);
    goes_on(&story);
}

#[test]
fn status_says_how_to_go_on_with_a_run_that_was_ended_by_term_and_then_int() {
    let story = Story::new();
    let mut running = story.gated(&["--into", "fixed"]).start();
    story.wait_until(is_at_the_gate);
    running.signal(Signal::TERM);
    running.wait_for("stopping: no new model calls");
    running.signal(Signal::INT);
    let output = running.finish();
    let told = format!("grafter resume {}", story.runs().swap_remove(0).id);
    assert!(output.stdout.contains(&told), "{}", output.text());
    for words in [&["status"][..], &["status", "latest"]] {
        let said = story.grafter(words).ok().stdout;
        assert!(said.contains(&told), "{words:?}: {said}");
    }
    goes_on(&story);
}

#[test]
fn another_process_cancels_a_run_and_sees_how_it_stands() {
    let story = Story::new();
    assert!(story.grafter(&["status"]).ok().stdout.contains("no runs yet"));
    let running = story.gated(&["--into", "fixed"]).start();
    story.wait_until(is_at_the_gate);
    let [socket] = &sockets(&story)[..] else { panic!("one socket") };
    assert_eq!(fs::metadata(socket).expect("a socket").permissions().mode() & 0o777, 0o600);
    assert!(story.grafter(&["status"]).ok().stdout.contains("running (process "));
    let one = story.grafter(&["status", "latest"]).ok().stdout;
    assert!(one.contains("grafter cancel") && !one.contains("grafter resume"), "{one}");
    let said = story.grafter(&["cancel"]).ok().stdout;
    assert!(said.contains("is stopping; go on with: grafter resume"), "{said}");
    story.open_gate();
    assert_eq!(running.finish().status.code(), Some(130));
    story.close_gate();
    asked_no_more(&story);
    assert!(story.grafter(&["status"]).ok().stdout.contains("interrupted"));
    assert!(story.grafter(&["status", "latest"]).ok().stdout.contains("grafter resume"));
    let said = story.grafter(&["cancel"]).code(2).stderr;
    assert!(said.contains("is not running"), "{said}");
    goes_on(&story);
    assert!(story.grafter(&["status"]).ok().stdout.contains("landed"));
    let json = story.grafter(&["status", "--json"]).ok().stdout;
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(json[0]["task"], "say-right");
}

#[test]
fn a_runtime_folder_of_a_long_name_does_not_keep_cancel_from_a_run() {
    let story = Story::new();
    let long = story.env.root().join("run").join("long".repeat(40));
    fs::create_dir(&long).expect("a new folder");
    let running = story.gated(&["--into", "fixed"]).env("XDG_RUNTIME_DIR", &long).start();
    story.wait_until(is_at_the_gate);
    let id = story.runs().swap_remove(0).id;
    let socket = long.join(format!("grafter/{id}.sock"));
    assert_eq!(fs::metadata(&socket).expect("a socket").permissions().mode() & 0o777, 0o600);
    story.grafter(&["cancel"]).env("XDG_RUNTIME_DIR", &long).ok();
    story.open_gate();
    let output = running.finish();
    assert_eq!(output.status.code(), Some(130), "{}", output.text());
    assert!(!output.stderr.contains("WARN"), "{}", output.stderr);
    assert!(!socket.exists(), "it goes with the run");
    story.close_gate();
    asked_no_more(&story);
}

#[test]
fn a_run_that_cancel_cannot_reach_says_so_and_goes_on() {
    let story = Story::new();
    let file = story.env.root().join("run/file");
    fs::write(&file, "").expect("a new file");
    let output = story.run().env("XDG_RUNTIME_DIR", &file).ok();
    let told = "! `grafter cancel` cannot reach this run, a signal can: no socket ";
    assert!(output.stdout.contains(told), "{}", output.text());
    assert!(!output.stderr.contains("WARN"), "{}", output.stderr);
    story.is_whole();
}

#[test]
fn logs_tell_of_a_run_of_one_agent_and_of_what_is_still_to_come() {
    let story = Story::new();
    let running = story.gated(&["--into", "fixed"]).start();
    story.wait_until(is_at_the_gate);
    let so_far = story.grafter(&["logs"]).ok().stdout;
    assert!(so_far.contains("synthesis: done") && !so_far.contains("run ended"), "{so_far}");
    let mut following = story.grafter(&["logs", "--follow"]).start();
    following.wait_for("synthesis: done");
    story.open_gate();
    assert!(running.finish().status.success());
    let output = following.finish();
    assert!(output.status.success() && output.stdout.contains("run ended: landed"));
    let lines: Vec<_> = output.stdout.lines().collect();
    let whole = story.grafter(&["logs"]).ok().stdout;
    assert_eq!(lines, whole.lines().collect::<Vec<_>>(), "nothing is missed, nothing said twice");
    let agent = story.grafter(&["logs", "--agent", "implement@2"]).ok().stdout;
    assert!(agent.contains("→ edit") && agent.contains("← run_tests"), "{agent}");
    assert!(!agent.contains("wrung\",\"old"), "the first attempt is another agent: {agent}");
    let said = story.grafter(&["logs", "--agent", "nobody@1"]).code(2).stderr;
    assert!(said.contains("has no agent `nobody@1`\n"), "{said}");
    let json = story.grafter(&["logs", "--json"]).ok().stdout;
    let kinds: Vec<String> = json
        .lines()
        .map(|line| serde_json::from_str::<Event>(line).expect("a documented event"))
        .map(|event| kind(&event.what))
        .collect();
    assert_eq!(kinds, story.kinds());
}

#[test]
fn logs_take_a_nodes_bare_name_for_all_its_agents_and_know_what_was_meant() {
    let story = Story::new();
    story.run().ok();
    let heads = |name: &str| {
        let text = story.grafter(&["logs", "--agent", name]).ok().stdout;
        let heads: BTreeSet<_> =
            text.lines().filter(|line| line.starts_with("── ")).map(str::to_owned).collect();
        heads.into_iter().collect::<Vec<_>>()
    };
    assert_eq!(heads("implement"), ["── implement@1", "── implement@2"]);
    assert_eq!(heads("research"), ["── research.0@1", "── research.1@1", "── research.2@1"]);
    assert_eq!(heads("research.1"), ["── research.1@1"]);
    assert_eq!(heads("implement@2"), [""; 0]);
    let said = story.grafter(&["logs", "--agent", "implemnt"]).code(2).stderr;
    assert!(said.contains("has no agent `implemnt`; did you mean `implement`?\n"), "{said}");
    assert!(said.contains("hint: it has base@1, checks@1, checks@2, implement@1, "), "{said}");
}

#[test]
fn a_second_resume_of_a_live_run_is_told_who_has_it() {
    let story = Story::new();
    let running = story.gated(&["--into", "fixed"]).start();
    story.wait_until(is_at_the_gate);
    let said = story.grafter(&["resume"]).code(6).stderr;
    assert!(said.contains("is being worked on by process "), "{said}");
    assert!(said.contains("grafter cancel"), "{said}");
    story.open_gate();
    assert!(running.finish().status.success());
    story.close_gate();
    assert!(!story.kinds().contains(&"run_resumed".to_owned()));
    story.is_untouched();
    paid_once(&story.events());
}

#[test]
fn two_runs_at_once_land_each_on_a_branch_of_its_own() {
    let story = Story::new();
    let first = story.gated(&["--fresh"]).start();
    story.wait_until(is_at_the_gate);
    let second = story.gated(&["--fresh"]).start();
    story.wait_until(|events| story.runs().len() == 2 && is_at_the_gate(events));
    let shown = story.grafter(&["status"]).ok().stdout;
    assert_eq!(shown.matches("running (process ").count(), 2, "{shown}");
    story.open_gate();
    assert!(first.finish().status.success());
    assert!(second.finish().status.success());
    story.close_gate();
    story.is_untouched();
    for run in story.runs() {
        let landed = format!("grafter/{}/landed", run.id);
        assert_eq!(story.env.git(["show", &format!("{landed}:a.txt")]), RIGHT.trim_end());
        assert_eq!(story.env.git(["rev-list", &format!("main..{landed}")]).lines().count(), 1);
    }
}

#[test]
fn a_test_that_fails_on_the_base_now_and_then_does_not_keep_a_change_from_landing() {
    let story = Story::new();
    // It passes on the base at first, and fails everywhere once the gate is open.
    let check = "if grep -q right a.txt; then \
                 until [ -e node_modules/go ]; do sleep 0.01; done; fi; echo TAP version 13; \
                 if [ -e node_modules/go ]; then echo not ok 1 - moody; exit 1; fi; \
                 echo ok 1 - moody";
    let flags = ["--verify", check, "--verify", FIXED, "--into", "fixed"];
    let running = story.run_with(&flags, &script()).start();
    story.wait_until(|events| {
        events.iter().any(|event| match &event.what {
            What::ChecksFinished { on, .. } => *on == CheckedTree::Base,
            _ => false,
        })
    });
    story.open_gate();
    let said = running.finish();
    assert_eq!(said.status.code(), Some(0), "{}", said.stderr);
    assert!(said.stdout.contains("(flaky)"), "{}", said.stdout);
    story.close_gate();
    story.is_whole();
}
