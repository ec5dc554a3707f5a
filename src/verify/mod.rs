//! Checks and the verdict over them.
//!
//! Detects and runs check commands, parses results; the verdict is pure.
