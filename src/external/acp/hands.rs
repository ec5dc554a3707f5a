//! What an agent asks of its client: files, terminals, and leave for what it does itself.
//!
//! Each request is put as a call of grafter's own tools and passes the same desk, so the same phase,
//! mode, paths and rules hold for it; only what comes back differs, because the protocol wants the
//! file and not a view of it. Every refusal is told to the agent with its reason and put on record.

use std::{
    path::Path,
    sync::{
        Arc, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use agent_client_protocol::v1::schema::{
    CreateTerminalRequest, ReadTextFileRequest, RequestPermissionOutcome, RequestPermissionRequest,
    WriteTextFileRequest,
};
use serde_json::{Value, json};
use tokio::{sync::oneshot, task::spawn_blocking};

use crate::{
    external::acp::{
        log::Log,
        permission::{self, Asked},
        terminals::{Done, Terminals},
    },
    guard::{decide::Cleared, sanitise::secrets::Known},
    journal::writer::{Journal, JournalError},
    protocol::{
        event::What,
        ids::CallId,
        mail::Letter,
        message::ToolCall,
        request::{Request, Reservation},
        usage::Micros,
    },
    sandbox::run::{Cmd, Job},
    tools::desk::{Desk, Prepared, Ready},
};

/// Tools as which requests are judged.
const TOOLS: [&str; 3] = ["read", "write", "bash"];
/// Bytes of a file that are sent at once.
const MAX_READ: usize = 4 << 20;
/// Bytes of a terminal's output that are kept.
const MAX_OUTPUT: usize = 1 << 20;
/// Requests that one agent may make.
const MAX_REQUESTS: u32 = 20_000;
/// Bytes of a terminal's output that are put on record.
const MAX_RECORDED: usize = 24_000;

/// Takes the next message to the agent.
pub type Letters = Box<dyn Fn() -> Option<Letter> + Send + Sync>;

/// What a worker that is talked with needs of its run.
pub struct Hands {
    /// What it may do, and where.
    pub desk: Desk,
    /// Where what it does is put on record.
    pub journal: Journal,
    /// Secrets that no record may hold.
    pub known: Known,
    /// What the user writes to it.
    pub letters: Letters,
    /// How a message of the user's is put, with its text in braces.
    pub from_user: String,
}

/// The agent's client.
pub(super) struct Client {
    desk: Desk,
    allowed: Vec<String>,
    pub(super) log: Arc<Log>,
    pub(super) terminals: Terminals,
    /// When its time is over.
    until: Instant,
    turn: AtomicU32,
    asked: AtomicU32,
}

/// A request that passed the guard.
struct Passed {
    call: Cleared<ToolCall>,
    title: String,
    at: (u32, u32),
    tool: &'static str,
}

impl Client {
    pub(super) fn new(desk: Desk, log: Arc<Log>, until: Instant) -> Self {
        Self {
            desk,
            allowed: TOOLS.map(str::to_owned).to_vec(),
            log,
            terminals: Terminals::default(),
            until,
            turn: AtomicU32::new(0),
            asked: AtomicU32::new(0),
        }
    }

    /// Notes which prompt of the conversation it is, from 0.
    pub(super) fn turn(&self, turn: u32) {
        self.turn.store(turn, Ordering::Relaxed);
    }

    /// Returns the path at which the agent sees its tree.
    pub(super) fn root(&self) -> &Path {
        self.desk.place.seen_as()
    }

    /// Returns a file, or the lines that are asked for.
    pub(super) async fn read(&self, ask: ReadTextFileRequest) -> Result<String, String> {
        let input = json!({ "path": text(&ask.path)? });
        let passed = self.pass("fs/read_text_file", ("read", input)).await?;
        let begun = Instant::now();
        let (place, path) = (self.desk.place.clone(), field(&passed.call, "path"));
        let read = spawn_blocking(move || {
            let bytes = place.read(&path).map_err(|error| error.to_string())?;
            let text = String::from_utf8(bytes).map_err(|_| format!("`{path}` is not UTF-8"))?;
            let text = lines(&text, ask.line, ask.limit);
            match text.len() > MAX_READ {
                true => Err(format!("`{path}` is too long to be read whole; use line and limit")),
                false => Ok(text),
            }
        });
        let read = read.await.unwrap_or_else(|error| Err(error.to_string()));
        ended(&self.log, passed, (begun, read.as_ref().err().map(String::as_str), "")).await?;
        read
    }

    /// Writes a file.
    pub(super) async fn write(&self, ask: WriteTextFileRequest) -> Result<(), String> {
        let input = json!({ "path": text(&ask.path)?, "content": ask.content });
        let passed = self.pass("fs/write_text_file", ("write", input)).await?;
        self.begins(&passed).await?;
        let begun = Instant::now();
        let (place, path) = (self.desk.place.clone(), field(&passed.call, "path"));
        if let Some(tracker) = &self.desk.tracker {
            tracker.lock().unwrap_or_else(PoisonError::into_inner).mean(&path);
        }
        let content = ask.content;
        let wrote = spawn_blocking(move || place.write(&path, content.as_bytes()));
        let wrote = match wrote.await {
            Ok(wrote) => wrote.map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        ended(&self.log, passed, (begun, wrote.as_ref().err().map(String::as_str), "")).await?;
        wrote
    }

    /// Starts a command and returns the id of its terminal.
    pub(super) async fn run(&self, ask: &CreateTerminalRequest) -> Result<String, String> {
        self.terminals.has_room()?;
        let mut input = json!({ "command": line(ask)? });
        if let Some(cwd) = &ask.cwd {
            input["cwd"] = text(cwd)?.into();
        }
        let passed = self.pass("terminal/create", ("bash", input)).await?;
        let place = self.desk.place.beside().await.map_err(|error| error.to_string())?;
        self.begins(&passed).await?;
        let job = match passed.call.plan() {
            Some(plan) => Job::Plan(plan.clone()),
            None => Job::Script(field(&passed.call, "command")),
        };
        let asked = ask.output_byte_limit.and_then(|limit| usize::try_from(limit).ok());
        let cwd = field(&passed.call, "cwd");
        let cmd = Cmd {
            job,
            cwd: if cwd == "." { String::new() } else { cwd },
            env: Vec::new(),
            deadline: self
                .until
                .saturating_duration_since(Instant::now())
                .max(Duration::from_secs(1)),
            max_output: asked.unwrap_or(MAX_OUTPUT).min(MAX_OUTPUT),
        };
        // Not the client: whatever still runs ends when nobody has that any more.
        let (log, begun) = (self.log.clone(), Instant::now());
        let ended = move |done: Done| async move {
            let why = done.is_error().then(|| done.told());
            let told = done.told();
            // Whoever cannot be told any more has ended with the journal.
            let _ = ended(&log, passed, (begun, why.as_deref(), &told)).await;
        };
        Ok(self.terminals.start((place, cmd), ended))
    }

    /// Answers whether the agent may do something itself.
    pub(super) async fn permit(
        &self,
        ask: &RequestPermissionRequest,
    ) -> Result<RequestPermissionOutcome, String> {
        let fields = &ask.tool_call.fields;
        let calls = match permission::asked(fields) {
            Asked::Nothing => Vec::new(),
            Asked::Calls(calls) => calls,
            Asked::Unclear(why) => {
                self.refused(fields.title.as_deref().unwrap_or_default(), why).await?;
                return Ok(permission::answer(&ask.options, false));
            }
        };
        let mut is_allowed = true;
        for call in calls {
            is_allowed &= self.pass("session/request_permission", call).await.is_ok();
        }
        Ok(permission::answer(&ask.options, is_allowed))
    }

    /// Waits until the agent says that it has spent more than the run's budget holds; returns how
    /// much, and which limit that passes.
    pub(super) async fn overspent(&self) -> (Micros, String) {
        let mut spending = self.log.spending();
        loop {
            // The log lives as long as its client.
            let _ = spending.changed().await;
            let Some(spent) = *spending.borrow_and_update() else { continue };
            let (reply, answer) = oneshot::channel();
            let (agent, requests) = (self.desk.agent.clone(), &self.desk.requests);
            // What was reserved before is a part of it.
            let _ = requests.send(Request::Release { agent: agent.clone() });
            let _ = requests.send(Request::Reserve { agent, cost: spent, tokens: 1, reply });
            if let Ok(Reservation::Refused(why)) = answer.await {
                return (spent, why);
            }
        }
    }

    /// Puts a request before the guard.
    async fn pass(
        &self,
        tool: &'static str,
        (name, input): (&str, Value),
    ) -> Result<Passed, String> {
        let at = self.at()?;
        let call = ToolCall { id: CallId::new(tool), name: name.to_owned(), input };
        let Prepared { title, outcome, judged, .. } = self.desk.prepare(&call, &self.allowed);
        if let Some(judged) = judged {
            let judged = What::CallJudged {
                turn: at.0,
                index: at.1,
                tool: tool.to_owned(),
                title: self.log.clean(&title),
                decision: judged.decision.to_owned(),
                checks: judged.checks.into_iter().map(str::to_owned).collect(),
                why: self.log.clean(&judged.why),
                answer: None,
                code: judged.code.map(str::to_owned),
            };
            self.log.record(judged).await.map_err(|error| lost(&error))?;
        }
        match outcome {
            Ready::Ready(call) => Ok(Passed { call, title, at, tool }),
            Ready::Refused(answer) => Err(answer.content),
            Ready::Ask { why, .. } => Err(format!("the user would have to be asked: {why}")),
            Ready::Unsure(_) => Err("it is not plainly ordinary, and no rule allows it".to_owned()),
        }
    }

    /// Records a request for leave that says too little to be judged.
    async fn refused(&self, title: &str, why: &str) -> Result<(), String> {
        let at = self.at()?;
        let title = title.chars().take(MAX_TITLE).collect::<String>();
        let judged = What::CallJudged {
            turn: at.0,
            index: at.1,
            tool: "session/request_permission".to_owned(),
            title: self.log.clean(&title),
            decision: "deny".to_owned(),
            checks: Vec::new(),
            why: why.to_owned(),
            answer: None,
            code: Some("E_ARGUMENTS".to_owned()),
        };
        self.log.record(judged).await.map_err(|error| lost(&error))
    }

    async fn begins(&self, passed: &Passed) -> Result<(), String> {
        let (turn, index) = passed.at;
        let (tool, title) = (passed.tool.to_owned(), self.log.clean(&passed.title));
        self.log
            .record(What::ToolIntent { turn, index, tool, title })
            .await
            .map_err(|error| lost(&error))
    }

    /// Returns the place of the next request.
    fn at(&self) -> Result<(u32, u32), String> {
        match self.asked.fetch_add(1, Ordering::Relaxed) {
            index if index < MAX_REQUESTS => Ok((self.turn.load(Ordering::Relaxed), index)),
            _ => Err(format!("more than {MAX_REQUESTS} requests; no more are carried out")),
        }
    }
}

/// Characters of a title that an agent made up.
const MAX_TITLE: usize = 200;

/// Records what a request came to.
async fn ended(
    log: &Log,
    passed: Passed,
    (begun, why, said): (Instant, Option<&str>, &str),
) -> Result<(), String> {
    let ((turn, index), text) = (passed.at, why.unwrap_or(said));
    let end = text.floor_char_boundary(MAX_RECORDED.min(text.len()));
    let ended = What::ToolResult {
        turn,
        index,
        tool: passed.tool.to_owned(),
        title: log.clean(&passed.title),
        is_error: why.is_some(),
        content: log.keep(&text[..end]).map_err(|error| lost(&error))?,
        memo: None,
        snapshot: None,
        took_ms: u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX),
    };
    log.record(ended).await.map_err(|error| lost(&error))
}

/// Without its record nothing may happen.
fn lost(error: &JournalError) -> String {
    error.to_string()
}

fn text(path: &Path) -> Result<&str, String> {
    path.to_str().ok_or_else(|| "a path must be UTF-8".to_owned())
}

fn field(call: &Cleared<ToolCall>, name: &str) -> String {
    call.get().input[name].as_str().unwrap_or_default().to_owned()
}

/// Returns lines from that one on, counted from 1.
fn lines(text: &str, from: Option<u32>, count: Option<u32>) -> String {
    let skip = from.map_or(0, |from| from.saturating_sub(1)) as usize;
    let take = count.map_or(usize::MAX, |count| count as usize);
    text.split_inclusive('\n').skip(skip).take(take).collect()
}

/// Returns the command line of a terminal, with the variables that it sets. A command without
/// arguments is a text for the shell, as agents write it.
fn line(ask: &CreateTerminalRequest) -> Result<String, String> {
    let words: Vec<&str> =
        [ask.command.as_str()].into_iter().chain(ask.args.iter().map(String::as_str)).collect();
    let command = if ask.args.is_empty() { ask.command.clone() } else { permission::line(&words) };
    let mut line = String::new();
    for set in &ask.env {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        let name = set.name.as_bytes();
        if !name.iter().copied().all(plain) || name.first().is_none_or(u8::is_ascii_digit) {
            return Err(format!("`{}` is no name of a variable", set.name.escape_debug()));
        }
        line += &format!("export {}={}; ", set.name, permission::joined([set.value.as_str()]));
    }
    Ok(line + &command)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(fields: &Value) -> Result<String, String> {
        let mut all = json!({ "sessionId": "s", "command": "ls -l && pwd" });
        all.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        line(&serde_json::from_value(all).unwrap())
    }

    #[test]
    fn what_is_judged_is_what_runs() {
        let env = json!([{ "name": "A", "value": "b c" }]);
        assert_eq!(ask(&json!({})).unwrap(), "ls -l && pwd");
        assert_eq!(ask(&json!({ "env": env })).unwrap(), "export A='b c'; ls -l && pwd");
        let words = json!({ "command": "grep", "args": ["it's", "a b"] });
        assert_eq!(ask(&words).unwrap(), r"grep 'it'\''s' 'a b'");
        let shell = json!({ "command": "bash", "args": ["-c", "a | b"] });
        assert_eq!(ask(&shell).unwrap(), "a | b");
        let both = json!({ "command": "env", "args": ["x"], "env": env });
        assert_eq!(ask(&both).unwrap(), "export A='b c'; env x");
        let odd = json!({ "env": [{ "name": "A=1; rm x;", "value": "" }] });
        assert!(ask(&odd).unwrap_err().contains("is no name of a variable"));
    }

    #[test]
    fn a_file_is_given_whole_or_by_lines() {
        let text = "a\nb\nc";
        assert_eq!(lines(text, None, None), text);
        assert_eq!(lines(text, Some(2), Some(1)), "b\n");
        assert_eq!(lines(text, Some(0), Some(1)), "a\n");
        assert_eq!(lines(text, Some(9), None), "");
    }
}
