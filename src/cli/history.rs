//! `grafter status` and `logs`: everything read from journals.

use std::{
    collections::BTreeSet,
    io::{self, Write},
    process::ExitCode,
};

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::{
    cli::{
        args::{LogsArgs, StatusArgs},
        context::Context,
        exit::{Failure, Kind, OrFail},
        out, session,
    },
    journal::{
        blobs::Blobs,
        follow::{self, Followed},
        read::{self, ReadError},
        runs::{RunDir, RunState},
    },
    protocol::{
        event::{Event, Kept, What},
        ids::{AgentId, NodeId, RunId},
        mail::Delivered,
        message::{Block, Reply},
        report::RunEnd,
        worker::About,
    },
    settings::nearest,
    ui::{
        json, plain, summary,
        tables::{Align, render},
        text::{Colour, escape, fit},
        view::View,
    },
};

/// Columns of a run's state in the list; the whole of it is in `grafter status RUN`.
const STATE: usize = 60;

/// Returns a run by name or its beginning.
pub(super) fn find(context: &Context, name: &str) -> Result<RunDir, Failure> {
    RunDir::find(&context.repo.state_dir(), name).map_err(|error| {
        let hint = error.hint();
        Failure::new(Kind::Usage, error).hint(hint)
    })
}

/// Returns a run with all its events.
pub(super) fn events(context: &Context, name: &str) -> Result<(RunDir, Vec<Event>), Failure> {
    let found = find(context, name)?;
    let events = read::read(&found.path).map_err(|error| unreadable(&found, error))?;
    Ok((found, events))
}

/// Returns the runs that a process works on.
pub(super) fn live_runs(context: &Context) -> Result<Vec<RunId>, Failure> {
    let runs = RunDir::list(&context.repo.state_dir()).or_fail(Kind::Infrastructure)?;
    let live = runs.into_iter().filter(|run| matches!(run.state(), RunState::Running { .. }));
    Ok(live.map(|run| run.id).collect())
}

/// Returns how a run stands, and what is wrong with its journal if that does not hold.
fn standing(run: &RunDir) -> (String, Option<Failure>) {
    let words = match run.state() {
        RunState::Running { pid } => format!("running (process {pid})"),
        RunState::Interrupted | RunState::Finished(RunEnd::Interrupted) => {
            format!("interrupted: grafter resume {}", run.id)
        }
        RunState::Finished(end) => plain::end_words(&end),
        RunState::Broken => "its journal cannot be read".to_owned(),
    };
    match read::verify(&run.path) {
        Ok(_) => (words, None),
        Err(error) => (unsound(&error), Some(unreadable(run, error))),
    }
}

fn unsound(error: &ReadError) -> String {
    match error {
        ReadError::Broken { seq, why, .. } if !why.is_foreign() => {
            format!("altered: line {} of its journal", seq + 1)
        }
        _ => "its journal cannot be read".to_owned(),
    }
}

/// Returns what is wrong with a run's journal, with what its user can do.
pub(super) fn unreadable(run: &RunDir, error: ReadError) -> Failure {
    let hint = error.hint().replace("RUN", run.id.as_str());
    Failure::new(Kind::Infrastructure, error).hint(hint)
}

/// Returns whether what a run landed is on its branch no more, by `grafter undo` or otherwise.
fn is_taken_back(context: &Context, view: &View) -> Result<bool, Failure> {
    let Some(landing) = &view.landing else { return Ok(false) };
    let holds = match context.repo.tip(&landing.branch).or_fail(Kind::Infrastructure)? {
        Some(tip) => context.repo.contains(&tip, &landing.to).or_fail(Kind::Infrastructure)?,
        None => false,
    };
    Ok(!holds)
}

/// Shows all runs, or one.
pub(super) fn status(context: &Context, args: &StatusArgs) -> Result<ExitCode, Failure> {
    if let Some(name) = &args.run {
        let (found, events) = events(context, name)?;
        let mut view = View::of(&events);
        view.live = matches!(found.state(), RunState::Running { .. });
        view.taken_back = is_taken_back(context, &view)?;
        if args.json {
            say!("{}", json::object(&view))?;
        } else {
            out::write(format_args!("{}", summary::render(&view, 100, Colour::Never)))?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    let runs = RunDir::list(&context.repo.state_dir()).or_fail(Kind::Infrastructure)?;
    if runs.is_empty() {
        say!("no runs yet: grafter run \"what is wrong\"")?;
    }
    let mut altered = Vec::new();
    let rows: Vec<Vec<String>> = runs
        .iter()
        .map(|run| {
            let slug = run.first().and_then(|event| match event.what {
                What::RunStarted(started) => Some(started.task.slug),
                _ => None,
            });
            let (state, failure) = standing(run);
            altered.extend(failure.map(|failure| (run, failure)));
            let state = if args.json { state } else { fit(&state, STATE) };
            vec![run.id.to_string(), slug.unwrap_or_default(), state]
        })
        .collect();
    if args.json {
        let list: Vec<_> = rows
            .iter()
            .map(|row| serde_json::json!({"run": row[0], "task": row[1], "state": row[2]}))
            .collect();
        say!("{}", serde_json::Value::Array(list))?;
    } else if !rows.is_empty() {
        let columns = ["RUN", "TASK", "STATE"].map(|name| (name, Align::Left));
        out::write(format_args!("{}", render(&columns, &rows, Colour::Never)))?;
    }
    for (run, failure) in altered {
        // Whoever closed standard error does not want to know.
        let _ = writeln!(io::stderr(), "\nrun {}: {failure}", run.id);
    }
    Ok(ExitCode::SUCCESS)
}

/// Shows what happened in a run.
pub(super) async fn logs(context: &Context, args: &LogsArgs) -> Result<ExitCode, Failure> {
    let (found, events) = events(context, &args.run)?;
    if args.session {
        session::print(context, &found.id, &events)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut printer = Printer { json: args.json, ..Printer::new(context, args.agent.clone()) };
    for event in &events {
        printer.show(event)?;
    }
    if args.follow {
        let (send, mut receive) = mpsc::unbounded_channel();
        let cancel = CancellationToken::new();
        let from = events.len() as u64;
        let following = follow::follow(&found.path, from, send, &cancel);
        let printing = async {
            while let Some(event) = receive.recv().await {
                if let Err(failure) = printer.show(&event) {
                    cancel.cancel();
                    return Err(failure);
                }
            }
            Ok(())
        };
        let (ended, printed) = tokio::join!(following, printing);
        printed?;
        if ended.or_fail(Kind::Infrastructure)? == Followed::Abandoned {
            let id = &found.id;
            // Whoever closed standard error does not want to know.
            let _ = writeln!(
                io::stderr(),
                "no process works on run {id} any more: grafter resume {id}"
            );
        }
    }
    if let Some(agent) = &args.agent
        && printer.shown == 0
    {
        return Err(unknown_agent(&found.id, agent, &printer.known));
    }
    Ok(ExitCode::SUCCESS)
}

fn unknown_agent(run: &RunId, agent: &str, known: &BTreeSet<AgentId>) -> Failure {
    let known: Vec<&str> = known.iter().map(AgentId::as_str).collect();
    let near = nearest::hint(agent, known.iter().flat_map(|id| [*id, node_of(id)]));
    let failure = Failure::usage(format!("run {run} has no agent `{}`{near}", escape(agent)));
    match known.is_empty() {
        true => failure.hint("no agent of it has begun"),
        false => failure.hint(format!(
            "it has {}; the name of a node alone stands for all its agents",
            known.join(", ")
        )),
    }
}

/// Returns who answers the question that an event tells of.
fn asked(event: &Event) -> Option<AgentId> {
    match &event.what {
        What::NodesAdded { ids, asked: Some(_), .. } => {
            Some(AgentId::of(&NodeId::new(ids.first()?), 1))
        }
        _ => None,
    }
}

/// Returns an agent's node, without the number of its attempt.
fn node_of(agent: &str) -> &str {
    agent.split_once('@').map_or(agent, |(node, _)| node)
}

/// Returns whether a name means an agent: its own, that of its node, or that of the fan-out.
fn means(name: &str, agent: &str) -> bool {
    let node = node_of(agent);
    [agent, node, NodeId::new(node).place().0].contains(&name)
}

/// Prints events, or what one agent said and did.
pub(super) struct Printer {
    view: View,
    blobs: Blobs,
    agent: Option<String>,
    json: bool,
    /// Agents of the run, whether asked for or not.
    known: BTreeSet<AgentId>,
    /// The agent whose words were printed last.
    last: Option<AgentId>,
    shown: usize,
}

impl Printer {
    /// Returns a printer of all events, or of one agent's words.
    pub(super) fn new(context: &Context, agent: Option<String>) -> Self {
        Self {
            view: View::default(),
            blobs: Blobs::of(&context.repo.state_dir()),
            agent,
            json: false,
            known: BTreeSet::new(),
            last: None,
            shown: 0,
        }
    }

    /// Prints an event, if it is of those that were asked for.
    pub(super) fn show(&mut self, event: &Event) -> Result<(), Failure> {
        self.view.apply(event);
        self.known.extend(event.agent.clone());
        // A question stands with the words of who answers it.
        let asked = asked(event);
        let about = asked.as_ref().or(event.agent.as_ref());
        let other = |name: &String| !about.is_some_and(|id| means(name, id.as_str()));
        if self.agent.as_ref().is_some_and(other) {
            return Ok(());
        }
        self.shown += 1;
        self.heading(about)?;
        if self.json {
            say!("{}", json::event(event))
        } else if let (Some(_), Some(text)) = (&self.agent, self.words(event)) {
            // Its lines stay lines: this is where code and output of tools are read.
            text.lines().try_for_each(|line| say!("{}", escape(line)))
        } else if let Some(line) = plain::line(&self.view, event) {
            say!("{line}")
        } else {
            Ok(())
        }
    }

    /// Says whose words follow, where those of several agents were asked for.
    fn heading(&mut self, about: Option<&AgentId>) -> Result<(), Failure> {
        let several = self.agent.as_ref().is_some_and(|name| !name.contains('@')) && !self.json;
        if several && self.last.as_ref() != about {
            self.last = about.cloned();
            say!("── {}", escape(about.map_or("", AgentId::as_str)))?;
        }
        Ok(())
    }

    /// What an agent said and what its tools answered.
    pub(super) fn words(&self, event: &Event) -> Option<String> {
        match &event.what {
            What::ModelResult { reply, turn, .. } => {
                let reply: Reply = serde_json::from_str(&self.fetch(reply)).ok()?;
                let blocks = reply.message.blocks.iter().filter_map(|block| match block {
                    Block::Text(text) => Some(text.clone()),
                    Block::Call(call) => Some(format!("→ {} {}", call.name, call.input)),
                    Block::Result(_) | Block::Opaque(_) => None,
                });
                Some(format!("[{turn}] {}", blocks.collect::<Vec<_>>().join("\n")))
            }
            What::ToolResult { tool, content, is_error, .. } => {
                let mark = if *is_error { "✗" } else { "←" };
                Some(format!("{mark} {tool}\n{}", self.fetch(content)))
            }
            What::WorkerNews(news) => {
                let mark = match news.about {
                    About::Message => "",
                    About::Call => "→ ",
                    About::Plan => "plan:\n",
                };
                Some(format!("{mark}{}", self.fetch(&news.text)))
            }
            What::WorkerResult(end) => {
                Some(format!("← {} ({})\n{}", end.worker, end.end, self.fetch(&end.output)))
            }
            What::NodesAdded { asked: Some(asked), .. } => {
                Some(format!("[{} is asked] » {}", asked.of, self.fetch(&asked.question)))
            }
            What::MessageDelivered(Delivered { turn, text, .. }) => {
                Some(format!("[{turn}] » {}", self.fetch(text)))
            }
            _ => None,
        }
    }

    fn fetch(&self, kept: &Kept) -> String {
        self.blobs.fetch(kept).unwrap_or_else(|error| format!("({error})"))
    }
}
