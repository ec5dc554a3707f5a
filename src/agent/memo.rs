//! What a resume needs to know of the turns before it.
//!
//! A `ToolResult` record carries a `Memo`: what the call did, in the scaffold's own words. Progress
//! is a fold of calls and memos, so it comes out the same whether the calls ran now or are replayed.
//! `Earlier` finds the records of an earlier process by turn and position. Old records stay
//! readable as long as new members have defaults.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::{
    guard::taint::Taint,
    protocol::{
        event::{Event, Kept, What},
        ids::Oid,
        mail::Delivered,
        message::ToolCall,
        outcome::{Evidence, Finding},
    },
    tools::finish::FinishInput,
};

/// A `ModelFailed` record of a request that was too long begins with this.
pub const OVERFLOW: &str = "context overflow: ";

/// A `ModelFailed` record of a request that is not sent once more begins with this.
pub const UNANSWERED: &str = "sent again and again without an answer: ";

/// What the scaffold keeps about one call.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub struct Memo {
    /// Hash of the whole result, before it was replaced by a reference or a nudge was added.
    pub digest: String,
    /// Bytes of the whole result.
    #[serde(default)]
    pub bytes: usize,
    /// What the call did.
    #[serde(default)]
    pub deed: Deed,
    /// Hashes of the files that the agent knows by this call, as they were then.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub known: BTreeMap<String, String>,
    /// What in the result reads like orders, if it is enough to count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub taint: Option<Taint>,
    /// The commit whose files the agent sees from here on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sees: Option<Oid>,
    /// Whether the user was told of such text and let the call run.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub trusted: bool,
}

/// What a call did.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Deed {
    /// Nothing to remember.
    #[default]
    Nothing,
    /// It showed these lines.
    Read(Vec<Evidence>),
    /// It changed these files.
    Wrote(Vec<String>),
    /// It ran a command.
    Ran,
    /// It ran the checks.
    Checked,
    /// It reported a finding.
    Found(Finding),
    /// It heard what others have found.
    Heard(Vec<Finding>),
    /// It asked to finish, and the contract was kept.
    Finished(Box<FinishInput>),
    /// It asked to finish, and something was missing.
    Bounced,
    /// It needed an approval and did not get it.
    Unapproved,
}

/// Returns the name of a call and its arguments in short: two calls with one key are the same, in
/// whatever order their arguments stand.
pub fn key(call: &ToolCall) -> String {
    let mut input = call.input.clone();
    input.sort_all_objects();
    let mut hasher = blake3::Hasher::new();
    hasher.update(call.name.as_bytes()).update(b" ").update(input.to_string().as_bytes());
    hasher.finalize().to_hex().to_string()
}

/// A recorded tool result.
#[derive(Clone, Debug, PartialEq)]
pub struct Recorded {
    /// What the model sees.
    pub content: Kept,
    /// Whether it failed or was refused.
    pub is_error: bool,
    /// The memo as JSON.
    pub memo: Option<Kept>,
}

/// The records of one agent, by turn.
#[derive(Debug, Default)]
pub struct Earlier {
    replies: BTreeMap<u32, Kept>,
    results: BTreeMap<(u32, u32), Recorded>,
    overflows: BTreeMap<u32, u32>,
    /// How often the request of a turn was sent without any answer.
    unanswered: BTreeMap<u32, u32>,
    /// Turns that a request which was given up may have been paid for.
    uncertain: BTreeSet<u32>,
    snapshot: Option<Oid>,
    /// The messages, by the turn that showed them.
    told: BTreeMap<u32, Vec<Delivered>>,
}

impl Earlier {
    /// Returns the index of an agent's records.
    pub fn new(events: Vec<Event>) -> Self {
        let mut earlier = Self::default();
        events.into_iter().for_each(|event| earlier.add(event.what));
        earlier
    }

    /// Returns the reply of a turn.
    pub fn reply(&self, turn: u32) -> Option<&Kept> {
        self.replies.get(&turn)
    }

    /// Returns a tool's result.
    pub fn result(&self, turn: u32, index: u32) -> Option<&Recorded> {
        self.results.get(&(turn, index))
    }

    /// Returns how often the request of a turn was found too long.
    pub fn overflows(&self, turn: u32) -> u32 {
        self.overflows.get(&turn).copied().unwrap_or(0)
    }

    /// Returns whether the request of a turn was sent and its answer is not known.
    pub fn was_in_flight(&self, turn: u32) -> bool {
        self.uncertain.contains(&turn) || self.unanswered(turn) > 0
    }

    /// Returns how often in a row the request of a turn was sent and never answered.
    pub fn unanswered(&self, turn: u32) -> u32 {
        self.unanswered.get(&turn).copied().unwrap_or(0)
    }

    /// Returns the last snapshot.
    pub fn snapshot(&self) -> Option<&Oid> {
        self.snapshot.as_ref()
    }

    /// Returns the messages that the request of a turn showed.
    pub fn told(&self, turn: u32) -> &[Delivered] {
        self.told.get(&turn).map_or(&[], Vec::as_slice)
    }

    fn add(&mut self, what: What) {
        match what {
            What::MessageDelivered(told) => {
                self.told.entry(told.turn).or_default().push(told);
            }
            What::ModelIntent { turn, .. } => {
                *self.unanswered.entry(turn).or_default() += 1;
            }
            What::ModelResult { turn, reply, .. } => {
                self.replies.insert(turn, reply);
            }
            What::ModelFailed { turn, error, .. } => {
                // A failure answers one request; giving up answers for all of them.
                let open = self.unanswered.entry(turn).or_default();
                if error.starts_with(UNANSWERED) {
                    *open = 0;
                    self.uncertain.insert(turn);
                }
                *open = open.saturating_sub(1);
                if error.starts_with(OVERFLOW) {
                    *self.overflows.entry(turn).or_default() += 1;
                }
            }
            What::ToolResult { turn, index, is_error, content, memo, snapshot, .. } => {
                self.snapshot = snapshot.or_else(|| self.snapshot.take());
                self.results.insert((turn, index), Recorded { content, is_error, memo });
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::protocol::ids::CallId;

    #[test]
    fn the_same_arguments_in_another_order_were_another_call() {
        let call = |input| key(&ToolCall { id: CallId::new("1"), name: "edit".to_owned(), input });
        let (one, other) =
            (json!({"a": {"x": 1, "y": 2}, "b": 3}), json!({"b": 3, "a": {"y": 2, "x": 1}}));
        assert_ne!(one.to_string(), other.to_string());
        assert_eq!(call(one), call(other));
        assert_ne!(call(json!({"a": 1})), call(json!({"a": 2})));
    }
}
