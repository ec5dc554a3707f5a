//! A batch for people and for programs: a line per step, the table of its tasks, one JSON object.

pub mod live;

use serde_json::{Value, json};

use crate::{
    fleet::{
        plan::Plan,
        scope::Accuracy,
        state::{BatchState, Stage, TaskState},
    },
    protocol::{
        batch::Step,
        event::{Event, Level, What},
        report::{CheckRun, RunEnd},
    },
    ui::{
        plain::end_words,
        tables::{Align, render},
        text::{Colour, count, duration, escape, fit, money, some},
    },
};

/// The longest reason in a table.
const WHY: usize = 72;

/// Returns the line of a record of the batch's own journal, given how the batch stands; nothing
/// where it says no more than the next one.
pub fn line(state: &BatchState, event: &Event) -> Option<String> {
    let words = match &event.what {
        What::Note { level: Level::Info, text } => format!("note: {}", escape(text)),
        What::Note { level: Level::Warning, text } => format!("warning: {}", escape(text)),
        What::Batch(step) => step_words(state, step)?,
        _ => return None,
    };
    let seconds = state.took_ms(event.at) / 1000;
    Some(format!("[{:02}:{:02}] {words}", seconds / 60, seconds % 60))
}

fn step_words(state: &BatchState, step: &Step) -> Option<String> {
    Some(match step {
        Step::Started(started) => {
            let tasks = count(state.tasks.len(), "task");
            format!("batch started: {tasks} onto {}", escape(&started.target))
        }
        Step::Resumed { .. } => "batch resumed".to_owned(),
        Step::TaskStarted { task, run, base, .. } => {
            format!("{task}: run {run} on {}", base.short())
        }
        Step::TaskEnded { task, end: RunEnd::Landed { commit, grade, .. }, .. } => {
            format!("{task}: {} ({}), waits for landing", commit.short(), grade.words())
        }
        Step::TaskEnded { task, end, .. } => format!("{task}: {}", end_words(end)),
        Step::Offered { task, made } => {
            format!(
                "{task}: {} of {}, waits for landing",
                made.commit.short(),
                escape(&made.branch)
            )
        }
        Step::Checked { tasks, runs, .. } => {
            let on = match tasks.len() {
                0 => "the target".to_owned(),
                1 => tasks[0].to_string(),
                n => format!("{} … {} ({n} in a row)", tasks[0], tasks[n - 1]),
            };
            format!("queue: {} on {on}", runs_words(runs))
        }
        Step::Landed { tasks, to } => {
            let names: Vec<_> = tasks.iter().map(|(task, _)| task.to_string()).collect();
            format!("landed {} at {}", some(&names, 8), to.short())
        }
        Step::Missed { found } => match found {
            Some(found) => format!("the target has moved to {}, trying again", found.short()),
            None => "the target is gone".to_owned(),
        },
        Step::Contained { task } => format!("{task}: the target has all of it already"),
        Step::SentBack { task, why } => {
            let again = match state.task(task.as_str()).map(|task| &task.stage) {
                Some(Stage::Waiting) => "is worked anew",
                _ => "is parked",
            };
            format!("{task}: {again}: {}", escape(&why.words()))
        }
        Step::Collides { task, with, paths } => {
            let paths = escape(&some(paths, 4));
            format!("{task}: contradicts what {with} has made so far, in {paths}")
        }
        Step::Dropped { task } => format!("{task}: taken out"),
        Step::Retried { task } => format!("{task}: tried once more"),
        Step::Paused => "queue: paused".to_owned(),
        Step::Unpaused => "queue: goes on".to_owned(),
        Step::LandIntent { .. } | Step::Finished { .. } => return None,
    })
}

fn runs_words(runs: &[CheckRun]) -> String {
    let failed: Vec<_> = runs
        .iter()
        .filter(|run| !run.end.is_success())
        .map(|run| escape(&run.check.command))
        .collect();
    match failed.is_empty() {
        true => format!("{} passed", count(runs.len(), "check")),
        false => format!("{} failed", some(&failed, 3)),
    }
}

/// Returns where a task is, in a word.
pub fn stage_word(stage: &Stage) -> &'static str {
    match stage {
        Stage::Waiting => "waiting",
        Stage::Working => "working",
        Stage::Queued => "queued",
        Stage::Landed { .. } => "landed",
        Stage::Contained => "contained",
        Stage::Failed(end) => match end {
            RunEnd::Budget(_) => "budget",
            RunEnd::Infrastructure(_) => "broken",
            RunEnd::Refused(_) => "refused",
            _ => "failed",
        },
        Stage::Parked(_) => "parked",
        Stage::Dropped => "dropped",
    }
}

/// Returns why a task has not landed; nothing for one that has, or is on its way.
pub fn why(state: &BatchState, plan: &Plan<'_>, at: usize) -> String {
    match &state.tasks[at].stage {
        Stage::Waiting => plan.hold(at).map(|hold| hold.words()).unwrap_or_default(),
        Stage::Failed(end) => end_words(end),
        Stage::Parked(why) => why.words(),
        Stage::Contained => "the target had all of it already".to_owned(),
        _ => String::new(),
    }
}

/// Returns the table of all tasks.
pub fn table(state: &BatchState, colour: Colour) -> String {
    let plan = Plan::of(state, &[]);
    let row = |at: usize| {
        let task = &state.tasks[at];
        let commit = match (&task.stage, &task.made) {
            (Stage::Landed { commit }, _) => commit.short().to_owned(),
            (_, Some(made)) => made.commit.short().to_owned(),
            _ => String::new(),
        };
        vec![
            task.task.id.clone(),
            stage_word(&task.stage).to_owned(),
            commit,
            task.runs.last().map(ToString::to_string).unwrap_or_default(),
            money(task.cost()).unwrap_or_default(),
            duration(task.took_ms()),
            fit(&why(state, &plan, at), WHY),
        ]
    };
    let columns = [
        ("TASK", Align::Left),
        ("STATE", Align::Left),
        ("COMMIT", Align::Left),
        ("RUN", Align::Left),
        ("COST", Align::Right),
        ("TIME", Align::Right),
        ("WHY NOT", Align::Left),
    ];
    render(&columns, &(0..state.tasks.len()).map(row).collect::<Vec<_>>(), colour)
}

/// Returns the last word on a batch: what landed, the table, and what to do next.
pub fn summary(
    batch: &str,
    state: &BatchState,
    (stopped, accuracy): (Option<&RunEnd>, Accuracy),
    colour: Colour,
) -> String {
    let (done, all) = (done(state), state.tasks.len());
    let mark = if stopped.is_none() && done == all { "✓" } else { "✗" };
    let mut out = format!(
        "{mark} {done} of {} landed on {}\n",
        count(all, "task"),
        escape(&state.started.target)
    );
    if let Some(end) = stopped {
        out.push_str(&format!("  {}\n", end_words(end)));
    }
    out.push_str(&format!(
        "  batch {batch} · {} · {} · {} · {} by the queue\n\n",
        duration(state.took_so_far()),
        money(state.cost()).unwrap_or_else(|| "$0".to_owned()),
        count(state.landings, "landing"),
        count(state.check_runs, "check run"),
    ));
    out.push_str(&table(state, colour));
    if let Some(line) = accuracy_line(accuracy) {
        out.push_str(&format!("\n{line}\n"));
    }
    out.push_str(&next(batch, state));
    out
}

fn accuracy_line(accuracy: Accuracy) -> Option<String> {
    let share = |part: usize, all: usize| (all > 0).then(|| part * 100 / all);
    let precision = share(accuracy.hits, accuracy.foreseen)?;
    let recall = share(accuracy.hits, accuracy.changed)?;
    let Accuracy { hits, foreseen, changed } = accuracy;
    Some(format!(
        "Foreseen files: precision {precision} % ({hits} of {foreseen}), recall {recall} % ({hits} \
         of {changed} changed)"
    ))
}

fn next(batch: &str, state: &BatchState) -> String {
    let mut out = "\nNext\n".to_owned();
    if done(state) < state.tasks.len() {
        out.push_str(&format!("  go on     grafter batch --resume {batch}\n"));
        let stuck = state
            .tasks
            .iter()
            .find(|task| matches!(task.stage, Stage::Parked(_) | Stage::Failed(_)));
        if let Some(task) = stuck {
            out.push_str(&format!("  look      grafter queue show {}\n", escape(&task.task.id)));
        }
    }
    if state.landings > 0 {
        let (from, to) = (&state.started.tip, escape(&state.started.target));
        out.push_str(&format!("  landed    git log --oneline {}..{to}\n", from.short()));
    }
    out
}

fn done(state: &BatchState) -> usize {
    state.tasks.iter().filter(|task| task.stage.is_done()).count()
}

/// Returns what is known of one task, in lines.
pub fn detail(state: &BatchState, at: usize) -> String {
    let task = &state.tasks[at];
    let plan = Plan::of(state, &[]);
    let mut out = format!("{}  {}\n", escape(&task.task.id), stage_word(&task.stage));
    let mut say = |name: &str, text: String| {
        if !text.is_empty() {
            out.push_str(&format!("  {name:<9} {}\n", escape(&text)));
        }
    };
    say("title", task.task.headline().to_owned());
    say("why", why(state, &plan, at));
    if let (Some(back), Stage::Waiting | Stage::Working) = (&task.back, &task.stage) {
        say("before", back.words());
    }
    if let Some(made) = &task.made {
        let files: Vec<_> = made.stat.files.iter().map(|file| file.0.clone()).collect();
        say("branch", made.branch.clone());
        say("commit", format!("{} on {}", made.commit.short(), made.base.short()));
        say("files", some(&files, 6));
    }
    if let Stage::Landed { commit } = &task.stage {
        say("landed", format!("{} on {}", commit.short(), state.started.target));
    }
    let with = state.collide.iter().filter(|pair| pair.0 == at);
    let with: Vec<_> = with.map(|pair| state.tasks[pair.1].task.id.clone()).collect();
    say("against", some(&with, 6));
    say("needs", some(&task.task.needs, 6));
    say("runs", task.runs.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "));
    say("took", duration(task.took_ms()));
    say("cost", money(task.cost()).unwrap_or_default());
    out
}

/// Returns the object of `--output json`.
pub fn object(
    batch: &str,
    state: &BatchState,
    (stopped, accuracy): (Option<&RunEnd>, Accuracy),
) -> Value {
    let plan = Plan::of(state, &[]);
    let tasks =
        (0..state.tasks.len()).map(|at| task_object(&state.tasks[at], why(state, &plan, at)));
    json!({
        "batch": batch,
        "target": state.started.target,
        "from": state.started.tip,
        "landed": done(state),
        "stopped": stopped.map(end_words),
        "exit_code": exit_code(state, stopped),
        "cost": state.cost(),
        "took_ms": state.took_so_far(),
        "landings": state.landings,
        "queue_checks": state.check_runs,
        "foreseen": {
            "hits": accuracy.hits, "foreseen": accuracy.foreseen, "changed": accuracy.changed
        },
        "tasks": tasks.collect::<Vec<_>>(),
    })
}

fn task_object(task: &TaskState, why: String) -> Value {
    let landed = match &task.stage {
        Stage::Landed { commit } => Some(commit),
        _ => None,
    };
    json!({
        "id": task.task.id,
        "title": task.task.headline(),
        "state": stage_word(&task.stage),
        "why": (!why.is_empty()).then_some(why),
        "landed": landed,
        "commit": task.made.as_ref().map(|made| &made.commit),
        "branch": task.made.as_ref().map(|made| &made.branch),
        "files": task.made.as_ref().map(|made| &made.stat.files),
        "runs": task.runs,
        "cost": task.cost(),
        "took_ms": task.took_ms(),
    })
}

/// Returns the exit code: 0 all has landed, 1 some task did not; else that of what stopped it.
pub fn exit_code(state: &BatchState, stopped: Option<&RunEnd>) -> u8 {
    match stopped {
        Some(end) => end.exit_code(),
        None => u8::from(done(state) < state.tasks.len()),
    }
}
