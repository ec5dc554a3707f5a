//! Decisions on tool calls.
//!
//! Pure: all facts are arguments. `decide` alone can make a `Cleared` call; `path` says what a path
//! given by a model means, `sanitise` takes tricks out of text. `gate` judges command lines: `shell`
//! parses them, `scene` says what they would do, `checks` holds the numbered table.

#[cfg(test)]
mod properties;

pub mod checks;
pub mod decide;
pub mod gate;
pub mod path;
pub mod sanitise;
pub mod scene;
pub mod shell;
