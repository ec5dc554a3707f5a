//! `grafter policy`: what modes and the user's rules make of commands, without running them.

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use clap::{Args, Subcommand};
use serde::Deserialize;
use serde_json::json;

use crate::{
    cli::{
        check,
        context::Setup,
        exit::{Failure, Kind, OrFail},
        out,
    },
    guard::{
        decide::{Decision, Facts, Policy, decide},
        options::Options,
    },
    protocol::{
        ids::CallId,
        message::ToolCall,
        task::{Mode, Phase},
    },
    settings::yaml,
    tools::catalogue::catalogue,
    ui::{
        tables::{Align, render},
        text::Colour,
    },
};

/// The exit code where a command is judged otherwise than expected.
const OTHERWISE: u8 = 1;

/// Commands on policy.
#[derive(Debug, Subcommand)]
pub(super) enum PolicyCommand {
    /// Show what each mode makes of a command, by checks and your rules.
    #[command(
        after_help = "Examples:\n  grafter policy explain 'cargo test --workspace'\n  grafter policy explain 'cd sub && make | tee log'"
    )]
    Explain(ExplainArgs),
    /// Compare what becomes of recorded commands with what is expected of them.
    #[command(after_help = "The file is a list in YAML:
  - command: cargo test
    mode: auto              # default, allow-edits, auto, bypass or yolo [allow-edits]
    unattended: false       # whether nobody can be asked [false]
    expect: run             # run, ask or deny

Exit codes: 0 all as expected, 1 something is not, 2 the file cannot be read.

Example:
  grafter policy test policy.yaml")]
    Test {
        /// The file.
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
}

/// Arguments of `policy explain`.
#[derive(Debug, Args)]
pub(super) struct ExplainArgs {
    /// The command; a single word is taken as a whole command line, and options need quotes.
    #[arg(value_name = "CMD", required = true)]
    command: Vec<String>,
}

/// A recorded command.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    command: String,
    #[serde(default = "usual")]
    mode: Mode,
    #[serde(default)]
    unattended: bool,
    expect: Word,
}

fn usual() -> Mode {
    Mode::AllowEdits
}

/// What may become of a command.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Word {
    Run,
    Ask,
    Deny,
}

impl Word {
    fn name(&self) -> &'static str {
        match self {
            Self::Run => "run",
            Self::Ask => "ask",
            Self::Deny => "deny",
        }
    }
}

/// Does one of the commands on policy.
pub(super) fn policy(
    setup: &Setup,
    dir: Option<&Path>,
    command: &PolicyCommand,
) -> Result<ExitCode, Failure> {
    setup.warn();
    let mut rules: Options = setup.section()?;
    if matches!(command, PolicyCommand::Test { .. }) {
        // No model is asked here; where one would be, its silence means ask.
        rules.classifier = None;
    }
    let judge = Judge { rules: Arc::new(rules), dir };
    match command {
        PolicyCommand::Explain(args) => judge.explain(&check::line(&args.command)),
        PolicyCommand::Test { file } => judge.test(file),
    }
}

struct Judge<'d> {
    rules: Arc<Options>,
    dir: Option<&'d Path>,
}

impl Judge<'_> {
    fn facts(&self, command: &str) -> Result<Facts, Failure> {
        let (judgement, root) = check::judged(command, check::facts(self.dir)?);
        Ok(Facts { judgement: Some(judgement), root, ..Facts::default() })
    }

    fn decide(
        &self,
        (command, facts): (&str, &Facts),
        mode: Mode,
        interactive: bool,
    ) -> Result<Decision, Failure> {
        let spec = catalogue().get("bash").ok_or_else(|| Failure::usage("there is no bash"))?;
        let input = json!({ "command": command });
        let call = ToolCall { id: CallId::new("policy"), name: spec.name.clone(), input };
        let (phase, rules) = (Phase::Implementation, self.rules.clone());
        Ok(decide(
            &call,
            spec,
            facts,
            &Policy { mode, phase, interactive, rules, scope: Vec::new() },
        ))
    }

    fn explain(&self, command: &str) -> Result<ExitCode, Failure> {
        let facts = self.facts(command)?;
        if let Some(judgement) = &facts.judgement {
            check::show(judgement)?;
        }
        let mut rows = Vec::new();
        for mode in Mode::ALL {
            let word = |interactive| -> Result<String, Failure> {
                Ok(self.decide((command, &facts), mode, interactive)?.disposition.name().to_owned())
            };
            rows.push(vec![mode.name().to_owned(), word(true)?, word(false)?]);
        }
        let columns = ["MODE", "TERMINAL", "UNATTENDED"].map(|name| (name, Align::Left));
        out::write(format_args!("\n{}", render(&columns, &rows, Colour::Never)))?;
        Ok(ExitCode::SUCCESS)
    }

    fn test(&self, file: &Path) -> Result<ExitCode, Failure> {
        let name = file.display().to_string();
        let text = fs::read_to_string(file)
            .map_err(|error| anyhow::Error::new(error).context(format!("cannot read {name}")))
            .or_fail(Kind::Usage)?;
        let rows: Vec<Row> = yaml::from_str(&name, &text).or_fail(Kind::Usage)?;
        let mut wrong = 0_usize;
        for (n, row) in rows.iter().enumerate() {
            let facts = self.facts(&row.command)?;
            let decision = self.decide((&row.command, &facts), row.mode, !row.unattended)?;
            let (found, expected) = (decision.disposition.name(), row.expect.name());
            if found != expected {
                wrong += 1;
                let (command, mode) = (row.command.escape_debug(), row.mode.name());
                let n = n + 1;
                say!("{n}: {found}, not {expected}, in {mode}: {command} ({})", decision.why)?;
            }
        }
        say!("{} of {} commands are as expected", rows.len() - wrong, rows.len())?;
        Ok(if wrong == 0 { ExitCode::SUCCESS } else { ExitCode::from(OTHERWISE) })
    }
}
