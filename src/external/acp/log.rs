//! What is put on record of a conversation: the agent's words and calls as they come, within limits.
//!
//! Words come in pieces and are put together until something else comes. An agent that never stops
//! talking fills no disk: beyond a number of records only its last words are kept.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use agent_client_protocol::v1::schema::{
    ContentBlock, ContentChunk, Plan, PlanEntryStatus, SessionUpdate, ToolCallContent,
    ToolCallStatus, UsageUpdate,
};
use tokio::sync::watch;

use crate::{
    guard::sanitise::{clean::clean, secrets::Known},
    journal::writer::{Journal, JournalError},
    protocol::{
        event::What,
        ids::{AgentId, NodeId},
        usage::Micros,
        worker::{About, WorkerNews},
    },
};

/// Bytes of one message that make one record.
const MAX_WORDS: usize = 16 << 10;
/// Records of news of one call.
const MAX_NEWS: usize = 2_000;
/// Calls whose titles are remembered.
const MAX_CALLS: usize = 1_000;
/// Characters of what a call of the agent's own came to.
const MAX_CAME: usize = 2_000;

/// The record of one conversation.
pub(super) struct Log {
    journal: Journal,
    who: (NodeId, AgentId),
    known: Known,
    held: Mutex<Held>,
    cost: watch::Sender<Option<Micros>>,
}

#[derive(Default)]
struct Held {
    words: String,
    last: String,
    titles: HashMap<String, String>,
    news: usize,
    noise: String,
}

impl Log {
    pub(super) fn new(journal: Journal, who: (NodeId, AgentId), known: Known) -> Self {
        Self { journal, who, known, held: Mutex::default(), cost: watch::Sender::new(None) }
    }

    /// Puts something on record.
    pub(super) async fn record(&self, what: What) -> Result<(), JournalError> {
        self.journal.append(Some(&self.who.0), Some(&self.who.1), what).await?;
        Ok(())
    }

    /// Returns a text as it may be kept.
    pub(super) fn clean(&self, text: &str) -> String {
        clean(text, &self.known)
    }

    /// Keeps a text for a record.
    pub(super) fn keep(&self, text: &str) -> Result<crate::protocol::event::Kept, JournalError> {
        self.journal.keep(self.clean(text))
    }

    /// Takes in what the agent says of its work.
    pub(super) async fn hear(&self, update: SessionUpdate) -> Result<(), JournalError> {
        match update {
            SessionUpdate::AgentMessageChunk(chunk) => return self.words(&chunk).await,
            // What it thinks is neither work nor an answer.
            SessionUpdate::AgentThoughtChunk(_) => return Ok(()),
            SessionUpdate::UsageUpdate(usage) => self.spent(&usage),
            SessionUpdate::ToolCall(call) => {
                self.settle().await?;
                self.name(&call.tool_call_id.0, &call.title);
                self.tell(About::Call, call.title).await?;
            }
            SessionUpdate::ToolCallUpdate(update) => {
                let fields = update.fields;
                if let Some(title) = &fields.title {
                    self.name(&update.tool_call_id.0, title);
                }
                let ended = match fields.status {
                    Some(ToolCallStatus::Completed) => "done",
                    Some(ToolCallStatus::Failed) => "failed",
                    _ => return Ok(()),
                };
                self.settle().await?;
                let title = self.lock().titles.get(&*update.tool_call_id.0).cloned();
                let title = title.unwrap_or_else(|| update.tool_call_id.0.to_string());
                let came = came(fields.content.as_deref().unwrap_or_default());
                self.tell(About::Call, format!("{title}: {ended}{came}")).await?;
            }
            SessionUpdate::Plan(plan) => {
                self.settle().await?;
                self.tell(About::Plan, steps(&plan)).await?;
            }
            _ => {}
        }
        Ok(())
    }

    /// Notes a line that is no message.
    pub(super) fn noise(&self, line: &str) {
        let mut held = self.lock();
        if held.noise.len() < MAX_WORDS {
            held.noise.extend(line.chars().take(MAX_CAME).chain(['\n']));
        }
    }

    /// Returns the lines that were no messages.
    pub(super) fn noises(&self) -> String {
        self.lock().noise.clone()
    }

    /// Returns what it says it spent so far.
    pub(super) fn cost(&self) -> Option<Micros> {
        *self.cost.borrow()
    }

    /// Returns where it can be awaited that it has spent more.
    pub(super) fn spending(&self) -> watch::Receiver<Option<Micros>> {
        self.cost.subscribe()
    }

    /// Returns its last words, all of which are on record then.
    pub(super) async fn last_words(&self) -> Result<String, JournalError> {
        self.settle().await?;
        Ok(self.lock().last.clone())
    }

    async fn words(&self, chunk: &ContentChunk) -> Result<(), JournalError> {
        let ContentBlock::Text(text) = &chunk.content else { return Ok(()) };
        let is_much = {
            let mut held = self.lock();
            held.words.push_str(&text.text);
            held.words.len() >= MAX_WORDS
        };
        if is_much { self.settle().await } else { Ok(()) }
    }

    /// Records the words that have come so far.
    async fn settle(&self) -> Result<(), JournalError> {
        let words = std::mem::take(&mut self.lock().words);
        if words.trim().is_empty() {
            return Ok(());
        }
        self.lock().last.clone_from(&words);
        self.tell(About::Message, words).await
    }

    async fn tell(&self, about: About, text: String) -> Result<(), JournalError> {
        {
            let mut held = self.lock();
            held.news += 1;
            if held.news > MAX_NEWS {
                return Ok(());
            }
        }
        let text = self.keep(text.trim())?;
        self.record(What::WorkerNews(WorkerNews { about, text })).await
    }

    fn name(&self, id: &str, title: &str) {
        let titles = &mut self.lock().titles;
        if titles.len() < MAX_CALLS {
            titles.insert(id.to_owned(), title.chars().take(MAX_CAME).collect());
        }
    }

    fn spent(&self, usage: &UsageUpdate) {
        let Some(cost) = usage.cost.as_ref().filter(|cost| cost.currency == "USD") else { return };
        let micros = (cost.amount * 1e6).ceil();
        if (0.0..1e15).contains(&micros) {
            self.cost.send_replace(Some(Micros(micros as u64)));
        }
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the beginning of what a call came to, below its title.
fn came(content: &[ToolCallContent]) -> String {
    let texts = content.iter().filter_map(|content| match content {
        ToolCallContent::Content(content) => match &content.content {
            ContentBlock::Text(text) => Some(text.text.clone()),
            _ => None,
        },
        ToolCallContent::Diff(diff) => Some(format!("changed {}", diff.path.display())),
        _ => None,
    });
    let text: String = texts.collect::<Vec<_>>().join("\n").chars().take(MAX_CAME).collect();
    if text.trim().is_empty() { String::new() } else { format!("\n{text}") }
}

fn steps(plan: &Plan) -> String {
    let step = |entry: &agent_client_protocol::v1::schema::PlanEntry| {
        let mark = match entry.status {
            PlanEntryStatus::Completed => "x",
            PlanEntryStatus::InProgress => "-",
            _ => " ",
        };
        format!("[{mark}] {}", entry.content)
    };
    plan.entries.iter().map(step).collect::<Vec<_>>().join("\n")
}
