//! What an agent is shown: the variables of its prompt, and the prompt assembled from them.
//!
//! The issue, the words of checks and diffs are cleaned as results of tools are. Files are not: text
//! formats answer with parts of them.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::{
    agent::prefix::Prefix,
    coordinator::{
        brief::Brief,
        focus,
        shared::{Shared, blocking, broken},
        unit::shown,
    },
    git::{diff, facts},
    graph::node::AgentWork,
    prompt::{
        assemble::{Assembled, Scene, assemble},
        words::fill,
    },
    protocol::{
        asked::Asked,
        cause::chain,
        ids::Oid,
        report::RunEnd,
        task::{AgentKind, EditFormat, Phase},
    },
    tools::clean::cleaned,
    verify::touched,
};

/// Bytes of a diff that a prompt shows.
const MAX_DIFF: usize = 24_000;

/// A prompt, and the files whose content it holds.
pub(super) struct Staged {
    pub(super) prompt: Assembled,
    /// Names the prompt, whether or not the checks on the base had ended by then: what these say
    /// follows from the base and the commands, which a content key names anyway.
    pub(super) sha: String,
    pub(super) offered: Vec<String>,
}

/// Returns an agent's prompt.
pub(super) async fn scene(
    shared: &Arc<Shared>,
    brief: &Brief,
    (agent, format): (&AgentWork, EditFormat),
) -> Result<Staged, RunEnd> {
    let mut vars = Map::new();
    vars.insert("task".into(), json!(cleaned(&shared.started.task.text)));
    vars.insert("workflow".into(), json!(shared.started.workflow));
    vars.insert("index".into(), json!(brief.index));
    vars.insert("item".into(), json!(brief.item.as_ref().map(shown).unwrap_or_default()));
    vars.insert("findings".into(), json!(brief.findings));
    let carries = brief.carries.iter().map(|(name, value)| (name.clone(), json!(shown(value))));
    vars.insert("carries".into(), Value::Object(carries.collect()));
    let commands = shared.options.checks.iter().map(|check| check.command.as_str());
    vars.insert("checks".into(), json!(commands.collect::<Vec<_>>()));
    let gives = brief.node.gives.iter().map(|(name, kind)| (name.clone(), json!(kind.name())));
    vars.insert("gives".into(), Value::Object(gives.collect()));
    let fork = brief.node.kind == AgentKind::Fork;
    vars.insert("fork_tools".into(), json!(if fork { &agent.tools[..] } else { &[] }));
    vars.insert("feedback".into(), json!(cleaned(&feedback(shared, brief)?)));
    vars.insert("base_failures".into(), json!(""));
    vars.insert("parts".into(), json!(brief.parts));
    let (repo, base) = (shared.repo.clone(), brief.ground.clone());
    let change = change(shared, brief);
    let text = brief.part.as_ref().map_or(&shared.started.task.text, |part| &part.text);
    let focus = (format != EditFormat::Tools).then(|| (brief.begin.clone(), text.clone()));
    let seen = blocking(move || look(&repo, &base, (change, focus)));
    let seen = seen.await.map_err(RunEnd::Infrastructure)?;
    vars.insert("repo_facts".into(), json!(seen.facts));
    vars.insert("tests_touched".into(), json!(touched::tests_touched(&seen.diff)));
    vars.insert("diff".into(), json!(cut(&cleaned(&seen.diff))));
    let again = if brief.part.is_some() { cut(&cleaned(&seen.diff)) } else { String::new() };
    vars.insert("again".into(), json!(again));
    let files = seen.files.iter().map(|(path, content)| json!({"path": path, "content": content}));
    vars.insert("files".into(), Value::Array(files.collect()));
    let mut scene =
        Scene { role: agent.role.clone(), phase: brief.node.phase, edit_format: format, vars };
    let mut prompt = assemble(&shared.prompts, &scene).map_err(|error| broken(&error))?;
    let sha = prompt.sha.clone();
    let failures = cleaned(&base_failures(brief));
    if !failures.is_empty() {
        scene.vars.insert("base_failures".into(), json!(failures));
        prompt = assemble(&shared.prompts, &scene).map_err(|error| broken(&error))?;
    }
    Ok(Staged { prompt, sha, offered: seen.files.into_iter().map(|(path, _)| path).collect() })
}

/// Returns the prompt of one that answers for an agent that has ended, and goes on from its context.
pub(super) fn question(
    shared: &Shared,
    asked: &Asked,
    (agent, prefix): (&AgentWork, &Prefix),
) -> Result<Staged, RunEnd> {
    let question = shared.journal.fetch(&asked.question).map_err(|error| broken(&error))?;
    let words = shared.prompts.words();
    let text = if prefix.tools.is_empty() { &words.asked_text } else { &words.asked };
    let is_offered = |name: &&String| prefix.tools.iter().any(|spec| spec.name == **name);
    let tools = agent.tools.iter().filter(is_offered).map(|name| format!("`{name}`"));
    let tools: Vec<_> = tools.collect();
    let opening = fill(text, &[("question", &cleaned(&question)), ("tools", &tools.join(", "))]);
    let sha = blake3::hash(opening.as_bytes()).to_hex().to_string();
    let prompt = Assembled { system: Vec::new(), opening, sha: sha.clone() };
    Ok(Staged { prompt, sha, offered: Vec::new() })
}

fn feedback(shared: &Shared, brief: &Brief) -> Result<String, RunEnd> {
    let fetched = brief.feedback.as_ref().map(|kept| shared.journal.fetch(kept)).transpose();
    Ok(fetched.map_err(|error| broken(&error))?.unwrap_or_default())
}

/// A commit before and one after.
type Change = (Oid, Oid);
/// Where files are looked for that are about a text.
type Focus = (Oid, String);

/// The commits whose difference this agent is about, if there is one.
fn change(shared: &Shared, brief: &Brief) -> Option<Change> {
    let ground = brief.ground.clone();
    match (brief.node.phase, &brief.candidate) {
        (Phase::Verification, Some(made)) => Some((ground, made.candidate.clone())),
        (Phase::Implementation, _) => Some((ground, brief.commit.clone()?)),
        (Phase::Research | Phase::Synthesis, _) => Some((shared.options.since.clone()?, ground)),
        _ => None,
    }
}

fn base_failures(brief: &Brief) -> String {
    let runs = brief.base_report.iter().flat_map(|report| &report.runs);
    let failing = runs.filter(|run| !run.end.is_success());
    let texts: Vec<String> =
        failing.map(|run| format!("$ {}\n{}", run.check.command, run.tail)).collect();
    texts.join("\n")
}

struct Seen {
    facts: String,
    diff: String,
    files: Vec<(String, String)>,
}

fn look(
    repo: &crate::git::repo::Repo,
    base: &Oid,
    (change, focus): (Option<Change>, Option<Focus>),
) -> Result<Seen, String> {
    let facts = facts::facts(repo, base).map_err(|error| chain(&error))?;
    let diff = match &change {
        Some((from, to)) => diff::unified(repo, from, to).map_err(|error| chain(&error))?,
        None => String::new(),
    };
    let files = match focus {
        Some((begin, task)) => {
            let all = facts::sources(repo, &begin).map_err(|error| chain(&error))?;
            focus::pick(&task, all)
        }
        None => Vec::new(),
    };
    Ok(Seen { facts, diff, files })
}

fn cut(diff: &str) -> String {
    let mut end = diff.len().min(MAX_DIFF);
    while !diff.is_char_boundary(end) {
        end -= 1;
    }
    let dropped = diff.len() - end;
    let note =
        if dropped > 0 { format!("\n[{dropped} more bytes of the diff]") } else { "".into() };
    format!("{}{note}", diff.get(..end).unwrap_or_default())
}
