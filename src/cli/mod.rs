//! The command line.
//!
//! One file per command; errors become message, cause, hint and exit code in `exit`.
