//! Lock files made anew by their own tools, where work contradicts the target in nothing else.

use crate::{
    fleet::{
        bench::Renewed,
        engine::{Done, Engine, id},
        start::BatchError,
        state::BatchState,
    },
    merge::candidate::Draft,
    protocol::{
        event::Level,
        ids::Oid,
        report::{Check, Origin},
    },
};

impl Engine {
    /// Has the files of a draft made anew where it would stand; the train waits for it.
    pub(super) fn renew(&mut self, state: &BatchState, task: usize, draft: Draft) {
        let (Some(train), Some(made)) = (&self.train, &state.tasks[task].made) else { return };
        let (on, work) = (train.stand.clone(), made.commit.clone());
        let commands = draft.files.iter().filter_map(|path| state.started.lockfiles.get(path));
        let named = |command: &String| Check { command: command.clone(), origin: Origin::Named };
        let commands: Vec<_> = commands.map(named).collect();
        let (bench, repo) = (self.bench(state, self.halt.clone()), self.repo.clone());
        self.judging = true;
        self.jobs.spawn(async move {
            let made = bench.renew(&repo, &on, (&draft, &commands)).await;
            Done::Renewed { task, on, work, made }
        });
    }

    /// Takes note of files that were made anew, or of why not: then the conflict is one.
    pub(super) async fn renewed(
        &mut self,
        state: &BatchState,
        (task, on, work): (usize, Oid, Oid),
        made: Renewed,
    ) -> Result<(), BatchError> {
        let name = id(state, task);
        let tree = match made {
            Renewed::Made { tree, files } => {
                let text = format!("{name}: made anew for the target: {}", files.join(", "));
                self.note(Level::Info, text).await?;
                Some(tree)
            }
            Renewed::Failed(why) => {
                let text = format!("{name}: its conflict stays one, because {why}");
                self.note(Level::Warning, text).await?;
                None
            }
        };
        self.lockfiles.made.insert((on, work), tree);
        Ok(())
    }
}
