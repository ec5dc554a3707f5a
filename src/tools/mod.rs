//! What an agent can do.
//!
//! One table of tools, and their behaviour on a place.

pub mod answer;
pub mod catalogue;
pub mod change;
pub mod control;
pub mod desk;
pub mod diff;
pub mod edit;
pub mod facts;
pub mod finish;
pub mod formats;
pub mod history;
pub mod hunks;
pub mod look;
pub mod near;
pub mod patch;
pub mod perform;
pub mod read;
pub mod reads;
pub mod search;
pub mod shell;
#[cfg(test)]
pub mod testing;
pub mod text;
pub mod validate;
pub mod walk;
pub mod write;
