//! The agents at work and what the user tells them: the dispatcher's one place for their reins.
//!
//! A command is journaled first, then the reins are pulled; only a pause is pulled before, so that
//! no record of something new can follow the record of the pause.

use std::collections::BTreeMap;

use crate::{
    agent::reins::Reins,
    coordinator::{
        again::{self, Question, ask_again},
        control::{Command, Live, Reply},
        roll::{self, Nobody, Who},
        shared::Shared,
        state::RunState,
        why,
    },
    external::preset::Protocol,
    graph::{node::Work, ready::NodeState},
    journal::writer::JournalError,
    prompt::words::fill,
    protocol::{
        event::What,
        ids::{AgentId, NodeId},
        mail::{Letter, Sender, Sent},
    },
    tools::clean::shown,
    verify::slots::slots,
};

/// Bytes of the longest message.
const MAX_TEXT: u64 = 64 << 10;
/// Messages that an agent may have before it.
const MAX_MAIL: usize = 100;

/// The agents at work.
#[derive(Debug, Default)]
pub(super) struct Team(BTreeMap<AgentId, Reins>);

/// What a command is obeyed with.
#[derive(Clone, Copy)]
pub(super) struct Stand<'a> {
    pub(super) shared: &'a Shared,
    pub(super) state: &'a RunState,
}

/// A message, and the agent that it is from; the user where there is none.
struct Mail {
    text: String,
    from: Option<Sender>,
}

/// An agent that a command means.
type Meant<'t> = (NodeId, AgentId, &'t Reins);

impl Team {
    /// Takes an agent in and returns its reins, as the records say they are held.
    pub(super) fn join(&mut self, stand: Stand<'_>, agent: &AgentId) -> Reins {
        let (shared, told) = (stand.shared, &stand.state.told);
        let reins = Reins::new(&shared.stop, &shared.halt);
        reins.pause(told.is_paused(agent));
        for (message, sent) in told.mail(agent).iter().cloned() {
            reins.post(letter(message, sent));
        }
        if told.is_cancelled(agent) {
            reins.cancel(&ended_by(stand.state, agent));
        }
        self.0.insert(agent.clone(), reins.clone());
        reins
    }

    /// Lets the agent of a node go; returns who that was.
    pub(super) fn leave(&mut self, node: &NodeId) -> Option<AgentId> {
        let agent = self.0.keys().find(|agent| node_of(agent) == node.as_str())?.clone();
        self.0.remove(&agent);
        Some(agent)
    }

    /// Does what a command says of agents; what it says of the run is not for here.
    pub(super) async fn obey(
        &self,
        stand: Stand<'_>,
        command: Command,
    ) -> Result<Reply, JournalError> {
        match command {
            Command::Cancel | Command::Kill => Ok(Reply::default()),
            Command::Queue { .. } => {
                Ok(Reply::refused("a run has no merge queue", "name a batch: grafter queue ls"))
            }
            Command::Agents => {
                Ok(Reply { ok: true, agents: self.at_work(stand), ..<_>::default() })
            }
            Command::Why { agent } => Ok(self.why(stand, &agent)),
            Command::Send { agent, text } => {
                self.say(stand, &agent, Mail { text, from: None }).await
            }
            Command::CancelAgent { agent } => match self.meant(stand, &agent) {
                Ok(meant) => self.cancel(stand, meant).await,
                Err(reply) => Ok(*reply),
            },
            Command::Pause { agent } => self.hold(stand, agent, true).await,
            Command::Unpause { agent } => self.hold(stand, agent, false).await,
        }
    }

    /// Says something to an agent; one that has ended is asked again, or whoever answers for it.
    async fn say(&self, stand: Stand<'_>, name: &str, mail: Mail) -> Result<Reply, JournalError> {
        let found = roll::find(stand.state, &stand.shared.graph(), name);
        let (node, agent) = match found {
            Ok(Who::Ended(node, agent)) => match again::speaker(stand.state, (node, agent)) {
                Who::Ended(node, agent) => (node, agent),
                Who::Live(node, _) | Who::Waiting(node) | Who::Checks(node) => {
                    return self.tell(stand, node.as_str(), mail).await;
                }
            },
            _ => return self.tell(stand, name, mail).await,
        };
        let unfit = roll::ambiguous(stand.state, name).or_else(|| unfit(stand, &agent, &mail.text));
        if let Some(Nobody { error, hint }) = unfit {
            return Ok(Reply::refused(error, hint));
        }
        let question = Question { of: (&node, &agent), text: &mail.text, by: None };
        Ok(match ask_again(stand, question).await? {
            Ok(name) => Reply {
                said: vec![
                    format!(
                        "{agent} has ended, so {name} goes on from its conversation and answers"
                    ),
                    format!("grafter attach {name} shows it, grafter logs --agent {name} later"),
                ],
                ..Reply::done(Some(AgentId::of(&name, 1)), "")
            },
            Err(Nobody { error, hint }) => Reply::refused(error, hint),
        })
    }

    /// Says something to an agent for another one; only an agent that can wait for the answer asks
    /// one that has ended. What is said once more, because its sender was taken up again, is known.
    pub(super) async fn pass_on(
        &self,
        stand: Stand<'_>,
        (name, text): (&str, String),
        sender: Sender,
    ) -> Result<Reply, JournalError> {
        if stand.state.told.has_sent(&sender) {
            return Ok(Reply::done(None, "it was sent before"));
        }
        let by = sender.agent.node();
        let to = match roll::find(stand.state, &stand.shared.graph(), name) {
            Ok(Who::Ended(node, agent)) if waits(stand, &by) => {
                let question = Question { of: (&node, &agent), text: &text, by: Some(&by) };
                if let Some(name) = again::known(stand, question) {
                    return Ok(Reply::done(None, format!("{name} has been asked that already")));
                }
                match again::speaker(stand.state, (node.clone(), agent.clone())) {
                    Who::Ended(node, agent) => {
                        let question = Question { of: (&node, &agent), ..question };
                        return asked(stand, question).await;
                    }
                    Who::Live(node, _) | Who::Waiting(node) | Who::Checks(node) => node.to_string(),
                }
            }
            Ok(Who::Live(_, agent)) if agent == sender.agent => {
                return Ok(Reply::refused("that is you", "name another agent"));
            }
            _ => name.to_owned(),
        };
        self.tell(stand, &to, Mail { text, from: Some(sender) }).await
    }

    /// Gives an agent at work a message.
    async fn tell(&self, stand: Stand<'_>, name: &str, mail: Mail) -> Result<Reply, JournalError> {
        match self.meant(stand, name) {
            Ok(meant) => send(stand, meant, mail).await,
            Err(reply) => Ok(*reply),
        }
    }

    fn meant(&self, stand: Stand<'_>, name: &str) -> Result<Meant<'_>, Box<Reply>> {
        let who = roll::find(stand.state, &stand.shared.graph(), name);
        let (error, hint) = match who {
            Ok(Who::Live(node, agent)) => match self.0.get(&agent) {
                Some(reins) => return Ok((node, agent, reins)),
                None => (format!("{agent} is just ending"), why::HINT),
            },
            Ok(Who::Ended(_, agent)) => (format!("{agent} has ended"), why::HINT),
            Ok(Who::Waiting(node)) => (format!("{node} has not begun"), why::HINT),
            Ok(Who::Checks(node)) => (format!("{node} is no agent: it runs the checks"), why::HINT),
            Err(Nobody { error, hint }) => return Err(Box::new(Reply::refused(error, hint))),
        };
        Err(Box::new(Reply::refused(error, hint)))
    }

    fn at_work(&self, stand: Stand<'_>) -> Vec<Live> {
        let live = self.0.iter().map(|(agent, reins)| {
            let (doing, time) = reins.doing();
            Live {
                agent: agent.clone(),
                doing,
                for_ms: u64::try_from(time.as_millis()).unwrap_or(u64::MAX),
                paused: reins.is_paused(),
                mail: stand.state.told.of_user(agent),
            }
        });
        live.collect()
    }

    fn why(&self, stand: Stand<'_>, name: &str) -> Reply {
        let Stand { shared, state } = stand;
        let who = match roll::find(state, &shared.graph(), name) {
            Ok(who) => who,
            Err(Nobody { error, hint }) => return Reply::refused(error, hint),
        };
        let live = match &who {
            Who::Live(_, id) => self.at_work(stand).into_iter().find(|live| live.agent == *id),
            _ => None,
        };
        let tree = live.as_ref().and_then(|live| shared.housing.waits_for(&live.agent));
        let scene = why::Scene {
            graph: &shared.graph(),
            options: &shared.options,
            state,
            slots: slots().taken(),
            tree: tree.as_ref(),
        };
        let said = scene.why(&who, live.as_ref());
        let agent = match who {
            Who::Live(_, agent) | Who::Ended(_, agent) => Some(agent),
            Who::Waiting(_) | Who::Checks(_) => None,
        };
        Reply { ok: true, agent, said, ..Reply::default() }
    }

    async fn hold(
        &self,
        stand: Stand<'_>,
        name: Option<String>,
        paused: bool,
    ) -> Result<Reply, JournalError> {
        let what = if paused { What::Paused } else { What::Unpaused };
        let journal = &stand.shared.journal;
        let Some(name) = name else {
            self.0.values().for_each(|reins| reins.pause(paused));
            journal.append(None, None, what).await?;
            let (held, free) = ("all agents pause", "all agents go on");
            return Ok(Reply::done(None, if paused { held } else { free }));
        };
        let (node, agent, reins) = match self.meant(stand, &name) {
            Ok(meant) => meant,
            Err(reply) => return Ok(*reply),
        };
        let said = match (paused, reins.is_paused()) {
            (true, true) => format!("{agent} is paused already"),
            (false, false) => format!("{agent} is not paused"),
            (true, false) => format!("{agent} pauses; what it runs now comes to its end"),
            (false, true) => format!("{agent} goes on"),
        };
        if reins.is_paused() != paused {
            reins.pause(paused);
            journal.append(Some(&node), Some(&agent), what).await?;
        }
        Ok(Reply::done(Some(agent), said))
    }

    /// Ends all agents of a node.
    pub(super) async fn dismiss(&self, stand: Stand<'_>, node: &str) -> Result<(), JournalError> {
        let own = |agent: &AgentId| NodeId::new(node_of(agent)).place().0 == node;
        for (agent, reins) in self.0.iter().filter(|(agent, _)| own(agent)) {
            let meant = (NodeId::new(node_of(agent)), agent.clone(), reins);
            self.cancel(stand, meant).await?;
        }
        Ok(())
    }

    /// Ends an agent, and the helpers that work for it alone.
    async fn cancel(
        &self,
        stand: Stand<'_>,
        (node, agent, _): Meant<'_>,
    ) -> Result<Reply, JournalError> {
        let helper = format!("{node}~");
        for (id, reins) in &self.0 {
            if *id == agent || id.as_str().starts_with(&helper) {
                let node = NodeId::new(node_of(id));
                stand.shared.journal.append(Some(&node), Some(id), What::AgentCancelled).await?;
                reins.cancel(&ended_by(stand.state, id));
            }
        }
        let said = format!("{agent} is cancelled; its node fails, the run goes on");
        Ok(Reply::done(Some(agent), said))
    }
}

/// Says why an agent is ended: whoever asked for it has failed, or else the user wants it so.
fn ended_by(state: &RunState, agent: &AgentId) -> String {
    let node = NodeId::new(node_of(agent));
    let by = state.addition(node.place().0).and_then(|added| added.by.as_ref());
    match by.filter(|by| state.state_of(by) == NodeState::Failed) {
        Some(by) => format!("ended with {by}, which had asked for it and failed"),
        None => "cancelled by the user".to_owned(),
    }
}

/// Asks one that has ended for another agent.
async fn asked(stand: Stand<'_>, question: Question<'_>) -> Result<Reply, JournalError> {
    let agent = question.of.1;
    let asked = match unfit(stand, agent, question.text) {
        Some(nobody) => Err(nobody),
        None => ask_again(stand, question).await?,
    };
    Ok(match asked {
        Ok(name) => Reply::done(
            None,
            format!("{agent} has ended: {name} goes on from its conversation and answers you"),
        ),
        Err(Nobody { error, hint }) => Reply::refused(error, hint),
    })
}

/// Says why an agent does not take a text.
fn unfit(stand: Stand<'_>, agent: &AgentId, text: &str) -> Option<Nobody> {
    // What takes more than a quarter of the window would keep the agent from its work.
    let most = stand.shared.model.info().window.min(MAX_TEXT);
    let (error, hint) = match text.len() as u64 {
        _ if text.trim().is_empty() => ("the message is empty".to_owned(), "say something"),
        bytes if bytes > most => (
            format!("the message has {bytes} bytes, {agent} takes {most}"),
            "put it into a file of the repository, or send less",
        ),
        _ => return None,
    };
    Some(Nobody { error, hint: hint.to_owned() })
}

async fn send(
    stand: Stand<'_>,
    (node, agent, reins): Meant<'_>,
    Mail { text, from }: Mail,
) -> Result<Reply, JournalError> {
    let Stand { shared, state } = stand;
    if let Some(Nobody { error, hint }) = unfit(stand, &agent, &text) {
        return Ok(Reply::refused(error, hint));
    }
    if let Some(name) = deaf(shared, &node) {
        let error = format!("{agent} is the worker {name}, a command line, which hears nothing");
        return Ok(Reply::refused(
            error,
            "`grafter cancel --agent` ends it and keeps what it wrote",
        ));
    }
    let waiting = state.told.mail(&agent).len();
    if waiting >= MAX_MAIL {
        let error = format!("{agent} has {waiting} messages that it has not seen");
        return Ok(Reply::refused(error, "it reads them before its next model call"));
    }
    let text = match &from {
        None => text,
        Some(from) => {
            let (text, _) = shown(&text, text.len(), "");
            let values = [("agent", from.agent.as_str()), ("text", &text)];
            fill(&shared.prompts.words().from_agent, &values)
        }
    };
    let sent = Sent { text: shared.journal.keep(text)?, from };
    let what = What::MessageSent(sent.clone());
    let message = shared.journal.append(Some(&node), Some(&agent), what).await?.seq;
    reins.post(letter(message, sent));
    let said = match reins.is_paused() {
        true => format!("{agent} is paused; it reads the message when it goes on"),
        false => format!("{agent} reads the message before its next model call"),
    };
    Ok(Reply::done(Some(agent), said))
}

/// Returns the worker in whose command line a node is worked.
fn deaf<'s>(shared: &'s Shared, node: &NodeId) -> Option<&'s str> {
    let graph = shared.graph();
    let node = graph.get(node.place().0).filter(|node| node.writes())?;
    let Work::Agent(agent) = &node.work else { return None };
    let name = shared.options.worker.as_ref().or(agent.worker.as_ref())?;
    let hired = shared.workers.get(name)?;
    (hired.protocol != Protocol::Acp).then_some(&*hired.name)
}

fn letter(message: u64, Sent { text, from }: Sent) -> Letter {
    Letter { message, text, from: from.map(|from| from.agent) }
}

/// Returns whether an agent can wait for what others come to.
fn waits(Stand { shared, .. }: Stand<'_>, node: &NodeId) -> bool {
    let graph = shared.graph();
    let work = graph.get(node.place().0).map(|node| &node.work);
    matches!(work, Some(Work::Agent(agent)) if agent.tools.iter().any(|tool| tool == "wait"))
}

fn node_of(agent: &AgentId) -> &str {
    agent.as_str().split_once('@').map_or(agent.as_str(), |(node, _)| node)
}
