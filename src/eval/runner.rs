//! Many instances, several at once: solved, tried, graded, written down.
//!
//! Each instance's result stands in a file of its own before the next one counts it, under a key of
//! all that it depends on: the row, who solves it and how it is tried. A run that is started again
//! takes what has the same key, and works whatever else there is anew; nothing else is ever reused.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
    time::Instant,
};

use futures_util::{
    StreamExt,
    future::{self, BoxFuture},
    stream,
};
use thiserror::Error;
use tokio_util::sync::CancellationToken;

use crate::eval::{
    arena::{Arena, ArenaError, Tried},
    files::{self, Outcome, Record},
    grade::{self, Graded},
    instance::Instance,
};

/// How often an instance is tried when the machine fails.
const MAX_ATTEMPTS: u32 = 3;

/// What somebody who solves an instance hands in.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Solved {
    /// The patch; empty if there is none.
    pub patch: String,
    /// Why there is none, or how the work ended.
    pub end: String,
    /// The kind of failure of the machine, if there was one.
    pub infra: Option<String>,
    /// Tokens in and out.
    pub tokens: u64,
    /// Micro-dollars.
    pub cost: u64,
    /// Model answers.
    pub turns: u32,
    /// The run's id.
    pub run: String,
}

/// Who solves instances.
pub trait Solver: Send + Sync {
    /// Returns everything its answer depends on: workflow, model, version.
    fn identity(&self) -> String;

    /// Works an instance in a repository of its own.
    fn solve<'a>(&'a self, instance: &'a Instance, repo: &'a Path) -> BoxFuture<'a, Solved>;

    /// Returns whether it works in a repository; one that only knows patches does not.
    fn needs_repository(&self) -> bool {
        true
    }
}

/// What is to be evaluated, and where its files go.
#[derive(Debug)]
pub struct Plan {
    /// The instances, in order.
    pub instances: Vec<Instance>,
    /// The folder of the run.
    pub out: PathBuf,
    /// The run's name in the official files.
    pub run_id: String,
    /// The model's name in the official files.
    pub model: String,
    /// How many at once.
    pub workers: usize,
    /// Where they are tried.
    pub arena: Arena,
    /// No instance is begun once so many micro-dollars are spent.
    pub max_cost: Option<u64>,
    /// Outcomes that are worked anew although they have a result.
    pub again: Vec<String>,
}

/// Why a run cannot go on.
#[derive(Debug, Error)]
pub enum EvalError {
    /// A file of the run.
    #[error("cannot write {}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
}

/// What a run is told on its way.
pub struct News<'a> {
    /// The newest result.
    pub record: &'a Record,
    /// Whether it stood there from before.
    pub known: bool,
    /// How many results there are.
    pub done: usize,
    /// How many there will be.
    pub all: usize,
}

/// Works all instances; returns the results by id, those of before included.
///
/// Stops early when it is cancelled or the money is spent; the rest has no result then.
pub async fn run(
    plan: &Plan,
    solver: &dyn Solver,
    (say, cancel): (&(dyn Fn(&News<'_>) + Sync), &CancellationToken),
) -> Result<BTreeMap<String, Record>, EvalError> {
    let spent = AtomicU64::new(0);
    let identity = solver.identity();
    let all = plan.instances.len();
    let jobs = plan.instances.iter().map(|instance| {
        let (spent, identity) = (&spent, &identity);
        async move {
            let key = key(plan, instance, identity);
            if let Some(record) = known(plan, instance, &key) {
                return Ok(Some((record, true)));
            }
            let limit = plan.max_cost.unwrap_or(u64::MAX);
            if cancel.is_cancelled() || spent.load(Ordering::Relaxed) >= limit {
                return Ok(None);
            }
            let record = until_graded(plan, (instance, key), (solver, cancel)).await?;
            let Some(record) = record else { return Ok(None) };
            spent.fetch_add(record.cost, Ordering::Relaxed);
            Ok::<_, EvalError>(Some((record, false)))
        }
    });
    let mut running = stream::iter(jobs).buffer_unordered(plan.workers.max(1));
    let mut records = BTreeMap::new();
    while let Some(done) = running.next().await {
        if let Some((record, known)) = done? {
            let news = News { record: &record, known, done: records.len() + 1, all };
            say(&news);
            records.insert(record.id.clone(), record);
        }
    }
    write_reports(plan, &records)?;
    Ok(records)
}

/// Names everything the result of an instance depends on.
fn key(plan: &Plan, instance: &Instance, identity: &str) -> String {
    let command = plan.arena.command(instance).unwrap_or_default();
    let parts = [instance.row.as_str(), identity, &command];
    let mut hash = blake3::Hasher::new();
    for part in parts {
        hash.update(&(part.len() as u64).to_le_bytes()).update(part.as_bytes());
    }
    hash.finalize().to_hex().to_string()
}

/// Returns a result of before, if it is one of exactly this and its patch is still the same.
fn known(plan: &Plan, instance: &Instance, key: &str) -> Option<Record> {
    let text = fs::read_to_string(plan.record(&instance.id)).ok()?;
    let record: Record = serde_json::from_str(&text).ok()?;
    let patch = fs::read(plan.log(&instance.id).join("patch.diff")).ok()?;
    let same = record.key == key && record.patch == blake3::hash(&patch).to_hex().to_string();
    let name = record.outcome.name();
    let again = plan.again.iter().any(|word| name.starts_with(word.as_str()));
    let settled = !matches!(record.outcome, Outcome::Infra(_));
    (same && settled && !again).then_some(record)
}

async fn until_graded(
    plan: &Plan,
    (instance, key): (&Instance, String),
    (solver, cancel): (&dyn Solver, &CancellationToken),
) -> Result<Option<Record>, EvalError> {
    for attempt in 1.. {
        let (mut record, patch, log, graded) = once(plan, instance, (solver, cancel)).await?;
        if cancel.is_cancelled() {
            return Ok(None);
        }
        if matches!(record.outcome, Outcome::Infra(_)) && attempt < MAX_ATTEMPTS {
            continue;
        }
        record.attempts = attempt;
        record.key = key;
        plan.keep(instance, &record, (&patch, &log, graded.as_ref()))?;
        return Ok(Some(record));
    }
    Ok(None)
}

type Once = (Record, String, String, Option<Graded>);

async fn once(
    plan: &Plan,
    instance: &Instance,
    (solver, cancel): (&dyn Solver, &CancellationToken),
) -> Result<Once, EvalError> {
    let work = plan.out.join("work").join(&instance.id);
    let repo = work.join("repo");
    let begun = Instant::now();
    let solved = match solver.needs_repository() {
        true => match plan.arena.prepare(instance, &repo).await {
            Ok(()) => solver.solve(instance, &repo).await,
            Err(error) => broken(&error),
        },
        false => solver.solve(instance, &repo).await,
    };
    let solve_ms = millis(begun);
    // What the agents said stays; their repository goes.
    let runs = plan.out.join("runs").join(&instance.id);
    let _ = fs::remove_dir_all(&runs);
    if repo.join(".git/grafter").is_dir() {
        make(&plan.out.join("runs"))?;
        fs::rename(repo.join(".git/grafter"), &runs).map_err(fault(&runs))?;
    }
    let (mut record, log, graded) = tried(plan, instance, (&solved, &work), cancel).await;
    record.solve_ms = solve_ms;
    let _ = fs::remove_dir_all(&work);
    Ok((record, solved.patch, log, graded))
}

fn broken(error: &ArenaError) -> Solved {
    let end = crate::protocol::cause::chain(error);
    Solved { infra: Some(error.kind().to_owned()), end, ..Solved::default() }
}

async fn tried(
    plan: &Plan,
    instance: &Instance,
    (solved, work): (&Solved, &Path),
    cancel: &CancellationToken,
) -> (Record, String, Option<Graded>) {
    let mut record = Record {
        id: instance.id.clone(),
        key: String::new(),
        outcome: Outcome::NoPatch,
        why: solved.end.clone(),
        patch: blake3::hash(solved.patch.as_bytes()).to_hex().to_string(),
        mended: (0, instance.fail_to_pass.len()),
        kept: (0, instance.pass_to_pass.len()),
        solve_ms: 0,
        test_ms: 0,
        tokens: solved.tokens,
        cost: solved.cost,
        turns: solved.turns,
        run: solved.run.clone(),
        attempts: 1,
    };
    if let Some(kind) = &solved.infra {
        record.outcome = Outcome::Infra(kind.clone());
        return (record, String::new(), None);
    }
    if solved.patch.trim().is_empty() {
        return (record, String::new(), None);
    }
    let result = plan.arena.attempt((instance, &solved.patch), &work.join("trial"), cancel).await;
    match result {
        Ok(Tried::Ran(log, took)) => {
            record.test_ms = took;
            let graded = grade::grade(instance, &log);
            decide(&mut record, graded.as_ref());
            (record, log, graded)
        }
        Ok(Tried::Late(log, took)) => {
            record.test_ms = took;
            record.outcome = Outcome::Failed;
            record.why = "the tests did not end in time".to_owned();
            (record, log, None)
        }
        Ok(Tried::Refused(why)) => {
            record.outcome = Outcome::ApplyError;
            record.why = why;
            (record, String::new(), None)
        }
        Err(error) => {
            record.outcome = Outcome::Infra(error.kind().to_owned());
            record.why = crate::protocol::cause::chain(&error);
            (record, String::new(), None)
        }
    }
}

fn decide(record: &mut Record, graded: Option<&Graded>) {
    let Some(graded) = graded else {
        record.outcome = Outcome::Failed;
        record.why = "the log of the tests cannot be graded".to_owned();
        return;
    };
    record.mended.0 = graded.fail_to_pass.success.len();
    record.kept.0 = graded.pass_to_pass.success.len();
    if graded.is_resolved() {
        record.outcome = Outcome::Resolved;
        record.why = String::new();
        return;
    }
    record.outcome = Outcome::Failed;
    let failed = [&graded.fail_to_pass.failure, &graded.pass_to_pass.failure];
    let first = failed.iter().flat_map(|list| list.iter()).next();
    let count = failed.iter().map(|list| list.len()).sum::<usize>();
    record.why = format!("{count} tests fail, {} first", first.map_or("", String::as_str));
}

impl Plan {
    fn record(&self, id: &str) -> PathBuf {
        self.out.join("instances").join(format!("{id}.json"))
    }

    /// The folder of an instance in the official layout.
    fn log(&self, id: &str) -> PathBuf {
        let model = self.model.replace('/', "__");
        self.out.join("logs/run_evaluation").join(&self.run_id).join(model).join(id)
    }

    /// Writes what came of an instance; its result last, which makes the others count.
    fn keep(
        &self,
        instance: &Instance,
        record: &Record,
        (patch, log, graded): (&str, &str, Option<&Graded>),
    ) -> Result<(), EvalError> {
        let folder = self.log(&instance.id);
        make(&folder)?;
        make(&self.out.join("instances"))?;
        let old = self.record(&instance.id);
        let _ = fs::remove_file(&old);
        let command = self.arena.command(instance).unwrap_or_default();
        let report = files::report(instance, record, graded);
        write(&folder.join("patch.diff"), patch)?;
        write(&folder.join("eval.sh"), &format!("#!/bin/bash\n{command}\n"))?;
        write(&folder.join("test_output.txt"), log)?;
        write(&folder.join("report.json"), &pretty(&report))?;
        // Half a file is none.
        let new = old.with_extension("new");
        write(&new, &pretty(record))?;
        fs::rename(&new, &old).map_err(fault(&old))
    }
}

/// Writes the files about all instances.
fn write_reports(plan: &Plan, records: &BTreeMap<String, Record>) -> Result<(), EvalError> {
    make(&plan.out)?;
    let mut predictions = String::new();
    for instance in plan.instances.iter().filter(|instance| records.contains_key(&instance.id)) {
        let path = plan.log(&instance.id).join("patch.diff");
        let patch = fs::read_to_string(&path).map_err(fault(&path))?;
        predictions.push_str(&files::prediction(&instance.id, &plan.model, &patch));
    }
    write(&plan.out.join("predictions.jsonl"), &predictions)?;
    let all: Vec<String> = plan.instances.iter().map(|instance| instance.id.clone()).collect();
    let name = format!("{}.{}.json", plan.model.replace('/', "__"), plan.run_id);
    write(&plan.out.join(name), &pretty(&files::run_report(&all, records)))
}

/// Returns the results that stand in a run's folder, by id; those that cannot be read are left out.
pub fn records(out: &Path) -> Result<BTreeMap<String, Record>, EvalError> {
    let folder = out.join("instances");
    let entries = fs::read_dir(&folder).map_err(fault(&folder))?;
    let texts = entries.flatten().filter_map(|entry| fs::read_to_string(entry.path()).ok());
    let records = texts.filter_map(|text| serde_json::from_str::<Record>(&text).ok());
    Ok(records.map(|record| (record.id.clone(), record)).collect())
}

fn pretty(value: &impl serde::Serialize) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default() + "\n"
}

fn millis(begun: Instant) -> u64 {
    u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX)
}

fn make(path: &Path) -> Result<(), EvalError> {
    fs::create_dir_all(path).map_err(fault(path))
}

fn write(path: &Path, text: &str) -> Result<(), EvalError> {
    fs::write(path, text).map_err(fault(path))
}

fn fault(path: &Path) -> impl FnOnce(io::Error) -> EvalError {
    let path = path.to_owned();
    move |source| EvalError::File { path, source }
}

/// A solver that knows patches: the gold ones, or none at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    /// The rows' own patches.
    Gold,
    /// No patch.
    Empty,
}

impl Solver for Known {
    fn identity(&self) -> String {
        format!("{self:?}")
    }

    fn solve<'a>(&'a self, instance: &'a Instance, _: &'a Path) -> BoxFuture<'a, Solved> {
        let patch = match self {
            Self::Gold => instance.gold.clone(),
            Self::Empty => String::new(),
        };
        let end = if patch.is_empty() { "no patch was made".to_owned() } else { String::new() };
        Box::pin(future::ready(Solved { patch, end, ..Solved::default() }))
    }

    fn needs_repository(&self) -> bool {
        false
    }
}
