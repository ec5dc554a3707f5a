//! An agent in bypass mode writes nowhere but in its tree; and what lands is what was checked.

use std::fs;

use serde_json::{Value, json};

use super::small;
use crate::{
    env::Env,
    solo::{Story, landed, report, solo},
};

/// Returns whether the agent's shell is confined on this machine; says so if it is not.
fn is_confined(env: &Env) -> bool {
    let doctor = env.grafter(["doctor"]).ok().stdout;
    let confined = doctor.contains("namespaces");
    if !confined {
        use std::io::Write;
        let _ = writeln!(std::io::stderr(), "not tested here: no namespaces\n{doctor}");
    }
    confined
}

#[test]
fn nothing_outside_the_tree_can_be_written() {
    let env = small();
    if !is_confined(&env) {
        return;
    }
    fs::write(env.root().join("home/canary"), "home\n").expect("a file");
    fs::create_dir(env.root().join("sibling")).expect("a folder");
    fs::write(env.root().join("sibling/canary"), "sibling\n").expect("a file");
    let before = env.fingerprint();
    let refs = env.git(["for-each-ref", "refs/heads", "refs/tags", "refs/stash"]);
    let (root, repo) = (env.root().display(), env.path("").display().to_string());
    let repo = repo.trim_end_matches('/');
    let script = format!(
        "echo bad > {root}/home/canary; echo bad > {root}/sibling/canary; echo bad > {root}/x; \
         rm -rf {root}/home/* {root}/sibling; echo bad >> {repo}/.git/config; \
         mkdir -p {repo}/.git/hooks; echo bad > {repo}/.git/hooks/post-checkout; \
         git config user.name Mallory; git tag evil; git branch -f target HEAD~0; \
         echo s > a.txt; git stash; git commit --allow-empty -qm evil; git update-ref -d \
         refs/heads/main; git gc -q --prune=now; rm -rf {repo}/.git; \
         rm -rf \"$(git rev-parse --git-common-dir)\"; echo new > new.txt"
    );
    solo(&env, &Story::new().unread(&script).finish(), &["test -f new.txt"], &[]).ok();
    let read = |path: &str| fs::read_to_string(env.root().join(path)).expect("it is still there");
    assert_eq!(
        (read("home/canary"), read("sibling/canary")),
        ("home\n".into(), "sibling\n".into())
    );
    assert!(!env.root().join("x").exists());
    assert_eq!(env.fingerprint(), before);
    let now = env.git(["for-each-ref", "refs/heads/main", "refs/heads/target", "refs/tags"]);
    assert_eq!(now, refs);
    assert_eq!(env.git(["fsck", "--connectivity-only"]), "");
    assert_eq!(env.git(["log", "-1", "--format=%an", &landed(&env)]), "Ada Example");
}

/// Prints a hash of everything in the tree: names, modes and bytes.
const PICTURE: &str = "find . -path ./.git -prune -o \\( -type f -o -type l \\) -printf '%p %y %m\\n' \
     | LC_ALL=C sort; find . -path ./.git -prune -o -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum";

#[test]
fn what_lands_is_exactly_the_tree_that_was_checked() {
    let env = small();
    env.write(".gitignore", "cache\n");
    env.write("old.txt", "old\n");
    env.commit("more");
    let story = Story::new()
        .bash("echo new > new.txt; rm old.txt; mkdir d; printf 'a\\r\\n' > d/crlf; echo c > cache")
        .finish();
    let check = PICTURE;
    let output = solo(&env, &story, &[check], &["--output", "stream-json"]).ok();
    let checked = candidate_tail(&output.stdout);
    assert!(checked.contains("./new.txt f 644") && !checked.contains("cache"), "{checked}");
    env.git(["worktree", "add", "-q", "--detach", "../look", &landed(&env)]);
    let look = env.program("bash", ["-c", check]).dir("look").ok().stdout;
    assert_eq!(checked.trim_end(), look.trim_end());
}

/// Returns what the check on the candidate printed.
fn candidate_tail(stream: &str) -> String {
    let events = stream.lines().map(|line| serde_json::from_str::<Value>(line).expect("an event"));
    let mut tails = events.filter(|event| event["body"]["on"] == "candidate").map(|event| {
        event["body"]["report"]["runs"][0]["tail"].as_str().expect("its output").to_owned()
    });
    tails.next().expect("checks ran on the candidate")
}

#[test]
fn a_change_of_attributes_is_told_once() {
    let env = small();
    let entry = |attempt: u32, turn: u32, name: &str, input: Value| json!({ "attempt": attempt, "turn": turn, "reply": { "calls": [{ "name": name, "input": input }] } });
    let write = |path: &str| json!({ "path": path, "content": "*.txt text eol=crlf\n" });
    let done = || json!({ "status": "succeeded", "summary": "as told" });
    let entries = [
        entry(1, 0, "write", write("sub/.gitattributes")),
        entry(1, 1, "finish", done()),
        entry(2, 0, "write", write(".gitattributes")),
        entry(2, 1, "finish", done()),
    ];
    // The first candidate is sent back, so that there is a second one.
    let check = "test ! -e sub || test -e .gitattributes";
    let story = json!({ "entries": entries }).to_string();
    let output = solo(&env, &story, &[check], &["--output", "json"]).ok();
    let notes = report(&output)["notes"].to_string();
    assert_eq!(notes.matches("the change edits .gitattributes").count(), 1, "{notes}");
}
