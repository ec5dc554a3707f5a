//! What an agent that leads the run wants done: nodes in the graph, and word of what they come to.
//!
//! It decides what is to be done; how that is done is the same as in a workflow. What it asks for
//! becomes nodes, validated together with those that are there, so phases, tools, single writers
//! and the number of nodes are kept by the rules of every graph. Nothing here believes the model.

use serde_json::{Value, json};

use crate::{
    coordinator::{
        shared::Shared,
        state::{Added, RunState, is_terminal},
    },
    graph::{
        dag::Graph,
        grow::{self, Addition},
        load::GraphError,
        node::Work,
        rules::DEFAULT,
    },
    journal::writer::Journal,
    protocol::{
        event::{Kept, What},
        ids::NodeId,
        outcome::{Finding, Outcome},
        request::{Errand, Led, Order},
        started::RunStarted,
        task::{AgentKind, Phase},
        usage::Micros,
    },
    settings::nearest,
    tools::catalogue::catalogue,
};

/// The tools of those that work together: what their phase offers, and each other.
const TEAM: [&str; 4] = [DEFAULT, "receive", "send", "tasks"];

/// How the names of nodes begin that check what a writer wrote.
const QUEUED: &str = "queue-";

/// An agent that waits for others.
#[derive(Debug)]
pub(super) struct Wait {
    pub(super) by: NodeId,
    pub(super) until: Until,
    pub(super) reply: Reply,
}

/// What an agent waits for.
#[derive(Debug)]
pub(super) enum Until {
    /// The end of these nodes; a message is told of, too.
    Ended(Vec<String>),
    /// A message.
    Mail,
}

/// Where an answer goes.
pub(super) type Reply = tokio::sync::oneshot::Sender<Result<Led, String>>;

/// What stands behind an errand.
#[derive(Clone, Copy)]
pub(super) struct Ask<'a> {
    pub(super) shared: &'a Shared,
    pub(super) state: &'a RunState,
    pub(super) by: &'a NodeId,
}

/// What an errand changes.
pub(super) enum Change {
    /// The graph holds it already: a resume asks again.
    Known(Vec<String>),
    /// The record of it, and the graph with it.
    Grown(Vec<String>, What, Box<Graph>),
}

/// Returns the graph of a run as it has grown.
pub(super) fn graph_of(
    journal: &Journal,
    started: &RunStarted,
    added: &[Addition],
) -> Result<Graph, String> {
    let text = journal.fetch(&started.workflow_text).map_err(|error| error.to_string())?;
    let name = format!("{}.yaml", started.workflow);
    grow::grown((&name, &text), added, catalogue()).map_err(|error| words(&error))
}

/// Returns what was added, as the records say.
pub(super) fn additions(journal: &Journal, added: &[Added]) -> Result<Vec<Addition>, String> {
    let read = |added: &Added| {
        let text = journal.fetch(&added.nodes).map_err(|error| error.to_string())?;
        let nodes = serde_json::from_str(&text).map_err(|error| error.to_string())?;
        Ok(Addition { by: added.by.as_ref().map(NodeId::to_string), nodes })
    };
    added.iter().map(read).collect()
}

impl Ask<'_> {
    /// Adds an agent.
    pub(super) fn spawn(self, order: Order) -> Result<Change, String> {
        if order.name.starts_with(QUEUED) {
            return Err(format!(
                "names that begin with `{QUEUED}` are those of the checks that `merge_enqueue` asks \
                 for; take another"
            ));
        }
        let writers = self.writers();
        let phase = self.phase(&order)?;
        if phase == Phase::Verification && writers.is_empty() {
            return Err("there is nothing to verify yet: spawn a worktree agent first".to_owned());
        }
        let follows = matches!(phase, Phase::Implementation | Phase::Verification);
        let mut needs = order.after;
        needs.retain(|need| *need != self.by.as_str());
        let more = writers.into_iter().filter(|id| follows && *id != order.name);
        needs.extend(more.filter(|id| !needs.contains(id)).collect::<Vec<_>>());
        if order.kind == AgentKind::Fork {
            needs.insert(0, self.by.to_string());
        }
        let role = match (order.kind, order.role) {
            (AgentKind::Fork, _) => self.own_role(),
            (_, Some(role)) => role,
            (_, None) => natural(phase).to_owned(),
        };
        let mut node = json!({
            "id": order.name, "phase": phase, "kind": order.kind, "role": role, "needs": needs,
            "ask": order.task, "optional": true,
        });
        if let Some(turns) = order.max_turns {
            node["max_turns"] = turns.into();
        }
        if let Some(cents) = order.max_cents {
            self.affords(cents)?;
            node["limits"] = json!({ "usd": f64::from(cents) / 100.0 });
        }
        // A reviewer is to hear nothing from those whose work it judges, and a fork has its parent's.
        if order.kind != AgentKind::Fork && phase != Phase::Verification {
            node["tools"] = json!(TEAM);
        }
        if phase == Phase::Research {
            node["gives"] = json!({ "findings": "findings" });
        }
        self.add(vec![node], order.context)
    }

    /// Refuses a budget that is more than what is left of the run's and promised to nobody.
    fn affords(self, cents: u32) -> Result<(), String> {
        let Some(cap) = self.shared.options.max_cost else { return Ok(()) };
        let left = unpromised(self.state, &self.shared.graph(), cap);
        let wanted = Micros(u64::from(cents) * 10_000);
        if wanted > left {
            let why = "are left that nobody was promised; ask for less";
            return Err(format!("{wanted} are wanted, but only {left} of {cap} {why}"));
        }
        Ok(())
    }

    /// Adds the checks on what a writer wrote.
    pub(super) fn enqueue(self, writer: &str) -> Result<Change, String> {
        if !self.writers().iter().any(|id| id == writer) {
            let near = nearest::hint(writer, self.writers().iter().map(String::as_str));
            return Err(format!("there is no worktree agent `{writer}`{near}"));
        }
        let run = self.state.nodes.get(&NodeId::new(writer));
        let commit = run.and_then(|run| run.outcome.as_ref()?.commit.clone());
        match commit {
            None => return Err(format!("`{writer}` has no commit (yet): wait for it")),
            Some(commit) if Some(&commit) != self.state.commit.as_ref() => {
                let text = "was written over by a later one, which is to be enqueued in its place";
                return Err(format!("the commit of `{writer}` {text}"));
            }
            Some(_) => {}
        }
        let id = format!("{QUEUED}{writer}");
        let needs = self.writers();
        let (phase, work) = (Phase::Verification, "checks");
        let node =
            json!({ "id": id, "phase": phase, "work": work, "needs": needs, "optional": true });
        self.add(vec![node], None)
    }

    /// Adds the nodes of a workflow.
    pub(super) fn plan(self, name: &str) -> Result<Change, String> {
        let known = &self.shared.workflows;
        let Some((_, text)) = known.iter().find(|(known, _)| known == name) else {
            let names: Vec<_> = known.iter().map(|(name, _)| name.as_str()).collect();
            let near = nearest::hint(name, names.iter().copied());
            return Err(format!(
                "there is no workflow `{name}`{near} (known: {})",
                names.join(", ")
            ));
        };
        let nodes = grow::nodes_of(name, text).map_err(|error| words(&error))?;
        self.add(nodes, None)
    }

    fn add(self, nodes: Vec<Value>, context: Option<Kept>) -> Result<Change, String> {
        let Self { shared, state, by } = self;
        if state.addition(by.place().0).is_some() {
            return Err("who was asked for cannot ask for others: do it yourself".to_owned());
        }
        let mut all = additions(&shared.journal, &state.added)?;
        let addition = Addition { by: Some(by.to_string()), nodes };
        let ids: Vec<String> = addition.ids().map(str::to_owned).collect();
        if all.contains(&addition) {
            return Ok(Change::Known(ids));
        }
        let json = Value::Array(addition.nodes.clone()).to_string();
        all.push(addition);
        let graph = graph_of(&shared.journal, &shared.started, &all)?;
        self.prompted(&graph, &ids)?;
        let kept = shared.journal.keep(json).map_err(|error| error.to_string())?;
        let what = What::NodesAdded { ids: ids.clone(), nodes: kept, context, asked: None };
        Ok(Change::Grown(ids, what, Box::new(graph)))
    }

    /// An agent without a prompt would not know what it is.
    fn prompted(self, graph: &Graph, ids: &[String]) -> Result<(), String> {
        let roles = self.shared.prompts.roles();
        let agents = ids.iter().filter_map(|id| graph.get(id));
        let mut agents = agents.filter(|node| matches!(node.work, Work::Agent(_)));
        let Some(node) = agents.find(|node| !roles.contains(&node.role())) else { return Ok(()) };
        let near = nearest::hint(node.role(), roles.iter().copied());
        Err(format!("there is no role `{}`{near} (known: {})", node.role(), roles.join(", ")))
    }

    /// Returns the names of all nodes that write, in the order of the graph.
    fn writers(self) -> Vec<String> {
        let graph = self.shared.graph();
        let writers = graph.nodes.iter().filter(|node| node.writes());
        writers.map(|node| node.id.clone()).collect()
    }

    fn own_role(self) -> String {
        let graph = self.shared.graph();
        graph.get(self.by.place().0).map(|node| node.role().to_owned()).unwrap_or_default()
    }

    fn phase(self, order: &Order) -> Result<Phase, String> {
        let graph = self.shared.graph();
        let own = graph.get(self.by.place().0).map_or(Phase::Synthesis, |node| node.phase);
        let natural = match order.kind {
            AgentKind::Fork => own,
            AgentKind::Worktree => Phase::Implementation,
            AgentKind::Teammate => return Ok(order.phase.unwrap_or(Phase::Research)),
        };
        match order.phase {
            Some(phase) if phase != natural => Err(format!(
                "a {} is in the {} phase, not in {}",
                order.kind.name(),
                natural.name(),
                phase.name()
            )),
            _ => Ok(natural),
        }
    }

    /// Returns the nodes that are waited for.
    pub(super) fn awaited(self, names: Vec<String>) -> Result<Vec<String>, String> {
        let own = self.state.added.iter().filter(|added| added.by.as_ref() == Some(self.by));
        let own: Vec<String> = own.flat_map(|added| added.ids.clone()).collect();
        let unknown = names.iter().find(|name| !own.contains(name));
        if let Some(name) = unknown {
            let near = nearest::hint(name, own.iter().map(String::as_str));
            return Err(format!("you have not asked for any `{name}`{near}"));
        }
        match (names.is_empty(), own.is_empty()) {
            (true, true) => Err("you have not asked for anybody: there is no one".to_owned()),
            (true, false) => Ok(own),
            (false, _) => Ok(names),
        }
    }

    /// Answers what changes nothing.
    pub(super) fn look(self, errand: &Errand) -> Result<Led, String> {
        match errand {
            Errand::Finding(id) => self.finding(id).map(Led::Finding),
            _ => Ok(Led::Added(self.at_work())),
        }
    }

    /// Returns those that were asked for and have not ended.
    fn at_work(self) -> Vec<String> {
        let graph = self.shared.graph();
        let own = self.state.added.iter().filter(|added| added.by.as_ref() == Some(self.by));
        let own = own.flat_map(|added| &added.ids).filter(|id| {
            let node = graph.get(id);
            node.is_some_and(|node| !is_terminal(self.state.group(&graph, node)))
        });
        own.cloned().collect()
    }

    /// Returns a finding.
    fn finding(self, id: &str) -> Result<Finding, String> {
        let outcomes = self.state.nodes.values().filter_map(|run| run.outcome.as_ref());
        let mut all = outcomes.flat_map(|outcome| &outcome.findings);
        let known = || format!("there is no finding `{id}`: `wait` shows those that there are");
        all.find(|finding| finding.id == id).cloned().ok_or_else(known)
    }
}

/// Returns what is left of the run's budget that no agent was promised.
fn unpromised(state: &RunState, graph: &Graph, cap: Micros) -> Micros {
    let promised = graph.nodes.iter().filter_map(|node| {
        let usd = node.limits?.usd?;
        let spent = state.spent.get(&NodeId::new(&node.id)).copied().unwrap_or_default().0;
        (!is_terminal(state.group(graph, node))).then(|| usd.saturating_sub(spent))
    });
    let promised = promised.fold(Micros(0), |sum, more| sum + more);
    cap.saturating_sub(state.cost + state.maybe.0 + promised)
}

/// Returns what has come of these nodes, if all have ended.
pub(super) fn ended(shared: &Shared, state: &RunState, names: &[String]) -> Option<Led> {
    let graph = shared.graph();
    let mut all = Vec::new();
    for node in names.iter().filter_map(|name| graph.get(name)) {
        if !is_terminal(state.group(&graph, node)) {
            return None;
        }
        all.extend(state.instances(&graph, node).unwrap_or_default());
    }
    let said = |id: NodeId| {
        let outcome = state.nodes.get(&id)?.outcome.clone();
        let skipped = || Outcome::succeeded("was skipped");
        Some((id, outcome.unwrap_or_else(skipped)))
    };
    Some(Led::Ended(all.into_iter().filter_map(said).collect(), state.commit.clone()))
}

/// Says which of these nodes cannot go on.
pub(super) fn stuck(shared: &Shared, state: &RunState, names: &[String]) -> String {
    let graph = shared.graph();
    let open = |name: &&String| {
        graph.get(name).is_some_and(|node| !is_terminal(state.group(&graph, node)))
    };
    let names: Vec<_> = names.iter().filter(open).map(|name| format!("`{name}`")).collect();
    format!("what {} needs has failed or is not there, so nothing goes on", names.join(", "))
}

fn words(error: &GraphError) -> String {
    let all: Vec<_> = error.problems.iter().map(|problem| problem.message.as_str()).collect();
    all.join("; ")
}

/// Returns the role of an agent of which only the phase was said.
fn natural(phase: Phase) -> &'static str {
    match phase {
        Phase::Research => "researcher",
        Phase::Synthesis => "coordinator",
        Phase::Implementation => "implementer",
        Phase::Verification => "reviewer",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::fixture::graph;

    #[test]
    fn what_was_promised_to_one_is_not_promised_to_another() {
        let graph = graph(
            "name: w\nversion: 1\nnodes:\n\
             \x20 - { id: a, phase: research, role: r, optional: true, limits: { usd: 0.3 } }\n\
             \x20 - { id: b, phase: research, role: r, optional: true }\n",
        );
        let mut state = RunState { cost: Micros(250_000), ..RunState::default() };
        let left = |state: &RunState| unpromised(state, &graph, Micros(1_000_000));
        assert_eq!(left(&state), Micros(450_000));
        // What it has spent of it is paid, and no promise any more.
        state.spent.insert(NodeId::new("a"), (Micros(100_000), 1));
        assert_eq!(left(&state), Micros(550_000));
        state.cost = Micros(900_000);
        assert_eq!(left(&state), Micros(0));
    }
}
