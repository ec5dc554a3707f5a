//! `grafter demo`: the three bugs of a small crate are repaired, verified and landed without a model,
//! and a recorded run of a small model is played once more.
//!
//! The embedded worker searches for the repairs each time anew; what the model said is a file, and
//! that no model is asked now is said at the start and in its summary. All else is real: git,
//! worktrees, sandbox, checks, landings.

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Args, Parser};
use tempfile::TempDir;

use crate::{
    cli::{
        args::{Cli, Command},
        context::Context,
        exit::{Failure, Kind, OrFail},
        live, run,
        run_args::RunArgs,
    },
    git::init::init,
    sandbox::probe::Backend,
};

/// Arguments of `demo`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  grafter demo --keep ~/grafter-demo")]
pub(super) struct DemoArgs {
    /// Keep the demo's repository in this folder.
    #[arg(long, value_name = "DIR")]
    pub(super) keep: Option<PathBuf>,
}

/// The crate's files.
const FILES: [(&str, &str); 5] = [
    ("Cargo.toml", include_str!("demo/manifest.txt")),
    ("Cargo.lock", include_str!("demo/lock.txt")),
    (".gitignore", "/target\n"),
    ("src/lib.rs", include_str!("demo/lib.rs.txt")),
    ("tests/tally.rs", include_str!("demo/tests.rs.txt")),
];

/// A run of the demo.
struct Part {
    issue: &'static str,
    /// What a model said, if one is played.
    session: Option<&'static str>,
    workflow: &'static str,
    into: &'static str,
    said: &'static str,
}

const fn repair(issue: &'static str) -> Part {
    Part { issue, session: None, workflow: "repair", into: "fixed", said: "" }
}

/// The runs, in order; each branch grows from the first commit.
const PARTS: [Part; 4] = [
    repair("the median of an even list is wrong"),
    repair("percent(0, 0) panics with a division by zero"),
    repair("window_sums leaves out the last window"),
    Part {
        issue: "percent(0, 0) panics with a division by zero",
        session: Some(include_str!("demo/recorded.session.yaml")),
        workflow: "small",
        into: "by-small-model",
        said: "Once more from the start, with what a model of 1.5 billion parameters on two \
               processor cores\nanswered when it was asked for real (Qwen2.5-Coder 1.5B, \
               recorded 2026-11-22).\n",
    },
];

/// Where the demo's repository lies.
enum Home {
    Kept(PathBuf),
    Thrown(TempDir),
}

impl Home {
    fn path(&self) -> &Path {
        match self {
            Self::Kept(path) => path,
            Self::Thrown(dir) => dir.path(),
        }
    }
}

/// Repairs the demo's crate; succeeds only if all commits landed.
pub(super) async fn demo(args: &DemoArgs) -> Result<ExitCode, Failure> {
    let home = match &args.keep {
        Some(path) => Home::Kept(path.clone()),
        None => Home::Thrown(tempfile::tempdir().or_fail(Kind::Infrastructure)?),
    };
    let repo = home.path().join("tally");
    if repo.exists() {
        return Err(Failure::usage(format!("{} is there already", repo.display())));
    }
    for (name, text) in FILES {
        write(&repo.join(name), text)?;
    }
    init(&repo, "tally: small statistics").or_fail(Kind::Infrastructure)?;
    say!(
        "A crate with three bugs and a red test for each is in {}.\n\
         No model is asked: grafter searches for small edits that make a red test pass, and\n\
         verifies and lands what it finds.\n",
        repo.display()
    )?;
    for (number, part) in PARTS.iter().enumerate() {
        say!("--- run {} of {}: {}\n{}", number + 1, PARTS.len(), part.issue, part.said)?;
        let script = home.path().join(format!("session-{number}.yaml"));
        let model = part.session.map(|session| {
            write(&script, session).map(|()| format!("scripted:{}", script.display()))
        });
        let context = Context::open(Some(&repo))?;
        let order = order(part, model.transpose()?.as_deref(), live::backend(&context).0)?;
        let code = run::run(Ok(context), &order).await?;
        if code != ExitCode::SUCCESS {
            return Ok(code);
        }
    }
    farewell(&home, &repo)?;
    Ok(ExitCode::SUCCESS)
}

fn farewell(home: &Home, repo: &Path) -> Result<(), Failure> {
    say!(
        "\nAll three bugs are repaired on the branch `fixed`, without a model; what the small model \
         made is on `by-small-model`."
    )?;
    match home {
        Home::Kept(_) => say!("Look around: git -C {} log -p fixed", repo.display())?,
        Home::Thrown(_) => say!("Keep the repository next time: grafter demo --keep DIR")?,
    }
    say!(
        "Use it for real, in your repository: grafter run \"what is wrong\"; with a model: --model \
         anthropic/NAME (grafter models)"
    )
}

/// The same arguments a user would type.
fn order(part: &Part, model: Option<&str>, backend: Backend) -> Result<RunArgs, Failure> {
    let mut words = vec!["grafter", "run", part.issue, "--workflow", part.workflow];
    words.extend(["--into", part.into, "--fresh"]);
    words.extend(model.into_iter().flat_map(|model| ["--model", model]));
    // All that runs here ships with grafter.
    if backend == Backend::None {
        words.extend(["--mode", "bypass"]);
    }
    match Cli::try_parse_from(words).or_fail(Kind::Usage)?.command {
        Command::Run(args) => Ok(*args),
        _ => Err(Failure::usage("the demo's own order is not a run")),
    }
}

fn write(path: &Path, text: &str) -> Result<(), Failure> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).or_fail(Kind::Infrastructure)?;
    }
    fs::write(path, text).or_fail(Kind::Infrastructure)
}
