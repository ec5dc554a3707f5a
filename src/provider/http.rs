//! The HTTP side: one request, its events one by one.
//!
//! Every wait has an end: connecting, the first byte, each gap between bytes, each gap between pieces
//! of the answer (a server may keep the line open and say nothing), the whole answer. An event and an answer have a largest size. Redirects are not followed, because a key would go
//! along. Servers on this machine are reached without a proxy and without loading certificates.

use std::{
    error::Error as StdError,
    net::IpAddr,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures_util::{StreamExt, stream};
use reqwest::{Response, header, redirect};
use serde_json::Value;
use sse_stream::{Sse, SseByteStream};
use thiserror::Error;
use tokio::time::{self, Instant};
use tokio_util::bytes::Bytes;

use crate::provider::{
    model::{ErrorKind, ModelError, Sink},
    refusal,
    wire::{Decoder, Progress},
};

/// How long is waited for what.
#[derive(Clone, Copy, Debug)]
pub struct Waits {
    /// For a connection.
    pub connect: Duration,
    /// For the first byte: a small machine may read the prompt for minutes.
    pub first_byte: Duration,
    /// Between two bytes.
    pub stall: Duration,
    /// Between two pieces of the answer, whatever else comes.
    pub token: Duration,
    /// For the whole answer.
    pub total: Duration,
}

/// The largest sizes accepted, in bytes.
#[derive(Clone, Copy, Debug)]
pub struct Caps {
    /// Of one event.
    pub event: u64,
    /// Of one answer.
    pub answer: u64,
}

impl Default for Caps {
    fn default() -> Self {
        Self { event: 32 << 20, answer: 256 << 20 }
    }
}

/// One provider's connections; they are made at the first request and kept.
pub struct Http {
    url: String,
    headers: Vec<(&'static str, String)>,
    waits: Waits,
    caps: Caps,
    client: OnceLock<Result<reqwest::Client, String>>,
}

impl Http {
    /// Returns a client for one address that has connected to nothing yet.
    pub fn new(
        url: String,
        headers: Vec<(&'static str, String)>,
        waits: Waits,
        caps: Caps,
    ) -> Self {
        Self { url, headers, waits, caps, client: OnceLock::new() }
    }

    /// Returns the address.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Posts `body` and feeds the answer to `decoder`.
    pub async fn post(
        &self,
        body: Vec<u8>,
        decoder: &mut dyn Decoder,
        sink: Sink<'_>,
    ) -> Result<(), ModelError> {
        let exchange = self.exchange(body, decoder, sink);
        time::timeout(self.waits.total, exchange).await.unwrap_or_else(|_| {
            let seconds = self.waits.total.as_secs();
            Err(ModelError::new(ErrorKind::Stall, format!("no end of the answer in {seconds} s")))
        })
    }

    async fn exchange(
        &self,
        body: Vec<u8>,
        decoder: &mut dyn Decoder,
        sink: Sink<'_>,
    ) -> Result<(), ModelError> {
        let response = self.send(body).await?;
        let status = response.status();
        let header = |name| response.headers().get(name).and_then(|value| value.to_str().ok());
        let is_json = header(header::CONTENT_TYPE).is_some_and(|kind| kind.contains("json"));
        let retry_after = refusal::retry_after(header(header::RETRY_AFTER));
        if !status.is_success() {
            let text = self.text(response, 64 << 10).await.unwrap_or_default();
            return Err(refusal::classify(status.as_u16(), &text, retry_after));
        }
        if is_json {
            let text = self.text(response, self.caps.answer).await?;
            let value: Value = serde_json::from_str(&text).map_err(|error| {
                // A document that ends too early was cut, anything else is nonsense.
                let kind = if error.is_eof() { ErrorKind::Cut } else { ErrorKind::BadAnswer };
                ModelError::new(kind, format!("the answer is no complete JSON: {error}"))
            })?;
            return decoder.whole(&value);
        }
        self.events(response, decoder, sink).await
    }

    async fn send(&self, body: Vec<u8>) -> Result<Response, ModelError> {
        let client = self.client.get_or_init(|| client(&self.url, &self.waits));
        let client = client.as_ref().map_err(|why| ModelError::new(ErrorKind::Network, why))?;
        let mut request = client
            .post(&self.url)
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::ACCEPT, "text/event-stream, application/json")
            .body(body);
        for (name, value) in &self.headers {
            request = request.header(*name, value);
        }
        match time::timeout(self.waits.first_byte, request.send()).await {
            Ok(sent) => sent.map_err(|error| {
                let why = causes(&error);
                ModelError::new(ErrorKind::Network, format!("cannot reach {}: {why}", self.url))
            }),
            Err(_) => Err(stalled("no answer began", self.waits.first_byte)),
        }
    }

    async fn text(&self, mut response: Response, cap: u64) -> Result<String, ModelError> {
        let mut bytes = Vec::new();
        while let Some(chunk) = next_chunk(&mut response, self.waits.stall).await.transpose() {
            bytes.extend_from_slice(&chunk.map_err(ByteError::into_model)?);
            if bytes.len() as u64 > cap {
                return Err(ByteError::TooLarge(cap).into_model());
            }
        }
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    async fn events(
        &self,
        response: Response,
        decoder: &mut dyn Decoder,
        sink: Sink<'_>,
    ) -> Result<(), ModelError> {
        let pending = Arc::new(AtomicU64::new(0));
        let body = Body {
            response,
            total: 0,
            pending: Arc::clone(&pending),
            stall: self.waits.stall,
            caps: self.caps,
        };
        let bytes = stream::try_unfold(body, Body::next);
        let mut events = Box::pin(SseByteStream::new(Box::pin(bytes)));
        let mut last = Instant::now();
        loop {
            let next = time::timeout_at(last + self.waits.token, events.next()).await;
            let next =
                next.map_err(|_| stalled("no piece of the answer came", self.waits.token))?;
            let Some(event) = next else { return Ok(()) };
            pending.store(0, Ordering::Relaxed);
            let event = event.map_err(unparsed)?;
            if !keeps_alive(&event) {
                last = Instant::now();
            }
            let data = event.data.unwrap_or_default();
            if !data.is_empty() && decoder.event(&data, sink)? == Progress::Done {
                // Reading on to the end of the body lets the connection be used again.
                let _ = time::timeout(Duration::from_millis(50), events.next()).await;
                return Ok(());
            }
        }
    }
}

/// Returns whether an event only says that the server is there.
fn keeps_alive(event: &Sse) -> bool {
    let named = matches!(event.event.as_deref(), Some("ping" | "keepalive"));
    named || event.data.as_ref().is_none_or(String::is_empty)
}

/// The bytes of an event stream, within the caps.
struct Body {
    response: Response,
    total: u64,
    /// What came since the last event: the parser has no limit of its own.
    pending: Arc<AtomicU64>,
    stall: Duration,
    caps: Caps,
}

impl Body {
    async fn next(mut self) -> Result<Option<(Bytes, Self)>, ByteError> {
        let Some(chunk) = next_chunk(&mut self.response, self.stall).await? else {
            return Ok(None);
        };
        let length = chunk.len() as u64;
        self.total += length;
        let pending = self.pending.fetch_add(length, Ordering::Relaxed) + length;
        if pending > self.caps.event || self.total > self.caps.answer {
            return Err(ByteError::TooLarge(self.caps.event.min(self.caps.answer)));
        }
        Ok(Some((chunk, self)))
    }
}

#[derive(Debug, Error)]
enum ByteError {
    #[error("the connection broke: {0}")]
    Broken(String),
    #[error("no byte came for {} s", .0.as_secs())]
    Silent(Duration),
    #[error("the answer is larger than {0} bytes")]
    TooLarge(u64),
}

impl ByteError {
    fn into_model(self) -> ModelError {
        let kind = match self {
            Self::Broken(_) => ErrorKind::Cut,
            Self::Silent(_) => ErrorKind::Stall,
            Self::TooLarge(_) => ErrorKind::BadAnswer,
        };
        ModelError::new(kind, self.to_string())
    }
}

async fn next_chunk(response: &mut Response, stall: Duration) -> Result<Option<Bytes>, ByteError> {
    match time::timeout(stall, response.chunk()).await {
        Ok(Ok(chunk)) => Ok(chunk),
        Ok(Err(error)) => Err(ByteError::Broken(causes(&error))),
        Err(_) => Err(ByteError::Silent(stall)),
    }
}

fn unparsed(error: sse_stream::Error) -> ModelError {
    match error {
        sse_stream::Error::Body(source) => match source.downcast::<ByteError>() {
            Ok(error) => error.into_model(),
            Err(other) => ModelError::new(ErrorKind::Cut, other.to_string()),
        },
        other => ModelError::new(ErrorKind::BadAnswer, format!("no event stream: {other}")),
    }
}

fn stalled(what: &str, waited: Duration) -> ModelError {
    ModelError::new(ErrorKind::Stall, format!("{what} within {} s", waited.as_secs()))
}

/// Returns the innermost cause, which is the one that says something to a person.
fn causes(error: &dyn StdError) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

fn client(url: &str, waits: &Waits) -> Result<reqwest::Client, String> {
    // Fails only when it has been done before.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut builder = reqwest::Client::builder()
        .connect_timeout(waits.connect)
        .pool_idle_timeout(Duration::from_secs(300))
        .tcp_keepalive(Duration::from_secs(30))
        .redirect(redirect::Policy::none())
        .user_agent(concat!("grafter/", env!("CARGO_PKG_VERSION")));
    if is_local(url) && url.starts_with("http://") {
        builder = builder.no_proxy().tls_certs_only([]);
    }
    builder.build().map_err(|error| causes(&error))
}

/// Returns whether an address leads to this very machine.
pub fn is_local(url: &str) -> bool {
    let Ok(url) = reqwest::Url::parse(url) else { return false };
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    let ip: Option<IpAddr> = host.parse().ok();
    host == "localhost" || ip.is_some_and(|ip| ip.is_loopback())
}
