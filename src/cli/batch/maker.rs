//! Orders for the runs of a batch: its settings, laid under what each task says for itself.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use serde::{Deserialize, Serialize};

use crate::{
    cli::{
        context::Context, exit::Failure, live, run_args::Output, settings::RunSettings, workers,
        workflows,
    },
    coordinator::{
        ground::Ground,
        options::Reuse,
        start::{Order, Stored},
    },
    fleet::work::{Errand, Maker},
    graph::{dag::Graph, lookup::Source},
    protocol::{
        report::{Check, Origin},
        task::Task,
        usage::Micros,
    },
    provider::{model::Model, nobody},
};

/// What all runs of a batch have in common; kept with the batch for a resume.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Common {
    /// The settings, flags laid over them.
    pub(super) run: RunSettings,
    /// Who does the work in the model's stead.
    pub(super) worker: Option<String>,
    /// Whether results of earlier runs may be used.
    pub(super) reuse: Reuse,
    /// Checks that every task must pass.
    pub(super) checks: Vec<Check>,
}

/// Makes the orders.
pub(super) struct Orders {
    context: Context,
    common: Common,
    /// By name, so that all runs share what a model knows of its limits.
    models: Mutex<BTreeMap<String, Arc<dyn Model>>>,
}

impl Orders {
    pub(super) fn new(context: Context, common: Common) -> Self {
        Self { context, common, models: Mutex::default() }
    }

    fn model(&self, name: Option<&str>) -> Result<Arc<dyn Model>, Failure> {
        let mut models = self.models.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(model) = name.and_then(|name| models.get(name)) {
            return Ok(model.clone());
        }
        let model = live::model(&self.context, name)?;
        // What is played is played from its beginning in each run.
        if let (Some(name), false) = (name, model.info().scripted) {
            models.insert(name.to_owned(), model.clone());
        }
        Ok(model)
    }

    /// Returns the order for an errand; also how a dry run finds out what cannot be.
    pub(super) fn make(&self, errand: &Errand) -> Result<(Ground, Order), Failure> {
        let Common { run, worker, reuse, checks } = &self.common;
        let mut settings = run.clone();
        settings.model = errand.task.model.clone().or(settings.model);
        let name = errand.task.workflow.clone().or(settings.workflow.take());
        let name = name.unwrap_or_else(|| "resolve".to_owned());
        let workflow = workflows::find(&self.context.setup, &name)?;
        let prompts = self.context.setup.prompts()?;
        let graph = workflows::graph(&workflow, &prompts)?;
        if graph.is_report() {
            let failure = Failure::usage(format!("the workflow `{name}` lands nothing"));
            return Err(failure.hint("a batch takes workflows that write, such as solo or resolve"));
        }
        if settings.model.is_none() && !workers::need_model(&graph, worker.as_deref()) {
            settings.model = Some(nobody::NAME.to_owned());
        }
        let model = self.model(settings.model.as_deref())?;
        let mut options = settings.options(*reuse).map_err(Failure::usage)?;
        if let (Some(usd), Some(cap)) = (graph.limits.usd, errand.cap) {
            options.max_cost = Some(cap.min(usd));
        } else {
            options.max_cost = errand.cap;
        }
        if model.info().scripted {
            options.max_cost = None;
        }
        options.checks.clone_from(checks);
        for command in &errand.task.verify {
            if !options.checks.iter().any(|check| check.command == *command) {
                options.checks.push(Check { command: command.clone(), origin: Origin::Named });
            }
        }
        options.worker.clone_from(worker);
        let (mut ground, _) = live::ground(&self.context, model, (Output::Json, &options))?;
        ground.workers = workers::hire(&self.context, (&graph, &options))?;
        ground.workflows = workflows::choices(&self.context.setup, &graph)?;
        let mut task = Task::new(&errand.text);
        task.slug.clone_from(&slug(&errand.task.id));
        let order = Order {
            task,
            graph,
            workflow_text: workflow.text,
            prompts,
            options,
            model: settings.model.unwrap_or_default(),
            base: errand.base.clone(),
            into: None,
            notes: Vec::new(),
        };
        Ok((ground, order))
    }

    fn go_on(&self, cap: Option<Micros>, stored: &mut Stored) -> Result<(Ground, Graph), Failure> {
        let source = Source {
            name: stored.started.workflow.clone(),
            origin: format!("the workflow of run {}", stored.run),
            text: stored.workflow_text.clone(),
        };
        let graph = workflows::graph(&source, &stored.prompts)?;
        let model = self.model(Some(&stored.started.model))?;
        if cap > stored.options.max_cost && !model.info().scripted {
            stored.options.max_cost = cap;
        }
        let (mut ground, _) = live::ground(&self.context, model, (Output::Json, &stored.options))?;
        ground.workers = workers::hire(&self.context, (&graph, &stored.options))?;
        ground.workflows = workflows::choices(&self.context.setup, &graph)?;
        Ok((ground, graph))
    }
}

/// Returns the part of a branch name that a task's id becomes: git knows names that it refuses.
fn slug(id: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    id.chars().map(plain).collect::<String>().trim_matches('-').to_owned()
}

impl Maker for Orders {
    fn order(&self, errand: &Errand) -> Result<(Ground, Order), String> {
        self.make(errand).map_err(|failure| failure.cause())
    }

    fn again(&self, errand: &Errand, stored: &mut Stored) -> Result<(Ground, Graph), String> {
        self.go_on(errand.cap, stored).map_err(|failure| failure.cause())
    }
}
