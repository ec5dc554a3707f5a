//! From the process's arguments to a command and its exit code.

use std::{env, process::ExitCode};

use clap::{CommandFactory, Parser};
use tracing_subscriber::EnvFilter;

use crate::{
    cli::{
        args::{Cli, Command},
        context::Context,
        demo, doctor,
        exit::{self, Failure, Kind, OrFail},
        history, init, land, lists, out, resume, run, trust, workflow, worktree,
    },
    sandbox::child,
};

/// Runs the command line and returns the process's exit code.
pub fn main() -> ExitCode {
    // The sandbox's inside is this binary again, before any thread exists.
    let args: Vec<_> = env::args_os().collect();
    if args.get(1).is_some_and(|arg| arg == child::NAME) {
        return child::main(args.get(2..).unwrap_or_default());
    }
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let code = u8::try_from(error.exit_code()).unwrap_or(2);
            // A closed pipe is no reason to fail a help page.
            let _ = error.print();
            return ExitCode::from(code);
        }
    };
    log(cli.verbose);
    let result = runtime().and_then(|runtime| {
        let code = runtime.block_on(command(cli));
        // A blocking read of the terminal must not keep the process alive.
        runtime.shutdown_background();
        code
    });
    let result = result.and_then(|code| out::check().map(|()| code));
    result.unwrap_or_else(|failure| exit::report(&failure))
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

fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .or_fail(Kind::Infrastructure)
}

async fn command(cli: Cli) -> Result<ExitCode, Failure> {
    let dir = cli.dir.clone();
    let open = || Context::open(dir.as_deref());
    match cli.command {
        Command::Run(args) => run::run(open()?, &args).await,
        Command::Resume(args) => resume::resume(open()?, &args).await,
        Command::Status(args) => history::status(&open()?, &args),
        Command::Logs(args) => history::logs(&open()?, &args).await,
        Command::Cancel(name) => history::cancel(&open()?, &name).await,
        Command::Undo(name) => land::undo(&open()?, &name),
        Command::Rescue(args) => land::rescue(&open()?, &args),
        Command::Workflow(command) => workflow::workflow(&open()?, &command),
        Command::Prompt(command) => workflow::prompt(&open()?, &command),
        Command::Tools(args) => lists::tools(&args),
        Command::Models => lists::models(dir.as_deref()),
        Command::Worktree(command) => worktree::worktree(&open()?, &command),
        Command::Journal(command) => history::journal(&open()?, &command),
        Command::Trust(args) => trust::trust(&open()?, &args),
        Command::Init => init::init(&open()?),
        Command::Doctor => doctor::doctor(dir.as_deref()),
        Command::Demo(args) => demo::demo(&args).await,
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "grafter", &mut script);
            put!("{}", String::from_utf8_lossy(&script));
            Ok(ExitCode::SUCCESS)
        }
    }
}
