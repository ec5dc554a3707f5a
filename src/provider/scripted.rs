//! Plays a recorded session: answers come from a file and no model is asked.
//!
//! The file is YAML, a list of entries or a mapping with more:
//!
//! ```yaml
//! edit_format: tools        # optional; also window, max_output
//! entries:
//!   - node: implement       # where the entry plays; what is left out matches anything:
//!     index: 0              # node, role, phase, index, sample, attempt, turn
//!     turn: 0
//!     reply:
//!       text: I look first.
//!       calls: [{ name: read, input: { path: src/lib.rs } }]
//!     usage: { input: 100, output: 20 }
//! ```
//!
//! The first entry that matches plays, any number of times, so that parallel nodes and a resume
//! play right. A call without `id` gets one made of its turn and position.

use std::{fs, io, path::Path};

use futures_util::future::{self, BoxFuture};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use thiserror::Error;
use tokio_util::sync::CancellationToken;

use crate::{
    protocol::{
        ids::CallId,
        message::{Block, Message, Reply, Speaker, StopReason, ToolCall},
        task::{EditFormat, Phase},
        usage::Usage,
    },
    provider::{
        model::{Ask, Cue, Delta, ErrorKind, Model, ModelError, ModelInfo, Sink},
        price::Price,
    },
    settings::yaml::{self, YamlError},
};

/// Why a session cannot be played.
#[derive(Debug, Error)]
pub enum ScriptError {
    /// The file cannot be read.
    #[error("cannot read the session `{path}`")]
    Read {
        /// The file.
        path: String,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
    /// The file is not of the form.
    #[error("not a session: {0}")]
    Form(#[from] YamlError),
}

/// A session's file.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Session {
    /// The edit format the session was recorded with.
    #[serde(default)]
    pub edit_format: EditFormat,
    /// Context window in tokens.
    #[serde(default = "default_window")]
    pub window: u64,
    /// The most tokens of one answer.
    #[serde(default = "default_max_output")]
    pub max_output: u32,
    /// The answers.
    pub entries: Vec<Entry>,
}

fn default_window() -> u64 {
    200_000
}

fn default_max_output() -> u32 {
    32_000
}

/// One answer and where it plays.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// The workflow node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// The role.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// The phase.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<Phase>,
    /// Position in the fan-out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub index: Option<u32>,
    /// Sample number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sample: Option<u32>,
    /// Attempt, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u32>,
    /// Turn, from 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub turn: Option<u32>,
    /// The answer.
    pub reply: Line,
    /// What it is said to have used.
    #[serde(default)]
    pub usage: LineUsage,
}

/// What is answered.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Line {
    /// Words.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub text: String,
    /// Tool calls.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub calls: Vec<LineCall>,
    /// Why it ended; follows from the calls when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop: Option<StopReason>,
}

/// One tool call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LineCall {
    /// Its id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The tool.
    pub name: String,
    /// The arguments; text stands for broken ones.
    #[serde(default)]
    pub input: Value,
}

/// Tokens; what is absent is zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LineUsage {
    /// As in `Usage`.
    pub input: u64,
    /// As in `Usage`.
    pub cache_write: u64,
    /// As in `Usage`.
    pub cache_read: u64,
    /// As in `Usage`.
    pub output: u64,
}

/// Plays a session.
pub struct Scripted {
    name: String,
    info: ModelInfo,
    entries: Vec<Entry>,
}

impl Scripted {
    /// Loads a session from a file.
    pub fn load(name: &str, path: &Path) -> Result<Self, ScriptError> {
        let shown = path.display().to_string();
        match fs::read_to_string(path) {
            Ok(text) => Self::parse(name, &shown, &text),
            Err(source) => Err(ScriptError::Read { path: shown, source }),
        }
    }

    /// Reads a session from its text; `file` is only for error messages.
    pub fn parse(name: &str, file: &str, text: &str) -> Result<Self, ScriptError> {
        let session = session(file, text)?;
        let info = ModelInfo {
            identity: blake3::hash(text.as_bytes()).to_string(),
            window: session.window,
            max_output: session.max_output,
            price: Some(Price::default()),
            edit_format: session.edit_format,
            scripted: true,
            counted: true,
            concurrency: 64,
        };
        Ok(Self { name: name.to_owned(), info, entries: session.entries })
    }

    fn answer(&self, cue: &Cue) -> Result<Reply, ModelError> {
        let entry = self.entries.iter().find(|entry| entry.plays_at(cue)).ok_or_else(|| {
            let message = format!("{} has no answer for {cue}", self.name);
            ModelError::new(ErrorKind::Script, message)
        })?;
        Ok(entry.reply.reply(cue.turn, entry.usage))
    }
}

fn session(file: &str, text: &str) -> Result<Session, YamlError> {
    let lines = text.lines().map(str::trim_start);
    let first =
        lines.filter(|line| !line.starts_with('#') && *line != "---").find(|l| !l.is_empty());
    if first.is_some_and(|line| line.starts_with('-') || line.starts_with('[')) {
        let entries = yaml::from_str(file, text)?;
        let (window, max_output) = (default_window(), default_max_output());
        return Ok(Session { edit_format: EditFormat::default(), window, max_output, entries });
    }
    yaml::from_str(file, text)
}

impl Entry {
    fn plays_at(&self, cue: &Cue) -> bool {
        fn fits<T: PartialEq>(wanted: Option<&T>, found: &T) -> bool {
            wanted.is_none_or(|wanted| wanted == found)
        }
        fits(self.node.as_ref(), &cue.node)
            && fits(self.role.as_ref(), &cue.role)
            && fits(self.phase.as_ref(), &cue.phase)
            && fits(self.index.as_ref(), &cue.index)
            && fits(self.sample.as_ref(), &cue.sample)
            && fits(self.attempt.as_ref(), &cue.attempt)
            && fits(self.turn.as_ref(), &cue.turn)
    }
}

impl Line {
    /// Returns the reply this line stands for.
    pub fn reply(&self, turn: u32, usage: LineUsage) -> Reply {
        let mut blocks = Vec::new();
        if !self.text.is_empty() {
            blocks.push(Block::Text(self.text.clone()));
        }
        for (n, call) in self.calls.iter().enumerate() {
            let id = call.id.clone().unwrap_or_else(|| format!("script_{turn}_{n}"));
            let input = match &call.input {
                Value::Null => Value::Object(serde_json::Map::new()),
                input => input.clone(),
            };
            blocks.push(Block::Call(ToolCall { id: CallId(id), name: call.name.clone(), input }));
        }
        let natural = match self.calls.is_empty() {
            true => StopReason::EndTurn,
            false => StopReason::ToolUse,
        };
        let LineUsage { input, cache_write, cache_read, output } = usage;
        Reply {
            message: Message { speaker: Speaker::Assistant, blocks },
            stop: self.stop.unwrap_or(natural),
            usage: Usage { input, cache_write, cache_read, output },
        }
    }
}

impl Model for Scripted {
    fn name(&self) -> &str {
        &self.name
    }

    fn info(&self) -> &ModelInfo {
        &self.info
    }

    fn ask<'a>(
        &'a self,
        ask: &'a Ask,
        sink: Sink<'a>,
        _cancel: &'a CancellationToken,
    ) -> BoxFuture<'a, Result<Reply, ModelError>> {
        let reply = self.answer(&ask.cue);
        if let Ok(reply) = &reply {
            let text = reply.message.text();
            if !text.is_empty() {
                sink(Delta::Text(text));
            }
        }
        Box::pin(future::ready(reply))
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use serde_json::json;

    use super::*;
    use crate::provider::{model::silent, testing};

    fn answer(session: &str, turn: u32, index: u32) -> Result<Reply, ModelError> {
        let model = Scripted::parse("scripted:s.yaml", "s.yaml", session).expect("reads");
        let mut ask = testing::ask();
        (ask.cue.turn, ask.cue.index) = (turn, index);
        let cancel = CancellationToken::new();
        model.ask(&ask, silent(), &cancel).now_or_never().expect("answers at once")
    }

    const SESSION: &str = "
# made by hand
- { node: research, index: 1, turn: 0, reply: { text: second } }
- node: research
  turn: 0
  reply:
    text: I look.
    calls:
      - { name: read, input: { path: a.py } }
      - { name: bash, input: broken, id: own }
      - { name: finish }
  usage: { input: 5, output: 2 }
- { role: researcher, phase: research, turn: 2, reply: { stop: max_tokens } }
";

    #[test]
    fn the_first_entry_that_matches_plays_unchanged() {
        let reply = answer(SESSION, 0, 0).expect("plays");
        let calls: Vec<_> = reply.message.calls().map(|c| (c.id.as_str(), &c.input)).collect();
        assert_eq!(
            calls,
            [
                ("script_0_0", &json!({"path": "a.py"})),
                ("own", &json!("broken")),
                ("script_0_2", &json!({})),
            ]
        );
        assert_eq!((reply.message.text().as_str(), reply.stop), ("I look.", StopReason::ToolUse));
        assert_eq!(reply.usage, Usage { input: 5, output: 2, ..Usage::default() });
        assert_eq!(answer(SESSION, 0, 1).expect("plays").message.text(), "second");
        assert_eq!(answer(SESSION, 2, 7).expect("plays").stop, StopReason::MaxTokens);
    }

    #[test]
    fn a_place_without_an_entry_is_named() {
        let error = answer(SESSION, 1, 0).expect_err("no entry");
        assert_eq!(error.kind, ErrorKind::Script);
        insta::assert_snapshot!(error, @"scripted:s.yaml has no answer for node `research` (role researcher, phase research) index 0 sample 0 attempt 1 turn 1");
    }

    #[test]
    fn a_session_may_state_the_model_it_stands_for() {
        let text = "edit_format: whole-function\nwindow: 8192\nentries: []\n";
        let model = Scripted::parse("scripted:s", "s", text).expect("reads");
        assert_eq!(model.info().edit_format, EditFormat::WholeFunction);
        assert!(model.info().scripted && model.info().window == 8192);
    }

    #[test]
    fn what_is_no_session_is_refused_with_its_place() {
        let refused = |text: &str| match Scripted::parse("n", "s.yaml", text) {
            Ok(_) => panic!("accepted: {text}"),
            Err(error) => error.to_string(),
        };
        assert!(refused("entries: 5").contains("s.yaml:1:"), "{}", refused("entries: 5"));
        assert!(refused("- { nod: x, reply: {} }").contains("nod"));
        assert!(refused("").contains("s.yaml"));
        refused(&"[".repeat(100_000));
        refused("- {reply: {text: [1]}}");
    }
}
