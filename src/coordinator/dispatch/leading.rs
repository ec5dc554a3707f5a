//! The dispatcher's hand for agents that lead the run: their errands, journaled and answered.
//!
//! Who waits is answered when all it waits for has ended, or its message has come, or when nothing
//! goes on but waiting.

use crate::{
    coordinator::{
        dispatch::Dispatcher,
        lead::{self, Change, Until, Wait},
        team::Stand,
    },
    graph::ready::NodeState,
    journal::writer::JournalError,
    protocol::{
        event::What,
        ids::{AgentId, CallId, NodeId},
        mail::Sender,
        request::{Errand, Led},
        task_list::Wish,
    },
};

/// What is told besides to one that waits for others, when a message comes.
const STILL: &str = "; those you wait for are still at work: `wait` again";

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
            look @ (Errand::AtWork | Errand::Finding(_)) => {
                let _ = reply.send(ask.look(&look));
                return Ok(());
            }
            Errand::Send { to, text, call } => {
                let said = self.pass_on(by, (&to, text), call).await?;
                let _ = reply.send(said);
                return Ok(());
            }
            Errand::Tasks { wish, call } => {
                let said = self.tasks(by, &wish, call).await?;
                let _ = reply.send(said);
                return Ok(());
            }
            Errand::Receive => {
                self.waits.push(Wait { by: by.clone(), until: Until::Mail, reply });
                return Ok(());
            }
            Errand::Wait(names) => {
                match ask.awaited(names) {
                    Ok(names) => self.wait_for(by, names, reply),
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
            true => self.wait_for(by, names, reply),
            false => drop(reply.send(Ok(Led::Added(names)))),
        }
        Ok(())
    }

    fn wait_for(&mut self, by: &NodeId, names: Vec<String>, reply: lead::Reply) {
        self.waits.push(Wait { by: by.clone(), until: Until::Ended(names), reply });
    }

    /// Does what an agent wants of the list that all share; returns what it is told.
    async fn tasks(
        &mut self,
        by: &NodeId,
        wish: &Wish,
        call: CallId,
    ) -> Result<Result<Led, String>, JournalError> {
        let Some(agent) = self.agent_of(by) else { return Ok(Err("who are you?".to_owned())) };
        let sender = Sender { agent, call };
        match self.state.tasks.decide(&sender, wish) {
            Err(why) => return Ok(Err(why)),
            Ok(None) => {}
            Ok(Some(changed)) => {
                let what = What::TaskChanged(changed);
                self.shared.journal.append(Some(by), Some(&sender.agent), what).await?;
                self.drain();
            }
        }
        Ok(Ok(Led::Said(self.state.tasks.told(&sender))))
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

    /// Says which message has come for an agent, if one has; each is said once, as it has a number.
    fn come(&self, node: &NodeId) -> Option<String> {
        let agent = self.agent_of(node)?;
        let (number, sent) = self.state.told.mail(&agent).first()?;
        let from = sent.from.as_ref().map_or("the user", |from| from.agent.as_str());
        Some(format!("message {number}, from {from}, has come for you, and you see it now"))
    }

    pub(super) fn agent_of(&self, node: &NodeId) -> Option<AgentId> {
        let attempt = self.state.nodes.get(node)?.attempt;
        Some(AgentId::new(format!("{node}@{attempt}")))
    }

    /// Answers those for whom what they wait for has come.
    pub(super) fn answer(&mut self) {
        for wait in std::mem::take(&mut self.waits) {
            let led = match &wait.until {
                Until::Ended(names) => lead::ended(&self.shared, &self.state, names)
                    .or_else(|| self.come(&wait.by).map(|come| Led::Said(come + STILL))),
                Until::Mail => self.come(&wait.by).map(Led::Said),
            };
            match led {
                _ if wait.reply.is_closed() => {}
                Some(led) => drop(wait.reply.send(Ok(led))),
                None => self.waits.push(wait),
            }
        }
        self.busy.waiting = self.waits.iter().map(|wait| wait.by.clone()).collect();
    }

    /// Tells those who wait that they wait in vain: for messages first, as who hears that may end
    /// what others wait for.
    pub(super) fn refuse(&mut self) {
        let is_mail = |wait: &Wait| matches!(wait.until, Until::Mail);
        let any_mail = self.waits.iter().any(is_mail);
        let vain = self.waits.extract_if(.., |wait| is_mail(wait) || !any_mail);
        for Wait { by, until, reply } in vain {
            self.busy.waiting.remove(&by);
            let why = match until {
                Until::Ended(names) => lead::stuck(&self.shared, &self.state, &names),
                Until::Mail => "nobody is left at work who could write to you".to_owned(),
            };
            let _ = reply.send(Err(why));
        }
    }
}
