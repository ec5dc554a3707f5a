//! Collisions of tasks that are worked at once: seen from their snapshots, told to the later one.
//!
//! What a task has written counts as what it was expected to write, so that waiting tasks which
//! would collide are delayed. One probe runs at a time, on the newest snapshots.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    coordinator::control::{Call, Command},
    fleet::{
        engine::{Done, Engine, id},
        probe::{self, Clash, Side},
        start::BatchError,
        state::{BatchState, Stage},
        work::Snap,
    },
    git::{diff, program::GitError},
    protocol::{
        batch::Step,
        event::Level,
        ids::{AgentId, Oid},
    },
};

/// How much of another task's change is shown, in bytes.
const MAX_SHOWN: usize = 8 << 10;

/// What is known of works that are under way.
#[derive(Default)]
pub(super) struct Probes {
    /// How far each task has come, and who works on it.
    live: BTreeMap<usize, (AgentId, Side)>,
    /// Snapshots that were not looked at yet, the newest of each task.
    open: BTreeMap<usize, Snap>,
    busy: bool,
}

impl Engine {
    /// Takes note of a snapshot.
    pub(super) fn snapped(&mut self, state: &BatchState, snap: Snap) {
        let of = |task: &&usize| state.tasks[**task].runs.last() == Some(&snap.run);
        if let Some(&task) = self.at_work.iter().find(of) {
            self.probes.open.insert(task, snap);
            self.probe(state);
        }
    }

    /// Looks at the next snapshot, unless one is being looked at.
    fn probe(&mut self, state: &BatchState) {
        if self.probes.busy {
            return;
        }
        let Some((task, snap)) = self.probes.open.pop_first() else { return };
        self.probes.busy = true;
        let others: Vec<_> = self.probes.live.values().map(|(_, side)| side.clone()).collect();
        let others = others.into_iter().chain(queued(state)).collect::<Vec<_>>();
        let (repo, begin) = (self.repo.clone(), state.started.tip.clone());
        let target = state.started.target.clone();
        self.jobs.spawn_blocking(move || {
            let look = || {
                let tip = repo.tip(&target)?.unwrap_or(begin);
                let side = Side::new(&repo, &tip, (task, snap.commit.clone()))?;
                let clashes = probe::clashes(&repo, &side, &others)?;
                Ok((side, clashes))
            };
            let found: Result<_, GitError> = look();
            Done::Probed { agent: snap.agent, task, found }
        });
    }

    /// Takes note of what a probe found.
    pub(super) async fn probed(
        &mut self,
        state: &BatchState,
        (agent, task): (AgentId, usize),
        found: Result<(Side, Vec<Clash>), GitError>,
    ) -> Result<(), BatchError> {
        self.probes.busy = false;
        match found {
            Ok((side, clashes)) if self.at_work.contains(&task) => {
                self.expected[task].extend(side.paths.iter().cloned());
                self.probes.live.insert(task, (agent, side));
                for clash in clashes {
                    self.collides(state, task, clash).await?;
                }
            }
            Ok(_) => {}
            Err(error) => {
                let name = id(state, task);
                let text = format!("cannot see whether {name} collides with others: {error}");
                self.note(Level::Warning, text).await?;
            }
        }
        self.probe(state);
        Ok(())
    }

    /// A task's run has ended.
    pub(super) fn forget(&mut self, task: usize) {
        self.probes.live.remove(&task);
        self.probes.open.remove(&task);
    }

    /// Records a collision once, and tells whoever lands later.
    async fn collides(
        &mut self,
        state: &BatchState,
        task: usize,
        Clash { with, paths }: Clash,
    ) -> Result<(), BatchError> {
        let waits = state.tasks[with].stage == Stage::Queued;
        let (later, first) = if waits || task > with { (task, with) } else { (with, task) };
        if state.collide.contains(&(later, first)) {
            return Ok(());
        }
        let (task, with) = (id(state, later), id(state, first));
        self.tell(Step::Collides { task, with, paths: paths.clone() }).await?;
        self.warn(state, (later, first), &paths);
        Ok(())
    }

    fn warn(&self, state: &BatchState, (later, first): (usize, usize), paths: &[String]) {
        let Some((agent, _)) = self.probes.live.get(&later) else { return };
        let run = state.tasks[later].runs.last();
        let Some(control) = run.and_then(|run| self.live.get(run)) else { return };
        let text = self.words(state, first, paths);
        let command = Command::Send { agent: agent.to_string(), text };
        // A run that has just ended needs no telling.
        let _ = control.send(Call { command, reply: None });
    }

    fn words(&self, state: &BatchState, first: usize, paths: &[String]) -> String {
        let other = &state.tasks[first].task;
        let mut text = format!(
            "Another task is worked at the same time and changes the same lines as you, in {}. If it \
             lands first, yours must merge with it: keep your change away from those lines where \
             you can, or make the same change there. That task is: {}",
            paths.join(", "),
            other.headline(),
        );
        if let Some(diff) = self.change(state, first) {
            let end = diff.floor_char_boundary(diff.len().min(MAX_SHOWN));
            text.push_str(&format!("\n\nIts change so far:\n\n```diff\n{}\n```\n", &diff[..end]));
        }
        text
    }

    fn change(&self, state: &BatchState, task: usize) -> Option<String> {
        let commit = match &state.tasks[task].made {
            Some(made) if state.tasks[task].stage == Stage::Queued => &made.commit,
            _ => &self.probes.live.get(&task)?.1.commit,
        };
        let tip = self.repo.tip(&state.started.target).ok()?;
        let tip = tip.unwrap_or_else(|| state.started.tip.clone());
        let base: Oid = crate::git::join::merge_base(&self.repo, &tip, commit).ok()??;
        diff::unified(&self.repo, &base, commit).ok()
    }
}

/// Returns the sides that wait for their landing.
fn queued(state: &BatchState) -> impl Iterator<Item = Side> {
    state.queue().into_iter().filter_map(|task| {
        let made = state.tasks[task].made.as_ref()?;
        let paths: BTreeSet<_> = made.stat.files.iter().map(|file| file.0.clone()).collect();
        Some(Side { task, commit: made.commit.clone(), paths })
    })
}
