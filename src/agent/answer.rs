//! From a model's reply to a message and the calls in it.
//!
//! Pure. Weak models write calls as text, give two calls one id, or call nothing; whatever comes,
//! the message that goes into the history has one unique id per call, so that each call gets
//! exactly one result. Two readings of one text are never both carried out.

use std::collections::BTreeSet;

use crate::{
    prompt::words::Words,
    protocol::{
        ids::CallId,
        message::{Block, Message, Reply, Speaker, StopReason, ToolCall},
    },
    provider::tolerant::{self, Found},
};

/// What a reply says.
#[derive(Clone, Debug, PartialEq)]
pub enum Said {
    /// The model calls tools; the message holds exactly these calls.
    Calls(Message, Vec<ToolCall>),
    /// It calls none; the text says what to tell it.
    Nothing(Message, String),
}

/// Who reads a reply.
#[derive(Clone, Copy, Debug)]
pub struct Hearer<'a> {
    /// The turn of the reply.
    pub turn: u32,
    /// The names of the tools it may call.
    pub tools: &'a [&'a str],
    /// What it is told.
    pub words: &'a Words,
}

/// Returns what a reply says; `taken` are the ids of the conversation so far.
pub fn read(reply: &Reply, hearer: Hearer<'_>, taken: &mut BTreeSet<CallId>) -> Said {
    let Hearer { turn, tools, words } = hearer;
    let mut message = reply.message.clone();
    message.speaker = Speaker::Assistant;
    let mut why = &words.no_call;
    // A cut text may hold the first half of a call, which must not be mended into a whole one.
    if message.calls().next().is_none() && reply.stop != StopReason::MaxTokens {
        match tolerant::calls_in_text(&message.text(), tools) {
            Found::Calls(calls, rest) => message = told(&message, calls, rest),
            Found::Ambiguous => why = &words.ambiguous,
            Found::None => {}
        }
    }
    distinguish(&mut message, turn, taken);
    // Providers refuse blank texts and messages without content.
    message.blocks.retain(|block| !matches!(block, Block::Text(text) if text.trim().is_empty()));
    let calls: Vec<_> = message.calls().cloned().collect();
    if !calls.is_empty() {
        return Said::Calls(message, calls);
    }
    if message.text().is_empty() {
        message.blocks.push(Block::Text(words.empty.clone()));
    }
    Said::Nothing(message, why.clone())
}

/// Returns the message with calls that were found in its text.
fn told(message: &Message, calls: Vec<ToolCall>, rest: String) -> Message {
    let opaque = message.blocks.iter().filter(|block| matches!(block, Block::Opaque(_))).cloned();
    let rest = Some(rest).filter(|rest| !rest.trim().is_empty()).map(Block::Text);
    let blocks = opaque.chain(rest).chain(calls.into_iter().map(Block::Call)).collect();
    Message { speaker: Speaker::Assistant, blocks }
}

/// Gives a new id to each call whose id is missing or taken.
fn distinguish(message: &mut Message, turn: u32, taken: &mut BTreeSet<CallId>) {
    let mut index = 0;
    for block in &mut message.blocks {
        let Block::Call(call) = block else { continue };
        if call.id.as_str().trim().is_empty() || !taken.insert(call.id.clone()) {
            call.id = CallId::new(format!("grafter_{turn}_{index}"));
            taken.insert(call.id.clone());
        }
        index += 1;
    }
}
