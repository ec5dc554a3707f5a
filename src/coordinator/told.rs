//! What the user told the agents of a run: pauses, ends, messages. A fold of records, pure.

use std::collections::{BTreeMap, BTreeSet};

use crate::protocol::{
    event::{Event, What},
    ids::AgentId,
    mail::{Delivered, Sender, Sent},
};

/// The user's words to agents.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// Whether all agents are paused but those in `others`, or none but those.
    all: bool,
    others: BTreeSet<AgentId>,
    /// Agents that the user ended.
    cancelled: BTreeSet<AgentId>,
    /// Messages that no agent has seen yet, by agent, each with the number of its record.
    mail: BTreeMap<AgentId, Vec<(u64, Sent)>>,
    /// The calls with which agents wrote to others.
    sent: BTreeSet<Sender>,
}

impl Told {
    /// Takes in one record.
    pub fn apply(&mut self, event: &Event) {
        match (&event.what, &event.agent) {
            (What::Paused, agent) => self.pause(agent.as_ref(), true),
            (What::Unpaused, agent) => self.pause(agent.as_ref(), false),
            (What::AgentCancelled, Some(agent)) => {
                self.cancelled.insert(agent.clone());
            }
            (What::MessageSent(sent), Some(agent)) => {
                self.sent.extend(sent.from.clone());
                self.mail.entry(agent.clone()).or_default().push((event.seq, sent.clone()));
            }
            (What::MessageDelivered(Delivered { message, .. }), Some(agent)) => {
                if let Some(mail) = self.mail.get_mut(agent) {
                    mail.retain(|(sent, _)| sent != message);
                }
            }
            _ => {}
        }
    }

    fn pause(&mut self, agent: Option<&AgentId>, paused: bool) {
        match agent {
            None => {
                self.all = paused;
                self.others.clear();
            }
            Some(agent) if paused == self.all => {
                self.others.remove(agent);
            }
            Some(agent) => {
                self.others.insert(agent.clone());
            }
        }
    }

    /// Returns whether an agent is paused; one that begins later may be, too.
    pub fn is_paused(&self, agent: &AgentId) -> bool {
        self.all != self.others.contains(agent)
    }

    /// Returns whether everybody is paused, whoever it is.
    pub fn holds_all(&self) -> bool {
        self.all && self.others.is_empty()
    }

    /// Returns whether the user ended an agent.
    pub fn is_cancelled(&self, agent: &AgentId) -> bool {
        self.cancelled.contains(agent)
    }

    /// Returns the messages that an agent has not seen, the first one first.
    pub fn mail(&self, agent: &AgentId) -> &[(u64, Sent)] {
        self.mail.get(agent).map_or(&[], Vec::as_slice)
    }

    /// Returns how many messages of the user an agent has not seen.
    pub fn of_user(&self, agent: &AgentId) -> usize {
        self.mail(agent).iter().filter(|(_, sent)| sent.from.is_none()).count()
    }

    /// Returns whether an agent has written to another one with that call.
    pub fn has_sent(&self, sender: &Sender) -> bool {
        self.sent.contains(sender)
    }

    /// Returns who is paused, for people; nothing if nobody is.
    pub fn paused(&self) -> Option<String> {
        let names: Vec<&str> = self.others.iter().map(AgentId::as_str).collect();
        match (self.all, names.is_empty()) {
            (false, true) => None,
            (false, false) => Some(names.join(", ")),
            (true, true) => Some("all agents".to_owned()),
            (true, false) => Some(format!("all agents but {}", names.join(", "))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{event::Kept, ids::RunId};

    fn told(records: &[(&str, What)]) -> Told {
        let mut told = Told::default();
        for (seq, (agent, what)) in (0..).zip(records) {
            let agent = (!agent.is_empty()).then(|| AgentId::new(*agent));
            let (run, what) = (RunId::new("r"), what.clone());
            told.apply(&Event { seq, at: 0, run, node: None, agent, what });
        }
        told
    }

    #[test]
    fn one_agent_may_go_on_while_all_others_are_paused() {
        let is = |records: &[(&str, What)]| {
            let told = told(records);
            (["a@1", "b@1"].map(|name| told.is_paused(&AgentId::new(name))), told.paused())
        };
        let (on, off) = (What::Paused, What::Unpaused);
        assert_eq!(is(&[]), ([false, false], None));
        assert_eq!(is(&[("a@1", on.clone())]), ([true, false], Some("a@1".into())));
        assert_eq!(is(&[("a@1", on.clone()), ("a@1", off.clone())]), ([false, false], None));
        assert_eq!(is(&[("", on.clone())]), ([true, true], Some("all agents".into())));
        let but = ([false, true], Some("all agents but a@1".into()));
        assert_eq!(is(&[("", on.clone()), ("a@1", off.clone())]), but);
        assert_eq!(is(&[("a@1", on.clone()), ("", on.clone()), ("", off)]), ([false; 2], None));
    }

    #[test]
    fn a_message_waits_until_it_is_delivered() {
        let text = Kept::Inline("look".into());
        let said = Sent { text: text.clone(), from: None };
        let sent = What::MessageSent(said.clone());
        let seen = What::MessageDelivered(Delivered { turn: 1, message: 0, text, from: None });
        let a = AgentId::new("a@1");
        let both = [("a@1", sent.clone()), ("a@1", sent)];
        assert_eq!(told(&both).mail(&a), [(0, said.clone()), (1, said.clone())]);
        let one = told(&[&both[..], &[("a@1", seen)]].concat());
        assert_eq!((one.mail(&a), one.mail(&AgentId::new("b@1")).len()), (&[(1, said)][..], 0));
    }
}
