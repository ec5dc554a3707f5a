//! The command line as clap sees it; what it means is decided in the command files.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

use crate::cli::{
    batch_args::{BatchArgs, QueueCommand},
    check::CheckArgs,
    demo::DemoArgs,
    eval_args::EvalCommand,
    localize::LocalizeArgs,
    policy::PolicyCommand,
    review::ReviewArgs,
    run_args::{Format, ResumeArgs, RunArgs},
    steer::{AgentName, CancelArgs, HoldArgs, PsArgs, SendArgs},
    trust::TrustArgs,
};

/// The heading of what every command takes.
const GLOBAL: &str = "Everywhere";

/// From an issue to a verified, landed commit.
#[derive(Debug, Parser)]
#[command(
    name = "grafter",
    version,
    propagate_version = true,
    disable_help_subcommand = true,
    after_help = "Examples:
  grafter run \"the median of an even list is wrong\" --model anthropic/claude-sonnet-4-5
  grafter run --issue-file issue.md --verify 'pytest -q' --into main
  grafter batch tasks.yaml  # a backlog, landed by a merge queue
  grafter review my-branch  # one report, nothing lands
  grafter resume            # go on with the latest run
  grafter undo              # take its landing back
  grafter demo              # see all of it without a model

Exit codes: 0 landed or reported, 1 not resolved, 2 usage or configuration, 3 refused or approval needed,
4 budget reached, 5 merge conflict, 6 infrastructure, 130 interrupted."
)]
pub(super) struct Cli {
    /// Work on the repository in this folder instead of the current one.
    #[arg(short = 'C', long = "repo", global = true, value_name = "DIR", help_heading = GLOBAL)]
    pub(super) dir: Option<PathBuf>,
    /// Say more on standard error (also: GRAFTER_LOG=debug).
    #[arg(short, long, global = true, help_heading = GLOBAL)]
    pub(super) verbose: bool,
    /// What to do.
    #[command(subcommand)]
    pub(super) command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Take an issue to a verified, landed commit.
    Run(Box<RunArgs>),
    /// Work a backlog: each task on its own branch, all landed by a merge queue that keeps the target
    /// green.
    Batch(Box<BatchArgs>),
    /// Show batches, and order their merge queues about.
    #[command(subcommand)]
    Queue(QueueCommand),
    /// Evaluate a workflow and a model on a dataset, as SWE-bench does.
    #[command(subcommand)]
    Eval(EvalCommand),
    /// Have a change reviewed from several sides at once, and print one report; nothing lands.
    Review(Box<ReviewArgs>),
    /// Go on with a run that was interrupted, killed or ran out of budget.
    Resume(ResumeArgs),
    /// Show the runs of this repository, or one of them.
    Status(StatusArgs),
    /// Show what happened in a run.
    Logs(LogsArgs),
    /// Write a report of a run or a batch: one page of HTML, markdown or JSON.
    Report(ReportArgs),
    /// Show the tokens and the money of a run by agent, and what came from prompt caches.
    Cost(CostArgs),
    /// Ask a live run to stop, which can be resumed, or end one of its agents.
    Cancel(CancelArgs),
    /// List the agents of live runs and what each does just now.
    Ps(PsArgs),
    /// Give an agent a message before its next model call, or ask one again that has ended.
    Send(SendArgs),
    /// Show an agent's transcript as it grows, and send it what you type, line by line.
    ///
    /// It ends with the agent, or when you leave with Ctrl-D or Ctrl-C, which does nothing to the run.
    #[command(
        after_help = "Examples:\n  grafter attach implement\n  grafter attach research.1 --run 1122"
    )]
    Attach(AgentName),
    /// Let nothing new begin in an agent; what it runs now comes to its end.
    #[command(after_help = "Examples:\n  grafter pause implement\n  grafter pause --all")]
    Pause(HoldArgs),
    /// Let a paused agent go on.
    #[command(after_help = "Examples:\n  grafter unpause implement\n  grafter unpause --all")]
    Unpause(HoldArgs),
    /// Say what an agent, or a node that has not begun, waits for.
    #[command(after_help = "Examples:\n  grafter why implement\n  grafter why review.0@1")]
    Why(AgentName),
    /// Take a landing back: move the branch back, or revert if it has moved on.
    #[command(
        after_help = "Examples:\n  grafter undo              # the landing of the latest run\n  grafter undo 1122-1741"
    )]
    Undo(RunName),
    /// Bring the snapshots of a run's work onto a branch of its own.
    Rescue(RescueArgs),
    /// List, check and draw workflows.
    #[command(subcommand)]
    Workflow(WorkflowCommand),
    /// Show and check prompts.
    #[command(subcommand)]
    Prompt(PromptCommand),
    /// List the tools that agents have.
    Tools(ToolsArgs),
    /// List providers, whether their keys are set, and known models with their prices.
    Models,
    /// List the workers of your config.toml: agents of others that do the work of nodes, by their
    /// command line or over the Agent Client Protocol (protocol = "acp").
    #[command(
        after_help = "Examples:\n  grafter workers\n  grafter run \"the median of an even list is wrong\" --worker claude"
    )]
    Workers,
    /// List, clean and enter the working trees that grafter made.
    #[command(subcommand)]
    Worktree(WorktreeCommand),
    /// Check the journal of a run.
    #[command(subcommand)]
    Journal(JournalCommand),
    /// Let the repository's own `.grafter` folder take effect, as it is now.
    Trust(TrustArgs),
    /// Write a commented `.grafter/config.toml` to start from.
    Init,
    /// Say what the gate would do with a command, and why, without running it.
    Check(CheckArgs),
    /// Say which functions an issue is most likely about, without a model.
    Localize(LocalizeArgs),
    /// Say what modes and your rules make of commands.
    #[command(
        subcommand,
        after_help = "Examples:\n  grafter policy explain 'cargo test --workspace'\n  grafter policy test policy.yaml"
    )]
    Policy(PolicyCommand),
    /// Say what this machine and this repository allow.
    Doctor,
    /// Print a completion script for a shell.
    #[command(
        after_help = "Example:\n  grafter completions bash > ~/.local/share/bash-completion/completions/grafter"
    )]
    Completions {
        /// The shell.
        shell: Shell,
    },
    /// Repair a small crate with three bugs, with a scripted model, to see how a run goes.
    ///
    /// No model is asked: a script plays the agents' words. Git, trees, sandbox, checks and
    /// landings are real; it needs cargo, and no network.
    Demo(DemoArgs),
}

/// A run's name.
#[derive(Debug, Args)]
pub(super) struct RunName {
    /// The run, or the beginning of its name.
    #[arg(value_name = "RUN", default_value = "latest")]
    pub(super) run: String,
}

/// Arguments of `status`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  grafter status            # all runs\n  grafter status latest     # one run, as at its end"
)]
pub(super) struct StatusArgs {
    /// The run, or the beginning of its name; all runs without one.
    #[arg(value_name = "RUN")]
    pub(super) run: Option<String>,
    /// Print JSON: a list of runs, or the object that `run --output json` prints.
    #[arg(long)]
    pub(super) json: bool,
}

/// Arguments of `report`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  grafter report --html report.html    # the latest run\n  grafter report 1122-1741 --markdown >> pull-request.md\n  grafter report 1123-2049 --html batch.html   # a batch: one row a task, and what to review"
)]
pub(super) struct ReportArgs {
    /// The run or the batch, or the beginning of its name.
    #[arg(value_name = "RUN", default_value = "latest")]
    pub(super) run: String,
    /// Write one page of HTML that loads nothing: graph, time line, cost, checks, transcript, change.
    #[arg(long, value_name = "FILE")]
    pub(super) html: Option<PathBuf>,
    /// Print JSON: the object that `run --output json` or `batch --output json` prints.
    #[arg(long, conflicts_with = "html")]
    pub(super) json: bool,
    /// Print markdown; this is what is printed without any of these.
    #[arg(long, conflicts_with_all = ["html", "json"])]
    pub(super) markdown: bool,
}

/// Arguments of `cost`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  grafter cost              # the latest run\n  grafter cost 1122 --json"
)]
pub(super) struct CostArgs {
    /// The run, or the beginning of its name.
    #[arg(value_name = "RUN", default_value = "latest")]
    pub(super) run: String,
    /// Print JSON.
    #[arg(long)]
    pub(super) json: bool,
}

/// Arguments of `logs`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  grafter logs latest --follow\n  grafter logs 1122 --agent implement@1\n  grafter logs latest --session > session.yaml   # for: grafter run … --model scripted:session.yaml"
)]
pub(super) struct LogsArgs {
    /// The run, or the beginning of its name.
    #[arg(value_name = "RUN", default_value = "latest")]
    pub(super) run: String,
    /// Only this agent, such as `implement@1`, or all agents of a node, such as `implement`, with
    /// what they said and did.
    #[arg(long, value_name = "AGENT")]
    pub(super) agent: Option<String>,
    /// Go on until the run ends.
    #[arg(short, long)]
    pub(super) follow: bool,
    /// Print events as JSON lines.
    #[arg(long)]
    pub(super) json: bool,
    /// Print the model's answers as a session that `--model scripted:FILE` plays.
    #[arg(long, conflicts_with_all = ["agent", "follow", "json"])]
    pub(super) session: bool,
}

/// Arguments of `rescue`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  grafter rescue            # work of the latest run\n  grafter rescue 1122 --list"
)]
pub(super) struct RescueArgs {
    /// The run, or the beginning of its name.
    #[arg(value_name = "RUN", default_value = "latest")]
    pub(super) run: String,
    /// Only list the snapshots.
    #[arg(long)]
    pub(super) list: bool,
    /// Take this snapshot instead of the newest.
    #[arg(long, value_name = "COMMIT")]
    pub(super) snapshot: Option<String>,
}

/// Commands on workflows.
#[derive(Debug, Subcommand)]
pub(super) enum WorkflowCommand {
    /// List the workflows that `run` finds.
    Ls,
    /// Check a workflow file.
    #[command(
        after_help = "Examples:\n  grafter workflow check .grafter/workflows/mine.yaml\n  grafter workflow check resolve"
    )]
    Check {
        /// A workflow's name, or a file.
        #[arg(value_name = "WORKFLOW")]
        file: String,
    },
    /// Show a workflow.
    #[command(
        after_help = "Examples:\n  grafter workflow show resolve\n  grafter workflow show resolve --format dot | dot -Tsvg > resolve.svg"
    )]
    Show {
        /// A workflow's name, or a file.
        #[arg(value_name = "WORKFLOW")]
        file: String,
        /// The form of the picture.
        #[arg(long, value_name = "FORM", default_value = "text")]
        format: Picture,
    },
}

/// Pictures of a graph.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum Picture {
    /// One line per node.
    Text,
    /// For Graphviz.
    Dot,
    /// For Mermaid, which many forges and editors draw.
    Mermaid,
}

/// Commands on prompts.
#[derive(Debug, Subcommand)]
pub(super) enum PromptCommand {
    /// Show the prompt of a role, assembled.
    #[command(
        after_help = "Examples:\n  grafter prompt show --role reviewer\n  grafter prompt show --role implementer --edit-format blocks\n  grafter prompt show --words > ~/.config/grafter/prompts/words.yaml"
    )]
    Show {
        /// The role, such as researcher, coordinator, implementer, reviewer, solo, delegate.
        #[arg(long, value_name = "ROLE", default_value = "implementer")]
        role: String,
        /// The edit format.
        #[arg(long, value_name = "FORMAT", default_value = "tools")]
        edit_format: Format,
        /// Show instead what agents are told between their turns.
        #[arg(long, conflicts_with_all = ["role", "edit_format"])]
        words: bool,
    },
    /// Check all prompt files.
    Lint,
}

/// Arguments of `tools`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  grafter tools --risk medium\n  grafter tools --json")]
pub(super) struct ToolsArgs {
    /// Print JSON.
    #[arg(long)]
    pub(super) json: bool,
    /// Only tools of this risk.
    #[arg(long, value_name = "RISK")]
    pub(super) risk: Option<RiskName>,
}

/// Risks by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum RiskName {
    /// It looks, or talks to grafter.
    Low,
    /// It changes the agent's own tree, which a snapshot can undo.
    Medium,
    /// It does what no snapshot can undo; how far a command goes is judged with its text.
    High,
}

/// Commands on working trees.
#[derive(Debug, Subcommand)]
pub(super) enum WorktreeCommand {
    /// List the trees.
    Ls,
    /// Remove trees and task branches whose work has landed, and snapshots of old landings.
    ///
    /// What live runs need stays, and so do the branches `landed` and `rescued`. Files that are not
    /// committed, and commits that are nowhere else, are saved to a ref below refs/grafter/orphan
    /// first. Snapshots go 30 days after the landing.
    #[command(
        after_help = "Examples:\n  grafter worktree clean          # what has landed\n  grafter worktree clean --all    # everything, unlanded work saved to a ref first"
    )]
    Clean {
        /// Also remove trees and branches with work that has not landed, after saving it.
        #[arg(long)]
        all: bool,
    },
    /// Remove trees, task branches and saved work that a branch has by now, in whichever form.
    ///
    /// It has work as the commits themselves, as others with the same changes, as one commit with all
    /// of it, with the same files, or so that a merge would change nothing. Whatever else there is
    /// stays: what has not landed or is not committed, what a run needs that is live or can go on, what
    /// somebody locked or has checked out, what grafter did not make, and what cannot be told.
    #[command(
        after_help = "Examples:\n  grafter worktree gc --dry-run              # what would go, and why\n  grafter worktree gc --into origin/main"
    )]
    Gc {
        /// The branch that must have the work, such as main or origin/main [default: HEAD].
        #[arg(long, value_name = "BRANCH")]
        into: Option<String>,
        /// Only say what would go and what would stay, and why.
        #[arg(long)]
        dry_run: bool,
    },
    /// Start a shell in the tree of a run's writer, or print its path.
    #[command(
        after_help = "Examples:\n  grafter worktree enter\n  cd \"$(grafter worktree enter 1122 --print)\""
    )]
    Enter {
        /// The run, or the beginning of its name.
        #[arg(value_name = "RUN", default_value = "latest")]
        run: String,
        /// Only print the path.
        #[arg(long)]
        print: bool,
    },
}

/// Commands on journals.
#[derive(Debug, Subcommand)]
pub(super) enum JournalCommand {
    /// Check that no line of a run's journal was altered.
    ///
    /// The chain shows altered lines; signatures, if the run was signed, show as well that nobody
    /// wrote the whole record anew or cut it off.
    #[command(
        after_help = "Examples:\n  grafter journal verify 1122-1741\n  grafter journal verify latest --key 2f6c…"
    )]
    Verify(VerifyArgs),
    /// Print the public key of your signing key; makes one in your config folder if there is none.
    #[command(after_help = "Example:\n  grafter journal key && grafter run --sign \"…\"")]
    Key,
}

/// Arguments of `journal verify`.
#[derive(Debug, Args)]
pub(super) struct VerifyArgs {
    /// The run, or the beginning of its name.
    #[arg(value_name = "RUN", default_value = "latest")]
    pub(super) run: String,
    /// Expect a whole record signed with this public key; without it your own key is expected where
    /// there are signatures.
    #[arg(long, value_name = "PUBLIC-KEY")]
    pub(super) key: Option<String>,
}
