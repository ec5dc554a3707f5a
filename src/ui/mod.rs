//! What people see of a run.
//!
//! Folds events; with `cli` the only room that prints.
