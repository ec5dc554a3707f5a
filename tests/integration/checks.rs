//! Checks that misbehave, and checks that say little: what a run makes of them.

use serde_json::{Value, json};

use crate::{
    env::Env,
    solo::{Story, landed, newest, report, solo, writes},
};

fn small() -> Env {
    let env = Env::new();
    env.write("a.txt", "one\n");
    env.commit("start");
    env
}

/// Runs with one check and expects that exit code; returns the report.
#[track_caller]
fn run(env: &Env, check: &str, more: &[&str], code: i32) -> Value {
    let before = env.fingerprint();
    let mut all = vec!["--output", "json"];
    all.extend(more);
    // Every attempt changes something, or it would not count as one.
    let story = Story::new().bash("echo new > new.txt; echo again >> attempts.txt").finish();
    let output = solo(env, &story, &[check], &all).code(code);
    assert_eq!(env.fingerprint(), before);
    report(&output)
}

/// Returns what the summary says of the newest run.
fn summary(env: &Env) -> String {
    env.grafter(["status", "latest"]).ok().stdout
}

#[track_caller]
fn work_is_on_its_branch(env: &Env) {
    assert_eq!(env.git(["show", &format!("grafter/{}/do-it:new.txt", newest(env))]), "new");
    assert_eq!(env.git(["branch", "--list", &landed(env)]), "");
}

#[test]
fn a_command_that_is_missing_is_said_and_nothing_lands() {
    let env = small();
    let said = run(&env, "no-such-program --all", &[], 1);
    assert!(said["message"].as_str().is_some_and(|m| m.contains("no-such-program")), "{said}");
    let page = summary(&env);
    assert!(page.contains("neither on the base nor on the work"), "{page}");
    assert!(!page.contains("attempts)"), "nobody is sent back for it: {page}");
    let told = "! the check `no-such-program --all` cannot start on the base";
    assert!(page.contains(told), "{page}");
    work_is_on_its_branch(&env);
}

#[test]
fn an_empty_check_command_counted_as_a_check_that_passed() {
    let env = small();
    for checks in [&[""][..], &["true", " \t"]] {
        let said = solo(&env, &writes("new.txt", "new\n"), checks, &[]).code(2).stderr;
        assert!(said.starts_with("error: a check command is empty"), "{said}");
    }
    assert_eq!(env.git(["branch", "--list", "grafter/*"]), "");
}

#[test]
fn a_command_that_goes_missing_by_the_change_is_red() {
    let env = small();
    env.write("check.sh", "#!/bin/sh\nexit 0\n");
    env.git(["add", "check.sh"]);
    env.git(["update-index", "--chmod=+x", "check.sh"]);
    env.git(["commit", "-qm", "check"]);
    env.git(["reset", "-q", "--hard"]);
    let story = Story::new().bash("rm -f check.sh; echo new > new.txt; echo x >> more").finish();
    let output = solo(&env, &story, &["./check.sh"], &[]).code(1);
    assert!(output.stdout.contains("`./check.sh` could not be started"), "{}", output.text());
    work_is_on_its_branch(&env);
}

#[test]
fn a_command_that_hangs_meets_its_deadline_with_all_it_started() {
    let env = small();
    // The number of this sleep is found among the processes if it lives on.
    let hang = "test ! -e new.txt || { sleep 7654.5 & sleep 7654.5; }";
    let said = run(&env, hang, &["--check-timeout", "1"], 1);
    assert!(said["message"].as_str().is_some_and(|m| m.contains("passed on the base")), "{said}");
    let page = summary(&env);
    assert!(page.contains("stopped at its deadline"), "{page}");
    let all = env.program("sh", ["-c", "cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' ' '"]);
    let all = String::from_utf8_lossy(all.start().finish().stdout.as_bytes()).into_owned();
    assert!(!all.contains("sleep 7654.5"), "it lives on");
    work_is_on_its_branch(&env);
}

#[test]
fn a_gigabyte_of_output_is_cut() {
    let env = small();
    let flood = "head -c 1G /dev/zero | tr '\\0' x; echo; echo the end";
    let said = run(&env, flood, &[], 0);
    assert_eq!(said["checks"][0]["after"], true);
    let logs = env.grafter(["logs", "latest", "--json"]).ok().stdout;
    assert!(logs.len() < 1 << 20, "{} bytes", logs.len());
    assert!(logs.contains("the end") && logs.contains("bytes of output were left out"), "{logs}");
}

#[test]
fn what_a_check_leaves_behind_does_not_land() {
    let env = small();
    let base = env.git(["rev-parse", "HEAD"]);
    run(&env, "echo dirt > dirt.txt; echo changed > a.txt; git add -A; rm -f new.txt", &[], 0);
    let diff = env.git(["diff", "--name-status", &base, &landed(&env)]);
    assert_eq!(diff, "A\tattempts.txt\nA\tnew.txt");
}

#[test]
fn a_check_that_fails_first_and_then_passes_is_flaky_and_counts_as_passed() {
    let env = small();
    let flaky = "test ! -e new.txt || { test -e again || { touch again; exit 1; }; }";
    let said = run(&env, flaky, &[], 0);
    assert_eq!(said["checks"][0]["after"], true);
    let page = summary(&env);
    assert!(page.contains("flaky"), "{page}");
}

#[test]
fn a_check_that_was_red_on_the_base_does_not_bind_and_is_told_apart() {
    let env = small();
    let said = run(&env, "false", &["--verify", "test -f new.txt"], 0);
    let sides = |check: &Value| (check["before"].clone(), check["after"].clone());
    assert_eq!(sides(&said["checks"][0]), (false.into(), false.into()));
    assert_eq!(sides(&said["checks"][1]), (false.into(), true.into()));
    assert_eq!(said["checks"][1]["command"], "test -f new.txt");
    let page = summary(&env);
    assert!(page.contains("before") && page.contains("after"), "{page}");
    assert!(page.contains("test -f new.txt  ✗ exit 1    ✓ passed"), "{page}");
}

#[test]
fn a_check_that_the_change_breaks_sends_it_back_and_then_ends_the_run() {
    let env = small();
    let said = run(&env, "test ! -e new.txt", &[], 1);
    assert_eq!(said["checks"][0]["before"], true);
    assert_eq!(said["checks"][0]["after"], false);
    assert_eq!(said["nodes"][0]["attempts"], 4, "three repairs were allowed: {said}");
    work_is_on_its_branch(&env);
}

#[test]
fn a_passing_test_that_was_deleted_is_no_way_to_green() {
    let env = small();
    let test = "import unittest\nclass T(unittest.TestCase):\n    def test_one(self): pass\n";
    let both = format!("{test}    def test_two(self): pass\n");
    env.write("test_it.py", &both);
    env.commit("tests");
    let story =
        Story::new().bash(&format!("cat > test_it.py <<'E'\n{test}E\necho x >> more")).finish();
    let check = "python3 -m unittest -v test_it";
    let output = solo(&env, &story, &[check], &["--output", "json"]).code(1);
    let said = report(&output);
    assert!(said["message"].as_str().is_some_and(|m| m.contains("test_two")), "{said}");
}

#[test]
fn without_any_check_the_commit_stays_on_its_branch() {
    let env = small();
    let before = env.fingerprint();
    let output = solo(&env, &writes("new.txt", "new\n"), &[], &[]).code(1);
    assert!(output.stderr.contains("no check was found"), "{}", output.text());
    assert!(output.stdout.contains("nothing verified the commit"), "{}", output.text());
    assert!(output.stdout.contains("--allow-unverified"), "{}", output.text());
    assert_eq!(env.fingerprint(), before);
    work_is_on_its_branch(&env);

    let output = solo(&env, &writes("new.txt", "new\n"), &[], &["--allow-unverified"]).ok();
    assert!(output.stdout.contains("unverified"), "{}", output.text());
    assert_eq!(env.git(["show", &format!("{}:new.txt", landed(&env))]), "new");
    assert_eq!(env.fingerprint(), before);
}

#[test]
fn a_check_of_the_same_tree_is_not_run_twice_unless_asked() {
    let env = small();
    run(&env, "true", &[], 0);
    let said = env.grafter(["logs", "latest", "--json"]).ok().stdout;
    assert!(!said.contains("\"reused\":true"), "{said}");
    run(&env, "true", &[], 0);
    let said = env.grafter(["logs", "latest", "--json"]).ok().stdout;
    assert!(said.contains("\"reused\":true"), "{said}");
    run(&env, "true", &["--fresh"], 0);
    let said = env.grafter(["logs", "latest", "--json"]).ok().stdout;
    assert!(!said.contains("\"reused\":true"), "{said}");
}

#[test]
fn what_a_check_leaves_in_the_writers_tree_does_not_land() {
    let env = small();
    let check = "echo junk > junk.txt; echo '# seen' >> a.txt; true";
    let story = Story::new().bash("echo new > new.txt").call("run_tests", json!({})).finish();
    solo(&env, &story, &[check], &[]).ok();
    assert_eq!(env.git(["diff", "--name-only", "main", &landed(&env)]), "new.txt");
}

#[test]
fn deleted_and_skipped_tests_stand_in_the_summary() {
    let env = small();
    env.write("tests/test_a.py", "def test_a():\n    assert True\n");
    env.commit("a test");
    let check = "echo TAP version 13; echo 1..2; echo ok 1 - one; \
                 if [ -e new.txt ]; then echo 'ok 2 - two # SKIP'; else echo ok 2 - two; fi";
    let story = Story::new().bash("echo new > new.txt; rm tests/test_a.py").finish();
    let said = report(&solo(&env, &story, &[check], &["--output", "json"]).ok());
    assert_eq!(said["tests_touched"], json!(["tests/test_a.py: deleted"]));
    assert_eq!(said["checks"][0]["skipped"], json!(["two"]));
    let page = summary(&env);
    assert!(page.contains("Existing tests are changed\n  tests/test_a.py: deleted\n"), "{page}");
    assert!(page.contains("✓ 2 passed") && page.contains("✓ 1 passed, 1 skipped"), "{page}");
}
