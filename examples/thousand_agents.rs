//! What a thousand agents in one process do to each other, and what one that waits costs:
//! `cargo run --release --example thousand_agents [RUNS] [AGENTS] [MILLISECONDS]`.
//!
//! RUNS runs of AGENTS agents each work on one repository, all at once, on the scripted model. In
//! every second run four agents write one tree, one after the other, and the rest read; in the others
//! 28 of 100 write a tree each, what they made is joined, and one more goes on with that. Each agent
//! makes 20 calls, one in a turn, and then `finish`: a reader `read`, `grep`, `glob` and at last
//! `report_finding`, a writer `read`, `grep`, `edit` and `bash`.
//!
//! *Two writers* are counted where they write, by a folder that each command makes in the tree and
//! takes away again, and in the record, by the calls of two writers of one tree that overlap. *Lost
//! updates* are counted in what has landed: commands add one to a number in a file, and edits a line.
//!
//! The first pass stops every agent in its eleventh turn, when it waits for its model: resident memory
//! then, of this process and all below it with shared pages counted once, less what it was before, by
//! agent. In the second pass each answer takes MILLISECONDS. Its *ideal schedule* is the longer one of
//! two times that no scheduler can beat: what the longest chain of answers takes (four writers in a
//! line, with 21 turns each), and the CPU time that the pass took, spread over all cores.

use std::{
    collections::HashMap,
    env,
    error::Error,
    fs,
    ops::AddAssign,
    path::Path,
    process::{Command, ExitCode},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use futures_util::future::BoxFuture;
use grafter::{
    coordinator::{
        ground::Ground,
        options::{Options, Reuse},
        start::{self, Order},
    },
    git::{init::init, repo::Repo},
    graph::load,
    prompt::set::PromptSet,
    protocol::{
        event::{Event, What},
        ids::{AgentId, Oid},
        message::Reply,
        report::{Check, Origin, RunEnd},
        task::{Mode, Task},
    },
    provider::{
        model::{Ask, Model, ModelError, ModelInfo, Sink},
        scripted::Scripted,
    },
    sandbox::child,
    tools::catalogue::catalogue,
};
use serde_json::{Value, json};
use tokio::{sync::watch, task::JoinSet, time::sleep};
use tokio_util::sync::CancellationToken;

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// Writers of one tree in a run that has no others.
const LINE: usize = 4;
/// Readers that one node makes, the most it may.
const GROUP: usize = 8;
/// Rounds of four calls of a writer.
const ROUNDS: usize = 5;
const CALLS: usize = 4 * ROUNDS;
const FILES: usize = 40;
/// The turn in which all wait while the memory is looked at.
const HALF: u32 = 10;

/// Which writers a run has.
#[derive(Clone, Copy, Debug)]
struct Team {
    readers: usize,
    /// Those with a tree each.
    parts: usize,
    /// Those that write one tree in a line, after the others.
    line: usize,
}

impl Team {
    fn of(run: usize, agents: usize) -> Self {
        let is_even = run.is_multiple_of(2);
        let (parts, line) = if is_even { (0, LINE) } else { ((agents * 28 / 100).max(2), 1) };
        Self { readers: agents - parts - line, parts, line }
    }
}

/// One pass over all runs.
#[derive(Clone, Copy, Debug)]
struct Pass {
    runs: usize,
    agents: usize,
    pause: Duration,
    holds: bool,
}

/// What was counted.
#[derive(Clone, Copy, Debug, Default)]
struct Count {
    agents: usize,
    calls: usize,
    failed: usize,
    met: usize,
    lost: usize,
}

fn main() -> Outcome<ExitCode> {
    if let Some(code) = child::dispatch() {
        return Ok(code);
    }
    let mut args = env::args().skip(1);
    let mut number = |default| args.next().map_or(Ok(default), |text| text.parse::<usize>());
    let (runs, agents, pause) = (number(10)?, number(100)?, number(250)?);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let pause = Duration::from_millis(u64::try_from(pause)?);
    runtime.block_on(bench(Pass { runs, agents, pause, holds: false }))?;
    Ok(ExitCode::SUCCESS)
}

async fn bench(pass: Pass) -> Outcome<()> {
    let folder = tempfile::tempdir()?;
    let checkout = folder.path().join("repo");
    fs::create_dir(&checkout)?;
    for n in 0..FILES {
        fs::write(checkout.join(format!("file{n}.txt")), format!("{n}\n").repeat(40))?;
    }
    for tree in std::iter::once(String::new()).chain((0..pass.agents).map(|n| format!("-{n}"))) {
        fs::write(checkout.join(format!("count{tree}.txt")), "0\n")?;
        fs::write(checkout.join(format!("log{tree}.txt")), "end\n")?;
    }
    init(&checkout, "files")?;
    // What a process takes once, whatever it does, is no agent's.
    let warm = Pass { runs: 2, agents: 12, pause: Duration::ZERO, holds: false };
    all(folder.path(), warm).await?;
    let idle = Pass { pause: Duration::ZERO, holds: true, ..pass };
    let mut count = all(folder.path(), idle).await?;
    let (begun, cpu) = (Instant::now(), cpu()?);
    count += all(folder.path(), pass).await?;
    schedule(pass, begun.elapsed(), self::cpu()? - cpu);
    let Count { agents, calls, failed, met, lost } = count;
    say(&format!(
        "{agents} agents, {calls} calls, {failed} failed; {met} times two writers on one tree, \
         {lost} lost updates"
    ));
    if failed + met + lost > 0 { Err("writers met, or work was lost".into()) } else { Ok(()) }
}

fn schedule(pass: Pass, took: Duration, work: Duration) {
    let turns = u32::try_from(LINE * (CALLS + 1)).unwrap_or(u32::MAX);
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let (chain, work) = (pass.pause * turns, work.div_f64(cores as f64));
    let (ideal, took) = (chain.max(work).as_secs_f64(), took.as_secs_f64());
    say(&format!(
        "took {took:.1} s, {:.2} times the ideal schedule: chain {:.1} s, work {:.1} s on {cores} \
         cores (target 2)",
        took / ideal,
        chain.as_secs_f64(),
        work.as_secs_f64()
    ));
}

/// Has all runs at once, from their beginning to their landing.
async fn all(folder: &Path, pass: Pass) -> Outcome<Count> {
    let gate = Arc::new(Gate::new(pass.holds));
    let before = memory();
    let mut runs = JoinSet::new();
    for n in 0..pass.runs {
        let team = Team::of(n, pass.agents);
        let (folder, gate) = (folder.to_owned(), gate.clone());
        runs.spawn(async move { one(&folder, (pass, team), gate).await });
    }
    if pass.holds {
        // All but those who stand in line wait for the model at the same time.
        let teams = (0..pass.runs).map(|n| Team::of(n, pass.agents));
        let waiting =
            teams.map(|team| team.readers + team.parts + usize::from(team.parts == 0)).sum();
        while gate.waiting.load(Ordering::SeqCst) < waiting && !runs.is_empty() {
            tokio::select! {
                () = sleep(Duration::from_millis(20)) => {}
                Some(done) = runs.join_next() => return Err(format!("early: {done:?}").into()),
            }
        }
        let now = memory();
        let each = |now: f64, before: f64| (now - before) * 1000.0 / waiting as f64;
        say(&format!(
            "{waiting} agents wait for their model: {:.0} KB each (target 300), of which {:.0} KB in \
             this process; {} sandboxes",
            each(now.all, before.all),
            each(now.own, before.own),
            now.others,
        ));
        gate.open.send_replace(true);
    }
    let mut count = Count::default();
    while let Some(done) = runs.join_next().await {
        count += done??;
    }
    Ok(count)
}

async fn one(folder: &Path, (pass, team): (Pass, Team), gate: Arc<Gate>) -> Outcome<Count> {
    let flow = flow(team);
    let script = Scripted::parse("script", "script", &script(team))?;
    let model = Arc::new(Paced { script, pause: pass.pause, gate });
    let repo = Repo::discover(&folder.join("repo"))?;
    let ground = Ground::beneath(&folder.join("state"), repo, model)?;
    let order = Order {
        task: Task::new("work side by side"),
        graph: load::load("many", &flow, catalogue())?,
        workflow_text: flow,
        prompts: PromptSet::load(&[])?,
        options: Options {
            checks: vec![Check { command: "true".to_owned(), origin: Origin::Named }],
            mode: Mode::Bypass,
            max_agents: pass.agents,
            max_turns: u32::MAX,
            reuse: Reuse::Fresh,
            ..Options::default()
        },
        model: "scripted".to_owned(),
        base: ground.repo.resolve("HEAD")?,
        into: None,
        notes: Vec::new(),
    };
    let mut run = start::start(ground, order).await?;
    let mut books = Books::default();
    while let Some(event) = run.events.recv().await {
        books.take(&event);
    }
    let commit = match run.done.await?? {
        RunEnd::Landed { commit, .. } => commit,
        other => return Err(format!("{team:?} ended otherwise: {other:?}").into()),
    };
    let landed = landed(&folder.join("repo"), team, &commit)?;
    let mut count = books.count;
    count.met += landed.met;
    count.lost += landed.lost;
    Ok(count)
}

/// Returns a workflow with these agents; the last writer waits for all others.
fn flow(team: Team) -> String {
    let mut text = "name: many\nversion: 1\nnodes:\n".to_owned();
    let mut all = Vec::new();
    for (group, first) in (0..team.readers).step_by(GROUP).enumerate() {
        let each = GROUP.min(team.readers - first);
        let node = format!("id: read-{group}, phase: research, role: researcher, each: {each}");
        text += &format!("  - {{ {node} }}\n");
        all.push(format!("read-{group}"));
    }
    if team.parts > 0 {
        let each = team.parts;
        text += &format!("  - {{ id: part, phase: implementation, role: part, each: {each} }}\n");
        all.push("part".to_owned());
    }
    for n in 0..team.line {
        let mut needs = if n == 0 { Vec::new() } else { vec![format!("write-{}", n - 1)] };
        if n + 1 == team.line {
            needs.append(&mut all);
        }
        let (node, needs) = (format!("id: write-{n}, phase: implementation"), needs.join(", "));
        text += &format!("  - {{ {node}, role: solo, needs: [{needs}] }}\n");
    }
    text
}

/// Returns what all agents of a run say, by turns.
fn script(team: Team) -> String {
    let done = json!({ "status": "succeeded", "summary": "done" });
    let mut entries = vec![entry(json!({ "turn": CALLS }), ("finish", done))];
    for n in 0..team.line {
        entries.extend(writes(&json!({ "node": format!("write-{n}") }), (n, "")));
    }
    for n in 0..team.parts {
        entries.extend(writes(&json!({ "node": "part", "index": n }), (n, &format!("-{n}"))));
    }
    let lines = json!({ "path": "file0.txt", "from": 1, "to": 2 });
    let finding = json!({ "claim": "it is full of numbers", "evidence": [lines] });
    for turn in 0..CALLS {
        let call = match turn % 4 {
            _ if turn + 1 == CALLS => ("report_finding", finding.clone()),
            0 | 1 => ("read", json!({ "path": format!("file{turn}.txt") })),
            2 => ("grep", json!({ "pattern": format!("^{turn}$") })),
            _ => ("glob", json!({ "pattern": format!("*{turn}.txt") })),
        };
        entries.push(entry(json!({ "phase": "research", "turn": turn }), call));
    }
    json!({ "entries": entries }).to_string()
}

/// Returns the calls of a writer, which has a number and a count and a log to write.
fn writes(place: &Value, (n, tree): (usize, &str)) -> Vec<Value> {
    let (count, log) = (format!("count{tree}.txt"), format!("log{tree}.txt"));
    let command = format!(
        "mkdir busy || echo met >> met.txt; n=$(cat {count}); echo $((n + 1)) > {count}; rmdir busy"
    );
    let round = |round: usize| {
        let mark = format!("{n}.{round}\nend");
        let calls = [
            ("read", json!({ "path": log })),
            ("edit", json!({ "path": log, "old": "end", "new": mark })),
            ("grep", json!({ "pattern": format!("^{round}{n}") })),
            ("bash", json!({ "command": command })),
        ];
        let at = |(turn, call): (usize, (&str, Value))| {
            let mut place = place.clone();
            place["turn"] = json!(turn);
            entry(place, call)
        };
        (4 * round..).zip(calls).map(at).collect::<Vec<_>>()
    };
    (0..ROUNDS).flat_map(round).collect()
}

fn entry(mut place: Value, (name, input): (&str, Value)) -> Value {
    place["reply"] = json!({ "calls": [{ "name": name, "input": input }] });
    place
}

/// Counts what is wrong with a commit.
fn landed(checkout: &Path, team: Team, commit: &Oid) -> Outcome<Count> {
    let show = |file: &str| -> Outcome<String> {
        let mut git = Command::new("git");
        let object = format!("{}:{file}", commit.as_str());
        let output = git.current_dir(checkout).args(["show", &object]).output()?;
        Ok(String::from_utf8(output.stdout)?)
    };
    let parts = (0..team.parts).map(|n| (format!("-{n}"), ROUNDS));
    let mut found = Count { met: show("met.txt")?.lines().count(), ..Count::default() };
    for (tree, wanted) in parts.chain([(String::new(), team.line * ROUNDS)]) {
        let count: usize = show(&format!("count{tree}.txt"))?.trim().parse()?;
        let lines = show(&format!("log{tree}.txt"))?.lines().count() - 1;
        found.lost += wanted.abs_diff(count) + wanted.abs_diff(lines);
    }
    Ok(found)
}

/// What the record of a run says.
#[derive(Default)]
struct Books {
    /// The tree of each writer.
    trees: HashMap<AgentId, String>,
    /// Who writes in a tree just now.
    writing: HashMap<String, AgentId>,
    count: Count,
}

impl Books {
    fn take(&mut self, event: &Event) {
        let Some(agent) = &event.agent else { return };
        let writes = |tool: &str| tool == "edit" || tool == "bash";
        match &event.what {
            What::PlaceReady { path, .. } => {
                self.trees.insert(agent.clone(), path.clone());
            }
            What::ToolIntent { tool, .. } if writes(tool) => {
                let tree = self.trees.get(agent).cloned().unwrap_or_default();
                let other = self.writing.insert(tree, agent.clone());
                self.count.met += usize::from(other.is_some());
            }
            What::ToolResult { tool, is_error, .. } => {
                self.count.calls += usize::from(tool != "finish");
                self.count.failed += usize::from(*is_error);
                if let (true, Some(tree)) = (writes(tool), self.trees.get(agent)) {
                    self.writing.remove(tree);
                }
            }
            What::NodeFinished { .. } => self.count.agents += 1,
            _ => {}
        }
    }
}

impl AddAssign for Count {
    fn add_assign(&mut self, other: Self) {
        self.agents += other.agents;
        self.calls += other.calls;
        self.failed += other.failed;
        self.met += other.met;
        self.lost += other.lost;
    }
}

/// Holds all agents in one turn until it is opened.
struct Gate {
    waiting: AtomicUsize,
    open: watch::Sender<bool>,
}

impl Gate {
    fn new(holds: bool) -> Self {
        Self { waiting: AtomicUsize::new(0), open: watch::Sender::new(!holds) }
    }

    async fn pass(&self) {
        self.waiting.fetch_add(1, Ordering::SeqCst);
        // The sender lives as long as this.
        let _ = self.open.subscribe().wait_for(|open| *open).await;
    }
}

/// The scripted model, which takes its time.
struct Paced {
    script: Scripted,
    pause: Duration,
    gate: Arc<Gate>,
}

impl Model for Paced {
    fn name(&self) -> &str {
        self.script.name()
    }

    fn info(&self) -> &ModelInfo {
        self.script.info()
    }

    fn ask<'a>(
        &'a self,
        ask: &'a Ask,
        sink: Sink<'a>,
        cancel: &'a CancellationToken,
    ) -> BoxFuture<'a, Result<Reply, ModelError>> {
        Box::pin(async move {
            if ask.cue.turn == HALF {
                self.gate.pass().await;
            }
            sleep(self.pause).await;
            self.script.ask(ask, sink, cancel).await
        })
    }
}

/// Resident memory in megabytes, shared pages counted once.
#[derive(Clone, Copy, Debug, Default)]
struct Memory {
    own: f64,
    all: f64,
    others: usize,
}

fn memory() -> Memory {
    let mut open = vec![std::process::id()];
    let mut found = Memory::default();
    while let Some(pid) = open.pop() {
        let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("Pss:"));
        let number = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
        let size = number.unwrap_or(0.0) * 1024.0 / 1e6;
        found.all += size;
        match pid == std::process::id() {
            true => found.own = size,
            false => found.others += 1,
        }
        let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
        for task in tasks {
            let list = fs::read_to_string(task.path().join("children")).unwrap_or_default();
            open.extend(list.split_whitespace().filter_map(|pid| pid.parse::<u32>().ok()));
        }
    }
    found
}

/// Returns the CPU time of this process and of all that it has seen end.
fn cpu() -> Outcome<Duration> {
    let text = fs::read_to_string("/proc/self/stat")?;
    let numbers = text.rsplit_once(')').ok_or("no process")?.1.split_whitespace();
    let ticks: u64 = numbers.skip(11).take(4).flat_map(str::parse::<u64>).sum();
    Ok(Duration::from_millis(ticks * 1000 / rustix::param::clock_ticks_per_second()))
}

#[expect(clippy::print_stdout, reason = "an example's result is what it prints")]
fn say(line: &str) {
    println!("{line}");
}
