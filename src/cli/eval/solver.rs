//! Instances solved by ordinary runs, each in the instance's own repository.

use std::{fs, path::Path};

use clap::Parser;
use futures_util::future::BoxFuture;
use tokio_util::sync::CancellationToken;

use crate::{
    cli::{
        args::{Cli, Command},
        context::Context,
        eval_args::EvalRunArgs,
        exit::{Failure, Kind, OrFail},
        run,
        run_args::RunArgs,
    },
    coordinator::{
        control::{self, Call},
        start::Handle,
    },
    eval::{
        instance::Instance,
        runner::{Solved, Solver},
    },
    git::diff,
    protocol::{ids::Oid, report::RunEnd},
    ui::view::View,
};

/// Where the issue lies, beside the repository.
const ISSUE: &str = "issue.md";
/// The branch that receives what lands.
const TARGET: &str = "grafter-eval";

/// Runs of one workflow and model.
pub(super) struct Runs {
    /// What each run is told beside its issue.
    words: Vec<String>,
    identity: String,
    cancel: CancellationToken,
}

impl Runs {
    pub(super) fn new(args: &EvalRunArgs, cancel: CancellationToken) -> Self {
        let mut words: Vec<String> = Vec::new();
        let pairs = [
            ("--workflow", args.workflow.clone()),
            ("--model", args.model.clone()),
            ("--worker", args.worker.clone()),
            ("--max-cost", args.instance_cost.clone()),
            ("--timeout", args.instance_minutes.map(|minutes| minutes.to_string())),
        ];
        for (flag, value) in pairs {
            words.extend(value.into_iter().flat_map(|value| [flag.to_owned(), value]));
        }
        let identity = format!("{} grafter {}", words.join(" "), env!("CARGO_PKG_VERSION"));
        Self { words, identity, cancel }
    }

    fn order(&self, instance: &Instance, issue: &Path) -> Result<RunArgs, Failure> {
        let issue = issue.to_string_lossy();
        let mut words = vec!["grafter", "run", "--issue-file", &*issue, "--into", TARGET];
        // What cannot be verified counts as well: the hidden tests decide.
        words.extend(["--base", "main", "--allow-unverified", "--output", "json"]);
        words.extend(self.words.iter().map(String::as_str));
        if let Some(command) = &instance.test_command {
            words.extend(["--verify", command]);
        }
        match Cli::try_parse_from(words).or_fail(Kind::Usage)?.command {
            Command::Run(args) => Ok(*args),
            _ => Err(Failure::usage("the order of an instance is no run")),
        }
    }

    async fn solved(&self, instance: &Instance, repo: &Path) -> Result<Solved, Failure> {
        let issue = repo.with_file_name(ISSUE);
        fs::write(&issue, &instance.problem).or_fail(Kind::Infrastructure)?;
        let order = self.order(instance, &issue)?;
        let context = Context::open(Some(repo))?;
        let own = context.repo.clone();
        let (handle, _) = run::begin(context, &order).await?;
        let Handle { run, mut events, control, done } = handle;
        let mut view = View::default();
        loop {
            tokio::select! {
                event = events.recv() => match event {
                    Some(event) => view.apply(&event),
                    None => break,
                },
                () = self.cancel.cancelled(), if !control.is_closed() => {
                    let _ = control.send(Call { command: control::Command::Cancel, reply: None });
                    break;
                }
            }
        }
        let end = done.await.or_fail(Kind::Infrastructure)?.or_fail(Kind::Infrastructure)?;
        let commit = match &end {
            RunEnd::Landed { commit, .. } => Some(commit.clone()),
            _ => view.work.as_ref().map(|work| work.commit.clone()),
        };
        let base = Oid::new(instance.base.clone());
        let patch = commit.map(|commit| diff::unified(&own, &base, &commit)).transpose();
        Ok(Solved {
            patch: patch.or_fail(Kind::Infrastructure)?.unwrap_or_default(),
            end: words(&end),
            infra: matches!(end, RunEnd::Infrastructure(_)).then(|| "run".to_owned()),
            tokens: view.usage.total(),
            cost: view.cost.0,
            turns: view.turns,
            run: run.to_string(),
        })
    }
}

/// Returns how a run ended, in words.
fn words(end: &RunEnd) -> String {
    match end {
        RunEnd::Landed { .. } | RunEnd::Reported => String::new(),
        RunEnd::NotResolved(why) | RunEnd::Infrastructure(why) => why.clone(),
        RunEnd::Refused(why) => format!("refused: {why}"),
        RunEnd::Budget(why) => format!("budget: {why}"),
        RunEnd::Conflict(why) => format!("conflict: {why}"),
        RunEnd::Interrupted => "interrupted".to_owned(),
    }
}

impl Solver for Runs {
    fn identity(&self) -> String {
        self.identity.clone()
    }

    fn solve<'a>(&'a self, instance: &'a Instance, repo: &'a Path) -> BoxFuture<'a, Solved> {
        Box::pin(async move {
            let solved = self.solved(instance, repo).await;
            solved.unwrap_or_else(|failure| Solved {
                end: failure.cause(),
                infra: Some("run".to_owned()),
                ..Solved::default()
            })
        })
    }
}
