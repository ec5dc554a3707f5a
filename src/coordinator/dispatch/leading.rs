//! The dispatcher's hand for agents that lead the run: their errands, journaled and answered.
//!
//! Who waits is answered when all it waits for has ended, or when nothing goes on but waiting.

use crate::{
    coordinator::{
        dispatch::Dispatcher,
        lead::{self, Change, Wait},
        team::Stand,
    },
    graph::ready::NodeState,
    journal::writer::JournalError,
    protocol::{
        ids::{AgentId, CallId, NodeId},
        mail::Sender,
        request::{Errand, Led},
    },
};

impl Dispatcher {
    pub(super) async fn lead(
        &mut self,
        by: &NodeId,
        errand: Errand,
        reply: lead::Reply,
    ) -> Result<(), JournalError> {
        let shared = self.shared.clone();
        let ask = lead::Ask { shared: &shared, state: &self.state, by };
        let (change, waits) = match errand {
            Errand::Spawn(order) => (ask.spawn(*order), false),
            Errand::Plan(name) => (ask.plan(&name), false),
            Errand::Enqueue(writer) => (ask.enqueue(&writer), true),
            Errand::Finding(id) => {
                let _ = reply.send(ask.finding(&id).map(Led::Finding));
                return Ok(());
            }
            Errand::Send { to, text, call } => {
                let said = self.pass_on(by, (&to, text), call).await?;
                let _ = reply.send(said);
                return Ok(());
            }
            Errand::Wait(names) => {
                match ask.awaited(names) {
                    Ok(names) => self.waits.push(Wait { by: by.clone(), names, reply }),
                    Err(why) => drop(reply.send(Err(why))),
                }
                return Ok(());
            }
        };
        let names = match change {
            Ok(Change::Known(names)) => names,
            Ok(Change::Grown(names, what, graph)) => {
                let agent = self.agent_of(by);
                shared.journal.append(Some(by), agent.as_ref(), what).await?;
                shared.set_graph(*graph);
                names
            }
            Err(why) => {
                let _ = reply.send(Err(why));
                return Ok(());
            }
        };
        match waits {
            true => self.waits.push(Wait { by: by.clone(), names, reply }),
            false => drop(reply.send(Ok(Led::Added(names)))),
        }
        Ok(())
    }

    /// Gives an agent the message of another one; returns what the sender is told of it.
    async fn pass_on(
        &self,
        by: &NodeId,
        (to, text): (&str, String),
        call: CallId,
    ) -> Result<Result<Led, String>, JournalError> {
        let Some(agent) = self.agent_of(by) else { return Ok(Err("who are you?".to_owned())) };
        let stand = Stand { shared: &self.shared, state: &self.state };
        let reply = self.team.pass_on(stand, (to, text), Sender { agent, call }).await?;
        Ok(match (reply.error, reply.hint) {
            (None, _) => Ok(Led::Said(reply.said.join("; "))),
            (Some(error), hint) => Err(format!("{error}; {}", hint.unwrap_or_default())),
        })
    }

    /// Ends those whom a failed agent has asked for: nobody hears them any more.
    pub(super) async fn dismiss(&mut self, by: &NodeId) -> Result<(), JournalError> {
        if self.state.state_of(by) != NodeState::Failed {
            return Ok(());
        }
        let shared = self.shared.clone();
        let stand = Stand { shared: &shared, state: &self.state };
        for added in self.state.added.iter().filter(|added| added.by.as_ref() == Some(by)) {
            for node in &added.ids {
                self.team.dismiss(stand, node).await?;
            }
        }
        Ok(())
    }

    fn has_mail(&self, node: &NodeId) -> bool {
        self.agent_of(node).is_some_and(|agent| !self.state.told.mail(&agent).is_empty())
    }

    fn agent_of(&self, node: &NodeId) -> Option<AgentId> {
        let attempt = self.state.nodes.get(node)?.attempt;
        Some(AgentId::new(format!("{node}@{attempt}")))
    }

    /// Answers those who wait for what has ended.
    pub(super) fn answer(&mut self) {
        for wait in std::mem::take(&mut self.waits) {
            match lead::ended(&self.shared, &self.state, &wait.names) {
                _ if wait.reply.is_closed() => {}
                Some(led) => drop(wait.reply.send(Ok(led))),
                None if self.has_mail(&wait.by) => {
                    let text = "a message has come for you, and you see it now; those you wait for \
                                are still at work: `wait` again";
                    drop(wait.reply.send(Ok(Led::Said(text.to_owned()))));
                }
                None => self.waits.push(wait),
            }
        }
        self.busy.waiting = self.waits.iter().map(|wait| wait.by.clone()).collect();
    }

    /// Tells those who wait that they wait in vain.
    pub(super) fn refuse(&mut self) {
        for Wait { names, reply, .. } in std::mem::take(&mut self.waits) {
            let _ = reply.send(Err(lead::stuck(&self.shared, &self.state, &names)));
        }
        self.busy.waiting.clear();
    }
}
