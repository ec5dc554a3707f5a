//! What an agent is given: the work, the means, and the limits.

use std::{collections::BTreeMap, sync::Arc};

use futures_util::future::BoxFuture;
use tokio::sync::mpsc::UnboundedSender;
use tokio_util::sync::CancellationToken;

use crate::{
    agent::{prefix::Prefix, progress::Stuck, reins::Reins},
    guard::tripwire::Tripwire,
    journal::writer::Journal,
    prompt::words::Words,
    protocol::{
        event::Event,
        ids::{AgentId, NodeId, Oid},
        message::Segment,
        outcome::Finding,
        request::Request,
        task::{EditFormat, Phase},
    },
    provider::model::{Cue, Model},
    sandbox::place::Place,
    tools::desk::Desk,
};

/// What one agent shall do.
#[derive(Clone, Debug)]
pub struct Assignment {
    /// Who it is: `implement@1`.
    pub agent: AgentId,
    /// The node it works for.
    pub node: NodeId,
    /// Names the model calls; the agent sets `turn` and counts `sample` up in text formats.
    pub cue: Cue,
    /// The system prompt.
    pub system: Vec<Segment>,
    /// The first user message: the task and what belongs to it. The orders of a fork.
    pub opening: String,
    /// What it takes over from the agent that it forks from, in place of `system` and the tools
    /// that the model is offered.
    pub fork: Option<Arc<Prefix>>,
    /// What it is told between its turns.
    pub words: Arc<Words>,
    /// The tools it may call, by name.
    pub tools: Vec<String>,
    /// What gives an alarm; nothing in most runs.
    pub tripwire: Option<Tripwire>,
    /// What it must hand in.
    pub contract: Contract,
    /// How it hands in changes; anything but `Tools` counts for an implementation only.
    pub edit_format: EditFormat,
    /// When it must stop.
    pub limits: Limits,
    /// Sampling temperature of the first answer; the provider's default where there is none.
    pub temperature: Option<f32>,
    /// The commit that its tree stands at when it begins.
    pub base: Oid,
    /// The branch that the coordinator will put its work on; none for readers.
    pub branch: Option<String>,
    /// The records of this agent from an earlier process, in order, for a resume.
    pub earlier: Vec<Event>,
}

/// What a node must hand in; checked by the scaffold when the agent calls `finish`.
#[derive(Clone, Debug)]
pub struct Contract {
    /// Decides which rules hold.
    pub phase: Phase,
    /// The carries the node gives, and their types: `text`, `number`, `bool`, `list`, `findings`.
    pub gives: BTreeMap<String, String>,
    /// The findings that a synthesis must weigh.
    pub findings: Vec<Finding>,
    /// Whether a writer begins with the work of others, which may need nothing more.
    pub continues: bool,
}

/// When an agent must stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Model answers; one more is granted to call `finish`.
    pub max_turns: u32,
    /// Answers in a text edit format before the node fails.
    pub max_answers: u32,
    /// When it gets nowhere.
    pub stuck: Stuck,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_turns: 60, max_answers: 4, stuck: Stuck::default() }
    }
}

/// Opens a place at a commit for an agent that only reads; fails with words for the user.
pub type Window = Arc<dyn Fn(Oid) -> BoxFuture<'static, Result<Arc<Place>, String>> + Send + Sync>;

/// The means of one agent.
#[derive(Clone)]
pub struct Bench {
    /// Who answers.
    pub model: Arc<dyn Model>,
    /// Who is asked about commands that are not plainly ordinary, in auto mode.
    pub classifier: Option<Arc<dyn Model>>,
    /// The tools and the tree.
    pub desk: Desk,
    /// Where every step is written down first.
    pub journal: Journal,
    /// Questions to the dispatcher; few and tiny, so it needs no bound.
    pub requests: UnboundedSender<Request>,
    /// Once cancelled no new model or tool call begins, but the running ones may end.
    pub stop: CancellationToken,
    /// Once cancelled running calls are given up too.
    pub cancel: CancellationToken,
    /// What the user says to this agent while it works.
    pub reins: Reins,
    /// Where it sees what others have written for it; none for those that nobody works for.
    pub window: Option<Window>,
}
