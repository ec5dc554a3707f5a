//! `grafter run`: from the command line to an order for the coordinator.

use std::{
    fs::File,
    io::{self, IsTerminal, Read},
    path::Path,
    process::ExitCode,
};

use crate::{
    cli::{
        context::Context,
        exit::{Failure, Kind, OrFail},
        live::{self, Watch},
        panes::Panes,
        run_args::{Format, ModeName, RunArgs},
        settings::RunSettings,
        workers, workflows,
    },
    coordinator::{
        options::{Options, Reuse},
        start::{self, Handle, Order},
    },
    git::{
        diff, include, join, refs,
        repo::{DirtySummary, Repo},
        tree::{self, TreeSpec},
    },
    graph::lookup::Source,
    protocol::{
        event::Level,
        ids::Oid,
        report::Check,
        task::{EditFormat, Mode, Task},
    },
    provider::{model::Model, nobody},
    subagent::ladder,
    ui::view::View,
    verify::detect,
};

/// The largest issue text, in bytes.
const MAX_ISSUE: u64 = 1 << 20;

/// Takes an issue to a landed commit.
pub(super) async fn run(
    context: Result<Context, Failure>,
    args: &RunArgs,
) -> Result<ExitCode, Failure> {
    let begun = async { begin(context?, args).await };
    let (handle, watch) = begun.await.map_err(|failure| failure.told(args.output))?;
    live::follow(handle, watch).await
}

pub(super) async fn begin(context: Context, args: &RunArgs) -> Result<(Handle, Watch), Failure> {
    let repo = context.repo.clone();
    let dirty = tokio::task::spawn_blocking(move || repo.is_dirty());
    let git = live::git();
    let task = task(args)?;
    let mut settings = overlay(context.setup.section::<RunSettings>()?, args);
    live::accepted(&context.repo, settings.mode, args.i_accept.as_deref())?;
    let (name, floor) = workflow_of(&settings, args);
    // It may be missing because its folder is not trusted.
    let workflow = workflows::find(&context.setup, &name).inspect_err(|_| context.setup.warn())?;
    let prompts = context.setup.prompts()?;
    let graph = workflows::graph(&workflow, &prompts)?;
    if settings.model.is_none() && !workers::need_model(&graph, args.worker.as_deref()) {
        settings.model = Some(nobody::NAME.to_owned());
    }
    let model = live::model(&context, settings.model.as_deref())?;
    let reuse = if args.fresh { Reuse::Fresh } else { Reuse::Known };
    let mut options = settings.options(reuse).map_err(Failure::usage)?;
    workflows::limit(&mut options, &graph, &args.caps);
    options.worker.clone_from(&args.worker);
    let workers = workers::hire(&context, (&graph, &options))?;
    let choices = workflows::choices(&context.setup, &graph)?;
    targets(&context.repo, args.into.as_deref())?;
    let base = base(&context, args)?;
    git.await?;
    let dirty = dirty.await.or_fail(Kind::Infrastructure)?.or_fail(Kind::Infrastructure)?;
    options.since = since(&context.repo, args.since.as_deref(), &base)?;
    let lands = !graph.is_report();
    if options.checks.is_empty() && lands {
        options.checks = detected(&context, (&base, dirty))?;
    }
    workers::checked(&workers, &options)?;
    let mut notes = context.setup.notes.clone();
    notes.extend(live::arm(&context, &mut options)?);
    notes.extend(origin(&workflow));
    notes.extend(workers::remark(&workers).into_iter().chain(floor));
    notes.extend(remarks(&context, (&base, &*model, dirty), &mut options));
    if lands {
        notes.extend(limits(&options));
    }
    let order = Order {
        task,
        graph,
        workflow_text: workflow.text,
        prompts,
        options,
        model: settings.model.unwrap_or_default(),
        base,
        into: args.into.clone(),
        notes,
    };
    let budget = order.options.max_cost;
    let (mut ground, asks) = live::ground(&context, model, (args.output, &order.options))?;
    ground.workers = workers;
    ground.workflows = choices;
    let started = start::start(ground, order).await;
    let handle = started.map_err(|error| live::start_failure(error, "latest"))?;
    let panes = Panes::wanted(&context, args.panes)?;
    Ok((handle, Watch { output: args.output, past: View::default(), budget, asks, panes }))
}

fn task(args: &RunArgs) -> Result<Task, Failure> {
    let text = match (&args.issue_file, args.issue.as_deref()) {
        (Some(path), _) => {
            let open = |path: &Path| File::open(path).map(read_capped);
            let named = |error: io::Error| {
                anyhow::Error::new(error)
                    .context(format!("cannot read the issue {}", path.display()))
            };
            open(path).and_then(|text| text).map_err(named).or_fail(Kind::Usage)?
        }
        (None, Some("-")) => read_capped(io::stdin()).or_fail(Kind::Usage)?,
        (None, issue) => issue.unwrap_or_default().to_owned(),
    };
    if text.trim().is_empty() {
        let failure = Failure::usage("the issue is empty");
        return Err(
            failure.hint("say what is wrong: grafter run \"the median of an even list is wrong\"")
        );
    }
    Ok(Task::new(&text))
}

/// Returns a text of at most 1 MiB.
pub(super) fn read_capped(from: impl Read) -> io::Result<String> {
    let mut bytes = Vec::new();
    from.take(MAX_ISSUE + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_ISSUE {
        let text = "the issue is longer than 1 MiB; put what is long into a file of the \
                    repository and name that in the issue";
        return Err(io::Error::other(text));
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Lays the flags over the settings.
/// Returns the workflow's name; where neither it nor a model or worker is named, the one that needs
/// none, and a note that says so.
fn workflow_of(settings: &RunSettings, args: &RunArgs) -> (String, Option<(Level, String)>) {
    match (&settings.workflow, &settings.model, &args.worker) {
        (Some(name), ..) => (name.clone(), None),
        (None, None, None) => {
            let text = "no model is set up, so grafter searches small edits that make the failing \
                        tests pass; --model NAME (`grafter models` lists what is known) has agents \
                        do the work";
            ("repair".to_owned(), Some((Level::Info, text.to_owned())))
        }
        _ => ("resolve".to_owned(), None),
    }
}

fn overlay(mut settings: RunSettings, args: &RunArgs) -> RunSettings {
    let RunArgs { model, workflow, caps, .. } = args;
    settings.model = model.clone().or(settings.model);
    let led = args.coordinator.then(|| "coordinator".to_owned());
    settings.workflow = led.or(workflow.clone()).or(settings.workflow);
    settings.max_cost = caps.max_cost.clone().or(settings.max_cost);
    settings.max_tokens = caps.max_tokens.or(settings.max_tokens);
    settings.max_turns = caps.max_turns.unwrap_or(settings.max_turns);
    settings.timeout_minutes = caps.timeout.unwrap_or(settings.timeout_minutes);
    settings.check_seconds = args.check_timeout.unwrap_or(settings.check_seconds);
    settings.edit_format = args.edit_format.map(edit_format).or(settings.edit_format);
    settings.allow_unverified |= args.allow_unverified;
    settings.sign |= args.sign;
    if !args.verify.is_empty() {
        settings.verify = args.verify.clone();
    }
    if let Some(mode) = args.mode {
        settings.mode = match mode {
            ModeName::Default => Mode::Default,
            ModeName::AllowEdits => Mode::AllowEdits,
            ModeName::Auto => Mode::Auto,
            ModeName::Bypass => Mode::Bypass,
            ModeName::Yolo => Mode::Yolo,
        };
    }
    settings
}

/// Returns the edit format of that name.
pub(super) fn edit_format(format: Format) -> EditFormat {
    match format {
        Format::Tools => EditFormat::Tools,
        Format::Blocks => EditFormat::Blocks,
        Format::WholeFile => EditFormat::WholeFile,
        Format::WholeFunction => EditFormat::WholeFunction,
    }
}

/// Refuses a target that cannot be, before anything is spent.
pub(super) fn targets(repo: &Repo, into: Option<&str>) -> Result<(), Failure> {
    if let Some(name) = into.filter(|name| !refs::is_branch_name(name)) {
        let failure = Failure::usage(format!("`{}` cannot be a branch", name.escape_debug()));
        return Err(failure.hint("--into takes the plain name of a branch, such as main"));
    }
    if repo.tip("grafter").or_fail(Kind::Usage)?.is_some() {
        let text = "a branch named `grafter` is in the way of the branches grafter/<run>/…";
        return Err(Failure::usage(text).hint("rename it: git branch -m grafter another-name"));
    }
    Ok(())
}

/// Base = `--base`, else the target's tip, else HEAD.
fn base(context: &Context, args: &RunArgs) -> Result<Oid, Failure> {
    let repo = &context.repo;
    let tip = match &args.into {
        Some(branch) => repo.tip(branch).or_fail(Kind::Usage)?,
        None => None,
    };
    match (&args.base, tip) {
        (Some(rev), _) => repo.resolve(rev).or_fail(Kind::Usage).map_err(|failure| {
            failure.hint("--base takes a commit, a tag or a branch: git log --oneline --all")
        }),
        (None, Some(tip)) => Ok(tip),
        (None, None) => repo.resolve("HEAD").or_fail(Kind::Usage),
    }
}

/// Returns where the base left a revision, since when its changes are looked at.
fn since(repo: &Repo, since: Option<&str>, base: &Oid) -> Result<Option<Oid>, Failure> {
    let Some(rev) = since else { return Ok(None) };
    let since = repo.resolve(rev).or_fail(Kind::Usage).map_err(|failure| {
        failure.hint("--since takes a commit, a tag or a branch: git log --oneline --all")
    })?;
    let left = join::merge_base(repo, &since, base).or_fail(Kind::Infrastructure)?;
    let left = left.unwrap_or(since);
    let same = diff::changed_paths(repo, &left, base).or_fail(Kind::Infrastructure)?.is_empty();
    if same {
        let text = format!("nothing has changed since {rev} up to {}", base.short());
        return Err(Failure::usage(text).hint("--since names a revision before the change"));
    }
    Ok(Some(left))
}

/// Returns the checks that the base's own files ask for; what else lies in the checkout is not part
/// of the run.
pub(super) fn detected(
    context: &Context,
    (base, dirty): (&Oid, DirtySummary),
) -> Result<Vec<Check>, Failure> {
    let repo = &context.repo;
    let head = repo.resolve("HEAD").or_fail(Kind::Usage)?;
    if head == *base && !dirty.is_dirty() {
        return Ok(detect::detect(repo.checkout()));
    }
    let path = context.trees().join(format!("look-{}", std::process::id()));
    let spec = TreeSpec { path: path.clone(), commit: base.clone(), branch: None };
    let shape = ladder::shape(&context.trees());
    tree::make_as(repo, &spec, &shape).or_fail(Kind::Infrastructure)?;
    let checks = detect::detect(&path);
    tree::discard(repo, &path).or_fail(Kind::Infrastructure)?;
    Ok(checks)
}

/// What the user should know before anything is spent.
fn remarks(
    context: &Context,
    (base, model, dirty): (&Oid, &dyn Model, DirtySummary),
    options: &mut Options,
) -> Vec<(Level, String)> {
    let mut notes = Vec::from_iter(live::weaknesses(context));
    if dirty.is_dirty() {
        let text = format!(
            "your uncommitted work is not part of this run and stays as it is: {} changed and {} \
             untracked files; the run starts from {}",
            dirty.tracked,
            dirty.untracked,
            base.short()
        );
        notes.push((Level::Info, text));
    }
    if context.repo.identity().fallback {
        let text = "git knows no user.name and user.email: commits are made as \
                    grafter <grafter@localhost>";
        notes.push((Level::Info, text.to_owned()));
    }
    notes.extend(included(&context.repo));
    if model.info().scripted {
        options.max_cost = None;
    }
    notes
}

/// Says which ignored files lie in each tree, since agents and their models see them.
fn included(repo: &Repo) -> Option<(Level, String)> {
    let found = match include::find(repo) {
        Ok(found) => found,
        Err(error) => return Some((Level::Warning, format!("{}: {error}", include::FILE))),
    };
    let first = found.files.iter().take(5).map(|path| path.display().to_string());
    let names = first.collect::<Vec<_>>().join(", ");
    let more = found.files.len().saturating_sub(5);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    if found.too_many > 0 {
        let text = format!(
            "{} names more than 10,000 files or 1 GiB: {} of them are not copied into trees",
            include::FILE,
            found.too_many
        );
        return Some((Level::Warning, text));
    }
    let text = format!("{} puts into each tree: {names}{more}", include::FILE);
    (!names.is_empty()).then_some((Level::Info, text))
}

/// Where the workflow is from, if it is none of grafter's.
pub(super) fn origin(Source { name, origin, .. }: &Source) -> Option<(Level, String)> {
    let text = format!("the workflow `{name}` is {origin}");
    (!origin.starts_with("shipped/")).then_some((Level::Info, text))
}

/// What stands in the way of a run that shall land something.
fn limits(options: &Options) -> Vec<(Level, String)> {
    let text = "no check was found and none given with --verify: what is made stays on its \
                branch unless a reviewer passes it";
    let unchecked = options.checks.is_empty().then(|| (Level::Warning, text.to_owned()));
    unchecked.into_iter().chain(mode_note(options.mode)).collect()
}

/// What the mode means here, where that is not what a user may expect.
pub(super) fn mode_note(mode: Mode) -> Option<(Level, String)> {
    let unattended = !io::stdin().is_terminal();
    let text = match mode {
        Mode::Yolo => {
            return Some((
                Level::Warning,
                "yolo: commands run inside the sandbox whatever the checks say, but for the floor"
                    .to_owned(),
            ));
        }
        Mode::Default if unattended => {
            "there is no terminal to ask on: agents' writes and shell commands are refused \
             (--mode allow-edits lets them write, --mode bypass lets commands run inside the \
             sandbox)"
        }
        Mode::AllowEdits if unattended => {
            "there is no terminal to ask on: agents' shell commands are refused \
             (--mode bypass lets them run inside the sandbox)"
        }
        Mode::Auto if unattended => {
            "there is no terminal to ask on: commands that are not plainly ordinary are refused, \
             unless the `classifier` of your [guard] settings lets them run"
        }
        _ => return None,
    };
    Some((Level::Info, text.to_owned()))
}
