//! Checks and the verdict over them.
//!
//! `detect` finds check commands, `run` runs them in a place and `parse` reads test ids out of what
//! they print; `slots` bounds how many run at once. `change` compares one check on the candidate with the same one on the base,
//! `flaky` clears tests that fail on the base now and then, `verdict` decides over all of them and
//! the reviews; all three are pure. `touched` tells reviewers
//! which tests a patch edits or deletes.

pub mod change;
pub mod detect;
pub mod flaky;
pub mod parse;
pub mod run;
pub mod slots;
pub mod touched;
pub mod verdict;
