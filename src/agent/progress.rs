//! What an agent has done so far: a fold of its calls and their memos.

use std::collections::BTreeSet;

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

/// Identical results in a row after which the agent is told.
pub const NUDGED: u32 = 3;
/// Identical results in a row after which the agent is stopped.
pub const STUCK: u32 = 6;

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
        }
    }

    /// Counts a call and returns how many identical calls with identical results stand in a row.
    pub fn streak(&mut self, call: &ToolCall, digest: &str) -> u32 {
        let this = (memo::key(call), digest.to_owned());
        self.streak = if this == self.last { self.streak + 1 } else { 1 };
        self.last = this;
        self.streak
    }

    /// Returns whether the agent does the same over and over.
    pub fn is_stuck(&self) -> bool {
        self.streak >= STUCK
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
