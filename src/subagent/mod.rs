//! Places for agents.
//!
//! `housing` makes what an agent is given to live in: a registered worktree for a writer, one shared
//! tree for readers, a throw-away tree for a verifier. `sweep` takes away what a run leaves behind,
//! `gc` what a target has by now, and `retention` the snapshots of old landings. `setup` is what trees
//! need beside their commit, made once for all of them.

pub mod gc;
pub mod housing;
pub mod ladder;
pub mod retention;
pub mod setup;
mod share;
pub mod sweep;
