//! One agent: ask, call tools, until done.
//!
//! Every step is journaled, and a resume replays the journal instead of paying again.
