//! Whether a call may run: the guard's decision, the user's word where it asks, and their record.
//!
//! A question waits as long as the settings say and then counts as a no, so no agent waits for
//! ever. A command that the user changed is a new call: it is looked at, and asked for, again.

use std::time::Duration;

use tokio::{sync::oneshot, time::timeout};

use crate::{
    agent::{
        calls::{At, position},
        fit,
        reins::Doing,
        session::{Session, Stop, canaries},
    },
    guard::decide::Cleared,
    protocol::{
        event::What,
        message::ToolCall,
        request::{Answer, Approval, Question, Request},
        tool::Class,
    },
    tools::{
        answer::ToolAnswer,
        desk::{Judged, Prepared, Ready},
        question,
    },
};

/// What became of a request to run.
pub(super) enum Permit {
    /// It may.
    Go(Leave),
    /// It may not.
    Stay {
        /// What the tool does to the world.
        class: Class,
        /// The call's title.
        title: String,
        /// What the agent is told.
        answer: ToolAnswer,
    },
}

/// A call that may run.
pub(super) struct Leave {
    /// What the tool does to the world.
    pub(super) class: Class,
    /// The call's title.
    pub(super) title: String,
    /// The call.
    pub(super) call: Cleared<ToolCall>,
    /// What the user made of it, if that is not what the agent asked for.
    pub(super) changed: Option<String>,
    /// Whether the user knew that the agent had read orders, and said yes.
    pub(super) trusted: bool,
}

impl Session {
    /// Asks the guard, and the user if the guard says so, until it is known what becomes of a call.
    pub(super) async fn permit(&self, at: At, call: &ToolCall) -> Result<Permit, Stop> {
        self.tripwire(call).await?;
        let (mut call, mut changed) = (call.clone(), None);
        loop {
            let desk = &self.bench.desk;
            let Prepared { class, title, outcome, judged } = self.look(at, &call).await?;
            let record = |answer| Record { at, tool: &call.name, title: &title, answer };
            let (pending, why) = match outcome {
                Ready::Ask { call, why } => (call, why),
                Ready::Unsure(_) => unreachable!("who has an opinion is sure"),
                Ready::Ready(call) => {
                    self.judged(record(None), judged).await?;
                    return Ok(Permit::Go(Leave { class, title, call, changed, trusted: false }));
                }
                Ready::Refused(answer) => {
                    self.judged(record(None), judged).await?;
                    return Ok(Permit::Stay { class, title, answer });
                }
            };
            let answer = match desk.question(&pending, (&title, &why)).await {
                Ok(question) => self.ask_user(question).await?,
                Err(why) => return Ok(stay(class, title, why)),
            };
            self.judged(record(Some(&answer.approval)), judged).await?;
            if let Approval::Edit(text) = &answer.approval {
                call = question::edited(&call, text);
                changed = Some(text.clone());
                continue;
            }
            let trusted = pending.is_tainted();
            return Ok(match desk.answered(pending, &answer).await {
                Ok(call) => Permit::Go(Leave { class, title, call, changed, trusted }),
                Err(why) => stay(class, title, why),
            });
        }
    }

    /// Looks at a call, and has the classifier's model look at it if the guard is not sure.
    async fn look(&self, at: At, call: &ToolCall) -> Result<Prepared, Stop> {
        let (desk, tools) = (&self.bench.desk, &self.assignment.tools);
        match desk.prepare(call, tools) {
            Prepared { outcome: Ready::Unsure(unsure), .. } => {
                let opinion = self.opinion(at.turn, unsure.query()).await?;
                Ok(desk.told(*unsure, opinion, tools))
            }
            prepared => Ok(prepared),
        }
    }

    /// Ends the agent at a call of a canary tool, or one that says the canary string; the dispatcher
    /// ends the run when it sees the record.
    async fn tripwire(&self, call: &ToolCall) -> Result<(), Stop> {
        let Some(tripwire) = &self.assignment.tripwire else { return Ok(()) };
        let sign = match canaries(tripwire).find(|spec| spec.name == call.name) {
            Some(spec) => format!("called the canary tool {}", spec.name),
            // Escapes of JSON cannot hide letters and digits.
            None if tripwire.find(&call.input.to_string()).is_some() => {
                format!("said the canary string in a call of {}", fit::name(&call.name))
            }
            None => return Ok(()),
        };
        self.record(What::Tripped { sign }).await?;
        Err(Stop::cancelled())
    }

    /// Puts a question to the user; no answer in time is an answer, too.
    async fn ask_user(&self, question: Question) -> Result<Answer, Stop> {
        let (reply, answer) = oneshot::channel();
        let bound = question.bound.clone();
        let patience = Duration::from_secs(self.bench.desk.policy.rules.ask_seconds);
        self.bench.reins.note(Doing::Approval { title: question.what.clone() });
        self.request_up(Request::Approve { question: Box::new(question), reply })?;
        match timeout(patience, self.wait(answer)).await {
            Ok(answer) => answer,
            Err(_) => Ok(Answer { bound, approval: Approval::Late }),
        }
    }

    async fn judged(&self, record: Record<'_>, judged: Option<Judged>) -> Result<(), Stop> {
        let Some(Judged { decision, checks, why, code }) = judged else { return Ok(()) };
        let Record { at, tool, title, answer } = record;
        self.record(What::CallJudged {
            turn: at.turn,
            index: position(at.index),
            tool: fit::name(tool),
            title: title.to_owned(),
            decision: decision.to_owned(),
            checks: checks.into_iter().map(str::to_owned).collect(),
            why,
            answer: answer.map(|approval| approval.name().to_owned()),
            code: code.map(str::to_owned),
        })
        .await?;
        Ok(())
    }
}

/// Which call a record is about, and what the user said to it.
struct Record<'r> {
    at: At,
    tool: &'r str,
    title: &'r str,
    answer: Option<&'r Approval>,
}

fn stay(class: Class, title: String, why: String) -> Permit {
    Permit::Stay { class, title, answer: ToolAnswer::error(why) }
}
