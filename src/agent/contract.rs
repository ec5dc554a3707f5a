//! What an agent must hand in before its `finish` is accepted.
//!
//! Pure and mechanical: nothing here believes the model. A finding counts as weighed only if this
//! agent itself read the lines it stands on, a plan that repeats one finding is no plan, and a
//! writer that changed nothing is not done. Everything that is missing is said at once, so that
//! one more turn can mend it.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::{
    agent::{assignment::Contract, similarity::similarity},
    prompt::words::{Words, fill},
    protocol::{
        outcome::{Evidence, Finding, Status},
        part,
        task::Phase,
    },
    tools::finish::{FindingUsed, FinishInput, Use, Verdict},
};

/// Above this a text repeats a finding instead of weighing it.
pub(super) const COPY: f64 = 0.8;
/// Characters of a summary.
const MAX_SUMMARY: usize = 2000;
/// Largest carry in bytes of JSON; what follows is read by models.
const MAX_CARRY: usize = 32 * 1024;

/// What the scaffold knows of an agent's work at the time it wants to finish.
#[derive(Clone, Copy, Debug)]
pub struct Done<'a> {
    /// Findings it reported.
    pub findings: &'a [Finding],
    /// Lines it read.
    pub read: &'a [Evidence],
    /// Whether its tree differs from the one it began with; always false for readers.
    pub changed: bool,
}

/// Returns what is missing, one sentence each; nothing if the node may finish.
///
/// An agent that says it failed owes no work, only the words.
pub fn missing(
    words: &Words,
    contract: &Contract,
    (done, input): (Done<'_>, &FinishInput),
) -> Vec<String> {
    let mut missing = Vec::new();
    if input.summary.trim().is_empty() {
        missing.push(words.no_summary.clone());
    }
    if input.status == Status::Failed {
        return missing;
    }
    missing.extend(carries(contract, input));
    match contract.phase {
        Phase::Research if done.findings.is_empty() => missing.push(words.no_finding.clone()),
        Phase::Implementation if !(done.changed || contract.continues) => {
            missing.push(words.no_change.clone());
        }
        Phase::Research | Phase::Implementation => {}
        Phase::Synthesis => missing.extend(synthesis(words, contract, (done, input))),
        Phase::Verification => missing.extend(verification(words, input)),
    }
    missing
}

/// Returns a summary that is not longer than an outcome may hold.
pub fn capped(summary: &str) -> String {
    summary.trim().chars().take(MAX_SUMMARY).collect()
}

/// Returns the carries that the node hands on: those it owes, findings filled in by the scaffold.
pub fn carried(
    contract: &Contract,
    findings: &[Finding],
    input: &FinishInput,
) -> BTreeMap<String, Value> {
    let owed = contract.gives.iter().filter_map(|(name, kind)| {
        let value = match kind.as_str() {
            "findings" => serde_json::to_value(findings).ok(),
            _ => input.carry.get(name).cloned(),
        };
        Some((name.clone(), value?))
    });
    owed.collect()
}

fn carries(contract: &Contract, input: &FinishInput) -> Vec<String> {
    let owed = contract.gives.iter().filter(|(_, kind)| kind.as_str() != "findings");
    owed.filter_map(|(name, kind)| carry(name, kind, input.carry.get(name))).collect()
}

fn carry(name: &str, kind: &str, value: Option<&Value>) -> Option<String> {
    let Some(value) = value else {
        return Some(format!("`carry.{name}` is missing; it must be a {kind}"));
    };
    let fits = match kind {
        "text" => value.as_str().is_some_and(|text| !text.trim().is_empty()),
        "number" => value.is_number(),
        "bool" => value.is_boolean(),
        "list" | "parts" => value.is_array(),
        _ => true,
    };
    if !fits {
        let given = kind_of(value);
        return Some(format!("`carry.{name}` must be a {kind}, but {given} was given"));
    }
    if let ("parts", Value::Array(items)) = (kind, value)
        && let Err(why) = part::read(items)
    {
        return Some(format!("`carry.{name}`: {why}"));
    }
    let bytes = value.to_string().len();
    (bytes > MAX_CARRY).then(|| {
        format!("`carry.{name}` has {bytes} bytes, at most {MAX_CARRY} are allowed; shorten it")
    })
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a bool",
        Value::Number(_) => "a number",
        Value::String(text) if text.trim().is_empty() => "an empty text",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

fn synthesis(
    words: &Words,
    contract: &Contract,
    (done, input): (Done<'_>, &FinishInput),
) -> Vec<String> {
    weighs(words, contract.findings.iter().map(|finding| (finding, done.read)), input)
}

/// Returns what is missing for a text to have weighed findings, each given with the lines that were
/// read since it came.
pub fn weighs<'f>(
    words: &Words,
    findings: impl Iterator<Item = (&'f Finding, &'f [Evidence])>,
    input: &FinishInput,
) -> Vec<String> {
    let mut missing = Vec::new();
    let (mut any, mut taken) = (false, false);
    for (finding, read) in findings {
        missing.extend(weighed(words, finding, (read, input)));
        missing.extend(copied(words, finding, input));
        let uses = |used: &FindingUsed| used.id == finding.id && used.r#use != Use::Rejected;
        (any, taken) = (true, taken || input.findings_used.iter().any(uses));
    }
    if missing.is_empty() && any && !taken {
        missing.push(words.all_rejected.clone());
    }
    missing
}

/// Says what is missing for one finding to count as weighed.
fn weighed(
    words: &Words,
    finding: &Finding,
    (read, input): (&[Evidence], &FinishInput),
) -> Option<String> {
    let id = ("id", finding.id.as_str());
    let Some(used) = input.findings_used.iter().find(|used| used.id == finding.id) else {
        return Some(fill(&words.not_weighed, &[id]));
    };
    if used.reason.trim().is_empty() {
        return Some(fill(&words.no_reason, &[id]));
    }
    if used.r#use == Use::Rejected {
        return None;
    }
    let unread: Vec<_> = finding.evidence.iter().filter(|at| !covered(read, at)).collect();
    (!unread.is_empty()).then(|| {
        let lines: Vec<_> =
            unread.iter().map(|at| format!("{}:{}-{}", at.path, at.from, at.to)).collect();
        fill(&words.not_read, &[id, ("lines", &lines.join(", "))])
    })
}

/// Returns whether each of the lines is among those that were read.
///
/// An agent's reads begin after the findings have arrived: these stand in its first message.
pub fn covered(read: &[Evidence], lines: &Evidence) -> bool {
    let of_file = read.iter().filter(|seen| seen.path == lines.path);
    let mut spans: Vec<_> = of_file.map(|seen| (seen.from, seen.to)).collect();
    spans.sort_unstable();
    let mut next = lines.from;
    for (from, to) in spans {
        if from <= next && to >= next {
            next = to.saturating_add(1);
        }
    }
    next > lines.to
}

fn copied(words: &Words, finding: &Finding, input: &FinishInput) -> Option<String> {
    let texts =
        input.carry.iter().filter_map(|(name, value)| Some((name.as_str(), value.as_str()?)));
    let mut texts = [("summary", input.summary.as_str())].into_iter().chain(texts);
    let (name, _) = texts.find(|(_, text)| similarity(text, &finding.claim) > COPY)?;
    Some(fill(&words.copied, &[("name", name), ("id", &finding.id)]))
}

fn verification(words: &Words, input: &FinishInput) -> Option<String> {
    let text = match input.verdict {
        None => &words.no_verdict,
        Some(Verdict::Fail) if input.must_fix.is_empty() => &words.no_must_fix,
        Some(Verdict::Pass) if !input.must_fix.is_empty() => &words.must_fix_of_pass,
        Some(_) => return None,
    };
    Some(text.clone())
}

#[cfg(test)]
mod tests;
