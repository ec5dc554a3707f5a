//! `grafter check`: what the gate says of a command, without running it.

use std::{collections::BTreeMap, env, fs, path::Path, process::ExitCode};

use clap::{Args, ValueEnum};

use crate::{
    cli::exit::{Failure, Kind, OrFail},
    git::repo::Repo,
    guard::gate::{Judgement, ShellFacts, Verdict, judge_following},
};

/// The exit code of a command that would not simply run.
const STOPPED: u8 = 3;

/// Arguments of `check`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  grafter check -- cargo test --workspace        # several words: one program and its arguments
  grafter check -- 'cd sub && make | tee log'    # one word: a command line
  grafter check --output json -- 'git -c core.pager=less log'

Exit codes: 0 nothing was found, 3 it would be asked for or denied.")]
pub(super) struct CheckArgs {
    /// The command; a single word is taken as a whole command line.
    #[arg(value_name = "CMD", required = true, last = true)]
    command: Vec<String>,
    /// The form of the answer.
    #[arg(long, value_name = "FORM", default_value = "text")]
    output: Form,
}

/// Forms of the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Form {
    /// For people.
    Text,
    /// One JSON object.
    Json,
}

/// Judges a command as if an agent had asked for it in this folder.
pub(super) fn check(dir: Option<&Path>, args: &CheckArgs) -> Result<ExitCode, Failure> {
    let command = line(&args.command);
    let (judgement, _) = judged(&command, facts(dir)?);
    match args.output {
        Form::Json => {
            say!("{}", serde_json::to_string_pretty(&judgement).or_fail(Kind::Infrastructure)?)?;
        }
        Form::Text => show(&judgement)?,
    }
    Ok(match judgement.verdict {
        Verdict::Pass => ExitCode::SUCCESS,
        Verdict::Ask | Verdict::Deny => ExitCode::from(STOPPED),
    })
}

/// Returns the command line that words stand for: one word is one already.
pub(super) fn line(words: &[String]) -> String {
    match words {
        [line] => line.clone(),
        words => words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" "),
    }
}

/// Returns what the gate says of a command, and the tree's root.
pub(super) fn judged(command: &str, mut facts: ShellFacts) -> (Judgement, String) {
    let link = |path: &str| Some(fs::read_link(path).ok()?.to_string_lossy().into_owned());
    (judge_following(command, &mut facts, link), facts.root)
}

/// Returns the word as a shell would have to read it.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,@%+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// Returns what holds for a command in this folder.
pub(super) fn facts(dir: Option<&Path>) -> Result<ShellFacts, Failure> {
    let dir = match dir {
        Some(dir) => dir.to_path_buf(),
        None => env::current_dir().or_fail(Kind::Infrastructure)?,
    };
    let cwd = dir.canonicalize().or_fail(Kind::Usage)?;
    let root = Repo::discover(&cwd).map_or(cwd.clone(), |repo| repo.checkout().to_path_buf());
    let text = |path: &Path| path.to_string_lossy().into_owned();
    Ok(ShellFacts {
        root: text(&root),
        cwd: text(&cwd),
        home: env::var("HOME").unwrap_or_default(),
        // Inside the sandbox this folder is private.
        scratch: vec!["/tmp".to_owned()],
        readable: Vec::new(),
        links: BTreeMap::new(),
    })
}

/// Prints what the gate says.
pub(super) fn show(judgement: &Judgement) -> Result<(), Failure> {
    say!("{}", word(judgement.verdict))?;
    for hit in &judgement.hits {
        let name = word(hit.verdict).to_uppercase();
        say!("  {name:<5} {} {}", hit.id, hit.why.escape_debug())?;
    }
    let mode = match &judgement.direct {
        Some(plan) => format!("direct: {} without a shell", steps(plan.steps.len())),
        None if judgement.verdict == Verdict::Deny => "not run".to_owned(),
        None => "shell: bash would read it".to_owned(),
    };
    let risk = format!("{:?}", judgement.risk).to_lowercase();
    let blast = format!("{:?}", judgement.blast).to_lowercase();
    let undo = if judgement.reversible { "a snapshot undoes it" } else { "nothing undoes it" };
    say!("{mode}; risk {risk}, reaches {blast}, {undo}")
}

fn steps(count: usize) -> String {
    if count == 1 { "1 step".to_owned() } else { format!("{count} steps") }
}

fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "pass",
        Verdict::Ask => "ask",
        Verdict::Deny => "deny",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_words_are_one_argv() {
        for (word, expected) in
            [("a", "a"), ("", "''"), ("a b", "'a b'"), ("it's", r"'it'\''s'"), ("$x", "'$x'")]
        {
            assert_eq!(quoted(word), expected);
        }
    }
}
