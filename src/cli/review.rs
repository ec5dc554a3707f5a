//! `grafter review`: a run that looks at a change, reports, and lands nothing.

use clap::Args;

use crate::cli::run_args::{CapArgs, ModeName, Output, RunArgs};

/// The workflow that reviews, unless another is named.
const WORKFLOW: &str = "review";

/// Arguments of `review`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  grafter review feature                # what the branch has beyond HEAD
  grafter review v1.2..HEAD
  grafter review HEAD --since main --focus 'does it still work without a network?'")]
pub(super) struct ReviewArgs {
    /// The branch, commit or range `FROM..TO` to look at.
    #[arg(value_name = "REVISION", default_value = "HEAD")]
    revision: String,
    /// Look at what has changed since it left this revision [default: HEAD].
    #[arg(long, value_name = "REV")]
    since: Option<String>,
    /// What the reviewers should see to above all.
    #[arg(long, value_name = "TEXT")]
    focus: Option<String>,
    /// The workflow: review, one of your own, or a file.
    #[arg(short, long, value_name = "NAME", default_value = WORKFLOW)]
    workflow: String,
    /// The model, such as `anthropic/NAME`, `openai/NAME`, `chat+URL#NAME`, `scripted:FILE`.
    #[arg(short, long, value_name = "MODEL")]
    model: Option<String>,
    /// What it may use up.
    #[command(flatten)]
    caps: CapArgs,
    /// Run every node, even where the result of an earlier run would do.
    #[arg(long)]
    fresh: bool,
    /// Inside tmux, show each agent in a pane of its own while it works.
    #[arg(long)]
    panes: bool,
    /// What to print.
    #[arg(long, value_name = "FORM", default_value = "text")]
    output: Output,
}

impl ReviewArgs {
    /// Returns the run that does it.
    pub(super) fn run(self) -> RunArgs {
        let range =
            self.revision.split_once("..").map(|(from, to)| (from, to.trim_start_matches('.')));
        let (from, to) = range.unwrap_or(("", &self.revision));
        let named = |text: &str| if text.is_empty() { "HEAD" } else { text }.to_owned();
        let (from, to) = (self.since.unwrap_or_else(|| named(from)), named(to));
        let focus = self.focus.map(|focus| format!("\n\n{focus}")).unwrap_or_default();
        RunArgs {
            issue: Some(format!("review {from}..{to}{focus}")),
            issue_file: None,
            workflow: Some(self.workflow),
            coordinator: false,
            model: self.model,
            worker: None,
            base: Some(to),
            since: Some(from),
            into: None,
            verify: Vec::new(),
            check_timeout: None,
            allow_unverified: false,
            edit_format: None,
            mode: Some(ModeName::Default),
            i_accept: None,
            caps: self.caps,
            fresh: self.fresh,
            sign: false,
            panes: self.panes,
            output: self.output,
        }
    }
}
