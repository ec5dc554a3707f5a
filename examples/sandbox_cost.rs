//! What a sandbox costs: its start, and a command in it, by a shell and without one, in
//! milliseconds; beside them a plain spawn and one `bwrap` for each command, where that program is
//! installed.
//!
//! `cargo run --release --example sandbox_cost` prints medians. The program is its own
//! sandbox helper, which is how a program that uses grafter as a library does it.

use std::{
    error::Error,
    process::{Command, ExitCode, Stdio},
    time::{Duration, Instant},
};

use grafter::{
    protocol::plan::{Act, Plan, Start, Step, When},
    sandbox::{
        child,
        place::{Place, PlaceSpec},
        probe::{Backend, probe},
        run::{Cmd, Job},
    },
};
use tokio_util::sync::CancellationToken;

const STARTS: usize = 15;
const COMMANDS: usize = 100;

fn main() -> Result<ExitCode, Box<dyn Error>> {
    // Before any thread is started: a sandbox is made by a process with one thread.
    if let Some(code) = child::dispatch() {
        return Ok(code);
    }
    block_on(measure())?;
    Ok(ExitCode::SUCCESS)
}

fn block_on(work: impl Future<Output = Result<(), Box<dyn Error>>>) -> Result<(), Box<dyn Error>> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(work)
}

async fn measure() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let (tree, home) = (folder.path().join("tree"), folder.path().join("home"));
    std::fs::create_dir(&tree)?;
    let strongest = probe().backend;
    report("plain spawn of a shell", &plain(COMMANDS)?);
    match wrapped(STARTS) {
        Ok(spans) => report("one bwrap per command", &spans),
        Err(error) => report_text(&format!("no bwrap per command: {error}")),
    }
    for backend in [Backend::Namespaces, Backend::Bubblewrap, Backend::Landlock, Backend::None] {
        if backend == Backend::Namespaces && strongest != backend {
            report_text("namespaces do not work here");
            continue;
        }
        if backend == Backend::Bubblewrap && wrapped(1).is_err() {
            continue;
        }
        let spec = PlaceSpec { backend, ..PlaceSpec::new(&tree, &tree, &home) };
        let mut starts = Vec::new();
        for _ in 0..STARTS {
            let place = Place::open(spec.clone()).await?;
            let begun = Instant::now();
            place.warm().await?;
            starts.push(begun.elapsed());
            place.close().await;
        }
        report(&format!("{backend}: start"), &starts);
        let place = Place::open(spec).await?;
        place.warm().await?;
        for (how, cmd) in [("command", Cmd::new("true")), ("no shell", direct("true"))] {
            let mut commands = Vec::new();
            for _ in 0..COMMANDS {
                let begun = Instant::now();
                place.run(cmd.clone(), &CancellationToken::new()).await?;
                commands.push(begun.elapsed());
            }
            report(&format!("{backend}: {how}"), &commands);
        }
        place.close().await;
    }
    Ok(())
}

/// Returns a program that is started without a shell.
fn direct(program: &str) -> Cmd {
    let start = Start { env: Vec::new(), argv: vec![program.to_owned()], redirects: Vec::new() };
    let step = Step { when: When::Always, act: Act::Pipeline(vec![start]) };
    Cmd { job: Job::Plan(Plan { steps: vec![step] }), ..Cmd::new("") }
}

fn plain(count: usize) -> Result<Vec<Duration>, Box<dyn Error>> {
    let mut spans = Vec::new();
    for _ in 0..count {
        let begun = Instant::now();
        let mut shell = Command::new("/bin/bash");
        shell.args(["-c", "true"]).env_clear().stdin(Stdio::null()).output()?;
        spans.push(begun.elapsed());
    }
    Ok(spans)
}

fn wrapped(count: usize) -> Result<Vec<Duration>, Box<dyn Error>> {
    let words = "--unshare-all --die-with-parent --ro-bind / / --dev /dev --proc /proc --tmpfs /tmp \
                 /bin/bash -c true";
    let mut spans = Vec::new();
    for _ in 0..count {
        let begun = Instant::now();
        let mut bwrap = Command::new("/usr/bin/bwrap");
        let output = bwrap.args(words.split_whitespace()).env_clear().output()?;
        spans.push(begun.elapsed());
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into());
        }
    }
    Ok(spans)
}

fn report(what: &str, spans: &[Duration]) {
    let mut sorted = spans.to_vec();
    sorted.sort();
    let median = sorted[sorted.len() / 2].as_secs_f64() * 1000.0;
    report_text(&format!("{what:24} {median:8.2} ms"));
}

#[expect(clippy::print_stdout, reason = "an example's result is what it prints")]
fn report_text(text: &str) {
    println!("{text}");
}
