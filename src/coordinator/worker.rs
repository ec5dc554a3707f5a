//! A node's work done by somebody else's agent: called once, saved, and judged by how it ended.
//!
//! Its call is journaled before and after. One that has ended is never called again; one that was at
//! work when its process died is called again on the tree as it was, and what it had left by then is
//! saved first. Whether what it did is any good, checks and reviewers say, as for every writer.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use crate::{
    agent::{
        chain::{Chain, Stand},
        reins::Doing,
        session::Stop,
    },
    coordinator::{
        brief::Brief,
        shared::{Shared, blocking},
    },
    external::{
        acp::{
            call::{self, Talked},
            hands::Hands,
        },
        errand::{self, Ended, ErrandError},
        options::Hired,
        preset::Protocol,
        report::{self, Report},
    },
    git::facts,
    guard::sanitise::{clean::clean, secrets::Known},
    prompt::assemble::Assembled,
    protocol::{
        cause,
        event::{Event, Level, What},
        ids::Oid,
        mail::{Delivered, Letter},
        outcome::{Failure, Outcome},
        request::{Request, Reservation},
        usage::{Micros, Usage},
        worker::{WorkerCall, WorkerEnd},
    },
    repair,
    sandbox::run::RunError,
    subagent::housing::Lodging,
    tools::desk::Desk,
};

/// Sections of a prompt that are about grafter's own tools and words, which a worker has not.
const OURS: [&str; 4] = ["boundary", "identity", "tools", "reporting"];

/// Who is called, for whom.
pub(super) struct Call<'a> {
    pub(super) shared: &'a Arc<Shared>,
    pub(super) brief: &'a Brief,
    pub(super) worker: &'a Hired,
    /// What a worker that is talked with works with, on its own place.
    pub(super) desk: Desk,
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
        let told = self.tell(self.task(prompt), lodging).await;
        // Whatever happened, what it left is kept.
        let snapshot = chain.take(&format!("worker {name}")).await?;
        if let Some(why) = lodging.place.no_space() {
            return Err(Stop::broken(why));
        }
        if let (Err(_), Some(_)) = (&told, &snapshot) {
            let text = format!("what worker {name} had written by then is saved: `grafter rescue`");
            self.record(What::Note { level: Level::Warning, text }).await?;
        }
        let Told { end, report, output, took_ms } = told?;
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
                Reservation::Spent(why) => Err(Stop { failure: Failure::NotResolved, why }),
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

    /// Has the worker told its task, by the way that it knows, and returns how its call ended.
    async fn tell(&self, task: String, lodging: &Lodging) -> Result<Told, Stop> {
        let stop = self.brief.reins.stop_token();
        let (place, worker) = (&lodging.place, self.worker);
        let (tool, title) = (worker.name.clone(), "a worker".to_owned());
        self.brief.reins.note(Doing::Calling { tool, title });
        match worker.protocol {
            Protocol::Command => {
                let ended = errand::run(place, worker, &task, &stop).await;
                self.told(ended.map(|ended| self.ended(&ended)))
            }
            Protocol::Embedded => self.mend(lodging, &stop).await,
            Protocol::Acp => {
                let talked = call::run((place, self.hands()), worker, task, &stop).await;
                self.told(talked.map(|Talked { end, report, output, errors, took_ms }| Told {
                    end,
                    report,
                    output: format!("{output}{}", marked(&errors)),
                    took_ms,
                }))
            }
        }
    }

    /// Has the embedded worker search for an edit that the checks let pass.
    async fn mend(&self, lodging: &Lodging, stop: &CancellationToken) -> Result<Told, Stop> {
        let begun = Instant::now();
        let (repo, start) = (self.shared.repo.clone(), self.start.clone());
        let sources = blocking(move || facts::sources(&repo, &start)).await;
        let options = &self.shared.options;
        let task = repair::work::Task {
            issue: self.shared.started.task.text.clone(),
            checks: options.checks.clone(),
            sources: sources.map_err(|error| Stop::broken(cause::chain(&error)))?,
            time: self.worker.deadline,
            check_time: Duration::from_millis(options.check_timeout_ms),
        };
        let reins = &self.brief.reins;
        let say = |title: String| {
            reins.note(Doing::Calling { tool: self.worker.name.clone(), title });
        };
        let place = &lodging.place;
        let repaired = repair::work::repair(place, &task, (&say, stop)).await;
        place.close().await;
        if stop.is_cancelled() {
            return Err(Stop::cancelled());
        }
        let repaired = repaired.map_err(|error| Stop::broken(cause::chain(&error)))?;
        let known = known();
        let report = Report {
            summary: clean(&repaired.summary, &known),
            error: repaired.error.map(|why| clean(&why, &known)),
            ..Report::default()
        };
        let took_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        let end = if report.error.is_none() { "found" } else { "nothing found" };
        let output = clean(&repaired.log, &known);
        Ok(Told { end: end.to_owned(), report, output, took_ms })
    }

    /// Returns what a worker that is talked with gets of the run.
    fn hands(&self) -> Hands {
        let reins = self.brief.reins.clone();
        // Whoever is called again has not heard what the one before was told.
        let told = self.brief.earlier.iter().filter_map(|event| match &event.what {
            What::MessageDelivered(Delivered { message, text, from, .. }) => {
                Some(Letter { message: *message, text: text.clone(), from: from.clone() })
            }
            _ => None,
        });
        let told = Mutex::new(told.collect::<VecDeque<_>>());
        let letters = move || {
            let again = told.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
            let letter = again.or_else(|| reins.next_letter())?;
            reins.heard();
            Some(letter)
        };
        Hands {
            desk: self.desk.clone(),
            journal: self.shared.journal.clone(),
            known: known(),
            letters: Box::new(letters),
            from_user: self.shared.prompts.words().from_user.clone(),
        }
    }

    /// Returns what is kept of how a call ended; an error only if that says nothing about the worker.
    fn told(&self, told: Result<Told, ErrandError>) -> Result<Told, Stop> {
        let known = known();
        let clean = |text: &str| clean(text, &known);
        let told = match told {
            Ok(told) => told,
            Err(ErrandError::Run(RunError::Cancelled | RunError::Closed)) => {
                return Err(Stop::cancelled());
            }
            Err(ErrandError::Run(error @ RunError::Start { .. })) => {
                return Err(Stop::broken(error.to_string()));
            }
            Err(ErrandError::Record(error)) => return Err(Stop::broken(error)),
            Err(error) => Told {
                end: "no result".to_owned(),
                report: Report { error: Some(error.to_string()), ..Report::default() },
                output: String::new(),
                took_ms: 0,
            },
        };
        let report = Report {
            summary: clean(&told.report.summary),
            error: told.report.error.as_deref().map(clean),
            ..told.report
        };
        Ok(Told { report, output: clean(&told.output), ..told })
    }

    /// Returns how the call of a command line ended.
    fn ended(&self, ended: &Ended) -> Told {
        let read = report::read(self.worker.preset, &ended.output, &ended.report);
        let why = self.why(ended, read.as_ref());
        let report = Report { error: why, ..read.unwrap_or_default() };
        let cut = match ended.dropped {
            0 => String::new(),
            dropped => format!("\n[{dropped} bytes were cut out of the middle]"),
        };
        let output = format!("{}{cut}{}", ended.output, marked(&ended.errors));
        Told { end: errand::end(ended.end), report, output, took_ms: ended.took_ms }
    }

    /// Returns why the work of a call does not count, if it does not.
    fn why(&self, ended: &Ended, report: Option<&Report>) -> Option<String> {
        let own = report.and_then(|report| report.error.as_deref()).unwrap_or_default();
        let said = errand::said(&[own, &ended.errors, &ended.output]);
        match (errand::fault(self.worker, ended.end), report, self.worker.preset) {
            (Some(fault), ..) => Some(format!("{fault}{said}")),
            (None, None, Some(preset)) => {
                Some(format!("it did not report as {} does{said}", preset.name()))
            }
            (None, report, _) => report.and_then(|report| report.error.clone()),
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

/// Returns the secrets that grafter itself was started with.
fn known() -> Known {
    Known::of(
        std::env::vars_os().filter_map(|(name, value)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        }),
    )
}

/// Returns the errors as they stand below the output.
fn marked(errors: &str) -> String {
    if errors.trim().is_empty() { String::new() } else { format!("\n[standard error]\n{errors}") }
}
