//! The arguments of `run` and `resume` as clap sees them.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::cli::caps;

/// Arguments of `run`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  grafter run \"the median of an even list is wrong\"
  grafter run --issue-file issue.md --workflow solo
  gh issue view 7 --json body -q .body | grafter run -
  grafter run --issue-file issue.md --model chat+http://127.0.0.1:8080/v1#qwen --workflow small
  grafter run --coordinator --issue-file issue.md --max-cost 5
  grafter run --issue-file issue.md --worker claude --workflow solo
  grafter run --issue-file issue.md --panes       # in tmux: a pane for each agent
  grafter run \"…\" --verify 'cargo test' --verify 'cargo clippy -- -D warnings' --into main")]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own on the command line")]
pub(super) struct RunArgs {
    /// The issue; `-` reads it from standard input.
    #[arg(value_name = "ISSUE", required_unless_present = "issue_file")]
    pub(super) issue: Option<String>,
    /// Read the issue from a file.
    #[arg(long, value_name = "FILE", conflicts_with = "issue")]
    pub(super) issue_file: Option<PathBuf>,
    /// The workflow: resolve, solo, small, refactor, one of your own, or a file [default: resolve].
    #[arg(short, long, value_name = "NAME")]
    pub(super) workflow: Option<String>,
    /// Let the model plan: it asks for agents, waits for them and decides (the workflow coordinator).
    #[arg(long, conflicts_with = "workflow")]
    pub(super) coordinator: bool,
    /// The model, such as `anthropic/NAME`, `openai/NAME`, `chat+URL#NAME`, `scripted:FILE`.
    #[arg(short, long, value_name = "MODEL")]
    pub(super) model: Option<String>,
    /// Have this worker of your config.toml do the work of all implementation nodes.
    #[arg(long, value_name = "NAME")]
    pub(super) worker: Option<String>,
    /// Start from this revision instead of the target's tip or HEAD.
    #[arg(long, value_name = "REV")]
    pub(super) base: Option<String>,
    /// Show agents that only read what has changed since this revision, up to the base.
    #[arg(long, value_name = "REV")]
    pub(super) since: Option<String>,
    /// Land on this branch instead of `grafter/<run>/landed`.
    #[arg(long, value_name = "BRANCH")]
    pub(super) into: Option<String>,
    /// A command that verifies, run with `bash -c`; may be given more than once. Without any, checks
    /// are detected.
    #[arg(long, value_name = "COMMAND")]
    pub(super) verify: Vec<String>,
    /// The most seconds one check may take [default: 900].
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true, value_parser = caps::positive)]
    pub(super) check_timeout: Option<u64>,
    /// Land even if nothing verified the commit.
    #[arg(long)]
    pub(super) allow_unverified: bool,
    /// How writers hand in their change, instead of the node's or the model's own way.
    #[arg(long, value_name = "FORMAT")]
    pub(super) edit_format: Option<Format>,
    /// How much agents may do without asking [default: allow-edits].
    #[arg(long, value_name = "MODE")]
    pub(super) mode: Option<ModeName>,
    /// Say that `--mode yolo` is meant for this repository, by the name of its folder.
    #[arg(long, value_name = "NAME")]
    pub(super) i_accept: Option<String>,
    /// What it may use up.
    #[command(flatten)]
    pub(super) caps: CapArgs,
    /// Run every node, even where the result of an earlier run would do.
    #[arg(long)]
    pub(super) fresh: bool,
    /// Sign checkpoints of the run's record with your key (`grafter journal key`).
    #[arg(long)]
    pub(super) sign: bool,
    /// Inside tmux, show each agent in a pane of its own while it works.
    #[arg(long)]
    pub(super) panes: bool,
    /// What to print.
    #[arg(long, value_name = "FORM", default_value = "text")]
    pub(super) output: Output,
}

/// The caps of a run; a resume may set new ones, and keeps those that are not named.
#[derive(Debug, Args)]
pub(super) struct CapArgs {
    /// The most dollars to spend, or `none` [a new run: 3]. A cap needs a model with a known price.
    #[arg(long, value_name = "USD", allow_negative_numbers = true, value_parser = caps::amount)]
    pub(super) max_cost: Option<String>,
    /// The most tokens to use, in and out.
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = caps::whole::<u64>)]
    pub(super) max_tokens: Option<u64>,
    /// The most model calls [a new run: 250].
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = caps::whole::<u32>)]
    pub(super) max_turns: Option<u32>,
    /// The most minutes to take, all processes of the run together [a new run: 60].
    #[arg(long, value_name = "MINUTES", allow_negative_numbers = true, value_parser = caps::whole::<u64>)]
    pub(super) timeout: Option<u64>,
}

/// Edit formats by name.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum Format {
    /// Tool calls.
    Tools,
    /// Search/replace blocks in the answer.
    Blocks,
    /// Whole files in the answer.
    WholeFile,
    /// Whole functions in the answer.
    WholeFunction,
}

/// Permission modes by name.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum ModeName {
    /// Writes and commands are asked for; without a terminal they are refused.
    Default,
    /// Writes in the run's own tree run, commands are asked for.
    AllowEdits,
    /// Commands that are plainly ordinary run as well.
    Auto,
    /// Commands run inside the sandbox, unless a check denies them.
    Bypass,
    /// What a check denies runs as well, except what no mode gives away; needs --i-accept.
    Yolo,
}

/// Forms of output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Output {
    /// For people: progress and a summary.
    Text,
    /// One JSON object at the end.
    Json,
    /// One JSON object per event, as it happens.
    StreamJson,
}

/// Arguments of `resume`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  grafter resume\n  grafter resume 1122-1741 --max-cost 5\n  grafter resume --model anthropic/claude-sonnet-4-5"
)]
pub(super) struct ResumeArgs {
    /// The run, or the beginning of its name.
    #[arg(value_name = "RUN", default_value = "latest")]
    pub(super) run: String,
    /// Say once more that `--mode yolo` is meant for this repository, by the name of its folder.
    #[arg(long, value_name = "NAME")]
    pub(super) i_accept: Option<String>,
    /// Go on with another model.
    #[arg(short, long, value_name = "MODEL")]
    pub(super) model: Option<String>,
    /// What it may use up.
    #[command(flatten)]
    pub(super) caps: CapArgs,
    /// Inside tmux, show each agent in a pane of its own while it works.
    #[arg(long)]
    pub(super) panes: bool,
    /// What to print.
    #[arg(long, value_name = "FORM", default_value = "text")]
    pub(super) output: Output,
}
