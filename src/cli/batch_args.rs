//! The arguments of `batch` and `queue` as clap sees them.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use crate::{
    cli::{
        caps,
        run_args::{ModeName, Output},
    },
    protocol::batch::{Style, Trouble},
};

/// Arguments of `batch`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  grafter batch tasks.yaml --into main --workers 4 --max-cost 20
  grafter batch issues/ --dry-run          # a folder of markdown files, one task each
  jq -c '.[]' issues.json | grafter batch - --verify 'cargo test'
  grafter batch tasks.yaml --message $'{title}\n\n{body}\n\nTask: {id}'
  grafter batch --resume                   # go on with the latest batch; what failed is tried again
  grafter batch --resume --retry-on broken,budget   # only what failed for these reasons

A task:
  - id: median            # its name
    title: The median of an even list is wrong
    body: |               # the issue
      …
    scope: [src/stats/**] # files it is expected to change (a forecast, not a fence)
    needs: [parser]       # tasks that must have landed before
    verify: [pytest -q tests/test_median.py]
    model: anthropic/claude-sonnet-4-5
    workflow: solo
    budget: 1.50          # dollars
    repo: owner/name      # where it belongs; in other repositories it is left out
  - id: docs
    branch: fix-docs      # work that is there already: it is only checked and landed

In config.toml, for tasks that conflict in nothing but such files when they land:
  [batch.lockfiles]
  \"Cargo.lock\" = \"cargo generate-lockfile --offline\"")]
pub(super) struct BatchArgs {
    /// The backlog: a YAML, JSON or JSON lines file, a folder of markdown files, or `-` for standard
    /// input.
    #[arg(value_name = "TASKS", required_unless_present = "resume")]
    pub(super) tasks: Option<PathBuf>,
    /// Go on with a batch instead; what failed in it is tried again.
    #[arg(long, value_name = "BATCH", num_args = 0..=1, default_missing_value = "latest", conflicts_with = "tasks")]
    pub(super) resume: Option<String>,
    /// Only show in which order the tasks may go, and what they may cost.
    #[arg(long, conflicts_with = "resume")]
    pub(super) dry_run: bool,
    /// How many tasks are worked at once.
    #[arg(short = 'j', long, value_name = "N", default_value = "4", value_parser = caps::some)]
    pub(super) workers: usize,
    /// How many checks run at once [default: one per core].
    #[arg(long, value_name = "N", value_parser = caps::some)]
    pub(super) check_slots: Option<usize>,
    /// Land on this branch instead of `grafter/<batch>/landed`.
    #[arg(long, value_name = "BRANCH")]
    pub(super) into: Option<String>,
    /// Start from this revision where the target is not there yet [default: HEAD].
    #[arg(long, value_name = "REV")]
    pub(super) base: Option<String>,
    /// A command that every landing must pass; may be given more than once. Without any, checks are
    /// detected.
    #[arg(long, value_name = "COMMAND")]
    pub(super) verify: Vec<String>,
    /// The most seconds one check may take [default: 900].
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true, value_parser = caps::positive)]
    pub(super) check_timeout: Option<u64>,
    /// How a task stands in the history of the target.
    #[arg(long, value_name = "HOW", default_value = "squash")]
    pub(super) land: Land,
    /// The message of what lands, with {id}, {title}, {body}, {branch}, {run} and {checks}, where that
    /// is one commit or a merge; grafter's trailers stay below it [default: what the run wrote, else
    /// the task's title and body].
    #[arg(long, value_name = "TEMPLATE")]
    pub(super) message: Option<String>,
    /// Files that nothing of this batch may change, as a glob; may be given more than once. A task
    /// that changes one is parked, for you to land.
    #[arg(long, value_name = "GLOB")]
    pub(super) protect: Vec<String>,
    /// The workflow of tasks that name none [default: resolve].
    #[arg(short, long, value_name = "NAME")]
    pub(super) workflow: Option<String>,
    /// The model of tasks that name none.
    #[arg(short, long, value_name = "MODEL")]
    pub(super) model: Option<String>,
    /// Have this worker of your config.toml do the work of all implementation nodes.
    #[arg(long, value_name = "NAME")]
    pub(super) worker: Option<String>,
    /// How much agents may do without asking; nobody is asked in a batch [default: allow-edits].
    #[arg(long, value_name = "MODE")]
    pub(super) mode: Option<ModeName>,
    /// The most dollars for all tasks together, or `none`.
    #[arg(long, value_name = "USD", allow_negative_numbers = true, value_parser = caps::amount, default_value = "none")]
    pub(super) max_cost: String,
    /// The most dollars for a task that names no budget, or `none` [default: 3].
    #[arg(long, value_name = "USD", allow_negative_numbers = true, value_parser = caps::amount)]
    pub(super) task_cost: Option<String>,
    /// The most minutes for one task [default: 60].
    #[arg(long, value_name = "MINUTES", allow_negative_numbers = true, value_parser = caps::whole::<u64>)]
    pub(super) timeout: Option<u64>,
    /// How often a task is worked anew that the queue sent back, or whose run broke down.
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = caps::whole::<u32>, default_value = "1")]
    pub(super) retries: u32,
    /// What a task is worked anew for; with --resume, which of those that failed are tried again
    /// [default: conflict,red,broken; with --resume all].
    #[arg(long, value_name = "REASONS", value_delimiter = ',')]
    pub(super) retry_on: Vec<Reason>,
    /// Run every node, even where the result of an earlier run would do.
    #[arg(long)]
    pub(super) fresh: bool,
    /// What to print.
    #[arg(long, value_name = "FORM", default_value = "text")]
    pub(super) output: Output,
}

/// Why a task has not landed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Reason {
    /// It contradicts what has landed.
    Conflict,
    /// On top of what has landed its checks fail.
    Red,
    /// Its run broke down.
    Broken,
    /// Its run made nothing that could be verified.
    Failed,
    /// Its run reached a budget; only with --resume.
    Budget,
    /// A rule refused it; only with --resume.
    Refused,
}

impl From<Reason> for Trouble {
    fn from(reason: Reason) -> Self {
        match reason {
            Reason::Conflict => Self::Conflict,
            Reason::Red => Self::Red,
            Reason::Broken => Self::Broken,
            Reason::Failed => Self::Failed,
            Reason::Budget => Self::Budget,
            Reason::Refused => Self::Refused,
        }
    }
}

/// How a task stands in the history.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum Land {
    /// As one commit.
    Squash,
    /// As a merge, its own commits beside it.
    Merge,
    /// As its own commits, each replayed on the target with its author and message.
    Rebase,
    /// As its own commits, as they are: a `branch` that does not stand on the target is parked. What
    /// agents made here has been seen by nobody yet, so it is replayed.
    Ff,
}

impl From<Land> for Style {
    fn from(land: Land) -> Self {
        match land {
            Land::Squash => Self::Squash,
            Land::Merge => Self::Merge,
            Land::Rebase => Self::Rebase,
            Land::Ff => Self::FastForward,
        }
    }
}

/// Commands on the merge queue of a batch.
#[derive(Debug, Subcommand)]
pub(super) enum QueueCommand {
    /// List the batches, or the tasks of one.
    #[command(after_help = "Examples:\n  grafter queue ls\n  grafter queue ls latest")]
    Ls {
        /// The batch, or the beginning of its name; all batches without one.
        #[arg(value_name = "BATCH")]
        batch: Option<String>,
    },
    /// Show one task of a batch.
    #[command(
        after_help = "Examples:\n  grafter queue show median\n  grafter queue show median --batch 1122"
    )]
    Show(QueueTask),
    /// Try a task once more that failed or was parked, in a live batch.
    #[command(after_help = "Example:\n  grafter queue retry median")]
    Retry(QueueTask),
    /// Take a task out of a live batch; its work stays on its branch.
    #[command(after_help = "Example:\n  grafter queue drop median")]
    Drop(QueueTask),
    /// Let nothing land in a live batch; tasks are worked on.
    #[command(
        after_help = "Example:\n  grafter queue pause && git rebase … && grafter queue unpause"
    )]
    Pause(QueueName),
    /// Let a paused queue go on.
    #[command(after_help = "Example:\n  grafter queue unpause 1122")]
    Unpause(QueueName),
}

/// A task of a batch.
#[derive(Debug, Args)]
pub(super) struct QueueTask {
    /// The task.
    #[arg(value_name = "TASK")]
    pub(super) task: String,
    /// The batch, or the beginning of its name.
    #[arg(long, value_name = "BATCH", default_value = "latest")]
    pub(super) batch: String,
}

/// A batch.
#[derive(Debug, Args)]
pub(super) struct QueueName {
    /// The batch, or the beginning of its name.
    #[arg(value_name = "BATCH", default_value = "latest")]
    pub(super) batch: String,
}
