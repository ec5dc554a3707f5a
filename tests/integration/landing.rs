//! Landing on every kind of target, taking it back, and what happens to work and trees around it.

mod confined;
mod disk;
mod moved;
mod onto;
mod trees;
mod undo;

use crate::{env::Env, solo::GATE};

/// A repository with two branches.
fn small() -> Env {
    let env = Env::new();
    env.write("a.txt", "one\n");
    env.write("b.txt", "one\n");
    env.commit("start");
    env.git(["branch", "target"]);
    env
}

/// Commits one file onto a branch that is not checked out, without touching the checkout.
#[track_caller]
fn moves(env: &Env, branch: &str, path: &str, text: &str) {
    let tree = env.root().join("mover");
    let tree = tree.to_str().expect("text");
    env.git(["worktree", "add", "-q", "--detach", tree, branch]);
    std::fs::write(env.root().join("mover").join(path), text).expect("a file");
    let who = ["-c", "user.name=Bob", "-c", "user.email=bob@example.com"];
    env.git(["-C", tree, "add", "-A"].iter());
    env.git(["-C", tree].iter().chain(&who).chain(&["commit", "-q", "-m", "bob"]));
    let commit = env.git(["-C", tree, "rev-parse", "HEAD"]);
    env.git(["worktree", "remove", "--force", tree]);
    env.git(["update-ref", &format!("refs/heads/{branch}"), &commit]);
}

/// A check that passes on the base at once and waits on a candidate for `go` in its tree, unless
/// somebody else's `moved.txt` is in there too.
fn gate() -> String {
    format!("test ! -e new.txt || test -e moved.txt || {GATE}")
}
