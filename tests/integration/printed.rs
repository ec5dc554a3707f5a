//! The front door: what commands print, and to whom.

use std::{
    fs,
    process::{Command, Stdio},
};

use crate::env::Env;

/// Reads `a.txt` and changes it.
const SCRIPT: &str = "
- { turn: 0, reply: { calls: [{ name: read, input: { path: a.txt } }] } }
- { turn: 1, reply: { calls: [{ name: edit, input: { path: a.txt, old: one, new: two } }] } }
- { turn: 2, reply: { calls: [{ name: finish, input: { status: succeeded, summary: changed } }] } }
";

fn with_a_landed_run() -> Env {
    let env = Env::new();
    env.write("a.txt", "one\nlast\n");
    env.commit("start");
    let order = ["run", "change one", "--workflow", "solo", "--verify", "true", "--into", "fixed"];
    env.grafter(order).script(SCRIPT).ok();
    env
}

#[test]
fn a_reader_that_has_gone_ends_a_command_without_a_word() {
    let env = Env::new();
    for words in [&["tools"][..], &["models"], &["completions", "bash"], &["workflow", "ls"]] {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let mut command = Command::new(env!("CARGO_BIN_EXE_grafter"));
        command.args(words).current_dir(env.path("")).env_clear();
        command.env("HOME", env.root().join("home")).stdin(Stdio::null()).stdout(writer);
        let output = command.output().expect("it starts");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!((output.status.code(), said.as_str()), (Some(0), ""), "{words:?}");
    }
}

#[test]
fn what_an_agent_read_is_logged_line_by_line() {
    let logs = with_a_landed_run().grafter(["logs", "--agent", "solve@1"]).ok().stdout;
    let lines: Vec<&str> = logs.lines().map(str::trim_end).collect();
    let at = lines.iter().position(|line| *line == "← read").expect("the result of the read");
    assert_eq!(lines[at + 1..at + 3].join("|").replace(' ', "\t"), "1\tone|2\tlast");
}

#[test]
fn a_tree_with_changes_on_the_base_was_listed_as_landed() {
    let env = with_a_landed_run();
    let text = SCRIPT.replace("succeeded", "failed");
    assert_ne!(text, SCRIPT);
    env.grafter(["run", "change one", "--workflow", "solo", "--verify", "true"])
        .script(&text)
        .code(1);
    let listed = env.grafter(["worktree", "ls"]).ok().stdout;
    assert!(listed.contains("  changed  not landed  "), "{listed}");
}

#[test]
fn a_run_that_landed_leaves_no_tree_and_one_that_did_not_leaves_its_work() {
    let env = with_a_landed_run();
    assert!(env.grafter(["worktree", "ls"]).ok().stdout.contains("no trees"));
    // The check breaks, and no call is left for a second attempt.
    let order = ["run", "change one", "--workflow", "solo", "--max-turns", "3"];
    let order = order.into_iter().chain(["--verify", "grep -q one a.txt"]);
    env.grafter(order).script(SCRIPT).code(4);
    assert!(env.grafter(["worktree", "ls"]).ok().stdout.contains("not landed"));
    assert!(env.grafter(["worktree", "clean"]).ok().stdout.contains("removed 0, kept 1"));
    assert!(env.grafter(["worktree", "clean", "--all"]).ok().stdout.contains("removed 1, kept 0"));
    assert!(env.grafter(["worktree", "ls"]).ok().stdout.contains("no trees"));
}

#[test]
fn commands_that_need_no_repository_work_without_one_and_with_the_users_own_files() {
    let env = Env::new();
    let folder = env.root().join("config/grafter/workflows");
    fs::create_dir_all(&folder).expect("a new folder");
    let mine = "name: mine\nversion: 1\nnodes:\n  - { id: a, phase: implementation, role: solo }\n";
    fs::write(folder.join("mine.yaml"), mine).expect("a new file");
    let listed = env.grafter(["workflow", "ls"]).dir("home").ok().stdout;
    assert!(listed.contains("mine.yaml") && listed.contains("shipped/solo.yaml"), "{listed}");
    env.grafter(["workflow", "check", "mine"]).dir("home").ok();
    env.grafter(["prompt", "lint"]).dir("home").ok();
    let doctor = env.grafter(["doctor"]).dir("home").ok().stdout;
    for text in ["(2.41 or newer is needed)", "none usable here", "config.toml (not there"] {
        assert!(doctor.contains(text), "{text} is missing in\n{doctor}");
    }
}

#[test]
fn an_unknown_table_of_the_settings_is_refused_with_its_line() {
    let env = Env::new();
    fs::create_dir_all(env.root().join("config/grafter")).expect("a new folder");
    let file = env.root().join("config/grafter/config.toml");
    fs::write(file, "[run]\nmax_turns = 5\n[provider]\n").expect("a new file");
    let said = env.clean(&env.grafter(["models"]).code(2).stderr);
    insta::assert_snapshot!(said, @"
    error: <root>/config/grafter/config.toml:3:2: unknown section `provider`; did you mean `providers`? (known: run, batch, providers, sandbox, guard, workers, trees, setup)
    3 | [provider]
      |  ^
    ");
}
