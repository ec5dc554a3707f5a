//! What a real model once said, played again: the session that the demo ends with.

use crate::env::Env;

const SESSION: &str = include_str!("../../src/cli/demo/recorded.session.yaml");
const LIBRARY: &str = include_str!("../../src/cli/demo/lib.rs.txt");
const TESTS: &str = include_str!("../../src/cli/demo/tests.rs.txt");

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
