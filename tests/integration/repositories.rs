//! Every kind of repository and of file name that a run must take, and those it must refuse.
//!
//! A run is always the same: the scripted agent adds `new.txt`, a check looks for it, and the
//! commit lands on the run's own branch. What the user has is compared before and after.

mod files;
mod python;
mod refusals;
mod shapes;

use crate::{
    env::{Env, Output},
    solo::{landed, solo, writes},
};

/// A repository with one commit.
fn small() -> Env {
    let env = Env::new();
    env.write("a.txt", "one\n");
    env.write("src/deep/b.txt", "two\n");
    env.commit("start");
    env
}

/// Runs the plain story and checks that it landed and that nothing of the user's was touched.
#[track_caller]
fn lands(env: &Env, checks: &[&str], more: &[&str]) -> Output {
    lands_in(env, "repo", checks, more)
}

/// The same from another folder.
#[track_caller]
fn lands_in(env: &Env, dir: &str, checks: &[&str], more: &[&str]) -> Output {
    let before = env.fingerprint();
    let mut all = vec!["test -f new.txt"];
    all.extend(checks);
    let output = solo(env, &writes("new.txt", "new\n"), &all, more).dir(dir).ok();
    assert_eq!(env.fingerprint(), before);
    assert!(output.stdout.contains("✓ landed"), "{}", output.text());
    output
}

/// Returns the names that the newest run changed, as git prints them.
#[track_caller]
fn changed(env: &Env, base: &str) -> String {
    env.git(["diff", "--name-status", base, &landed(env)])
}
