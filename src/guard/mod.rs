//! Decisions on tool calls.
//!
//! Pure: all facts are arguments. `decide` alone can make a `Cleared` call, by the table of `modes`,
//! the user's `rules`, what `ordinary` and `files` know of everyday commands, and what a model says by `classify`; `path` says what a
//! path given by a model means, `sanitise` takes tricks out of text, `redact` finds the user's terms in
//! it, `taint` is what follows from text that gives orders, `tripwire` is what gives an alarm. `gate` judges command lines:
//! `shell` parses them, `scene` says what they would do, `checks` holds the numbered table.

#[cfg(test)]
mod properties;

pub mod checks;
pub mod classify;
pub mod decide;
pub mod files;
pub mod gate;
pub mod modes;
pub mod options;
pub mod ordinary;
pub mod path;
pub mod redact;
pub mod rules;
pub mod sanitise;
pub mod scene;
pub mod scope;
pub mod shell;
pub mod taint;
pub mod tripwire;
