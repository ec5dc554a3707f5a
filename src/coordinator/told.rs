//! What the user told the agents of a run: pauses, ends, messages. A fold of records, pure.

use std::collections::{BTreeMap, BTreeSet};

use crate::protocol::{
    event::{Event, Kept, What},
    ids::AgentId,
};

/// The user's words to agents.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// Whether all agents are paused but those in `others`, or none but those.
    all: bool,
    others: BTreeSet<AgentId>,
    /// Agents that the user ended.
    cancelled: BTreeSet<AgentId>,
    /// Messages that no agent has seen yet, by agent: the number of the record and the text.
    mail: BTreeMap<AgentId, Vec<(u64, Kept)>>,
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
            (What::MessageSent { text }, Some(agent)) => {
                self.mail.entry(agent.clone()).or_default().push((event.seq, text.clone()));
            }
            (What::MessageDelivered { message, .. }, Some(agent)) => {
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

    /// Returns whether the user ended an agent.
    pub fn is_cancelled(&self, agent: &AgentId) -> bool {
        self.cancelled.contains(agent)
    }

    /// Returns the messages that an agent has not seen, the first one first.
    pub fn mail(&self, agent: &AgentId) -> &[(u64, Kept)] {
        self.mail.get(agent).map_or(&[], Vec::as_slice)
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
    use crate::protocol::ids::RunId;

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
        let sent = What::MessageSent { text: text.clone() };
        let seen = What::MessageDelivered { turn: 1, message: 0, text: text.clone() };
        let a = AgentId::new("a@1");
        let both = [("a@1", sent.clone()), ("a@1", sent)];
        assert_eq!(told(&both).mail(&a), [(0, text.clone()), (1, text.clone())]);
        let one = told(&[&both[..], &[("a@1", seen)]].concat());
        assert_eq!((one.mail(&a), one.mail(&AgentId::new("b@1")).len()), (&[(1, text)][..], 0));
    }
}
