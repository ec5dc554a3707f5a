//! The arguments of `eval` as clap sees them.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use crate::cli::caps;

/// What is done with evaluations.
#[derive(Debug, Subcommand)]
pub(super) enum EvalCommand {
    /// Work the instances of a dataset, grade what comes of each, and report.
    Run(Box<EvalRunArgs>),
    /// List the instances of a dataset.
    Ls(EvalLsArgs),
    /// Show a run's figures and what became of each instance.
    Show(EvalShowArgs),
    /// Compare two runs over the instances that both have, and say whether the difference is chance.
    Compare(EvalCompareArgs),
}

/// Which instances.
#[derive(Debug, Args)]
pub(super) struct ChoiceArgs {
    /// The dataset: SWE-bench rows, a JSON list or one object a line.
    #[arg(long, value_name = "FILE")]
    pub(super) dataset: PathBuf,
    /// Only instances whose id contains this.
    #[arg(long, value_name = "TEXT")]
    pub(super) filter: Option<String>,
    /// Only these, by place: `0:10` are the first ten.
    #[arg(long, value_name = "FROM:TO", value_parser = range)]
    pub(super) slice: Option<(usize, usize)>,
    /// Take them in another order first, the same one for the same seed.
    #[arg(long, value_name = "SEED")]
    pub(super) shuffle: Option<u64>,
}

/// Arguments of `eval run`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  grafter eval run --dataset swe.jsonl --repos ~/mirrors --model gold      # do the tests work here?
  grafter eval run --dataset swe.jsonl --repos ~/mirrors --out runs/a --model anthropic/NAME --workflow solo
  grafter eval run --dataset swe.jsonl --repos ~/mirrors --out runs/b --workflow repair --workers 2
  grafter eval compare runs/a runs/b

The models `gold` and `empty` are the rows' own patches and none. A run that is started again with the same --out
takes every result of the same row, workflow, model and version, and works the rest; failures of the machine are
tried up to three times and reported apart. Agents see the base commit alone, and no hidden test; tests run without
a network, with what is on PATH.")]
pub(super) struct EvalRunArgs {
    #[command(flatten)]
    pub(super) choice: ChoiceArgs,
    /// Where the repositories are: a folder that holds ID, OWNER__NAME, OWNER/NAME or NAME, or an
    /// address that OWNER/NAME is put behind.
    #[arg(long, value_name = "DIR|URL")]
    pub(super) repos: String,
    /// The folder of the run.
    #[arg(long, value_name = "DIR", default_value = "eval-run")]
    pub(super) out: PathBuf,
    /// The run's name in the official files.
    #[arg(long, value_name = "ID", default_value = "grafter")]
    pub(super) run_id: String,
    /// The workflow [default: resolve, or repair where no model is set up].
    #[arg(short, long, value_name = "NAME")]
    pub(super) workflow: Option<String>,
    /// The model; `gold` and `empty` stand for the rows' own patches and none.
    #[arg(short, long, value_name = "MODEL")]
    pub(super) model: Option<String>,
    /// Have this worker do the work of all implementation nodes.
    #[arg(long, value_name = "NAME")]
    pub(super) worker: Option<String>,
    /// How many instances at once.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(super) workers: usize,
    /// What runs the tests, instead of the rows' own command.
    #[arg(long, value_name = "COMMAND")]
    pub(super) test_command: Option<String>,
    /// The most seconds that the tests of an instance may take.
    #[arg(long, value_name = "SECONDS", default_value_t = 1800)]
    pub(super) test_timeout: u64,
    /// The most dollars an instance may spend, or `none` [default: 3].
    #[arg(long, value_name = "USD", allow_negative_numbers = true, value_parser = caps::amount)]
    pub(super) instance_cost: Option<String>,
    /// No instance is begun once so many dollars are spent.
    #[arg(long, value_name = "USD")]
    pub(super) max_cost: Option<f64>,
    /// The most minutes an instance may take.
    #[arg(long, value_name = "MINUTES")]
    pub(super) instance_minutes: Option<u64>,
    /// Work these outcomes anew although they have a result: failed, no-patch, apply-error.
    #[arg(long, value_name = "OUTCOME", value_delimiter = ',')]
    pub(super) retry_include: Vec<String>,
    /// What to print.
    #[arg(long, value_name = "FORM", default_value = "text")]
    pub(super) output: EvalForm,
}

/// Arguments of `eval ls`.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  grafter eval ls --dataset swe.jsonl --filter django --shuffle 1 --slice 0:5"
)]
pub(super) struct EvalLsArgs {
    #[command(flatten)]
    pub(super) choice: ChoiceArgs,
}

/// Arguments of `eval show`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  grafter eval show runs/a")]
pub(super) struct EvalShowArgs {
    /// The folder of the run.
    #[arg(value_name = "DIR")]
    pub(super) run: PathBuf,
    /// What to print.
    #[arg(long, value_name = "FORM", default_value = "text")]
    pub(super) output: EvalForm,
}

/// Arguments of `eval compare`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  grafter eval compare runs/a runs/b")]
pub(super) struct EvalCompareArgs {
    /// The folder of the first run.
    #[arg(value_name = "A")]
    pub(super) a: PathBuf,
    /// The folder of the second run.
    #[arg(value_name = "B")]
    pub(super) b: PathBuf,
    /// What to print.
    #[arg(long, value_name = "FORM", default_value = "text")]
    pub(super) output: EvalForm,
}

/// Forms of output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum EvalForm {
    /// For people.
    Text,
    /// One JSON object.
    Json,
}

fn range(text: &str) -> Result<(usize, usize), String> {
    let wrong = || format!("`{text}` is no range such as 0:10");
    let (from, to) = text.split_once(':').ok_or_else(wrong)?;
    let number = |text: &str, open: usize| match text {
        "" => Ok(open),
        text => text.parse().map_err(|_| wrong()),
    };
    let (from, to) = (number(from, 0)?, number(to, usize::MAX)?);
    if from < to { Ok((from, to)) } else { Err(format!("`{text}` holds nothing")) }
}
