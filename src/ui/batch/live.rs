//! The live table of a batch on a terminal: a line per task that is worked, a line for the whole
//! batch, and above them each step that is done.

use std::{collections::BTreeMap, time::Duration};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::{
    fleet::{
        state::{BatchState, Stage},
        work::News,
    },
    protocol::{
        batch::Step,
        event::{Event, What},
        ids::TaskId,
    },
    ui::{
        batch::line,
        text::{count, duration, escape, left, money, tokens},
        view::View,
    },
};

/// How often the spinners move.
const TICK: Duration = Duration::from_millis(120);
/// The width of the names of tasks.
const NAME: usize = 20;

/// The lines on the screen.
pub struct Table {
    screen: MultiProgress,
    total: ProgressBar,
    tasks: BTreeMap<TaskId, (ProgressBar, View)>,
}

impl Table {
    /// Puts the line of the whole batch on the terminal at standard error.
    pub fn on_stderr() -> Self {
        Self::new(MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(10)))
    }

    fn new(screen: MultiProgress) -> Self {
        let total = screen.add(ProgressBar::new_spinner());
        total.set_style(style("{elapsed:>5} {wide_msg}"));
        total.enable_steady_tick(TICK);
        Self { screen, total, tasks: BTreeMap::new() }
    }

    /// Draws what news changed; the state has already taken them in.
    pub fn update(&mut self, state: &BatchState, news: &News) {
        match &news.task {
            Some(task) => self.work(task, &news.event),
            None => {
                if let Some(line) = line(state, &news.event) {
                    self.screen.println(line).ok();
                }
                self.step(&news.event);
            }
        }
        self.total.set_message(total_line(state, news.event.at));
    }

    /// Takes all lines off the screen.
    pub fn clear(&self) {
        self.tasks.values().for_each(|(bar, _)| bar.finish_and_clear());
        self.total.finish_and_clear();
    }

    fn work(&mut self, task: &TaskId, event: &Event) {
        // Late news of a run that has ended make no line.
        let Some((bar, view)) = self.tasks.get_mut(task) else { return };
        view.apply(event);
        bar.set_message(task_line(task, view));
    }

    fn step(&mut self, event: &Event) {
        let What::Batch(step) = &event.what else { return };
        match &**step {
            Step::TaskStarted { task, .. } => {
                let bar = self.screen.insert_before(&self.total, ProgressBar::new_spinner());
                bar.set_style(style("{spinner} {elapsed:>4} {wide_msg}"));
                bar.enable_steady_tick(TICK);
                bar.set_message(task_line(task, &View::default()));
                self.tasks.insert(task.clone(), (bar, View::default()));
            }
            Step::TaskEnded { task, .. } => {
                if let Some((bar, _)) = self.tasks.remove(task) {
                    bar.finish_and_clear();
                }
            }
            _ => {}
        }
    }
}

/// Returns the line of a task that is worked: what it took so far, and what its agents do.
pub fn task_line(task: &TaskId, view: &View) -> String {
    let mut facts = Vec::new();
    if view.turns > 0 {
        facts.push(count(view.turns as usize, "turn"));
        facts.push(format!("{} tokens", tokens(view.usage.total())));
        facts.extend(money(view.cost));
    }
    let doing = view.running().map(|node| match node.doing.is_empty() {
        true => escape(node.name()),
        false => format!("{}: {}", escape(node.name()), escape(&node.doing)),
    });
    facts.extend(doing);
    if facts.is_empty() {
        facts.push("begins".to_owned());
    }
    format!("{}  {}", left(&escape(task.as_str()), NAME), facts.join(" · "))
}

/// Returns the line of the whole batch: how many tasks are where, its money, and about how long the
/// rest may take.
pub fn total_line(state: &BatchState, now: i64) -> String {
    let at = |is: &dyn Fn(&Stage) -> bool| state.tasks.iter().filter(|t| is(&t.stage)).count();
    let landed = at(&Stage::is_done);
    let lost = at(&Stage::is_final) - landed;
    let mut facts = vec![format!("{landed} of {} landed", count(state.tasks.len(), "task"))];
    let counts = [
        (at(&|stage| *stage == Stage::Working), "working"),
        (at(&|stage| *stage == Stage::Queued), "queued"),
        (at(&|stage| *stage == Stage::Waiting), "waiting"),
        (lost, "not landed"),
    ];
    facts.extend(counts.iter().filter(|(n, _)| *n > 0).map(|(n, word)| format!("{n} {word}")));
    match state.started.max_cost {
        Some(cap) => facts.push(format!("{} of {cap}", state.cost())),
        None => facts.extend(money(state.cost())),
    }
    facts.extend(left_ms(state, now).map(|ms| format!("about {} left", duration(ms))));
    facts.join(" · ")
}

/// Returns about how many milliseconds the rest may take: as long for each task as those took that
/// have ended. None before the first has.
fn left_ms(state: &BatchState, now: i64) -> Option<u64> {
    let ended = state.tasks.iter().filter(|task| task.stage.is_final()).count() as u64;
    let rest = state.tasks.len() as u64 - ended;
    (rest > 0).then(|| (state.took_ms(now) * rest).checked_div(ended))?
}

fn style(template: &str) -> ProgressStyle {
    let style = ProgressStyle::with_template(template).expect("the templates are constants");
    style.tick_chars("⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏ ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        protocol::{
            batch::{BatchStarted, BatchTask, Style, Trouble},
            event::Kept,
            ids::{Oid, RunId},
            report::RunEnd,
            usage::{Micros, Usage},
        },
        ui::fixture,
    };

    fn batch() -> BatchState {
        let kept = || Kept::Inline(String::new());
        let started = BatchStarted {
            tasks: kept(),
            settings: kept(),
            target: "main".to_owned(),
            tip: Oid::new("0"),
            found: true,
            checks: Vec::new(),
            check_timeout_ms: 1,
            workers: 2,
            slots: 2,
            style: Style::Squash,
            message: None,
            lockfiles: BTreeMap::new(),
            protected: Vec::new(),
            max_cost: Some(Micros(20_000_000)),
            task_cost: None,
            retries: 1,
            retry_on: Trouble::USUAL.to_vec(),
        };
        let task = |id: &str| BatchTask { id: id.to_owned(), ..BatchTask::default() };
        BatchState::new(started, ["a", "b", "c"].map(task).to_vec(), 0)
    }

    fn tell(table: &mut Table, state: &mut BatchState, (at, step): (i64, Step)) {
        let what = What::Batch(Box::new(step));
        let run = RunId::new("b");
        let event = Event { seq: 1, at, run, node: None, agent: None, what };
        state.apply(&event);
        table.update(state, &News { task: None, event });
    }

    #[test]
    fn tasks_come_and_go_and_the_rest_is_reckoned() {
        let screen = MultiProgress::with_draw_target(ProgressDrawTarget::hidden());
        let (mut table, mut state) = (Table::new(screen), batch());
        let (run, base, cap) = (RunId::new("r"), Oid::new("0"), None);
        for id in ["a", "b"] {
            let (task, run, base) = (TaskId::new(id), run.clone(), base.clone());
            tell(&mut table, &mut state, (0, Step::TaskStarted { task, run, base, cap }));
        }
        for event in fixture::landed("scripted:demo.yaml").events.into_iter().take(5) {
            table.update(&state, &News { task: Some(TaskId::new("a")), event });
        }
        insta::assert_snapshot!(table.tasks[&TaskId::new("a")].0.message(), @"a                     1 turn · 9.9k tokens · $0.0200 · research.0 · research.1");
        insta::assert_snapshot!(table.tasks[&TaskId::new("b")].0.message(), @"b                     begins");
        let (task, usage, cost) = (TaskId::new("a"), Usage::default(), Micros(250_000));
        let end = RunEnd::Interrupted;
        let ended = Step::TaskEnded { task, run, end, made: None, usage, cost, took_ms: 60_000 };
        tell(&mut table, &mut state, (60_000, ended));
        assert_eq!(table.tasks.len(), 1);
        insta::assert_snapshot!(total_line(&state, 60_000), @"0 of 3 tasks landed · 2 working · 1 waiting · $0.2500 of $20.0000");
        let contained = Step::Contained { task: TaskId::new("a") };
        tell(&mut table, &mut state, (60_000, contained));
        insta::assert_snapshot!(table.total.message(), @"1 of 3 tasks landed · 1 working · 1 waiting · $0.2500 of $20.0000 · about 2m 00s left");
        table.clear();
        assert!(table.total.is_finished());
    }
}
