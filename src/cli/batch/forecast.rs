//! What a batch would do and cost, before anything is spent; and what cannot begin at all.
//!
//! The cost has a ceiling, which the caps set, and a guess, which earlier runs of the same workflow
//! and model in this repository give. Where there are none, nothing is guessed.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use super::maker::Orders;
use crate::{
    cli::{
        exit::{Failure, Kind, OrFail},
        out,
        run_args::Output,
    },
    fleet::{scope::Files, start::BatchOrder, work::Errand},
    git::{history, repo::Repo},
    journal::{
        read,
        runs::{RunDir, RunState},
    },
    protocol::{batch::BatchTask, event::What, ids::RunId, usage::Micros},
    ui::{
        tables::{Align, render},
        text::{Colour, count, duration, fit, money, some},
    },
};

/// How many earlier runs are looked at.
const LOOK_BACK: usize = 60;
/// How much of the history is looked at.
const HISTORY: usize = 400;

/// Refuses a batch of which some task cannot begin: a model without a key, a workflow that is not
/// there. Each kind of task is tried once.
///
/// Returns the tasks that cost nothing, by place: their answers are played, or the work is there.
pub(super) fn refuse(
    repo: &Repo,
    orders: &Orders,
    order: &BatchOrder,
) -> Result<BTreeSet<usize>, Failure> {
    let (mut tried, mut free) = (BTreeMap::new(), BTreeSet::new());
    for (at, task) in order.tasks.iter().enumerate() {
        if let Some(branch) = &task.branch {
            if repo.tip(branch).or_fail(Kind::Usage)?.is_none() {
                let text =
                    format!("task `{}` cannot begin: there is no branch `{branch}`", task.id);
                return Err(Failure::usage(text).hint("`git branch --list` shows the branches"));
            }
            free.insert(at);
            continue;
        }
        let kind = (task.model.clone(), task.workflow.clone());
        if let Some(played) = tried.get(&kind) {
            free.extend(Some(at).filter(|_| *played));
            continue;
        }
        let errand = Errand {
            task: task.clone(),
            text: task.text(),
            run: RunId::new("none"),
            base: order.base.clone(),
            cap: task.budget.or(order.task_cost).or(order.max_cost),
        };
        let (ground, _) = orders.make(&errand).map_err(|failure| {
            Failure::usage(format!("task `{}` cannot begin: {}", task.id, failure.cause()))
        })?;
        let played = ground.model.info().scripted;
        free.extend(Some(at).filter(|_| played));
        tried.insert(kind, played);
    }
    Ok(free)
}

/// Shows in which order the tasks may go, and what they may cost.
pub(super) fn show(
    repo: &Repo,
    (order, free): (&BatchOrder, &BTreeSet<usize>),
    output: Output,
) -> Result<(), Failure> {
    let files = Files::new(
        history::files(repo, &order.base).or_fail(Kind::Infrastructure)?,
        &history::changes(repo, &order.base, HISTORY).or_fail(Kind::Infrastructure)?,
    );
    let waves = waves(&order.tasks);
    let foreseen: Vec<Vec<String>> =
        order.tasks.iter().map(|task| files.foresee(task).into_iter().collect()).collect();
    let past = past(repo)?;
    let ceiling = ceiling(order, free);
    if output != Output::Text {
        let tasks = order.tasks.iter().zip(&waves).zip(&foreseen).map(|((task, wave), files)| {
            json!({"id": task.id, "needs": task.needs, "wave": wave, "foreseen": files})
        });
        let past = past.as_ref();
        say!(
            "{}",
            json!({
                "tasks": tasks.collect::<Vec<_>>(),
                "cost_ceiling": ceiling,
                "earlier_runs": past.map(|past| past.runs),
                "median_cost": past.map(|past| past.cost),
                "median_ms": past.map(|past| past.took_ms),
            })
        )?;
        return Ok(());
    }
    let row = |(at, task): (usize, &BatchTask)| {
        vec![
            (waves[at] + 1).to_string(),
            task.id.clone(),
            fit(task.headline(), 40),
            task.needs.join(", "),
            some(&foreseen[at], 3),
        ]
    };
    let columns = [
        ("WAVE", Align::Right),
        ("TASK", Align::Left),
        ("TITLE", Align::Left),
        ("NEEDS", Align::Left),
        ("FORESEEN FILES", Align::Left),
    ];
    let rows: Vec<_> = order.tasks.iter().enumerate().map(row).collect();
    out::write(format_args!("{}\n", render(&columns, &rows, Colour::Never)))?;
    say!("{}", words(order, (&waves, ceiling), past.as_ref()))
}

fn words(
    order: &BatchOrder,
    (waves, ceiling): (&[usize], Option<Micros>),
    past: Option<&Past>,
) -> String {
    let depth = waves.iter().max().map_or(0, |wave| wave + 1);
    let tasks = count(order.tasks.len(), "task");
    let mut text = format!("{tasks} in {}, {} at once\n", count(depth, "wave"), order.workers);
    text.push_str(&match ceiling.map(money) {
        Some(Some(most)) => format!("Cost     at most {most}\n"),
        Some(None) => "Cost     nothing: no model is asked\n".to_owned(),
        None => "Cost     no cap\n".to_owned(),
    });
    let Some(past) = past else {
        text.push_str("Guess    none: no earlier run of this repository has landed");
        return text;
    };
    // Each wave takes as many rounds as its tasks need on the workers there are.
    let rounds: usize = (0..depth)
        .map(|wave| waves.iter().filter(|other| **other == wave).count().div_ceil(order.workers))
        .sum();
    let (all, rounds) = (order.tasks.len() as u64, rounds as u64);
    let cost = money(Micros(past.cost.0 * all)).unwrap_or_else(|| "$0".to_owned());
    text.push_str(&format!(
        "Guess    {cost} and {} (median of {} that landed here: {} and {} each)",
        duration(past.took_ms * rounds),
        count(past.runs, "earlier run"),
        money(past.cost).unwrap_or_else(|| "$0".to_owned()),
        duration(past.took_ms),
    ));
    text
}

/// Returns for each task how many others stand before it in a row.
fn waves(tasks: &[BatchTask]) -> Vec<usize> {
    let index: BTreeMap<&str, usize> =
        tasks.iter().enumerate().map(|(at, task)| (task.id.as_str(), at)).collect();
    let mut waves = vec![0; tasks.len()];
    // There is no ring, so it comes to rest after as many rounds as the longest row has tasks.
    loop {
        let before = waves.clone();
        for (at, task) in tasks.iter().enumerate() {
            let needs = task.needs.iter().filter_map(|id| index.get(id.as_str()));
            waves[at] = needs.map(|&need| waves[need] + 1).max().unwrap_or(0);
        }
        if waves == before {
            return waves;
        }
    }
}

fn ceiling(order: &BatchOrder, free: &BTreeSet<usize>) -> Option<Micros> {
    let each = |(at, task): (usize, &BatchTask)| match free.contains(&at) {
        true => Some(0),
        false => task.budget.or(order.task_cost).map(|cap| cap.0),
    };
    let tries = u64::from(order.retries) + 1;
    let sum: Option<u64> = order.tasks.iter().enumerate().map(each).sum();
    let sum = sum.map(|sum| Micros(sum.saturating_mul(tries)));
    match (sum, order.max_cost) {
        (Some(sum), Some(all)) => Some(sum.min(all)),
        (sum, all) => sum.or(all),
    }
}

/// What earlier runs took.
struct Past {
    runs: usize,
    cost: Micros,
    took_ms: u64,
}

fn past(repo: &Repo) -> Result<Option<Past>, Failure> {
    let runs = RunDir::list(&repo.state_dir()).or_fail(Kind::Infrastructure)?;
    let landed =
        |run: &&RunDir| matches!(run.state(), RunState::Finished(end) if end.exit_code() == 0);
    let (mut costs, mut times) = (Vec::new(), Vec::new());
    for run in runs.iter().take(LOOK_BACK).filter(landed) {
        // One that cannot be read says nothing.
        let Ok(events) = read::read(&run.path) else { continue };
        if let Some(What::RunFinished { cost, took_ms, .. }) = events
            .iter()
            .rev()
            .map(|event| &event.what)
            .find(|what| matches!(what, What::RunFinished { .. }))
        {
            costs.push(cost.0);
            times.push(*took_ms);
        }
    }
    let middle = |values: &mut Vec<u64>| {
        values.sort_unstable();
        values.get(values.len() / 2).copied()
    };
    let runs = costs.len();
    Ok(middle(&mut costs).zip(middle(&mut times)).map(|(cost, took_ms)| Past {
        runs,
        cost: Micros(cost),
        took_ms,
    }))
}
