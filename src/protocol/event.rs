//! What happens in a run: one closed list, which is at once the journal's record bodies and the
//! events that the outside sees.
//!
//! The names are a documented, stable format (`--output stream-json`, `logs --json`,
//! `journal.jsonl`). Adding a kind or an optional member is compatible, so readers skip what they
//! do not know; anything else raises `FORMAT`.
//!
//! # Kinds of events
//!
//! A line of `--output stream-json` is an object with `seq` (from 0), `at` (milliseconds since the
//! epoch), `run`, `node` and `agent` where there is one, `kind`, and a `body` unless the kind has
//! none. Money is in micro-dollars, time in milliseconds. The calls of the model that auto mode asks
//! about an agent's commands stand under that agent's name with `/classifier` at its end.
//!
//! | kind | body |
//! |---|---|
//! | `run_started` | `task`, `workflow`, `workflow_text`, `prompts`, `options`, `model`, `scripted`, `base`, `target`, `checkout`, `mode` |
//! | `run_resumed` | `pid`, `model` |
//! | `note` | `level`, `text` |
//! | `node_started` | `attempt`, `phase`, `role`, `agent_kind`, `feedback` |
//! | `node_finished` | `attempt`, `outcome`, `reused` |
//! | `node_skipped` | `why` |
//! | `nodes_reset` | `nodes`, `feedback` |
//! | `nodes_added` | `ids`, `nodes`, `context?`, `asked?` (`of`, `question`, `at`): to answer for one that has ended; without `node` the user asks |
//! | `place_intent` | `branch`, `commit`, `path` |
//! | `place_ready` | `path`, `sandbox`, `took_ms` |
//! | `host_asked` | `host`, `port`, `refused?` |
//! | `model_intent` | `turn`, `reserved`, `tokens` |
//! | `model_result` | `turn`, `reply`, `stop`, `usage`, `cost`, `paid`, `took_ms` |
//! | `model_failed` | `turn`, `error`, `usage`, `cost` |
//! | `tool_intent` | `turn`, `index`, `tool`, `title` |
//! | `tool_result` | `turn`, `index`, `tool`, `title`, `is_error`, `content`, `memo`, `snapshot`, `took_ms` |
//! | `call_judged` | `turn`, `index`, `tool`, `title`, `decision`, `checks`, `why`, `answer?`, `code?` |
//! | `worker_intent` | `worker`, `command`, `timeout_ms` |
//! | `worker_news` | `about` (`message`, `call` or `plan`), `text` |
//! | `worker_result` | `worker`, `end`, `summary`, `error?`, `output`, `usage`, `cost?`, `snapshot?`, `took_ms` |
//! | `commit_intent` | `branch` |
//! | `commit_made` | `commit`, `branch`, `stat`, `tests_touched?`, `left_out?` |
//! | `part_joined` | `commit`, `branch`, `stat` |
//! | `part_clashed` | `paths` |
//! | `part_parked` | `why` |
//! | `candidate_made` | `candidate`, `tree`, `tip`, `commit` |
//! | `candidate_conflict` | `paths`, `tip` |
//! | `checks_finished` | `on`, `report`, `commit`, `reused` |
//! | `verdict_given` | `candidate`, `verdict` |
//! | `land_intent` | `branch`, `from`, `to` |
//! | `landed` | `branch`, `from`, `to`, `stat` |
//! | `land_missed` | `branch`, `found` |
//! | `cancel_asked`, `agent_cancelled`, `paused`, `unpaused` | none; without `agent` it is about all |
//! | `message_sent` | `text`, `from?` (`agent`, `call`); to the `agent`, whose message is named by this record's `seq` |
//! | `message_delivered` | `turn`, `message`, `text`, `from?` |
//! | `task_changed` | `id`, `call`, `change` (`added`, `claimed`, `done`, `dropped`), `text?`: the list that the agents share; a claim ends with its agent |
//! | `tripped` | `sign` |
//! | `audited` | `files`, `refs`, `before`, `after`, `changed`, `unseen` |
//! | `run_finished` | `end`, `usage`, `cost`, `took_ms` |
//! | `batch` | `step` and its members (`protocol::batch::Step`); only in the journal of a batch |
//!
//! The first event of a run is `run_started`, the last `run_finished`; a run that is taken up again
//! goes on with `run_resumed` and the next `seq`.
//!
//! # The object of `--output json`
//!
//! One object, printed at the end; a member that does not apply is null.
//!
//! | member | content |
//! |---|---|
//! | `run`, `task`, `workflow`, `model`, `scripted`, `base`, `target` | what was started |
//! | `end`, `message`, `exit_code` | how it ended: for programs, in words, as the process's code |
//! | `commit`, `branch`, `landed`, `files` | the work: what landed, else what stands on its branch |
//! | `verdict`, `checks` | what speaks for it, before and after |
//! | `report` | what a workflow that writes nothing has to say |
//! | `tests_touched` | files in which the work edits, deletes or silences tests |
//! | `left_out` | what stayed out of the work because programs leave it behind while they run |
//! | `missed` | candidates that did not land because the target had moved: its name, and where it stood |
//! | `cost`, `usage`, `turns`, `took_ms` | what it took |
//! | `resumed`, `paid_twice`, `notes` | what the user should know |
//! | `audit` | `outside` (the body of `audited`), `sandbox` (places by what confined them), `denied` (calls by check or code), `asked` (questions by answer), `hosts` (`reached`, `refused`) |
//! | `tasks` | the list that the agents share: `id`, `text`, `state` (`open`, `claimed`, `done`), `by`, `note` |
//! | `nodes` | one object per node: state, summary, rejected attempts with their reasons, turns, usage, cost, time |
//!
//! # The object of an error
//!
//! Where no run begins, `--output json` and `--output stream-json` print this one object instead;
//! a stream that breaks off because the journal cannot be written ends with it.
//!
//! | member | content |
//! |---|---|
//! | `error`, `cause`, `hint` | what standard error says, for people |
//! | `exit_code` | the process's code |

use serde::{Deserialize, Serialize};

use crate::protocol::{
    asked::Asked,
    audit::Audit,
    batch::Step,
    ids::{AgentId, NodeId, Oid, RunId},
    mail::{Delivered, Sent},
    message::StopReason,
    outcome::Outcome,
    part::{Clashed, Joined, Parked},
    report::{CheckReport, CheckedTree, DiffStat, RunEnd, Verdict},
    started::RunStarted,
    task::{AgentKind, Phase},
    task_list::TaskChanged,
    usage::{Micros, Usage},
    worker::{WorkerCall, WorkerEnd, WorkerNews},
};

/// The version of the record and event format.
pub const FORMAT: u32 = 1;

/// One thing that happened, in the order of the journal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Position in the journal, from 0.
    pub seq: u64,
    /// Milliseconds since the Unix epoch.
    pub at: i64,
    /// The run.
    pub run: RunId,
    /// The node, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<NodeId>,
    /// The agent, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<AgentId>,
    /// What happened.
    #[serde(flatten)]
    pub what: What,
}

/// A body that is kept in the record when small, in the run's blobs when large.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kept {
    /// The text itself.
    Inline(String),
    /// The blake3 hash of a blob in `blobs/`, and its length in bytes.
    Blob(String, u64),
}

/// How loud a note is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Good to know.
    Info,
    /// Something is weaker or different than expected.
    Warning,
}

/// How a model answer was come by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Paid {
    /// Sent once.
    Once,
    /// In flight when the run was killed, sent again: possibly paid twice.
    MaybeTwice,
}

/// What can happen; `kind` is the tag, `body` the content.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "body", rename_all = "snake_case")]
pub enum What {
    /// The first record: all that a resume needs, large texts in blobs.
    RunStarted(Box<RunStarted>),
    /// A process took the run up again.
    RunResumed {
        /// Its process id.
        pid: u32,
        /// The model that is asked from now on, if the user named another one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        model: Option<String>,
        /// The options that hold from now on, if the user raised a limit.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        options: Option<Kept>,
    },
    /// Something the user should know.
    Note {
        /// How loud.
        level: Level,
        /// What is so.
        text: String,
    },
    /// A node may begin; its unit starts after this record.
    NodeStarted {
        /// 1, 2, … over repair loops.
        attempt: u32,
        /// Its phase.
        phase: Phase,
        /// Its role, or `checks`.
        role: String,
        /// Its kind of agent.
        agent_kind: AgentKind,
        /// Feedback of the failed nodes that sent the work back, if any.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        feedback: Option<Kept>,
    },
    /// A node ended.
    NodeFinished {
        /// The attempt that ended.
        attempt: u32,
        /// What it returns.
        outcome: Box<Outcome>,
        /// Whether a stored result was used instead of running it.
        #[serde(default)]
        reused: bool,
    },
    /// Something in a batch; only in its own journal.
    Batch(Box<Step>),
    /// A node's condition does not hold.
    NodeSkipped {
        /// The condition.
        why: String,
    },
    /// Finished nodes are put back to waiting because a failure edge leads to the first of them.
    NodesReset {
        /// The target of the failure edge first, then all that depends on it.
        nodes: Vec<NodeId>,
        /// What the failed nodes said.
        feedback: Kept,
    },
    /// An agent adds nodes to the graph, or the user does.
    NodesAdded {
        /// Their ids.
        ids: Vec<String>,
        /// The nodes as JSON, a list as a workflow would write it.
        nodes: Kept,
        /// The context that they fork from, if they are forks.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        context: Option<Kept>,
        /// Whom they answer for, if they do.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        asked: Option<Box<Asked>>,
    },
    /// A tree is about to be made.
    PlaceIntent {
        /// Its branch; none for a throw-away tree.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        branch: Option<String>,
        /// The commit it starts from.
        commit: Oid,
        /// Its folder.
        path: String,
    },
    /// A tree is ready.
    PlaceReady {
        /// Its folder.
        path: String,
        /// What confines it: `namespaces`, `bubblewrap`, `landlock`, `none`.
        sandbox: String,
        /// Milliseconds it took.
        took_ms: u64,
    },
    /// A command reached a host through the proxy, or wanted to; once for each place and outcome.
    HostAsked {
        /// The host, as the command named it.
        host: String,
        /// The port.
        port: u16,
        /// Why it was not reached; none if it was.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        refused: Option<String>,
    },
    /// A model call is about to be sent.
    ModelIntent {
        /// The agent's turn, from 0.
        turn: u32,
        /// Money reserved for it.
        reserved: Micros,
        /// Tokens reserved for it.
        #[serde(default)]
        tokens: u64,
    },
    /// A model answered.
    ModelResult {
        /// The agent's turn, from 0.
        turn: u32,
        /// The reply, as JSON of `message::Reply`.
        reply: Kept,
        /// Why it ended.
        stop: StopReason,
        /// What it used.
        usage: Usage,
        /// What it cost.
        cost: Micros,
        /// Whether it may have been paid twice.
        paid: Paid,
        /// Milliseconds from sending to the end of the answer.
        took_ms: u64,
    },
    /// A model call failed for good, after retries.
    ModelFailed {
        /// The agent's turn, from 0.
        turn: u32,
        /// What went wrong.
        error: String,
        /// What its attempts are estimated to have used, where they were probably billed.
        #[serde(default)]
        usage: Usage,
        /// What that cost.
        #[serde(default)]
        cost: Micros,
    },
    /// A tool call that changes something is about to run.
    ToolIntent {
        /// The agent's turn.
        turn: u32,
        /// Position in the turn.
        index: u32,
        /// The tool.
        tool: String,
        /// One line that says what it will do.
        title: String,
    },
    /// A tool call did not simply run: it was asked for or denied, or ran though checks spoke.
    CallJudged {
        /// The agent's turn.
        turn: u32,
        /// Position in the turn.
        index: u32,
        /// The tool.
        tool: String,
        /// One line that says what it would do.
        title: String,
        /// `run`, `ask` or `deny`.
        decision: String,
        /// The checks that spoke, by id.
        checks: Vec<String>,
        /// The reasons.
        why: String,
        /// What the user said: `yes`, `always`, `edit`, `no`, `late`; none where nobody was asked.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        answer: Option<String>,
        /// The code of a denial, such as `E_DENIED`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        code: Option<String>,
    },
    /// A tool call ended.
    ToolResult {
        /// The agent's turn.
        turn: u32,
        /// Position in the turn.
        index: u32,
        /// The tool.
        tool: String,
        /// One line that says what it did.
        title: String,
        /// Whether it failed or was refused.
        is_error: bool,
        /// What the model sees.
        content: Kept,
        /// Facts the scaffold keeps about it, as JSON of `agent`'s own type.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        memo: Option<Kept>,
        /// The snapshot commit after it, if the tree changed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        snapshot: Option<Oid>,
        /// Milliseconds.
        took_ms: u64,
    },
    /// Somebody else's agent is about to be called.
    WorkerIntent(WorkerCall),
    /// Somebody else's agent says what it does.
    WorkerNews(WorkerNews),
    /// Somebody else's agent has ended.
    WorkerResult(Box<WorkerEnd>),
    /// A commit is about to be made of an agent's tree.
    CommitIntent {
        /// The branch that will hold it.
        branch: String,
    },
    /// A commit was made and its branch moved.
    CommitMade {
        /// The commit.
        commit: Oid,
        /// The branch.
        branch: String,
        /// Lines changed against the base.
        stat: DiffStat,
        /// Files in which it edits, deletes or silences tests, each with what it does there.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        tests_touched: Vec<String>,
        /// What stayed out because programs leave it behind while they run; folders end in a slash.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        left_out: Vec<String>,
    },
    /// A part was merged, in memory, into what is joined of the others.
    PartJoined(Joined),
    /// A part does not merge with what is joined.
    PartClashed(Clashed),
    /// A part is given up; what was made of it stays on its branch.
    PartParked(Parked),
    /// A candidate was built on the target's tip, in memory.
    CandidateMade {
        /// The candidate commit.
        candidate: Oid,
        /// Its tree.
        tree: Oid,
        /// The tip it stands on; none when the target does not exist yet.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        tip: Option<Oid>,
        /// The commit it was made of.
        commit: Oid,
    },
    /// The work does not merge.
    CandidateConflict {
        /// The paths in conflict.
        paths: Vec<String>,
        /// The tip.
        tip: Oid,
    },
    /// Checks ran.
    ChecksFinished {
        /// On which tree.
        on: CheckedTree,
        /// The results.
        report: CheckReport,
        /// The commit whose tree was checked.
        commit: Oid,
        /// Whether a stored result was used instead of running them.
        #[serde(default)]
        reused: bool,
    },
    /// The scaffold decided over a candidate.
    VerdictGiven {
        /// The candidate commit.
        candidate: Oid,
        /// The decision.
        verdict: Verdict,
    },
    /// The target is about to move.
    LandIntent {
        /// The branch.
        branch: String,
        /// Its tip; none when it does not exist yet.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        from: Option<Oid>,
        /// The candidate commit.
        to: Oid,
    },
    /// The target moved.
    Landed {
        /// The branch.
        branch: String,
        /// The tip before.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        from: Option<Oid>,
        /// The tip now.
        to: Oid,
        /// Lines changed.
        stat: DiffStat,
    },
    /// The target had moved when the landing was tried; a new candidate follows.
    LandMissed {
        /// The branch.
        branch: String,
        /// What stood there instead; none when the branch is gone.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        found: Option<Oid>,
    },
    /// The user asked to stop.
    CancelAsked,
    /// The user ended one agent; its node fails and the run goes on.
    AgentCancelled,
    /// Nothing new begins in the agent, or in any agent where none is named.
    Paused,
    /// The agent, or each one where none is named, goes on.
    Unpaused,
    /// Somebody wrote to an agent.
    MessageSent(Sent),
    /// An agent is about to see a message.
    MessageDelivered(Delivered),
    /// An agent changed the list of tasks that all agents share.
    TaskChanged(TaskChanged),
    /// An agent set a tripwire off, which ends the run.
    Tripped {
        /// What it did.
        sign: String,
    },
    /// The user's side of the repository was looked at again, just before the end.
    Audited(Audit),
    /// The last record.
    RunFinished {
        /// How it ended.
        end: RunEnd,
        /// Tokens of the whole run.
        usage: Usage,
        /// Money of the whole run.
        cost: Micros,
        /// Milliseconds, all processes of the run together.
        took_ms: u64,
    },
}
