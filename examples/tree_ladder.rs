//! What the shapes of trees cost beside `git worktree add`, on a generated repository of 50,000 files
//! and 500 MB (or as many files as the first argument says), in one run.
//!
//! `cargo run --release --example tree_ladder [FILES]` prints medians of five rounds, taken in turns
//! so that a busy moment hits all of them. The first template is told apart. Needs a kernel that lets
//! this user lay overlays (`grafter doctor` says so).

use std::{
    error::Error,
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use grafter::{
    git::{
        commit::{self, CommitSpec},
        repo::Repo,
        snapshot::Tracker,
        tree::{self, Shape, TreeSpec},
    },
    merge::candidate::{self, Candidate, Proposal},
    protocol::batch::Style,
    sandbox::{
        host::{HostCommand, run},
        overlay,
    },
    subagent::sweep,
};
use nix::sys::resource::{UsageWho, getrusage};

const ROUNDS: usize = 5;
/// Files that an agent changes, and that the pooled tree's commits differ in.
const EDITS: usize = 20;

type Done<T> = Result<T, Box<dyn Error>>;

fn main() -> Done<()> {
    // Before there is a second thread.
    overlay::enter()?;
    let files = std::env::args().nth(1).map_or(Ok(50_000), |count| count.parse())?;
    let dir = tempfile::tempdir()?;
    let root = dir.path().join("repo");
    generate(&root, files)?;
    let bench = Bench { repo: Repo::discover(&root)?, dir: dir.path().to_owned(), root };
    let first = timed(|| bench.overlay("first"))?;
    say(&format!("files                                   {files}"));
    say(&format!("first overlay, with its template        {:9.1} ms", millis(first)));
    let mut times: [Vec<Duration>; 8] = Default::default();
    for round in 0..=ROUNDS {
        let row = bench.round(round)?;
        // The first round warms the caches.
        if round > 0 {
            times.iter_mut().zip(row).for_each(|(times, took)| times.push(took));
        }
    }
    let [add, overlay, pooled, by_git, above, gone, joined, merged] = times.map(median);
    let more = |name: &str, took: f64, rival: f64| {
        say(&format!("{name:<39} {took:9.1} ms  {:7.1} times faster", rival / took));
    };
    say(&format!("git worktree add                        {add:9.1} ms"));
    more("overlay", overlay, add);
    more("pooled tree, 20 files differ", pooled, add);
    say(&format!("git add -A, git commit (20 edits)       {by_git:9.1} ms"));
    more("commit from the upper folder (20 edits)", above, by_git);
    say(&format!("taking the overlay away                 {gone:9.1} ms"));
    say(&format!("git merge in a checkout                 {merged:9.1} ms CPU"));
    say(&format!("merge candidate in memory               {joined:9.1} ms CPU"));
    Ok(())
}

struct Bench {
    repo: Repo,
    dir: PathBuf,
    root: PathBuf,
}

impl Bench {
    /// Makes a tree of each kind and a commit of each kind; returns what each took.
    fn round(&self, round: usize) -> Done<[Duration; 8]> {
        let plain = self.dir.join(format!("plain{round}"));
        let name = plain.display().to_string();
        let branch = format!("plain{round}");
        let add = timed(|| git(&self.root, &["worktree", "add", "-q", "-b", &branch, &name]))?;
        let laid = format!("over{round}");
        let over = timed(|| self.overlay(&laid))?;
        let pooled = self.pooled(round)?;
        let tree = self.dir.join(&laid);
        for file in 0..EDITS {
            for tree in [&plain, &tree] {
                fs::write(tree.join(path(file * 97 + 7)), format!("edit {round}\n"))?;
            }
        }
        let by_git = timed(|| {
            git(&plain, &["add", "-A"])?;
            git(&plain, &["commit", "-q", "-m", "edits"])
        })?;
        let base = self.repo.resolve("HEAD")?;
        // An agent has its tracker from its first turn on.
        let mut tracker = Tracker::new(&self.repo, &tree, &base)?;
        let mut made = None;
        let above = timed(|| {
            let tree = tracker.current()?;
            let (message, identity) = ("edits\n".to_owned(), self.repo.identity());
            let spec = CommitSpec { tree, parents: vec![base.clone()], message, identity };
            made = Some(commit::write(&self.repo, &spec)?);
            Ok(())
        })?;
        let same = self.repo.tree_of(&made.ok_or("no commit")?)?
            == self.repo.tree_of(&self.repo.resolve(&branch)?)?;
        if !same {
            return Err("the two commits have other trees".into());
        }
        let joined = cpu(|| self.candidate(&branch))?;
        let merged = cpu(|| git(&plain, &["merge", "-q", "--no-edit", "next"]))?;
        let gone = timed(|| Ok(sweep::discard(&self.repo, &tree)?))?;
        // The plain one stays: after so many deletions some file systems are slow for minutes.
        Ok([add, over, pooled, by_git, above, gone, joined, merged])
    }

    fn overlay(&self, name: &str) -> Done<()> {
        let shape = Shape::Overlay(self.dir.join("templates"));
        Ok(tree::make_as(&self.repo, &self.spec(name, "HEAD")?, &shape)?)
    }

    /// Builds the candidate of a branch's work on a tip that has moved on.
    fn candidate(&self, branch: &str) -> Done<()> {
        let [tip, commit, base] = ["next", branch, "HEAD"].map(|name| self.repo.resolve(name));
        let (tip, commit, base) = (tip?, commit?, base?);
        let (message, identity) = ("edits\n".to_owned(), self.repo.identity());
        let (style, tip) = (Style::Squash, Some(&tip));
        let proposal = Proposal { tip, commit: &commit, base: &base, message, identity, style };
        match candidate::build(&self.repo, &proposal)? {
            Candidate::Clean { .. } => Ok(()),
            other => Err(format!("no candidate: {other:?}").into()),
        }
    }

    /// Switches a tree that has served one commit to the next.
    fn pooled(&self, round: usize) -> Done<Duration> {
        let (spare, next) = (format!("pool{round}"), format!("pool{}", round + 1));
        let from = self.spec(&spare, if round.is_multiple_of(2) { "HEAD" } else { "next" })?;
        if round == 0 {
            tree::make(&self.repo, &from)?;
        }
        let to = self.spec(&next, if round.is_multiple_of(2) { "next" } else { "HEAD" })?;
        fs::write(from.path.join("left-behind"), "x")?;
        timed(|| {
            if !tree::tidy(&self.repo, &from.path) {
                return Err("the tree cannot be used again".into());
            }
            Ok(tree::remake(&self.repo, &from.path, &to)?)
        })
    }

    fn spec(&self, name: &str, at: &str) -> Done<TreeSpec> {
        Ok(TreeSpec { path: self.dir.join(name), commit: self.repo.resolve(at)?, branch: None })
    }
}

fn path(file: usize) -> PathBuf {
    PathBuf::from(format!("d{}/s{}/f{file}.txt", file / 2500, file / 100))
}

/// Makes a repository of files of 10 KB, and a branch `next` that differs in some of them.
fn generate(root: &Path, files: usize) -> Done<()> {
    fs::create_dir_all(root)?;
    git(root, &["init", "-q"])?;
    for (name, value) in [("user.name", "Ada"), ("user.email", "ada@example.com")] {
        git(root, &["config", name, value])?;
    }
    for file in 0..files {
        let path = root.join(path(file));
        fs::create_dir_all(path.parent().ok_or("no folder")?)?;
        let line = format!("file {file}, a line of some length that is here to fill it\n");
        fs::write(path, line.repeat(10_000 / line.len()))?;
    }
    git(root, &["add", "-A"])?;
    git(root, &["commit", "-q", "-m", "start"])?;
    git(root, &["checkout", "-q", "-b", "next"])?;
    for file in 0..EDITS {
        fs::write(root.join(path(file * 89)), "next\n")?;
    }
    git(root, &["commit", "-q", "-am", "next"])?;
    git(root, &["checkout", "-q", "-"])
}

fn git(dir: &Path, args: &[&str]) -> Done<()> {
    let mut command = HostCommand::new("git");
    command.dir = Some(dir.to_owned());
    command.args = args.iter().map(Into::into).collect();
    let output = run(&command)?;
    match output.code {
        Some(0) => Ok(()),
        _ => Err(String::from_utf8_lossy(&output.stderr).into_owned().into()),
    }
}

fn timed(work: impl FnOnce() -> Done<()>) -> Done<Duration> {
    let start = Instant::now();
    work()?;
    Ok(start.elapsed())
}

/// Returns the CPU time of this process and its children that it takes.
fn cpu(work: impl FnOnce() -> Done<()>) -> Done<Duration> {
    let used = || -> Done<Duration> {
        let both = [UsageWho::RUSAGE_SELF, UsageWho::RUSAGE_CHILDREN].map(getrusage);
        let mut micros = 0;
        for usage in both {
            let usage = usage?;
            for time in [usage.user_time(), usage.system_time()] {
                micros += time.tv_sec() * 1_000_000 + time.tv_usec();
            }
        }
        Ok(Duration::from_micros(u64::try_from(micros)?))
    };
    let before = used()?;
    work()?;
    Ok(used()?.saturating_sub(before))
}

fn median(mut times: Vec<Duration>) -> f64 {
    times.sort_unstable();
    millis(times[times.len() / 2])
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

#[expect(clippy::print_stdout, reason = "an example prints what it found")]
fn say(line: &str) {
    println!("{line}");
}
