//! Python: the tests are collected once, and a process is forked for each edit.
//!
//! A check that calls pytest is called with the driver in pytest's place. What it answers only leads
//! the search: tests could forge it, and whatever it finds good the checks run again.

use std::{sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use crate::{
    localize::ochiai::Spectrum,
    repair::{
        search::{Candidate, Lines, Source},
        work::RepairError,
    },
    sandbox::{
        place::Place,
        run::{Cmd, Job},
    },
};

const DRIVER: &str = include_str!("driver.py");
/// Files in the private home.
const PROGRAM: &str = "grafter-repair.py";
const ORDER: &str = "grafter-repair.json";
const RESULT: &str = "grafter-repair.jsonl";
/// Bytes of answers that are read.
const MAX_RESULT: usize = 32 << 20;
/// Time that a process needs beside its work.
const SLACK: Duration = Duration::from_secs(15);

/// A check that runs pytest.
pub(super) struct Python {
    /// The command before and after what is replaced by the driver.
    before: String,
    after: String,
}

/// What the driver is told.
#[derive(Serialize)]
struct Order<'a> {
    mode: &'static str,
    sources: Vec<&'a str>,
    seconds: f64,
    deadline_ms: u64,
    enough: usize,
    targets: &'a [String],
    failing: &'a [String],
    hints: &'a [String],
    candidates: Vec<Asked<'a>>,
}

#[derive(Serialize)]
struct Asked<'a> {
    path: &'a str,
    edits: Vec<(usize, usize, &'a str)>,
}

/// One line of the driver.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Line {
    Test { id: String, status: String, ms: u64, error: String },
    Lines { lines: Vec<(String, u32, u32, u32)> },
    Judged { index: usize, answer: Answer, fixed: usize },
}

/// What the driver says of a candidate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Answer {
    /// The wanted tests pass, and nothing that passed fails.
    Yes,
    /// Not so.
    No,
    /// It cannot be said without importing the program anew.
    Fresh,
}

/// A candidate by its index, and how many failing tests it mends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Judged {
    pub(super) index: usize,
    pub(super) answer: Answer,
    pub(super) fixed: usize,
}

/// What a traced run of the tests showed.
#[derive(Debug, Default)]
pub(super) struct Traced {
    pub(super) lines: Lines,
    /// Failing tests with what they say.
    pub(super) failing: Vec<(String, String)>,
    pub(super) passing: Vec<String>,
    pub(super) took_ms: u64,
}

/// Whose edits a driver judges, by which tests.
pub(super) struct Trial<'a> {
    pub(super) sources: &'a [Source],
    pub(super) candidates: &'a [Candidate],
    /// Tests that must pass.
    pub(super) targets: &'a [String],
    /// All tests that fail.
    pub(super) failing: &'a [String],
    /// Tests that are good to pass, and turn nothing away.
    pub(super) hints: &'a [String],
    pub(super) deadline: Duration,
    /// How many good ones are enough.
    pub(super) enough: usize,
}

/// How the driver judges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Manner {
    /// In a process that has imported the program.
    Warm,
    /// Imported anew for each edit.
    Cold,
}

impl Python {
    /// Returns the check as one that calls pytest; none if it does something else.
    pub(super) fn of(command: &str) -> Option<Self> {
        if command.contains([';', '|', '&', '<', '>', '`', '(', '\n', '$']) {
            return None;
        }
        let split = |at: usize, len: usize| Self {
            before: command[..at].to_owned(),
            after: command[at + len..].to_owned(),
        };
        if let Some(at) = command.find(" -m pytest") {
            let program = command[..at].rsplit(' ').next()?;
            let name = program.rsplit('/').next()?;
            let ends = command[at + 10..].chars().next().is_none_or(|c| c == ' ');
            return (name.starts_with("python") && ends).then(|| split(at, 10));
        }
        let word = command.split(' ').find(|word| !word.contains('='))?;
        let at = command.find(word).filter(|_| ["pytest", "py.test"].contains(&word))?;
        let Self { before, after } = split(at, word.len());
        Some(Self { before: format!("{before}python3"), after })
    }

    /// Runs all tests once and says which lines each sort of them ran.
    pub(super) async fn trace(
        &self,
        (place, sources): (&Arc<Place>, &[Source]),
        time: Duration,
        cancel: &CancellationToken,
    ) -> Result<Traced, RepairError> {
        let order = Order {
            mode: "trace",
            sources: paths(sources),
            seconds: time.as_secs_f64(),
            deadline_ms: 0,
            enough: 0,
            targets: &[],
            failing: &[],
            hints: &[],
            candidates: Vec::new(),
        };
        let mut traced = Traced::default();
        for line in self.run(place, (&order, time), cancel).await? {
            match line {
                Line::Test { id, status, ms, error } => {
                    traced.took_ms += ms;
                    match status.as_str() {
                        "failed" => traced.failing.push((id, error)),
                        "passed" => traced.passing.push(id),
                        _ => {}
                    }
                }
                Line::Lines { lines } => {
                    let lines = lines.into_iter();
                    traced.lines.extend(lines.map(|(path, line, failing, passing)| {
                        ((path, line), Spectrum { failing, passing })
                    }));
                }
                Line::Judged { .. } => {}
            }
        }
        Ok(traced)
    }

    /// Has candidates judged until enough are good or the time is over.
    pub(super) async fn judge(
        &self,
        (place, trial): (&Arc<Place>, &Trial<'_>),
        (manner, time): (Manner, Duration),
        cancel: &CancellationToken,
    ) -> Result<Vec<Judged>, RepairError> {
        let asked = |candidate: &'_ Candidate| -> Vec<(usize, usize, String)> {
            let edits = candidate.edits.iter();
            edits.map(|edit| (edit.at.start, edit.at.end, edit.with.clone())).collect()
        };
        let edits: Vec<_> = trial.candidates.iter().map(asked).collect();
        let candidates = trial.candidates.iter().zip(&edits).map(|(candidate, edits)| Asked {
            path: &candidate.path,
            edits: edits.iter().map(|(from, to, with)| (*from, *to, with.as_str())).collect(),
        });
        let order = Order {
            mode: if manner == Manner::Warm { "warm" } else { "cold" },
            sources: paths(trial.sources),
            seconds: time.as_secs_f64(),
            deadline_ms: u64::try_from(trial.deadline.as_millis()).unwrap_or(u64::MAX),
            enough: trial.enough,
            targets: trial.targets,
            failing: trial.failing,
            hints: trial.hints,
            candidates: candidates.collect(),
        };
        let lines = self.run(place, (&order, time + trial.deadline), cancel).await?;
        let judged = lines.into_iter().filter_map(|line| match line {
            Line::Judged { index, answer, fixed } if index < trial.candidates.len() => {
                Some(Judged { index, answer, fixed })
            }
            _ => None,
        });
        Ok(judged.collect())
    }

    async fn run(
        &self,
        place: &Arc<Place>,
        (order, time): (&Order<'_>, Duration),
        cancel: &CancellationToken,
    ) -> Result<Vec<Line>, RepairError> {
        let program = place.write_home(PROGRAM, DRIVER.as_bytes())?;
        let text = serde_json::to_vec(order).unwrap_or_default();
        let order = place.write_home(ORDER, &text)?;
        let result = place.write_home(RESULT, b"")?;
        let program = program.to_string_lossy().replace('\'', "'\\''");
        let variable = |name: &str, value: &std::path::Path| {
            (name.to_owned(), value.to_string_lossy().into_owned())
        };
        let cmd = Cmd {
            job: Job::Script(format!("{} '{program}'{}", self.before, self.after)),
            cwd: String::new(),
            env: vec![variable("GRAFTER_JOB", &order), variable("GRAFTER_RESULT", &result)],
            deadline: time + SLACK,
            max_output: 64 << 10,
        };
        place.run(cmd, cancel).await?;
        let text = place.read_home(RESULT, MAX_RESULT)?;
        let text = String::from_utf8_lossy(&text);
        Ok(text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect())
    }
}

fn paths(sources: &[Source]) -> Vec<&str> {
    let python = sources.iter().map(|(path, _)| path.as_str());
    python.filter(|path| path.ends_with(".py")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_plain_call_of_pytest_is_led_elsewhere() {
        for (command, expected) in [
            ("python3 -m pytest", Some("python3 D")),
            (
                "PYTHONPATH=src .venv/bin/python -m pytest -q tests",
                Some("PYTHONPATH=src .venv/bin/python D -q tests"),
            ),
            ("pytest tests", Some("python3 D tests")),
            ("A=1 pytest", Some("A=1 python3 D")),
            ("python3 -m pytest_x", None),
            ("make pytest", None),
            ("python3 -m pytest && true", None),
            ("cargo test", None),
            ("", None),
        ] {
            let found = Python::of(command).map(|it| format!("{} D{}", it.before, it.after));
            assert_eq!(found.as_deref(), expected, "{command}");
        }
    }
}
