//! Runs a cleared call: the one list that joins tool names to what they do.
//!
//! Whatever touches files runs on a blocking thread, so that ten reads of one turn run side by side.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::{task::spawn_blocking, time::timeout};
use tokio_util::sync::CancellationToken;

use crate::{
    git::{look::Look, repo::Repo, snapshot::Tracker},
    guard::decide::Cleared,
    protocol::{
        ids::Oid,
        message::ToolCall,
        plan::Plan,
        tool::{Class, ToolSpec},
    },
    sandbox::place::Place,
    tools::{
        answer::{Done, Mark, ToolAnswer},
        catalogue::catalogue,
        clean::shown,
        control::{self, Delegate, Report},
        desk::Desk,
        edit::{self, Edit},
        finish::FinishInput,
        history::{self, Git},
        look::{self, Outline, Tree},
        patch::{self, Patch},
        read::{self, Read, ReadMany},
        reads::{Known, ReadSet},
        search::{self, Glob, Grep},
        shell::{self, Bash, RunTests},
        write::{self, Delete, Move, Write},
    },
};

/// Longest error that a model sees.
const MAX_ERROR: usize = 8000;

impl Desk {
    /// Runs a call that the guard has cleared.
    pub async fn run(&self, call: Cleared<ToolCall>, cancel: &CancellationToken) -> ToolAnswer {
        let (call, plan) = (call.get(), call.plan());
        let Some(spec) = catalogue().get(&call.name) else {
            return ToolAnswer::error(format!("E_UNKNOWN_TOOL: there is no tool `{}`", call.name));
        };
        // Its own token, so that a walk on a blocking thread ends at the deadline as well.
        let own = cancel.child_token();
        let limit = Duration::from_millis(spec.timeout_ms);
        let done = match spec.class {
            // A write is short and must not be left half done.
            Class::Write => self.perform(spec, (&call.input, plan), &own).await,
            _ => match timeout(limit, self.perform(spec, (&call.input, plan), &own)).await {
                Ok(done) => done,
                Err(_) => {
                    own.cancel();
                    Err(format!(
                        "`{}` was stopped after {} s; ask for less",
                        call.name,
                        limit.as_secs()
                    ))
                }
            },
        };
        match done {
            Ok(done) => self.answer(done, spec),
            Err(why) => {
                let (content, suspicion) = shown(&why, MAX_ERROR, "");
                ToolAnswer { suspicion, ..ToolAnswer::error(content) }
            }
        }
    }

    fn answer(&self, done: Done, spec: &ToolSpec) -> ToolAnswer {
        for mark in done.marks {
            remember(&self.reads, mark);
        }
        let (content, suspicion) = shown(&done.content, spec.max_output, done.rest);
        ToolAnswer { content, is_error: false, effect: done.effect, suspicion }
    }

    async fn perform(
        &self,
        spec: &ToolSpec,
        (input, plan): (&Value, Option<&Plan>),
        cancel: &CancellationToken,
    ) -> Result<Done, String> {
        let means = || Means {
            place: Arc::clone(&self.place),
            repo: self.repo.clone(),
            base: self.base.clone(),
            at: self.at.clone(),
            tracker: self.tracker.clone(),
            reads: self.reads.clone(),
            cancel: cancel.clone(),
        };
        let place = &self.place;
        match spec.name.as_str() {
            "apply_patch" => {
                on(means(), input, |m, a: &Patch| patch::apply_patch(&m.place, a)).await
            }
            "bash" => {
                let args: Bash = parsed(input)?;
                shell::bash(place, (&args, plan), spec.max_output, cancel).await
            }
            "delegate" => {
                let args: Delegate = parsed(input)?;
                control::delegate(&self.requests, (&self.node, &self.at), &args, cancel).await
            }
            "delete" => on(means(), input, |m, a: &Delete| write::delete(&m.place, a)).await,
            "edit" => on(means(), input, |m, a: &Edit| edit::edit(&m.place, a, &m.reads)).await,
            "finish" => control::finish(parsed::<FinishInput>(input)?),
            "git" => on(means(), input, |m, a: &Git| m.git(a)).await,
            "glob" => on(means(), input, |m, a: &Glob| search::glob(&m.place, a, &m.cancel)).await,
            "grep" => on(means(), input, |m, a: &Grep| search::grep(&m.place, a, &m.cancel)).await,
            "move" => on(means(), input, |m, a: &Move| write::rename(&m.place, a)).await,
            "outline" => on(means(), input, |m, a: &Outline| look::outline(&m.place, a)).await,
            "read" => on(means(), input, |m, a: &Read| read::read(&m.place, a)).await,
            "read_many" => on(means(), input, |m, a: &ReadMany| read::read_many(&m.place, a)).await,
            "report_finding" => {
                on(means(), input, |m, a: &Report| control::report(&m.place, a)).await
            }
            "run_tests" => {
                let args: RunTests = parsed(input)?;
                shell::run_tests(place, (&args, self.policy.phase), &self.checks, cancel).await
            }
            "tree" => on(means(), input, |m, a: &Tree| look::tree(&m.place, a, &m.cancel)).await,
            "write" => on(means(), input, |m, a: &Write| write::write(&m.place, a, &m.reads)).await,
            other => Err(format!("`{other}` is in the table but cannot be run")),
        }
    }
}

/// What a tool on a blocking thread works with.
struct Means {
    place: Arc<Place>,
    repo: Repo,
    base: Oid,
    at: Oid,
    tracker: Option<Arc<Mutex<Tracker>>>,
    reads: ReadSet,
    cancel: CancellationToken,
}

impl Means {
    /// Only a writer's tree can differ from its base.
    fn git(&self, args: &Git) -> Result<Done, String> {
        let now = match &self.tracker {
            Some(tracker) => {
                let mut tracker = tracker.lock().unwrap_or_else(PoisonError::into_inner);
                tracker.current().map_err(|error| format!("the tree cannot be read: {error}"))?
            }
            None => self.at.clone(),
        };
        history::git(&Look { repo: &self.repo, base: &self.base, now: &now }, args)
    }
}

async fn on<A>(
    means: Means,
    input: &Value,
    job: fn(&Means, &A) -> Result<Done, String>,
) -> Result<Done, String>
where
    A: DeserializeOwned + Send + 'static,
{
    let args: A = parsed(input)?;
    match spawn_blocking(move || job(&means, &args)).await {
        Ok(done) => done,
        Err(error) => Err(format!("the tool failed ({error}); try another way")),
    }
}

/// The arguments were validated, so this fails only for numbers out of all reason.
fn parsed<A: DeserializeOwned>(input: &Value) -> Result<A, String> {
    A::deserialize(input).map_err(|error| format!("E_ARGUMENTS: {error}"))
}

pub(super) fn remember(reads: &ReadSet, mark: Mark) {
    match mark {
        Mark::Shown(path, hash) => reads.note(&path, hash),
        Mark::Written { path, before, after } => {
            let known = before.is_none_or(|before| reads.knows(&path, &before) == Known::Current);
            if known {
                reads.note(&path, Some(after));
            }
        }
        Mark::Gone(path) => reads.note(&path, None),
    }
}
