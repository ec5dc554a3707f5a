//! From a workflow as written to a correct graph, or to all that is wrong with it. Pure.
//!
//! Three passes, each only over what the one before let through: the shape of the whole and of each
//! node (`rules`), the edges, and what flows along them (`flow`). So one slip is told once, and all
//! slips of one kind are told together.

use std::collections::BTreeMap;

use crate::{
    graph::{
        dag::{Edges, Graph, Limits},
        flow, fork, rules,
        spec::{LimitsSpec, Spec},
    },
    protocol::{tool::Catalogue, usage::Micros},
    settings::{nearest, spot::quoted, yaml::At},
};

/// Most nodes of a workflow.
const MAX_NODES: usize = 64;
/// Names under which the checks on the base and on the candidate are recorded.
const OWN: [&str; 2] = ["base", "candidate"];
/// The only format there is.
const VERSION: u32 = 1;

/// Something that is wrong, and its line and column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Line and column, from 1.
    pub at: (u32, u32),
    /// What is wrong and what would be right.
    pub message: String,
}

/// What has been found wrong so far.
#[derive(Debug, Default)]
pub(crate) struct Problems(Vec<Problem>);

impl Problems {
    pub(crate) fn add(&mut self, at: (u32, u32), message: impl Into<String>) {
        self.0.push(Problem { at, message: message.into() });
    }

    fn check(&mut self) -> Result<(), Vec<Problem>> {
        self.0.sort_by_key(|problem| problem.at);
        if self.0.is_empty() { Ok(()) } else { Err(std::mem::take(&mut self.0)) }
    }
}

/// How a workflow came to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Made {
    /// As its file says.
    Written,
    /// Nodes were added while it ran; who wants what they come to, no edge says.
    Grown,
}

/// Returns the graph that a workflow describes, or every problem of the first pass that found any.
pub fn validate(spec: &Spec, catalogue: &Catalogue, made: Made) -> Result<Graph, Vec<Problem>> {
    let mut problems = Problems::default();
    whole(spec, &mut problems);
    problems.check()?;
    let mut nodes: Vec<_> =
        spec.nodes.value.iter().map(|node| rules::node(node, catalogue, &mut problems)).collect();
    fork::settle(spec, &mut nodes, &mut problems);
    let limits = limits(&spec.limits, &mut problems);
    let edges = edges(spec, &mut problems);
    problems.check()?;
    circles(spec, &edges, &mut problems);
    problems.check()?;
    flow::check(spec, &edges, &mut problems);
    if made == Made::Written {
        flow::dead_ends(spec, &edges, &mut problems);
    }
    problems.check()?;
    let (name, version) = (spec.name.value.clone(), spec.version.value);
    Ok(Graph { name, version, limits, nodes, edges })
}

fn whole(spec: &Spec, problems: &mut Problems) {
    rules::identifier("workflow name", &spec.name, problems);
    if spec.version.value != VERSION {
        problems.add(spec.version.at, format!("version {VERSION} is the only one there is"));
    }
    match spec.nodes.value.len() {
        0 => problems.add(spec.nodes.at, "a workflow needs at least one node"),
        n if n > MAX_NODES => {
            problems.add(spec.nodes.at, format!("{n} nodes are too many: at most {MAX_NODES}"));
        }
        _ => {}
    }
    let mut seen = BTreeMap::new();
    for At { value: node, .. } in &spec.nodes.value {
        rules::identifier("node id", &node.id, problems);
        if OWN.contains(&node.id.value.as_str()) {
            let id = quoted(&node.id.value);
            problems
                .add(node.id.at, format!("node id {id} is the name of checks that every run has"));
        }
        if let Some((line, _)) = seen.insert(node.id.value.as_str(), node.id.at) {
            let id = quoted(&node.id.value);
            problems.add(node.id.at, format!("node id {id} is already used in line {line}"));
        }
    }
}

/// Returns limits as written, in the units of the program.
pub(crate) fn limits(spec: &LimitsSpec, problems: &mut Problems) -> Limits {
    if let Some(usd) = spec.usd.as_ref().filter(|usd| !(usd.value > 0.0 && usd.value <= 1e6)) {
        problems.add(usd.at, "`usd` must be above 0 and at most 1000000");
    }
    if let Some(minutes) = spec.minutes.as_ref().filter(|m| !(1..=100_000).contains(&m.value)) {
        problems.add(minutes.at, "`minutes` must be between 1 and 100000");
    }
    if let Some(turns) = spec.turns.as_ref().filter(|turns| turns.value == 0) {
        problems.add(turns.at, "`turns` must be at least 1");
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a problem was added above for any value outside the range"
    )]
    let micros = |usd: &At<f64>| Micros((usd.value * 1e6).round() as u64);
    Limits {
        usd: spec.usd.as_ref().map(micros),
        minutes: spec.minutes.as_ref().map(|minutes| minutes.value),
        turns: spec.turns.as_ref().map(|turns| turns.value),
    }
}

fn edges(spec: &Spec, problems: &mut Problems) -> Edges {
    let nodes = &spec.nodes.value;
    let mut pairs = Vec::new();
    for (to, node) in nodes.iter().enumerate() {
        let mut seen = Vec::new();
        for need in &node.value.needs {
            match position(spec, &need.value) {
                Some(from) if seen.contains(&from) => {
                    problems.add(need.at, format!("{} is needed twice", quoted(&need.value)));
                }
                Some(from) => {
                    seen.push(from);
                    pairs.push((from, to));
                }
                None => problems.add(need.at, unknown_node(spec, &need.value)),
            }
        }
    }
    Edges::new(nodes.len(), &pairs)
}

fn circles(spec: &Spec, edges: &Edges, problems: &mut Problems) {
    let nodes = &spec.nodes.value;
    let circles = edges.circles();
    let inside: Vec<usize> = circles.concat();
    for circle in &circles {
        let names: Vec<_> = circle.iter().map(|at| quoted(&nodes[*at].value.id.value)).collect();
        let needs = &nodes[circle[0]].value.needs;
        let at = needs.first().map_or(nodes[circle[0]].at, |need| need.at);
        let names = names.join(", ");
        problems
            .add(at, format!("these need each other: {names}; a way back is written `on_failure`"));
    }
    for (at, node) in nodes.iter().enumerate().filter(|(at, _)| !inside.contains(at)) {
        let before = edges.before(at);
        if let Some(blocked) = inside.iter().find(|at| before.contains(at)) {
            let (id, on) = (quoted(&node.value.id.value), quoted(&nodes[*blocked].value.id.value));
            problems.add(node.value.id.at, format!("{id} can never be reached: it waits for {on}"));
        }
    }
}

/// Returns where a node stands in the file's list.
pub(crate) fn position(spec: &Spec, id: &str) -> Option<usize> {
    spec.nodes.value.iter().position(|node| node.value.id.value == id)
}

/// Returns the message about a node that is not there.
pub(crate) fn unknown_node(spec: &Spec, id: &str) -> String {
    let ids = spec.nodes.value.iter().map(|node| node.value.id.value.as_str());
    format!("there is no node {}{}", quoted(id), nearest::hint(id, ids))
}

#[cfg(test)]
mod tests;
