//! Results of checks, and the verdict over them.

use serde::{Deserialize, Serialize};

use crate::protocol::ids::Oid;

/// Where a check command comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// Named by the user (`--verify` or configuration).
    Named,
    /// Found by looking at the repository.
    Detected,
}

/// A command that verifies.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// The command line, given to `bash -c`.
    pub command: String,
    /// Where it comes from.
    pub origin: Origin,
}

/// How one test ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TestStatus {
    /// It passed.
    Passed,
    /// It failed or errored.
    Failed,
    /// It was skipped or is expected to fail.
    Skipped,
    /// It passed and failed on one and the same tree.
    Flaky,
}

/// One test's result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TestResult {
    /// The runner's id of the test.
    pub id: String,
    /// How it ended.
    pub status: TestStatus,
}

/// How a check command ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckEnd {
    /// It exited with this code.
    Exit(i32),
    /// A signal ended it.
    Signal(i32),
    /// It was stopped at its deadline, in milliseconds.
    Deadline(u64),
    /// It could not be started.
    NotStarted(String),
}

impl CheckEnd {
    /// Returns whether the command exited with 0.
    pub fn is_success(&self) -> bool {
        *self == Self::Exit(0)
    }
}

/// One run of one check on one tree.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckRun {
    /// The check.
    pub check: Check,
    /// How it ended.
    pub end: CheckEnd,
    /// Test results, where the runner's output could be parsed; sorted by id.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tests: Vec<TestResult>,
    /// The end of its output, capped.
    pub tail: String,
    /// Whether a first failure vanished when it was run again.
    #[serde(default)]
    pub flaky: bool,
    /// Wall time in milliseconds.
    pub took_ms: u64,
}

/// All checks on one tree.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckReport {
    /// One run per check, in order.
    pub runs: Vec<CheckRun>,
}

/// What speaks for a landing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Grade {
    /// A test failed before and passes now.
    Fixed,
    /// Nothing that passed before fails.
    NoRegression,
    /// No check ran; reviewers passed it.
    ReviewedOnly,
    /// Neither checks nor reviews; landed on the user's word.
    Unverified,
}

impl Grade {
    /// Returns the words shown to the user.
    pub fn words(self) -> &'static str {
        match self {
            Self::Fixed => "fixed",
            Self::NoRegression => "no regression",
            Self::ReviewedOnly => "reviewed only",
            Self::Unverified => "unverified",
        }
    }
}

/// The decision over a candidate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It may land.
    Green {
        /// What speaks for it.
        grade: Grade,
        /// Tests that failed before and pass now.
        fixed: Vec<String>,
    },
    /// It may not.
    Red {
        /// Each reason in one line.
        reasons: Vec<String>,
    },
    /// Nothing verified it: no check ran that passes.
    NoEvidence,
}

/// Lines changed between two commits.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiffStat {
    /// One entry per changed file: path, lines added, lines removed.
    pub files: Vec<(String, u64, u64)>,
}

/// Which tree a check ran on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CheckedTree {
    /// The base commit, for comparison.
    Base,
    /// The candidate.
    Candidate,
}

/// How a run ended; the exit code follows from it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunEnd {
    /// The commit stands on the target.
    Landed {
        /// The commit that landed.
        commit: Oid,
        /// The branch that received it.
        branch: String,
        /// What speaks for it.
        grade: Grade,
    },
    /// A workflow that writes nothing has said what it had to say.
    Reported,
    /// No commit could be verified; work stays on its branch.
    NotResolved(String),
    /// Refused by a rule, or an approval is needed.
    Refused(String),
    /// A budget was reached.
    Budget(String),
    /// The work does not merge with the target.
    Conflict(String),
    /// Provider, sandbox or disk.
    Infrastructure(String),
    /// Stopped by the user.
    Interrupted,
}

impl RunEnd {
    /// Returns the process exit code: 0 landed or reported, 1 not resolved, 3 refused, 4 budget, 5 conflict,
    /// 6 infrastructure, 130 interrupted.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Landed { .. } | Self::Reported => 0,
            Self::NotResolved(_) => 1,
            Self::Refused(_) => 3,
            Self::Budget(_) => 4,
            Self::Conflict(_) => 5,
            Self::Infrastructure(_) => 6,
            Self::Interrupted => 130,
        }
    }
}
