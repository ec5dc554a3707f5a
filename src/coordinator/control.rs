//! The handle of a live run, and its control socket.
//!
//! The socket speaks JSON lines: `{"command":"cancel"}` is answered `{"ok":true}`. It is made
//! with mode 0600 in the user's runtime folder; everything else about a live run is read from its
//! journal, so the socket needs no other command.
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

use crate::protocol::{
    ids::RunId,
    request::{Answer, Question},
};

/// What a live run can be told. Unbounded: a person or a signal sends few of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Command {
    /// No new calls; what runs gets ten seconds; the journal is closed.
    Cancel,
    /// Everything ends at once.
    Kill,
}

/// A question for the person at the terminal.
#[derive(Debug)]
pub struct Ask {
    /// What is asked.
    pub question: Box<Question>,
    /// The answer; closed once nobody waits for it any more.
    pub reply: oneshot::Sender<Answer>,
}

#[derive(Serialize, Deserialize)]
struct Line {
    command: Command,
}

/// Bytes of the longest path that is a socket's address on every system.
const LONGEST: usize = 103;

/// Returns the path of a run's control socket.
pub fn socket_path(runtime: &Path, run: &RunId) -> PathBuf {
    runtime.join(format!("{run}.sock"))
}

/// Serves the control socket until the listener is dropped with the returned guard.
pub(super) fn serve(
    path: PathBuf,
    commands: mpsc::UnboundedSender<Command>,
) -> io::Result<SocketGuard> {
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
            let commands = commands.clone();
            tokio::spawn(async move {
                let _ = timeout(Duration::from_secs(5), answer(stream, commands)).await;
            });
        }
    });
    Ok(SocketGuard { path, task })
}

/// Removes the socket when the run ends.
pub(super) struct SocketGuard {
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

async fn answer(stream: UnixStream, commands: mpsc::UnboundedSender<Command>) -> io::Result<()> {
    let (read, mut write) = stream.into_split();
    let mut line = String::new();
    BufReader::new(read).take(4096).read_line(&mut line).await?;
    let reply = match serde_json::from_str::<Line>(&line) {
        Ok(line) => {
            let sent = commands.send(line.command).is_ok();
            format!("{{\"ok\":{sent}}}\n")
        }
        Err(error) => format!("{}\n", serde_json::json!({"ok": false, "error": error.to_string()})),
    };
    write.write_all(reply.as_bytes()).await
}

/// Sends a command to a live run of another process.
///
/// # Errors
///
/// No process listens there, or it does not answer within five seconds.
pub async fn send(path: &Path, command: Command) -> io::Result<()> {
    let talk = async {
        let address = Address::of(path)?;
        let mut stream = UnixStream::connect(&address.path).await?;
        let line = serde_json::to_string(&Line { command })?;
        stream.write_all(format!("{line}\n").as_bytes()).await?;
        let mut reply = String::new();
        BufReader::new(stream).take(4096).read_line(&mut reply).await?;
        if reply.contains("\"ok\":true") { Ok(()) } else { Err(io::Error::other(reply)) }
    };
    timeout(Duration::from_secs(5), talk).await.unwrap_or_else(|_| {
        Err(io::Error::new(io::ErrorKind::TimedOut, "the run did not answer within 5 s"))
    })
}
