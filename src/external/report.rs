//! What a worker says about its own work: its last words, what it used, what that cost.
//!
//! A known agent prints this in its own form, and output that is not in that form is an error: who
//! cannot say how it ended has not ended well. Nothing here decides whether the work is good.

use serde_json::Value;

use crate::{
    external::preset::Preset,
    protocol::usage::{Micros, Usage},
};

/// The longest summary, in characters.
const MAX_SUMMARY: usize = 2_000;

/// What a worker said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Its last words.
    pub summary: String,
    /// Tokens it says it used.
    pub usage: Usage,
    /// Money it says it spent; none if it does not say.
    pub cost: Option<Micros>,
    /// Why it says that it failed, if it does.
    pub error: Option<String>,
}

/// Reads what an agent printed, and what it wrote into its report file; nothing if that is not in
/// its form.
pub fn read(preset: Option<Preset>, output: &str, file: &str) -> Option<Report> {
    let report = match preset {
        None => Some(Report { summary: output.trim().to_owned(), ..Report::default() }),
        Some(Preset::Claude) => claude(&objects(output)),
        Some(Preset::Codex) => codex(&objects(output)),
        Some(Preset::Gemini) => gemini(&objects(output)),
        Some(Preset::Opencode) => opencode(&objects(output)),
        Some(Preset::Goose) => goose(&objects(output)),
        Some(Preset::Aider) => Some(aider(output)),
        Some(Preset::Mini) => mini(&serde_json::from_str(file).ok()?),
    }?;
    Some(Report { summary: last(&report.summary), ..report })
}

/// Returns the last characters of a text, as many as a summary may have.
pub(super) fn last(text: &str) -> String {
    let text = text.trim();
    let skip = text.chars().count().saturating_sub(MAX_SUMMARY);
    text.chars().skip(skip).collect()
}

/// Returns the JSON objects of a text that begin at the start of a line, whatever stands between.
fn objects(text: &str) -> Vec<Value> {
    let (mut found, mut at) = (Vec::new(), 0);
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        let mut stream = serde_json::Deserializer::from_str(rest).into_iter::<Value>();
        match rest.starts_with('{').then(|| stream.next()).flatten() {
            Some(Ok(value)) => {
                found.push(value);
                at += stream.byte_offset();
            }
            _ => at += rest.find('\n').map_or(rest.len(), |end| end + 1),
        }
    }
    found
}

/// What a worker says beyond this is no count: a trillion tokens.
pub(super) const MAX_TOKENS: u64 = 1_000_000_000_000;
/// Nor is what is beyond this a price: a billion dollars.
const MAX_DOLLARS: f64 = 1e9;

/// Returns a number of tokens; one that no model can have used is none.
fn number(value: &Value, path: &str) -> u64 {
    value.pointer(path).and_then(Value::as_u64).filter(|count| *count <= MAX_TOKENS).unwrap_or(0)
}

fn text(value: &Value, path: &str) -> String {
    value.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn is(value: &Value, kind: &str) -> bool {
    value["type"] == kind
}

/// Reads dollars; what is between two micro-dollars is rounded up.
fn money(value: Option<&Value>) -> Option<Micros> {
    let dollars = value?.as_f64().filter(|dollars| (0.0..=MAX_DOLLARS).contains(dollars))?;
    // What is less than a millionth of that comes from binary fractions.
    Some(Micros((dollars * 1e6 - 1e-6).ceil().max(0.0) as u64))
}

/// One object of type `result`: code.claude.com/docs/en/headless, and `SDKResultMessage` of
/// code.claude.com/docs/en/agent-sdk/typescript.
fn claude(all: &[Value]) -> Option<Report> {
    let result = all.iter().rfind(|value| is(value, "result"))?;
    let failed = result["is_error"] == true || result["subtype"] != "success";
    let said = text(result, "/result");
    let subtype = text(result, "/subtype");
    Some(Report {
        usage: Usage {
            input: number(result, "/usage/input_tokens"),
            cache_write: number(result, "/usage/cache_creation_input_tokens"),
            cache_read: number(result, "/usage/cache_read_input_tokens"),
            output: number(result, "/usage/output_tokens"),
        },
        cost: money(result.get("total_cost_usd")),
        error: failed.then(|| if said.is_empty() { subtype } else { said.clone() }),
        summary: said,
    })
}

/// Events as lines: `ThreadEvent` in github.com/openai/codex, codex-rs/exec/src/exec_events.rs. Older
/// versions wrote `{"msg": {"type": "token_count", …}}`. Both count the whole session each time.
fn codex(all: &[Value]) -> Option<Report> {
    let usage = all.iter().rev().find_map(|event| match is(event, "turn.completed") {
        true => event.get("usage"),
        false => event.pointer("/msg/info/total_token_usage"),
    });
    let failed = all.iter().rev().find(|event| is(event, "turn.failed") || is(event, "error"));
    let message = |event: &Value| {
        let texts = [text(event, "/error/message"), text(event, "/message")];
        texts.into_iter().find(|text| !text.is_empty()).unwrap_or_else(|| event.to_string())
    };
    // An error that a completed turn follows was one on the way.
    let done = all.iter().rev().find(|event| {
        is(event, "turn.completed")
            || is(event, "turn.failed")
            || event["msg"]["type"] == "task_complete"
    });
    let error = failed.filter(|_| done.is_none_or(|event| is(event, "turn.failed"))).map(message);
    (done.is_some() || error.is_some()).then(|| {
        let whole = usage.map_or(0, |usage| number(usage, "/input_tokens"));
        let cached = usage.map_or(0, |usage| number(usage, "/cached_input_tokens"));
        let said = all.iter().rev().find_map(|event| {
            let new = event["item"]["type"] == "agent_message" && is(event, "item.completed");
            let old = event["msg"]["type"] == "agent_message";
            let path = if new { "/item/text" } else { "/msg/message" };
            (new || old).then(|| text(event, path))
        });
        Report {
            summary: said.unwrap_or_default(),
            usage: Usage {
                input: whole.saturating_sub(cached),
                cache_write: 0,
                cache_read: cached,
                output: usage.map_or(0, |usage| number(usage, "/output_tokens")),
            },
            cost: None,
            error,
        }
    })
}

/// One object with `response`, `stats` and perhaps `error`: geminicli.com/docs/cli/headless. The
/// tokens stand per model; `prompt` counts what was cached as well.
fn gemini(all: &[Value]) -> Option<Report> {
    let known = ["response", "stats", "error"];
    let result = all.iter().rfind(|value| known.iter().any(|key| value.get(key).is_some()))?;
    let mut usage = Usage::default();
    let models = result.pointer("/stats/models").and_then(Value::as_object);
    for model in models.into_iter().flat_map(|models| models.values()) {
        let cached = number(model, "/tokens/cached");
        usage += Usage {
            input: number(model, "/tokens/prompt").saturating_sub(cached),
            cache_write: 0,
            cache_read: cached,
            output: number(model, "/tokens/candidates") + number(model, "/tokens/thoughts"),
        };
    }
    let error = result.get("error").filter(|error| !error.is_null());
    Some(Report {
        summary: text(result, "/response"),
        usage,
        cost: None,
        error: error.map(|error| match error["message"].as_str() {
            Some(message) => message.to_owned(),
            None => error.to_string(),
        }),
    })
}

/// Events as lines; each `step_finish` has its own tokens and money: github.com/anomalyco/opencode,
/// packages/opencode/src/cli/cmd/run.ts and `StepFinishPart` of session/message-v2.ts.
fn opencode(all: &[Value]) -> Option<Report> {
    let mut report = Report::default();
    let mut seen = false;
    for event in all {
        if is(event, "step_finish") {
            seen = true;
            report.usage += Usage {
                input: number(event, "/part/tokens/input"),
                cache_write: number(event, "/part/tokens/cache/write"),
                cache_read: number(event, "/part/tokens/cache/read"),
                output: number(event, "/part/tokens/output")
                    + number(event, "/part/tokens/reasoning"),
            };
            if let Some(cost) = money(event.pointer("/part/cost")) {
                *report.cost.get_or_insert_default() += cost;
            }
        } else if is(event, "text") {
            report.summary = text(event, "/part/text");
        } else if is(event, "error") {
            seen = true;
            let words = [text(event, "/error/data/message"), text(event, "/error/name")];
            let told = words.into_iter().find(|text| !text.is_empty());
            report.error = Some(told.unwrap_or_else(|| event["error"].to_string()));
        }
    }
    seen.then_some(report)
}

/// One object with `messages` and `metadata`: `JsonOutput` in github.com/block/goose,
/// crates/goose-cli/src/session/mod.rs. It tells only the sum of all tokens, which is booked as input.
fn goose(all: &[Value]) -> Option<Report> {
    let result = all.iter().rfind(|value| value["messages"].is_array())?;
    let said =
        result["messages"].as_array()?.iter().rfind(|message| message["role"] == "assistant");
    let blocks = said.and_then(|message| message["content"].as_array());
    let texts = blocks.into_iter().flatten().map(|block| text(block, "/text"));
    let input = number(result, "/metadata/total_tokens");
    Some(Report {
        summary: texts.collect::<Vec<_>>().join("\n"),
        usage: Usage { input, ..Usage::default() },
        ..Report::default()
    })
}

/// Text with lines such as `Tokens: 2.1k sent, 120 received. Cost: $0.02 message, $0.04 session.`:
/// `show_usage_report` in github.com/Aider-AI/aider, aider/coders/base_coder.py. Lines may be wrapped.
fn aider(output: &str) -> Report {
    let words: Vec<&str> = output.split_whitespace().collect();
    let mut report = Report { summary: output.to_owned(), ..Report::default() };
    for pair in words.windows(2) {
        match pair[1].trim_end_matches([',', '.']) {
            "sent" => report.usage.input += thousands(pair[0]),
            "received" => report.usage.output += thousands(pair[0]),
            // The sum so far, so the last one counts.
            "session" => {
                let dollars = pair[0].strip_prefix('$').and_then(|text| text.parse::<f64>().ok());
                let dollars = dollars.map(Value::from);
                report.cost = money(dollars.as_ref()).or(report.cost);
            }
            _ => {}
        }
    }
    report
}

/// Reads `120`, `2.1k` or `1.5M`; anything else is no number.
fn thousands(word: &str) -> u64 {
    let (digits, times) = match (word.strip_suffix('k'), word.strip_suffix('M')) {
        (Some(digits), _) => (digits, 1e3),
        (_, Some(digits)) => (digits, 1e6),
        _ => (word, 1.0),
    };
    let plain = digits.starts_with(|first: char| first.is_ascii_digit());
    let number = digits.replace(',', "").parse::<f64>().ok().filter(|_| plain);
    number.map_or(0, |number| ((number * times).round() as u64).min(MAX_TOKENS))
}

/// The trajectory file: mini-swe-agent.com/latest/usage/output_files.
fn mini(trajectory: &Value) -> Option<Report> {
    let info = trajectory.get("info")?;
    let status = text(info, "/exit_status");
    let mut usage = Usage::default();
    for message in trajectory["messages"].as_array().into_iter().flatten() {
        let Some(used) = message.pointer("/extra/response/usage") else { continue };
        let cached = number(used, "/prompt_tokens_details/cached_tokens");
        usage += Usage {
            input: number(used, "/prompt_tokens").saturating_sub(cached),
            cache_write: 0,
            cache_read: cached,
            output: number(used, "/completion_tokens"),
        };
    }
    Some(Report {
        summary: text(info, "/submission"),
        usage,
        // Nothing stands for a price that it does not know, too.
        cost: money(info.pointer("/model_stats/instance_cost")).filter(|cost| cost.0 > 0),
        error: (status != "Submitted").then(|| format!("it ended as {status}")),
    })
}

#[cfg(test)]
mod tests;
