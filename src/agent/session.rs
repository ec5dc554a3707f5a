//! One agent at work: what it was given, what it has, and how far it is.

use std::{collections::BTreeSet, sync::Arc};

use crate::{
    agent::{
        assignment::{Assignment, Bench},
        chain::{Chain, ChainError},
        context::Context,
        memo::Earlier,
        progress::Progress,
        words,
    },
    guard::{sanitise::markers::suspicion_of_prompt, taint::Taint, tripwire::Tripwire},
    journal::writer::JournalError,
    protocol::{
        event::{Kept, What},
        ids::{CallId, Oid},
        message::{Block, CacheScope, Message, Segment},
        outcome::{Failure, Outcome},
        tool::ToolSpec,
    },
    tools::catalogue,
};

/// The tool that every agent has, whatever its workflow says.
pub const FINISH: &str = "finish";

/// The state of one agent.
pub struct Session {
    /// What it shall do.
    pub assignment: Assignment,
    /// Its means.
    pub bench: Bench,
    /// The tools it may call.
    pub tools: Arc<Vec<ToolSpec>>,
    /// Records of an earlier process.
    pub earlier: Earlier,
    /// The conversation.
    pub context: Context,
    /// The ids of all calls so far.
    pub ids: BTreeSet<CallId>,
    /// What it has done.
    pub progress: Progress,
    /// The snapshots of its tree, if it writes.
    pub chain: Option<Chain>,
    /// What the model has just said, as long as the conversation does not hold it.
    pub saying: Option<Arc<Message>>,
    /// What the user has said to it so far.
    pub told: Vec<Block>,
    /// The commit whose files it sees by now, if others have worked for it.
    pub sees: Option<Oid>,
    /// Whether the replay is over and the tree is as the last record says.
    live: bool,
}

/// Why an agent ends without having finished.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stop {
    /// What kind of failure.
    pub failure: Failure,
    /// What happened.
    pub why: String,
}

impl Stop {
    /// Returns the end of an agent that did not do its work.
    pub fn unresolved(why: impl Into<String>) -> Self {
        Self { failure: Failure::NotResolved, why: why.into() }
    }

    /// Returns the end of an agent whose means failed.
    pub fn broken(why: impl Into<String>) -> Self {
        Self { failure: Failure::Infrastructure, why: why.into() }
    }

    /// Returns the end of an agent that was told to stop.
    pub fn cancelled() -> Self {
        Self { failure: Failure::Cancelled, why: "stopped before it was done".into() }
    }
}

impl From<JournalError> for Stop {
    fn from(error: JournalError) -> Self {
        let hint = error.hint().map(|hint| format!("\nhint: {hint}")).unwrap_or_default();
        Self::broken(format!("{error}{hint}"))
    }
}

impl From<ChainError> for Stop {
    fn from(error: ChainError) -> Self {
        Self::broken(error.to_string())
    }
}

/// Returns the canary tools under the names that they have in this run.
pub(super) fn canaries(tripwire: &Tripwire) -> impl Iterator<Item = ToolSpec> {
    let named = |spec: &ToolSpec| ToolSpec { name: tripwire.tool(&spec.name), ..spec.clone() };
    catalogue::canaries().iter().map(named)
}

/// Returns what an agent is told that is not the same for all.
fn given(assignment: &Assignment) -> String {
    let own = |part: &&Segment| part.cache != CacheScope::Static;
    let parts = assignment.system.iter().filter(own).map(|part| part.text.as_str());
    parts.chain([assignment.opening.as_str()]).collect::<Vec<_>>().join("\n")
}

impl Session {
    /// Returns the session of an agent that has not begun, or goes on from its earlier records.
    pub async fn open(mut assignment: Assignment, mut bench: Bench) -> Result<Self, Stop> {
        let earlier = Earlier::new(std::mem::take(&mut assignment.earlier));
        if !assignment.tools.iter().any(|name| name == FINISH) {
            assignment.tools.push(FINISH.to_owned());
        }
        let (mut tools, mut ids) = (catalogue::some(&assignment.tools), BTreeSet::new());
        if let Some(tripwire) = &assignment.tripwire {
            Arc::make_mut(&mut tools).extend(canaries(tripwire));
        }
        if let Some(prefix) = &assignment.fork {
            // What a fork may not use is refused when it is called: other tools would be another
            // prefix.
            assignment.system.clone_from(&prefix.system);
            (tools, ids) = (prefix.tools.clone(), prefix.ids());
        }
        let inherited = assignment.fork.as_ref().and_then(|prefix| prefix.taint.clone());
        let given = Taint::of(&suspicion_of_prompt(&given(&assignment)), words::GIVEN);
        bench.desk.taint = given.or(inherited);
        let chain = Chain::open(&bench.desk, &assignment, earlier.snapshot().cloned()).await?;
        let progress = Progress::new(assignment.node.clone());
        let mut session = Self {
            context: Context::new("", 0, 1),
            tools,
            saying: None,
            told: Vec::new(),
            sees: None,
            live: false,
            assignment,
            bench,
            earlier,
            ids,
            progress,
            chain,
        };
        session.begin(&session.assignment.opening.clone(), &session.tools.clone());
        Ok(session)
    }

    /// Begins the conversation anew with this opening and these tools.
    pub fn begin(&mut self, opening: &str, tools: &[ToolSpec]) {
        let system = self.assignment.system.iter().map(|segment| segment.text.len());
        let tools = tools.iter().map(|spec| {
            spec.name.len() + spec.description.len() + spec.parameters.to_string().len()
        });
        let fixed = system.sum::<usize>() + tools.sum::<usize>();
        let window = self.bench.model.info().window;
        self.saying = None;
        self.context = match &self.assignment.fork {
            None => Context::new(opening, fixed, window),
            Some(prefix) => {
                let placeholder = &self.assignment.words.forked;
                let first = prefix.opening(placeholder, opening);
                Context::forked(prefix.clone(), first, fixed, window)
            }
        };
        self.told.iter().for_each(|block| self.context.tell(block.clone()));
    }

    /// Must be called before anything new is done: ends the replay, puts a writer's tree into the
    /// state that the records tell of, and refuses to begin when the run is stopping.
    pub async fn go_live(&mut self) -> Result<(), Stop> {
        self.gate().await?;
        if self.bench.stop.is_cancelled() || self.bench.cancel.is_cancelled() {
            return Err(Stop::cancelled());
        }
        if !self.live {
            self.live = true;
            // Not only after a crash: an earlier attempt, or a commit taken from the store, may
            // have left the tree elsewhere than where this agent begins.
            if let Some(chain) = &self.chain {
                chain.restore().await?;
            }
        }
        Ok(())
    }

    /// Moves an agent that only reads on to what those have written that it has heard of.
    pub async fn look_anew(&mut self) -> Result<(), Stop> {
        let Some(window) = &self.bench.window else { return Ok(()) };
        let Some(sees) = self.sees.clone().filter(|sees| *sees != self.bench.desk.at) else {
            return Ok(());
        };
        self.bench.desk.place = window(sees.clone()).await.map_err(Stop::broken)?;
        self.bench.desk.at = sees;
        Ok(())
    }

    /// Keeps what stands in a writer's tree when the user ends it in the middle of its work.
    pub async fn keep_half(&mut self) {
        if let (true, Some(chain)) = (self.live, &mut self.chain) {
            // What was saved before stays whatever comes of it.
            let _ = chain.take("half done, when the user cancelled the agent").await;
        }
    }

    /// Appends a record of this agent.
    pub async fn record(&self, what: What) -> Result<(), JournalError> {
        let (node, agent) = (&self.assignment.node, &self.assignment.agent);
        self.bench.journal.append(Some(node), Some(agent), what).await?;
        Ok(())
    }

    /// Returns the outcome with what the scaffold counted, and what it keeps for forks.
    pub fn outcome(
        self,
        ended: Result<Outcome, Stop>,
        kept: Result<Option<Kept>, Stop>,
    ) -> Outcome {
        let (ended, context) = match kept {
            Ok(context) => (ended, context),
            Err(stop) => (ended.and(Err(stop)), None),
        };
        let mut outcome = ended.unwrap_or_else(|stop| Outcome::failed(stop.failure, stop.why));
        outcome.context = context;
        outcome.usage = self.progress.usage;
        outcome.findings = self.progress.findings;
        outcome
    }
}
