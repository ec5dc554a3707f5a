//! Questions that climb from an agent to the dispatcher, each with a place for its answer.

use tokio::sync::oneshot;

use crate::protocol::{
    event::Kept,
    ids::{AgentId, CallId, NodeId, Oid},
    outcome::{Finding, Outcome},
    rule::Rule,
    task::{AgentKind, Phase},
    task_list::Wish,
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
    /// May this run? Only asked where the mode says ask.
    Approve {
        /// What is asked.
        question: Box<Question>,
        /// The answer.
        reply: oneshot::Sender<Answer>,
    },
    /// Have a read-only sub-agent look into something.
    Delegate {
        /// The node that asks.
        node: NodeId,
        /// The commit that its tree stood on when it began.
        at: Oid,
        /// What the sub-agent shall find out.
        question: String,
        /// What it found; `Err` says why it was refused.
        reply: oneshot::Sender<Result<Outcome, String>>,
    },
    /// Something that an agent which leads the run wants done.
    Lead {
        /// The node that asks.
        node: NodeId,
        /// What it wants.
        errand: Errand,
        /// What came of it; `Err` says why nothing did.
        reply: oneshot::Sender<Result<Led, String>>,
    },
}

/// What an agent that leads a run wants done.
#[derive(Clone, Debug, PartialEq)]
pub enum Errand {
    /// Another agent.
    Spawn(Box<Order>),
    /// All nodes of a workflow.
    Plan(String),
    /// The checks on what this node wrote, which may then land.
    Enqueue(String),
    /// What these nodes come to; without any, all that were added.
    Wait(Vec<String>),
    /// The next message, unless nobody is left who could write.
    Receive,
    /// The list of tasks that all agents share.
    Tasks {
        /// What it wants of it.
        wish: Wish,
        /// The call, by which one that is made again is known.
        call: CallId,
    },
    /// Which of those that it has asked for are still at work.
    AtWork,
    /// A finding, whole.
    Finding(String),
    /// A message to another agent.
    Send {
        /// Its name.
        to: String,
        /// What it says.
        text: String,
        /// The call, by which one that is made again is known.
        call: CallId,
    },
}

/// An agent that another one asks for.
#[derive(Clone, Debug, PartialEq)]
pub struct Order {
    /// The name of its node.
    pub name: String,
    /// Its kind.
    pub kind: AgentKind,
    /// Its phase, where its kind leaves a choice.
    pub phase: Option<Phase>,
    /// Its role, unless that of its phase.
    pub role: Option<String>,
    /// What it shall do.
    pub task: String,
    /// Nodes that must have ended before it begins.
    pub after: Vec<String>,
    /// Most answers of its model.
    pub max_turns: Option<u32>,
    /// Most US cents that its model calls may cost.
    pub max_cents: Option<u32>,
    /// The context that it forks from, if it is a fork.
    pub context: Option<Kept>,
}

/// What came of an errand.
#[derive(Clone, Debug, PartialEq)]
pub enum Led {
    /// These nodes are in the graph.
    Added(Vec<String>),
    /// These have ended, and this is what they say; and the newest commit of the run, if it has one.
    Ended(Vec<(NodeId, Outcome)>, Option<Oid>),
    /// The finding.
    Finding(Finding),
    /// What there is to say of it.
    Said(String),
}

/// The answer to `Request::Reserve`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reservation {
    /// Reserved until the call's result is journaled.
    Granted,
    /// The run's budget does not hold it; the text says which.
    Refused(String),
    /// The agent's own share does not hold it; the run goes on.
    Spent(String),
}

/// The hash of a call, its arguments, its directory and the tree it would run on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Bound(pub String);

/// A question about one call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// Who asks.
    pub agent: AgentId,
    /// What exactly would run, control characters escaped.
    pub what: String,
    /// Why it is asked, by check where one speaks.
    pub why: String,
    /// How bad a mistake can be, and whether a snapshot takes it back.
    pub stake: String,
    /// Where it would run, as the agent sees it.
    pub cwd: String,
    /// What `always` would allow from now on; empty where that cannot be said.
    pub rules: Vec<Rule>,
    /// The text that the user may change, where there is one.
    pub text: Option<String>,
    /// What an answer is an answer to.
    pub bound: Bound,
}

/// The answer to `Request::Approve`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// What it is an answer to.
    pub bound: Bound,
    /// The user's word.
    pub approval: Approval,
}

/// What a user says to a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Approval {
    /// It may run once.
    Yes,
    /// It may run, now and whenever the rules of the question match.
    Always,
    /// Not it, but this instead.
    Edit(String),
    /// It may not.
    No,
    /// Nobody answered in time.
    Late,
    /// Nobody is there to ask.
    NoTerminal,
}

impl Approval {
    /// Returns the name used in records.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Yes => "yes",
            Self::Always => "always",
            Self::Edit(_) => "edit",
            Self::No => "no",
            Self::Late => "late",
            Self::NoTerminal => "nobody",
        }
    }
}
