//! A tool catalogue and shorthands for the tests of this room.

use serde_json::json;

use crate::{
    graph::{dag::Graph, load::load},
    protocol::{
        task::Phase,
        tool::{Catalogue, Class, Risk, ToolSpec},
    },
};

const ALL: [Phase; 4] =
    [Phase::Research, Phase::Synthesis, Phase::Implementation, Phase::Verification];
const WORKING: [Phase; 2] = [Phase::Implementation, Phase::Verification];

const TALKING: [&str; 3] = ["receive", "send", "tasks"];
const LEADING: [&str; 5] = ["merge_enqueue", "plan_select", "read_finding", "spawn", "wait"];

/// The tools of this version by name, class and phases.
pub(crate) fn catalogue() -> Catalogue {
    let write = [Phase::Implementation].as_slice();
    let mut tools = Vec::new();
    let rows = [
        (
            ["read", "read_many", "glob", "grep", "tree", "outline", "git"].as_slice(),
            Class::Read,
            ALL.as_slice(),
        ),
        (&["edit", "write", "apply_patch", "move", "delete"], Class::Write, write),
        (&["bash", "run_tests"], Class::Exec, &WORKING),
        (&["report_finding"], Class::Control, &[Phase::Research]),
        (&["delegate"], Class::Control, &[Phase::Research, Phase::Implementation]),
        (&["finish", "receive", "send", "tasks"], Class::Control, &ALL),
        (&LEADING, Class::Control, &[Phase::Synthesis]),
    ];
    for (names, class, phases) in rows {
        tools.extend(names.iter().map(|name| ToolSpec {
            name: (*name).to_owned(),
            description: String::new(),
            class,
            risk: Risk::Low,
            phases: phases.to_vec(),
            parameters: json!({}),
            timeout_ms: 1_000,
            max_output: 1_000,
            named: LEADING.contains(name) || TALKING.contains(name),
        }));
    }
    tools.sort_by(|a, b| a.name.cmp(&b.name));
    Catalogue(tools)
}

/// Returns the graph of a text that is right.
pub(crate) fn graph(text: &str) -> Graph {
    load("w.yaml", text, &catalogue()).expect("the workflow is right")
}

/// Returns what is wrong with the nodes of a workflow, as the user sees it.
pub(crate) fn problems(nodes: &str) -> String {
    whole_problems(&format!("name: t\nversion: 1\nnodes:{nodes}"))
}

/// Returns what is wrong with a workflow, as the user sees it.
pub(crate) fn whole_problems(text: &str) -> String {
    load("w.yaml", text.trim_start(), &catalogue()).expect_err("the workflow is wrong").to_string()
}
