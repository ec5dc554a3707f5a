//! The handle of a live run, and its control socket.
//!
//! The socket speaks JSON lines, one question and one answer to a connection; it is made with mode
//! 0600 in the user's runtime folder. What happens in a run is read from its journal; the socket is
//! for what the journal does not hold: the user's words, and what agents do just now.
//!
//! | question | what it does |
//! |---|---|
//! | `{"command":"cancel"}` | stops the run: no new calls, what runs gets ten seconds |
//! | `{"command":"kill"}` | ends the run at once |
//! | `{"command":"agents"}` | lists the agents at work |
//! | `{"command":"send","agent":A,"text":T}` | gives the agent a message before its next model call; one that has ended is asked again, and `agent` of the answer is who goes on from its conversation |
//! | `{"command":"pause","agent":A}` | lets nothing new begin in the agent; in all of them without `agent` |
//! | `{"command":"unpause","agent":A}` | lets it go on |
//! | `{"command":"cancel_agent","agent":A}` | ends the agent; its node fails, the run goes on |
//! | `{"command":"why","agent":A}` | says what the agent, or a node that has not begun, waits for |
//! | `{"command":"queue","order":O,"task":T}` | tells the merge queue of a batch to `pause`, to `unpause`, to `drop` a task or to `retry` one |
//!
//! `A` is an agent's id (`review.0@1`), a node's instance (`review.0`) or a node with one agent at
//! work (`implement`). An answer is `{"ok":true}`, with `agent` (the id that was meant), `said`
//! (lines for people) and `agents` (of `agents`) where there are any, or
//! `{"ok":false,"error":E,"hint":H}`. A line may have 512 KiB; one that is longer, or is no command,
//! is answered by an error and changes nothing. Members that are not known are passed over.
//!
//! A socket's address has room for 107 bytes. One whose path is longer is named by its folder's
//! descriptor instead, so it lies where it would lie anyway.

use std::{
    fs::{self, File},
    io,
    os::{fd::AsRawFd, unix::fs::PermissionsExt},
    path::{Path, PathBuf},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{UnixListener, UnixStream},
    sync::{mpsc, oneshot},
    time::timeout,
};

use crate::{
    agent::reins::Doing,
    protocol::{
        ids::{AgentId, RunId},
        request::{Answer, Question},
    },
};

/// What a live run can be told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case")]
pub enum Command {
    /// No new calls; what runs gets ten seconds; the journal is closed.
    Cancel,
    /// Everything ends at once.
    Kill,
    /// Who is at work?
    Agents,
    /// A message to an agent, or a question to one that has ended.
    Send {
        /// Its name.
        agent: String,
        /// What it says.
        text: String,
    },
    /// Nothing new begins in an agent, or in all.
    Pause {
        /// Its name; all agents without one.
        #[serde(default)]
        agent: Option<String>,
    },
    /// An agent goes on, or all.
    Unpause {
        /// Its name; all agents without one.
        #[serde(default)]
        agent: Option<String>,
    },
    /// Ends an agent.
    CancelAgent {
        /// Its name.
        agent: String,
    },
    /// An order to the merge queue; only a batch has one.
    Queue {
        /// Which.
        order: QueueOrder,
        /// The task; none where the order is about all.
        #[serde(default)]
        task: Option<String>,
    },
    /// What does it wait for?
    Why {
        /// The name of an agent or a node.
        agent: String,
    },
}

/// What the merge queue of a batch can be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum QueueOrder {
    /// Nothing lands until further notice.
    Pause,
    /// It goes on.
    Unpause,
    /// A task is taken out.
    Drop,
    /// A task is tried once more.
    Retry,
}

/// A command, and where its answer goes if somebody waits for it.
#[derive(Debug)]
pub struct Call {
    /// The command.
    pub command: Command,
    /// The answer.
    pub reply: Option<oneshot::Sender<Box<Reply>>>,
}

/// The answer to a command.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reply {
    /// Whether it was done.
    pub ok: bool,
    /// Why not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// What the user can do about that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// The agent that was meant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<AgentId>,
    /// Lines for people.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub said: Vec<String>,
    /// The agents at work.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub agents: Vec<Live>,
}

/// An agent at work.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Live {
    /// Who it is.
    pub agent: AgentId,
    /// What it does or waits for.
    #[serde(flatten)]
    pub doing: Doing,
    /// For how many milliseconds.
    pub for_ms: u64,
    /// Whether it is held, or will be as soon as what runs has ended.
    pub paused: bool,
    /// Messages that it has not seen.
    pub mail: usize,
}

impl Reply {
    /// Returns the answer that something was done.
    pub fn done(agent: Option<AgentId>, said: impl Into<String>) -> Self {
        Self { ok: true, agent, said: vec![said.into()], ..Self::default() }
    }

    /// Returns the answer that nothing was done.
    pub fn refused(error: impl Into<String>, hint: impl Into<String>) -> Self {
        let (error, hint) = (Some(error.into()), Some(hint.into()));
        Self { error, hint, ..Self::default() }
    }
}

/// A question for the person at the terminal.
#[derive(Debug)]
pub struct Ask {
    /// What is asked.
    pub question: Box<Question>,
    /// The answer; closed once nobody waits for it any more.
    pub reply: oneshot::Sender<Answer>,
}

/// Bytes of the longest question: a message of 64 KiB, each byte of it escaped.
const LONGEST_LINE: u64 = 512 << 10;
/// Bytes of the longest answer.
const LONGEST_ANSWER: u64 = 16 << 20;
/// How long either side waits for the other.
const PATIENCE: Duration = Duration::from_secs(5);

/// Bytes of the longest path that is a socket's address on every system.
const LONGEST: usize = 103;

/// Returns the path of a run's control socket.
pub fn socket_path(runtime: &Path, run: &RunId) -> PathBuf {
    runtime.join(format!("{run}.sock"))
}

/// Serves a control socket until the returned guard is dropped.
///
/// # Errors
///
/// The socket or its folder cannot be made.
pub fn serve(path: PathBuf, calls: mpsc::UnboundedSender<Call>) -> io::Result<SocketGuard> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
        fs::set_permissions(parent, fs::Permissions::from_mode(0o700))?;
    }
    // The journal's lock is held, so a socket that is there belongs to a dead process.
    let _ = fs::remove_file(&path);
    let listener = UnixListener::bind(&Address::of(&path)?.path)?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
    let task = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let calls = calls.clone();
            tokio::spawn(async move {
                let _ = timeout(PATIENCE, answer(stream, calls)).await;
            });
        }
    });
    Ok(SocketGuard { path, task })
}

/// Removes the socket when the run ends.
#[derive(Debug)]
pub struct SocketGuard {
    path: PathBuf,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for SocketGuard {
    fn drop(&mut self) {
        self.task.abort();
        let _ = fs::remove_file(&self.path);
    }
}

/// A path that fits into a socket's address, as long as this lives.
struct Address {
    path: PathBuf,
    _folder: Option<File>,
}

impl Address {
    fn of(path: &Path) -> io::Result<Self> {
        let (Some(folder), Some(name), true) =
            (path.parent(), path.file_name(), path.as_os_str().len() > LONGEST)
        else {
            return Ok(Self { path: path.to_owned(), _folder: None });
        };
        let folder = File::open(folder)?;
        let path = Path::new("/proc/self/fd").join(folder.as_raw_fd().to_string()).join(name);
        Ok(Self { path, _folder: Some(folder) })
    }
}

async fn answer(stream: UnixStream, calls: mpsc::UnboundedSender<Call>) -> io::Result<()> {
    let (read, mut write) = stream.into_split();
    let mut read = BufReader::new(read);
    let mut line = Vec::new();
    (&mut read).take(LONGEST_LINE).read_until(b'\n', &mut line).await?;
    let whole = line.len() as u64 != LONGEST_LINE || line.ends_with(b"\n");
    let reply = match serde_json::from_slice::<Command>(&line) {
        _ if !whole => too_long(),
        Ok(command) => put(&calls, command).await,
        Err(error) => Reply::refused(format!("no command: {error}"), "it is one line of JSON"),
    };
    let mut json = serde_json::to_vec(&reply)?;
    json.push(b'\n');
    write.write_all(&json).await?;
    write.shutdown().await?;
    // Who has not read the answer loses it if what it wrote is still unread when this ends.
    tokio::io::copy(&mut read, &mut tokio::io::sink()).await.map(drop)
}

fn too_long() -> Reply {
    let error = format!("a command has at most {} KiB", LONGEST_LINE >> 10);
    Reply::refused(error, "send less at once")
}

async fn put(calls: &mpsc::UnboundedSender<Call>, command: Command) -> Reply {
    let (reply, answer) = oneshot::channel();
    // Whoever is gone answers nothing, either.
    let _ = calls.send(Call { command, reply: Some(reply) });
    match answer.await {
        Ok(reply) => *reply,
        Err(_) => Reply::refused("the run has ended", "grafter status"),
    }
}

/// Sends a command to a live run of another process, and returns its answer.
///
/// # Errors
///
/// No process listens there, or it does not answer within five seconds.
pub async fn send(path: &Path, command: &Command) -> io::Result<Reply> {
    let talk = async {
        let address = Address::of(path)?;
        let mut stream = UnixStream::connect(&address.path).await?;
        let line = serde_json::to_string(command)?;
        stream.write_all(format!("{line}\n").as_bytes()).await?;
        let mut reply = String::new();
        BufReader::new(stream).take(LONGEST_ANSWER).read_line(&mut reply).await?;
        Ok(serde_json::from_str(&reply)?)
    };
    timeout(PATIENCE, talk).await.unwrap_or_else(|_| {
        Err(io::Error::new(io::ErrorKind::TimedOut, "the run did not answer within 5 s"))
    })
}
