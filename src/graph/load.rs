//! The one way from text to graph.

use crate::{
    graph::{
        dag::Graph,
        spec::Spec,
        validate::{self, Made},
    },
    protocol::tool::Catalogue,
    settings::{
        spot::Spot,
        yaml::{self, YamlError},
    },
};

/// Largest workflow file.
pub const MAX_BYTES: usize = 256 * 1024;

/// What is wrong with a workflow: one or more problems, each with its place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.shown())]
pub struct GraphError {
    /// What is wrong, in the order of the file.
    pub problems: Vec<YamlError>,
}

impl GraphError {
    fn shown(&self) -> String {
        let shown: Vec<String> = self.problems.iter().map(ToString::to_string).collect();
        shown.join("\n")
    }
}

/// Returns the graph that a workflow's text describes; `name` is the file's name in messages.
pub fn load(name: &str, text: &str, catalogue: &Catalogue) -> Result<Graph, GraphError> {
    read((name, text), catalogue, Made::Written)
}

/// Returns the graph of a text to which nodes were added while the run went on.
pub fn load_grown(name: &str, text: &str, catalogue: &Catalogue) -> Result<Graph, GraphError> {
    read((name, text), catalogue, Made::Grown)
}

fn read(
    (name, text): (&str, &str),
    catalogue: &Catalogue,
    made: Made,
) -> Result<Graph, GraphError> {
    if text.len() > MAX_BYTES {
        let spot = Spot::new(name, "", (0, 0));
        let message = format!("{} bytes are too many: at most 256 KiB", text.len());
        return Err(GraphError { problems: vec![YamlError { spot, message }] });
    }
    let spec: Spec =
        yaml::from_str(name, text).map_err(|error| GraphError { problems: vec![error] })?;
    validate::validate(&spec, catalogue, made).map_err(|problems| {
        let located = problems.into_iter().map(|problem| YamlError {
            spot: Spot::new(name, text, problem.at),
            message: problem.message,
        });
        GraphError { problems: located.collect() }
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use crate::{
        graph::{
            fixture::catalogue,
            load::{MAX_BYTES, load},
            lookup::shipped,
            node::Work,
        },
        protocol::task::{AgentKind, EditFormat},
    };

    #[test]
    fn what_is_shipped_is_right() {
        for (name, text) in shipped() {
            let graph = load(name, text, &catalogue()).unwrap();
            assert_eq!(graph.name, *name);
        }
    }

    #[test]
    fn defaults_come_from_the_phase() {
        let (_, text) = shipped().iter().find(|(name, _)| *name == "solo").unwrap();
        let graph = load("solo", text, &catalogue()).unwrap();
        let solve = graph.get("solve").unwrap();
        let Work::Agent(agent) = &solve.work else { panic!("solve is an agent") };
        assert_eq!(solve.kind, AgentKind::Worktree);
        assert!(agent.tools.contains(&"edit".to_owned()));
        assert!(!agent.tools.contains(&"report_finding".to_owned()));
        assert_eq!(agent.temperature(1), None);
    }

    #[test]
    fn a_list_adds_named_tools_to_those_of_the_phase() {
        let node = |tools: &str| {
            let node = format!("{{ id: a, phase: research, role: r{tools} }}");
            let text = format!("name: t\nversion: 1\nnodes:\n  - {node}\n");
            let graph = load("t", &text, &catalogue()).unwrap();
            let Work::Agent(agent) = graph.nodes[0].work.clone() else { panic!("an agent") };
            agent.tools
        };
        let all = node("");
        assert!(!all.contains(&"send".to_owned()), "{all:?}");
        let mut more = node(", tools: [send, default]");
        more.retain(|tool| tool != "send");
        assert_eq!(more, all);
    }

    #[test]
    fn repairs_get_warmer() {
        let (_, text) = shipped().iter().find(|(name, _)| *name == "small").unwrap();
        let graph = load("small", text, &catalogue()).unwrap();
        let Work::Agent(agent) = &graph.nodes[0].work else { panic!("the first is an agent") };
        assert_eq!(agent.edit_format, Some(EditFormat::WholeFunction));
        let by_attempt = [1, 2, 9].map(|attempt| agent.temperature(attempt));
        assert_eq!(by_attempt, [Some(0.0), Some(0.8), Some(0.8)]);
    }

    #[test]
    fn too_large_a_file() {
        let error = load("w.yaml", &"#".repeat(MAX_BYTES + 1), &catalogue()).unwrap_err();
        insta::assert_snapshot!(error, @"w.yaml: 262145 bytes are too many: at most 256 KiB");
    }

    #[test]
    fn too_many_nodes() {
        let nodes: String =
            (0..65).map(|n| format!("  - {{ id: n{n}, phase: research, role: r }}\n")).collect();
        let text = format!("name: t\nversion: 1\nnodes:\n{nodes}");
        insta::assert_snapshot!(load("w.yaml", &text, &catalogue()).unwrap_err(), @r"
        w.yaml:4:3: 65 nodes are too many: at most 64
        4 |   - { id: n0, phase: research, role: r }
          |   ^
        ");
    }

    #[test]
    fn alias_bomb() {
        let mut text = "name: t\nversion: 1\nnodes:\n".to_owned();
        let mut row = "a, a, a, a, a, a, a, a".to_owned();
        for n in 0..9 {
            text.push_str(&format!("  - {{ id: n{n}, phase: research, each: &x{n} [{row}] }}\n"));
            row = vec![format!("*x{n}"); 8].join(", ");
        }
        insta::assert_snapshot!(load("w.yaml", &text, &catalogue()).unwrap_err(), @r"
        w.yaml:8:58: too much for one file: at most 20000 values, 64 levels and few aliases
        8 |   - { id: n4, phase: research, each: &x4 [*x3, *x3, *x3, *x3, *x3, *x3, *x3, *x3] }
          |                                                          ^
        ");
    }

    #[test]
    fn aliases_in_reason_are_fine() {
        let text = "name: t\nversion: 1\nnodes:\n  - { id: a, phase: research, role: r, tools: &t [read] }\n  - { id: b, phase: research, role: r, tools: *t }\n";
        assert_eq!(load("w.yaml", text, &catalogue()).unwrap().nodes.len(), 2);
    }

    #[test]
    fn tags_run_nothing_and_hide_nothing() {
        let text = "name: !!python/object/apply:os.system ['x']\nversion: 1\nnodes: []\n";
        assert!(load("w.yaml", text, &catalogue()).is_err());
    }

    /// Texts that look like workflows but have any key and any value anywhere.
    fn almost() -> impl Strategy<Value = String> {
        let key = "(id|phase|work|role|kind|tools|needs|each|gives|takes|when|on_failure|max_turns|temperature|x)";
        let value = prop_oneof![
            "[a-z0-9-]{0,5}",
            "(research|synthesis|implementation|verification|checks|fork|worktree)",
            "\\[[a-c, ]{0,6}\\]",
            "\\{ ?(from|carry|to|max|exists|a): [a-c0-9]{1,2}(, (carry|max|at_least): [a-c0-9]{1,2})? ?\\}",
            "-?[0-9]{1,20}(\\.[0-9])?",
            "\\PC{0,6}",
        ];
        let node = prop::collection::vec((key, value), 1..8).prop_map(|keys| {
            let mut keys = keys;
            keys.sort();
            keys.dedup_by(|a, b| a.0 == b.0);
            let lines = keys.iter().map(|(key, value)| format!("    {key}: {value}\n"));
            lines.collect::<String>().replacen("   ", "  -", 1)
        });
        prop::collection::vec(node, 0..6)
            .prop_map(|nodes| format!("name: t\nversion: 1\nnodes:\n{}", nodes.concat()))
    }

    proptest! {
        #[test]
        fn any_text_is_bearable(text in "\\PC{0,200}") {
            let _ = load("w.yaml", &text, &catalogue());
        }

        #[test]
        fn any_almost_workflow_is_bearable(text in almost()) {
            if let Err(error) = load("w.yaml", &text, &catalogue()) {
                prop_assert!(!error.to_string().is_empty());
            }
        }
    }
}
