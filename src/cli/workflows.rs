//! From a workflow's name to its validated graph, and its limits below the user's own.

use std::path::PathBuf;

use crate::{
    cli::{
        args::RunArgs,
        context::Setup,
        exit::{Failure, Kind, OrFail},
    },
    coordinator::options::Options,
    graph::{
        dag::Graph,
        load,
        lookup::{self, Source},
    },
    tools::catalogue::catalogue,
};

/// Returns the folders that may hold workflows; the first one that has a name wins.
pub(super) fn folders(setup: &Setup) -> Vec<PathBuf> {
    setup.layers("workflows")
}

/// Returns a workflow by name or by path.
pub(super) fn find(setup: &Setup, name: &str) -> Result<Source, Failure> {
    lookup::find(name, &folders(setup)).or_fail(Kind::Usage)
}

/// Returns a workflow's validated graph.
pub(super) fn graph(source: &Source) -> Result<Graph, Failure> {
    load::load(&source.origin, &source.text, catalogue()).or_fail(Kind::Usage)
}

/// Lays the workflow's own limits below what the user said on the command line.
pub(super) fn limit(options: &mut Options, graph: &Graph, args: &RunArgs) {
    let limits = &graph.limits;
    if let (Some(usd), None, Some(cap)) = (limits.usd, &args.max_cost, options.max_cost) {
        options.max_cost = Some(cap.min(usd));
    }
    if let (Some(minutes), None) = (limits.minutes, args.timeout) {
        options.timeout_ms = options.timeout_ms.min(minutes.saturating_mul(60_000));
    }
    if let (Some(turns), None) = (limits.turns, args.max_turns) {
        options.max_turns = options.max_turns.min(turns);
    }
}
