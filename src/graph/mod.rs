//! Workflow text to a validated task graph.
//!
//! `lookup` finds the text, `spec` is its form with positions, `validate` (with `rules` for one
//! node and `flow` for what passes between them) turns it into a `dag::Graph`, which is correct
//! from the moment it exists. `ready` says what may run next. The only room that touches petgraph.

pub mod condition;
pub mod dag;
#[cfg(test)]
pub(crate) mod fixture;
mod flow;
mod fork;
pub mod grow;
pub mod load;
pub mod lookup;
pub mod node;
pub mod picture;
pub mod ready;
pub mod rules;
pub mod spec;
pub mod validate;
