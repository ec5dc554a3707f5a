//! A model for tests: it says what the test tells it, turn by turn.

use std::sync::Mutex;

use futures_util::future::{self, BoxFuture};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::{
    protocol::{
        ids::CallId,
        message::{Block, Message, Reply, Speaker, StopReason, ToolCall},
        task::EditFormat,
        usage::Usage,
    },
    provider::{
        model::{Ask, Model, ModelError, ModelInfo, Sink},
        price::Price,
    },
};

/// What the fake model does when it is asked for one turn: the first item at the first time, the
/// last one from then on; nothing for ever where there is none.
pub type Lines = Vec<Result<Reply, ModelError>>;

/// What happens while the fake model is asked for a turn.
pub type Act = Box<dyn Fn(u32) + Send + Sync>;

/// Returns a reply that calls these tools.
pub fn calls(calls: &[(&str, Value)]) -> Reply {
    let blocks = calls.iter().enumerate().map(|(index, (name, input))| {
        let id = CallId::new(format!("call_{index}"));
        Block::Call(ToolCall { id, name: (*name).to_owned(), input: input.clone() })
    });
    reply(blocks.collect(), StopReason::ToolUse)
}

/// Returns a reply of words.
pub fn says(text: &str) -> Reply {
    reply(vec![Block::Text(text.to_owned())], StopReason::EndTurn)
}

/// Returns a reply of these blocks.
pub fn reply(blocks: Vec<Block>, stop: StopReason) -> Reply {
    let usage = Usage { input: 100, output: 10, ..Usage::default() };
    Reply { message: Message { speaker: Speaker::Assistant, blocks }, stop, usage }
}

/// Returns the arguments of a successful finish.
pub fn done() -> Value {
    json!({ "status": "succeeded", "summary": "all done" })
}

/// A token of its answers costs five of these, one of its prompts one: a micro-dollar.
const M: u64 = 1_000_000;

/// A model that follows a script by turn and keeps what it was asked.
pub struct Actor {
    info: ModelInfo,
    script: Vec<Lines>,
    asks: Mutex<Vec<Ask>>,
    act: Act,
}

impl Actor {
    /// Returns a model with a window that follows a script.
    pub fn new(window: u64, script: Vec<Lines>) -> Self {
        Self { info: info(window), script, asks: Mutex::default(), act: Box::new(|_| ()) }
    }

    /// Returns the model with something that happens while it is asked.
    pub fn acting(self, act: Act) -> Self {
        Self { act, ..self }
    }

    /// Returns what it was asked.
    pub fn asked(&self) -> Vec<Ask> {
        self.asks.lock().unwrap().clone()
    }
}

impl Model for Actor {
    fn name(&self) -> &'static str {
        "actor"
    }

    fn info(&self) -> &ModelInfo {
        &self.info
    }

    fn ask<'a>(
        &'a self,
        ask: &'a Ask,
        _: Sink<'a>,
        _: &'a CancellationToken,
    ) -> BoxFuture<'a, Result<Reply, ModelError>> {
        let turn = ask.cue.turn;
        (self.act)(turn);
        let mut asks = self.asks.lock().unwrap();
        let before = asks.iter().filter(|ask| ask.cue.turn == turn).count();
        asks.push(ask.clone());
        let lines = &self.script[turn as usize];
        match lines.get(before).or(lines.last()).cloned() {
            Some(line) => Box::pin(future::ready(line)),
            None => Box::pin(future::pending()),
        }
    }
}

fn info(window: u64) -> ModelInfo {
    ModelInfo {
        identity: String::new(),
        window,
        max_output: 4096,
        price: Some(Price { input: M, cache_write: M, cache_read: M, output: 5 * M }),
        edit_format: EditFormat::Tools,
        scripted: true,
        counted: false,
        concurrency: 1,
    }
}
