//! The embedded worker that needs no model: localise, edit, verify.
//!
//! A failing test pins a bug down. `search` orders small edits of the functions that the failing
//! tests run; `examples`
//! makes tests of what the issue says a call must give, `python` judges many of them in one process that collected the tests once, and `judge`
//! has every other language's judged by the check command itself; `work` leads from the failing
//! check to an edited tree. What it leaves in the tree passed the checks there, and counts as a
//! writer's work like any other: the verification nodes decide.

pub mod search;
pub mod work;

mod examples;
mod judge;
mod python;
