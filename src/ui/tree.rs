//! The graph of a run as a tree: phases, their nodes, and what each of them cost.

use crate::{
    protocol::task::Phase,
    ui::{
        text::{Colour, Ink, count, duration, escape, fit, left, money, right, tokens, width},
        view::{NodeState, NodeView, View},
    },
};

const PHASES: [Option<Phase>; 5] = [
    Some(Phase::Research),
    Some(Phase::Synthesis),
    Some(Phase::Implementation),
    Some(Phase::Verification),
    None,
];
/// Columns of the figures right of a node's name: time, turns, tokens, cost.
const FIGURES: [(&str, usize); 4] = [("time", 8), ("turns", 7), ("tokens", 9), ("cost", 10)];
/// Columns of the longest bar.
const BAR: usize = 12;

/// Returns the lines of the tree, the first of them its heading.
pub fn lines(view: &View, room: usize, colour: Colour) -> Vec<String> {
    let phases: Vec<_> = PHASES
        .iter()
        .map(|phase| (*phase, view.nodes.iter().filter(|n| n.phase == *phase).collect::<Vec<_>>()))
        .filter(|(_, nodes)| !nodes.is_empty())
        .collect();
    if phases.is_empty() {
        return Vec::new();
    }
    let names = view.nodes.iter().map(|node| width(&label(node)) + 10).max().unwrap_or(0);
    let tree = Tree { view, colour, room, names: names.clamp(24, 44) };
    let mut lines = vec![tree.heading()];
    let last = phases.len() - 1;
    for (at, (phase, nodes)) in phases.iter().enumerate() {
        let (branch, trunk) = if at == last { ("└─", "   ") } else { ("├─", "│  ") };
        let name = phase.map_or("skipped", Phase::name);
        lines.push(format!("  {} {name}", colour.paint(Ink::Faint, branch)));
        for (at, node) in nodes.iter().enumerate() {
            let end = at + 1 == nodes.len();
            let twig = format!("{trunk}{}", if end { "└─" } else { "├─" });
            lines.push(tree.node(&twig, node));
            let under = format!("{trunk}{}", if end { "   " } else { "│  " });
            lines.extend(tree.reasons(&under, node));
        }
    }
    lines
}

/// Returns the sign of a state.
pub fn glyph(state: &NodeState) -> (&'static str, Ink) {
    match state {
        NodeState::Waiting => ("○", Ink::Faint),
        NodeState::Running => ("●", Ink::Warn),
        NodeState::Succeeded => ("✓", Ink::Good),
        NodeState::Reused => ("↺", Ink::Good),
        NodeState::Failed => ("✗", Ink::Bad),
        NodeState::Skipped(_) => ("–", Ink::Faint),
    }
}

struct Tree<'a> {
    view: &'a View,
    colour: Colour,
    room: usize,
    /// Columns of the twigs and names.
    names: usize,
}

impl Tree<'_> {
    fn heading(&self) -> String {
        let figures = FIGURES.iter().map(|(name, room)| right(name, *room)).collect::<String>();
        let gap = " ".repeat(self.names.saturating_sub(width("Graph")));
        self.colour.paint(Ink::Strong, "Graph") + &self.colour.paint(Ink::Faint, &(gap + &figures))
    }

    fn node(&self, twig: &str, node: &NodeView) -> String {
        let (sign, ink) = match &node.state {
            // The run has ended without it; a resume takes it up again.
            NodeState::Running if !self.view.live => ("◼", Ink::Warn),
            state => glyph(state),
        };
        let used = 2 + width(twig) + 1 + 2;
        let name = left(&fit(&label(node), self.names - used), self.names - used);
        let start =
            format!("  {} {} ", self.colour.paint(Ink::Faint, twig), self.colour.paint(ink, sign));
        let figures = match &node.state {
            NodeState::Skipped(why) => {
                let why = fit(&format!("skipped: {}", escape(why)), self.room - self.names - 2);
                format!("  {}", self.colour.paint(Ink::Faint, &why))
            }
            NodeState::Reused => self.colour.paint(Ink::Faint, &right("reused", FIGURES[0].1)),
            NodeState::Waiting if node.turns == 0 => String::new(),
            _ => self.figures(node),
        };
        format!("{start}{name}{figures}").trim_end().to_owned()
    }

    fn figures(&self, node: &NodeView) -> String {
        let some = |n: u64, text: String| if n > 0 { text } else { String::new() };
        let total = node.usage.total();
        let cells = [
            duration(node.took(self.view.clock)),
            some(node.turns.into(), node.turns.to_string()),
            some(total, tokens(total)),
            money(node.cost).unwrap_or_default(),
        ];
        let cells = cells.iter().zip(FIGURES).map(|(cell, (_, room))| right(cell, room));
        format!("{}  {}", cells.collect::<String>(), self.bar(node))
    }

    /// Returns a bar of the node's share: of the money where it costs some, else of the tokens.
    fn bar(&self, node: &NodeView) -> String {
        let priced = self.view.nodes.iter().any(|node| node.cost.0 > 0);
        let size = |node: &NodeView| if priced { node.cost.0 } else { node.usage.total() };
        let most = self.view.nodes.iter().map(size).max().unwrap_or(0);
        let free = self.room.saturating_sub(self.names + 36).min(BAR) as u64;
        let share = u128::from(size(node)) * u128::from(free * 2);
        let Some(halves) = share.checked_div(u128::from(most)) else { return String::new() };
        let halves = if size(node) > 0 { halves.max(1) } else { 0 };
        let bar = "━".repeat((halves / 2) as usize) + if halves % 2 == 1 { "╸" } else { "" };
        self.colour.paint(Ink::Good, &bar)
    }

    /// Returns why attempts of a node were rejected, each on a line of its own.
    fn reasons(&self, under: &str, node: &NodeView) -> Vec<String> {
        let past = node.rejected.iter().map(|(attempt, why)| format!("attempt {attempt}: {why}"));
        let is_failed = node.state == NodeState::Failed && !node.reason.trim().is_empty();
        let last = is_failed.then(|| match node.rejected.is_empty() {
            true => node.reason.clone(),
            false => format!("attempt {}: {}", node.attempt, node.reason),
        });
        let line = |why: String| {
            let why = fit(&escape(why.trim()), self.room.saturating_sub(10));
            let (under, why) =
                (self.colour.paint(Ink::Faint, under), self.colour.paint(Ink::Bad, &why));
            format!("  {under}  {why}")
        };
        past.chain(last).map(line).collect()
    }
}

fn label(node: &NodeView) -> String {
    let name = escape(node.name());
    match node.attempt {
        0 | 1 => name,
        more => format!("{name} ({})", count(more as usize, "attempt")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        protocol::{
            event::{Kept, What},
            ids::NodeId,
            outcome::{Failure, Outcome, Review},
        },
        ui::fixture::Tale,
    };

    #[test]
    fn the_rejections_of_earlier_attempts_stay_seen_when_the_last_one_fails_too() {
        let mut tale = Tale::new("local/qwen");
        for (attempt, must) in [(1, "keep the sign"), (2, "and the\nzero")] {
            tale.node("review.0", Phase::Verification, attempt);
            let review = Review {
                pass: false,
                must_fix: vec![must.to_owned()],
                cites: Vec::new(),
                read: 1,
                ran: 1,
            };
            let said = Outcome::failed(Failure::NotResolved, "not yet");
            tale.done("review.0", Outcome { review: Some(review), ..said }, false);
            if attempt == 1 {
                let (nodes, feedback) =
                    (vec![NodeId::new("review.0")], Kept::Inline(String::new()));
                tale.add("", 1, What::NodesReset { nodes, feedback });
            }
        }
        let lines = lines(&View::of(&tale.events), 80, Colour::Never);
        assert_eq!(
            lines.iter().skip(3).map(|line| line.trim()).collect::<Vec<_>>(),
            ["attempt 1: keep the sign", "attempt 2: and the zero"]
        );
    }
}
