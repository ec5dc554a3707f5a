//! From the process's arguments to a command and its exit code.

use std::{env, ffi::OsString, process::ExitCode};

use clap::{CommandFactory, Parser, ValueEnum};
use tracing_subscriber::EnvFilter;

use crate::{
    cli::{
        args::{Cli, Command, JournalCommand},
        attach, batch, caps, check,
        context::{Context, Setup},
        cost, demo, doctor, eval,
        exit::{self, Failure, Kind, OrFail},
        history, init, journal, land, lists, live, localize, out, policy, queue, report, resume,
        run,
        run_args::Output,
        steer, trust, workers, workflow, worktree,
    },
    sandbox::child,
    subagent::ladder,
};

/// Threads for file and git work; the tools of several agents at once, beside the view.
const BLOCKING_THREADS: usize = 32;

/// Runs the command line and returns the process's exit code.
pub fn main() -> ExitCode {
    // The sandbox's inside is this binary again, before any thread exists.
    if let Some(code) = child::dispatch() {
        return code;
    }
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return misread(&error),
    };
    log(cli.verbose);
    let result = trees(&cli).and_then(|()| runtime()).and_then(|runtime| {
        let code = runtime.block_on(command(cli));
        // A blocking read of the terminal must not keep the process alive.
        runtime.shutdown_background();
        code
    });
    result.unwrap_or_else(|failure| exit::report(&failure))
}

/// Prints a help page, or what is wrong with the command line.
fn misread(error: &clap::Error) -> ExitCode {
    if let Some(failure) = caps::failure(error) {
        return exit::report(&failure.told(output(env::args_os())));
    }
    // A closed pipe is no reason to fail a help page.
    let _ = error.print();
    if error.use_stderr() {
        let text = error.to_string();
        let text = text.split("\n\n").next().unwrap_or_default().trim_start_matches("error: ");
        let _ = Failure::usage(text).hint("grafter run --help").told(output(env::args_os()));
    }
    ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
}

/// Returns what a command line asks to print, though all else of it may be wrong.
fn output(args: impl Iterator<Item = OsString>) -> Output {
    let mut words = args.skip(1).map(|word| word.to_string_lossy().into_owned());
    while let Some(word) = words.next() {
        let form = match word.strip_prefix("--output") {
            Some("") => words.next().unwrap_or_default(),
            Some(form) => form.trim_start_matches('=').to_owned(),
            None => continue,
        };
        return Output::from_str(&form, false).unwrap_or(Output::Text);
    }
    Output::Text
}

fn log(verbose: bool) {
    let default = if verbose { "grafter=debug" } else { "grafter=warn" };
    let filter = EnvFilter::try_from_env("GRAFTER_LOG").unwrap_or_else(|_| default.into());
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_target(false)
        .without_time()
        .init();
}

/// Makes cheap trees possible for what makes any, while there is one thread alone.
fn trees(cli: &Cli) -> Result<(), Failure> {
    let makes = matches!(
        cli.command,
        Command::Run(_) | Command::Batch(_) | Command::Review(_) | Command::Resume(_)
    );
    // What is wrong with the settings or the folder is told by the command itself.
    let (true, Ok(context)) = (makes, Context::open(cli.dir.as_deref())) else { return Ok(()) };
    let wanted = context.setup.section::<ladder::Options>()?.shape;
    ladder::enter(wanted, context.repo.git_dir()).map_err(|why| {
        Failure::usage(format!("trees cannot be overlays here: {why}"))
            .hint("`shape = \"auto\"` in [trees] of config.toml takes what works")
    })
}

fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    // One thread is enough for what only waits, and wakes nobody; what works has threads of its own.
    tokio::runtime::Builder::new_current_thread()
        .max_blocking_threads(BLOCKING_THREADS)
        .enable_all()
        .build()
        .or_fail(Kind::Infrastructure)
}

async fn command(cli: Cli) -> Result<ExitCode, Failure> {
    let dir = cli.dir.clone();
    let open = || Context::open(dir.as_deref());
    let setup = || Setup::open(dir.as_deref());
    if matches!(
        cli.command,
        Command::Run(_)
            | Command::Batch(_)
            | Command::Review(_)
            | Command::Resume(_)
            | Command::Demo(_)
    ) {
        live::try_sandbox();
    }
    match cli.command {
        Command::Run(args) => run::run(open(), &args).await,
        Command::Batch(args) => batch::batch(open(), &args).await,
        Command::Queue(command) => queue::queue(&open()?, &command).await,
        Command::Review(args) => run::run(open(), &args.run()).await,
        Command::Resume(args) => resume::resume(open(), &args).await,
        Command::Status(args) => history::status(&open()?, &args),
        Command::Logs(args) => history::logs(&open()?, &args).await,
        Command::Report(args) => report::report(&open()?, &args),
        Command::Cost(args) => cost::cost(&open()?, &args),
        Command::Cancel(args) => steer::cancel(&open()?, &args).await,
        Command::Ps(args) => steer::ps(&open()?, &args).await,
        Command::Send(args) => steer::send(&open()?, &args).await,
        Command::Attach(name) => attach::attach(&open()?, &name).await,
        Command::Pause(args) => steer::pause(&open()?, &args).await,
        Command::Unpause(args) => steer::unpause(&open()?, &args).await,
        Command::Why(name) => steer::why(&open()?, &name).await,
        Command::Undo(name) => land::undo(&open()?, &name),
        Command::Rescue(args) => land::rescue(&open()?, &args),
        Command::Workflow(command) => workflow::workflow(&setup()?, &command),
        Command::Prompt(command) => workflow::prompt(&setup()?, &command),
        Command::Tools(args) => lists::tools(&args),
        Command::Models => lists::models(dir.as_deref()),
        Command::Workers => workers::workers(dir.as_deref()),
        Command::Worktree(command) => worktree::worktree(&open()?, &command),
        Command::Journal(JournalCommand::Verify(args)) => journal::verify(&open()?, &args),
        Command::Journal(JournalCommand::Key) => journal::show_key(&setup()?),
        Command::Trust(args) => trust::trust(&open()?, &args),
        Command::Init => init::init(&open()?),
        Command::Check(args) => check::check(dir.as_deref(), &args),
        Command::Eval(command) => eval::eval(command).await,
        Command::Localize(args) => localize::localize(open()?, &args).await,
        Command::Policy(command) => policy::policy(&setup()?, dir.as_deref(), &command),
        Command::Doctor => doctor::doctor(dir.as_deref()),
        Command::Demo(args) => demo::demo(&args).await,
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "grafter", &mut script);
            out::write(format_args!("{}", String::from_utf8_lossy(&script)))?;
            Ok(ExitCode::SUCCESS)
        }
    }
}
