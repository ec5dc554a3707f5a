//! What an agent can do.
//!
//! One table of tools, and their behaviour on a place.
