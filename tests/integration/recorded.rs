//! The answers of a run, printed as a session, lead to the same landed tree when they are played.

use std::fs;

use crate::{
    env::Env,
    server::{Server, finish, landed, mend, solo, world},
    story::{RIGHT, Story},
};

/// What a real model once said, played at the end of the demo.
const SESSION: &str = include_str!("../../src/cli/demo/recorded.session.yaml");
const LIBRARY: &str = include_str!("../../src/cli/demo/lib.rs.txt");
const TESTS: &str = include_str!("../../src/cli/demo/tests.rs.txt");

#[test]
fn a_run_through_fan_outs_and_a_repair_is_recorded_and_played() {
    let story = Story::new();
    story.run().ok();
    let session = story.grafter(&["logs", "latest", "--session"]).ok().stdout;
    // Three researchers, one synthesis in two turns, two writers in two turns, four reviews; the
    // reviews of the first change, which broke a check, may not have been asked for.
    assert!(session.matches("\n- ").count() >= 11, "{session}");
    let tree = story.env.git(["rev-parse", "fixed^{tree}"]);
    story.env.git(["branch", "-D", "-q", "fixed"]);
    story.run_with(&["--verify", "grep -q right a.txt", "--into", "fixed"], &session).ok();
    assert_eq!(story.env.git(["rev-parse", "fixed^{tree}"]), tree);
    story.is_whole();
    assert_eq!(story.env.git(["show", "fixed:a.txt"]), RIGHT.trim_end());
    // What was played can be recorded again, and says the same.
    let again = story.grafter(&["logs", "latest", "--session"]).ok().stdout;
    let entries = |text: &str| {
        let lines = text.lines().filter(|line| line.starts_with("- ")).map(str::to_owned);
        let mut lines: Vec<_> = lines.collect();
        lines.sort();
        lines
    };
    assert_eq!(entries(&again), entries(&session));
}

#[test]
fn the_answers_of_a_server_are_played_without_it() {
    let (env, server) = (world(), Server::new([mend(), finish()]));
    solo(&env, &server.model(), &[]).ok();
    let wanted = landed(&env, "value.txt");
    let session = env.grafter(["logs", "--session"]).ok().stdout;
    let file = env.root().join("session.yaml");
    fs::write(&file, session).expect("a new file");
    solo(&env, &format!("scripted:{}", file.display()), &[]).ok();
    assert_eq!((landed(&env, "value.txt"), server.received().len()), (wanted, 2));
}

#[test]
fn a_run_that_took_results_from_another_is_not_recorded() {
    let story = Story::new();
    let script = crate::story::script();
    story.run_from(&["--into", "one"], &script).ok();
    story.run_from(&["--into", "two"], &script).ok();
    let said = story.grafter(&["logs", "latest", "--session"]).code(2).stderr;
    assert!(said.contains("took its result from an earlier run"), "{said}");
    assert!(said.contains("--fresh"), "{said}");
}

#[test]
fn a_recorded_answer_of_a_small_model_lands_again() {
    assert!(SESSION.starts_with("# Recorded: Qwen2.5-Coder 1.5B"), "it says what it is");
    let env = Env::new();
    env.write("Cargo.toml", include_str!("../../src/cli/demo/manifest.txt"));
    env.write("Cargo.lock", include_str!("../../src/cli/demo/lock.txt"));
    env.write("src/lib.rs", LIBRARY);
    env.write("tests/tally.rs", TESTS);
    env.commit("tally");
    let before = env.fingerprint();
    let issue = "percent(0, 0) panics with a division by zero";
    let run = env.grafter(["run", issue, "--workflow", "small", "--into", "fixed"]);
    let said = run.script(SESSION).ok().stdout;
    assert!(said.contains("scripted model"), "{said}");
    assert!(said.contains("fixed 2, broke 0"), "{said}");
    assert!(said.contains("percent_of_nothing"), "{said}");
    assert!(env.git(["show", "fixed:src/lib.rs"]).contains("if whole == 0 {"));
    assert_eq!(env.fingerprint(), before);
}
