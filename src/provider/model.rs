//! What a model is to the rest of the house: a question in, one complete answer out.
//!
//! Deltas are for the eye and the books: nothing is executed before the whole `Reply` has come, so an
//! attempt that breaks off in the middle can be repeated without doing anything twice.

use std::{fmt, sync::Arc, time::Duration};

use futures_util::future::BoxFuture;
use thiserror::Error;
use tokio_util::sync::CancellationToken;

use crate::{
    protocol::{
        ids::RunId,
        message::{Message, Reply, Segment},
        task::{EditFormat, Phase},
        tool::ToolSpec,
        usage::Usage,
    },
    provider::price::Price,
};

/// Something that answers; safe to share between agents.
pub trait Model: Send + Sync {
    /// Returns the name as the user wrote it.
    fn name(&self) -> &str;

    /// Returns what is known about the model.
    fn info(&self) -> &ModelInfo;

    /// Asks and waits for the whole answer; `sink` sees pieces as they come.
    fn ask<'a>(
        &'a self,
        ask: &'a Ask,
        sink: Sink<'a>,
        cancel: &'a CancellationToken,
    ) -> BoxFuture<'a, Result<Reply, ModelError>>;
}

/// Sees the pieces of an answer as they come.
pub type Sink<'a> = &'a (dyn Fn(Delta) + Send + Sync);

/// One question: everything the model sees, and how it shall answer.
#[derive(Clone, Debug)]
pub struct Ask {
    /// The system prompt's parts, static ones first.
    pub system: Vec<Segment>,
    /// The tools offered, in this order.
    pub tools: Arc<Vec<ToolSpec>>,
    /// The conversation; the newest message last.
    pub messages: Vec<Arc<Message>>,
    /// The most tokens the answer may have.
    pub max_tokens: u32,
    /// The sampling temperature; the provider's default when absent.
    pub temperature: Option<f32>,
    /// Whether the answer must call a tool.
    pub require_tool: bool,
    /// How many of the first messages were the last request of the agent that this one forked from;
    /// 0 where it forked from none. The cache mark at their end stays.
    pub inherited: usize,
    /// Where in the run this is asked.
    pub cue: Cue,
}

/// Where in a run something is asked; never sent, but scripted and gold models go by it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cue {
    /// The run.
    pub run: RunId,
    /// The workflow node's id, without fan-out index.
    pub node: String,
    /// The role.
    pub role: String,
    /// The phase.
    pub phase: Phase,
    /// Position in the node's fan-out, from 0.
    pub index: u32,
    /// Sample number, from 0.
    pub sample: u32,
    /// 1, 2, … over repair loops.
    pub attempt: u32,
    /// The agent's turn, from 0.
    pub turn: u32,
}

impl fmt::Display for Cue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { node, role, index, sample, attempt, turn, .. } = self;
        let phase = self.phase.name();
        write!(f, "node `{node}` (role {role}, phase {phase}) index {index} sample {sample} ")?;
        write!(f, "attempt {attempt} turn {turn}")
    }
}

/// What is known about a model without asking it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelInfo {
    /// Names what answers beyond its name: the played file's content, or the endpoint, model and
    /// quirks. Stored results are kept apart by it.
    pub identity: String,
    /// Context window in tokens.
    pub window: u64,
    /// The most tokens of one answer.
    pub max_output: u32,
    /// What it costs; none when unknown, which is not the same as nothing.
    pub price: Option<Price>,
    /// The edit format that suits it.
    pub edit_format: EditFormat,
    /// Whether answers come from a file or a patch and no model is asked.
    pub scripted: bool,
    /// Whether results may be counted as a model's.
    pub counted: bool,
    /// How many questions it takes at once.
    pub concurrency: usize,
}

/// A piece of an answer, for showing only.
#[derive(Clone, Debug, PartialEq)]
pub enum Delta {
    /// Words of the answer.
    Text(String),
    /// Words of its thinking.
    Thinking(String),
    /// A call of this tool has begun.
    Call(String),
    /// The attempt failed and what came of it is void; another follows after this wait.
    Retry {
        /// How long is waited.
        wait: Duration,
        /// What went wrong.
        why: String,
        /// What the attempt is estimated to have used, if it was probably billed.
        usage: Usage,
    },
}

/// What kind of failure it was; retries, breaker and exit code go by it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// The key was refused or lacks a permission.
    Auth,
    /// The account's credit or quota is used up.
    Quota,
    /// The model or the address does not exist there.
    UnknownModel,
    /// Too many requests.
    RateLimit {
        /// How long the provider asks to wait.
        retry_after: Option<Duration>,
    },
    /// The provider is overloaded.
    Overloaded {
        /// How long the provider asks to wait.
        retry_after: Option<Duration>,
    },
    /// The provider failed.
    Server,
    /// The server could not fit the model's output into its tool format.
    ToolFormat,
    /// The conversation does not fit the model's window.
    ContextOverflow {
        /// Tokens of the request, where the provider says so.
        used: Option<u64>,
        /// Tokens of the window, where the provider says so.
        window: Option<u64>,
    },
    /// The provider refused the request as malformed.
    BadRequest,
    /// The provider's answer could not be understood or was too large.
    BadAnswer,
    /// No connection could be made or it broke before an answer came.
    Network,
    /// The stream ended before the answer was complete.
    Cut,
    /// No byte came for too long.
    Stall,
    /// The user or the run's end cancelled it.
    Cancelled,
    /// Too many failures in a row; nothing was sent.
    BreakerOpen {
        /// How long nothing will be sent.
        left: Duration,
    },
    /// The script has no answer for this place.
    Script,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{message}")]
pub struct ModelError {
    /// What kind of failure.
    pub kind: ErrorKind,
    /// What happened, with the provider's own words.
    pub message: String,
    /// Advice that knows more than the kind does, such as the name of the key's variable.
    pub advice: Option<String>,
    /// What the failed attempt is estimated to have used, if it was probably billed.
    pub usage: Usage,
}

impl ErrorKind {
    /// Returns what happened in plain words; nothing where the message itself says it.
    fn words(&self) -> &'static str {
        match self {
            Self::Auth => "the key was refused: ",
            Self::Quota => "the account's credit or quota is used up: ",
            Self::UnknownModel => "the server does not know this model or address: ",
            Self::RateLimit { .. } => "too many requests: ",
            Self::Overloaded { .. } => "the provider is overloaded: ",
            Self::Server => "the provider failed: ",
            Self::ToolFormat => "the server could not read the model's tool call: ",
            Self::ContextOverflow { .. } => "the conversation is too long for the model: ",
            Self::BadRequest => "the provider refused the request: ",
            Self::BadAnswer => "the answer cannot be understood: ",
            Self::Network
            | Self::Cut
            | Self::Stall
            | Self::Cancelled
            | Self::BreakerOpen { .. }
            | Self::Script => "",
        }
    }
}

impl ModelError {
    /// Returns an error with the kind's own advice.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), advice: None, usage: Usage::default() }
    }

    /// Returns the error with the model's name, what its kind means, and how often it was tried.
    #[must_use]
    pub fn told(mut self, name: &str, attempts: u32) -> Self {
        let tries = if attempts > 1 { format!(" ({attempts} attempts)") } else { String::new() };
        self.message = format!("{name}: {}{}{tries}", self.kind.words(), self.message);
        self
    }

    /// Returns what the user can do.
    pub fn hint(&self) -> String {
        if let Some(advice) = &self.advice {
            return advice.clone();
        }
        if let ErrorKind::RateLimit { retry_after: Some(wait) }
        | ErrorKind::Overloaded { retry_after: Some(wait) } = &self.kind
            && !wait.is_zero()
        {
            let seconds = wait.as_secs().max(1);
            return format!("the provider asks to wait {seconds} s; resume after that");
        }
        let text = match self.kind {
            ErrorKind::Auth => "check the provider's API key",
            ErrorKind::Quota => {
                "top up the provider's account, then resume; `grafter resume --model NAME` goes on \
                 with another model"
            }
            ErrorKind::UnknownModel => {
                "check the name and the address (`grafter models` lists known ones); `grafter \
                 resume --model NAME` goes on with another model"
            }
            ErrorKind::RateLimit { .. } => "wait, or run with fewer agents at once, then resume",
            ErrorKind::Overloaded { .. } | ErrorKind::Server => "wait a little, then resume",
            ErrorKind::ToolFormat => "use a text edit format (`--edit-format`) with this model",
            ErrorKind::ContextOverflow { .. } => {
                "resume with a model that has a larger window, or state the true window: \
                 `?window=N` after an address, or a row in [[providers.models]]"
            }
            ErrorKind::BadRequest | ErrorKind::BadAnswer => {
                "check that the address speaks the chosen protocol (chat, anthropic, responses)"
            }
            ErrorKind::Network => {
                "start the server or mend the network and the address, then resume"
            }
            ErrorKind::Cut | ErrorKind::Stall => {
                "resume; for a slow server raise `stall_seconds` in the [providers] table of your \
                 config.toml"
            }
            ErrorKind::Cancelled => "resume to go on",
            ErrorKind::BreakerOpen { .. } => "wait, then resume, or use another provider",
            ErrorKind::Script => "add an entry for this place to the script",
        };
        text.to_owned()
    }
}

/// Returns a sink that sees nothing, for callers who want only the answer.
pub fn silent() -> Sink<'static> {
    static SILENT: fn(Delta) = |_| {};
    &SILENT
}
