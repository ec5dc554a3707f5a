//! From a failing check to an edited tree that passes it.
//!
//! The tree is edited one candidate at a time and put back as it was, unless all checks pass with
//! it. Time is bounded; a search that ends without a find leaves the tree untouched.

use std::{
    collections::HashSet,
    sync::Arc,
    time::{Duration, Instant},
};

use thiserror::Error;
use tokio_util::sync::CancellationToken;

use crate::{
    protocol::report::{Check, CheckReport, CheckRun, TestStatus},
    repair::{
        examples,
        judge::{self, Worth},
        python::{Answer, Judged, Manner, Python, Trial},
        search::{self, Candidate, Known, Source},
    },
    sandbox::{file_error::FileError, place::Place, run::RunError},
    verify::run::{self, CheckError},
};

/// Candidates that one process judges.
const BATCH: usize = 600;
/// Good candidates among which the best is taken.
const ENOUGH: usize = 4;
/// Candidates tried after the first good one that leaves other tests red.
const MORE: usize = 20;
/// The most time for a traced run of the tests.
const TRACE: Duration = Duration::from_secs(60);

/// What is to be mended.
#[derive(Clone, Debug)]
pub struct Task {
    /// The issue.
    pub issue: String,
    /// The checks, of which one fails.
    pub checks: Vec<Check>,
    /// The tree's source files.
    pub sources: Vec<Source>,
    /// How long the search may take.
    pub time: Duration,
    /// How long one check may take.
    pub check_time: Duration,
}

/// What came of a search.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Repaired {
    /// What was found, in words.
    pub summary: String,
    /// Why nothing was found, if so.
    pub error: Option<String>,
    /// What was looked at and tried, a line each.
    pub log: String,
}

/// Why a search has no result.
#[derive(Debug, Error)]
pub enum RepairError {
    /// A check could not be run.
    #[error(transparent)]
    Check(#[from] CheckError),
    /// A command could not be run.
    #[error(transparent)]
    Run(#[from] RunError),
    /// A file could not be read or written.
    #[error(transparent)]
    File(#[from] FileError),
}

/// What a search is told on its way, for who watches.
pub type Say<'a> = &'a (dyn Fn(String) + Send + Sync);

/// Searches for an edit with which the checks pass, and leaves the tree with it.
///
/// Where no check fails, examples of the issue are laid in as tests while it searches.
pub async fn repair(
    place: &Arc<Place>,
    task: &Task,
    (say, cancel): (Say<'_>, &CancellationToken),
) -> Result<Repaired, RepairError> {
    say("runs the checks".to_owned());
    let base = run::run(place, &task.checks, task.check_time, cancel).await?;
    if base.runs.iter().any(fails) {
        return pinned(place, (task, &base), (say, cancel)).await;
    }
    let python = task.checks.iter().any(|check| Python::of(&check.command).is_some());
    let Some((path, text)) = examples::file(&task.issue, &task.sources).filter(|_| python) else {
        return Ok(unpinned());
    };
    if place.metadata(&path).is_ok() {
        return Ok(unpinned());
    }
    place.write(&path, text.as_bytes())?;
    let found = by_examples(place, task, (say, cancel)).await;
    place.remove(&path)?;
    found
}

async fn by_examples(
    place: &Arc<Place>,
    task: &Task,
    (say, cancel): (Say<'_>, &CancellationToken),
) -> Result<Repaired, RepairError> {
    say("runs the issue's examples".to_owned());
    let base = run::run(place, &task.checks, task.check_time, cancel).await?;
    match base.runs.iter().any(fails) {
        true => pinned(place, (task, &base), (say, cancel)).await,
        false => Ok(unpinned()),
    }
}

fn unpinned() -> Repaired {
    let why = "no check fails here, so nothing pins a bug down: give a failing test";
    Repaired { error: Some(why.to_owned()), ..Repaired::default() }
}

/// Searches for an edit that mends what fails.
async fn pinned(
    place: &Arc<Place>,
    (task, base): (&Task, &CheckReport),
    (say, cancel): (Say<'_>, &CancellationToken),
) -> Result<Repaired, RepairError> {
    let Some(failing) = base.runs.iter().find(|run| fails(run)) else { return Ok(unpinned()) };
    let mut search = Search {
        place,
        task,
        base,
        run: failing,
        hints: None,
        end: Instant::now() + task.time,
        begun: Instant::now(),
        tried: 0,
        log: String::new(),
        say,
        cancel,
    };
    let found = search.found().await?;
    Ok(search.told(found))
}

fn fails(run: &CheckRun) -> bool {
    !run.end.is_success() || run.tests.iter().any(|test| test.status == TestStatus::Failed)
}

struct Search<'a> {
    place: &'a Arc<Place>,
    task: &'a Task,
    base: &'a CheckReport,
    /// The check that fails.
    run: &'a CheckRun,
    /// A test file of what is said in passing, in the tree while the driver judges.
    hints: Option<(String, String)>,
    end: Instant,
    begun: Instant,
    tried: usize,
    log: String,
    say: Say<'a>,
    cancel: &'a CancellationToken,
}

impl Search<'_> {
    fn left(&self) -> Duration {
        self.end.saturating_duration_since(Instant::now())
    }

    fn note(&mut self, line: String) {
        self.log.push_str(&line);
        self.log.push('\n');
        (self.say)(line);
    }

    fn text(&self, path: &str) -> &str {
        let source = self.task.sources.iter().find(|(own, _)| own == path);
        source.map_or("", |(_, text)| text)
    }

    fn told(self, found: Option<Candidate>) -> Repaired {
        let seconds = self.begun.elapsed().as_secs_f64();
        let edits = if self.tried == 1 { "edit" } else { "edits" };
        let tried = format!("{} {edits} tried in {seconds:.1} s", self.tried);
        let log = format!("{}{tried}\n", self.log);
        match found {
            Some(candidate) => {
                let words = candidate.words(self.text(&candidate.path));
                let summary = format!("in `{}`: {words}; {tried}", candidate.function.0);
                Repaired { summary, error: None, log }
            }
            None => {
                let why = format!("no small edit makes `{}` pass; {tried}", self.run.check.command);
                Repaired { summary: String::new(), error: Some(why), log }
            }
        }
    }

    async fn found(&mut self) -> Result<Option<Candidate>, RepairError> {
        if let Some(python) = Python::of(&self.run.check.command)
            && let Some(found) = self.by_driver(&python).await?
        {
            return Ok(found);
        }
        self.by_command().await
    }

    /// Searches with the driver, hints in the tree; none when it does not see the failing tests.
    async fn by_driver(
        &mut self,
        python: &Python,
    ) -> Result<Option<Option<Candidate>>, RepairError> {
        let hints = examples::hints(&self.task.issue, &self.task.sources);
        self.hints = hints.filter(|(path, _)| self.place.metadata(path).is_err());
        self.lay_hints()?;
        let found = self.judged(python).await;
        self.lift_hints()?;
        self.hints = None;
        found
    }

    fn lay_hints(&self) -> Result<(), FileError> {
        let laid = |(path, text): &(String, String)| self.place.write(path, text.as_bytes());
        self.hints.as_ref().map_or(Ok(()), laid)
    }

    fn lift_hints(&self) -> Result<(), FileError> {
        let there = self.hints.iter().find(|(path, _)| self.place.metadata(path).is_ok());
        there.map_or(Ok(()), |(path, _)| self.place.remove(path))
    }

    async fn judged(&mut self, python: &Python) -> Result<Option<Option<Candidate>>, RepairError> {
        let sources = &self.task.sources;
        (self.say)("runs the tests line by line".to_owned());
        let time = TRACE.min(self.left());
        let traced = python.trace((self.place, sources), time, self.cancel).await?;
        let of_hints = |id: &str| {
            let file = self.hints.as_ref().map(|(path, _)| path.as_str());
            file.is_some_and(|file| id.split("::").next() == Some(file))
        };
        let (hinted, pinned): (Vec<_>, Vec<_>) =
            traced.failing.into_iter().partition(|(id, _)| of_hints(id));
        if pinned.is_empty() {
            return Ok(None);
        }
        let (failing, errors): (Vec<String>, Vec<String>) = pinned.into_iter().unzip();
        let passing = traced.passing.iter().filter(|id| of_hints(id)).cloned();
        let hints: Vec<String> = hinted.into_iter().map(|(id, _)| id).chain(passing).collect();
        let known = Known {
            words: self.words(&failing),
            trace: errors.join("\n"),
            failing: count(failing.len()),
            passing: count(traced.passing.len()),
            lines: traced.lines,
        };
        let deadline = Duration::from_millis(400 + 4 * traced.took_ms.min(15_000));
        let targets = judge::aims(&self.task.issue, &failing, sources);
        let singles = self.ordered(&known);
        for all in [singles.clone(), search::pairs(&singles)] {
            for candidates in all.chunks(BATCH) {
                if self.left().is_zero() {
                    return Ok(Some(None));
                }
                let (targets, failing, hints) = (&targets[..], &failing[..], &hints[..]);
                let enough = ENOUGH;
                let trial =
                    Trial { sources, candidates, targets, failing, hints, deadline, enough };
                let found = self.batch(python, &trial).await?;
                if found.is_some() {
                    return Ok(Some(found));
                }
            }
        }
        Ok(Some(None))
    }

    /// Has one batch judged and the good ones confirmed.
    async fn batch(
        &mut self,
        python: &Python,
        trial: &Trial<'_>,
    ) -> Result<Option<Candidate>, RepairError> {
        let warm = (Manner::Warm, self.left());
        let mut judged = python.judge((self.place, trial), warm, self.cancel).await?;
        self.tried += judged.len();
        let fresh = judged.iter().filter(|one| one.answer == Answer::Fresh);
        let fresh: Vec<usize> = fresh.map(|one| one.index).collect();
        let is_good = |one: &Judged| one.answer == Answer::Yes;
        if !judged.iter().any(is_good) && !fresh.is_empty() {
            let candidates: Vec<_> =
                fresh.iter().map(|index| trial.candidates[*index].clone()).collect();
            // Importing the program is no part of what the tests take.
            let deadline = trial.deadline + Duration::from_secs(5);
            let trial = Trial { candidates: &candidates, deadline, ..*trial };
            let cold = (Manner::Cold, self.left());
            let again = python.judge((self.place, &trial), cold, self.cancel).await?;
            judged.extend(again.iter().map(|one| Judged { index: fresh[one.index], ..*one }));
        }
        let mut good: Vec<&Judged> = judged.iter().filter(|one| is_good(one)).collect();
        good.sort_by_key(|one| (std::cmp::Reverse(one.fixed), one.index));
        let (tried, good_ones) = (self.tried, good.len());
        self.note(format!("{tried} edits judged, {good_ones} good ones in the last batch"));
        for one in good {
            let candidate = &trial.candidates[one.index];
            if self.stays(candidate).await? {
                return Ok(Some(candidate.clone()));
            }
        }
        Ok(None)
    }

    /// Searches with the check command, one run per candidate.
    async fn by_command(&mut self) -> Result<Option<Candidate>, RepairError> {
        let is_failed = |test: &&_| -> bool {
            let test: &&crate::protocol::report::TestResult = test;
            test.status == TestStatus::Failed
        };
        let failing: Vec<String> =
            self.run.tests.iter().filter(is_failed).map(|test| test.id.clone()).collect();
        let known =
            Known { words: self.words(&failing), trace: self.run.tail.clone(), ..Known::default() };
        let aims = judge::aims(&self.task.issue, &failing, &self.task.sources);
        let deadline = Duration::from_millis(10_000 + 3 * self.run.took_ms);
        let deadline = deadline.min(self.task.check_time);
        let (mut seen, mut good, mut more) = (HashSet::new(), Vec::new(), MORE);
        for candidate in self.ordered(&known) {
            if self.left().is_zero() || more == 0 {
                break;
            }
            let edited = candidate.applied(self.text(&candidate.path));
            let parses = crate::code::syntax::syntax_ok(&candidate.path, &edited).is_ok();
            if !parses || !seen.insert((candidate.path.clone(), edited.clone())) {
                continue;
            }
            self.tried += 1;
            (self.say)(format!("edit {}: {}", self.tried, candidate.function.0));
            self.place.write(&candidate.path, edited.as_bytes())?;
            let worth = judge::quick(self.place, (self.run, &aims), deadline, self.cancel).await;
            self.undo(&candidate)?;
            match worth? {
                Worth::None => more -= usize::from(!good.is_empty()),
                Worth::Some(fixed) => good.push((fixed, candidate)),
                Worth::All if self.stays(&candidate).await? => return Ok(Some(candidate)),
                Worth::All => {}
            }
        }
        good.sort_by_key(|(fixed, _)| std::cmp::Reverse(*fixed));
        for (_, candidate) in good {
            if self.stays(&candidate).await? {
                return Ok(Some(candidate));
            }
        }
        Ok(None)
    }

    /// Returns the single edits, and notes where they are made.
    fn ordered(&mut self, known: &Known) -> Vec<Candidate> {
        let (suspects, ranked) = search::suspects(&self.task.sources, known);
        for ranked in ranked.iter().take(3) {
            let suspect = &suspects[ranked.index];
            let (path, line, name) = (&suspect.path, suspect.from, &suspect.name);
            self.note(format!("suspect {name} ({path}:{line}), score {:.2}", ranked.score));
        }
        let singles = search::singles(&self.task.sources, known);
        self.note(format!("{} edits to try", singles.len()));
        singles
    }

    /// Puts a candidate into the tree and keeps it there if all checks let it pass.
    async fn stays(&mut self, candidate: &Candidate) -> Result<bool, RepairError> {
        let edited = candidate.applied(self.text(&candidate.path));
        self.place.write(&candidate.path, edited.as_bytes())?;
        // A hint that does not hold says nothing against it.
        self.lift_hints()?;
        let passes = judge::confirmed(self.place, (self.task, self.base), self.cancel).await;
        if !matches!(passes, Ok(true)) {
            self.undo(candidate)?;
            self.lay_hints()?;
        }
        passes
    }

    fn undo(&self, candidate: &Candidate) -> Result<(), FileError> {
        self.place.write(&candidate.path, self.text(&candidate.path).as_bytes())
    }

    /// Returns what the functions are compared with: the issue and the failing tests.
    fn words(&self, failing: &[String]) -> String {
        let tests = failing.iter().map(|id| judge::document(id, &self.task.sources));
        let tests: Vec<String> = tests.take(10).collect();
        format!("{}\n{}", self.task.issue, tests.join("\n"))
    }
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
