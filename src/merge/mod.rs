//! From a branch to the target.
//!
//! `candidate` builds the commit that may land on the target's tip, in memory, and `replay` all of
//! the work's commits where they are to stay; `land` moves the target by compare-and-swap and takes
//! a landing back. `queue` decides over a row of candidates.

pub mod candidate;
pub mod land;
pub mod queue;
mod replay;
