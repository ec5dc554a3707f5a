//! `grafter resume`: goes on with a run from its journal.

use std::process::ExitCode;

use crate::{
    cli::{
        context::Context,
        exit::Failure,
        history,
        live::{self, Watch},
        panes::Panes,
        run_args::{CapArgs, ResumeArgs},
        settings::RunSettings,
        workers, workflows,
    },
    coordinator::{
        options::Reuse,
        start::{self, Handle},
    },
    graph::lookup::Source,
    ui::view::View,
};

/// Goes on with a run; nothing that it finished is done or paid again.
pub(super) async fn resume(
    context: Result<Context, Failure>,
    args: &ResumeArgs,
) -> Result<ExitCode, Failure> {
    let begun = async { begin(context?, args).await };
    let (handle, watch) = begun.await.map_err(|failure| failure.told(args.output))?;
    live::follow(handle, watch).await
}

async fn begin(context: Context, args: &ResumeArgs) -> Result<(Handle, Watch), Failure> {
    live::git().await?;
    let found = history::find(&context, &args.run)?;
    let failed = |error| live::start_failure(error, found.id.as_str());
    let mut stored = start::open(&found).await.map_err(failed)?;
    live::accepted(&context.repo, stored.options.mode, args.i_accept.as_deref())?;
    // The caps are the only options that a resume may change: they are why many runs end.
    let CapArgs { max_cost, max_tokens, max_turns, timeout } = &args.caps;
    if let Some(cost) = max_cost {
        let caps = RunSettings { max_cost: Some(cost.clone()), ..RunSettings::default() };
        stored.options.max_cost = caps.options(Reuse::Known).map_err(Failure::usage)?.max_cost;
    }
    stored.options.max_tokens = max_tokens.or(stored.options.max_tokens);
    stored.options.max_turns = max_turns.unwrap_or(stored.options.max_turns);
    let minutes = timeout.map(|minutes| minutes.saturating_mul(60_000));
    stored.options.timeout_ms = minutes.unwrap_or(stored.options.timeout_ms);
    let source = Source {
        name: stored.started.workflow.clone(),
        origin: format!("the workflow of run {}", stored.run),
        text: stored.workflow_text.clone(),
    };
    let graph = workflows::graph(&source, &stored.prompts)?;
    if let Some(name) = &args.model {
        stored.change_model(name);
    }
    let model = live::model(&context, Some(&stored.started.model))?;
    let workers = workers::hire(&context, (&graph, &stored.options))?;
    let (mut ground, asks) = live::ground(&context, model, (args.output, &stored.options))?;
    ground.workers = workers;
    ground.workflows = workflows::choices(&context.setup, &graph)?;
    let budget = stored.options.max_cost;
    let past = View::of(stored.past());
    let handle = start::resume(ground, graph, stored).await.map_err(failed)?;
    let panes = Panes::wanted(&context, args.panes)?;
    Ok((handle, Watch { output: args.output, past, budget, asks, panes }))
}
