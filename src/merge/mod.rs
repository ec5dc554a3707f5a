//! From a branch to the target.
//!
//! Builds the candidate in memory and moves the target by compare-and-swap.
pub mod candidate;
pub mod land;
