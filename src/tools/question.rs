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

#[cfg(test)]
mod tests {
    use std::fs;

    use serde_json::json;

    use super::*;
    use crate::{
        protocol::{ids::CallId, task::Mode},
        tools::{
            desk::Ready,
            testing::{Bench, all},
        },
    };

    /// A reviewer's desk follows no tree, so each look compares all of it with its candidate.
    async fn reviewer() -> Bench {
        let mut bench = Bench::new(&[("a.txt", "one\n"), ("sub/b.txt", "two\n")]).await;
        assert!(bench.desk.tracker.is_none());
        bench.desk.policy.mode = Mode::Default;
        bench.desk.policy.interactive = true;
        bench
    }

    fn pending(bench: &Bench) -> Pending {
        let input = json!({"command": "./check.sh"});
        let call = ToolCall { id: CallId::new("1"), name: "bash".to_owned(), input };
        match bench.desk.prepare(&call, &all()).outcome {
            Ready::Ask { call, .. } => call,
            other => panic!("not asked for: {other:?}"),
        }
    }

    /// Asks, changes the tree, and returns whether a yes still counts.
    async fn counts_after(bench: &Bench, change: impl FnOnce(&Bench)) -> Result<(), String> {
        let pending = pending(bench);
        let question = bench.desk.question(&pending, ("bash ./check.sh", "why")).await?;
        change(bench);
        let answer = Answer { bound: question.bound, approval: Approval::Yes };
        bench.desk.answered(pending, &answer).await.map(drop)
    }

    #[tokio::test]
    async fn a_yes_to_a_reviewer_is_void_once_its_tree_has_changed() {
        let bench = reviewer().await;
        assert_eq!(counts_after(&bench, |_| ()).await, Ok(()));
        let write = |path: &'static str, text: &'static str| {
            move |bench: &Bench| fs::write(bench.path(path), text).expect("written")
        };
        let void = |said: Result<(), String>| {
            let said = said.expect_err("it does not count");
            assert!(said.starts_with("E_NOT_APPROVED") && said.contains("void"), "{said}");
        };
        // As long as before, and at once after it.
        void(counts_after(&bench, write("a.txt", "ono\n")).await);
        void(counts_after(&bench, write("check.sh", "rm -rf .\n")).await);
        void(counts_after(&bench, write("check.sh", "rm -rf ~\n")).await);
        let remove = |bench: &Bench| fs::remove_file(bench.path("sub/b.txt")).expect("removed");
        void(counts_after(&bench, remove).await);
        // What it was when it was asked for is what counts, not what it began with.
        assert_eq!(counts_after(&bench, |_| ()).await, Ok(()));
        assert_eq!(counts_after(&bench, write("check.sh", "rm -rf ~\n")).await, Ok(()));
    }
}
