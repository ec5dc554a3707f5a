//! Which agent a name means: its id, its node instance, or a node that has just one. Pure.

use crate::{
    coordinator::state::{CHECKS, RunState},
    graph::{dag::Graph, ready::NodeState},
    protocol::ids::{AgentId, NodeId},
    settings::nearest,
};

/// What a name stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Who {
    /// An agent at work, and its node.
    Live(NodeId, AgentId),
    /// An agent that has ended, or that gave way to a later attempt.
    Ended(NodeId, AgentId),
    /// A node, or an instance of one, that has not begun.
    Waiting(NodeId),
    /// The checks of the workflow, which are no agent.
    Checks(NodeId),
}

/// Why a name stands for nobody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nobody {
    /// What is wrong.
    pub error: String,
    /// What the user can do.
    pub hint: String,
}

/// Returns what a name stands for.
pub fn find(state: &RunState, graph: &Graph, name: &str) -> Result<Who, Nobody> {
    let (node, attempt) = match name.split_once('@') {
        Some((node, attempt)) => (node, Some(attempt)),
        None => (name, None),
    };
    let id = NodeId::new(node);
    if let Some(run) = state.nodes.get(&id).filter(|run| run.attempt > 0) {
        let known = attempt.map_or(Some(run.attempt), |text| text.parse().ok());
        return match known {
            Some(attempt) if attempt == run.attempt => Ok(who(state, &id)),
            Some(attempt) if (1..run.attempt).contains(&attempt) => {
                Ok(Who::Ended(id, AgentId::new(name)))
            }
            _ => Err(nobody(state, graph, name)),
        };
    }
    let mut live = state.nodes.keys().filter(|id| {
        id.place().0 == node && attempt.is_none() && state.state_of(id) == NodeState::Running
    });
    match (live.next().cloned(), live.next()) {
        (Some(id), None) => Ok(who(state, &id)),
        (Some(_), Some(_)) => Err(several(state, node)),
        (None, _) if graph.get(id.place().0).is_some() && attempt.is_none() => {
            Ok(ended(state, node).unwrap_or(Who::Waiting(id)))
        }
        (None, _) => Err(nobody(state, graph, name)),
    }
}

/// Returns the agent that works for a node that has begun, or did last.
pub(super) fn who(state: &RunState, id: &NodeId) -> Who {
    let Some(run) = state.nodes.get(id) else { return Who::Waiting(id.clone()) };
    let agent = AgentId::of(id, run.attempt);
    match run.state {
        _ if run.role == CHECKS => Who::Checks(id.clone()),
        NodeState::Running => Who::Live(id.clone(), agent),
        NodeState::Waiting => Who::Waiting(id.clone()),
        _ => Who::Ended(id.clone(), agent),
    }
}

/// Returns the agent of a fan-out whose instances have all ended.
fn ended(state: &RunState, node: &str) -> Option<Who> {
    let mut instances = state.nodes.keys().filter(|id| id.place().0 == node);
    let last = instances.next_back()?;
    Some(who(state, last))
}

/// Returns the agents at work.
pub fn live(state: &RunState) -> impl Iterator<Item = (NodeId, AgentId)> {
    state.nodes.keys().filter_map(|id| match who(state, id) {
        Who::Live(node, agent) => Some((node, agent)),
        _ => None,
    })
}

fn several(state: &RunState, node: &str) -> Nobody {
    let named = live(state).filter(|(id, _)| id.place().0 == node);
    too_many(node, &named.map(|(_, agent)| agent).collect::<Vec<_>>(), "at work")
}

/// Says that a name means several agents that have ended, if it does.
pub(super) fn ambiguous(state: &RunState, name: &str) -> Option<Nobody> {
    let named = state.nodes.iter().filter(|(id, _)| id.is_one_of_many() && id.place().0 == name);
    let agents: Vec<_> = named.map(|(id, run)| AgentId::of(id, run.attempt)).collect();
    (agents.len() > 1).then(|| too_many(name, &agents, "that have ended"))
}

fn too_many(node: &str, agents: &[AgentId], which: &str) -> Nobody {
    let names: Vec<&str> = agents.iter().map(AgentId::as_str).collect();
    Nobody {
        error: format!("`{node}` has {} agents {which}", names.len()),
        hint: format!("name one of them: {}", names.join(", ")),
    }
}

fn nobody(state: &RunState, graph: &Graph, name: &str) -> Nobody {
    let begun = state.nodes.iter().filter(|(_, run)| run.attempt > 0);
    let agents: Vec<String> = begun.map(|(id, run)| format!("{id}@{}", run.attempt)).collect();
    let nodes = state.nodes.keys().map(NodeId::as_str);
    let known = nodes.chain(graph.nodes.iter().map(|node| node.id.as_str()));
    let near = nearest::hint(name, known.chain(agents.iter().map(String::as_str)));
    let live: Vec<_> = live(state).map(|(_, agent)| agent.to_string()).collect();
    let hint = match live.is_empty() {
        true => "no agent is at work".to_owned(),
        false => format!("at work are {}", live.join(", ")),
    };
    Nobody { error: format!("there is no agent `{name}`{near}"), hint }
}
