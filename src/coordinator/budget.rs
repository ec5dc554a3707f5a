//! Reserve before spending: whether one more model call fits into what is left. Pure.

use std::collections::BTreeMap;

use crate::{
    coordinator::{options::Options, state::RunState},
    graph::dag::Limits,
    protocol::{ids::AgentId, usage::Micros},
};

/// What one instance may use of its node's limits, its helpers included: all instances the same, and
/// together never more than the node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// Money.
    pub cost: Option<Micros>,
    /// Model calls.
    pub turns: Option<u32>,
}

impl Share {
    /// Returns the share of each of so many instances.
    pub fn of(limits: Limits, instances: usize) -> Self {
        let count = instances.max(1);
        let each = u64::try_from(count).unwrap_or(u64::MAX);
        let turns = u32::try_from(count).unwrap_or(u32::MAX);
        Self {
            cost: limits.usd.map(|usd| Micros(usd.0 / each)),
            turns: limits.turns.map(|all| all / turns),
        }
    }
}

/// Money and tokens promised to calls that are in flight.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reserved(BTreeMap<AgentId, (Micros, u64)>);

impl Reserved {
    /// Reserves the worst case of one call, or says which limit does not hold it.
    pub fn take(
        &mut self,
        options: &Options,
        state: &RunState,
        (agent, cost, tokens): (&AgentId, Micros, u64),
    ) -> Result<(), String> {
        let (open_cost, open_tokens) = self.open();
        if let Some(cap) = options.max_cost {
            let left = cap.saturating_sub(state.cost + state.maybe.0 + open_cost);
            if cost > left {
                return Err(format!(
                    "the next call may cost {cost}, but only {left} of {cap} are left{} (--max-cost)",
                    lost(state.maybe.0 > Micros(0), &state.maybe.0)
                ));
            }
        }
        if let Some(cap) = options.max_tokens {
            let used = state.usage.total().saturating_add(state.maybe.1);
            let left = cap.saturating_sub(used.saturating_add(open_tokens));
            if tokens > left {
                return Err(format!(
                    "the next call may use {tokens} tokens, but only {left} of {cap} are left{} (--max-tokens)",
                    lost(state.maybe.1 > 0, &state.maybe.1)
                ));
            }
        }
        let open_turns = u32::try_from(self.0.len()).unwrap_or(u32::MAX);
        if state.turns.saturating_add(open_turns) >= options.max_turns {
            return Err(format!("{} model calls are used up (--max-turns)", options.max_turns));
        }
        self.0.insert(agent.clone(), (cost, tokens));
        Ok(())
    }

    /// Says why one more call does not fit into the share of the instance that pays for it.
    pub fn within(
        &self,
        share: &Share,
        state: &RunState,
        (agent, cost): (&AgentId, Micros),
    ) -> Result<(), String> {
        let owner = agent.spends_of();
        let (spent, turns) = state.spent.get(&owner).copied().unwrap_or_default();
        let open = self.0.iter().filter(|(other, _)| other.spends_of() == owner && *other != agent);
        let (open, calls) =
            open.fold((Micros(0), 0), |(sum, calls), (_, (cost, _))| (sum + *cost, calls + 1));
        if let Some(cap) = share.cost
            && cost > cap.saturating_sub(spent + open)
        {
            let left = cap.saturating_sub(spent + open);
            return Err(format!(
                "the next call may cost {cost}, but only {left} are left of the {cap} that {owner} \
                 has of its node's `limits`"
            ));
        }
        match share.turns {
            Some(cap) if turns.saturating_add(calls) >= cap => Err(format!(
                "the {cap} model calls that {owner} has of its node's `limits` are used up"
            )),
            _ => Ok(()),
        }
    }

    /// Gives back what an agent had reserved; its result is in the journal or there is none.
    pub fn release(&mut self, agent: &AgentId) {
        self.0.remove(agent);
    }

    fn open(&self) -> (Micros, u64) {
        self.0.values().fold((Micros(0), 0u64), |(cost, tokens), (c, t)| {
            (cost + *c, tokens.saturating_add(*t))
        })
    }
}

/// Says what is set aside for calls that broke off or were in flight when a process ended.
fn lost(any: bool, amount: &dyn std::fmt::Display) -> String {
    if any {
        format!("; {amount} may have gone to calls that never answered")
    } else {
        String::new()
    }
}

#[cfg(test)]
mod tests {
    use proptest::{
        collection::vec,
        prelude::{prop_assert, proptest},
    };

    use super::*;
    use crate::protocol::{
        event::{Event, Kept, Paid, What},
        ids::{NodeId, RunId},
        message::StopReason,
        usage::Usage,
    };

    #[test]
    fn the_sum_of_reservations_never_passes_the_cap() {
        let options = Options { max_cost: Some(Micros(100)), ..Options::default() };
        let state = RunState { cost: Micros(30), ..RunState::default() };
        let mut reserved = Reserved::default();
        let (a, b) = (AgentId::new("a"), AgentId::new("b"));
        assert_eq!(reserved.take(&options, &state, (&a, Micros(50), 0)), Ok(()));
        assert!(reserved.take(&options, &state, (&b, Micros(21), 0)).is_err());
        assert_eq!(reserved.take(&options, &state, (&b, Micros(20), 0)), Ok(()));
        reserved.release(&a);
        assert_eq!(reserved.take(&options, &state, (&a, Micros(50), 0)), Ok(()));
    }

    #[test]
    fn siblings_share_what_their_node_has_and_helpers_spend_their_askers_share() {
        let limits = Limits { usd: Some(Micros(100)), minutes: None, turns: Some(7) };
        let share = Share::of(limits, 3);
        assert_eq!(share, Share { cost: Some(Micros(33)), turns: Some(2) });
        let mut state = RunState::default();
        state.spent.insert(NodeId::new("w.0"), (Micros(20), 1));
        let mut reserved = Reserved::default();
        let [own, helper, other] = ["w.0@1", "w.0~x@1", "w.1@1"].map(AgentId::new);
        let fits = |reserved: &Reserved, agent: &AgentId, cost| {
            reserved.within(&share, &state, (agent, Micros(cost)))
        };
        assert!(fits(&reserved, &own, 14).is_err() && fits(&reserved, &own, 13).is_ok());
        assert!(fits(&reserved, &other, 33).is_ok());
        let options = Options::default();
        reserved.take(&options, &state, (&own, Micros(5), 0)).unwrap();
        let told = fits(&reserved, &helper, 1).unwrap_err();
        assert!(told.contains("the 2 model calls that w.0 has"), "{told}");
    }

    #[test]
    fn a_call_in_flight_at_a_kill_was_never_charged() {
        let event = |seq, what| Event {
            seq,
            at: 0,
            run: RunId::new("r"),
            node: None,
            agent: Some(AgentId::new("a")),
            what,
        };
        let intent = || What::ModelIntent { turn: 0, reserved: Micros(60), tokens: 600 };
        let resumed = || What::RunResumed { pid: 1, model: None, options: None };
        let whats = [intent(), resumed()].into_iter().enumerate();
        let events: Vec<_> = whats.map(|(seq, what)| event(seq as u64, what)).collect();
        let state = RunState::fold(&events);
        assert_eq!((state.cost, state.maybe), (Micros(0), (Micros(60), 600)));
        let options = Options { max_cost: Some(Micros(100)), ..Options::default() };
        let agent = AgentId::new("a");
        let mut reserved = Reserved::default();
        let told = reserved.take(&options, &state, (&agent, Micros(50), 0)).unwrap_err();
        assert!(told.contains("may have gone to calls that never answered"), "{told}");
        assert_eq!(reserved.take(&options, &state, (&agent, Micros(40), 0)), Ok(()));
    }

    fn event(agent: &AgentId, what: What) -> Event {
        let (run, agent) = (RunId::new("r"), Some(agent.clone()));
        Event { seq: 0, at: 0, run, node: None, agent, what }
    }

    /// Up to its reservation, what a request is billed is known only from its whole answer.
    #[derive(Default)]
    struct Bills {
        open: BTreeMap<AgentId, u64>,
        sum: u64,
    }

    proptest! {
        #[test]
        fn calls_that_break_off_and_are_sent_again_never_pass_the_cap(
            steps in vec((0..3_usize, 0..5_u8, 1..60_u64, 0..=100_u64), 1..60),
        ) {
            let options = Options { max_cost: Some(Micros(200)), ..Options::default() };
            let agents = ["a", "b", "c"].map(AgentId::new);
            let (mut state, mut reserved) = (RunState::default(), Reserved::default());
            let mut bills = Bills::default();
            for (who, step, worst, percent) in steps {
                let agent = &agents[who];
                let held = bills.open.get(agent).copied();
                let part = Micros(held.unwrap_or(0) * percent / 100);
                let usage = Usage { input: 1, ..Usage::default() };
                let what = match (step, held) {
                    // It is sent if there is room for all that it may cost.
                    (0 | 1, None) => {
                        if reserved.take(&options, &state, (agent, Micros(worst), 0)).is_err() {
                            continue;
                        }
                        bills.open.insert(agent.clone(), worst);
                        What::ModelIntent { turn: 0, reserved: Micros(worst), tokens: 0 }
                    }
                    // The process dies with all that is in flight.
                    (4, _) => {
                        bills.sum += std::mem::take(&mut bills.open).into_values().sum::<u64>();
                        reserved = Reserved::default();
                        What::RunResumed { pid: 1, model: None, options: None }
                    }
                    (_, None) => continue,
                    // It breaks off: a part is charged, and all of it may be billed.
                    (2, Some(worst)) => {
                        bills.sum += worst;
                        bills.open.remove(agent);
                        What::ModelFailed { turn: 0, error: "cut".into(), usage, cost: part }
                    }
                    (_, Some(_)) => {
                        bills.sum += part.0;
                        bills.open.remove(agent);
                        What::ModelResult {
                            turn: 0,
                            reply: Kept::Inline(String::new()),
                            stop: StopReason::EndTurn,
                            usage,
                            cost: part,
                            paid: Paid::Once,
                            took_ms: 0,
                        }
                    }
                };
                if !matches!(what, What::ModelIntent { .. }) {
                    reserved.release(agent);
                }
                state.apply(&event(agent, what));
                let possible = bills.sum + bills.open.values().sum::<u64>();
                prop_assert!(possible <= 200, "{possible}");
            }
        }
    }

    #[test]
    fn turns_and_tokens_in_flight_count() {
        let options = Options { max_turns: 2, max_tokens: Some(10), ..Options::default() };
        let state = RunState { turns: 1, ..RunState::default() };
        let mut reserved = Reserved::default();
        let (a, b) = (AgentId::new("a"), AgentId::new("b"));
        assert!(reserved.take(&options, &state, (&a, Micros(0), 11)).is_err());
        assert_eq!(reserved.take(&options, &state, (&a, Micros(0), 10)), Ok(()));
        assert!(reserved.take(&options, &state, (&b, Micros(0), 0)).is_err());
    }
}
