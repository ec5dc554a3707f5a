//! How many agents may work at once: read permits, and one writer per tree. Pure.

use std::collections::BTreeSet;

use crate::{
    coordinator::state::{RunState, is_delegate},
    graph::{dag::Graph, node::Node, ready::NodeState},
    protocol::ids::NodeId,
};

/// Permits that are still free.
#[derive(Debug)]
pub struct Slots {
    agents: usize,
    writer_free: bool,
}

impl Slots {
    /// Returns what is free beside the instances that run already.
    pub fn new(
        max_agents: usize,
        state: &RunState,
        (graph, waiting): (&Graph, &BTreeSet<NodeId>),
    ) -> Self {
        let is_running = |id: &NodeId| state.state_of(id) == NodeState::Running;
        // A delegate works in the permit of the agent that asked and waits for it; who waits for
        // others gives them its own.
        let works = |id: &&NodeId| is_running(id) && !is_delegate(id) && !waiting.contains(*id);
        let running = state.nodes.keys().filter(works).count();
        let mut writers = graph.nodes.iter().filter(|node| shares_tree(node));
        let writing = writers
            .any(|node| state.instances(graph, node).unwrap_or_default().iter().any(is_running));
        Self { agents: max_agents.max(1).saturating_sub(running), writer_free: !writing }
    }

    /// Takes a permit for an instance of that node, if there is one.
    pub fn take(&mut self, node: &Node) -> bool {
        let writes = shares_tree(node);
        if self.agents == 0 || (writes && !self.writer_free) {
            return false;
        }
        self.agents -= 1;
        self.writer_free &= !writes;
        true
    }
}

/// Returns whether it writes the run's tree, which has one writer; each part has a tree of its own.
fn shares_tree(node: &Node) -> bool {
    node.writes() && !node.is_split()
}
