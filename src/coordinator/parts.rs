//! Parts of one change, made side by side and joined in the order of their list. Pure.
//!
//! Each part has a tree of its own, so several may be written at once. What a part comes after is
//! joined before it begins, and it begins on exactly that; so where it begins follows from the
//! journal, whoever was faster. A part that does not merge begins again on all that is joined.

use crate::{
    coordinator::{
        plan::Effect,
        state::{RunState, is_terminal},
    },
    graph::{
        dag::Graph,
        node::{Each, Node},
        ready::NodeState,
    },
    protocol::{
        ids::{NodeId, Oid},
        part::{self, Part},
    },
};

/// Whether a part may begin, as far as the parts go that it builds on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Basis {
    /// All of them are joined.
    Joined,
    /// One of them is not yet.
    Open(NodeId),
    /// One of them will never be.
    Lost(NodeId),
}

impl RunState {
    /// Returns the parts of a node with several writers, as far as they are known.
    pub fn parts(&self, graph: &Graph, node: &Node) -> Vec<Part> {
        let read = |items: &[serde_json::Value]| part::read(items).unwrap_or_default();
        match &node.each {
            Some(Each::Number(count)) => vec![Part::default(); *count],
            Some(Each::Items(items)) => read(items),
            Some(Each::Carry { node: from, name }) => {
                let items = self.carry(graph, from, name);
                items
                    .as_ref()
                    .and_then(|items| items.as_array())
                    .map_or(Vec::new(), |all| read(all))
            }
            None => Vec::new(),
        }
    }

    /// Returns the part that an instance writes; none if it is no writer of a part.
    pub fn part(&self, graph: &Graph, id: &NodeId) -> Option<Part> {
        let (name, index) = id.place();
        let node = graph.get(name).filter(|node| node.is_split())?;
        self.parts(graph, node).into_iter().nth(index as usize)
    }

    /// Returns whether a part is in the joined work.
    pub fn is_joined(&self, id: &NodeId) -> bool {
        self.joined.iter().any(|(part, _)| part == id)
    }

    /// Returns what is joined of a node's parts so far.
    pub fn stock(&self, node: &str) -> Option<&Oid> {
        let mut own = self.joined.iter().rev().filter(|(part, _)| part.place().0 == node);
        own.next().map(|(_, stock)| stock)
    }

    /// Returns where the parts stand that a part builds on.
    pub fn basis(&self, graph: &Graph, id: &NodeId) -> Basis {
        for other in self.before(graph, id) {
            match self.state_of(&other) {
                _ if self.is_joined(&other) => {}
                NodeState::Failed | NodeState::Skipped => return Basis::Lost(other),
                _ => return Basis::Open(other),
            }
        }
        Basis::Joined
    }

    fn before(&self, graph: &Graph, id: &NodeId) -> Vec<NodeId> {
        let Some(part) = self.part(graph, id) else { return Vec::new() };
        let name = id.place().0;
        let all = graph.get(name).map(|node| self.parts(graph, node)).unwrap_or_default();
        let named = all.iter().enumerate().filter(|(_, other)| part.after.contains(&other.id));
        named.map(|(index, _)| NodeId::new(format!("{name}.{index}"))).collect()
    }

    /// Returns the commit that a writer's work is made on top of: what writers before it have made,
    /// else the base of the run.
    pub fn floor(&self, graph: &Graph, name: &str) -> Option<Oid> {
        let made = |name: &String| match graph.get(name)? {
            node if node.is_split() => self.stock(name).cloned(),
            node if node.writes() => {
                self.nodes.get(&NodeId::new(name))?.outcome.as_ref()?.commit.clone()
            }
            _ => None,
        };
        // The nearest of them has all the others before it.
        let mut writers = graph.upstream(name);
        writers.sort_by_key(|name| std::cmp::Reverse(graph.upstream(name).len()));
        let base = || self.started.as_ref().map(|started| started.base.clone());
        writers.iter().find_map(made).or_else(base)
    }

    /// Returns the commit that a part's tree is made at.
    pub fn ground(&self, graph: &Graph, id: &NodeId) -> Option<Oid> {
        let before = self.before(graph, id);
        let mut joined = self.joined.iter().rev();
        let last = joined.find(|(part, _)| before.contains(part)).map(|(_, stock)| stock.clone());
        last.or_else(|| self.floor(graph, id.place().0))
    }

    /// Returns the commit that an instance's work begins at: its ground, or all that is joined once
    /// it did not merge.
    pub fn begin(&self, graph: &Graph, id: &NodeId) -> Option<Oid> {
        match self.stock(id.place().0) {
            Some(stock) if self.was_sent_back(id) => Some(stock.clone()),
            _ => self.ground(graph, id),
        }
    }

    fn was_sent_back(&self, id: &NodeId) -> bool {
        self.loops.get(id.as_str()).is_some_and(|count| *count > 0)
    }

    /// Returns the part that is to be joined next, if its turn has come.
    pub fn next_part(&self, graph: &Graph) -> Option<NodeId> {
        let split = graph.nodes.iter().filter(|node| node.is_split());
        split.filter_map(|node| self.turn(graph, node)).find(|id| !self.clashes.contains_key(id))
    }

    /// Returns the first part that is neither joined nor given up, once it is written.
    fn turn(&self, graph: &Graph, node: &Node) -> Option<NodeId> {
        let ids = self.instances(graph, node).unwrap_or_default();
        let open = |id: &NodeId| {
            !self.is_joined(id)
                && !matches!(self.state_of(id), NodeState::Failed | NodeState::Skipped)
        };
        let next = ids.into_iter().find(open)?;
        is_terminal(self.state_of(&next)).then_some(next)
    }

    /// Returns what becomes of parts that do not merge: done once more, then given up.
    pub fn settle_clashes(&self) -> Vec<Effect> {
        let settle = |(id, paths): (&NodeId, &Vec<String>)| {
            if !self.was_sent_back(id) {
                return Effect::SendBack { nodes: vec![id.clone()], failed: vec![id.clone()] };
            }
            let list = paths.join(", ");
            Effect::Park(id.clone(), format!("does not merge, twice: conflict in {list}"))
        };
        self.clashes.iter().map(settle).collect()
    }
}
