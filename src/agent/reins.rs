//! How a user holds one agent: pausing it, ending it, writing to it, and seeing what it does.
//!
//! The dispatcher makes the reins and pulls them, the agent obeys; both hold the same ones. Nothing
//! here is the truth: what is paused, cancelled or sent stands in the journal first, and a resume
//! makes the reins anew from that. What an agent does just now is for people only and is not kept.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};
use tokio::{sync::watch, time::sleep};
use tokio_util::sync::CancellationToken;

use crate::protocol::mail::Letter;

/// What a cancelled agent gets to give up its calls in before it is dropped with all it runs.
const DEADLINE: Duration = Duration::from_secs(5);

/// What an agent does or waits for just now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "doing", rename_all = "snake_case")]
pub enum Doing {
    /// Its tree is being made.
    Settling,
    /// It waits for the budget to reserve its next request.
    Reserving,
    /// It waits for the model's answer.
    Asking {
        /// The turn, from 0.
        turn: u32,
        /// The model.
        model: String,
        /// How often the request was sent, from 1.
        attempt: u32,
        /// Why it is sent again, and when.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        why: Option<String>,
    },
    /// A tool runs.
    Calling {
        /// The tool.
        tool: String,
        /// What it does.
        title: String,
    },
    /// It waits for the user's word.
    Approval {
        /// What would run.
        title: String,
    },
    /// It is paused, and nothing of it runs any more.
    Paused,
    /// Its work is done and is being saved.
    Leaving,
}

/// The reins of one agent.
#[derive(Clone, Debug)]
pub struct Reins(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    paused: watch::Sender<bool>,
    cancelled: CancellationToken,
    /// Why it was ended, in words for the user.
    why: OnceLock<String>,
    stop: CancellationToken,
    cancel: CancellationToken,
    mail: Mutex<VecDeque<Letter>>,
    doing: Mutex<(Doing, Instant)>,
    told: AtomicBool,
}

impl Reins {
    /// Returns the reins of an agent of a run that has these tokens: the first one lets nothing new
    /// begin, the second one ends what runs.
    pub fn new(stop: &CancellationToken, cancel: &CancellationToken) -> Self {
        Self(Arc::new(Inner {
            paused: watch::Sender::new(false),
            cancelled: CancellationToken::new(),
            why: OnceLock::new(),
            stop: stop.child_token(),
            cancel: cancel.child_token(),
            mail: Mutex::default(),
            doing: Mutex::new((Doing::Settling, Instant::now())),
            told: AtomicBool::new(false),
        }))
    }

    /// Returns the token that lets nothing new begin in this agent.
    pub fn stop_token(&self) -> CancellationToken {
        self.0.stop.clone()
    }

    /// Returns the token that ends what this agent runs.
    pub fn cancel_token(&self) -> CancellationToken {
        self.0.cancel.clone()
    }

    /// Holds the agent, or lets it go on.
    pub fn pause(&self, paused: bool) {
        self.0.paused.send_replace(paused);
    }

    /// Returns whether it is held.
    pub fn is_paused(&self) -> bool {
        *self.0.paused.borrow()
    }

    /// Waits until it is not held.
    pub async fn go_on(&self) {
        // The sender lives as long as these reins.
        let _ = self.0.paused.subscribe().wait_for(|paused| !paused).await;
    }

    /// Ends the agent, for a reason in words for the user.
    pub fn cancel(&self, why: &str) {
        // The first reason is the one.
        let _ = self.0.why.set(why.to_owned());
        self.0.cancelled.cancel();
        self.0.stop.cancel();
        self.0.cancel.cancel();
    }

    /// Returns why it was ended.
    pub fn why_cancelled(&self) -> &str {
        self.0.why.get().map_or("", String::as_str)
    }

    /// Returns whether it was ended.
    pub fn is_cancelled(&self) -> bool {
        self.0.cancelled.is_cancelled()
    }

    /// Waits until the user has ended it and it has had the time to obey.
    pub async fn overdue(&self) {
        self.0.cancelled.cancelled().await;
        sleep(DEADLINE).await;
    }

    /// Puts a message into the mailbox.
    pub fn post(&self, letter: Letter) {
        lock(&self.0.mail).push_back(letter);
    }

    /// Takes the first message out of the mailbox.
    pub fn next_letter(&self) -> Option<Letter> {
        lock(&self.0.mail).pop_front()
    }

    /// Notes that the agent has seen a word of the user's.
    pub fn heard(&self) {
        self.0.told.store(true, Ordering::Relaxed);
    }

    /// Returns whether what the agent did depends on more than its orders.
    pub fn has_heard(&self) -> bool {
        self.0.told.load(Ordering::Relaxed)
    }

    /// Notes what the agent does from now on.
    pub fn note(&self, doing: Doing) {
        *lock(&self.0.doing) = (doing, Instant::now());
    }

    /// Returns what the agent does, and for how long it has.
    pub fn doing(&self) -> (Doing, Duration) {
        let (doing, since) = &*lock(&self.0.doing);
        (doing.clone(), since.elapsed())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
