//! The command line.
//!
//! One file per command; errors become message, cause, hint and exit code in `exit`.

#[macro_use]
mod out;

mod approve;
mod args;
mod context;
mod demo;
pub mod dispatch;
mod doctor;
mod exit;
mod history;
mod init;
mod land;
mod lists;
mod live;
mod resume;
mod run;
mod settings;
mod trust;
mod workflow;
mod workflows;
mod worktree;
