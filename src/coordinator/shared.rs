//! What the dispatcher, its units and its jobs have in common for one run; never changed.

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError, RwLock},
};

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::{
    coordinator::{contexts::Contexts, options::Options},
    external::options::Hired,
    git::{diff, repo::Repo, witness::Print},
    graph::dag::Graph,
    guard,
    journal::{results::Store, writer::Journal},
    prompt::set::PromptSet,
    protocol::{
        cause::chain,
        ids::{Oid, RunId},
        report::{DiffStat, RunEnd},
        request::Request,
        started::RunStarted,
    },
    provider::model::Model,
    subagent::housing::Housing,
    tools::standing::Standing,
};

/// One run's fixed parts.
pub(super) struct Shared {
    pub(super) run: RunId,
    pub(super) repo: Repo,
    /// As it is now: agents that lead the run add to it.
    pub(super) graph: RwLock<Arc<Graph>>,
    /// The workflows that such an agent may choose, as name and text.
    pub(super) workflows: Vec<(String, String)>,
    pub(super) prompts: PromptSet,
    pub(super) model: Arc<dyn Model>,
    /// Who is asked about commands, in auto mode.
    pub(super) classifier: Option<Arc<dyn Model>>,
    pub(super) options: Options,
    pub(super) started: RunStarted,
    pub(super) base_tree: Oid,
    /// The user's side of the repository when this process began.
    pub(super) before: Print,
    pub(super) journal: Journal,
    pub(super) housing: Housing,
    pub(super) store: Store,
    pub(super) requests: mpsc::UnboundedSender<Request>,
    /// No new calls.
    pub(super) stop: CancellationToken,
    /// Ends everything at once.
    pub(super) halt: CancellationToken,
    /// Whether somebody can be asked.
    pub(super) interactive: bool,
    /// The user's rules on commands.
    pub(super) rules: Arc<guard::options::Options>,
    /// The workers that this run may call, by name.
    pub(super) workers: BTreeMap<String, Hired>,
    /// What the user has said in this run so far.
    pub(super) standing: Standing,
    /// The contexts that forks share.
    pub(super) contexts: Contexts,
}

impl Shared {
    /// Returns the graph as it is now.
    pub(super) fn graph(&self) -> Arc<Graph> {
        self.graph.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Replaces the graph by one that has grown.
    pub(super) fn set_graph(&self, graph: Graph) {
        *self.graph.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(graph);
    }

    /// Returns the branch of the run's writer.
    pub(super) fn branch(&self) -> String {
        format!("grafter/{}/{}", self.run, self.started.task.slug)
    }
}

/// What a finished task says: nothing, or why the run shall stop.
pub(super) type Ended = Option<RunEnd>;

/// Returns an error as the end of a run.
pub(super) fn broken(error: &dyn std::error::Error) -> RunEnd {
    RunEnd::Infrastructure(chain(error))
}

/// Returns the result of blocking work, which runs beside the select loop.
pub(super) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(value) => value,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(_) => unreachable!("blocking work is never aborted"),
    }
}

/// Returns the lines changed from one commit to another.
pub(super) fn stat(repo: &Repo, (from, to): (&Oid, &Oid)) -> Result<DiffStat, String> {
    let stat = diff::stat(repo, from, to).map_err(|error| chain(&error))?;
    let files =
        stat.files.into_iter().map(|file| (file.path, file.added as u64, file.removed as u64));
    Ok(DiffStat { files: files.collect() })
}
