//! The target moves, goes or is checked out elsewhere while the agent or the checks work.

use std::fs;

use super::{gate, moves, small};
use crate::solo::{GATE, Story, at_gate, newest, open_gate, report, solo, writes};

#[test]
fn a_target_that_moves_while_the_agent_works_gets_both_changes() {
    let env = small();
    let before = env.fingerprint();
    let story = Story::new().bash(GATE).write("new.txt", "new\n").finish();
    let checks = ["test -f moved.txt -o ! -f new.txt"];
    let run = solo(&env, &story, &checks, &["--into", "target"]).start();
    let tree = at_gate(&env, "writer");
    moves(&env, "target", "moved.txt", "moved\n");
    open_gate(&tree);
    let output = run.finish();
    assert_eq!(output.status.code(), Some(0), "{}", output.text());
    assert_eq!(env.git(["ls-tree", "--name-only", "target"]), "a.txt\nb.txt\nmoved.txt\nnew.txt");
    assert_eq!(env.git(["log", "--format=%s", "target"]), "do it\nbob\nstart");
    assert_eq!(env.fingerprint(), before);
}

/// The candidate was built and checked on a tip that is not the tip any more.
#[test]
fn a_target_that_moves_before_landing_is_built_on_and_verified_again() {
    let env = small();
    let before = env.fingerprint();
    let more = ["--into", "target", "--output", "json"];
    let run = solo(&env, &writes("new.txt", "new\n"), &[&gate()], &more).start();
    let tree = at_gate(&env, "checks-checks-1");
    moves(&env, "target", "moved.txt", "moved\n");
    open_gate(&tree);
    let output = run.finish();
    assert_eq!(output.status.code(), Some(0), "{}", output.text());
    let said = report(&output);
    assert_eq!(said["verdict"]["green"]["grade"], "no_regression");
    let tip = env.git(["rev-parse", "target^"]);
    assert_eq!(said["missed"], serde_json::json!([{ "branch": "target", "found": tip }]));
    let told = format!("! a candidate was not landed: target had moved to {}", &tip[..10]);
    let page = env.grafter(["status", "latest"]).ok().stdout;
    assert!(page.contains(&told), "the evicted candidate is hidden: {page}");
    assert_eq!(env.git(["ls-tree", "--name-only", "target"]), "a.txt\nb.txt\nmoved.txt\nnew.txt");
    let logs = env.grafter(["logs", "latest", "--json"]).ok().stdout;
    let kinds = ["candidate_made", "checks_finished", "land_missed", "landed"]
        .map(|kind| logs.matches(&format!("\"kind\":\"{kind}\"")).count());
    assert_eq!(kinds, [2, 3, 1, 1], "{logs}");
    assert_eq!(env.fingerprint(), before);
}

#[test]
fn a_conflict_with_the_moved_target_ends_in_5_and_the_work_stays_on_its_branch() {
    let env = small();
    let before = env.fingerprint();
    let story = Story::new().bash(GATE).bash("echo mine > a.txt").finish();
    let run = solo(&env, &story, &["true"], &["--into", "target"]).start();
    let tree = at_gate(&env, "writer");
    moves(&env, "target", "a.txt", "theirs\n");
    open_gate(&tree);
    let output = run.finish();
    assert_eq!(output.status.code(), Some(5), "{}", output.text());
    assert!(output.stdout.contains("conflict with the target in a.txt"), "{}", output.text());
    assert_eq!(env.git(["show", "target:a.txt"]), "theirs");
    let branch = format!("grafter/{}/do-it", newest(&env));
    assert_eq!(env.git(["show", &format!("{branch}:a.txt")]), "mine");
    assert!(output.stdout.contains(&format!("git merge {branch}")), "{}", output.text());
    assert_eq!(env.fingerprint(), before);
}

#[test]
fn a_target_that_was_deleted_is_not_made_again_and_a_resume_lands_once_it_is_back() {
    let env = small();
    let before = env.fingerprint();
    let story = Story::new().bash(GATE).write("new.txt", "new\n").finish();
    let run = solo(&env, &story, &["true"], &["--into", "target"]).start();
    let tree = at_gate(&env, "writer");
    env.git(["branch", "-D", "target"]);
    open_gate(&tree);
    let output = run.finish();
    assert_eq!(output.status.code(), Some(3), "{}", output.text());
    assert!(
        output.stdout.contains("`target` was deleted while the run worked"),
        "{}",
        output.text()
    );
    assert_eq!(env.git(["branch", "--list", "target"]), "");
    let work = format!("grafter/{}/do-it:new.txt", newest(&env));
    assert_eq!(env.git(["show", &work]), "new");
    assert!(output.stdout.contains("grafter resume"), "{}", output.text());

    env.git(["branch", "target", "main"]);
    env.grafter(["resume"]).ok();
    assert_eq!(env.git(["show", "target:new.txt"]), "new");
    assert_eq!(env.fingerprint(), before);
}

#[test]
fn a_target_that_gets_checked_out_elsewhere_moves_with_its_files() {
    let env = small();
    let before = env.fingerprint();
    let run = solo(&env, &writes("new.txt", "new\n"), &[&gate()], &["--into", "target"]).start();
    let tree = at_gate(&env, "checks-checks-1");
    env.git(["worktree", "add", "-q", "../elsewhere", "target"]);
    open_gate(&tree);
    let output = run.finish();
    assert_eq!(output.status.code(), Some(0), "{}", output.text());
    let elsewhere = env.root().join("elsewhere");
    assert_eq!(fs::read_to_string(elsewhere.join("new.txt")).expect("it landed there"), "new\n");
    let status = env.program("git", ["status", "--porcelain"]).dir("elsewhere").ok();
    assert_eq!(status.stdout, "");
    assert_eq!(env.fingerprint(), before);
}

#[test]
fn a_branch_of_the_name_that_appears_meanwhile_is_not_overwritten() {
    let env = small();
    let run = solo(&env, &writes("new.txt", "new\n"), &[&gate()], &["--into", "fresh"]).start();
    let tree = at_gate(&env, "checks-checks-1");
    env.git(["branch", "fresh", "main"]);
    moves(&env, "fresh", "moved.txt", "moved\n");
    open_gate(&tree);
    let output = run.finish();
    assert_eq!(output.status.code(), Some(0), "{}", output.text());
    assert_eq!(env.git(["log", "--format=%s", "fresh"]), "do it\nbob\nstart");
}

/// A target that was replaced by another history was landed on without a word.
#[test]
fn a_target_of_another_history_is_landed_on_with_a_word() {
    let env = small();
    let story = Story::new().bash(GATE).write("new.txt", "new\n").finish();
    let run = solo(&env, &story, &["true"], &["--into", "target"]).start();
    let tree = at_gate(&env, "writer");
    let other = env.git(["commit-tree", "-m", "other", "main^{tree}"]);
    env.git(["branch", "-f", "target", &other]);
    open_gate(&tree);
    let output = run.finish();
    assert_eq!(output.status.code(), Some(0), "{}", output.text());
    let told = format!("the target `target` stands at {}, whose history does not", &other[..10]);
    assert!(output.stdout.contains(&told), "{}", output.text());
    assert_eq!(env.git(["log", "--format=%s", "target"]), "do it\nother");
}
