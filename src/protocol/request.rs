//! Questions that climb from an agent to the dispatcher, each with a place for its answer.

use tokio::sync::oneshot;

use crate::protocol::{
    ids::{AgentId, NodeId},
    outcome::Outcome,
    usage::Micros,
};

/// A question to the dispatcher.
#[derive(Debug)]
pub enum Request {
    /// May this much be spent on one model call?
    Reserve {
        /// Who asks.
        agent: AgentId,
        /// Worst case of the call in money.
        cost: Micros,
        /// Worst case of the call in tokens.
        tokens: u64,
        /// The answer.
        reply: oneshot::Sender<Reservation>,
    },
    /// A reservation that ended without a `model_result` record is given back.
    Release {
        /// Who gives it back.
        agent: AgentId,
    },
    /// May this run? Only asked where a rule says ask.
    Approve {
        /// Who asks.
        agent: AgentId,
        /// What exactly would run, control characters escaped.
        what: String,
        /// Why it is asked.
        why: String,
        /// The answer.
        reply: oneshot::Sender<Approval>,
    },
    /// Have a read-only sub-agent look into something.
    Delegate {
        /// The node that asks.
        node: NodeId,
        /// What the sub-agent shall find out.
        question: String,
        /// What it found; `Err` says why it was refused.
        reply: oneshot::Sender<Result<Outcome, String>>,
    },
}

/// The answer to `Request::Reserve`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reservation {
    /// Reserved until the call's result is journaled.
    Granted,
    /// The budget does not hold it; the text says which.
    Refused(String),
}

/// The answer to `Request::Approve`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Approval {
    /// It may run once.
    Yes,
    /// It may not.
    No,
    /// Nobody is there to ask.
    NoTerminal,
}
