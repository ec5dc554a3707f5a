//! How often auto mode is wrong: `cargo run --example auto_mode [-- --model NAME] [--list]`.
//!
//! Takes the labelled actions of `examples/auto_mode.tsv` through the gate and the decision, as a
//! run would, and compares with the labels. A false positive is an action labelled `allow` that
//! does not run; a false negative is one labelled `ask` or `deny` that does. With `--model` what
//! the rules are not sure of is put to that model, in the same two stages as in a run; without,
//! it counts as asked. `--list` prints every action that is decided otherwise than labelled.

use std::{env, process::ExitCode, sync::Arc, time::Duration};

use grafter::{
    agent::classify::{request, settled},
    guard::{
        classify::{Opinion, Query, Stage},
        decide::{Disposition, Facts, Policy, decide},
        gate::{ShellFacts, judge},
        options::Options,
    },
    protocol::{
        ids::{CallId, RunId},
        message::ToolCall,
        task::{Mode, Phase},
    },
    provider::{
        known,
        model::{Cue, Model, silent},
        open,
    },
    tools::catalogue::catalogue,
};
use tokio_util::sync::CancellationToken;

const ACTIONS: &str = include_str!("auto_mode.tsv");
const WORDS: [&str; 3] = ["allow", "ask", "deny"];
const USAGE: &str = "usage: auto_mode [--model NAME] [--list]";

/// A labelled action.
struct Action<'a> {
    label: usize,
    folder: &'a str,
    why: &'a str,
    command: &'a str,
}

/// What was counted: by label, and by what became of it.
#[derive(Default)]
struct Table([[usize; 3]; 3]);

impl Table {
    fn rate(&self, wrong: usize, labels: &[usize]) -> String {
        let all: usize = labels.iter().map(|label| self.0[*label].iter().sum::<usize>()).sum();
        format!("{wrong} of {all} ({:.1} %)", 100.0 * wrong as f64 / all.max(1) as f64)
    }

    fn print(&self, title: &str) {
        print(&format!("\n{title}\n{:<12} {:>6} {:>6} {:>6}", "label", "run", "ask", "deny"));
        for (word, row) in WORDS.iter().zip(&self.0) {
            print(&format!("{word:<12} {:>6} {:>6} {:>6}", row[0], row[1], row[2]));
        }
        let stopped = self.0[0][1] + self.0[0][2];
        let ran = self.0[1][0] + self.0[2][0];
        print(&format!("false positives: {}", self.rate(stopped, &[0])));
        print(&format!("false negatives: {}", self.rate(ran, &[1, 2])));
        print(&format!("of those labelled deny, run: {}", self.rate(self.0[2][0], &[2])));
    }
}

#[expect(clippy::print_stdout, reason = "an example's result is what it prints")]
fn print(text: &str) {
    println!("{text}");
}

#[tokio::main]
async fn main() -> ExitCode {
    let args: Vec<String> = env::args().skip(1).collect();
    let (name, list) = match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => (None, false),
        ["--list"] => (None, true),
        ["--model", name] => (Some(name), false),
        ["--model", name, "--list"] => (Some(name), true),
        _ => {
            print(USAGE);
            return ExitCode::from(2);
        }
    };
    let var = |name: &str| env::var(name).ok();
    let model = name.map(|name| open::open(name, &known::Options::default(), &var)).transpose();
    match model {
        Ok(model) => measure(model.as_deref(), list).await,
        Err(error) => {
            print(&format!("{error}\nhint: {}", error.hint()));
            return ExitCode::from(2);
        }
    }
    ExitCode::SUCCESS
}

async fn measure(model: Option<&dyn Model>, list: bool) {
    let actions: Vec<Action<'_>> = ACTIONS.lines().filter_map(action).collect();
    let (mut rules, mut both) = (Table::default(), Table::default());
    let (mut unsure, mut silent) = (0, 0);
    for action in &actions {
        let (first, query) = decided(action, None);
        let last = match (model, query) {
            (Some(model), Some(query)) => {
                unsure += 1;
                let opinion = opinion(model, &query).await;
                silent += usize::from(opinion.is_none());
                decided(action, Some(opinion.unwrap_or(Opinion::Ask))).0
            }
            _ => first,
        };
        rules.0[action.label][first] += 1;
        both.0[action.label][last] += 1;
        if list && (action.label == 0) != (last == 0) {
            let (word, became) = (WORDS[action.label], ["run", "ask", "deny"][last]);
            print(&format!("{word} -> {became}: {}  ({})", action.command, action.why));
        }
    }
    print(&format!("{} actions", actions.len()));
    rules.print("rules alone");
    if let Some(model) = model {
        both.print(&format!("rules, then {}", model.name()));
        print(&format!("put to the model: {unsure}, without an answer: {silent}"));
    }
}

fn action(line: &str) -> Option<Action<'_>> {
    let mut fields = line.splitn(5, '\t');
    let label = fields.next()?;
    let label = WORDS.iter().position(|word| *word == label)?;
    let (folder, _source, why, command) =
        (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
    Some(Action { label, folder, why, command })
}

/// Returns what becomes of an action: 0 runs, 1 is asked, 2 is denied; and what a model is asked
/// if it can be.
fn decided(action: &Action<'_>, opinion: Option<Opinion>) -> (usize, Option<Query>) {
    let root = "/repo".to_owned();
    let shell = ShellFacts {
        cwd: format!("{root}/{}", action.folder).trim_end_matches("/.").to_owned(),
        home: "/home/dev".to_owned(),
        scratch: vec!["/tmp".to_owned()],
        root,
        ..ShellFacts::default()
    };
    let spec = catalogue().get("bash").expect("the table has bash");
    let input = serde_json::json!({ "command": action.command, "cwd": action.folder });
    let call = ToolCall { id: CallId::new("1"), name: spec.name.clone(), input };
    let judgement = Some(judge(action.command, &shell));
    let facts = Facts { judgement, root: shell.root, opinion, ..Facts::default() };
    let rules = Options { classifier: Some("any".to_owned()), ..Options::default() };
    let (mode, phase) = (Mode::Auto, Phase::Implementation);
    let policy =
        Policy { mode, phase, interactive: true, rules: Arc::new(rules), scope: Vec::new() };
    match decide(&call, spec, &facts, &policy).disposition {
        Disposition::Run(_) => (0, None),
        Disposition::Ask(_) => (1, None),
        Disposition::Unsure(query) => (1, Some(query)),
        Disposition::Deny(_) => (2, None),
    }
}

/// Returns what a model thinks; nothing if it does not answer in time or at all.
async fn opinion(model: &dyn Model, query: &Query) -> Option<Opinion> {
    let cue = Cue {
        run: RunId::new("r"),
        node: "solve".to_owned(),
        role: String::new(),
        phase: Phase::Implementation,
        index: 0,
        sample: 0,
        attempt: 1,
        turn: 0,
    };
    let patience = Duration::from_secs(Options::default().classifier_seconds);
    let cancel = CancellationToken::new();
    for stage in Stage::ALL {
        let ask = request(stage, query, &cue);
        let answer = tokio::time::timeout(patience, model.ask(&ask, silent(), &cancel)).await;
        let Ok(Ok(reply)) = answer else { return None };
        if let Some(opinion) = settled(stage, &reply) {
            return Some(opinion);
        }
    }
    None
}
