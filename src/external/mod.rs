//! Workers that are somebody else's agent: a command line that is given a task and changes a tree,
//! or an agent that is talked with over a protocol.
//!
//! The user's configuration says which there are and what each is granted (`options`, laid out by
//! `preset` for the agents that are known). `errand` runs one in a place, which confines it like any
//! command of an agent, [`acp`] talks with one that speaks it, and `report` reads what it says about itself and what it used. What counts
//! as its work is the tree it leaves, whatever it says; the rooms above save, commit and verify it.

pub mod acp;
pub mod errand;
pub mod options;
pub mod preset;
pub mod report;
