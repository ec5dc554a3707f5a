//! The desk of one agent: its tools, joined to its place.
//!
//! A call goes through two doors. `prepare` checks it (known, allowed to this agent, arguments
//! valid, the guard's decision) without touching anything; `run` takes only what the guard cleared.

use std::sync::{Arc, Mutex};

use serde_json::Value;
use tokio::sync::mpsc::UnboundedSender;

use crate::{
    git::{repo::Repo, snapshot::Tracker},
    guard::{
        classify::{Opinion, Query},
        decide::{Cleared, DENIED, Decision, Disposition, Facts, Pending, Policy, decide, kind},
        taint::Taint,
    },
    protocol::{
        ids::{AgentId, NodeId, Oid},
        message::ToolCall,
        report::Check,
        request::Request,
        tool::{Class, ToolSpec},
    },
    sandbox::place::Place,
    settings::nearest::nearest,
    tools::{
        answer::ToolAnswer, catalogue::catalogue, command, facts::gather, reads::ReadSet,
        standing::Standing, validate::validate,
    },
};

/// The tool whose command the gate judges.
const BASH: &str = "bash";
/// The code of a call of a tool that does not exist.
const UNKNOWN: &str = "E_UNKNOWN_TOOL";
/// The code of a call of a tool that its agent was not given.
const NOT_ALLOWED: &str = "E_NOT_ALLOWED";
/// What an agent can do whose command is denied.
const INSTEAD: &str = ". Do it in another way: the file tools for files, run_tests for the checks";

/// Characters of a title; what the user is asked to approve is never cut.
const MAX_TITLE: usize = 120;

/// What one agent works with.
#[derive(Clone)]
pub struct Desk {
    /// Its place.
    pub place: Arc<Place>,
    /// The repository.
    pub repo: Repo,
    /// The commit its tree started from.
    pub base: Oid,
    /// The commit its tree stood on when it began: a reviewer's candidate, others' start.
    pub at: Oid,
    /// Sees what changed in its tree; writers only.
    pub tracker: Option<Arc<Mutex<Tracker>>>,
    /// The commands that verify.
    pub checks: Vec<Check>,
    /// What it has read.
    pub reads: ReadSet,
    /// What it may do.
    pub policy: Policy,
    /// What the user has said in this run so far.
    pub standing: Standing,
    /// What it has read that reads like orders, unless the user has said yes since.
    pub taint: Option<Taint>,
    /// Where its questions go.
    pub requests: UnboundedSender<Request>,
    /// Its node.
    pub node: NodeId,
    /// Itself.
    pub agent: AgentId,
    /// Files whose content its prompt holds; a text edit without a path is about one of them.
    pub offered: Vec<String>,
}

/// A call that was looked at.
#[derive(Debug)]
pub struct Prepared {
    /// What the tool does to the world; `Control` for an unknown one.
    pub class: Class,
    /// One line that says what the call will do, control characters escaped; the whole command
    /// when the user has to approve it.
    pub title: String,
    /// Whether it may run.
    pub outcome: Ready,
    /// What is to be recorded of the decision; none for a call that simply runs.
    pub judged: Option<Judged>,
}

/// A decision that is more than a plain yes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judged {
    /// `run`, `ask` or `deny`.
    pub decision: &'static str,
    /// The checks that spoke, by id.
    pub checks: Vec<&'static str>,
    /// The reasons.
    pub why: String,
    /// The code of a denial.
    pub code: Option<&'static str>,
}

/// Whether a call may run.
#[derive(Debug)]
pub enum Ready {
    /// It may.
    Ready(Cleared<ToolCall>),
    /// It may not; the answer says why.
    Refused(ToolAnswer),
    /// The user must say yes to exactly what the title says.
    Ask {
        /// The call.
        call: Pending,
        /// Why it is asked.
        why: String,
    },
    /// The classifier's model must be asked; `Desk::told` goes on with its answer.
    Unsure(Box<Unsure>),
}

/// A call that waits for the classifier's model.
#[derive(Debug)]
pub struct Unsure {
    query: Query,
    call: ToolCall,
    spec: &'static ToolSpec,
    facts: Facts,
}

impl Unsure {
    /// Returns what the model is asked.
    pub fn query(&self) -> &Query {
        &self.query
    }
}

impl Desk {
    /// Looks at a call without running anything; `allowed` are the tools of this agent.
    pub fn prepare(&self, call: &ToolCall, allowed: &[String]) -> Prepared {
        let spec = match known(&call.name, allowed) {
            Ok(spec) => spec,
            Err((code, why)) => return unavailable(&call.name, code, &why),
        };
        let mut input = match validate(spec, &call.input) {
            Ok(input) => input,
            Err(why) => return refused(spec.class, &spec.name, format!("E_ARGUMENTS: {why}")),
        };
        let facts = self.facts(spec, &mut input);
        let call = ToolCall { id: call.id.clone(), name: spec.name.clone(), input };
        self.conclude((spec, call, facts), allowed)
    }

    /// Goes on with a call of which the classifier's model has said what it thinks.
    pub fn told(&self, unsure: Unsure, opinion: Opinion, allowed: &[String]) -> Prepared {
        let Unsure { call, spec, facts, .. } = unsure;
        self.conclude((spec, call, Facts { opinion: Some(opinion), ..facts }), allowed)
    }

    fn conclude(
        &self,
        (spec, call, facts): (&'static ToolSpec, ToolCall, Facts),
        allowed: &[String],
    ) -> Prepared {
        let decision = decide(&call, spec, &facts, &self.standing.policy(&self.policy));
        self.standing.note(&decision.disposition);
        let judged = judged(&decision);
        let whole = title(spec, &call.input);
        let (outcome, title) = match decision.disposition {
            Disposition::Run(cleared) => (Ready::Ready(cleared), cut(&whole)),
            Disposition::Ask(call) => (Ready::Ask { call, why: decision.why }, whole),
            Disposition::Unsure(query) => {
                (Ready::Unsure(Box::new(Unsure { query, call, spec, facts })), whole)
            }
            Disposition::Deny(code) => {
                let hint = match code {
                    "E_PHASE" => self.usable(allowed),
                    DENIED => INSTEAD.to_owned(),
                    _ => String::new(),
                };
                let said = format!("{code}: {}{hint}", decision.why);
                (Ready::Refused(ToolAnswer::error(said)), cut(&whole))
            }
        };
        Prepared { class: spec.class, title, outcome, judged }
    }

    fn facts(&self, spec: &ToolSpec, input: &mut Value) -> Facts {
        let root = self.place.seen_as().to_string_lossy();
        let mut facts = gather(&spec.name, input, &root);
        if spec.name == BASH && facts.outside.is_none() {
            facts.judgement = Some(command::look(&self.place, input));
            facts.granted = self.standing.granted(&kind(&spec.name, &facts));
        }
        facts.root = root.into_owned();
        facts.taint.clone_from(&self.taint);
        facts
    }

    fn usable(&self, allowed: &[String]) -> String {
        let phase = self.policy.phase;
        let fits =
            |name: &&String| catalogue().get(name).is_some_and(|s| s.phases.contains(&phase));
        let names: Vec<&str> = allowed.iter().filter(fits).map(String::as_str).collect();
        format!(". You have: {}", names.join(", "))
    }
}

/// Returns the refusal of a tool that is none of the agent's, which counts as a denial.
fn unavailable(name: &str, code: &'static str, why: &str) -> Prepared {
    let judged = Judged { decision: "deny", checks: Vec::new(), why: why.into(), code: Some(code) };
    let refused = refused(Class::Control, name, format!("{code}: {why}"));
    Prepared { judged: Some(judged), ..refused }
}

fn refused(class: Class, name: &str, why: String) -> Prepared {
    let title = cut(&format!("{} refused", name.escape_debug()));
    Prepared { class, title, outcome: Ready::Refused(ToolAnswer::error(why)), judged: None }
}

fn judged(decision: &Decision) -> Option<Judged> {
    let silent = decision.checks.is_empty() && decision.why.is_empty();
    let plain = matches!(decision.disposition, Disposition::Run(_)) && silent;
    (!plain).then(|| Judged {
        decision: decision.disposition.name(),
        checks: decision.checks.clone(),
        why: decision.why.clone(),
        code: match decision.disposition {
            Disposition::Deny(code) => Some(code),
            _ => None,
        },
    })
}

fn known(name: &str, allowed: &[String]) -> Result<&'static ToolSpec, (&'static str, String)> {
    let list = allowed.join(", ");
    let short: String = name.chars().take(60).collect();
    let Some(spec) = catalogue().get(name) else {
        if short.trim().is_empty() {
            return Err((UNKNOWN, format!("the call names no tool. You have: {list}")));
        }
        let near = nearest(name, allowed.iter().map(String::as_str));
        let hint = near.map_or(".".to_owned(), |near| format!("; did you mean `{near}`?"));
        let short = short.escape_debug();
        return Err((UNKNOWN, format!("there is no tool `{short}`{hint} You have: {list}")));
    };
    if allowed.iter().any(|tool| tool == name) {
        return Ok(spec);
    }
    Err((NOT_ALLOWED, format!("`{short}` is not among your tools. You have: {list}")))
}

/// The tool's name and its most telling argument.
fn title(spec: &ToolSpec, input: &Value) -> String {
    let field = |name: &str| input[name].as_str().map(str::to_owned);
    let telling = match spec.name.as_str() {
        "bash" => {
            let cwd = field("cwd").map(|cwd| format!(" (in {cwd})")).unwrap_or_default();
            field("command").map(|command| format!("{command}{cwd}"))
        }
        "move" => Some(format!(
            "{} -> {}",
            field("from").unwrap_or_default(),
            field("to").unwrap_or_default()
        )),
        "read_many" => input["paths"].as_array().map(|paths| format!("{} files", paths.len())),
        "grep" | "glob" => field("pattern"),
        "git" => Some(format!(
            "{} {}",
            field("action").unwrap_or_default(),
            field("path").unwrap_or_default()
        )),
        "delegate" => field("question"),
        "spawn" | "merge_enqueue" => field("name"),
        "plan_select" => field("workflow"),
        "read_finding" => field("id"),
        "send" => field("to"),
        "tasks" => field("action"),
        "wait" => input["names"]
            .as_array()
            .map(|names| names.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", ")),
        "finish" => field("status"),
        "report_finding" => field("claim"),
        "run_tests" => input["check"].as_u64().map(|number| number.to_string()),
        _ => field("path"),
    };
    let telling = telling.unwrap_or_default();
    format!("{} {telling}", spec.name).trim_end().escape_debug().to_string()
}

fn cut(title: &str) -> String {
    match title.char_indices().nth(MAX_TITLE) {
        Some((at, _)) => format!("{}…", &title[..at]),
        None => title.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::{
        protocol::{
            ids::CallId,
            task::{Mode, Phase},
        },
        tools::testing::{Bench, all},
    };

    fn call(name: &str, input: Value) -> ToolCall {
        ToolCall { id: CallId::new("1"), name: name.to_owned(), input }
    }

    fn refusal(prepared: Prepared) -> String {
        match prepared.outcome {
            Ready::Refused(answer) => answer.content,
            other => panic!("not refused: {other:?}"),
        }
    }

    #[tokio::test]
    async fn unknown_and_forbidden_tools_are_refused_with_what_there_is() {
        let desk = Bench::new(&[]).await.desk;
        let few = ["read".to_owned(), "grep".to_owned()];
        let said = |name: &str| refusal(desk.prepare(&call(name, json!({})), &few));
        insta::assert_snapshot!(said("Reed"), @"E_UNKNOWN_TOOL: there is no tool `Reed`; did you mean `read`? You have: read, grep");
        insta::assert_snapshot!(said("r\u{435}ad"), @"E_UNKNOWN_TOOL: there is no tool `rеad`; did you mean `read`? You have: read, grep");
        insta::assert_snapshot!(said("write"), @"E_NOT_ALLOWED: `write` is not among your tools. You have: read, grep");
        assert!(said(&"x".repeat(1 << 20)).len() < 300);
    }

    #[tokio::test]
    async fn each_phase_has_its_tools() {
        let mut desk = Bench::new(&[]).await.desk;
        let write = call("write", json!({"path": "a", "content": "b"}));
        for phase in [Phase::Research, Phase::Synthesis, Phase::Verification] {
            desk.policy.phase = phase;
            let said = refusal(desk.prepare(&write, &all()));
            assert!(said.starts_with("E_PHASE") && said.contains("You have: "), "{said}");
        }
        desk.policy.phase = Phase::Implementation;
        assert!(matches!(desk.prepare(&write, &all()).outcome, Ready::Ready(_)));
    }

    #[tokio::test]
    async fn bash_is_asked_for_with_the_whole_command() {
        let mut desk = Bench::new(&[]).await.desk;
        desk.policy.mode = Mode::Default;
        let long = format!("echo {}; echo \"é\nb\"; rm x y", "y ".repeat(250));
        let bash = call("bash", json!({"command": long}));
        let said = refusal(desk.prepare(&bash, &all()));
        assert!(said.starts_with("E_NO_APPROVAL") && said.contains("run_tests"), "{said}");
        desk.policy.interactive = true;
        let prepared = desk.prepare(&bash, &all());
        assert!(matches!(prepared.outcome, Ready::Ask { .. }));
        assert!(prepared.title.ends_with("y y ; echo \\\"é\\nb\\\"; rm x y"), "{}", prepared.title);
    }

    #[tokio::test]
    async fn titles_say_what_a_call_does() {
        let desk = Bench::new(&[]).await.desk;
        let title = |name, input| desk.prepare(&call(name, input), &all()).title;
        assert_eq!(title("read", json!({"path": "b/../a\n.py"})), "read a\\n.py");
        assert_eq!(title("move", json!({"from": "a", "to": "./b"})), "move a -> b");
        assert_eq!(title("run_tests", json!({})), "run_tests");
        assert_eq!(title("nope", json!({})), "nope refused");
        assert!(
            title("grep", json!({"pattern": "é".repeat(999)})).chars().count() <= MAX_TITLE + 1
        );
    }

    #[tokio::test]
    async fn a_cancelled_call_ends() {
        let bench = Bench::new(&[]).await;
        let cancel = CancellationToken::new();
        cancel.cancel();
        let bash = call("bash", json!({"command": "sleep 600"}));
        let Ready::Ready(cleared) = bench.desk.prepare(&bash, &all()).outcome else {
            panic!("not ready");
        };
        assert!(bench.desk.run(cleared, &cancel).await.is_error);
    }
}
