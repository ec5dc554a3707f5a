//! What runs cost beside each other: many runs of `solo.yaml` at once in one process.
//!
//! ```text
//! cargo run --release --example many_runs SERVER [AT_ONCE] [ROUNDS]
//! ```
//!
//! Each run has 20 turns with a shell command each, the last of which writes a file, then `finish`;
//! all are on one repository of 100 files, sandbox on, and land on branches of their own. SERVER is a
//! script for Python that is started with `--port 0 --port-file FILE --script FILE`. Printed are tasks
//! a minute over all rounds, and what memory this process and all below it had at the most above what
//! it had before, by run: as the sum of resident memory, and with shared pages counted once (`Pss`).

use std::{
    env,
    error::Error,
    fs,
    path::Path,
    process::{Child, Command, ExitCode, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use grafter::{
    coordinator::{
        ground::Ground,
        options::Options,
        start::{self, Order},
    },
    git::{init::init, repo::Repo},
    graph::{load, lookup},
    prompt::set::PromptSet,
    protocol::{
        report::{Check, Origin, RunEnd},
        task::{Mode, Task},
    },
    provider::{known, open},
    sandbox::child,
    tools::catalogue::catalogue,
};
use serde_json::json;
use tokio::task::JoinSet;

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

const FILES: usize = 100;
const TURNS: usize = 20;

fn main() -> Outcome<ExitCode> {
    if let Some(code) = child::dispatch() {
        return Ok(code);
    }
    let mut args = env::args().skip(1);
    let server = Server::start(&args.next().ok_or("which server?")?)?;
    let mut number = |default| args.next().map_or(Ok(default), |text| text.parse::<usize>());
    let (at_once, rounds) = (number(16)?, number(5)?);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let folder = tempfile::tempdir()?;
    runtime.block_on(bench(folder.path(), &server, (at_once, rounds)))?;
    Ok(ExitCode::SUCCESS)
}

async fn bench(folder: &Path, server: &Server, (at_once, rounds): (usize, usize)) -> Outcome<()> {
    let checkout = folder.join("repo");
    fs::create_dir(&checkout)?;
    for n in 0..FILES {
        fs::write(checkout.join(format!("file{n}.txt")), format!("{n}\n").repeat(40))?;
    }
    init(&checkout, "files")?;
    // The first run warms the caches, and is not counted.
    one(folder, &server.url, "warm").await?;
    let watch = Watch::begin(server.process.id());
    let begun = Instant::now();
    let mut runs = JoinSet::new();
    let total = at_once * rounds;
    for n in 0..total {
        if runs.len() == at_once {
            runs.join_next().await.ok_or("a run")???;
        }
        let (folder, url) = (folder.to_owned(), server.url.clone());
        runs.spawn(async move { one(&folder, &url, &format!("r{n}")).await });
    }
    while let Some(done) = runs.join_next().await {
        done??;
    }
    let minutes = begun.elapsed().as_secs_f64() / 60.0;
    let peak = watch.end()?;
    let each = at_once as f64;
    say(&format!("{total} runs, {at_once} at once"));
    say(&format!("tasks a minute            {:8.0}  (target 600)", total as f64 / minutes));
    say(&format!("memory a run, pages once  {:8.2} MB (target 5)", peak.once / each));
    say(&format!("memory a run, summed      {:8.2} MB", peak.sum / each));
    Ok(())
}

/// Has one run from its beginning to its landing.
async fn one(folder: &Path, url: &str, name: &str) -> Outcome<()> {
    let model = format!("chat+{url}/r/{name}/v1#mock");
    let model = open::open(&model, &known::Options::default(), &|name| env::var(name).ok())?;
    let repo = Repo::discover(&folder.join("repo"))?;
    let ground = Ground::beneath(&folder.join("state"), repo, model)?;
    let workflow = lookup::find("solo", &[])?;
    let order = Order {
        task: Task::new("write a note"),
        graph: load::load(&workflow.origin, &workflow.text, catalogue())?,
        workflow_text: workflow.text,
        prompts: PromptSet::load(&[])?,
        options: Options {
            checks: vec![Check { command: "true".to_owned(), origin: Origin::Named }],
            mode: Mode::Bypass,
            reuse: grafter::coordinator::options::Reuse::Fresh,
            max_cost: None,
            ..Options::default()
        },
        model: ground.model.name().to_owned(),
        base: ground.repo.resolve("HEAD")?,
        into: None,
        notes: Vec::new(),
    };
    let mut run = start::start(ground, order).await?;
    while run.events.recv().await.is_some() {}
    match run.done.await?? {
        RunEnd::Landed { .. } => Ok(()),
        other => Err(format!("{name} ended otherwise: {other:?}").into()),
    }
}

/// Memory of this process and all below it, in megabytes.
#[derive(Clone, Copy, Debug, Default)]
struct Memory {
    sum: f64,
    once: f64,
}

/// Looks at the memory again and again from a thread of its own.
struct Watch {
    before: Memory,
    stop: Arc<AtomicBool>,
    looks: thread::JoinHandle<Memory>,
}

impl Watch {
    fn begin(server: u32) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (before, told) = (memory(server), stop.clone());
        let looks = thread::spawn(move || {
            let mut peak = Memory::default();
            while !told.load(Ordering::Relaxed) {
                let now = memory(server);
                peak = Memory { sum: peak.sum.max(now.sum), once: peak.once.max(now.once) };
                thread::sleep(Duration::from_millis(100));
            }
            peak
        });
        Self { before, stop, looks }
    }

    fn end(self) -> Outcome<Memory> {
        self.stop.store(true, Ordering::Relaxed);
        let peak = self.looks.join().map_err(|_| "the watching thread failed")?;
        Ok(Memory { sum: peak.sum - self.before.sum, once: peak.once - self.before.once })
    }
}

fn memory(server: u32) -> Memory {
    let mut open = vec![std::process::id()];
    let mut all = Memory::default();
    while let Some(pid) = open.pop() {
        if pid == server {
            continue;
        }
        let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
        let line = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name))?;
            line.split_whitespace().next()?.parse::<f64>().ok()
        };
        all.sum += line("Rss:").unwrap_or(0.0) * 1024.0 / 1e6;
        all.once += line("Pss:").unwrap_or(0.0) * 1024.0 / 1e6;
        open.extend(children(pid));
    }
    all
}

fn children(pid: u32) -> Vec<u32> {
    let Ok(tasks) = fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
    let lists =
        tasks.flatten().filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
    lists
        .flat_map(|list| list.split_whitespace().flat_map(str::parse).collect::<Vec<u32>>())
        .collect()
}

/// The model server, a process of its own.
struct Server {
    url: String,
    process: Child,
    _folder: tempfile::TempDir,
}

impl Server {
    fn start(script: &str) -> Outcome<Self> {
        let folder = tempfile::tempdir()?;
        let shell = |command: &str| json!({ "kind": "shell", "command": command });
        let input = json!({ "status": "succeeded", "summary": "the note is written" });
        let plays = json!({ "scripts": [{ "final": "done", "turns": [
            { "calls": [shell("true {turn}")], "repeat": TURNS - 1 },
            { "calls": [shell("echo written > note.txt")] },
            { "calls": [{ "kind": "tool", "name": "finish", "input": input }] },
        ]}]});
        let (plan, port) = (folder.path().join("script.json"), folder.path().join("port"));
        fs::write(&plan, plays.to_string())?;
        let mut command = Command::new("python3");
        command.args([script, "--port", "0", "--port-file"]).arg(&port).arg("--script").arg(plan);
        let mut process = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        for _ in 0..500 {
            let number = fs::read_to_string(&port).unwrap_or_default();
            if !number.trim().is_empty() {
                let url = format!("http://127.0.0.1:{}", number.trim());
                return Ok(Self { url, process, _folder: folder });
            }
            thread::sleep(Duration::from_millis(20));
        }
        process.kill()?;
        Err("the server did not start".into())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[expect(clippy::print_stdout, reason = "an example's result is what it prints")]
fn say(line: &str) {
    println!("{line}");
}
