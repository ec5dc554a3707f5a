//! Asking the person at the terminal before something runs: one inbox for all agents.
//!
//! Each agent waits for its own answer as long as `[guard] ask_seconds` says and takes silence for
//! a no, so nobody stalls behind another; a question that nobody waits for is passed over.

use std::{
    collections::VecDeque,
    io::{self, Write},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, mpsc},
    thread,
    time::{Duration, Instant},
};

use serde::Serialize;
use tokio::{sync::mpsc::UnboundedReceiver, task::spawn_blocking};

use crate::{
    coordinator::control::Ask,
    protocol::{
        request::{Answer, Approval},
        rule::Rule,
    },
    settings::store,
    ui::show::Screen,
};

/// More questions than this in a minute are more than a person reads.
const MANY: (usize, Duration) = (5, Duration::from_secs(60));

/// Answers questions one after another until the run is over; what is always allowed is stored in
/// the user's settings file.
pub(super) async fn answer(screen: Screen, mut asks: UnboundedReceiver<Ask>, config: PathBuf) {
    let mut lines = None;
    let mut times = VecDeque::new();
    while let Some(ask) = asks.recv().await {
        // An agent that was stopped, or waited too long, does not wait any more.
        if ask.reply.is_closed() {
            continue;
        }
        if too_many(&mut times) {
            screen
                .say("hint: rules in [guard] or --mode auto ask less often; see `grafter policy`");
        }
        let typed = Arc::clone(lines.get_or_insert_with(typing));
        let (screen, config) = (screen.clone(), config.clone());
        let asked = spawn_blocking(move || {
            let typed = typed.lock().unwrap_or_else(PoisonError::into_inner);
            let approval = screen.ask(&ask.question, &typed, &|| ask.reply.is_closed());
            if approval == Approval::Always {
                keep(&screen, &config, &ask.question.rules);
            }
            let _ = ask.reply.send(Answer { bound: ask.question.bound, approval });
        });
        // A question that failed is a closed channel to its agent.
        let _ = asked.await;
    }
}

/// Reads lines on a thread of its own, which ends with the process: a read cannot be taken back.
fn typing() -> Arc<Mutex<mpsc::Receiver<String>>> {
    let (send, lines) = mpsc::channel();
    thread::spawn(move || {
        for line in io::stdin().lines() {
            let Ok(line) = line else { return };
            if send.send(line).is_err() {
                return;
            }
        }
    });
    Arc::new(Mutex::new(lines))
}

/// Counts a question; says once in a while that there are too many.
fn too_many(times: &mut VecDeque<Instant>) -> bool {
    let now = Instant::now();
    times.push_back(now);
    while times.front().is_some_and(|first| now.duration_since(*first) > MANY.1) {
        times.pop_front();
    }
    let many = times.len() > MANY.0;
    if many {
        times.clear();
    }
    many
}

#[derive(Serialize)]
struct Addition<'r> {
    guard: Allow<'r>,
}

#[derive(Serialize)]
struct Allow<'r> {
    allow: &'r [Rule],
}

fn keep(screen: &Screen, config: &Path, rules: &[Rule]) {
    let comment = "allowed always by a yes at the terminal";
    match store::append(config, comment, &Addition { guard: Allow { allow: rules } }) {
        Ok(()) => screen.say(&format!("stored in {}", config.display())),
        Err(error) => screen.say(&format!("warning: allowed for this run only: {error}")),
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
