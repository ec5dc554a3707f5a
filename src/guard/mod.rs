//! Decisions on tool calls.
//!
//! Pure: all facts are arguments. Only this room can make a `Cleared` call.

pub mod decide;
pub mod path;
pub mod sanitise;
