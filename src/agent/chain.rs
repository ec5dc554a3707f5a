//! The snapshots of a writer's tree: one commit after each call that changed it.
//!
//! The commits form a chain from the agent's base, kept by `refs/grafter/snap/<run>/<agent>`. A
//! call that was under way when its process died has no record; `restore` takes its half-done
//! writes back before it runs again.

use std::sync::{Arc, Mutex, PoisonError};

use thiserror::Error;
use tokio::task;

use crate::{
    agent::assignment::Assignment,
    git::{
        commit::{self, CommitSpec},
        refs::{self, Cas, Move},
        repo::Repo,
        snapshot::Tracker,
    },
    protocol::ids::Oid,
    tools::desk::Desk,
};

/// The snapshots of one writer.
pub struct Chain {
    repo: Repo,
    tracker: Arc<Mutex<Tracker>>,
    refname: String,
    base_tree: Oid,
    tree: Oid,
    head: Oid,
}

/// Where a chain stands when it is opened.
pub struct Stand {
    /// The repository.
    pub repo: Repo,
    /// What has changed in the tree.
    pub tracker: Arc<Mutex<Tracker>>,
    /// Whose chain it is: the run and the agent, as its ref names them.
    pub owner: String,
    /// The commit that the agent's tree stands at when it begins.
    pub base: Oid,
    /// The last snapshot.
    pub last: Option<Oid>,
}

/// Why a tree cannot be saved or put back.
#[derive(Debug, Error)]
#[error("cannot {doing} the agent's tree: {why}")]
pub struct ChainError {
    doing: &'static str,
    why: String,
}

impl Chain {
    /// Returns the chain of a writer that goes on from `last`; none for a reader.
    pub async fn open(
        desk: &Desk,
        assignment: &Assignment,
        last: Option<Oid>,
    ) -> Result<Option<Self>, ChainError> {
        let Some(tracker) = desk.tracker.clone() else { return Ok(None) };
        let (repo, base) = (desk.repo.clone(), assignment.base.clone());
        let owner = format!("{}/{}", assignment.cue.run, assignment.agent);
        Self::at(Stand { repo, tracker, owner, base, last }).await.map(Some)
    }

    /// Returns the chain that stands there.
    pub async fn at(stand: Stand) -> Result<Self, ChainError> {
        let Stand { repo, tracker, owner, base, last } = stand;
        let refname = format!("refs/grafter/snap/{owner}");
        blocking("look up", move || {
            let base_tree = repo.tree_of(&base).map_err(|error| text(&error))?;
            let tree = last.as_ref().map_or(Ok(base_tree.clone()), |at| repo.tree_of(at));
            let (tree, head) = (tree.map_err(|error| text(&error))?, last.unwrap_or(base));
            Ok(Self { repo, tracker, refname, base_tree, tree, head })
        })
        .await
    }

    /// Puts the tree back to where the agent began; what was in it is saved first, so that work of
    /// a killed process can still be found.
    pub async fn start_over(&mut self, title: &str) -> Result<(), ChainError> {
        self.take(title).await?;
        self.tree.clone_from(&self.base_tree);
        self.restore().await
    }

    /// Returns whether the tree differs from the one the agent began with.
    pub fn changed(&self) -> bool {
        self.tree != self.base_tree
    }

    /// Makes the working tree equal to the last snapshot.
    pub async fn restore(&self) -> Result<(), ChainError> {
        let (tracker, tree) = (self.tracker.clone(), self.tree.clone());
        blocking("restore", move || {
            tracker
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .restore(&tree)
                .map_err(|error| text(&error))
        })
        .await
    }

    /// Notes files that the agent wrote on purpose, whatever they are called.
    pub fn mean(&self, paths: &[String]) {
        let mut tracker = self.tracker.lock().unwrap_or_else(PoisonError::into_inner);
        paths.iter().for_each(|path| tracker.mean(path));
    }

    /// Saves the tree if it changed and returns the snapshot's commit.
    pub async fn take(&mut self, title: &str) -> Result<Option<Oid>, ChainError> {
        let (tracker, repo) = (self.tracker.clone(), self.repo.clone());
        let (refname, known, head) = (self.refname.clone(), self.tree.clone(), self.head.clone());
        let message = format!("snapshot: {title}\n");
        let taken = blocking("save", move || {
            let found = tracker.lock().unwrap_or_else(PoisonError::into_inner).snapshot();
            let Some(found) =
                found.map_err(|error| text(&error))?.filter(|found| found.tree != known)
            else {
                return Ok(None);
            };
            let (tree, parents) = (found.tree.clone(), vec![head.clone()]);
            let spec = CommitSpec { tree, parents, message, identity: repo.identity() };
            let commit = commit::write(&repo, &spec).map_err(|error| text(&error))?;
            point(&repo, &refname, &head, &commit)?;
            Ok(Some((commit, found.tree)))
        })
        .await?;
        Ok(taken.map(|(commit, tree)| {
            self.tree = tree;
            self.head = commit.clone();
            commit
        }))
    }
}

/// Moves the chain's ref; only this agent writes it, so where it stands does not matter.
fn point(repo: &Repo, name: &str, head: &Oid, to: &Oid) -> Result<(), String> {
    let mut from = Some(head.clone());
    for _ in 0..3 {
        match refs::cas(repo, Move { name, from: from.as_ref(), to, why: "snapshot" })
            .map_err(|error| text(&error))?
        {
            Cas::Moved => return Ok(()),
            Cas::Missed { found } => from = found,
        }
    }
    Err(format!("{name} is moved by somebody else"))
}

async fn blocking<T: Send + 'static>(
    doing: &'static str,
    work: impl FnOnce() -> Result<T, String> + Send + 'static,
) -> Result<T, ChainError> {
    let done = task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| Err(text(&error))).map_err(|why| ChainError { doing, why })
}

fn text<E: std::error::Error>(error: &E) -> String {
    error.to_string()
}
