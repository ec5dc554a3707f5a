//! A model server of the test's own on 127.0.0.1, answers in a queue: OpenAI chat completions, or
//! whatever events a test gives it.
//!
//! The last answer is given again and again. Nothing here waits for a clock: a stalled answer lasts
//! until the client goes away.

use std::{
    collections::VecDeque,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    os::fd::OwnedFd,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use rustix::net::{AddressFamily, SocketType, bind, getsockname, listen, socket};
use serde_json::{Value, json};

use crate::env::{Env, process::Run};

/// Returns a server of this machine that says this to whoever comes.
pub(crate) fn saying(text: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
    let address = listener.local_addr().expect("an address");
    thread::spawn(move || {
        for client in listener.incoming() {
            let mut client = client.expect("a client");
            let _ = client.read(&mut [0; 4096]);
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", text.len());
            let _ = client.write_all((head + text).as_bytes());
        }
    });
    address
}

/// What the check of `solo` asks of the repository.
pub(crate) const CHECK: &str = "grep -q right value.txt";

/// Returns a repository whose `value.txt` is wrong.
pub(crate) fn world() -> Env {
    let env = Env::new();
    env.write("value.txt", "wrong\n");
    env.commit("start");
    env
}

/// Returns `grafter run` of the smallest workflow on that repository.
pub(crate) fn solo<'a>(env: &'a Env, model: &str, more: &[&str]) -> Run<'a> {
    let words = ["run", "value.txt must be right", "-w", "solo", "--verify", CHECK];
    let words = words.iter().copied().chain(["--model", model]).chain(more.iter().copied());
    env.grafter(words)
}

/// Returns the one object that a run prints.
#[track_caller]
pub(crate) fn object(run: Run<'_>, code: i32) -> Value {
    let stdout = run.code(code).stdout;
    serde_json::from_str(&stdout).unwrap_or_else(|error| panic!("{error}: {stdout}"))
}

/// Returns what a file holds on the landing branch of the newest run.
#[track_caller]
pub(crate) fn landed(env: &Env, path: &str) -> String {
    let runs: Value = serde_json::from_str(&env.grafter(["status", "--json"]).ok().stdout)
        .expect("a list of runs");
    let run = runs[0]["run"].as_str().expect("a name");
    env.git(["show", &format!("grafter/{run}/landed:{path}")])
}

/// One answer of the server.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    /// Events of a stream and its end.
    Stream(Vec<Value>),
    /// One JSON document.
    Whole(Value),
    /// Anything: status line, headers, body.
    Status(&'static str, &'static str, String),
    /// Events of a stream, then the connection is closed.
    Cut(Vec<Value>),
    /// Events of a stream, then nothing more.
    Stalled(Vec<Value>),
}

/// Returns the answer that says something.
pub(crate) fn say(text: &str) -> Answer {
    let delta = json!({ "choices": [{ "delta": { "content": text } }] });
    Answer::Stream(vec![delta, end("stop")])
}

/// Returns the answer that calls a tool.
pub(crate) fn call(name: &str, input: &Value) -> Answer {
    calls(&[(name, &input.to_string())])
}

/// Returns the answer that calls tools, with arguments as the text they are sent as.
pub(crate) fn calls(calls: &[(&str, &str)]) -> Answer {
    let calls = calls.iter().enumerate().map(|(index, (name, arguments))| {
        let function = json!({ "name": name, "arguments": arguments });
        json!({ "index": index, "id": format!("call{index}"), "type": "function", "function": function })
    });
    let delta = json!({ "choices": [{ "delta": { "tool_calls": calls.collect::<Vec<_>>() } }] });
    Answer::Stream(vec![delta, end("tool_calls")])
}

fn end(why: &str) -> Value {
    json!({
        "choices": [{ "delta": {}, "finish_reason": why }],
        "usage": { "prompt_tokens": 1000, "completion_tokens": 20 },
    })
}

/// Returns the answer that reads the wrong value and writes the right one.
pub(crate) fn mend() -> Answer {
    let read = json!({ "path": "value.txt" }).to_string();
    let write = json!({ "path": "value.txt", "content": "right\n" }).to_string();
    calls(&[("read", &read), ("write", &write)])
}

/// Returns the answer that hands in.
pub(crate) fn finish() -> Answer {
    call("finish", &json!({ "status": "succeeded", "summary": "value.txt is right now" }))
}

/// Returns the refusal of a request, as llama.cpp and OpenAI word it.
pub(crate) fn refusal(line: &'static str, kind: &str, message: &str) -> Answer {
    let error = json!({ "error": { "type": kind, "message": message } });
    Answer::Status(line, "content-type: application/json\r\n", error.to_string())
}

impl Answer {
    /// Returns the same answer as one JSON document.
    pub(crate) fn whole(self) -> Self {
        let Self::Stream(events) = self else { panic!("only a stream can be joined") };
        let delta = &events[0]["choices"][0]["delta"];
        let why = &events[1]["choices"][0]["finish_reason"];
        let choice = json!({ "message": delta, "finish_reason": why });
        Self::Whole(json!({ "choices": [choice], "usage": events[1]["usage"] }))
    }

    /// Writes it; returns whether the connection stays open.
    fn write(&self, to: &mut TcpStream) -> bool {
        let sse = |events: &[Value]| {
            events.iter().map(|event| format!("data: {event}\n\n")).collect::<String>()
        };
        // Without a length the end of the connection is the end of the body.
        let open = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n";
        let text = match self {
            Self::Stream(events) => {
                let body = format!("{}data: [DONE]\n\n", sse(events));
                format!("{open}content-length: {}\r\n\r\n{body}", body.len())
            }
            Self::Whole(value) => {
                let body = value.to_string();
                let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n";
                format!("{head}content-length: {}\r\n\r\n{body}", body.len())
            }
            Self::Status(line, headers, body) => {
                format!("HTTP/1.1 {line}\r\n{headers}content-length: {}\r\n\r\n{body}", body.len())
            }
            Self::Cut(events) | Self::Stalled(events) => format!("{open}\r\n{}", sse(events)),
        };
        let written = to.write_all(text.as_bytes()).is_ok();
        if matches!(self, Self::Stalled(_)) {
            // Ends when the client gives up.
            let _ = to.read(&mut [0; 1]);
        }
        written && !matches!(self, Self::Cut(_) | Self::Stalled(_))
    }
}

/// A request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    /// Request line and headers.
    pub(crate) head: String,
    /// The body's bytes.
    pub(crate) body: String,
}

impl Received {
    /// Returns the body as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).expect("a JSON body")
    }

    /// Returns the content of the last message, which is what the model is told last.
    pub(crate) fn told(&self) -> String {
        let body = self.json();
        let messages = body["messages"].as_array().expect("messages");
        messages.last().expect("a message")["content"].as_str().expect("words").to_owned()
    }
}

#[derive(Default)]
struct Shared {
    answers: Mutex<VecDeque<Answer>>,
    received: Mutex<Vec<Received>>,
    stop: AtomicBool,
}

/// A port on which nobody listens, and which nobody else can get.
pub(crate) struct Closed {
    socket: OwnedFd,
    address: SocketAddr,
}

impl Closed {
    /// Takes a port.
    pub(crate) fn new() -> Self {
        let socket = socket(AddressFamily::INET, SocketType::STREAM, None).expect("a socket");
        bind(&socket, &SocketAddr::from(([127, 0, 0, 1], 0))).expect("a port of its own");
        let address = getsockname(&socket).expect("its name").try_into().expect("an IP address");
        Self { socket, address }
    }

    /// Returns the address with its path.
    pub(crate) fn url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// Returns the model's name.
    pub(crate) fn model(&self) -> String {
        format!("chat+{}#m", self.url())
    }

    /// Begins to answer.
    pub(crate) fn open(self, answers: impl IntoIterator<Item = Answer>) -> Server {
        listen(&self.socket, 64).expect("a bound socket");
        Server::on(TcpListener::from(self.socket), answers)
    }
}

/// A running server; it stops when dropped.
pub(crate) struct Server {
    address: SocketAddr,
    shared: Arc<Shared>,
}

impl Server {
    /// Starts one that gives these answers in their order.
    pub(crate) fn new(answers: impl IntoIterator<Item = Answer>) -> Self {
        Closed::new().open(answers)
    }

    fn on(listener: TcpListener, answers: impl IntoIterator<Item = Answer>) -> Self {
        let address = listener.local_addr().expect("a bound socket");
        let shared = Arc::new(Shared::default());
        let server = Self { address, shared: shared.clone() };
        server.answers(answers);
        thread::spawn(move || {
            for stream in listener.incoming() {
                if shared.stop.load(Ordering::SeqCst) {
                    return;
                }
                let (Ok(stream), shared) = (stream, shared.clone()) else { return };
                thread::spawn(move || serve(stream, &shared));
            }
        });
        server
    }

    /// Replaces the answers that are still to come.
    pub(crate) fn answers(&self, answers: impl IntoIterator<Item = Answer>) {
        *self.shared.answers.lock().expect("no panic") = answers.into_iter().collect();
    }

    /// Returns the address with its path.
    pub(crate) fn url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// Returns the model's name.
    pub(crate) fn model(&self) -> String {
        format!("chat+{}#m", self.url())
    }

    /// Returns the requests so far.
    pub(crate) fn received(&self) -> Vec<Received> {
        self.shared.received.lock().expect("no panic").clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        // Wakes the thread that waits for a connection.
        let _ = TcpStream::connect(self.address);
    }
}

fn serve(stream: TcpStream, shared: &Shared) {
    let mut to = stream.try_clone().expect("a copy of the descriptor");
    let mut from = BufReader::new(stream);
    while let Some(received) = receive(&mut from) {
        shared.received.lock().expect("no panic").push(received);
        let answer = {
            let mut answers = shared.answers.lock().expect("no panic");
            let last = answers.len() < 2;
            if last { answers.front().cloned() } else { answers.pop_front() }
        };
        if !answer.expect("at least one answer").write(&mut to) {
            return;
        }
    }
}

fn receive(from: &mut impl BufRead) -> Option<Received> {
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        if from.read_line(&mut line).ok()? == 0 {
            return None;
        }
        if line == "\r\n" {
            break;
        }
        let lower = line.to_ascii_lowercase();
        if let Some(value) = lower.strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
        head.push_str(&line);
    }
    let mut body = vec![0; length];
    from.read_exact(&mut body).ok()?;
    Some(Received { head, body: String::from_utf8(body).ok()? })
}
