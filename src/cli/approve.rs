//! Asking the person at the terminal before a command runs.
//!
//! No answer within five minutes is a no, so that a run never waits for ever.

use std::time::Duration;

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
