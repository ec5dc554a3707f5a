//! Places for agents.
//!
//! `housing` makes what an agent is given to live in: a registered worktree for a writer, one shared
//! tree for readers, a throw-away tree for a verifier. `sweep` takes away what a run leaves behind,
//! `gc` what a target has by now, and `retention` the snapshots of old landings.

pub mod gc;
pub mod housing;
pub mod ladder;
pub mod retention;
mod share;
pub mod sweep;
