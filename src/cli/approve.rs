//! Asking the person at the terminal before a command runs.
//!
//! No answer within five minutes is a no, so that a run never waits for ever.

use std::{
    io::{self, Write},
    time::Duration,
};

use tokio::{sync::mpsc::UnboundedReceiver, task::spawn_blocking, time::timeout};

use crate::{coordinator::control::Ask, protocol::request::Approval, ui::show::Screen};

const PATIENCE: Duration = Duration::from_secs(300);

/// Answers questions one after another until the run is over.
pub(super) async fn answer(screen: Screen, mut asks: UnboundedReceiver<Ask>) {
    while let Some(ask) = asks.recv().await {
        let screen = screen.clone();
        let why = format!("{}: {}", ask.agent, ask.why);
        let asked = spawn_blocking(move || screen.ask(&ask.what, &why));
        let answer = match timeout(PATIENCE, asked).await {
            Ok(Ok(answer)) => answer,
            _ => Approval::No,
        };
        // An agent that was stopped meanwhile does not wait for the answer.
        let _ = ask.reply.send(answer);
    }
}

/// Asks once whether agents' code may run where nothing confines it.
pub(super) fn unconfined() -> bool {
    let text = "? Nothing on this machine confines commands: what agents write, and the checks on \
                it, will run with your rights. Go on?  [y/N] ";
    let mut out = io::stderr().lock();
    let mut answer = String::new();
    let asked = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    asked.and_then(|()| io::stdin().read_line(&mut answer)).is_ok()
        && matches!(answer.trim().to_lowercase().as_str(), "y" | "yes")
}
