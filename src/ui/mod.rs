//! What people and programs see of a run.
//!
//! Everything shown is a fold of events (`view`), so a live run, a resumed one and one read back
//! from its journal look the same. The renderers are pure functions to text (`plain`, `bars`,
//! `json`, `summary`, `cost`, `tables`); `show` alone writes to the terminal. With `cli` this is the only
//! room that prints. All text from outside passes `text::escape` first.

mod ask;
pub mod audit;
pub mod bars;
pub mod batch;
pub mod checks;
pub mod cost;
#[cfg(test)]
mod fixture;
pub mod json;
pub mod next;
pub mod plain;
pub mod report;
pub mod roster;
pub mod show;
pub mod summary;
pub mod tables;
pub mod text;
pub mod tree;
pub mod view;
