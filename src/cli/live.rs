//! What `run`, `resume` and `demo` share: the ground of a live run, and following it to its end.

use std::{
    env,
    io::{self, IsTerminal},
    path::PathBuf,
    process::{self, ExitCode},
    sync::Arc,
};

use tokio::{
    signal::unix::{SignalKind, signal},
    sync::mpsc::{self, UnboundedReceiver, UnboundedSender},
};

use crate::{
    cli::{
        approve,
        context::Context,
        exit::{Failure, Kind, OrFail},
        journal,
        panes::Panes,
        run_args::Output,
    },
    coordinator::{
        self,
        control::{Ask, Call, Command},
        ground::Ground,
        start::{Handle, StartError},
    },
    git::{repo::Repo, version},
    guard::{
        self,
        tripwire::{Gates, Tripwire},
    },
    protocol::{event::Level, report::RunEnd, task::Mode, usage::Micros},
    provider::{known::Options, model::Model, open},
    sandbox::probe::{self, Backend},
    settings::paths::Paths,
    ui::{
        show::{self, Screen, Style},
        text::Colour,
        view::View,
    },
};

/// The file in the user's state folder that notes which sandbox works here.
const TRIAL: &str = "sandbox";

/// Tries which sandbox works here, beside everything else that a run needs first.
pub(super) fn try_sandbox() {
    if let Ok(paths) = Paths::from_env() {
        tokio::task::spawn_blocking(move || probe::backend(&paths.state.join(TRIAL)));
    }
}

/// Begins to look at git, and refuses one that would fail only once the work is paid for.
pub(super) fn git() -> impl Future<Output = Result<(), Failure>> {
    let looked = tokio::task::spawn_blocking(version::check);
    async move {
        looked.await.or_fail(Kind::Infrastructure)?.map(drop).map_err(|error| {
            let hint = error.hint();
            Failure::new(Kind::Infrastructure, error).hint(hint)
        })
    }
}

/// Opens the model, or says what is missing.
pub(super) fn model(context: &Context, name: Option<&str>) -> Result<Arc<dyn Model>, Failure> {
    let options = context.setup.section::<Options>()?;
    let var = |name: &str| env::var(name).ok();
    let Some(name) = name else {
        let failure = Failure::usage("no model is set up");
        return Err(failure.hint(
            "give one with --model (anthropic/NAME, openai/NAME, chat+URL#NAME, …) or set `model` in \
             the [run] table of your config.toml; `grafter models` lists what is known",
        ));
    };
    open::open(name, &options, &var).map_err(|error| {
        let hint = error.hint();
        Failure::new(Kind::Usage, error).hint(hint)
    })
}

/// Returns what a live run stands on, and where its questions arrive if somebody can answer.
pub(super) fn ground(
    context: &Context,
    model: Arc<dyn Model>,
    (output, options): (Output, &coordinator::options::Options),
) -> Result<(Ground, Option<Inbox>), Failure> {
    let asked = output == Output::Text && io::stdin().is_terminal() && io::stderr().is_terminal();
    let (backend, _) = backend(context);
    confined(backend, options.mode, || asked && approve::unconfined())?;
    let key_file = journal::key_file(&context.setup.paths);
    let key = if options.sign { Some(journal::key(&key_file)?) } else { None };
    let guard: guard::options::Options = context.setup.section()?;
    // A node may be stricter than its run, so that bypass and yolo may need it as well.
    let classifier = match &guard.classifier {
        Some(name) if options.mode >= Mode::Auto => Some(self::model(context, Some(name))?),
        _ => None,
    };
    let (asks, receiver) = mpsc::unbounded_channel();
    let paths = &context.setup.paths;
    let ground = Ground {
        repo: context.repo.clone(),
        model,
        trees: context.trees(),
        runtime: context.setup.paths.runtime.clone(),
        backend,
        sandbox: context.setup.section()?,
        setup: context.setup.section()?,
        guard,
        classifier,
        workers: Vec::new(),
        workflows: Vec::new(),
        helper: env::current_exe().or_fail(Kind::Infrastructure)?,
        hide: vec![paths.state.clone(), paths.config.clone(), paths.runtime.clone()],
        asks: asked.then_some(asks),
        key,
    };
    let config = context.setup.paths.config.join("config.toml");
    Ok((ground, asked.then_some((receiver, config))))
}

/// Returns what must hold for tripwires, as it is here.
pub(super) fn gates(wanted: bool) -> Gates {
    Gates { built: cfg!(feature = "tripwire"), wanted, launched: true }
}

/// Gives a new run tripwires if its user wants them and this program has them; returns what the
/// user should know.
pub(super) fn arm(
    context: &Context,
    options: &mut coordinator::options::Options,
) -> Result<Option<(Level, String)>, Failure> {
    let gates = gates(context.setup.section::<guard::options::Options>()?.tripwire);
    options.tripwire = gates.armed().then(|| Tripwire::new(rand::random()));
    let text = match (gates.wanted, gates.armed()) {
        (false, _) => return Ok(None),
        (true, true) => "tripwires are on: agents see a canary tool and a canary string",
        (true, false) => {
            "`tripwire` of [guard] has no effect: this grafter was built without the feature of \
             that name"
        }
    };
    Ok(Some((Level::Info, text.to_owned())))
}

/// Refuses yolo mode unless its user says, here and now, that it is meant for this repository; a
/// word that fits every repository would end up in a shell's aliases.
pub(super) fn accepted(repo: &Repo, mode: Mode, word: Option<&str>) -> Result<(), Failure> {
    let name = repo.checkout().file_name().unwrap_or_default().to_string_lossy().into_owned();
    if mode != Mode::Yolo || word == Some(name.as_str()) {
        return Ok(());
    }
    let failure = Failure::usage("yolo mode must be accepted for this repository");
    Err(failure.hint(format!("say --mode yolo --i-accept {name}")))
}

/// Where questions arrive, and the settings file of who answers them.
pub(super) type Inbox = (UnboundedReceiver<Ask>, PathBuf);

/// Refuses to run agents' code, be it by their shell or by checks, where nothing confines it,
/// unless the user wants just that.
fn confined(backend: Backend, mode: Mode, yes: impl FnOnce() -> bool) -> Result<(), Failure> {
    if backend != Backend::None {
        return Ok(());
    }
    if mode == Mode::Yolo {
        let text = "--mode yolo needs a sandbox, and nothing on this machine confines commands";
        let failure = Failure::new(Kind::Refused, anyhow::anyhow!(text));
        return Err(failure.hint("`grafter doctor` says what is missing here"));
    }
    if mode == Mode::Bypass || yes() {
        return Ok(());
    }
    let text = "nothing on this machine confines commands: what agents write would run with your \
                rights";
    Err(Failure::new(Kind::Refused, anyhow::anyhow!(text)).hint(
        "use a container or a virtual machine and say --mode bypass there; `grafter doctor` says \
         what is missing here",
    ))
}

/// Returns what confines commands here, and what is weaker in that than it can be.
pub(super) fn backend(context: &Context) -> (Backend, Vec<String>) {
    probe::backend(&context.setup.paths.state.join(TRIAL))
}

/// Says what of the sandbox is weaker on this machine than it can be.
pub(super) fn weaknesses(context: &Context) -> Option<(Level, String)> {
    let (backend, notes) = backend(context);
    let text = || format!("the sandbox is weaker here ({backend}): {}", notes.join("; "));
    (!notes.is_empty()).then(|| (Level::Warning, text()))
}

/// How a run is followed.
pub(super) struct Watch {
    /// What to print.
    pub(super) output: Output,
    /// What an earlier process of the run did.
    pub(super) past: View,
    /// The cap on money.
    pub(super) budget: Option<Micros>,
    /// Questions for the person at the terminal.
    pub(super) asks: Option<Inbox>,
    /// Where agents are shown beside the run, if the user wants that.
    pub(super) panes: Option<Panes>,
}

/// Shows a run until it ends, and returns its exit code.
pub(super) async fn follow(handle: Handle, watch: Watch) -> Result<ExitCode, Failure> {
    let Handle { run, events, control, done } = handle;
    let screen = Screen::new(style(watch.output, watch.budget));
    let (events, panes) = match watch.panes {
        Some(panes) => {
            let (events, closed) =
                panes.follow((run.clone(), screen.clone()), watch.past.clone(), events);
            (events, Some(closed))
        }
        None => (events, None),
    };
    let shown = screen.show(watch.past, events);
    let signals = tokio::spawn(stop_on_signal(control));
    let answers = watch
        .asks
        .map(|(asks, config)| tokio::spawn(approve::answer(screen.clone(), asks, config)));
    let end = done.await.or_fail(Kind::Infrastructure)?.or_fail(Kind::Infrastructure);
    signals.abort();
    if let Some(answers) = answers {
        answers.abort();
    }
    if let Some(panes) = panes {
        // The summary stands where they stood.
        panes.await.or_fail(Kind::Infrastructure)?;
    }
    // The events' sender is gone with the dispatcher, so the screen has an end.
    let mut view = shown.await.or_fail(Kind::Infrastructure)?;
    if let Err(failure) = &end {
        // The journal cannot tell it.
        view.end = Some(RunEnd::Infrastructure(failure.cause()));
    }
    // A closed pipe does not change how the run ended.
    let _ = screen.end(&view);
    let end: RunEnd = end.map_err(|failure| {
        let failure = failure.hint(format!("grafter resume {run}"));
        // The one object has told it, a stream ends without a last event.
        if watch.output == Output::StreamJson { failure.told(watch.output) } else { failure }
    })?;
    Ok(ExitCode::from(end.exit_code()))
}

fn style(output: Output, budget: Option<Micros>) -> Style {
    let terminal = io::stderr().is_terminal() && io::stdin().is_terminal();
    // The summary goes to standard output, so both must be read by a person.
    let plain = !(io::stderr().is_terminal() && io::stdout().is_terminal())
        || env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let columns = env::var("COLUMNS").ok().and_then(|text| text.parse().ok());
    let width = columns.or_else(columns_of_terminal).unwrap_or(100);
    Style {
        output: match output {
            Output::Text => show::Output::Text,
            Output::Json => show::Output::Json,
            Output::StreamJson => show::Output::StreamJson,
        },
        color: if plain { Colour::Never } else { Colour::Always },
        terminal,
        width,
        budget,
    }
}

fn columns_of_terminal() -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(io::stderr()).ok()?;
    (size.ws_col > 0).then_some(usize::from(size.ws_col))
}

/// Ctrl-C or SIGTERM once asks the run to stop, twice ends it; whoever asks a third time wants the
/// process gone, which the journal survives.
#[expect(clippy::exit, reason = "the third signal must not wait for anything")]
pub(super) async fn stop_on_signal(control: UnboundedSender<Call>) {
    let (Ok(mut term), Ok(mut int)) =
        (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        return;
    };
    for command in [Some(Command::Cancel), Some(Command::Kill), None] {
        tokio::select! {
            _ = term.recv() => {}
            _ = int.recv() => {}
        }
        match command.map(|command| control.send(Call { command, reply: None })) {
            Some(Ok(())) => {}
            Some(Err(_)) => return,
            None => process::exit(130),
        }
    }
}

/// Returns why a run cannot start or go on, with what to do; `run` is how the user names it.
pub(super) fn start_failure(error: StartError, run: &str) -> Failure {
    let (kind, hint) = match &error {
        StartError::NoPrice { .. } => (
            Kind::Refused,
            Some(
                "state its price in a row of [[providers.models]] in your config.toml, or say \
                 --max-cost none",
            ),
        ),
        StartError::Over { .. } => (Kind::Usage, Some("start a new run with `grafter run`")),
        StartError::Journal(error) => (Kind::Infrastructure, error.hint()),
        StartError::Unborn { .. } => {
            (Kind::Infrastructure, Some("nothing was lost: start it anew with `grafter run`"))
        }
        _ => (Kind::Infrastructure, None),
    };
    let failure = Failure::new(kind, error);
    match hint {
        Some(hint) => failure.hint(hint.replace("RUN", run)),
        None => failure,
    }
}

#[cfg(test)]
mod tests {
    use super::{Backend, Kind, Mode, confined};

    #[test]
    fn where_nothing_confines_agents_code_it_runs_only_if_the_user_says_so() {
        let none = Backend::None;
        let failure = confined(none, Mode::Default, || false).unwrap_err();
        assert_eq!(failure.kind, Kind::Refused);
        assert!(confined(none, Mode::Default, || true).is_ok());
        assert!(confined(none, Mode::Yolo, || true).is_err());
        assert!(confined(Backend::Landlock, Mode::Yolo, || false).is_ok());
        assert!(confined(none, Mode::Bypass, || false).is_ok());
        assert!(confined(Backend::Landlock, Mode::Default, || false).is_ok());
    }
}
