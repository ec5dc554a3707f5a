//! `grafter demo`: a small crate with three bugs goes through the whole graph, three times.
//!
//! The sessions are hand-written files; that no model is asked is said at the start and in every
//! summary. Everything else is real: git, worktrees, sandbox, checks, landings.

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::Parser;
use tempfile::TempDir;

use crate::{
    cli::{
        args::{Cli, Command, DemoArgs, RunArgs},
        context::Context,
        exit::{Failure, Kind, OrFail},
        live, run,
    },
    git::init::init,
    sandbox::probe::Backend,
};

/// The crate's files.
const FILES: [(&str, &str); 5] = [
    ("Cargo.toml", include_str!("demo/manifest.txt")),
    ("Cargo.lock", include_str!("demo/lock.txt")),
    (".gitignore", "/target\n"),
    ("src/lib.rs", include_str!("demo/lib.rs.txt")),
    ("tests/tally.rs", include_str!("demo/tests.rs.txt")),
];

/// The issues and what the script answers to them.
const BUGS: [(&str, &str); 3] = [
    ("the median of an even list is wrong", include_str!("demo/median.session.yaml")),
    ("percent(0, 0) panics with a division by zero", include_str!("demo/percent.session.yaml")),
    ("window_sums leaves out the last window", include_str!("demo/window.session.yaml")),
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

/// Repairs the demo's crate; succeeds only if all three commits landed.
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
         No model is asked: a script plays the agents' words. All else is real.\n",
        repo.display()
    )?;
    for (number, (issue, session)) in BUGS.iter().enumerate() {
        say!("--- issue {} of {}: {issue}", number + 1, BUGS.len())?;
        let script = home.path().join(format!("session-{number}.yaml"));
        write(&script, session)?;
        let context = Context::open(Some(&repo))?;
        let order = order((issue, &script), live::backend(&context).0)?;
        let code = run::run(context, &order).await?;
        if code != ExitCode::SUCCESS {
            return Ok(code);
        }
    }
    farewell(&home, &repo)?;
    Ok(ExitCode::SUCCESS)
}

fn farewell(home: &Home, repo: &Path) -> Result<(), Failure> {
    say!("\nAll three issues are resolved on the branch `fixed`.")?;
    match home {
        Home::Kept(_) => say!("Look around: git -C {} log -p fixed", repo.display())?,
        Home::Thrown(_) => say!("Keep the repository next time: grafter demo --keep DIR")?,
    }
    say!("Use it for real: grafter run \"what is wrong\" --model anthropic/NAME (grafter models)")
}

/// The same arguments a user would type.
fn order((issue, script): (&str, &Path), backend: Backend) -> Result<RunArgs, Failure> {
    let model = format!("scripted:{}", script.display());
    let mut words = vec!["grafter", "run", issue, "--into", "fixed", "--fresh", "--model", &model];
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
