//! What the state of a run says of its graph: the instances of a node, what they carry on and found,
//! and where they stand together. Pure.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::{
    coordinator::{
        budget::Share,
        state::{NodeRun, RunState, is_terminal},
    },
    graph::{
        dag::Graph,
        node::{Each, Node},
        ready::NodeState,
    },
    protocol::{
        ids::{AgentId, NodeId},
        outcome::{Finding, Review},
        task::Phase,
    },
};

impl RunState {
    /// Returns the ids of a node's instances; none while a fan-out's list is not known yet.
    pub fn instances(&self, graph: &Graph, node: &Node) -> Option<Vec<NodeId>> {
        let count = match &node.each {
            None => return Some(vec![NodeId::new(&node.id)]),
            Some(Each::Number(count)) => *count,
            Some(Each::Items(items)) => items.len(),
            Some(Each::Carry { node: from, name }) => match self.carry(graph, from, name)? {
                Value::Array(items) => items.len().min(node.most()),
                _ => 0,
            },
        };
        Some((0..count).map(|index| NodeId::new(format!("{}.{index}", node.id))).collect())
    }

    /// Returns what an instance is asked beside the task: its item of a fan-out.
    pub fn item(&self, graph: &Graph, node: &Node, index: usize) -> Option<Value> {
        let Some(each) = &node.each else { return node.ask.clone().map(Value::String) };
        match each {
            Each::Number(_) => Some(Value::from(index)),
            Each::Items(items) => items.get(index).cloned(),
            Each::Carry { node: from, name } => {
                self.carry(graph, from, name)?.as_array()?.get(index).cloned()
            }
        }
    }

    /// Returns the value a node carries on: of one instance as it is, of several joined.
    pub fn carry(&self, graph: &Graph, from: &str, name: &str) -> Option<Value> {
        let node = graph.get(from)?;
        // A fan-out over a carried list cannot feed itself, so this recursion ends: validated.
        let values: Vec<Value> = self
            .instances(graph, node)?
            .iter()
            .filter_map(|id| self.nodes.get(id)?.outcome.as_ref()?.carries.get(name).cloned())
            .collect();
        join(values)
    }

    /// Returns the findings of a node's instances, in order.
    pub fn findings(&self, graph: &Graph, from: &str) -> Vec<Finding> {
        let ids = graph.get(from).and_then(|node| self.instances(graph, node)).unwrap_or_default();
        let outcomes = ids.iter().filter_map(|id| self.nodes.get(id)?.outcome.as_ref());
        outcomes.flat_map(|outcome| outcome.findings.clone()).collect()
    }

    /// Returns where a node stands, all its instances taken together.
    ///
    /// A fan-out has succeeded when all its instances have; an optional one when all are done.
    pub fn group(&self, graph: &Graph, node: &Node) -> NodeState {
        if let Some(run) = self.nodes.get(&NodeId::new(&node.id))
            && run.state == NodeState::Skipped
        {
            return NodeState::Skipped;
        }
        let Some(ids) = self.instances(graph, node) else { return NodeState::Waiting };
        let stands = |id: &NodeId| match self.state_of(id) {
            NodeState::Succeeded if node.is_split() && !self.is_joined(id) => NodeState::Running,
            state => state,
        };
        let states: Vec<NodeState> = ids.iter().map(stands).collect();
        let is = |state| move |other: &NodeState| *other == state;
        if states.iter().all(is(NodeState::Waiting)) && !states.is_empty() {
            NodeState::Waiting
        } else if states.iter().any(|state| !is_terminal(*state)) {
            NodeState::Running
        } else if states.iter().any(is(NodeState::Failed)) {
            NodeState::Failed
        } else {
            NodeState::Succeeded
        }
    }

    /// Returns where all nodes stand, by node id.
    pub fn groups(&self, graph: &Graph) -> BTreeMap<String, NodeState> {
        graph.nodes.iter().map(|node| (node.id.clone(), self.group(graph, node))).collect()
    }

    /// Returns what an agent may use of its node's limits, if these are set.
    pub fn share(&self, graph: &Graph, agent: &AgentId) -> Option<Share> {
        let owner = agent.spends_of();
        let node = graph.get(owner.place().0)?;
        let count = self.instances(graph, node)?.len();
        Some(Share::of(node.limits?, count))
    }

    /// Returns the reviews of the current candidate; none when the graph has no reviewers.
    pub fn reviews(&self, graph: &Graph) -> Vec<Review> {
        let nodes = graph.nodes.iter().filter(|node| node.phase == Phase::Verification);
        let ids = nodes.filter_map(|node| self.instances(graph, node)).flatten();
        // Who was asked about earlier work has said nothing of this.
        let work = self.candidate.as_ref().map(|made| &made.commit);
        let current =
            |run: &&NodeRun| run.saw.is_none() || work.is_none() || run.saw.as_ref() == work;
        let runs = ids.filter_map(|id| self.nodes.get(&id)).filter(current);
        runs.filter_map(|run| run.outcome.as_ref()?.review.clone()).collect()
    }
}

fn join(mut values: Vec<Value>) -> Option<Value> {
    if values.len() < 2 {
        return values.pop();
    }
    if values.iter().all(Value::is_array) {
        let lists = values.into_iter().filter_map(|value| match value {
            Value::Array(items) => Some(items),
            _ => None,
        });
        return Some(Value::Array(lists.flatten().collect()));
    }
    let texts: Vec<String> = values
        .iter()
        .map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned))
        .collect();
    Some(Value::String(texts.join("\n\n")))
}
