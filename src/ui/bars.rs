//! The live view on a terminal: a line per agent at work, a line for the whole run, and above them
//! each step that is done.

use std::{collections::BTreeMap, time::Duration};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::{
    protocol::{
        event::{Event, Level, What},
        ids::NodeId,
        task::Phase,
        usage::Micros,
    },
    ui::{
        plain,
        text::{Colour, Ink, count, escape, left, money, tokens},
        view::{NodeState, NodeView, View},
    },
};

/// How often the spinners move.
const TICK: Duration = Duration::from_millis(120);

/// The lines on the screen.
pub struct Bars {
    screen: MultiProgress,
    total: ProgressBar,
    agents: BTreeMap<NodeId, ProgressBar>,
    budget: Option<Micros>,
    colour: Colour,
}

impl Bars {
    /// Puts the line of the whole run on a screen.
    pub fn new(screen: MultiProgress, budget: Option<Micros>, colour: Colour) -> Self {
        let total = screen.add(ProgressBar::new_spinner());
        total.set_style(style("{elapsed:>5} {wide_msg}"));
        total.enable_steady_tick(TICK);
        Self { screen, total, agents: BTreeMap::new(), budget, colour }
    }

    /// Draws what an event changed; the view has already taken it in.
    ///
    /// Drawing is limited to a few times a second by the screen itself.
    pub fn update(&mut self, view: &View, event: &Event) {
        if is_step(&event.what)
            && let Some(line) = plain::line(view, event)
        {
            self.screen.println(self.paint(&event.what, &line)).ok();
        }
        let node = view.nodes.iter().find(|node| node.id == event.node);
        if let (Some(id), Some(node)) = (&event.node, node) {
            self.agent(id, node);
        }
        if let What::NodesReset { .. } | What::RunFinished { .. } = event.what {
            self.agents.retain(|id, bar| {
                let runs = view.running().any(|node| node.id.as_ref() == Some(id));
                if !runs {
                    bar.finish_and_clear();
                }
                runs
            });
        }
        self.total.set_message(total_line(view, self.budget));
    }

    /// Takes all lines off the screen.
    pub fn clear(&self) {
        self.agents.values().for_each(ProgressBar::finish_and_clear);
        self.total.finish_and_clear();
    }

    fn agent(&mut self, id: &NodeId, node: &NodeView) {
        if node.state != NodeState::Running {
            if let Some(bar) = self.agents.remove(id) {
                bar.finish_and_clear();
            }
            return;
        }
        let bar = self.agents.entry(id.clone()).or_insert_with(|| {
            let bar = self.screen.insert_before(&self.total, ProgressBar::new_spinner());
            bar.set_style(style("{spinner} {elapsed:>3} {wide_msg}"));
            bar.enable_steady_tick(TICK);
            bar
        });
        bar.set_message(agent_line(node));
    }

    fn paint(&self, what: &What, line: &str) -> String {
        match what {
            What::Note { level: Level::Warning, .. } | What::LandMissed { .. } => {
                self.colour.paint(Ink::Warn, line)
            }
            What::ModelFailed { .. } | What::CandidateConflict { .. } => {
                self.colour.paint(Ink::Bad, line)
            }
            What::Landed { .. } => self.colour.paint(Ink::Good, line),
            _ => line.to_owned(),
        }
    }
}

/// Returns the line of an agent at work.
pub fn agent_line(node: &NodeView) -> String {
    let phase = node.phase.map_or("", Phase::name);
    let mut facts = Vec::new();
    if node.turns > 0 {
        facts.push(count(node.turns as usize, "turn"));
        facts.push(format!("{} tokens", tokens(node.usage.total())));
        facts.extend(money(node.cost));
    }
    if !node.doing.is_empty() {
        facts.push(escape(&node.doing));
    }
    if facts.is_empty() {
        facts.push("at work".to_owned());
    }
    format!("{} {}  {}", left(phase, 14), left(&escape(node.name()), 14), facts.join(" · "))
}

/// Returns the line of the whole run, with its money against the cap.
pub fn total_line(view: &View, budget: Option<Micros>) -> String {
    let ended =
        view.nodes.iter().filter(|n| !matches!(n.state, NodeState::Waiting | NodeState::Running));
    let mut facts = vec![
        format!("{} done, {} running", count(ended.count(), "node"), view.running().count()),
        count(view.turns as usize, "turn"),
        format!("{} tokens", tokens(view.usage.total())),
    ];
    match budget {
        Some(cap) => facts.push(format!("{} of {cap}", view.cost)),
        None => facts.extend(money(view.cost)),
    }
    if view.is_yolo() {
        facts.insert(0, plain::YOLO.to_owned());
    }
    facts.join(" · ")
}

/// Returns whether an event stays on the screen above the bars; the rest only moves them.
fn is_step(what: &What) -> bool {
    !matches!(
        what,
        What::NodeStarted { .. }
            | What::ModelIntent { .. }
            | What::ToolResult { .. }
            | What::RunFinished { .. }
    )
}

fn style(template: &str) -> ProgressStyle {
    let style = ProgressStyle::with_template(template).expect("the templates are constants");
    style.tick_chars("⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏ ")
}

#[cfg(test)]
mod tests {
    use indicatif::ProgressDrawTarget;

    use super::*;
    use crate::ui::fixture;

    #[test]
    fn agents_come_and_go() {
        let screen = MultiProgress::with_draw_target(ProgressDrawTarget::hidden());
        let mut bars = Bars::new(screen, Some(Micros(3_000_000)), Colour::Never);
        let mut view = View::default();
        for event in &fixture::landed("scripted:demo.yaml").events {
            view.apply(event);
            bars.update(&view, event);
            for node in view.running() {
                let bar = node.id.as_ref().and_then(|id| bars.agents.get(id)).unwrap();
                assert_eq!(bar.message(), agent_line(node));
            }
            assert_eq!(bars.agents.len(), view.running().count());
            assert_eq!(bars.total.message(), total_line(&view, Some(Micros(3_000_000))));
        }
        bars.clear();
        assert!(bars.total.is_finished());
    }

    #[test]
    fn lines_tell_what_goes_on() {
        let events = fixture::landed("scripted:demo.yaml").events;
        let view = View::of(events.iter().take(5));
        let research = view.running().next().unwrap();
        insta::assert_snapshot!(agent_line(research), @"research       research.0      1 turn · 9.9k tokens · $0.0200");
        insta::assert_snapshot!(total_line(&view, Some(Micros(3_000_000))), @"0 nodes done, 2 running · 1 turn · 9.9k tokens · $0.0200 of $3.0000");
        insta::assert_snapshot!(total_line(&view, None), @"0 nodes done, 2 running · 1 turn · 9.9k tokens · $0.0200");
    }
}
