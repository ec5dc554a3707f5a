//! The rules of forks: what a node may be that begins with another agent's context. Pure.
//!
//! A fork has its parent's system prompt and tools, to the byte. So it has its role and its phase,
//! can use no tool that the parent has not, and does not fork again. It comes after an agent of its
//! own phase, which no writer is: nobody verifies with the writer's own context.

use crate::{
    graph::{
        node::{Node, Work},
        spec::{NodeSpec, Spec},
        validate::{Problems, position},
    },
    protocol::task::AgentKind,
    settings::spot::quoted,
};

/// Most answers of a fork that says nothing of it.
const MAX_TURNS: u32 = 20;
/// A fork asks nobody else.
const DELEGATE: &str = "delegate";

/// Checks the forks among the nodes, and gives them what they take over.
pub(crate) fn settle(spec: &Spec, nodes: &mut [Node], problems: &mut Problems) {
    for at in 0..nodes.len() {
        if nodes[at].kind != AgentKind::Fork {
            continue;
        }
        let written = &spec.nodes.value[at].value;
        let need = written.needs.first().and_then(|need| position(spec, &need.value));
        // That there is exactly one is told with the edges.
        let Some(parent) = need.map(|at| nodes[at].clone()) else { continue };
        agrees(written, &parent, problems);
        let Work::Agent(from) = &parent.work else { continue };
        let Work::Agent(own) = &mut nodes[at].work else { continue };
        let has = |tool: &String| from.tools.contains(tool) && tool != DELEGATE;
        match &written.tools {
            None => own.tools = from.tools.iter().filter(|tool| has(tool)).cloned().collect(),
            Some(listed) => {
                for tool in listed.value.iter().filter(|tool| !has(&tool.value)) {
                    let (name, parent) = (quoted(&tool.value), quoted(&parent.id));
                    let why = match tool.value == DELEGATE {
                        true => format!("a fork cannot use {name}"),
                        false => format!("a fork has the tools of {parent}, and {name} is none"),
                    };
                    problems.add(tool.at, why);
                }
            }
        }
        own.max_turns.get_or_insert(MAX_TURNS);
    }
}

fn agrees(fork: &NodeSpec, parent: &Node, problems: &mut Problems) {
    let id = quoted(&parent.id);
    let at = fork.kind.as_ref().map_or(fork.id.at, |kind| kind.at);
    if parent.kind == AgentKind::Fork {
        problems.add(at, format!("{id} is a fork itself, and forks do not fork again"));
    }
    if fork.phase.value != parent.phase {
        let phase = parent.phase.name();
        problems.add(fork.phase.at, format!("a fork of {id} is in the phase of {id}: {phase}"));
    }
    if let (Some(role), Work::Agent(from)) = (&fork.role, &parent.work)
        && role.value != from.role
    {
        let message = format!("a fork of {id} has the role of {id}: {}", quoted(&from.role));
        problems.add(role.at, message);
    }
}

#[cfg(test)]
mod tests {
    use crate::graph::{
        fixture::{catalogue, graph},
        load::load,
        node::Work,
    };

    fn flow(parent: &str, fork: &str) -> String {
        format!(
            "name: w\nversion: 1\nnodes:\n\
             \x20 - {{ id: a, phase: research, role: r{parent} }}\n\
             \x20 - {{ id: b, phase: research, kind: fork, needs: [a], role: {fork} }}\n\
             \x20 - {{ id: c, phase: implementation, role: w, needs: [b] }}\n"
        )
    }

    fn wrong(parent: &str, fork: &str) -> String {
        load("w", &flow(parent, fork), &catalogue()).expect_err("a problem").problems[0]
            .message
            .clone()
    }

    #[test]
    fn a_fork_takes_over_the_tools_but_for_delegates_and_has_twenty_turns() {
        let flow = graph(&flow(", tools: [read, grep, delegate]", "r, each: 3"));
        let Work::Agent(fork) = &flow.nodes[1].work else { panic!("an agent") };
        assert_eq!(fork.tools, ["finish", "grep", "read"]);
        assert_eq!(fork.max_turns, Some(20));
    }

    #[test]
    fn a_fork_differs_from_its_parent_in_nothing_that_its_context_holds() {
        let said = [
            wrong("", "other"),
            wrong(", tools: [read]", "r, tools: [grep]"),
            wrong(", tools: [read, delegate]", "r, tools: [delegate]"),
            wrong(", each: 2", "r"),
        ];
        insta::assert_snapshot!(said.join("\n"), @r"
        a fork of `a` has the role of `a`: `r`
        a fork has the tools of `a`, and `grep` is none
        a fork cannot use `delegate`
        a fork needs exactly one node: the agent (without `each`) it forks from
        ");
        let text = flow("", "r").replace(
            "c, phase: implementation, role: w",
            "d, phase: research, role: r, kind: fork",
        );
        let problems = load("w", &text, &catalogue()).expect_err("forks do not fork").problems;
        insta::assert_snapshot!(
            problems[0].message,
            @"`b` is a fork itself, and forks do not fork again"
        );
    }
}
