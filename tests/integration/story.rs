//! One issue through the whole of `resolve.yaml`, played by a script in a repository of two files,
//! and what must hold of it however often it was interrupted.
//!
//! The first implementation breaks a check, so that the repair loop runs once.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::PathBuf,
    slice, thread,
    time::Duration,
};

use grafter::{
    journal::{read, runs::RunDir},
    protocol::event::{Event, Paid, What},
};
use serde_json::{Value, json};

use crate::env::{Env, Fingerprint, process::Run};

/// The one file that counts, after the run.
pub(crate) const RIGHT: &str = "say right\n";
/// Fails before the run, and passes after it.
pub(crate) const FIXED: &str = "grep -q right a.txt";
/// Passes before the run and after it, and fails on the first implementation.
const KEPT: &str = "! grep -q wrung a.txt";

/// A repository, and the issue that is resolved in it.
pub(crate) struct Story {
    pub(crate) env: Env,
    pub(crate) base: String,
    before: Fingerprint,
}

impl Story {
    pub(crate) fn new() -> Self {
        let env = Env::new();
        env.write("a.txt", "say wrong\n");
        env.write("b.txt", "b\n");
        env.write(".gitignore", "node_modules\n");
        // Agents see this ignored folder of the checkout, so a test can open a gate there.
        fs::create_dir(env.path("node_modules")).expect("a new folder");
        let base = env.commit("start");
        let before = env.fingerprint();
        Self { env, base, before }
    }

    /// Returns the run, which lands on the branch `fixed`.
    pub(crate) fn run(&self) -> Run<'_> {
        self.run_capped(&[])
    }

    /// Returns the run with these limits.
    pub(crate) fn run_capped(&self, limits: &[&str]) -> Run<'_> {
        self.run_with(&[&["--verify", FIXED, "--into", "fixed"], limits].concat(), &script())
    }

    /// Returns a run whose model has one name in all runs.
    pub(crate) fn run_from(&self, flags: &[&str], script: &str) -> Run<'_> {
        let file = self.env.root().join("script.yaml");
        fs::write(&file, script).expect("a new file");
        let model = format!("scripted:{}", file.display());
        let args = [&["run", "say right", "--verify", KEPT, "--verify", FIXED][..], flags].concat();
        self.env.grafter(args.into_iter().chain(["--model", &model]))
    }

    /// Returns a run that is live until the gate is open: each check waits for it.
    pub(crate) fn gated(&self, flags: &[&str]) -> Run<'_> {
        let check = format!("until [ -e node_modules/go ]; do sleep 0.01; done; {FIXED}");
        self.run_with(&[&["--verify", &check], flags].concat(), &script())
    }

    /// Returns a run with these flags, whose agents say this.
    pub(crate) fn run_with(&self, flags: &[&str], script: &str) -> Run<'_> {
        let args = [&["run", "say right", "--verify", KEPT], flags].concat();
        self.env.grafter(args).script(script)
    }

    pub(crate) fn open_gate(&self) {
        fs::write(self.env.path("node_modules/go"), "").expect("a new file");
    }

    pub(crate) fn close_gate(&self) {
        fs::remove_file(self.env.path("node_modules/go")).expect("the gate");
    }

    pub(crate) fn grafter(&self, args: &[&str]) -> Run<'_> {
        self.env.grafter(args)
    }

    /// Returns the folders of all runs, the newest first.
    pub(crate) fn runs(&self) -> Vec<RunDir> {
        RunDir::list(&self.env.path(".git/grafter")).expect("the runs")
    }

    /// Returns the folder of the newest run.
    pub(crate) fn latest(&self) -> PathBuf {
        self.runs().swap_remove(0).path
    }

    /// Returns the records of the newest run.
    pub(crate) fn events(&self) -> Vec<Event> {
        read::read(&self.latest()).expect("a sound journal")
    }

    /// Waits until so many runs are there and the newest has a record of this kind.
    pub(crate) fn wait_until(&self, is: impl Fn(&[Event]) -> bool) {
        for _ in 0..60_000 {
            if self.runs().first().is_some_and(|run| read::read(&run.path).is_ok_and(|e| is(&e))) {
                return;
            }
            thread::sleep(Duration::from_millis(2));
        }
        panic!("it never comes: {:?}", self.kinds());
    }

    /// Returns the kinds of the records of the newest run.
    pub(crate) fn kinds(&self) -> Vec<String> {
        self.events().iter().map(|event| kind(&event.what)).collect()
    }

    /// Expects that the checkout is as it was.
    #[track_caller]
    pub(crate) fn is_untouched(&self) {
        assert_eq!(self.env.fingerprint(), self.before);
    }

    /// Expects one landing of the right tree and a journal that pays for nothing twice.
    #[track_caller]
    pub(crate) fn is_whole(&self) {
        self.is_untouched();
        assert_eq!(self.env.git(["show", "fixed:a.txt"]), RIGHT.trim_end());
        assert_eq!(self.env.git(["rev-list", "--parents", "main..fixed"]).lines().count(), 1);
        assert_eq!(self.env.git(["rev-parse", "fixed^"]), self.base);
        assert_eq!(self.env.git(["diff", "--name-only", "main", "fixed"]), "a.txt");
        assert_eq!(self.env.git(["for-each-ref", "refs/grafter/orphan"]), "", "garbage is kept");
        let events = self.events();
        let count = |kind: &str| self.kinds().iter().filter(|have| *have == kind).count();
        assert_eq!((count("landed"), count("nodes_reset")), (1, 1));
        paid_once(&events);
        ended_once(&events);
    }
}

/// Returns the kind of a record, as its JSON names it.
pub(crate) fn kind(what: &What) -> String {
    let json = serde_json::to_value(what).expect("plain data");
    json["kind"].as_str().expect("a kind").to_owned()
}

/// Expects that each answer was recorded once over all processes, and that nothing was sent again
/// but what was in flight when a process died.
#[track_caller]
pub(crate) fn paid_once(events: &[Event]) {
    let mut answered = BTreeSet::new();
    let mut sent: BTreeMap<(String, u32), bool> = BTreeMap::new();
    for event in events {
        let agent = event.agent.as_ref().map(ToString::to_string).unwrap_or_default();
        match &event.what {
            // Whatever is open here was in flight when the last process ended.
            What::RunResumed { .. } => sent.values_mut().for_each(|lost| *lost = true),
            What::ModelIntent { turn, .. } => {
                let key = (agent, *turn);
                assert!(!answered.contains(&key), "{key:?} is sent again");
                let lost = sent.entry(key.clone()).or_insert(false);
                assert!(*lost || !sent_twice(events, &key), "{key:?} was not in flight");
            }
            What::ModelResult { turn, paid, .. } => {
                let key = (agent, *turn);
                let lost = sent.remove(&key);
                let expected = if lost == Some(true) { Paid::MaybeTwice } else { Paid::Once };
                assert_eq!(*paid, expected, "{key:?}");
                assert!(answered.insert(key.clone()), "{key:?} is answered twice");
            }
            _ => {}
        }
    }
    assert!(sent.is_empty(), "never answered: {sent:?}");
}

/// Returns whether a request was sent twice by one process.
fn sent_twice(events: &[Event], (agent, turn): &(String, u32)) -> bool {
    let processes = events.split(|event| matches!(event.what, What::RunResumed { .. }));
    let is = |event: &&Event| {
        let by = event.agent.as_ref().is_some_and(|by| by.as_str() == agent);
        by && matches!(&event.what, What::ModelIntent { turn: sent, .. } if sent == turn)
    };
    processes.into_iter().any(|process| process.iter().filter(is).count() > 1)
}

#[track_caller]
fn ended_once(events: &[Event]) {
    let mut ended = BTreeSet::new();
    for event in events {
        if let (What::NodeFinished { attempt, .. }, Some(node)) = (&event.what, &event.node) {
            assert!(ended.insert((node.clone(), *attempt)), "{node} ended twice");
        }
    }
}

pub(crate) fn entry(
    node: &str,
    (index, attempt, turn): (Option<u32>, u32, u32),
    calls: &[Value],
) -> Value {
    let reply = json!({ "calls": calls });
    let usage = json!({ "input": 3000, "output": 10 });
    let mut entry =
        json!({ "node": node, "attempt": attempt, "turn": turn, "reply": reply, "usage": usage });
    if let Some(index) = index {
        entry["index"] = index.into();
    }
    entry
}

pub(crate) fn call(name: &str, input: &Value) -> Value {
    json!({ "name": name, "input": input })
}

pub(crate) fn finish(summary: &str, more: &Value) -> Value {
    let mut input = json!({ "status": "succeeded", "summary": summary });
    for (name, value) in more.as_object().into_iter().flatten() {
        input[name] = value.clone();
    }
    call("finish", &input)
}

/// What the agents say.
pub(crate) fn script() -> String {
    let read = call("read", &json!({ "path": "a.txt" }));
    let lines = json!([{ "path": "a.txt", "from": 1, "to": 1 }]);
    let mut entries = Vec::new();
    let first = json!({ "claim": "a.txt holds the behaviour in its only line", "evidence": lines });
    let calls = [read.clone(), call("report_finding", &first), finish("it is a.txt", &json!({}))];
    entries.push(entry("orient", (None, 1, 0), &calls));
    let claims = [
        "the only line says wrong where right is asked for",
        "the check is red for this one word",
        "no other file of the repository holds the word",
    ];
    for (index, claim) in (0..).zip(claims) {
        let report = call("report_finding", &json!({ "claim": claim, "evidence": lines }));
        let calls = [read.clone(), report, finish(claim, &json!({}))];
        entries.push(entry("research", (Some(index), 1, 0), &calls));
    }
    entries.push(entry("synthesis", (None, 1, 0), slice::from_ref(&read)));
    let used =
        |node: &str| json!({ "id": format!("{node}#1"), "use": "used", "reason": "so it reads" });
    let decided = json!({
        "carry": { "plan": "Put the asked word in its place and leave all else alone." },
        "findings_used": [used("orient"), used("research.0"), used("research.1"), used("research.2")],
        "evidence": lines,
    });
    entries.push(entry("synthesis", (None, 1, 1), &[finish("one word, one place", &decided)]));
    for (attempt, (old, new)) in (1..).zip([("wrong", "wrung"), ("wrung", "right")]) {
        let edit = call("edit", &json!({ "path": "a.txt", "old": old, "new": new }));
        let tests = call("run_tests", &json!({}));
        entries.push(entry("implement", (None, attempt, 0), &[read.clone(), edit]));
        let calls = [tests, finish("changed the word", &json!({}))];
        entries.push(entry("implement", (None, attempt, 1), &calls));
        for (node, index) in [("inspect", None), ("review", Some(0)), ("review", Some(1))] {
            let verdict = json!({ "verdict": "pass", "evidence": lines });
            let calls = [read.clone(), finish("the word is the one asked for", &verdict)];
            entries.push(entry(node, (index, attempt, 0), &calls));
        }
    }
    json!({ "entries": entries }).to_string()
}
