//! What may run next. Pure.

use std::collections::BTreeMap;

use crate::graph::{dag::Graph, node::Node};

/// Where a node stands; one that is not named is waiting.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NodeState {
    /// Not started.
    #[default]
    Waiting,
    /// Started.
    Running,
    /// Ended well.
    Succeeded,
    /// Ended badly.
    Failed,
    /// Its condition did not hold; counts as ended well.
    Skipped,
}

/// Returns the waiting nodes whose needs have all ended, in the order of the file. A failed node
/// holds up those that need it, unless it is optional.
pub fn ready(graph: &Graph, states: &BTreeMap<String, NodeState>) -> Vec<String> {
    let state = |id: &str| states.get(id).copied().unwrap_or_default();
    let ended = |id: &String| match state(id) {
        NodeState::Succeeded | NodeState::Skipped => true,
        NodeState::Failed => graph.get(id).is_some_and(|node| node.optional),
        NodeState::Waiting | NodeState::Running => false,
    };
    let may_start =
        |node: &&Node| state(&node.id) == NodeState::Waiting && node.needs.iter().all(&ended);
    graph.nodes.iter().filter(may_start).map(|node| node.id.clone()).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use crate::graph::{
        dag::Graph,
        fixture::graph,
        ready::{NodeState, ready},
    };

    fn states(named: &[(&str, NodeState)]) -> BTreeMap<String, NodeState> {
        named.iter().map(|(id, state)| ((*id).to_owned(), *state)).collect()
    }

    fn diamond() -> Graph {
        graph(
            "name: t\nversion: 1\nnodes:\n\
             \x20 - { id: a, phase: research, role: r, optional: true }\n\
             \x20 - { id: b, phase: research, role: r }\n\
             \x20 - { id: code, phase: implementation, role: r, needs: [a, b] }\n\
             \x20 - { id: c, phase: verification, work: checks, needs: [code] }\n",
        )
    }

    #[test]
    fn roots_first_then_what_they_free() {
        let graph = diamond();
        assert_eq!(ready(&graph, &states(&[])), ["a", "b"]);
        let half = states(&[("a", NodeState::Succeeded), ("b", NodeState::Running)]);
        assert!(ready(&graph, &half).is_empty());
        let both = states(&[("a", NodeState::Skipped), ("b", NodeState::Succeeded)]);
        assert_eq!(ready(&graph, &both), ["code"]);
    }

    #[test]
    fn only_an_optional_failure_is_forgiven() {
        let graph = diamond();
        let a = states(&[("a", NodeState::Failed), ("b", NodeState::Succeeded)]);
        assert_eq!(ready(&graph, &a), ["code"]);
        let b = states(&[("a", NodeState::Succeeded), ("b", NodeState::Failed)]);
        assert!(ready(&graph, &b).is_empty());
    }

    #[test]
    fn downstream_is_the_node_and_all_that_wait_for_it() {
        let graph = diamond();
        assert_eq!(graph.downstream("a"), ["a", "code", "c"]);
        assert!(graph.downstream("x").is_empty());
    }

    /// Valid graphs: each node needs some of those before it, writers stand in a row.
    fn valid() -> impl Strategy<Value = Graph> {
        let node = (any::<bool>(), any::<u64>());
        prop::collection::vec(node, 1..20).prop_map(|nodes| {
            let mut text = "name: t\nversion: 1\nnodes:\n".to_owned();
            let mut writer: Option<usize> = None;
            for (n, (writes, mask)) in nodes.iter().enumerate() {
                let mut needs: Vec<String> =
                    (0..n).filter(|m| mask >> m & 1 == 1).map(|m| format!("n{m}")).collect();
                let mut phase = "research";
                if *writes {
                    phase = "implementation";
                    needs.extend(writer.replace(n).map(|last| format!("n{last}")));
                    needs.sort();
                    needs.dedup();
                }
                let needs = needs.join(", ");
                text.push_str(&format!(
                    "  - {{ id: n{n}, phase: {phase}, role: r, needs: [{needs}] }}\n"
                ));
            }
            let readers = (0..nodes.len()).map(|n| format!("n{n}")).collect::<Vec<_>>().join(", ");
            text.push_str(&format!(
                "  - {{ id: last, phase: implementation, role: r, needs: [{readers}] }}\n"
            ));
            graph(&text)
        })
    }

    proptest! {
        #[test]
        fn every_valid_graph_drains_in_order(graph in valid(), picks in any::<u64>()) {
            let mut states = BTreeMap::new();
            let mut done = Vec::new();
            for round in 0..=graph.nodes.len() {
                let next = ready(&graph, &states);
                if next.is_empty() {
                    break;
                }
                let pick = next[(picks >> (round % 32)) as usize % next.len()].clone();
                prop_assert!(graph.get(&pick).unwrap().needs.iter().all(|id| done.contains(id)));
                states.insert(pick.clone(), NodeState::Succeeded);
                done.push(pick);
            }
            prop_assert_eq!(done.len(), graph.nodes.len());
        }
    }
}
