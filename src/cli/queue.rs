//! `grafter queue`: the batches of a repository and their merge queues.

use std::process::ExitCode;

use crate::{
    cli::{
        batch::{failed, find},
        batch_args::{QueueCommand, QueueTask},
        context::Context,
        exit::{Failure, Kind, OrFail},
        out,
    },
    coordinator::control::{self, Command, QueueOrder},
    fleet::start,
    journal::runs::{Of, RunDir, RunState},
    protocol::report::RunEnd,
    settings::nearest,
    ui::{
        batch as shown,
        tables::{Align, render},
        text::{Colour, escape},
    },
};

/// Shows batches and orders their queues about.
pub(super) async fn queue(context: &Context, command: &QueueCommand) -> Result<ExitCode, Failure> {
    match command {
        QueueCommand::Ls { batch: None } => all(context)?,
        QueueCommand::Ls { batch: Some(name) } => {
            let state = start::look(&find(context, name)?).map_err(failed)?;
            out::write(format_args!("{}", shown::table(&state, Colour::Never)))?;
        }
        QueueCommand::Show(task) => show(context, task)?,
        QueueCommand::Retry(task) => {
            order(context, (&task.batch, QueueOrder::Retry, Some(&task.task))).await?;
        }
        QueueCommand::Drop(task) => {
            order(context, (&task.batch, QueueOrder::Drop, Some(&task.task))).await?;
        }
        QueueCommand::Pause(name) => order(context, (&name.batch, QueueOrder::Pause, None)).await?,
        QueueCommand::Unpause(name) => {
            order(context, (&name.batch, QueueOrder::Unpause, None)).await?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn all(context: &Context) -> Result<(), Failure> {
    let state_dir = context.repo.state_dir();
    let batches = RunDir::list_of(Of::Batches, &state_dir).or_fail(Kind::Infrastructure)?;
    if batches.is_empty() {
        return say!("no batches yet: grafter batch tasks.yaml");
    }
    let row = |found: &RunDir| {
        let how = match found.state() {
            RunState::Running { pid } => format!("running (process {pid})"),
            RunState::Finished(RunEnd::Reported) => "finished".to_owned(),
            RunState::Broken => "its journal cannot be read".to_owned(),
            _ => format!("interrupted: grafter batch --resume {}", found.id),
        };
        let (landed, target) = match start::look(found) {
            Ok(state) => {
                let done = state.tasks.iter().filter(|task| task.stage.is_done()).count();
                (format!("{done} of {}", state.tasks.len()), state.started.target)
            }
            Err(error) => (String::new(), error.to_string()),
        };
        vec![found.id.to_string(), landed, target, how]
    };
    let columns = ["BATCH", "LANDED", "TARGET", "STATE"].map(|name| (name, Align::Left));
    let rows: Vec<_> = batches.iter().map(row).collect();
    out::write(format_args!("{}", render(&columns, &rows, Colour::Never)))
}

fn show(context: &Context, task: &QueueTask) -> Result<(), Failure> {
    let found = find(context, &task.batch)?;
    let state = start::look(&found).map_err(failed)?;
    let Some(at) = state.place(&task.task) else {
        let near = nearest::hint(&task.task, state.tasks.iter().map(|task| task.task.id.as_str()));
        let failure = Failure::usage(format!(
            "batch {} has no task `{}`{near}",
            found.id,
            escape(&task.task)
        ));
        return Err(failure.hint(format!("`grafter queue ls {}` lists them", found.id)));
    };
    out::write(format_args!("{}", shown::detail(&state, at)))
}

async fn order(
    context: &Context,
    (batch, order, task): (&str, QueueOrder, Option<&str>),
) -> Result<(), Failure> {
    let found = find(context, batch)?;
    let RunState::Running { pid } = found.state() else {
        let failure = Failure::usage(format!("batch {} is not running", found.id));
        return Err(failure.hint(format!("`grafter batch --resume {}` goes on with it", found.id)));
    };
    let path = control::socket_path(&context.setup.paths.runtime, &found.id);
    let command = Command::Queue { order, task: task.map(str::to_owned) };
    let reply = control::send(&path, &command).await.map_err(|error| {
        let text = format!("batch {} (process {pid}) cannot be reached: {error}", found.id);
        Failure::new(Kind::Infrastructure, anyhow::anyhow!(text))
    })?;
    if let Some(error) = reply.error {
        let failure = Failure::usage(escape(&error));
        return Err(match reply.hint {
            Some(hint) => failure.hint(escape(&hint)),
            None => failure,
        });
    }
    reply.said.iter().try_for_each(|line| say!("{}", escape(line)))
}
