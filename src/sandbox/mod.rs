//! Child processes and places.
//!
//! The only room that starts processes; a place is a tree with what confines its agent.
pub mod host;
