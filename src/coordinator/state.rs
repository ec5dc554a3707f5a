//! The state of a run: a fold of its journal and nothing else.
//!
//! `apply` is the only way in, for a live run and for a resume alike, so that
//! `fold(replay(journal))` equals the live state after every record. Pure.

use std::collections::BTreeMap;

use crate::{
    coordinator::{clock::Clock, roll, task_list::TaskList, told::Told},
    graph::ready::NodeState,
    protocol::{
        asked::Asked,
        event::{Event, Kept, What},
        ids::{AgentId, NodeId, Oid},
        outcome::{Failure, Outcome, Status},
        part::{Clashed, Joined, Parked},
        report::{CheckReport, CheckedTree, DiffStat, RunEnd, Verdict},
        started::RunStarted,
        task::Phase,
        usage::{Micros, Usage},
    },
};

/// The role of a node whose work is the check commands, as `graph` names it.
pub const CHECKS: &str = "checks";

/// One instance of a node.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NodeRun {
    /// Where it stands.
    pub state: NodeState,
    /// The phase it works in, once it has started.
    pub phase: Option<Phase>,
    /// Its role, once it has started; `checks` without an agent.
    pub role: String,
    /// 0 before it first started.
    pub attempt: u32,
    /// What it returned last.
    pub outcome: Option<Outcome>,
    /// The last commit it made, whatever became of it.
    pub commit: Option<Oid>,
    /// What sent it back, for the next or the running attempt.
    pub feedback: Option<Kept>,
    /// Whether the running attempt has had an answer of its model.
    pub answered: bool,
    /// Whether the checks on the base had ended when it started: a resume must show it the same.
    pub knows_base: bool,
    /// The work that there was when it started, which is what a verifier looks at.
    pub saw: Option<Oid>,
}

/// Nodes that an agent or the user added to the graph.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Added {
    /// The node of the agent; none of the user's.
    pub by: Option<NodeId>,
    /// Their ids.
    pub ids: Vec<String>,
    /// The nodes as JSON.
    pub nodes: Kept,
    /// The context that they fork from, if they are forks.
    pub context: Option<Kept>,
    /// Whom they answer for, if they do.
    pub asked: Option<Box<Asked>>,
}

impl Added {
    fn of(event: &Event) -> Option<Self> {
        let What::NodesAdded { ids, nodes, context, asked } = event.what.clone() else {
            return None;
        };
        Some(Self { by: event.node.clone(), ids, nodes, context, asked })
    }
}

/// A candidate for the target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// The commit that would land.
    pub candidate: Oid,
    /// Its tree.
    pub tree: Oid,
    /// The tip it stands on.
    pub tip: Option<Oid>,
    /// The work it was made of.
    pub commit: Oid,
}

/// Everything known about a run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RunState {
    /// How it was started; none before the first record.
    pub started: Option<Box<RunStarted>>,
    /// Instances by id, those that have been touched.
    pub nodes: BTreeMap<NodeId, NodeRun>,
    /// What was added to the graph, in order.
    pub added: Vec<Added>,
    /// Checks on the base.
    pub base_report: Option<CheckReport>,
    /// The writer's last commit.
    pub commit: Option<Oid>,
    /// Lines changed by that commit.
    pub stat: DiffStat,
    /// Parts that are joined, in that order, each with the work joined so far.
    pub joined: Vec<(NodeId, Oid)>,
    /// Parts that do not merge with what is joined, with the paths in conflict.
    pub clashes: BTreeMap<NodeId, Vec<String>>,
    /// The candidate made of it.
    pub candidate: Option<Candidate>,
    /// Paths in conflict with the tip, if the last commit does not merge.
    pub conflict: Option<Vec<String>>,
    /// Checks on the candidate.
    pub candidate_report: Option<CheckReport>,
    /// The verdict over the candidate.
    pub verdict: Option<Verdict>,
    /// A landing that was begun: branch, tip before, commit.
    pub landing: Option<(String, Option<Oid>, Oid)>,
    /// Whether that landing is done.
    pub landed: bool,
    /// Landings that met a moved target.
    pub misses: u32,
    /// How often a failure edge was followed, by the node that failed.
    pub loops: BTreeMap<String, u32>,
    /// Tokens so far.
    pub usage: Usage,
    /// Money so far.
    pub cost: Micros,
    /// Model calls so far.
    pub turns: u32,
    /// What each instance and its helpers have used or may have: money and model calls.
    pub spent: BTreeMap<NodeId, (Micros, u32)>,
    /// Reservations of calls that have neither an answer nor a failure yet.
    pub open: BTreeMap<(AgentId, u32), (Micros, u64)>,
    /// What may have been paid besides: reservations of calls that were in flight when a process
    /// ended, and what is left of those whose answer broke off.
    pub maybe: (Micros, u64),
    /// Whether the user asked to stop.
    pub cancelled: bool,
    /// What the user told single agents.
    pub told: Told,
    /// The tasks that its agents share.
    pub tasks: TaskList,
    /// How it ended, once it has.
    pub end: Option<RunEnd>,
    /// How long it has taken.
    pub clock: Clock,
}

impl RunState {
    /// Returns the state after all `events`.
    pub fn fold(events: &[Event]) -> Self {
        let mut state = Self::default();
        for event in events {
            state.apply(event);
        }
        state
    }

    /// Takes in one record.
    pub fn apply(&mut self, event: &Event) {
        self.clock.tick(event);
        self.told.apply(event);
        self.tasks.apply(event);
        self.apply_run(event);
        self.clock.hold(self.is_held());
    }

    fn apply_run(&mut self, event: &Event) {
        match &event.what {
            What::RunStarted(started) => self.started = Some(started.clone()),
            What::RunResumed { model, options, .. } => {
                if let (Some(started), Some(name)) = (&mut self.started, model) {
                    started.change_model(name);
                }
                if let (Some(started), Some(options)) = (&mut self.started, options) {
                    started.options = options.clone();
                }
                self.end = None;
                self.cancelled = false;
                let open = std::mem::take(&mut self.open);
                open.into_iter().for_each(|((agent, _), sent)| self.lose(&agent, sent));
            }
            What::CancelAsked => self.cancelled = true,
            What::RunFinished { end, .. } => self.end = Some(end.clone()),
            What::ModelIntent { turn, reserved, tokens } => {
                let agent = event.agent.clone();
                self.open.extend(agent.map(|agent| ((agent, *turn), (*reserved, *tokens))));
            }
            What::ModelResult { turn, usage, cost, .. } => {
                self.answered(event, *turn, (*usage, *cost));
                self.turns += 1;
                if let Some(agent) = &event.agent {
                    self.charge(agent, Micros(0)).1 += 1;
                }
                if let Some(node) = event.node.as_ref().and_then(|id| self.nodes.get_mut(id)) {
                    node.answered = true;
                }
            }
            What::ModelFailed { turn, usage, cost, .. } => {
                let (reserved, tokens) = self.answered(event, *turn, (*usage, *cost));
                // What it used is a guess where an answer broke off; nobody knows what is billed.
                if *usage != Usage::default() {
                    let rest =
                        (reserved.saturating_sub(*cost), tokens.saturating_sub(usage.total()));
                    event.agent.iter().for_each(|agent| self.lose(agent, rest));
                }
            }
            What::WorkerResult(end) => {
                self.usage += end.usage;
                self.cost += end.cost.unwrap_or_default();
                event.agent.iter().for_each(|agent| {
                    self.charge(agent, end.cost.unwrap_or_default());
                });
            }
            What::NodesReset { nodes, feedback } => self.reset(nodes, feedback),
            What::NodesAdded { .. } => self.added.extend(Added::of(event)),
            _ => {
                if let (What::NodeFinished { .. }, Some(agent)) = (&event.what, &event.agent) {
                    self.give_up(agent);
                }
                self.apply_node(event);
                self.apply_landing(event);
            }
        }
    }

    /// Counts what a request used, and returns what was reserved for it.
    fn answered(
        &mut self,
        event: &Event,
        turn: u32,
        (usage, cost): (Usage, Micros),
    ) -> (Micros, u64) {
        self.usage += usage;
        self.cost += cost;
        event.agent.iter().for_each(|agent| {
            self.charge(agent, cost);
        });
        let sent = event.agent.clone().and_then(|agent| self.open.remove(&(agent, turn)));
        sent.unwrap_or_default()
    }

    /// Requests that an agent left behind when it ended are never answered, and may be billed.
    fn give_up(&mut self, agent: &AgentId) {
        let own = [agent.clone(), agent.classifier()];
        let left: Vec<_> =
            self.open.extract_if(.., |(agent, _), _| own.contains(agent)).map(|it| it.1).collect();
        left.into_iter().for_each(|sent| self.lose(agent, sent));
    }

    /// Counts money on the share that an agent spends, and returns the share.
    fn charge(&mut self, agent: &AgentId, cost: Micros) -> &mut (Micros, u32) {
        let share = self.spent.entry(agent.spends_of()).or_default();
        share.0 += cost;
        share
    }

    fn lose(&mut self, agent: &AgentId, (cost, tokens): (Micros, u64)) {
        self.charge(agent, cost);
        self.maybe.0 += cost;
        self.maybe.1 = self.maybe.1.saturating_add(tokens);
    }

    /// Returns whether all agents are paused: those at work, or whoever may come.
    fn is_held(&self) -> bool {
        let mut live = roll::live(self).map(|(_, agent)| self.told.is_paused(&agent)).peekable();
        let held = self.told.paused().is_some();
        held && (self.told.holds_all() || (live.peek().is_some() && live.all(|paused| paused)))
    }

    fn apply_node(&mut self, event: &Event) {
        let Some(id) = &event.node else { return };
        let saw = self.candidate.as_ref().map(|made| made.commit.clone());
        match &event.what {
            What::NodeStarted { attempt, phase, role, .. } => {
                let node = self.nodes.entry(id.clone()).or_default();
                node.phase = Some(*phase);
                node.role.clone_from(role);
                node.state = NodeState::Running;
                node.attempt = *attempt;
                node.answered = false;
                node.knows_base = self.base_report.is_some();
                node.saw = saw;
            }
            // What ends after it was sent back, or twice, has nothing to say any more.
            What::NodeFinished { .. } if self.state_of(id) != NodeState::Running => {}
            What::NodeFinished { outcome, .. } => {
                // A part counts once it is joined.
                if let Some(commit) = outcome.commit.as_ref().filter(|_| !id.is_one_of_many()) {
                    self.set_commit(commit);
                }
                let node = self.nodes.entry(id.clone()).or_default();
                node.commit = outcome.commit.clone().or(node.commit.take());
                node.state = match outcome.status {
                    Status::Succeeded => NodeState::Succeeded,
                    Status::Failed => NodeState::Failed,
                };
                node.outcome = Some((**outcome).clone());
            }
            What::NodeSkipped { .. } => {
                self.nodes.entry(id.clone()).or_default().state = NodeState::Skipped;
            }
            What::PartJoined(Joined { commit, stat, .. }) => {
                self.joined.push((id.clone(), commit.clone()));
                self.set_commit(commit);
                self.stat = stat.clone();
            }
            What::PartClashed(Clashed { paths, .. }) => {
                self.clashes.insert(id.clone(), paths.clone());
            }
            What::PartParked(Parked { why }) => {
                self.clashes.remove(id);
                let node = self.nodes.entry(id.clone()).or_default();
                node.state = NodeState::Failed;
                node.outcome = Some(Outcome::failed(Failure::Conflict, why));
            }
            _ => {}
        }
    }

    fn set_commit(&mut self, commit: &Oid) {
        if self.commit.as_ref() != Some(commit) {
            self.candidate = None;
        }
        self.commit = Some(commit.clone());
        self.conflict = None;
        self.verdict = None;
    }

    fn apply_landing(&mut self, event: &Event) {
        match &event.what {
            What::ChecksFinished { on: CheckedTree::Base, report, .. } => {
                self.base_report = Some(report.clone());
            }
            What::ChecksFinished { on: CheckedTree::Candidate, report, .. } => {
                self.candidate_report = Some(report.clone());
            }
            What::CommitMade { stat, .. } if !of_part(event) => self.stat = stat.clone(),
            What::CandidateMade { candidate, tree, tip, commit } => {
                self.conflict = None;
                self.verdict = None;
                self.candidate_report = None;
                self.candidate = Some(Candidate {
                    candidate: candidate.clone(),
                    tree: tree.clone(),
                    tip: tip.clone(),
                    commit: commit.clone(),
                });
            }
            What::CandidateConflict { paths, .. } => self.conflict = Some(paths.clone()),
            What::VerdictGiven { verdict, .. } => self.verdict = Some(verdict.clone()),
            What::LandIntent { branch, from, to } => {
                self.landing = Some((branch.clone(), from.clone(), to.clone()));
            }
            What::Landed { .. } => self.landed = true,
            What::LandMissed { .. } => self.miss(),
            _ => {}
        }
    }

    /// What lands next is another tree, so its checks must run on that. Where nothing but reviews
    /// spoke for it, these are made again; beside checks they stand, because they are about the
    /// change.
    fn miss(&mut self) {
        let is_checked = self.candidate_report.as_ref().is_some_and(|all| !all.runs.is_empty());
        self.misses += 1;
        self.landing = None;
        self.candidate = None;
        self.candidate_report = None;
        self.verdict = None;
        let verified = |node: &&mut NodeRun| {
            let again = !is_checked || node.role == CHECKS;
            node.phase == Some(Phase::Verification) && is_terminal(node.state) && again
        };
        for node in self.nodes.values_mut().filter(verified) {
            node.state = NodeState::Waiting;
            node.outcome = None;
        }
    }

    fn reset(&mut self, nodes: &[NodeId], feedback: &Kept) {
        for (index, id) in nodes.iter().enumerate() {
            let node = self.nodes.entry(id.clone()).or_default();
            node.state = NodeState::Waiting;
            // What the last attempt said counts no more, also if there is no next one.
            node.outcome = None;
            if index == 0 {
                node.feedback = Some(feedback.clone());
            } else if node.phase == Some(Phase::Implementation) && id.is_one_of_many() {
                self.loops.remove(id.as_str());
            }
            self.clashes.remove(id);
        }
        self.take_apart(nodes);
        let verifies = |id: &NodeId| {
            self.nodes.get(id).is_some_and(|node| node.phase == Some(Phase::Verification))
        };
        // A reviewer that is asked again looks at the same candidate.
        if !nodes.iter().all(verifies) {
            self.candidate = None;
            self.candidate_report = None;
        }
        self.verdict = None;
        self.conflict = None;
        if let Some(first) = nodes.first() {
            *self.loops.entry(first.as_str().to_owned()).or_default() += 1;
        }
    }

    /// Returns the addition that brought a node, if it is none of the workflow.
    pub fn addition(&self, node: &str) -> Option<&Added> {
        self.added.iter().find(|added| added.ids.iter().any(|id| id == node))
    }

    /// Parts that are made again are no longer in the work.
    fn take_apart(&mut self, nodes: &[NodeId]) {
        let before = self.joined.len();
        self.joined.retain(|(part, _)| !nodes.contains(part));
        if self.joined.len() < before {
            self.commit = self.joined.last().map(|(_, stock)| stock.clone());
        }
    }

    /// Returns where an instance stands.
    pub fn state_of(&self, id: &NodeId) -> NodeState {
        self.nodes.get(id).map_or(NodeState::Waiting, |node| node.state)
    }

    /// Returns the milliseconds all processes of this run took, as their records say; not those
    /// in which all agents were paused.
    pub fn took_ms(&self) -> u64 {
        self.clock.took_ms()
    }
}

fn of_part(event: &Event) -> bool {
    event.node.as_ref().is_some_and(NodeId::is_one_of_many)
}

/// Returns whether an instance or a node has ended.
pub fn is_terminal(state: NodeState) -> bool {
    matches!(state, NodeState::Succeeded | NodeState::Failed | NodeState::Skipped)
}

/// Returns whether a node is a sub-agent: it is driven by the agent that asked, not by the plan.
pub fn is_delegate(id: &NodeId) -> bool {
    id.as_str().contains('~')
}
