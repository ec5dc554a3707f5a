//! Reading a backlog: YAML, JSON, JSON lines or markdown files, checked as a whole. Pure but for
//! the folder of markdown files, which the caller reads.
//!
//! A backlog comes from people and programs, and may be wrong in many places: all of them are said
//! at once, each with its task, and nothing begins until it is right.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use thiserror::Error;

use crate::{
    fleet::scope,
    protocol::{batch::BatchTask, task::Task, usage::Micros},
    settings::{nearest, yaml},
};

/// The most tasks of one batch.
pub const MAX_TASKS: usize = 20_000;
/// The longest id; it stands in tables and branch names.
const MAX_ID: usize = 64;
/// How many problems are said at once.
const MAX_SAID: usize = 20;

/// What is wrong with a backlog.
#[derive(Debug, Error)]
#[error("{}", self.shown())]
pub struct TasksError {
    /// The file, the folder or `standard input`.
    pub name: String,
    /// What is wrong, in the order of the tasks.
    pub problems: Vec<String>,
}

impl TasksError {
    fn shown(&self) -> String {
        let problems = self.problems.join("\n  ");
        // What the reader of YAML says begins with the place already.
        match problems.starts_with(&format!("{}:", self.name)) {
            true => problems,
            false => format!("{}: {problems}", self.name),
        }
    }

    /// Returns what the user can do.
    pub fn hint(&self) -> &'static str {
        "a backlog is a list of tasks with `id`, `title`, `body` and, where you want, `scope`, \
         `needs`, `verify`, `repo`, `branch`, `model`, `workflow`, `budget`; JSON lines suit thousands of them"
    }
}

/// Which form a backlog is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// YAML, or JSON, which is YAML as well: a list, or a table with `tasks`.
    Yaml,
    /// One JSON object a line.
    Lines,
}

impl Form {
    /// Returns the form of a file by its name; what comes without a name is looked into.
    pub fn of(name: &str, text: &str) -> Self {
        let lines = || text.trim_start().starts_with('{') && text.trim().contains("}\n");
        match name.rsplit_once('.').map(|(_, ending)| ending) {
            Some("jsonl" | "ndjson") => Self::Lines,
            Some("yaml" | "yml" | "json") => Self::Yaml,
            _ if lines() => Self::Lines,
            _ => Self::Yaml,
        }
    }
}

/// A task as it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Given {
    #[serde(default)]
    id: Option<String>,
    #[serde(default)]
    title: String,
    #[serde(default)]
    body: String,
    #[serde(default)]
    scope: Words,
    #[serde(default)]
    needs: Words,
    #[serde(default)]
    verify: Words,
    #[serde(default)]
    repo: Option<String>,
    #[serde(default)]
    branch: Option<String>,
    #[serde(default)]
    model: Option<String>,
    #[serde(default)]
    workflow: Option<String>,
    #[serde(default)]
    budget: Option<f64>,
}

/// One word or several.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Words {
    One(String),
    Many(Vec<String>),
}

impl Default for Words {
    fn default() -> Self {
        Self::Many(Vec::new())
    }
}

impl From<Words> for Vec<String> {
    fn from(words: Words) -> Self {
        match words {
            Words::One(word) => vec![word],
            Words::Many(words) => words,
        }
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum File {
    List(Vec<Given>),
    Table { tasks: Vec<Given> },
}

/// Returns the tasks that a text holds, checked; `name` is the file's name in messages.
pub fn read(name: &str, text: &str, form: Form) -> Result<Vec<BatchTask>, TasksError> {
    let failed = |problem: String| TasksError { name: name.to_owned(), problems: vec![problem] };
    let given = match form {
        Form::Yaml => whole(name, text).map_err(failed)?,
        Form::Lines => lines(text).map_err(failed)?,
    };
    checked(name, given)
}

/// Returns the tasks of markdown files, given as name and text: the name without its ending is the
/// id, the first heading the title; a head between lines of `---` may say the rest as YAML.
pub fn read_markdown(name: &str, files: &[(String, String)]) -> Result<Vec<BatchTask>, TasksError> {
    let (mut given, mut problems) = (Vec::new(), Vec::new());
    for (file, text) in files {
        match markdown(file, text) {
            Ok(task) => given.push(task),
            Err(problem) => problems.push(problem),
        }
    }
    match problems.is_empty() {
        true => checked(name, given),
        false => Err(TasksError { name: name.to_owned(), problems }),
    }
}

/// Returns the tasks of one repository, and how many there are of others. `is` says whether what a
/// task names is this one.
pub fn of_repo(
    name: &str,
    tasks: Vec<BatchTask>,
    is: &dyn Fn(&str) -> bool,
) -> Result<(Vec<BatchTask>, usize), TasksError> {
    let ours = |task: &BatchTask| task.repo.as_deref().is_none_or(is);
    let (tasks, others): (Vec<_>, Vec<_>) = tasks.into_iter().partition(ours);
    let away: BTreeSet<&str> = others.iter().map(|task| task.id.as_str()).collect();
    let mut problems = Vec::new();
    for task in &tasks {
        for need in task.needs.iter().filter(|need| away.contains(need.as_str())) {
            let text =
                format!("task `{}` needs `{need}`, which is for another repository", task.id);
            problems.push(text);
        }
    }
    if tasks.is_empty() {
        problems.push("no task of it is for this repository".to_owned());
    }
    problems.truncate(MAX_SAID);
    match problems.is_empty() {
        true => Ok((tasks, others.len())),
        false => Err(TasksError { name: name.to_owned(), problems }),
    }
}

/// Returns whether what a task names as its repository is this place, of a remote or in the file
/// system: the place itself, or its end from a slash on.
pub fn names_place(named: &str, place: &str) -> bool {
    let (named, place) = (bare(named), bare(place));
    !named.is_empty() && (place == named || place.ends_with(&format!("/{named}")))
}

/// Returns a place without its scheme, its user and its ending.
fn bare(place: &str) -> String {
    let place = place.split_once("://").map_or(place, |(_, rest)| rest);
    let place = match place.split_once('@') {
        Some((user, rest)) if !user.contains('/') => rest,
        _ => place,
    };
    place.trim_end_matches('/').trim_end_matches(".git").replace(':', "/")
}

fn whole(name: &str, text: &str) -> Result<Vec<Given>, String> {
    // An untagged enum says little of what is wrong inside: the form is found out first.
    let listed = text.lines().map(str::trim_start).find(|line| !skipped(line));
    if listed.is_some_and(|line| line.starts_with(['-', '['])) {
        return yaml::from_str::<Vec<Given>>(name, text).map_err(|error| error.to_string());
    }
    match yaml::from_str::<File>(name, text) {
        Ok(File::List(tasks) | File::Table { tasks }) => Ok(tasks),
        Err(_) => {
            #[derive(Deserialize)]
            #[serde(deny_unknown_fields)]
            struct Table {
                tasks: Vec<Given>,
            }
            let table = yaml::from_str::<Table>(name, text);
            table.map(|table| table.tasks).map_err(|error| error.to_string())
        }
    }
}

fn skipped(line: &str) -> bool {
    line.is_empty() || line.starts_with('#') || line.starts_with("---")
}

fn lines(text: &str) -> Result<Vec<Given>, String> {
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let read = |(at, line): (usize, &str)| {
        serde_json::from_str(line).map_err(|error| format!("line {}: {error}", at + 1))
    };
    lines.map(read).collect()
}

fn markdown(file: &str, text: &str) -> Result<Given, String> {
    let (head, rest) = match text.strip_prefix("---\n").and_then(|rest| rest.split_once("\n---\n"))
    {
        Some((head, rest)) => (head, rest),
        None => ("", text),
    };
    let mut given: Given = match head.trim() {
        "" => Given::default(),
        head => yaml::from_str(file, head).map_err(|error| error.to_string())?,
    };
    let rest = rest.trim();
    if given.title.is_empty()
        && let Some(title) = rest.lines().next().and_then(|line| line.strip_prefix("# "))
    {
        given.title = title.trim().to_owned();
        given.body = rest.split_once('\n').map_or("", |(_, body)| body).trim().to_owned();
    } else if given.body.is_empty() {
        given.body = rest.to_owned();
    }
    given.id.get_or_insert_with(|| file.trim_end_matches(".md").to_owned());
    Ok(given)
}

fn checked(name: &str, given: Vec<Given>) -> Result<Vec<BatchTask>, TasksError> {
    let mut problems = Vec::new();
    if given.is_empty() {
        problems.push("there is no task in it".to_owned());
    }
    if given.len() > MAX_TASKS {
        problems.push(format!("{} tasks are too many: at most {MAX_TASKS}", given.len()));
    }
    let tasks: Vec<_> =
        given.into_iter().enumerate().map(|(at, given)| task(at, given, &mut problems)).collect();
    let mut ids = BTreeSet::new();
    for task in &tasks {
        if !ids.insert(task.id.as_str()) {
            problems.push(format!("the id `{}` is used twice", task.id));
        }
    }
    for task in &tasks {
        for need in task.needs.iter().filter(|need| !ids.contains(need.as_str())) {
            let near = nearest::hint(need, ids.iter().copied());
            problems.push(format!("task `{}` needs `{need}`, which is no task{near}", task.id));
        }
    }
    if problems.is_empty()
        && let Some(ring) = ring(&tasks)
    {
        problems.push(format!("tasks need each other in a ring: {}", ring.join(" → ")));
    }
    if problems.is_empty() {
        return Ok(tasks);
    }
    let more = problems.len().saturating_sub(MAX_SAID);
    problems.truncate(MAX_SAID);
    if more > 0 {
        problems.push(format!("and {more} more"));
    }
    Err(TasksError { name: name.to_owned(), problems })
}

fn task(at: usize, given: Given, problems: &mut Vec<String>) -> BatchTask {
    let mut task = BatchTask {
        id: given.id.unwrap_or_default(),
        title: given.title.trim().to_owned(),
        body: given.body.trim().to_owned(),
        scope: given.scope.into(),
        needs: given.needs.into(),
        verify: given.verify.into(),
        repo: given.repo,
        branch: given.branch,
        model: given.model,
        workflow: given.workflow,
        budget: None,
    };
    if task.id.is_empty() {
        task.id = Task::new(task.headline()).slug;
    }
    let mut bad = |what: String| problems.push(format!("task {} (`{}`): {what}", at + 1, task.id));
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let odd = task.id.starts_with(['-', '.']) || !task.id.chars().all(plain);
    if odd || task.id.len() > MAX_ID {
        bad(format!("its id must be 1 to {MAX_ID} letters, digits, `-`, `_` and `.`"));
    }
    if task.text().is_empty() && task.branch.is_none() {
        bad("neither `title` nor `body` says what is to be done".to_owned());
    }
    if task.verify.iter().any(|command| command.trim().is_empty()) {
        bad("a command of `verify` is empty".to_owned());
    }
    for glob in &task.scope {
        if !scope::is_glob(glob) {
            bad(format!("`{glob}` in `scope` is no glob relative to the repository's root"));
        }
    }
    match given.budget {
        Some(dollars) if !(0.0..=1e9).contains(&dollars) => {
            bad(format!("its budget cannot be {dollars}"));
        }
        // Both bounds are checked; what is left is a whole number of micro-dollars.
        Some(dollars) => task.budget = Some(Micros((dollars * 1e6).round() as u64)),
        None => {}
    }
    task
}

/// Returns tasks that need each other in a ring, if there are any, the first one again at the end.
fn ring(tasks: &[BatchTask]) -> Option<Vec<String>> {
    let index: BTreeMap<&str, usize> =
        tasks.iter().enumerate().map(|(at, task)| (task.id.as_str(), at)).collect();
    let needs = |at: usize| tasks[at].needs.iter().filter_map(|need| index.get(need.as_str()));
    let mut needed_by = vec![Vec::new(); tasks.len()];
    let mut open: Vec<usize> = (0..tasks.len()).map(|at| needs(at).count()).collect();
    for at in 0..tasks.len() {
        needs(at).for_each(|&need| needed_by[need].push(at));
    }
    let mut free: Vec<usize> = (0..tasks.len()).filter(|&at| open[at] == 0).collect();
    while let Some(at) = free.pop() {
        for &next in &needed_by[at] {
            open[next] -= 1;
            if open[next] == 0 {
                free.push(next);
            }
        }
    }
    // From any task that is left its needs lead round and round.
    let mut way = vec![open.iter().position(|&count| count > 0)?];
    loop {
        let next = *needs(*way.last()?).find(|&&need| open[need] > 0)?;
        if let Some(begin) = way.iter().position(|&at| at == next) {
            let ring = way[begin..].iter().chain([&way[begin]]);
            return Some(ring.map(|&at| tasks[at].id.clone()).collect());
        }
        way.push(next);
    }
}

#[cfg(test)]
mod tests;
