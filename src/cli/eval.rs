//! `grafter eval`: datasets, runs over them, what they show.

mod solver;

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Write},
    path::Path,
    process::ExitCode,
    time::{Duration, Instant},
};

use tokio_util::sync::CancellationToken;

use crate::{
    cli::{
        context::Setup,
        eval_args::{
            ChoiceArgs, EvalCommand, EvalCompareArgs, EvalForm, EvalRunArgs, EvalShowArgs,
        },
        exit::{Failure, Kind, OrFail},
    },
    eval::{
        arena::Arena,
        compare::{Arm, arm, compare},
        files::Record,
        instance::{self, Choice, Instance},
        runner::{self, Known, News, Plan, Solver},
    },
    sandbox,
    ui::{
        tables::{Align, render},
        text::Colour,
    },
};

/// Says, lists, shows or compares.
pub(super) async fn eval(command: EvalCommand) -> Result<ExitCode, Failure> {
    match command {
        EvalCommand::Run(args) => run(&args).await,
        EvalCommand::Ls(args) => ls(&args.choice),
        EvalCommand::Show(args) => show(&args),
        EvalCommand::Compare(args) => compared(&args),
    }
}

async fn run(args: &EvalRunArgs) -> Result<ExitCode, Failure> {
    let instances = chosen(&args.choice)?;
    let setup = Setup::open(None)?;
    let cancel = CancellationToken::new();
    let solver: Box<dyn Solver> = match args.model.as_deref() {
        Some("gold") => Box::new(Known::Gold),
        Some("empty") => Box::new(Known::Empty),
        _ => Box::new(solver::Runs::new(args, cancel.clone())),
    };
    let plan = Plan {
        instances,
        out: absolute(&args.out)?,
        run_id: plain(&args.run_id, "--run-id")?,
        model: name(args),
        workers: args.workers,
        arena: arena(&setup, args)?,
        max_cost: args.max_cost.map(micros).transpose()?,
        again: args.retry_include.iter().map(|word| word.replace('-', " ")).collect(),
    };
    let stop = cancel.clone();
    let signals = tokio::spawn(async move {
        if tokio::signal::ctrl_c().await.is_ok() {
            stop.cancel();
        }
    });
    let begun = Instant::now();
    let quiet = args.output == EvalForm::Json;
    let say = |news: &News<'_>| {
        if !quiet {
            // Whoever closed standard error does not want to know.
            let _ = writeln!(io::stderr(), "{}", line(news, begun.elapsed()));
        }
    };
    let records = runner::run(&plan, &*solver, (&say, &cancel)).await;
    signals.abort();
    let records = records.or_fail(Kind::Infrastructure)?;
    let arm = arm(&plan.model, records.values());
    print(&arm, &records, args.output)?;
    if cancel.is_cancelled() {
        return Ok(ExitCode::from(130));
    }
    Ok(ExitCode::from(if records.len() < plan.instances.len() { 4 } else { 0 }))
}

/// Returns what is said when an instance is done.
fn line(news: &News<'_>, took: Duration) -> String {
    let record = news.record;
    let known = if news.known { " (known)" } else { "" };
    let why = if record.why.is_empty() { String::new() } else { format!(": {}", record.why) };
    let why: String = why.lines().next().unwrap_or_default().chars().take(160).collect();
    let each = took.as_secs_f64() / f64::from(u32::try_from(news.done).unwrap_or(u32::MAX).max(1));
    let left = each * f64::from(u32::try_from(news.all - news.done).unwrap_or(u32::MAX));
    let left =
        if news.done < news.all { format!(", about {left:.0} s left") } else { String::new() };
    format!(
        "[{}/{}{left}] {}: {}{known} in {:.1} s{why}",
        news.done,
        news.all,
        record.id,
        record.outcome.name(),
        Duration::from_millis(record.solve_ms + record.test_ms).as_secs_f64(),
    )
}

fn arena(setup: &Setup, args: &EvalRunArgs) -> Result<Arena, Failure> {
    let (backend, _) = sandbox::probe::backend(&setup.paths.state.join("sandbox"));
    let paths = &setup.paths;
    let mirrors = match args.repos.contains("://") {
        true => args.repos.clone(),
        false => {
            let unknown = |error| {
                Failure::usage(format!(
                    "cannot use {} as the folder of repositories: {error}",
                    args.repos
                ))
            };
            fs::canonicalize(&args.repos).map_err(unknown)?.to_string_lossy().into_owned()
        }
    };
    Ok(Arena {
        mirrors,
        backend,
        options: setup.section()?,
        helper: std::env::current_exe().or_fail(Kind::Infrastructure)?,
        hide: vec![paths.state.clone(), paths.config.clone(), paths.runtime.clone()],
        deadline: Duration::from_secs(args.test_timeout.max(1)),
        test_command: args.test_command.clone(),
    })
}

/// Returns the name in the official files.
fn name(args: &EvalRunArgs) -> String {
    match (args.model.as_deref(), args.workflow.as_deref(), args.worker.as_deref()) {
        (Some(fixed @ ("gold" | "empty")), ..) => fixed.to_owned(),
        (model, workflow, worker) => {
            let parts = ["grafter".to_owned()].into_iter();
            let parts = parts.chain(workflow.map(str::to_owned)).chain(worker.map(str::to_owned));
            let model = model.map(|model| model.replace([':', '/', '#'], "-"));
            let parts: Vec<String> = parts.chain(model).collect();
            if parts.len() == 1 { "grafter-repair".to_owned() } else { parts.join("-") }
        }
    }
}

fn plain(text: &str, flag: &str) -> Result<String, Failure> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if !text.is_empty() && text.chars().all(fits) && !text.starts_with('.') {
        return Ok(text.to_owned());
    }
    Err(Failure::usage(format!("{flag} has letters, digits and any of -_. only")))
}

fn micros(usd: f64) -> Result<u64, Failure> {
    if !(usd.is_finite() && usd > 0.0 && usd < 1e9) {
        return Err(Failure::usage("--max-cost must be more than 0"));
    }
    Ok(Duration::from_secs_f64(usd).as_micros().try_into().unwrap_or(u64::MAX))
}

fn absolute(path: &Path) -> Result<std::path::PathBuf, Failure> {
    std::path::absolute(path).or_fail(Kind::Usage)
}

fn chosen(args: &ChoiceArgs) -> Result<Vec<Instance>, Failure> {
    let path = args.dataset.display();
    let text = fs::read_to_string(&args.dataset).map_err(|error| {
        Failure::usage(format!("cannot read the dataset {path}: {error}"))
            .hint("SWE-bench rows, a JSON list or one object a line")
    })?;
    let all = instance::read(&text)
        .map_err(|error| Failure::usage(format!("the dataset {path}: {error}")))?;
    let choice = Choice { filter: args.filter.clone(), shuffle: args.shuffle, slice: args.slice };
    let instances = instance::chosen(all, &choice);
    if instances.is_empty() {
        return Err(Failure::usage("no instance of the dataset is chosen"));
    }
    Ok(instances)
}

fn ls(args: &ChoiceArgs) -> Result<ExitCode, Failure> {
    let row = |instance: &Instance| {
        vec![
            instance.id.clone(),
            instance.repo.clone(),
            instance.base.chars().take(10).collect(),
            instance.fail_to_pass.len().to_string(),
            instance.pass_to_pass.len().to_string(),
            instance.problem.lines().next().unwrap_or_default().chars().take(60).collect(),
        ]
    };
    let rows: Vec<Vec<String>> = chosen(args)?.iter().map(row).collect();
    let columns = [
        ("Instance", Align::Left),
        ("Repository", Align::Left),
        ("Base", Align::Left),
        ("Mend", Align::Right),
        ("Keep", Align::Right),
        ("Issue", Align::Left),
    ];
    say!("{}", render(&columns, &rows, Colour::Never).trim_end())?;
    Ok(ExitCode::SUCCESS)
}

fn records(path: &Path) -> Result<BTreeMap<String, Record>, Failure> {
    let found = runner::records(path).map_err(|_| {
        Failure::usage(format!("{} is no folder of an evaluation", path.display()))
            .hint("name the folder that was given to `grafter eval run` as --out")
    })?;
    Ok(found)
}

fn show(args: &EvalShowArgs) -> Result<ExitCode, Failure> {
    let records = records(&args.run)?;
    let arm = arm(&args.run.display().to_string(), records.values());
    print(&arm, &records, args.output)?;
    Ok(ExitCode::SUCCESS)
}

fn print(arm: &Arm, records: &BTreeMap<String, Record>, form: EvalForm) -> Result<(), Failure> {
    if form == EvalForm::Json {
        let object = serde_json::json!({ "figures": arm, "instances": records });
        return say!("{}", serde_json::to_string_pretty(&object).or_fail(Kind::Infrastructure)?);
    }
    let row = |record: &Record| {
        let why: String = record.why.lines().next().unwrap_or_default().chars().take(70).collect();
        vec![
            record.id.clone(),
            record.outcome.name(),
            format!("{}/{}", record.mended.0, record.mended.1),
            format!("{}/{}", record.kept.0, record.kept.1),
            format!("{:.1}", Duration::from_millis(record.solve_ms).as_secs_f64()),
            record.tokens.to_string(),
            why,
        ]
    };
    let columns = [
        ("Instance", Align::Left),
        ("Outcome", Align::Left),
        ("Mended", Align::Right),
        ("Kept", Align::Right),
        ("Seconds", Align::Right),
        ("Tokens", Align::Right),
        ("Why", Align::Left),
    ];
    let rows: Vec<Vec<String>> = records.values().map(row).collect();
    say!("{}\n{}", render(&columns, &rows, Colour::Never), figures(arm))?;
    if arm.is_invalid() {
        say!("No evidence: the machine failed in {} of {} instances.", arm.infra, arm.all)?;
    }
    Ok(())
}

/// Returns the figures of a run in two lines.
fn figures(arm: &Arm) -> String {
    let (low, high) = arm.interval;
    let outcomes: Vec<String> =
        arm.outcomes.iter().map(|(name, count)| format!("{count} {name}")).collect();
    let cost = Duration::from_micros(arm.cost).as_secs_f64();
    let each = match arm.resolved {
        0 => String::new(),
        resolved => format!(
            "; per resolved ${:.4} and {:.1} s",
            cost / f64::from(resolved),
            arm.seconds / f64::from(resolved)
        ),
    };
    format!(
        "{}: resolved {} of {} (95 % interval {:.0} to {:.0} %): {}\n{} tokens, ${cost:.4}, {:.0} s of \
         work, {:.1} s in the middle{each}",
        arm.name,
        arm.resolved,
        arm.all,
        100.0 * low,
        100.0 * high,
        outcomes.join(", "),
        arm.tokens,
        arm.seconds,
        arm.median,
    )
}

fn compared(args: &EvalCompareArgs) -> Result<ExitCode, Failure> {
    let (a, b) = (records(&args.a)?, records(&args.b)?);
    let (name_a, name_b) = (args.a.display().to_string(), args.b.display().to_string());
    let found = compare((&name_a, &a), (&name_b, &b));
    if args.output == EvalForm::Json {
        let object = serde_json::json!({ "comparison": found, "verdict": found.verdict() });
        say!("{}", serde_json::to_string_pretty(&object).or_fail(Kind::Infrastructure)?)?;
        return Ok(ExitCode::SUCCESS);
    }
    for arm in &found.arms {
        say!("{}", figures(arm))?;
    }
    if found.apart > 0 {
        say!("{} instances are in one run only and left out", found.apart)?;
    }
    let list = |ids: &[String]| if ids.is_empty() { "none".to_owned() } else { ids.join(", ") };
    say!("only {name_a}: {}\nonly {name_b}: {}", list(&found.only_a), list(&found.only_b))?;
    say!("{}", found.verdict())?;
    Ok(ExitCode::SUCCESS)
}
