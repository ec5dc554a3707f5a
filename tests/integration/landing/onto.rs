//! `--into`: a branch of the user's, checked out or not.

use std::fs;

use super::small;
use crate::solo::{newest, report, solo, writes};

#[test]
fn into_a_branch_nobody_has_checked_out_touches_nothing_else() {
    let env = small();
    let before = env.fingerprint();
    let output = solo(&env, &writes("new.txt", "new\n"), &["true"], &["--into", "target"]).ok();
    assert_eq!(env.git(["log", "--format=%s", "target"]), "do it\nstart");
    assert_eq!(env.git(["log", "--format=%s", "main"]), "start");
    assert!(!output.stdout.contains("git merge"), "{}", output.text());
    assert_eq!(env.fingerprint(), before);
}

#[test]
fn into_a_branch_that_is_not_there_makes_it() {
    let env = small();
    let before = env.fingerprint();
    solo(&env, &writes("new.txt", "new\n"), &["true"], &["--into", "topic/new"]).ok();
    assert_eq!(env.git(["log", "--format=%s", "topic/new"]), "do it\nstart");
    assert_eq!(env.fingerprint(), before);
}

#[test]
fn into_the_checked_out_branch_moves_it_and_leaves_the_users_other_files_alone() {
    let env = small();
    env.write("b.txt", "my own change\n");
    env.write("mine.txt", "mine\n");
    let head = env.git(["rev-parse", "HEAD"]);
    let modified =
        |name: &str| fs::metadata(env.path(name)).and_then(|m| m.modified()).expect("a time");
    let times = (modified("a.txt"), modified("b.txt"), modified("mine.txt"));
    solo(&env, &writes("new.txt", "new\n"), &["true"], &["--into", "main"]).ok();
    assert_eq!(env.git(["rev-parse", "main^"]), head);
    assert_eq!(env.git(["status", "--porcelain"]), " M b.txt\n?? mine.txt");
    assert_eq!(fs::read_to_string(env.path("new.txt")).expect("it landed"), "new\n");
    assert_eq!((modified("a.txt"), modified("b.txt"), modified("mine.txt")), times);
}

#[test]
fn into_the_checked_out_branch_is_refused_where_the_users_work_is_in_the_way() {
    let env = small();
    env.write("new.txt", "mine, not committed\n");
    let before = env.fingerprint();
    let output = solo(&env, &writes("new.txt", "new\n"), &["true"], &["--into", "main"]).code(3);
    let told = "would be overwritten by merge";
    assert!(output.stdout.contains(told), "{}", output.text());
    assert!(output.stdout.contains("grafter resume"), "{}", output.text());
    assert_eq!(env.fingerprint(), before);
    let work = format!("grafter/{}/do-it:new.txt", newest(&env));
    assert_eq!(env.git(["show", &work]), "new");

    fs::rename(env.path("new.txt"), env.path("mine.txt")).expect("out of the way");
    env.grafter(["resume"]).ok();
    assert_eq!(fs::read_to_string(env.path("new.txt")).expect("it landed"), "new\n");
}

#[test]
fn into_a_branch_checked_out_in_another_worktree_moves_that() {
    let env = small();
    env.git(["worktree", "add", "-q", "../elsewhere", "target"]);
    let elsewhere = env.root().join("elsewhere");
    fs::write(elsewhere.join("b.txt"), "theirs, not committed\n").expect("a file");
    let before = env.fingerprint();
    solo(&env, &writes("new.txt", "new\n"), &["true"], &["--into", "target"]).ok();
    assert_eq!(fs::read_to_string(elsewhere.join("new.txt")).expect("it landed"), "new\n");
    let status = env.program("git", ["status", "--porcelain"]).dir("elsewhere").ok();
    assert_eq!(status.stdout, " M b.txt\n");
    assert_eq!(env.fingerprint(), before);
}

#[test]
fn into_a_branch_that_is_being_rebased_is_refused() {
    let env = small();
    env.git(["checkout", "-q", "target"]);
    env.write("b.txt", "theirs\n");
    env.commit("theirs");
    env.git(["checkout", "-q", "main"]);
    env.write("b.txt", "mine\n");
    env.commit("mine");
    env.git(["checkout", "-q", "target"]);
    let rebase =
        env.program("git", ["-c", "user.name=A", "-c", "user.email=a@b", "rebase", "main"]);
    assert!(!rebase.start().finish().status.success(), "it stops at the conflict");
    let (before, tip) = (env.fingerprint(), env.git(["rev-parse", "target"]));
    let output = solo(&env, &writes("new.txt", "new\n"), &["true"], &["--into", "target"]).code(3);
    assert!(output.stdout.contains("being rebased"), "{}", output.text());
    assert_eq!((env.fingerprint(), env.git(["rev-parse", "target"])), (before, tip));
}

#[test]
fn a_base_behind_the_target_is_merged_with_it() {
    let env = small();
    env.git(["tag", "v1"]);
    env.write("later.txt", "later\n");
    env.commit("later");
    env.git(["branch", "-f", "target", "main"]);
    let more = ["--into", "target", "--base", "v1", "--output", "json"];
    let output = solo(&env, &writes("new.txt", "new\n"), &["true"], &more).ok();
    assert_eq!(env.git(["log", "--format=%s", "target"]), "do it\nlater\nstart");
    let files = report(&output)["files"].to_string();
    assert_eq!(files, r#"[{"path":"new.txt","added":1,"removed":0}]"#);
}

#[test]
fn an_empty_change_is_not_resolved() {
    let env = small();
    let before = env.fingerprint();
    let story = crate::solo::Story::new().bash("echo one > a.txt").finish();
    let output = solo(&env, &story, &["true"], &["--into", "target"]).code(1);
    assert!(output.stdout.contains("✗ not resolved"), "{}", output.text());
    assert_eq!(env.git(["rev-parse", "target"]), env.git(["rev-parse", "main"]));
    assert_eq!(env.fingerprint(), before);
}

#[test]
fn what_the_target_has_already_is_not_landed_twice() {
    let env = small();
    env.git(["tag", "v1"]);
    env.write("new.txt", "new\n");
    env.commit("done by hand");
    let more = ["--into", "main", "--base", "v1"];
    let output = solo(&env, &writes("new.txt", "new\n"), &["true"], &more).code(1);
    assert!(output.stdout.contains("already contains this change"), "{}", output.text());
}
