//! The queue's train: candidates, each built on the one before it without a checkout, and what is
//! known of their checks.

use std::{collections::BTreeMap, slice};

use crate::{
    fleet::state::BatchState,
    git::{program::GitError, repo::Repo},
    merge::{
        candidate::{self, Candidate, Draft, Proposal},
        queue::Mark,
    },
    protocol::{
        batch::{Made, Style},
        ids::Oid,
        report::{CheckReport, Verdict},
    },
    verify::verdict::{self, Unverified},
};

/// What waits for its landing.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Its place in the batch.
    pub task: usize,
    /// What was made.
    pub made: Made,
    /// The message of its commit.
    pub message: Words,
    /// Whose commits these are.
    pub owner: Owner,
}

/// The message that a commit gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Words {
    /// That of the commit that was made.
    Own(String),
    /// One that was written for the landing.
    New(String),
}

/// Whose commits wait for landing, which decides whether they may be made anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// A run of the batch made them.
    Batch,
    /// They were there before it.
    User,
}

/// A candidate in the train.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Car {
    /// Its task's place in the batch.
    pub task: usize,
    /// Its commit.
    pub commit: Oid,
    /// Its tree.
    pub tree: Oid,
}

/// Candidates in a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Train {
    /// Where the target stands; none when it is not there yet.
    pub tip: Option<Oid>,
    /// The commit that the first candidate stands on.
    pub stand: Oid,
    /// Its tree.
    pub tree: Oid,
    /// The candidates.
    pub cars: Vec<Car>,
    /// What the history of the target shows of each.
    pub style: Style,
    /// Tasks that do not merge with those before them, and may do so once these have landed.
    pub left_out: Vec<usize>,
}

/// What has no place in any train.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Odd {
    /// The target has all of it.
    Contained(usize),
    /// It contradicts what is on the target, in these files.
    Conflict(usize, Vec<String>),
    /// It must land as it is, and does not stand on the target.
    Behind(usize),
    /// It contradicts the target only in files that their own tools can make anew.
    Stale(usize, Draft),
}

/// Files that their own tools make anew, and what came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lockfiles {
    /// Each file with its command.
    pub commands: BTreeMap<String, String>,
    /// By the commit that work was put on and the work's own: the joined tree with these files, none
    /// where a tool failed.
    pub made: BTreeMap<(Oid, Oid), Option<Oid>>,
}

/// How an entry fits on a commit.
enum Fit {
    Clean { commit: Oid, tree: Oid },
    Not(Odd),
}

impl Train {
    /// Returns a train without candidates; `begin` is where a target that is not there begins.
    pub fn empty(
        repo: &Repo,
        (target, begin): (&str, &Oid),
        style: Style,
    ) -> Result<Self, GitError> {
        let tip = repo.tip(target)?;
        let stand = tip.clone().unwrap_or_else(|| begin.clone());
        let tree = repo.tree_of(&stand)?;
        Ok(Self { tip, stand, tree, style, cars: Vec::new(), left_out: Vec::new() })
    }

    /// Adds candidates at the end; returns what has no place.
    pub fn grow(
        &mut self,
        repo: &Repo,
        entries: &[Entry],
        lockfiles: &Lockfiles,
    ) -> Result<Vec<Odd>, GitError> {
        let mut odd = Vec::new();
        let with = (self.style, lockfiles);
        for entry in entries {
            let last = self.cars.last().map_or(&self.stand, |car| &car.commit).clone();
            match join(repo, &last, entry, with)? {
                Fit::Clean { commit, tree } => {
                    self.cars.push(Car { task: entry.task, commit, tree });
                }
                // Whether it is the target's fault or that of one before it shows on the target alone.
                Fit::Not(_) if last != self.stand => match join(repo, &self.stand, entry, with)? {
                    Fit::Clean { .. } | Fit::Not(Odd::Stale(..)) => {
                        self.left_out.push(entry.task);
                    }
                    Fit::Not(why) => odd.push(why),
                },
                // Who comes after it waits, so that it is not overtaken again and again.
                Fit::Not(why @ Odd::Stale(..)) => {
                    odd.push(why);
                    break;
                }
                Fit::Not(why) => odd.push(why),
            }
        }
        Ok(odd)
    }

    /// Takes the first candidates off after they have landed.
    pub fn landed(&mut self, count: usize) {
        let landed: Vec<_> = self.cars.drain(..count).collect();
        if let Some(last) = landed.last() {
            self.tip = Some(last.commit.clone());
            self.stand = last.commit.clone();
            self.tree = last.tree.clone();
        }
        // What did not fit behind them is tried again.
        self.left_out.clear();
    }

    /// Returns whether a task is in it or was left out of it.
    pub fn knows(&self, task: usize) -> bool {
        self.left_out.contains(&task) || self.cars.iter().any(|car| car.task == task)
    }

    /// Returns the places of the tasks in a prefix.
    pub fn tasks(&self, length: usize) -> Vec<usize> {
        self.cars.iter().take(length).map(|car| car.task).collect()
    }

    /// Returns what is known of each prefix, up to the window; `running` says which trees are being
    /// checked.
    pub fn marks(
        &self,
        state: &BatchState,
        running: impl Fn(&Oid) -> bool,
        window: usize,
    ) -> Vec<Mark> {
        let row = self.cars.iter().take(window).enumerate();
        row.map(|(at, car)| {
            let checks = state.checks(&self.tasks(at + 1));
            let (report, open) = state.known(&car.tree, &checks);
            match (open.is_empty(), running(&car.tree)) {
                (false, true) => Mark::Running,
                (false, false) => Mark::Unknown,
                // Without a word on the tip nothing can be compared.
                (true, _) if !self.tip_known(state) => Mark::Running,
                (true, _) => match self.verdict(state, &report) {
                    Verdict::Red { .. } => Mark::Red,
                    Verdict::NoEvidence if !checks.is_empty() => Mark::Red,
                    // Where nothing can be checked a merge without conflict has to do.
                    Verdict::NoEvidence | Verdict::Green { .. } => Mark::Green,
                },
            }
        })
        .collect()
    }

    /// Returns whether the checks of the target as it stands are known.
    pub fn tip_known(&self, state: &BatchState) -> bool {
        state.known(&self.tree, &state.checks(&[])).1.is_empty()
    }

    /// Returns what a report of a prefix says beside the target as it stands.
    pub fn verdict(&self, state: &BatchState, report: &CheckReport) -> Verdict {
        let checks: Vec<_> = report.runs.iter().map(|run| run.check.clone()).collect();
        let (tip, _) = state.known(&self.tree, &checks);
        verdict::compare(Some(&tip), report, &[], Unverified::Refuse)
    }
}

fn join(
    repo: &Repo,
    on: &Oid,
    entry: &Entry,
    (style, lockfiles): (Style, &Lockfiles),
) -> Result<Fit, GitError> {
    let Made { commit, base, .. } = &entry.made;
    let as_it_is = match (style, &entry.message, entry.owner) {
        // It was built on just this commit.
        (Style::Squash, Words::Own(_), _) => {
            base == on && repo.parents(commit)? == slice::from_ref(base)
        }
        (Style::FastForward, _, Owner::User) => repo.contains(commit, on)?,
        _ => false,
    };
    let tree = repo.tree_of(commit)?;
    if as_it_is && tree != repo.tree_of(on)? {
        return Ok(Fit::Clean { commit: commit.clone(), tree });
    }
    let (Words::Own(message) | Words::New(message)) = entry.message.clone();
    let identity = repo.identity();
    let proposal = Proposal { tip: Some(on), commit, base, message, identity, style };
    let (task, kept) = (entry.task, style == Style::FastForward && entry.owner == Owner::User);
    Ok(match candidate::build(repo, &proposal)? {
        Candidate::Empty => Fit::Not(Odd::Contained(task)),
        _ if kept => Fit::Not(Odd::Behind(task)),
        Candidate::Conflict { paths } => match renewed(repo, &proposal, (task, lockfiles))? {
            Some(fit) => fit,
            None => Fit::Not(Odd::Conflict(task, paths)),
        },
        Candidate::Clean { commit, tree } => Fit::Clean { commit, tree },
    })
}

/// Returns how work fits whose conflicts a tool can take away, or has; none when none can.
fn renewed(
    repo: &Repo,
    proposal: &Proposal<'_>,
    (task, lockfiles): (usize, &Lockfiles),
) -> Result<Option<Fit>, GitError> {
    // Commits that stay as they are have their own versions of these files.
    let one = matches!(proposal.style, Style::Squash | Style::Merge);
    let (Some(on), true) = (proposal.tip, one && !lockfiles.commands.is_empty()) else {
        return Ok(None);
    };
    match lockfiles.made.get(&(on.clone(), proposal.commit.clone())) {
        Some(None) => Ok(None),
        Some(Some(tree)) if *tree == repo.tree_of(on)? => Ok(Some(Fit::Not(Odd::Contained(task)))),
        Some(Some(tree)) => match candidate::of_tree(repo, proposal, tree.clone())? {
            Candidate::Clean { commit, tree } => Ok(Some(Fit::Clean { commit, tree })),
            _ => Ok(None),
        },
        None => {
            let known = |path: &str| lockfiles.commands.contains_key(path);
            let draft = candidate::draft(repo, proposal, &known)?;
            Ok(draft.map(|draft| Fit::Not(Odd::Stale(task, draft))))
        }
    }
}
