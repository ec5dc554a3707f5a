//! Test ids out of what a runner prints, one file per format.
//!
//! An id must be the same in two runs on the same tree and must survive an edit elsewhere in the
//! file, because base and candidate are compared by it: durations, hashes and line numbers are
//! left out. Output is hostile text: nothing here panics on it, and a parser that does not see its
//! runner's own marks returns nothing.

pub mod any;
pub mod cargo;
pub mod go;
pub mod junit;
pub mod nextest;
pub mod pytest;
pub mod results;
pub mod tap;
pub mod unittest;
