//! Terminals that an agent asks for: commands that run beside it, each in a sandbox of its own.
//!
//! A terminal is one command that the guard has let pass. What it prints is told when it has ended;
//! whatever it leaves running ends when the agent gives it back, and all of them with the agent.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use agent_client_protocol::v1::schema::{TerminalExitStatus, TerminalOutputResponse};
use tokio::{sync::watch, time::timeout};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

use crate::sandbox::{
    place::Place,
    run::{Cmd, Ran, RanEnd, RunError},
};

/// Terminals that an agent may have at once.
const MAX_TERMINALS: usize = 8;
/// How long a command that was told to end may take.
const GRACE: Duration = Duration::from_secs(5);

/// What a command came to.
#[derive(Clone, Debug)]
pub(super) struct Done {
    /// What it printed, the middle left out where that is much.
    pub(super) output: String,
    truncated: bool,
    status: TerminalExitStatus,
}

impl Done {
    /// Returns whether it did not end well.
    pub(super) fn is_error(&self) -> bool {
        self.status.exit_code != Some(0)
    }

    /// Returns how it ended, for its record.
    pub(super) fn told(&self) -> String {
        let end = match (&self.status.signal, self.status.exit_code) {
            (Some(signal), _) => signal.clone(),
            (None, code) => format!("exit {}", code.unwrap_or_default()),
        };
        format!("{end}\n{}", self.output)
    }
}

/// The terminals of one agent, by id.
#[derive(Default)]
pub(super) struct Terminals {
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    next: u64,
    open: HashMap<String, Terminal>,
}

struct Terminal {
    cancel: CancellationToken,
    done: watch::Receiver<Option<Done>>,
    place: Arc<Place>,
    _task: AbortOnDropHandle<()>,
}

impl Terminals {
    /// Returns whether there is room for one more.
    pub(super) fn has_room(&self) -> Result<(), String> {
        match self.lock().open.len() < MAX_TERMINALS {
            true => Ok(()),
            false => Err(format!("{MAX_TERMINALS} terminals are open; release one first")),
        }
    }

    /// Starts a command in a place of its own and returns the terminal's id; what it comes to is
    /// told to `ended`, too.
    pub(super) fn start<F: Future<Output = ()> + Send>(
        &self,
        (place, cmd): (Arc<Place>, Cmd),
        ended: impl FnOnce(Done) -> F + Send + 'static,
    ) -> String {
        let (tell, done) = watch::channel(None);
        let cancel = CancellationToken::new();
        let (inside, token) = (place.clone(), cancel.clone());
        let task = tokio::spawn(async move {
            let ran = done_of(inside.run(cmd, &token).await);
            ended(ran.clone()).await;
            tell.send_replace(Some(ran));
        });
        let mut held = self.lock();
        held.next += 1;
        let id = format!("terminal-{}", held.next);
        let terminal = Terminal { cancel, done, place, _task: AbortOnDropHandle::new(task) };
        held.open.insert(id.clone(), terminal);
        id
    }

    /// Returns what a terminal has come to by now.
    pub(super) fn output(&self, id: &str) -> Result<TerminalOutputResponse, String> {
        let done = self.watch(id)?.borrow().clone();
        Ok(match done {
            None => TerminalOutputResponse::new("", false),
            Some(Done { output, truncated, status }) => {
                TerminalOutputResponse::new(output, truncated).exit_status(status)
            }
        })
    }

    /// Returns where it can be awaited how a terminal ends.
    pub(super) fn watch(&self, id: &str) -> Result<watch::Receiver<Option<Done>>, String> {
        let held = self.lock();
        held.open.get(id).map(|terminal| terminal.done.clone()).ok_or_else(|| unknown(id))
    }

    /// Tells a command to end.
    pub(super) fn kill(&self, id: &str) -> Result<(), String> {
        let held = self.lock();
        held.open.get(id).map(|terminal| terminal.cancel.cancel()).ok_or_else(|| unknown(id))
    }

    /// Takes a terminal back; what still runs in it ends beside what comes next.
    pub(super) fn release(&self, id: &str) -> Result<(), String> {
        let terminal = self.lock().open.remove(id).ok_or_else(|| unknown(id))?;
        tokio::spawn(close(terminal));
        Ok(())
    }

    /// Ends all of them; returns when they have ended.
    pub(super) async fn close(&self) {
        let open: Vec<Terminal> = self.lock().open.drain().map(|(_, terminal)| terminal).collect();
        for terminal in &open {
            terminal.cancel.cancel();
        }
        for terminal in open {
            close(terminal).await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Waits for the end of a command.
pub(super) async fn wait(mut done: watch::Receiver<Option<Done>>) -> TerminalExitStatus {
    let ended = done.wait_for(Option::is_some).await;
    let status = ended.ok().and_then(|done| done.as_ref().map(|done| done.status.clone()));
    status.unwrap_or_else(|| TerminalExitStatus::new().signal("released".to_owned()))
}

async fn close(terminal: Terminal) {
    terminal.cancel.cancel();
    let mut done = terminal.done.clone();
    let _ = timeout(GRACE, done.wait_for(Option::is_some)).await;
    terminal.place.close().await;
}

fn done_of(ran: Result<Ran, RunError>) -> Done {
    let failed = |output: String, signal: &str| Done {
        output,
        truncated: false,
        status: TerminalExitStatus::new().signal(signal.to_owned()),
    };
    let Ran { end, output, dropped, .. } = match ran {
        Ok(ran) => ran,
        Err(RunError::Cancelled | RunError::Closed) => return failed(String::new(), "killed"),
        Err(error) => return failed(error.to_string(), "not started"),
    };
    let status = TerminalExitStatus::new();
    let status = match end {
        RanEnd::Exit(code) => status.exit_code(u32::try_from(code).unwrap_or(u32::MAX)),
        RanEnd::Signal(number) => status.signal(format!("signal {number}")),
        RanEnd::Deadline => status.signal("deadline".to_owned()),
    };
    Done { output: String::from_utf8_lossy(&output).into_owned(), truncated: dropped > 0, status }
}

fn unknown(id: &str) -> String {
    let id: String = id.chars().take(60).collect();
    format!("there is no terminal `{id}`")
}
