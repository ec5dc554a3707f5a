//! What a tree costs: grafter's own making of trees beside `git worktree add`, on a generated
//! repository of 4,600 files (or as many as the first argument says).
//!
//! `cargo run --release --example tree_cost [FILES]` prints medians of five rounds, taken in
//! turns so that a busy moment hits both, their ratio, and what a snapshot costs.

use std::{
    error::Error,
    fs,
    path::Path,
    time::{Duration, Instant},
};

use grafter::{
    git::{
        repo::Repo,
        snapshot::Tracker,
        tree::{self, TreeSpec},
    },
    protocol::ids::Oid,
    sandbox::host::{HostCommand, run},
};

const ROUNDS: usize = 5;

fn main() -> Result<(), Box<dyn Error>> {
    let files = std::env::args().nth(1).map_or(Ok(4600), |count| count.parse())?;
    let dir = tempfile::tempdir()?;
    let root = dir.path().join("repo");
    generate(&root, files)?;
    let repo = Repo::discover(&root)?;
    let commit = repo.resolve("HEAD")?;
    let mut times: [Vec<Duration>; 5] = Default::default();
    for round in 0..=ROUNDS {
        let plain = dir.path().join(format!("plain{round}"));
        let name = plain.display().to_string();
        let branch = format!("plain{round}");
        let by_git = timed(|| git(&root, &["worktree", "add", "-q", "-b", &branch, &name]))?;
        let registered = dir.path().join(format!("writer{round}"));
        let spec =
            |path: &Path, branch| TreeSpec { path: path.into(), commit: commit.clone(), branch };
        let branch = Some(format!("grafter/cost/{round}"));
        let writer = timed(|| Ok(tree::make(&repo, &spec(&registered, branch.clone()))?))?;
        let detached = dir.path().join(format!("verifier{round}"));
        let verifier = timed(|| Ok(tree::make(&repo, &spec(&detached, None))?))?;
        let (first, second) = snapshots(&repo, &registered, &commit)?;
        // The first round warms the caches.
        if round > 0 {
            let row = [by_git, writer, verifier, first, second];
            times.iter_mut().zip(row).for_each(|(times, took)| times.push(took));
        }
    }
    let [by_git, writer, verifier, first, second] = times.map(median);
    say(&format!("files                      {files}"));
    say(&format!("git worktree add           {by_git:8.2} ms"));
    say(&format!("writer's tree              {writer:8.2} ms  ratio {:.2}", writer / by_git));
    say(&format!("throw-away tree            {verifier:8.2} ms  ratio {:.2}", verifier / by_git));
    say(&format!("begin and first snapshot   {first:8.2} ms"));
    say(&format!("snapshot of one edit       {second:8.2} ms"));
    Ok(())
}

fn snapshots(
    repo: &Repo,
    tree: &Path,
    commit: &Oid,
) -> Result<(Duration, Duration), Box<dyn Error>> {
    let start = Instant::now();
    let mut tracker = Tracker::new(repo, tree, commit)?;
    if tracker.snapshot()?.is_some() {
        return Err("a fresh tree must be clean".into());
    }
    let first = start.elapsed();
    fs::write(tree.join("d0/f0.txt"), "edited\n")?;
    let start = Instant::now();
    let snapshot = tracker.snapshot()?.ok_or("the edit was not seen")?;
    let second = start.elapsed();
    if snapshot.changed != ["d0/f0.txt"] {
        return Err(format!("one file was edited, {:?} changed", snapshot.changed).into());
    }
    Ok((first, second))
}

fn generate(root: &Path, files: usize) -> Result<(), Box<dyn Error>> {
    for n in 0..files {
        let dir = root.join(format!("d{}", n / 50));
        fs::create_dir_all(&dir)?;
        let line = format!("line of file {n}, long enough to look like source text\n");
        fs::write(dir.join(format!("f{}.txt", n % 50)), line.repeat(1 + n % 120))?;
    }
    git(root, &["init", "-q"])?;
    git(root, &["config", "user.name", "example"])?;
    git(root, &["config", "user.email", "example@localhost"])?;
    git(root, &["add", "-A"])?;
    git(root, &["commit", "-q", "-m", "generated"])?;
    git(root, &["gc", "-q"])
}

fn git(root: &Path, args: &[&str]) -> Result<(), Box<dyn Error>> {
    let mut command = HostCommand::new("git");
    command.args = args.iter().map(Into::into).collect();
    command.dir = Some(root.to_owned());
    let output = run(&command)?;
    if output.code == Some(0) {
        return Ok(());
    }
    Err(String::from_utf8_lossy(&output.stderr).into_owned().into())
}

fn timed(work: impl FnOnce() -> Result<(), Box<dyn Error>>) -> Result<Duration, Box<dyn Error>> {
    let start = Instant::now();
    work()?;
    Ok(start.elapsed())
}

fn median(mut times: Vec<Duration>) -> f64 {
    times.sort();
    times[times.len() / 2].as_secs_f64() * 1000.0
}

#[expect(clippy::print_stdout, reason = "an example shows its result")]
fn say(line: &str) {
    println!("{line}");
}
