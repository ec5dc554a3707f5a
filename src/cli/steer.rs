//! `grafter ps`, `send`, `pause`, `unpause`, `cancel` and `why`: looking at the agents of a live run
//! and talking to them, over the run's control socket.

use std::{
    collections::BTreeMap,
    io::{self, Read},
    process::ExitCode,
    time::{SystemTime, UNIX_EPOCH},
};

use clap::{Args, ValueEnum};

use crate::{
    cli::{
        context::Context,
        exit::{Failure, Kind, OrFail},
        history, out,
    },
    coordinator::{
        control::{self, Command, Live, Reply},
        why,
    },
    journal::{
        read,
        runs::{RunDir, RunState},
    },
    protocol::ids::AgentId,
    ui::{
        roster::{COLUMNS, Roster, Row},
        tables::render,
        text::{Colour, escape},
    },
};

/// Bytes that are read of a message on standard input; a run takes fewer.
const MAX_INPUT: u64 = 1 << 20;

/// Forms of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Form {
    /// For people: a table.
    Text,
    /// One JSON list.
    Json,
}

/// Arguments of `ps`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  grafter ps                # agents of all live runs\n  grafter ps 1122-1741 --output json"
)]
pub(super) struct PsArgs {
    /// The live run, or the beginning of its name; all live runs without one.
    #[arg(value_name = "RUN")]
    run: Option<String>,
    /// What to print.
    #[arg(long, value_name = "FORM", default_value = "text")]
    output: Form,
}

/// An agent of a run.
#[derive(Debug, Args)]
pub(super) struct AgentName {
    /// The agent, such as `review.0@1` or `review.0`, or a node with one agent, such as `implement`.
    #[arg(value_name = "AGENT")]
    pub(super) agent: String,
    /// The run, or the beginning of its name.
    #[arg(long, value_name = "RUN", default_value = "latest")]
    pub(super) run: String,
}

/// Arguments of `send`.
#[derive(Debug, Args)]
#[command(
    after_help = "An agent that has ended is asked again as long as its run goes on: another one, whose name is\nprinted, goes on from its conversation, sees the files as they were left, changes nothing and\nanswers. Ask the same name once more to go on from that answer.\n\nExamples:\n  grafter send implement \"leave the public names as they are\"\n  grafter send research.1 - < notes.md\n  grafter send orient \"which tests cover that?\"   # it has ended: orient-again answers"
)]
pub(super) struct SendArgs {
    #[command(flatten)]
    name: AgentName,
    /// The message, at most 64 KiB; `-` reads it from standard input.
    #[arg(value_name = "TEXT")]
    text: String,
}

/// Arguments of `pause` and `unpause`.
#[derive(Debug, Args)]
pub(super) struct HoldArgs {
    /// The agent, such as `review.0@1` or `review.0`, or a node with one agent, such as `implement`.
    #[arg(value_name = "AGENT", required_unless_present = "all")]
    agent: Option<String>,
    /// All agents, those that begin later as well.
    #[arg(long, conflicts_with = "agent")]
    all: bool,
    /// The run, or the beginning of its name.
    #[arg(long, value_name = "RUN", default_value = "latest")]
    run: String,
}

/// Arguments of `cancel`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  grafter cancel            # the latest run\n  grafter cancel 1122-1741\n  grafter cancel --agent research.2   # one agent; its node fails, the run goes on"
)]
pub(super) struct CancelArgs {
    /// The run, or the beginning of its name.
    #[arg(value_name = "RUN", default_value = "latest")]
    run: String,
    /// End this agent only: what it wrote stays for `grafter rescue`, the others go on.
    #[arg(long, value_name = "AGENT")]
    agent: Option<String>,
}

/// Lists the agents of one live run, or of all.
pub(super) async fn ps(context: &Context, args: &PsArgs) -> Result<ExitCode, Failure> {
    let runs = match &args.run {
        Some(name) => vec![live(context, name)?.0],
        None => history::live_runs(context)?
            .iter()
            .map(|id| history::find(context, id.as_str()))
            .collect::<Result<_, _>>()?,
    };
    let mut json = Vec::new();
    for run in &runs {
        let rows = rows(context, run).await?;
        if args.output == Form::Json {
            json.extend(rows.iter().map(|row| object(run, row)));
            continue;
        }
        say!("run {}", run.id)?;
        let lines: Vec<_> = rows.iter().map(|row| row.line(now())).collect();
        out::write(format_args!("{}", render(&COLUMNS, &lines, Colour::Never)))?;
    }
    match (args.output, runs.is_empty()) {
        (Form::Json, _) => say!("{}", serde_json::Value::Array(json))?,
        (Form::Text, true) => say!("no run is live: `grafter status` lists all runs")?,
        (Form::Text, false) => {}
    }
    Ok(ExitCode::SUCCESS)
}

fn object(run: &RunDir, row: &Row) -> serde_json::Value {
    let mut object = serde_json::json!(row);
    object["run"] = serde_json::json!(run.id);
    object
}

/// Returns the agents of a live run; what those at work do just now, they are asked.
async fn rows(context: &Context, run: &RunDir) -> Result<Vec<Row>, Failure> {
    let live = control::send(&socket(context, run), &Command::Agents).await;
    let live: BTreeMap<AgentId, Live> = live
        .map(|reply| reply.agents)
        .unwrap_or_default()
        .into_iter()
        .map(|live| (live.agent.clone(), live))
        .collect();
    let events = read::read(&run.path).map_err(|error| history::unreadable(run, error))?;
    let mut rows = Roster::of(&events);
    for row in rows.iter_mut().filter(|row| row.is_live()) {
        if let Some(live) = live.get(&row.agent) {
            row.state = why::short(live);
        }
    }
    Ok(rows)
}

/// Sends a message to an agent.
pub(super) async fn send(context: &Context, args: &SendArgs) -> Result<ExitCode, Failure> {
    let text = match args.text.as_str() {
        "-" => typed()?,
        text => text.to_owned(),
    };
    let agent = args.name.agent.clone();
    tell(context, &args.name.run, &Command::Send { agent, text }).await
}

fn typed() -> Result<String, Failure> {
    let mut text = String::new();
    io::stdin().take(MAX_INPUT).read_to_string(&mut text).or_fail(Kind::Usage)?;
    Ok(text.trim_end().to_owned())
}

/// Pauses an agent or all.
pub(super) async fn pause(context: &Context, args: &HoldArgs) -> Result<ExitCode, Failure> {
    tell(context, &args.run, &Command::Pause { agent: args.agent.clone() }).await
}

/// Lets an agent or all go on.
pub(super) async fn unpause(context: &Context, args: &HoldArgs) -> Result<ExitCode, Failure> {
    tell(context, &args.run, &Command::Unpause { agent: args.agent.clone() }).await
}

/// Says what an agent waits for.
pub(super) async fn why(context: &Context, name: &AgentName) -> Result<ExitCode, Failure> {
    tell(context, &name.run, &Command::Why { agent: name.agent.clone() }).await
}

/// Asks a live run of any process to stop, or ends one of its agents.
pub(super) async fn cancel(context: &Context, args: &CancelArgs) -> Result<ExitCode, Failure> {
    if let Some(agent) = args.agent.clone() {
        return tell(context, &args.run, &Command::CancelAgent { agent }).await;
    }
    let (run, _) = ask(context, &args.run, &Command::Cancel).await?;
    say!("run {} is stopping; go on with: grafter resume {}", run.id, run.id)?;
    Ok(ExitCode::SUCCESS)
}

/// Puts a command to a live run and prints what it says.
async fn tell(context: &Context, name: &str, command: &Command) -> Result<ExitCode, Failure> {
    let (_, reply) = ask(context, name, command).await?;
    reply.said.iter().try_for_each(|line| say!("{}", escape(line)))?;
    Ok(ExitCode::SUCCESS)
}

/// Returns what a live run says to a command.
pub(super) async fn ask(
    context: &Context,
    name: &str,
    command: &Command,
) -> Result<(RunDir, Reply), Failure> {
    let (run, pid) = live(context, name)?;
    let reply = control::send(&socket(context, &run), command).await.map_err(|error| {
        let text = format!("run {} (process {pid}) cannot be reached: {error}", run.id);
        Failure::new(Kind::Infrastructure, anyhow::anyhow!(text))
            .hint(format!("kill -TERM {pid} asks it to stop as well"))
    })?;
    match reply.error {
        None => Ok((run, reply)),
        Some(error) => {
            let failure = Failure::usage(escape(&error));
            Err(match reply.hint {
                Some(hint) => failure.hint(escape(&hint)),
                None => failure,
            })
        }
    }
}

fn live(context: &Context, name: &str) -> Result<(RunDir, u32), Failure> {
    let found = history::find(context, name)?;
    let RunState::Running { pid } = found.state() else {
        let failure = Failure::usage(format!("run {} is not running", found.id));
        return Err(failure.hint("`grafter status` says how it stands"));
    };
    Ok((found, pid))
}

fn socket(context: &Context, run: &RunDir) -> std::path::PathBuf {
    control::socket_path(&context.setup.paths.runtime, &run.id)
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
