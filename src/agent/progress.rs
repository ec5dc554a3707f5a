//! What an agent has done so far: a fold of its calls and their memos.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::{
    agent::memo::{self, Deed, Memo},
    protocol::{
        ids::NodeId,
        message::ToolCall,
        outcome::{Evidence, Finding},
        usage::Usage,
    },
    tools::finish::FinishInput,
};

/// When an agent gets nowhere: it is told after half of either number, and ended after the whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stuck {
    /// Equal calls in a row with equal results.
    pub repeats: u32,
    /// Edits in a row that give a file a content that it had before.
    pub swings: u32,
}

impl Default for Stuck {
    fn default() -> Self {
        Self { repeats: 6, swings: 4 }
    }
}

impl Stuck {
    /// Returns whether so many equal results are a reason to tell the agent.
    pub fn repeats_much(self, streak: u32) -> bool {
        streak >= self.repeats.div_ceil(2)
    }

    /// Returns whether so many edits back are a reason to tell the agent.
    pub fn swings_much(self, swings: u32) -> bool {
        swings >= self.swings.div_ceil(2)
    }
}

/// The counters of one agent.
#[derive(Debug)]
pub struct Progress {
    node: NodeId,
    /// Reported findings, ids given.
    pub findings: Vec<Finding>,
    /// Lines it was shown.
    pub read: Vec<Evidence>,
    /// Runs of the checks.
    pub checked: u32,
    /// Refused finishes.
    pub bounces: u32,
    /// Calls that needed an approval and did not get it.
    pub unapproved: u32,
    /// The `finish` that was accepted.
    pub finish: Option<FinishInput>,
    /// Tokens of all replies.
    pub usage: Usage,
    /// What others have found, and how many of the lines it was shown came before.
    heard: Vec<(Finding, usize)>,
    last: (String, String),
    streak: u32,
    /// Hashes of the contents that each file is known to have had, the last one at the end, and
    /// how many edits in a row have brought an earlier one back.
    contents: BTreeMap<String, (Vec<String>, u32)>,
}

impl Progress {
    /// Returns the progress of an agent that has done nothing.
    pub fn new(node: NodeId) -> Self {
        Self {
            node,
            findings: Vec::new(),
            read: Vec::new(),
            checked: 0,
            bounces: 0,
            unapproved: 0,
            finish: None,
            usage: Usage::default(),
            heard: Vec::new(),
            last: Default::default(),
            streak: 0,
            contents: BTreeMap::new(),
        }
    }

    /// Counts a call and returns how many identical calls with identical results stand in a row.
    pub fn streak(&mut self, call: &ToolCall, digest: &str) -> u32 {
        let this = (memo::key(call), digest.to_owned());
        self.streak = if this == self.last { self.streak + 1 } else { 1 };
        self.last = this;
        self.streak
    }

    /// Counts what a call did to files and returns how many edits in a row have given one of them
    /// a content that it had before; 0 if this call did not.
    ///
    /// To undo an edit is good work; to do, undo and do it again is none. A content that is new, or
    /// that came by another way than an edit, begins the count anew.
    pub fn swings(&mut self, memo: &Memo) -> u32 {
        let wrote = matches!(memo.deed, Deed::Wrote(_));
        let mut most = 0;
        for (path, hash) in &memo.known {
            let (past, swings) = self.contents.entry(path.clone()).or_default();
            if past.last() == Some(hash) {
                continue;
            }
            let known = past.contains(hash);
            *swings = if wrote && known { *swings + 1 } else { 0 };
            most = most.max(*swings);
            past.retain(|old| old != hash);
            past.push(hash.clone());
        }
        most
    }

    /// Returns what the agent does over and over, if it does.
    pub fn stuck(&self, limits: Stuck) -> Option<String> {
        if self.streak >= limits.repeats {
            return Some("the same call was repeated without any new result".to_owned());
        }
        let mut files = self.contents.iter();
        let (path, (_, swings)) = files.find(|(_, (_, swings))| *swings >= limits.swings)?;
        Some(format!("{swings} edits in a row gave {path} a content that it had before"))
    }

    /// Takes over what a call did.
    pub fn apply(&mut self, memo: Memo) {
        match memo.deed {
            Deed::Nothing | Deed::Wrote(_) | Deed::Ran => {}
            Deed::Read(lines) => self.read.extend(lines),
            Deed::Checked => self.checked += 1,
            Deed::Found(finding) => {
                let id = format!("{}#{}", self.node, self.findings.len() + 1);
                self.findings.push(Finding { id, ..finding });
            }
            Deed::Heard(findings) => findings.into_iter().for_each(|finding| self.hear(finding)),
            Deed::Finished(input) => self.finish = Some(*input),
            Deed::Bounced => self.bounces += 1,
            Deed::Unapproved => self.unapproved += 1,
        }
    }

    /// What is heard again came when it was heard first.
    fn hear(&mut self, finding: Finding) {
        if !self.heard.iter().any(|(known, _)| known.id == finding.id) {
            self.heard.push((finding, self.read.len()));
        }
    }

    /// Returns what others have found, each with the lines that the agent was shown since.
    pub fn heard(&self) -> impl Iterator<Item = (&Finding, &[Evidence])> {
        self.heard.iter().map(|(finding, at)| (finding, &self.read[*at..]))
    }

    /// Returns how many files the agent has read.
    pub fn files_read(&self) -> u32 {
        let paths: BTreeSet<_> = self.read.iter().map(|lines| &lines.path).collect();
        u32::try_from(paths.len()).unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn swings(contents: &[(bool, &str)]) -> (Vec<u32>, Option<String>) {
        let mut progress = Progress::new(NodeId::new("n"));
        let counts = contents.iter().map(|(wrote, hash)| {
            let deed = if *wrote { Deed::Wrote(vec!["a".into()]) } else { Deed::Ran };
            let known = BTreeMap::from([("a".to_owned(), (*hash).to_owned())]);
            progress.swings(&Memo { deed, known, ..Memo::default() })
        });
        (counts.collect(), progress.stuck(Stuck::default()))
    }

    #[test]
    fn only_edits_that_bring_old_contents_back_again_and_again_count() {
        let wrote = |hashes: &'static str| {
            let contents: Vec<_> = hashes.split("").filter(|h| !h.is_empty()).collect();
            swings(&contents.into_iter().map(|hash| (true, hash)).collect::<Vec<_>>())
        };
        assert_eq!(wrote("abcd"), (vec![0; 4], None));
        assert_eq!(wrote("aba"), (vec![0, 0, 1], None));
        assert_eq!(wrote("aaaaaaa"), (vec![0; 7], None));
        assert_eq!(wrote("abacada"), (vec![0, 0, 1, 0, 1, 0, 1], None));
        let (counts, stuck) = wrote("ababab");
        assert_eq!(counts, [0, 0, 1, 2, 3, 4]);
        assert_eq!(stuck.unwrap(), "4 edits in a row gave a a content that it had before");
    }

    #[test]
    fn contents_that_are_only_seen_begin_the_count_anew() {
        let (counts, stuck) = swings(&[(false, "a"), (true, "b"), (true, "a"), (false, "b")]);
        assert_eq!((counts, stuck), (vec![0, 0, 1, 0], None));
    }
}
