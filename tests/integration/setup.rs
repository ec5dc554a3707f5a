//! `[setup]`: what trees need is made once, and a failure says what it was.

use std::fs;

use crate::{
    env::Env,
    solo::{Story, landed, solo},
};

/// Makes a folder with something in it that no second attempt would make again.
const MAKES: &str =
    "mkdir -p deps local && head -c 8 /dev/urandom | od -An -tx1 > deps/id && cp deps/id local/";

fn env(setup: &str) -> Env {
    let env = Env::new();
    env.write(".gitignore", "deps\nlocal\n");
    env.write("requirements.txt", "one==1\n");
    env.write("a.txt", "one\n");
    env.commit("start");
    configure(&env, setup);
    env
}

fn configure(env: &Env, setup: &str) {
    let folder = env.root().join("config/grafter");
    fs::create_dir_all(&folder).expect("a folder");
    fs::write(folder.join("config.toml"), format!("[setup]\n{setup}")).expect("a file");
}

/// Lets an agent copy what was made into a file of its own, and returns what landed of it.
fn seen(env: &Env, file: &str) -> String {
    let runs = format!("cat deps/id local/id > {file}; echo more >> local/id");
    let output = solo(env, &Story::new().bash(&runs).finish(), &["test -s deps/id"], &["--fresh"]);
    output.ok();
    env.git(["show", &format!("{}:{file}", landed(env))])
}

fn times_run(env: &Env) -> usize {
    let lines = env.grafter(["logs", "latest"]).ok().stdout;
    lines.matches("setup: mkdir").count()
}

#[test]
fn what_trees_need_is_made_once_for_the_same_lock_files() {
    let env = env(&format!("run = [\"{MAKES}\"]\nshare = [\"deps\"]\ncopy = [\"local\"]\n"));
    let before = env.fingerprint();
    let first = seen(&env, "b.txt");
    assert_eq!(first.lines().count(), 2, "both are there: {first}");
    assert_eq!(times_run(&env), 1);
    assert_eq!(seen(&env, "b.txt"), first, "the copy is each tree's own");
    assert_eq!(times_run(&env), 0);
    assert_eq!(env.fingerprint(), before);
    env.write("requirements.txt", "one==2\n");
    env.commit("another version");
    assert_ne!(seen(&env, "b.txt"), first);
    assert_eq!(times_run(&env), 1);
}

#[test]
fn a_change_of_the_lock_file_is_verified_with_a_setup_of_its_own() {
    let makes = "mkdir deps && cp requirements.txt deps/id";
    let env = env(&format!("run = [\"{makes}\"]\nshare = [\"deps\"]\n"));
    let story = Story::new().bash("echo one==2 > requirements.txt").finish();
    solo(&env, &story, &["cmp requirements.txt deps/id"], &[]).ok();
    let lines = env.grafter(["logs", "latest"]).ok().stdout;
    assert_eq!(lines.matches("setup: done").count(), 2, "{lines}");
}

#[test]
fn a_setup_that_fails_ends_the_run_with_its_last_words() {
    let env = env("run = [\"echo first\", \"echo no such package; exit 7\"]\nshare = [\"deps\"]\n");
    let before = env.fingerprint();
    let story = Story::new().write("b.txt", "x").finish();
    let text = solo(&env, &story, &["true"], &[]).code(6).text();
    assert!(
        text.contains("the setup command `echo no such package; exit 7` exited with 7"),
        "{text}"
    );
    assert!(text.contains("; no such package"), "{text}");
    assert_eq!(env.fingerprint(), before);
    configure(&env, "run = [\"true\"]\nshare = [\"deps\"]\n");
    let output = solo(&env, &story, &["true"], &[]).code(6);
    assert!(output.text().contains("the commands of [setup] made no `deps`"), "{}", output.text());
    configure(&env, "run = [\"mkdir deps\"]\nshare = [\"deps\"]\n");
    solo(&env, &story, &["true"], &[]).ok();
}

#[test]
fn teardown_runs_in_each_tree_and_its_failure_stops_nobody() {
    let env = env("teardown = [\"echo leaving; exit 3\"]\n");
    solo(&env, &Story::new().write("b.txt", "x").finish(), &["true"], &[]).ok();
    let state = env.root().join("state/grafter");
    let stores =
        fs::read_dir(&state).expect("a folder").map(|entry| entry.expect("an entry").path());
    let store = stores.into_iter().find(|path| path.to_string_lossy().ends_with(".setups"));
    let log = fs::read_dir(store.expect("a store")).expect("a folder").next();
    let text = fs::read_to_string(log.expect("a log").expect("an entry").path()).expect("a text");
    assert!(text.matches("leaving\n").count() >= 2, "the writer's tree and a check's: {text}");
}
