//! The agents of a run as its events tell them: one row for each conversation. Pure.

use serde::Serialize;

use crate::{
    protocol::{
        event::{Event, What},
        ids::{AgentId, NodeId},
        outcome::Status,
        task::{AgentKind, Phase},
        usage::{Micros, Usage},
    },
    ui::{
        tables::Align,
        text::{duration, money, tokens},
    },
};

/// The role of a node that runs the checks and is no agent.
const CHECKS: &str = "checks";

/// The columns of `line`.
pub const COLUMNS: [(&str, Align); 9] = [
    ("AGENT", Align::Left),
    ("KIND", Align::Left),
    ("PHASE", Align::Left),
    ("ROLE", Align::Left),
    ("STATE", Align::Left),
    ("TURNS", Align::Right),
    ("TOKENS", Align::Right),
    ("COST", Align::Right),
    ("LAST", Align::Right),
];

/// One agent.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// Who.
    pub agent: AgentId,
    /// Its node.
    pub node: NodeId,
    /// What kind it is.
    pub kind: AgentKind,
    /// Its phase.
    pub phase: Phase,
    /// Its role.
    pub role: String,
    /// What it does: `working`, `done` or `failed`; who knows more says more.
    pub state: String,
    /// Model answers.
    pub turns: u32,
    /// Tokens.
    pub usage: Usage,
    /// Money.
    pub cost: Micros,
    /// When its last record was written, in milliseconds of the epoch.
    pub last_at: i64,
}

impl Row {
    /// Returns its cells.
    pub fn line(&self, now: i64) -> Vec<String> {
        let age = u64::try_from(now.saturating_sub(self.last_at)).unwrap_or(0);
        let kind = match self.kind {
            AgentKind::Fork => "fork",
            AgentKind::Teammate => "teammate",
            AgentKind::Worktree => "worktree",
        };
        vec![
            self.agent.to_string(),
            kind.to_owned(),
            self.phase.name().to_owned(),
            self.role.clone(),
            self.state.clone(),
            self.turns.to_string(),
            tokens(self.usage.total()),
            money(self.cost).unwrap_or_else(|| "-".to_owned()),
            duration(age),
        ]
    }

    /// Returns whether it is still at work.
    pub fn is_live(&self) -> bool {
        self.state == WORKING
    }
}

const WORKING: &str = "working";

/// The agents of a run, in the order in which they began.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Roster(Vec<Row>);

impl Roster {
    /// Returns the agents that these events tell of.
    pub fn of<'a>(events: impl IntoIterator<Item = &'a Event>) -> Vec<Row> {
        let mut roster = Self::default();
        events.into_iter().for_each(|event| roster.apply(event));
        roster.0
    }

    /// Takes one more event in.
    pub fn apply(&mut self, event: &Event) {
        let Some(node) = &event.node else { return };
        if let What::NodeStarted { attempt, phase, role, agent_kind, .. } = &event.what
            && role != CHECKS
        {
            self.0.push(Row {
                agent: AgentId::new(format!("{node}@{attempt}")),
                node: node.clone(),
                kind: *agent_kind,
                phase: *phase,
                role: role.clone(),
                state: WORKING.to_owned(),
                turns: 0,
                usage: Usage::default(),
                cost: Micros(0),
                last_at: event.at,
            });
            return;
        }
        let Some(row) = self.0.iter_mut().rev().find(|row| row.node == *node) else { return };
        row.last_at = event.at;
        match &event.what {
            What::ModelResult { usage, cost, .. } => {
                row.turns += 1;
                row.usage += *usage;
                row.cost += *cost;
            }
            What::ModelFailed { usage, cost, .. } => {
                row.usage += *usage;
                row.cost += *cost;
            }
            What::NodeFinished { outcome, .. } => {
                let failed = outcome.status == Status::Failed;
                row.state = if failed { "failed" } else { "done" }.to_owned();
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ui::fixture;

    #[test]
    fn each_attempt_is_an_agent_of_its_own_and_checks_are_none() {
        let rows = Roster::of(&fixture::landed("local/qwen").events);
        let lines: Vec<_> = rows.iter().map(|row| row.line(row.last_at + 1500).join(" ")).collect();
        insta::assert_snapshot!(lines.join("\n"), @r"
        research.0@1 teammate research research.0 done 2 23.1k $0.0510 1.5s
        research.1@1 teammate research research.1 done 0 0 - 1.5s
        synthesize@1 teammate synthesis synthesize done 1 16.5k $0.0400 1.5s
        implement@1 teammate implementation implement done 1 19.8k $0.0612 1.5s
        implement@2 teammate implementation implement done 1 22.0k $0.0700 1.5s
        ");
    }
}
