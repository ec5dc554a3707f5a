//! A node's work done by somebody else's agent: called once, saved, and judged by how it ended.
//!
//! Its call is journaled before and after. One that has ended is never called again; one that was at
//! work when its process died is called again on the tree as it was, and what it had left by then is
//! saved first. Whether what it did is any good, checks and reviewers say, as for every writer.

use std::sync::Arc;

use tokio::sync::oneshot;

use crate::{
    agent::{
        chain::{Chain, Stand},
        session::Stop,
    },
    coordinator::{brief::Brief, shared::Shared},
    external::{
        errand::{self, Ended, ErrandError},
        options::Hired,
        report::{self, Report},
    },
    guard::sanitise::{clean::clean, secrets::Known},
    prompt::assemble::Assembled,
    protocol::{
        event::{Event, Level, What},
        ids::Oid,
        outcome::{Failure, Outcome},
        request::{Request, Reservation},
        usage::{Micros, Usage},
        worker::{WorkerCall, WorkerEnd},
    },
    sandbox::run::{RanEnd, RunError},
    subagent::housing::Lodging,
};

/// Sections of a prompt that are about grafter's own tools and words, which a worker has not.
const OURS: [&str; 4] = ["boundary", "identity", "tools", "reporting"];
/// Characters of its errors that a failure tells.
const MAX_TOLD: usize = 600;

/// Who is called, for whom.
pub(super) struct Call<'a> {
    pub(super) shared: &'a Arc<Shared>,
    pub(super) brief: &'a Brief,
    pub(super) worker: &'a Hired,
    /// The commit that the tree stands at when the worker begins.
    pub(super) start: Oid,
}

impl Call<'_> {
    /// Has the worker do its work in a place, and returns what came of it.
    pub(super) async fn outcome(&self, prompt: &Assembled, lodging: &Lodging) -> Outcome {
        let ended = self.work(prompt, lodging).await;
        ended.unwrap_or_else(|stop| Outcome::failed(stop.failure, stop.why))
    }

    async fn work(&self, prompt: &Assembled, lodging: &Lodging) -> Result<Outcome, Stop> {
        if let Some((result, snapshot)) = self.recorded() {
            self.chain(lodging, snapshot).await?.restore().await?;
            return Ok(result);
        }
        let mut chain = self.chain(lodging, None).await?;
        self.reserve().await?;
        let ended = self.called(prompt, (lodging, &mut chain)).await;
        if ended.is_err() {
            // The dispatcher may be gone already; then nobody counts any more.
            let _ = self.shared.requests.send(Request::Release { agent: self.brief.agent() });
        }
        ended
    }

    async fn called(
        &self,
        prompt: &Assembled,
        (lodging, chain): (&Lodging, &mut Chain),
    ) -> Result<Outcome, Stop> {
        self.begin(chain).await?;
        let worker = self.worker;
        let (name, command) = (worker.name.clone(), worker.command.clone());
        let timeout_ms = u64::try_from(worker.deadline.as_millis()).unwrap_or(u64::MAX);
        self.record(What::WorkerIntent(WorkerCall { worker: name.clone(), command, timeout_ms }))
            .await?;
        let task = self.task(prompt);
        let ended =
            errand::run(&lodging.place, worker, &task, &self.brief.reins.stop_token()).await;
        // Whatever happened, what it left is kept.
        let snapshot = chain.take(&format!("worker {name}")).await?;
        if let Some(why) = lodging.place.no_space() {
            return Err(Stop::broken(why));
        }
        let Told { end, report, output, took_ms } = self.told(ended)?;
        let Report { summary, usage, cost, error } = report;
        let outcome = outcome(&name, (&summary, error.as_deref()), usage);
        let output = self.shared.journal.keep(output)?;
        let worker = name;
        let ended =
            WorkerEnd { worker, end, summary, error, output, usage, cost, snapshot, took_ms };
        self.record(What::WorkerResult(Box::new(ended))).await?;
        Ok(outcome)
    }

    /// Returns what the journal says of a call that has ended, and its snapshot.
    fn recorded(&self) -> Option<(Outcome, Option<Oid>)> {
        self.brief.earlier.iter().rev().find_map(|event| match &event.what {
            What::WorkerResult(end) => {
                let said = (end.summary.as_str(), end.error.as_deref());
                Some((outcome(&end.worker, said, end.usage), end.snapshot.clone()))
            }
            _ => None,
        })
    }

    async fn chain(&self, lodging: &Lodging, last: Option<Oid>) -> Result<Chain, Stop> {
        let tracker = lodging.tracker.clone().ok_or_else(|| Stop::broken("nobody may write"))?;
        let owner = format!("{}/{}", self.shared.run, self.brief.agent());
        let (repo, base) = (self.shared.repo.clone(), self.start.clone());
        Ok(Chain::at(Stand { repo, tracker, owner, base, last }).await?)
    }

    /// Puts the tree into the state in which the work begins.
    async fn begin(&self, chain: &mut Chain) -> Result<(), Stop> {
        let begun = |event: &Event| matches!(event.what, What::WorkerIntent(_));
        if !self.brief.earlier.iter().any(begun) {
            return Ok(chain.restore().await?);
        }
        let name = &self.worker.name;
        chain.start_over(&format!("what worker {name} had left when its process died")).await?;
        let text = format!(
            "worker {name} was at work when its process died, and is called again: what it had \
             spent by then is not known, what it had left is saved"
        );
        self.record(What::Note { level: Level::Warning, text }).await
    }

    /// Asks whether anything is left to spend: what a worker will cost nobody can say before.
    async fn reserve(&self) -> Result<(), Stop> {
        let (reply, answer) = oneshot::channel();
        let agent = self.brief.agent();
        let ask = Request::Reserve { agent, cost: Micros(1), tokens: 1, reply };
        self.shared.requests.send(ask).map_err(|_| Stop::cancelled())?;
        let stop = self.brief.reins.stop_token();
        tokio::select! {
            answer = answer => match answer.map_err(|_| Stop::cancelled())? {
                Reservation::Granted => Ok(()),
                Reservation::Refused(why) => Err(Stop { failure: Failure::Budget, why }),
            },
            () = stop.cancelled() => Err(Stop::cancelled()),
        }
    }

    /// Returns the task as a worker reads it: what it is, then the prompt of its node.
    fn task(&self, prompt: &Assembled) -> String {
        let system = prompt.system.iter().filter(|part| !OURS.contains(&part.id.as_str()));
        let texts = [self.shared.prompts.words().worker.as_str()].into_iter();
        let texts = texts.chain(system.map(|part| part.text.as_str())).chain([&*prompt.opening]);
        texts.map(str::trim).filter(|text| !text.is_empty()).collect::<Vec<_>>().join("\n\n")
    }

    /// Returns how a call ended, in words; an error only if that says nothing about the worker.
    fn told(&self, ended: Result<Ended, ErrandError>) -> Result<Told, Stop> {
        let known = Known::of(std::env::vars_os().filter_map(|(name, value)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        }));
        let clean = |text: &str| clean(text, &known);
        let failed = |error: ErrandError| Told {
            end: "no result".to_owned(),
            report: Report { error: Some(error.to_string()), ..Report::default() },
            output: String::new(),
            took_ms: 0,
        };
        let ended = match ended {
            Ok(ended) => ended,
            Err(ErrandError::Run(RunError::Cancelled | RunError::Closed)) => {
                return Err(Stop::cancelled());
            }
            Err(ErrandError::Run(error @ RunError::Start { .. })) => {
                return Err(Stop::broken(error.to_string()));
            }
            Err(error) => return Ok(failed(error)),
        };
        let read = report::read(self.worker.preset, &ended.output, &ended.report);
        let why = self.why(&ended, read.as_ref());
        let mut report = read.unwrap_or_default();
        report.summary = clean(&report.summary);
        report.error = why.map(|why| clean(&why));
        let cut = match ended.dropped {
            0 => String::new(),
            dropped => format!("\n[{dropped} bytes were cut out of the middle]"),
        };
        let output = clean(&format!("{}{cut}{}", ended.output, marked(&ended.errors)));
        Ok(Told { end: end(ended.end), report, output, took_ms: ended.took_ms })
    }

    /// Returns why the work of a call does not count, if it does not.
    fn why(&self, ended: &Ended, report: Option<&Report>) -> Option<String> {
        let last = |text: &str| {
            let skip = text.trim().chars().count().saturating_sub(MAX_TOLD);
            text.trim().chars().skip(skip).collect::<String>()
        };
        let said = match (report.and_then(|report| report.error.as_deref()), &ended.errors) {
            (Some(error), _) => last(error),
            (None, errors) if !errors.trim().is_empty() => last(errors),
            (None, _) => last(&ended.output),
        };
        let said = if said.is_empty() { said } else { format!(": {said}") };
        match ended.end {
            RanEnd::Deadline => {
                let minutes = self.worker.deadline.as_secs_f64() / 60.0;
                Some(format!("still at work when its timeout_minutes = {minutes} were over{said}"))
            }
            RanEnd::Signal(number) => Some(format!("signal {number} ended it{said}")),
            RanEnd::Exit(126 | 127) => Some(format!(
                "its program `{}` cannot be started inside the sandbox, which shows what is on \
                 PATH and what `read` grants{said}",
                self.worker.command.first().map_or("", String::as_str)
            )),
            RanEnd::Exit(0) => match (report, self.worker.preset) {
                (None, Some(preset)) => {
                    Some(format!("it did not report as {} does{said}", preset.name()))
                }
                (report, _) => report.and_then(|report| report.error.clone()),
            },
            RanEnd::Exit(code) => Some(format!("exit code {code}{said}")),
        }
    }

    async fn record(&self, what: What) -> Result<(), Stop> {
        let (node, agent) = (&self.brief.id, self.brief.agent());
        self.shared.journal.append(Some(node), Some(&agent), what).await?;
        Ok(())
    }
}

/// A call as the journal tells it.
struct Told {
    end: String,
    report: Report,
    output: String,
    took_ms: u64,
}

fn outcome(worker: &str, (summary, error): (&str, Option<&str>), usage: Usage) -> Outcome {
    let outcome = match error {
        None => Outcome::succeeded(summary),
        Some(error) => Outcome::failed(Failure::NotResolved, format!("worker {worker}: {error}")),
    };
    Outcome { usage, ..outcome }
}

fn end(end: RanEnd) -> String {
    match end {
        RanEnd::Exit(code) => format!("exit {code}"),
        RanEnd::Signal(number) => format!("signal {number}"),
        RanEnd::Deadline => "deadline".to_owned(),
    }
}

/// Returns the errors as they stand below the output.
fn marked(errors: &str) -> String {
    if errors.trim().is_empty() { String::new() } else { format!("\n[standard error]\n{errors}") }
}
