//! One call of a worker that is talked with: its process and the conversation, from start to end.
//!
//! Whichever of the two ends first ends the other. The process is one command of its place, so
//! nothing of it outlives the call; its input and output are two pipes that its shell opens.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use tokio::time::{sleep, timeout};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

use crate::{
    external::{
        acp::{
            hands::{Client, Hands},
            log::Log,
            session::{Broken, Talk, apart},
            wire::Line,
        },
        errand::{self, ErrandError, Errors, fault, said},
        options::Hired,
        report::{Report, last},
    },
    protocol::{
        plan::{Act, Plan, Start, Step, When},
        usage::Usage,
    },
    sandbox::{
        pipes::Hold,
        place::Place,
        run::{Cmd, Job, Ran, RunError},
    },
};

/// The pair of pipes in the private home.
const PIPES: &str = "grafter-acp";
/// What opens them and becomes the agent.
const OPEN: &str = r#"exec "$@" <"$0.in" >"$0.out""#;
/// The most that an agent may take to say hello, log in and begin a session.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long the conversation may go on when the process has ended: what it had sent is still read.
const DRAIN: Duration = Duration::from_secs(2);
/// How much later than the worker's time its process is ended whatever the conversation does.
const MARGIN: Duration = Duration::from_secs(10);
/// Bytes of its process's own output that are kept, which is the sandbox's.
const MAX_OUTPUT: usize = 16 << 10;

/// What came of a call.
#[derive(Clone, Debug)]
pub struct Talked {
    /// How it ended, in words.
    pub end: String,
    /// What it says of its work, and why that does not count.
    pub report: Report,
    /// What it printed that was no message.
    pub output: String,
    /// What it wrote to standard error, the beginning.
    pub errors: String,
    /// How long it took.
    pub took_ms: u64,
}

/// Calls a worker in a place, talks with it, and waits for its end.
pub async fn run(
    (place, hands): (&Place, Hands),
    worker: &Hired,
    task: String,
    cancel: &CancellationToken,
) -> Result<Talked, ErrandError> {
    let begun = Instant::now();
    let errors = Errors::make(place)?;
    let (line, hold) = apart(place.pipes(PIPES)?);
    let cmd = command(place, worker, &errors)?;
    let Hands { desk, journal, known, letters, from_user } = hands;
    let log = Log::new(journal.clone(), (desk.node.clone(), desk.agent.clone()), known);
    let log = Arc::new(log);
    let client = Arc::new(Client::new(desk, log.clone(), begun + worker.deadline));
    let stop = cancel.child_token();
    let _timer = timer(&stop, worker.deadline);
    let talk = Talk {
        client: client.clone(),
        journal,
        task,
        login: worker.login.clone(),
        letters,
        from_user,
        patience: PATIENCE.min(worker.deadline),
        stop,
        step: Mutex::new("initialize"),
    };
    let (ran, talked) = both((place, cmd), (&talk, line, &hold)).await;
    client.terminals.close().await;
    place.close().await;
    if cancel.is_cancelled() {
        return Err(RunError::Cancelled.into());
    }
    let (errors, output) = (errors.read(place), log.noises());
    let summary = log.last_words().await.map_err(|error| ErrandError::Record(error.to_string()))?;
    let step = *talk.step.lock().unwrap_or_else(PoisonError::into_inner);
    let (end, usage, error) = match (ran.transpose()?, talked) {
        (_, Ok(usage)) => ("end of turn".to_owned(), usage, None),
        (ran, Err(broken)) => {
            let (end, why) = why(worker, ran.as_ref(), (&broken, step));
            let printed = ran.map(|ran| ran.output).unwrap_or_default();
            let said = said(&[&errors, &output, &String::from_utf8_lossy(&printed)]);
            (end, Usage::default(), Some(format!("{why}{said}")))
        }
    };
    let report = Report { summary: last(&summary), usage, cost: log.cost(), error };
    let took_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    Ok(Talked { end, report, output, errors, took_ms })
}

/// Runs the process and the conversation until both have ended.
async fn both(
    (place, cmd): (&Place, Cmd),
    (talk, line, hold): (&Talk, Line, &Hold),
) -> (Option<Result<Ran, RunError>>, Result<Usage, Broken>) {
    let kill = CancellationToken::new();
    let process = place.run(cmd, &kill);
    let conversation = talk.hold(line, hold);
    tokio::pin!(process, conversation);
    tokio::select! {
        talked = &mut conversation => {
            kill.cancel();
            // It has been told; how it ends says nothing any more.
            let _ = process.await;
            (None, talked)
        }
        ran = &mut process => {
            hold.let_go();
            let talked = timeout(DRAIN, conversation).await;
            (Some(ran), talked.unwrap_or(Err(Broken::Gone)))
        }
    }
}

/// Returns how a call ended that came to nothing, and why.
fn why(worker: &Hired, ran: Option<&Ran>, (broken, step): (&Broken, &str)) -> (String, String) {
    match (ran, broken) {
        (_, Broken::Stopped) => ("deadline".to_owned(), errand::late(worker)),
        (Some(ran), Broken::Gone) => {
            let fault = fault(worker, ran.end).unwrap_or_else(|| "it ended".to_owned());
            (errand::end(ran.end), format!("{fault}, before it had answered `{step}`"))
        }
        (Some(ran), broken) => (errand::end(ran.end), broken.to_string()),
        (None, broken) => ("broken off".to_owned(), broken.to_string()),
    }
}

fn timer(stop: &CancellationToken, after: Duration) -> AbortOnDropHandle<()> {
    let stop = stop.clone();
    AbortOnDropHandle::new(tokio::spawn(async move {
        sleep(after).await;
        stop.cancel();
    }))
}

fn command(place: &Place, worker: &Hired, errors: &Errors) -> Result<Cmd, ErrandError> {
    let pair = place.home_seen().join(PIPES).to_string_lossy().into_owned();
    let opening = ["/bin/sh", "-c", OPEN, &pair].map(str::to_owned);
    let argv = opening.into_iter().chain(worker.command.iter().cloned()).collect();
    let start = Start { env: Vec::new(), argv, redirects: vec![errors.redirect()] };
    let step = Step { when: When::Always, act: Act::Pipeline(vec![start]) };
    Ok(Cmd {
        job: Job::Plan(Plan { steps: vec![step] }),
        cwd: String::new(),
        env: errand::env(worker)?,
        deadline: worker.deadline.saturating_add(MARGIN),
        max_output: MAX_OUTPUT,
    })
}
