//! Takes one issue to a landed commit with grafter as a library: `cargo run --example run_issue`.
//!
//! The repository is a temporary one with a bug, the workflow is the shipped `solo`, and the model
//! plays a script, so no key is needed and nothing is asked. For a real model give `open::open`
//! another name, such as `anthropic/NAME`, and an environment that holds its key.

use std::{error::Error, fs, path::Path, process::ExitCode};

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
        task::Task,
    },
    provider::{known, open},
    sandbox::child,
    tools::catalogue::catalogue,
    ui::{plain, view::View},
};

/// A program with a bug, and the check that shows it.
const PROGRAM: &str =
    "# Prints the larger of two numbers.\nif [ $1 -lt $2 ]; then echo $1; else echo $2; fi\n";
const CHECK: &str = "test \"$(sh larger.sh 3 5)\" = 5\n";

/// What the scripted model answers, turn by turn.
const SCRIPT: &str = "
- { turn: 0, reply: { calls: [{ name: read, input: { path: larger.sh } }] } }
- { turn: 1, reply: { calls: [{ name: edit, input: { path: larger.sh, old: '-lt', new: '-gt' } }] } }
- { turn: 2, reply: { calls: [{ name: finish, input: { status: succeeded, summary: the comparison was the wrong way round } }] } }
";

fn main() -> Result<ExitCode, Box<dyn Error>> {
    // First of all: agents' commands run in a sandbox, whose inside is this program again.
    if let Some(code) = child::dispatch() {
        return Ok(code);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let end = runtime.block_on(resolve())?;
    Ok(ExitCode::from(end.exit_code()))
}

async fn resolve() -> Result<RunEnd, Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let ground = ground(folder.path())?;
    let workflow = lookup::find("solo", &[])?;
    let order = Order {
        task: Task::new("larger.sh prints the smaller number"),
        graph: load::load(&workflow.origin, &workflow.text, catalogue())?,
        workflow_text: workflow.text,
        prompts: PromptSet::load(&[])?,
        options: Options {
            checks: vec![Check { command: "sh check.sh".to_owned(), origin: Origin::Named }],
            ..Options::default()
        },
        model: ground.model.name().to_owned(),
        base: ground.repo.resolve("HEAD")?,
        into: Some("fixed".to_owned()),
        notes: Vec::new(),
    };
    let repo = ground.repo.clone();
    let mut run = start::start(ground, order).await?;
    let mut view = View::default();
    while let Some(event) = run.events.recv().await {
        view.apply(&event);
        if let Some(line) = plain::line(&view, &event) {
            say(&line);
        }
    }
    let end = run.done.await??;
    say(&format!("the branch `fixed` stands at {:?}", repo.tip("fixed")?));
    Ok(end)
}

/// Makes the repository and opens the model; everything lies below `folder`.
fn ground(folder: &Path) -> Result<Ground, Box<dyn Error>> {
    let checkout = folder.join("repo");
    fs::create_dir(&checkout)?;
    fs::write(checkout.join("larger.sh"), PROGRAM)?;
    fs::write(checkout.join("check.sh"), CHECK)?;
    init(&checkout, "a program with a bug")?;
    let script = folder.join("script.yaml");
    fs::write(&script, SCRIPT)?;
    let name = format!("scripted:{}", script.display());
    let model = open::open(&name, &known::Options::default(), &|name| std::env::var(name).ok())?;
    Ok(Ground::beneath(&folder.join("state"), Repo::discover(&checkout)?, model)?)
}

#[expect(clippy::print_stdout, reason = "an example's result is what it prints")]
fn say(line: &str) {
    println!("{line}");
}
