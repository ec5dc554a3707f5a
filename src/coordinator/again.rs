//! Asking an agent that has ended: another one goes on from its conversation and answers.
//!
//! Who answers is a node of the graph, as those are that an agent which leads asks for: it has a
//! name, a permit and a price, it may fail, and the run does not end before it has. It is a fork of
//! the conversation that it goes on from, sees the files as they were left then, and can change
//! nothing and ask nobody. Who is asked once more goes on from the last answer.

use serde_json::{Value, json};

use crate::{
    coordinator::{
        lead,
        roll::{self, Nobody, Who},
        shared::Shared,
        state::{NodeRun, RunState, is_terminal},
        team::Stand,
    },
    git::refs,
    graph::{dag::Graph, grow::Addition, node::Work},
    journal::writer::JournalError,
    protocol::{
        asked::Asked,
        event::{Kept, What},
        ids::{AgentId, NodeId, Oid},
        outcome::Status,
        task::Phase,
    },
};

/// Most answers of the model to one question; all but the last look something up.
const MAX_TURNS: u32 = 10;
/// What may be called for an answer.
const TOOLS: [&str; 8] = ["finish", "git", "glob", "grep", "outline", "read", "read_many", "tree"];
/// Characters of the part of an id that stays in that of who answers: there is room for a number.
const MAX_STEM: usize = 30;

/// A question to an agent that has ended.
#[derive(Clone, Copy)]
pub(super) struct Question<'a> {
    /// The agent's node, and the agent.
    pub(super) of: (&'a NodeId, &'a AgentId),
    pub(super) text: &'a str,
    /// The node of the agent that asks; the user where there is none.
    pub(super) by: Option<&'a NodeId>,
}

/// Has a question answered; returns the node that answers it.
pub(super) async fn ask_again(
    stand: Stand<'_>,
    question: Question<'_>,
) -> Result<Result<NodeId, Nobody>, JournalError> {
    let Stand { shared, state } = stand;
    if let Some(known) = known(stand, question) {
        return Ok(Ok(known));
    }
    let (name, addition, graph, context) = match prepared(stand, question) {
        Ok(prepared) => prepared,
        Err(nobody) => return Ok(Err(nobody)),
    };
    let asked = Asked {
        of: question.of.1.clone(),
        question: shared.journal.keep(question.text.to_owned())?,
        at: left(shared, state, question.of.0),
    };
    let nodes = shared.journal.keep(Value::Array(addition.nodes).to_string())?;
    let (ids, context, asked) = (vec![name.to_string()], Some(context), Some(Box::new(asked)));
    let what = What::NodesAdded { ids, nodes, context, asked };
    let agent = question.by.and_then(|by| Some(AgentId::of(by, state.nodes.get(by)?.attempt)));
    shared.journal.append(question.by, agent.as_ref(), what).await?;
    shared.set_graph(graph);
    Ok(Ok(name))
}

/// Returns who speaks for an agent that has ended: the last of those that were asked about its work
/// and are at it or have left a conversation, else the agent itself.
pub(super) fn speaker(state: &RunState, (node, agent): (NodeId, AgentId)) -> Who {
    let speaks = |id: &NodeId| {
        !is_terminal(state.state_of(id)) || run(state, id).is_some_and(|run| context(run).is_some())
    };
    let own = answers(state).rev().filter(|(_, asked)| is_about(state, asked, &agent));
    let last = own.map(|(id, _)| id).find(speaks);
    last.map_or(Who::Ended(node, agent), |id| roll::who(state, &id))
}

/// Returns those that answer for others, in the order in which these were asked.
fn answers(state: &RunState) -> impl DoubleEndedIterator<Item = (NodeId, &Asked)> {
    state.added.iter().filter_map(|added| {
        let asked = added.asked.as_deref()?;
        Some((NodeId::new(added.ids.first()?), asked))
    })
}

/// Returns whether a question went to an agent, or to one that answered for it.
fn is_about(state: &RunState, asked: &Asked, agent: &AgentId) -> bool {
    let of = &asked.of;
    of == agent || asked_of(state, &of.node()).is_some_and(|asked| is_about(state, asked, agent))
}

fn asked_of<'s>(state: &'s RunState, node: &NodeId) -> Option<&'s Asked> {
    state.addition(node.as_str())?.asked.as_deref()
}

/// Returns the agent whose work an agent answers for, which is itself if it has work of its own.
fn root(state: &RunState, agent: &AgentId) -> AgentId {
    asked_of(state, &agent.node()).map_or_else(|| agent.clone(), |asked| root(state, &asked.of))
}

fn run<'s>(state: &'s RunState, node: &NodeId) -> Option<&'s NodeRun> {
    state.nodes.get(node)
}

fn context(run: &NodeRun) -> Option<&Kept> {
    run.outcome.as_ref()?.context.as_ref()
}

/// Returns who was asked this by this agent before: one that is taken up again asks the same again.
pub(super) fn known(Stand { shared, state }: Stand<'_>, question: Question<'_>) -> Option<NodeId> {
    let text = |asked: &Asked| shared.journal.fetch(&asked.question).unwrap_or_default();
    known_by(state, question, text)
}

fn known_by(
    state: &RunState,
    question: Question<'_>,
    text: impl Fn(&Asked) -> String,
) -> Option<NodeId> {
    let by = question.by?;
    let about = root(state, question.of.1);
    let own = |id: &NodeId| {
        state.addition(id.as_str()).is_some_and(|added| added.by.as_ref() == Some(by))
    };
    let mut same = answers(state).filter(|(id, asked)| {
        own(id) && root(state, &asked.of) == about && text(asked) == question.text
    });
    same.next().map(|(id, _)| id)
}

/// A node that is to be added, and the graph with it.
type Prepared = (NodeId, Addition, Graph, Kept);

fn prepared(
    Stand { shared, state }: Stand<'_>,
    question: Question<'_>,
) -> Result<Prepared, Nobody> {
    let (node, agent) = question.of;
    if shared.stop.is_cancelled() {
        let hint = "ask after `grafter resume`";
        return Err(nobody(format!("the run is stopping, so {agent} is not asked again"), hint));
    }
    let context = conversation(shared, state, question.of)?;
    let graph = shared.graph();
    let role = run(state, node).map(|run| run.role.clone()).unwrap_or_default();
    let name = free(&graph, &root(state, agent).node());
    let answers = json!({
        "id": name.as_str(), "phase": Phase::Synthesis, "role": role, "tools": TOOLS,
        "optional": true, "max_turns": MAX_TURNS,
    });
    let addition = Addition { by: question.by.map(NodeId::to_string), nodes: vec![answers] };
    let mut all = lead::additions(&shared.journal, &state.added).map_err(|why| full(&why))?;
    all.push(addition.clone());
    let graph = lead::graph_of(&shared.journal, &shared.started, &all).map_err(|why| full(&why))?;
    Ok((name, addition, graph, context))
}

/// Returns the conversation that an agent has left.
fn conversation(
    shared: &Shared,
    state: &RunState,
    (node, agent): (&NodeId, &AgentId),
) -> Result<Kept, Nobody> {
    let run = run(state, node);
    if run.is_some_and(|run| run.attempt == 0) {
        let hint = format!("grafter why {node} says more");
        return Err(nobody(format!("{node} was skipped, so there is nobody to ask"), hint));
    }
    let latest = run.map(|run| AgentId::of(node, run.attempt));
    if let Some(latest) = latest.filter(|latest| latest != agent) {
        let hint = format!("grafter send {latest} reaches that one");
        return Err(nobody(format!("{agent} has made room for {latest}"), hint));
    }
    let kept = run.and_then(context).cloned();
    if let Some(kept) = kept.filter(|kept| shared.journal.fetch(kept).is_ok()) {
        return Ok(kept);
    }
    let graph = shared.graph();
    let writer = graph.get(node.place().0).filter(|node| node.writes());
    let worker = writer.and_then(|node| match &node.work {
        Work::Agent(agent) => shared.options.worker.as_ref().or(agent.worker.as_ref()),
        Work::Checks => None,
    });
    let why = match worker {
        Some(worker) => format!("its work was done by the worker {worker}, whom nobody can ask"),
        None => "it ended before its first answer, or was ended in the middle of a call".to_owned(),
    };
    let hint = format!("grafter why {node} says what it came to");
    Err(nobody(format!("{agent} has left no conversation to go on from: {why}"), hint))
}

/// Returns the commit that the files stood at when an agent ended.
fn left(shared: &Shared, state: &RunState, node: &NodeId) -> Oid {
    let base = &shared.started.base;
    if let Some(asked) = asked_of(state, node) {
        return asked.at.clone();
    }
    let Some(run) = run(state, node) else { return base.clone() };
    match run.phase {
        Some(Phase::Implementation) => {
            let is_done =
                run.outcome.as_ref().is_some_and(|outcome| outcome.status == Status::Succeeded);
            let made = run.commit.clone().filter(|_| is_done);
            let begin = || state.begin(&shared.graph(), node);
            made.or_else(|| saved(shared, &AgentId::of(node, run.attempt))).or_else(begin)
        }
        Some(Phase::Verification) => {
            let made =
                state.candidate.as_ref().filter(|made| Some(&made.commit) == run.saw.as_ref());
            made.map(|made| made.candidate.clone()).or_else(|| run.saw.clone())
        }
        _ => None,
    }
    .unwrap_or_else(|| base.clone())
}

/// Returns the newest snapshot of what a writer wrote that did not come to a commit.
pub(super) fn saved(shared: &Shared, agent: &AgentId) -> Option<Oid> {
    let name = format!("refs/grafter/snap/{}/{agent}", shared.run);
    refs::value(&shared.repo, &name).ok().flatten()
}

/// Returns a name that no node has: `orient-again`, then `orient-again-2`.
fn free(graph: &Graph, root: &NodeId) -> NodeId {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
    let stem: String = root.as_str().chars().map(plain).take(MAX_STEM).collect();
    let first = format!("{}-again", stem.trim_end_matches('-'));
    let more = (2..).map(|number| format!("{first}-{number}"));
    let mut names = std::iter::once(first.clone()).chain(more);
    NodeId::new(names.find(|name| graph.get(name).is_none()).unwrap_or(first))
}

fn nobody(error: String, hint: impl Into<String>) -> Nobody {
    Nobody { error, hint: hint.into() }
}

fn full(why: &str) -> Nobody {
    let error = format!("nobody that has ended can be asked any more in this run: {why}");
    nobody(error, "who is at work still hears `grafter send`")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        coordinator::simulation::world::World,
        protocol::{
            outcome::{Failure, Outcome},
            task::AgentKind,
        },
    };

    fn starts(world: &mut World, id: &str, attempt: u32) {
        let (phase, role, agent_kind) = (Phase::Research, "r".into(), AgentKind::Fork);
        let what = What::NodeStarted { attempt, phase, role, agent_kind, feedback: None };
        world.record(Some(&NodeId::new(id)), what);
    }

    fn ends(world: &mut World, (id, attempt): (&str, u32), context: Option<&str>) {
        let context = context.map(|text| Kept::Inline(text.into()));
        let outcome = Outcome { context, ..Outcome::failed(Failure::NotResolved, "x") };
        let what = What::NodeFinished { attempt, outcome: Box::new(outcome), reused: false };
        world.record(Some(&NodeId::new(id)), what);
    }

    fn is_asked(world: &mut World, (of, by): (&str, Option<&str>), id: &str) {
        let kept = |text: &str| Kept::Inline(text.into());
        let asked = Asked { of: AgentId::new(of), question: kept("why?"), at: Oid::new("b") };
        let (nodes, context) = (kept("[]"), Some(kept("c")));
        let asked = Some(Box::new(asked));
        let what = What::NodesAdded { ids: vec![id.into()], nodes, context, asked };
        world.record(by.map(NodeId::new).as_ref(), what);
    }

    fn speaks(world: &World, agent: &str) -> Who {
        let agent = AgentId::new(agent);
        speaker(&world.state, (agent.node(), agent))
    }

    #[test]
    fn the_last_answer_speaks_for_whoever_was_asked_and_for_no_other_attempt() {
        let mut world = World::new("resolve", Vec::new());
        let has_ended = |id: &str, attempt| {
            let node = NodeId::new(id);
            Who::Ended(node.clone(), AgentId::of(&node, attempt))
        };
        starts(&mut world, "orient", 1);
        ends(&mut world, ("orient", 1), Some("c"));
        assert_eq!(speaks(&world, "orient@1"), has_ended("orient", 1));
        is_asked(&mut world, ("orient@1", None), "a");
        assert_eq!(speaks(&world, "orient@1"), Who::Waiting(NodeId::new("a")));
        starts(&mut world, "a", 1);
        let at_work = Who::Live(NodeId::new("a"), AgentId::new("a@1"));
        assert_eq!(speaks(&world, "orient@1"), at_work);
        ends(&mut world, ("a", 1), Some("c2"));
        is_asked(&mut world, ("a@1", None), "b");
        starts(&mut world, "b", 1);
        ends(&mut world, ("b", 1), None);
        // Who left no conversation is passed over.
        assert_eq!(speaks(&world, "orient@1"), has_ended("a", 1));
        is_asked(&mut world, ("a@1", None), "c");
        starts(&mut world, "c", 1);
        ends(&mut world, ("c", 1), Some("c3"));
        assert_eq!(speaks(&world, "orient@1"), has_ended("c", 1));
        assert_eq!(speaks(&world, "a@1"), has_ended("c", 1));
        assert_eq!(speaks(&world, "orient@2"), has_ended("orient", 2));
    }

    #[test]
    fn an_agent_that_is_taken_up_again_finds_whom_it_has_asked() {
        let mut world = World::new("resolve", Vec::new());
        starts(&mut world, "orient", 1);
        ends(&mut world, ("orient", 1), Some("c"));
        is_asked(&mut world, ("orient@1", Some("lead")), "a");
        let find = |of: &str, text: &str, by: Option<&str>| {
            let (agent, by) = (AgentId::new(of), by.map(NodeId::new));
            let question = Question { of: (&agent.node(), &agent), text, by: by.as_ref() };
            known_by(&world.state, question, |asked| match &asked.question {
                Kept::Inline(text) => text.clone(),
                Kept::Blob(..) => String::new(),
            })
        };
        let lead = Some("lead");
        assert_eq!(find("orient@1", "why?", lead), Some(NodeId::new("a")));
        assert_eq!(find("a@1", "why?", lead), Some(NodeId::new("a")));
        assert_eq!(find("orient@1", "how?", lead), None);
        assert_eq!(find("orient@1", "why?", Some("other")), None);
        assert_eq!(find("orient@1", "why?", None), None, "a user may say the same twice");
    }

    #[test]
    fn who_answers_has_a_name_that_a_node_may_have() {
        let mut graph = crate::graph::fixture::graph(
            "name: w\nversion: 1\nnodes:\n  - { id: a, phase: research, role: r }\n",
        );
        let name = |graph: &Graph, of: &str| free(graph, &NodeId::new(of)).to_string();
        assert_eq!(name(&graph, "research.2~1f3a9c00"), "research-2-1f3a9c00-again");
        let long = "a".repeat(29) + "-" + &"b".repeat(10);
        assert_eq!(name(&graph, &long), format!("{}-again", "a".repeat(29)));
        graph.nodes[0].id = "a-again".into();
        assert_eq!(name(&graph, "a"), "a-again-2");
    }
}
