//! Prompts as files.
//!
//! Front matter, assembly static to turn by a pure function, overrides, lint.
