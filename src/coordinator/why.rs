//! What an agent waits for, in words: `grafter why`. Pure; what agents do just now is told by them.

use std::time::Duration;

use crate::{
    agent::reins::Doing,
    coordinator::{
        control::Live,
        options::Options,
        parts::Basis,
        plan, roll,
        roll::Who,
        state::{RunState, is_delegate, is_terminal},
    },
    graph::{dag::Graph, node::Node, ready::NodeState},
    protocol::{
        ids::{AgentId, NodeId},
        task::Phase,
    },
};

/// Who is told that somebody is not at work can see who is.
pub const HINT: &str = "`grafter ps` lists the agents, `grafter why NAME` says what one waits for";

/// What the answer is read from.
#[derive(Clone, Copy, Debug)]
pub struct Scene<'a> {
    /// The workflow.
    pub graph: &'a Graph,
    /// The run's limits.
    pub options: &'a Options,
    /// The run.
    pub state: &'a RunState,
    /// Check slots: how many are taken, and how many there are.
    pub slots: (u32, u32),
    /// Who holds the tree that the agent waits for, and how long it does at most.
    pub tree: Option<&'a (String, Duration)>,
}

/// Returns what an agent does, in a few words.
pub fn short(live: &Live) -> String {
    let what = match &live.doing {
        Doing::Settling => "starting".to_owned(),
        Doing::Reserving => "waiting for the budget".to_owned(),
        Doing::Asking { why: None, .. } => "thinking".to_owned(),
        Doing::Asking { attempt, .. } => format!("waiting for the model, attempt {attempt}"),
        Doing::Calling { tool, .. } => format!("running {tool}"),
        Doing::Approval { .. } => "waiting for you".to_owned(),
        Doing::Paused => return "paused".to_owned(),
        Doing::Leaving => "saving its work".to_owned(),
    };
    if live.paused { format!("pausing, {what}") } else { what }
}

impl Scene<'_> {
    /// Returns what somebody waits for, one line for each thing.
    pub fn why(&self, who: &Who, live: Option<&Live>) -> Vec<String> {
        match (who, live) {
            (Who::Live(node, _), Some(live)) => self.at_work(node, live),
            (Who::Live(_, agent), None) => vec![format!("{agent} is just beginning or ending")],
            (Who::Checks(node), _) if self.state.state_of(node) == NodeState::Running => {
                let (taken, all) = self.slots;
                vec![format!("{node} runs the checks ({taken} of {all} check slots are taken)")]
            }
            (Who::Waiting(node) | Who::Checks(node), _) if !self.has_ended(node) => {
                self.not_begun(node)
            }
            (Who::Ended(node, _) | Who::Waiting(node) | Who::Checks(node), _) => self.ended(node),
        }
    }

    fn has_ended(&self, id: &NodeId) -> bool {
        is_terminal(self.state.state_of(id))
    }

    fn ended(&self, id: &NodeId) -> Vec<String> {
        let outcome = self.state.nodes.get(id).and_then(|run| run.outcome.as_ref());
        vec![match outcome {
            Some(outcome) if outcome.failure.is_some() => {
                format!("{id} has failed: {}", outcome.summary)
            }
            Some(outcome) => format!("{id} is done: {}", outcome.summary),
            None => format!("{id} waits for nothing: it was skipped or has made room for another"),
        }]
    }

    fn at_work(&self, node: &NodeId, live: &Live) -> Vec<String> {
        let Live { agent, for_ms, mail, .. } = live;
        let time = format!("{}.{} s", for_ms / 1000, for_ms % 1000 / 100);
        let mut lines = match &live.doing {
            Doing::Settling => {
                let held = |(holder, most): &(String, Duration)| {
                    format!("{holder} holds it; after {} s that is E_BUSY", most.as_secs())
                };
                let waits = format!("{agent} waits for its tree, for {time}");
                [waits].into_iter().chain(self.tree.map(held)).collect()
            }
            Doing::Reserving => vec![format!("{agent} waits for the budget, for {time}")],
            Doing::Asking { turn, model, attempt, why } => {
                let asked = format!(
                    "{agent} waits for the answer of {model} to turn {turn}, attempt {attempt}, \
                     for {time}"
                );
                [asked].into_iter().chain(why.clone()).collect()
            }
            Doing::Calling { tool, title } => self.calling(node, agent, (tool, title, &time)),
            Doing::Approval { title } => vec![
                format!("{agent} waits for your word, for {time}: {title}"),
                "the terminal of the run asks for it".to_owned(),
            ],
            Doing::Paused => vec![
                format!("{agent} is paused, for {time}"),
                format!("grafter unpause {agent} lets it go on"),
            ],
            Doing::Leaving => vec![format!("{agent} is done; its work is being saved")],
        };
        if live.paused && live.doing != Doing::Paused {
            lines.push("it pauses as soon as that has ended".to_owned());
        }
        if *mail > 0 {
            lines.push(format!("{mail} of your messages wait for its next model call"));
        }
        lines
    }

    fn calling(
        &self,
        node: &NodeId,
        agent: &AgentId,
        (tool, title, time): (&str, &str, &str),
    ) -> Vec<String> {
        let mut lines = vec![format!("{agent} runs {tool}, for {time}: {title}")];
        let (taken, all) = self.slots;
        match tool {
            "run_tests" => lines.push(format!("{taken} of {all} check slots are taken")),
            "receive" => lines.push(format!(
                "it waits until somebody writes to it, which you can: grafter send {node} TEXT"
            )),
            _ => {}
        }
        let helper = format!("{node}~");
        let helpers = roll::live(self.state).filter(|(id, _)| id.as_str().starts_with(&helper));
        lines.extend(helpers.map(|(_, helper)| format!("{helper} works for it")));
        lines
    }

    fn not_begun(&self, id: &NodeId) -> Vec<String> {
        let Some(node) = self.graph.get(id.place().0) else {
            return vec![format!("{id} waits for the agent that asked it")];
        };
        let mut reasons: Vec<String> =
            node.needs.iter().filter_map(|need| self.needed(need)).collect();
        if reasons.is_empty() {
            let lacking = || self.behind(node, id).or_else(|| self.permit(node));
            reasons.extend(self.gate(node).or_else(|| self.basis(id)).or_else(lacking));
        }
        if reasons.is_empty() {
            reasons.push("nothing: it begins with the next step of the run".to_owned());
        }
        reasons.iter().map(|why| format!("{id} waits for {why}")).collect()
    }

    /// Says why a needed node keeps others waiting, if it does.
    fn needed(&self, need: &str) -> Option<String> {
        let node = self.graph.get(need)?;
        let workers = self.workers(|id| id.place().0 == need);
        match self.state.group(self.graph, node) {
            NodeState::Failed if !node.optional => Some(format!("{need}, which has failed")),
            state if is_terminal(state) => None,
            _ if workers.is_empty() => Some(format!("{need}, which has not begun")),
            _ if workers.contains(", ") => Some(format!("{need}, at which {workers} work")),
            _ => Some(format!("{need}, at which {workers} works")),
        }
    }

    fn gate(&self, node: &Node) -> Option<String> {
        if plan::gate(self.graph, self.options, self.state, node) {
            return None;
        }
        let text = match node.phase {
            Phase::Verification if self.state.base_report.is_some() => {
                "a candidate: the work is being merged with its target"
            }
            Phase::Synthesis => "a finding of those it needs",
            _ => "the checks on the base, which run first",
        };
        Some(text.to_owned())
    }

    /// Says which part this one builds on that is not joined yet.
    fn basis(&self, id: &NodeId) -> Option<String> {
        match self.state.basis(self.graph, id) {
            Basis::Open(other) => Some(format!("{other}, on whose work it builds, to be joined")),
            Basis::Joined | Basis::Lost(_) => None,
        }
    }

    /// Says which fork goes ahead of this one.
    fn behind(&self, node: &Node, id: &NodeId) -> Option<String> {
        let first = plan::behind(self.state, node, id)?;
        let does = match self.state.state_of(&first) {
            NodeState::Running => "which is asking its model first",
            _ => "which begins first",
        };
        Some(format!("{first}, {does}: what that reads of their context, the others need not pay"))
    }

    /// Says which permit of the scheduler is lacking, and who holds it.
    fn permit(&self, node: &Node) -> Option<String> {
        let is_writer = |id: &NodeId| {
            let of = self.graph.get(id.place().0);
            of.is_some_and(|node| node.phase == Phase::Implementation)
        };
        let writer = self.workers(is_writer);
        if node.phase == Phase::Implementation && !writer.is_empty() {
            return Some(format!("the write lock of the tree, which {writer} holds"));
        }
        let at_work = self
            .state
            .nodes
            .keys()
            .filter(|id| self.state.state_of(id) == NodeState::Running && !is_delegate(id));
        let most = self.options.max_agents.max(1);
        (at_work.count() >= most).then(|| {
            let holders = self.workers(|id| !is_delegate(id));
            format!("one of the {most} permits to work (max_agents), which {holders} hold")
        })
    }

    /// Names those at work.
    fn workers(&self, is: impl Fn(&NodeId) -> bool) -> String {
        let nodes = self.state.nodes.iter();
        let live = nodes.filter(|(id, run)| run.state == NodeState::Running && is(id));
        live.map(|(id, run)| format!("{id}@{}", run.attempt)).collect::<Vec<_>>().join(", ")
    }
}
