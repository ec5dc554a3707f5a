//! The calls of an agent that leads its run: it asks for others, waits for them, and hears them.
//!
//! An order to a writer is a synthesis, and is held to the same rules: every finding that was heard
//! is weighed, what is used was read here after it came, and no finding is passed on as the plan.

use std::time::Duration;

use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;
use tokio::{sync::oneshot, time::timeout};

use crate::{
    agent::{
        contract::{self, COPY, capped},
        session::{Session, Stop},
        similarity::similarity,
    },
    prompt::words::fill,
    protocol::{
        message::ToolCall,
        outcome::{Evidence, Finding, Outcome, Status},
        request::{Errand, Led, Order, Request},
        task::{AgentKind, Phase},
        task_list::Wish,
    },
    tools::{
        answer::{Effect, ToolAnswer},
        catalogue::catalogue,
        clean::shown,
        finish::{FindingUsed, FinishInput},
    },
};

/// The tool that asks for another agent.
pub(super) const SPAWN: &str = "spawn";
/// The tool that writes to another agent.
const SEND: &str = "send";
/// The tool that waits for a message.
const RECEIVE: &str = "receive";
/// Characters that `wait` shows of a claim.
const SHORT: usize = 200;

#[derive(Debug, Deserialize)]
struct Spawn {
    name: String,
    kind: AgentKind,
    task: String,
    phase: Option<Phase>,
    role: Option<String>,
    #[serde(default)]
    after: Vec<String>,
    max_turns: Option<u32>,
    max_cents: Option<u32>,
    #[serde(default)]
    findings_used: Vec<FindingUsed>,
}

#[derive(Debug, Deserialize)]
struct Wait {
    #[serde(default)]
    names: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Send {
    to: String,
    text: String,
}

#[derive(Debug, Deserialize)]
struct Named {
    #[serde(alias = "id", alias = "workflow")]
    name: String,
}

/// Returns whether a tool is an errand to the run.
pub(super) fn is_errand(tool: &str) -> bool {
    matches!(
        tool,
        SPAWN
            | RECEIVE
            | SEND
            | "tasks"
            | "wait"
            | "read_finding"
            | "plan_select"
            | "merge_enqueue"
    )
}

impl Session {
    /// Says what an order to a writer lacks, or a message; nothing for any other call.
    pub(super) fn unweighed(&self, call: &ToolCall) -> Option<String> {
        if call.name == SEND {
            return self.passed_on(call);
        }
        let spawn = (call.name == SPAWN).then(|| parsed::<Spawn>(&call.input).ok()).flatten()?;
        if spawn.kind != AgentKind::Worktree {
            return None;
        }
        let order = FinishInput {
            status: Status::Succeeded,
            summary: spawn.task,
            carry: serde_json::Map::new(),
            findings_used: spawn.findings_used,
            verdict: None,
            must_fix: Vec::new(),
            evidence: Vec::new(),
        };
        let words = &self.assignment.words;
        let missing = contract::weighs(words, self.progress.heard(), &order);
        let list: Vec<_> = missing.iter().map(|text| format!("- {text}")).collect();
        (!list.is_empty()).then(|| fill(&words.not_ordered, &[("missing", &list.join("\n"))]))
    }

    /// Says who is still at work for an agent that leads, and would be ended by its end.
    pub(super) async fn unfinished(&self) -> Result<Option<String>, Stop> {
        if !self.assignment.tools.iter().any(|tool| tool == SPAWN) {
            return Ok(None);
        }
        let (reply, answer) = oneshot::channel();
        let node = self.assignment.node.clone();
        self.request_up(Request::Lead { node, errand: Errand::AtWork, reply })?;
        let Ok(Led::Added(names)) = self.wait(answer).await? else { return Ok(None) };
        let values = [("names", &*names.join(", "))];
        Ok((!names.is_empty()).then(|| fill(&self.assignment.words.at_work, &values)))
    }

    /// Says which finding a message merely passes on: it would be an order that nobody has weighed.
    fn passed_on(&self, call: &ToolCall) -> Option<String> {
        let Send { text, .. } = parsed(&call.input).ok()?;
        let words = &self.assignment.words;
        let mut heard = self.progress.heard().map(|(finding, _)| finding);
        let copied = heard.find(|finding| similarity(&text, &finding.claim) > COPY)?;
        let values = [("name", "text"), ("id", copied.id.as_str())];
        Some(fill(&words.not_ordered, &[("missing", &fill(&words.copied, &values))]))
    }

    /// Runs an errand and waits for what comes of it.
    pub(super) async fn errand(&self, call: &ToolCall) -> Result<ToolAnswer, Stop> {
        let errand = match self.wanted(call)? {
            Ok(errand) => errand,
            Err(why) => return Ok(ToolAnswer::error(why)),
        };
        let spec = catalogue().get(&call.name);
        let (limit, most) = spec.map_or((0, 0), |spec| (spec.timeout_ms, spec.max_output));
        let (reply, answer) = oneshot::channel();
        let node = self.assignment.node.clone();
        self.request_up(Request::Lead { node, errand, reply })?;
        let Ok(answer) = timeout(Duration::from_millis(limit), self.wait(answer)).await else {
            let why = match call.name.as_str() {
                RECEIVE => format!("no message has come in {} s", limit / 1000),
                _ => format!("not ended after {} s: they go on; ask again", limit / 1000),
            };
            return Ok(ToolAnswer::error(why));
        };
        Ok(match answer? {
            Ok(led) => {
                let (content, effect) = told(led);
                let (content, suspicion) = shown(&content, most, "");
                ToolAnswer { content, is_error: false, effect, suspicion }
            }
            Err(why) => {
                let (content, suspicion) = shown(&why, most, "");
                ToolAnswer { suspicion, ..ToolAnswer::error(content) }
            }
        })
    }

    fn wanted(&self, call: &ToolCall) -> Result<Result<Errand, String>, Stop> {
        let input = &call.input;
        Ok(match call.name.as_str() {
            SPAWN => match parsed::<Spawn>(input) {
                Ok(spawn) => Ok(Errand::Spawn(Box::new(self.order(spawn)?))),
                Err(why) => Err(why),
            },
            SEND => parsed::<Send>(input).map(|Send { to, text }| {
                let call = call.id.clone();
                Errand::Send { to, text, call }
            }),
            RECEIVE => Ok(Errand::Receive),
            "tasks" => parsed::<Wish>(input).map(|wish| {
                let call = call.id.clone();
                Errand::Tasks { wish, call }
            }),
            "wait" => parsed::<Wait>(input).map(|wait| Errand::Wait(wait.names)),
            "read_finding" => parsed::<Named>(input).map(|it| Errand::Finding(it.name)),
            "plan_select" => parsed::<Named>(input).map(|it| Errand::Plan(it.name)),
            _ => parsed::<Named>(input).map(|it| Errand::Enqueue(it.name)),
        })
    }

    fn order(&self, spawn: Spawn) -> Result<Order, Stop> {
        let forks = spawn.kind == AgentKind::Fork;
        let context = if forks { self.bequeath()? } else { None };
        let Spawn { name, kind, task, phase, role, after, max_turns, max_cents, findings_used: _ } =
            spawn;
        Ok(Order { name, kind, phase, role, task, after, max_turns, max_cents, context })
    }
}

fn parsed<T: DeserializeOwned>(input: &Value) -> Result<T, String> {
    T::deserialize(input).map_err(|error| error.to_string())
}

/// Returns what the model sees of what came of an errand, and what it has heard by it.
fn told(led: Led) -> (String, Effect) {
    match led {
        Led::Added(names) => {
            let names: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
            (format!("at work: {}; `wait` tells what they come to", names.join(", ")), Effect::None)
        }
        Led::Ended(all, sees) => {
            let mut text: String =
                all.iter().map(|(id, outcome)| ended(id.as_str(), outcome)).collect();
            if let Some(commit) = &sees {
                text.push_str(&format!(
                    "the files that you see are those of commit {}\n",
                    commit.short()
                ));
            }
            let findings = all.into_iter().flat_map(|(_, outcome)| outcome.findings);
            (text, Effect::Heard(findings.collect(), sees))
        }
        Led::Said(said) => (said, Effect::None),
        Led::Finding(finding) => {
            let text = format!("{}: {}\n{}\n", finding.id, finding.claim, lines(&finding));
            (text, Effect::Heard(vec![finding], None))
        }
    }
}

fn ended(id: &str, outcome: &Outcome) -> String {
    let state = match outcome.status {
        Status::Succeeded => "succeeded",
        Status::Failed => "failed",
    };
    let mut text = format!("{id} {state}: {}\n", capped(&outcome.summary));
    if let Some(commit) = &outcome.commit {
        text.push_str(&format!("  commit {}\n", commit.short()));
    }
    if let Some(review) = &outcome.review {
        let says = if review.pass { "pass" } else { "fail" };
        let weak =
            if review.is_weak() { ", but it read and ran nothing: it does not count" } else { "" };
        text.push_str(&format!("  review: {says}{weak}\n"));
        review.must_fix.iter().for_each(|fix| text.push_str(&format!("  must fix: {fix}\n")));
    }
    for finding in &outcome.findings {
        let claim: String = finding.claim.chars().take(SHORT).collect();
        text.push_str(&format!("  finding {}: {claim} ({})\n", finding.id, lines(finding)));
    }
    text
}

fn lines(finding: &Finding) -> String {
    let line = |at: &Evidence| format!("{}:{}-{}", at.path, at.from, at.to);
    finding.evidence.iter().map(line).collect::<Vec<_>>().join(", ")
}
