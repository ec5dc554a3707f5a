//! `grafter batch`: a backlog, from the command line to its last word.

mod backlog;
mod forecast;
mod maker;
pub(super) mod settings;

use std::{
    io::{self, IsTerminal, Write},
    path::Path,
    process::ExitCode,
    sync::Arc,
    thread,
};

use self::{
    maker::{Common, Orders},
    settings::BatchSettings,
};
use crate::{
    cli::{
        batch_args::{BatchArgs, Land},
        context::Context,
        exit::{Failure, Kind, OrFail},
        live, out, run,
        run_args::{ModeName, Output},
        settings::RunSettings,
    },
    coordinator::options::Reuse,
    fleet::{
        message::Template,
        scope,
        start::{self, BatchError, BatchOrder, Ended, Ground, Handle},
        state::BatchState,
        work::News,
    },
    git::{include, repo::Repo},
    journal::runs::{Of, RunDir},
    protocol::{
        batch::{BatchTask, Trouble},
        event::Level,
        ids::Oid,
        report::Check,
        task::Mode,
        usage::Micros,
    },
    subagent::{housing::Site, ladder, setup},
    ui::{
        batch::{self as shown, live::Table},
        json,
        text::{Colour, count},
    },
    verify::slots,
};

/// Works a backlog.
pub(super) async fn batch(
    context: Result<Context, Failure>,
    args: &BatchArgs,
) -> Result<ExitCode, Failure> {
    let begun = async {
        let context = context?;
        live::git().await?;
        match &args.resume {
            Some(name) => resume(context, name, args).await.map(Some),
            None => begin(context, args).await,
        }
    };
    let begun = begun.await.map_err(|failure| failure.told(args.output))?;
    match begun {
        Some(handle) => follow(handle, args.output).await,
        None => Ok(ExitCode::SUCCESS),
    }
}

async fn begin(context: Context, args: &BatchArgs) -> Result<Option<Handle>, Failure> {
    let path = args.tasks.as_deref().unwrap_or(Path::new("-"));
    let (tasks, others) = backlog::read(&context.repo, path)?;
    let settings = overlay(context.setup.section::<RunSettings>()?, args)?;
    let batch: BatchSettings = context.setup.section()?;
    run::targets(&context.repo, args.into.as_deref())?;
    let base = base(&context.repo, args)?;
    let reuse = if args.fresh { Reuse::Fresh } else { Reuse::Known };
    let options = settings.options(reuse).map_err(Failure::usage)?;
    let dirty = context.repo.is_dirty().or_fail(Kind::Infrastructure)?;
    let checks = match options.checks.is_empty() {
        true => run::detected(&context, (&base, dirty))?,
        false => options.checks.clone(),
    };
    let notes = notes(&context, &settings, ((&tasks, others), &checks));
    let order = BatchOrder {
        into: args.into.clone(),
        base,
        checks: checks.clone(),
        check_timeout_ms: options.check_timeout_ms,
        workers: args.workers,
        slots: args.check_slots.unwrap_or_else(cores),
        style: args.land.into(),
        message: message(&batch.message, args)?,
        lockfiles: batch.lockfiles,
        protected: globs(&args.protect)?,
        max_cost: cap(&args.max_cost)?,
        task_cost: options.max_cost,
        retries: args.retries,
        retry_on: retry_on(args)?,
        notes,
        settings: String::new(),
        tasks,
    };
    let common = Common { run: settings, worker: args.worker.clone(), reuse, checks };
    let text = serde_json::to_string(&common).or_fail(Kind::Infrastructure)?;
    let order = BatchOrder { settings: text, ..order };
    let site = site(&context, &common)?;
    let runtime = context.setup.paths.runtime.clone();
    let orders = Orders::new(context, common);
    let free = forecast::refuse(&site.repo, &orders, &order)?;
    if args.dry_run {
        forecast::show(&site.repo, (&order, &free), args.output)?;
        return Ok(None);
    }
    let ground = Ground { site, runtime, maker: Arc::new(orders) };
    slots::set(order.slots);
    start::start(ground, order).await.map(Some).map_err(failed)
}

/// Returns what the user should know from the start.
fn notes(
    context: &Context,
    settings: &RunSettings,
    ((tasks, others), checks): ((&[BatchTask], usize), &[Check]),
) -> Vec<(Level, String)> {
    let own = |task: &BatchTask| !task.verify.is_empty();
    let mut notes = context.setup.notes.clone();
    if checks.is_empty() && !tasks.iter().all(own) {
        let text = "no check was found and none given with --verify: only what a reviewer passes \
                    lands, and nothing shows that it goes together";
        notes.push((Level::Warning, text.to_owned()));
    }
    if others > 0 {
        let text = format!(
            "{} for other repositories left out: run it there as well",
            count(others, "task")
        );
        notes.push((Level::Info, text));
    }
    notes.extend(run::mode_note(settings.mode));
    notes.extend(live::weaknesses(context));
    notes
}

async fn resume(context: Context, name: &str, args: &BatchArgs) -> Result<Handle, Failure> {
    let found = find(&context, name)?;
    let settings = start::settings(&found).map_err(failed)?;
    let common: Common = serde_json::from_str(&settings).or_fail(Kind::Infrastructure)?;
    let site = site(&context, &common)?;
    let runtime = context.setup.paths.runtime.clone();
    let maker = Arc::new(Orders::new(context, common));
    slots::set(start::look(&found).map_err(failed)?.started.slots);
    let again = reasons(args, &Trouble::ALL);
    start::resume(Ground { site, runtime, maker }, &found, &again).await.map_err(failed)
}

/// Returns a batch by name or its beginning.
pub(super) fn find(context: &Context, name: &str) -> Result<RunDir, Failure> {
    RunDir::find_of(Of::Batches, &context.repo.state_dir(), name).map_err(|error| {
        let hint = error.hint();
        Failure::new(Kind::Usage, error).hint(hint)
    })
}

/// Returns a batch's error with what its user can do.
pub(super) fn failed(error: BatchError) -> Failure {
    let kind = match &error {
        BatchError::Lander { .. } => Kind::Refused,
        _ => Kind::Infrastructure,
    };
    match error.hint() {
        Some(hint) => Failure::new(kind, error)
            .hint(hint.replace("grafter resume RUN", "grafter batch --resume")),
        None => Failure::new(kind, error),
    }
}

/// Lays the flags over the settings.
fn overlay(mut settings: RunSettings, args: &BatchArgs) -> Result<RunSettings, Failure> {
    settings.model = args.model.clone().or(settings.model);
    settings.workflow = args.workflow.clone().or(settings.workflow);
    settings.max_cost = args.task_cost.clone().or(settings.max_cost);
    settings.timeout_minutes = args.timeout.unwrap_or(settings.timeout_minutes);
    settings.check_seconds = args.check_timeout.unwrap_or(settings.check_seconds);
    if !args.verify.is_empty() {
        settings.verify.clone_from(&args.verify);
    }
    settings.mode = match args.mode {
        None => settings.mode,
        Some(ModeName::Default) => Mode::Default,
        Some(ModeName::AllowEdits) => Mode::AllowEdits,
        Some(ModeName::Auto) => Mode::Auto,
        Some(ModeName::Bypass) => Mode::Bypass,
        Some(ModeName::Yolo) => {
            let failure = Failure::usage("a batch cannot be run in yolo mode");
            return Err(failure.hint("--mode bypass lets commands run inside the sandbox"));
        }
    };
    Ok(settings)
}

/// Returns the template of messages; a flag that would have no effect is refused.
fn message(set: &Option<String>, args: &BatchArgs) -> Result<Option<String>, Failure> {
    let Some(given) = &args.message else { return Ok(set.clone()) };
    if matches!(args.land, Land::Rebase | Land::Ff) {
        let failure = Failure::usage("--message has no effect where commits keep their own");
        return Err(failure.hint("leave it out, or use --land squash or merge"));
    }
    let template = given.parse::<Template>();
    template.map_err(|error| Failure::usage(format!("--message: {error}")))?;
    Ok(Some(given.clone()))
}

/// A glob that matches nothing would protect nothing.
fn globs(given: &[String]) -> Result<Vec<String>, Failure> {
    match given.iter().find(|glob| glob.trim().is_empty() || !scope::is_glob(glob)) {
        Some(glob) => {
            let failure = Failure::usage(format!("--protect cannot be `{}`", glob.escape_debug()));
            Err(failure.hint("give a glob relative to the repository's root, such as .github/**"))
        }
        None => Ok(given.to_vec()),
    }
}

/// Returns what a new batch works tasks anew for.
fn retry_on(args: &BatchArgs) -> Result<Vec<Trouble>, Failure> {
    let asked = reasons(args, &Trouble::USUAL);
    match asked.iter().any(|trouble| matches!(trouble, Trouble::Budget | Trouble::Refused)) {
        true => {
            let failure =
                Failure::usage("a run that reached its budget, or was refused, ends so again");
            Err(failure
                .hint("name `budget` and `refused` with --resume, once you changed the cause"))
        }
        false => Ok(asked),
    }
}

fn reasons(args: &BatchArgs, usual: &[Trouble]) -> Vec<Trouble> {
    match args.retry_on.is_empty() {
        true => usual.to_vec(),
        false => args.retry_on.iter().map(|&reason| reason.into()).collect(),
    }
}

fn cap(text: &str) -> Result<Option<Micros>, Failure> {
    let caps = RunSettings { max_cost: Some(text.to_owned()), ..RunSettings::default() };
    Ok(caps.options(Reuse::Known).map_err(Failure::usage)?.max_cost)
}

fn cores() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

/// Base = `--base`, else HEAD; it counts only where the target is not there yet.
fn base(repo: &Repo, args: &BatchArgs) -> Result<Oid, Failure> {
    let tip = match &args.into {
        Some(branch) => repo.tip(branch).or_fail(Kind::Usage)?,
        None => None,
    };
    match (tip, &args.base) {
        (Some(_), Some(_)) => {
            let failure = Failure::usage("the target is there already, so --base has no effect");
            Err(failure.hint("leave --base out, or name another target with --into"))
        }
        (Some(tip), None) => Ok(tip),
        (None, rev) => repo.resolve(rev.as_deref().unwrap_or("HEAD")).or_fail(Kind::Usage),
    }
}

fn site(context: &Context, common: &Common) -> Result<Site, Failure> {
    let (backend, _) = live::backend(context);
    let paths = &context.setup.paths;
    Ok(Site {
        repo: context.repo.clone(),
        root: context.trees(),
        backend,
        sandbox: context.setup.section()?,
        helper: std::env::current_exe().or_fail(Kind::Infrastructure)?,
        share: common.run.share.clone(),
        canary: None,
        hide: vec![paths.state.clone(), paths.config.clone(), paths.runtime.clone()],
        shape: ladder::shape(&context.trees()),
        include: include::find(&context.repo).unwrap_or_default().files,
        setup: context.setup.section()?,
        setups: setup::store(&context.trees()),
    })
}

/// Where the news of a batch are drawn.
enum Canvas {
    Table(Box<Table>),
    Lines,
    Stream,
    Blank,
}

impl Canvas {
    fn new(output: Output) -> Self {
        match output {
            Output::Text if io::stderr().is_terminal() => Self::Table(Box::new(Table::on_stderr())),
            Output::Text => Self::Lines,
            Output::StreamJson => Self::Stream,
            Output::Json => Self::Blank,
        }
    }

    fn draw(&mut self, state: &BatchState, told: &News) {
        // Whoever closed the pipe does not want to know.
        match self {
            Self::Table(table) => table.update(state, told),
            Self::Lines if told.task.is_none() => {
                if let Some(line) = shown::line(state, &told.event) {
                    let _ = writeln!(io::stderr(), "{line}");
                }
            }
            Self::Stream => {
                let _ = out::write(format_args!("{}\n", json::event(&told.event)));
            }
            Self::Lines | Self::Blank => {}
        }
    }
}

/// Shows a batch until it ends, and returns its exit code.
async fn follow(handle: Handle, output: Output) -> Result<ExitCode, Failure> {
    let Handle { batch, mut state, mut news, control, done } = handle;
    let signals = tokio::spawn(live::stop_on_signal(control));
    let mut canvas = Canvas::new(output);
    // A terminal that stands still delays what is shown, never the batch.
    let watching = tokio::task::spawn_blocking(move || {
        while let Some(told) = news.blocking_recv() {
            if told.task.is_none() {
                state.apply(&told.event);
            }
            canvas.draw(&state, &told);
        }
        if let Canvas::Table(table) = canvas {
            table.clear();
        }
    });
    let ended = done.await.or_fail(Kind::Infrastructure)?;
    signals.abort();
    let _ = watching.await;
    let failed = |error| failed(error).hint(format!("grafter batch --resume {batch}")).told(output);
    let Ended { state, stopped, accuracy } = ended.map_err(failed)?;
    let facts = (stopped.as_ref(), accuracy);
    match output {
        Output::Text => out::write(format_args!(
            "{}",
            shown::summary(batch.as_str(), &state, facts, Colour::Never)
        ))?,
        Output::Json => say!("{}", shown::object(batch.as_str(), &state, facts))?,
        Output::StreamJson => {}
    }
    Ok(ExitCode::from(shown::exit_code(&state, stopped.as_ref())))
}
