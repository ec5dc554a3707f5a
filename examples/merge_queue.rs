//! The merge queue beside a serial one and beside batches of five, on one generated backlog.
//!
//! ```text
//! cargo run --release --example merge_queue [BRANCHES] [SECONDS]
//! ```
//!
//! Of 50 branches five contradict another one, five are red, and each check fails for no reason once
//! in twenty times. A check takes a second of CPU time of one core; two may run at once. The serial
//! queue checks one branch after another and tries a red one twice; batches of five are tried twice
//! and then halved until the culprit is alone. All three land on a branch of their own of the same
//! repository, and what each landed is judged by a script of its own, landing by landing.

use std::{
    collections::{BTreeMap, BTreeSet},
    env,
    error::Error,
    fs,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
    sync::Arc,
    time::{Duration, Instant},
};

use grafter::{
    coordinator::{
        ground::Ground as RunGround,
        start::{Order, Stored},
    },
    fleet::{
        start::{self, BatchOrder, Ground},
        state::{BatchState, Stage},
        work::{Errand, Maker},
    },
    git::{init::init, repo::Repo},
    graph::dag::Graph,
    merge::candidate::{self, Candidate, Proposal},
    protocol::{
        batch::{BatchTask, Style},
        ids::Oid,
        report::{Check, Origin},
    },
    sandbox::{child, options::Options, probe::probe},
    subagent::housing::Site,
    verify::slots,
};

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

const SLOTS: usize = 2;

fn main() -> Outcome<ExitCode> {
    if let Some(code) = child::dispatch() {
        return Ok(code);
    }
    let mut args = env::args().skip(1);
    let branches = args.next().map_or(Ok(50), |text| text.parse())?;
    let seconds: f64 = args.next().map_or(Ok(1.0), |text| text.parse())?;
    let folder = tempfile::tempdir()?;
    let backlog = Backlog::make(folder.path(), branches, seconds)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    slots::set(SLOTS);
    say(&format!(
        "{branches} branches, {} of them contradict one, {} red",
        branches / 10,
        branches / 10
    ));
    say("                     wall s  against serial  check runs  landed  landings");
    let serial = backlog.serial()?;
    serial.say("serial", &serial);
    backlog.fives()?.say("batches of five", &serial);
    let ours = runtime.block_on(backlog.queue())?;
    ours.say("merge queue", &serial);
    Ok(ExitCode::SUCCESS)
}

/// What one way of landing took, and came to.
struct Took {
    wall: Duration,
    runs: usize,
    landed: usize,
    landings: usize,
}

impl Took {
    fn say(&self, name: &str, serial: &Self) {
        let wall = self.wall.as_secs_f64();
        let share = wall / serial.wall.as_secs_f64();
        say(&format!(
            "{name:<18} {wall:8.1} {share:15.2} {:11} {:7} {:9}",
            self.runs, self.landed, self.landings
        ));
    }
}

struct Backlog {
    folder: PathBuf,
    repo: Repo,
    base: Oid,
    check: String,
    branches: Vec<String>,
    /// Branches that can land: neither red nor contradicted by the first of their kind.
    red: BTreeSet<String>,
}

impl Backlog {
    fn make(folder: &Path, count: usize, seconds: f64) -> Outcome<Self> {
        let checkout = folder.join("repo");
        fs::create_dir_all(checkout.join("work"))?;
        fs::write(checkout.join("shared.txt"), "one\ntwo\nthree\n")?;
        fs::write(checkout.join("work/base.txt"), "fine\n")?;
        init(&checkout, "base")?;
        let repo = Repo::discover(&checkout)?;
        let base = repo.resolve("HEAD")?;
        let (mut branches, mut red) = (Vec::new(), BTreeSet::new());
        for n in 0..count {
            let name = format!("b{n}");
            git(&checkout, &["checkout", "-q", "-b", &name, base.as_str()])?;
            // One in ten is red; one in ten, and the first, change the same line.
            let is_red = n % 10 == 7;
            fs::write(
                checkout.join(format!("work/{name}.txt")),
                if is_red { "red\n" } else { "fine\n" },
            )?;
            if n % 10 == 3 || n == 0 {
                fs::write(checkout.join("shared.txt"), format!("one\ntwo {n}\nthree\n"))?;
            }
            if is_red {
                red.insert(name.clone());
            }
            git(&checkout, &["add", "-A"])?;
            git(&checkout, &["commit", "-q", "-m", &name])?;
            branches.push(name);
        }
        git(&checkout, &["checkout", "-q", "--detach", base.as_str()])?;
        git(&checkout, &["config", "core.logAllRefUpdates", "always"])?;
        let check = format!(
            "python3 -c 'import time; e = time.process_time() + {seconds}\nwhile time.process_time() < e: pass'; \
             test $((RANDOM % 20)) != 0 && ! grep -rq red work"
        );
        Ok(Self { folder: folder.to_owned(), repo, base, check, branches, red })
    }

    fn target(&self, name: &str) -> Outcome<()> {
        git(self.repo.checkout(), &["branch", name, self.base.as_str()])?;
        let tree = self.folder.join(name);
        let tree = tree.to_str().ok_or("a path in UTF-8")?;
        git(self.repo.checkout(), &["worktree", "add", "-q", "--detach", tree, self.base.as_str()])
    }

    /// Builds a branch's candidate on a commit; none if it does not merge.
    fn candidate(&self, branch: &str, on: &Oid) -> Outcome<Option<Oid>> {
        let commit = self.repo.tip(branch)?.ok_or("a branch")?;
        let (message, identity) = (branch.to_owned(), self.repo.identity());
        let proposal = Proposal {
            tip: Some(on),
            commit: &commit,
            base: &self.base,
            message,
            identity,
            style: Style::Squash,
        };
        Ok(match candidate::build(&self.repo, &proposal)? {
            Candidate::Clean { commit, .. } => Some(commit),
            _ => None,
        })
    }

    /// Runs the check on a commit, once more if it fails.
    fn passes(&self, name: &str, commit: &Oid, runs: &mut usize) -> Outcome<bool> {
        let tree = self.folder.join(name);
        git(&tree, &["checkout", "-q", "--detach", commit.as_str()])?;
        for _ in 0..2 {
            *runs += 1;
            if Command::new("bash").args(["-c", &self.check]).current_dir(&tree).status()?.success()
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn took(&self, name: &str, begun: Instant, runs: usize) -> Outcome<Took> {
        let wall = begun.elapsed();
        let (landed, landings) = self.judge(name)?;
        Ok(Took { wall, runs, landed, landings })
    }

    fn serial(&self) -> Outcome<Took> {
        self.target("serial")?;
        let (begun, mut runs, mut tip) = (Instant::now(), 0, self.base.clone());
        for branch in &self.branches {
            let Some(commit) = self.candidate(branch, &tip)? else { continue };
            if self.passes("serial", &commit, &mut runs)? {
                git(self.repo.checkout(), &["update-ref", "refs/heads/serial", commit.as_str()])?;
                tip = commit;
            }
        }
        self.took("serial", begun, runs)
    }

    fn fives(&self) -> Outcome<Took> {
        self.target("fives")?;
        let (begun, mut runs, mut tip) = (Instant::now(), 0, self.base.clone());
        let mut waiting = self.branches.clone();
        while !waiting.is_empty() {
            // Five that merge with each other; who does not is out.
            let (mut row, mut on) = (Vec::new(), tip.clone());
            while row.len() < 5 && !waiting.is_empty() {
                let branch = waiting.remove(0);
                if let Some(commit) = self.candidate(&branch, &on)? {
                    on = commit;
                    row.push(branch);
                }
            }
            self.halve(&row, &mut tip, &mut runs)?;
        }
        self.took("fives", begun, runs)
    }

    fn halve(&self, row: &[String], tip: &mut Oid, runs: &mut usize) -> Outcome<()> {
        let mut on = tip.clone();
        for branch in row {
            on = self.candidate(branch, &on)?.unwrap_or(on);
        }
        if row.is_empty() || on == *tip {
            return Ok(());
        }
        if self.passes("fives", &on, runs)? {
            git(self.repo.checkout(), &["update-ref", "refs/heads/fives", on.as_str()])?;
            *tip = on;
        } else if row.len() > 1 {
            self.halve(&row[..row.len() / 2], tip, runs)?;
            self.halve(&row[row.len() / 2..], tip, runs)?;
        }
        Ok(())
    }

    async fn queue(&self) -> Outcome<Took> {
        let begun = Instant::now();
        let task = |name: &String| BatchTask {
            id: name.clone(),
            branch: Some(name.clone()),
            ..BatchTask::default()
        };
        let order = BatchOrder {
            tasks: self.branches.iter().map(task).collect(),
            settings: String::new(),
            into: Some("queue".to_owned()),
            base: self.base.clone(),
            checks: vec![Check { command: self.check.clone(), origin: Origin::Named }],
            check_timeout_ms: 60_000,
            workers: 4,
            slots: SLOTS,
            style: Style::Squash,
            message: None,
            lockfiles: BTreeMap::new(),
            protected: Vec::new(),
            max_cost: None,
            task_cost: None,
            retries: 0,
            retry_on: Vec::new(),
            notes: Vec::new(),
        };
        git(self.repo.checkout(), &["branch", "queue", self.base.as_str()])?;
        let mut handle = start::start(self.ground()?, order).await?;
        while handle.news.recv().await.is_some() {}
        let state = handle.done.await??.state;
        let took = self.took("queue", begun, state.check_runs)?;
        self.account(&state)?;
        Ok(took)
    }

    fn ground(&self) -> Outcome<Ground> {
        let site = Site {
            shape: grafter::git::tree::Shape::Plain,
            include: Vec::new(),
            repo: self.repo.clone(),
            root: self.folder.join("trees"),
            backend: probe().backend,
            sandbox: Options::default(),
            helper: env::current_exe()?,
            share: Vec::new(),
            canary: None,
            hide: vec![self.folder.join("trees")],
            setup: grafter::subagent::setup::Options::default(),
            setups: self.folder.join("setups"),
        };
        Ok(Ground { site, runtime: self.folder.join("run"), maker: Arc::new(Nobody) })
    }

    /// Asks a script of its own about each landing; returns how many branches landed, and landings.
    fn judge(&self, target: &str) -> Outcome<(usize, usize)> {
        let log = output(self.repo.checkout(), &["reflog", "show", "--format=%H", target])?;
        for commit in log.lines() {
            let red = output(self.repo.checkout(), &["grep", "-l", "red", commit, "--", "work"]);
            if red.is_ok_and(|files| !files.is_empty()) {
                return Err(format!("{target} was red at {commit}").into());
            }
        }
        let range = format!("{}..{target}", self.base);
        let titles = output(self.repo.checkout(), &["log", "--format=%s", &range])?;
        let mut seen = BTreeSet::new();
        if !titles.lines().all(|title| seen.insert(title)) {
            return Err(format!("{target} has a branch twice").into());
        }
        Ok((seen.len(), log.lines().count() - 1))
    }

    /// Each branch has landed, or is parked for a reason of its own.
    fn account(&self, state: &BatchState) -> Outcome<()> {
        let contradicts = |name: &str| {
            let n: usize = name[1..].parse().unwrap_or(1);
            n == 0 || n % 10 == 3
        };
        let mut innocent = 0;
        for task in &state.tasks {
            let name = task.task.id.as_str();
            match &task.stage {
                Stage::Landed { .. } => {}
                Stage::Parked(_) if self.red.contains(name) || contradicts(name) => {}
                Stage::Parked(why) => {
                    innocent += 1;
                    say(&format!("  {name} was sent away: {}", why.words()));
                }
                other => return Err(format!("{name} is {other:?}").into()),
            }
        }
        say(&format!("  every branch accounted for, {innocent} innocent sent away"));
        Ok(())
    }
}

/// No task of this backlog is worked by anybody.
struct Nobody;

impl Maker for Nobody {
    fn order(&self, errand: &Errand) -> Result<(RunGround, Order), String> {
        Err(format!("{} is a branch", errand.task.id))
    }

    fn again(&self, errand: &Errand, _: &mut Stored) -> Result<(RunGround, Graph), String> {
        Err(format!("{} is a branch", errand.task.id))
    }
}

fn git(dir: &Path, args: &[&str]) -> Outcome<()> {
    output(dir, args).map(drop)
}

fn output(dir: &Path, args: &[&str]) -> Outcome<String> {
    let identity = ["-c", "user.name=A", "-c", "user.email=a@example.org"];
    let output = Command::new("git").current_dir(dir).args(identity).args(args).output()?;
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
