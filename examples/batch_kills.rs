//! A batch that is killed again and again, and one of which two tasks fail.
//!
//! ```text
//! cargo run --release --example batch_kills [KILLS] [TASKS]
//! ```
//!
//! First a batch of 50 tasks with scripted agents (five contradict another one, five are red, each
//! check fails for no reason once in twenty times) is killed with `kill -9` at random moments and
//! resumed until it has been killed 100 times, batch after batch. Then 102 tasks are worked of which
//! two fail, and the batch is resumed. Counted are: landings that are red by a script of their own,
//! tasks that landed twice, commits and written files that nothing reaches any more, and runs that
//! a resume began again though they had ended well.

use std::{
    collections::{BTreeMap, BTreeSet},
    env,
    error::Error,
    fs,
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
    sync::Arc,
    thread,
    time::Duration,
};

use grafter::{
    coordinator::{
        ground::Ground as RunGround,
        options::{Options as RunOptions, Reuse},
        start::{Order, Stored},
    },
    fleet::{
        start::{self, BatchOrder, Ground},
        state::{BatchState, Stage},
        work::{Errand, Maker},
    },
    git::{init::init, repo::Repo},
    graph::{
        dag::Graph,
        load,
        lookup::{self, Source},
    },
    journal::runs::{Of, RunDir},
    prompt::set::PromptSet,
    protocol::{
        batch::{BatchTask, Style, Trouble},
        report::{Check, Origin},
        task::{Mode, Task},
    },
    provider::{known, open},
    sandbox::{child, options::Options, probe::probe},
    subagent::housing::Site,
    tools::catalogue::catalogue,
    verify::slots,
};
use serde_json::{Value, json};

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// What a killed process is begun with again.
const WORKER: &str = "work";

fn main() -> Outcome<ExitCode> {
    if let Some(code) = child::dispatch() {
        return Ok(code);
    }
    let args: Vec<String> = env::args().skip(1).collect();
    if let [word, folder] = &args[..]
        && word == WORKER
    {
        slots::set(2);
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        runtime.block_on(work(Path::new(folder)))?;
        return Ok(ExitCode::SUCCESS);
    }
    let number =
        |at: usize, default| args.get(at).map_or(Ok(default), |text| text.parse::<usize>());
    kills(number(0, 100)?)?;
    failures(number(1, 102)?)?;
    Ok(ExitCode::SUCCESS)
}

/// Kills batches until there were so many kills.
fn kills(wanted: usize) -> Outcome<()> {
    let (mut kills, mut batches) = (0, 0);
    let mut total = Faults::default();
    while kills < wanted {
        let folder = tempfile::tempdir()?;
        let backlog = Backlog::make(folder.path(), 50, true)?;
        batches += 1;
        loop {
            let mut process = backlog.start()?;
            // From before its first record to well into its work.
            thread::sleep(Duration::from_millis(rand::random_range(5..2500)));
            let ended = process.try_wait()?.is_some();
            process.kill()?;
            process.wait()?;
            backlog.seen()?;
            if ended || kills == wanted {
                break;
            }
            kills += 1;
        }
        backlog.start()?.wait()?;
        total.add(&backlog.faults()?);
    }
    say(&format!("{kills} kills in {batches} batches of 50 tasks"));
    say(&format!("  landings that were red        {}", total.red));
    say(&format!("  tasks that landed twice       {}", total.twice));
    say(&format!("  commits that nothing reaches  {}", total.lost));
    say(&format!("  tasks without an end          {}", total.open));
    say(&format!("  innocent tasks sent away      {}", total.innocent));
    Ok(())
}

/// Two of so many fail; a resume works just these.
fn failures(count: usize) -> Outcome<()> {
    let folder = tempfile::tempdir()?;
    let backlog = Backlog::make(folder.path(), count, false)?;
    for n in [17, 71] {
        backlog.script(
            n,
            &[json!({"name": "finish", "input": {"status": "failed", "summary": "no"}})],
        )?;
    }
    backlog.start()?.wait()?;
    let first = backlog.look()?;
    let runs =
        |state: &BatchState| -> usize { state.tasks.iter().map(|task| task.runs.len()).sum() };
    let done = |state: &BatchState| state.tasks.iter().filter(|task| task.stage.is_done()).count();
    say(&format!("{count} tasks: {} landed with {} runs", done(&first), runs(&first)));
    for n in [17, 71] {
        backlog.script(n, &backlog.right(n))?;
    }
    backlog.start()?.wait()?;
    let second = backlog.look()?;
    say(&format!(
        "  resumed: {} landed, {} runs more",
        done(&second),
        runs(&second) - runs(&first)
    ));
    Ok(())
}

#[derive(Debug, Default)]
struct Faults {
    red: usize,
    twice: usize,
    lost: usize,
    open: usize,
    innocent: usize,
}

impl Faults {
    fn add(&mut self, other: &Self) {
        self.red += other.red;
        self.twice += other.twice;
        self.lost += other.lost;
        self.open += other.open;
        self.innocent += other.innocent;
    }
}

struct Backlog {
    folder: PathBuf,
    repo: PathBuf,
    /// Commits that were on any branch or ref of grafter's at any time.
    known: std::cell::RefCell<BTreeSet<String>>,
}

impl Backlog {
    fn make(folder: &Path, count: usize, trouble: bool) -> Outcome<Self> {
        let repo = folder.join("repo");
        fs::create_dir_all(repo.join("work"))?;
        fs::write(repo.join("shared.txt"), "one\ntwo\nthree\n")?;
        fs::write(repo.join("work/base.txt"), "fine\n")?;
        init(&repo, "base")?;
        output(&repo, &["config", "core.logAllRefUpdates", "always"])?;
        let folder = folder.to_owned();
        let backlog = Self { folder, repo, known: <_>::default() };
        fs::write(backlog.folder.join("count"), format!("{count} {trouble}"))?;
        for n in 0..count {
            let calls = match n % 10 {
                7 if trouble => vec![backlog.write(&format!("work/t{n}.txt"), "red\n")],
                3 if trouble => vec![
                    json!({"name": "read", "input": {"path": "shared.txt"}}),
                    backlog.write("shared.txt", &format!("one\ntwo {n}\nthree\n")),
                ],
                _ => backlog.right(n),
            };
            backlog.script(n, &calls)?;
        }
        Ok(backlog)
    }

    fn write(&self, path: &str, content: &str) -> Value {
        json!({"name": "write", "input": {"path": path, "content": content}})
    }

    fn right(&self, n: usize) -> Vec<Value> {
        vec![self.write(&format!("work/t{n}.txt"), "fine\n")]
    }

    fn script(&self, n: usize, calls: &[Value]) -> Outcome<()> {
        let finish = json!({"name": "finish", "input": {"status": "succeeded", "summary": "done"}});
        let turns = calls.iter().chain([&finish]).enumerate();
        let entry = |(turn, call)| json!({"turn": turn, "reply": {"calls": [call]}});
        let mut entries: Vec<Value> = turns.map(entry).collect();
        let last = json!({"name": "finish", "input": {"status": "failed", "summary": "no more"}});
        entries.push(json!({"reply": {"calls": [last]}}));
        let text = json!({ "entries": entries }).to_string();
        Ok(fs::write(self.folder.join(format!("t{n}.yaml")), text)?)
    }

    fn start(&self) -> Outcome<std::process::Child> {
        let mut command = Command::new(env::current_exe()?);
        command.arg(WORKER).arg(&self.folder).stdin(Stdio::null());
        Ok(command.spawn()?)
    }

    /// Takes note of all commits that refs hold now: none of them may ever be lost.
    fn seen(&self) -> Outcome<()> {
        let refs = output(&self.repo, &["for-each-ref", "--format=%(objectname)"])?;
        self.known.borrow_mut().extend(refs.lines().map(str::to_owned));
        Ok(())
    }

    fn look(&self) -> Outcome<BatchState> {
        let state_dir = Repo::discover(&self.repo)?.state_dir();
        Ok(start::look(&RunDir::find_of(Of::Batches, &state_dir, "latest")?)?)
    }

    fn faults(&self) -> Outcome<Faults> {
        let mut faults = Faults::default();
        let log = output(&self.repo, &["reflog", "show", "--format=%H", "target"])?;
        let red = |commit: &&str| {
            output(&self.repo, &["grep", "-l", "red", commit, "--", "work"])
                .is_ok_and(|files| !files.is_empty())
        };
        faults.red = log.lines().filter(red).count();
        let titles = output(&self.repo, &["log", "--format=%s", "target"])?;
        let mut seen = BTreeSet::new();
        faults.twice = titles.lines().filter(|title| !seen.insert(title.to_owned())).count();
        let reached = output(&self.repo, &["rev-list", "--all"])?;
        let reached: BTreeSet<&str> = reached.lines().collect();
        faults.lost =
            self.known.borrow().iter().filter(|known| !reached.contains(known.as_str())).count();
        for (n, task) in self.look()?.tasks.iter().enumerate() {
            let guilty = matches!(n % 10, 3 | 7);
            match &task.stage {
                Stage::Waiting | Stage::Working | Stage::Queued => faults.open += 1,
                stage if !stage.is_done() && !guilty => {
                    faults.innocent += 1;
                    say(&format!("  t{n}: {stage:?}"));
                }
                _ => {}
            }
        }
        output(&self.repo, &["fsck", "--no-dangling"])?;
        let dirt = output(&self.repo, &["status", "--porcelain"])?;
        if !dirt.is_empty() {
            return Err(format!("the checkout was touched: {dirt}").into());
        }
        Ok(faults)
    }
}

/// Works the backlog of a folder, from its beginning or where it was left.
async fn work(folder: &Path) -> Outcome<()> {
    let repo = Repo::discover(&folder.join("repo"))?;
    let site = Site {
        shape: grafter::git::tree::Shape::Plain,
        include: Vec::new(),
        repo: repo.clone(),
        root: folder.join("state/trees"),
        backend: probe().backend,
        sandbox: Options::default(),
        helper: env::current_exe()?,
        share: Vec::new(),
        canary: None,
        hide: vec![folder.join("state")],
        setup: grafter::subagent::setup::Options::default(),
        setups: folder.join("state/setups"),
    };
    let maker = Arc::new(Scripts { folder: folder.to_owned() });
    let ground = Ground { site, runtime: folder.join("state/run"), maker };
    let mut handle = match RunDir::find_of(Of::Batches, &repo.state_dir(), "latest") {
        Ok(found) if start::look(&found).is_ok() => {
            start::resume(ground, &found, &Trouble::ALL).await?
        }
        _ => start::start(ground, order(folder, &repo)?).await?,
    };
    while handle.news.recv().await.is_some() {}
    handle.done.await??;
    Ok(())
}

fn order(folder: &Path, repo: &Repo) -> Outcome<BatchOrder> {
    let told = fs::read_to_string(folder.join("count"))?;
    let (count, trouble) = told.split_once(' ').ok_or("two words")?;
    let task = |n: usize| BatchTask {
        id: format!("t{n}"),
        title: format!("task {n}"),
        ..BatchTask::default()
    };
    let flaky = if trouble == "true" { "test $((RANDOM % 20)) != 0 && " } else { "" };
    Ok(BatchOrder {
        tasks: (0..count.parse()?).map(task).collect(),
        settings: String::new(),
        into: Some("target".to_owned()),
        base: repo.resolve("HEAD")?,
        checks: vec![Check {
            command: format!("{flaky}! grep -rq red work"),
            origin: Origin::Named,
        }],
        check_timeout_ms: 60_000,
        workers: 4,
        slots: 2,
        style: Style::Squash,
        message: None,
        lockfiles: BTreeMap::new(),
        protected: Vec::new(),
        max_cost: None,
        task_cost: None,
        retries: 1,
        retry_on: Trouble::USUAL.to_vec(),
        notes: Vec::new(),
    })
}

/// Gives each task its script.
struct Scripts {
    folder: PathBuf,
}

impl Scripts {
    fn make(&self, errand: &Errand) -> Outcome<(RunGround, Order)> {
        let source = lookup::find("solo", &[])?;
        let (ground, graph) = self.ground(&errand.task.id, &source)?;
        // What is red shows beside the others only: the run itself checks that there is a file.
        let check = Check { command: "test -d work".to_owned(), origin: Origin::Named };
        let order = Order {
            task: Task::new(&errand.text),
            graph,
            workflow_text: source.text,
            prompts: PromptSet::load(&[])?,
            options: RunOptions {
                checks: vec![check],
                mode: Mode::Bypass,
                reuse: Reuse::Fresh,
                max_cost: None,
                ..RunOptions::default()
            },
            model: ground.model.name().to_owned(),
            base: errand.base.clone(),
            into: None,
            notes: Vec::new(),
        };
        Ok((ground, order))
    }

    fn ground(&self, task: &str, source: &Source) -> Outcome<(RunGround, Graph)> {
        let model = format!("scripted:{}", self.folder.join(format!("{task}.yaml")).display());
        let model = open::open(&model, &known::Options::default(), &|name| env::var(name).ok())?;
        let repo = Repo::discover(&self.folder.join("repo"))?;
        let graph = load::load(&source.origin, &source.text, catalogue())?;
        Ok((RunGround::beneath(&self.folder.join("state"), repo, model)?, graph))
    }
}

impl Maker for Scripts {
    fn order(&self, errand: &Errand) -> Result<(RunGround, Order), String> {
        self.make(errand).map_err(|error| error.to_string())
    }

    fn again(&self, errand: &Errand, _: &mut Stored) -> Result<(RunGround, Graph), String> {
        let source = lookup::find("solo", &[]).map_err(|error| error.to_string())?;
        self.ground(&errand.task.id, &source).map_err(|error| error.to_string())
    }
}

fn output(dir: &Path, args: &[&str]) -> Outcome<String> {
    let output = Command::new("git").current_dir(dir).args(args).output()?;
    if !output.status.success() {
        let words = String::from_utf8_lossy(&output.stderr);
        return Err(format!("git {}: {}", args.join(" "), words.trim()).into());
    }
    Ok(String::from_utf8(output.stdout)?)
}

#[expect(clippy::print_stdout, reason = "what an example is for")]
fn say(text: &str) {
    println!("{text}");
}
