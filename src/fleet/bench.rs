//! Where the queue's checks run, and the tools of lock files: each in a throw-away place that holds
//! just the commit.

use std::{sync::Arc, time::Duration};

use tokio_util::sync::CancellationToken;

use crate::{
    git::{
        commit::{self, CommitSpec},
        patch,
        program::GitError,
        repo::Repo,
    },
    merge::candidate::Draft,
    protocol::{
        cause::chain,
        ids::{AgentId, NodeId, Oid},
        report::{Check, CheckReport, CheckRun},
    },
    sandbox::{grants::Grants, place::Place},
    subagent::housing::{Housing, Wish},
    verify::{self, flaky},
};

/// A tree on which checks run.
#[derive(Clone, Debug)]
pub(super) struct Stand {
    pub(super) commit: Oid,
    pub(super) tree: Oid,
}

/// What a second look at a red candidate gave.
#[derive(Clone, Debug)]
pub(super) struct Second {
    /// What its checks say now; what passed once counts as passed.
    pub(super) runs: Vec<CheckRun>,
    /// How many commands were run.
    pub(super) ran: usize,
    /// All that fails fails by now on the target as well, where it passed before.
    pub(super) unclear: bool,
}

/// What came of making files anew.
#[derive(Clone, Debug)]
pub(super) enum Renewed {
    /// They are made.
    Made {
        /// The tree with them.
        tree: Oid,
        /// Their paths.
        files: Vec<String>,
    },
    /// A tool failed, in words that follow `because`.
    Failed(String),
}

/// The largest file that a tool may make, in bytes.
const MAX_FILE: u64 = 64 << 20;

/// Runs checks for the queue.
#[derive(Clone)]
pub(super) struct Bench {
    pub(super) housing: Arc<Housing>,
    pub(super) deadline: Duration,
    pub(super) halt: CancellationToken,
}

impl Bench {
    /// Runs checks once on a commit.
    pub(super) async fn run(
        &self,
        on: &Stand,
        checks: &[Check],
        name: &str,
    ) -> Result<Vec<CheckRun>, String> {
        if checks.is_empty() {
            return Ok(Vec::new());
        }
        self.within(on, (checks, name), |_| ()).await.map(|(runs, ())| runs)
    }

    /// Has the files of a draft made anew by their tools, in a place that holds just the draft.
    pub(super) async fn renew(
        &self,
        repo: &Repo,
        on: &Oid,
        (draft, commands): (&Draft, &[Check]),
    ) -> Result<Renewed, String> {
        let said = |error: GitError| chain(&error);
        let spec = CommitSpec {
            tree: draft.tree.clone(),
            parents: vec![on.clone()],
            message: "A draft whose lock files are to be made anew\n".to_owned(),
            identity: repo.identity(),
        };
        let commit = commit::write(repo, &spec).map_err(said)?;
        let stand = Stand { commit, tree: draft.tree.clone() };
        let read = |place: &Place| draft.files.iter().map(|path| written(place, path)).collect();
        let (runs, files) = self.within(&stand, (commands, "renew"), read).await?;
        if let Some(run) = runs.iter().find(|run| !run.end.is_success()) {
            let tail = run.tail.trim().lines().next_back().unwrap_or_default();
            return Ok(Renewed::Failed(format!("`{}` failed: {tail}", run.check.command)));
        }
        let files: Result<Vec<_>, String> = files;
        Ok(match files {
            Ok(files) => {
                let tree = patch::with_files(repo, &draft.tree, &files).map_err(said)?;
                Renewed::Made { tree, files: draft.files.clone() }
            }
            Err(why) => Renewed::Failed(why),
        })
    }

    /// Runs commands one after another in a place that holds just a commit, and looks at it then.
    async fn within<T>(
        &self,
        on: &Stand,
        (checks, name): (&[Check], &str),
        look: impl FnOnce(&Place) -> T,
    ) -> Result<(Vec<CheckRun>, T), String> {
        let who = (NodeId::new("queue"), AgentId::new(format!("queue-{name}@1")));
        let wish = Wish {
            name: format!("queue-{name}-{}", on.tree.short()),
            commit: on.commit.clone(),
            branch: None,
            grants: Grants::default(),
        };
        let opened = self.housing.pristine((&who.0, &who.1), &wish).await;
        let place = opened.map_err(|error| chain(&error))?.place;
        let ran = verify::run::again(&place, checks, self.deadline, &self.halt).await;
        let no_space = place.no_space().map(str::to_owned);
        let seen = look(&place);
        self.housing.discard(place);
        match no_space {
            Some(why) => Err(why),
            None => ran.map(|runs| (runs, seen)).map_err(|error| chain(&error)),
        }
    }

    /// Looks once more at a candidate that is red on the target's tip: its failing checks run again
    /// on it, and those that fail again on the tip, which passed them before.
    pub(super) async fn second_look(
        &self,
        (car, red): (&Stand, CheckReport),
        (tip, before): (&Stand, &CheckReport),
    ) -> Result<Second, String> {
        let again = self.run(car, &failing(&red.runs), "again").await?;
        let mut ran = again.len();
        let mut report = CheckReport { runs: settled(red.runs, &again) };
        let still = failing(&report.runs);
        let on_tip = self.run(tip, &still, "tip").await?;
        ran += on_tip.len();
        flaky::excuse(&mut report, before, &on_tip);
        let fails = |runs: &[CheckRun], check: &Check| {
            runs.iter().any(|run| run.check.command == check.command && !run.end.is_success())
        };
        let turned = |check: &Check| {
            fails(&on_tip, check) && !fails(&before.runs, check) && knows(&before.runs, check)
        };
        let left = failing(&report.runs);
        let unclear = !left.is_empty() && left.iter().all(turned);
        Ok(Second { runs: report.runs, ran, unclear })
    }
}

/// Returns a file as a command left it.
fn written(place: &Place, path: &str) -> Result<(String, Vec<u8>), String> {
    let small = |len: u64| match len > MAX_FILE {
        true => Err(format!("{path} is larger than 64 MiB")),
        false => Ok(()),
    };
    small(place.metadata(path).map_err(|error| chain(&error))?.len)?;
    Ok((path.to_owned(), place.read(path).map_err(|error| chain(&error))?))
}

fn knows(runs: &[CheckRun], check: &Check) -> bool {
    runs.iter().any(|run| run.check.command == check.command)
}

fn failing(runs: &[CheckRun]) -> Vec<Check> {
    runs.iter().filter(|run| !run.end.is_success()).map(|run| run.check.clone()).collect()
}

fn settled(first: Vec<CheckRun>, again: &[CheckRun]) -> Vec<CheckRun> {
    let settle = |run: CheckRun| {
        let second = again.iter().find(|second| second.check.command == run.check.command);
        match second {
            Some(second) => verify::run::settle(run, second.clone()),
            None => run,
        }
    };
    first.into_iter().map(settle).collect()
}
