//! Plays a known solution, to validate an environment: never counted as a model.
//!
//! Each role answers mechanically and through the tools, so that whatever a real model's work
//! passes through is passed through. Research reads and cites the patch's lines, synthesis reads
//! them again and weighs the findings, the writer applies the patch, reviewers run the tests and
//! pass only if these do. An empty patch gives up, so nothing can be called resolved with it.

use std::{collections::BTreeSet, fs, io, path::Path};

use futures_util::future::{self, BoxFuture};
use serde_json::{Value, json};
use thiserror::Error;
use tokio_util::sync::CancellationToken;

use crate::{
    protocol::{
        ids::CallId,
        message::{Block, Message, Reply, Speaker, StopReason, ToolCall, ToolResult},
        task::{EditFormat, Phase},
        usage::Usage,
    },
    provider::{
        model::{Ask, Cue, Model, ModelError, ModelInfo, Sink},
        patch::{self, PatchedFile},
        price::Price,
    },
};

/// The most line ranges that are read and cited.
const MOST_RANGES: usize = 20;
/// The most lines of one of them.
const RANGE_LINES: usize = 100;

/// Why a patch cannot be played.
#[derive(Debug, Error)]
pub enum GoldError {
    /// The file cannot be read.
    #[error("cannot read the patch `{path}`")]
    Read {
        /// The file.
        path: String,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
    /// The file holds text, but no file header and hunk of a unified diff.
    #[error("`{path}` is no unified diff")]
    NoDiff {
        /// The file.
        path: String,
    },
}

/// Plays a known solution.
pub struct Gold {
    name: String,
    info: ModelInfo,
    patch: String,
    files: Vec<PatchedFile>,
}

struct Range {
    path: String,
    from: u32,
    to: u32,
}

impl Gold {
    /// Loads the patch; an empty file is a solution that solves nothing.
    pub fn load(name: &str, path: &Path) -> Result<Self, GoldError> {
        let shown = path.display().to_string();
        match fs::read_to_string(path) {
            Ok(text) => Self::new(name, text).ok_or(GoldError::NoDiff { path: shown }),
            Err(source) => Err(GoldError::Read { path: shown, source }),
        }
    }

    /// Returns the model that plays `patch`; none if it is neither empty nor a diff.
    pub fn new(name: &str, patch: String) -> Option<Self> {
        let files = patch::files(&patch);
        if files.is_empty() && !patch.trim().is_empty() {
            return None;
        }
        let info = ModelInfo {
            identity: blake3::hash(patch.as_bytes()).to_string(),
            window: 1_000_000,
            max_output: 128_000,
            price: Some(Price::default()),
            edit_format: EditFormat::Tools,
            scripted: true,
            counted: false,
            concurrency: 64,
        };
        Some(Self { name: name.to_owned(), info, patch, files })
    }

    fn calls(&self, ask: &Ask) -> Vec<(&'static str, Value)> {
        let turn = ask.cue.turn;
        match ask.cue.phase {
            Phase::Research => self.research(turn),
            Phase::Synthesis => self.synthesis(turn, &ask.messages),
            Phase::Implementation => self.implementation(ask),
            Phase::Verification => self.verification(ask),
        }
    }

    fn research(&self, turn: u32) -> Vec<(&'static str, Value)> {
        let ranges = self.old_ranges();
        match turn {
            0 => reads(&ranges),
            1 => {
                let claim = format!("the known solution changes {}", self.paths());
                vec![("report_finding", json!({ "claim": claim, "evidence": evidence(&ranges) }))]
            }
            _ => vec![finish("succeeded", "cited the lines the known solution changes", json!({}))],
        }
    }

    fn synthesis(&self, turn: u32, messages: &[impl AsRef<Message>]) -> Vec<(&'static str, Value)> {
        let ranges = self.old_ranges();
        if turn == 0 {
            return reads(&ranges);
        }
        let opening = messages.first().map(|message| message.as_ref().text()).unwrap_or_default();
        let used: Vec<Value> = finding_ids(&opening)
            .into_iter()
            .map(|id| json!({ "id": id, "use": "used", "reason": "the patch touches these lines" }))
            .collect();
        // All paths stand in the findings; a plan that is mostly these would be a copy.
        let first = ranges.first().map_or("nothing", |range| &range.path);
        let count = self.files.len();
        let plan =
            format!("Apply the known solution: {count} files change, the first is `{first}`.");
        let more = json!({
            "findings_used": used,
            "evidence": evidence(&ranges),
            "carry": { "plan": plan },
        });
        vec![finish("succeeded", "the lines were read again; the known solution goes in", more)]
    }

    fn implementation(&self, ask: &Ask) -> Vec<(&'static str, Value)> {
        let give_up = |why: &str| vec![finish("failed", why, json!({}))];
        if self.patch.trim().is_empty() {
            return give_up("the known solution is empty");
        }
        if ask.cue.attempt > 1 {
            return give_up("the known solution was applied before and did not hold");
        }
        match (ask.cue.turn, result(&ask.messages, &call_id(&ask.cue, 0, 0))) {
            (0, _) => vec![("apply_patch", json!({ "patch": self.patch }))],
            (_, Some(applied)) if applied.is_error => give_up("the known solution did not apply"),
            _ => vec![finish("succeeded", "applied the known solution", json!({}))],
        }
    }

    fn verification(&self, ask: &Ask) -> Vec<(&'static str, Value)> {
        let ranges = self.new_ranges();
        let first = &ranges[..ranges.len().min(1)];
        let run = || vec![("run_tests", json!({}))];
        let green = (0..3).any(|turn| passed(&ask.messages, &call_id(&ask.cue, turn, 0)));
        match ask.cue.turn {
            0 => run(),
            // What fails is run twice more before it counts: suites that watch the clock fail on a
            // machine that is overrun.
            1 if !green => [run(), reads(first)].concat(),
            1 => reads(first),
            2 if !green => run(),
            _ if green => {
                let more = json!({ "verdict": "pass", "evidence": evidence(first) });
                vec![finish("succeeded", "the tests pass", more)]
            }
            _ => {
                let more = json!({
                    "verdict": "fail",
                    "must_fix": ["the tests do not pass"],
                    "evidence": evidence(first),
                });
                vec![finish("succeeded", "the tests do not pass", more)]
            }
        }
    }

    fn old_ranges(&self) -> Vec<Range> {
        ranges(self.files.iter().map(|file| (file.old.as_ref(), &file.old_lines)))
    }

    fn new_ranges(&self) -> Vec<Range> {
        ranges(self.files.iter().map(|file| (file.new.as_ref(), &file.new_lines)))
    }

    fn paths(&self) -> String {
        let paths = self.files.iter().filter_map(|file| file.new.as_ref().or(file.old.as_ref()));
        let paths: Vec<String> = paths.map(|path| format!("`{path}`")).collect();
        if paths.is_empty() { "nothing".to_owned() } else { paths.join(", ") }
    }
}

/// Where there is nothing to read, a file that most repositories have stands in.
fn ranges<'a>(
    files: impl Iterator<Item = (Option<&'a String>, &'a Vec<(u32, u32)>)>,
) -> Vec<Range> {
    let mut ranges: Vec<Range> = files
        .filter_map(|(path, lines)| path.map(|path| (path, lines)))
        .flat_map(|(path, lines)| lines.iter().map(move |lines| (path, *lines)))
        .flat_map(|(path, (from, to))| {
            // What is cited must have been shown whole, and a read shows only so many lines.
            (from..=to).step_by(RANGE_LINES).map(move |from| {
                let to = to.min(from.saturating_add(RANGE_LINES as u32 - 1));
                Range { path: path.clone(), from, to }
            })
        })
        .take(MOST_RANGES)
        .collect();
    if ranges.is_empty() {
        ranges.push(Range { path: "README.md".to_owned(), from: 1, to: 1 });
    }
    ranges
}

fn reads(ranges: &[Range]) -> Vec<(&'static str, Value)> {
    let read = |range: &Range| {
        let limit = range.to - range.from + 1;
        ("read", json!({ "path": range.path, "offset": range.from, "limit": limit }))
    };
    ranges.iter().map(read).collect()
}

fn evidence(ranges: &[Range]) -> Value {
    ranges.iter().map(|r| json!({ "path": r.path, "from": r.from, "to": r.to })).collect()
}

/// Returns the id of a call; a fork's differ from those of the agent that it forked from.
fn call_id(cue: &Cue, turn: u32, n: usize) -> String {
    format!("gold_{}_{turn}_{n}", cue.node)
}

fn finish(status: &str, summary: &str, mut more: Value) -> (&'static str, Value) {
    more["status"] = json!(status);
    more["summary"] = json!(summary);
    ("finish", more)
}

fn result<'a>(messages: &'a [impl AsRef<Message>], id: &str) -> Option<&'a ToolResult> {
    let blocks = messages.iter().flat_map(|message| &message.as_ref().blocks);
    let mut results = blocks.filter_map(|block| match block {
        Block::Result(result) if result.id.as_str() == id => Some(result),
        _ => None,
    });
    results.next()
}

/// Returns whether the checks passed that a call of `run_tests` ran, apart from those that the
/// opening shows to fail without any change too: over these the verdict decides.
fn passed(messages: &[impl AsRef<Message>], id: &str) -> bool {
    let opening = messages.first().map(|message| message.as_ref().text()).unwrap_or_default();
    let already_red = |command: &str| opening.lines().any(|line| line == command);
    let Some(ran) = result(messages, id).filter(|ran| !ran.is_error) else { return false };
    let (mut command, mut ends) = (None, Vec::new());
    for line in ran.content.lines() {
        let ended = ["exit ", "ended by signal ", "stopped at its deadline "];
        if line.starts_with("$ ") {
            command = Some(line);
        } else if ended.iter().any(|word| line.starts_with(word))
            && let Some(command) = command.take()
        {
            ends.push(line == "exit 0" || line.starts_with("exit 0 ") || already_red(command));
        }
    }
    !ends.is_empty() && ends.into_iter().all(|passed| passed)
}

/// Returns the finding ids (`node#n`) that a text mentions.
fn finding_ids(text: &str) -> BTreeSet<&str> {
    let of_name = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.' | '-');
    let mut ids = BTreeSet::new();
    for (at, _) in text.match_indices('#') {
        let name = text[..at]
            .rfind(|c| !of_name(c))
            .map_or(0, |before| before + text[before..].chars().next().map_or(1, char::len_utf8));
        let digits = text[at + 1..].bytes().take_while(u8::is_ascii_digit).count();
        // `owner/repository#7` is somebody's issue.
        if name < at && digits > 0 && !text[..name].ends_with('/') {
            ids.insert(&text[name..at + 1 + digits]);
        }
    }
    ids
}

impl Model for Gold {
    fn name(&self) -> &str {
        &self.name
    }

    fn info(&self) -> &ModelInfo {
        &self.info
    }

    fn ask<'a>(
        &'a self,
        ask: &'a Ask,
        _sink: Sink<'a>,
        _cancel: &'a CancellationToken,
    ) -> BoxFuture<'a, Result<Reply, ModelError>> {
        let calls = self.calls(ask).into_iter().enumerate().map(|(n, (name, input))| {
            let id = CallId(call_id(&ask.cue, ask.cue.turn, n));
            Block::Call(ToolCall { id, name: name.to_owned(), input })
        });
        let message = Message { speaker: Speaker::Assistant, blocks: calls.collect() };
        let reply = Reply { message, stop: StopReason::ToolUse, usage: Usage::default() };
        Box::pin(future::ready(Ok(reply)))
    }
}

#[cfg(test)]
mod tests;
