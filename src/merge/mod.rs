//! From a branch to the target.
//!
//! `candidate` builds the commit that may land on the target's tip, in memory; `land` moves the
//! target by compare-and-swap and takes a landing back. `queue` decides over a row of candidates.

pub mod candidate;
pub mod land;
pub mod queue;
