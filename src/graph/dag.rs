//! The validated graph: nodes in the order of the file, edges in petgraph.

use std::collections::BTreeSet;

use petgraph::{
    Direction,
    graph::{DiGraph, NodeIndex},
    visit::{Dfs, Reversed},
};

use crate::{graph::node::Node, protocol::usage::Micros};

/// The carry that a workflow which writes nothing comes to.
const REPORT: &str = "report";

/// A workflow that is correct: ids are unique, every edge leads to a node, there is no circle.
#[derive(Clone, Debug)]
pub struct Graph {
    /// The workflow's name.
    pub name: String,
    /// Its format version.
    pub version: u32,
    /// What a run may use, unless the command line says otherwise.
    pub limits: Limits,
    /// Its nodes, in the order of the file.
    pub nodes: Vec<Node>,
    pub(crate) edges: Edges,
}

/// What a run may use; nothing means the default of the command line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Money.
    pub usd: Option<Micros>,
    /// Wall time in minutes.
    pub minutes: Option<u64>,
    /// Model answers, all agents together.
    pub turns: Option<u32>,
}

impl Graph {
    /// Returns the node of that id.
    pub fn get(&self, id: &str) -> Option<&Node> {
        self.nodes.iter().find(|node| node.id == id)
    }

    /// Returns whether it is there to say something, and writes nothing: a node gives a `report`.
    pub fn is_report(&self) -> bool {
        let reports = |node: &Node| node.gives.contains_key(REPORT);
        !self.nodes.iter().any(Node::writes) && self.nodes.iter().any(reports)
    }

    /// Returns the ids of a node and of all that depend on it, in the order of the file.
    pub fn downstream(&self, id: &str) -> Vec<String> {
        let Some(at) = self.nodes.iter().position(|node| node.id == id) else { return Vec::new() };
        let reached = self.edges.reached(at, Direction::Outgoing);
        reached.into_iter().map(|at| self.nodes[at].id.clone()).collect()
    }

    /// Returns the ids of all nodes that come before a node, in the order of the file.
    pub fn upstream(&self, id: &str) -> Vec<String> {
        let Some(at) = self.nodes.iter().position(|node| node.id == id) else { return Vec::new() };
        self.edges.before(at).into_iter().map(|at| self.nodes[at].id.clone()).collect()
    }
}

/// Edges between node positions: from what is needed to what needs it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Edges(DiGraph<(), ()>);

impl Edges {
    /// Makes `count` nodes joined by `(needed, needing)` pairs of positions below `count`.
    pub(crate) fn new(count: usize, pairs: &[(usize, usize)]) -> Self {
        let mut graph = DiGraph::with_capacity(count, pairs.len());
        let indices: Vec<NodeIndex> = (0..count).map(|_| graph.add_node(())).collect();
        for (from, to) in pairs {
            graph.update_edge(indices[*from], indices[*to], ());
        }
        Self(graph)
    }

    /// Returns a position and all that can be reached from it.
    pub(crate) fn reached(&self, from: usize, direction: Direction) -> BTreeSet<usize> {
        let mut found = BTreeSet::new();
        let start = NodeIndex::new(from);
        match direction {
            Direction::Outgoing => {
                let mut search = Dfs::new(&self.0, start);
                while let Some(next) = search.next(&self.0) {
                    found.insert(next.index());
                }
            }
            Direction::Incoming => {
                let mut search = Dfs::new(Reversed(&self.0), start);
                while let Some(next) = search.next(Reversed(&self.0)) {
                    found.insert(next.index());
                }
            }
        }
        found
    }

    /// Returns all that comes before a position, without itself unless it stands in a circle.
    pub(crate) fn before(&self, at: usize) -> BTreeSet<usize> {
        let direct = self.0.neighbors_directed(NodeIndex::new(at), Direction::Incoming);
        direct.flat_map(|from| self.reached(from.index(), Direction::Incoming)).collect()
    }

    /// Returns whether anything needs a position.
    pub(crate) fn has_next(&self, at: usize) -> bool {
        self.0.neighbors(NodeIndex::new(at)).next().is_some()
    }

    /// Returns the circles: groups of positions that all depend on each other, each sorted.
    pub(crate) fn circles(&self) -> Vec<Vec<usize>> {
        let groups = petgraph::algo::tarjan_scc(&self.0);
        let mut circles: Vec<Vec<usize>> = groups
            .into_iter()
            .filter(|group| {
                group.len() > 1 || group.iter().any(|at| self.0.find_edge(*at, *at).is_some())
            })
            .map(|group| {
                let mut positions: Vec<usize> = group.into_iter().map(NodeIndex::index).collect();
                positions.sort_unstable();
                positions
            })
            .collect();
        circles.sort();
        circles
    }
}
