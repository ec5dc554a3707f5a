//! From a workflow's name to its validated graph, and its limits below the user's own.

use std::path::PathBuf;

use crate::{
    cli::{
        context::Setup,
        exit::{Failure, Kind, OrFail},
        run_args::CapArgs,
    },
    coordinator::options::Options,
    graph::{
        dag::Graph,
        load,
        lookup::{self, Source},
        node::{Node, Work},
    },
    prompt::set::PromptSet,
    settings::nearest,
    tools::catalogue::catalogue,
};

/// The tool with which an agent chooses a workflow.
const CHOOSE: &str = "plan_select";

/// Returns the folders that may hold workflows; the first one that has a name wins.
pub(super) fn folders(setup: &Setup) -> Vec<PathBuf> {
    setup.layers("workflows")
}

/// Returns a workflow by name or by path.
pub(super) fn find(setup: &Setup, name: &str) -> Result<Source, Failure> {
    lookup::find(name, &folders(setup)).map_err(|error| {
        Failure::new(Kind::Usage, error)
            .hint("`grafter workflow ls` lists them; a file is named with a slash or its ending")
    })
}

/// Returns a workflow's validated graph, whose roles all have a prompt.
pub(super) fn graph(source: &Source, prompts: &PromptSet) -> Result<Graph, Failure> {
    let graph = load::load(&source.origin, &source.text, catalogue()).or_fail(Kind::Usage)?;
    let roles = prompts.roles();
    for node in &graph.nodes {
        let role = node.role();
        if matches!(node.work, Work::Agent(_)) && !roles.contains(&role) {
            let near = nearest::hint(role, roles.iter().copied());
            let failure = Failure::usage(format!(
                "{}: node `{}` has the role `{role}`, for which there is no prompt{near} (known: {})",
                source.origin,
                node.id,
                roles.join(", ")
            ));
            return Err(failure.hint(format!(
                "write roles/{role}.md into the prompts folder of your configuration or of a \
                 trusted .grafter"
            )));
        }
    }
    Ok(graph)
}

/// Returns the workflows that an agent of this graph may choose, as name and text: none if no agent
/// has the tool for it.
pub(super) fn choices(setup: &Setup, graph: &Graph) -> Result<Vec<(String, String)>, Failure> {
    let chooses = |node: &Node| matches!(&node.work, Work::Agent(agent) if agent.tools.iter().any(|tool| tool == CHOOSE));
    if !graph.nodes.iter().any(chooses) {
        return Ok(Vec::new());
    }
    let all = lookup::list(&folders(setup)).or_fail(Kind::Usage)?;
    let others = all.into_iter().filter(|source| source.name != graph.name);
    Ok(others.map(|source| (source.name, source.text)).collect())
}

/// Lays the workflow's own limits below what the user said on the command line.
pub(super) fn limit(options: &mut Options, graph: &Graph, caps: &CapArgs) {
    let limits = &graph.limits;
    if let (Some(usd), None, Some(cap)) = (limits.usd, &caps.max_cost, options.max_cost) {
        options.max_cost = Some(cap.min(usd));
    }
    if let (Some(minutes), None) = (limits.minutes, caps.timeout) {
        options.timeout_ms = options.timeout_ms.min(minutes.saturating_mul(60_000));
    }
    if let (Some(turns), None) = (limits.turns, caps.max_turns) {
        options.max_turns = options.max_turns.min(turns);
    }
}
