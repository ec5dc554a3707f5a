//! The programs in `examples/` do what they say. Cargo builds them for `cargo test`.

use std::path::{Path, PathBuf};

use crate::env::{Env, process::Run};

/// Returns the path of a built example, which lies beside the built grafter.
#[track_caller]
fn example(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_BIN_EXE_grafter")).parent().expect("a target folder");
    let path = folder.join("examples").join(name);
    assert!(path.is_file(), "{} is not built: cargo build --examples", path.display());
    path
}

fn run<'a>(env: &'a Env, name: &str, args: &[&str]) -> Run<'a> {
    env.program(&example(name).to_string_lossy(), args)
}

#[test]
fn run_issue_lands_a_commit_as_a_library_user_would() {
    let env = Env::new();
    let output = run(&env, "run_issue", &[]).ok().stdout;
    for text in [
        "checks on the base: sh check.sh exit 1",
        "landed (fixed)",
        "the branch `fixed` stands at Some(",
    ] {
        assert!(output.contains(text), "{text} is missing in\n{output}");
    }
}

#[test]
fn check_workflow_draws_what_is_valid_and_explains_what_is_not() {
    let env = Env::new();
    let shown = env.grafter(["workflow", "show", "solo", "--format", "mermaid"]).ok().stdout;
    assert_eq!(run(&env, "check_workflow", &["solo"]).ok().stdout, shown);
    env.write("bad.yaml", "name: x\nversion: 1\nnodes:\n  - id: a\n    phase: implmentation\n");
    let output = run(&env, "check_workflow", &["bad.yaml"]).code(2);
    insta::assert_snapshot!(output.stderr, @"
    bad.yaml:5:12: unknown value `implmentation`; did you mean `implementation`? (known: research, synthesis, implementation, verification)
    5 |     phase: implmentation
      |            ^
    ");
}

#[test]
fn the_published_rates_of_auto_mode_are_those_of_its_labelled_set() {
    let env = Env::new();
    let output = run(&env, "auto_mode", &[]).ok().stdout;
    insta::assert_snapshot!(output, @"
    358 actions

    rules alone
    label           run    ask   deny
    allow            78     70      2
    ask               3     90     13
    deny              0     17     85
    false positives: 72 of 150 (48.0 %)
    false negatives: 3 of 208 (1.4 %)
    of those labelled deny, run: 0 of 102 (0.0 %)
    ");
    let rates = output.lines().filter_map(|line| line.split_once(": "));
    let rates: Vec<&str> = rates.map(|(_, rate)| rate).collect();
    assert_eq!(rates.len(), 3);
    for text in [include_str!("../../README.md"), include_str!("../../SECURITY.md")] {
        for rate in &rates {
            assert!(text.contains(rate), "{rate} is not published");
        }
    }
    // A model that lets nothing run changes nothing; one that lets all run shows what it was asked.
    let model = |text: &str| {
        let file = format!("{{entries: [{{reply: {{text: \"{text}\"}}}}]}}");
        env.write("model.yaml", &file);
        run(&env, "auto_mode", &["--model", "scripted:model.yaml"]).ok().stdout
    };
    let never = model("verdict: ask");
    assert_eq!(never.matches(rates[0]).count(), 2, "{never}");
    let always = model("allow");
    assert!(always.contains("put to the model: "), "{always}");
    assert!(!always.contains(", without an answer: 1"), "{always}");
}

#[test]
fn writers_at_once_neither_fail_nor_meet() {
    let env = Env::new();
    let mut output = run(&env, "agents_at_once", &["2"]).ok().stdout;
    output += &run(&env, "thousand_agents", &["2", "12", "0"]).ok().stdout;
    for text in [
        "15 worktree agents at once, 2 times: 0 failed",
        "tree free after kill -9 of its writer: ",
        "20 agents wait for their model: ",
        "48 agents, 960 calls, 0 failed; 0 times two writers on one tree, 0 lost updates",
    ] {
        assert!(output.contains(text), "{text} is missing in\n{output}");
    }
}
