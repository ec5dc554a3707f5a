//! Plays runs without any effect: every effect becomes the record it would lead to.
//!
//! What the agents would say comes from a list of choices, so that a property test can try all
//! kinds of luck. After every record the fold of all records must equal the live state.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Value, json};

use crate::{
    coordinator::{
        options::{Options, Reuse},
        plan::{self, Busy, Effect, Job},
        state::{RunState, is_terminal},
    },
    graph::{dag::Graph, load, lookup, node::Work, ready::NodeState},
    protocol::{
        event::{CheckedTree, Event, Kept, Level, RunStarted, What},
        ids::{NodeId, Oid, RunId},
        outcome::{Evidence, Failure, Finding, Outcome, Review},
        report::{Check, CheckEnd, CheckReport, CheckRun, DiffStat, Origin, RunEnd},
        task::{AgentKind, EditFormat, Phase, Task},
        usage::{Micros, Usage},
    },
    tools::catalogue::catalogue,
};

/// What one agent or check does.
#[derive(Clone, Copy, Debug)]
enum Luck {
    Good,
    Bad,
}

struct World {
    /// What `risky` carries are, attempt by attempt; then false.
    risky: Vec<bool>,
    /// Nodes and attempts that fail whatever the luck.
    bad: Vec<(&'static str, u32)>,
    graph: Graph,
    options: Options,
    events: Vec<Event>,
    state: RunState,
    busy: Busy,
    luck: std::vec::IntoIter<Luck>,
    commits: u32,
    candidates: u32,
}

/// A graph with what the shipped ones do not have: a fan-out over a carry, and a condition.
const BRANCHING: &str = "
name: branching
version: 1
nodes:
  - { id: scout, phase: research, role: researcher, gives: { paths: list } }
  - { id: dig, phase: research, role: researcher, needs: [scout], optional: true, each: { from: scout, carry: paths } }
  - { id: decide, phase: synthesis, role: coordinator, needs: [scout, dig], gives: { plan: text } }
  - { id: write, phase: implementation, role: implementer, needs: [decide], takes: { plan: text }, gives: { risky: bool } }
  - { id: audit, phase: verification, role: reviewer, needs: [write], each: 2, when: { carry: risky, equals: true }, on_failure: { to: write, max: 2 } }
  - { id: checks, phase: verification, work: checks, needs: [write], on_failure: { to: write, max: 2 } }
";

fn branching() -> Graph {
    load::load("branching", BRANCHING, catalogue()).expect("it is valid")
}

fn shipped(name: &str) -> Graph {
    let source = lookup::find(name, &[]).expect("it is shipped");
    load::load(&source.origin, &source.text, catalogue()).expect("shipped workflows are valid")
}

fn check() -> Check {
    Check { command: "true".into(), origin: Origin::Named }
}

fn report(end: i32) -> CheckReport {
    let run = CheckRun {
        check: check(),
        end: CheckEnd::Exit(end),
        tests: Vec::new(),
        tail: String::new(),
        flaky: false,
        took_ms: 1,
    };
    CheckReport { runs: vec![run] }
}

impl World {
    fn new(workflow: &str, luck: Vec<Luck>) -> Self {
        Self::of(shipped(workflow), luck)
    }

    fn of(graph: Graph, luck: Vec<Luck>) -> Self {
        let workflow = graph.name.clone();
        let options = Options { checks: vec![check()], reuse: Reuse::Fresh, ..Options::default() };
        let mut world = Self {
            risky: Vec::new(),
            bad: Vec::new(),
            graph,
            options,
            events: Vec::new(),
            state: RunState::default(),
            busy: Busy::default(),
            luck: luck.into_iter(),
            commits: 0,
            candidates: 0,
        };
        let kept = || Kept::Inline(String::new());
        world.record(
            None,
            What::RunStarted(Box::new(RunStarted {
                task: Task::new("x"),
                workflow,
                workflow_text: kept(),
                prompts: kept(),
                options: kept(),
                model: "m".into(),
                scripted: true,
                base: Oid::new("base"),
                target: "t".into(),
                tip: None,
                checkout: "/r".into(),
            })),
        );
        world
    }

    fn record(&mut self, node: Option<&NodeId>, what: What) {
        let event = Event {
            seq: self.events.len() as u64,
            at: 1000 + self.events.len() as i64,
            run: RunId::new("r"),
            node: node.cloned(),
            agent: None,
            what,
        };
        self.state.apply(&event);
        self.events.push(event);
        assert_eq!(RunState::fold(&self.events), self.state, "the fold is the state");
    }

    fn writers(&self) -> usize {
        let writes = |id: &NodeId| {
            let name = id.as_str().split('.').next().unwrap_or_default();
            self.graph.get(name).is_some_and(|node| node.phase == Phase::Implementation)
        };
        let running = |id: &NodeId| self.state.state_of(id) == NodeState::Running;
        self.state.nodes.keys().filter(|id| writes(id) && running(id)).count()
    }

    /// Steps until the run has ended; a process that dies forgets `busy` and nothing else.
    fn play(&mut self, dies_every: usize) -> RunEnd {
        for round in 0..2000 {
            if let Some(end) = self.state.end.clone() {
                return end;
            }
            if dies_every > 0 && round % dies_every == dies_every - 1 {
                self.busy = Busy::default();
            }
            let effects = plan::step(&self.graph, &self.options, &self.state, &self.busy);
            let idle = effects.is_empty();
            for effect in effects {
                self.carry_out(effect);
                assert!(self.writers() <= 1, "two writers");
            }
            if idle {
                self.finish_one();
            }
        }
        panic!("the run does not end");
    }

    fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::Start(id) => {
                let attempt = self.state.nodes.get(&id).map_or(1, |node| node.attempt + 1);
                let name = id.as_str().split('.').next().unwrap_or_default();
                let phase = self.graph.get(name).map_or(Phase::Research, |node| node.phase);
                let started = What::NodeStarted {
                    attempt,
                    phase,
                    role: "r".into(),
                    agent_kind: AgentKind::Teammate,
                    feedback: None,
                };
                self.record(Some(&id), started);
            }
            Effect::Skip(id, why) => self.record(Some(&id), What::NodeSkipped { why }),
            Effect::Run(id) => assert!(self.busy.units.insert(id), "one unit an instance"),
            Effect::Begin(job) => assert!(self.busy.jobs.insert(job), "one job of a kind"),
            Effect::SendBack { nodes, .. } => {
                let feedback = Kept::Inline("mend it".into());
                self.record(None, What::NodesReset { nodes, feedback });
            }
            Effect::Judge(verdict) => {
                let candidate = Oid::new("c");
                self.record(None, What::VerdictGiven { candidate, verdict });
            }
            Effect::Finish(end) => {
                let (usage, cost) = (Usage::default(), Micros(0));
                self.record(None, What::RunFinished { end, usage, cost, took_ms: 0 });
            }
        }
    }

    fn finish_one(&mut self) {
        if let Some(job) = self.busy.jobs.pop_first() {
            self.finish_job(job);
        } else if let Some(id) = self.busy.units.pop_first() {
            let luck = self.luck.next().unwrap_or(Luck::Good);
            self.finish_unit(&id, luck);
        } else {
            panic!("nothing runs and nothing can start: {:?}", self.state.nodes);
        }
    }

    fn finish_job(&mut self, job: Job) {
        let commit = self.state.commit.clone().unwrap_or_else(|| Oid::new("none"));
        match job {
            Job::CheckBase => {
                let (report, commit) = (report(1), Oid::new("base"));
                let on = CheckedTree::Base;
                self.record(None, What::ChecksFinished { on, report, commit, reused: false });
            }
            Job::CheckCandidate => {
                let on = CheckedTree::Candidate;
                let report = report(0);
                self.record(None, What::ChecksFinished { on, report, commit, reused: false });
            }
            Job::MakeCandidate => {
                self.candidates += 1;
                let candidate = Oid::new(format!("c{}", self.candidates));
                let tree = Oid::new("tree");
                self.record(None, What::CandidateMade { candidate, tree, tip: None, commit });
            }
            Job::Land => {
                self.is_verified();
                let to = self.state.candidate.as_ref().map(|made| made.candidate.clone());
                let (branch, to) = ("t".to_owned(), to.expect("a candidate lands"));
                let from = None;
                let intent =
                    What::LandIntent { branch: branch.clone(), from: None, to: to.clone() };
                self.record(None, intent);
                let luck = self.luck.next().unwrap_or(Luck::Good);
                match if self.fails("land", self.state.misses + 1) { Luck::Bad } else { luck } {
                    Luck::Good => {
                        let stat = DiffStat::default();
                        self.record(None, What::Landed { branch, from, to, stat });
                    }
                    Luck::Bad => self.record(None, What::LandMissed { branch, found: None }),
                }
            }
        }
    }

    fn fails(&self, name: &str, attempt: u32) -> bool {
        self.bad.contains(&(name, attempt))
    }

    /// What lands was checked on exactly its tree, and passed by the reviewers of this attempt.
    fn is_verified(&self) {
        let last = |is: &dyn Fn(&What) -> bool| self.events.iter().rposition(|e| is(&e.what));
        let made = last(&|what| matches!(what, What::CandidateMade { .. }));
        let on = CheckedTree::Candidate;
        let checked =
            last(&|what| matches!(what, What::ChecksFinished { on: found, .. } if *found == on));
        assert!(self.options.checks.is_empty() || checked > made, "landed unchecked");
        let agents = self.graph.nodes.iter().filter(|node| {
            node.phase == Phase::Verification && matches!(node.work, Work::Agent(_))
        });
        let ids = agents.filter_map(|node| self.state.instances(&self.graph, node)).flatten();
        let ended = ids.filter(|id| is_terminal(self.state.state_of(id))).count();
        assert_eq!(self.state.reviews(&self.graph).len(), ended, "an old review counts");
    }

    /// Returns what a node hands on: lists of any length, and the risks as they were set.
    fn carries(&self, name: &str, attempt: u32) -> BTreeMap<String, Value> {
        let Some(node) = self.graph.get(name) else { return BTreeMap::new() };
        let value = |kind: &str| match kind {
            "list" => json!(vec!["x"; self.events.len() % 4]),
            "bool" => json!(self.risky.get(attempt as usize - 1).copied().unwrap_or(false)),
            _ => json!("text"),
        };
        node.gives.iter().map(|(name, kind)| (name.clone(), value(kind.name()))).collect()
    }

    fn finish_unit(&mut self, id: &NodeId, luck: Luck) {
        let name = id.as_str().split('.').next().unwrap_or_default().to_owned();
        let phase = self.graph.get(&name).map_or(Phase::Research, |node| node.phase);
        let attempt = self.state.nodes.get(id).map_or(1, |node| node.attempt);
        let luck = if self.fails(&name, attempt) { Luck::Bad } else { luck };
        let mut outcome = match luck {
            Luck::Good => Outcome::succeeded("ok"),
            Luck::Bad => Outcome::failed(Failure::NotResolved, "bad"),
        };
        let good = matches!(luck, Luck::Good);
        let evidence = Evidence { path: "a".into(), from: 1, to: 1 };
        match phase {
            Phase::Research if good => {
                let evidence = vec![evidence];
                outcome.findings.push(Finding { id: id.to_string(), claim: "x".into(), evidence });
            }
            Phase::Implementation if good => {
                self.commits += 1;
                outcome.commit = Some(Oid::new(format!("w{}", self.commits)));
            }
            Phase::Verification if name == "checks" => {
                let (report, commit) = (report(i32::from(!good)), Oid::new("c"));
                let on = CheckedTree::Candidate;
                self.record(Some(id), What::ChecksFinished { on, report, commit, reused: false });
            }
            Phase::Verification => {
                let must_fix = if good { vec![] } else { vec!["that".to_owned()] };
                let cites = vec![evidence];
                outcome.review = Some(Review { pass: good, must_fix, cites, read: 1, ran: 1 });
            }
            _ => {}
        }
        if good {
            outcome.carries = self.carries(&name, attempt);
        }
        let outcome = Box::new(outcome);
        self.record(Some(id), What::NodeFinished { attempt, outcome, reused: false });
    }
}

#[test]
fn a_writer_whose_model_answers_in_text_began_with_or_without_what_is_red_already() {
    for (model_format, begins) in [(EditFormat::Tools, true), (EditFormat::Blocks, false)] {
        let mut world = World::new("solo", Vec::new());
        world.options.model_format = model_format;
        let effects = plan::step(&world.graph, &world.options, &world.state, &world.busy);
        assert_eq!(effects.contains(&Effect::Start(NodeId::new("solve"))), begins);
    }
}

#[test]
fn with_luck_all_three_workflows_land() {
    for workflow in ["resolve", "solo", "small"] {
        let mut world = World::new(workflow, Vec::new());
        assert!(matches!(world.play(0), RunEnd::Landed { .. }), "{workflow}");
    }
}

#[test]
fn a_repair_loop_is_bounded_and_gives_the_work_back() {
    let luck = vec![Luck::Good; 4].into_iter().chain(vec![Luck::Bad; 60]);
    let mut world = World::new("resolve", luck.collect());
    assert!(matches!(world.play(0), RunEnd::NotResolved(_)));
    let loops: BTreeMap<_, _> = world.state.loops.clone();
    assert!(loops.values().all(|count| *count <= 5), "{loops:?}");
}

/// Once landed without: the verdict over the new candidate was given on no report at all.
#[test]
fn after_a_missed_landing_everything_is_verified_again() {
    let mut luck = vec![Luck::Good; 2];
    luck.push(Luck::Bad);
    let mut world = World::new("solo", luck);
    assert!(matches!(world.play(0), RunEnd::Landed { .. }));
    let seen = world.events.iter().filter_map(|event| match &event.what {
        What::ChecksFinished { on: CheckedTree::Candidate, .. } => Some("checked"),
        What::CandidateMade { .. } => Some("made"),
        What::LandMissed { .. } => Some("missed"),
        What::Landed { .. } => Some("landed"),
        _ => None,
    });
    let wanted = ["made", "checked", "missed", "made", "checked", "landed"];
    assert_eq!(seen.collect::<Vec<_>>(), wanted);
}

#[test]
fn research_without_a_finding_ends_before_anything_is_written() {
    let mut world = World::new("resolve", vec![Luck::Bad; 3]);
    let RunEnd::NotResolved(why) = world.play(0) else { panic!("it must not be resolved") };
    assert!(why.contains("no finding"), "{why}");
}

#[test]
fn a_target_that_moves_for_ever_ends_the_run_as_a_conflict() {
    let mut world = World::new("resolve", Vec::new());
    world.bad = (1..=6).map(|landing| ("land", landing)).collect();
    let RunEnd::Conflict(why) = world.play(0) else { panic!("it must not land") };
    assert!(why.contains("moved 6 times"), "{why}");
}

#[test]
fn a_condition_is_looked_at_again_after_the_work_was_sent_back() {
    // What is risky is audited; either attempt may be, and the other one is not.
    for (risky, bad, audits) in [([true, false], "audit", 1), ([false, true], "checks", 1)] {
        let mut world = World::of(branching(), Vec::new());
        (world.risky, world.bad) = (risky.to_vec(), vec![(bad, 1)]);
        let end = world.play(0);
        assert!(matches!(end, RunEnd::Landed { .. }), "{bad}: {end:?}");
        assert_eq!(world.state.nodes[&NodeId::new("audit.0")].attempt, audits, "{bad}");
        let skipped = world.state.state_of(&NodeId::new("audit")) == NodeState::Skipped;
        assert_eq!(
            (skipped, world.state.reviews(&world.graph).len()),
            match bad {
                "audit" => (true, 0),
                _ => (false, 2),
            }
        );
    }
}

#[test]
fn a_helper_whose_process_died_holds_no_permit() {
    let mut world = World::new("resolve", Vec::new());
    world.options.max_agents = 1;
    let started = What::NodeStarted {
        attempt: 1,
        phase: Phase::Research,
        role: "delegate".into(),
        agent_kind: AgentKind::Teammate,
        feedback: None,
    };
    world.record(Some(&NodeId::new("research.0~1f3a9c00")), started);
    assert!(matches!(world.play(0), RunEnd::Landed { .. }));
}

#[test]
fn what_ends_after_it_was_sent_back_says_nothing() {
    let mut world = World::new("solo", Vec::new());
    world.play(0);
    let (id, before) = (NodeId::new("implement"), world.state.clone());
    let outcome = Outcome { commit: Some(Oid::new("late")), ..Outcome::succeeded("late") };
    let outcome = Box::new(outcome);
    world.record(Some(&id), What::NodeFinished { attempt: 1, outcome, reused: false });
    assert_eq!((&world.state.nodes, &world.state.commit), (&before.nodes, &before.commit));
}

#[test]
fn a_note_before_a_resume_does_not_count_the_pause_as_work() {
    let mut world = World::new("solo", Vec::new());
    let took = world.state.took_ms();
    let at = |seq: u64, at: i64, what: What| Event {
        seq,
        at,
        run: RunId::new("r"),
        node: None,
        agent: None,
        what,
    };
    let text = "the journal was torn".to_owned();
    let day = 24 * 60 * 60 * 1000;
    world.state.apply(&at(1, day, What::Note { level: Level::Warning, text }));
    world.state.apply(&at(2, day + 1, What::RunResumed { pid: 1, model: None, options: None }));
    world.state.apply(&at(3, day + 6, What::CancelAsked));
    assert_eq!(world.state.took_ms(), took + 5);
}

#[test]
fn a_landing_that_ended_while_the_run_was_stopping_is_its_end() {
    let mut world = World::new("solo", Vec::new());
    world.play(0);
    let landed = world.state.end.take();
    world.busy.stop = Some(RunEnd::Interrupted);
    let effects = plan::step(&world.graph, &world.options, &world.state, &world.busy);
    assert_eq!(effects, [Effect::Finish(landed.expect("it has landed"))]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn every_luck_ends_and_every_record_folds(
        luck in prop::collection::vec(prop::bool::weighted(0.7), 0..40),
        dies_every in 0usize..6,
        workflow in prop::sample::select(vec!["resolve", "solo", "small", "branching"]),
        risky in prop::collection::vec(any::<bool>(), 0..4),
    ) {
        let luck = luck.into_iter().map(|good| if good { Luck::Good } else { Luck::Bad });
        let graph = if workflow == "branching" { branching() } else { shipped(workflow) };
        let mut world = World::of(graph, luck.collect());
        world.risky = risky;
        let end = world.play(if dies_every < 2 { 0 } else { dies_every + 2 });
        let known = matches!(
            end,
            RunEnd::Landed { .. } | RunEnd::NotResolved(_) | RunEnd::Conflict(_)
        );
        prop_assert!(known, "ended otherwise");
    }
}
