//! Checks and the verdict over them.
//!
//! Detects and runs check commands, parses results; the verdict is pure.

pub mod change;
pub mod detect;
pub mod parse;
pub mod run;
pub mod touched;
pub mod verdict;
