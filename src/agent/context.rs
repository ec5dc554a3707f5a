//! What the model sees of the conversation, kept below its window.
//!
//! The task comes first, then pairs of one assistant message and one user message. Invariants: the
//! task is never changed; a call and its result leave together; everything is a function of the
//! replies and results so far, so that a resume builds the same requests.
//!
//! Above 60 % of the window the oldest tool results become one-line stubs, in one batch down to
//! 40 %, because each batch breaks the provider's prompt cache once. The last four turns stay as
//! they are; only an overflow that the provider reports reaches into them.

use std::{collections::BTreeMap, sync::Arc};

use crate::{
    agent::{
        fit::{cut, fit},
        memo,
        prefix::Prefix,
    },
    protocol::message::{Block, Message, ToolCall},
};

/// Stands for a result that was cleared, or the middle of one.
pub const STUB: &str = "[old result left out to save room; call the tool again if you need it]";
/// Stands for turns that were dropped.
const DROPPED: &str = "[earlier turns were left out to save room]";
/// Turns that the ordinary clearing does not touch.
const KEPT_TURNS: usize = 4;
/// Results shorter than this are repeated rather than referred to.
const WORTH_A_REFERENCE: usize = 400;

/// The conversation of one agent.
#[derive(Debug)]
pub struct Context {
    /// What a fork took over; it comes first and is never changed.
    prefix: Option<Arc<Prefix>>,
    task: Arc<Message>,
    turns: Vec<Turn>,
    /// Bytes of what every request carries besides its own messages: system prompt, tools, prefix.
    fixed: usize,
    /// The window in tokens.
    window: u64,
    /// Tokens and bytes of the last request, as far as the provider counted them.
    counted: Option<(u64, u64)>,
    /// Results still to be seen in full, by call: the turn and the digest.
    seen: BTreeMap<String, (u32, String)>,
}

#[derive(Debug)]
struct Turn {
    number: u32,
    said: Arc<Message>,
    answered: Arc<Message>,
    bytes: usize,
}

impl Context {
    /// Returns the context that holds only the task.
    pub fn new(opening: impl Into<String>, fixed: usize, window: u64) -> Self {
        Self {
            prefix: None,
            task: Arc::new(Message::user(opening)),
            turns: Vec::new(),
            fixed,
            window: window.max(1),
            counted: None,
            seen: BTreeMap::new(),
        }
    }

    /// Returns the context of a fork, which begins with this message.
    pub fn forked(prefix: Arc<Prefix>, opening: Message, fixed: usize, window: u64) -> Self {
        let taken = prefix.messages.iter().chain([&prefix.said]);
        let fixed = fixed + taken.map(|message| size(message)).sum::<usize>();
        let own = Self::new("", fixed, window);
        Self { prefix: Some(prefix), task: Arc::new(opening), ..own }
    }

    /// Returns the messages of the next request.
    pub fn messages(&self) -> Vec<Arc<Message>> {
        let taken =
            self.prefix.iter().flat_map(|prefix| prefix.messages.iter().chain([&prefix.said]));
        let pairs = self.turns.iter().flat_map(|turn| [&turn.said, &turn.answered]);
        taken.chain([&self.task]).chain(pairs).cloned().collect()
    }

    /// Returns how many of them were the last request of the agent it forked from.
    pub fn inherited(&self) -> usize {
        self.prefix.as_ref().map_or(0, |prefix| prefix.messages.len())
    }

    /// Returns the messages of the last request and the answer to it; nothing before the first one.
    pub fn answered(&self) -> Option<(Vec<Arc<Message>>, Arc<Message>)> {
        let said = self.turns.last()?.said.clone();
        let mut messages = self.messages();
        messages.truncate(messages.len().saturating_sub(2));
        Some((messages, said))
    }

    /// Adds a finished turn; arguments that no request could hold do not stay in it.
    pub fn push(&mut self, number: u32, mut said: Message, answered: Message) {
        let cap = usize::try_from(self.window.saturating_mul(2)).unwrap_or(usize::MAX);
        said.blocks.iter_mut().for_each(|block| fit(block, cap));
        let bytes = size(&said) + size(&answered);
        let (said, answered) = (Arc::new(said), Arc::new(answered));
        self.turns.push(Turn { number, said, answered, bytes });
    }

    /// Adds a block to the last user message.
    pub fn tell(&mut self, block: Block) {
        let message = match self.turns.last_mut() {
            Some(turn) => {
                turn.bytes += block_size(&block);
                &mut turn.answered
            }
            None => &mut self.task,
        };
        Arc::make_mut(message).blocks.push(block);
    }

    /// Takes over how many tokens the provider counted for the messages as they are now.
    pub fn learn(&mut self, prompt_tokens: u64) {
        let bytes = self.bytes();
        // A script or a broken server may say anything; a token has 1 to 8 bytes.
        if prompt_tokens > 0 {
            self.counted = Some((prompt_tokens.clamp(bytes / 8, bytes), bytes));
        }
    }

    /// Returns how many tokens the next request has, by the provider's last count or four bytes
    /// a token.
    ///
    /// What has come since then may be of another kind, so it is never taken to be lighter than
    /// the guess.
    pub fn tokens(&self) -> u64 {
        self.estimate(4)
    }

    fn estimate(&self, bytes_per_token: u64) -> u64 {
        let all = self.bytes();
        let Some((tokens, bytes)) = self.counted else { return all / bytes_per_token };
        let new = all.saturating_sub(bytes);
        let by_count = scale(new, tokens, bytes);
        scale(all - new, tokens, bytes).saturating_add(by_count.max(new / bytes_per_token))
    }

    /// Returns what a reservation assumes: above the estimate, since a budget must hold.
    pub fn worst_tokens(&self) -> u64 {
        match self.counted {
            Some(_) => self.estimate(2).saturating_mul(11) / 10,
            None => self.estimate(2),
        }
    }

    /// Returns how many tokens are left for an answer.
    pub fn room(&self) -> u64 {
        self.window.saturating_sub(self.tokens() + self.window / 20)
    }

    /// Notes a result and returns the turn in which the same call gave the same result, if that
    /// can still be seen.
    pub fn same_as(&mut self, turn: u32, call: &ToolCall, result: (&str, usize)) -> Option<u32> {
        let (digest, bytes) = result;
        if bytes < WORTH_A_REFERENCE {
            return None;
        }
        let key = memo::key(call);
        match self.seen.get(&key) {
            Some((earlier, known)) if known == digest => Some(*earlier),
            _ => {
                self.seen.insert(key, (turn, digest.to_owned()));
                None
            }
        }
    }

    /// Clears old results if the window is 60 % full.
    pub fn make_room(&mut self) {
        if self.tokens() > self.share(60) {
            self.clear(KEPT_TURNS);
        }
        if self.tokens() > self.share(80) {
            self.drop_turns(KEPT_TURNS);
        }
    }

    /// Clears all but the last turn and cuts that one too: the provider said the last request was
    /// too long, so the window is smaller than it was thought to be.
    pub fn overflowed(&mut self) {
        self.window = self.window.min(self.tokens()).max(1);
        self.clear(1);
        if self.tokens() > self.share(60) {
            self.drop_turns(1);
        }
        if self.tokens() > self.share(60) {
            let cap = usize::try_from(self.bytes() / 4).unwrap_or(usize::MAX);
            self.rewrite(self.turns.len(), |content| cut(content, cap));
        }
    }

    fn share(&self, percent: u64) -> u64 {
        self.window.saturating_mul(percent) / 100
    }

    fn bytes(&self) -> u64 {
        let turns = self.turns.iter().map(|turn| turn.bytes);
        (self.fixed + size(&self.task) + turns.sum::<usize>()) as u64
    }

    /// Stubs the oldest results until 40 % of the window is used, sparing the last `keep` turns.
    fn clear(&mut self, keep: usize) {
        for at in 0..self.turns.len().saturating_sub(keep) {
            if self.tokens() <= self.share(40) {
                return;
            }
            self.rewrite(at + 1, |content| (content.len() > STUB.len()).then(|| STUB.to_owned()));
            let number = self.turns[at].number;
            self.seen.retain(|_, (turn, _)| *turn != number);
        }
    }

    /// Drops the oldest turns until 60 % of the window is used, sparing the last `keep`.
    fn drop_turns(&mut self, keep: usize) {
        let mut dropped = false;
        while self.turns.len() > keep && self.tokens() > self.share(60) {
            let turn = self.turns.remove(0);
            self.seen.retain(|_, (seen, _)| *seen != turn.number);
            dropped = true;
        }
        let mark = Block::Text(DROPPED.to_owned());
        if dropped && !self.task.blocks.contains(&mark) {
            Arc::make_mut(&mut self.task).blocks.push(mark);
        }
    }

    /// Replaces results of the turn before `end`, where `change` gives something.
    fn rewrite(&mut self, end: usize, change: impl Fn(&str) -> Option<String>) {
        let Some(turn) = end.checked_sub(1).and_then(|at| self.turns.get_mut(at)) else { return };
        for block in &mut Arc::make_mut(&mut turn.answered).blocks {
            if let Block::Result(result) = block
                && let Some(content) = change(&result.content)
            {
                result.content = content;
            }
        }
        turn.bytes = size(&turn.said) + size(&turn.answered);
    }
}

fn scale(bytes: u64, tokens: u64, per: u64) -> u64 {
    let exact = u128::from(bytes) * u128::from(tokens) / u128::from(per.max(1));
    u64::try_from(exact).unwrap_or(u64::MAX)
}

/// Bytes, each that is not ASCII twice: a letter of most scripts is a token of its own.
fn size(message: &Message) -> usize {
    message.blocks.iter().map(block_size).sum()
}

fn weight(text: &str) -> usize {
    text.len() + text.bytes().filter(|byte| !byte.is_ascii()).count()
}

fn block_size(block: &Block) -> usize {
    match block {
        Block::Text(text) => weight(text),
        Block::Call(call) => call.name.len() + weight(&call.input.to_string()),
        Block::Result(result) => weight(&result.content),
        Block::Opaque(value) => weight(&value.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::protocol::{
        ids::CallId,
        message::{Speaker, ToolResult},
    };

    fn call(id: &str, path: &str) -> ToolCall {
        ToolCall { id: CallId::new(id), name: "read".into(), input: json!({ "path": path }) }
    }

    fn turn(context: &mut Context, number: u32, bytes: usize) {
        let id = format!("c{number}");
        let said =
            Message { speaker: Speaker::Assistant, blocks: vec![Block::Call(call(&id, "a.py"))] };
        let content = "x".repeat(bytes);
        let result = ToolResult { id: CallId::new(id), content, is_error: false };
        let answered = Message { speaker: Speaker::User, blocks: vec![Block::Result(result)] };
        context.push(number, said, answered);
    }

    fn contents(context: &Context) -> Vec<String> {
        let blocks = context.messages().into_iter().flat_map(|message| message.blocks.clone());
        let results = blocks.filter_map(|block| match block {
            Block::Result(result) => Some(result.content),
            _ => None,
        });
        results.collect()
    }

    #[test]
    fn old_results_are_cleared_in_one_batch_from_the_oldest_on() {
        let mut context = Context::new("task", 0, 1000);
        for number in 0..6 {
            turn(&mut context, number, 380);
        }
        context.make_room();
        assert!(!contents(&context).contains(&STUB.to_owned()), "below 60 % nothing is cleared");
        turn(&mut context, 6, 380);
        context.make_room();
        let cleared: Vec<_> = contents(&context).iter().map(|c| c == STUB).collect();
        assert_eq!(cleared, [true, true, true, false, false, false, false]);
    }

    #[test]
    fn the_providers_count_replaces_the_guess() {
        let mut context = Context::new("t".repeat(400), 0, 1000);
        assert_eq!(context.tokens(), 100);
        context.learn(200);
        assert_eq!(context.tokens(), 200);
        turn(&mut context, 0, 379);
        assert_eq!(context.tokens(), 399);
    }

    #[test]
    fn text_of_many_tokens_after_text_of_few_was_underestimated() {
        let mut context = Context::new("word ".repeat(1000), 0, 100_000);
        context.learn(1000);
        let (before, worst) = (context.tokens(), context.worst_tokens());
        let said = Message { speaker: Speaker::Assistant, blocks: vec![Block::Text("ok".into())] };
        context.push(0, said, Message::user("\u{6f22}".repeat(1000)));
        assert!(context.tokens() >= before + 1000, "a token for each letter");
        assert!(context.worst_tokens() >= worst + 2000, "twice as many are held");
    }

    #[test]
    fn a_senseless_count_is_brought_into_reason() {
        let mut context = Context::new("t".repeat(400), 0, 1000);
        context.learn(u64::MAX);
        assert_eq!(context.tokens(), 400);
        context.learn(1);
        assert_eq!(context.tokens(), 50);
        context.learn(0);
        assert_eq!(context.tokens(), 50);
    }

    #[test]
    fn the_same_result_is_referred_to_until_it_is_cleared() {
        let mut context = Context::new("task", 0, 400);
        let read = call("c0", "a.py");
        assert_eq!(context.same_as(0, &read, ("d1", 1000)), None);
        turn(&mut context, 0, 1000);
        assert_eq!(context.same_as(1, &read, ("d1", 1000)), Some(0));
        assert_eq!(context.same_as(1, &call("c1", "b.py"), ("d1", 1000)), None);
        assert_eq!(context.same_as(1, &call("c1", "tiny.py"), ("d3", 10)), None);
        for number in 1..5 {
            turn(&mut context, number, 10);
        }
        context.make_room();
        assert_eq!(context.same_as(5, &read, ("d1", 1000)), None, "it was cleared");
    }

    #[test]
    fn an_overflow_reaches_the_last_turn_too() {
        let mut context = Context::new("task", 0, 100_000);
        turn(&mut context, 0, 10_000);
        turn(&mut context, 1, 50_000);
        let before = context.tokens();
        context.overflowed();
        assert!(context.tokens() < before * 6 / 10, "{} of {before}", context.tokens());
        assert!(contents(&context).iter().all(|content| content.contains(STUB)));
    }

    proptest! {
        #[test]
        fn the_task_stays_and_calls_keep_their_results(
            sizes in proptest::collection::vec(0_usize..3000, 0..24),
            window in 50_u64..4000,
            overflow in proptest::collection::vec(any::<bool>(), 24),
        ) {
            let mut context = Context::new("the task", 100, window);
            for (number, bytes) in sizes.iter().enumerate() {
                turn(&mut context, u32::try_from(number).unwrap(), *bytes);
                let last: Vec<_> = contents(&context).into_iter().rev().take(4).collect();
                context.make_room();
                let kept: Vec<_> = contents(&context).into_iter().rev().take(4).collect();
                prop_assert_eq!(last, kept, "the last four turns are not touched");
                if overflow[number] {
                    context.overflowed();
                }
                let messages = context.messages();
                prop_assert_eq!(&messages[0].blocks[0], &Block::Text("the task".into()));
                let mut open = None;
                for message in &messages[1..] {
                    for block in &message.blocks {
                        match block {
                            Block::Call(call) => prop_assert!(open.replace(call.id.clone()).is_none()),
                            Block::Result(result) => prop_assert_eq!(open.take(), Some(result.id.clone())),
                            _ => {}
                        }
                    }
                }
                prop_assert!(open.is_none());
            }
        }
    }
}
