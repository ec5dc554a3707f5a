//! Sub-agents that an agent asks for: read-only teammates that answer one question.
//!
//! A sub-agent is named after its question and the files it is about, `node~1f3a9c`: the same question
//! of the same node is answered once, and a resume that asks again finds what was done for it. It sees
//! the files as whoever asks has left them: a writer's newest snapshot, never the tree that is written.

use std::{collections::BTreeMap, sync::Arc};

use tokio::sync::oneshot;

use crate::{
    agent::reins::Reins,
    coordinator::{
        brief::Brief,
        shared::Shared,
        state::{RunState, is_terminal},
        unit,
    },
    graph::{
        dag::Graph,
        node::{AgentWork, Node, Work},
    },
    protocol::{
        event::{Event, What},
        ids::{AgentId, NodeId, Oid},
        outcome::Outcome,
        task::{AgentKind, Mode, Phase},
    },
};

/// The most sub-agents one node may ask for.
const MAX_PER_NODE: usize = 8;

/// What happens to a question.
#[derive(Clone, Debug)]
pub(super) enum Next {
    /// It was answered before.
    Done(Box<Outcome>),
    /// A sub-agent begins, or goes on.
    Begin(NodeId),
    /// It is refused.
    Refused(String),
}

/// Returns whether a node is a sub-agent that another one has asked for.
pub(super) fn is_helper(node: &NodeId) -> bool {
    node.as_str().contains('~')
}

/// Returns what happens to a node's question, which is about the base of the run or a later commit.
pub(super) fn next(
    state: &RunState,
    node: &NodeId,
    (question, later): (&str, Option<&Oid>),
) -> Next {
    if is_helper(node) {
        return Next::Refused("a sub-agent cannot delegate again: answer it yourself".to_owned());
    }
    let about = later.map(|at| format!("\n{at}")).unwrap_or_default();
    let hash = blake3::hash(format!("{}{about}", question.trim()).as_bytes()).to_hex();
    let id = NodeId::new(format!("{node}~{}", &hash[..8]));
    if let Some(run) = state.nodes.get(&id) {
        return match &run.outcome {
            Some(outcome) if is_terminal(run.state) => Next::Done(Box::new(outcome.clone())),
            _ => Next::Begin(id),
        };
    }
    let asked = state.nodes.keys().filter(|id| {
        id.as_str().split_once('~').is_some_and(|(parent, _)| parent == node.as_str())
    });
    if asked.count() >= MAX_PER_NODE {
        let text = format!("{MAX_PER_NODE} sub-agents were asked already: use what they found");
        return Next::Refused(text);
    }
    Next::Begin(id)
}

/// Returns the conversation of a sub-agent.
pub(super) fn agent(id: &NodeId) -> AgentId {
    AgentId::new(format!("{id}@1"))
}

/// One question under way.
pub(super) struct Asked {
    pub(super) id: NodeId,
    /// The commit whose files it sees.
    pub(super) at: Oid,
    pub(super) question: String,
    /// The sub-agent's records of an earlier process.
    pub(super) earlier: Vec<Event>,
    pub(super) reins: Reins,
    pub(super) reply: oneshot::Sender<Result<Outcome, String>>,
}

/// Answers a question with a sub-agent, and journals it as a node of its own.
pub(super) async fn run(shared: Arc<Shared>, asked: Asked) {
    let Asked { id, at, question, earlier, reins, reply } = asked;
    let started = What::NodeStarted {
        attempt: 1,
        phase: Phase::Research,
        role: "delegate".to_owned(),
        agent_kind: AgentKind::Teammate,
        feedback: None,
    };
    if let Err(error) = shared.journal.append(Some(&id), None, started).await {
        let _ = reply.send(Err(error.to_string()));
        return;
    }
    let brief = Brief {
        earlier,
        sees: Some(at),
        ..brief(&shared.started.base, (&id, mode(&shared.graph(), &id)), question, reins)
    };
    let answer = match unit::outcome(&shared, &brief).await {
        Ok((outcome, _)) if unit::unfinished(&outcome, &brief.reins).is_some() => {
            Err(outcome.summary)
        }
        Ok((outcome, reused)) => {
            let what =
                What::NodeFinished { attempt: 1, outcome: Box::new(outcome.clone()), reused };
            let written = shared.journal.append(Some(&id), Some(&agent(&id)), what).await;
            written.map(|_| outcome).map_err(|error| error.to_string())
        }
        Err(end) => Err(format!("{end:?}")),
    };
    // The asking agent may be gone; its sub-agent's work is in the journal either way.
    let _ = reply.send(answer);
}

/// Returns the mode that a sub-agent takes over from the node that asked.
fn mode(graph: &Graph, id: &NodeId) -> Option<Mode> {
    let (asker, _) = id.as_str().split_once('~')?;
    match &graph.get(NodeId::new(asker).place().0)?.work {
        Work::Agent(agent) => agent.mode,
        Work::Checks => None,
    }
}

fn brief(base: &Oid, (id, mode): (&NodeId, Option<Mode>), question: String, reins: Reins) -> Brief {
    let tools = ["read", "read_many", "glob", "grep", "tree", "outline", "git"];
    let tools = tools.iter().chain(&["report_finding", "finish"]);
    let work = Work::Agent(AgentWork {
        role: "delegate".to_owned(),
        tools: tools.map(|name| (*name).to_owned()).collect(),
        edit_format: None,
        temperatures: Vec::new(),
        mode,
        max_turns: Some(20),
        worker: None,
    });
    let node = Node {
        id: id.to_string(),
        phase: Phase::Research,
        kind: AgentKind::Teammate,
        work,
        needs: Vec::new(),
        each: None,
        ask: None,
        takes: Vec::new(),
        gives: BTreeMap::new(),
        when: None,
        limits: None,
        on_failure: None,
        optional: true,
    };
    Brief {
        id: id.clone(),
        node,
        attempt: 1,
        index: 0,
        item: Some(serde_json::Value::String(question)),
        feedback: None,
        findings: Vec::new(),
        carries: serde_json::Map::new(),
        candidate: None,
        commit: None,
        ground: base.clone(),
        begin: base.clone(),
        sees: None,
        part: None,
        parts: Vec::new(),
        context: None,
        asked: None,
        base_report: None,
        earlier: Vec::new(),
        reins,
    }
}

#[cfg(test)]
mod tests {
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::graph::fixture::graph;

    #[test]
    fn a_helper_takes_over_the_mode_of_the_node_that_asked() {
        let graph = graph(
            "name: w\nversion: 1\nnodes:\n\
             \x20 - { id: a, phase: research, role: r, mode: default, each: 2, optional: true }\n\
             \x20 - { id: b, phase: implementation, role: r, needs: [a] }\n",
        );
        let mode = |id: &str| mode(&graph, &NodeId::new(id));
        assert_eq!(mode("a.1~1f3a9c00"), Some(Mode::Default));
        assert_eq!(mode("b~1f3a9c00"), None);
        let token = CancellationToken::new();
        let reins = Reins::new(&token, &token);
        let brief =
            brief(&Oid::new("b"), (&NodeId::new("a.1~x"), mode("a.1~x")), String::new(), reins);
        assert!(matches!(&brief.node.work, Work::Agent(a) if a.mode == Some(Mode::Default)));
    }
}
