//! Runs of `solo.yaml` as a test tells them: what the scripted agent does, the commands around it,
//! and files to wait for. A test that must act in the middle of a run lets a command wait for a
//! file and makes that file when it has acted; nothing here sleeps for luck.

use std::{
    fs,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use serde_json::{Map, Value, json};

use crate::env::{Env, Output, Run};

/// What the scripted agent does, turn by turn.
pub(crate) struct Story(Vec<Value>);

impl Story {
    pub(crate) fn new() -> Self {
        Self(Vec::new())
    }

    /// Adds a turn with one call.
    pub(crate) fn call(mut self, name: &str, input: Value) -> Self {
        let turn = self.0.len();
        let call: Map<String, Value> =
            [("name".to_owned(), name.into()), ("input".to_owned(), input)].into_iter().collect();
        let calls = json!([call]);
        self.0.push(json!({ "turn": turn, "reply": { "calls": calls } }));
        self
    }

    pub(crate) fn write(self, path: &str, content: &str) -> Self {
        self.call("write", json!({ "path": path, "content": content }))
    }

    pub(crate) fn bash(self, command: &str) -> Self {
        self.call("bash", json!({ "command": command }))
    }

    /// Adds a script that the gate does not read: what it does, only the sandbox stands before.
    pub(crate) fn unread(self, script: &str) -> Self {
        self.write("unread.sh", &format!("rm unread.sh\n{script}\n")).bash("bash unread.sh")
    }

    /// Ends the agent's work and returns the session's text.
    pub(crate) fn finish(self) -> String {
        self.end("succeeded")
    }

    /// Ends it with that status.
    pub(crate) fn end(self, status: &str) -> String {
        let mut told = self.call("finish", json!({ "status": status, "summary": "as told" })).0;
        // Whoever is not let go gives up, in whatever turn that is.
        let input = json!({ "status": "failed", "summary": "no more to tell" });
        told.push(json!({ "reply": { "calls": [{ "name": "finish", "input": input }] } }));
        json!({ "entries": told }).to_string()
    }
}

/// Returns a session that writes one file.
pub(crate) fn writes(path: &str, content: &str) -> String {
    Story::new().write(path, content).finish()
}

/// Returns a run of `solo.yaml` over these checks, with what else stands on its command line.
pub(crate) fn solo<'a>(env: &'a Env, script: &str, checks: &[&str], more: &[&str]) -> Run<'a> {
    let mut args = vec!["run", "do it", "--workflow", "solo", "--mode", "bypass"];
    for check in checks {
        args.extend(["--verify", check]);
    }
    args.extend(more);
    env.grafter(args).script(script)
}

/// Returns the one object that a run printed with `--output json`.
#[track_caller]
pub(crate) fn report(output: &Output) -> Value {
    serde_json::from_str(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}\n{}", output.text()))
}

/// Returns the id of the only or the newest run.
#[track_caller]
pub(crate) fn newest(env: &Env) -> String {
    let list = env.grafter(["status", "--json"]).ok().stdout;
    let list: Value = serde_json::from_str(&list).expect("a list of runs");
    list[0]["run"].as_str().expect("a run").to_owned()
}

/// Returns the branch that the newest run makes for itself.
#[track_caller]
pub(crate) fn landed(env: &Env) -> String {
    format!("grafter/{}/landed", newest(env))
}

/// Returns the folders of the trees of a kind, such as `writer`, of all runs.
pub(crate) fn trees(env: &Env, name: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for key in entries(&env.root().join("state/grafter")) {
        for run in entries(&key) {
            found.extend(Some(run.join(name)).filter(|tree| tree.is_dir()));
        }
    }
    found
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).collect()
}

/// A shell command that waits in its tree until the test opens the gate.
pub(crate) const GATE: &str =
    "{ touch waiting; until test -e go; do sleep 0.01; done; rm waiting go; }";

/// Waits until a command waits at the gate in a tree of that kind, and returns the tree. That the
/// tree is there is not enough: what lies in it before its agent begins is taken out again.
#[track_caller]
pub(crate) fn at_gate(env: &Env, name: &str) -> PathBuf {
    let end = Instant::now() + Duration::from_secs(60);
    loop {
        let mut trees = trees(env, name).into_iter();
        if let Some(tree) = trees.find(|tree| tree.join("waiting").exists()) {
            return tree;
        }
        assert!(Instant::now() < end, "nothing ever waits in `{name}`");
        thread::sleep(Duration::from_millis(5));
    }
}

/// Lets the command that waits in a tree go on.
#[track_caller]
pub(crate) fn open_gate(tree: &Path) {
    fs::write(tree.join("go"), "").expect("a file");
}
