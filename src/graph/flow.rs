//! What passes between nodes: carries, failure edges, and the one writer. Pure.

use crate::{
    graph::{
        dag::Edges,
        node::CarryType,
        spec::{EachSpec, NodeSpec, Spec, WhenSpec, WorkSpec},
        validate::{Problems, position, unknown_node},
    },
    protocol::task::{AgentKind, Phase},
    settings::{nearest, spot::quoted, yaml::At},
};

/// Adds what is wrong between nodes; every need leads to a node and there is no circle.
pub(crate) fn check(spec: &Spec, edges: &Edges, problems: &mut Problems) {
    givers(spec, problems);
    for (at, node) in spec.nodes.value.iter().enumerate() {
        let before: Vec<&NodeSpec> =
            edges.before(at).into_iter().map(|at| &spec.nodes.value[at].value).collect();
        let node = &node.value;
        takes(node, &before, problems);
        if let Some(when) = &node.when {
            condition(when, &before, problems);
        }
        fan_out(spec, node, &before, problems);
        failure_edge(spec, node, &before, problems);
        if node.kind.as_ref().is_some_and(|kind| kind.value == AgentKind::Fork) {
            fork(spec, node, problems);
        }
        if node.phase.value == Phase::Verification && !before.iter().any(|node| writes(node)) {
            problems.add(
                node.phase.at,
                format!("{} has nothing to verify: it needs no implementation node", name(node)),
            );
        }
    }
    writers(spec, edges, problems);
}

fn name(node: &NodeSpec) -> String {
    quoted(&node.id.value)
}

fn writes(node: &NodeSpec) -> bool {
    node.phase.value == Phase::Implementation
}

fn is_split(node: &NodeSpec) -> bool {
    writes(node) && node.each.is_some()
}

fn gift(node: &NodeSpec, carry: &str) -> Option<CarryType> {
    let mut entries = node.gives.0.iter();
    entries.find(|(name, _)| name.value == carry).map(|(_, kind)| kind.value)
}

/// Returns the type of a carry that one of these nodes gives.
fn given(before: &[&NodeSpec], carry: &str) -> Option<CarryType> {
    before.iter().find_map(|node| gift(node, carry))
}

fn not_given(before: &[&NodeSpec], carry: &str) -> String {
    let names = before.iter().flat_map(|node| node.gives.0.iter());
    let near = nearest::hint(carry, names.map(|(name, _)| name.value.as_str()));
    format!("no node before this one gives {}{near}", quoted(carry))
}

fn givers(spec: &Spec, problems: &mut Problems) {
    let mut seen: Vec<(&str, CarryType, &str)> = Vec::new();
    for node in &spec.nodes.value {
        let id = node.value.id.value.as_str();
        for (carry, kind) in &node.value.gives.0 {
            let first = seen.iter().find(|(name, ..)| *name == carry.value);
            match first {
                Some((_, other, by)) if *other != kind.value => {
                    let (carry, by, kind) = (quoted(&carry.value), quoted(by), kind);
                    let message =
                        format!("{carry} is {other} where {by} gives it, not {}", kind.value);
                    problems.add(kind.at, message);
                }
                Some((_, other, by)) if !other.joins() => {
                    let (name, by) = (quoted(&carry.value), quoted(by));
                    let message =
                        format!("{name} is already given by {by}, and a {other} has one giver");
                    problems.add(carry.at, message);
                }
                Some(_) => {}
                None => seen.push((&carry.value, kind.value, id)),
            }
        }
    }
}

fn takes(node: &NodeSpec, before: &[&NodeSpec], problems: &mut Problems) {
    for (carry, kind) in &node.takes.0 {
        match given(before, &carry.value) {
            None => problems.add(carry.at, not_given(before, &carry.value)),
            Some(found) if found != kind.value => {
                let (name, wanted) = (quoted(&carry.value), kind.value);
                problems.add(kind.at, format!("{name} is given as {found}, not as {wanted}"));
            }
            Some(_) => {}
        }
    }
}

fn condition(when: &At<WhenSpec>, before: &[&NodeSpec], problems: &mut Problems) {
    let spec = &when.value;
    let carry = quoted(&spec.carry.value);
    let Some(kind) = given(before, &spec.carry.value) else {
        return problems.add(spec.carry.at, not_given(before, &spec.carry.value));
    };
    for value in [&spec.equals, &spec.not_equals].into_iter().flatten() {
        if kind.joins() || !kind.admits(&value.value) {
            let shown = quoted(&value.value.to_string());
            problems.add(value.at, format!("{carry} is {kind} and never equals {shown}"));
        }
    }
    if let Some(least) = &spec.at_least
        && matches!(kind, CarryType::Text | CarryType::Bool)
    {
        problems.add(least.at, format!("{carry} is {kind}; `at_least` is for numbers and lists"));
    }
}

fn fan_out(spec: &Spec, node: &NodeSpec, before: &[&NodeSpec], problems: &mut Problems) {
    let Some(At { value: EachSpec::Carry(each), .. }) = &node.each else { return };
    let from = &each.from;
    if position(spec, &from.value).is_none() {
        return problems.add(from.at, unknown_node(spec, &from.value));
    }
    let Some(giver) = before.iter().find(|node| node.id.value == from.value) else {
        let (id, from_id) = (name(node), quoted(&from.value));
        return problems.add(from.at, format!("{from_id} does not come before {id}"));
    };
    let carry = &each.carry;
    match gift(giver, &carry.value) {
        Some(CarryType::Parts) if writes(node) => {}
        Some(kind) if writes(node) => {
            let name = quoted(&carry.value);
            let message = format!("{name} is {kind}; `each` of a writer needs parts, one for each");
            problems.add(carry.at, message);
        }
        Some(kind) if kind.joins() => {}
        Some(kind) => {
            let name = quoted(&carry.value);
            problems.add(carry.at, format!("{name} is {kind}; `each` needs a list or findings"));
        }
        None => problems.add(carry.at, not_given(&[*giver], &carry.value)),
    }
}

fn failure_edge(spec: &Spec, node: &NodeSpec, before: &[&NodeSpec], problems: &mut Problems) {
    let Some(back) = &node.on_failure else { return };
    let to = &back.value.to;
    if position(spec, &to.value).is_none() {
        problems.add(to.at, unknown_node(spec, &to.value));
    } else if !before.iter().any(|node| node.id.value == to.value) {
        let (id, to_id) = (name(node), quoted(&to.value));
        problems
            .add(to.at, format!("`on_failure` leads back, and {to_id} does not come before {id}"));
    } else if before.iter().any(|node| node.id.value == to.value && is_split(node)) {
        let to_id = quoted(&to.value);
        problems.add(
            to.at,
            format!("{to_id} has many writers: let one writer after it mend what they made"),
        );
    }
}

/// A fork starts from the context of one agent, so there must be exactly one.
fn fork(spec: &Spec, node: &NodeSpec, problems: &mut Problems) {
    let is_agent = |id: &At<String>| {
        let parent = position(spec, &id.value).map(|at| &spec.nodes.value[at].value);
        parent.is_some_and(|parent| {
            let checks = parent.work.as_ref().is_some_and(|it| it.value == WorkSpec::Checks);
            parent.each.is_none() && !checks
        })
    };
    if node.needs.len() != 1 || !node.needs.iter().all(is_agent) {
        let at = node.kind.as_ref().map_or(node.id.at, |kind| kind.at);
        problems.add(at, "a fork needs exactly one node: the agent (without `each`) it forks from");
    }
}

fn writers(spec: &Spec, edges: &Edges, problems: &mut Problems) {
    let nodes = &spec.nodes.value;
    let writing: Vec<usize> = (0..nodes.len()).filter(|at| writes(&nodes[*at].value)).collect();
    for (n, second) in writing.iter().enumerate() {
        for first in &writing[..n] {
            let ordered =
                edges.before(*second).contains(first) || edges.before(*first).contains(second);
            if !ordered {
                let (a, b) = (name(&nodes[*first].value), name(&nodes[*second].value));
                let message =
                    format!("{a} and {b} could write at once; let one of them need the other");
                problems.add(nodes[*second].value.id.at, message);
            }
        }
    }
}

/// The tool of an agent that leads: it hears all others without an edge to them.
const LEADS: &str = "spawn";

/// Looking costs money: where something is written, what nobody uses is a slip.
pub(crate) fn dead_ends(spec: &Spec, edges: &Edges, problems: &mut Problems) {
    let nodes = &spec.nodes.value;
    let leads = |node: &At<NodeSpec>| {
        node.value.tools.iter().flat_map(|tools| &tools.value).any(|tool| tool.value == LEADS)
    };
    if !nodes.iter().any(|node| writes(&node.value)) || nodes.iter().any(leads) {
        return;
    }
    for (at, node) in nodes.iter().enumerate() {
        let node = &node.value;
        let reads = matches!(node.phase.value, Phase::Research | Phase::Synthesis);
        if reads && !edges.has_next(at) {
            let message = format!("nothing needs {}, so its work would be lost", name(node));
            problems.add(node.id.at, message);
        }
    }
}

#[cfg(test)]
mod tests;
