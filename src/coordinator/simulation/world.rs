//! Plays runs without any effect: every effect becomes the record it would lead to.
//!
//! What the agents would say comes from a list of choices, so that a property test can try all
//! kinds of luck. After every record the fold of all records must equal the live state.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::{
    coordinator::{
        options::{Options, Reuse},
        plan::{self, Busy, Effect, Job},
        state::{RunState, is_terminal},
    },
    graph::{dag::Graph, load, lookup, node::Work, ready::NodeState},
    protocol::{
        event::{Event, Kept, What},
        ids::{NodeId, Oid, RunId},
        outcome::{Evidence, Failure, Finding, Outcome, Review},
        part::{Clashed, Joined, Parked},
        report::{Check, CheckEnd, CheckReport, CheckRun, CheckedTree, DiffStat, Origin, RunEnd},
        started::RunStarted,
        task::{AgentKind, Phase, Task},
        usage::{Micros, Usage},
    },
    tools::catalogue::catalogue,
};

/// What one agent or check does.
#[derive(Clone, Copy, Debug)]
pub(in crate::coordinator) enum Luck {
    Good,
    Bad,
}

pub(in crate::coordinator) struct World {
    /// What `risky` carries are, attempt by attempt; then false.
    pub(super) risky: Vec<bool>,
    /// Nodes and attempts that fail whatever the luck.
    pub(super) bad: Vec<(&'static str, u32)>,
    pub(super) graph: Graph,
    pub(super) options: Options,
    pub(super) events: Vec<Event>,
    pub(in crate::coordinator) state: RunState,
    pub(super) busy: Busy,
    pub(super) luck: std::vec::IntoIter<Luck>,
    pub(super) commits: u32,
    pub(super) candidates: u32,
    /// How often parts shall not merge.
    pub(super) clash: Vec<(&'static str, u32)>,
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

pub(super) fn branching() -> Graph {
    load::load("branching", BRANCHING, catalogue()).expect("it is valid")
}

pub(super) fn shipped(name: &str) -> Graph {
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
    pub(in crate::coordinator) fn new(workflow: &str, luck: Vec<Luck>) -> Self {
        Self::of(shipped(workflow), luck)
    }

    pub(super) fn of(graph: Graph, luck: Vec<Luck>) -> Self {
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
            clash: Vec::new(),
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
                mode: None,
            })),
        );
        world
    }

    pub(in crate::coordinator) fn record(&mut self, node: Option<&NodeId>, what: What) {
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

    /// Writers of the run's own tree; each part has a tree to itself.
    fn writers(&self) -> usize {
        let writes = |id: &NodeId| {
            let name = id.as_str().split('.').next().unwrap_or_default();
            self.graph.get(name).is_some_and(|node| node.writes() && !node.is_split())
        };
        let running = |id: &NodeId| self.state.state_of(id) == NodeState::Running;
        self.state.nodes.keys().filter(|id| writes(id) && running(id)).count()
    }

    /// Steps until the run has ended; a process that dies forgets `busy` and nothing else.
    pub(super) fn play(&mut self, dies_every: usize) -> RunEnd {
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
            Effect::Park(id, why) => self.record(Some(&id), What::PartParked(Parked { why })),
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
            Job::Join => {
                let id = self.state.next_part(&self.graph).expect("a part whose turn it is");
                let bound = self.clash.iter_mut().find(|(part, n)| *part == id.as_str() && *n > 0);
                let luck = match bound {
                    Some((_, left)) => {
                        *left -= 1;
                        Luck::Bad
                    }
                    None => self.luck.next().unwrap_or(Luck::Good),
                };
                match luck {
                    Luck::Good => {
                        self.commits += 1;
                        let (commit, stat) =
                            (Oid::new(format!("j{}", self.commits)), DiffStat::default());
                        let branch = "b".to_owned();
                        self.record(Some(&id), What::PartJoined(Joined { commit, branch, stat }));
                    }
                    Luck::Bad => {
                        let paths = vec!["a".to_owned()];
                        self.record(Some(&id), What::PartClashed(Clashed { paths }));
                    }
                }
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
            "parts" => json!([
                { "id": "a", "text": "x" },
                { "id": "b", "text": "x" },
                { "id": "c", "text": "x", "after": ["a"] },
            ]),
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
