//! Decisions on tool calls.
//!
//! Pure: all facts are arguments. `decide` alone can make a `Cleared` call; `path` says what a path
//! given by a model means, `sanitise` takes tricks out of text.

pub mod decide;
pub mod path;
pub mod sanitise;
