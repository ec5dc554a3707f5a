//! One run.
//!
//! A single select loop owns the state; decisions are pure, effects are journaled first.
