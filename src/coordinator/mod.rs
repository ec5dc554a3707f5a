//! One run.
//!
//! A single select loop owns the state; decisions are pure, effects are journaled first.
mod brief;
pub mod budget;
mod commits;
pub mod control;
mod delegate;
mod dispatch;
mod focus;
mod jobs;
mod key;
mod member;
pub mod options;
pub mod plan;
mod scene;
pub mod schedule;
mod shared;
#[cfg(test)]
mod simulation;
pub mod start;
pub mod state;
mod unit;
