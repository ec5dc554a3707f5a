//! `grafter report`: what a run or a batch came to, for people who were not there.

use std::{collections::BTreeMap, fs, path::Path, process::ExitCode};

use crate::{
    cli::{
        args::ReportArgs,
        batch::{failed, find as find_batch},
        context::Context,
        exit::{Failure, Kind},
        history::{self, Printer},
        out,
    },
    fleet::{scope::Accuracy, start, state::BatchState},
    git::{diff, repo::Repo},
    graph::load,
    journal::{
        blobs::Blobs,
        read,
        runs::{FindError, Of, RunDir, RunState},
    },
    protocol::{
        event::{Event, What},
        ids::{Oid, RunId},
        task::Phase,
    },
    tools::catalogue::catalogue,
    ui::{
        batch as shown, json,
        report::{BatchReport, Packet, RunReport, spans},
        view::View,
    },
};

/// The most that a transcript of one agent takes in a page, in bytes.
const MAX_TRANSCRIPT: usize = 256 << 10;
/// The most tasks of a batch whose changes stand in its report.
const MAX_PACKETS: usize = 300;

/// Writes or prints a report.
pub(super) fn report(context: &Context, args: &ReportArgs) -> Result<ExitCode, Failure> {
    let state_dir = context.repo.state_dir();
    match RunDir::find(&state_dir, &args.run) {
        Ok(found) => run(context, &found, args)?,
        Err(error) => match RunDir::find_of(Of::Batches, &state_dir, &args.run) {
            Ok(_) => batch(context, args)?,
            Err(_) => return Err(unknown(error)),
        },
    }
    Ok(ExitCode::SUCCESS)
}

fn unknown(error: FindError) -> Failure {
    let hint = error.hint();
    Failure::new(Kind::Usage, error).hint(hint)
}

fn run(context: &Context, found: &RunDir, args: &ReportArgs) -> Result<(), Failure> {
    let events = read::read(&found.path).map_err(|error| history::unreadable(found, error))?;
    let mut view = View::of(&events);
    view.live = matches!(found.state(), RunState::Running { .. });
    if args.json {
        return say!("{}", json::object(&view));
    }
    let report = RunReport {
        graph: graph(context, &view),
        spans: spans(&events),
        transcript: transcript(context, &events),
        diff: change(&context.repo, &view),
        view,
    };
    match &args.html {
        Some(file) => write(file, &report.html()),
        None => out::write(format_args!("{}", report.markdown())),
    }
}

fn batch(context: &Context, args: &ReportArgs) -> Result<(), Failure> {
    let found = find_batch(context, &args.run)?;
    let events = read::read(&found.path).map_err(|error| history::unreadable(&found, error))?;
    let state = start::look(&found).map_err(failed)?;
    let name = found.id.to_string();
    if args.json {
        return say!("{}", shown::object(&name, &state, (None, Accuracy::default())));
    }
    let packets = packets(context, &state);
    let spans = BatchReport::spans(&events);
    let report = BatchReport { batch: name, spans, packets, state };
    match &args.html {
        Some(file) => write(file, &report.html()),
        None => out::write(format_args!("{}", report.markdown())),
    }
}

fn write(file: &Path, page: &str) -> Result<(), Failure> {
    fs::write(file, page).map_err(|error| {
        let text = format!("cannot write {}", file.display());
        Failure::new(Kind::Usage, anyhow::Error::new(error).context(text))
    })?;
    say!("{}", file.display())
}

/// Returns the nodes of a run's workflow, each with those that it needs; a workflow that cannot be
/// read any more has none.
fn graph(context: &Context, view: &View) -> Vec<(String, Vec<String>)> {
    let Some(start) = &view.start else { return Vec::new() };
    let blobs = Blobs::of(&context.repo.state_dir());
    let text = blobs.fetch(&start.workflow_text).unwrap_or_default();
    let Ok(graph) = load::load(&start.workflow, &text, catalogue()) else { return Vec::new() };
    graph.nodes.iter().map(|node| (node.id.clone(), node.needs.clone())).collect()
}

fn transcript(context: &Context, events: &[Event]) -> Vec<(String, String)> {
    let printer = Printer::new(context, None);
    let mut said: BTreeMap<String, String> = BTreeMap::new();
    let mut order = Vec::new();
    for event in events {
        let (Some(agent), Some(words)) = (&event.agent, printer.words(event)) else { continue };
        let text = said.entry(agent.to_string()).or_insert_with(|| {
            order.push(agent.to_string());
            String::new()
        });
        if text.len() < MAX_TRANSCRIPT {
            text.push_str(&words);
            text.push('\n');
        }
    }
    order.into_iter().filter_map(|agent| Some((agent.clone(), said.remove(&agent)?))).collect()
}

/// Returns the change of a run: what landed, else what stands on its branch.
fn change(repo: &Repo, view: &View) -> String {
    let Some(base) = view.start.as_ref().map(|start| &start.base) else { return String::new() };
    let made = match (&view.landing, &view.work) {
        (Some(landing), _) => Some((landing.from.as_ref().unwrap_or(base), &landing.to)),
        (None, Some(work)) => Some((base, &work.commit)),
        (None, None) => None,
    };
    made.map_or(String::new(), |(from, to)| unified(repo, from, to))
}

/// Commits may be gone: a report tells what is left.
fn unified(repo: &Repo, from: &Oid, to: &Oid) -> String {
    diff::unified(repo, from, to).unwrap_or_default()
}

fn packets(context: &Context, state: &BatchState) -> Vec<Packet> {
    let repo = &context.repo;
    let made = state.tasks.iter().enumerate();
    made.filter_map(|(task, of)| {
        let made = of.made.as_ref()?;
        let claim = of.runs.last().map(|run| claim(repo, run)).unwrap_or_default();
        Some(Packet { task, claim, diff: unified(repo, &made.base, &made.commit) })
    })
    .take(MAX_PACKETS)
    .collect()
}

/// Returns what the writer of a run says it has done.
fn claim(repo: &Repo, run: &RunId) -> String {
    let Ok(found) = RunDir::find(&repo.state_dir(), run.as_str()) else { return String::new() };
    let events = read::read(&found.path).unwrap_or_default();
    let mut phases = BTreeMap::new();
    let mut claim = String::new();
    for event in &events {
        match (&event.what, &event.node) {
            (What::NodeStarted { phase, .. }, Some(node)) => {
                phases.insert(node.clone(), *phase);
            }
            (What::NodeFinished { outcome, .. }, Some(node))
                if phases.get(node) == Some(&Phase::Implementation) =>
            {
                claim.clone_from(&outcome.summary);
            }
            _ => {}
        }
    }
    claim
}
