//! Repositories of every shape in which a run must work.

use std::fs;

use super::{changed, lands, lands_in, small};
use crate::{
    env::Env,
    solo::{landed, report, solo, trees, writes},
};

#[test]
fn a_dirty_tree_stays_as_it_is_and_the_run_says_what_is_not_included() {
    let env = small();
    let head = env.git(["rev-parse", "HEAD"]);
    env.write("a.txt", "my own change\n");
    env.write("staged.txt", "staged\n");
    env.git(["add", "staged.txt"]);
    env.write("untracked.txt", "mine\n");
    fs::remove_file(env.path("src/deep/b.txt")).expect("it is there");
    // None of it is in the agent's tree or in the tree that is checked.
    let checks = ["grep -q one a.txt", "test ! -e untracked.txt", "test -f src/deep/b.txt"];
    let output = lands(&env, &checks, &[]);
    let told = "3 changed and 1 untracked files; the run starts from";
    assert!(output.stderr.contains(told), "{}", output.text());
    assert_eq!(changed(&env, &head), "A\tnew.txt");
}

#[test]
fn a_detached_head_is_the_base() {
    let env = small();
    let first = env.git(["rev-parse", "HEAD"]);
    env.write("later.txt", "later\n");
    env.commit("later");
    env.git(["checkout", "-q", "--detach", &first]);
    lands(&env, &["test ! -e later.txt"], &[]);
    assert_eq!(env.git(["rev-parse", &format!("{}^", landed(&env))]), first);
}

#[test]
fn a_base_by_name_wins_over_head() {
    let env = small();
    env.git(["tag", "v1"]);
    env.write("later.txt", "later\n");
    env.commit("later");
    lands(&env, &["test ! -e later.txt"], &["--base", "v1"]);
    assert_eq!(changed(&env, "v1"), "A\tnew.txt");
}

#[test]
fn a_shallow_clone() {
    let env = small();
    env.write("a.txt", "two\n");
    env.commit("second");
    let url = format!("file://{}", env.path("").display());
    env.git(["clone", "-q", "--depth=1", &url, "../shallow"]);
    let story = writes("new.txt", "new\n");
    let output = solo(&env, &story, &["test -f new.txt", "git log"], &[]).dir("shallow").ok();
    assert!(output.stdout.contains("✓ landed"), "{}", output.text());
    let in_shallow = env.program("git", ["rev-parse", "--is-shallow-repository"]).dir("shallow");
    assert_eq!(in_shallow.ok().stdout, "true\n");
}

#[test]
fn submodules_are_there_and_not_touched() {
    let env = small();
    env.git(["init", "-q", "-b", "main", "../lib"]);
    let lib = |args: &[&str]| {
        let all = ["-c", "user.name=L", "-c", "user.email=l@example.com"];
        env.program("git", all.iter().chain(args)).dir("lib").ok()
    };
    fs::write(env.root().join("lib/lib.txt"), "library\n").expect("a file");
    lib(&["add", "."]);
    lib(&["commit", "-qm", "library"]);
    let add = ["-c", "protocol.file.allow=always", "submodule", "add", "-q", "../lib", "vendor"];
    env.git(add);
    let head = env.commit("with a submodule");
    lands(&env, &["grep -q library vendor/lib.txt"], &[]);
    assert_eq!(changed(&env, &head), "A\tnew.txt");
    assert_eq!(env.git(["submodule", "status"]).chars().next(), Some(' '), "none or at its commit");
}

#[test]
fn no_identity_is_said_and_commits_are_by_grafter() {
    let env = small();
    env.git(["config", "--unset", "user.name"]);
    env.git(["config", "--unset", "user.email"]);
    let output = lands(&env, &[], &[]);
    let told = "commits are made as grafter <grafter@localhost>";
    assert!(output.stderr.contains(told), "{}", output.text());
    let by = env.git(["log", "-1", "--format=%an <%ae>|%cn <%ce>", &landed(&env)]);
    assert_eq!(by, "grafter <grafter@localhost>|grafter <grafter@localhost>");
}

#[test]
fn an_identity_in_the_environment_or_in_a_named_global_file_was_not_seen() {
    let env = small();
    env.git(["config", "--unset", "user.name"]);
    env.git(["config", "--unset", "user.email"]);
    let run = || solo(&env, &writes("new.txt", "x\n"), &["true"], &["--fresh"]);
    let by = || env.git(["log", "-1", "--format=%an <%ae>", &landed(&env)]);
    run().env("GIT_AUTHOR_NAME", "Bob").env("GIT_AUTHOR_EMAIL", "bob@example.com").ok();
    assert_eq!(by(), "Bob <bob@example.com>");
    let file = env.root().join("config/gitconfig");
    fs::write(&file, "[user]\nname = Eve\nemail = eve@example.com\n").expect("a file");
    let output = run().ok();
    assert!(!output.stderr.contains("grafter@localhost"), "{}", output.text());
    assert_eq!(by(), "Eve <eve@example.com>");
}

#[test]
fn a_commit_is_by_the_user_and_says_who_helped() {
    let env = small();
    lands(&env, &[], &[]);
    let by =
        env.git(["log", "-1", "--format=%an <%ae>|%(trailers:key=Assisted-by)", &landed(&env)]);
    let helped = format!("Assisted-by: grafter/{}", env!("CARGO_PKG_VERSION"));
    assert_eq!(by.trim_end(), format!("Ada Example <ada@example.com>|{helped}"));
}

#[test]
fn from_a_subfolder_the_whole_repository_counts() {
    let env = small();
    let head = env.git(["rev-parse", "HEAD"]);
    lands_in(&env, "repo/src/deep", &["test -f a.txt"], &[]);
    assert_eq!(changed(&env, &head), "A\tnew.txt");
}

#[test]
fn from_a_linked_worktree_its_head_is_the_base() {
    let env = small();
    env.git(["worktree", "add", "-q", "-b", "side", "../linked"]);
    fs::write(env.root().join("linked/side.txt"), "side\n").expect("a file");
    let git = |args: &[&str]| env.program("git", args).dir("linked").ok().stdout;
    git(&["add", "."]);
    git(&["commit", "-qm", "side"]);
    let before = (git(&["status", "--porcelain"]), git(&["rev-parse", "HEAD"]));
    lands_in(&env, "linked", &["test -f side.txt"], &[]);
    assert_eq!((git(&["status", "--porcelain"]), git(&["rev-parse", "HEAD"])), before);
    assert_eq!(changed(&env, "side"), "A\tnew.txt");
    assert!(trees(&env, "writer").is_empty());
}

#[test]
fn a_repository_whose_path_has_a_space_and_odd_letters() {
    let env = small();
    env.git(["clone", "-q", ".", "../it's a `näme` $HOME"]);
    let story = writes("new.txt", "new\n");
    let run = solo(&env, &story, &["test -f new.txt"], &["--output", "json"]);
    let output = run.dir("it's a `näme` $HOME").ok();
    assert_eq!(report(&output)["landed"], true, "{}", output.text());
}

/// What the agent leaves beside its change is neither committed nor seen by the checks.
#[test]
fn ignored_files_do_not_land() {
    let env = Env::new();
    env.write(".gitignore", "build/\n");
    let head = env.commit("start");
    let story = crate::solo::Story::new()
        .bash("mkdir build && echo x > build/out && echo new > new.txt")
        .finish();
    let before = env.fingerprint();
    solo(&env, &story, &["test -f new.txt", "test ! -e build"], &[]).ok();
    assert_eq!(changed(&env, &head), "A\tnew.txt");
    assert_eq!(env.fingerprint(), before);
}
