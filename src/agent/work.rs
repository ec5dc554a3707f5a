//! The loop of one agent: ask, run the calls of the answer, until it finishes or must stop.

use std::{collections::BTreeSet, sync::Arc};

use crate::{
    agent::{
        answer::{self, Hearer, Said},
        assignment::{Assignment, Bench},
        contract,
        prefix::Prefix,
        session::{Session, Stop},
        turn::Form,
        words,
    },
    git::diff,
    protocol::{
        event::Kept,
        message::{Block, Message, Speaker, StopReason},
        outcome::{Evidence, Failure, Outcome, Review, Status},
        task::Phase,
    },
    tools::finish::{FinishInput, Verdict},
};

/// Refused finishes that an agent may mend.
const MAX_BOUNCES: u32 = 3;
/// Answers in a row without any call that are forgiven.
const MAX_SILENT: u32 = 2;

/// Has an agent do its work, and returns what came of it.
///
/// Everything that happens is journaled before and after; with the records of an earlier process
/// in `assignment.earlier` the work goes on where that one ended, without paying again.
pub async fn work(assignment: Assignment, bench: Bench) -> Outcome {
    let mut session = match Session::open(assignment, bench).await {
        Ok(session) => session,
        Err(stop) => return Outcome::failed(stop.failure, stop.why),
    };
    let ended = if session.is_textual() {
        session.write_as_text().await
    } else if session.tools.is_empty() {
        session.answer_as_text().await
    } else {
        session.converse().await
    };
    if session.bench.reins.is_cancelled() {
        session.keep_half().await;
    }
    let kept = session.bequeath();
    session.outcome(ended, kept)
}

impl Session {
    async fn converse(&mut self) -> Result<Outcome, Stop> {
        let limit = self.assignment.limits.max_turns;
        let mut silent = 0;
        for turn in 0..=limit {
            let (said, mut answered) = self.turn(turn, &mut silent).await?;
            if let Some(input) = &self.progress.finish {
                return Ok(self.handed_in(input));
            }
            self.must_go_on(silent)?;
            if turn + 1 == limit {
                answered.push(Block::Text(self.assignment.words.last_turn.clone()));
            }
            self.saying = None;
            self.context.push(turn, said, Message { speaker: Speaker::User, blocks: answered });
        }
        Err(Stop::unresolved(format!("not finished after {limit} turns, its limit")))
    }

    /// Keeps the conversation up to the model's last answer, for those that fork from it; nothing
    /// before the first one.
    pub(super) fn bequeath(&self) -> Result<Option<Kept>, Stop> {
        let open = self.saying.clone().map(|said| (self.context.messages(), said));
        let Some((messages, said)) = open.or_else(|| self.context.answered()) else {
            return Ok(None);
        };
        let (system, tools) = (self.assignment.system.clone(), self.tools.clone());
        let taint = self.bench.desk.taint.clone();
        let prefix = Prefix { system, tools, messages, said, taint };
        let json = serde_json::to_string(&prefix)
            .map_err(|error| Stop::broken(format!("a conversation cannot be kept: {error}")))?;
        Ok(Some(self.bench.journal.keep(json)?))
    }

    /// Returns what the model said in a turn, and what it is answered.
    async fn turn(&mut self, turn: u32, silent: &mut u32) -> Result<(Message, Vec<Block>), Stop> {
        let form = Form {
            tools: self.tools.clone(),
            temperature: self.assignment.temperature,
            require_tool: *silent > 0,
            sample: 0,
        };
        let reply = self.ask(turn, &form).await?;
        if reply.stop == StopReason::Refusal {
            return Err(Stop::unresolved(words::REFUSED));
        }
        let tools = self.tools.clone();
        let names: Vec<_> = tools.iter().map(|spec| spec.name.as_str()).collect();
        let words = self.assignment.words.clone();
        let who = Hearer { turn, tools: &names, words: &words };
        let read = answer::read(&reply, who, &mut self.ids);
        let (Said::Calls(said, _) | Said::Nothing(said, _)) = &read;
        self.saying = Some(Arc::new(said.clone()));
        let (said, mut answered) = match read {
            Said::Calls(said, calls) => {
                *silent = 0;
                let results = self.calls(turn, &calls).await?;
                (said, results.into_iter().map(Block::Result).collect())
            }
            Said::Nothing(said, why) => {
                *silent += 1;
                (said, vec![Block::Text(why)])
            }
        };
        if reply.stop == StopReason::MaxTokens {
            answered.push(Block::Text(self.assignment.words.cut.clone()));
        }
        Ok((said, answered))
    }

    /// Stops an agent that gets nowhere.
    fn must_go_on(&self, silent: u32) -> Result<(), Stop> {
        if silent > MAX_SILENT {
            return Err(Stop::unresolved(format!("{silent} answers in a row called no tool")));
        }
        if let Some(why) = self.progress.stuck(self.assignment.limits.stuck) {
            return Err(Stop { failure: Failure::Stuck, why });
        }
        if self.progress.bounces > MAX_BOUNCES {
            let bounces = self.progress.bounces;
            return Err(Stop::unresolved(format!("its result was incomplete {bounces} times")));
        }
        Ok(())
    }

    fn handed_in(&self, input: &FinishInput) -> Outcome {
        let summary = contract::capped(&input.summary);
        if input.status == Status::Failed {
            // Work that only lacked an approval is not the agent's failure.
            let refused = self.progress.unapproved > 0;
            let failure = if refused { Failure::Refused } else { Failure::NotResolved };
            return Outcome::failed(failure, summary);
        }
        let contract = &self.assignment.contract;
        Outcome {
            carries: contract::carried(contract, &self.progress.findings, input),
            review: (contract.phase == Phase::Verification).then(|| self.review(input)),
            ..Outcome::succeeded(summary)
        }
    }

    /// Keeps of a review's cites those that can bear it: lines the reviewer was shown, and for a
    /// pass lines of what changed. What is wrong may lie anywhere.
    fn review(&self, input: &FinishInput) -> Review {
        let pass = input.verdict == Some(Verdict::Pass);
        let changed = if pass { self.changed_files() } else { BTreeSet::new() };
        let bears = |lines: &&Evidence| {
            contract::covered(&self.progress.read, lines)
                && (changed.is_empty() || changed.contains(&lines.path))
        };
        Review {
            pass,
            must_fix: input.must_fix.clone(),
            cites: input.evidence.iter().filter(bears).cloned().collect(),
            read: self.progress.files_read(),
            ran: self.progress.checked,
        }
    }

    /// Returns the files that the candidate changes and that are still there to be read; none if
    /// it only deletes, or cannot be compared.
    fn changed_files(&self) -> BTreeSet<String> {
        let desk = &self.bench.desk;
        let paths = diff::changed_paths(&desk.repo, &desk.base, &self.assignment.base);
        let paths = paths.unwrap_or_default().into_iter();
        paths.filter(|path| desk.place.metadata(path).is_ok()).collect()
    }
}
