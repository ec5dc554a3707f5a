//! A run as its events tell it: the one state that every renderer draws.
//!
//! Pure. Time is counted from event to event and stands still between a crash and the resume, so
//! no duration contains hours in which nobody worked.

use crate::{
    coordinator::task_list::TaskList,
    protocol::{
        event::{Event, Kept, Level, Paid, What},
        ids::{NodeId, Oid, RunId},
        outcome::{Failure, Outcome, Status},
        part::{Joined, Parked},
        report::{CheckReport, CheckedTree, DiffStat, RunEnd, Verdict},
        started::RunStarted,
        task::{Mode, Phase},
        usage::{Micros, Usage},
        worker::{About, WorkerNews},
    },
    ui::audit::Ledger,
};

/// A run, seen from outside.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct View {
    /// The run.
    pub run: Option<RunId>,
    /// What it was started with.
    pub start: Option<Box<RunStarted>>,
    /// Its nodes, in the order in which they were first heard of.
    pub nodes: Vec<NodeView>,
    /// What the user should know.
    pub notes: Vec<(Level, String)>,
    /// Checks on the base.
    pub before: Option<CheckReport>,
    /// Checks on the newest candidate.
    pub after: Option<CheckReport>,
    /// The newest commit of an agent's work.
    pub work: Option<Work>,
    /// What a node has handed on as the run's `report`.
    pub report: Option<String>,
    /// Tests that the parts of a change touch, and what stayed out of their commits.
    of_parts: (Vec<String>, Vec<String>),
    /// Paths that do not merge, if the newest candidate has such.
    pub conflict: Vec<String>,
    /// The decision over the newest candidate.
    pub verdict: Option<Verdict>,
    /// Candidates that another one took the place of because the target had moved: the branch, and
    /// where it stood then.
    pub missed: Vec<(String, Option<Oid>)>,
    /// The landing.
    pub landing: Option<Landing>,
    /// What was stopped, asked, reached and left alone.
    pub audit: Ledger,
    /// The list of tasks that its agents share.
    pub tasks: TaskList,
    /// How the run ended, if it has.
    pub end: Option<RunEnd>,
    /// Tokens of all model calls.
    pub usage: Usage,
    /// Money of all model calls.
    pub cost: Micros,
    /// Model answers.
    pub turns: u32,
    /// Model calls that may have been paid twice.
    pub paid_twice: u32,
    /// How often the run was taken up again.
    pub resumed: u32,
    /// Whether an agent's tree was saved at least once.
    pub has_snapshot: bool,
    /// Whether a process works on it; not told by events, set by who knows.
    pub live: bool,
    /// Whether what landed is off its branch again; not told by events either.
    pub taken_back: bool,
    /// Milliseconds of work so far.
    pub clock: u64,
    last_at: Option<i64>,
}

/// A commit of an agent's work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Work {
    /// The commit.
    pub commit: Oid,
    /// Its branch.
    pub branch: String,
    /// Lines changed against the base.
    pub stat: DiffStat,
    /// Files in which it edits, deletes or silences tests.
    pub tests_touched: Vec<String>,
    /// What stayed out of it because programs leave it behind while they run.
    pub left_out: Vec<String>,
}

/// The move of the target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Landing {
    /// The target.
    pub branch: String,
    /// Its tip before.
    pub from: Option<Oid>,
    /// Its tip now.
    pub to: Oid,
    /// Lines changed.
    pub stat: DiffStat,
}

/// How a node stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum NodeState {
    /// It waits for others, perhaps again.
    #[default]
    Waiting,
    /// It works.
    Running,
    /// It did what it should.
    Succeeded,
    /// It did what it should in an earlier run.
    Reused,
    /// It did not.
    Failed,
    /// Its condition does not hold.
    Skipped(String),
}

/// A node, over all its attempts.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NodeView {
    /// The node.
    pub id: Option<NodeId>,
    /// Its phase; unknown for a node that never began.
    pub phase: Option<Phase>,
    /// Its role.
    pub role: String,
    /// How it stands.
    pub state: NodeState,
    /// The newest attempt, from 1.
    pub attempt: u32,
    /// Model answers.
    pub turns: u32,
    /// Tool calls.
    pub calls: u32,
    /// Tokens.
    pub usage: Usage,
    /// Money.
    pub cost: Micros,
    /// What it did last.
    pub doing: String,
    /// What it returned.
    pub summary: String,
    /// Why it failed.
    pub failure: Option<Failure>,
    /// Why its work does not hold, where it failed: what a reviewer asks for, else the summary.
    pub reason: String,
    /// Attempts that were sent back, each with its reason.
    pub rejected: Vec<(u32, String)>,
    since: Option<u64>,
    spent: u64,
}

impl NodeView {
    /// Returns the node's name.
    pub fn name(&self) -> &str {
        self.id.as_ref().map_or("", NodeId::as_str)
    }

    /// Returns milliseconds of work of all attempts, at the view's clock.
    pub fn took(&self, clock: u64) -> u64 {
        self.spent + self.since.map_or(0, |since| clock.saturating_sub(since))
    }

    /// Puts it back to waiting; an attempt that failed stays known.
    fn send_back(&mut self, clock: u64) {
        if self.state == NodeState::Failed {
            self.rejected.push((self.attempt, self.reason.clone()));
        }
        self.stop(NodeState::Waiting, clock);
    }

    fn stop(&mut self, state: NodeState, clock: u64) {
        self.spent = self.took(clock);
        self.since = None;
        self.state = state;
    }
}

impl View {
    /// Returns the view of a run that is told by these events.
    pub fn of<'a>(events: impl IntoIterator<Item = &'a Event>) -> Self {
        let mut view = Self::default();
        events.into_iter().for_each(|event| view.apply(event));
        view
    }

    /// Takes one more event in.
    pub fn apply(&mut self, event: &Event) {
        self.run.get_or_insert_with(|| event.run.clone());
        self.tick(event);
        self.audit.apply(&event.what);
        self.tasks.apply(event);
        match &event.what {
            What::RunStarted(start) => self.start = Some(start.clone()),
            What::RunResumed { model, .. } => {
                if let (Some(start), Some(name)) = (&mut self.start, model) {
                    start.change_model(name);
                }
                self.resumed += 1;
                self.end = None;
            }
            What::Note { level, text } => self.notes.push((*level, text.clone())),
            What::NodesReset { nodes, .. } => {
                let clock = self.clock;
                nodes.iter().for_each(|id| self.node(id).send_back(clock));
            }
            What::RunFinished { end, usage, cost, took_ms } => {
                (self.usage, self.cost, self.clock) = (*usage, *cost, *took_ms);
                self.end = Some(end.clone());
            }
            what => {
                self.apply_to_node(event.node.as_ref(), what);
                self.apply_to_work(event);
            }
        }
    }

    /// Returns whether it runs whatever the checks say.
    pub fn is_yolo(&self) -> bool {
        self.start.as_ref().is_some_and(|start| start.mode == Some(Mode::Yolo))
    }

    /// Returns the nodes that work now.
    pub fn running(&self) -> impl Iterator<Item = &NodeView> {
        self.nodes.iter().filter(|node| node.state == NodeState::Running)
    }

    /// Returns the lines changed by what landed, else by the newest work.
    pub fn stat(&self) -> Option<&DiffStat> {
        let landed = self.landing.as_ref().map(|landing| &landing.stat);
        landed.or(self.work.as_ref().map(|work| &work.stat))
    }

    fn tick(&mut self, event: &Event) {
        // A note may stand before the record of a resume, and tell of hours without any work.
        if matches!(event.what, What::Note { .. }) {
            return;
        }
        let pause = matches!(event.what, What::RunResumed { .. });
        let since = self.last_at.map_or(0, |last| event.at.saturating_sub(last));
        if !pause {
            self.clock += u64::try_from(since).unwrap_or(0);
        }
        self.last_at = Some(event.at);
    }

    fn node(&mut self, id: &NodeId) -> &mut NodeView {
        let known = self.nodes.iter().position(|node| node.id.as_ref() == Some(id));
        let at = known.unwrap_or_else(|| {
            self.nodes.push(NodeView { id: Some(id.clone()), ..NodeView::default() });
            self.nodes.len() - 1
        });
        &mut self.nodes[at]
    }

    fn apply_to_node(&mut self, id: Option<&NodeId>, what: &What) {
        if let What::ModelResult { usage, cost, paid, .. } = what {
            self.usage += *usage;
            self.cost += *cost;
            self.turns += 1;
            self.paid_twice += u32::from(*paid == Paid::MaybeTwice);
        }
        if let What::ModelFailed { usage, cost, .. } = what {
            self.usage += *usage;
            self.cost += *cost;
        }
        if let What::WorkerResult(end) = what {
            self.usage += end.usage;
            self.cost += end.cost.unwrap_or_default();
        }
        let (Some(id), clock) = (id, self.clock) else { return };
        match what {
            What::NodeStarted { attempt, phase, role, .. } => {
                let node = self.node(id);
                (node.attempt, node.phase, node.role) = (*attempt, Some(*phase), role.clone());
                node.stop(NodeState::Running, clock);
                node.since = Some(clock);
            }
            What::NodeFinished { outcome, reused, .. } => self.finish(id, outcome, *reused),
            What::PartParked(Parked { why }) => {
                self.finish(id, &Outcome::failed(Failure::Conflict, why), false);
            }
            What::NodeSkipped { why } => {
                self.node(id).stop(NodeState::Skipped(why.clone()), clock);
            }
            What::ModelResult { usage, cost, .. } => {
                let node = self.node(id);
                node.usage += *usage;
                node.cost += *cost;
                node.turns += 1;
            }
            What::ToolIntent { title, .. } => self.node(id).doing.clone_from(title),
            What::WorkerIntent(call) => {
                self.node(id).doing = format!("{} is at work", call.worker);
            }
            What::WorkerNews(WorkerNews { about: About::Call, text: Kept::Inline(text) }) => {
                self.node(id).doing.clone_from(text);
            }
            What::WorkerResult(end) => {
                self.has_snapshot |= end.snapshot.is_some();
                let node = self.node(id);
                node.usage += end.usage;
                node.cost += end.cost.unwrap_or_default();
                node.doing = format!("{}: {}", end.worker, end.end);
            }
            What::ToolResult { title, snapshot, .. } => {
                self.has_snapshot |= snapshot.is_some();
                let node = self.node(id);
                node.calls += 1;
                node.doing.clone_from(title);
            }
            _ => {}
        }
    }

    fn finish(&mut self, id: &NodeId, outcome: &Outcome, reused: bool) {
        let report = outcome.carries.get("report").and_then(|value| value.as_str());
        self.report = report.map(str::to_owned).or(self.report.take());
        let clock = self.clock;
        let node = self.node(id);
        let state = match (outcome.status, reused) {
            (Status::Succeeded, true) => NodeState::Reused,
            (Status::Succeeded, false) => NodeState::Succeeded,
            (Status::Failed, _) => NodeState::Failed,
        };
        node.stop(state, clock);
        node.summary.clone_from(&outcome.summary);
        node.failure = outcome.failure;
        let asked = outcome.review.as_ref().map_or(&[][..], |review| &review.must_fix);
        node.reason = if asked.is_empty() { outcome.summary.clone() } else { asked.join("; ") };
    }

    fn apply_to_work(&mut self, event: &Event) {
        let is_part = event.node.as_ref().is_some_and(NodeId::is_one_of_many);
        match event.what.clone() {
            What::CommitMade { tests_touched, left_out, .. } if is_part => {
                self.of_parts.0.extend(tests_touched);
                self.of_parts.1.extend(left_out);
            }
            What::CommitMade { commit, branch, stat, tests_touched, left_out } => {
                self.work = Some(Work { commit, branch, stat, tests_touched, left_out });
            }
            What::PartJoined(Joined { commit, branch, stat }) => {
                let (tests_touched, left_out) = self.of_parts.clone();
                self.work = Some(Work { commit, branch, stat, tests_touched, left_out });
            }
            What::CandidateMade { .. } => {
                self.conflict.clear();
                (self.after, self.verdict) = (None, None);
            }
            What::CandidateConflict { paths, .. } => self.conflict = paths,
            What::ChecksFinished { on: CheckedTree::Base, report, .. } => {
                self.before = Some(report);
            }
            What::ChecksFinished { on: CheckedTree::Candidate, report, .. } => {
                self.after = Some(report);
            }
            What::VerdictGiven { verdict, .. } => self.verdict = Some(verdict),
            What::LandMissed { branch, found } => self.missed.push((branch, found)),
            What::Landed { branch, from, to, stat } => {
                self.landing = Some(Landing { branch, from, to, stat });
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ui::fixture::Tale;

    #[test]
    fn work_that_is_sent_back_waits_and_then_counts_on() {
        let mut tale = Tale::new("local/qwen");
        tale.node("implement", Phase::Implementation, 1).turn("implement", 100, 7);
        tale.done("implement", Outcome::succeeded("done"), false);
        let nodes = vec![NodeId::new("implement"), NodeId::new("checks")];
        let feedback = Kept::Inline("red".to_owned());
        tale.add("", 60_000, What::NodesReset { nodes, feedback });
        let states = |tale: &Tale| {
            let view = View::of(&tale.events);
            view.nodes.iter().map(|node| node.state.clone()).collect::<Vec<_>>()
        };
        assert_eq!(states(&tale), [NodeState::Waiting, NodeState::Waiting]);
        tale.node("implement", Phase::Implementation, 2).turn("implement", 100, 7);
        let view = View::of(&tale.events);
        let node = view.running().next().unwrap();
        // 4.2 s of the first attempt and 4 s of the second; waiting between them is not its time.
        assert_eq!(
            (node.attempt, node.turns, node.cost, node.took(view.clock)),
            (2, 2, Micros(14), 8_200)
        );
    }

    #[test]
    fn a_clock_that_goes_back_does_no_harm() {
        let mut tale = Tale::new("local/qwen");
        tale.node("a", Phase::Research, 1).turn("a", 1, 1).add("", -9_000_000, What::CancelAsked);
        tale.turn("a", 1, 1);
        assert_eq!(View::of(&tale.events).clock, 8_005);
    }

    #[test]
    fn a_new_candidate_forgets_what_was_said_of_the_old_one() {
        let events = crate::ui::fixture::landed("local/qwen").events;
        let made = |event: &Event| matches!(event.what, What::CandidateMade { .. });
        let second = events.iter().rposition(made).unwrap();
        let before = View::of(&events[..second]);
        assert!(matches!(before.verdict, Some(Verdict::Red { .. })) && before.after.is_some());
        let after = View::of(&events[..=second]);
        assert!(after.verdict.is_none() && after.after.is_none() && after.before.is_some());
    }
}
