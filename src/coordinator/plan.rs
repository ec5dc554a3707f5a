//! What to do next, given all that has happened. Pure: state in, effects out.
//!
//! The dispatcher calls `step` after every record until it returns nothing. A step never repeats
//! an effect that is under way, because what is under way stands in `Busy`; so a resume needs no
//! code of its own: it folds the journal, starts with an empty `Busy`, and steps.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    coordinator::{
        options::{Options, Unverified},
        parts::Basis,
        schedule,
        state::{CHECKS, NodeRun, RunState, is_delegate, is_terminal},
    },
    graph::{
        condition,
        dag::Graph,
        node::{Node, Work},
        ready::{self, NodeState},
    },
    protocol::{
        ids::{AgentId, NodeId},
        outcome::Failure,
        report::{CheckEnd, CheckRun, Origin, RunEnd, Verdict},
        task::{AgentKind, EditFormat, Phase},
    },
    verify::{change, verdict},
};

/// Work of the scaffold itself that is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Job {
    /// Checks run on the base.
    CheckBase,
    /// Checks run on a candidate that no node of the workflow has checked.
    CheckCandidate,
    /// A part is being joined with the others.
    Join,
    /// A candidate is being built.
    MakeCandidate,
    /// The target is being moved.
    Land,
}

/// What is under way in this process, and whether it shall stop.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Busy {
    /// Instances whose unit runs.
    pub units: BTreeSet<NodeId>,
    /// Those of them that only wait for others, whom they have asked for.
    pub waiting: BTreeSet<NodeId>,
    /// Jobs of the scaffold.
    pub jobs: BTreeSet<Job>,
    /// Why nothing new may begin.
    pub stop: Option<RunEnd>,
}

/// Something to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Journal that an instance starts.
    Start(NodeId),
    /// Journal that a node's condition does not hold.
    Skip(NodeId, String),
    /// Journal that a part is given up.
    Park(NodeId, String),
    /// Begin the unit of an instance that the journal says is running.
    Run(NodeId),
    /// Begin a job.
    Begin(Job),
    /// Put nodes back to waiting; feedback comes from the failed ones.
    SendBack {
        /// The target's instances first, then all downstream.
        nodes: Vec<NodeId>,
        /// The instances that failed.
        failed: Vec<NodeId>,
    },
    /// Journal the verdict.
    Judge(Verdict),
    /// Journal the end.
    Finish(RunEnd),
}

/// The most landings tried on a target that keeps moving.
const MAX_MISSES: u32 = 5;

/// Returns what to do next; nothing when something under way must end first.
pub fn step(graph: &Graph, options: &Options, state: &RunState, busy: &Busy) -> Vec<Effect> {
    if state.end.is_some() || state.started.is_none() {
        return Vec::new();
    }
    if let Some(end) = stopping(state, busy) {
        return end;
    }
    let mut effects = orphans(state, busy);
    effects.extend(state.settle_clashes());
    effects.extend(jobs(graph, options, state, busy));
    effects.extend(starts(graph, options, state, busy));
    if effects.is_empty() && busy.units.is_empty() && busy.jobs.is_empty() {
        effects.push(quiescent(graph, options, state));
    } else if effects.is_empty() && busy.only_waits() {
        effects.extend(mended(graph, state, &failed(graph, state)));
    }
    effects
}

impl Busy {
    /// Returns whether nothing is under way but waiting for others.
    pub fn only_waits(&self) -> bool {
        let waits = !self.units.is_empty() && self.units.is_subset(&self.waiting);
        waits && self.jobs.is_empty()
    }
}

fn failed<'g>(graph: &'g Graph, state: &RunState) -> Vec<&'g Node> {
    let nodes = graph.nodes.iter();
    nodes.filter(|node| !node.optional && state.group(graph, node) == NodeState::Failed).collect()
}

/// Returns how the failed nodes are tried again, if they are.
fn mended(graph: &Graph, state: &RunState, failed: &[&Node]) -> Option<Effect> {
    speechless(graph, state, failed).or_else(|| loop_back(graph, state, failed))
}

fn stopping(state: &RunState, busy: &Busy) -> Option<Vec<Effect>> {
    let cancelled = state.cancelled.then_some(RunEnd::Interrupted);
    let end = busy.stop.clone().or(cancelled)?;
    if !busy.units.is_empty() || !busy.jobs.is_empty() {
        return Some(Vec::new());
    }
    // A landing that ended meanwhile is the end of the run, whatever was asked for.
    Some(vec![Effect::Finish(if state.landed { landed(state) } else { end })])
}

/// Instances that the journal says are running, and no unit of this process works on.
fn orphans(state: &RunState, busy: &Busy) -> Vec<Effect> {
    let running = state.nodes.iter().filter(|(id, node)| {
        node.state == NodeState::Running && !busy.units.contains(*id) && !is_delegate(id)
    });
    running.map(|(id, _)| Effect::Run(id.clone())).collect()
}

fn jobs(graph: &Graph, options: &Options, state: &RunState, busy: &Busy) -> Vec<Effect> {
    let mut effects = Vec::new();
    let mut begin = |wanted: bool, job: Job| {
        if wanted && !busy.jobs.contains(&job) {
            effects.push(Effect::Begin(job));
        }
    };
    let writes = graph.nodes.iter().any(Node::writes);
    begin(writes && !options.checks.is_empty() && state.base_report.is_none(), Job::CheckBase);
    begin(state.next_part(graph).is_some(), Job::Join);
    begin(wants_candidate(graph, state), Job::MakeCandidate);
    let interrupted = state.landing.is_some() && !state.landed;
    begin(interrupted, Job::Land);
    effects
}

fn wants_candidate(graph: &Graph, state: &RunState) -> bool {
    let writers = graph.nodes.iter().filter(|node| node.phase == Phase::Implementation);
    let settled = writers.map(|node| state.group(graph, node)).all(is_terminal);
    let open = state.candidate.is_none() && state.conflict.is_none() && !state.landed;
    state.commit.is_some() && settled && open && state.misses <= MAX_MISSES
}

fn starts(graph: &Graph, options: &Options, state: &RunState, busy: &Busy) -> Vec<Effect> {
    let groups = state.groups(graph);
    let ready: BTreeSet<String> = ready::ready(graph, &groups).into_iter().collect();
    let mut effects = Vec::new();
    let mut slots = schedule::Slots::new(options.max_agents, state, (graph, &busy.waiting));
    for node in &graph.nodes {
        let begun = groups.get(&node.id) == Some(&NodeState::Running);
        if !(begun || ready.contains(&node.id)) || !gate(graph, options, state, node) {
            continue;
        }
        let unmet = || unmet(graph, state, node).or_else(|| abandoned(state, node));
        if !begun && let Some(why) = unmet() {
            effects.push(Effect::Skip(NodeId::new(&node.id), why));
            continue;
        }
        for id in state.instances(graph, node).unwrap_or_default() {
            let waiting = state.state_of(&id) == NodeState::Waiting && !busy.units.contains(&id);
            match state.basis(graph, &id) {
                Basis::Lost(other) if waiting => {
                    effects.push(Effect::Park(id, format!("it builds on {other}, which failed")));
                }
                Basis::Joined
                    if waiting && behind(state, node, &id).is_none() && slots.take(node) =>
                {
                    effects.push(Effect::Start(id));
                }
                _ => {}
            }
        }
    }
    effects
}

/// Returns the fork that an instance must let go ahead.
///
/// The first of several forks goes ahead until its model has answered: what it has written into the
/// provider's prompt cache the others only read. One that its user has paused holds up nobody.
pub(super) fn behind(state: &RunState, node: &Node, id: &NodeId) -> Option<NodeId> {
    let is_later = node.kind == AgentKind::Fork && id.place().1 != 0;
    let first =
        elder(state, node).or_else(|| is_later.then(|| NodeId::new(format!("{}.0", node.id))))?;
    let paused = |id: &NodeId, attempt| state.told.is_paused(&AgentId::of(id, attempt));
    let run = state.nodes.get(&first);
    let goes_ahead = run.is_some_and(|run| {
        // When all are paused, they go on in the same order.
        let held = run.state == NodeState::Running && paused(&first, run.attempt);
        let all = paused(id, state.nodes.get(id).map_or(0, |own| own.attempt) + 1);
        run.answered || is_terminal(run.state) || (held && !all)
    });
    (!goes_ahead).then_some(first)
}

/// Returns the fork that was asked for before this one, with the same context.
fn elder(state: &RunState, node: &Node) -> Option<NodeId> {
    let own = state.addition(&node.id)?;
    let first = state.added.iter().find(|added| added.context == own.context)?;
    let elder = first.ids.first().filter(|id| **id != node.id)?;
    own.context.as_ref().map(|_| NodeId::new(elder))
}

/// Guards between phases, beyond the edges of the graph.
pub(super) fn gate(graph: &Graph, options: &Options, state: &RunState, node: &Node) -> bool {
    let runs = graph.nodes.iter().any(|node| matches!(node.work, Work::Checks));
    let base = !runs || options.checks.is_empty() || state.base_report.is_some();
    match (&node.phase, &node.work) {
        // What is red already belongs into a reviewer's prompt, and into that of a writer who has
        // no tools to find it out; whether it does must not depend on who is faster.
        (Phase::Verification, _) => base && state.candidate.is_some(),
        (Phase::Implementation, Work::Agent(agent)) => {
            let own = options.edit_format.or(agent.edit_format);
            let format = own.unwrap_or(options.model_format);
            base || format == EditFormat::Tools
        }
        (Phase::Synthesis, _) => has_findings(graph, state, node),
        _ => true,
    }
}

/// Synthesis weighs findings; without any there is nothing to weigh.
fn has_findings(graph: &Graph, state: &RunState, node: &Node) -> bool {
    let sources = finding_sources(graph, node);
    sources.is_empty() || sources.iter().any(|from| !state.findings(graph, from).is_empty())
}

/// Returns the needed nodes whose findings a node takes.
pub fn finding_sources(graph: &Graph, node: &Node) -> Vec<String> {
    let needed = node.needs.iter().filter_map(|id| graph.get(id));
    let researchers = needed.filter(|from| from.phase == Phase::Research);
    researchers.map(|from| from.id.clone()).collect()
}

/// What a failed agent has asked for is of no use to anybody.
fn abandoned(state: &RunState, node: &Node) -> Option<String> {
    let by = state.addition(&node.id)?.by.as_ref()?;
    (state.state_of(by) == NodeState::Failed).then(|| format!("`{by}`, which asked for it, failed"))
}

fn unmet(graph: &Graph, state: &RunState, node: &Node) -> Option<String> {
    let test = node.when.as_ref()?;
    let value = node.needs.iter().find_map(|from| state.carry(graph, from, &test.carry));
    let carries: BTreeMap<String, serde_json::Value> =
        value.map(|value| (test.carry.clone(), value)).into_iter().collect();
    (!condition::eval(test, &carries)).then(|| test.to_string())
}

/// Nothing runs and nothing can start: loop, judge, land or end.
fn quiescent(graph: &Graph, options: &Options, state: &RunState) -> Effect {
    if state.landed {
        return Effect::Finish(landed(state));
    }
    if let Some(paths) = &state.conflict {
        let list = paths.join(", ");
        return Effect::Finish(RunEnd::Conflict(format!("conflict with the target in {list}")));
    }
    if state.misses > MAX_MISSES {
        let text = format!("the target moved {} times while landing", state.misses);
        return Effect::Finish(RunEnd::Conflict(text));
    }
    let failed = failed(graph, state);
    if let Some(again) = speechless(graph, state, &failed) {
        return again;
    }
    if let (false, Some(why)) = (failed.is_empty(), unstartable(state)) {
        return Effect::Finish(RunEnd::NotResolved(why));
    }
    if !failed.is_empty() {
        return loop_back(graph, state, &failed)
            .unwrap_or_else(|| Effect::Finish(failure(graph, state, &failed)));
    }
    if let Some(node) = graph.nodes.iter().find(|node| !is_terminal(state.group(graph, node))) {
        return Effect::Finish(RunEnd::NotResolved(stuck(graph, state, node)));
    }
    judged(graph, options, state)
}

/// A check of the user's that could be started neither before nor after the work: no repair by an
/// agent helps against a slip of the pen, and each would be paid for.
fn unstartable(state: &RunState) -> Option<String> {
    let (base, now) = (state.base_report.as_ref()?, state.candidate_report.as_ref()?);
    let is_missing = |run: &&CheckRun| matches!(run.end, CheckEnd::NotStarted(_));
    let named = now.runs.iter().filter(|run| run.check.origin == Origin::Named);
    let run = named.filter(is_missing).find(|run| {
        let mut before = base.runs.iter().filter(is_missing);
        before.any(|base| base.check.command == run.check.command)
    })?;
    let command = change::command(run);
    Some(format!(
        "the check {command} can be started neither on the base nor on the work: name another \
         with --verify, or install what it needs"
    ))
}

fn judged(graph: &Graph, options: &Options, state: &RunState) -> Effect {
    if graph.is_report() {
        return Effect::Finish(RunEnd::Reported);
    }
    if state.commit.is_none() {
        return Effect::Finish(RunEnd::NotResolved("the workflow made no commit".to_owned()));
    }
    if let Some(why) = unqueued(state) {
        return Effect::Finish(RunEnd::NotResolved(why));
    }
    // A workflow may verify as it likes; what it leaves out of the given checks runs all the same.
    if !options.checks.is_empty() && state.candidate_report.is_none() {
        return Effect::Begin(Job::CheckCandidate);
    }
    match &state.verdict {
        None => Effect::Judge(verdict(graph, options, state)),
        Some(Verdict::Green { .. }) => Effect::Begin(Job::Land),
        Some(Verdict::Red { reasons }) => Effect::Finish(RunEnd::NotResolved(reasons.join("; "))),
        Some(Verdict::NoEvidence) => {
            let why = match options.checks.is_empty() {
                true => "no check was found and none given (--verify names one",
                false => "no check passes, neither on the base nor now (--verify names others",
            };
            let text =
                format!("nothing verified the commit: {why}, --allow-unverified lands without)");
            Effect::Finish(RunEnd::NotResolved(text))
        }
    }
}

/// What an agent had written lands only if that agent put it up for landing.
fn unqueued(state: &RunState) -> Option<String> {
    let by = state.added.iter().find(|added| added.asked.is_none())?.by.as_ref()?;
    let queued = |run: &NodeRun| run.role == CHECKS && run.saw.is_some() && run.saw == state.commit;
    let is_queued = state.nodes.values().any(queued);
    (!is_queued).then(|| format!("`{by}` did not enqueue the commit (merge_enqueue)"))
}

fn verdict(graph: &Graph, options: &Options, state: &RunState) -> Verdict {
    let unverified = match options.unverified {
        Unverified::Allow => verdict::Unverified::Allow,
        Unverified::Refuse => verdict::Unverified::Refuse,
    };
    let report = state.candidate_report.clone().unwrap_or_default();
    let reviews = state.reviews(graph);
    verdict::compare(state.base_report.as_ref(), &report, &reviews, unverified)
}

fn stuck(graph: &Graph, state: &RunState, node: &Node) -> String {
    if node.phase == Phase::Synthesis && !has_findings(graph, state, node) {
        return "research reported no finding, so there is nothing to decide on".to_owned();
    }
    format!("node `{}` could not start: what it needs failed", node.id)
}

/// A reviewer that ended without a review says nothing about the work: it is asked once more
/// before the writer pays for it. Who got nowhere tries once more, and is told what it did.
fn speechless(graph: &Graph, state: &RunState, failed: &[&Node]) -> Option<Effect> {
    let agents = failed.iter().filter(|node| matches!(node.work, Work::Agent(_)));
    let mut all = agents.flat_map(|node| ids(graph, state, node).into_iter().map(|id| (*node, id)));
    let again = |(node, id): &(&Node, NodeId)| {
        let Some(outcome) = state.nodes.get(id).and_then(|run| run.outcome.as_ref()) else {
            return false;
        };
        let is_silent = node.phase == Phase::Verification && outcome.review.is_none();
        let is_stuck = outcome.failure == Some(Failure::Stuck);
        let asked = state.loops.get(id.as_str()).copied().unwrap_or(0);
        let failed = state.state_of(id) == NodeState::Failed;
        failed && (is_silent || is_stuck) && asked == 0 && retryable(state, id)
    };
    let (node, id) = all.find(again)?;
    let told = node.phase != Phase::Verification;
    let failed = told.then(|| id.clone()).into_iter().collect();
    Some(Effect::SendBack { nodes: vec![id], failed })
}

fn loop_back(graph: &Graph, state: &RunState, failed: &[&Node]) -> Option<Effect> {
    let edges: Vec<_> = failed.iter().filter_map(|node| node.on_failure.as_ref()).collect();
    // A failed node without a failure edge ends the run: mending the others would not help it.
    let target = &edges.first()?.to;
    let max = edges.iter().filter(|edge| edge.to == *target).map(|edge| edge.max).max()?;
    let repairable = failed.iter().all(|node| {
        node.on_failure.is_some() && ids(graph, state, node).iter().all(|id| retryable(state, id))
    });
    if !repairable || state.loops.get(target).copied().unwrap_or(0) >= max {
        return None;
    }
    let nodes = graph.downstream(target).into_iter().filter_map(|id| graph.get(&id));
    let nodes = nodes.flat_map(|node| resettable(graph, state, node)).collect();
    let failed = failed.iter().flat_map(|node| ids(graph, state, node));
    let failed = failed.filter(|id| state.state_of(id) == NodeState::Failed).collect();
    Some(Effect::SendBack { nodes, failed })
}

/// Returns a node's instances, and the node itself where it was skipped as a whole.
fn resettable(graph: &Graph, state: &RunState, node: &Node) -> Vec<NodeId> {
    let mut all = ids(graph, state, node);
    let whole = NodeId::new(&node.id);
    if state.state_of(&whole) == NodeState::Skipped && !all.contains(&whole) {
        all.push(whole);
    }
    all
}

fn ids(graph: &Graph, state: &RunState, node: &Node) -> Vec<NodeId> {
    state.instances(graph, node).unwrap_or_default()
}

fn retryable(state: &RunState, id: &NodeId) -> bool {
    let outcome = state.nodes.get(id).and_then(|node| node.outcome.as_ref());
    let failure = outcome.and_then(|outcome| outcome.failure);
    matches!(failure, None | Some(Failure::NotResolved | Failure::Stuck))
}

fn failure(graph: &Graph, state: &RunState, failed: &[&Node]) -> RunEnd {
    let ids = failed.iter().flat_map(|node| ids(graph, state, node));
    let outcomes: Vec<_> = ids
        .filter(|id| state.state_of(id) == NodeState::Failed)
        .filter_map(|id| Some((id.clone(), state.nodes.get(&id)?.outcome.clone()?)))
        .collect();
    let text: Vec<String> =
        outcomes.iter().map(|(id, outcome)| format!("{id}: {}", outcome.summary)).collect();
    let text = text.join("; ");
    match outcomes.iter().find_map(|(_, outcome)| outcome.failure) {
        Some(Failure::Refused) => RunEnd::Refused(text),
        Some(Failure::Budget) => RunEnd::Budget(text),
        Some(Failure::Conflict) => RunEnd::Conflict(text),
        Some(Failure::Infrastructure) => RunEnd::Infrastructure(text),
        // A cancelled run ends elsewhere; this is an agent that its user ended.
        Some(Failure::Cancelled | Failure::NotResolved | Failure::Stuck) | None => {
            RunEnd::NotResolved(text)
        }
    }
}

fn landed(state: &RunState) -> RunEnd {
    let grade = match &state.verdict {
        Some(Verdict::Green { grade, .. }) => *grade,
        _ => crate::protocol::report::Grade::Unverified,
    };
    match &state.landing {
        Some((branch, _, to)) => {
            RunEnd::Landed { commit: to.clone(), branch: branch.clone(), grade }
        }
        None => RunEnd::Infrastructure("landed without an intent in the journal".to_owned()),
    }
}
