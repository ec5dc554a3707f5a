//! `grafter localize`: which functions an issue is about, without a model.

use std::{
    fs::File,
    io::{self, Read},
    path::PathBuf,
    process::ExitCode,
};

use clap::{Args, ValueEnum};
use serde::Serialize;

use crate::{
    cli::{
        context::Context,
        exit::{Failure, Kind, OrFail},
    },
    git::{facts, program::GitError},
    repair::search::{Known, suspects},
    ui::{
        tables::{Align, render},
        text::Colour,
    },
};

/// The largest issue text, in bytes.
const MAX_ISSUE: u64 = 1 << 20;

/// Arguments of `localize`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  grafter localize \"percent(0, 0) panics with a division by zero\"
  grafter localize --issue-file issue.md --limit 20
  pytest 2>&1 | grafter localize - --output json  # functions that a trace quotes come first

The words of the issue are compared with every function's path, name and text (BM25); functions that the
issue quotes by name or by file and line are raised. Test files are left out.")]
pub(super) struct LocalizeArgs {
    /// The issue's text; - reads standard input.
    #[arg(value_name = "ISSUE", required_unless_present = "issue_file")]
    issue: Option<String>,
    /// Read the issue from this file.
    #[arg(long, value_name = "FILE", conflicts_with = "issue")]
    issue_file: Option<PathBuf>,
    /// Where to look: a commit or branch.
    #[arg(long, value_name = "REV", default_value = "HEAD")]
    base: String,
    /// How many functions to show.
    #[arg(long, value_name = "N", default_value_t = 10)]
    limit: usize,
    /// The form of the answer.
    #[arg(long, value_name = "FORM", default_value = "text")]
    output: Form,
}

/// Forms of the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Form {
    /// For people.
    Text,
    /// One JSON array.
    Json,
}

/// A function as it is shown.
#[derive(Serialize)]
struct Row {
    path: String,
    from: u32,
    to: u32,
    function: String,
    /// 0 to 1.
    score: f64,
    bm25: f64,
    quoted: bool,
}

/// Shows the functions that an issue is most likely about.
pub(super) async fn localize(context: Context, args: &LocalizeArgs) -> Result<ExitCode, Failure> {
    let issue = issue(args)?;
    let base = context.repo.resolve(&args.base).or_fail(Kind::Usage)?;
    let repo = context.repo.clone();
    let work = move || {
        let sources = facts::sources(&repo, &base)?;
        let known = Known { words: issue.clone(), trace: issue, ..Known::default() };
        Ok::<_, GitError>(suspects(&sources, &known))
    };
    let found = tokio::task::spawn_blocking(work).await.or_fail(Kind::Infrastructure)?;
    let (suspects, ranked) = found.or_fail(Kind::Infrastructure)?;
    let rows = ranked.iter().filter(|ranked| ranked.score > 0.0).take(args.limit).map(|ranked| {
        let suspect = &suspects[ranked.index];
        Row {
            path: suspect.path.clone(),
            from: suspect.from,
            to: suspect.to,
            function: suspect.name.clone(),
            score: ranked.score,
            bm25: ranked.bm25,
            quoted: ranked.quoted,
        }
    });
    show(&rows.collect::<Vec<_>>(), args.output)?;
    Ok(ExitCode::SUCCESS)
}

fn show(rows: &[Row], form: Form) -> Result<(), Failure> {
    if form == Form::Json {
        return say!("{}", serde_json::to_string_pretty(rows).or_fail(Kind::Infrastructure)?);
    }
    if rows.is_empty() {
        return say!("no function outside of tests shares a word with the issue");
    }
    let columns = [
        ("Score", Align::Right),
        ("Function", Align::Left),
        ("Lines", Align::Left),
        ("Why", Align::Left),
    ];
    let cells = rows.iter().map(|row| {
        let quoted = if row.quoted { ", quoted" } else { "" };
        vec![
            format!("{:.2}", row.score),
            row.function.clone(),
            format!("{}:{}-{}", row.path, row.from, row.to),
            format!("words {:.2}{quoted}", row.bm25),
        ]
    });
    say!("{}", render(&columns, &cells.collect::<Vec<_>>(), Colour::Never).trim_end())
}

fn issue(args: &LocalizeArgs) -> Result<String, Failure> {
    let capped = |reader: &mut dyn Read| {
        let mut text = Vec::new();
        reader.take(MAX_ISSUE).read_to_end(&mut text).map(|_| text)
    };
    let bytes = match (&args.issue_file, args.issue.as_deref()) {
        (Some(path), _) => {
            File::open(path).and_then(|mut file| capped(&mut file)).map_err(|error| {
                Failure::usage(format!("cannot read the issue {}: {error}", path.display()))
            })?
        }
        (None, Some("-")) => capped(&mut io::stdin()).or_fail(Kind::Usage)?,
        (None, issue) => issue.unwrap_or_default().as_bytes().to_vec(),
    };
    let text = String::from_utf8_lossy(&bytes).into_owned();
    if text.trim().is_empty() {
        return Err(Failure::usage("the issue is empty").hint("say in words what is wrong"));
    }
    Ok(text)
}
