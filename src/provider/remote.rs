//! A model behind an address: breaker, retries, one wire format. Where the provider asks one agent to
//! wait, all of them wait: each request that it refuses for its number only makes the wait longer.

use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use futures_util::future::BoxFuture;
use tokio::{sync::Semaphore, time};
use tokio_util::sync::CancellationToken;

use crate::{
    protocol::{
        message::{Block, Message, Reply},
        usage::Usage,
    },
    provider::{
        breaker::Breaker,
        http::Http,
        model::{Ask, Delta, ErrorKind, Model, ModelError, ModelInfo, Sink},
        retry::{self, Retry},
        wire::{Protocol, Target},
    },
};

/// A model behind an address.
pub struct Remote {
    /// The name as the user wrote it.
    pub name: String,
    /// What is known about it.
    pub info: ModelInfo,
    /// Its wire format.
    pub protocol: Protocol,
    /// Its name there, and in what it differs.
    pub target: Target,
    /// Its address, key and connections.
    pub http: Http,
    /// How failures are repeated.
    pub retry: Retry,
    /// What to do when the key is refused.
    pub key_advice: String,
    /// Its health.
    pub breaker: Mutex<Breaker>,
    /// As many permits as it takes questions at once.
    pub places: Semaphore,
    /// Until when nobody is to ask, once the provider was asked too often.
    pub calm: Mutex<Option<Instant>>,
}

/// The last error, and how many attempts there were.
type Failed = (ModelError, u32);

/// How an attempt differs from the question as asked, because the one before failed so.
#[derive(Clone, Copy, Default)]
struct Variation {
    /// The server could not read the model's output: force a call, or warm it up.
    reshape: bool,
    /// The provider did not take its own old blocks back: leave them out.
    plain_history: bool,
}

impl Model for Remote {
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
        cancel: &'a CancellationToken,
    ) -> BoxFuture<'a, Result<Reply, ModelError>> {
        Box::pin(async move {
            let answered = cancel.run_until_cancelled(self.guarded(ask, sink)).await;
            let cancelled = || Err((ModelError::new(ErrorKind::Cancelled, "cancelled"), 1));
            answered
                .unwrap_or_else(cancelled)
                .map_err(|(error, attempts)| self.advised(error).told(&self.name, attempts))
        })
    }
}

impl Remote {
    async fn guarded(&self, ask: &Ask, sink: Sink<'_>) -> Result<Reply, Failed> {
        let _place = self.places.acquire().await.expect("the semaphore is never closed");
        self.breaker().admit(Instant::now()).map_err(|left| {
            let why = format!("failed too often in a row; not asked for {} s", left.as_secs());
            (ModelError::new(ErrorKind::BreakerOpen { left }, why), 1)
        })?;
        let answer = self.persistent(ask, sink).await;
        match &answer {
            Err((error, _)) if counts(&error.kind) => self.breaker().failed(Instant::now()),
            // A refusal of this one request shows a provider that is alive.
            _ => self.breaker().succeeded(),
        }
        answer
    }

    fn breaker(&self) -> MutexGuard<'_, Breaker> {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn persistent(&self, ask: &Ask, sink: Sink<'_>) -> Result<Reply, Failed> {
        let mut variation = Variation::default();
        let (mut failed, mut billed) = (0, 0);
        loop {
            self.calm(sink).await;
            let error = match self.once(ask, variation, sink).await {
                Ok(reply) => return Ok(reply),
                Err(error) => error,
            };
            failed += 1;
            billed += u32::from(retry::is_billed(&error.kind));
            // What broke off is repeated once, however often the server was busy before.
            let behind = if retry::is_billed(&error.kind) { billed } else { failed };
            if error.kind == ErrorKind::ToolFormat {
                variation.reshape = true;
            } else if refuses_old_blocks(&error) && !variation.plain_history {
                variation.plain_history = true;
                continue;
            }
            let Some(wait) = self.retry.wait(&error.kind, behind, rand::random()) else {
                return Err((error, failed));
            };
            if matches!(error.kind, ErrorKind::RateLimit { .. } | ErrorKind::Overloaded { .. }) {
                self.cool(wait);
            }
            sink(Delta::Retry { wait, why: error.message, usage: error.usage });
            time::sleep(wait).await;
        }
    }

    /// Has everybody wait this long from now, if they do not wait longer already.
    fn cool(&self, wait: Duration) {
        let mut calm = self.calm.lock().unwrap_or_else(PoisonError::into_inner);
        *calm = (*calm).max(Instant::now().checked_add(wait));
    }

    /// Waits as long as the provider asked anybody to wait.
    async fn calm(&self, sink: Sink<'_>) {
        loop {
            let until = *self.calm.lock().unwrap_or_else(PoisonError::into_inner);
            let left = until.map(|at| at.saturating_duration_since(Instant::now()));
            let Some(left) = left.filter(|left| !left.is_zero()) else { return };
            let wait = left + self.retry.base.mul_f64(rand::random());
            let why = "the provider asked another agent to wait".to_owned();
            sink(Delta::Retry { wait, why, usage: Usage::default() });
            time::sleep(wait).await;
        }
    }

    async fn once(
        &self,
        ask: &Ask,
        variation: Variation,
        sink: Sink<'_>,
    ) -> Result<Reply, ModelError> {
        let body = self.protocol.render(&vary(ask, variation), &self.target);
        let body = serde_json::to_vec(&body).expect("a rendered request holds only JSON values");
        let sent = body.len() as u64;
        let mut decoder = self.protocol.decoder(ask.cue.turn);
        let heard = AtomicU64::new(0);
        let counting = |delta: Delta| {
            if let Delta::Text(text) | Delta::Thinking(text) = &delta {
                heard.fetch_add(text.len() as u64, Ordering::Relaxed);
            }
            sink(delta);
        };
        let answer = match self.http.post(body, decoder.as_mut(), &counting).await {
            Ok(()) => decoder.finish(),
            Err(error) => Err(error),
        };
        let mut reply = answer.map_err(|error| charged(error, sent, heard.into_inner()))?;
        fill_in(&mut reply, sent);
        Ok(reply)
    }

    fn advised(&self, mut error: ModelError) -> ModelError {
        if error.kind == ErrorKind::Auth {
            error.advice.get_or_insert_with(|| self.key_advice.clone());
        }
        error
    }
}

/// Returns whether a failure says something about the provider rather than about one request.
fn counts(kind: &ErrorKind) -> bool {
    !matches!(
        kind,
        ErrorKind::ContextOverflow { .. }
            | ErrorKind::BadRequest
            | ErrorKind::ToolFormat
            | ErrorKind::Cancelled
    )
}

fn refuses_old_blocks(error: &ModelError) -> bool {
    error.kind == ErrorKind::BadRequest
        && ["thinking", "reasoning"].iter().any(|word| error.message.contains(word))
}

fn vary(ask: &Ask, variation: Variation) -> Ask {
    let mut ask = ask.clone();
    if variation.reshape {
        if ask.require_tool || ask.tools.is_empty() {
            ask.temperature = Some(ask.temperature.unwrap_or(0.0) + 0.4);
        }
        ask.require_tool = true;
    }
    if variation.plain_history {
        for message in &mut ask.messages {
            let blocks = message.blocks.iter().filter(|block| !matches!(block, Block::Opaque(_)));
            let blocks = blocks.cloned().collect();
            *message = Message { speaker: message.speaker, blocks }.into();
        }
    }
    ask
}

/// Bytes that stand for one token where nobody counted.
const BYTES_PER_TOKEN: u64 = 4;

/// An answer that broke off was probably billed, and nobody says how much: bytes stand for it.
fn charged(mut error: ModelError, sent: u64, heard: u64) -> ModelError {
    if retry::is_billed(&error.kind) {
        let (input, output) = (sent.div_ceil(BYTES_PER_TOKEN), heard.div_ceil(BYTES_PER_TOKEN));
        error.usage = Usage { input, output, ..Usage::default() };
    }
    error
}

/// A provider that reports no usage is not free: bytes stand in for what is missing.
fn fill_in(reply: &mut Reply, sent: u64) {
    if reply.usage.prompt() == 0 {
        reply.usage = Usage { input: sent.div_ceil(BYTES_PER_TOKEN), ..reply.usage };
    }
    if reply.usage.output == 0 {
        let said = serde_json::to_string(&reply.message.blocks).unwrap_or_default();
        let is_empty = reply.message.blocks.is_empty();
        reply.usage.output =
            if is_empty { 0 } else { (said.len() as u64).div_ceil(BYTES_PER_TOKEN) };
    }
}
