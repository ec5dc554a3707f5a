//! The lines of a conversation: what the agent may send, and how much of it at once.
//!
//! What is no message is noted and passed over, because agents print such things; a line without
//! end is the end of the conversation. News are taken out here, in their order and one at a time,
//! so an agent that talks faster than it is put on record waits. So does one that asks more than it
//! reads the answers of.

use std::{io, sync::Arc};

use agent_client_protocol::v1::schema::SessionNotification;
use futures_util::{Sink, Stream, sink, stream};
use serde::{Deserialize, de::IgnoredAny};
use serde_json::value::RawValue;
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::unix::pipe::{Receiver, Sender},
    sync::Semaphore,
};

use crate::external::acp::log::Log;

/// The longest line of an agent, in bytes.
pub(super) const MAX_LINE: usize = 16 << 20;
/// Requests that may wait for their answers.
const MAX_WAITING: usize = 32;
/// News of the agent's work.
const UPDATE: &str = "session/update";

/// What is to be known of a line before it is read.
#[derive(Deserialize)]
struct Head<'a> {
    #[serde(default)]
    method: Option<String>,
    #[serde(default)]
    id: Option<IgnoredAny>,
    #[serde(default, borrow)]
    params: Option<&'a RawValue>,
}

/// Both ways of a conversation.
pub(super) struct Line {
    pub(super) to: Sender,
    pub(super) from: Receiver,
}

/// Returns what bounds the requests of one conversation.
pub(super) fn gate() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(MAX_WAITING))
}

/// Returns the requests and answers of the agent.
pub(super) fn incoming(
    from: Receiver,
    log: Arc<Log>,
    gate: Arc<Semaphore>,
) -> impl Stream<Item = io::Result<String>> + Send + 'static {
    stream::unfold((BufReader::new(from), log, gate), |(mut from, log, gate)| async move {
        let next = next(&mut from, &log, &gate).await.transpose();
        next.map(|line| (line, (from, log, gate)))
    })
}

/// Returns where requests and answers for the agent go.
pub(super) fn outgoing(
    to: Sender,
    gate: Arc<Semaphore>,
) -> impl Sink<String, Error = io::Error> + Send + 'static {
    sink::unfold((to, gate), |(mut to, gate), mut line: String| async move {
        let is_answer = serde_json::from_str(&line).is_ok_and(|head: Head| head.method.is_none());
        line.push('\n');
        to.write_all(line.as_bytes()).await?;
        if is_answer {
            gate.add_permits(1);
        }
        Ok((to, gate))
    })
}

async fn next(
    from: &mut BufReader<Receiver>,
    log: &Log,
    gate: &Semaphore,
) -> io::Result<Option<String>> {
    while let Some(line) = read_line(from).await? {
        if line.trim().is_empty() {
            continue;
        }
        let Ok(head) = serde_json::from_str::<Head>(&line) else {
            log.noise(&line);
            continue;
        };
        match (head.method.as_deref(), head.id) {
            (Some(UPDATE), None) => {
                // A kind of news that is not known is none.
                let params = head.params.map_or("null", RawValue::get);
                if let Ok(news) = serde_json::from_str::<SessionNotification>(params) {
                    log.hear(news.update).await.map_err(io::Error::other)?;
                }
            }
            (Some(_), None) => {}
            (None, None) => log.noise(&line),
            (None, Some(_)) => return Ok(Some(line)),
            (Some(_), Some(_)) => {
                // The answer gives it back.
                gate.acquire().await.map_err(io::Error::other)?.forget();
                return Ok(Some(line));
            }
        }
    }
    Ok(None)
}

/// Reads a line; whatever follows the last line break counts as one.
async fn read_line(from: &mut BufReader<Receiver>) -> io::Result<Option<String>> {
    let mut line = Vec::new();
    loop {
        let chunk = from.fill_buf().await?;
        if chunk.is_empty() {
            break;
        }
        let end = chunk.iter().position(|byte| *byte == b'\n');
        let taken = end.map_or(chunk.len(), |end| end + 1);
        line.extend_from_slice(&chunk[..taken]);
        from.consume(taken);
        if line.len() > MAX_LINE {
            let why = format!("it sent a line of more than {} MiB", MAX_LINE >> 20);
            return Err(io::Error::new(io::ErrorKind::InvalidData, why));
        }
        if end.is_some() {
            break;
        }
    }
    let text = || String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']).to_owned();
    Ok((!line.is_empty()).then(text))
}
