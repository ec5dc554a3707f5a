//! Beginning a run, or going on with one: everything from the options to the dispatcher's task.

use std::{
    path::PathBuf,
    sync::{Arc, RwLock},
};

use thiserror::Error;
use tokio::{
    sync::mpsc::{self, UnboundedReceiver, UnboundedSender},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

use crate::{
    coordinator::{
        contexts::Contexts,
        control::{self, Call, SocketGuard},
        dispatch::{Dispatcher, Wires},
        ground::Ground,
        lead,
        options::Options,
        shared::{Shared, blocking},
        state::RunState,
    },
    git::witness::Print,
    graph::dag::Graph,
    journal::{
        results::Store,
        runs::{self, RunDir},
        sign::Key,
        writer::{Journal, JournalError},
    },
    prompt::set::PromptSet,
    protocol::{
        cause::chain,
        event::{Event, Level, What},
        ids::{Oid, RunId},
        report::RunEnd,
        started::RunStarted,
        task::Task,
    },
    provider::model::Model,
    subagent::{
        housing::Housing,
        sweep::{self, Writer},
    },
    tools::standing::Standing,
};

/// What shall be done.
pub struct Order {
    /// The task.
    pub task: Task,
    /// The validated workflow.
    pub graph: Graph,
    /// Its text, kept for a resume.
    pub workflow_text: String,
    /// The prompts.
    pub prompts: PromptSet,
    /// The limits and choices.
    pub options: Options,
    /// The model as the user wrote it.
    pub model: String,
    /// The commit the run starts from.
    pub base: Oid,
    /// The branch that receives; none takes `grafter/<run>/landed`.
    pub into: Option<String>,
    /// What the user should know from the start.
    pub notes: Vec<(Level, String)>,
}

/// A live run.
pub struct Handle {
    /// Its id.
    pub run: RunId,
    /// Every record, as it is written.
    pub events: UnboundedReceiver<Event>,
    /// Stops it, and talks to its agents.
    pub control: UnboundedSender<Call>,
    /// Ends with it.
    pub done: JoinHandle<Result<RunEnd, JournalError>>,
}

/// Why a run cannot begin or go on.
#[derive(Debug, Error)]
pub enum StartError {
    /// The journal.
    #[error("cannot open the journal of the run")]
    Journal(#[from] JournalError),
    /// The repository.
    #[error("cannot read the repository: {0}")]
    Repository(String),
    /// The stored workflow, prompts or options are not readable.
    #[error("run {run} cannot go on: its {what} cannot be read: {cause}")]
    Stored {
        /// The run.
        run: RunId,
        /// Which part.
        what: &'static str,
        /// What went wrong.
        cause: String,
    },
    /// It was killed before its first record.
    #[error("run {run} was killed before it began")]
    Unborn {
        /// The run.
        run: RunId,
    },
    /// The record is to be signed, and there is nothing to sign it with.
    #[error("the run's record is to be signed, and no key was given")]
    NoKey,
    /// A money cap needs a price.
    #[error("no price is known for model `{model}`, so a money cap cannot be kept")]
    NoPrice {
        /// The model.
        model: String,
    },
    /// The run is over.
    #[error("run {run} is over: {end}")]
    Over {
        /// The run.
        run: RunId,
        /// How it ended.
        end: String,
    },
}

/// Begins a run.
pub async fn start(ground: Ground, order: Order) -> Result<Handle, StartError> {
    let run = runs::new_id(&ground.repo.state_dir());
    start_as(ground, order, run).await
}

/// Begins a run under a name that was chosen before, so that whoever orders it can note it first.
pub async fn start_as(ground: Ground, order: Order, run: RunId) -> Result<Handle, StartError> {
    priced(&*ground.model, &order.options, &order.model)?;
    classifier_priced(&ground, &order.options)?;
    let state_dir = ground.repo.state_dir();
    let target = order.into.clone().unwrap_or_else(|| format!("grafter/{run}/landed"));
    let (repo, name) = (ground.repo.clone(), target.clone());
    let tip = blocking(move || repo.tip(&name)).await;
    let tip = tip.map_err(|error| StartError::Repository(chain(&error)))?;
    let (sink, records) = mpsc::unbounded_channel();
    let dir = runs::folder(&state_dir).join(run.as_str());
    let mut options = order.options;
    let key = signer(&ground, &options)?;
    let journal = Journal::create(&dir, run.clone(), sink)?;
    key.map_or(Ok(()), |key| journal.sign_with(key))?;
    options.model_format = ground.model.info().edit_format;
    let started = RunStarted {
        workflow: order.graph.name.clone(),
        workflow_text: journal.keep(order.workflow_text.clone())?,
        prompts: journal.keep(order.prompts.to_json())?,
        options: journal.keep(json(&options))?,
        model: order.model.clone(),
        scripted: ground.model.info().scripted,
        base: order.base.clone(),
        target,
        tip,
        checkout: ground.repo.checkout().display().to_string(),
        mode: Some(options.mode),
        task: order.task.clone(),
    };
    journal.append(None, None, What::RunStarted(Box::new(started.clone()))).await?;
    for (level, text) in order.notes {
        journal.append(None, None, What::Note { level, text }).await?;
    }
    let plan = Plan { run, graph: order.graph, prompts: order.prompts, options };
    let ground = ground.with_attributes(&started.base);
    launch(ground, plan, Live { started, journal, records, past: Vec::new() }).await
}

/// A stored run that is about to go on.
pub struct Stored {
    journal: Journal,
    past: Vec<Event>,
    records: UnboundedReceiver<Event>,
    other_model: Option<String>,
    /// How it was started, with the model it has now.
    pub started: RunStarted,
    /// Its options.
    pub options: Options,
    /// The text of its workflow.
    pub workflow_text: String,
    /// Its prompts.
    pub prompts: PromptSet,
    /// Its id.
    pub run: RunId,
}

impl Stored {
    /// Goes on with another model than the run had so far.
    pub fn change_model(&mut self, name: &str) {
        if name != self.started.model {
            self.started.change_model(name);
            self.other_model = Some(name.to_owned());
        }
    }

    /// Returns what happened so far.
    pub fn past(&self) -> &[Event] {
        &self.past
    }
}

/// Opens a stored run; takes its lock, so no other process can go on with it meanwhile.
pub async fn open(found: &RunDir) -> Result<Stored, StartError> {
    let run = &found.id;
    let (sink, records) = mpsc::unbounded_channel();
    let dir = found.path.clone();
    let (journal, past) = blocking(move || Journal::open(&dir, sink)).await?;
    let bad = |what, cause: String| StartError::Stored { run: run.clone(), what, cause };
    // The fold knows the model and the options of the last resume.
    let started = RunState::fold(&past).started.map(|started| *started);
    let started = started.ok_or_else(|| StartError::Unborn { run: run.clone() })?;
    if let Some(end) = over(&past) {
        return Err(StartError::Over { run: run.clone(), end });
    }
    let options = journal.fetch(&started.options)?;
    let options =
        serde_json::from_str(&options).map_err(|error| bad("options", error.to_string()))?;
    let prompts = journal.fetch(&started.prompts)?;
    let prompts = PromptSet::from_json(&prompts).map_err(|error| bad("prompts", chain(&error)))?;
    let workflow_text = journal.fetch(&started.workflow_text)?;
    let run = run.clone();
    let other_model = None;
    Ok(Stored {
        journal,
        past,
        records,
        other_model,
        started,
        options,
        workflow_text,
        prompts,
        run,
    })
}

/// Landed and unresolved runs are over; what was interrupted, out of budget or broken goes on.
fn over(past: &[Event]) -> Option<String> {
    // Notes may follow the end of a run.
    let mut last = past.iter().rev().map(|event| &event.what);
    match last.find(|what| !matches!(what, What::Note { .. })) {
        Some(What::RunFinished { end: RunEnd::Landed { commit, branch, .. }, .. }) => {
            Some(format!("{} landed on {branch}", commit.short()))
        }
        Some(What::RunFinished { end: RunEnd::Reported, .. }) => Some("it has reported".to_owned()),
        Some(What::RunFinished {
            end: RunEnd::NotResolved(why) | RunEnd::Conflict(why), ..
        }) => Some(why.clone()),
        _ => None,
    }
}

/// Goes on with a stored run.
pub async fn resume(ground: Ground, graph: Graph, stored: Stored) -> Result<Handle, StartError> {
    priced(&*ground.model, &stored.options, &stored.started.model)?;
    classifier_priced(&ground, &stored.options)?;
    signer(&ground, &stored.options)?.map_or(Ok(()), |key| stored.journal.sign_with(key))?;
    let pid = std::process::id();
    let model = stored.other_model.clone();
    // A limit that was raised stays so, also when this process dies as well.
    let options = stored.journal.keep(json(&stored.options))?;
    let options = (options != stored.started.options).then_some(options);
    stored.journal.append(None, None, What::RunResumed { pid, model, options }).await?;
    let Stored { journal, past, records, started, options, prompts, run, .. } = stored;
    if let Some(paused) = RunState::fold(&past).told.paused() {
        // No warning, which the summary would still tell when it is long over.
        let text = format!("still paused: {paused}; `grafter unpause --all` lets all go on");
        journal.append(None, None, What::Note { level: Level::Info, text }).await?;
    }
    let plan = Plan { run, graph, prompts, options };
    let ground = ground.with_attributes(&started.base);
    launch(ground, plan, Live { started, journal, records, past }).await
}

fn priced(model: &dyn Model, options: &Options, name: &str) -> Result<(), StartError> {
    let info = model.info();
    if options.max_cost.is_some() && info.price.is_none() && !info.scripted {
        return Err(StartError::NoPrice { model: name.to_owned() });
    }
    Ok(())
}

fn classifier_priced(ground: &Ground, options: &Options) -> Result<(), StartError> {
    let classifier = ground.classifier.as_deref();
    classifier.map_or(Ok(()), |model| priced(model, options, model.name()))
}

/// Returns what signs the record, if it is to be signed.
fn signer(ground: &Ground, options: &Options) -> Result<Option<Key>, StartError> {
    match &ground.key {
        Some(key) if options.sign => Ok(Some(key.clone())),
        None if options.sign => Err(StartError::NoKey),
        _ => Ok(None),
    }
}

fn json(options: &Options) -> String {
    serde_json::to_string(options).expect("options are plain data")
}

struct Plan {
    run: RunId,
    graph: Graph,
    prompts: PromptSet,
    options: Options,
}

struct Live {
    started: RunStarted,
    journal: Journal,
    records: UnboundedReceiver<Event>,
    past: Vec<Event>,
}

/// Serves the control socket; without it the run goes on, but `grafter cancel` cannot reach it.
async fn reachable(
    socket: PathBuf,
    control: &UnboundedSender<Call>,
    journal: &Journal,
) -> Result<Option<SocketGuard>, JournalError> {
    let text = match control::serve(socket.clone(), control.clone()) {
        Ok(guard) => return Ok(Some(guard)),
        Err(error) => format!(
            "`grafter cancel` cannot reach this run, a signal can: no socket {}: {error}",
            socket.display()
        ),
    };
    journal.append(None, None, What::Note { level: Level::Warning, text }).await?;
    Ok(None)
}

async fn launch(ground: Ground, plan: Plan, live: Live) -> Result<Handle, StartError> {
    let (requests_in, requests) = mpsc::unbounded_channel();
    let (control, calls) = mpsc::unbounded_channel();
    let (events_in, events) = mpsc::unbounded_channel();
    let (repo, base) = (ground.repo.clone(), live.started.base.clone());
    // Before anything of the run is made, so that nothing of it counts as the user's.
    let (base_tree, before) = blocking(move || (repo.tree_of(&base), Print::of(&repo))).await;
    let base_tree = base_tree.map_err(|error| StartError::Repository(chain(&error)))?;
    let socket = control::socket_path(&ground.runtime, &plan.run);
    let guard = reachable(socket, &control, &live.journal).await?;
    let swept = sweep_others(&ground, &plan.run);
    let site = ground.site(&plan.run, &plan.options);
    let run = plan.run;
    let shared = Arc::new(Shared {
        run: run.clone(),
        store: Store::open(&ground.repo.state_dir()),
        repo: ground.repo,
        graph: RwLock::new(Arc::new(plan.graph)),
        workflows: ground.workflows,
        prompts: plan.prompts,
        model: ground.model,
        classifier: ground.classifier,
        options: plan.options,
        started: live.started,
        base_tree,
        before,
        housing: Housing::new(site, live.journal.clone()),
        journal: live.journal,
        requests: requests_in,
        stop: CancellationToken::new(),
        halt: CancellationToken::new(),
        interactive: ground.asks.is_some(),
        rules: Arc::new(ground.guard),
        workers: ground.workers.into_iter().map(|worker| (worker.name.clone(), worker)).collect(),
        standing: Standing::default(),
        contexts: Contexts::default(),
    });
    let added = RunState::fold(&live.past).added;
    if !added.is_empty() {
        let bad = |cause| StartError::Stored { run: run.clone(), what: "graph", cause };
        let added = lead::additions(&shared.journal, &added).map_err(bad)?;
        shared.set_graph(lead::graph_of(&shared.journal, &shared.started, &added).map_err(bad)?);
    }
    let wires =
        Wires { records: live.records, events: events_in, requests, calls, asks: ground.asks };
    let dispatcher = Dispatcher::new(shared.clone(), live.past, wires);
    let done = tokio::spawn(async move {
        let _socket = guard;
        let end = dispatcher.run().await;
        shared.housing.close(writer_after(&end)).await;
        // Sweeping is a courtesy: what it leaves, the next run finds.
        let _ = swept.await;
        shared.journal.clone().close().await?;
        end
    });
    Ok(Handle { run, events, control, done })
}

/// Takes away what other runs left behind, beside this one.
fn sweep_others(ground: &Ground, run: &RunId) -> JoinHandle<()> {
    let (repo, trees, run) = (ground.repo.clone(), ground.trees.clone(), run.clone());
    tokio::spawn(blocking(move || sweep::others(&repo, &trees, &run)))
}

fn writer_after(end: &Result<RunEnd, JournalError>) -> Writer {
    match end {
        Ok(RunEnd::Landed { .. }) => Writer::Landed,
        _ => Writer::Stays,
    }
}
