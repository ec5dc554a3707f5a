//! What the user orders while a batch is live.

use crate::{
    coordinator::control::{Call, Command, QueueOrder, Reply},
    fleet::{
        engine::Engine,
        start::BatchError,
        state::{BatchState, Stage},
    },
    protocol::{batch::Step, ids::TaskId, report::RunEnd},
};

impl Engine {
    /// Does what a call says, and answers it.
    pub(super) async fn obey(&mut self, state: &BatchState, call: Call) -> Result<(), BatchError> {
        let reply = match call.command {
            Command::Cancel | Command::Kill => self.cancel(&call.command),
            Command::Queue { order, task } => self.order(state, order, task).await?,
            _ => Reply::refused(
                "a batch has no agents of its own: its runs have",
                "name a run: `grafter ps` lists the agents of all live runs",
            ),
        };
        if let Some(answer) = call.reply {
            let _ = answer.send(Box::new(reply));
        }
        Ok(())
    }

    /// Stops the runs and the checks; what they were at goes on with a resume.
    fn cancel(&mut self, command: &Command) -> Reply {
        self.stop = Some(RunEnd::Interrupted);
        self.halt.cancel();
        for control in self.live.values() {
            // A run that has just ended needs no telling.
            let _ = control.send(Call { command: command.clone(), reply: None });
        }
        Reply { ok: true, ..Reply::default() }
    }

    async fn order(
        &mut self,
        state: &BatchState,
        order: QueueOrder,
        task: Option<String>,
    ) -> Result<Reply, BatchError> {
        let done = |said: &str| Ok(Reply::done(None, said));
        let step = match order {
            QueueOrder::Pause if state.paused => return done("the queue is paused already"),
            QueueOrder::Pause => Step::Paused,
            QueueOrder::Unpause if !state.paused => return done("the queue is not paused"),
            QueueOrder::Unpause => Step::Unpaused,
            QueueOrder::Drop | QueueOrder::Retry => {
                match change(state, order, task.as_deref().unwrap_or_default()) {
                    Ok(step) => step,
                    Err(why) => return Ok(*why),
                }
            }
        };
        let said = match &step {
            Step::Paused => "nothing lands until `grafter queue unpause`".to_owned(),
            Step::Unpaused => "the queue goes on".to_owned(),
            Step::Dropped { task } => format!("{task} is out"),
            _ => "it is tried once more".to_owned(),
        };
        self.tell(step).await?;
        Ok(Reply::done(None, said))
    }
}

/// Returns what an order about one task changes, or why it cannot.
fn change(state: &BatchState, order: QueueOrder, name: &str) -> Result<Step, Box<Reply>> {
    let refused = |why: String, hint: &str| Err(Box::new(Reply::refused(why, hint)));
    let Some(of) = state.task(name) else {
        return refused(format!("there is no task `{name}`"), "`grafter queue ls` lists them");
    };
    let task = TaskId::new(name);
    match (order, &of.stage) {
        (_, Stage::Working) => {
            let run = of.runs.last().map_or("", |run| run.as_str());
            refused(format!("{name} is being worked"), &format!("grafter cancel {run} stops it"))
        }
        (_, Stage::Landed { .. } | Stage::Contained) => {
            refused(format!("{name} has landed"), "git revert takes it back")
        }
        (QueueOrder::Drop, _) => Ok(Step::Dropped { task }),
        (_, Stage::Waiting | Stage::Queued) => {
            refused(format!("{name} has not failed"), "`grafter queue show` says how it stands")
        }
        _ => Ok(Step::Retried { task }),
    }
}
