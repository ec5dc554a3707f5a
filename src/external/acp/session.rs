//! The conversation: hello, login where the user named one, a session, the task, the user's words.
//!
//! Every question has an end: the first ones a short one, the task the worker's own time. Who asks
//! to stop is obeyed at once here, and the agent is told and given a moment to obey as well.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use agent_client_protocol::{
    Agent, Client as Host, Error, ErrorCode, JsonRpcRequest, Lines, is_connection_terminated,
    is_incoming_transport_closed,
    schema::ProtocolVersion,
    v1::{
        ConnectionTo, Responder,
        schema::{
            AgentRequest, AuthMethodId, AuthenticateRequest, CancelNotification,
            ClientCapabilities, ClientResponse, ContentBlock, CreateTerminalResponse,
            FileSystemCapabilities, Implementation, InitializeRequest, InitializeResponse,
            KillTerminalResponse, NewSessionRequest, PromptRequest, PromptResponse,
            ReadTextFileResponse, ReleaseTerminalResponse, RequestPermissionResponse, SessionId,
            StopReason, TextContent, WaitForTerminalExitResponse, WriteTextFileResponse,
        },
    },
};
use serde_json::Value;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::{
    external::{
        acp::{
            hands::{Client, Letters},
            terminals, wire,
        },
        report::MAX_TOKENS,
    },
    journal::writer::Journal,
    prompt::words::fill,
    protocol::{
        event::What,
        mail::{Delivered, Letter},
        usage::{Micros, Usage},
    },
    sandbox::pipes::{Hold, Pipes},
};

/// How long an agent that was told to stop may take to say that it has.
const GRACE: Duration = Duration::from_secs(2);
/// The version of the protocol that is spoken.
const VERSION: ProtocolVersion = ProtocolVersion::V1;

/// What a conversation is about.
pub(super) struct Talk {
    pub(super) client: Arc<Client>,
    pub(super) journal: Journal,
    pub(super) task: String,
    /// The way to log in that the user named.
    pub(super) login: Option<String>,
    pub(super) letters: Letters,
    pub(super) from_user: String,
    /// The most that anything before the task may take.
    pub(super) patience: Duration,
    pub(super) stop: CancellationToken,
    /// What was asked last.
    pub(super) step: Mutex<&'static str>,
}

/// Why a conversation came to nothing.
#[derive(Debug, thiserror::Error)]
pub(super) enum Broken {
    /// An answer did not come.
    #[error("it did not answer `{step}` within {} s", .limit.as_secs_f64())]
    Silent {
        /// The question.
        step: &'static str,
        /// Its time.
        limit: Duration,
    },
    /// The answer was an error.
    #[error("it answered `{step}` with an error: {why}")]
    Refused {
        /// The question.
        step: &'static str,
        /// Its words.
        why: String,
    },
    /// It wants its user to log in.
    #[error(
        "it asks for a login first{methods}; log in to it outside of grafter, grant what holds the \
         login by `read`, `write` or `env`, and name the way by `login` if it needs that"
    )]
    Login {
        /// Its ways to log in.
        methods: String,
    },
    /// It speaks another version, or another protocol.
    #[error(
        "it answered `initialize` with an error: {why}; grafter speaks version {VERSION} of the \
         Agent Client Protocol, so take a release of it that does"
    )]
    Hello {
        /// Its words, or what is wrong with its answer.
        why: String,
    },
    /// It stopped before it was done.
    #[error("it stopped with its work undone: {0}")]
    Halted(&'static str),
    /// It has spent what there was.
    #[error("it says it has spent {spent}: {why}")]
    Spent {
        /// What it says.
        spent: Micros,
        /// Which limit that passes.
        why: String,
    },
    /// Nobody is there any more.
    #[error("it hung up")]
    Gone,
    /// The conversation itself broke.
    #[error("{0}")]
    Lost(String),
    /// It was stopped.
    #[error("it was stopped")]
    Stopped,
}

impl Talk {
    /// Talks with the agent at the other end of these pipes until its work is done; returns the
    /// tokens that it says it used.
    pub(super) async fn hold(&self, to: wire::Line, hold: &Hold) -> Result<Usage, Broken> {
        let gate = wire::gate();
        let incoming = wire::incoming(to.from, self.client.log.clone(), gate.clone());
        let lines = Lines::new(wire::outgoing(to.to, gate), incoming);
        let client = self.client.clone();
        let said = Host
            .v1()
            .name("grafter")
            .on_receive_request(
                async move |ask: AgentRequest, answer, to| serve(&client, ask, answer, &to).await,
                agent_client_protocol::on_receive_request!(),
            )
            .connect_with(lines, async |to| Ok(self.converse(&to, hold).await))
            .await;
        said.unwrap_or_else(|error| Err(Broken::Lost(words(&error))))
    }

    async fn converse(&self, to: &ConnectionTo<Agent>, hold: &Hold) -> Result<Usage, Broken> {
        let hello = self.ask(to, "initialize", hello()).await?;
        // It has opened both pipes, or it could not have answered.
        hold.hide();
        if let Some(login) = &self.login {
            let login = AuthenticateRequest::new(AuthMethodId::new(login.as_str()));
            self.ask(to, "authenticate", login).await?;
        }
        let new = NewSessionRequest::new(self.client.root());
        let session = self.ask(to, "session/new", new).await;
        let session = session.map_err(|broken| with_ways(broken, &hello))?.session_id;
        let (mut turn, mut prompt, mut usage) = (0, self.task.clone(), Usage::default());
        loop {
            self.client.turn(turn);
            let answer = self.prompt(to, &session, prompt).await;
            let answer = answer.map_err(|broken| with_ways(broken, &hello))?;
            // What is reported is the sum of the session so far.
            usage = used(&answer).unwrap_or(usage);
            finished(answer.stop_reason)?;
            turn += 1;
            let Some(next) = self.letter(turn).await? else { return Ok(usage) };
            prompt = next;
        }
    }

    /// Asks something that takes no work.
    async fn ask<Ask: JsonRpcRequest>(
        &self,
        to: &ConnectionTo<Agent>,
        step: &'static str,
        ask: Ask,
    ) -> Result<Ask::Response, Broken> {
        *self.step.lock().unwrap_or_else(PoisonError::into_inner) = step;
        let limit = self.patience;
        let answer = to.send_request(ask).block_task();
        tokio::select! {
            biased;
            () = self.stop.cancelled() => Err(Broken::Stopped),
            answer = timeout(limit, answer) => match answer {
                Ok(answer) => answer.map_err(|error| refused(step, &error)),
                Err(_) => Err(Broken::Silent { step, limit }),
            },
        }
    }

    /// Has the agent work on a prompt.
    async fn prompt(
        &self,
        to: &ConnectionTo<Agent>,
        session: &SessionId,
        text: String,
    ) -> Result<PromptResponse, Broken> {
        let step = "session/prompt";
        *self.step.lock().unwrap_or_else(PoisonError::into_inner) = step;
        let prompt = vec![ContentBlock::Text(TextContent::new(text))];
        let answer = to.send_request(PromptRequest::new(session.clone(), prompt)).block_task();
        tokio::pin!(answer);
        let broken = tokio::select! {
            biased;
            () = self.stop.cancelled() => Broken::Stopped,
            (spent, why) = self.client.overspent() => Broken::Spent { spent, why },
            answer = &mut answer => return answer.map_err(|error| refused(step, &error)),
        };
        // Whoever does not listen any more is ended all the same.
        let _ = to.send_notification(CancelNotification::new(session.clone()));
        let _ = timeout(GRACE, answer).await;
        Err(broken)
    }

    /// Returns the next message, which the agent sees in this turn.
    async fn letter(&self, turn: u32) -> Result<Option<String>, Broken> {
        let Some(Letter { message, text, from }) = (self.letters)() else { return Ok(None) };
        let lost = |error: crate::journal::writer::JournalError| Broken::Lost(error.to_string());
        let said = self.journal.fetch(&text).map_err(lost)?;
        let is_users = from.is_none();
        let told = What::MessageDelivered(Delivered { turn, message, text, from });
        self.client.log.record(told).await.map_err(lost)?;
        Ok(Some(if is_users { fill(&self.from_user, &[("text", &said)]) } else { said }))
    }
}

fn hello() -> InitializeRequest {
    let files = FileSystemCapabilities::new().read_text_file(true).write_text_file(true);
    let can = ClientCapabilities::new().fs(files).terminal(true);
    let grafter = Implementation::new("grafter", env!("CARGO_PKG_VERSION"));
    InitializeRequest::new(VERSION).client_capabilities(can).client_info(grafter)
}

/// Returns whether a turn that ended for this reason has done its work.
fn finished(reason: StopReason) -> Result<(), Broken> {
    match reason {
        StopReason::EndTurn => Ok(()),
        StopReason::MaxTokens => Err(Broken::Halted("its limit of tokens was reached")),
        StopReason::MaxTurnRequests => Err(Broken::Halted("its limit of model calls was reached")),
        StopReason::Refusal => Err(Broken::Halted("it refuses to go on")),
        StopReason::Cancelled => Err(Broken::Halted("it says it was cancelled")),
        _ => Err(Broken::Halted("for a reason that is not known here")),
    }
}

fn used(answer: &PromptResponse) -> Option<Usage> {
    let usage = answer.usage.as_ref()?;
    // What no model can have used is no count.
    let count = |tokens: u64| if tokens <= MAX_TOKENS { tokens } else { 0 };
    Some(Usage {
        input: count(usage.input_tokens),
        cache_write: count(usage.cached_write_tokens.unwrap_or(0)),
        cache_read: count(usage.cached_read_tokens.unwrap_or(0)),
        output: count(usage.output_tokens),
    })
}

fn refused(step: &'static str, error: &Error) -> Broken {
    if is_incoming_transport_closed(error) || is_connection_terminated(error) {
        return Broken::Gone;
    }
    let why = words(error);
    match step {
        _ if error.code == ErrorCode::AUTH_REQUIRED => Broken::Login { methods: String::new() },
        // The version is looked at below.
        "initialize" => Broken::Hello { why },
        _ => Broken::Refused { step, why },
    }
}

/// Names the ways to log in of which an agent speaks.
fn with_ways(broken: Broken, hello: &InitializeResponse) -> Broken {
    match broken {
        Broken::Login { .. } if !hello.auth_methods.is_empty() => {
            let ways = hello.auth_methods.iter().map(|way| format!("`{}`", way.id().0));
            let methods = format!(" ({})", ways.collect::<Vec<_>>().join(", "));
            Broken::Login { methods }
        }
        other => other,
    }
}

fn words(error: &Error) -> String {
    match &error.data {
        Some(Value::String(text)) if *text != error.message => {
            format!("{}: {text}", error.message)
        }
        Some(data) if !data.is_string() => format!("{}: {data}", error.message),
        _ => error.message.clone(),
    }
}

/// Answers what the agent asks of its client.
async fn serve(
    client: &Client,
    ask: AgentRequest,
    answer: Responder<Value>,
    to: &ConnectionTo<Agent>,
) -> Result<(), Error> {
    use AgentRequest as Ask;
    use ClientResponse as Reply;
    let terminals = &client.terminals;
    let reply = match ask {
        Ask::ReadTextFileRequest(ask) => client
            .read(ask)
            .await
            .map(|text| Reply::ReadTextFileResponse(ReadTextFileResponse::new(text))),
        Ask::WriteTextFileRequest(ask) => client
            .write(ask)
            .await
            .map(|()| Reply::WriteTextFileResponse(WriteTextFileResponse::new())),
        Ask::RequestPermissionRequest(ask) => client
            .permit(&ask)
            .await
            .map(|said| Reply::RequestPermissionResponse(RequestPermissionResponse::new(said))),
        Ask::CreateTerminalRequest(ask) => client
            .run(&ask)
            .await
            .map(|id| Reply::CreateTerminalResponse(CreateTerminalResponse::new(id))),
        Ask::TerminalOutputRequest(ask) => {
            terminals.output(&ask.terminal_id.0).map(Reply::TerminalOutputResponse)
        }
        Ask::KillTerminalRequest(ask) => terminals
            .kill(&ask.terminal_id.0)
            .map(|()| Reply::KillTerminalResponse(KillTerminalResponse::new())),
        Ask::ReleaseTerminalRequest(ask) => terminals
            .release(&ask.terminal_id.0)
            .map(|()| Reply::ReleaseTerminalResponse(ReleaseTerminalResponse::new())),
        Ask::WaitForTerminalExitRequest(ask) => match terminals.watch(&ask.terminal_id.0) {
            Err(why) => Err(why),
            // Others are served meanwhile.
            Ok(done) => {
                return to.spawn(async move {
                    let status = WaitForTerminalExitResponse::new(terminals::wait(done).await);
                    give(answer, Ok(Reply::WaitForTerminalExitResponse(status)))
                });
            }
        },
        _ => return answer.respond_with_error(Error::method_not_found()),
    };
    give(answer, reply)
}

fn give(answer: Responder<Value>, reply: Result<ClientResponse, String>) -> Result<(), Error> {
    let refused = |why: String| Error::new(ErrorCode::INVALID_PARAMS, why);
    let reply = reply
        .map_err(refused)
        .and_then(|reply| serde_json::to_value(reply).map_err(|error| refused(error.to_string())));
    answer.respond_with_result(reply)
}

/// Returns both ends of the conversation and what keeps them.
pub(super) fn apart(pipes: Pipes) -> (wire::Line, Hold) {
    (wire::Line { to: pipes.to, from: pipes.from }, pipes.hold)
}
