//! Places and contexts for agents.
//!
//! What a worktree agent and a teammate are given to live in.
pub mod housing;
pub mod sweep;
