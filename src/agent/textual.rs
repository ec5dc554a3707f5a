//! The loop of a writer whose model hands in its change as text, and what it says when it is asked
//! about that.
//!
//! No tools are offered: the prompt holds the files, the answer holds the change. Each answer is a
//! fresh sample of the same question with a note on what was wrong with the one before, at a
//! rising temperature, because a small model that sees its own mistake repeats it. An answer that
//! cannot be applied or changes nothing is refused; what it half did is taken back.

use std::{collections::BTreeMap, sync::Arc, time::Instant};

use serde_json::Value;

use crate::{
    agent::{
        chain::Chain,
        contract,
        session::{Session, Stop},
        turn::{Form, millis},
        words,
    },
    prompt::words::fill,
    protocol::{
        event::What,
        ids::Oid,
        message::{Reply, StopReason},
        outcome::Outcome,
        task::{EditFormat, Phase},
    },
    tools::formats::take::take,
};

/// How much warmer each further answer is sampled.
const WARMER: f32 = 0.4;
/// The warmest that an answer is sampled.
const WARMEST: f32 = 1.0;
/// Characters of an answer's own words that go into the summary.
const MAX_WORDS: usize = 600;

impl Session {
    /// Returns whether this agent's answers are changes in text.
    pub fn is_textual(&self) -> bool {
        let Self { assignment, .. } = self;
        assignment.edit_format != EditFormat::Tools
            && assignment.contract.phase == Phase::Implementation
    }

    /// Asks until an answer can be applied and changes something.
    pub async fn write_as_text(&mut self) -> Result<Outcome, Stop> {
        self.tools = Arc::default();
        let answers = self.assignment.limits.max_answers.max(1);
        let mut wrong = String::new();
        for answer in 0..answers {
            let mut opening = self.assignment.opening.clone();
            if answer > 0 {
                let told = fill(&self.assignment.words.wrong, &[("why", &wrong)]);
                opening.push_str(&format!("\n\n{told}\n"));
            }
            self.begin(&opening, &[]);
            let reply = self.say(answer, &self.sampled(answer)).await?;
            match self.taken(answer, &reply).await? {
                Ok(what) => return Ok(self.written(&reply, &what)),
                Err(why) => wrong = why,
            }
        }
        Err(Stop::unresolved(format!("no answer of {answers} could be used; the last: {wrong}")))
    }

    /// Asks once and takes the words for the result: who is offered no tool has none to finish with.
    pub async fn answer_as_text(&mut self) -> Result<Outcome, Stop> {
        let reply = self.say(0, &self.sampled(0)).await?;
        match contract::capped(&reply.message.text()) {
            said if said.is_empty() => Err(Stop::unresolved("the answer was empty")),
            said => Ok(Outcome::succeeded(said)),
        }
    }

    /// Returns an answer, which is the last word until the next one.
    async fn say(&mut self, answer: u32, form: &Form) -> Result<Reply, Stop> {
        let reply = self.ask(answer, form).await?;
        if reply.stop == StopReason::Refusal {
            return Err(Stop::unresolved(words::REFUSED));
        }
        self.saying = Some(Arc::new(reply.message.clone()));
        Ok(reply)
    }

    fn sampled(&self, answer: u32) -> Form {
        let first = self.assignment.temperature;
        // At most a handful of answers, so the number is exact.
        let steps = f32::from(u16::try_from(answer).unwrap_or(u16::MAX));
        let warmer = (first.unwrap_or(0.0) + WARMER * steps).min(WARMEST.max(first.unwrap_or(0.0)));
        Form {
            tools: Arc::default(),
            temperature: if answer == 0 { first } else { Some(warmer) },
            require_tool: false,
            sample: answer,
        }
    }

    /// Applies an answer, or recalls what came of it; says what changed or what was wrong.
    async fn taken(&mut self, turn: u32, reply: &Reply) -> Result<Result<String, String>, Stop> {
        if let Some(recorded) = self.earlier.result(turn, 0) {
            let content = self.bench.journal.fetch(&recorded.content)?;
            return Ok(if recorded.is_error { Err(content) } else { Ok(content) });
        }
        self.go_live().await?;
        let (start, tool) = (Instant::now(), self.assignment.edit_format.name().to_owned());
        let title = "apply the answer".to_owned();
        self.record(What::ToolIntent { turn, index: 0, tool: tool.clone(), title }).await?;
        let mut applied = self.apply(reply).await?;
        let Some(chain) = self.chain.as_mut() else {
            return Err(Stop::broken("a writer without a tree of its own"));
        };
        let snapshot = settle(chain, &mut applied, &self.assignment.words.unchanged).await?;
        let content = applied.clone().unwrap_or_else(|why| why);
        self.record(What::ToolResult {
            turn,
            index: 0,
            tool,
            title: content.lines().next().unwrap_or_default().to_owned(),
            is_error: applied.is_err(),
            content: self.bench.journal.keep(content)?,
            memo: None,
            snapshot,
            took_ms: millis(start),
        })
        .await?;
        Ok(applied)
    }

    async fn apply(&self, reply: &Reply) -> Result<Result<String, String>, Stop> {
        if reply.stop == StopReason::MaxTokens {
            return Ok(Err(self.assignment.words.cut.clone()));
        }
        let (desk, format) = (&self.bench.desk, self.assignment.edit_format);
        let paths = take(desk, format, &reply.message.text()).await;
        if let Some(why) = desk.place.no_space() {
            return Err(Stop::broken(why));
        }
        if let (Ok(paths), Some(chain)) = (&paths, &self.chain) {
            chain.mean(paths);
        }
        Ok(paths.map(|paths| format!("changed {}", paths.join(", "))))
    }

    fn written(&self, reply: &Reply, what: &str) -> Outcome {
        let text = reply.message.text();
        let words = text.split("```").next().unwrap_or_default();
        let words = words.split("<<<<").next().unwrap_or_default().trim();
        let words: String = words.chars().take(MAX_WORDS).collect();
        let summary = if words.is_empty() { what.to_owned() } else { format!("{words} ({what})") };
        let gives = self.assignment.contract.gives.iter();
        let texts = gives.filter(|(_, kind)| kind.as_str() == "text");
        let carries: BTreeMap<_, _> =
            texts.map(|(name, _)| (name.clone(), Value::String(summary.clone()))).collect();
        Outcome { carries, ..Outcome::succeeded(contract::capped(&summary)) }
    }
}

/// Saves what an answer changed, or takes it back and says that it is of no use.
async fn settle(
    chain: &mut Chain,
    applied: &mut Result<String, String>,
    unchanged: &str,
) -> Result<Option<Oid>, Stop> {
    if let Ok(what) = applied {
        let snapshot = chain.take(what).await?;
        if snapshot.is_some() {
            return Ok(snapshot);
        }
        *applied = Err(unchanged.to_owned());
    }
    chain.restore().await?;
    Ok(None)
}
