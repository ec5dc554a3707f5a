//! A made-up run for the tests of the renderers.

use std::collections::BTreeMap;

use crate::protocol::{
    event::{Event, Kept, Level, Paid, What},
    ids::{NodeId, Oid, RunId},
    message::StopReason,
    outcome::{Failure, Outcome},
    report::{
        Check, CheckEnd, CheckReport, CheckRun, CheckedTree, DiffStat, Grade, Origin, RunEnd,
        TestResult, TestStatus, Verdict,
    },
    started::RunStarted,
    task::{AgentKind, Phase, Task},
    usage::{Micros, Usage},
};

/// Events with growing numbers and times.
pub(super) struct Tale {
    pub(super) events: Vec<Event>,
    at: i64,
}

impl Tale {
    /// Starts a run with a model.
    pub(super) fn new(model: &str) -> Self {
        let kept = || Kept::Inline(String::new());
        let start = RunStarted {
            task: Task::new("The median of an even list is wrong"),
            workflow: "resolve".to_owned(),
            workflow_text: kept(),
            prompts: kept(),
            options: kept(),
            model: model.to_owned(),
            scripted: model.starts_with("scripted:") || model.starts_with("gold:"),
            base: oid('b'),
            target: "grafter/1122-1741-9f3a/landed".to_owned(),
            tip: None,
            checkout: "/home/ann/stats".to_owned(),
            mode: None,
        };
        let mut tale = Self { events: Vec::new(), at: 1_700_000_000_000 };
        tale.add("", 0, What::RunStarted(Box::new(start)));
        tale
    }

    /// Adds an event of a node (none: `""`), so many milliseconds after the one before.
    pub(super) fn add(&mut self, node: &str, after: i64, what: What) -> &mut Self {
        self.at += after;
        let node = (!node.is_empty()).then(|| NodeId::new(node));
        let (seq, run) = (self.events.len() as u64, RunId::new("1122-1741-9f3a"));
        self.events.push(Event { seq, at: self.at, run, node, agent: None, what });
        self
    }

    pub(super) fn node(&mut self, node: &str, phase: Phase, attempt: u32) -> &mut Self {
        let agent_kind = AgentKind::Teammate;
        let role = node.to_owned();
        self.add(node, 5, What::NodeStarted { attempt, phase, role, agent_kind, feedback: None })
    }

    pub(super) fn turn(&mut self, node: &str, tokens: u64, micros: u64) -> &mut Self {
        let usage = Usage { input: tokens, output: tokens / 10, ..Usage::default() };
        let what = What::ModelResult {
            turn: 0,
            reply: Kept::Inline(String::new()),
            stop: StopReason::ToolUse,
            usage,
            cost: Micros(micros),
            paid: Paid::Once,
            took_ms: 4000,
        };
        self.add(node, 4000, what)
    }

    pub(super) fn tool(&mut self, node: &str, title: &str) -> &mut Self {
        let what = What::ToolResult {
            turn: 0,
            index: 0,
            tool: "edit".to_owned(),
            title: title.to_owned(),
            is_error: false,
            content: Kept::Inline(String::new()),
            memo: None,
            snapshot: title.starts_with("edit").then(|| oid('5')),
            took_ms: 3,
        };
        self.add(node, 3, what)
    }

    pub(super) fn done(&mut self, node: &str, outcome: Outcome, reused: bool) -> &mut Self {
        let outcome = Box::new(outcome);
        self.add(node, 200, What::NodeFinished { attempt: 1, outcome, reused })
    }

    pub(super) fn end(&mut self, end: RunEnd) -> &mut Self {
        let (mut usage, mut cost, mut took_ms) = (Usage::default(), Micros(0), 0);
        for pair in self.events.windows(2) {
            let event = &pair[1];
            if !matches!(event.what, What::RunResumed { .. }) {
                took_ms += u64::try_from(event.at - pair[0].at).unwrap_or(0);
            }
            if let What::ModelResult { usage: more, cost: price, .. } = &event.what {
                usage += *more;
                cost += *price;
            }
        }
        self.add("", 0, What::RunFinished { end, usage, cost, took_ms })
    }
}

/// A commit id of one digit.
pub(super) fn oid(digit: char) -> Oid {
    Oid::new(digit.to_string().repeat(40))
}

/// A run of one check, with tests by name and whether they passed.
pub(super) fn checked(command: &str, code: i32, tests: &[(&str, bool)]) -> CheckReport {
    let status = |passed| if passed { TestStatus::Passed } else { TestStatus::Failed };
    let tests = tests
        .iter()
        .map(|(id, passed)| TestResult { id: (*id).to_owned(), status: status(*passed) });
    let check = Check { command: command.to_owned(), origin: Origin::Detected };
    let end = CheckEnd::Exit(code);
    let (tail, flaky) = (String::new(), false);
    CheckReport {
        runs: vec![CheckRun { check, end, tests: tests.collect(), tail, flaky, took_ms: 900 }],
    }
}

/// A run that researches, sends its work back once, and lands.
pub(super) fn landed(model: &str) -> Tale {
    let mut tale = Tale::new(model);
    let report = checked("cargo test", 101, &[("median::even", false), ("mean::one", true)]);
    let (on, commit, reused) = (CheckedTree::Base, oid('b'), false);
    tale.add("", 900, What::ChecksFinished { on, report, commit, reused });
    tale.node("research.0", Phase::Research, 1).node("research.1", Phase::Research, 1);
    tale.turn("research.0", 9_000, 20_000).tool("research.0", "grep \"median\" (4 matches)");
    tale.turn("research.0", 12_000, 31_000);
    tale.done("research.0", Outcome::succeeded("the index is off by one"), false);
    tale.done("research.1", Outcome::succeeded("tests cover odd lists only"), true);
    tale.node("synthesize", Phase::Synthesis, 1).turn("synthesize", 15_000, 40_000);
    tale.done("synthesize", Outcome::succeeded("take the mean of both middles"), false);
    tale.node("implement", Phase::Implementation, 1).turn("implement", 18_000, 61_200);
    tale.tool("implement", "edit src/median.rs");
    tale.done("implement", Outcome::succeeded("done"), false);
    candidate(&mut tale, &[("median::even", false), ("mean::one", true)]);
    let why = "median::even still fails";
    tale.done("checks", Outcome::failed(Failure::NotResolved, why), false);
    let reasons = vec![why.to_owned()];
    tale.add("", 1, What::VerdictGiven { candidate: oid('c'), verdict: Verdict::Red { reasons } });
    let nodes = ["implement", "checks"].map(NodeId::new).to_vec();
    let feedback = Kept::Inline(why.to_owned());
    tale.add("", 1, What::NodesReset { nodes, feedback });
    tale.node("implement", Phase::Implementation, 2).turn("implement", 20_000, 70_000);
    tale.tool("implement", "edit src/median.rs\u{1b}[2J");
    tale.done("implement", Outcome::succeeded("mended"), false);
    candidate(&mut tale, &[("median::even", true), ("mean::one", true)]);
    tale.done("checks", Outcome::succeeded(""), false);
    tale.add("review.0", 0, What::NodeSkipped { why: "reviews > 0".to_owned() });
    let fixed = vec!["median::even".to_owned()];
    let verdict = Verdict::Green { grade: Grade::Fixed, fixed };
    tale.add("", 1, What::VerdictGiven { candidate: oid('c'), verdict });
    let branch = "grafter/1122-1741-9f3a/landed".to_owned();
    let (from, to, stat) = (None, oid('c'), stat());
    tale.add("", 9, What::Landed { branch: branch.clone(), from, to, stat });
    tale.end(RunEnd::Landed { commit: oid('c'), branch, grade: Grade::Fixed });
    tale
}

/// A run that is killed while it writes and taken up an hour later, then stops at its budget.
pub(super) fn stopped() -> Tale {
    let mut tale = Tale::new("local/qwen");
    tale.node("implement", Phase::Implementation, 1).turn("implement", 700, 0);
    tale.tool("implement", "edit src/a.rs");
    tale.add("", 3_600_000, What::RunResumed { pid: 7, model: None, options: None });
    let text = "no git identity is set: grafter <grafter@localhost> is used".to_owned();
    tale.add("", 0, What::Note { level: Level::Warning, text });
    tale.turn("implement", 800, 0);
    let summary = "the budget of 2 turns is used up";
    tale.done("implement", Outcome::failed(Failure::Budget, summary), false);
    tale.end(RunEnd::Budget(summary.to_owned()));
    tale
}

fn candidate(tale: &mut Tale, tests: &[(&str, bool)]) {
    let branch = "grafter/1122-1741-9f3a/median".to_owned();
    let (commit, stat, tests_touched, left_out) = (oid('a'), stat(), Vec::new(), Vec::new());
    tale.add("implement", 20, What::CommitMade { commit, branch, stat, tests_touched, left_out });
    let (candidate, tree, tip, commit) = (oid('c'), oid('d'), None, oid('a'));
    tale.add("", 2, What::CandidateMade { candidate, tree, tip, commit });
    let attempt = 1 + u32::from(tests[0].1);
    tale.node("checks", Phase::Verification, attempt);
    let code = if tests.iter().all(|test| test.1) { 0 } else { 101 };
    let report = checked("cargo test", code, tests);
    let (on, commit, reused) = (CheckedTree::Candidate, oid('c'), false);
    tale.add("checks", 950, What::ChecksFinished { on, report, commit, reused });
}

fn stat() -> DiffStat {
    let files = BTreeMap::from([("src/median.rs", (12, 3)), ("tests/\u{202e}median.rs", (2, 0))]);
    let file = |(path, (added, removed)): (&str, _)| (path.to_owned(), added, removed);
    DiffStat { files: files.into_iter().map(file).collect() }
}
