//! One line per step of a run, for logs and for output that is no terminal.

use crate::{
    protocol::{
        asked::Asked,
        event::{Event, Kept, Level, Paid, What},
        ids::{NodeId, Oid},
        mail::{Delivered, Sent},
        outcome::{Outcome, Status},
        part::{Clashed, Joined, Parked},
        report::{CheckReport, CheckedTree, Grade, RunEnd, Verdict},
        started::RunStarted,
        task::Phase,
        task_list::{Change, TaskChanged},
        worker::WorkerEnd,
    },
    ui::{
        audit,
        checks::rows,
        text::{count, duration, escape, fit, money, some, tokens},
        view::{NodeState, View},
    },
};

/// The banner of a mode in which the checks stop nothing but the floor.
pub const YOLO: &str = "YOLO: checks do not stop commands, only the floor and the sandbox do";
/// The longest text of a model or a repository in a line.
const ROOM: usize = 160;

/// Returns the line of an event, given the view that has already taken it in; nothing for an event
/// that is only of use to a resume.
pub fn line(view: &View, event: &Event) -> Option<String> {
    let words = words(view, event)?;
    let seconds = view.clock / 1000;
    let who = event.node.as_ref().map(|node| escape(node.as_str()) + ": ").unwrap_or_default();
    Some(format!("[{:02}:{:02}] {who}{words}", seconds / 60, seconds % 60))
}

fn words(view: &View, event: &Event) -> Option<String> {
    Some(match &event.what {
        What::RunStarted(start) => started(event, start),
        What::RunResumed { model, .. } => {
            let with = model.iter().map(|name| format!(" with {}", escape(name)));
            format!("run {} resumed{}", escape(event.run.as_str()), with.collect::<String>())
        }
        What::Note { level: Level::Info, text } => format!("note: {}", escape(text)),
        What::Note { level: Level::Warning, text } => format!("warning: {}", escape(text)),
        What::NodeStarted { attempt, phase, .. } => begun(*attempt, *phase),
        What::NodeFinished { outcome, .. } => finished(view, event, outcome),
        What::NodeSkipped { why } => format!("skipped: {}", escape(why)),
        What::NodesReset { nodes, .. } => reset(nodes),
        What::NodesAdded { ids, asked, .. } => added(event, ids, asked.as_deref()),
        What::ModelResult { paid: Paid::MaybeTwice, turn, .. } => {
            format!("turn {turn} was in flight at the crash and may have been paid twice")
        }
        What::ModelFailed { error, .. } => format!("model call failed: {}", short(error)),
        What::ToolResult { title, is_error, .. } => {
            format!("{}{}", short(title), if *is_error { " (failed)" } else { "" })
        }
        What::WorkerNews(news) => kept(&news.text),
        What::WorkerIntent(call) => format!("worker {} begins", escape(&call.worker)),
        What::WorkerResult(end) => worker_ended(end),
        What::CommitMade { commit, branch, .. } => committed(commit, branch),
        What::PartJoined(_) | What::PartClashed(_) | What::PartParked(_) => part(event),
        What::CandidateConflict { paths, .. } => format!("does not merge: {}", some(paths, 5)),
        What::ChecksFinished { on, report, reused, .. } => checks(view, *on, report, *reused),
        What::VerdictGiven { verdict, .. } => format!("verdict: {}", verdict_words(verdict)),
        What::Landed { branch, to, .. } => format!("landed {} on {}", to.short(), escape(branch)),
        What::LandMissed { branch, .. } => format!("{} has moved, trying again", escape(branch)),
        What::Tripped { sign } => format!("TRIPWIRE: the agent {}", short(sign)),
        What::Audited(audit) => format!("outside the trees: {}", audit::outside(audit)),
        What::AgentCancelled
        | What::CancelAsked
        | What::Paused
        | What::Unpaused
        | What::MessageSent(_)
        | What::MessageDelivered(_) => steered(event),
        What::TaskChanged(changed) => listed(changed),
        What::RunFinished { end, .. } => format!("run ended: {}{}", end_words(end), totals(view)),
        What::HostAsked { host, port, refused } => asked((host, *port), refused.as_deref()),
        What::CallJudged { decision, title, why, answer, .. } => {
            let answer = answer.as_ref().map(|answer| format!(", {answer}")).unwrap_or_default();
            format!("{decision}{answer}: {} ({})", escape(title), short(why))
        }
        What::ModelIntent { turn, .. } if view.is_yolo() => format!("{YOLO}, turn {turn}"),
        What::Batch(_)
        | What::PlaceIntent { .. }
        | What::PlaceReady { .. }
        | What::ModelIntent { .. }
        | What::ModelResult { .. }
        | What::ToolIntent { .. }
        | What::CommitIntent { .. }
        | What::CandidateMade { .. }
        | What::LandIntent { .. } => return None,
    })
}

fn begun(attempt: u32, phase: Phase) -> String {
    match attempt {
        0 | 1 => format!("started ({})", phase.name()),
        _ => format!("started ({}, attempt {attempt})", phase.name()),
    }
}

/// Says who is asked for, or who is to answer for one that has ended.
fn added(event: &Event, ids: &[String], asked: Option<&Asked>) -> String {
    let names = some(ids, 8);
    let Some(asked) = asked else { return format!("asks for {names}") };
    let user = if event.node.is_some() { "" } else { "the user " };
    let of = escape(asked.of.as_str());
    format!("{user}asks {of} again, {names} answers: {}", kept(&asked.question))
}

fn reset(nodes: &[NodeId]) -> String {
    let names: Vec<_> = nodes.iter().map(ToString::to_string).collect();
    format!("back to work: {}", some(&names, 8))
}

fn committed(commit: &Oid, branch: &str) -> String {
    format!("committed {} on {}", commit.short(), escape(branch))
}

fn worker_ended(end: &WorkerEnd) -> String {
    let why = end.error.as_ref().map(|why| format!(": {}", short(why))).unwrap_or_default();
    format!("worker {} ended ({}){why}", escape(&end.worker), escape(&end.end))
}

fn asked((host, port): (&str, u16), refused: Option<&str>) -> String {
    let host = escape(host);
    match refused {
        None => format!("reached {host}:{port}"),
        Some(why) => format!("did not reach {host}:{port}: {}", escape(why)),
    }
}

/// Says what became of a part of a change.
fn part(event: &Event) -> String {
    match &event.what {
        What::PartJoined(Joined { commit, .. }) => {
            format!("joined with the others as {}", commit.short())
        }
        What::PartClashed(Clashed { paths, .. }) => {
            format!("does not merge with the others: {}", some(paths, 5))
        }
        What::PartParked(Parked { why }) => format!("given up: {}", escape(why)),
        _ => String::new(),
    }
}

/// Says what the user told an agent, or all of them.
fn steered(event: &Event) -> String {
    let who = if event.node.is_some() { "" } else { "all agents: " };
    match &event.what {
        What::CancelAsked => "stopping: no new model calls".to_owned(),
        What::Paused => format!("{who}paused"),
        What::Unpaused => format!("{who}goes on"),
        What::MessageSent(Sent { text, from }) => {
            let from =
                from.as_ref().map_or("the user".to_owned(), |from| escape(from.agent.as_str()));
            format!("message from {from}: {}", kept(text))
        }
        What::MessageDelivered(Delivered { turn, from, .. }) => match from {
            None => format!("turn {turn} reads the user's message"),
            Some(from) => format!("turn {turn} reads a message from {}", escape(from.as_str())),
        },
        _ => "cancelled".to_owned(),
    }
}

/// Says what an agent did to the list that all share.
fn listed(TaskChanged { id, change, .. }: &TaskChanged) -> String {
    match change {
        Change::Added { text } => format!("adds task {id}: {}", short(text)),
        Change::Claimed => format!("claims task {id}"),
        Change::Done { text } if text.is_empty() => format!("has done task {id}"),
        Change::Done { text } => format!("has done task {id}: {}", short(text)),
        Change::Dropped => format!("gives task {id} back"),
    }
}

/// Returns the beginning of a text; of one that is kept elsewhere, its size.
fn kept(text: &Kept) -> String {
    match text {
        Kept::Inline(text) => short(text),
        Kept::Blob(_, bytes) => format!("({bytes} bytes)"),
    }
}

/// Returns how a run ended, with its reason.
pub fn end_words(end: &RunEnd) -> String {
    let what = match end {
        RunEnd::Landed { grade, .. } => return format!("landed ({})", grade.words()),
        RunEnd::Reported => "reported",
        RunEnd::Interrupted => "interrupted",
        RunEnd::NotResolved(_) => "not resolved",
        RunEnd::Refused(_) => "refused",
        RunEnd::Budget(_) => "budget reached",
        RunEnd::Conflict(_) => "merge conflict",
        RunEnd::Infrastructure(_) => "could not go on",
    };
    let why = escape(&why(end).replace('\n', "; "));
    if why.is_empty() { what.to_owned() } else { format!("{what}: {why}") }
}

/// Returns why a run did not land; what the user can do may stand on a line of its own.
pub fn why(end: &RunEnd) -> &str {
    match end {
        RunEnd::Landed { .. } | RunEnd::Reported | RunEnd::Interrupted => "",
        RunEnd::NotResolved(why)
        | RunEnd::Refused(why)
        | RunEnd::Budget(why)
        | RunEnd::Conflict(why)
        | RunEnd::Infrastructure(why) => why,
    }
}

/// Returns a verdict with what speaks for it.
pub fn verdict_words(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Green { grade: Grade::Fixed, fixed } if !fixed.is_empty() => {
            format!("green, fixed: {}", some(fixed, 3))
        }
        Verdict::Green { grade, .. } => format!("green, {}", grade.words()),
        Verdict::Red { reasons } => format!("red: {}", some(reasons, 3)),
        Verdict::NoEvidence => "no evidence: no check ran that passes".to_owned(),
    }
}

/// Returns what the user should know about where the answers came from; nothing for a real model.
pub fn played(start: &RunStarted) -> Option<&'static str> {
    match (start.scripted, start.model.starts_with("gold:")) {
        (false, _) => None,
        (true, true) => Some("gold model: answers were made from a patch, no model was asked"),
        (true, false) => {
            Some("scripted model: answers were played from a file, no model was asked")
        }
    }
}

fn started(event: &Event, start: &RunStarted) -> String {
    let mut line = format!(
        "run {} started: {} with {}, model {}, base {}, target {}",
        escape(event.run.as_str()),
        escape(&start.task.slug),
        escape(&start.workflow),
        escape(&start.model),
        start.base.short(),
        escape(&start.target),
    );
    if let Some(played) = played(start) {
        line = format!("{line} ({played})");
    }
    line
}

fn finished(view: &View, event: &Event, outcome: &Outcome) -> String {
    let node = view.nodes.iter().find(|node| node.id == event.node);
    let mut facts = Vec::new();
    if let Some(node) = node.filter(|node| node.state != NodeState::Reused) {
        facts.push(duration(node.took(view.clock)));
        if node.turns > 0 {
            facts.push(count(node.turns as usize, "turn"));
            facts.push(format!("{} tokens", tokens(node.usage.total())));
        }
        facts.extend(money(node.cost));
    } else {
        facts.push("reused".to_owned());
    }
    let verb = match outcome.status {
        Status::Succeeded => "done",
        Status::Failed => "failed",
    };
    let line = format!("{verb} ({})", facts.join(", "));
    match short(&outcome.summary) {
        summary if summary.is_empty() => line,
        summary => format!("{line}: {summary}"),
    }
}

fn checks(view: &View, on: CheckedTree, report: &CheckReport, reused: bool) -> String {
    let (tree, base) = match on {
        CheckedTree::Base => ("base", None),
        CheckedTree::Candidate => ("candidate", view.before.as_ref()),
    };
    let rows = rows(base, Some(report));
    let all: Vec<_> = rows
        .iter()
        .filter_map(|row| Some(format!("{} {}", short(&row.command), row.after.as_ref()?.words)))
        .collect();
    let broke: usize = rows.iter().map(|row| row.broke.len()).sum();
    let fixed: usize = rows.iter().map(|row| row.fixed.len()).sum();
    let change =
        if base.is_some() { format!("; fixed {fixed}, broke {broke}") } else { String::new() };
    let reused = if reused { " (reused)" } else { "" };
    if all.is_empty() {
        return format!("no checks on the {tree}{reused}");
    }
    format!("checks on the {tree}: {}{change}{reused}", all.join(", "))
}

fn totals(view: &View) -> String {
    let mut facts = vec![
        duration(view.clock),
        count(view.turns as usize, "turn"),
        format!("{} tokens", tokens(view.usage.total())),
    ];
    facts.extend(money(view.cost));
    format!(" ({})", facts.join(", "))
}

fn short(text: &str) -> String {
    fit(&escape(text.trim()), ROOM)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ui::fixture;

    fn lines(events: &[Event]) -> String {
        let mut view = View::default();
        let lines = events.iter().filter_map(|event| {
            view.apply(event);
            line(&view, event)
        });
        lines.collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn a_run_reads_as_a_log() {
        insta::assert_snapshot!(lines(&fixture::landed("scripted:demo.yaml").events), @r#"
        [00:00] run 1122-1741-9f3a started: the-median-of-an-even-list-is-wrong with resolve, model scripted:demo.yaml, base bbbbbbbbbb, target grafter/1122-1741-9f3a/landed (scripted model: answers were played from a file, no model was asked)
        [00:00] checks on the base: cargo test 1 failed, 1 passed
        [00:00] research.0: started (research)
        [00:00] research.1: started (research)
        [00:04] research.0: grep "median" (4 matches)
        [00:09] research.0: done (8.2s, 2 turns, 23.1k tokens, $0.0510): the index is off by one
        [00:09] research.1: done (reused): tests cover odd lists only
        [00:09] synthesize: started (synthesis)
        [00:13] synthesize: done (4.2s, 1 turn, 16.5k tokens, $0.0400): take the mean of both middles
        [00:13] implement: started (implementation)
        [00:17] implement: edit src/median.rs
        [00:17] implement: done (4.2s, 1 turn, 19.8k tokens, $0.0612): done
        [00:17] implement: committed aaaaaaaaaa on grafter/1122-1741-9f3a/median
        [00:17] checks: started (verification)
        [00:18] checks: checks on the candidate: cargo test 1 failed, 1 passed; fixed 0, broke 0
        [00:18] checks: failed (1.1s): median::even still fails
        [00:18] verdict: red: median::even still fails
        [00:18] back to work: implement, checks
        [00:18] implement: started (implementation, attempt 2)
        [00:22] implement: edit src/median.rs\u{1b}[2J
        [00:23] implement: done (8.4s, 2 turns, 41.8k tokens, $0.1312): mended
        [00:23] implement: committed aaaaaaaaaa on grafter/1122-1741-9f3a/median
        [00:23] checks: started (verification, attempt 2)
        [00:24] checks: checks on the candidate: cargo test 2 passed; fixed 1, broke 0
        [00:24] checks: done (2.3s)
        [00:24] review.0: skipped: reviews > 0
        [00:24] verdict: green, fixed: median::even
        [00:24] landed cccccccccc on grafter/1122-1741-9f3a/landed
        [00:24] run ended: landed (fixed) (24s, 5 turns, 81.4k tokens, $0.2222)
        "#);
    }

    #[test]
    fn a_stopped_run_reads_as_a_log() {
        insta::assert_snapshot!(lines(&fixture::stopped().events), @"
        [00:00] run 1122-1741-9f3a started: the-median-of-an-even-list-is-wrong with resolve, model local/qwen, base bbbbbbbbbb, target grafter/1122-1741-9f3a/landed
        [00:00] implement: started (implementation)
        [00:04] implement: edit src/a.rs
        [00:04] run 1122-1741-9f3a resumed
        [00:04] warning: no git identity is set: grafter <grafter@localhost> is used
        [00:08] implement: failed (8.2s, 2 turns, 1.7k tokens): the budget of 2 turns is used up
        [00:08] run ended: budget reached: the budget of 2 turns is used up (8.2s, 2 turns, 1.7k tokens)
        ");
    }
}
