//! The command line.
//!
//! `args` (and `run_args` for what starts a run) is what clap sees and `dispatch` the door; `context`
//! opens what a command stands on, and each command has a file or shares one with its kin
//! (`history`: status, logs, cancel, journal, with `session` for what `logs --session` prints;
//! `land`: undo, rescue; `lists`: tools, models; `workflow`: workflow, prompt; `workers`
//! lists them and finds those that a run calls). `run`, `resume` and
//! `demo` follow a live run through `live`. Errors become message, cause, hint and exit code in
//! `exit` and nowhere else; `caps` reads amounts and numbers.

#[macro_use]
mod out;

mod approve;
mod args;
mod attach;
mod batch;
mod batch_args;
mod caps;
mod check;
mod context;
mod cost;
mod demo;
pub mod dispatch;
mod doctor;
mod eval;
mod eval_args;
mod exit;
mod history;
mod init;
mod journal;
mod land;
mod lists;
mod live;
mod localize;
mod panes;
mod policy;
mod queue;
mod report;
mod resume;
mod review;
mod run;
mod run_args;
mod session;
mod settings;
mod steer;
mod trust;
mod workers;
mod workflow;
mod workflows;
mod worktree;
