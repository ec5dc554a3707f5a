//! grafter takes issues on a repository to verified, landed commits.
//!
//! Where things live, the highest floor first; a room imports only rooms on lower floors, which
//! `tests/integration/architecture.rs` checks:
//!
//! | floor | room | what it does |
//! |---|---|---|
//! | front | [`cli`] | the commands; turns errors into message, cause, hint and exit code |
//! | views | [`eval`] | datasets, native grading, reports, statistics |
//! | | [`ui`] | bars, plain lines, summary, JSON: all of them folds of events |
//! | many runs | [`fleet`] | a backlog as a batch of runs, and the merge queue that lands them |
//! | one run | [`coordinator`] | the select loop that owns a run, and the pure plan it follows |
//! | who works | [`subagent`] | places for agents: worktrees and throw-away trees |
//! | work | [`agent`] | one agent: ask, call tools, until done |
//! | | [`external`] | workers that are somebody else's agent: a command line with its grants |
//! | | [`repair`] | the worker that needs no model: small edits, judged by the failing tests |
//! | means | [`tools`] | what an agent can do, as one table and its behaviour on a place |
//! | | [`prompt`] | prompts as files, assembled by a pure function |
//! | | [`merge`] | the candidate on the target's tip, landing, undo |
//! | proof | [`localize`] | which functions an issue is about: words, coverage, traces |
//! | | [`verify`] | checks found and run, results read, the verdict |
//! | parts | [`graph`] | workflow YAML to a validated task graph, and pictures of it |
//! | | [`journal`] | the hash-chained record of a run, blobs, stored results |
//! | | [`provider`] | models behind one streaming trait: three wire formats, scripts, patches |
//! | | [`guard`] | the decision on each tool call |
//! | | [`git`] | repository, refs, trees, snapshots, commits |
//! | ground | [`sandbox`] | child processes, and places that confine them |
//! | | [`code`] | languages, outlines, functions by tree-sitter |
//! | words | [`protocol`] | the types that all rooms share |
//! | | [`settings`] | layered settings, TOML and YAML, trust |
//!
//! Calls go down; an outcome comes back as the return value. Only two things climb:
//! [`protocol::event::Event`] and [`protocol::request::Request`].
//!
//! To run an issue from a program of your own begin with [`coordinator::start::start`], and see
//! `examples/run_issue.rs`. Its `main` must begin with [`sandbox::child::dispatch`], because the
//! inside of a sandbox is the running program again.

pub mod agent;
pub mod cli;
pub mod code;
pub mod coordinator;
pub mod eval;
pub mod external;
pub mod fleet;
pub mod git;
pub mod graph;
pub mod guard;
pub mod journal;
pub mod localize;
pub mod merge;
pub mod prompt;
pub mod protocol;
pub mod provider;
pub mod repair;
pub mod sandbox;
pub mod settings;
pub mod subagent;
pub mod tools;
pub mod ui;
pub mod verify;
