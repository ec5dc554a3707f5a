//! Plays runs without any effect: every effect becomes the record it would lead to.
//!
//! What the agents would say comes from a list of choices, so that a property test can try all
//! kinds of luck. After every record the fold of all records must equal the live state.

use std::collections::BTreeMap;

use proptest::prelude::*;

use crate::{
    coordinator::{
        options::{Options, Reuse},
        plan::{self, Busy, Effect, Job},
        state::RunState,
    },
    graph::{dag::Graph, load, lookup, ready::NodeState},
    protocol::{
        event::{CheckedTree, Event, Kept, RunStarted, What},
        ids::{NodeId, Oid, RunId},
        outcome::{Evidence, Failure, Finding, Outcome, Review},
        report::{Check, CheckEnd, CheckReport, CheckRun, DiffStat, Origin, RunEnd},
        task::{AgentKind, Phase, Task},
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
    graph: Graph,
    options: Options,
    events: Vec<Event>,
    state: RunState,
    busy: Busy,
    luck: std::vec::IntoIter<Luck>,
    commits: u32,
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
        let options = Options { checks: vec![check()], reuse: Reuse::Fresh, ..Options::default() };
        let mut world = Self {
            graph: shipped(workflow),
            options,
            events: Vec::new(),
            state: RunState::default(),
            busy: Busy::default(),
            luck: luck.into_iter(),
            commits: 0,
        };
        let kept = || Kept::Inline(String::new());
        world.record(
            None,
            What::RunStarted(Box::new(RunStarted {
                task: Task::new("x"),
                workflow: workflow.into(),
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
                let (candidate, tree) = (Oid::new("c"), Oid::new("tree"));
                self.record(None, What::CandidateMade { candidate, tree, tip: None, commit });
            }
            Job::Land => {
                let (branch, to) = ("t".to_owned(), Oid::new("c"));
                let from = None;
                let intent =
                    What::LandIntent { branch: branch.clone(), from: None, to: to.clone() };
                self.record(None, intent);
                match self.luck.next().unwrap_or(Luck::Good) {
                    Luck::Good => {
                        let stat = DiffStat::default();
                        self.record(None, What::Landed { branch, from, to, stat });
                    }
                    Luck::Bad => self.record(None, What::LandMissed { branch, found: None }),
                }
            }
        }
    }

    fn finish_unit(&mut self, id: &NodeId, luck: Luck) {
        let name = id.as_str().split('.').next().unwrap_or_default().to_owned();
        let phase = self.graph.get(&name).map_or(Phase::Research, |node| node.phase);
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
        let attempt = self.state.nodes.get(id).map_or(1, |node| node.attempt);
        let outcome = Box::new(outcome);
        self.record(Some(id), What::NodeFinished { attempt, outcome, reused: false });
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

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn every_luck_ends_and_every_record_folds(
        luck in prop::collection::vec(prop::bool::weighted(0.7), 0..40),
        dies_every in 0usize..6,
        workflow in prop::sample::select(vec!["resolve", "solo", "small"]),
    ) {
        let luck = luck.into_iter().map(|good| if good { Luck::Good } else { Luck::Bad });
        let mut world = World::new(workflow, luck.collect());
        let end = world.play(if dies_every < 2 { 0 } else { dies_every + 2 });
        let known = matches!(
            end,
            RunEnd::Landed { .. } | RunEnd::NotResolved(_) | RunEnd::Conflict(_)
        );
        prop_assert!(known, "ended otherwise");
    }
}
