//! What the room's tests share: a question, and a server that misbehaves on request.

use std::{
    future,
    sync::{Arc, Mutex},
};

use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use crate::{
    protocol::{
        ids::RunId,
        message::{CacheScope, Message, Reply, Segment},
        task::Phase,
        tool::{Class, Risk, ToolSpec},
    },
    provider::{
        model::{Ask, Cue, ModelError, silent},
        wire::{Decoder, Progress},
    },
};

/// Returns a tool with one text argument.
pub(crate) fn tool(name: &str) -> ToolSpec {
    ToolSpec {
        name: name.to_owned(),
        description: format!("Does {name}."),
        class: Class::Read,
        risk: Risk::Low,
        phases: vec![Phase::Research],
        parameters: json!({
            "type": "object",
            "properties": { "path": { "type": "string" } },
            "required": ["path"],
        }),
        timeout_ms: 1000,
        max_output: 1000,
        named: false,
    }
}

/// Returns a small question with two tools and a system prompt of three parts.
pub(crate) fn ask() -> Ask {
    let part = |id: &str, cache| Segment { id: id.into(), cache, text: format!("The {id} part.") };
    Ask {
        system: vec![
            part("first", CacheScope::Static),
            part("second", CacheScope::Static),
            part("session", CacheScope::Session),
        ],
        tools: Arc::new(vec![tool("read"), tool("write")]),
        messages: vec![Arc::new(Message::user("Fix it."))],
        max_tokens: 100,
        temperature: None,
        require_tool: false,
        inherited: 0,
        cue: Cue {
            run: RunId::new("r"),
            node: "research".into(),
            role: "researcher".into(),
            phase: Phase::Research,
            index: 0,
            sample: 0,
            attempt: 1,
            turn: 0,
        },
    }
}

/// One piece of an answer.
#[derive(Clone, Debug)]
pub(crate) enum Piece {
    /// These bytes at once.
    Bytes(Vec<u8>),
    /// These bytes one by one, each in its own packet.
    Bytewise(Vec<u8>),
    /// Nothing for ever.
    Hang,
    /// The connection closes.
    Close,
}

/// What came in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Received {
    /// The request line and headers, in lower case.
    pub(crate) head: String,
    /// The body.
    pub(crate) body: String,
    /// Which connection it came over, from 0.
    pub(crate) connection: usize,
}

/// A server on this machine that answers as told, one answer a request; the last one repeats.
pub(crate) struct Server {
    /// Its base address.
    pub(crate) url: String,
    received: Arc<Mutex<Vec<Received>>>,
}

impl Server {
    /// Starts it.
    pub(crate) async fn start(answers: Vec<Vec<Piece>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("bound"));
        let received = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&received);
        tokio::spawn(async move {
            for connection in 0.. {
                let (stream, _) = listener.accept().await.expect("accepts");
                tokio::spawn(serve(stream, connection, answers.clone(), Arc::clone(&kept)));
            }
        });
        Self { url, received }
    }

    /// Returns what came in so far.
    pub(crate) fn received(&self) -> Vec<Received> {
        self.received.lock().expect("no test panics with it").clone()
    }
}

async fn serve(
    mut stream: TcpStream,
    connection: usize,
    answers: Vec<Vec<Piece>>,
    received: Arc<Mutex<Vec<Received>>>,
) -> Option<()> {
    loop {
        let request = request(&mut stream, connection).await?;
        let nth = {
            let mut received = received.lock().expect("no test panics with it");
            received.push(request);
            received.len() - 1
        };
        for piece in &answers[nth.min(answers.len() - 1)] {
            match piece {
                Piece::Bytes(bytes) => stream.write_all(bytes).await.ok()?,
                Piece::Bytewise(bytes) => {
                    stream.set_nodelay(true).ok()?;
                    for byte in bytes {
                        stream.write_all(&[*byte]).await.ok()?;
                    }
                }
                Piece::Hang => future::pending::<()>().await,
                Piece::Close => return None,
            }
        }
    }
}

async fn request(stream: &mut TcpStream, connection: usize) -> Option<Received> {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let head = head.to_lowercase();
            let length = head.split("content-length: ").nth(1)?.lines().next()?.parse().ok()?;
            if body.len() >= length {
                return Some(Received { head, body: body.to_owned(), connection });
            }
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
}

/// Returns a whole HTTP answer.
pub(crate) fn http(status: &str, headers: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\n{headers}\r\n{body}").into_bytes()
}

/// Returns an HTTP answer that is an event stream.
pub(crate) fn sse(events: &str) -> Vec<u8> {
    http("200 OK", "content-type: text/event-stream\r\n", events)
}

/// Returns the first part of a chunked event stream.
pub(crate) fn sse_begun(events: &str) -> Vec<u8> {
    let length = events.len();
    format!(
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n\
         {length:x}\r\n{events}\r\n"
    )
    .into_bytes()
}

/// Feeds events to a decoder and returns its reply.
pub(crate) fn decode(mut decoder: Box<dyn Decoder>, events: &[&str]) -> Result<Reply, ModelError> {
    for event in events {
        if decoder.event(event, silent())? == Progress::Done {
            break;
        }
    }
    decoder.finish()
}
