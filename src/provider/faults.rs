//! Tests of `remote` against a server that misbehaves in every way the issue names.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::{
    protocol::{
        message::{Block, Message, Reply, Speaker, StopReason},
        task::EditFormat,
        usage::Usage,
    },
    provider::{
        http::{Caps, Http, Waits},
        model::{Delta, ErrorKind, Model, ModelError, ModelInfo, silent},
        remote::Remote,
        retry::Retry,
        testing::{self, Piece, Server},
        wire::{self, Protocol, Target},
    },
};

const HELLO: &str = "data: {\"choices\":[{\"delta\":{\"content\":\"Hello\"}}]}\n\n";
const END: &str = "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":2}}\n\ndata: [DONE]\n\n";

fn whole() -> Vec<Piece> {
    vec![Piece::Bytes(testing::sse(&format!("{HELLO}{END}")))]
}

fn status(line: &str, headers: &str, body: &str) -> Vec<Piece> {
    vec![Piece::Bytes(testing::http(line, headers, body))]
}

fn remote(server: &Server, protocol: Protocol) -> Remote {
    let waits = Waits {
        connect: Duration::from_secs(5),
        first_byte: Duration::from_secs(30),
        stall: Duration::from_secs(30),
        token: Duration::from_secs(30),
        total: Duration::from_secs(60),
    };
    let caps = Caps { event: 8 << 20, answer: 16 << 20 };
    let info = ModelInfo {
        identity: String::new(),
        window: 8192,
        max_output: 100,
        price: None,
        edit_format: EditFormat::Tools,
        scripted: false,
        counted: true,
        concurrency: 1,
    };
    Remote {
        name: "test".to_owned(),
        info,
        protocol,
        target: Target { model: "m".to_owned(), quirks: Vec::new() },
        http: Http::new(protocol.endpoint(&server.url), Vec::new(), waits, caps),
        retry: Retry { base: Duration::from_millis(1), ..Retry::default() },
        key_advice: "set TEST_KEY".to_owned(),
        breaker: Mutex::default(),
        places: Semaphore::new(2),
        calm: Mutex::default(),
    }
}

/// Asks once and returns the answer and how many requests it took.
async fn asked(answers: Vec<Vec<Piece>>) -> (Result<Reply, ModelError>, usize) {
    let server = Server::start(answers).await;
    let model = remote(&server, Protocol::Chat);
    let cancel = CancellationToken::new();
    let answer = model.ask(&testing::ask(), silent(), &cancel).await;
    (answer, server.received().len())
}

async fn kind(answer: Vec<Piece>) -> (ErrorKind, usize) {
    let (answer, requests) = asked(vec![answer]).await;
    (answer.expect_err("fails").kind, requests)
}

#[tokio::test]
async fn an_answer_in_single_bytes_is_the_same_answer() {
    let bytes = testing::sse(&format!(": ping\r\n\r\n{HELLO}{END}"));
    let (bytewise, _) = asked(vec![vec![Piece::Bytewise(bytes)]]).await;
    let (at_once, _) = asked(vec![whole()]).await;
    let reply = at_once.expect("answers");
    assert_eq!(reply.message.text(), "Hello");
    assert_eq!(reply.usage, Usage { input: 9, output: 2, ..Usage::default() });
    assert_eq!(bytewise.expect("answers"), reply);
}

#[tokio::test]
async fn an_answer_that_is_no_stream_is_taken_too() {
    let body = json!({
        "choices": [{ "message": { "content": "Hi" }, "finish_reason": "length" }],
    });
    let json = "content-type: application/json\r\n";
    let (answer, _) = asked(vec![status("200 OK", json, &body.to_string())]).await;
    let reply = answer.expect("answers");
    assert_eq!((reply.message.text().as_str(), reply.stop), ("Hi", StopReason::MaxTokens));
    assert!(reply.usage.input > 0 && reply.usage.output > 0, "estimated, for none was told");
}

#[tokio::test]
async fn connections_are_used_again() {
    let server = Server::start(vec![whole()]).await;
    let model = remote(&server, Protocol::Chat);
    let cancel = CancellationToken::new();
    for _ in 0..3 {
        model.ask(&testing::ask(), silent(), &cancel).await.expect("answers");
    }
    assert!(server.received().iter().all(|request| request.connection == 0));
}

#[tokio::test]
async fn busy_and_broken_providers_are_asked_again() {
    let busy = "retry-after: 0.01\r\n";
    for line in ["429 Too Many Requests", "529 Overloaded", "500 Oops", "503 Busy"] {
        let (answer, requests) = asked(vec![status(line, busy, "{}"), whole()]).await;
        assert_eq!((answer.is_ok(), requests), (true, 2), "{line}");
    }
    let (error, requests) = kind(status("500 Oops", "", "{}")).await;
    assert_eq!((error, requests), (ErrorKind::Server, 4));
    let wait = Some(Duration::from_secs(3600));
    let (error, requests) = kind(status("429 Slow", "retry-after: 3600\r\n", "{}")).await;
    assert_eq!((error, requests), (ErrorKind::RateLimit { retry_after: wait }, 1));
}

#[tokio::test]
async fn when_one_agent_is_told_to_wait_all_of_them_do() {
    let busy = status("429 Too Many Requests", "retry-after: 1\r\n", "{}");
    let server = Server::start(vec![busy, whole()]).await;
    let (model, cancel, ask) =
        (remote(&server, Protocol::Chat), CancellationToken::new(), testing::ask());
    let (tell, refused) = tokio::sync::oneshot::channel();
    let tell = Mutex::new(Some(tell));
    let first = |delta: Delta| {
        if let (Delta::Retry { .. }, Some(tell)) = (delta, tell.lock().unwrap().take()) {
            tell.send(()).unwrap();
        }
    };
    let sent = Mutex::new(None);
    let second = |delta: Delta| {
        if let Delta::Retry { why, .. } = delta {
            sent.lock().unwrap().get_or_insert((server.received().len(), why));
        }
    };
    let late = async {
        refused.await.unwrap();
        model.ask(&ask, &second, &cancel).await
    };
    let (one, two) = tokio::join!(model.ask(&ask, &first, &cancel), late);
    assert!(one.is_ok() && two.is_ok());
    let why = "the provider asked another agent to wait".to_owned();
    assert_eq!(sent.into_inner().unwrap(), Some((1, why)), "it waits before it asks at all");
    assert_eq!(server.received().len(), 3);
}

#[tokio::test]
async fn a_busy_server_does_not_use_up_the_one_repetition_of_a_cut_answer() {
    let cut = || vec![Piece::Bytes(testing::sse(HELLO))];
    let busy = || status("529 Overloaded", "retry-after: 0\r\n", "{}");
    let (answer, requests) = asked(vec![busy(), busy(), cut(), whole()]).await;
    assert_eq!((answer.is_ok(), requests), (true, 4));
    let (answer, requests) = asked(vec![cut(), busy(), cut(), whole()]).await;
    assert_eq!((answer.expect_err("cut twice").kind, requests), (ErrorKind::Cut, 3));
}

#[tokio::test]
async fn what_a_repetition_cannot_help_fails_at_once_and_says_what_to_do() {
    let body = r#"{"error":{"message":"invalid x-api-key","type":"authentication_error"}}"#;
    let (answer, requests) = asked(vec![status("401 Unauthorized", "", body)]).await;
    let error = answer.expect_err("refused");
    assert_eq!((error.kind.clone(), requests), (ErrorKind::Auth, 1));
    insta::assert_snapshot!(error, @"test: the key was refused: status 401: invalid x-api-key");
    assert_eq!(error.hint(), "set TEST_KEY");
    let body = r#"{"error":{"message":"model `m` not found"}}"#;
    assert_eq!(kind(status("404 Not Found", "", body)).await, (ErrorKind::UnknownModel, 1));
}

#[tokio::test]
async fn a_cut_stream_is_asked_for_once_more_then_an_error() {
    let cut = vec![Piece::Bytes(testing::sse_begun(HELLO)), Piece::Close];
    assert_eq!(kind(cut.clone()).await, (ErrorKind::Cut, 2));
    let clean_end = vec![Piece::Bytes(testing::sse(HELLO))];
    assert_eq!(kind(clean_end).await, (ErrorKind::Cut, 2));
    let (answer, requests) = asked(vec![cut, whole()]).await;
    assert_eq!((answer.expect("answers").message.text(), requests), ("Hello".to_owned(), 2));
}

#[tokio::test]
async fn a_stalled_stream_and_a_silent_server_end_at_their_deadline() {
    let stalled = vec![Piece::Bytes(testing::sse_begun(HELLO)), Piece::Hang];
    for answer in [stalled, vec![Piece::Hang]] {
        let server = Server::start(vec![answer]).await;
        let mut model = remote(&server, Protocol::Chat);
        let short = Duration::from_millis(50);
        let long = Duration::from_secs(30);
        let waits =
            Waits { connect: long, first_byte: short, stall: short, token: long, total: long };
        let url = Protocol::Chat.endpoint(&server.url);
        model.http = Http::new(url, Vec::new(), waits, Caps::default());
        let cancel = CancellationToken::new();
        let error = model.ask(&testing::ask(), silent(), &cancel).await.expect_err("stalls");
        assert_eq!(error.kind, ErrorKind::Stall);
    }
}

/// Once a server that sent a sign of life now and then kept an agent waiting for an hour.
#[tokio::test]
async fn a_server_that_keeps_the_line_open_and_says_nothing_is_no_progress() {
    let signs = format!("{HELLO}: there\n\nevent: ping\ndata: {{}}\n\n");
    let silent_one = vec![Piece::Bytes(testing::sse_begun(&signs)), Piece::Hang];
    let server = Server::start(vec![silent_one, whole()]).await;
    let mut model = remote(&server, Protocol::Chat);
    let (short, long) = (Duration::from_millis(300), Duration::from_secs(30));
    let waits = Waits { connect: long, first_byte: long, stall: long, token: short, total: long };
    model.http =
        Http::new(Protocol::Chat.endpoint(&server.url), Vec::new(), waits, Caps::default());
    let cancel = CancellationToken::new();
    let whys = Mutex::new(Vec::new());
    let sink = |delta| {
        if let Delta::Retry { why, .. } = delta {
            whys.lock().expect("no panic").push(why);
        }
    };
    let answer = model.ask(&testing::ask(), &sink, &cancel).await.expect("asked once more");
    assert_eq!(answer.message.text(), "Hello");
    let whys = whys.into_inner().expect("no panic");
    assert!(matches!(&whys[..], [why] if why.contains("no piece of the answer")), "{whys:?}");
}

#[tokio::test]
async fn cancelling_ends_a_wait() {
    let server = Server::start(vec![vec![Piece::Hang]]).await;
    let model = remote(&server, Protocol::Chat);
    let cancel = CancellationToken::new();
    let ask = testing::ask();
    let asking = model.ask(&ask, silent(), &cancel);
    let (answer, ()) = tokio::join!(asking, async { cancel.cancel() });
    assert_eq!(answer.expect_err("cancelled").kind, ErrorKind::Cancelled);
}

#[tokio::test]
async fn five_megabytes_of_arguments_are_taken_and_an_endless_event_is_not() {
    let argument = "x".repeat(5 << 20);
    let call = json!({"choices": [{"delta": {"tool_calls": [{"index": 0, "id": "c",
        "function": {"name": "write", "arguments": json!({"path": argument}).to_string()}}]}}]});
    let events = format!("data: {call}\n\n{END}");
    let (answer, _) = asked(vec![vec![Piece::Bytes(testing::sse(&events))]]).await;
    let reply = answer.expect("answers");
    let call = reply.message.calls().next().expect("a call");
    assert_eq!(call.input["path"].as_str().map(str::len), Some(5 << 20));
    let endless = format!("data: {}", "x".repeat(9 << 20));
    let endless = vec![Piece::Bytes(testing::sse_begun(&endless)), Piece::Hang];
    assert_eq!(kind(endless).await, (ErrorKind::BadAnswer, 1));
}

#[tokio::test]
async fn nonsense_for_an_answer_is_an_error() {
    let json = "content-type: application/json\r\n";
    assert_eq!(kind(status("200 OK", json, "[]")).await, (ErrorKind::BadAnswer, 1));
    assert_eq!(kind(status("200 OK", json, "{\"choices\"")).await, (ErrorKind::Cut, 2));
    let html = vec![Piece::Bytes(testing::sse("data: <html>\n\n"))];
    assert_eq!(kind(html).await, (ErrorKind::BadAnswer, 1));
    let redirect = status("302 Found", "location: http://127.0.0.1:1/\r\n", "");
    assert_eq!(kind(redirect).await, (ErrorKind::BadRequest, 1));
}

#[tokio::test]
async fn output_that_the_server_cannot_read_is_asked_for_in_another_form() {
    let body = json!({"error": {"code": 500, "type": "server_error", "message":
        "The model produced output that does not match the expected peg-native format"}});
    let unreadable = status("500 Oops", "", &body.to_string());
    let server = Server::start(vec![unreadable, whole()]).await;
    let model = remote(&server, Protocol::Chat);
    let cancel = CancellationToken::new();
    model.ask(&testing::ask(), silent(), &cancel).await.expect("answers");
    let bodies: Vec<Value> = server
        .received()
        .iter()
        .map(|request| serde_json::from_str(&request.body).expect("JSON"))
        .collect();
    assert_eq!(
        [&bodies[0]["tool_choice"], &bodies[1]["tool_choice"]],
        [&Value::Null, &json!("required")]
    );
}

#[tokio::test]
async fn a_history_with_refused_blocks_is_sent_without_them() {
    let refusal =
        r#"{"error":{"message":"thinking block 0 does not fit","type":"invalid_request_error"}}"#;
    let events = [
        json!({"type": "message_start", "message": {"usage": {"input_tokens": 3}}}),
        json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}}),
        json!({"type": "message_stop"}),
    ];
    let events: String = events.iter().map(|event| format!("data: {event}\n\n")).collect();
    let answers = vec![status("400 Bad", "", refusal), vec![Piece::Bytes(testing::sse(&events))]];
    let server = Server::start(answers).await;
    let model = remote(&server, Protocol::Anthropic);
    let mut ask = testing::ask();
    let thought = wire::opaque(
        Protocol::Anthropic,
        &json!({"type": "thinking", "thinking": "", "signature": "s"}),
    );
    let blocks = vec![thought, Block::Text("So.".to_owned())];
    let speaker = Speaker::Assistant;
    ask.messages.push(Arc::new(Message { speaker, blocks }));
    let cancel = CancellationToken::new();
    model.ask(&ask, silent(), &cancel).await.expect("answers");
    let has_thought: Vec<bool> =
        server.received().iter().map(|request| request.body.contains("signature")).collect();
    assert_eq!(has_thought, [true, false]);
}

#[tokio::test]
async fn three_failures_in_a_row_open_the_breaker() {
    let server = Server::start(vec![status("401 No", "", "{}")]).await;
    let model = remote(&server, Protocol::Chat);
    let cancel = CancellationToken::new();
    for _ in 0..5 {
        model.ask(&testing::ask(), silent(), &cancel).await.expect_err("fails");
    }
    assert_eq!(server.received().len(), 3);
    let error = model.ask(&testing::ask(), silent(), &cancel).await.expect_err("open");
    assert!(matches!(error.kind, ErrorKind::BreakerOpen { .. }), "{error:?}");
}

#[tokio::test]
async fn an_unreachable_server_is_a_network_error_that_names_the_address() {
    let server = Server::start(vec![whole()]).await;
    let mut model = remote(&server, Protocol::Chat);
    let (waits, caps) = (model_waits(), Caps::default());
    model.http = Http::new("http://127.0.0.1:1/v1/x".to_owned(), Vec::new(), waits, caps);
    let cancel = CancellationToken::new();
    let error = model.ask(&testing::ask(), silent(), &cancel).await.expect_err("unreachable");
    assert_eq!(error.kind, ErrorKind::Network);
    assert!(error.message.contains("http://127.0.0.1:1/v1/x"), "{}", error.message);
}

fn model_waits() -> Waits {
    let second = Duration::from_secs(1);
    Waits { connect: second, first_byte: second, stall: second, token: second, total: second * 10 }
}

#[tokio::test]
async fn an_answer_that_broke_off_was_billed_and_not_counted() {
    let cut = vec![Piece::Bytes(testing::sse(HELLO))];
    let server = Server::start(vec![cut.clone(), whole()]).await;
    let model = remote(&server, Protocol::Chat);
    let lost = Mutex::new(Usage::default());
    let sink = |delta| {
        if let Delta::Retry { usage, .. } = delta {
            *lost.lock().expect("no panic") += usage;
        }
    };
    let cancel = CancellationToken::new();
    let reply = model.ask(&testing::ask(), &sink, &cancel).await.expect("answers");
    assert_eq!(reply.usage, Usage { input: 9, output: 2, ..Usage::default() });
    let lost = *lost.lock().expect("no panic");
    assert!(lost.input > 0 && lost.output == 2, "{lost:?}");
    let (twice, _) = asked(vec![cut]).await;
    assert_eq!(twice.expect_err("cut twice").usage.output, 2);
}
