//! What is refused before anything is made: exit code 2, and message, cause and hint that help.

use std::{fs, os::unix::fs::PermissionsExt};

use crate::{
    env::{Env, Run},
    solo::{solo, writes},
};

/// Runs in a folder and returns the complaint; nothing may have been made by it.
#[track_caller]
fn refused(env: &Env, dir: &str, more: &[&str]) -> String {
    let output = solo(env, &writes("new.txt", "x\n"), &["true"], more).dir(dir).code(2);
    assert_eq!(output.stdout, "");
    let state = env.root().join("state/grafter");
    // The note of which sandbox works here may be there; it is no tree.
    let made = fs::read_dir(&state).into_iter().flatten().flatten();
    let trees = made.filter(|entry| entry.path().is_dir()).count();
    assert_eq!(trees, 0, "trees were made by a run that was refused");
    env.clean(&output.stderr)
}

fn init(env: &Env, args: &[&str]) {
    let mut all = vec!["init", "-q"];
    all.extend(args);
    all.push("../other");
    env.git(all);
}

fn started() -> Env {
    let env = Env::new();
    env.write("a.txt", "one\n");
    env.commit("start");
    env
}

#[test]
fn no_repository() {
    let env = started();
    insta::assert_snapshot!(refused(&env, "home", &[]), @r"
    error: no git repository at or above <root>/home
      hint: change into a repository, or make one with `git init` and a commit
    ");
}

#[test]
fn bare() {
    let env = started();
    init(&env, &["--bare"]);
    insta::assert_snapshot!(refused(&env, "other", &[]), @r"
    error: <root>/other is a bare repository
      hint: clone it, or run grafter in one of its worktrees
    ");
}

#[test]
fn no_commit_yet() {
    let env = started();
    init(&env, &[]);
    insta::assert_snapshot!(refused(&env, "other", &[]), @r"
    error: the repository at <root>/other has no commit yet
      hint: make a first commit; an empty one will do
    ");
}

#[test]
fn reftable() {
    let env = started();
    init(&env, &["--ref-format=reftable"]);
    insta::assert_snapshot!(refused(&env, "other", &[]), @r"
    error: the repository at <root>/other keeps its refs in the reftable format
      hint: convert it with `git refs migrate --ref-format=files`
    ");
}

#[test]
fn sha256() {
    let env = started();
    init(&env, &["--object-format=sha256"]);
    insta::assert_snapshot!(refused(&env, "other", &[]), @r"
    error: the repository at <root>/other uses sha256 object names
      hint: grafter works on sha1 repositories only
    ");
}

#[test]
fn a_base_that_is_not_there() {
    let env = started();
    insta::assert_snapshot!(refused(&env, "repo", &["--base", "v9"]), @r"
    error: cannot find the commit `v9`: revspec 'v9' not found
      hint: --base takes a commit, a tag or a branch: git log --oneline --all
    ");
}

#[test]
fn a_target_that_cannot_be_a_branch() {
    let env = started();
    insta::assert_snapshot!(refused(&env, "repo", &["--into", "a..b"]), @r"
    error: `a..b` cannot be a branch
      hint: --into takes the plain name of a branch, such as main
    ");
}

#[test]
fn a_full_ref_name_as_target_made_a_branch_of_that_name() {
    let env = started();
    for name in ["refs/heads/main", "refs/tags/v1", "HEAD", "@"] {
        let said = refused(&env, "repo", &["--into", name]);
        assert!(said.contains(&format!("`{name}` cannot be a branch")), "{said}");
        assert!(said.contains("plain name of a branch, such as main"), "{said}");
    }
}

#[test]
fn a_branch_in_the_way_of_grafters_own() {
    let env = started();
    env.git(["branch", "grafter"]);
    insta::assert_snapshot!(refused(&env, "repo", &[]), @r"
    error: a branch named `grafter` is in the way of the branches grafter/<run>/…
      hint: rename it: git branch -m grafter another-name
    ");
}

#[test]
fn a_broken_index_is_never_read_as_a_clean_checkout() {
    let env = started();
    fs::write(env.path(".git/index"), "broken").expect("a file");
    let output = solo(&env, &writes("new.txt", "x\n"), &["true"], &[]).code(6);
    assert!(output.stderr.contains("index"), "{}", output.text());
}

#[test]
fn a_git_that_is_too_old_is_told_before_anything_is_paid_for() {
    let env = started();
    let real = env.program("sh", ["-c", "command -v git"]).ok().stdout;
    let real = real.trim_end();
    let script = format!(
        "#!/bin/sh\n[ \"$*\" = --version ] || exec {real} \"$@\"\necho git version 2.39.5\n"
    );
    fs::create_dir(env.root().join("old")).expect("a new folder");
    let program = env.root().join("old/git");
    fs::write(&program, script).expect("a new file");
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("an own file");
    let usual = env.program("sh", ["-c", "echo $PATH"]).ok().stdout;
    let path = format!("{}:{}", env.root().join("old").display(), usual.trim_end());
    let old = |run: Run<'_>| {
        let said = run.env("PATH", &path).code(6);
        assert!(said.text().contains("git 2.39.5 is too old: 2.41 or newer"), "{}", said.text());
        assert!(said.text().contains("  hint: install a newer git"), "{}", said.text());
    };
    old(solo(&env, &writes("new.txt", "x\n"), &["true"], &[]));
    old(env.grafter(["resume"]));
    old(env.grafter(["doctor"]));
    assert!(env.grafter(["status"]).ok().stdout.starts_with("no runs yet"));
}
