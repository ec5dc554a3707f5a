//! One call of a worker: the task laid into its place, its command run to an end.
//!
//! It finds the task as a file in its private home and, if its command asks for it, as an argument.
//! Standard output is what it reports; standard error goes to a file, so that it never breaks what a
//! program reads. When it has ended the whole sandbox ends, and with it whatever it left running.

use std::path::PathBuf;

use tokio_util::sync::CancellationToken;

use crate::{
    external::{
        options::Hired,
        preset::{Preset, Protocol},
    },
    prompt::words::fill,
    protocol::plan::{Act, Open, Plan, Start, Step, To, When},
    sandbox::{
        file_error::FileError,
        place::Place,
        run::{Cmd, Job, RanEnd, RunError},
    },
};

/// Files in the private home.
const TASK: &str = "grafter-task.md";
const REPORT: &str = "grafter-report.json";
const ERRORS: &str = "grafter-errors.txt";

/// The longest single argument that the kernel takes, and some room.
const MAX_ARGUMENT: usize = 128 * 1024 - 1024;
/// Bytes of its output that are kept.
const MAX_OUTPUT: usize = 4 << 20;
/// Bytes of its report that are read.
const MAX_REPORT: usize = 16 << 20;
/// Bytes of its errors that are told.
const MAX_ERRORS: usize = 64 << 10;
/// Characters of its own words that a failure tells.
const MAX_TOLD: usize = 600;

/// What came of a call, before anybody judges it.
#[derive(Clone, Debug, PartialEq)]
pub struct Ended {
    /// How it ended.
    pub end: RanEnd,
    /// What it printed.
    pub output: String,
    /// Bytes of that which were cut out of the middle.
    pub dropped: u64,
    /// What it wrote to standard error, the beginning.
    pub errors: String,
    /// What it wrote to its report file, if it did.
    pub report: String,
    /// How long it ran.
    pub took_ms: u64,
}

/// Why a worker could not be called at all.
#[derive(Debug, thiserror::Error)]
pub enum ErrandError {
    /// A variable it is to get is not set.
    #[error("the variable {name}, which worker `{worker}` is to get, is not set")]
    Unset {
        /// The worker.
        worker: String,
        /// The variable.
        name: String,
    },
    /// The task does not fit into an argument.
    #[error(
        "the task has {len} bytes, more than an argument may have; let the command of worker \
         `{worker}` take {{prompt_file}}"
    )]
    TooLong {
        /// The worker.
        worker: String,
        /// The task's length.
        len: usize,
    },
    /// Its home cannot be written.
    #[error(transparent)]
    Home(#[from] FileError),
    /// Its place does not run commands.
    #[error(transparent)]
    Run(#[from] RunError),
    /// What it does cannot be put on record.
    #[error("{0}")]
    Record(String),
}

/// The file that takes a worker's standard error.
pub(super) struct Errors(PathBuf);

impl Errors {
    /// Empties it: what an earlier call left there is not this one's.
    pub(super) fn make(place: &Place) -> Result<Self, FileError> {
        place.write_home(ERRORS, b"").map(Self)
    }

    /// Leads a command's standard error there.
    pub(super) fn redirect(&self) -> Open {
        Open { fd: 2, to: To::Write(self.0.to_string_lossy().into_owned()) }
    }

    /// Returns the beginning of it.
    pub(super) fn read(&self, place: &Place) -> String {
        text(place, ERRORS, MAX_ERRORS)
    }
}

/// Calls a worker in a place and waits for its end; nothing of it runs on afterwards.
pub async fn run(
    place: &Place,
    worker: &Hired,
    task: &str,
    cancel: &CancellationToken,
) -> Result<Ended, ErrandError> {
    let errors = Errors::make(place)?;
    let cmd = command(place, (worker, &errors), task)?;
    let ran = place.run(cmd, cancel).await;
    place.close().await;
    let ran = ran?;
    Ok(Ended {
        end: ran.end,
        output: String::from_utf8_lossy(&ran.output).into_owned(),
        dropped: ran.dropped,
        errors: errors.read(place),
        report: text(place, REPORT, MAX_REPORT),
        took_ms: ran.took_ms,
    })
}

/// Returns why a process that ended so has not done its work; nothing of one that ended well.
pub fn fault(worker: &Hired, end: RanEnd) -> Option<String> {
    Some(match end {
        RanEnd::Exit(0) => return None,
        RanEnd::Deadline => late(worker),
        RanEnd::Signal(number) => format!("signal {number} ended it"),
        RanEnd::Exit(126 | 127) => format!(
            "its program `{}` cannot be started inside the sandbox, which shows what is on PATH \
             and what `read` grants",
            worker.command.first().map_or("", String::as_str)
        ),
        RanEnd::Exit(code) => format!("exit code {code}"),
    })
}

/// Returns the words for a worker whose time is over.
pub(super) fn late(worker: &Hired) -> String {
    let minutes = worker.deadline.as_secs_f64() / 60.0;
    format!("still at work when its timeout_minutes = {minutes} were over")
}

/// Returns the end of the first of these texts that says anything, behind a colon.
pub fn said(texts: &[&str]) -> String {
    let Some(text) = texts.iter().map(|text| text.trim()).find(|text| !text.is_empty()) else {
        return String::new();
    };
    let skip = text.chars().count().saturating_sub(MAX_TOLD);
    format!(": {}", text.chars().skip(skip).collect::<String>())
}

/// Returns how a process ended, in words.
pub fn end(end: RanEnd) -> String {
    match end {
        RanEnd::Exit(code) => format!("exit {code}"),
        RanEnd::Signal(number) => format!("signal {number}"),
        RanEnd::Deadline => "deadline".to_owned(),
    }
}

/// Returns the variables that a worker gets beyond those of every command.
pub(super) fn env(worker: &Hired) -> Result<Vec<(String, String)>, ErrandError> {
    // Who is talked with can ask.
    let preset = worker.preset.filter(|_| worker.protocol == Protocol::Command);
    let quiet = preset.into_iter().flat_map(Preset::env).map(Ok);
    let granted = worker.env.iter().map(|name| {
        let unset = || ErrandError::Unset { worker: worker.name.clone(), name: name.clone() };
        let value = std::env::var(name).map_err(|_| unset())?;
        Ok((name.clone(), value))
    });
    quiet.chain(granted).collect()
}

fn text(place: &Place, name: &str, most: usize) -> String {
    String::from_utf8_lossy(&place.read_home(name, most).unwrap_or_default()).into_owned()
}

fn command(
    place: &Place,
    (worker, errors): (&Hired, &Errors),
    task: &str,
) -> Result<Cmd, ErrandError> {
    let name = || worker.name.clone();
    let asks = worker.command.iter().any(|word| word.contains("{prompt}"));
    if asks && task.len() > MAX_ARGUMENT {
        return Err(ErrandError::TooLong { worker: name(), len: task.len() });
    }
    let env = env(worker)?;
    let seen = place.write_home(TASK, task.as_bytes())?;
    // What an earlier call left there is not this one's.
    let report = place.write_home(REPORT, b"")?;
    let (seen, report) = (seen.to_string_lossy(), report.to_string_lossy());
    let values = [("prompt", task), ("prompt_file", &*seen), ("report_file", &*report)];
    let argv = worker.command.iter().map(|word| fill(word, &values)).collect();
    let start = Start { env: Vec::new(), argv, redirects: vec![errors.redirect()] };
    let step = Step { when: When::Always, act: Act::Pipeline(vec![start]) };
    Ok(Cmd {
        job: Job::Plan(Plan { steps: vec![step] }),
        cwd: String::new(),
        env,
        deadline: worker.deadline,
        max_output: MAX_OUTPUT,
    })
}
