//! What a run's agents used: a fold of its records, as a table and as JSON.
//!
//! `cached` is the share of the input tokens that the provider read from its prompt cache, over all
//! requests and for the first one alone: that of a fork shows how much of its parent's context was
//! not paid for again.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::{
    protocol::{
        event::{Event, What},
        ids::{AgentId, NodeId},
        task::AgentKind,
        usage::{Micros, Usage},
    },
    ui::{
        tables::{Align, render},
        text::Colour,
    },
};

/// What one agent used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Spent {
    /// The agent.
    pub agent: AgentId,
    /// What kind it is.
    pub kind: AgentKind,
    /// Answers of its model.
    pub turns: u32,
    /// Tokens of its first answer.
    pub first: Usage,
    /// Tokens of all, of attempts that failed too.
    pub usage: Usage,
    /// Money in micro-dollars.
    pub cost: Micros,
}

/// Returns what each agent of a run used, in the order of their first requests.
pub fn spent(events: &[Event]) -> Vec<Spent> {
    let mut kinds: BTreeMap<&NodeId, AgentKind> = BTreeMap::new();
    let mut all: Vec<Spent> = Vec::new();
    for event in events {
        if let (What::NodeStarted { agent_kind, .. }, Some(node)) = (&event.what, &event.node) {
            kinds.insert(node, *agent_kind);
        }
        let (answered, usage, cost) = match &event.what {
            What::ModelResult { usage, cost, .. } => (true, *usage, *cost),
            What::ModelFailed { usage, cost, .. } => (false, *usage, *cost),
            _ => continue,
        };
        let (Some(agent), Some(node)) = (&event.agent, &event.node) else { continue };
        let at = all.iter().position(|spent| spent.agent == *agent).unwrap_or_else(|| {
            let kind = kinds.get(node).copied().unwrap_or(AgentKind::Teammate);
            let (first, usage) = (Usage::default(), Usage::default());
            all.push(Spent { agent: agent.clone(), kind, turns: 0, first, usage, cost: Micros(0) });
            all.len() - 1
        });
        let one = &mut all[at];
        if answered && one.turns == 0 {
            one.first = usage;
        }
        one.turns += u32::from(answered);
        one.usage += usage;
        one.cost += cost;
    }
    all
}

/// Returns the table, with a line of sums.
pub fn table(all: &[Spent], colour: Colour) -> String {
    let columns = [
        ("agent", Align::Left),
        ("kind", Align::Left),
        ("turns", Align::Right),
        ("input", Align::Right),
        ("cache read", Align::Right),
        ("cache write", Align::Right),
        ("output", Align::Right),
        ("cached", Align::Right),
        ("first", Align::Right),
        ("cost", Align::Right),
    ];
    let (mut turns, mut usage, mut cost) = (0, Usage::default(), Micros(0));
    let mut rows = Vec::new();
    for one in all {
        (turns, cost) = (turns + one.turns, cost + one.cost);
        usage += one.usage;
        let (name, kind) = (one.agent.to_string(), one.kind.name());
        rows.push(row((&name, kind), one.turns, &one.usage, (cached(&one.first), one.cost)));
    }
    rows.push(row(("all", ""), turns, &usage, (String::new(), cost)));
    render(&columns, &rows, colour)
}

fn row(
    (name, kind): (&str, &str),
    turns: u32,
    usage: &Usage,
    (first, cost): (String, Micros),
) -> Vec<String> {
    let Usage { input, cache_write, cache_read, output } = usage;
    let counts = [u64::from(turns), *input, *cache_read, *cache_write, *output];
    let counts = counts.into_iter().map(|count| count.to_string());
    let words = [name.to_owned(), kind.to_owned()];
    words.into_iter().chain(counts).chain([cached(usage), first, cost.to_string()]).collect()
}

/// Returns the share of the input that came from the cache, in whole per cent.
fn cached(usage: &Usage) -> String {
    match usage.prompt() {
        0 => "-".to_owned(),
        all => format!("{} %", u128::from(usage.cache_read) * 100 / u128::from(all)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        protocol::{
            event::{Kept, Paid},
            message::StopReason,
            task::Phase,
        },
        ui::fixture::Tale,
    };

    #[test]
    fn each_agent_has_a_line_and_failed_attempts_count() {
        let mut tale = Tale::new("m");
        let mut say = |agent: &str, what: What| {
            tale.add(agent.split('@').next().unwrap_or_default(), 1, what);
            tale.events.last_mut().expect("just added").agent = Some(AgentId::new(agent));
        };
        let usage =
            |input, cache_read, cache_write| Usage { input, cache_write, cache_read, output: 7 };
        let result = |turn, usage| What::ModelResult {
            turn,
            reply: Kept::Inline(String::new()),
            stop: StopReason::ToolUse,
            usage,
            cost: Micros(1500),
            paid: Paid::Once,
            took_ms: 1,
        };
        for (node, agent_kind) in [("orient", AgentKind::Teammate), ("dig", AgentKind::Fork)] {
            let (attempt, role, phase) = (1, "r".to_owned(), Phase::Research);
            let what = What::NodeStarted { attempt, phase, role, agent_kind, feedback: None };
            say(&format!("{node}@1"), what);
        }
        let (turn, error, cost) = (0, "cut".to_owned(), Micros(10));
        say("orient@1", What::ModelFailed { turn, error, usage: usage(1, 0, 0), cost });
        say("orient@1", result(0, usage(100, 0, 900)));
        say("orient@1", result(1, usage(50, 1000, 0)));
        say("dig@1", result(0, usage(1, 999, 0)));
        insta::assert_snapshot!(table(&spent(&tale.events), Colour::Never), @r"
        agent     kind      turns  input  cache read  cache write  output  cached  first     cost
        orient@1  teammate      2    151        1000          900      21    48 %    0 %  $0.0031
        dig@1     fork          1      1         999            0       7    99 %   99 %  $0.0015
        all                     3    152        1999          900      28    65 %         $0.0046
        ");
        assert_eq!(cached(&Usage::default()), "-");
    }
}
