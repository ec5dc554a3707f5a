//! The run for programs: one object at the end (`--output json`), or each event as it happens
//! (`--output stream-json`).
//!
//! The names are stable; new members may be added. Money is in micro-dollars, time in
//! milliseconds. A member that does not apply is null.

use serde::Serialize;
use serde_json::{Value, json};

use crate::{
    protocol::{
        event::{Event, Level},
        ids::Oid,
        report::RunEnd,
    },
    ui::{
        checks::{CheckRow, rows},
        plain::end_words,
        text::is_unsafe,
        view::{NodeState, NodeView, View},
    },
};

/// Returns an event as one line: its record without the members that chain the journal.
pub fn event(event: &Event) -> String {
    safe(&serde_json::to_string(event).expect("an event has only text keys"))
}

/// Returns the whole run as one line.
pub fn line(view: &View) -> String {
    safe(&object(view).to_string())
}

/// Why there is no run, or why it broke off where its journal cannot tell it.
#[derive(Debug, Serialize)]
pub struct Trouble {
    /// What went wrong.
    pub error: String,
    /// Why.
    pub cause: Option<String>,
    /// What the user can do.
    pub hint: Option<String>,
    /// The code of the process.
    pub exit_code: u8,
}

/// Returns trouble as one line.
pub fn trouble(trouble: &Trouble) -> String {
    safe(&serde_json::to_string(trouble).expect("it is plain text and a number"))
}

/// Writes what could steer a terminal as `\u…`, which is the same JSON.
fn safe(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        if is_unsafe(c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                out.push_str(&format!("\\u{unit:04x}"));
            }
        } else {
            out.push(c);
        }
    }
    out
}

/// Returns the whole run as one object.
pub fn object(view: &View) -> Value {
    let start = view.start.as_deref();
    let landing = view.landing.as_ref();
    let work = view.work.as_ref();
    json!({
        "run": view.run,
        "task": start.map(|start| &start.task.slug),
        "workflow": start.map(|start| &start.workflow),
        "model": start.map(|start| &start.model),
        "scripted": start.map(|start| start.scripted),
        "base": start.map(|start| &start.base),
        "target": start.map(|start| &start.target),
        "end": view.end,
        "message": view.end.as_ref().map(end_words),
        "exit_code": view.end.as_ref().map(RunEnd::exit_code),
        "commit": landing.map(|l| &l.to).or(work.map(|w| &w.commit)),
        "branch": landing.map(|l| &l.branch).or(work.map(|w| &w.branch)),
        "landed": landing.is_some(),
        "report": view.report,
        "verdict": view.verdict,
        "tests_touched": work.map(|work| &work.tests_touched),
        "left_out": work.map(|work| &work.left_out),
        "missed": view.missed.iter().map(missed).collect::<Vec<_>>(),
        "checks": rows(view.before.as_ref(), view.after.as_ref()).iter().map(check).collect::<Vec<_>>(),
        "files": view.stat().map(|stat| stat.files.iter().map(file).collect::<Vec<_>>()),
        "cost": view.cost,
        "usage": view.usage,
        "turns": view.turns,
        "took_ms": view.clock,
        "resumed": view.resumed,
        "paid_twice": view.paid_twice,
        "audit": view.audit.json(),
        "tasks": view.tasks.all().collect::<Vec<_>>(),
        "notes": view.notes.iter().map(note).collect::<Vec<_>>(),
        "nodes": view.nodes.iter().map(|one| node(one, (view.clock, view.end.is_some()))).collect::<Vec<_>>(),
    })
}

fn node(node: &NodeView, (clock, ended): (u64, bool)) -> Value {
    let (state, why) = match &node.state {
        NodeState::Waiting => ("waiting", None),
        NodeState::Running if ended => ("stopped", None),
        NodeState::Running => ("running", None),
        NodeState::Succeeded => ("succeeded", None),
        NodeState::Reused => ("reused", None),
        NodeState::Failed => ("failed", None),
        NodeState::Skipped(why) => ("skipped", Some(why)),
    };
    json!({
        "node": node.id,
        "phase": node.phase,
        "role": node.role,
        "state": state,
        "skipped_because": why,
        "failure": node.failure,
        "summary": node.summary,
        "rejected": node.rejected.iter().map(rejected).collect::<Vec<_>>(),
        "attempts": node.attempt,
        "turns": node.turns,
        "tool_calls": node.calls,
        "usage": node.usage,
        "cost": node.cost,
        "took_ms": node.took(clock),
    })
}

fn check(row: &CheckRow) -> Value {
    json!({
        "command": row.command,
        "before": row.before.as_ref().map(|side| side.good),
        "after": row.after.as_ref().map(|side| side.good),
        "fixed": row.fixed,
        "broke": row.broke,
        "skipped": row.skipped,
    })
}

fn file((path, added, removed): &(String, u64, u64)) -> Value {
    json!({ "path": path, "added": added, "removed": removed })
}

fn missed((branch, found): &(String, Option<Oid>)) -> Value {
    json!({ "branch": branch, "found": found })
}

fn rejected((attempt, why): &(u32, String)) -> Value {
    json!({ "attempt": attempt, "why": why })
}

fn note((level, text): &(Level, String)) -> Value {
    json!({ "level": level, "text": text })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ui::fixture;

    fn members(value: &Value) -> String {
        let members = value.as_object().unwrap().iter();
        members.map(|(name, value)| format!("{name}: {value}\n")).collect()
    }

    #[test]
    fn a_run_is_one_object() {
        let mut object = object(&View::of(&fixture::landed("scripted:demo.yaml").events));
        let nodes = object["nodes"].take();
        object["files"].take();
        insta::assert_snapshot!(members(&object), @r#"
        run: "1122-1741-9f3a"
        task: "the-median-of-an-even-list-is-wrong"
        workflow: "resolve"
        model: "scripted:demo.yaml"
        scripted: true
        base: "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
        target: "grafter/1122-1741-9f3a/landed"
        end: {"landed":{"commit":"cccccccccccccccccccccccccccccccccccccccc","branch":"grafter/1122-1741-9f3a/landed","grade":"fixed"}}
        message: "landed (fixed)"
        exit_code: 0
        commit: "cccccccccccccccccccccccccccccccccccccccc"
        branch: "grafter/1122-1741-9f3a/landed"
        landed: true
        report: null
        verdict: {"green":{"grade":"fixed","fixed":["median::even"]}}
        tests_touched: []
        left_out: []
        missed: []
        checks: [{"command":"cargo test","before":false,"after":true,"fixed":["median::even"],"broke":[],"skipped":[]}]
        files: null
        cost: 222200
        usage: {"input":74000,"cache_write":0,"cache_read":0,"output":7400}
        turns: 5
        took_ms: 24300
        resumed: 0
        paid_twice: 0
        audit: {"outside":null,"sandbox":{},"denied":{},"asked":{},"hosts":{"reached":[],"refused":[]}}
        tasks: []
        notes: []
        nodes: null
        "#);
        insta::assert_snapshot!(members(&nodes[0]), @r#"
        node: "research.0"
        phase: "research"
        role: "research.0"
        state: "succeeded"
        skipped_because: null
        failure: null
        summary: "the index is off by one"
        rejected: []
        attempts: 1
        turns: 2
        tool_calls: 1
        usage: {"input":21000,"cache_write":0,"cache_read":0,"output":2100}
        cost: 51000
        took_ms: 8208
        "#);
        assert_eq!(nodes.as_array().map(Vec::len), Some(6));
        let rejected = json!([{ "attempt": 1, "why": "median::even still fails" }]);
        assert_eq!(nodes[4]["rejected"], rejected);
        assert_eq!(nodes[5]["skipped_because"], "reviews > 0");
    }

    #[test]
    fn lines_say_the_same_without_steering_a_terminal() {
        for event in fixture::landed("scripted:demo.yaml").events {
            let line = super::event(&event);
            assert!(!line.chars().any(is_unsafe), "{line}");
            assert_eq!(serde_json::from_str::<Event>(&line).unwrap(), event);
        }
        assert_eq!(safe("\"\u{9b}\u{e0041}\""), r#""\u009b\udb40\udc41""#);
    }
}
