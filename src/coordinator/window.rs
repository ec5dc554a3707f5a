//! Where an agent sees what others have written for it: a throw-away tree at the newest commit that
//! it has heard of.
//!
//! It moves on only when the agent is told so, so what it sees never changes under its hands.

use std::sync::{Arc, Mutex, PoisonError};

use futures_util::FutureExt;

use crate::{
    agent::assignment,
    coordinator::shared::Shared,
    protocol::{
        cause::chain,
        ids::{AgentId, NodeId, Oid},
    },
    sandbox::{grants::Grants, place::Place},
    subagent::housing::Wish,
};

/// The place that is open, if one is.
#[derive(Clone, Default)]
pub(super) struct Window(Arc<Mutex<Option<Arc<Place>>>>);

impl Window {
    /// Returns what opens a place for an agent.
    pub(super) fn of(&self, shared: &Arc<Shared>, who: (&NodeId, &AgentId)) -> assignment::Window {
        let (window, shared) = (self.clone(), shared.clone());
        let (node, agent) = (who.0.clone(), who.1.clone());
        Arc::new(move |commit: Oid| {
            let (window, shared) = (window.clone(), shared.clone());
            let (node, agent) = (node.clone(), agent.clone());
            async move { window.open(&shared, (&node, &agent), commit).await }.boxed()
        })
    }

    async fn open(
        &self,
        shared: &Shared,
        who: (&NodeId, &AgentId),
        commit: Oid,
    ) -> Result<Arc<Place>, String> {
        self.close(shared);
        let name = format!("sees-{}-{}", who.0, commit.short());
        let wish = Wish { name, commit, branch: None, grants: Grants::default() };
        let lodging = shared.housing.visitor(who, &wish).await.map_err(|error| chain(&error))?;
        *self.lock() = Some(lodging.place.clone());
        Ok(lodging.place)
    }

    /// Gives the place up.
    pub(super) fn close(&self, shared: &Shared) {
        if let Some(place) = self.lock().take() {
            shared.housing.discard(place);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Arc<Place>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
