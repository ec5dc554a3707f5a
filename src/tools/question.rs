//! Questions to the user about a call, and what an answer clears.
//!
//! An answer is bound to the call and to the tree as it was when the question was put; the tree is
//! looked at again when the answer has come.

use std::sync::{Arc, PoisonError};

use serde_json::Value;
use tokio::task::spawn_blocking;

use crate::{
    git::snapshot::Tracker,
    guard::decide::{Cleared, Pending},
    protocol::{
        message::ToolCall,
        request::{Answer, Approval, Question},
    },
    tools::{desk::Desk, facts::escaped},
};

/// The argument that a user may change.
const TEXT: &str = "command";

impl Desk {
    /// Returns the question about a call; `title` is all of what it will do.
    pub async fn question(
        &self,
        pending: &Pending,
        (title, why): (&str, &str),
    ) -> Result<Question, String> {
        let input = &pending.get().input;
        let text = |name: &str| input[name].as_str().map(str::to_owned);
        let root = self.place.seen_as().to_string_lossy().into_owned();
        Ok(Question {
            agent: self.agent.clone(),
            what: title.to_owned(),
            why: why.to_owned(),
            stake: pending.stake().to_owned(),
            cwd: escaped(&match text("cwd").filter(|cwd| cwd != ".") {
                Some(cwd) => format!("{root}/{cwd}"),
                None => root,
            }),
            rules: pending.rules().to_vec(),
            text: text(TEXT),
            bound: pending.bound(&self.tree_now().await?),
        })
    }

    /// Returns the cleared call if the answer is a yes to exactly it, else the reason.
    pub async fn answered(
        &self,
        pending: Pending,
        answer: &Answer,
    ) -> Result<Cleared<ToolCall>, String> {
        let (kind, rules) = (pending.kind().to_owned(), pending.rules().to_vec());
        let cleared = pending.clear(answer, &self.tree_now().await?)?;
        self.standing.grant(&kind);
        if answer.approval == Approval::Always {
            self.standing.learn(&rules);
        }
        Ok(cleared)
    }

    /// Returns the state of the tree, as the id of what a commit of it would hold.
    async fn tree_now(&self) -> Result<String, String> {
        let (tracker, repo) = (self.tracker.clone(), self.repo.clone());
        let (place, at) = (Arc::clone(&self.place), self.at.clone());
        let look = spawn_blocking(move || match tracker {
            Some(tracker) => tracker.lock().unwrap_or_else(PoisonError::into_inner).current(),
            None => Tracker::new(&repo, place.root(), &at).and_then(|mut new| new.current()),
        });
        match look.await {
            Ok(Ok(tree)) => Ok(tree.to_string()),
            Ok(Err(error)) => Err(format!("the tree cannot be read: {error}")),
            Err(error) => Err(format!("the tree cannot be read: {error}")),
        }
    }
}

/// Returns the call with the text that the user gave it.
pub fn edited(call: &ToolCall, text: &str) -> ToolCall {
    let mut call = call.clone();
    if let Value::Object(fields) = &mut call.input {
        fields.insert(TEXT.to_owned(), text.into());
    }
    call
}
