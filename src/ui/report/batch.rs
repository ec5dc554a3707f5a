//! The report of a batch: one row a task, and a packet to review for each that has landed.

use std::{collections::BTreeSet, fmt::Write as _};

use super::{
    page::{escape, folded, page, section, table},
    run::{self, Span},
    svg::{self, Bar, Box},
};
use crate::{
    fleet::{
        plan::Plan,
        state::{BatchState, Stage, TaskState},
    },
    protocol::{
        batch::Step,
        event::{Event, What},
        report::CheckReport,
    },
    ui::{
        batch::{stage_word, why},
        checks::rows,
        text::{count, duration, money, some},
    },
};

/// What a report of a batch is made of.
#[derive(Clone, Debug)]
pub struct BatchReport {
    /// Its name.
    pub batch: String,
    /// How it stands.
    pub state: BatchState,
    /// When which task was worked on.
    pub spans: Vec<Span>,
    /// One for each task whose work is there, by place.
    pub packets: Vec<Packet>,
}

/// What there is to review of one task.
#[derive(Clone, Debug)]
pub struct Packet {
    /// The task's place.
    pub task: usize,
    /// What its agent says it has done.
    pub claim: String,
    /// Its change, as a unified diff.
    pub diff: String,
}

impl BatchReport {
    /// Returns when which task was worked on, by the records of a batch.
    pub fn spans(events: &[Event]) -> Vec<Span> {
        let begun = events.first().map_or(0, |event| event.at);
        let since = |at: i64| at.saturating_sub(begun).unsigned_abs();
        let (mut open, mut spans) = (std::collections::BTreeMap::new(), Vec::new());
        for event in events {
            let What::Batch(step) = &event.what else { continue };
            match &**step {
                Step::TaskStarted { task, .. } => {
                    open.insert(task.clone(), since(event.at));
                }
                Step::TaskEnded { task, end, .. } => {
                    if let Some(from) = open.remove(task) {
                        let (name, good) = (task.to_string(), end.exit_code() == 0);
                        spans.push(Span { name, from, to: since(event.at), good });
                    }
                }
                _ => {}
            }
        }
        spans
    }

    /// Returns the report as one page of HTML that loads nothing.
    pub fn html(&self) -> String {
        let state = &self.state;
        let done = state.tasks.iter().filter(|task| task.stage.is_done()).count();
        let class = if done == state.tasks.len() { "good" } else { "wait" };
        let mut body = format!(
            "<h1>Batch {}</h1>\n<p class=\"{class}\"><strong>{done} of {} landed on {}</strong></p>\n",
            escape(&self.batch),
            count(state.tasks.len(), "task"),
            escape(&state.started.target)
        );
        let cost = money(state.cost()).unwrap_or_else(|| "$0".to_owned());
        let facts = format!(
            "{} · {cost} · {} · {} by the queue · from {}",
            duration(state.took_so_far()),
            count(state.landings, "landing"),
            count(state.check_runs, "check run"),
            state.started.tip.short()
        );
        let _ = writeln!(body, "<p class=\"meta\">{}</p>", escape(&facts));
        body.push_str(&section("Tasks", &self.table()));
        let boxes: Vec<_> = state.tasks.iter().map(boxed).collect();
        body.push_str(&section("Graph", &svg::graph(&boxes)));
        let bars: Vec<_> = self.spans.iter().map(bar).collect();
        body.push_str(&section("Time line", &svg::time_line(&bars, duration)));
        let packets: String = self.packets.iter().map(|packet| self.packet(packet)).collect();
        body.push_str(&section("To review", &packets));
        page(&format!("grafter: batch {}", self.batch), &body)
    }

    /// Returns the report as markdown.
    pub fn markdown(&self) -> String {
        let state = &self.state;
        let done = state.tasks.iter().filter(|task| task.stage.is_done()).count();
        let mut out = format!(
            "# Batch {}\n\n{done} of {} landed on `{}`\n\n",
            self.batch,
            count(state.tasks.len(), "task"),
            state.started.target
        );
        out.push_str("| task | state | branch | commit | cost | time | why not |\n");
        out.push_str("|---|---|---|---|---:|---:|---|\n");
        for cells in self.cells() {
            let cells: Vec<_> = cells.iter().map(|cell| run::line(cell)).collect();
            let _ = writeln!(out, "| {} |", cells.join(" | "));
        }
        out
    }

    fn cells(&self) -> Vec<[String; 7]> {
        let plan = Plan::of(&self.state, &[]);
        let one = |at: usize| {
            let task = &self.state.tasks[at];
            let commit = match (&task.stage, &task.made) {
                (Stage::Landed { commit }, _) => commit.short().to_owned(),
                (_, Some(made)) => made.commit.short().to_owned(),
                _ => String::new(),
            };
            [
                task.task.id.clone(),
                stage_word(&task.stage).to_owned(),
                task.made.as_ref().map(|made| made.branch.clone()).unwrap_or_default(),
                commit,
                money(task.cost()).unwrap_or_default(),
                duration(task.took_ms()),
                why(&self.state, &plan, at),
            ]
        };
        (0..self.state.tasks.len()).map(one).collect()
    }

    fn table(&self) -> String {
        let row = |(cells, task): ([String; 7], &TaskState)| {
            let mut cells: Vec<_> = cells.iter().map(|cell| escape(cell)).collect();
            cells[1] = format!("<span class=\"{}\">{}</span>", class(&task.stage), cells[1]);
            for at in [2, 3] {
                cells[at] = format!("<code>{}</code>", cells[at]);
            }
            cells.insert(1, escape(task.task.headline()));
            cells
        };
        let columns = ["task", "title", "state", "branch", "commit", "#cost", "#time", "why not"];
        let rows: Vec<_> = self.cells().into_iter().zip(&self.state.tasks).map(row).collect();
        table(&columns, &rows)
    }

    /// What there is to review of a task: claim, evidence, overlap, hunks.
    fn packet(&self, packet: &Packet) -> String {
        let task = &self.state.tasks[packet.task];
        let Some(made) = &task.made else { return String::new() };
        let mut body = String::new();
        if !packet.claim.is_empty() {
            let _ = writeln!(body, "<p>“{}”</p>", escape(packet.claim.trim()));
        }
        let on =
            |at: usize| made.checked.get(at).map(|(_, runs)| CheckReport { runs: runs.clone() });
        let (before, after) = (on(0), on(1).or_else(|| on(0)));
        body.push_str(&run::check_table(&rows(before.as_ref(), after.as_ref())));
        let overlap = self.overlap(packet.task);
        if !overlap.is_empty() {
            let names = escape(&some(&overlap, 8));
            let _ = writeln!(body, "<p class=\"wait\">The same files are changed by {names}.</p>");
        }
        body.push_str(&run::change(&packet.diff));
        let (id, title) = (escape(&task.task.id), escape(task.task.headline()));
        let files = count(made.stat.files.len(), "file");
        let class = class(&task.stage);
        let state = stage_word(&task.stage);
        folded(
            &format!(
                "<strong>{id}</strong> {title} <span class=\"{class}\">{state}</span> \
                 <span class=\"tag\">{files}</span>"
            ),
            &body,
        )
    }

    /// Returns the other tasks that change files which this one changes.
    fn overlap(&self, at: usize) -> Vec<String> {
        let files = |task: &TaskState| -> BTreeSet<String> {
            let made = task.made.iter().flat_map(|made| &made.stat.files);
            made.map(|file| file.0.clone()).collect()
        };
        let own = files(&self.state.tasks[at]);
        let others = self.state.tasks.iter().enumerate().filter(|(other, _)| *other != at);
        others
            .filter(|(_, task)| !files(task).is_disjoint(&own))
            .map(|(_, task)| task.task.id.clone())
            .collect()
    }
}

fn class(stage: &Stage) -> &'static str {
    match stage {
        Stage::Landed { .. } | Stage::Contained => "good",
        Stage::Waiting | Stage::Working | Stage::Queued => "wait",
        Stage::Dropped => "faint",
        Stage::Failed(_) | Stage::Parked(_) => "bad",
    }
}

fn boxed(task: &TaskState) -> Box {
    Box {
        name: task.task.id.clone(),
        below: task.task.headline().to_owned(),
        class: class(&task.stage),
        needs: task.task.needs.clone(),
    }
}

fn bar(span: &Span) -> Bar {
    let class = if span.good { "good" } else { "bad" };
    Bar { name: span.name.clone(), from: span.from, to: span.to, class }
}
