//! What a unit is told when it begins: a cut of the state, so that units never share it.

use serde_json::{Map, Value};

use crate::{
    agent::reins::Reins,
    coordinator::{
        again,
        plan::finding_sources,
        roll,
        shared::Shared,
        state::{Candidate, RunState},
    },
    graph::node::Node,
    protocol::{
        asked::Asked,
        event::{Event, Kept, What},
        ids::{AgentId, NodeId, Oid},
        outcome::Finding,
        part::{Parked, Part},
        report::CheckReport,
        task::{AgentKind, Phase},
    },
    verify::verdict,
};

/// One instance's orders.
#[derive(Clone, Debug)]
pub(super) struct Brief {
    pub(super) id: NodeId,
    pub(super) node: Node,
    pub(super) attempt: u32,
    pub(super) index: u32,
    pub(super) item: Option<Value>,
    pub(super) feedback: Option<Kept>,
    pub(super) findings: Vec<Finding>,
    pub(super) carries: Map<String, Value>,
    pub(super) candidate: Option<Candidate>,
    pub(super) commit: Option<Oid>,
    /// The commit that its tree is made at, and the one that its work is made on top of.
    pub(super) ground: Oid,
    pub(super) begin: Oid,
    /// The commit whose files it sees, if it is somebody's reader.
    pub(super) sees: Option<Oid>,
    /// The part that it writes, if there are several.
    pub(super) part: Option<Part>,
    /// What became of the parts that others have made before it, a line for each.
    pub(super) parts: Vec<String>,
    /// The context that it forks from, if it is a fork.
    pub(super) context: Option<Kept>,
    /// Whom it answers for, if it does.
    pub(super) asked: Option<Box<Asked>>,
    /// Checks on the base, if they had ended when the instance started.
    pub(super) base_report: Option<CheckReport>,
    /// This agent's records of an earlier process.
    pub(super) earlier: Vec<Event>,
    /// How the user holds this agent.
    pub(super) reins: Reins,
}

impl Brief {
    /// Returns the orders of an instance; none if the graph has no such node.
    pub(super) fn of(shared: &Shared, state: &RunState, id: &NodeId) -> Option<Self> {
        let (name, index) = id.place();
        let (node, context) = rooted(state, shared.graph().get(name)?.clone());
        let run = state.nodes.get(id)?;
        let mut carries = Map::new();
        for (carry, _) in &node.takes {
            let value = node.needs.iter().find_map(|from| ancestor(shared, state, from, carry));
            carries.extend(value.map(|value| (carry.clone(), value)));
        }
        let sources = finding_sources(&shared.graph(), &node);
        let (base, part) = (&shared.started.base, state.part(&shared.graph(), id));
        let commit = match part {
            // Its earlier work is of interest only where it has to be done again.
            Some(_) => run.commit.clone().filter(|_| run.feedback.is_some()),
            None => state.commit.clone(),
        };
        Some(Self {
            ground: state
                .ground(&shared.graph(), id)
                .filter(|_| part.is_some())
                .unwrap_or_else(|| base.clone()),
            sees: None,
            begin: state.begin(&shared.graph(), id).unwrap_or_else(|| base.clone()),
            parts: team(shared, state, &node),
            part,
            id: id.clone(),
            attempt: run.attempt,
            index,
            item: state.item(&shared.graph(), &node, index as usize),
            feedback: run.feedback.clone(),
            // A fork has seen in its context what its parent reported.
            findings: match context {
                Some(_) => Vec::new(),
                None => sources.iter().flat_map(|id| state.findings(&shared.graph(), id)).collect(),
            },
            carries,
            candidate: state.candidate.clone(),
            commit,
            context,
            asked: state.addition(name).and_then(|added| added.asked.clone()),
            base_report: state.base_report.clone().filter(|_| run.knows_base),
            earlier: Vec::new(),
            reins: Reins::new(&shared.stop, &shared.halt),
            node,
        })
    }

    /// Returns the id of this attempt's conversation.
    pub(super) fn agent(&self) -> AgentId {
        AgentId::of(&self.id, self.attempt)
    }

    /// Returns the branch that its work is committed on.
    pub(super) fn branch(&self, shared: &Shared) -> String {
        let Some(part) = &self.part else { return shared.branch() };
        let name = if part.id.is_empty() { String::new() } else { format!("-{}", part.id) };
        format!("grafter/{}/{}{name}", shared.run, self.id)
    }

    /// Returns the commit that its commit's difference is taken from: its part's beginning, or the
    /// base of the run.
    pub(super) fn root<'a>(&'a self, shared: &'a Shared) -> &'a Oid {
        if self.part.is_some() { &self.begin } else { &shared.started.base }
    }
}

/// Returns the commit whose files an agent sees that another one has asked for to read: the work as
/// far as it was saved when the agent began, from its first turn to its last.
pub(super) fn sees(shared: &Shared, state: &RunState, brief: &Brief) -> Option<Oid> {
    let reads = matches!(brief.node.phase, Phase::Research | Phase::Synthesis);
    state.addition(&brief.node.id).filter(|_| reads && brief.asked.is_none())?;
    if !brief.earlier.is_empty() {
        return brief.earlier.iter().find_map(|event| match &event.what {
            What::PlaceIntent { commit, .. } => Some(commit.clone()),
            _ => None,
        });
    }
    let writes = |id: &NodeId| {
        let run = state.nodes.get(id);
        !id.is_one_of_many() && run.and_then(|run| run.phase) == Some(Phase::Implementation)
    };
    let mut writers = roll::live(state).filter(|(id, _)| writes(id));
    let saved = writers.next().and_then(|(_, agent)| again::saved(shared, &agent));
    saved.or_else(|| state.commit.clone())
}

/// Returns what became of the parts that the nodes before a writer have made.
fn team(shared: &Shared, state: &RunState, node: &Node) -> Vec<String> {
    let graph = shared.graph();
    let needed = node.needs.iter().filter_map(|id| graph.get(id));
    let split = needed.filter(|from| node.writes() && from.is_split());
    let ids = split.flat_map(|from| state.instances(&shared.graph(), from).unwrap_or_default());
    let line = |id: NodeId| {
        let part = state.part(&shared.graph(), &id)?;
        let summary = state.nodes.get(&id)?.outcome.as_ref()?.summary.clone();
        let stands = if state.is_joined(&id) { "joined" } else { "NOT in your tree" };
        let name = if part.id.is_empty() { id.to_string() } else { part.id.clone() };
        Some(format!("{name} ({}), {stands}: {summary}", part.headline()))
    };
    ids.filter_map(line).collect()
}

/// Returns a node and the context that it forks from. A fork whose parent left none, because it gave
/// up, begins with a context of its own: a parent may be optional.
fn rooted(state: &RunState, node: Node) -> (Node, Option<Kept>) {
    let given = state.addition(&node.id).and_then(|added| added.context.clone());
    if node.kind != AgentKind::Fork && given.is_none() {
        return (node, None);
    }
    let parent = node.needs.first().and_then(|id| state.nodes.get(&NodeId::new(id)));
    let outcome = parent.and_then(|run| run.outcome.as_ref());
    let left = outcome.and_then(|outcome| outcome.context.clone());
    match given.or(left) {
        Some(context) => (Node { kind: AgentKind::Fork, ..node }, Some(context)),
        None => (Node { kind: AgentKind::Teammate, ..node }, None),
    }
}

/// Looks for a carry in a needed node, then in what that one needs: validated to be there.
fn ancestor(shared: &Shared, state: &RunState, from: &str, carry: &str) -> Option<Value> {
    state.carry(&shared.graph(), from, carry).or_else(|| {
        let graph = shared.graph();
        let node = graph.get(from)?;
        node.needs.iter().find_map(|from| ancestor(shared, state, from, carry))
    })
}

/// Returns the record that starts an instance; none if the graph has no such node.
pub(super) fn started(shared: &Shared, state: &RunState, id: &NodeId) -> Option<What> {
    let (node, _) = rooted(state, shared.graph().get(id.place().0)?.clone());
    let run = state.nodes.get(id);
    Some(What::NodeStarted {
        attempt: run.map_or(1, |run| run.attempt + 1),
        phase: node.phase,
        role: node.role().to_owned(),
        agent_kind: node.kind,
        feedback: run.and_then(|run| run.feedback.clone()),
    })
}

/// Returns the record that gives a part up, and says where its work stays.
pub(super) fn parked(shared: &Shared, state: &RunState, id: &NodeId, why: &str) -> What {
    let has_work = state.nodes.get(id).is_some_and(|run| run.commit.is_some());
    let branch = Brief::of(shared, state, id).filter(|_| has_work).map(|it| it.branch(shared));
    let kept = branch.map(|branch| format!("; its work stays on {branch}")).unwrap_or_default();
    What::PartParked(Parked { why: format!("{why}{kept}") })
}

/// Returns what the writer is told about the nodes that sent its work back.
pub(super) fn feedback(shared: &Shared, state: &RunState, failed: &[NodeId]) -> String {
    let phase = |id: &NodeId| shared.graph().get(id.place().0).map(|node| node.phase);
    let is_check = |id: &NodeId| phase(id) == Some(Phase::Verification);
    let silent = |id: &NodeId| {
        let run = state.nodes.get(id);
        let outcome = run.and_then(|run| run.outcome.as_ref());
        run.is_some_and(|run| run.role != "checks")
            && outcome.is_some_and(|outcome| outcome.review.is_none())
    };
    let mut text = String::new();
    for paths in failed.iter().filter_map(|id| state.clashes.get(id)) {
        text.push_str(&paths.join("\n"));
    }
    if failed.iter().any(is_check) {
        let report = state.candidate_report.clone().unwrap_or_default();
        let reviews = state.reviews(&shared.graph());
        text = verdict::feedback(state.base_report.as_ref(), &report, &reviews);
    }
    let others = failed
        .iter()
        .filter(|id| !is_check(id) || silent(id))
        .filter(|id| !state.clashes.contains_key(id));
    for (id, outcome) in others.filter_map(|id| Some((id, state.nodes.get(id)?.outcome.as_ref()?)))
    {
        text.push_str(&format!("{id}: {}\n", outcome.summary));
    }
    text
}
