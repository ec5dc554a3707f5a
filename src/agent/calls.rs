//! The tool calls of one turn, in their order.
//!
//! Consecutive calls that only look run side by side, every other call is a barrier and runs
//! alone. Each call gets exactly one result and one record, in call order. Results found in the
//! earlier records are used without running anything; what a call did comes from its memo, so
//! that the counters are the same either way.

use std::time::Instant;

use futures_util::{FutureExt, StreamExt, TryStreamExt, future::BoxFuture, stream};

use crate::{
    agent::{
        chain::Chain,
        contract::{self, Done},
        fit, lead,
        memo::{Deed, Memo},
        permit::{Leave, Permit},
        reading,
        reins::Doing,
        session::{Session, Stop},
        turn::millis,
    },
    guard::{
        decide::{Cleared, NO_APPROVAL, NOT_APPROVED},
        taint::Taint,
    },
    prompt::words::fill,
    protocol::{
        event::What,
        ids::Oid,
        message::{ToolCall, ToolResult},
        outcome::Status,
        tool::Class,
    },
    tools::{
        answer::{Effect, ToolAnswer},
        catalogue::catalogue,
    },
};

/// Reads that run at once.
const SIDE_BY_SIDE: usize = 10;
/// The tool whose answer comes from another agent.
const DELEGATE: &str = "delegate";
/// Calls of one turn that are run.
const MAX_CALLS: usize = 64;

/// A call's place: its turn and its position in it.
#[derive(Clone, Copy, Debug)]
pub(super) struct At {
    /// The turn.
    pub(super) turn: u32,
    /// The position.
    pub(super) index: usize,
}

/// What a call came to, before it is recorded.
struct Ended {
    class: Class,
    title: String,
    content: String,
    is_error: bool,
    deed: Deed,
    taint: Option<Taint>,
    trusted: bool,
    sees: Option<Oid>,
    took_ms: u64,
}

impl Session {
    /// Runs the calls of a turn and returns their results in call order.
    pub async fn calls(&mut self, turn: u32, calls: &[ToolCall]) -> Result<Vec<ToolResult>, Stop> {
        let mut results = Vec::with_capacity(calls.len());
        while results.len() < calls.len() {
            let at = At { turn, index: results.len() };
            let call = &calls[at.index];
            if let Some(result) = self.replay(at, call)? {
                results.push(result);
                continue;
            }
            self.go_live().await?;
            self.look_anew().await?;
            let group = &calls[at.index..at.index + group(&calls[at.index..])];
            for (call, ended) in group.iter().zip(self.perform_all(at, group).await?) {
                let at = At { turn, index: results.len() };
                results.push(self.settle(at, call, ended).await?);
            }
        }
        Ok(results)
    }

    async fn perform_all(&self, first: At, calls: &[ToolCall]) -> Result<Vec<Ended>, Stop> {
        let mut started: Vec<BoxFuture<'_, Result<Ended, Stop>>> = Vec::with_capacity(calls.len());
        for (offset, call) in calls.iter().enumerate() {
            started.push(self.perform(At { index: first.index + offset, ..first }, call).boxed());
        }
        stream::iter(started).buffered(SIDE_BY_SIDE).try_collect().await
    }

    /// Runs one call, if it may run.
    async fn perform(&self, at: At, call: &ToolCall) -> Result<Ended, Stop> {
        if self.progress.finish.is_some() || at.index >= MAX_CALLS {
            let words = &self.assignment.words;
            let after = self.progress.finish.is_some();
            let why = if after { &words.after_finish } else { &words.too_many };
            return Ok(refused(call, why.clone(), Deed::Nothing));
        }
        if let Some(why) = self.unweighed(call) {
            return Ok(refused(call, why, Deed::Nothing));
        }
        self.gate().await?;
        let start = Instant::now();
        let leave = match self.permit(at, call).await? {
            Permit::Go(leave) => leave,
            Permit::Stay { class, title, answer } => {
                let mut ended = ended((class, title), answer, start);
                if [NO_APPROVAL, NOT_APPROVED].iter().any(|code| ended.content.starts_with(code)) {
                    ended.deed = Deed::Unapproved;
                }
                return Ok(ended);
            }
        };
        let Leave { class, title, call, changed, trusted } = leave;
        let mut answer = self.run(at, (class, &title), call).await?;
        if let Some(text) = changed {
            let words = &self.assignment.words.edited;
            answer.content = format!("{}\n{}", fill(words, &[("command", &text)]), answer.content);
        }
        Ok(Ended { trusted, ..ended((class, title), answer, start) })
    }

    async fn run(
        &self,
        at: At,
        (class, title): (Class, &str),
        cleared: Cleared<ToolCall>,
    ) -> Result<ToolAnswer, Stop> {
        // The user may have paused it while the call was asked about.
        self.gate().await?;
        let (tool, what) = (cleared.get().name.clone(), title.to_owned());
        self.bench.reins.note(Doing::Calling { tool, title: what });
        if matches!(class, Class::Write | Class::Exec) {
            let (turn, index) = (at.turn, position(at.index));
            let (tool, title) = (cleared.get().name.clone(), title.to_owned());
            self.record(What::ToolIntent { turn, index, tool, title }).await?;
        }
        if lead::is_errand(&cleared.get().name) {
            return self.errand(cleared.get()).await;
        }
        let is_delegate = cleared.get().name == DELEGATE;
        let answer = self.bench.desk.run(cleared, &self.bench.cancel).await;
        // What a cancelled call returns says nothing about the call: a resume runs it again. A
        // helper ends without an answer as soon as the run is stopping.
        let helpless = is_delegate && answer.is_error && self.bench.stop.is_cancelled();
        let given_up = self.bench.cancel.is_cancelled() || helpless;
        if given_up {
            return Err(Stop::cancelled());
        }
        self.bench.desk.place.no_space().map_or(Ok(answer), |why| Err(Stop::broken(why)))
    }

    /// Returns the recorded result of a call, if there is one.
    fn replay(&mut self, at: At, call: &ToolCall) -> Result<Option<ToolResult>, Stop> {
        let Some(recorded) = self.earlier.result(at.turn, position(at.index)) else {
            return Ok(None);
        };
        let is_error = recorded.is_error;
        let content = self.bench.journal.fetch(&recorded.content)?;
        let memo = match &recorded.memo {
            Some(kept) => self.bench.journal.fetch(kept)?,
            None => "{\"digest\":\"\"}".to_owned(),
        };
        let memo: Memo = serde_json::from_str(&memo)
            .map_err(|error| Stop::broken(format!("the memo of turn {}: {error}", at.turn)))?;
        self.note(at.turn, call, &memo);
        reading::recall(&self.bench.desk.reads, &memo);
        self.learn(memo);
        Ok(Some(ToolResult { id: call.id.clone(), content, is_error }))
    }

    /// Counts a call, in a replay as well as live; returns the turn in which its result can still
    /// be read, and what the agent is told if it gets nowhere.
    fn note(&mut self, turn: u32, call: &ToolCall, memo: &Memo) -> (Option<u32>, Option<&str>) {
        let repeated = matches!(memo.deed, Deed::Read(_))
            .then(|| self.context.same_as(turn, call, (&memo.digest, memo.bytes)))
            .flatten();
        let streak = self.progress.streak(call, &memo.digest);
        let swings = self.progress.swings(memo);
        let words = &self.assignment.words;
        let stuck = self.assignment.limits.stuck;
        let nudge = stuck.repeats_much(streak).then_some(words.nudge.as_str());
        (repeated, nudge.or_else(|| stuck.swings_much(swings).then_some(words.swing.as_str())))
    }

    /// Takes over what a call did, and what it showed.
    fn learn(&mut self, memo: Memo) {
        let taint = &mut self.bench.desk.taint;
        if memo.trusted {
            *taint = None;
        }
        if memo.taint.is_some() {
            taint.clone_from(&memo.taint);
        }
        if memo.sees.is_some() {
            self.sees.clone_from(&memo.sees);
        }
        self.progress.apply(memo);
    }

    /// Lets a finish through only if nothing is missing.
    async fn judge(&self, ended: &mut Ended) -> Result<(), Stop> {
        let Deed::Finished(input) = &ended.deed else { return Ok(()) };
        let done = Done {
            findings: &self.progress.findings,
            read: &self.progress.read,
            changed: self.chain.as_ref().is_some_and(Chain::changed),
        };
        let words = &self.assignment.words;
        let mut missing = contract::missing(words, &self.assignment.contract, (done, input));
        if input.status == Status::Succeeded {
            missing.extend(self.unfinished().await?);
        }
        if !missing.is_empty() {
            ended.deed = Deed::Bounced;
            ended.is_error = true;
            let list: Vec<_> = missing.iter().map(|text| format!("- {text}")).collect();
            ended.content = fill(&words.bounced, &[("missing", &list.join("\n"))]);
        }
        Ok(())
    }

    /// Checks, saves, and records what a call came to, and returns what the model sees of it.
    async fn settle(
        &mut self,
        at: At,
        call: &ToolCall,
        mut ended: Ended,
    ) -> Result<ToolResult, Stop> {
        let snapshot = match self.chain.as_mut() {
            // What checks leave behind is nobody's work, and must not land.
            Some(chain) if call.name == "run_tests" => {
                chain.restore().await?;
                None
            }
            Some(chain) if matches!(ended.class, Class::Write | Class::Exec) => {
                if let Deed::Wrote(paths) = &ended.deed {
                    chain.mean(paths);
                }
                chain.take(&ended.title).await?
            }
            _ => None,
        };
        self.judge(&mut ended).await?;
        let digest = blake3::hash(ended.content.as_bytes()).to_hex().to_string();
        let known = reading::known(&self.bench.desk, &ended.deed);
        let Ended { deed, taint, trusted, sees, .. } = ended;
        let memo = Memo { digest, bytes: ended.content.len(), deed, known, taint, sees, trusted };
        let (repeated, nudge) = self.note(at.turn, call, &memo);
        let nudge = nudge.map(str::to_owned);
        let words = &self.assignment.words;
        if let Some(turn) = repeated {
            ended.content = fill(&words.same_as, &[("turn", &(turn + 1).to_string())]);
        }
        if let Some(nudge) = nudge {
            ended.content = format!("{}\n\n{nudge}", ended.content);
        }
        let json = serde_json::to_string(&memo)
            .map_err(|error| Stop::broken(format!("a memo cannot be recorded: {error}")))?;
        let journal = &self.bench.journal;
        self.record(What::ToolResult {
            turn: at.turn,
            index: position(at.index),
            tool: fit::name(&call.name),
            title: ended.title,
            is_error: ended.is_error,
            content: journal.keep(ended.content.clone())?,
            memo: Some(journal.keep(json)?),
            snapshot,
            took_ms: ended.took_ms,
        })
        .await?;
        self.learn(memo);
        Ok(ToolResult { id: call.id.clone(), content: ended.content, is_error: ended.is_error })
    }
}

/// Returns how many of the first calls run side by side.
fn group(calls: &[ToolCall]) -> usize {
    let looks = |call: &&ToolCall| {
        catalogue().get(&call.name).is_some_and(|spec| spec.class == Class::Read)
    };
    calls.iter().take_while(looks).count().max(1)
}

fn ended((class, title): (Class, String), answer: ToolAnswer, start: Instant) -> Ended {
    let ToolAnswer { content, is_error, effect, suspicion } = answer;
    let taint = Taint::of(&suspicion, &title);
    let sees = match &effect {
        Effect::Heard(_, sees) => sees.clone(),
        _ => None,
    };
    let deed = match effect {
        Effect::None | Effect::Delegated(_) => Deed::Nothing,
        Effect::Read(lines) => Deed::Read(lines),
        Effect::Wrote(paths) => Deed::Wrote(paths),
        Effect::Ran => Deed::Ran,
        Effect::Checked => Deed::Checked,
        Effect::Finding(finding) => Deed::Found(finding),
        Effect::Heard(findings, _) => Deed::Heard(findings),
        Effect::Finish(input) => Deed::Finished(Box::new(input)),
    };
    let (trusted, took_ms) = (false, millis(start));
    Ended { class, title, content, is_error, deed, taint, trusted, sees, took_ms }
}

fn refused(call: &ToolCall, content: String, deed: Deed) -> Ended {
    let title = format!("{} refused", fit::name(&call.name));
    let (class, taint, sees) = (Class::Control, None, None);
    let (is_error, trusted, took_ms) = (true, false, 0);
    Ended { class, title, content, is_error, deed, taint, trusted, sees, took_ms }
}

/// Returns a position as records have it.
pub(super) fn position(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::protocol::ids::CallId;

    #[test]
    fn only_consecutive_reads_run_side_by_side() {
        let names = ["read", "grep", "git", "write", "read", "bash", "finish", "fly"];
        let calls = names.map(|name| ToolCall {
            id: CallId::new("c"),
            name: name.to_owned(),
            input: json!({}),
        });
        let groups: Vec<_> = (0..calls.len()).map(|at| group(&calls[at..])).collect();
        assert_eq!(groups, [3, 2, 1, 1, 1, 1, 1, 1]);
    }
}
