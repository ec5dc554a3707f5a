//! Asking the classifier's model about a command, in up to two stages.
//!
//! Each question is reserved, written down and paid like any other model call, under a name of its
//! own beside the agent's. Whatever goes wrong means ask: no answer in time, no money left, a
//! provider that fails, an answer that is none. What the model is told comes from `guard::classify`
//! alone; neither the task nor anything of the conversation is there to be sent.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{sync::oneshot, time::timeout};
use tokio_util::sync::CancellationToken;

use crate::{
    agent::{
        session::{Session, Stop},
        turn::millis,
    },
    guard::classify::{Answer, Opinion, Query, Stage},
    prompt::classifier::conversation,
    protocol::{
        event::{Paid, What},
        message::{Reply, StopReason},
        request::{Request, Reservation},
        usage::{Micros, Usage},
    },
    provider::{
        model::{Ask, Cue, Delta, ErrorKind, Model, ModelError},
        price,
    },
};

/// The role under which a classifier is asked.
const ROLE: &str = "classifier";
/// Bytes of a token, at most this few, for estimates of what a broken call has used.
const BYTES: u64 = 4;

/// Returns what a model is asked in a stage; `cue` is that of the agent whose command it is.
pub fn request(stage: Stage, query: &Query, cue: &Cue) -> Ask {
    let (system, message) = conversation(stage, query);
    let (sample, max_tokens) = match stage {
        Stage::Quick => (0, 16),
        Stage::Careful => (1, 1_024),
    };
    Ask {
        system: vec![system],
        tools: Arc::default(),
        messages: vec![Arc::new(message)],
        max_tokens,
        temperature: None,
        require_tool: false,
        inherited: 0,
        cue: Cue { role: ROLE.to_owned(), sample, ..cue.clone() },
    }
}

/// Returns what a reply settles; nothing if the next stage has to.
pub fn settled(stage: Stage, reply: &Reply) -> Option<Opinion> {
    let text = reply.message.text();
    stage.read(&Answer { text: &text, complete: reply.stop == StopReason::EndTurn })
}

impl Session {
    /// Returns what the classifier's model thinks of a command; ask, if it cannot be known.
    pub(super) async fn opinion(&self, turn: u32, query: &Query) -> Result<Opinion, Stop> {
        let Some(model) = &self.bench.classifier else { return Ok(Opinion::Ask) };
        let cue = Cue { turn, ..self.assignment.cue.clone() };
        for stage in Stage::ALL {
            let ask = request(stage, query, &cue);
            let Some(reply) = self.second(&**model, &ask).await? else { break };
            if let Some(opinion) = settled(stage, &reply) {
                return Ok(opinion);
            }
        }
        Ok(Opinion::Ask)
    }

    /// Asks the classifier's model once; nothing if there is no answer.
    async fn second(&self, model: &dyn Model, ask: &Ask) -> Result<Option<Reply>, Stop> {
        let cost = |usage: &Usage| {
            model.info().price.map_or(Micros(0), |price| price::cost(&price, usage))
        };
        self.gate().await?;
        let (turn, size) = (ask.cue.turn, size(ask));
        if !self.afford(model, ask, size).await? {
            return Ok(None);
        }
        let start = Instant::now();
        let what = match self.in_time(model, ask).await {
            Ok(reply) => {
                let json = serde_json::to_string(&reply)
                    .map_err(|error| Stop::broken(format!("a reply cannot be kept: {error}")))?;
                let (stop, usage) = (reply.stop, reply.usage);
                let kept = self.bench.journal.keep(json)?;
                let took_ms = millis(start);
                let (cost, paid) = (cost(&usage), Paid::Once);
                self.beside(What::ModelResult {
                    turn,
                    reply: kept,
                    stop,
                    usage,
                    cost,
                    paid,
                    took_ms,
                })
                .await?;
                return Ok(Some(reply));
            }
            Err(_) if self.bench.cancel.is_cancelled() => return Err(Stop::cancelled()),
            Err(mut error) => {
                if error.kind == ErrorKind::Cancelled {
                    // It was given up under way, and the prompt was probably billed.
                    error.usage.input = size / BYTES;
                }
                let (usage, cost) = (error.usage, cost(&error.usage));
                let error =
                    format!("the classifier has no answer, so its command is asked for: {error}");
                What::ModelFailed { turn, error, usage, cost }
            }
        };
        self.beside(what).await?;
        Ok(None)
    }

    /// Reserves the worst case of a question and writes down that it will be sent, if there is
    /// money for it.
    async fn afford(&self, model: &dyn Model, ask: &Ask, size: u64) -> Result<bool, Stop> {
        let answer = u64::from(ask.max_tokens);
        // No text has more tokens than bytes.
        let tokens = size.saturating_add(answer);
        let price = model.info().price;
        let cost = price.map_or(Micros(0), |price| price::worst_case(&price, size, answer));
        let (reply, granted) = oneshot::channel();
        let agent = self.assignment.agent.classifier();
        self.request_up(Request::Reserve { agent, cost, tokens, reply })?;
        let is_granted = self.wait(granted).await? == Reservation::Granted;
        if is_granted {
            self.beside(What::ModelIntent { turn: ask.cue.turn, reserved: cost, tokens }).await?;
        }
        Ok(is_granted)
    }

    /// Waits for the answer as long as the settings say. An attempt that broke off after it was
    /// billed is not repeated: only one is reserved.
    async fn in_time(&self, model: &dyn Model, ask: &Ask) -> Result<Reply, ModelError> {
        let patience = Duration::from_secs(self.bench.desk.policy.rules.classifier_seconds);
        let given_up: CancellationToken = self.bench.cancel.child_token();
        let sink = |delta| match delta {
            Delta::Retry { usage, .. } if usage != Usage::default() => given_up.cancel(),
            _ => {}
        };
        match timeout(patience, model.ask(ask, &sink, &given_up)).await {
            Ok(answer) => answer,
            Err(_) => {
                let text = format!("no answer within {} s", patience.as_secs());
                Err(ModelError::new(ErrorKind::Cancelled, text))
            }
        }
    }

    /// Appends a record of the agent's classifier.
    async fn beside(&self, what: What) -> Result<(), Stop> {
        let (node, agent) = (&self.assignment.node, self.assignment.agent.classifier());
        self.bench.journal.append(Some(node), Some(&agent), what).await?;
        Ok(())
    }
}

/// Bytes of a question.
fn size(ask: &Ask) -> u64 {
    let system = ask.system.iter().map(|segment| segment.text.len());
    let messages = ask.messages.iter().map(|message| message.text().len());
    system.chain(messages).map(|bytes| bytes as u64).sum()
}
