//! `grafter attach`: one agent's transcript as it grows, and what the user types goes to it.
//!
//! It reads the journal as `logs --follow` does and writes to the control socket as `send` does, so
//! it needs no terminal of a special kind, and its end does nothing to the run.

use std::{io, process::ExitCode, thread};

use tokio::sync::mpsc::{self, UnboundedReceiver};
use tokio_util::sync::CancellationToken;

use crate::{
    cli::{
        context::Context,
        exit::{self, Failure, Kind, OrFail},
        history::Printer,
        steer::{self, AgentName},
    },
    coordinator::control::Command,
    journal::{
        follow::{self, Followed},
        runs::RunDir,
    },
    protocol::{
        event::{Event, What},
        ids::AgentId,
    },
    ui::text::escape,
};

/// Shows an agent until it ends, and sends it what is typed, until nothing more is.
pub(super) async fn attach(context: &Context, name: &AgentName) -> Result<ExitCode, Failure> {
    let why = Command::Why { agent: name.agent.clone() };
    let (run, reply) = steer::ask(context, &name.run, &why).await?;
    let Some(agent) = reply.agent else {
        let failure = Failure::usage(format!("{} is no agent at work", escape(&name.agent)));
        return Err(failure.hint(escape(&reply.said.join("; "))));
    };
    let (send, events) = mpsc::unbounded_channel();
    let cancel = CancellationToken::new();
    let following = follow::follow(&run.path, 0, send, &cancel);
    let showing = async {
        let shown = show(context, (&run, &agent), events).await;
        cancel.cancel();
        shown
    };
    let (ended, shown) = tokio::join!(following, showing);
    shown?;
    if ended.or_fail(Kind::Infrastructure)? == Followed::Abandoned {
        say!("no process works on the run any more: grafter resume {}", run.id)?;
    }
    Ok(ExitCode::SUCCESS)
}

async fn show(
    context: &Context,
    (run, agent): (&RunDir, &AgentId),
    mut events: UnboundedReceiver<Event>,
) -> Result<(), Failure> {
    let mut printer = Printer::new(context, Some(agent.to_string()));
    let mut typed = typing();
    say!("── {agent} of run {}; what you type is sent to it, Ctrl-D leaves it", run.id)?;
    loop {
        tokio::select! {
            event = events.recv() => {
                let Some(event) = event else { return Ok(()) };
                printer.show(&event)?;
                let is_end = matches!(event.what, What::NodeFinished { .. });
                if is_end && event.agent.as_ref() == Some(agent) {
                    return say!("── {agent} has ended");
                }
            }
            line = typed.recv() => match line {
                Some(line) if line.trim().is_empty() => {}
                Some(text) => {
                    let send = Command::Send { agent: agent.to_string(), text };
                    if let Err(failure) = steer::ask(context, run.id.as_str(), &send).await {
                        exit::report(&failure);
                    }
                }
                None => return say!("── left; {agent} goes on"),
            },
        }
    }
}

/// Reads lines on a thread of its own, which ends with the process: a read cannot be taken back.
fn typing() -> UnboundedReceiver<String> {
    let (send, lines) = mpsc::unbounded_channel();
    thread::spawn(move || {
        for line in io::stdin().lines().map_while(Result::ok) {
            if send.send(line).is_err() {
                return;
            }
        }
    });
    lines
}
