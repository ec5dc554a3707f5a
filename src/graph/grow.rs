//! A graph that grows while its run goes on: nodes that agents or the user add to the workflow's.
//!
//! What is added is written as a workflow writes it and validated with the whole, so that it can do
//! nothing that a workflow could not. Pure: the same additions make the same graph in a resume.

use serde_json::Value;

use crate::{
    graph::{
        dag::Graph,
        load::{GraphError, load, load_grown},
    },
    protocol::tool::Catalogue,
    settings::yaml,
};

/// Nodes that one agent added at once, or the user did.
#[derive(Clone, Debug, PartialEq)]
pub struct Addition {
    /// The node of the agent; none of the user's.
    pub by: Option<String>,
    /// The nodes, as a workflow would write them.
    pub nodes: Vec<Value>,
}

impl Addition {
    /// Returns the ids of the nodes.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.nodes.iter().filter_map(|node| node.get("id")?.as_str())
    }
}

/// Returns the graph of a workflow's text and of what was added to it, in order.
pub fn grown(
    (name, text): (&str, &str),
    added: &[Addition],
    catalogue: &Catalogue,
) -> Result<Graph, GraphError> {
    if added.is_empty() {
        return load(name, text, catalogue);
    }
    let broken = |error| GraphError { problems: vec![error] };
    let mut whole: Value = yaml::from_str(name, text).map_err(broken)?;
    if let Some(nodes) = whole.get_mut("nodes").and_then(Value::as_array_mut) {
        nodes.extend(added.iter().flat_map(|addition| addition.nodes.clone()));
    }
    let mut graph = load_grown(name, &format!("{whole:#}"), catalogue)?;
    // Who adds a node is at work already: nothing waits for its end.
    for addition in added {
        for id in addition.ids() {
            if let Some(node) = graph.nodes.iter_mut().find(|node| node.id == id) {
                node.needs.retain(|need| Some(need) != addition.by.as_ref());
            }
        }
    }
    Ok(graph)
}

/// Returns the nodes of a workflow's text, to be added to another.
pub fn nodes_of(name: &str, text: &str) -> Result<Vec<Value>, GraphError> {
    let broken = |error| GraphError { problems: vec![error] };
    let mut whole: Value = yaml::from_str(name, text).map_err(broken)?;
    match whole.get_mut("nodes").map(Value::take) {
        Some(Value::Array(nodes)) => Ok(nodes),
        _ => Ok(Vec::new()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::graph::{fixture::catalogue, lookup::shipped};

    const LEAD: &str = "name: w\nversion: 1\nnodes:\n\
                        \x20 - { id: lead, phase: synthesis, role: r, tools: [spawn] }\n";

    fn addition(node: Value) -> Addition {
        Addition { by: Some("lead".into()), nodes: vec![node] }
    }

    fn grow(added: &[Addition]) -> Result<Graph, String> {
        grown(("w", LEAD), added, &catalogue()).map_err(|error| error.problems[0].message.clone())
    }

    #[test]
    fn a_fork_of_the_agent_that_added_it_does_not_wait_for_its_end() {
        let fork = json!({ "id": "f", "phase": "synthesis", "role": "r", "kind": "fork",
            "needs": ["lead"], "ask": "\u{7}two\nlines \u{1F600}" });
        let graph = grow(&[addition(fork)]).unwrap();
        assert!(graph.get("f").unwrap().needs.is_empty());
        assert_eq!(graph.get("f").unwrap().ask.as_deref(), Some("\u{7}two\nlines \u{1F600}"));
    }

    #[test]
    fn what_is_added_can_do_nothing_that_a_workflow_could_not() {
        let node = |id: &str, more: Value| {
            let mut node = json!({ "id": id, "phase": "research", "role": "r" });
            node.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            addition(node)
        };
        let writer = |id| node(id, json!({ "phase": "implementation" }));
        let said = [
            grow(&[node("lead", json!({}))]).unwrap_err(),
            grow(&[node("a", json!({ "tools": ["write"] }))]).unwrap_err(),
            grow(&[node("a", json!({ "needs": ["b"] }))]).unwrap_err(),
            grow(&[writer("a"), writer("b")]).unwrap_err(),
            grow(&[node("../a", json!({}))]).unwrap_err(),
        ];
        insta::assert_snapshot!(said.join("\n"), @r"
        node id `lead` is already used in line 6
        tool `write` writes; a research node may only read
        there is no node `b`; did you mean `a`?
        `a` and `b` could write at once; let one of them need the other
        node id `../a` must be 1 to 40 lower-case letters, digits and inner hyphens
        ");
        let many: Vec<_> = (0..64).map(|n| node(&format!("n{n}"), json!({}))).collect();
        assert_eq!(grow(&many).unwrap_err(), "65 nodes are too many: at most 64");
    }

    #[test]
    fn every_shipped_workflow_can_be_added_to_one_that_leads() {
        for (name, text) in shipped().iter().filter(|(name, _)| *name != "coordinator") {
            let nodes = nodes_of(name, text).unwrap();
            let added = [Addition { by: Some("lead".into()), nodes: nodes.clone() }];
            assert_eq!(grow(&added).map(|graph| graph.nodes.len()), Ok(nodes.len() + 1), "{name}");
        }
    }
}
