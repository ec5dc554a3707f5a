//! The report of one run.

use std::{collections::BTreeMap, fmt::Write as _};

use super::{
    hunks,
    page::{diff, escape, folded, page, section, table},
    svg::{self, Bar, Box},
};
use crate::{
    protocol::{
        event::{Event, What},
        report::{RunEnd, Verdict},
    },
    ui::{
        checks::{CheckRow, Side, rows},
        plain::{end_words, verdict_words},
        text::{duration, money, some, tokens},
        view::{NodeState, NodeView, View},
    },
};

/// The longest diff in a page, in bytes.
const MAX_DIFF: usize = 1 << 20;

/// What a report of a run is made of.
#[derive(Clone, Debug)]
pub struct RunReport {
    /// The run.
    pub view: View,
    /// The nodes of its workflow, each with those that it needs.
    pub graph: Vec<(String, Vec<String>)>,
    /// When what was worked on.
    pub spans: Vec<Span>,
    /// What each agent said and did.
    pub transcript: Vec<(String, String)>,
    /// Its change, as a unified diff.
    pub diff: String,
}

/// A piece of work in time, in milliseconds since the run began.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// The node or the task.
    pub name: String,
    /// Its beginning.
    pub from: u64,
    /// Its end.
    pub to: u64,
    /// Whether it ended well.
    pub good: bool,
}

/// Returns when each node was worked on, by the records of a run.
pub fn spans(events: &[Event]) -> Vec<Span> {
    let begun = events.first().map_or(0, |event| event.at);
    let since = |at: i64| at.saturating_sub(begun).unsigned_abs();
    let (mut open, mut spans) = (BTreeMap::new(), Vec::new());
    for event in events {
        let Some(node) = &event.node else { continue };
        match &event.what {
            What::NodeStarted { .. } => drop(open.insert(node.clone(), since(event.at))),
            What::NodeFinished { outcome, .. } => {
                if let Some(from) = open.remove(node) {
                    let good = outcome.status == crate::protocol::outcome::Status::Succeeded;
                    spans.push(Span { name: node.to_string(), from, to: since(event.at), good });
                }
            }
            _ => {}
        }
    }
    let last = events.last().map_or(0, |event| since(event.at));
    let rest = open.into_iter().map(|(node, from)| Span {
        name: node.to_string(),
        from,
        to: last,
        good: false,
    });
    spans.extend(rest);
    spans.sort_by_key(|span| span.from);
    spans
}

impl RunReport {
    /// Returns the report as one page of HTML that loads nothing.
    pub fn html(&self) -> String {
        let view = &self.view;
        let mut body = self.head();
        body.push_str(&section("Claim and evidence", &claim(view)));
        body.push_str(&section("Graph", &svg::graph(&self.boxes())));
        let bars: Vec<_> = self.spans.iter().map(bar).collect();
        body.push_str(&section("Time line", &svg::time_line(&bars, duration)));
        body.push_str(&section("Nodes", &nodes(view)));
        let checks = rows(view.before.as_ref(), view.after.as_ref());
        body.push_str(&section("Checks", &check_table(&checks)));
        body.push_str(&section("Change, the riskiest hunks first", &change(&self.diff)));
        let said: String = self
            .transcript
            .iter()
            .map(|(agent, text)| folded(&escape(agent), &format!("<pre>{}</pre>\n", escape(text))))
            .collect();
        body.push_str(&section("Transcript", &said));
        page(&format!("grafter: {}", title(view)), &body)
    }

    /// Returns the report as markdown.
    pub fn markdown(&self) -> String {
        let view = &self.view;
        let mut out = format!("# {}\n\n", line(title(view)));
        for text in facts(view) {
            let _ = writeln!(out, "- {}", line(&text));
        }
        let _ = write!(out, "\n## Nodes\n\n| node | state | turns | tokens | cost | time |\n");
        out.push_str("|---|---|---:|---:|---:|---:|\n");
        for node in &view.nodes {
            let cells = node_cells(view, node).map(|cell| line(&cell));
            let _ = writeln!(out, "| {} |", cells.join(" | "));
        }
        let checks = rows(view.before.as_ref(), view.after.as_ref());
        if !checks.is_empty() {
            out.push_str("\n## Checks\n\n| check | before | after | fixed | broke |\n|---|---|---|---|---|\n");
        }
        for row in &checks {
            let cells = check_cells(row).map(|cell| line(&cell));
            let _ = writeln!(out, "| {} |", cells.join(" | "));
        }
        if !self.diff.is_empty() {
            // A fence that is longer than any in the diff.
            let ticks = self.diff.split(|c| c != '`').map(str::len).max().unwrap_or(0).max(2) + 1;
            let fence = "`".repeat(ticks);
            let _ = write!(out, "\n## Change\n\n{fence}diff\n{}{fence}\n", self.diff);
        }
        out
    }

    fn head(&self) -> String {
        let view = &self.view;
        let class = match &view.end {
            Some(RunEnd::Landed { .. } | RunEnd::Reported) => "good",
            Some(_) => "bad",
            None => "wait",
        };
        let end = view.end.as_ref().map_or("not ended".to_owned(), end_words);
        let mut out = format!(
            "<h1>{}</h1>\n<p class=\"{class}\"><strong>{}</strong></p>\n",
            escape(title(view)),
            escape(&end)
        );
        for text in facts(view) {
            let _ = writeln!(out, "<p class=\"meta\">{}</p>", escape(&text));
        }
        if let Some(start) = &view.start {
            let issue = format!("<pre>{}</pre>\n", escape(&start.task.text));
            out.push_str(&folded("The issue", &issue));
        }
        out
    }

    fn boxes(&self) -> Vec<Box> {
        let one = |(name, needs): &(String, Vec<String>)| {
            let own = |node: &&NodeView| node.id.as_ref().is_some_and(|id| id.place().0 == name);
            let nodes: Vec<_> = self.view.nodes.iter().filter(own).collect();
            let class = if nodes.iter().any(|node| node.state == NodeState::Failed) {
                "bad"
            } else if nodes.iter().any(|node| is_good(node)) {
                "good"
            } else {
                "faint"
            };
            let time: u64 = nodes.iter().map(|node| node.took(self.view.clock)).sum();
            let count = if nodes.len() > 1 { format!(" ×{}", nodes.len()) } else { String::new() };
            let below = format!("{}{count}", if time > 0 { duration(time) } else { String::new() });
            Box { name: name.clone(), below, class, needs: needs.clone() }
        };
        self.graph.iter().map(one).collect()
    }
}

fn is_good(node: &NodeView) -> bool {
    matches!(node.state, NodeState::Succeeded | NodeState::Reused)
}

fn bar(span: &Span) -> Bar {
    let class = if span.good { "good" } else { "bad" };
    Bar { name: span.name.clone(), from: span.from, to: span.to, class }
}

fn title(view: &View) -> &str {
    let text = view.start.as_ref().map_or("", |start| start.task.text.trim());
    text.lines().next().unwrap_or_default()
}

/// What stands below the title, line by line.
fn facts(view: &View) -> Vec<String> {
    let mut out = Vec::new();
    if let Some(start) = &view.start {
        let run = view.run.as_ref().map(ToString::to_string).unwrap_or_default();
        out.push(format!(
            "run {run} · {} · {} · base {}",
            start.workflow,
            start.model,
            start.base.short()
        ));
        if start.scripted {
            out.push(
                "scripted model: answers were played from a file, no model was asked".to_owned(),
            );
        }
    }
    let cost = money(view.cost).unwrap_or_else(|| "$0".to_owned());
    out.push(format!(
        "{} · {} turns · {} tokens · {cost}",
        duration(view.clock),
        view.turns,
        tokens(view.usage.total())
    ));
    if let Some(landing) = &view.landing {
        out.push(format!("landed {} on {}", landing.to.short(), landing.branch));
    }
    out
}

/// What the writer says it has done, and what speaks for that.
fn claim(view: &View) -> String {
    let writer = view.nodes.iter().rev().find(|node| {
        node.phase == Some(crate::protocol::task::Phase::Implementation) && !node.summary.is_empty()
    });
    let claim = writer.map_or("", |node| node.summary.as_str());
    let mut out = String::new();
    if !claim.is_empty() {
        let _ = writeln!(out, "<p>“{}”</p>", escape(claim.trim()));
    }
    let Some(verdict) = &view.verdict else { return out };
    let class = if matches!(verdict, Verdict::Green { .. }) { "good" } else { "bad" };
    let _ = writeln!(out, "<p class=\"{class}\">{}</p>", escape(&verdict_words(verdict)));
    if let Some(work) = view.work.as_ref().filter(|work| !work.tests_touched.is_empty()) {
        let names = escape(&some(&work.tests_touched, 8));
        let _ =
            writeln!(out, "<p class=\"wait\">The change edits or deletes tests in {names}.</p>");
    }
    out
}

fn node_cells(view: &View, node: &NodeView) -> [String; 6] {
    let state = match &node.state {
        NodeState::Waiting => "waiting".to_owned(),
        NodeState::Running => "running".to_owned(),
        NodeState::Succeeded => "✓".to_owned(),
        NodeState::Reused => "✓ reused".to_owned(),
        NodeState::Failed => "✗".to_owned(),
        NodeState::Skipped(why) => format!("skipped: {why}"),
    };
    let attempt =
        if node.attempt > 1 { format!(", attempt {}", node.attempt) } else { String::new() };
    [
        node.name().to_owned(),
        state + &attempt,
        node.turns.to_string(),
        tokens(node.usage.total()),
        money(node.cost).unwrap_or_default(),
        duration(node.took(view.clock)),
    ]
}

fn nodes(view: &View) -> String {
    let row = |node: &NodeView| {
        let mut cells: Vec<_> = node_cells(view, node).iter().map(|cell| escape(cell)).collect();
        cells.push(escape(node.summary.lines().next().unwrap_or_default()));
        cells
    };
    let columns = ["node", "state", "#turns", "#tokens", "#cost", "#time", "summary"];
    table(&columns, &view.nodes.iter().map(row).collect::<Vec<_>>())
}

fn check_cells(row: &CheckRow) -> [String; 5] {
    let side = |side: &Option<Side>| {
        side.as_ref().map_or("not run".to_owned(), |side| {
            format!("{} {}", if side.good { "✓" } else { "✗" }, side.words)
        })
    };
    [
        row.command.clone(),
        side(&row.before),
        side(&row.after),
        some(&row.fixed, 5),
        some(&row.broke, 5),
    ]
}

/// The table of checks on the base and on the candidate.
pub(super) fn check_table(checks: &[CheckRow]) -> String {
    let row = |row: &CheckRow| {
        let [command, before, after, fixed, broke] = check_cells(row).map(|cell| escape(&cell));
        let class = |good: bool| if good { "good" } else { "bad" };
        let colour = |side: &Option<Side>, text: String| match side {
            Some(side) => format!("<span class=\"{}\">{text}</span>", class(side.good)),
            None => text,
        };
        let (before, after) = (colour(&row.before, before), colour(&row.after, after));
        vec![format!("<code>{command}</code>"), before, after, fixed, broke]
    };
    let columns = ["check", "before", "after", "fixed", "broke"];
    table(&columns, &checks.iter().map(row).collect::<Vec<_>>())
}

/// A change, hunk by hunk.
pub(super) fn change(text: &str) -> String {
    if text.len() > MAX_DIFF {
        return format!("<p>{} bytes are too many for a page.</p>\n", text.len());
    }
    let one = |hunk: hunks::Hunk| {
        let tags: String =
            hunk.why.iter().map(|why| format!("<span class=\"tag\">{why}</span>")).collect();
        format!("<p><code>{}</code>{tags}</p>\n{}", escape(&hunk.path), diff(&hunk.text))
    };
    hunks::by_risk(text).into_iter().map(one).collect()
}

/// Returns a text that stays in one cell of a table of markdown.
pub(super) fn line(text: &str) -> String {
    let plain = crate::ui::text::escape(&text.split_whitespace().collect::<Vec<_>>().join(" "));
    plain.replace('\\', "\\\\").replace('|', "\\|").replace('<', "&lt;")
}
