//! Permission modes as a user meets them: what runs, what is asked, what is refused, and why.

use std::fs;

use serde_json::Value;

use crate::{
    env::{Env, Run},
    solo::{Story, trees},
};

fn world() -> Env {
    let env = Env::new();
    env.write("a.txt", "one\n");
    env.commit("start");
    env
}

/// Writes the user's settings.
fn configure(env: &Env, text: &str) {
    let folder = env.root().join("config/grafter");
    fs::create_dir_all(&folder).expect("a folder");
    fs::write(folder.join("config.toml"), text).expect("a new file");
}

/// Returns a run of the solo workflow in a mode, whose only check is always green.
fn run<'a>(env: &'a Env, mode: &str, story: &str) -> Run<'a> {
    let flags = ["run", "do it", "--workflow", "solo", "--verify", "true", "--mode", mode];
    env.grafter(flags).script(story)
}

/// Returns the recorded decisions of the newest run as `decision answer checks`.
fn judged(env: &Env) -> Vec<String> {
    let log = env.grafter(["logs", "--json"]).ok().stdout;
    let events = log.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    let judged = events.filter(|event| event["kind"] == "call_judged");
    let words = judged.map(|event| {
        let body = &event["body"];
        let checks = body["checks"].as_array().expect("a list").iter();
        let checks: Vec<&str> = checks.filter_map(Value::as_str).collect();
        let answer = body["answer"].as_str().unwrap_or("-");
        format!("{} {answer} {}", body["decision"].as_str().expect("a word"), checks.join(","))
    });
    words.map(|word| word.trim_end().to_owned()).collect()
}

#[test]
fn a_run_that_stays_in_its_tree_asks_nothing_in_allow_edits() {
    let env = world();
    let story = Story::new()
        .write("new.txt", "new\n")
        .bash("mkdir -p sub && touch sub/b.txt && cp new.txt sub/c.txt && rm sub/b.txt")
        .call("run_tests", serde_json::json!({}))
        .finish();
    run(&env, "allow-edits", &story).ok();
    assert_eq!(judged(&env), [""; 0]);
}

#[test]
fn without_a_terminal_what_would_be_asked_is_refused_and_recorded() {
    let env = world();
    let story = || Story::new().bash("./run.sh").write("b.txt", "b\n").finish();
    run(&env, "allow-edits", &story()).ok();
    assert_eq!(judged(&env), ["deny -"]);
    // In `default` not even a write runs unasked.
    run(&env, "default", &story()).code(3);
    assert_eq!(judged(&env)[..2], ["deny -", "deny -"]);
}

#[test]
fn the_floor_holds_in_every_mode() {
    let env = world();
    let name = env.path(".").canonicalize().expect("it is there");
    let name = name.file_name().expect("a name").to_string_lossy().into_owned();
    let story = Story::new().bash("cat ~/.ssh/id_rsa").write("b.txt", "b\n").finish();
    let modes: [&[&str]; 3] = [&["auto"], &["bypass"], &["yolo", "--i-accept", &name]];
    for mode in modes {
        let flags = ["run", "do it", "--workflow", "solo", "--verify", "true", "--fresh", "--mode"];
        env.grafter(flags.iter().chain(mode).copied()).script(&story).ok();
        let judged = judged(&env);
        assert!(judged[0].starts_with("deny - K11"), "{mode:?} {judged:?}");
    }
}

#[test]
fn yolo_is_said_for_a_repository_and_in_no_file() {
    let env = world();
    let refused = run(&env, "yolo", &Story::new().finish()).code(2);
    assert!(refused.stderr.contains("--mode yolo --i-accept "), "{}", refused.stderr);
    let wrong =
        env.grafter(["run", "x", "--mode", "yolo", "--i-accept", "yes"]).script("entries: []");
    wrong.code(2);
    configure(&env, "[run]\nmode = \"yolo\"\n");
    let refused = env.grafter(["run", "x"]).script("entries: []").code(2);
    assert!(refused.stderr.contains("command line only"), "{}", refused.stderr);
}

const ASKED: &str = "./a.sh | tr a-z A-Z > b.txt";
const QUESTION: &str = "May this run?";

fn scripted() -> Env {
    let env = Env::new();
    env.write("a.sh", "#!/bin/sh\necho one\n");
    env.commit("start");
    env
}

#[test]
fn always_stores_a_rule_and_is_not_asked_again() {
    let env = scripted();
    let story = Story::new().bash("sort a.sh").bash("sort a.sh").write("b.txt", "b\n").finish();
    let mut live = run(&env, "allow-edits", &story).start_on_terminal();
    live.wait_for(QUESTION);
    live.wait_for("always");
    live.types("a");
    let output = live.finish();
    assert_eq!(output.status.code(), Some(0), "{}", output.text());
    assert_eq!(judged(&env), ["ask always"]);
    let config = fs::read_to_string(env.root().join("config/grafter/config.toml")).expect("a file");
    assert!(config.contains("[[guard.allow]]\nprogram = \"sort\"\n"), "{config}");
    // The rule holds for the next run, where nobody can be asked.
    run(&env, "allow-edits", &story).ok();
}

#[test]
fn an_edited_command_is_asked_for_again_and_runs_as_edited() {
    let env = scripted();
    let story = Story::new().bash(ASKED).finish();
    let mut live = run(&env, "allow-edits", &story).start_on_terminal();
    live.wait_for(QUESTION);
    live.types("e");
    live.wait_for("run instead:");
    live.types("sort a.sh > c.txt");
    live.wait_for("bash sort a.sh > c.txt");
    live.types("y");
    let output = live.finish();
    assert_eq!(output.status.code(), Some(0), "{}", output.text());
    assert_eq!(judged(&env), ["ask edit", "ask yes"]);
    let landed = env.git(["show", "--stat", &crate::solo::landed(&env)]);
    assert!(landed.contains("c.txt") && !landed.contains("b.txt"), "{landed}");
}

#[test]
fn a_file_that_changes_while_the_user_is_asked_voids_the_answer() {
    let env = scripted();
    let story = Story::new().bash(ASKED).end("failed");
    let mut live = run(&env, "allow-edits", &story).start_on_terminal();
    live.wait_for(QUESTION);
    let tree = trees(&env, "writer").remove(0);
    fs::write(tree.join("a.sh"), "#!/bin/sh\ntouch pwned\n").expect("a file");
    live.types("y");
    let output = live.finish();
    assert_ne!(output.status.code(), Some(0), "{}", output.text());
    assert!(!tree.join("pwned").exists() && !tree.join("b.txt").exists());
    let log = env.grafter(["logs", "--json"]).ok().stdout;
    assert!(log.contains("the answer is void"), "{log}");
}

#[test]
fn a_question_that_nobody_answers_is_a_no_after_its_time() {
    let env = scripted();
    configure(&env, "[guard]\nask_seconds = 0\n");
    let story = Story::new().bash(ASKED).write("c.txt", "c\n").finish();
    let output = run(&env, "allow-edits", &story).start_on_terminal().finish();
    assert_eq!(output.status.code(), Some(0), "{}", output.text());
    assert_eq!(judged(&env), ["ask late"]);
}

#[test]
fn policies_are_explained_and_tested() {
    let env = world();
    configure(&env, "[[guard.allow]]\nprogram = \"cargo\"\nsubcommand = \"install\"\n");
    let explained = env.grafter(["policy", "explain", "cargo install x"]).ok().stdout;
    let table = explained.split("\n\n").nth(1).expect("a table");
    insta::assert_snapshot!(table, @"
    MODE         TERMINAL  UNATTENDED
    default      run       run
    allow-edits  run       run
    auto         run       run
    bypass       run       run
    yolo         run       run
    ");
    env.write(
        "policy.yaml",
        "- {command: ls, mode: default, expect: ask}\n\
         - {command: ls, mode: default, unattended: true, expect: deny}\n\
         - {command: mkdir a, expect: run}\n\
         - {command: cargo install x, expect: run}\n\
         - {command: cat ~/.ssh/id_rsa, mode: yolo, expect: deny}\n",
    );
    let said = env.grafter(["policy", "test", "policy.yaml"]).ok().stdout;
    assert_eq!(said, "5 of 5 commands are as expected\n");
    env.write("policy.yaml", "- {command: ls, expect: run}\n");
    let said = env.grafter(["policy", "test", "policy.yaml"]).code(1).stdout;
    assert!(said.starts_with("1: ask, not run, in allow-edits: ls ("), "{said}");
    env.write("policy.yaml", "- {command: ls, expects: run}\n");
    env.grafter(["policy", "test", "policy.yaml"]).code(2);
}

#[test]
fn a_node_can_only_name_a_stricter_mode_than_the_run() {
    let env = world();
    let solo = include_str!("../../workflows/solo.yaml").replace("name: solo", "name: strict");
    for (own, run, judged_as) in [
        ("default", "bypass", vec!["deny -", "deny -"]),
        ("bypass", "allow-edits", vec!["deny -"]),
        ("bypass", "bypass", vec![]),
    ] {
        let text = solo.replace("role: solo", &format!("role: solo\n    mode: {own}"));
        env.write("strict.yaml", &text);
        let story = Story::new().bash("./run.sh").write("b.txt", "b\n").finish();
        let flags = ["run", "do it", "--fresh", "--workflow", "strict.yaml", "--verify", "true"];
        env.grafter(flags.into_iter().chain(["--mode", run])).script(&story).start().finish();
        assert_eq!(judged(&env)[..judged_as.len()], judged_as, "{own} in {run}");
        assert_eq!(judged(&env).is_empty(), judged_as.is_empty(), "{own} in {run}");
    }
}

#[test]
fn yolo_says_so_at_every_turn_and_at_the_end() {
    let env = world();
    let name = env.path(".").canonicalize().expect("it is there");
    let name = name.file_name().expect("a name").to_string_lossy().into_owned();
    let story = Story::new().write("b.txt", "b\n").finish();
    let flags = ["run", "do it", "--workflow", "solo", "--verify", "true", "--mode", "yolo"];
    let output = env.grafter(flags.into_iter().chain(["--i-accept", &name])).script(&story).ok();
    let turns = output.stderr.matches("YOLO: checks do not stop commands").count();
    assert_eq!(turns, 2, "{}", output.stderr);
    assert!(output.stdout.contains("! yolo: commands run"), "{}", output.stdout);
    let log = env.grafter(["logs", "--json"]).ok().stdout;
    assert!(log.lines().next().is_some_and(|line| line.contains("\"mode\":\"yolo\"")), "{log}");
    run(&env, "bypass", &story).ok();
    assert!(!env.grafter(["logs"]).ok().stdout.contains("YOLO"));
}

/// A command that passes every check and is in no table of ordinary ones.
const UNSURE: &str = "tee c.txt < a.txt";

/// Writes a user's settings that name a classifier which says these words, and returns its name.
fn classify(env: &Env, text: &str) {
    let entry = serde_json::json!({ "role": "classifier", "reply": { "text": text } });
    let file = env.root().join("classifier.yaml");
    fs::write(&file, serde_json::json!({ "entries": [entry] }).to_string()).expect("a new file");
    configure(env, &format!("[guard]\nclassifier = \"scripted:{}\"\n", file.display()));
}

/// Returns how often the newest run asked its classifier.
fn asked(env: &Env) -> usize {
    let log = env.grafter(["logs", "--json"]).ok().stdout;
    let sent = log.lines().filter(|line| line.contains("\"kind\":\"model_intent\""));
    sent.filter(|line| line.contains("/classifier\"")).count()
}

#[test]
fn in_auto_mode_the_users_classifier_decides_what_is_not_ordinary() {
    let env = world();
    let story = Story::new().bash(UNSURE).finish();
    let flags = ["run", "do it", "--fresh", "--workflow", "solo", "--verify", "true"];
    let play = |code| {
        let run = env.grafter(flags.into_iter().chain(["--mode", "auto"]));
        run.script(&story).code(code)
    };
    classify(&env, "allow");
    play(0);
    assert_eq!((judged(&env), asked(&env)), (vec!["run -".to_owned()], 1));
    // What a run's agent said can be played again; its classifier is another one.
    let session = env.grafter(["logs", "--session"]).ok().stdout;
    assert_eq!(session.matches("- {\"node\":").count(), 2, "{session}");
    for (text, questions) in [("yes, allow", 1), ("deny", 2)] {
        classify(&env, text);
        play(3);
        assert_eq!((judged(&env), asked(&env)), (vec!["deny -".to_owned()], questions), "{text}");
    }
    configure(&env, "");
    play(3);
    assert_eq!((judged(&env), asked(&env)), (vec!["deny -".to_owned()], 0));
}

#[test]
fn a_node_takes_the_classifier_over_and_a_stricter_one_does_not_ask_it() {
    let env = world();
    classify(&env, "allow");
    let solo = include_str!("../../workflows/solo.yaml").replace("name: solo", "name: own");
    for (own, run, decided, questions) in [
        ("bypass", "auto", "run -", 1),
        ("auto", "bypass", "run -", 1),
        ("default", "auto", "deny -", 0),
        ("allow-edits", "bypass", "deny -", 0),
    ] {
        env.write("own.yaml", solo.replace("role: solo", &format!("role: solo\n    mode: {own}")));
        let flags = ["run", "do it", "--fresh", "--workflow", "own.yaml", "--verify", "true"];
        let story = Story::new().bash(UNSURE).finish();
        env.grafter(flags.into_iter().chain(["--mode", run])).script(&story).start().finish();
        assert_eq!(
            (judged(&env), asked(&env)),
            (vec![decided.to_owned()], questions),
            "{own} {run}"
        );
    }
}

#[test]
fn a_repository_names_no_classifier() {
    let env = world();
    env.write(".grafter/config.toml", "[guard]\nclassifier = \"scripted:/x\"\n");
    let refused = env.grafter(["trust"]).start().finish();
    let refused =
        refused.text() + &run(&env, "auto", &Story::new().finish()).start().finish().text();
    assert!(refused.contains("a repository may not set"), "{refused}");
}

#[test]
fn policy_names_the_classifier_and_asks_no_model() {
    let env = world();
    classify(&env, "allow");
    let said = env.grafter(["policy", "explain", UNSURE]).ok().stdout;
    assert!(said.contains("auto         classifier  classifier"), "{said}");
    env.write("policy.yaml", format!("- {{command: {UNSURE}, mode: auto, expect: ask}}\n"));
    env.grafter(["policy", "test", "policy.yaml"]).ok();
}
