//! What stands of the user's answers, and of refusals, in one run.
//!
//! All agents of a run share it: a rule that was stored for one holds for all, and so does a yes to
//! a kind of call. In auto mode many refusals mean that the classifier and the agent misunderstand
//! each other; then the user decides.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::{
    guard::{
        decide::{Disposition, Policy},
        options::Options,
    },
    protocol::{rule::Rule, task::Mode},
};

/// Refusals after which auto mode falls back to asking: in a row, and in all.
const MOST_REFUSALS: (u32, u32) = (3, 20);

/// The state; clones share it.
#[derive(Clone, Debug, Default)]
pub struct Standing {
    held: Arc<Mutex<Held>>,
}

#[derive(Debug, Default)]
struct Held {
    kinds: BTreeSet<String>,
    rules: Vec<Rule>,
    in_a_row: u32,
    in_all: u32,
}

impl Standing {
    /// Returns the policy as it is by now.
    pub(super) fn policy(&self, policy: &Policy) -> Policy {
        let held = self.lock();
        let mut policy = policy.clone();
        if held.in_a_row >= MOST_REFUSALS.0 || held.in_all >= MOST_REFUSALS.1 {
            policy.mode = match policy.mode {
                Mode::Auto => Mode::Default,
                other => other,
            };
        }
        if !held.rules.is_empty() {
            let mut allow = policy.rules.allow.clone();
            allow.extend(held.rules.iter().cloned());
            policy.rules = Arc::new(Options { allow, ..(*policy.rules).clone() });
        }
        policy
    }

    /// Returns whether the user has said yes to this kind.
    pub(super) fn granted(&self, kind: &str) -> bool {
        self.lock().kinds.contains(kind)
    }

    /// Notes what became of a call.
    pub(super) fn note(&self, disposition: &Disposition) {
        let mut held = self.lock();
        match disposition {
            Disposition::Run(_) => held.in_a_row = 0,
            Disposition::Deny(_) => {
                held.in_a_row = held.in_a_row.saturating_add(1);
                held.in_all = held.in_all.saturating_add(1);
            }
            Disposition::Ask(_) | Disposition::Unsure(_) => {}
        }
    }

    /// Notes that the user said yes to a kind.
    pub(super) fn grant(&self, kind: &str) {
        self.lock().kinds.insert(kind.to_owned());
    }

    /// Adds rules that allow.
    pub(super) fn learn(&self, rules: &[Rule]) {
        self.lock().rules.extend_from_slice(rules);
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::task::Phase;

    #[test]
    fn auto_falls_back_to_asking_after_many_refusals_and_only_auto() {
        let policy = |mode| Policy {
            mode,
            phase: Phase::Implementation,
            interactive: true,
            rules: Arc::default(),
            scope: Vec::new(),
        };
        let standing = Standing::default();
        let now = |mode| standing.policy(&policy(mode)).mode;
        let deny = || standing.note(&Disposition::Deny("E_DENIED"));
        deny();
        deny();
        assert_eq!(now(Mode::Auto), Mode::Auto);
        deny();
        assert_eq!(now(Mode::Auto), Mode::Default);
        for mode in [Mode::Default, Mode::AllowEdits, Mode::Bypass, Mode::Yolo] {
            assert_eq!(now(mode), mode);
        }
    }

    #[test]
    fn what_one_agent_is_allowed_always_all_are() {
        let standing = Standing::default();
        let rule = Rule { program: "ls".to_owned(), ..Rule::default() };
        standing.clone().learn(std::slice::from_ref(&rule));
        standing.clone().grant("bash K29");
        let (mode, phase) = (Mode::Default, Phase::Implementation);
        let (rules, scope) = (Arc::default(), Vec::new());
        let policy = Policy { mode, phase, interactive: false, rules, scope };
        assert_eq!(standing.policy(&policy).rules.allow, [rule]);
        assert!(standing.granted("bash K29") && !standing.granted("bash"));
    }
}
