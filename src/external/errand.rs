//! One call of a worker: the task laid into its place, its command run to an end.
//!
//! It finds the task as a file in its private home and, if its command asks for it, as an argument.
//! Standard output is what it reports; standard error goes to a file, so that it never breaks what a
//! program reads. When it has ended the whole sandbox ends, and with it whatever it left running.

use tokio_util::sync::CancellationToken;

use crate::{
    external::{options::Hired, preset::Preset},
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
}

/// Calls a worker in a place and waits for its end; nothing of it runs on afterwards.
pub async fn run(
    place: &Place,
    worker: &Hired,
    task: &str,
    cancel: &CancellationToken,
) -> Result<Ended, ErrandError> {
    let cmd = command(place, worker, task)?;
    let ran = place.run(cmd, cancel).await;
    place.close().await;
    let ran = ran?;
    let text = |name: &str, most: usize| {
        let bytes = place.read_home(name, most).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    };
    Ok(Ended {
        end: ran.end,
        output: String::from_utf8_lossy(&ran.output).into_owned(),
        dropped: ran.dropped,
        errors: text(ERRORS, MAX_ERRORS),
        report: text(REPORT, MAX_REPORT),
        took_ms: ran.took_ms,
    })
}

fn command(place: &Place, worker: &Hired, task: &str) -> Result<Cmd, ErrandError> {
    let name = || worker.name.clone();
    let asks = worker.command.iter().any(|word| word.contains("{prompt}"));
    if asks && task.len() > MAX_ARGUMENT {
        return Err(ErrandError::TooLong { worker: name(), len: task.len() });
    }
    let env = worker.env.iter().map(|variable| {
        let unset = || ErrandError::Unset { worker: name(), name: variable.clone() };
        let value = std::env::var(variable).map_err(|_| unset())?;
        Ok((variable.clone(), value))
    });
    let env = env.collect::<Result<Vec<_>, ErrandError>>()?;
    let quiet = worker.preset.into_iter().flat_map(Preset::env);
    let seen = place.write_home(TASK, task.as_bytes())?;
    // What an earlier call left there is not this one's.
    let report = place.write_home(REPORT, b"")?;
    let errors = place.write_home(ERRORS, b"")?;
    let (seen, report) = (seen.to_string_lossy(), report.to_string_lossy());
    let values = [("prompt", task), ("prompt_file", &*seen), ("report_file", &*report)];
    let argv = worker.command.iter().map(|word| fill(word, &values)).collect();
    let to = To::Write(errors.to_string_lossy().into_owned());
    let start = Start { env: Vec::new(), argv, redirects: vec![Open { fd: 2, to }] };
    let step = Step { when: When::Always, act: Act::Pipeline(vec![start]) };
    Ok(Cmd {
        job: Job::Plan(Plan { steps: vec![step] }),
        cwd: String::new(),
        env: quiet.chain(env).collect(),
        deadline: worker.deadline,
        max_output: MAX_OUTPUT,
    })
}
