//! What many writers at once do to a repository and to one tree:
//! `cargo run --release --example agents_at_once [ROUNDS]`.
//!
//! Two figures: how many of 15 worktree agents, begun at once in ROUNDS runs, came to their commit;
//! and how long after its kill a writer's tree is free. What a thousand agents do in one process,
//! readers and writers, counts `thousand_agents`.

use std::{
    error::Error,
    fs,
    path::Path,
    process::{Command, ExitCode, Stdio},
    time::{Duration, Instant},
};

use grafter::{
    coordinator::{
        ground::Ground,
        options::Options,
        start::{self, Order},
    },
    git::{init::init, repo::Repo},
    graph::load,
    prompt::set::PromptSet,
    protocol::{
        event::What,
        report::{Check, Origin, RunEnd},
        task::Task,
    },
    provider::{known, open},
    sandbox::{
        child,
        lock::TreeLock,
        place::{Place, PlaceSpec},
        run::Cmd,
    },
    tools::catalogue::catalogue,
};
use tokio_util::sync::CancellationToken;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const WRITERS: usize = 15;
const KILLS: usize = 10;
const PATIENCE: Duration = Duration::from_secs(60);
/// What this program is called with when it is to hold a tree until it is killed.
const HOLD: &str = "hold";

const FLOW: &str = "name: many\nversion: 1\nnodes:\n\
    \x20 - { id: write, phase: implementation, role: part, each: 15 }\n";
fn main() -> Result<ExitCode> {
    if let Some(code) = child::dispatch() {
        return Ok(code);
    }
    let args: Vec<String> = std::env::args().skip(1).collect();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    if args.first().is_some_and(|arg| arg == HOLD) {
        runtime.block_on(hold(Path::new(&args[1])))?;
        return Ok(ExitCode::SUCCESS);
    }
    let rounds = args.first().map_or(Ok(20), |arg| arg.parse())?;
    runtime.block_on(async {
        at_once(rounds).await?;
        killed().await
    })?;
    Ok(ExitCode::SUCCESS)
}

/// Begins 15 worktree agents at once, again and again.
async fn at_once(rounds: usize) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let checkout = folder.path().join("repo");
    fs::create_dir(&checkout)?;
    fs::write(checkout.join("a.txt"), "a\n")?;
    init(&checkout, "start")?;
    let script = folder.path().join("script.yaml");
    fs::write(&script, words())?;
    let (mut joined, mut times) = (0, Vec::new());
    for round in 0..rounds {
        let begin = Instant::now();
        joined += round_of_writers(folder.path(), &checkout, round).await?;
        times.push(begin.elapsed());
    }
    let failed = rounds * WRITERS - joined;
    let median = median(times);
    say(&format!(
        "{WRITERS} worktree agents at once, {rounds} times: {failed} failed, {median} ms"
    ));
    if failed > 0 { Err("not all came to their commit".into()) } else { Ok(()) }
}

/// Returns what the writers say: each writes a file of its own.
fn words() -> String {
    let one = |index: usize| {
        format!(
            "- {{ index: {index}, turn: 0, reply: {{ calls: [{{ name: write, input: {{ path: \
             {index}.txt, content: mine }} }}] }} }}\n"
        )
    };
    let done = "- { turn: 1, reply: { calls: [{ name: finish, input: { status: succeeded, \
                summary: done } }] } }\n";
    (0..WRITERS).map(one).collect::<String>() + done
}

async fn round_of_writers(folder: &Path, checkout: &Path, round: usize) -> Result<usize> {
    let name = format!("scripted:{}", folder.join("script.yaml").display());
    let model = open::open(&name, &known::Options::default(), &|name| std::env::var(name).ok())?;
    let ground = Ground::beneath(&folder.join("state"), Repo::discover(checkout)?, model)?;
    let order = Order {
        task: Task::new(&format!("round {round}")),
        graph: load::load("many", FLOW, catalogue())?,
        workflow_text: FLOW.to_owned(),
        prompts: PromptSet::load(&[])?,
        options: Options {
            checks: vec![Check { command: "true".to_owned(), origin: Origin::Named }],
            mode: grafter::protocol::task::Mode::Bypass,
            max_agents: WRITERS,
            reuse: grafter::coordinator::options::Reuse::Fresh,
            ..Options::default()
        },
        model: name,
        base: ground.repo.resolve("HEAD")?,
        into: None,
        notes: Vec::new(),
    };
    let mut run = start::start(ground, order).await?;
    let mut joined = 0;
    while let Some(event) = run.events.recv().await {
        joined += usize::from(matches!(event.what, What::PartJoined(_)));
    }
    match run.done.await?? {
        RunEnd::Landed { .. } => Ok(joined),
        end => Err(format!("round {round} ended as {end:?}").into()),
    }
}

/// Kills a process whose command writes in a tree, and takes the tree.
async fn killed() -> Result<()> {
    let mut times = Vec::new();
    for _ in 0..KILLS {
        let tree = tempfile::tempdir()?;
        let mut holder = Command::new(std::env::current_exe()?)
            .args([HOLD.as_ref(), tree.path().as_os_str()])
            .stdin(Stdio::null())
            .spawn()?;
        while !tree.path().join("half.txt").exists() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let begin = Instant::now();
        holder.kill()?;
        let guard = TreeLock::acquire(tree.path(), "another", PATIENCE).await?;
        times.push(begin.elapsed());
        let length = || fs::metadata(tree.path().join("half.txt")).map(|meta| meta.len());
        let before = length()?;
        tokio::time::sleep(Duration::from_millis(50)).await;
        if length()? != before {
            return Err("somebody writes in a tree that is free".into());
        }
        drop(guard);
        holder.wait()?;
    }
    let longest = times.iter().max().map_or(0, Duration::as_millis);
    let median = median(times);
    say(&format!("tree free after kill -9 of its writer: {median} ms, at most {longest} ms"));
    Ok(())
}

/// Holds a tree and writes in it without end.
async fn hold(tree: &Path) -> Result<()> {
    let guard = TreeLock::acquire(tree, "writer", PATIENCE).await?;
    let home = tempfile::tempdir()?;
    let place = Place::open(PlaceSpec::new(tree, tree, home.path())).await?;
    place.bind(guard.pass());
    let writes = Cmd::new("while :; do echo half >> half.txt; done");
    place.run(writes, &CancellationToken::new()).await?;
    Ok(())
}

fn median(mut times: Vec<Duration>) -> u128 {
    times.sort_unstable();
    times.get(times.len() / 2).map_or(0, Duration::as_millis)
}

#[expect(clippy::print_stdout, reason = "an example's result is what it prints")]
fn say(line: &str) {
    println!("{line}");
}
